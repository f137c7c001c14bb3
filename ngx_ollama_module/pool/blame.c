
/*
 * What an answer means for a key: held against it, or forgiven.
 */

#include "key.h"
#include "ramp.h"


#define NGX_HTTP_OLLAMA_BEHIND_MAX  30
#define NGX_HTTP_OLLAMA_FAILED      400     /* a status, from there on */


static ngx_uint_t ngx_http_ollama_asks(ollama_answer_t *answer);
static ngx_uint_t ngx_http_ollama_is_news(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_lease_t *lease, ngx_http_ollama_key_t *key);
static void ngx_http_ollama_success(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_lease_t *lease);
static ngx_uint_t ngx_http_ollama_proves(ngx_http_ollama_lease_t *lease,
    ngx_http_ollama_key_t *key, ngx_http_ollama_node_t *node);
static void ngx_http_ollama_blame(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_lease_t *lease, ollama_answer_t *answer,
    ollama_verdict_t *v);
static void ngx_http_ollama_blame_model(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_lease_t *lease, ngx_http_ollama_account_t *account,
    ngx_uint_t http, ollama_verdict_t *v);
static void ngx_http_ollama_key_behind(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_key_t *key);


void
ngx_http_ollama_lease_judge(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_lease_t *lease, ollama_answer_t *answer,
    ollama_verdict_t *verdict)
{
    ngx_http_ollama_key_t  *key;

    key = ngx_http_ollama_lease_peek(pool, lease);

    answer->level = 0;

    if (key) {

        /*
         * Several requests may meet the same refusal at once: only the first
         * one climbs the ladder.
         */

        answer->level = (key->level && key->until > answer->now)
                        ? key->level - 1 : key->level;

        if (ngx_http_ollama_asks(answer)) {
            ngx_http_ollama_doubt_know(pool, lease, answer);
        }
    }

    ollama_verdict(answer, verdict);

    if (key == NULL) {
        return;
    }

    if (verdict->proves) {

        if (ngx_http_ollama_is_news(pool, lease, key)) {
            ngx_http_ollama_success(pool, lease);
        }

        return;
    }

    if (pool->sh->doubted && !verdict->refused
        && answer->status >= NGX_HTTP_OLLAMA_FAILED)
    {
        ngx_http_ollama_doubt_differs(pool, lease);
    }

    if (verdict->key != OLLAMA_KEY_NONE) {
        ngx_http_ollama_blame(pool, lease, answer, verdict);
    }
}


/* is what is known of the others, or of the account, needed? */

static ngx_uint_t
ngx_http_ollama_asks(ollama_answer_t *answer)
{
    return answer->inside || answer->status == 429
           || (answer->status >= 401 && answer->status <= 403);
}


/* usually it is not, and needs no lock: there is nothing to forgive */

static ngx_uint_t
ngx_http_ollama_is_news(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_lease_t *lease, ngx_http_ollama_key_t *key)
{
    return !key->worked
           || key->half_open || key->level || key->behind || key->refused
           || key->unpaid || key->nover || key->account->ramp
           || lease->forced || pool->sh->doubted;
}


static void
ngx_http_ollama_success(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_lease_t *lease)
{
    ngx_http_ollama_key_t   *key;
    ngx_http_ollama_node_t  *node;

    ngx_http_ollama_pool_lock(pool);

    key = ngx_http_ollama_lease_key(pool, lease, &node);

    if (key == NULL) {
        goto done;
    }

    key->worked = 1;

    if (key->behind) {
        key->behind = 0;
        key->behind_until = 0;

        ngx_http_ollama_key_deadline(pool->sh, key);
        ngx_http_ollama_key_place(pool->sh, key);
    }

    if (key->unpaid) {
        ngx_http_ollama_account_forgive(pool, key->account);

    } else if (ngx_http_ollama_proves(lease, key, node)) {
        ngx_http_ollama_key_forgive(pool, key);
    }

    ngx_http_ollama_ramp_proven(pool->sh, key->account, node);

    if (lease->forced || key->nover) {
        ngx_http_ollama_account_allow(pool, key->account, lease->hash);
    }

    if (lease->forced) {
        ngx_http_ollama_model_allow(pool, lease->hash);
    }

    if (key->refused == 0) {
        ngx_http_ollama_doubt_worked(pool->sh);
    }

done:

    ngx_http_ollama_pool_unlock(pool);
}


