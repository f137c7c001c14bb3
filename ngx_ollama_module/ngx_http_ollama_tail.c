
#include "ngx_http_ollama_tail.h"
#include "ngx_http_ollama_usage.h"
#include "core/stream_error.h"


#define NGX_HTTP_OLLAMA_TAIL_TEXT    "the answer broke off before its end"

#define NGX_HTTP_OLLAMA_TAIL_MAX                                              \
    OLLAMA_STREAM_ERROR_MAX(sizeof(NGX_HTTP_OLLAMA_TAIL_TEXT))

#define NGX_HTTP_OLLAMA_TAIL_ID      "\"id\":\"resp_"
#define NGX_HTTP_OLLAMA_TAIL_PREFIX  (sizeof("\"id\":\"") - 1)


static ngx_int_t ngx_http_ollama_tail_filter_init(void *data);
static ngx_int_t ngx_http_ollama_tail_read(void *data, ssize_t bytes);
static ngx_int_t ngx_http_ollama_tail_pipe(ngx_event_pipe_t *p,
    ngx_buf_t *buf);
static ngx_int_t ngx_http_ollama_tail_unread(ngx_http_request_t *r,
    ngx_int_t rc);
static void ngx_http_ollama_tail_finalize(ngx_http_request_t *r,
    ngx_int_t rc);
static ollama_stream_e ngx_http_ollama_tail_stream(ngx_http_ollama_ctx_t *ctx);
static ngx_int_t ngx_http_ollama_tail_error(ngx_http_ollama_ctx_t *ctx,
    ngx_uint_t broken);
static ngx_int_t ngx_http_ollama_tail_feeds(ngx_http_ollama_ctx_t *ctx,
    ngx_uint_t n);
static ngx_int_t ngx_http_ollama_tail_filter(ngx_http_request_t *r,
    ngx_chain_t *in);


static ngx_http_output_body_filter_pt  ngx_http_ollama_tail_next;


void
ngx_http_ollama_tail_start(ngx_http_ollama_ctx_t *ctx)
{
    ngx_http_request_t      *r;
    ngx_http_upstream_t     *u;
    ngx_http_ollama_tail_t  *tail;

    if (ngx_http_ollama_usage_stream(ctx) != OLLAMA_STREAM_CUT) {
        return;
    }

    r = ctx->request;
    u = r->upstream;
    tail = &ctx->tail;

    if (u->finalize_request != ngx_http_ollama_tail_finalize) {
        tail->finalize_request = u->finalize_request;
        u->finalize_request = ngx_http_ollama_tail_finalize;
    }

    if (u->headers_in.chunked
        && u->input_filter_init != ngx_http_ollama_tail_filter_init)
    {
        tail->input_filter_init = u->input_filter_init;
        u->input_filter_init = ngx_http_ollama_tail_filter_init;
    }

    tail->look = (ollama_usage_family(ctx->endpoint.data, ctx->endpoint.len)
                  == OLLAMA_USAGE_FAMILY_RESPONSES);

    /* an answer that is cut is not as long as it was said to be */

    ngx_http_clear_content_length(r);
}


/* the id of the response, which stands near the beginning */

void
ngx_http_ollama_tail_look(ngx_http_ollama_ctx_t *ctx, u_char *p, size_t n)
{
    size_t                   len;
    u_char                  *id, *last;
    ngx_http_ollama_tail_t  *tail;

    tail = &ctx->tail;

    n = ngx_min(n, 1024);

    if (ctx->answer.bytes >= 1024) {
        tail->look = 0;
        return;
    }

    id = memmem(p, n, NGX_HTTP_OLLAMA_TAIL_ID,
                sizeof(NGX_HTTP_OLLAMA_TAIL_ID) - 1);

    if (id == NULL) {
        return;
    }

    id += NGX_HTTP_OLLAMA_TAIL_PREFIX;
    last = ngx_strlchr(id, p + n, '"');

    if (last == NULL) {
        return;
    }

    tail->look = 0;

    len = last - id;

    if (len > OLLAMA_STREAM_ID_MAX) {
        return;
    }

    tail->id.data = ngx_pnalloc(ctx->request->pool, len);

    if (tail->id.data) {
        ngx_memcpy(tail->id.data, id, len);
        tail->id.len = len;
    }
}


/*
 * When chunks cannot be parsed nginx closes the client's connection at once.
 * Behind a whole answer, whose last chunk the client has got, that would hit
 * the next request on the connection: so what is wrong with the cloud's is the
 * end of the answer there.
 */

