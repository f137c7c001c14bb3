
/*
 * News of an account's money: what it has left, and what that says of what is
 * held against its keys.
 */

#include "key.h"


#define NGX_HTTP_OLLAMA_SUSPENDED_TIME  3600


static void ngx_http_ollama_balance_refused(ngx_http_ollama_pool_t *pool,
    uint32_t key, time_t when);
static void ngx_http_ollama_balance_suspended(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_account_t *account);
static void ngx_http_ollama_balance_left(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_account_t *account, ollama_record_balance_t *balance);
static ngx_uint_t ngx_http_ollama_balance_ends(ngx_http_ollama_key_t *key,
    ngx_http_ollama_account_t *account);


void
ngx_http_ollama_pool_balance(ngx_http_ollama_pool_t *pool,
    ollama_record_balance_t *balance)
{
    time_t                      when;
    ngx_http_ollama_key_t      *key;
    ngx_http_ollama_account_t  *account;

    when = (time_t) ngx_min(balance->time / 1000, (uint64_t) ngx_time());

    if (balance->kind == OLLAMA_BALANCE_INVALID) {
        ngx_http_ollama_balance_refused(pool, balance->key, when);
        return;
    }

    if (balance->kind != OLLAMA_BALANCE_MONEY
        && balance->kind != OLLAMA_BALANCE_WINDOWS
        && balance->kind != OLLAMA_BALANCE_SUSPENDED)
    {
        return;
    }

    ngx_http_ollama_pool_lock(pool);

    key = ngx_http_ollama_key_by_number(pool->sh, balance->key);

    /* told again after a reconnect, it may be older than what is known */

    if (key == NULL || when < key->account->told) {
        goto done;
    }

    account = key->account;
    account->told = when;

    if (balance->kind == OLLAMA_BALANCE_SUSPENDED) {
        ngx_http_ollama_balance_suspended(pool, account);

    } else {
        ngx_http_ollama_balance_left(pool, account, balance);
    }

done:

    ngx_http_ollama_pool_unlock(pool);
}


/* a 401 as any other: the second one condemns, if others are not refused */

static void
ngx_http_ollama_balance_refused(ngx_http_ollama_pool_t *pool, uint32_t key,
    time_t when)
{
    ollama_answer_t          answer;
    ollama_verdict_t         verdict;
    ngx_http_ollama_lease_t  lease;

    ngx_memzero(&lease, sizeof(ngx_http_ollama_lease_t));
    ngx_memzero(&answer, sizeof(ollama_answer_t));

    lease.key = key;
    lease.taken = when;
    lease.node = &ngx_http_ollama_no_node;

    answer.status = 401;
    answer.body = (u_char *) "";
    answer.retry_after = -1;
    answer.max_concurrent = -1;
    answer.now = ngx_time();
    answer.judges = 1;

    ngx_http_ollama_lease_judge(pool, &lease, &answer, &verdict);
}


/* until somebody says otherwise; but nobody may be left who says anything */

static void
ngx_http_ollama_balance_suspended(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_account_t *account)
{
    ngx_queue_t             *q;
    ngx_http_ollama_key_t   *key;
    ngx_http_ollama_hold_t   hold;

    ngx_memzero(&account->balance, sizeof(ngx_http_ollama_balance_t));
    ngx_memzero(&hold, sizeof(ngx_http_ollama_hold_t));

    hold.said = ngx_time();
    hold.until = hold.said + NGX_HTTP_OLLAMA_SUSPENDED_TIME;
    hold.state = NGX_HTTP_OLLAMA_KEY_SUSPENDED;
    hold.http = 403;
    hold.reason = (u_char *) "account suspended (403)";

    for (q = ngx_queue_head(&account->keys);
         q != ngx_queue_sentinel(&account->keys);
         q = ngx_queue_next(q))
    {
        key = ngx_queue_data(q, ngx_http_ollama_key_t, siblings);

        if (key->state != NGX_HTTP_OLLAMA_KEY_PENALIZED) {

            /* whatever else was held: the cloud knows account and key */

            key->until = 0;
            key->refused = 0;
        }

        if (ngx_http_ollama_key_hold(pool->sh, key, &hold)) {
            ngx_http_ollama_tell(pool, key, NULL);
        }
    }

    ngx_http_ollama_account_place(pool->sh, account);
}


static void
ngx_http_ollama_balance_left(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_account_t *account, ollama_record_balance_t *balance)
{
    ngx_queue_t                *q;
    ngx_http_ollama_key_t      *key;
    ngx_http_ollama_balance_t  *b;

    b = &account->balance;

    b->seen = account->told;
    b->kind = balance->kind;
    b->included = balance->included;
    b->allowance = balance->allowance;
    b->purchased = balance->purchased;
    b->renews = (b->kind == OLLAMA_BALANCE_MONEY)
                ? (time_t) (balance->until / 1000) : 0;
    b->session = balance->session;
    b->week = balance->week;
    b->session_resets = (time_t) (balance->session_resets / 1000);
    b->week_resets = (time_t) (balance->week_resets / 1000);

    account->spent = 0;

    if (b->included || b->purchased) {

        /* nor is what one model was refused with what it looked like */

        if (account->unpaid_at && account->unpaid_at <= b->seen) {
            account->unpaid_at = 0;
            ngx_http_ollama_account_allow(pool, account, account->unpaid);
        }
    }

    ngx_http_ollama_account_place(pool->sh, account);

    for (q = ngx_queue_head(&account->keys);
         q != ngx_queue_sentinel(&account->keys);
         q = ngx_queue_next(q))
    {
        key = ngx_queue_data(q, ngx_http_ollama_key_t, siblings);

        if (ngx_http_ollama_balance_ends(key, account)) {
            ngx_http_ollama_key_forgive(pool, key);

        } else {
            ngx_http_ollama_key_place(pool->sh, key);
        }
    }
}


/* what was said before, and is not so any more */

static ngx_uint_t
ngx_http_ollama_balance_ends(ngx_http_ollama_key_t *key,
    ngx_http_ollama_account_t *account)
{
    const ollama_quota_t       *quota;
    ngx_http_ollama_balance_t  *balance;

    balance = &account->balance;

    if (key->said > balance->seen) {
        return 0;
    }

    if (key->state == NGX_HTTP_OLLAMA_KEY_SUSPENDED) {
        return 1;
    }

    if (key->state != NGX_HTTP_OLLAMA_KEY_EXHAUSTED
        || balance->included + balance->purchased == 0)
    {
        return 0;
    }

    quota = ollama_words_quota((char *) key->reason);

    return key->unpaid || (quota && quota->billed);
}