/* a request from before the penalty proves nothing about what came after */

static ngx_uint_t
ngx_http_ollama_proves(ngx_http_ollama_lease_t *lease,
    ngx_http_ollama_key_t *key, ngx_http_ollama_node_t *node)
{
    if (key->until) {
        return key->soft && lease->forced;
    }

    if (!key->half_open) {
        return key->level || key->refused;
    }

    return (node && key->probed == node)
           || (ngx_http_ollama_doubtful(key)
               && lease->taken > key->refused_at);
}


static void
ngx_http_ollama_blame(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_lease_t *lease, ollama_answer_t *answer,
    ollama_verdict_t *v)
{
    ngx_queue_t                *q;
    ngx_http_ollama_key_t      *key, *k;
    ngx_http_ollama_hold_t      hold;
    ngx_http_ollama_node_t     *node;
    ngx_http_ollama_shared_t   *sh;
    ngx_http_ollama_account_t  *account;

    sh = pool->sh;

    ngx_http_ollama_pool_lock(pool);

    key = ngx_http_ollama_lease_key(pool, lease, &node);

    if (key == NULL) {
        goto done;
    }

    account = key->account;

    switch (v->key) {

    case OLLAMA_KEY_EXHAUSTED:
        hold.state = NGX_HTTP_OLLAMA_KEY_EXHAUSTED;
        break;

    case OLLAMA_KEY_SLOTS:
        hold.state = NGX_HTTP_OLLAMA_KEY_SLOTS;
        break;

    case OLLAMA_KEY_PAUSED:
        hold.state = NGX_HTTP_OLLAMA_KEY_PAUSED;
        break;

    case OLLAMA_KEY_INVALID:
        hold.state = NGX_HTTP_OLLAMA_KEY_INVALID;
        break;

    case OLLAMA_KEY_BEHIND:
        ngx_http_ollama_key_behind(sh, key);
        goto done;

    default: /* OLLAMA_KEY_MODEL_BLOCKED */
        ngx_http_ollama_blame_model(pool, lease, account, answer->status, v);
        goto done;
    }

    if (v->refused) {
        ngx_http_ollama_doubt_refused(pool, lease, key, answer);

        if (v->key == OLLAMA_KEY_INVALID && answer->other_worked) {
            ngx_http_ollama_doubt_condemned(sh, key);
        }
    }

    if (v->slots) {
        ngx_http_ollama_account_learn(sh, account, v->slots);
    }

    if (v->unpaid && account->unpaid_at) {

        /* what was said of one model was about all of them */

        ngx_http_ollama_account_allow(pool, account, account->unpaid);
    }

    hold.until = v->until;
    hold.said = ngx_time();
    hold.level = v->level;
    hold.http = answer->status;
    hold.reason = (u_char *) v->reason;
    hold.soft = v->soft;
    hold.unpaid = v->unpaid;

    for (q = ngx_queue_head(&account->keys);
         q != ngx_queue_sentinel(&account->keys);
         q = ngx_queue_next(q))
    {
        k = ngx_queue_data(q, ngx_http_ollama_key_t, siblings);

        if (k != key && v->scope != OLLAMA_SCOPE_ACCOUNT) {
            continue;
        }

        if (ngx_http_ollama_key_hold(sh, k, &hold)) {
            ngx_http_ollama_tell(pool, k, NULL);
        }
    }

done:

    ngx_http_ollama_pool_unlock(pool);
}


/* a plan is the account's: what one key met, all will meet */

static void
ngx_http_ollama_blame_model(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_lease_t *lease, ngx_http_ollama_account_t *account,
    ngx_uint_t http, ollama_verdict_t *v)
{
    ngx_queue_t             *q;
    ngx_http_ollama_key_t   *key;
    ngx_http_ollama_note_t  *note;

    if (v->suspect) {
        account->unpaid = lease->hash;
        account->unpaid_at = ngx_time();
    }

    for (q = ngx_queue_head(&account->keys);
         q != ngx_queue_sentinel(&account->keys);
         q = ngx_queue_next(q))
    {
        key = ngx_queue_data(q, ngx_http_ollama_key_t, siblings);

        note = ngx_http_ollama_note_add(pool->sh, key, &lease->model, v->until,
                                        http, v->blocked);
        if (note) {
            ngx_http_ollama_tell(pool, key, note);
        }
    }
}


