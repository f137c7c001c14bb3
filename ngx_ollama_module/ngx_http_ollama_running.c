
#include "ngx_http_ollama_running.h"
#include "ngx_http_ollama_board.h"
#include "ngx_http_ollama_outbox.h"
#include "ngx_http_ollama_record.h"


#define NGX_HTTP_OLLAMA_RUNNING_NEW   20        /* ms, until one is there */
#define NGX_HTTP_OLLAMA_RUNNING_MANY  1000      /* requests: less often */


static void ngx_http_ollama_running_timer_init(ngx_event_t *ev,
    ngx_event_handler_pt handler, ngx_log_t *log);
static void ngx_http_ollama_running_handler(ngx_event_t *ev);
static void ngx_http_ollama_running_new_handler(ngx_event_t *ev);
static void ngx_http_ollama_running_write(void);
static ngx_int_t ngx_http_ollama_running_put(ngx_http_ollama_ctx_t *ctx);
static void ngx_http_ollama_running_left(ngx_http_ollama_main_conf_t *omcf,
    u_char *frame, size_t len, uint32_t *mark);


static ngx_queue_t       ngx_http_ollama_requests;
static ngx_uint_t        ngx_http_ollama_has_board;
static uint32_t          ngx_http_ollama_nlisted;
static uint32_t          ngx_http_ollama_nrunning;
static uint32_t          ngx_http_ollama_nshown;        /* on the board */
static ngx_event_t       ngx_http_ollama_running_timer;
static ngx_event_t       ngx_http_ollama_running_new;
static ngx_connection_t  ngx_http_ollama_running_dummy;


void
ngx_http_ollama_running_init_process(ngx_http_ollama_running_t *running,
    ngx_log_t *log)
{
    ngx_queue_init(&ngx_http_ollama_requests);

    ngx_http_ollama_nlisted = 0;
    ngx_http_ollama_nrunning = 0;
    ngx_http_ollama_nshown = 0;

    ngx_http_ollama_has_board =
                       (ngx_http_ollama_board_open(running, log) == NGX_OK);

    ngx_memzero(&ngx_http_ollama_running_dummy, sizeof(ngx_connection_t));

    ngx_http_ollama_running_dummy.fd = (ngx_socket_t) -1;

    ngx_http_ollama_running_timer_init(&ngx_http_ollama_running_timer,
                                       ngx_http_ollama_running_handler, log);
    ngx_http_ollama_running_timer_init(&ngx_http_ollama_running_new,
                                       ngx_http_ollama_running_new_handler,
                                       log);
}


static void
ngx_http_ollama_running_timer_init(ngx_event_t *ev,
    ngx_event_handler_pt handler, ngx_log_t *log)
{
    ngx_memzero(ev, sizeof(ngx_event_t));

    ev->handler = handler;
    ev->data = &ngx_http_ollama_running_dummy;
    ev->log = log;
    ev->cancelable = 1;
}


void
ngx_http_ollama_running_exit_process(void)
{
    if (ngx_http_ollama_has_board) {
        ngx_http_ollama_board_close();
        ngx_http_ollama_has_board = 0;
    }
}


void
ngx_http_ollama_running_add(ngx_http_ollama_ctx_t *ctx)
{
    if (!ngx_http_ollama_has_board) {
        return;
    }

    if (ctx->listed) {

        if (ctx->unlisted) {
            ctx->unlisted = 0;
            ngx_http_ollama_nrunning++;
        }

        return;
    }

    ngx_queue_insert_tail(&ngx_http_ollama_requests, &ctx->running);

    ngx_http_ollama_nlisted++;
    ngx_http_ollama_nrunning++;
    ctx->listed = 1;

    if (!ngx_http_ollama_running_new.timer_set) {
        ngx_add_timer(&ngx_http_ollama_running_new,
                      NGX_HTTP_OLLAMA_RUNNING_NEW);
    }
}


void
ngx_http_ollama_running_answered(ngx_http_ollama_ctx_t *ctx)
{
    if (ctx->listed && !ctx->unlisted) {
        ctx->unlisted = 1;
        ngx_http_ollama_nrunning--;
    }
}


void
ngx_http_ollama_running_remove(ngx_http_ollama_ctx_t *ctx)
{
    if (!ctx->listed) {
        return;
    }

    ngx_http_ollama_running_answered(ctx);

    ngx_queue_remove(&ctx->running);

    ngx_http_ollama_nlisted--;
    ctx->listed = 0;
    ctx->board = 0;
}


uint32_t *
ngx_http_ollama_running_mark(ngx_http_ollama_ctx_t *ctx)
{
    return ctx->board ? ngx_http_ollama_board_mark(ctx->board) : NULL;
}


