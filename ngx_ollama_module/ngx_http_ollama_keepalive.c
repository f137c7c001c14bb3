
#include "ngx_http_ollama_keepalive.h"
#include "ngx_http_ollama_respond.h"
#include "core/sse_gap.h"
#include "core/stream_error.h"


struct ngx_http_ollama_keepalive_s {
    ngx_event_t                  event;
    ngx_http_ollama_ctx_t       *ctx;

    ngx_msec_t                   interval;
    ngx_msec_t                   last;      /* when bytes went out */
    ngx_chain_t                  out;       /* a ping */
    ollama_usage_family_e        family;
    unsigned                     gap;       /* core/sse_gap.h */

    unsigned                     opening:1; /* the header goes out, */
    unsigned                     open:1;    /*   is out by itself */
    unsigned                     pinging:1;
    unsigned                     answer:1;  /* the cloud's has begun */
    unsigned                     ended:1;
};


static void ngx_http_ollama_keepalive_handler(ngx_event_t *ev);
static ngx_int_t ngx_http_ollama_keepalive_ping(
    ngx_http_ollama_keepalive_t *ka);
static ngx_int_t ngx_http_ollama_keepalive_begin(
    ngx_http_ollama_keepalive_t *ka);
static ngx_int_t ngx_http_ollama_keepalive_send(
    ngx_http_ollama_keepalive_t *ka);
static void ngx_http_ollama_keepalive_gone(ngx_http_ollama_keepalive_t *ka);
static void ngx_http_ollama_keepalive_end(void *data);


static ngx_http_output_body_filter_pt  ngx_http_ollama_keepalive_next;


void
ngx_http_ollama_keepalive_init(ngx_http_output_body_filter_pt next)
{
    ngx_http_ollama_keepalive_next = next;
}


ngx_int_t
ngx_http_ollama_keepalive_start(ngx_http_ollama_ctx_t *ctx)
{
    ngx_http_request_t           *r;
    ngx_http_cleanup_t           *cln;
    ngx_http_ollama_loc_conf_t   *olcf;
    ngx_http_ollama_keepalive_t  *ka;

    r = ctx->request;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_ollama_module);

    if (olcf->keepalive == 0
        || ctx->keepalive
        || !ctx->body.streaming
        || ctx->route->kind != OLLAMA_ROUTE_INFERENCE
        || ctx->route->family == OLLAMA_FAMILY_NATIVE
        || ngx_strcmp(ctx->route->name, "v1_embeddings") == 0
        || r->http_version < NGX_HTTP_VERSION_10
        || r->err_status)
    {
        return NGX_OK;
    }

    ka = ngx_pcalloc(r->pool, sizeof(ngx_http_ollama_keepalive_t));
    if (ka == NULL) {
        return NGX_ERROR;
    }

    ka->out.buf = ngx_calloc_buf(r->pool);
    if (ka->out.buf == NULL) {
        return NGX_ERROR;
    }

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_ollama_keepalive_end;
    cln->data = ka;

    ka->ctx = ctx;
    ka->interval = olcf->keepalive;
    ka->last = ngx_current_msec;
    ka->gap = OLLAMA_SSE_GAP;
    ka->family = ollama_usage_family(ctx->endpoint.data, ctx->endpoint.len);

    ka->event.handler = ngx_http_ollama_keepalive_handler;
    ka->event.data = r->connection;
    ka->event.log = r->connection->log;

    ngx_add_timer(&ka->event, ka->interval);

    ctx->keepalive = ka;

    return NGX_OK;
}


ngx_uint_t
ngx_http_ollama_keepalive_opens(ngx_http_ollama_ctx_t *ctx)
{
    return ctx->keepalive->opening;
}


ngx_uint_t
ngx_http_ollama_keepalive_open(ngx_http_ollama_ctx_t *ctx)
{
    return ctx->keepalive->open;
}


ngx_uint_t
ngx_http_ollama_keepalive_pings(ngx_http_ollama_ctx_t *ctx)
{
    return ctx->keepalive->pinging;
}


