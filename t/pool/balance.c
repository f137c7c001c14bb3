
/* what the balance of an account does */

#include "harness.h"


#define BIG      (4 * 1024 * 1024)
#define HOUR     3600
#define DAY      86400

#define NO_BODY  "{\"error\":\"extra usage balance is empty\"}"
#define MONTH    "{\"error\":\"you have reached your monthly usage limit\"}"


/* a minute later, with all keys looked at */

static void
t_minute(pool_t *p)
{
    ngx_uint_t  i;

    for (i = 0; i < 60; i++) {
        t_time(1, 0);
        t_book(p, 0, 0);
    }
}


static void
t_expiring(void)
{
    world_t                     w;
    pool_t                     *p;
    uint64_t                    a, b;
    ngx_uint_t                  i, n[4], first;
    ngx_http_ollama_snapshot_t  s;

    t_prices(1);
    t_world(&w, "b;a floor=10%", 0, BIG);
    p = t_worker(&w);

    a = 10 * USD;
    b = 50 * USD;
    memset(n, 0, sizeof(n));
    first = 0;

    t_balance(&w, p, 1, OLLAMA_BALANCE_MONEY, a, 0, 6 * HOUR);
    t_balance(&w, p, 0, OLLAMA_BALANCE_MONEY, b, 0, 20 * DAY);

    /* 30 cents a minute */

    for (i = 0; i < 6 * 60 - 1; i++) {

        if (t_one_request(&w, p, 1000, 3 * USD / 10, 0) == 1) {
            a -= 3 * USD / 10;
            n[1]++;
            n[2] += first;              /* after the other one began */

        } else {
            b -= ngx_min(b, 3 * USD / 10);
            n[0]++;
            first = 1;
        }

        if (n[0] == 100) {
            break;
        }

        t_minute(p);

        if (i % 5 == 4) {
            t_balance(&w, p, 1, OLLAMA_BALANCE_MONEY, a, 0, 6 * HOUR - i * 60);
            t_balance(&w, p, 0, OLLAMA_BALANCE_MONEY, b, 0, 20 * DAY - i * 60);
        }
    }

    t_ok(n[1] == 27 && n[0] == 100 && n[2] == 0,
         "what is lost in 6 h is spent to its floor, then the other "
         "(%lu, %lu)", (unsigned long) n[1], (unsigned long) n[0]);

    t_shown(p, t_key(&w, 1), &s);
    t_ok(s.balance.included == 19 * USD / 10 && s.trusted
         && s.floor_percent == 10 && s.balance.allowance == 20 * USD, "as it is shown");
    t_right(&w, "drained");

    /* 20 dollars for 30 days, and 20 for 20 */

    t_balance(&w, p, 0, OLLAMA_BALANCE_MONEY, 12 * USD, 0, 20 * DAY);
    t_balance(&w, p, 1, OLLAMA_BALANCE_MONEY, 20 * USD, 0, 25 * DAY);
    t_ok(t_one_request(&w, p, 1000, USD / 10, 0) == 1,
         "and the first one again when it has renewed");

    /* two with as much: in turn */

    t_balance(&w, p, 0, OLLAMA_BALANCE_MONEY, 20 * USD, 0, 20 * DAY);
    t_balance(&w, p, 1, OLLAMA_BALANCE_MONEY, 22 * USD, 0, 20 * DAY);
    memset(n, 0, sizeof(n));
    for (i = 0; i < 40; i++) {
        n[t_one_request(&w, p, 1000, USD / 10, 0)]++;
    }
    t_ok(n[0] == 20 && n[1] == 20, "equal ones take turns (%lu, %lu)",
         (unsigned long) n[0], (unsigned long) n[1]);
    t_right(&w, "equal");
    t_end(&w);
}


/* each class before the next one, whatever their loads are */

