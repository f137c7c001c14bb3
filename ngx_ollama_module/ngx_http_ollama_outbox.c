
#include "ngx_http_ollama_outbox.h"


static uint64_t ngx_http_ollama_outbox_random(void);


ngx_int_t
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
    u_char  *p;

    ngx_shmtx_lock(&outbox->shpool->mutex);

    p = ollama_ring_reserve(&outbox->sh->ring, len, time, body);

    if (p) {
        ngx_memcpy(p, frame, len);
        ollama_ring_commit(&outbox->sh->ring);
    }

    ngx_shmtx_unlock(&outbox->shpool->mutex);

    return p ? NGX_OK : NGX_DECLINED;
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
ngx_http_ollama_outbox_penalty(void *data, ngx_http_ollama_key_t *key,
    ngx_http_ollama_block_t *block)
{
    ngx_http_ollama_outbox_t  *outbox = data;

    u_char                    frame[OLLAMA_RECORD_MAX];
    size_t                    len;
    ollama_record_penalty_t   penalty;

    ngx_memzero(&penalty, sizeof(ollama_record_penalty_t));

    penalty.key = ngx_http_ollama_key_number(key);
    penalty.time = ngx_http_ollama_now();

    if (block) {
        penalty.until = (uint64_t) block->until * 1000;
        penalty.http = block->status;
        penalty.model.data = block->model;
        penalty.model.len = block->len;
        penalty.status.data = (u_char *) "model blocked";
        penalty.status.len = sizeof("model blocked") - 1;

    } else {
        penalty.until = (uint64_t) key->until * 1000;
        penalty.http = key->http;
        penalty.state = key->state;
        penalty.level = key->level;
        penalty.max_concurrent = key->account->learned;
        penalty.status.data = (u_char *) ngx_http_ollama_key_state_name(key);
        penalty.status.len = ngx_strlen(penalty.status.data);
        penalty.reason.data = key->reason;
        penalty.reason.len = ngx_strlen(key->reason);
    }

    len = ollama_record_penalty_encode(frame, sizeof(frame), &penalty);

    if (len) {
        (void) ngx_http_ollama_outbox_put(outbox, frame, len, penalty.time, 0);
    }
}
