
#include "ngx_http_ollama_outbox.h"
#include "core/ring.h"


typedef struct {
    uint64_t                         instance;
    uint64_t                         started;       /* ms since 1970 */
    ngx_atomic_t                     requests;      /* ids given out */
    ngx_pid_t                        sender;        /* 0: nobody */
    ngx_uint_t                       frames;        /* the daemon reads */
    ollama_ring_t                    ring;          /* and its data */
} ngx_http_ollama_outbox_shm_t;


struct ngx_http_ollama_outbox_s {
    ngx_shm_zone_t                  *shm_zone;
    ngx_slab_pool_t                 *shpool;
    ngx_http_ollama_outbox_shm_t    *sh;
};


static ngx_int_t ngx_http_ollama_outbox_init_zone(ngx_shm_zone_t *shm_zone,
    void *data);
static uint64_t ngx_http_ollama_outbox_random(void);
static ngx_int_t ngx_http_ollama_outbox_commit(
    ngx_http_ollama_outbox_t *outbox, u_char *frame, size_t len,
    uint64_t time, ngx_uint_t body, uint32_t *mark);


ngx_http_ollama_outbox_t *
ngx_http_ollama_outbox_create(ngx_conf_t *cf, ngx_str_t *zone, size_t size)
{
    ngx_http_ollama_outbox_t  *outbox;

    outbox = ngx_pcalloc(cf->pool, sizeof(ngx_http_ollama_outbox_t));
    if (outbox == NULL) {
        return NULL;
    }

    outbox->shm_zone = ngx_shared_memory_add(cf, zone, size,
                                             &ngx_http_ollama_module);
    if (outbox->shm_zone == NULL) {
        return NULL;
    }

    outbox->shm_zone->init = ngx_http_ollama_outbox_init_zone;
    outbox->shm_zone->data = outbox;

    return outbox;
}


static ngx_int_t
ngx_http_ollama_outbox_init_zone(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_http_ollama_outbox_t  *outbox = shm_zone->data;
    ngx_http_ollama_outbox_t  *old = data;

    size_t                         size;
    ngx_http_ollama_outbox_shm_t  *sh;

    outbox->shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    if (old) {
        outbox->sh = old->sh;
        return NGX_OK;
    }

    if (shm_zone->shm.exists) {
        outbox->sh = outbox->shpool->data;
        return NGX_OK;
    }

    outbox->shpool->log_nomem = 0;

    /* all that there is, in whole pages */

    for (size = shm_zone->shm.size; size > 16 * ngx_pagesize;
         size -= ngx_pagesize)
    {
        sh = ngx_slab_alloc(outbox->shpool, size);

        if (sh) {
            goto found;
        }
    }

    ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                  "the outbox \"%V\" is too small", &shm_zone->shm.name);
    return NGX_ERROR;

found:

    ngx_memzero(sh, sizeof(ngx_http_ollama_outbox_shm_t));

    sh->instance = ngx_http_ollama_outbox_random();
    sh->started = ngx_http_ollama_now();

    ollama_ring_init(&sh->ring, size - offsetof(ngx_http_ollama_outbox_shm_t,
                                                ring));

    outbox->shpool->data = sh;
    outbox->sh = sh;

    return NGX_OK;
}


static uint64_t
ngx_http_ollama_outbox_random(void)
{
    ngx_fd_t    fd;
    uint64_t    n;
    ngx_time_t  *tp;

    n = 0;

    fd = ngx_open_file("/dev/urandom", NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd != NGX_INVALID_FILE) {

        if (ngx_read_fd(fd, &n, sizeof(n)) != (ssize_t) sizeof(n)) {
            n = 0;
        }

        (void) ngx_close_file(fd);
    }

    if (n == 0) {
        tp = ngx_timeofday();
        n = (uint64_t) tp->sec << 32 ^ (uint64_t) tp->msec << 22 ^ ngx_pid;
    }

    return n;
}