static ngx_int_t
ngx_http_ollama_tail_filter_init(void *data)
{
    ngx_int_t                rc;
    ngx_http_request_t      *r;
    ngx_http_upstream_t     *u;
    ngx_http_ollama_tail_t  *tail;

    r = data;
    u = r->upstream;
    tail = &ngx_http_ollama_get_ctx(r)->tail;

    u->input_filter_init = tail->input_filter_init;

    rc = u->input_filter_init(data);

    tail->input_filter = u->input_filter;
    u->input_filter = ngx_http_ollama_tail_read;

    if (u->pipe) {
        tail->pipe_filter = u->pipe->input_filter;
        u->pipe->input_filter = ngx_http_ollama_tail_pipe;
    }

    return rc;
}


static ngx_int_t
ngx_http_ollama_tail_read(void *data, ssize_t bytes)
{
    ngx_http_request_t  *r;

    r = data;

    return ngx_http_ollama_tail_unread(r,
                  ngx_http_ollama_get_ctx(r)->tail.input_filter(data, bytes));
}


static ngx_int_t
ngx_http_ollama_tail_pipe(ngx_event_pipe_t *p, ngx_buf_t *buf)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = p->input_ctx;

    rc = ngx_http_ollama_get_ctx(r)->tail.pipe_filter(p, buf);

    if (rc != NGX_ERROR || ngx_http_ollama_tail_unread(r, rc) != NGX_OK) {
        return rc;
    }

    p->upstream_done = 1;

    return buf->shadow ? NGX_OK : ngx_event_pipe_add_free_buf(p, buf);
}


static ngx_int_t
ngx_http_ollama_tail_unread(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_http_upstream_t    *u;
    ngx_http_ollama_ctx_t  *ctx;

    if (rc != NGX_ERROR) {
        return rc;
    }

    ctx = ngx_http_ollama_get_ctx(r);

    if (ngx_http_ollama_tail_stream(ctx) != OLLAMA_STREAM_WHOLE
        || !ngx_http_ollama_usage(ctx)->terminal)
    {
        return rc;
    }

    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "ollama stream is whole, whatever comes behind it");

    u = r->upstream;
    u->length = 0;
    u->keepalive = 0;

    return NGX_OK;
}


/*
 * nginx ends an answer that broke off with a flush of its own, unless it has
 * not understood its chunks: then it goes to close the connection at once.
 */

static void
ngx_http_ollama_tail_finalize(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_connection_t       *c;
    ngx_http_upstream_t    *u;
    ngx_http_ollama_ctx_t  *ctx;

    u = r->upstream;
    c = r->connection;
    ctx = ngx_http_ollama_get_ctx(r);

    ctx->tail.finalize_request(r, rc);
    ctx->tail.keepalive = r->keepalive;

    if (rc != NGX_ERROR || !u->header_sent
        || c->error || c->timedout || c->close
        || (u->pipe && u->pipe->downstream_error))
    {
        return;
    }

    (void) ngx_http_send_special(r, NGX_HTTP_FLUSH);
}


ngx_uint_t
ngx_http_ollama_tail_is_end(ngx_http_request_t *r, ngx_buf_t *b)
{
    return b->last_buf
           || (b->flush && r->upstream && r->upstream->cleanup == NULL);
}


ngx_http_output_body_filter_pt
ngx_http_ollama_tail_end(ngx_http_ollama_ctx_t *ctx, ngx_buf_t *b,
    ngx_http_output_body_filter_pt next)
{
    ngx_uint_t               broken;
    ollama_stream_e          stream;
    ngx_http_request_t      *r;
    ngx_http_ollama_tail_t  *tail;

    r = ctx->request;
    tail = &ctx->tail;

    stream = ngx_http_ollama_tail_stream(ctx);

    if (stream == OLLAMA_STREAM_NONE) {

        if (b->last_buf) {
            ngx_http_ollama_usage_ended(ctx);
        }

        return next;
    }

    tail->passed = 1;
    broken = ngx_http_ollama_usage_broken(ctx);

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "ollama stream ends: %s, broken:%ui last:%ui",
                   stream == OLLAMA_STREAM_CUT ? "cut" : "whole", broken,
                   (ngx_uint_t) b->last_buf);

    if (stream == OLLAMA_STREAM_CUT) {
        tail->cut = 1;
        r->keepalive = 0;

        (void) ngx_http_ollama_tail_error(ctx, broken);

    } else {

        /* what has ended in order is left as it came */

        if (b->last_buf) {
            ngx_http_ollama_usage_ended(ctx);
            return next;
        }

        if (ngx_http_ollama_usage(ctx)->terminal) {

            /* the client's connection is as good as before */

            b->last_buf = 1;
            r->keepalive = tail->keepalive;

            ngx_http_ollama_usage_ended(ctx);

        } else {
            tail->cut = 1;
        }

        /* an event counts only behind its blank line */

        if (broken && ctx->route->family != OLLAMA_FAMILY_NATIVE) {
            (void) ngx_http_ollama_tail_feeds(ctx, broken);
        }
    }

    if (tail->buf == NULL) {

        if (tail->cut) {
            b->last_buf = 0;
            b->flush = 1;
        }

        return next;
    }

    /* whoever holds something back gives it out before the last one */

    b->last_buf = 1;

    ngx_http_ollama_tail_next = next;

    return ngx_http_ollama_tail_filter;
}


