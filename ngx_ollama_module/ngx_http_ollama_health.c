
/*
 * /health, /health/keys and what a person can do with them, /ratelimits.
 * Answered from the pool itself, hence true whatever becomes of the daemon.
 */

#include "ngx_http_ollama.h"
#include "core/json.h"


#define NGX_HTTP_OLLAMA_PAUSE      900
#define NGX_HTTP_OLLAMA_PAUSE_MAX  (31 * 86400)

#define NGX_HTTP_OLLAMA_KEY_SIZE   (1024 + 6 * OLLAMA_CONFIG_NAME_MAX)


static ngx_int_t ngx_http_ollama_not_allowed(ngx_http_request_t *r,
    const char *methods);
static ngx_int_t ngx_http_ollama_health_keys(ngx_http_request_t *r,
    ngx_http_ollama_keys_t *keys);
static ngx_int_t ngx_http_ollama_ratelimits(ngx_http_request_t *r,
    ngx_http_ollama_keys_t *keys);
static ngx_int_t ngx_http_ollama_key_action(ngx_http_request_t *r,
    ngx_http_ollama_keys_t *keys, u_char *p, u_char *last);
static ngx_int_t ngx_http_ollama_pause_seconds(ngx_http_request_t *r,
    time_t *seconds);

static size_t ngx_http_ollama_key_size(ngx_http_ollama_key_t *key);
static void ngx_http_ollama_key_json(ollama_json_t *json,
    ngx_http_ollama_key_t *key, time_t now);
static const char *ngx_http_ollama_key_status(ngx_http_ollama_key_t *key);


static const char  ngx_http_ollama_health_type[] = "application/json";

static ngx_str_t  ngx_http_ollama_no_store = ngx_string("no-store");


ngx_int_t
ngx_http_ollama_health_handler(ngx_http_request_t *r)
{
    u_char                       *p, *last;
    ngx_int_t                     rc;
    ngx_http_ollama_ctx_t        *ctx;
    ngx_http_ollama_keys_t       *keys;
    ngx_http_ollama_loc_conf_t   *olcf;

    ctx = ngx_http_ollama_create_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    keys = ctx->conf->keys;

    p = r->uri.data;
    last = p + r->uri.len;

    if (r->uri.len > 13 && ngx_strncmp(p, "/health/keys/", 13) == 0) {
        return ngx_http_ollama_key_action(r, keys, p + 13, last);
    }

    if (!(r->uri.len == 7 && ngx_strncmp(p, "/health", 7) == 0)
        && !(r->uri.len == 12 && ngx_strncmp(p, "/health/keys", 12) == 0)
        && !(r->uri.len == 11 && ngx_strncmp(p, "/ratelimits", 11) == 0))
    {
        return ngx_http_ollama_error(r, NGX_HTTP_NOT_FOUND, 0,
                                     "path \"%V\" not found", &r->unparsed_uri);
    }

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return ngx_http_ollama_not_allowed(r, "GET, HEAD");
    }

    if (ngx_http_ollama_add_header(r, "Cache-Control",
                                   &ngx_http_ollama_no_store)
        == NULL)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (r->uri.len == 12 && ngx_strncmp(p, "/health/keys", 12) == 0) {
        return ngx_http_ollama_health_keys(r, keys);
    }

    if (r->uri.len == 11 && ngx_strncmp(p, "/ratelimits", 11) == 0) {
        return ngx_http_ollama_ratelimits(r, keys);
    }

    /*
     * A bare /health says that nginx serves, and nothing else.  Who shows the
     * token is told what the daemon knows; where no token is needed, who asks
     * with any argument.
     */

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_ollama_module);

    if (olcf->details.len && (ctx->token || (ctx->conf->open && r->args.len)))
    {
        (void) ngx_http_named_location(r, &olcf->details);
        return NGX_DONE;
    }

    return ngx_http_ollama_send(r, NGX_HTTP_OK, ngx_http_ollama_health_type,
                                (u_char *) "{\"status\":\"ok\"}", 15);
}


