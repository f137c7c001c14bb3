
/*
 * What others see of the pool: copies.
 */

#include "key.h"


static void ngx_http_ollama_snapshot(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_key_t *key, time_t now, ngx_http_ollama_snapshot_t *out);
static const char *ngx_http_ollama_ramp_words(
    ngx_http_ollama_account_t *account);
static const char *ngx_http_ollama_status(ngx_http_ollama_key_t *key);
static ngx_int_t ngx_http_ollama_find_number(ngx_str_t *text,
    uint32_t *number);
static ngx_int_t ngx_http_ollama_find_name(ngx_http_ollama_pool_t *pool,
    ngx_str_t *text, uint32_t *number);


/* a glance: not worth the lock */

void
ngx_http_ollama_pool_totals(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_totals_t *totals)
{
    totals->keys = pool->sh->nkeys;
    totals->waiting = pool->sh->nwaiting;
    totals->in_flight = pool->sh->in_flight;
    totals->processes = pool->sh->nprocesses;
}


/* a list that is replaced meanwhile is gone on with at the same place */

ngx_uint_t
ngx_http_ollama_pool_list(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_cursor_t *cursor, ngx_http_ollama_snapshot_t *out,
    ngx_uint_t max)
{
    time_t                     now;
    ngx_uint_t                 n;
    ngx_http_ollama_shared_t  *sh;

    sh = pool->sh;
    now = ngx_time();

    max = ngx_min(max, NGX_HTTP_OLLAMA_LOOK);

    ngx_http_ollama_pool_lock(pool);

    cursor->generation = sh->generation;

    for (n = 0; n < max && cursor->next < sh->nkeys; n++) {
        ngx_http_ollama_snapshot(sh, sh->keys[cursor->next++], now, &out[n]);
    }

    ngx_http_ollama_pool_unlock(pool);

    return n;
}


ngx_uint_t
ngx_http_ollama_pool_changes(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_snapshot_t *out, ngx_uint_t max)
{
    time_t                     now;
    ngx_uint_t                 i, n;
    ngx_queue_t               *q;
    ngx_http_ollama_key_t     *key;
    ngx_http_ollama_shared_t  *sh;

    sh = pool->sh;
    now = ngx_time();
    n = 0;

    max = ngx_min(max, NGX_HTTP_OLLAMA_LOOK);

    do {
        ngx_http_ollama_pool_lock(pool);

        for (i = 0; i < NGX_HTTP_OLLAMA_LOOK && n < max; i++) {

            if (ngx_queue_empty(&sh->changes)) {
                break;
            }

            q = ngx_queue_head(&sh->changes);
            key = ngx_queue_data(q, ngx_http_ollama_key_t, changes);

            ngx_queue_remove(q);
            key->is_changed = 0;

            if (ngx_http_ollama_listed(sh, key)) {
                ngx_http_ollama_snapshot(sh, key, now, &out[n++]);
            }
        }

        ngx_http_ollama_pool_unlock(pool);

        /* all of these had left the list, and others may follow */

    } while (n == 0 && max && i == NGX_HTTP_OLLAMA_LOOK);

    return n;
}


ngx_int_t
ngx_http_ollama_pool_key(ngx_http_ollama_pool_t *pool, uint32_t number,
    ngx_http_ollama_snapshot_t *out)
{
    ngx_http_ollama_key_t  *key;

    ngx_http_ollama_pool_lock(pool);

    key = ngx_http_ollama_key_by_number(pool->sh, number);

    if (key && !ngx_http_ollama_listed(pool->sh, key)) {
        key = NULL;
    }

    if (key) {
        ngx_http_ollama_snapshot(pool->sh, key, ngx_time(), out);
    }

    ngx_http_ollama_pool_unlock(pool);

    return key ? NGX_OK : NGX_DECLINED;
}


static void
ngx_http_ollama_snapshot(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_key_t *key, time_t now, ngx_http_ollama_snapshot_t *out)
{
    out->number = key->number;
    out->index = key->index;

    (void) ngx_sprintf(out->fingerprint, "%08xD", key->number);

    out->name_len = key->name_len;
    ngx_memcpy(out->name, key->name, key->name_len);

    out->state = key->state;
    out->state_name = ngx_http_ollama_state_name(key);
    out->status = ngx_http_ollama_status(key);
    ngx_memcpy(out->reason, key->reason, sizeof(out->reason));
    out->until = key->until;
    out->http = key->http;
    out->level = key->level;

    out->usage = ollama_window_sum(&key->window, now);
    out->cost = ollama_costs_sum(&key->book->costs, now);
    out->reserved = key->reserved.tokens;
    out->reserved_cost = key->reserved.cost;
    out->load = ngx_http_ollama_key_used(sh, key);
    out->requests = key->requests;
    out->in_flight = key->in_flight;
    out->slots = ngx_http_ollama_account_slots(key->account);
    out->weight = key->weight;

    out->tier = key->tier;
    out->floor_percent = key->account->floor_percent;
    out->floor_cost = key->account->floor_cost;

    ngx_http_ollama_account_left(key->account, key->account->spent,
                                 &out->balance);
    out->trusted = ngx_http_ollama_account_trusted(sh, key->account, now);

    out->ratelimit = key->book->ratelimit;
    out->nblocks = key->nnotes - key->nover;

    out->enabled = key->enabled;
    out->eligible = key->is_ready;
}


static const char *
ngx_http_ollama_ramp_words(ngx_http_ollama_account_t *account)
{
    ngx_uint_t  n, i;

    static const char *const  words[] = {
        "back from a pause, one request tries it out",
        "back from a pause, 2 requests at once",
        "back from a pause, 4 requests at once",
        "back from a pause, 8 requests at once",
        "back from a pause, 16 requests at once",
        "back from a pause, 32 requests at once",
        "back from a pause, 64 requests at once"
    };

    for (i = 0, n = account->ramp; n > 1; n /= 2) {
        i++;
    }

    return words[ngx_min(i, sizeof(words) / sizeof(words[0]) - 1)];
}


