
#include "ngx_http_ollama_board.h"


#define NGX_HTTP_OLLAMA_BOARD_ZONE   (64 * 1024 * 1024)
#define NGX_HTTP_OLLAMA_BOARD_SIZE   16384      /* of a side, at first */
#define NGX_HTTP_OLLAMA_BOARD_STALE  3000       /* ms, and not shown */
#define NGX_HTTP_OLLAMA_BOARD_FRESH  1500       /* ms: its worker lives */

#define NGX_HTTP_OLLAMA_BOARD_ENTRY  (sizeof(ngx_http_ollama_entry_t)         \
                                      + OLLAMA_RECORD_MAX + 8)

#define ngx_http_ollama_entry_size(entry)                                     \
    ngx_align(sizeof(ngx_http_ollama_entry_t) + (entry)->len, 8)


/* what precedes each frame */

typedef struct {
    uint32_t                         mark;
    uint32_t                         len;       /* of the frame */
} ngx_http_ollama_entry_t;


typedef struct {
    u_char                          *entries;
    size_t                           size;
    size_t                           len;
} ngx_http_ollama_side_t;


typedef struct {
    ngx_queue_t                      queue;
    ngx_pid_t                        pid;
    uint64_t                         time;      /* written, ms since 1970 */
    uint32_t                         total;     /* requests that run */
    ngx_uint_t                       side;      /* in use */
    ngx_http_ollama_side_t           sides[2];
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


static ngx_int_t ngx_http_ollama_board_init_zone(ngx_shm_zone_t *shm_zone,
    void *data);
static ngx_int_t ngx_http_ollama_board_grow(ngx_http_ollama_side_t *side);
static ngx_uint_t ngx_http_ollama_board_fresh(ngx_http_ollama_board_t *board,
    uint64_t now);
static ngx_http_ollama_board_t *ngx_http_ollama_board_dead(
    ngx_http_ollama_running_t *running);
static void ngx_http_ollama_board_free(ngx_http_ollama_running_t *running,
    ngx_http_ollama_board_t *board);


static ngx_http_ollama_running_t  *ngx_http_ollama_running;
static ngx_http_ollama_board_t    *ngx_http_ollama_board;   /* or NULL */

/* what is being written: a side, and how much of it is used */

static ngx_uint_t                  ngx_http_ollama_board_side;
static size_t                      ngx_http_ollama_board_len;


ngx_http_ollama_running_t *
ngx_http_ollama_board_create_zone(ngx_conf_t *cf, ngx_str_t *name)
{
    ngx_http_ollama_running_t  *running;

    running = ngx_pcalloc(cf->pool, sizeof(ngx_http_ollama_running_t));
    if (running == NULL) {
        return NULL;
    }

    /* memory that nobody has written to yet is none */

    running->shm_zone = ngx_shared_memory_add(cf, name,
                                              NGX_HTTP_OLLAMA_BOARD_ZONE,
                                              &ngx_http_ollama_module);
    if (running->shm_zone == NULL) {
        return NULL;
    }

    running->shm_zone->init = ngx_http_ollama_board_init_zone;
    running->shm_zone->data = running;

    return running;
}


static ngx_int_t
ngx_http_ollama_board_init_zone(ngx_shm_zone_t *shm_zone, void *data)
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


ngx_int_t
ngx_http_ollama_board_open(ngx_http_ollama_running_t *running, ngx_log_t *log)
{
    ngx_http_ollama_board_t  *board;

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
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "no memory in zone \"%V\": what this worker does is "
                      "not shown, and not recorded should it be killed",
                      &running->shm_zone->shm.name);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


void
ngx_http_ollama_board_close(void)
{
    ngx_http_ollama_running_t  *running;

    running = ngx_http_ollama_running;

    ngx_shmtx_lock(&running->shpool->mutex);

    ngx_http_ollama_board_free(running, ngx_http_ollama_board);

    ngx_shmtx_unlock(&running->shpool->mutex);

    ngx_http_ollama_board = NULL;

    (void) ngx_atomic_fetch_add(&running->sh->version, 1);
}


void
ngx_http_ollama_board_begin(void)
{
    ngx_http_ollama_board_side = !ngx_http_ollama_board->side;
    ngx_http_ollama_board_len = 0;
}


void
ngx_http_ollama_board_append(void)
{
    ngx_http_ollama_board_t  *board;

    board = ngx_http_ollama_board;

    ngx_http_ollama_board_side = board->side;
    ngx_http_ollama_board_len = board->sides[board->side].len;
}


u_char *
ngx_http_ollama_board_room(void)
{
    size_t                   len;
    ngx_http_ollama_side_t  *side;

    side = &ngx_http_ollama_board->sides[ngx_http_ollama_board_side];
    len = ngx_http_ollama_board_len;

    if (side->size - len < NGX_HTTP_OLLAMA_BOARD_ENTRY) {

        /* the one in use stays where it is: others read it */

        if (ngx_http_ollama_board_side == ngx_http_ollama_board->side
            || ngx_http_ollama_board_grow(side) != NGX_OK)
        {
            return NULL;
        }
    }

    return side->entries + len + sizeof(ngx_http_ollama_entry_t);
}


static ngx_int_t
ngx_http_ollama_board_grow(ngx_http_ollama_side_t *side)
{
    size_t            size;
    u_char           *p;
    ngx_slab_pool_t  *shpool;

    shpool = ngx_http_ollama_running->shpool;

    size = ngx_max(2 * side->size, NGX_HTTP_OLLAMA_BOARD_SIZE);

    p = ngx_slab_alloc(shpool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    if (side->entries) {
        ngx_memcpy(p, side->entries, side->size);
        ngx_slab_free(shpool, side->entries);
    }

    side->entries = p;
    side->size = size;

    return NGX_OK;
}


uint32_t
ngx_http_ollama_board_add(size_t len, ngx_http_ollama_board_mark_e mark)
{
    uint32_t                  place;
    ngx_http_ollama_side_t   *side;
    ngx_http_ollama_entry_t  *entry;

    side = &ngx_http_ollama_board->sides[ngx_http_ollama_board_side];

    entry = (ngx_http_ollama_entry_t *)
            (side->entries + ngx_http_ollama_board_len);

    entry->len = (uint32_t) len;
    entry->mark = mark;

    place = (uint32_t) ngx_http_ollama_board_len + 1;

    ngx_http_ollama_board_len += ngx_http_ollama_entry_size(entry);

    return place;
}


void
ngx_http_ollama_board_show(uint32_t total)
{
    ngx_http_ollama_board_t    *board;
    ngx_http_ollama_running_t  *running;

    board = ngx_http_ollama_board;
    running = ngx_http_ollama_running;

    ngx_shmtx_lock(&running->shpool->mutex);

    board->sides[ngx_http_ollama_board_side].len = ngx_http_ollama_board_len;
    board->side = ngx_http_ollama_board_side;
    board->time = ngx_http_ollama_now();
    board->total = total;

    ngx_shmtx_unlock(&running->shpool->mutex);

    (void) ngx_atomic_fetch_add(&running->sh->version, 1);
}


uint32_t *
ngx_http_ollama_board_mark(uint32_t place)
{
    ngx_http_ollama_board_t  *board;

    board = ngx_http_ollama_board;

    return (uint32_t *) (board->sides[board->side].entries + place - 1);
}


ngx_atomic_uint_t
ngx_http_ollama_board_version(ngx_http_ollama_running_t *running)
{
    return running->sh->version;
}


size_t
ngx_http_ollama_board_collect(ngx_http_ollama_running_t *running,
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

        if (ngx_http_ollama_board_fresh(board, now)) {
            *total += board->total;
            boards++;
        }
    }

    for (q = ngx_queue_head(&running->sh->boards);
         q != ngx_queue_sentinel(&running->sh->boards);
         q = ngx_queue_next(q))
    {
        board = ngx_queue_data(q, ngx_http_ollama_board_t, queue);

        if (!ngx_http_ollama_board_fresh(board, now)) {
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

            if (entry->mark != NGX_HTTP_OLLAMA_BOARD_RUNS) {
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
ngx_http_ollama_board_fresh(ngx_http_ollama_board_t *board, uint64_t now)
{
    return board->total
           && board->time + NGX_HTTP_OLLAMA_BOARD_STALE > now
           && board->time < now + NGX_HTTP_OLLAMA_BOARD_STALE;
}


void
ngx_http_ollama_board_bury(ngx_http_ollama_main_conf_t *omcf,
    ngx_http_ollama_board_left_pt left)
{
    u_char                     *pos, *last;
    ngx_http_ollama_board_t    *board;
    ngx_http_ollama_entry_t    *entry;
    ngx_http_ollama_running_t  *running;

    running = omcf->running;

    for ( ;; ) {
        board = ngx_http_ollama_board_dead(running);

        if (board == NULL) {
            return;
        }

        /* ours now; should we die, too, somebody else goes on */

        pos = board->sides[board->side].entries;
        last = pos + board->sides[board->side].len;

        for ( /* void */ ;
             pos < last;
             pos += ngx_http_ollama_entry_size(entry))
        {
            entry = (ngx_http_ollama_entry_t *) pos;

            if (entry->mark != NGX_HTTP_OLLAMA_BOARD_RECORDED) {
                left(omcf, (u_char *) (entry + 1), entry->len, &entry->mark);
            }
        }

        ngx_shmtx_lock(&running->shpool->mutex);
        ngx_http_ollama_board_free(running, board);
        ngx_shmtx_unlock(&running->shpool->mutex);
    }
}


/* one whose worker wrote to it a moment ago need not be asked for */

static ngx_http_ollama_board_t *
ngx_http_ollama_board_dead(ngx_http_ollama_running_t *running)
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
ngx_http_ollama_board_free(ngx_http_ollama_running_t *running,
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
