
#include "ngx_http_ollama_running.h"
#include "ngx_http_ollama_outbox.h"
#include "ngx_http_ollama_record.h"


#define NGX_HTTP_OLLAMA_RUNNING_ZONE   (64 * 1024 * 1024)
#define NGX_HTTP_OLLAMA_RUNNING_NEW    20       /* ms, until one is there */
#define NGX_HTTP_OLLAMA_RUNNING_MANY   1000     /* requests: less often */
#define NGX_HTTP_OLLAMA_BOARD_SIZE     16384    /* of a side, at first */
#define NGX_HTTP_OLLAMA_BOARD_STALE    3000     /* ms */
#define NGX_HTTP_OLLAMA_BOARD_FRESH    1500     /* its worker lives */

#define ngx_http_ollama_entry_size(entry)                                     \
    ngx_align(sizeof(ngx_http_ollama_entry_t) + (entry)->len, 8)

#define NGX_HTTP_OLLAMA_BOARD_ENTRY    (sizeof(ngx_http_ollama_entry_t)       \
                                        + OLLAMA_RECORD_MAX + 8)


/* what precedes each frame */

typedef enum {
    NGX_HTTP_OLLAMA_RECORDED = 0,
    NGX_HTTP_OLLAMA_RUNS,
    NGX_HTTP_OLLAMA_ANSWERED
} ngx_http_ollama_mark_e;


typedef struct {
    uint32_t                         mark;
    uint32_t                         len;       /* of the frame */
} ngx_http_ollama_entry_t;


typedef struct {
    ngx_queue_t                      queue;
    ngx_pid_t                        pid;
    uint64_t                         time;      /* written, ms since 1970 */
    uint32_t                         total;     /* requests that run */
    ngx_uint_t                       side;      /* in use */

    struct {
        u_char                      *entries;
        size_t                       size;
        size_t                       len;
    } sides[2];
} ngx_http_ollama_board_t;


typedef struct {
    ngx_atomic_t                     version;
    ngx_queue_t                      boards;
} ngx_http_ollama_running_shm_t;


struct ngx_http_ollama_running_s {
    ngx_shm_zone_t                  *shm_zone;
    ngx_slab_pool_t                 *shpool;
    ngx_http_ollama_running_shm_t   *sh;
};


static ngx_int_t ngx_http_ollama_running_init_zone(ngx_shm_zone_t *shm_zone,
    void *data);
static void ngx_http_ollama_running_timer_init(ngx_event_t *ev,
    ngx_event_handler_pt handler, ngx_log_t *log);
static void ngx_http_ollama_running_handler(ngx_event_t *ev);
static void ngx_http_ollama_running_new_handler(ngx_event_t *ev);
static void ngx_http_ollama_running_write(void);
static size_t ngx_http_ollama_running_entry(ngx_http_ollama_ctx_t *ctx,
    ngx_uint_t side, size_t len);
static ngx_int_t ngx_http_ollama_running_grow(ngx_uint_t side);
static ngx_uint_t ngx_http_ollama_running_fresh(ngx_http_ollama_board_t *board,
    uint64_t now);
static ngx_http_ollama_board_t *ngx_http_ollama_running_dead(
    ngx_http_ollama_running_t *running);
static void ngx_http_ollama_running_record(ngx_http_ollama_main_conf_t *omcf,
    ngx_http_ollama_entry_t *entry);
static void ngx_http_ollama_running_free(ngx_http_ollama_running_t *running,
    ngx_http_ollama_board_t *board);


static ngx_queue_t                 ngx_http_ollama_requests;
static uint32_t                    ngx_http_ollama_nlisted;
static uint32_t                    ngx_http_ollama_nrunning;
static uint32_t                    ngx_http_ollama_nshown;    /* on the board */
static ngx_event_t                 ngx_http_ollama_running_timer;
static ngx_event_t                 ngx_http_ollama_running_new;
static ngx_connection_t            ngx_http_ollama_running_dummy;
static ngx_http_ollama_running_t  *ngx_http_ollama_running;
static ngx_http_ollama_board_t    *ngx_http_ollama_board;     /* or NULL */


ngx_http_ollama_running_t *
ngx_http_ollama_running_create(ngx_conf_t *cf, ngx_str_t *zone)
{
    ngx_http_ollama_running_t  *running;

    running = ngx_pcalloc(cf->pool, sizeof(ngx_http_ollama_running_t));
    if (running == NULL) {
        return NULL;
    }

    /* memory that nobody has written to yet is none */

    running->shm_zone = ngx_shared_memory_add(cf, zone,
                                              NGX_HTTP_OLLAMA_RUNNING_ZONE,
                                              &ngx_http_ollama_module);
    if (running->shm_zone == NULL) {
        return NULL;
    }

    running->shm_zone->init = ngx_http_ollama_running_init_zone;
    running->shm_zone->data = running;

    return running;
}


