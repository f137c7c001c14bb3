
/*
 * An account that comes back: after the request that tries it out 2, 4, 8 ..
 * at once, up to its slots.  Each step needs as many good answers as it allows
 * requests, so a quota that is used up again costs few of them; streams that
 * have begun well and go on count in each step whose place they take.
 *
 * Only what was taken since it came back counts: streams from before may run
 * for hours.  Those of an earlier ramp are told by its number, which no other
 * account has: a key takes its streams along when it changes the account.
 */

#include "ramp.h"


#define NGX_HTTP_OLLAMA_RAMP_MAX  64    /* then it is over, slots or not */


static ngx_uint_t ngx_http_ollama_ramp_due(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_key_t *key);
static ngx_uint_t ngx_http_ollama_ramp_open(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_account_t *account, ngx_uint_t half_open);
static void ngx_http_ollama_ramp_set(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_account_t *account, ngx_uint_t step);


/* what was held against the key is over, and it has to be tried out */

void
ngx_http_ollama_ramp_begin(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_key_t *key)
{
    ngx_http_ollama_account_t  *account;

    account = key->account;

    if (account->ramp == 0 && ngx_http_ollama_ramp_due(sh, key)) {
        ngx_http_ollama_ramp_set(sh, account, 1);
        ngx_http_ollama_account_place(sh, account);
    }
}


/* not if another key of the account serves meanwhile */

static ngx_uint_t
ngx_http_ollama_ramp_due(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_key_t *key)
{
    if (key->state != NGX_HTTP_OLLAMA_KEY_EXHAUSTED
        && (key->state != NGX_HTTP_OLLAMA_KEY_PAUSED
            || ngx_http_ollama_doubtful(key)))
    {
        return 0;
    }

    return !ngx_http_ollama_ramp_open(sh, key->account, 0);
}


/* has the account a key that may serve, or (half_open) be tried out? */

static ngx_uint_t
ngx_http_ollama_ramp_open(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_account_t *account, ngx_uint_t half_open)
{
    ngx_queue_t            *q;
    ngx_http_ollama_key_t  *key;

    for (q = ngx_queue_head(&account->keys);
         q != ngx_queue_sentinel(&account->keys);
         q = ngx_queue_next(q))
    {
        key = ngx_queue_data(q, ngx_http_ollama_key_t, siblings);

        if (key->until == 0 && (half_open || !key->half_open) && key->enabled
            && ngx_http_ollama_listed(sh, key))
        {
            return 1;
        }
    }

    return 0;
}


/* those in flight are of an earlier ramp, or of none */

static void
ngx_http_ollama_ramp_set(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_account_t *account, ngx_uint_t step)
{
    account->ramp = (uint16_t) step;
    account->ramped = 0;
    account->proven = 0;
    account->good = 0;

    if (++sh->ramps == 0) {
        sh->ramps = 1;
    }

    account->ramp_id = sh->ramps;
}


void
ngx_http_ollama_ramp_end(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_account_t *account)
{
    if (account->ramp) {
        account->ramp = 0;
        ngx_http_ollama_account_place(sh, account);
    }
}


/* one key is held: what holds for the account goes on while another is left */

void
ngx_http_ollama_ramp_held(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_account_t *account)
{
    if (account->ramp && !ngx_http_ollama_ramp_open(sh, account, 1)) {
        ngx_http_ollama_ramp_end(sh, account);
    }
}


/* a reload has made the account anew */

void
ngx_http_ollama_ramp_inherit(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_account_t *account, ngx_http_ollama_account_t *old)
{
    if (old->ramp && account->ramp == 0) {
        ngx_http_ollama_ramp_set(sh, account, old->ramp);
    }
}


/* a good answer; each lease counts once */

void
ngx_http_ollama_ramp_proven(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_account_t *account, ngx_http_ollama_node_t *node)
{
    uint32_t  slots;

    if (account->ramp == 0 || node == NULL || node->proven
        || node->ramp_id != account->ramp_id)
    {
        return;
    }

    node->proven = 1;
    account->proven++;
    account->good++;

    if (account->proven < account->ramp && account->good < account->ramp) {
        return;
    }

    slots = ngx_http_ollama_account_slots(account);

    account->proven = 0;
    account->ramp *= 2;

    if (account->ramp > NGX_HTTP_OLLAMA_RAMP_MAX
        || (slots && account->ramp >= slots))
    {
        account->ramp = 0;
    }

    ngx_http_ollama_account_place(sh, account);
}


void
ngx_http_ollama_ramp_take(ngx_http_ollama_account_t *account,
    ngx_http_ollama_node_t *node)
{
    node->proven = 0;
    node->ramp_id = 0;

    if (account->ramp) {
        node->ramp_id = account->ramp_id;
        account->ramped++;
    }
}


void
ngx_http_ollama_ramp_give_back(ngx_http_ollama_account_t *account,
    ngx_http_ollama_node_t *node)
{
    if (node->ramp_id && node->ramp_id == account->ramp_id) {
        account->ramped--;
        account->good -= node->proven;
    }

    node->ramp_id = 0;
}