static void
ngx_http_ollama_keepalive_handler(ngx_event_t *ev)
{
    ngx_int_t                     rc;
    ngx_msec_t                    silence;
    ngx_connection_t             *c;
    ngx_http_request_t           *r;
    ngx_http_ollama_keepalive_t  *ka;

    ka = (ngx_http_ollama_keepalive_t *)
         ((u_char *) ev - offsetof(ngx_http_ollama_keepalive_t, event));

    r = ka->ctx->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    silence = ngx_current_msec - ka->last;

    if (silence < ka->interval) {
        ngx_add_timer(ev, ka->interval - silence);
        return;
    }

    rc = ngx_http_ollama_keepalive_ping(ka);

    if (rc == NGX_ERROR) {
        ngx_http_ollama_keepalive_gone(ka);

    } else if (!ka->ended) {
        ngx_add_timer(ev, ka->interval);
    }

    ngx_http_run_posted_requests(c);
}


static ngx_int_t
ngx_http_ollama_keepalive_ping(ngx_http_ollama_keepalive_t *ka)
{
    ngx_connection_t       *c;
    ngx_http_request_t     *r;
    ngx_http_ollama_ctx_t  *ctx;

    ctx = ka->ctx;
    r = ctx->request;
    c = r->connection;

    if (r->done || c->error || c->timedout || r->err_status
        || (ka->answer && r->upstream && r->upstream->cleanup == NULL))
    {
        /* it ends without us */

        ka->ended = 1;
        return NGX_OK;
    }

    if (r->aio) {
        return NGX_OK;
    }

    if (c->buffered || r->buffered) {

        /* the client does not read, or has begun again to */

        return ka->open && !ka->answer ? ngx_http_output_filter(r, NULL)
                                       : NGX_OK;
    }

    if (!ollama_sse_gap_open(ka->gap)
        || (ctx->state != NGX_HTTP_OLLAMA_WAITING
            && ctx->state != NGX_HTTP_OLLAMA_GRANTED))
    {
        return NGX_OK;
    }

    if (!ka->open && !ka->answer
        && ngx_http_ollama_keepalive_begin(ka) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_ollama_keepalive_send(ka);
}


static ngx_int_t
ngx_http_ollama_keepalive_begin(ngx_http_ollama_keepalive_t *ka)
{
    ngx_int_t            rc;
    ngx_str_t            value;
    ngx_http_request_t  *r;

    r = ka->ctx->request;

    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "ollama stream begins with a ping");

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.status_line.len = 0;

    ngx_str_set(&r->headers_out.content_type, "text/event-stream");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;

    ngx_http_clear_content_length(r);

    r->disable_not_modified = 1;
    r->allow_ranges = 0;

    ngx_str_set(&value, "no-cache");

    if (ngx_http_ollama_add_header(r, "Cache-Control", &value) == NULL) {
        return NGX_ERROR;
    }

    ngx_str_set(&value, "no");

    if (ngx_http_ollama_add_header(r, "X-Accel-Buffering", &value) == NULL) {
        return NGX_ERROR;
    }

    ka->opening = 1;

    rc = ngx_http_send_header(r);

    ka->opening = 0;

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return NGX_ERROR;
    }

    ka->open = 1;

    /* what comes next has a header, too, and a status that is not known yet */

    r->header_sent = 0;
    r->headers_out.status = 0;
    ngx_str_null(&r->headers_out.content_type);
    r->headers_out.content_type_len = 0;
    r->headers_out.content_encoding = NULL;

    /* no redirect: the filters would forget how the body goes out */

    r->error_page = 1;

    ngx_http_set_ctx(r, ka, ngx_http_ollama_filter_module);

    return NGX_OK;
}