static ngx_int_t
ngx_http_ollama_running_init_zone(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_http_ollama_running_t  *running = shm_zone->data;
    ngx_http_ollama_running_t  *old = data;

    running->shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    if (old) {
        running->sh = old->sh;
        return NGX_OK;
    }

    if (shm_zone->shm.exists) {
        running->sh = running->shpool->data;
        return NGX_OK;
    }

    running->sh = ngx_slab_calloc(running->shpool,
                                  sizeof(ngx_http_ollama_running_shm_t));
    if (running->sh == NULL) {
        return NGX_ERROR;
    }

    ngx_queue_init(&running->sh->boards);

    running->shpool->data = running->sh;
    running->shpool->log_nomem = 0;

    return NGX_OK;
}


void
ngx_http_ollama_running_init_process(ngx_http_ollama_running_t *running,
    ngx_log_t *log)
{
    ngx_http_ollama_board_t  *board;

    ngx_queue_init(&ngx_http_ollama_requests);

    ngx_http_ollama_nlisted = 0;
    ngx_http_ollama_nrunning = 0;
    ngx_http_ollama_nshown = 0;
    ngx_http_ollama_running = running;

    ngx_shmtx_lock(&running->shpool->mutex);

    board = ngx_slab_calloc_locked(running->shpool,
                                   sizeof(ngx_http_ollama_board_t));

    if (board) {
        board->pid = ngx_pid;
        ngx_queue_insert_tail(&running->sh->boards, &board->queue);
    }

    ngx_shmtx_unlock(&running->shpool->mutex);

    ngx_http_ollama_board = board;

    if (board == NULL) {
        ngx_log_error(NGX_LOG_ALERT, log, 0,
                      "no memory in zone \"%V\": what this worker does is "
                      "not shown, and not recorded should it be killed",
                      &running->shm_zone->shm.name);
    }

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
    ngx_http_ollama_running_t  *running;

    running = ngx_http_ollama_running;

    if (ngx_http_ollama_board == NULL) {
        return;
    }

    ngx_shmtx_lock(&running->shpool->mutex);

    ngx_http_ollama_running_free(running, ngx_http_ollama_board);

    ngx_shmtx_unlock(&running->shpool->mutex);

    ngx_http_ollama_board = NULL;

    (void) ngx_atomic_fetch_add(&running->sh->version, 1);
}