static void
t_classes(void)
{
    world_t                     w;
    pool_t                     *p;
    ngx_uint_t                  i;
    ngx_http_ollama_snapshot_t  s;

    t_prices(1);
    t_world(&w, "none;unknown;bought;windows;included;tier tier=1", 0, BIG);
    p = t_worker(&w);

    for (i = 0; i < 6; i++) {
        t_book(p, t_key(&w, i)->number, i * 1000000);
    }

    t_balance(&w, p, 0, OLLAMA_BALANCE_MONEY, 0, 0, DAY);
    t_balance(&w, p, 2, OLLAMA_BALANCE_MONEY, 0, 5 * USD, DAY);
    t_balance(&w, p, 3, OLLAMA_BALANCE_WINDOWS, 30, 500, HOUR);
    t_balance(&w, p, 4, OLLAMA_BALANCE_MONEY, USD, 9 * USD, DAY);
    t_balance(&w, p, 5, OLLAMA_BALANCE_MONEY, 90 * USD, 0, HOUR);
    t_right(&w, "classes");

    for (i = 4; i < 6; i--) {
        if (t_one_request(&w, p, 1, 1, 0) != i) {
            break;
        }

        ngx_http_ollama_pool_penalize(p, t_key(&w, i)->number, 100);
    }

    t_ok(i > 6, "included, windows, purchased, unknown, nothing");
    t_ok(t_one_request(&w, p, 1, 1, 0) == 5, "and then a higher tier");

    for (i = 0; i < 6; i++) {
        ngx_http_ollama_pool_reset(p, t_key(&w, i)->number);
    }

    /* what is included is gone, as far as one knows: what was bought is left */

    t_ok(t_one_request(&w, p, 1000, 4 * USD, 0) == 4, "more than is included");
    t_shown(p, t_key(&w, 4), &s);
    t_ok(s.balance.included == 0 && s.balance.purchased == 6 * USD - 1,
         "goes off what was purchased");
    t_ok(t_one_request(&w, p, 1, 1, 0) == 3, "and the next class has its turn");

    /* a window that is over begins anew */

    t_balance(&w, p, 3, OLLAMA_BALANCE_WINDOWS, 0, 500, 120);
    t_ok(t_one_request(&w, p, 1, 1, 0) == 2, "a window is used up");
    t_minute(p);
    t_minute(p);
    t_minute(p);
    t_ok(t_one_request(&w, p, 1, 1, 0) == 3, "until it ends");

    /* all are old: by load */

    for (i = 0; i < 9; i++) {
        t_minute(p);
    }

    t_shown(p, t_key(&w, 4), &s);
    t_ok(t_one_request(&w, p, 1, 1, 0) == 0 && !s.trusted && s.balance.seen,
         "two intervals later load decides, which is said");
    t_right(&w, "untrusted");

    t_balance(&w, p, 4, OLLAMA_BALANCE_MONEY, 20 * USD, 0, 100);
    t_ok(t_one_request(&w, p, 1, 1, 0) == 4, "told anew");
    t_minute(p);
    t_minute(p);
    t_minute(p);
    t_shown(p, t_key(&w, 4), &s);
    t_ok(t_one_request(&w, p, 1, 1, 0) != 4 && !s.trusted,
         "a period that is over says nothing of the next one");
    t_right(&w, "renewed");
    t_end(&w);
}