static ollama_stream_e
ngx_http_ollama_tail_stream(ngx_http_ollama_ctx_t *ctx)
{
    if (ctx->tail.finalize_request == NULL || ctx->tail.passed
        || ctx->request->connection->error)
    {
        return OLLAMA_STREAM_NONE;
    }

    return ngx_http_ollama_usage_stream(ctx);
}


static ngx_int_t
ngx_http_ollama_tail_error(ngx_http_ollama_ctx_t *ctx, ngx_uint_t broken)
{
    ngx_buf_t                    *b;
    ngx_http_ollama_tail_t       *tail;
    ollama_stream_response_t      response;
    const ollama_usage_result_t  *usage;

    tail = &ctx->tail;
    usage = ngx_http_ollama_usage(ctx);

    b = ngx_create_temp_buf(ctx->request->pool, NGX_HTTP_OLLAMA_TAIL_MAX);
    if (b == NULL) {
        return NGX_ERROR;
    }

    response.id = (char *) tail->id.data;
    response.id_len = tail->id.len;
    response.model = usage->model;
    response.model_len = usage->model_len;
    response.events = usage->documents;
    response.created = ngx_time();

    b->last += ollama_stream_error(ollama_usage_family(ctx->endpoint.data,
                                                       ctx->endpoint.len),
                                   &response, NGX_HTTP_BAD_GATEWAY,
                                   NGX_HTTP_OLLAMA_TAIL_TEXT,
                                   sizeof(NGX_HTTP_OLLAMA_TAIL_TEXT) - 1,
                                   broken, b->pos, b->end - b->pos);
    tail->buf = b;

    return NGX_OK;
}


static ngx_int_t
ngx_http_ollama_tail_feeds(ngx_http_ollama_ctx_t *ctx, ngx_uint_t n)
{
    ngx_buf_t  *b;

    b = ngx_create_temp_buf(ctx->request->pool, n);
    if (b == NULL) {
        return NGX_ERROR;
    }

    ngx_memset(b->pos, LF, n);

    b->last += n;
    ctx->tail.buf = b;

    return NGX_OK;
}


/* what is left of the answer, and the tail behind it */

static ngx_int_t
ngx_http_ollama_tail_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_int_t                rc;
    ngx_buf_t               *b;
    ngx_chain_t             *cl, *next, *out, **last;
    ngx_http_ollama_ctx_t   *ctx;
    ngx_http_ollama_tail_t  *tail;

    ctx = ngx_http_get_module_ctx(r, ngx_http_ollama_module);
    tail = &ctx->tail;

    out = NULL;
    last = &out;

    for (cl = in; cl; cl = cl->next) {
        b = cl->buf;

        if (b->last_buf) {
            b->last_buf = 0;
            b->flush = 1;
        }

        *last = ngx_alloc_chain_link(r->pool);
        if (*last == NULL) {
            return NGX_ERROR;
        }

        (*last)->buf = b;
        (*last)->next = NULL;
        last = &(*last)->next;
    }

    *last = ngx_alloc_chain_link(r->pool);
    if (*last == NULL) {
        return NGX_ERROR;
    }

    b = tail->buf;
    b->last_buf = !tail->cut;
    b->flush = 1;

    (*last)->buf = b;
    (*last)->next = NULL;

    ngx_http_ollama_usage_passed(ctx, b->last - b->pos);

    rc = ngx_http_ollama_tail_next(r, out);

    for (cl = out; cl; cl = next) {
        next = cl->next;
        ngx_free_chain(r->pool, cl);
    }

    return rc;
}