static ngx_int_t
ngx_http_ollama_not_allowed(ngx_http_request_t *r, const char *methods)
{
    ngx_str_t  value;

    value.data = (u_char *) methods;
    value.len = ngx_strlen(methods);

    if (ngx_http_ollama_add_header(r, "Allow", &value) == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_ollama_error(r, NGX_HTTP_NOT_ALLOWED, 0,
                                 "method not allowed, use %s", methods);
}


static ngx_int_t
ngx_http_ollama_health_keys(ngx_http_request_t *r,
    ngx_http_ollama_keys_t *keys)
{
    char                     name[sizeof("key_") + NGX_INT_T_LEN];
    time_t                   now;
    u_char                  *p;
    size_t                   size;
    ngx_uint_t               i, n;
    ollama_json_t            json;
    ngx_http_ollama_pool_t  *pool;

    pool = keys->pool;
    now = ngx_time();
    n = 0;

    /* the memory is taken without the lock, and once more if it was too few */

    for ( ;; ) {

        size = 64;

        ngx_http_ollama_keys_lock(keys);

        for (i = 0; i < pool->nkeys; i++) {
            size += ngx_http_ollama_key_size(pool->keys[i]);
        }

        ngx_http_ollama_keys_unlock(keys);

        p = ngx_palloc(r->pool, size);
        if (p == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        ollama_json_init(&json, p, size);

        ngx_http_ollama_keys_lock(keys);
        ngx_http_ollama_keys_refresh(keys, now);

        ollama_json_open(&json, '{');

        for (i = 0; i < pool->nkeys; i++) {
            *ngx_sprintf((u_char *) name, "key_%ui", i) = '\0';

            ollama_json_key(&json, name);
            ngx_http_ollama_key_json(&json, pool->keys[i], now);
        }

        ollama_json_close(&json, '}');

        ngx_http_ollama_keys_unlock(keys);

        if (!json.overflow) {
            break;
        }

        (void) ngx_pfree(r->pool, p);

        if (++n == 10) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    return ngx_http_ollama_send(r, NGX_HTTP_OK, ngx_http_ollama_health_type,
                                p, ollama_json_len(&json));
}


static size_t
ngx_http_ollama_key_size(ngx_http_ollama_key_t *key)
{
    size_t                    size;
    ngx_queue_t              *q;
    ngx_http_ollama_block_t  *block;

    size = NGX_HTTP_OLLAMA_KEY_SIZE;

    for (q = ngx_queue_head(&key->blocks);
         q != ngx_queue_sentinel(&key->blocks);
         q = ngx_queue_next(q))
    {
        block = ngx_queue_data(q, ngx_http_ollama_block_t, queue);
        size += 128 + 6 * block->len;
    }

    return size;
}


static void
ngx_http_ollama_key_json(ollama_json_t *json, ngx_http_ollama_key_t *key,
    time_t now)
{
    ngx_queue_t              *q;
    ngx_http_ollama_block_t  *block;

    ollama_json_open(json, '{');

    ollama_json_key(json, "name");
    ollama_json_string(json, key->name.data, key->name.len);
    ollama_json_key(json, "fingerprint");
    ollama_json_string(json, key->fingerprint, sizeof(key->fingerprint));

    ollama_json_key(json, "status");
    ollama_json_text(json, ngx_http_ollama_key_status(key));
    ollama_json_key(json, "state");
    ollama_json_text(json, ngx_http_ollama_key_state_name(key));
    ollama_json_key(json, "reason");

    if (key->reason[0]) {
        ollama_json_text(json, (char *) key->reason);

    } else {
        ollama_json_null(json);
    }

    ollama_json_key(json, "penalty_active");
    ollama_json_bool(json, key->until > now);
    ollama_json_key(json, "expires_in");
    ollama_json_int(json, (key->until > now) ? key->until - now : 0);
    ollama_json_key(json, "backoff_level");
    ollama_json_uint(json, key->level);

    ollama_json_key(json, "usage_2h");
    ollama_json_uint(json, ollama_window_sum(&key->window, now));
    ollama_json_key(json, "reserved");
    ollama_json_uint(json, key->reserved);
    ollama_json_key(json, "requests");
    ollama_json_uint(json, key->requests);

    ollama_json_key(json, "in_flight");
    ollama_json_uint(json, key->in_flight);
    ollama_json_key(json, "max_concurrent");

    if (ngx_http_ollama_key_slots(key)) {
        ollama_json_uint(json, ngx_http_ollama_key_slots(key));

    } else {
        ollama_json_null(json);
    }

    ollama_json_key(json, "weight");
    ollama_json_uint(json, key->weight);
    ollama_json_key(json, "enabled");
    ollama_json_bool(json, key->enabled);

    ollama_json_key(json, "blocked_models");
    ollama_json_open(json, '[');

    for (q = ngx_queue_head(&key->blocks);
         q != ngx_queue_sentinel(&key->blocks);
         q = ngx_queue_next(q))
    {
        block = ngx_queue_data(q, ngx_http_ollama_block_t, queue);

        if (block->until <= now) {
            continue;
        }

        ollama_json_open(json, '{');
        ollama_json_key(json, "model");
        ollama_json_string(json, block->model, block->len);
        ollama_json_key(json, "status");
        ollama_json_uint(json, block->status);
        ollama_json_key(json, "expires_in");
        ollama_json_int(json, block->until - now);
        ollama_json_close(json, '}');
    }

    ollama_json_close(json, ']');

    ollama_json_key(json, "eligible");
    ollama_json_bool(json, ngx_http_ollama_key_eligible(key));

    ollama_json_close(json, '}');
}


static const char *
ngx_http_ollama_key_status(ngx_http_ollama_key_t *key)
{
    if (!key->enabled) {
        return "switched off in the configuration";
    }

    if (key->until == 0) {

        if (key->half_open) {
            return "back from a pause, one request tries it out";
        }

        return key->account->full ? "busy, all slots are taken" : "healthy";
    }

    switch (key->state) {

    case NGX_HTTP_OLLAMA_KEY_PAUSED:
        return "paused, the cloud asked to slow down";

    case NGX_HTTP_OLLAMA_KEY_SLOTS:
        return "paused, too many requests at once";

    case NGX_HTTP_OLLAMA_KEY_EXHAUSTED:
        return "its quota is used up";

    case NGX_HTTP_OLLAMA_KEY_INVALID:
        return "the cloud does not accept it";

    default: /* NGX_HTTP_OLLAMA_KEY_PENALIZED */
        return "paused by an operator";
    }
}


static ngx_int_t
ngx_http_ollama_ratelimits(ngx_http_request_t *r,
    ngx_http_ollama_keys_t *keys)
{
    u_char                       *p, stamp[sizeof("1970-01-01T00:00:00Z")];
    size_t                        size;
    ngx_tm_t                      tm;
    ngx_uint_t                    i, j, nkeys;
    ollama_json_t                 json;
    ngx_http_ollama_key_t        *key;
    ngx_http_ollama_pool_t       *pool;
    ngx_http_ollama_ratelimit_t  *rl;

    char     name[sizeof("key_") + NGX_INT_T_LEN];
    int32_t  values[5];

    static const char  *names[] = { "max_concurrent", "active", "queue_limit",
                                    "queued", "retry_after" };

    pool = keys->pool;
    nkeys = pool->nkeys;

    size = 64 + nkeys * NGX_HTTP_OLLAMA_KEY_SIZE;

    p = ngx_palloc(r->pool, size);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ollama_json_init(&json, p, size);
    ollama_json_open(&json, '{');

    ngx_http_ollama_keys_lock(keys);

    for (i = 0; i < ngx_min(nkeys, pool->nkeys); i++) {
        key = pool->keys[i];
        rl = &key->ratelimit;

        *ngx_sprintf((u_char *) name, "key_%ui", i) = '\0';

        ollama_json_key(&json, name);
        ollama_json_open(&json, '{');
        ollama_json_key(&json, "name");
        ollama_json_string(&json, key->name.data, key->name.len);
        ollama_json_key(&json, "fingerprint");
        ollama_json_string(&json, key->fingerprint, sizeof(key->fingerprint));
        ollama_json_key(&json, "seen");

        if (rl->seen == 0) {
            ollama_json_null(&json);
            ollama_json_close(&json, '}');
            continue;
        }

        ngx_gmtime(rl->seen, &tm);

        *ngx_sprintf(stamp, "%4d-%02d-%02dT%02d:%02d:%02dZ", tm.ngx_tm_year,
                     tm.ngx_tm_mon, tm.ngx_tm_mday, tm.ngx_tm_hour,
                     tm.ngx_tm_min, tm.ngx_tm_sec) = '\0';

        ollama_json_text(&json, (char *) stamp);

        values[0] = rl->max_concurrent;
        values[1] = rl->active;
        values[2] = rl->queue_limit;
        values[3] = rl->queued;
        values[4] = rl->retry_after;

        for (j = 0; j < 5; j++) {
            ollama_json_key(&json, names[j]);

            if (values[j] >= 0) {
                ollama_json_int(&json, values[j]);

            } else {
                ollama_json_null(&json);
            }
        }

        ollama_json_close(&json, '}');
    }

    ngx_http_ollama_keys_unlock(keys);

    ollama_json_close(&json, '}');

    return ngx_http_ollama_send(r, NGX_HTTP_OK, ngx_http_ollama_health_type,
                                p, ollama_json_len(&json));
}


/* POST /health/keys/{n}/reset, /health/keys/{n}/penalize[?seconds=] */

static ngx_int_t
ngx_http_ollama_key_action(ngx_http_request_t *r,
    ngx_http_ollama_keys_t *keys, u_char *p, u_char *last)
{
    u_char                 *slash, *out;
    time_t                  seconds;
    ngx_int_t               rc, n;
    ngx_str_t               action;
    ollama_json_t           json;
    ngx_http_ollama_key_t  *key;

    slash = ngx_strlchr(p, last, '/');

    if (slash == NULL) {
        return ngx_http_ollama_error(r, NGX_HTTP_NOT_FOUND, 0,
                                     "path \"%V\" not found", &r->unparsed_uri);
    }

    action.data = slash + 1;
    action.len = last - action.data;

    if (!(action.len == 5 && ngx_strncmp(action.data, "reset", 5) == 0)
        && !(action.len == 8 && ngx_strncmp(action.data, "penalize", 8) == 0))
    {
        return ngx_http_ollama_error(r, NGX_HTTP_NOT_FOUND, 0,
                                     "path \"%V\" not found", &r->unparsed_uri);
    }

    if (r->method != NGX_HTTP_POST) {
        return ngx_http_ollama_not_allowed(r, "POST");
    }

    if (ngx_http_ollama_cross_site(r)) {
        return ngx_http_ollama_error(r, NGX_HTTP_FORBIDDEN, 0,
                                     "a page of another site may not do this");
    }

    n = ngx_atoi(p, slash - p);

    if (n == NGX_ERROR) {
        return ngx_http_ollama_error(r, NGX_HTTP_NOT_FOUND, 0,
                         "the number of a key is expected, from 0 on");
    }

    seconds = NGX_HTTP_OLLAMA_PAUSE;

    if (action.len == 8) {
        rc = ngx_http_ollama_pause_seconds(r, &seconds);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    out = ngx_palloc(r->pool, 64 * 1024);
    if (out == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ollama_json_init(&json, out, 64 * 1024);

    ngx_http_ollama_keys_lock(keys);
    ngx_http_ollama_keys_refresh(keys, ngx_time());

    if ((ngx_uint_t) n >= keys->pool->nkeys) {
        ngx_http_ollama_keys_unlock(keys);
        return ngx_http_ollama_error(r, NGX_HTTP_NOT_FOUND, 0,
                                     "there is no key_%i", n);
    }

    key = keys->pool->keys[n];

    if (action.len == 5) {
        ngx_http_ollama_keys_reset(keys, key);

    } else {
        ngx_http_ollama_keys_penalize(keys, key, seconds);
    }

    ngx_http_ollama_key_json(&json, key, ngx_time());

    ngx_http_ollama_keys_unlock(keys);

    ngx_http_ollama_queue_kick();

    return ngx_http_ollama_send(r, NGX_HTTP_OK, ngx_http_ollama_health_type,
                                out, ollama_json_len(&json));
}


static ngx_int_t
ngx_http_ollama_pause_seconds(ngx_http_request_t *r, time_t *seconds)
{
    ngx_str_t  value;

    if (ngx_http_arg(r, (u_char *) "seconds", 7, &value) != NGX_OK) {
        return NGX_OK;
    }

    *seconds = ngx_atotm(value.data, value.len);

    if (*seconds < 1 || *seconds > NGX_HTTP_OLLAMA_PAUSE_MAX) {
        return ngx_http_ollama_error(r, NGX_HTTP_BAD_REQUEST, 0,
                         "\"seconds\" must be a number between 1 and %d",
                         NGX_HTTP_OLLAMA_PAUSE_MAX);
    }

    return NGX_OK;
}