static void
t_suspended(void)
{
    world_t                     w;
    pool_t                     *p;
    lease_t                     l;
    ngx_uint_t                  i;
    ollama_verdict_t            v;
    ngx_http_ollama_snapshot_t  s;

    t_prices(0);
    t_world(&w, "one account=a;two account=a;three", 0, BIG);
    p = t_worker(&w);

    t_balance(&w, p, 1, OLLAMA_BALANCE_SUSPENDED, 0, 0, 0);
    t_shown(p, t_key(&w, 0), &s);
    t_ok(s.state == NGX_HTTP_OLLAMA_KEY_SUSPENDED && !s.eligible
         && s.until == ngx_time() + HOUR && s.http == 403
         && strcmp(s.status, "its account is suspended") == 0
         && strcmp(s.state_name, "suspended") == 0,
         "a suspended account: all of its keys");
    t_ok(t_one_request(&w, p, 1, 1, 0) == 2, "the others serve");

    t_lease(&l, "m", 1);
    l.tried[0] = t_key(&w, 2)->number;
    l.ntried = 1;
    l.used = 1;
    t_ok(t_take(p, &l) == NGX_DECLINED && l.status == 503
         && strcmp((char *) l.reason, "account suspended (403)") == 0,
         "the client is told so");

    t_time(300, 0);
    t_balance(&w, p, 0, OLLAMA_BALANCE_SUSPENDED, 0, 0, 0);
    t_ok(t_key(&w, 1)->until == ngx_time() + HOUR, "it is told again");
    t_time(300, 0);
    t_balance(&w, p, 0, OLLAMA_BALANCE_UNKNOWN, 0, 0, 0);
    t_ok(t_key(&w, 0)->until != 0, "what is not understood changes nothing");
    t_balance(&w, p, 0, OLLAMA_BALANCE_MONEY, USD, 0, DAY);
    t_ok(t_key(&w, 0)->until == 0 && t_key(&w, 1)->is_ready
         && !t_key(&w, 0)->half_open, "it is over when the balance says so");
    t_right(&w, "suspended");

    t_balance(&w, p, 0, OLLAMA_BALANCE_SUSPENDED, 0, 0, 0);
    t_time(HOUR + 1, 0);
    t_ok(t_one_request(&w, p, 1, 1, 0) < 3 && t_key(&w, 0)->half_open,
         "or an hour after the last word");

    /* a key was refused, and then its account is found to be suspended */

    ngx_http_ollama_pool_reset(p, t_key(&w, 0)->number);
    ngx_http_ollama_pool_reset(p, t_key(&w, 1)->number);
    t_lease(&l, "m", 1);
    l.tried[0] = t_key(&w, 1)->number;
    l.tried[1] = t_key(&w, 2)->number;
    l.ntried = 2;
    t_take(p, &l);
    t_answer(p, &l, 401, "{}", -1, &v);
    t_settle(p, &l, 0);
    t_ok(t_key(&w, 0)->state == NGX_HTTP_OLLAMA_KEY_INVALID,
         "a key is invalid");
    t_balance(&w, p, 0, OLLAMA_BALANCE_SUSPENDED, 0, 0, 0);
    t_ok(t_key(&w, 0)->state == NGX_HTTP_OLLAMA_KEY_SUSPENDED,
         "which it is not: its account is suspended");
    t_right(&w, "not invalid");

    /* by hand, for longer */

    ngx_http_ollama_pool_penalize(p, t_key(&w, 2)->number, 3 * HOUR);
    t_balance(&w, p, 2, OLLAMA_BALANCE_SUSPENDED, 0, 0, 0);
    t_balance(&w, p, 2, OLLAMA_BALANCE_MONEY, USD, 0, 0);
    t_ok(t_key(&w, 2)->state == NGX_HTTP_OLLAMA_KEY_PENALIZED
         && t_key(&w, 2)->until == ngx_time() + 3 * HOUR,
         "what a person said stands");

    for (i = 0; i < 3; i++) {
        ngx_http_ollama_pool_reset(p, t_key(&w, i)->number);
    }

    t_right(&w, "by hand");
    t_end(&w);
}


static void
t_refused_balance(void)
{
    world_t            w;
    pool_t            *p;
    lease_t            l;
    ollama_verdict_t   v;

    t_prices(0);
    t_world(&w, "one;two", 0, BIG);
    p = t_worker(&w);

    t_key(&w, 0)->worked = 1;
    t_key(&w, 1)->worked = 1;

    t_balance(&w, p, 0, OLLAMA_BALANCE_INVALID, 0, 0, 0);
    t_ok(t_key(&w, 0)->state == NGX_HTTP_OLLAMA_KEY_PAUSED
         && t_key(&w, 0)->until == ngx_time() + 2 && t_key(&w, 0)->soft,
         "one 401 of a key that has worked may be a hiccup");

    t_time(3, 0);
    t_lease(&l, "m", 1);
    l.tried[0] = t_key(&w, 0)->number;
    l.ntried = 1;
    t_take(p, &l);
    t_answer(p, &l, 200, "", -1, &v);
    t_settle(p, &l, 1);

    t_balance(&w, p, 0, OLLAMA_BALANCE_INVALID, 0, 0, 0);
    t_ok(t_key(&w, 0)->state == NGX_HTTP_OLLAMA_KEY_INVALID
         && t_key(&w, 0)->until == ngx_time() + HOUR,
         "the second one, while another works, condemns it");
    t_ok(t_key(&w, 1)->until == 0, "it alone");
    t_right(&w, "refused");
    t_end(&w);
}


