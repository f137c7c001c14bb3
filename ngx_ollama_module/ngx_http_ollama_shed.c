
#include "ngx_http_ollama_shed.h"
#include "ngx_http_ollama_record.h"


#define NGX_HTTP_OLLAMA_LONG    32768
#define NGX_HTTP_OLLAMA_AGAIN   50          /* ms */


static ngx_uint_t ngx_http_ollama_shed_idle(ngx_http_request_t *r);
static ngx_int_t ngx_http_ollama_shed_try(ngx_http_ollama_ctx_t *ctx);
static void ngx_http_ollama_shed_memory(ngx_http_request_t *r, ngx_buf_t *b);
static void ngx_http_ollama_shed_handler(ngx_event_t *ev);


/* requests of this worker whose bodies wait for room in the outbox */

static ngx_queue_t       ngx_http_ollama_shed_waiting;
static ngx_event_t       ngx_http_ollama_shed_timer;
static ngx_connection_t  ngx_http_ollama_shed_dummy;


void
ngx_http_ollama_shed_init_process(ngx_log_t *log)
{
    ngx_event_t  *ev;

    ngx_queue_init(&ngx_http_ollama_shed_waiting);

    ev = &ngx_http_ollama_shed_timer;

    ngx_memzero(ev, sizeof(ngx_event_t));
    ngx_memzero(&ngx_http_ollama_shed_dummy, sizeof(ngx_connection_t));

    ngx_http_ollama_shed_dummy.fd = (ngx_socket_t) -1;

    ev->handler = ngx_http_ollama_shed_handler;
    ev->data = &ngx_http_ollama_shed_dummy;
    ev->log = log;
    ev->cancelable = 1;
}


void
ngx_http_ollama_shed(ngx_http_ollama_ctx_t *ctx)
{
    if (ctx->body.size < NGX_HTTP_OLLAMA_LONG
        || ctx->finished
        || ctx->body.shed
        || ctx->body.shedding
        || !ngx_http_ollama_shed_idle(ctx->request))
    {
        return;
    }

    if (ngx_http_ollama_shed_try(ctx) == NGX_OK) {
        return;
    }

    ctx->body.shedding = 1;

    ngx_queue_insert_tail(&ngx_http_ollama_shed_waiting, &ctx->body.queue);

    if (!ngx_http_ollama_shed_timer.timer_set) {
        ngx_add_timer(&ngx_http_ollama_shed_timer, NGX_HTTP_OLLAMA_AGAIN);
    }
}


void
ngx_http_ollama_shed_end(ngx_http_ollama_ctx_t *ctx)
{
    if (ctx->body.shedding) {
        ctx->body.shedding = 0;
        ngx_queue_remove(&ctx->body.queue);
    }
}


static ngx_uint_t
ngx_http_ollama_shed_idle(ngx_http_request_t *r)
{
    ngx_http_upstream_t  *u;

    u = r->upstream;

    return u
           && u->cleanup
           && u->header_sent
           && u->request_body_sent
           && r->main->count == 1;
}


static ngx_int_t
ngx_http_ollama_shed_try(ngx_http_ollama_ctx_t *ctx)
{
    ngx_http_request_t       *r;
    ngx_http_request_body_t  *rb;

    r = ctx->request;
    rb = r->request_body;

    if (rb->temp_file == NULL) {

        if (ngx_http_ollama_record_body(ctx) == NGX_AGAIN) {
            return NGX_AGAIN;
        }

        rb->bufs = NULL;
        ctx->body.bufs = NULL;
        r->upstream->request_bufs = NULL;
    }

    ctx->body.shed = 1;

    if (rb->buf) {
        ngx_http_ollama_shed_memory(r, rb->buf);
        rb->buf = NULL;
    }

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "ollama body shed: %O", ctx->body.size);

    return NGX_OK;
}


/*
 * What came along with the header is in a buffer of the connection: only what
 * has been allocated by itself is freed.  Its pages go at once, since malloc()
 * would keep them as long as anything behind them is in use.
 */

static void
ngx_http_ollama_shed_memory(ngx_http_request_t *r, ngx_buf_t *b)
{
    u_char            *start, *end;
    ngx_pool_large_t  *l;

    for (l = r->pool->large; l; l = l->next) {
        if (l->alloc == b->start) {
            break;
        }
    }

    if (l == NULL) {
        return;
    }

    start = ngx_align_ptr(b->start, ngx_pagesize);
    end = (u_char *) ((uintptr_t) b->end & ~((uintptr_t) ngx_pagesize - 1));

    if (start < end && madvise(start, end - start, MADV_DONTNEED) == -1) {
        ngx_log_error(NGX_LOG_WARN, r->connection->log, ngx_errno,
                      "madvise() failed, ignored");
    }

    (void) ngx_pfree(r->pool, b->start);
}


static void
ngx_http_ollama_shed_handler(ngx_event_t *ev)
{
    ngx_queue_t            *q;
    ngx_http_ollama_ctx_t  *ctx;

    while (!ngx_queue_empty(&ngx_http_ollama_shed_waiting)) {

        q = ngx_queue_head(&ngx_http_ollama_shed_waiting);
        ctx = ngx_queue_data(q, ngx_http_ollama_ctx_t, body.queue);

        if (ngx_http_ollama_shed_idle(ctx->request)
            && ngx_http_ollama_shed_try(ctx) == NGX_AGAIN)
        {
            ngx_add_timer(ev, NGX_HTTP_OLLAMA_AGAIN);
            return;
        }

        /* one that is idle no more comes again with the answer's next bytes */

        ngx_http_ollama_shed_end(ctx);
    }
}
