
/*
 * What an answer means for a key: held against it, or forgiven.
 */

#include "key.h"


#define NGX_HTTP_OLLAMA_BEHIND_MAX  30


static void ngx_http_ollama_success(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_lease_t *lease);
static void ngx_http_ollama_blame(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_lease_t *lease, ollama_answer_t *answer,
    ollama_verdict_t *v);
static void ngx_http_ollama_key_behind(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_key_t *key);
static void ngx_http_ollama_key_forgive(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_key_t *key);
static ngx_uint_t ngx_http_ollama_key_hold_against(
    ngx_http_ollama_shared_t *sh, ngx_http_ollama_key_t *key, time_t until,
    ngx_uint_t state, ngx_uint_t level, u_char *reason, ngx_uint_t http);


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
    }

    ollama_verdict(answer, verdict);

    if (key == NULL) {
        return;
    }

    if (verdict->proves) {

        /* the usual case needs no lock: there is nothing to forgive */

        if (key->half_open || key->level || key->behind) {
            ngx_http_ollama_success(pool, lease);
        }
    }

    if (verdict->key != OLLAMA_KEY_NONE) {
        ngx_http_ollama_blame(pool, lease, answer, verdict);
    }
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

    if (key->behind) {
        key->behind = 0;
        key->behind_until = 0;

        ngx_http_ollama_key_deadline(pool->sh, key);
        ngx_http_ollama_key_place(pool->sh, key);
    }

    /* a request from before the penalty proves nothing about what came after */

    if ((key->half_open || key->level)
        && key->until == 0
        && ((node && node->probe) || !key->half_open))
    {
        if (node) {
            node->probe = 0;
        }

        key->probed = 0;

        ngx_http_ollama_key_forgive(pool, key);
    }

done:

    ngx_http_ollama_pool_unlock(pool);
}


static void
ngx_http_ollama_key_forgive(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_key_t *key)
{
    key->half_open = 0;
    key->level = 0;
    key->http = 0;
    key->until = 0;
    key->reason[0] = '\0';
    key->state = NGX_HTTP_OLLAMA_KEY_HEALTHY;

    ngx_http_ollama_key_deadline(pool->sh, key);
    ngx_http_ollama_key_place(pool->sh, key);

    ngx_http_ollama_tell(pool, key, NULL);
}


