
#include "ngx_http_ollama.h"
#include "core/error.h"


#define NGX_HTTP_OLLAMA_ERROR_MAX  1024


static const char *ngx_http_ollama_error_words(ngx_uint_t status);
static u_char *ngx_http_ollama_duration(u_char *p, time_t seconds);


ngx_int_t
ngx_http_ollama_error(ngx_http_request_t *r, ngx_uint_t status, time_t retry,
    const char *fmt, ...)
{
    u_char                  text[NGX_HTTP_OLLAMA_ERROR_MAX], *p;
    va_list                 args;
    ngx_http_ollama_ctx_t  *ctx;

    ctx = ngx_http_ollama_create_ctx(r);
    if (ctx == NULL) {
        return status;
    }

    va_start(args, fmt);
    p = ngx_vslprintf(text, text + NGX_HTTP_OLLAMA_ERROR_MAX, fmt, args);
    va_end(args);

    ctx->error.data = ngx_pnalloc(r->pool, p - text);
    if (ctx->error.data == NULL) {
        return status;
    }

    ctx->error.len = p - text;
    ngx_memcpy(ctx->error.data, text, ctx->error.len);

    ctx->error_status = status;

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "ollama: answered %ui: %V", status, &ctx->error);

    if (retry && ngx_http_ollama_add_retry_after(r, retry) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return status;
}


/* no key could be had, and waiting did not help or is not worth it */

ngx_int_t
ngx_http_ollama_refuse(ngx_http_ollama_ctx_t *ctx)
{
    u_char   when[64], *p;
    time_t   retry;

    retry = ctx->want.retry;

    if (retry == 0) {
        return ngx_http_ollama_error(ctx->request, ctx->want.status, 0,
                             "no key can serve this request: %s",
                             ctx->want.reason);
    }

    p = ngx_http_ollama_duration(when, retry - ngx_time());

    return ngx_http_ollama_error(ctx->request, ctx->want.status, retry,
                      "no key can serve this request: %s; try again in %*s",
                      ctx->want.reason, (size_t) (p - when), when);
}


static u_char *
ngx_http_ollama_duration(u_char *p, time_t seconds)
{
    if (seconds < 1) {
        seconds = 1;
    }

    if (seconds < 120) {
        return ngx_sprintf(p, "%T s", seconds);
    }

    if (seconds < 7200) {
        return ngx_sprintf(p, "%T min", (seconds + 59) / 60);
    }

    return ngx_sprintf(p, "%T h", (seconds + 3599) / 3600);
}


/* the JSON that takes the place of nginx's own error page */

ngx_int_t
ngx_http_ollama_error_body(ngx_http_request_t *r, ngx_http_ollama_ctx_t *ctx,
    ngx_uint_t status)
{
    size_t           size;
    u_char          *p;
    ngx_str_t        text;
    ollama_family_e  family;

    if (ctx->error.len && ctx->error_status == status) {
        text = ctx->error;

    } else {
        text.data = (u_char *) ngx_http_ollama_error_words(status);
        text.len = ngx_strlen(text.data);
    }

    if (ctx->family_known) {
        family = ctx->family;

    } else if (ctx->route) {
        family = ctx->route->family;

    } else {
        family = ollama_route_family(r->uri.data, r->uri.len);
    }

    size = OLLAMA_ERROR_BODY_MAX(text.len);

    p = ngx_pnalloc(r->pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ctx->error_body.len = ollama_error_body(family, status, text.data,
                                            text.len, p, size);
    ctx->error_body.data = p;

    return NGX_OK;
}


static const char *
ngx_http_ollama_error_words(ngx_uint_t status)
{
    switch (status) {

    case NGX_HTTP_BAD_REQUEST:
        return "the request is not valid";

    case NGX_HTTP_UNAUTHORIZED:
        return "unauthorized";

    case NGX_HTTP_NOT_FOUND:
        return "not found";

    case NGX_HTTP_NOT_ALLOWED:
        return "method not allowed";

    case NGX_HTTP_REQUEST_TIME_OUT:
        return "the request did not arrive in time";

    case NGX_HTTP_REQUEST_ENTITY_TOO_LARGE:
        return "the request body is larger than this proxy accepts";

    case NGX_HTTP_BAD_GATEWAY:
        return "the cloud cannot be reached";

    case NGX_HTTP_GATEWAY_TIME_OUT:
        return "the cloud did not answer in time";

    case NGX_HTTP_SERVICE_UNAVAILABLE:
        return "service unavailable";

    default:
        return (status >= 500) ? "the proxy failed to serve this request"
                               : "the request was refused";
    }
}


ngx_table_elt_t *
ngx_http_ollama_add_header(ngx_http_request_t *r, const char *name,
    ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NULL;
    }

    h->hash = 1;
    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);
    h->value = *value;

#if (nginx_version >= 1023000)
    h->next = NULL;
#endif

    return h;
}


ngx_int_t
ngx_http_ollama_add_retry_after(ngx_http_request_t *r, time_t retry)
{
    time_t      seconds;
    ngx_str_t   value;

    seconds = retry - ngx_time();

    if (seconds < 1) {
        seconds = 1;
    }

    value.data = ngx_pnalloc(r->pool, NGX_TIME_T_LEN);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    value.len = ngx_sprintf(value.data, "%T", seconds) - value.data;

    return ngx_http_ollama_add_header(r, "Retry-After", &value) ? NGX_OK
                                                                : NGX_ERROR;
}
