
/*
 * What has happened to a key, for those who want to know: the sender
 * (..._key_changed()), those who wait (..._key_refresh()), and whoever is told
 * what is held against it (..._tell()): under the lock that is only noted.
 */

#include "key.h"


#define NGX_HTTP_OLLAMA_TOLD  (NGX_HTTP_OLLAMA_KEY_NOTES + 1)


/* of one pool at a time */

static ngx_uint_t                 ngx_http_ollama_ntold;
static ngx_http_ollama_penalty_t  ngx_http_ollama_penalties[
                                                       NGX_HTTP_OLLAMA_TOLD];


void
ngx_http_ollama_key_changed(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_key_t *key)
{
    if (!key->is_changed) {
        key->is_changed = 1;
        ngx_queue_insert_tail(&sh->changes, &key->changes);
    }
}


/* it can serve somebody whom it could not: to be offered to those who wait */

void
ngx_http_ollama_key_refresh(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_key_t *key)
{
    if (sh->nwaiting && !key->is_fresh) {
        key->is_fresh = 1;
        ngx_queue_insert_tail(&sh->fresh, &key->fresh);
    }
}


void
ngx_http_ollama_tell(ngx_http_ollama_pool_t *pool, ngx_http_ollama_key_t *key,
    ngx_http_ollama_note_t *note)
{
    if (pool->changed == NULL) {
        return;
    }

    if (ngx_http_ollama_ntold == NGX_HTTP_OLLAMA_TOLD) {

        /* a large account: under the lock, then */

        ngx_http_ollama_told(pool);
    }

    ngx_http_ollama_penalty_copy(pool->sh, key, note,
                           &ngx_http_ollama_penalties[ngx_http_ollama_ntold++]);
}


void
ngx_http_ollama_told(ngx_http_ollama_pool_t *pool)
{
    ngx_uint_t  i, n;

    n = ngx_http_ollama_ntold;
    ngx_http_ollama_ntold = 0;

    for (i = 0; i < n; i++) {
        pool->changed(pool->data, &ngx_http_ollama_penalties[i]);
    }
}


void
ngx_http_ollama_penalty_copy(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_key_t *key, ngx_http_ollama_note_t *note,
    ngx_http_ollama_penalty_t *penalty)
{
    ngx_http_ollama_model_t  *model;

    penalty->key = key->number;

    if (note) {
        model = &sh->models[note->model];

        penalty->until = (time_t) note->node.key;
        penalty->state = NGX_HTTP_OLLAMA_KEY_HEALTHY;
        penalty->http = note->http;
        penalty->level = note->level;
        penalty->learned = 0;
        penalty->status = "model blocked";
        penalty->reason[0] = '\0';
        penalty->model_len = model->len;
        ngx_memcpy(penalty->model, model->name, model->len);

        return;
    }

    penalty->until = key->until;
    penalty->state = key->state;
    penalty->http = key->http;
    penalty->level = key->level;
    penalty->learned = key->account->learned;
    penalty->status = ngx_http_ollama_state_name(key);
    ngx_memcpy(penalty->reason, key->reason, sizeof(penalty->reason));
    penalty->model_len = 0;
}


const char *
ngx_http_ollama_state_name(ngx_http_ollama_key_t *key)
{
    if (!key->enabled) {
        return "disabled";
    }

    if (key->until == 0) {
        return !key->half_open ? "healthy"
               : (key->state == NGX_HTTP_OLLAMA_KEY_INVALID) ? "invalid"
                                                             : "half_open";
    }

    switch (key->state) {

    case NGX_HTTP_OLLAMA_KEY_PAUSED:
        return "paused";

    case NGX_HTTP_OLLAMA_KEY_SLOTS:
        return "slots";

    case NGX_HTTP_OLLAMA_KEY_EXHAUSTED:
        return "exhausted";

    case NGX_HTTP_OLLAMA_KEY_INVALID:
        return "invalid";

    case NGX_HTTP_OLLAMA_KEY_PENALIZED:
        return "penalized";

    case NGX_HTTP_OLLAMA_KEY_SUSPENDED:
        return "suspended";

    default:
        return "healthy";
    }
}