static const char *
ngx_http_ollama_status(ngx_http_ollama_key_t *key)
{
    if (!key->enabled) {
        return "switched off in the configuration";
    }

    if (key->until == 0) {

        if (key->half_open) {
            return (key->state == NGX_HTTP_OLLAMA_KEY_INVALID)
                   ? "the cloud does not accept it, one request tries it again"
                   : "back from a pause, one request tries it out";
        }

        if (key->account->ramp) {
            return ngx_http_ollama_ramp_words(key->account);
        }

        return key->account->full ? "busy, all slots are taken" : "healthy";
    }

    switch (key->state) {

    case NGX_HTTP_OLLAMA_KEY_PAUSED:
        return (key->http == 401)
               ? "paused, the cloud has refused it, perhaps by mistake"
               : "paused, the cloud asked to slow down";

    case NGX_HTTP_OLLAMA_KEY_SLOTS:
        return "paused, too many requests at once";

    case NGX_HTTP_OLLAMA_KEY_EXHAUSTED:
        return key->unpaid ? "its account is out of credits"
                           : "its quota is used up";

    case NGX_HTTP_OLLAMA_KEY_INVALID:
        return "the cloud does not accept it";

    case NGX_HTTP_OLLAMA_KEY_SUSPENDED:
        return "its account is suspended";

    default: /* NGX_HTTP_OLLAMA_KEY_PENALIZED */
        return "paused by an operator";
    }
}


ngx_uint_t
ngx_http_ollama_pool_blocks(ngx_http_ollama_pool_t *pool, uint32_t number,
    ngx_uint_t from, ngx_http_ollama_penalty_t *out, ngx_uint_t max)
{
    ngx_uint_t               n;
    ngx_queue_t             *q;
    ngx_http_ollama_key_t   *key;
    ngx_http_ollama_note_t  *note;

    n = 0;

    ngx_http_ollama_pool_lock(pool);

    key = ngx_http_ollama_key_by_number(pool->sh, number);

    if (key == NULL) {
        goto done;
    }

    for (q = ngx_queue_head(&key->notes);
         q != ngx_queue_sentinel(&key->notes) && n < max;
         q = ngx_queue_next(q))
    {
        note = ngx_queue_data(q, ngx_http_ollama_note_t, queue);

        if (!ngx_http_ollama_note_stands(pool->sh, note)) {
            continue;
        }

        if (from) {
            from--;
            continue;
        }

        ngx_http_ollama_penalty_copy(pool->sh, key, note, &out[n++]);
    }

done:

    ngx_http_ollama_pool_unlock(pool);

    return n;
}


ngx_int_t
ngx_http_ollama_pool_find(ngx_http_ollama_pool_t *pool, ngx_str_t *text,
    uint32_t *number)
{
    uint32_t                found;
    ngx_int_t               n;
    ngx_http_ollama_key_t  *key;

    if (ngx_http_ollama_find_number(text, &found) == NGX_OK) {

        ngx_http_ollama_pool_lock(pool);

        key = ngx_http_ollama_key_by_number(pool->sh, found);

        if (key && ngx_http_ollama_listed(pool->sh, key)) {
            *number = found;
            ngx_http_ollama_pool_unlock(pool);

            return NGX_OK;
        }

        ngx_http_ollama_pool_unlock(pool);
    }

    if (ngx_http_ollama_find_name(pool, text, number) == NGX_OK) {
        return NGX_OK;
    }

    n = ngx_atoi(text->data, text->len);

    if (n == NGX_ERROR) {
        return NGX_DECLINED;
    }

    ngx_http_ollama_pool_lock(pool);

    if ((ngx_uint_t) n >= pool->sh->nkeys) {
        ngx_http_ollama_pool_unlock(pool);
        return NGX_DECLINED;
    }

    *number = pool->sh->keys[n]->number;

    ngx_http_ollama_pool_unlock(pool);

    return NGX_OK;
}


static ngx_int_t
ngx_http_ollama_find_number(ngx_str_t *text, uint32_t *number)
{
    u_char      c;
    ngx_uint_t  i;

    if (text->len != 8) {
        return NGX_DECLINED;
    }

    *number = 0;

    for (i = 0; i < 8; i++) {
        c = ngx_tolower(text->data[i]);

        if (c >= '0' && c <= '9') {
            *number = *number << 4 | (uint32_t) (c - '0');

        } else if (c >= 'a' && c <= 'f') {
            *number = *number << 4 | (uint32_t) (c - 'a' + 10);

        } else {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_ollama_find_name(ngx_http_ollama_pool_t *pool, ngx_str_t *text,
    uint32_t *number)
{
    ngx_uint_t                 i, next, nkeys;
    ngx_http_ollama_key_t     *key;
    ngx_http_ollama_shared_t  *sh;

    sh = pool->sh;
    next = 0;

    do {
        ngx_http_ollama_pool_lock(pool);

        nkeys = sh->nkeys;

        for (i = 0; i < NGX_HTTP_OLLAMA_LOOK && next < nkeys; i++) {

            key = sh->keys[next++];

            if (key->name_len == text->len
                && ngx_memcmp(key->name, text->data, text->len) == 0)
            {
                *number = key->number;
                ngx_http_ollama_pool_unlock(pool);

                return NGX_OK;
            }
        }

        ngx_http_ollama_pool_unlock(pool);

    } while (next < nkeys);

    return NGX_DECLINED;
}
