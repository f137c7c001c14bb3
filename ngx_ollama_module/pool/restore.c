
/*
 * What the daemon remembers of the time before the pool was made.
 */

#include "key.h"


static ollama_key_effect_e ngx_http_ollama_restore_effect(
    ollama_record_penalty_t *penalty);


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
    int64_t                  when;
    uint32_t                 i;
    ollama_costs_t          *guess;
    ngx_http_ollama_key_t   *key;
    ollama_record_minute_t  *minute;

    /* a pool that has seen requests, and reloads, knows better */

    if (pool->sh->restored) {
        return;
    }

    ngx_http_ollama_pool_lock(pool);

    key = ngx_http_ollama_key_by_number(pool->sh, usage->key);

    /* told once more, if the daemon has gone before it had told all */

    if (key && !key->is_restored) {
        key->is_restored = 1;

        /* nobody else uses tokens */

        key->worked = (usage->n != 0);

        for (i = 0; i < usage->n; i++) {
            minute = &usage->minutes[i];
            when = (int64_t) minute->minute * 60;

            (void) ollama_window_add_minute(&key->window, ngx_time(), when,
                                            minute->tokens);
            (void) ollama_costs_add_minute(&key->book->costs, ngx_time(), when,
                                           minute->cost);

            if (minute->unpriced == 0 || pool->usual == 0) {
                continue;
            }

            guess = ngx_http_ollama_key_guess(pool, key);

            if (guess) {
                (void) ollama_costs_add_minute(guess, ngx_time(), when,
                                               minute->unpriced * pool->usual);
            }
        }

        ngx_http_ollama_key_place(pool->sh, key);
    }

    ngx_http_ollama_pool_unlock(pool);
}


void
ngx_http_ollama_pool_restore_penalty(ngx_http_ollama_pool_t *pool,
    ollama_record_penalty_t *penalty)
{
    time_t                   now, until;
    ngx_str_t                model;
    ngx_http_ollama_key_t   *key;
    ngx_http_ollama_hold_t   hold;
    u_char                   reason[NGX_HTTP_OLLAMA_REASON_LEN];

    now = ngx_time();

    if (pool->sh->restored || penalty->state > NGX_HTTP_OLLAMA_KEY_SUSPENDED) {
        return;
    }

    ngx_memzero(reason, sizeof(reason));
    ngx_memcpy(reason, penalty->reason.data,
               ngx_min(penalty->reason.len, sizeof(reason) - 1));

    /* the clock may have been wrong when it was said */

    hold.said = (time_t) (penalty->time / 1000);

    if (hold.said == 0 || hold.said > now) {
        hold.said = now;
    }

    until = hold.said + ollama_verdict_longest(
                            ngx_http_ollama_restore_effect(penalty),
                            (char *) reason);
    until = ngx_min(until, (time_t) (penalty->until / 1000));

    if (until <= now) {
        return;
    }

    ngx_http_ollama_pool_lock(pool);

    key = ngx_http_ollama_key_by_number(pool->sh, penalty->key);

    if (key && penalty->model.len) {
        model.data = (u_char *) penalty->model.data;
        model.len = penalty->model.len;

        (void) ngx_http_ollama_note_add(pool->sh, key, &model, until,
                                        penalty->http,
                                        ngx_max(penalty->level, 1));

    } else if (key) {

        if (penalty->max_concurrent) {
            ngx_http_ollama_account_learn(pool->sh, key->account,
                                          penalty->max_concurrent);
        }

        hold.until = until;
        hold.state = penalty->state;
        hold.level = penalty->level;
        hold.http = penalty->http;
        hold.reason = reason;
        hold.soft = (penalty->state == NGX_HTTP_OLLAMA_KEY_PAUSED
                     && penalty->http == 401);
        hold.unpaid = (penalty->state == NGX_HTTP_OLLAMA_KEY_EXHAUSTED
                       && penalty->http != 429);

        (void) ngx_http_ollama_key_hold(pool->sh, key, &hold);
    }

    ngx_http_ollama_pool_unlock(pool);
}


/* what it was when it was judged */

static ollama_key_effect_e
ngx_http_ollama_restore_effect(ollama_record_penalty_t *penalty)
{
    if (penalty->model.len) {
        return OLLAMA_KEY_MODEL_BLOCKED;
    }

    switch (penalty->state) {

    case NGX_HTTP_OLLAMA_KEY_PAUSED:
        return OLLAMA_KEY_PAUSED;

    case NGX_HTTP_OLLAMA_KEY_SLOTS:
        return OLLAMA_KEY_SLOTS;

    case NGX_HTTP_OLLAMA_KEY_EXHAUSTED:
        return OLLAMA_KEY_EXHAUSTED;

    case NGX_HTTP_OLLAMA_KEY_INVALID:
    case NGX_HTTP_OLLAMA_KEY_SUSPENDED:
        return OLLAMA_KEY_INVALID;

    default: /* by an operator */
        return OLLAMA_KEY_NONE;
    }
}


void
ngx_http_ollama_pool_book(ngx_http_ollama_pool_t *pool, uint32_t number,
    ngx_http_ollama_charge_t *charge)
{
    ngx_uint_t              left_out;
    ngx_http_ollama_key_t  *key;

    left_out = 0;

    ngx_http_ollama_pool_lock(pool);

    key = ngx_http_ollama_key_by_number(pool->sh, number);

    if (key && charge->tokens) {
        left_out = ngx_http_ollama_key_book(pool, key, charge);

        ngx_http_ollama_account_place(pool->sh, key->account);
        ngx_http_ollama_key_place(pool->sh, key);
    }

    ngx_http_ollama_pool_unlock(pool);

    if (left_out) {
        ngx_http_ollama_left_out(pool);
    }
}
