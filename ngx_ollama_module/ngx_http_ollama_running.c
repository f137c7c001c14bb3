
#include "ngx_http_ollama.h"


#define NGX_HTTP_OLLAMA_BOARD_STALE  3000       /* ms */


static ngx_int_t ngx_http_ollama_running_init_zone(ngx_shm_zone_t *shm_zone,
    void *data);
static void ngx_http_ollama_running_handler(ngx_event_t *ev);
static void ngx_http_ollama_running_write(void);
static ngx_uint_t ngx_http_ollama_running_fresh(ngx_http_ollama_board_t *board,
    uint64_t now);


static ngx_queue_t                 ngx_http_ollama_requests;
static uint32_t                    ngx_http_ollama_nrequests;
static uint32_t                    ngx_http_ollama_nshown;    /* on the board */
static ngx_event_t                 ngx_http_ollama_running_timer;
static ngx_connection_t            ngx_http_ollama_running_dummy;
static ngx_http_ollama_running_t  *ngx_http_ollama_running;
static ngx_http_ollama_board_t    *ngx_http_ollama_board;     /* or NULL */
static u_char                     *ngx_http_ollama_frames;    /* the board's */


ngx_http_ollama_running_t *
ngx_http_ollama_running_create(ngx_conf_t *cf)
{
    size_t                      size;
    ngx_str_t                   name;
    ngx_http_ollama_running_t  *running;

    running = ngx_pcalloc(cf->pool, sizeof(ngx_http_ollama_running_t));
    if (running == NULL) {
        return NULL;
    }

    /* and what the slab pool needs for itself */

    size = sizeof(ngx_http_ollama_running_shm_t);
    size += size / 64 + 16 * ngx_pagesize;

    ngx_str_set(&name, "ollama_running");

    running->shm_zone = ngx_shared_memory_add(cf, &name, size,
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

    running->sh = ngx_slab_alloc(running->shpool,
                                 sizeof(ngx_http_ollama_running_shm_t));
    if (running->sh == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(running->sh, offsetof(ngx_http_ollama_running_shm_t, frames));

    running->shpool->data = running->sh;

    return NGX_OK;
}


void
ngx_http_ollama_running_init_process(ngx_http_ollama_running_t *running,
    ngx_log_t *log)
{
    ngx_uint_t                i;
    ngx_event_t              *ev;
    ngx_http_ollama_board_t  *board;

    ngx_queue_init(&ngx_http_ollama_requests);

    ngx_http_ollama_nrequests = 0;
    ngx_http_ollama_running = running;
    ngx_http_ollama_board = NULL;

    ngx_shmtx_lock(&running->shpool->mutex);

    for (i = 0; i < NGX_HTTP_OLLAMA_PROCESSES; i++) {
        board = &running->sh->boards[i];

        if (board->pid == 0
            || board->pid == ngx_pid
            || (kill(board->pid, 0) == -1 && ngx_errno == NGX_ESRCH))
        {
            board->pid = ngx_pid;

            ngx_http_ollama_board = board;
            ngx_http_ollama_frames = running->sh->frames[i];
            break;
        }
    }

    ngx_shmtx_unlock(&running->shpool->mutex);

    if (ngx_http_ollama_board) {
        ngx_http_ollama_running_write();
    }

    ev = &ngx_http_ollama_running_timer;

    ngx_memzero(ev, sizeof(ngx_event_t));
    ngx_memzero(&ngx_http_ollama_running_dummy, sizeof(ngx_connection_t));

    ngx_http_ollama_running_dummy.fd = (ngx_socket_t) -1;

    ev->handler = ngx_http_ollama_running_handler;
    ev->data = &ngx_http_ollama_running_dummy;
    ev->log = log;
    ev->cancelable = 1;
}


void
ngx_http_ollama_running_exit_process(void)
{
    if (ngx_http_ollama_board == NULL) {
        return;
    }

    ngx_queue_init(&ngx_http_ollama_requests);
    ngx_http_ollama_nrequests = 0;

    ngx_http_ollama_running_write();

    ngx_http_ollama_board->pid = 0;
    ngx_http_ollama_board = NULL;
}


void
ngx_http_ollama_running_add(ngx_http_ollama_ctx_t *ctx)
{
    if (ngx_http_ollama_board == NULL || ctx->listed) {
        return;
    }

    ngx_queue_insert_tail(&ngx_http_ollama_requests, &ctx->running);

    ngx_http_ollama_nrequests++;
    ctx->listed = 1;

    if (!ngx_http_ollama_running_timer.timer_set) {
        ngx_add_timer(&ngx_http_ollama_running_timer, NGX_HTTP_OLLAMA_RUNNING);
    }
}


void
ngx_http_ollama_running_remove(ngx_http_ollama_ctx_t *ctx)
{
    if (ctx->listed) {
        ngx_queue_remove(&ctx->running);

        ngx_http_ollama_nrequests--;
        ctx->listed = 0;
    }
}


/* the timer ends with the first empty list: that one has been written, too */

static void
ngx_http_ollama_running_handler(ngx_event_t *ev)
{
    if (ngx_http_ollama_nrequests || ngx_http_ollama_nshown) {
        ngx_http_ollama_running_write();
        ngx_add_timer(ev, NGX_HTTP_OLLAMA_RUNNING);
    }
}


static void
ngx_http_ollama_running_write(void)
{
    size_t                    n, len;
    ngx_queue_t              *q;
    ngx_http_ollama_ctx_t    *ctx;
    ngx_http_ollama_board_t  *board;

    static u_char             buf[NGX_HTTP_OLLAMA_BOARD_SIZE];

    len = 0;

    for (q = ngx_queue_head(&ngx_http_ollama_requests);
         q != ngx_queue_sentinel(&ngx_http_ollama_requests);
         q = ngx_queue_next(q))
    {
        ctx = ngx_queue_data(q, ngx_http_ollama_ctx_t, running);

        n = ngx_http_ollama_record_running(ctx, buf + len, sizeof(buf) - len);

        if (n == 0) {
            break;
        }

        len += n;
    }

    board = ngx_http_ollama_board;

    ngx_shmtx_lock(&ngx_http_ollama_running->shpool->mutex);

    /* a worker killed in here leaves an empty board */

    board->len = 0;
    board->time = ngx_http_ollama_now();
    board->total = ngx_http_ollama_nrequests;

    ngx_memcpy(ngx_http_ollama_frames, buf, len);
    board->len = (uint32_t) len;

    ngx_shmtx_unlock(&ngx_http_ollama_running->shpool->mutex);

    ngx_http_ollama_nshown = ngx_http_ollama_nrequests;

    (void) ngx_atomic_fetch_add(&ngx_http_ollama_running->sh->version, 1);
}


size_t
ngx_http_ollama_running_collect(ngx_http_ollama_running_t *running,
    u_char *buf, size_t size, uint32_t *total)
{
    size_t                    share;
    u_char                   *p;
    uint64_t                  now;
    ngx_uint_t                i, n;
    ngx_http_ollama_board_t  *board;

    n = 0;
    p = buf;
    now = ngx_http_ollama_now();

    *total = 0;

    ngx_shmtx_lock(&running->shpool->mutex);

    for (i = 0; i < NGX_HTTP_OLLAMA_PROCESSES; i++) {
        board = &running->sh->boards[i];

        if (ngx_http_ollama_running_fresh(board, now)) {
            *total += board->total;
            n++;
        }
    }

    for (i = 0; n && i < NGX_HTTP_OLLAMA_PROCESSES; i++) {
        board = &running->sh->boards[i];

        if (ngx_http_ollama_running_fresh(board, now)) {
            share = ollama_frame_fit(running->sh->frames[i], board->len,
                                     size / n);
            p = ngx_cpymem(p, running->sh->frames[i], share);
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
