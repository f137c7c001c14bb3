
/*
 * /health, /health/keys and what a person can do with them, /ratelimits.
 * Answered from the pool itself, hence true whatever becomes of the daemon.
 */

#include "ngx_http_ollama_health.h"
#include "ngx_http_ollama_access.h"
#include "ngx_http_ollama_respond.h"
#include "ngx_http_ollama_status.h"
#include "ngx_http_ollama_wait.h"


#define NGX_HTTP_OLLAMA_PAUSE      900
#define NGX_HTTP_OLLAMA_PAUSE_MAX  (31 * 86400)


#define ngx_http_ollama_uri_is(r, text)                                       \
    ((r)->uri.len == sizeof(text) - 1                                         \
     && ngx_strncmp((r)->uri.data, text, sizeof(text) - 1) == 0)


static ngx_int_t ngx_http_ollama_health_bare(ngx_http_request_t *r,
    ngx_http_ollama_ctx_t *ctx);
static ngx_int_t ngx_http_ollama_key_action(ngx_http_request_t *r,
    ngx_http_ollama_pool_t *pool, u_char *p, u_char *last);
static ngx_int_t ngx_http_ollama_pause_seconds(ngx_http_request_t *r,
    time_t *seconds);


static const char  ngx_http_ollama_health_type[] = "application/json";

static ngx_str_t  ngx_http_ollama_no_store = ngx_string("no-store");


ngx_int_t
ngx_http_ollama_health_handler(ngx_http_request_t *r)
{
    ngx_int_t                rc;
    ngx_str_t                out;
    ngx_uint_t               keys, ratelimits;
    ngx_http_ollama_ctx_t   *ctx;
    ngx_http_ollama_pool_t  *pool;

    ctx = ngx_http_ollama_create_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    pool = ctx->conf->pool;

    if (r->uri.len > 13 && ngx_strncmp(r->uri.data, "/health/keys/", 13) == 0)
    {
        return ngx_http_ollama_key_action(r, pool, r->uri.data + 13,
                                          r->uri.data + r->uri.len);
    }

    keys = ngx_http_ollama_uri_is(r, "/health/keys");
    ratelimits = ngx_http_ollama_uri_is(r, "/ratelimits");

    if (!keys && !ratelimits && !ngx_http_ollama_uri_is(r, "/health")) {
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

    if (!keys && !ratelimits) {
        return ngx_http_ollama_health_bare(r, ctx);
    }

    rc = keys ? ngx_http_ollama_status_keys(r, pool, &out)
              : ngx_http_ollama_status_ratelimits(r, pool, &out);

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_ollama_send(r, NGX_HTTP_OK, ngx_http_ollama_health_type,
                                out.data, out.len);
}


/*
 * A bare /health says that nginx serves, and nothing else.  Who shows the
 * token is told what the daemon knows; where no token is needed, who asks
 * with any argument.
 */

static ngx_int_t
ngx_http_ollama_health_bare(ngx_http_request_t *r, ngx_http_ollama_ctx_t *ctx)
{
    ngx_http_ollama_loc_conf_t  *olcf;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_ollama_module);

    if (olcf->details.len
        && (ctx->token
            || (r->args.len && !ngx_http_ollama_access_guarded(r))))
    {
        (void) ngx_http_named_location(r, &olcf->details);
        return NGX_DONE;
    }

    return ngx_http_ollama_send(r, NGX_HTTP_OK, ngx_http_ollama_health_type,
                                (u_char *) "{\"status\":\"ok\"}", 15);
}


/* POST /health/keys/{key}/reset, /health/keys/{key}/penalize[?seconds=] */

static ngx_int_t
ngx_http_ollama_key_action(ngx_http_request_t *r,
    ngx_http_ollama_pool_t *pool, u_char *p, u_char *last)
{
    u_char      *slash;
    time_t       seconds;
    uint32_t     key;
    ngx_int_t    rc;
    ngx_str_t    name, action, out;
    ngx_uint_t   reset;

    for (slash = last; slash > p && slash[-1] != '/'; slash--) { /* void */ }

    action.data = slash;
    action.len = last - slash;

    name.data = p;
    name.len = (slash > p) ? slash - 1 - p : 0;

    reset = action.len == 5 && ngx_strncmp(action.data, "reset", 5) == 0;

    if (name.len == 0
        || (!reset && !(action.len == 8
                        && ngx_strncmp(action.data, "penalize", 8) == 0)))
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

    seconds = NGX_HTTP_OLLAMA_PAUSE;

    if (!reset) {
        rc = ngx_http_ollama_pause_seconds(r, &seconds);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    rc = ngx_http_ollama_pool_find(pool, &name, &key);

    if (rc == NGX_OK) {
        rc = reset ? ngx_http_ollama_pool_reset(pool, key)
                   : ngx_http_ollama_pool_penalize(pool, key, seconds);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_ollama_status_key(r, pool, key, &out);
    }

    if (rc == NGX_DECLINED) {
        return ngx_http_ollama_error(r, NGX_HTTP_NOT_FOUND, 0,
                         "there is no key \"%V\": a fingerprint, a name or "
                         "a position in the list, from 0 on, is expected",
                         &name);
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_ollama_wait_kick();

    return ngx_http_ollama_send(r, NGX_HTTP_OK, ngx_http_ollama_health_type,
                                out.data, out.len);
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
