
#include "ngx_http_ollama_respond.h"
#include "core/error.h"


#define NGX_HTTP_OLLAMA_ERROR_MAX  1024


static const char *ngx_http_ollama_error_words(ngx_http_request_t *r,
    ngx_uint_t status);
static u_char *ngx_http_ollama_duration(u_char *p, time_t seconds);
static ngx_int_t ngx_http_ollama_done(ngx_http_request_t *r, ngx_int_t rc);


ngx_int_t
ngx_http_ollama_error(ngx_http_request_t *r, ngx_uint_t status, time_t retry,
    const char *fmt, ...)
{
    u_char                      text[NGX_HTTP_OLLAMA_ERROR_MAX], *p;
    va_list                     args;
    ngx_http_ollama_ctx_t      *ctx;
    ngx_http_ollama_refusal_t  *refusal;

    ctx = ngx_http_ollama_create_ctx(r);
    if (ctx == NULL) {
        return status;
    }

    va_start(args, fmt);
    p = ngx_vslprintf(text, text + NGX_HTTP_OLLAMA_ERROR_MAX, fmt, args);
    va_end(args);

    refusal = &ctx->refusal;

    refusal->text.data = ngx_pnalloc(r->pool, p - text);
    if (refusal->text.data == NULL) {
        return status;
    }

    refusal->text.len = p - text;
    ngx_memcpy(refusal->text.data, text, refusal->text.len);

    refusal->status = status;
    refusal->retry = retry;

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "ollama: answered %ui: %V", status, &refusal->text);

    return status;
}


/* no key could be had, and waiting did not help or is not worth it */

ngx_int_t
ngx_http_ollama_refuse(ngx_http_ollama_ctx_t *ctx)
{
    u_char   when[64], *p;
    time_t   retry;

    retry = ctx->lease.retry;

    if (ctx->lease.status == NGX_HTTP_UNAUTHORIZED) {

        /* the cloud's words, which need none of ours */

        return ngx_http_ollama_error(ctx->request, NGX_HTTP_UNAUTHORIZED,
                                     retry, "%s", ctx->lease.reason);
    }

    if (retry == 0) {
        return ngx_http_ollama_error(ctx->request, ctx->lease.status, 0,
                             "no key can serve this request: %s",
                             ctx->lease.reason);
    }

    p = ngx_http_ollama_duration(when, retry - ngx_time());

    return ngx_http_ollama_error(ctx->request, ctx->lease.status, retry,
                      "no key can serve this request: %s; try again in %*s",
                      ctx->lease.reason, (size_t) (p - when), when);
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


void
ngx_http_ollama_forget(ngx_http_ollama_ctx_t *ctx)
{
    ctx->refusal.status = 0;
    ctx->refusal.text.len = 0;
    ctx->refusal.page.len = 0;
}


ngx_int_t
ngx_http_ollama_error_page(ngx_http_request_t *r, ngx_http_ollama_ctx_t *ctx)
{
    size_t                      size;
    u_char                     *p;
    ngx_str_t                   text;
    ngx_uint_t                  status;
    ollama_family_e             family;
    ngx_http_ollama_refusal_t  *refusal;

    refusal = &ctx->refusal;
    status = r->headers_out.status;

    ngx_http_ollama_error_text(ctx, status, &text);

    if (refusal->status == status
        && refusal->retry
        && ngx_http_ollama_add_retry_after(r, refusal->retry) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (refusal->family_known) {
        family = refusal->family;

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

    refusal->page.len = ollama_error_body(family, status, text.data, text.len,
                                          p, size);
    refusal->page.data = p;

    ngx_str_set(&r->headers_out.content_type,
                "application/json; charset=utf-8");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;

    ngx_http_clear_content_length(r);
    ngx_http_clear_accept_ranges(r);
    ngx_http_clear_last_modified(r);
    ngx_http_clear_etag(r);

    r->headers_out.content_length_n = refusal->page.len;

    return NGX_OK;
}


void
ngx_http_ollama_error_text(ngx_http_ollama_ctx_t *ctx, ngx_uint_t status,
    ngx_str_t *text)
{
    if (ctx->refusal.status == status) {
        ctx->refusal.sent = 1;
        *text = ctx->refusal.text;
        return;
    }

    text->data = (u_char *) ngx_http_ollama_error_words(ctx->request, status);
    text->len = ngx_strlen(text->data);
}


static const char *
ngx_http_ollama_error_words(ngx_http_request_t *r, ngx_uint_t status)
{
    switch (status) {

    case NGX_HTTP_BAD_REQUEST:

#if (NGX_HTTP_SSL)
        if (r->http_connection->ssl && r->connection->ssl == NULL) {
            return "plain HTTP was sent to a port of HTTPS";
        }
#endif

        return "the request is not valid, or its headers are too long";

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

    case NGX_HTTP_REQUEST_URI_TOO_LARGE:
        return "the path and query are longer than this proxy accepts";

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


ngx_int_t
ngx_http_ollama_send(ngx_http_request_t *r, ngx_uint_t status,
    const char *type, u_char *data, size_t len)
{
    ngx_int_t    rc;
    ngx_buf_t   *b;
    ngx_chain_t  out;

    r->headers_out.status = status;

    if (status == NGX_HTTP_NO_CONTENT) {
        r->header_only = 1;

    } else {
        r->headers_out.content_length_n = len;
    }

    if (type) {
        r->headers_out.content_type.data = (u_char *) type;
        r->headers_out.content_type.len = ngx_strlen(type);
        r->headers_out.content_type_len = r->headers_out.content_type.len;
        r->headers_out.content_type_lowcase = NULL;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return ngx_http_ollama_done(r, rc);
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return ngx_http_ollama_done(r, NGX_ERROR);
    }

    if (len) {
        b->memory = 1;
        b->pos = data;
        b->last = data + len;
    }

    b->last_buf = 1;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_ollama_done(r, ngx_http_output_filter(r, &out));
}


/* a content handler returns it, a phase handler has to finalize itself */

static ngx_int_t
ngx_http_ollama_done(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_http_ollama_loc_conf_t  *olcf;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_ollama_module);

    if (olcf->health || olcf->status) {
        return rc;
    }

    ngx_http_finalize_request(r, rc);

    return NGX_DONE;
}


ngx_int_t
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


ngx_str_t *
ngx_http_ollama_find_header(ngx_list_t *headers, const char *name, size_t len)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    for (part = &headers->part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].key.len == len
                && h[i].hash != 0
                && ngx_memcmp(h[i].lowcase_key, name, len) == 0)
            {
                return &h[i].value;
            }
        }
    }

    return NULL;
}


void
ngx_http_ollama_find_headers(ngx_list_t *headers, ngx_str_t *names,
    ngx_str_t **values, ngx_uint_t n)
{
    uint64_t          lengths;
    ngx_uint_t        i, k, left;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    left = n;
    lengths = 0;

    for (k = 0; k < n; k++) {
        lengths |= (uint64_t) 1 << names[k].len % 64;
        values[k] = NULL;
    }

    for (part = &headers->part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (!(lengths >> h[i].key.len % 64 & 1) || h[i].hash == 0) {

                /* what most of them are, without a look at their names */

                continue;
            }

            for (k = 0; k < n; k++) {
                if (values[k] == NULL
                    && h[i].key.len == names[k].len
                    && ngx_memcmp(h[i].lowcase_key, names[k].data,
                                  names[k].len)
                       == 0)
                {
                    values[k] = &h[i].value;

                    if (--left == 0) {
                        return;
                    }

                    break;
                }
            }
        }
    }
}