ngx_int_t
ngx_http_ollama_outbox_put(ngx_http_ollama_outbox_t *outbox, u_char *frame,
    size_t len, uint64_t time, ngx_uint_t body)
{
    return ngx_http_ollama_outbox_commit(outbox, frame, len, time, body, NULL);
}


ngx_int_t
ngx_http_ollama_outbox_put_record(ngx_http_ollama_outbox_t *outbox,
    u_char *frame, size_t len, uint64_t time, uint32_t *mark)
{
    return ngx_http_ollama_outbox_commit(outbox, frame, len, time, 0, mark);
}


static ngx_int_t
ngx_http_ollama_outbox_commit(ngx_http_ollama_outbox_t *outbox, u_char *frame,
    size_t len, uint64_t time, ngx_uint_t body, uint32_t *mark)
{
    u_char  *p;

    ngx_shmtx_lock(&outbox->shpool->mutex);

    p = ollama_ring_reserve(&outbox->sh->ring, len, time, body);

    if (p) {
        ngx_memcpy(p, frame, len);

        if (mark) {
            ollama_ring_commit_clear(&outbox->sh->ring, mark);

        } else {
            ollama_ring_commit(&outbox->sh->ring);
        }

    } else if (mark) {

        /* lost and counted, and not to be tried again */

        *mark = 0;
    }

    ngx_shmtx_unlock(&outbox->shpool->mutex);

    return p ? NGX_OK : NGX_DECLINED;
}


void
ngx_http_ollama_outbox_settle(ngx_http_ollama_outbox_t *outbox)
{
    ngx_shmtx_lock(&outbox->shpool->mutex);

    ollama_ring_settle(&outbox->sh->ring);

    ngx_shmtx_unlock(&outbox->shpool->mutex);
}


uint64_t
ngx_http_ollama_outbox_id(ngx_http_ollama_outbox_t *outbox)
{
    return ngx_atomic_fetch_add(&outbox->sh->requests, 1) + 1;
}


ngx_uint_t
ngx_http_ollama_outbox_room(ngx_http_ollama_outbox_t *outbox, size_t len)
{
    ollama_ring_t  *ring;

    ring = &outbox->sh->ring;

    /* a guess: put() has the last word */

    return len < ring->size / 4
           && ollama_ring_used(ring) + 2 * len < ring->size / 2;
}


void
ngx_http_ollama_outbox_penalty(void *data, ngx_http_ollama_penalty_t *penalty)
{
    ngx_http_ollama_outbox_t  *outbox = data;

    u_char                    frame[OLLAMA_RECORD_MAX];
    size_t                    len;
    ollama_record_penalty_t   rp;

    ngx_memzero(&rp, sizeof(ollama_record_penalty_t));

    rp.key = penalty->key;
    rp.time = ngx_http_ollama_now();
    rp.until = (uint64_t) penalty->until * 1000;
    rp.http = (uint16_t) penalty->http;
    rp.state = (uint8_t) penalty->state;
    rp.level = (uint8_t) penalty->level;
    rp.max_concurrent = (uint32_t) penalty->learned;
    rp.status.data = (u_char *) penalty->status;
    rp.status.len = ngx_strlen(penalty->status);
    rp.reason.data = penalty->reason;
    rp.reason.len = ngx_strlen(penalty->reason);
    rp.model.data = penalty->model;
    rp.model.len = penalty->model_len;

    len = ollama_record_penalty_encode(frame, sizeof(frame), &rp);

    if (len) {
        (void) ngx_http_ollama_outbox_put(outbox, frame, len, rp.time, 0);
    }
}


ngx_uint_t
ngx_http_ollama_outbox_take(ngx_http_ollama_outbox_t *outbox)
{
    ngx_pid_t                      pid;
    ngx_uint_t                     taken;
    ngx_http_ollama_outbox_shm_t  *sh;

    sh = outbox->sh;
    pid = sh->sender;

    if (pid && pid != ngx_pid
        && !(kill(pid, 0) == -1 && ngx_errno == NGX_ESRCH))
    {
        return 0;
    }

    ngx_shmtx_lock(&outbox->shpool->mutex);

    taken = (sh->sender == pid);

    if (taken) {
        sh->sender = ngx_pid;
    }

    ngx_shmtx_unlock(&outbox->shpool->mutex);

    return taken;
}


