
/*
 * What an account has left, as far as one knows, and what follows for its keys.
 *
 * With strategy=expiring the money that would be lost first is spent first: an
 * account's class is the first of these that is true of it.
 *
 *     included    something of the period's money is left above the floor; the
 *                 more for each hour until it is lost, the earlier.  The last
 *                 tenth of what the period includes counts as a whole one: else
 *                 a rest that is lost today was left for more that is not lost
 *                 before next month
 *     windows     a legacy plan with something left of both of its windows: it
 *                 is lost within days, but nobody tells how much it is.  A
 *                 tenth of a large plan is more than half of a small one, so
 *                 shares are not compared, neither with each other nor with
 *                 money: load spreads evenly over what cannot be told apart
 *     purchased   what is left is not lost soon
 *     unknown     nobody has told it, or a long time ago, or it has renewed
 *     nothing
 *
 * All but the first go by load among themselves.
 */

#include "key.h"


#define NGX_HTTP_OLLAMA_PERIOD   (30 * 86400)   /* if nobody tells its end */
#define NGX_HTTP_OLLAMA_SOONEST  60


static ngx_uint_t ngx_http_ollama_left_money(
    ngx_http_ollama_account_t *account, time_t now,
    ngx_http_ollama_left_e *class, uint64_t *rate);
static ngx_uint_t ngx_http_ollama_left_windows(
    ngx_http_ollama_account_t *account, time_t now,
    ngx_http_ollama_left_e *class);
static ngx_uint_t ngx_http_ollama_left_share(ngx_uint_t share, time_t resets,
    time_t now);


/* true: its keys stand otherwise than before, and are to be placed anew */

ngx_uint_t
ngx_http_ollama_account_weigh(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_account_t *account)
{
    time_t                  now;
    uint64_t                rate;
    ngx_uint_t              changed, low;
    ngx_http_ollama_left_e  class;

    low = 0;
    rate = 0;
    class = NGX_HTTP_OLLAMA_LEFT_INCLUDED;

    if (sh->expiring || account->floor_percent || account->floor_cost) {

        now = ngx_time();

        if (!ngx_http_ollama_account_trusted(sh, account, now)) {
            class = NGX_HTTP_OLLAMA_LEFT_UNKNOWN;

        } else if (account->balance.kind == OLLAMA_BALANCE_MONEY) {
            low = ngx_http_ollama_left_money(account, now, &class, &rate);

        } else {
            low = ngx_http_ollama_left_windows(account, now, &class);
        }

        if (!sh->expiring) {
            class = NGX_HTTP_OLLAMA_LEFT_INCLUDED;
            rate = 0;
        }
    }

    changed = (low != account->low || class != account->class);

    account->low = low;
    account->class = class;
    account->rate = rate;

    return changed;
}


/* a period that is over says nothing of the one that has begun */

ngx_uint_t
ngx_http_ollama_account_trusted(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_account_t *account, time_t now)
{
    ngx_http_ollama_balance_t  *balance;

    balance = &account->balance;

    return balance->seen
           && now - balance->seen <= 2 * sh->interval
           && sh->interval
           && (balance->renews == 0 || balance->renews > now);
}


/* what is included goes first */

void
ngx_http_ollama_account_left(ngx_http_ollama_account_t *account,
    uint64_t spent, ngx_http_ollama_balance_t *left)
{
    uint64_t  n;

    *left = account->balance;

    n = ngx_min(spent, left->included);
    left->included -= n;

    n = ngx_min(spent - n, left->purchased);
    left->purchased -= n;
}


/* true: there is no more than its floor */

static ngx_uint_t
ngx_http_ollama_left_money(ngx_http_ollama_account_t *account, time_t now,
    ngx_http_ollama_left_e *class, uint64_t *rate)
{
    time_t                     end;
    uint64_t                   above, all, floor;
    ngx_http_ollama_balance_t  left;

    ngx_http_ollama_account_left(account, account->spent + account->reserved,
                                 &left);

    all = left.included + left.purchased;
    floor = ngx_max(account->floor_cost,
                    left.allowance / 100 * account->floor_percent);

    if (all == 0) {
        *class = NGX_HTTP_OLLAMA_LEFT_NOTHING;
        return floor != 0;
    }

    if (all <= floor) {
        *class = NGX_HTTP_OLLAMA_LEFT_PURCHASED;
        return 1;
    }

    if (left.included == 0) {
        *class = NGX_HTTP_OLLAMA_LEFT_PURCHASED;
        return 0;
    }

    /* what was purchased keeps the floor as well */

    above = ngx_min(left.included, all - floor);

    /* and equal ones take turns down to it */

    above = ngx_max(above, left.allowance / 10) + above / 64;

    end = left.renews ? left.renews - now : NGX_HTTP_OLLAMA_PERIOD;
    end = ngx_max(end, NGX_HTTP_OLLAMA_SOONEST);

    *rate = ngx_min(above, (uint64_t) 1 << 50) * 3600 / end;
    *rate = ngx_max(*rate, 1);
    *class = NGX_HTTP_OLLAMA_LEFT_INCLUDED;

    return 0;
}


/* the smaller one counts: without either nothing is served */

static ngx_uint_t
ngx_http_ollama_left_windows(ngx_http_ollama_account_t *account, time_t now,
    ngx_http_ollama_left_e *class)
{
    ngx_uint_t                  share;
    ngx_http_ollama_balance_t  *balance;

    balance = &account->balance;

    share = ngx_min(ngx_http_ollama_left_share(balance->session,
                                               balance->session_resets, now),
                    ngx_http_ollama_left_share(balance->week,
                                               balance->week_resets, now));

    *class = share ? NGX_HTTP_OLLAMA_LEFT_WINDOWS
                   : NGX_HTTP_OLLAMA_LEFT_NOTHING;

    return account->floor_percent && share <= account->floor_percent * 10;
}


static ngx_uint_t
ngx_http_ollama_left_share(ngx_uint_t share, time_t resets, time_t now)
{
    if (share == OLLAMA_BALANCE_NO_SHARE || (resets && resets <= now)) {
        return 1000;
    }

    return share;
}
