
/*
 * Answers on their way to the client: headers are added, the bytes are shown
 * to the token scanner and go on untouched, and an error page of nginx becomes
 * JSON in the shape of the API that was asked.
 */

#include "ngx_http_ollama_access.h"
#include "ngx_http_ollama_body.h"
#include "ngx_http_ollama_cut.h"
#include "ngx_http_ollama_early.h"
#include "ngx_http_ollama_keepalive.h"
#include "ngx_http_ollama_request.h"
#include "ngx_http_ollama_respond.h"
#include "ngx_http_ollama_session.h"
#include "ngx_http_ollama_shed.h"
#include "ngx_http_ollama_tail.h"
#include "ngx_http_ollama_trace.h"
#include "ngx_http_ollama_unpack.h"
#include "ngx_http_ollama_usage.h"


static ngx_int_t ngx_http_ollama_header_filter(ngx_http_request_t *r);
static ngx_int_t ngx_http_ollama_open(ngx_http_request_t *r,
    ngx_http_ollama_ctx_t *ctx);
static ngx_uint_t ngx_http_ollama_from_cloud(ngx_http_request_t *r);
static ngx_int_t ngx_http_ollama_cors(ngx_http_request_t *r);
static ngx_int_t ngx_http_ollama_key_headers(ngx_http_request_t *r,
    ngx_http_ollama_ctx_t *ctx);
static ngx_int_t ngx_http_ollama_answer_headers(ngx_http_request_t *r,
    ngx_http_ollama_ctx_t *ctx);
static void ngx_http_ollama_true_status(ngx_http_request_t *r,
    ngx_http_ollama_ctx_t *ctx);
static ngx_int_t ngx_http_ollama_error_headers(ngx_http_request_t *r,
    ngx_http_ollama_ctx_t *ctx);
static ngx_int_t ngx_http_ollama_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_int_t ngx_http_ollama_send_error(ngx_http_request_t *r,
    ngx_http_ollama_ctx_t *ctx, ngx_chain_t *in);