static ngx_int_t
ngx_http_ollama_keepalive_send(ngx_http_ollama_keepalive_t *ka)
{
    ngx_int_t            rc;
    ngx_buf_t           *b;
    ngx_str_t            ping;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = ka->ctx->request;
    c = r->connection;

    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, c->log, 0, "ollama ping");

    if (ka->family == OLLAMA_USAGE_FAMILY_ANTHROPIC) {
        ngx_str_set(&ping, "event: ping\ndata: {\"type\":\"ping\"}\n\n");

    } else {
        ngx_str_set(&ping, ": ping\n\n");
    }

    /* the last one is sent: nothing is buffered */

    b = ka->out.buf;

    b->pos = ping.data;
    b->last = ping.data + ping.len;
    b->memory = 1;
    b->flush = 1;

    ka->out.next = NULL;
    ka->pinging = 1;

    rc = ngx_http_output_filter(r, &ka->out);

    ka->pinging = 0;
    ka->last = ngx_current_msec;

    if (rc == NGX_ERROR || c->error) {
        return NGX_ERROR;
    }

    if (c->buffered && ngx_handle_write_event(c->write, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* as nginx finds it out when it reads from the client */

static void
ngx_http_ollama_keepalive_gone(ngx_http_ollama_keepalive_t *ka)
{
    ngx_http_request_t  *r;

    r = ka->ctx->request;

    ka->ended = 1;

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "client closed connection while a ping was sent");

    r->connection->error = 1;

    if (r->upstream) {
        r->read_event_handler(r);
        return;
    }

    ngx_http_finalize_request(r, NGX_HTTP_CLIENT_CLOSED_REQUEST);
}


static void
ngx_http_ollama_keepalive_end(void *data)
{
    ngx_http_ollama_keepalive_t  *ka = data;

    ka->ended = 1;

    if (ka->event.timer_set) {
        ngx_del_timer(&ka->event);
    }
}


ngx_uint_t
ngx_http_ollama_keepalive_stream(ngx_http_ollama_ctx_t *ctx)
{
    ngx_http_request_t           *r;
    ngx_http_ollama_keepalive_t  *ka;

    r = ctx->request;
    ka = ctx->keepalive;

    if (r->headers_out.status != NGX_HTTP_OK
        || r->header_only
        || r->headers_out.content_encoding
        || ollama_usage_format((char *) r->headers_out.content_type.data,
                               r->headers_out.content_type.len)
           != OLLAMA_FORMAT_SSE)
    {
        ngx_http_ollama_keepalive_end(ka);
        return 0;
    }

    ka->answer = 1;
    ka->last = ngx_current_msec;

    return 1;
}


ngx_int_t
ngx_http_ollama_keepalive_tell(ngx_http_ollama_ctx_t *ctx,
    ngx_uint_t from_cloud)
{
    size_t                        size;
    ngx_str_t                     text, *page;
    ngx_http_request_t           *r;
    ollama_stream_response_t      response;
    ngx_http_ollama_keepalive_t  *ka;

    r = ctx->request;
    ka = ctx->keepalive;
    page = &ctx->refusal.page;

    if (r->headers_out.status < NGX_HTTP_BAD_REQUEST) {
        r->headers_out.status = NGX_HTTP_BAD_GATEWAY;
        ngx_str_set(&text, "the cloud's answer is no stream of events");

    } else if (from_cloud && ctx->trace.said.len) {
        text = ctx->trace.said;

    } else {
        ngx_http_ollama_error_text(ctx, r->headers_out.status, &text);
    }

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "ollama stream is told %ui: %V", r->headers_out.status,
                   &text);

    size = OLLAMA_STREAM_ERROR_MAX(text.len);

    page->data = ngx_pnalloc(r->pool, size);
    if (page->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(&response, sizeof(ollama_stream_response_t));

    response.model = (char *) ctx->body.model.data;
    response.model_len = ngx_min(ctx->body.model.len, OLLAMA_USAGE_MODEL_MAX);
    response.created = ngx_time();

    page->len = ollama_stream_error(ka->family, &response,
                                    r->headers_out.status,
                                    (char *) text.data, text.len, 0,
                                    page->data, size);

    return page->len ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_http_ollama_keepalive_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_buf_t                    *b;
    ngx_chain_t                  *cl;
    ngx_http_ollama_ctx_t        *ctx;
    ngx_http_ollama_keepalive_t  *ka;

    ctx = ngx_http_get_module_ctx(r, ngx_http_ollama_module);
    ka = ctx->keepalive;

    for (cl = in; cl; cl = cl->next) {
        b = cl->buf;

        if (ngx_buf_in_memory(b)) {

            if (b->last > b->pos) {
                ka->gap = ollama_sse_gap(ka->gap, b->pos, b->last - b->pos);
                ka->last = ngx_current_msec;
            }

        } else if (b->in_file) {
            ka->gap = 0;
        }

        if (b->last_buf) {
            ka->ended = 1;
        }
    }

    return ngx_http_ollama_keepalive_next(r, in);
}
