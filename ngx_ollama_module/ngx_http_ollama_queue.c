
/*
 * Requests of this worker that wait for a slot.  Who may go first is decided
 * in shared memory; here they are only asked again: at once when a request of
 * this worker has ended, and every few milliseconds for the slots which other
 * workers give back.  Without waiters there is no timer; with them it keeps
 * a worker from exiting after a reload.
 */

#include "ngx_http_ollama.h"


#define NGX_HTTP_OLLAMA_POLL  10


static void ngx_http_ollama_queue_handler(ngx_event_t *ev);
static void ngx_http_ollama_queue_ask(void);


static ngx_queue_t       ngx_http_ollama_waiting;
static ngx_event_t       ngx_http_ollama_poll;
static ngx_event_t       ngx_http_ollama_kick;
static ngx_connection_t  ngx_http_ollama_dummy;


void
ngx_http_ollama_queue_init_process(ngx_http_ollama_keys_t *keys)
{
    ngx_queue_init(&ngx_http_ollama_waiting);

    ngx_memzero(&ngx_http_ollama_poll, sizeof(ngx_event_t));
    ngx_memzero(&ngx_http_ollama_kick, sizeof(ngx_event_t));
    ngx_memzero(&ngx_http_ollama_dummy, sizeof(ngx_connection_t));

    ngx_http_ollama_dummy.fd = (ngx_socket_t) -1;

    ngx_http_ollama_poll.handler = ngx_http_ollama_queue_handler;
    ngx_http_ollama_poll.data = &ngx_http_ollama_dummy;
    ngx_http_ollama_poll.log = ngx_cycle->log;

    ngx_http_ollama_kick = ngx_http_ollama_poll;
}


void
ngx_http_ollama_queue_add(ngx_http_ollama_ctx_t *ctx,
    ngx_http_ollama_wake_pt wake)
{
    ctx->wake = wake;
    ctx->queued = 1;
    ctx->wait_since = ngx_current_msec;

    if (ctx->wait_started == 0) {
        ctx->wait_started = ngx_current_msec;
    }

    ngx_queue_insert_tail(&ngx_http_ollama_waiting, &ctx->queue);

    if (!ngx_http_ollama_poll.timer_set) {
        ngx_add_timer(&ngx_http_ollama_poll, NGX_HTTP_OLLAMA_POLL);
    }
}


void
ngx_http_ollama_queue_remove(ngx_http_ollama_ctx_t *ctx)
{
    if (ctx->queued) {
        ngx_queue_remove(&ctx->queue);
        ctx->queued = 0;
        ctx->waited += ngx_current_msec - ctx->wait_since;
    }
}


void
ngx_http_ollama_queue_kick(void)
{
    if (ngx_queue_empty(&ngx_http_ollama_waiting)) {
        return;
    }

    ngx_post_event(&ngx_http_ollama_kick, &ngx_posted_events);
}


static void
ngx_http_ollama_queue_handler(ngx_event_t *ev)
{
    ngx_http_ollama_queue_ask();

    if (!ngx_queue_empty(&ngx_http_ollama_waiting)
        && !ngx_http_ollama_poll.timer_set)
    {
        ngx_add_timer(&ngx_http_ollama_poll, NGX_HTTP_OLLAMA_POLL);
    }
}


static void
ngx_http_ollama_queue_ask(void)
{
    ngx_int_t               rc;
    ngx_queue_t            *q, *next;
    ngx_http_ollama_ctx_t  *ctx;

    for (q = ngx_queue_head(&ngx_http_ollama_waiting);
         q != ngx_queue_sentinel(&ngx_http_ollama_waiting);
         q = next)
    {
        next = ngx_queue_next(q);
        ctx = ngx_queue_data(q, ngx_http_ollama_ctx_t, queue);

        rc = ngx_http_ollama_keys_turn(ctx->conf->keys, &ctx->want,
                                       ctx->hold);

        if ((rc == NGX_AGAIN || rc == NGX_BUSY)
            && ngx_current_msec - ctx->wait_started
               < ctx->conf->queue_timeout)
        {
            continue;
        }

        ngx_http_ollama_queue_remove(ctx);

        ctx->wake(ctx, rc);
    }
}