static void
ngx_http_ollama_blame(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_lease_t *lease, ollama_answer_t *answer,
    ollama_verdict_t *v)
{
    ngx_uint_t                  state;
    ngx_queue_t                *q;
    ngx_http_ollama_key_t      *key, *k;
    ngx_http_ollama_node_t     *node;
    ngx_http_ollama_note_t     *note;
    ngx_http_ollama_shared_t   *sh;
    ngx_http_ollama_account_t  *account;

    sh = pool->sh;

    ngx_http_ollama_pool_lock(pool);

    key = ngx_http_ollama_lease_key(pool, lease, &node);

    if (key == NULL) {
        goto done;
    }

    state = NGX_HTTP_OLLAMA_KEY_HEALTHY;

    switch (v->key) {

    case OLLAMA_KEY_EXHAUSTED:
        state = NGX_HTTP_OLLAMA_KEY_EXHAUSTED;
        break;

    case OLLAMA_KEY_SLOTS:
        state = NGX_HTTP_OLLAMA_KEY_SLOTS;
        break;

    case OLLAMA_KEY_PAUSED:
        state = NGX_HTTP_OLLAMA_KEY_PAUSED;
        break;

    case OLLAMA_KEY_INVALID:
        state = NGX_HTTP_OLLAMA_KEY_INVALID;
        break;

    case OLLAMA_KEY_BEHIND:
        ngx_http_ollama_key_behind(sh, key);
        goto done;

    default: /* OLLAMA_KEY_MODEL_BLOCKED */
        break;
    }

    if (v->slots) {
        ngx_http_ollama_account_learn(sh, key->account, v->slots);
    }

    account = key->account;

    for (q = ngx_queue_head(&account->keys);
         q != ngx_queue_sentinel(&account->keys);
         q = ngx_queue_next(q))
    {
        k = ngx_queue_data(q, ngx_http_ollama_key_t, siblings);

        if (state == NGX_HTTP_OLLAMA_KEY_HEALTHY) {

            /* a plan is the account's: what one key met, all will meet */

            note = ngx_http_ollama_note_add(sh, k, &lease->model, v->until,
                                            answer->status);
            if (note) {
                ngx_http_ollama_tell(pool, k, note);
            }

            continue;
        }

        if (k != key && v->scope != OLLAMA_SCOPE_ACCOUNT) {
            continue;
        }

        if (ngx_http_ollama_key_hold_against(sh, k, v->until, state, v->level,
                                             (u_char *) v->reason,
                                             answer->status))
        {
            ngx_http_ollama_tell(pool, k, NULL);
        }
    }

done:

    ngx_http_ollama_pool_unlock(pool);
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


/* nothing if it is less than what is held against it already */

static ngx_uint_t
ngx_http_ollama_key_hold_against(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_key_t *key, time_t until, ngx_uint_t state,
    ngx_uint_t level, u_char *reason, ngx_uint_t http)
{
    key->level = (uint8_t) ngx_min(ngx_max(key->level, level), 255);

    /* a later, smaller penalty shortens nothing, and explains nothing */

    if (until <= key->until) {
        return 0;
    }

    key->until = until;
    key->state = (uint8_t) state;
    key->http = (uint16_t) http;
    key->half_open = 0;

    ngx_cpystrn(key->reason, reason, NGX_HTTP_OLLAMA_REASON_LEN);

    ngx_http_ollama_key_deadline(sh, key);
    ngx_http_ollama_key_place(sh, key);

    return 1;
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
        key->ratelimit = *rl;
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
    key->probed = 0;

    ngx_http_ollama_account_learn(sh, key->account, 0);

    ngx_http_ollama_key_forgive(pool, key);

    ngx_http_ollama_pool_unlock(pool);

    return NGX_OK;
}


ngx_int_t
ngx_http_ollama_pool_penalize(ngx_http_ollama_pool_t *pool, uint32_t number,
    time_t seconds)
{
    ngx_http_ollama_key_t  *key;

    ngx_http_ollama_pool_lock(pool);

    key = ngx_http_ollama_key_by_number(pool->sh, number);

    if (key == NULL || !ngx_http_ollama_listed(pool->sh, key)) {
        ngx_http_ollama_pool_unlock(pool);
        return NGX_DECLINED;
    }

    if (ngx_http_ollama_key_hold_against(pool->sh, key, ngx_time() + seconds,
                                         NGX_HTTP_OLLAMA_KEY_PENALIZED,
                                         key->level,
                                         (u_char *) "paused by an operator", 0))
    {
        ngx_http_ollama_tell(pool, key, NULL);
    }

    ngx_http_ollama_pool_unlock(pool);

    return NGX_OK;
}


ngx_uint_t
ngx_http_ollama_pool_restored(ngx_http_ollama_pool_t *pool)
{
    return pool->sh->restored;
}


void
ngx_http_ollama_pool_restore_done(ngx_http_ollama_pool_t *pool)
{
    pool->sh->restored = 1;
}


void
ngx_http_ollama_pool_restore_usage(ngx_http_ollama_pool_t *pool,
    ollama_record_usage_t *usage)
{
    uint32_t                i;
    ngx_http_ollama_key_t  *key;

    /* a pool that has seen requests, and reloads, knows better */

    if (pool->sh->restored) {
        return;
    }

    ngx_http_ollama_pool_lock(pool);

    key = ngx_http_ollama_key_by_number(pool->sh, usage->key);

    /* told once more, if the daemon has gone before it had told all */

    if (key && !key->is_restored) {
        key->is_restored = 1;

        for (i = 0; i < usage->n; i++) {
            (void) ollama_window_add_minute(&key->window, ngx_time(),
                                        (int64_t) usage->minutes[i].minute * 60,
                                        usage->minutes[i].tokens);
        }

        ngx_http_ollama_key_place(pool->sh, key);
    }

    ngx_http_ollama_pool_unlock(pool);
}


void
ngx_http_ollama_pool_restore_penalty(ngx_http_ollama_pool_t *pool,
    ollama_record_penalty_t *penalty)
{
    time_t                  until;
    ngx_str_t               model;
    ngx_http_ollama_key_t  *key;
    u_char                  reason[NGX_HTTP_OLLAMA_REASON_LEN];

    until = (time_t) (penalty->until / 1000);

    if (pool->sh->restored
        || until <= ngx_time()
        || penalty->state > NGX_HTTP_OLLAMA_KEY_PENALIZED)
    {
        return;
    }

    ngx_http_ollama_pool_lock(pool);

    key = ngx_http_ollama_key_by_number(pool->sh, penalty->key);

    if (key && penalty->model.len) {
        model.data = (u_char *) penalty->model.data;
        model.len = penalty->model.len;

        (void) ngx_http_ollama_note_add(pool->sh, key, &model, until,
                                        penalty->http);

    } else if (key) {
        ngx_memzero(reason, sizeof(reason));
        ngx_memcpy(reason, penalty->reason.data,
                   ngx_min(penalty->reason.len, sizeof(reason) - 1));

        if (penalty->max_concurrent) {
            ngx_http_ollama_account_learn(pool->sh, key->account,
                                          penalty->max_concurrent);
        }

        (void) ngx_http_ollama_key_hold_against(pool->sh, key, until,
                                                penalty->state, penalty->level,
                                                reason, penalty->http);
    }

    ngx_http_ollama_pool_unlock(pool);
}


void
ngx_http_ollama_pool_book(ngx_http_ollama_pool_t *pool, uint32_t number,
    uint64_t tokens)
{
    ngx_http_ollama_key_t  *key;

    ngx_http_ollama_pool_lock(pool);

    key = ngx_http_ollama_key_by_number(pool->sh, number);

    if (key && tokens) {
        ollama_window_add(&key->window, ngx_time(), tokens);
        ngx_http_ollama_key_place(pool->sh, key);
    }

    ngx_http_ollama_pool_unlock(pool);
}