/* its connections get lost: the others go first for a while */

static void
ngx_http_ollama_key_behind(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_key_t *key)
{
    time_t  now;

    now = ngx_time();

    if (key->behind_until > now) {

        /* lost at the same time as the one that was counted */

        return;
    }

    /* at least so many seconds: the running one has begun */

    key->behind_until = now + 1
                        + ((key->behind < 5) ? (time_t) 1 << key->behind
                                             : NGX_HTTP_OLLAMA_BEHIND_MAX);

    if (key->behind < 5) {
        key->behind++;
    }

    ngx_http_ollama_key_deadline(sh, key);
    ngx_http_ollama_key_place(sh, key);
}


void
ngx_http_ollama_lease_ratelimit(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_lease_t *lease, ngx_http_ollama_ratelimit_t *rl)
{
    ngx_http_ollama_key_t  *key;

    if (lease->node == NULL) {
        return;
    }

    ngx_shmtx_lock(&pool->shpool->mutex);

    key = ngx_http_ollama_key_by_number(pool->sh, lease->key);

    if (key) {
        key->book->ratelimit = *rl;
    }

    ngx_shmtx_unlock(&pool->shpool->mutex);
}


ngx_int_t
ngx_http_ollama_pool_reset(ngx_http_ollama_pool_t *pool, uint32_t number)
{
    ngx_queue_t               *q;
    ngx_http_ollama_key_t     *key;
    ngx_http_ollama_note_t    *note;
    ngx_http_ollama_shared_t  *sh;

    sh = pool->sh;

    ngx_http_ollama_pool_lock(pool);

    key = ngx_http_ollama_key_by_number(sh, number);

    if (key == NULL || !ngx_http_ollama_listed(sh, key)) {
        ngx_http_ollama_pool_unlock(pool);
        return NGX_DECLINED;
    }

    while (!ngx_queue_empty(&key->notes)) {
        q = ngx_queue_head(&key->notes);
        note = ngx_queue_data(q, ngx_http_ollama_note_t, queue);

        ngx_http_ollama_note_remove(sh, note);

        note->node.key = 0;
        ngx_http_ollama_tell(pool, key, note);
    }

    key->behind = 0;
    key->behind_until = 0;

    ngx_http_ollama_account_learn(sh, key->account, 0);

    key->account->unpaid_at = 0;

    if (key->unpaid) {
        ngx_http_ollama_account_forgive(pool, key->account);
    }

    ngx_http_ollama_ramp_end(pool->sh, key->account);
    ngx_http_ollama_key_forgive(pool, key);

    ngx_http_ollama_pool_unlock(pool);

    return NGX_OK;
}


ngx_int_t
ngx_http_ollama_pool_penalize(ngx_http_ollama_pool_t *pool, uint32_t number,
    time_t seconds)
{
    ngx_http_ollama_key_t   *key;
    ngx_http_ollama_hold_t   hold;

    ngx_http_ollama_pool_lock(pool);

    key = ngx_http_ollama_key_by_number(pool->sh, number);

    if (key == NULL || !ngx_http_ollama_listed(pool->sh, key)) {
        ngx_http_ollama_pool_unlock(pool);
        return NGX_DECLINED;
    }

    ngx_memzero(&hold, sizeof(ngx_http_ollama_hold_t));

    hold.said = ngx_time();
    hold.until = hold.said + seconds;
    hold.state = NGX_HTTP_OLLAMA_KEY_PENALIZED;
    hold.reason = (u_char *) "paused by an operator";

    if (ngx_http_ollama_key_hold(pool->sh, key, &hold)) {
        ngx_http_ollama_tell(pool, key, NULL);
    }

    ngx_http_ollama_pool_unlock(pool);

    return NGX_OK;
}