static ngx_int_t ngx_http_ollama_request_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_int_t ngx_http_ollama_request_body_plain(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_int_t ngx_http_ollama_filter_init(ngx_conf_t *cf);


static ngx_http_module_t  ngx_http_ollama_filter_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_ollama_filter_init,           /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_ollama_filter_module = {
    NGX_MODULE_V1,
    &ngx_http_ollama_filter_module_ctx,    /* module context */
    NULL,                                  /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;
static ngx_http_output_body_filter_pt    ngx_http_next_body_filter;
static ngx_http_request_body_filter_pt   ngx_http_next_request_body_filter;


static ngx_int_t
ngx_http_ollama_header_filter(ngx_http_request_t *r)
{
    ngx_int_t                    rc;
    ngx_uint_t                   early;
    ollama_family_e              family;
    ngx_http_ollama_ctx_t       *ctx;
    ngx_http_ollama_loc_conf_t  *olcf;

    if (r != r->main) {
        return ngx_http_next_header_filter(r);
    }

    early = 0;
    family = OLLAMA_FAMILY_NATIVE;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_ollama_module);
    ctx = ngx_http_ollama_get_ctx(r);

    if (ctx && ctx->keepalive && ngx_http_ollama_keepalive_open(ctx)) {
        return ngx_http_ollama_open(r, ctx);
    }

    if (!olcf->enable && !olcf->health && !olcf->status
        && (ctx == NULL || ctx->refusal.status == 0))
    {
        early = ngx_http_ollama_early(r, &family);

        if (!early) {
            return ngx_http_next_header_filter(r);
        }
    }

    if (ctx == NULL) {
        ctx = ngx_http_ollama_create_ctx(r);
        if (ctx == NULL) {
            return NGX_ERROR;
        }
    }

    if (early) {
        ctx->refusal.family = family;
        ctx->refusal.family_known = 1;
    }

    if (ngx_http_ollama_cors(r) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ctx->keepalive) {

        if (ngx_http_ollama_keepalive_opens(ctx)) {
            return ngx_http_next_header_filter(r);
        }

        (void) ngx_http_ollama_keepalive_stream(ctx);
    }

    if (ngx_http_ollama_key_headers(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = NGX_OK;

    if (ngx_http_ollama_from_cloud(r)) {

        /* error or not, it goes on as it came */

        ngx_http_ollama_forget(ctx);

        if (olcf->enable) {
            rc = ngx_http_ollama_answer_headers(r, ctx);
        }

    } else if (r->headers_out.status >= NGX_HTTP_BAD_REQUEST) {
        rc = ngx_http_ollama_error_headers(r, ctx);
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_next_header_filter(r);
}


/* a ping has taken a header out already: what comes is told behind it */

static ngx_int_t
ngx_http_ollama_open(ngx_http_request_t *r, ngx_http_ollama_ctx_t *ctx)
{
    ngx_uint_t  from_cloud;

    r->header_sent = 1;

    if (ngx_http_get_module_ctx(r, ngx_http_ollama_filter_module) == NULL) {

        /* redirected nevertheless: the filters do not know their state */

        return NGX_ERROR;
    }

    from_cloud = ngx_http_ollama_from_cloud(r);

    if (ngx_http_ollama_keepalive_stream(ctx) && from_cloud) {
        ngx_http_ollama_forget(ctx);

        return ngx_http_ollama_answer_headers(r, ctx);
    }

    if (from_cloud) {
        ngx_http_ollama_forget(ctx);
        ngx_http_ollama_usage_ended(ctx);

    } else {
        ngx_http_ollama_true_status(r, ctx);
    }

    return ngx_http_ollama_keepalive_tell(ctx, from_cloud);
}


/*
 * An answer of an upstream, and not a page of nginx after it has failed: it
 * has not been finalized yet, or comes from a cache.
 */

static ngx_uint_t
ngx_http_ollama_from_cloud(ngx_http_request_t *r)
{
    ngx_http_upstream_t  *u;

    u = r->upstream;

    if (u == NULL || u->headers_in.status_n == 0) {
        return 0;
    }

#if (NGX_HTTP_CACHE)
    if (r->cached) {
        return 1;
    }
#endif

    return u->cleanup != NULL;
}


static ngx_int_t
ngx_http_ollama_cors(ngx_http_request_t *r)
{
    ngx_str_t  *origin, value;

    origin = ngx_http_ollama_header_in(r, "origin");

    if (origin == NULL || !ngx_http_ollama_origin_allowed(r, origin)) {
        return NGX_OK;
    }

    if (ngx_http_ollama_add_header(r, "Access-Control-Allow-Origin", origin)
        == NULL)
    {
        return NGX_ERROR;
    }

    ngx_str_set(&value, "Origin");

    return ngx_http_ollama_add_header(r, "Vary", &value) ? NGX_OK : NGX_ERROR;
}


/* by which key, as the turn before or not, after how many attempts */

static ngx_int_t
ngx_http_ollama_key_headers(ngx_http_request_t *r, ngx_http_ollama_ctx_t *ctx)
{
    ngx_str_t                    value, *affinity;
    ngx_http_ollama_attempt_t   *attempt;
    ngx_http_ollama_loc_conf_t  *olcf;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_ollama_module);
    attempt = ngx_http_ollama_trace_last(ctx);

    if (!olcf->headers || attempt == NULL) {
        return NGX_OK;
    }

    if (attempt->name.len
        && ngx_http_ollama_add_header(r, "X-Ollama-Key", &attempt->name)
           == NULL)
    {
        return NGX_ERROR;
    }

    affinity = ngx_http_ollama_session_affinity(ctx);

    if (affinity
        && ngx_http_ollama_add_header(r, "X-Ollama-Affinity", affinity)
           == NULL)
    {
        return NGX_ERROR;
    }

    if (ctx->trace.nattempts == 1) {
        ngx_str_set(&value, "1");

    } else {
        value.data = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
        if (value.data == NULL) {
            return NGX_ERROR;
        }

        value.len = ngx_sprintf(value.data, "%ui", ctx->trace.nattempts)
                    - value.data;
    }

    return ngx_http_ollama_add_header(r, "X-Ollama-Attempts", &value)
           ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_ollama_answer_headers(ngx_http_request_t *r,
    ngx_http_ollama_ctx_t *ctx)
{
    time_t     retry;
    ngx_str_t  value;

    /* a proxy in front of us shall not buffer a stream either */

    if (r->headers_out.content_length_n == -1) {
        ngx_str_set(&value, "no");

        if (ngx_http_ollama_add_header(r, "X-Accel-Buffering", &value)
            == NULL)
        {
            return NGX_ERROR;
        }
    }

    if (r->headers_out.status == NGX_HTTP_TOO_MANY_REQUESTS
        && ctx->route
        && !ngx_http_ollama_find_header(&r->upstream->headers_in.headers,
                                        "retry-after", 11))
    {
        /* the cloud says no time for a quota, but the pool knows one */

        retry = ngx_http_ollama_lease_when(ctx->conf->pool, &ctx->lease);

        if (retry && ngx_http_ollama_add_retry_after(r, retry) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (ctx->route == NULL
        || ctx->route->kind != OLLAMA_ROUTE_INFERENCE
        || r->headers_out.status != NGX_HTTP_OK
        || r->header_only)
    {
        return NGX_OK;
    }

#if (NGX_HTTP_CACHE)

    /* nobody was asked, nothing is paid for */

    if (!r->cached)

#endif
    {
        if (ngx_http_ollama_usage_start(ctx) != NGX_OK) {
            return NGX_ERROR;
        }

        ngx_http_ollama_tail_start(ctx);
    }

    if (ctx->body.include_usage) {

        /* its type may be any; how long it is without what is cut out .. */

        ngx_http_clear_content_length(r);

        return ngx_http_ollama_cut_start(ctx);
    }

    return NGX_OK;
}


/*
 * An error whose body broke off is a bad gateway to nginx.  It was an answer
 * nevertheless, and its status says more.
 */

static void
ngx_http_ollama_true_status(ngx_http_request_t *r, ngx_http_ollama_ctx_t *ctx)
{
    ngx_http_ollama_attempt_t  *attempt;

    attempt = ngx_http_ollama_trace_last(ctx);

    if (r->upstream == NULL || ctx->refusal.status || attempt == NULL) {
        return;
    }

    if (r->headers_out.status != NGX_HTTP_BAD_GATEWAY
        && r->headers_out.status != NGX_HTTP_GATEWAY_TIME_OUT)
    {
        return;
    }

    if (attempt->status >= NGX_HTTP_BAD_REQUEST) {
        r->headers_out.status = attempt->status;
        r->headers_out.status_line.len = 0;

        if (r->err_status) {

            /* for the logs */

            r->err_status = attempt->status;
        }
    }
}


static ngx_int_t
ngx_http_ollama_error_headers(ngx_http_request_t *r,
    ngx_http_ollama_ctx_t *ctx)
{
    if (r->header_only && r->method != NGX_HTTP_HEAD) {
        return NGX_OK;
    }

    ngx_http_ollama_true_status(r, ctx);

    return ngx_http_ollama_error_page(r, ctx);
}


static ngx_int_t
ngx_http_ollama_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    off_t                            size;
    ngx_buf_t                       *b;
    ngx_uint_t                       whole;
    ngx_chain_t                     *cl;
    ngx_http_ollama_ctx_t           *ctx;
    ngx_http_output_body_filter_pt   next;

    if (in == NULL || r != r->main) {
        return ngx_http_next_body_filter(r, in);
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_ollama_module);

    if (ctx == NULL) {
        return ngx_http_next_body_filter(r, in);
    }

    if (ctx->keepalive && ngx_http_ollama_keepalive_pings(ctx)) {
        return ngx_http_next_body_filter(r, in);
    }

    if (ctx->refusal.page.len) {
        return ngx_http_ollama_send_error(r, ctx, in);
    }

    ngx_http_ollama_shed(ctx);

    size = 0;
    next = ctx->keepalive ? ngx_http_ollama_keepalive_filter
                          : ngx_http_next_body_filter;
    whole = (ctx->cut == NULL || ngx_http_ollama_cut_between(ctx));

    for (cl = in; cl; cl = cl->next) {
        b = cl->buf;

        if (ngx_buf_in_memory(b) && b->last > b->pos) {

            ngx_http_ollama_trace_first_byte(ctx);
            ngx_http_ollama_usage_feed(ctx, b->pos, b->last - b->pos);

            if (ctx->tail.look) {
                ngx_http_ollama_tail_look(ctx, b->pos, b->last - b->pos);
            }

            size += b->last - b->pos;

            if (ctx->cut && whole) {
                whole = ngx_http_ollama_usage_only_text(ctx);
            }
        }

        if (b->last_buf
            || (ngx_buf_special(b) && ngx_http_ollama_tail_is_end(r, b)))
        {
            next = ngx_http_ollama_tail_end(ctx, b, next);

            /* it may still hold something back */

            whole &= (ctx->cut == NULL);
        }
    }

    if (!whole) {
        return ngx_http_ollama_cut(ctx, in, next);
    }

    ngx_http_ollama_usage_passed(ctx, size);

    return next(r, in);
}


static ngx_int_t
ngx_http_ollama_send_error(ngx_http_request_t *r, ngx_http_ollama_ctx_t *ctx,
    ngx_chain_t *in)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl, out;

    for (cl = in; cl; cl = cl->next) {
        cl->buf->pos = cl->buf->last;
        cl->buf->file_pos = cl->buf->file_last;
    }

    if (ctx->refusal.page_sent) {
        return NGX_OK;
    }

    ctx->refusal.page_sent = 1;

    ngx_http_ollama_usage_passed(ctx, ctx->refusal.page.len);

    /* nginx may yet wait for the rest of the request */

    ngx_http_ollama_request_answered(ctx);

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->memory = 1;
    b->pos = ctx->refusal.page.data;
    b->last = b->pos + ctx->refusal.page.len;
    b->last_buf = 1;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_next_body_filter(r, &out);
}


static ngx_int_t
ngx_http_ollama_request_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_http_ollama_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_ollama_module);

    if (ctx == NULL) {
        return ngx_http_next_request_body_filter(r, in);
    }

    if (ctx->unpack) {
        return ngx_http_ollama_unpack(ctx, in,
                                      ngx_http_ollama_request_body_plain);
    }

    return ngx_http_ollama_request_body_plain(r, in);
}


static ngx_int_t
ngx_http_ollama_request_body_plain(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_http_ollama_body_scan(ngx_http_get_module_ctx(r,
                                                      ngx_http_ollama_module),
                              in);

    return ngx_http_next_request_body_filter(r, in);
}


static ngx_int_t
ngx_http_ollama_filter_init(ngx_conf_t *cf)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_ollama_header_filter;

    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_ollama_body_filter;

    ngx_http_ollama_keepalive_init(ngx_http_next_body_filter);

    ngx_http_next_request_body_filter = ngx_http_top_request_body_filter;
    ngx_http_top_request_body_filter = ngx_http_ollama_request_body_filter;

    return NGX_OK;
}
