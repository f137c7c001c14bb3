
#include "ngx_http_ollama_wait.h"
#include "ngx_http_ollama_trace.h"


#define NGX_HTTP_OLLAMA_POLL  10            /* ms */


static void ngx_http_ollama_wait_handler(ngx_event_t *ev);
static void ngx_http_ollama_wait_wake(ngx_http_ollama_ctx_t *ctx,
    ngx_int_t rc);


static ngx_http_ollama_pool_t  *ngx_http_ollama_wait_pool;
static ngx_queue_t              ngx_http_ollama_waiting;
static ngx_event_t              ngx_http_ollama_poll;
static ngx_event_t              ngx_http_ollama_kick;
static ngx_connection_t         ngx_http_ollama_dummy;


void
ngx_http_ollama_wait_init_process(ngx_http_ollama_pool_t *pool)
{
    ngx_http_ollama_wait_pool = pool;

    ngx_queue_init(&ngx_http_ollama_waiting);

    ngx_memzero(&ngx_http_ollama_poll, sizeof(ngx_event_t));
    ngx_memzero(&ngx_http_ollama_dummy, sizeof(ngx_connection_t));

    ngx_http_ollama_dummy.fd = (ngx_socket_t) -1;

    ngx_http_ollama_poll.handler = ngx_http_ollama_wait_handler;
    ngx_http_ollama_poll.data = &ngx_http_ollama_dummy;
    ngx_http_ollama_poll.log = ngx_cycle->log;

    ngx_http_ollama_kick = ngx_http_ollama_poll;
}


ngx_int_t
ngx_http_ollama_wait(ngx_http_ollama_ctx_t *ctx,
    ngx_http_ollama_srv_conf_t *conf, ngx_http_ollama_wake_pt wake)
{
    ngx_int_t  rc;

    rc = ngx_http_ollama_lease_wait(ctx->conf->pool, &ctx->lease, conf->index,
                                    conf->queue);

    if (rc != NGX_AGAIN) {
        return rc;
    }

    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, ctx->request->connection->log, 0,
                   "ollama request waits for a slot");

    ngx_http_ollama_trace_wait(ctx);

    ctx->wake = wake;
    ctx->wait_end = ctx->trace.wait_started + conf->queue_timeout;
    ctx->wait_more = 0;

    if (ctx->lease.hold) {

        /* it is let go with the others, in its turn, once a key is back */

        ctx->wait_more = conf->queue_timeout;
        ctx->wait_end = ngx_max(ctx->wait_end, ngx_current_msec
                                + (ctx->lease.hold - ngx_time() + 1) * 1000);
    }

    ngx_queue_insert_tail(&ngx_http_ollama_waiting, &ctx->wait);

    if (!ngx_http_ollama_poll.timer_set) {
        ngx_add_timer(&ngx_http_ollama_poll, NGX_HTTP_OLLAMA_POLL);
    }

    return NGX_AGAIN;
}


void
ngx_http_ollama_wait_end(ngx_http_ollama_ctx_t *ctx)
{
    if (ctx->wake) {
        ngx_queue_remove(&ctx->wait);
        ctx->wake = NULL;

        ngx_http_ollama_trace_waited(ctx);
    }
}


void
ngx_http_ollama_wait_kick(void)
{
    if (ngx_http_ollama_wait_pool
        && !ngx_queue_empty(&ngx_http_ollama_waiting)
        && ngx_http_ollama_pool_news(ngx_http_ollama_wait_pool))
    {
        ngx_post_event(&ngx_http_ollama_kick, &ngx_posted_events);
    }
}


static void
ngx_http_ollama_wait_handler(ngx_event_t *ev)
{
    ngx_int_t                 rc;
    ngx_queue_t              *q, *next;
    ngx_http_ollama_ctx_t    *ctx;
    ngx_http_ollama_lease_t  *lease;

    if (ngx_http_ollama_pool_news(ngx_http_ollama_wait_pool)) {

        for ( ;; ) {
            lease = ngx_http_ollama_pool_served(ngx_http_ollama_wait_pool,
                                                &rc);
            if (lease == NULL) {
                break;
            }

            ctx = (ngx_http_ollama_ctx_t *)
                  ((u_char *) lease - offsetof(ngx_http_ollama_ctx_t, lease));

            ngx_http_ollama_wait_wake(ctx, rc);
        }
    }

    for (q = ngx_queue_head(&ngx_http_ollama_waiting);
         q != ngx_queue_sentinel(&ngx_http_ollama_waiting);
         q = next)
    {
        next = ngx_queue_next(q);
        ctx = ngx_queue_data(q, ngx_http_ollama_ctx_t, wait);

        if ((ngx_msec_int_t) (ngx_current_msec - ctx->wait_end) < 0) {
            continue;
        }

        if (ctx->wait_more
            && ngx_http_ollama_lease_hopes(ngx_http_ollama_wait_pool,
                                           &ctx->lease))
        {
            ctx->wait_end += ctx->wait_more;
            ctx->wait_more = 0;
            continue;
        }

        ngx_http_ollama_wait_wake(ctx, NGX_BUSY);
    }

    if (!ngx_queue_empty(&ngx_http_ollama_waiting)
        && !ngx_http_ollama_poll.timer_set)
    {
        ngx_add_timer(&ngx_http_ollama_poll, NGX_HTTP_OLLAMA_POLL);
    }
}


static void
ngx_http_ollama_wait_wake(ngx_http_ollama_ctx_t *ctx, ngx_int_t rc)
{
    ngx_http_ollama_wake_pt  wake;

    wake = ctx->wake;

    ngx_http_ollama_wait_end(ctx);

    wake(ctx, rc);
}