void
ngx_http_ollama_outbox_give_up(ngx_http_ollama_outbox_t *outbox)
{
    ngx_shmtx_lock(&outbox->shpool->mutex);

    if (outbox->sh->sender == ngx_pid) {
        outbox->sh->sender = 0;
    }

    ngx_shmtx_unlock(&outbox->shpool->mutex);
}


size_t
ngx_http_ollama_outbox_read(ngx_http_ollama_outbox_t *outbox, u_char *buf,
    size_t size, size_t *need)
{
    size_t  n;

    ngx_shmtx_lock(&outbox->shpool->mutex);

    n = ollama_ring_read(&outbox->sh->ring, buf, size, need);

    ngx_shmtx_unlock(&outbox->shpool->mutex);

    if (outbox->sh->frames < OLLAMA_FRAME_VERSION) {

        /* an older daemon, or one that has not said yet what it reads */

        ollama_record_downgrade(buf, n);
    }

    return n;
}


void
ngx_http_ollama_outbox_ack(ngx_http_ollama_outbox_t *outbox, uint64_t seq)
{
    ngx_shmtx_lock(&outbox->shpool->mutex);

    ollama_ring_ack(&outbox->sh->ring, seq);

    ngx_shmtx_unlock(&outbox->shpool->mutex);
}


void
ngx_http_ollama_outbox_rewind(ngx_http_ollama_outbox_t *outbox)
{
    ngx_shmtx_lock(&outbox->shpool->mutex);

    ollama_ring_rewind(&outbox->sh->ring);

    ngx_shmtx_unlock(&outbox->shpool->mutex);
}


void
ngx_http_ollama_outbox_welcome(ngx_http_ollama_outbox_t *outbox,
    ollama_record_welcome_t *welcome)
{
    ngx_http_ollama_outbox_shm_t  *sh;

    sh = outbox->sh;

    ngx_shmtx_lock(&outbox->shpool->mutex);

    sh->frames = welcome->frames;

    if (welcome->instance == sh->instance) {
        ollama_ring_ack(&sh->ring, welcome->seq);
    }

    ollama_ring_rewind(&sh->ring);

    ngx_shmtx_unlock(&outbox->shpool->mutex);
}


ngx_uint_t
ngx_http_ollama_outbox_empty(ngx_http_ollama_outbox_t *outbox)
{
    return ollama_ring_used(&outbox->sh->ring) == 0;
}


ngx_uint_t
ngx_http_ollama_outbox_unsent(ngx_http_ollama_outbox_t *outbox)
{
    return ollama_ring_unsent(&outbox->sh->ring);
}


void
ngx_http_ollama_outbox_hello(ngx_http_ollama_outbox_t *outbox,
    ollama_record_hello_t *hello)
{
    hello->instance = outbox->sh->instance;
    hello->started = outbox->sh->started;
}


void
ngx_http_ollama_outbox_state(ngx_http_ollama_outbox_t *outbox,
    ollama_record_outbox_t *state)
{
    uint64_t        oldest;
    ollama_ring_t  *ring;

    ring = &outbox->sh->ring;

    ngx_shmtx_lock(&outbox->shpool->mutex);

    oldest = ollama_ring_oldest(ring);

    state->time = ngx_http_ollama_now();
    state->size = ring->size;
    state->used = ollama_ring_used(ring);
    state->last_seq = ring->seq;
    state->acked = ring->acked;
    state->dropped_records = ring->dropped_records;
    state->dropped_bodies = ring->dropped_bodies;
    state->resent = ring->resent;
    state->lag = (oldest && oldest < state->time)
                 ? (uint32_t) (state->time - oldest) : 0;

    ngx_shmtx_unlock(&outbox->shpool->mutex);
}