void
ngx_http_ollama_running_add(ngx_http_ollama_ctx_t *ctx)
{
    if (ngx_http_ollama_board == NULL) {
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
    ngx_http_ollama_board_t  *board;

    board = ngx_http_ollama_board;

    if (board == NULL || ctx->board == 0) {
        return NULL;
    }

    return (uint32_t *) (board->sides[board->side].entries + ctx->board - 1);
}


ngx_http_ollama_ctx_t *
ngx_http_ollama_running_first(void)
{
    ngx_queue_t  *q;

    if (ngx_http_ollama_board == NULL
        || ngx_queue_empty(&ngx_http_ollama_requests))
    {
        return NULL;
    }

    q = ngx_queue_head(&ngx_http_ollama_requests);

    return ngx_queue_data(q, ngx_http_ollama_ctx_t, running);
}


ngx_atomic_uint_t
ngx_http_ollama_running_version(ngx_http_ollama_running_t *running)
{
    return running->sh->version;
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
    size_t                    len;
    ngx_uint_t                side;
    ngx_queue_t              *q;
    ngx_http_ollama_ctx_t    *ctx;
    ngx_http_ollama_board_t  *board;

    if (!ngx_http_ollama_running_timer.timer_set) {
        ngx_http_ollama_running_handler(&ngx_http_ollama_running_timer);
        return;
    }

    board = ngx_http_ollama_board;
    side = board->side;
    len = board->sides[side].len;

    /* the new ones are the last; in their order they are from the next list on */

    for (q = ngx_queue_last(&ngx_http_ollama_requests);
         q != ngx_queue_sentinel(&ngx_http_ollama_requests);
         q = ngx_queue_prev(q))
    {
        ctx = ngx_queue_data(q, ngx_http_ollama_ctx_t, running);

        if (ctx->board || board->sides[side].size - len
                          < NGX_HTTP_OLLAMA_BOARD_ENTRY)
        {
            break;
        }

        len += ngx_http_ollama_running_entry(ctx, side, len);
    }

    ngx_shmtx_lock(&ngx_http_ollama_running->shpool->mutex);

    board->sides[side].len = len;
    board->time = ngx_http_ollama_now();
    board->total = ngx_http_ollama_nrunning;

    ngx_shmtx_unlock(&ngx_http_ollama_running->shpool->mutex);

    (void) ngx_atomic_fetch_add(&ngx_http_ollama_running->sh->version, 1);
}


static void
ngx_http_ollama_running_write(void)
{
    size_t                    len;
    ngx_uint_t                side;
    ngx_queue_t              *q;
    ngx_http_ollama_ctx_t    *ctx;
    ngx_http_ollama_board_t  *board;

    board = ngx_http_ollama_board;
    side = !board->side;
    len = 0;

    for (q = ngx_queue_head(&ngx_http_ollama_requests);
         q != ngx_queue_sentinel(&ngx_http_ollama_requests);
         q = ngx_queue_next(q))
    {
        ctx = ngx_queue_data(q, ngx_http_ollama_ctx_t, running);

        ctx->board = 0;

        if (board->sides[side].size - len < NGX_HTTP_OLLAMA_BOARD_ENTRY
            && ngx_http_ollama_running_grow(side) != NGX_OK)
        {
            continue;
        }

        len += ngx_http_ollama_running_entry(ctx, side, len);
    }

    board->sides[side].len = len;

    ngx_shmtx_lock(&ngx_http_ollama_running->shpool->mutex);

    board->side = side;
    board->time = ngx_http_ollama_now();
    board->total = ngx_http_ollama_nrunning;

    ngx_shmtx_unlock(&ngx_http_ollama_running->shpool->mutex);

    ngx_http_ollama_nshown = ngx_http_ollama_nlisted;

    (void) ngx_atomic_fetch_add(&ngx_http_ollama_running->sh->version, 1);
}


/* there is room for it; returns how much it takes */

static size_t
ngx_http_ollama_running_entry(ngx_http_ollama_ctx_t *ctx, ngx_uint_t side,
    size_t len)
{
    size_t                    n;
    ngx_http_ollama_entry_t  *entry;

    entry = (ngx_http_ollama_entry_t *)
            (ngx_http_ollama_board->sides[side].entries + len);

    n = ngx_http_ollama_record_running(ctx, (u_char *) (entry + 1),
                                       OLLAMA_RECORD_MAX);
    if (n == 0) {
        return 0;
    }

    entry->len = (uint32_t) n;
    entry->mark = ctx->unlisted ? NGX_HTTP_OLLAMA_ANSWERED
                                : NGX_HTTP_OLLAMA_RUNS;

    ctx->board = (uint32_t) len + 1;

    return ngx_http_ollama_entry_size(entry);
}


static ngx_int_t
ngx_http_ollama_running_grow(ngx_uint_t side)
{
    size_t                    size;
    u_char                   *p;
    ngx_slab_pool_t          *shpool;
    ngx_http_ollama_board_t  *board;

    board = ngx_http_ollama_board;
    shpool = ngx_http_ollama_running->shpool;

    size = ngx_max(2 * board->sides[side].size, NGX_HTTP_OLLAMA_BOARD_SIZE);

    p = ngx_slab_alloc(shpool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    if (board->sides[side].entries) {
        ngx_memcpy(p, board->sides[side].entries, board->sides[side].size);
        ngx_slab_free(shpool, board->sides[side].entries);
    }

    board->sides[side].entries = p;
    board->sides[side].size = size;

    return NGX_OK;
}


size_t
ngx_http_ollama_running_collect(ngx_http_ollama_running_t *running,
    u_char *buf, size_t size, uint32_t *total)
{
    u_char                   *p, *end, *pos, *last;
    uint64_t                  now;
    ngx_uint_t                boards;
    ngx_queue_t              *q;
    ngx_http_ollama_entry_t  *entry;
    ngx_http_ollama_board_t  *board;

    p = buf;
    boards = 0;
    now = ngx_http_ollama_now();

    *total = 0;

    ngx_shmtx_lock(&running->shpool->mutex);

    for (q = ngx_queue_head(&running->sh->boards);
         q != ngx_queue_sentinel(&running->sh->boards);
         q = ngx_queue_next(q))
    {
        board = ngx_queue_data(q, ngx_http_ollama_board_t, queue);

        if (ngx_http_ollama_running_fresh(board, now)) {
            *total += board->total;
            boards++;
        }
    }

    for (q = ngx_queue_head(&running->sh->boards);
         q != ngx_queue_sentinel(&running->sh->boards);
         q = ngx_queue_next(q))
    {
        board = ngx_queue_data(q, ngx_http_ollama_board_t, queue);

        if (!ngx_http_ollama_running_fresh(board, now)) {
            continue;
        }

        /* each may have an equal share, and what those before it have left */

        end = p + (buf + size - p) / boards--;

        pos = board->sides[board->side].entries;
        last = pos + board->sides[board->side].len;

        for ( /* void */ ;
             pos < last;
             pos += ngx_http_ollama_entry_size(entry))
        {
            entry = (ngx_http_ollama_entry_t *) pos;

            if (entry->mark != NGX_HTTP_OLLAMA_RUNS) {
                continue;
            }

            if ((size_t) (end - p) < entry->len) {
                break;
            }

            p = ngx_cpymem(p, pos + sizeof(ngx_http_ollama_entry_t),
                           entry->len);
        }
    }

    ngx_shmtx_unlock(&running->shpool->mutex);

    return p - buf;
}


static ngx_uint_t
ngx_http_ollama_running_fresh(ngx_http_ollama_board_t *board, uint64_t now)
{
    return board->total
           && board->time + NGX_HTTP_OLLAMA_BOARD_STALE > now
           && board->time < now + NGX_HTTP_OLLAMA_BOARD_STALE;
}


void
ngx_http_ollama_running_bury(ngx_http_ollama_main_conf_t *omcf)
{
    u_char                     *pos, *last;
    ngx_http_ollama_board_t    *board;
    ngx_http_ollama_entry_t    *entry;
    ngx_http_ollama_running_t  *running;

    running = omcf->running;

    for ( ;; ) {
        board = ngx_http_ollama_running_dead(running);

        if (board == NULL) {
            return;
        }

        /* ours now; should we die, too, somebody else goes on */

        ngx_http_ollama_outbox_settle(omcf->outbox);

        pos = board->sides[board->side].entries;
        last = pos + board->sides[board->side].len;

        for ( /* void */ ;
             pos < last;
             pos += ngx_http_ollama_entry_size(entry))
        {
            entry = (ngx_http_ollama_entry_t *) pos;

            if (entry->mark != NGX_HTTP_OLLAMA_RECORDED) {
                ngx_http_ollama_running_record(omcf, entry);
            }
        }

        ngx_shmtx_lock(&running->shpool->mutex);
        ngx_http_ollama_running_free(running, board);
        ngx_shmtx_unlock(&running->shpool->mutex);
    }
}


/* one whose worker wrote to it a moment ago need not be asked for */

static ngx_http_ollama_board_t *
ngx_http_ollama_running_dead(ngx_http_ollama_running_t *running)
{
    uint64_t                  now;
    ngx_queue_t              *q;
    ngx_http_ollama_board_t  *board;

    now = ngx_http_ollama_now();

    ngx_shmtx_lock(&running->shpool->mutex);

    for (q = ngx_queue_head(&running->sh->boards);
         q != ngx_queue_sentinel(&running->sh->boards);
         q = ngx_queue_next(q))
    {
        board = ngx_queue_data(q, ngx_http_ollama_board_t, queue);

        if (board == ngx_http_ollama_board
            || (board->time + NGX_HTTP_OLLAMA_BOARD_FRESH > now
                && board->time <= now))
        {
            continue;
        }

        if (board->pid == ngx_pid
            || (kill(board->pid, 0) == -1 && ngx_errno == NGX_ESRCH))
        {
            board->pid = ngx_pid;
            board->total = 0;

            ngx_shmtx_unlock(&running->shpool->mutex);
            return board;
        }
    }

    ngx_shmtx_unlock(&running->shpool->mutex);

    return NULL;
}


static void
ngx_http_ollama_running_record(ngx_http_ollama_main_conf_t *omcf,
    ngx_http_ollama_entry_t *entry)
{
    size_t                   len;
    u_char                   buf[OLLAMA_RECORD_MAX];
    ollama_record_request_t  record;

    len = ollama_record_running_finish(buf, sizeof(buf),
                                       (u_char *) (entry + 1), entry->len,
                                       OLLAMA_RECORD_WORKER_GONE,
                                       "the worker was killed", &record);
    if (len == 0) {
        return;
    }

    (void) ngx_http_ollama_outbox_put_record(omcf->outbox, buf, len,
                                             record.time, &entry->mark);

    ngx_http_ollama_pool_book(omcf->pool, record.key,
                              record.prompt + record.completion);
}


static void
ngx_http_ollama_running_free(ngx_http_ollama_running_t *running,
    ngx_http_ollama_board_t *board)
{
    ngx_uint_t  i;

    ngx_queue_remove(&board->queue);

    for (i = 0; i < 2; i++) {
        if (board->sides[i].entries) {
            ngx_slab_free_locked(running->shpool, board->sides[i].entries);
        }
    }

    ngx_slab_free_locked(running->shpool, board);
}