ngx_http_ollama_ctx_t *
ngx_http_ollama_running_first(void)
{
    ngx_queue_t  *q;

    if (!ngx_http_ollama_has_board
        || ngx_queue_empty(&ngx_http_ollama_requests))
    {
        return NULL;
    }

    q = ngx_queue_head(&ngx_http_ollama_requests);

    return ngx_queue_data(q, ngx_http_ollama_ctx_t, running);
}


/* the timer ends with the first empty list: that one has been written, too */

static void
ngx_http_ollama_running_handler(ngx_event_t *ev)
{
    ngx_msec_t  next;

    if (ngx_http_ollama_nlisted == 0 && ngx_http_ollama_nshown == 0) {
        return;
    }

    ngx_http_ollama_running_write();

    next = NGX_HTTP_OLLAMA_RUNNING;

    if (ngx_http_ollama_nlisted > NGX_HTTP_OLLAMA_RUNNING_MANY) {
        next *= 4;
    }

    ngx_add_timer(ev, next);
}


/*
 * Requests that have lasted long enough to be worth it are put behind those on
 * the board: should the worker be killed now, they are not lost.
 */

static void
ngx_http_ollama_running_new_handler(ngx_event_t *ev)
{
    ngx_queue_t            *q;
    ngx_http_ollama_ctx_t  *ctx;

    if (!ngx_http_ollama_running_timer.timer_set) {
        ngx_http_ollama_running_handler(&ngx_http_ollama_running_timer);
        return;
    }

    ngx_http_ollama_board_append();

    /* the new ones are the last; in their order they are from the next list on */

    for (q = ngx_queue_last(&ngx_http_ollama_requests);
         q != ngx_queue_sentinel(&ngx_http_ollama_requests);
         q = ngx_queue_prev(q))
    {
        ctx = ngx_queue_data(q, ngx_http_ollama_ctx_t, running);

        if (ctx->board || ngx_http_ollama_running_put(ctx) != NGX_OK) {
            break;
        }
    }

    ngx_http_ollama_board_show(ngx_http_ollama_nrunning);
}


static void
ngx_http_ollama_running_write(void)
{
    ngx_queue_t            *q;
    ngx_http_ollama_ctx_t  *ctx;

    ngx_http_ollama_board_begin();

    for (q = ngx_queue_head(&ngx_http_ollama_requests);
         q != ngx_queue_sentinel(&ngx_http_ollama_requests);
         q = ngx_queue_next(q))
    {
        ctx = ngx_queue_data(q, ngx_http_ollama_ctx_t, running);

        ctx->board = 0;

        (void) ngx_http_ollama_running_put(ctx);
    }

    ngx_http_ollama_board_show(ngx_http_ollama_nrunning);

    ngx_http_ollama_nshown = ngx_http_ollama_nlisted;
}


static ngx_int_t
ngx_http_ollama_running_put(ngx_http_ollama_ctx_t *ctx)
{
    size_t   n;
    u_char  *p;

    p = ngx_http_ollama_board_room();
    if (p == NULL) {
        return NGX_DECLINED;
    }

    n = ngx_http_ollama_record_running(ctx, p, OLLAMA_RECORD_MAX);

    if (n) {
        ctx->board = ngx_http_ollama_board_add(n, ctx->unlisted
                                             ? NGX_HTTP_OLLAMA_BOARD_ANSWERED
                                             : NGX_HTTP_OLLAMA_BOARD_RUNS);
    }

    return NGX_OK;
}


void
ngx_http_ollama_running_bury(ngx_http_ollama_main_conf_t *omcf)
{
    ngx_http_ollama_board_bury(omcf, ngx_http_ollama_running_left);
}


static void
ngx_http_ollama_running_left(ngx_http_ollama_main_conf_t *omcf, u_char *frame,
    size_t len, uint32_t *mark)
{
    u_char                    buf[OLLAMA_RECORD_MAX];
    ollama_record_request_t   record;
    ngx_http_ollama_charge_t  charge;

    /* it may have been killed between its record and the mark */

    ngx_http_ollama_outbox_settle(omcf->outbox);

    if (*mark == NGX_HTTP_OLLAMA_BOARD_RECORDED) {
        return;
    }

    len = ollama_record_running_finish(buf, sizeof(buf), frame, len,
                                       OLLAMA_RECORD_WORKER_GONE,
                                       "the worker was killed", &record);
    if (len == 0) {
        return;
    }

    (void) ngx_http_ollama_outbox_put_record(omcf->outbox, buf, len,
                                             record.time, mark);

    charge.tokens = record.prompt + record.completion;
    charge.cost = record.cost;
    charge.guess = record.priced ? 0 : ollama_price_cost(&omcf->usual_price,
                                                         record.prompt,
                                                         record.cached,
                                                         record.completion);

    ngx_http_ollama_pool_book(omcf->pool, record.key, &charge);
}