static void
t_paid(void)
{
    world_t            w;
    pool_t            *p;
    lease_t            l;
    ollama_verdict_t   v;

    t_prices(0);
    t_world(&w, "one account=a;two account=a;three", 0, BIG);
    p = t_worker(&w);

    t_lease(&l, "m", 1);
    l.tried[0] = t_key(&w, 2)->number;
    l.ntried = 1;
    t_take(p, &l);
    t_answer(p, &l, 402, NO_BODY, -1, &v);
    t_settle(p, &l, 0);
    t_ok(t_key(&w, 0)->unpaid && t_key(&w, 1)->unpaid, "out of money");

    t_time(10, 0);
    t_balance(&w, p, 1, OLLAMA_BALANCE_MONEY, 0, 0, DAY);
    t_ok(t_key(&w, 0)->unpaid, "as its balance says, too");
    t_balance(&w, p, 1, OLLAMA_BALANCE_MONEY, 0, 5 * USD, DAY);
    t_ok(t_key(&w, 0)->until == 0 && t_key(&w, 1)->until == 0
         && t_key(&w, 1)->is_ready && t_key(&w, 0)->level == 0,
         "somebody has paid: at once");
    t_right(&w, "paid");

    /* said after the balance was read */

    t_lease(&l, "m", 1);
    l.tried[0] = t_key(&w, 2)->number;
    l.ntried = 1;
    t_take(p, &l);
    t_time(1, 0);
    t_answer(p, &l, 402, NO_BODY, -1, &v);
    t_settle(p, &l, 0);
    t_clock(-1);
    t_balance(&w, p, 1, OLLAMA_BALANCE_MONEY, 0, 5 * USD, DAY);
    t_clock(1);
    t_ok(t_key(&w, 0)->unpaid, "an older balance does not contradict it");
    t_balance(&w, p, 1, OLLAMA_BALANCE_MONEY, 0, 5 * USD, DAY);
    t_right(&w, "older");

    /* the month is used up: until the period's end */

    t_balance(&w, p, 1, OLLAMA_BALANCE_MONEY, 0, 0, 5 * DAY);
    t_lease(&l, "m", 1);
    l.tried[0] = t_key(&w, 2)->number;
    l.ntried = 1;
    t_take(p, &l);
    t_answer(p, &l, 429, MONTH, -1, &v);
    t_settle(p, &l, 0);
    t_ok(t_key(&w, 0)->until == ngx_time() + 5 * DAY
         && t_key(&w, 1)->until == t_key(&w, 0)->until,
         "a month that is used up lasts until the period's end");
    t_time(1, 0);
    t_balance(&w, p, 0, OLLAMA_BALANCE_MONEY, 300 * USD, 0, 30 * DAY);
    t_ok(t_key(&w, 0)->until == 0, "or until a larger plan was bought");
    t_right(&w, "month");

    /* the account goes on with what is known of it */

    t_reload(&w, "one account=b;two account=b;three", 0, 1);
    t_ok(t_key(&w, 0)->account->balance.included == 300 * USD,
         "a reload keeps the balance");
    t_right(&w, "reload");
    t_end(&w);
}


void
t_balances(void)
{
    t_expiring();
    t_classes();
    t_suspended();
    t_refused_balance();
    t_paid();

    memset(&t_rules, 0, sizeof(t_rules));
}
