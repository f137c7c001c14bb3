
/*
 * The worker that carries the outbox to the daemon.
 *
 * A timer of a few milliseconds looks into the ring; what is there goes out in
 * one piece, so that the socket is written to per batch and not per request.
 * Bytes are copied out of the ring first: what is being written stays as it
 * is, whatever the ring has to drop meanwhile.
 */

#include "ngx_http_ollama.h"


#define NGX_HTTP_OLLAMA_FLUSH        5          /* ms */
#define NGX_HTTP_OLLAMA_FLUSH_IDLE   50
#define NGX_HTTP_OLLAMA_RETRY        250
#define NGX_HTTP_OLLAMA_ROLE         500
#define NGX_HTTP_OLLAMA_STATE        1000
#define NGX_HTTP_OLLAMA_SILENCE      30000
#define NGX_HTTP_OLLAMA_LAST_WORDS   300

#define NGX_HTTP_OLLAMA_BATCH        262144     /* bytes */
#define NGX_HTTP_OLLAMA_RECV         65536


typedef struct {
    ngx_http_ollama_outbox_t        *outbox;

    ngx_event_t                      event;     /* the timer */
    ngx_connection_t                 dummy;
    ngx_peer_connection_t            peer;
    ngx_log_t                        quiet;     /* while it connects */
    ngx_connection_t                *connection;

    u_char                          *out;       /* frames being written */
    size_t                           size;
    size_t                           pos;
    size_t                           last;

    u_char                          *in;
    size_t                           in_last;

    ngx_msec_t                       state_sent;
    ngx_msec_t                       running_sent;
    ngx_atomic_uint_t                running_version;   /* that was sent */
    uint32_t                         running;   /* requests in it */
    ngx_msec_t                       answered;  /* the daemon's last word */

    unsigned                         sender:1;
    unsigned                         connected:1;
    unsigned                         ready:1;   /* the daemon said so */
    unsigned                         told:1;    /* in the log */
} ngx_http_ollama_sender_t;


static void ngx_http_ollama_sender_last_words(ngx_http_ollama_sender_t *s);
static ngx_int_t ngx_http_ollama_sender_send_ring(ngx_http_ollama_sender_t *s);
static ngx_int_t ngx_http_ollama_sender_send_all(ngx_http_ollama_sender_t *s,
    ngx_socket_t fd);
static void ngx_http_ollama_sender_timer(ngx_event_t *ev);
static ngx_uint_t ngx_http_ollama_sender_role(ngx_http_ollama_sender_t *s);
static ngx_uint_t ngx_http_ollama_sender_take(ngx_http_ollama_sender_t *s);
static void ngx_http_ollama_sender_give_up(ngx_http_ollama_sender_t *s);
static void ngx_http_ollama_sender_connect(ngx_http_ollama_sender_t *s);
static void ngx_http_ollama_sender_close(ngx_http_ollama_sender_t *s,
    const char *why);
static ngx_int_t ngx_http_ollama_sender_introduce(
    ngx_http_ollama_sender_t *s);
static ngx_int_t ngx_http_ollama_sender_reserve(ngx_http_ollama_sender_t *s,
    size_t size);
static void ngx_http_ollama_sender_write_handler(ngx_event_t *wev);
static void ngx_http_ollama_sender_read_handler(ngx_event_t *rev);
static ngx_int_t ngx_http_ollama_sender_flush(ngx_http_ollama_sender_t *s);
static ngx_int_t ngx_http_ollama_sender_write(ngx_http_ollama_sender_t *s);
static ngx_int_t ngx_http_ollama_sender_fill(ngx_http_ollama_sender_t *s);
static ngx_int_t ngx_http_ollama_sender_state(ngx_http_ollama_sender_t *s);
static ngx_uint_t ngx_http_ollama_sender_running_due(
    ngx_http_ollama_sender_t *s);
static ngx_int_t ngx_http_ollama_sender_running(ngx_http_ollama_sender_t *s);
static ngx_int_t ngx_http_ollama_sender_frame(ngx_http_ollama_sender_t *s,
    ollama_frame_t *frame);


static ngx_http_ollama_sender_t  ngx_http_ollama_sender;


void
ngx_http_ollama_sender_init_process(ngx_http_ollama_outbox_t *outbox,
    ngx_cycle_t *cycle)
{
    ngx_http_ollama_sender_t  *s;

    s = &ngx_http_ollama_sender;

    ngx_memzero(s, sizeof(ngx_http_ollama_sender_t));

    s->outbox = outbox;
    s->dummy.fd = (ngx_socket_t) -1;

    s->event.handler = ngx_http_ollama_sender_timer;
    s->event.data = &s->dummy;
    s->event.log = cycle->log;
    s->event.cancelable = 1;

    ngx_add_timer(&s->event, 1);
}


void
ngx_http_ollama_sender_exit_process(void)
{
    ngx_http_ollama_sender_t  *s;

    s = &ngx_http_ollama_sender;

    if (s->outbox == NULL) {
        return;
    }

    ngx_http_ollama_sender_give_up(s);
    ngx_http_ollama_sender_last_words(s);

    if (s->out) {
        ngx_free(s->out);
    }

    if (s->in) {
        ngx_free(s->in);
    }

    s->outbox = NULL;
}


/*
 * The end of a worker may be that of nginx, and so of the ring.  What is in it
 * is sent once more over a connection of its own, which may take a moment now:
 * there are no more clients.  If nginx goes on, the next sender sends the same
 * again, and the daemon knows the numbers.
 *
 * It takes the role to do so: two that read from the ring would each send a
 * part.  A worker that finds the role taken leaves its records to whoever has
 * it, who therefore looks once more after giving it up.
 */

static void
ngx_http_ollama_sender_last_words(ngx_http_ollama_sender_t *s)
{
    ngx_int_t       rc;
    ngx_uint_t      i;
    ollama_ring_t  *ring;

    ring = &s->outbox->sh->ring;

    if (ollama_ring_used(ring) == 0) {
        return;
    }

    for (i = 0; i < 3; i++) {

        if (!ngx_http_ollama_sender_take(s)) {
            return;
        }

        rc = ngx_http_ollama_sender_send_ring(s);

        ngx_http_ollama_sender_give_up(s);

        if (rc != NGX_OK || !ollama_ring_unsent(ring)) {
            return;
        }
    }
}


static ngx_int_t
ngx_http_ollama_sender_send_ring(ngx_http_ollama_sender_t *s)
{
    u_char          buf[1024];
    ngx_int_t       rc;
    ngx_socket_t    fd;
    struct timeval  tv;

    fd = ngx_socket(AF_UNIX, SOCK_STREAM, 0);

    if (fd == (ngx_socket_t) -1) {
        return NGX_ERROR;
    }

    tv.tv_sec = 0;
    tv.tv_usec = NGX_HTTP_OLLAMA_LAST_WORDS * 1000;

    (void) setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
    (void) setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));

    rc = NGX_ERROR;

    if (connect(fd, s->outbox->addr.sockaddr, s->outbox->addr.socklen) == 0
        && ngx_http_ollama_sender_introduce(s) == NGX_OK)
    {
        ngx_shmtx_lock(&s->outbox->shpool->mutex);
        ollama_ring_rewind(&s->outbox->sh->ring);
        ngx_shmtx_unlock(&s->outbox->shpool->mutex);

        rc = ngx_http_ollama_sender_send_all(s, fd);

        if (rc == NGX_OK) {

            /* it has been read when the daemon closes its side as well */

            (void) shutdown(fd, SHUT_WR);

            while (recv(fd, buf, sizeof(buf), 0) > 0) { /* void */ }
        }
    }

    (void) ngx_close_socket(fd);

    return rc;
}


static ngx_int_t
ngx_http_ollama_sender_send_all(ngx_http_ollama_sender_t *s, ngx_socket_t fd)
{
    ssize_t  n;

    for ( ;; ) {

        while (s->pos < s->last) {

            n = send(fd, s->out + s->pos, s->last - s->pos, MSG_NOSIGNAL);

            if (n <= 0) {
                return NGX_ERROR;
            }

            s->pos += n;
        }

        if (ngx_http_ollama_sender_fill(s) != NGX_OK) {
            return NGX_ERROR;
        }

        if (s->last == 0) {
            return NGX_OK;
        }
    }
}


static void
ngx_http_ollama_sender_timer(ngx_event_t *ev)
{
    ngx_msec_t                 next;
    ngx_http_ollama_sender_t  *s;

    s = &ngx_http_ollama_sender;

    /* a worker that only finishes its requests leaves the role to another */

    if (ngx_exiting && s->sender && (!s->ready || s->pos == s->last)) {
        ngx_http_ollama_sender_give_up(s);
    }

    if (!ngx_http_ollama_sender_role(s)) {
        next = NGX_HTTP_OLLAMA_ROLE;

    } else if (s->connection == NULL) {
        ngx_http_ollama_sender_connect(s);
        next = NGX_HTTP_OLLAMA_RETRY;

    } else if (!s->connected || !s->ready) {
        next = NGX_HTTP_OLLAMA_RETRY;

        if (ngx_current_msec - s->answered > NGX_HTTP_OLLAMA_SILENCE) {
            ngx_http_ollama_sender_close(s, "does not answer");
        }

    } else {
        next = (s->pos < s->last
                || ollama_ring_unsent(&s->outbox->sh->ring))
               ? NGX_HTTP_OLLAMA_FLUSH : NGX_HTTP_OLLAMA_FLUSH_IDLE;

        if (ngx_http_ollama_sender_flush(s) != NGX_OK) {
            ngx_http_ollama_sender_close(s, "is gone");
            next = NGX_HTTP_OLLAMA_RETRY;
        }
    }

    ngx_add_timer(ev, next);
}


static ngx_uint_t
ngx_http_ollama_sender_role(ngx_http_ollama_sender_t *s)
{
    if (s->sender) {
        return 1;
    }

    if (ngx_exiting || ngx_terminate) {
        return 0;
    }

    return ngx_http_ollama_sender_take(s);
}


static ngx_uint_t
ngx_http_ollama_sender_take(ngx_http_ollama_sender_t *s)
{
    ngx_pid_t                      pid;
    ngx_http_ollama_outbox_shm_t  *sh;

    sh = s->outbox->sh;

    pid = sh->sender;

    if (pid && pid != ngx_pid
        && !(kill(pid, 0) == -1 && ngx_errno == NGX_ESRCH))
    {
        return 0;
    }

    ngx_shmtx_lock(&s->outbox->shpool->mutex);

    if (sh->sender == pid) {
        sh->sender = ngx_pid;
        sh->connected = 0;
        s->sender = 1;
    }

    ngx_shmtx_unlock(&s->outbox->shpool->mutex);

    return s->sender;
}


static void
ngx_http_ollama_sender_give_up(ngx_http_ollama_sender_t *s)
{
    if (!s->sender) {
        return;
    }

    if (s->connection) {
        ngx_http_ollama_sender_close(s, NULL);
    }

    ngx_shmtx_lock(&s->outbox->shpool->mutex);

    if (s->outbox->sh->sender == ngx_pid) {
        s->outbox->sh->sender = 0;
    }

    ngx_shmtx_unlock(&s->outbox->shpool->mutex);

    s->sender = 0;
}


static void
ngx_http_ollama_sender_connect(ngx_http_ollama_sender_t *s)
{
    ngx_int_t          rc;
    ngx_connection_t  *c;

    ngx_memzero(&s->peer, sizeof(ngx_peer_connection_t));

    s->peer.sockaddr = s->outbox->addr.sockaddr;
    s->peer.socklen = s->outbox->addr.socklen;
    s->peer.name = &s->outbox->addr.name;
    s->peer.get = ngx_event_get_peer;

    /*
     * A daemon that is not there is no error of nginx, which would say so four
     * times a second: we say it once.
     */

    s->quiet = *s->event.log;
    s->quiet.log_level = NGX_LOG_EMERG;
    s->quiet.next = NULL;

    s->peer.log = &s->quiet;
    s->peer.log_error = NGX_ERROR_INFO;

    s->answered = ngx_current_msec;

    rc = ngx_event_connect_peer(&s->peer);

    if (rc == NGX_ERROR || rc == NGX_BUSY || rc == NGX_DECLINED) {

        if (!s->told) {
            ngx_log_error(NGX_LOG_WARN, s->event.log, 0,
                          "ollama-statsd at \"%V\" cannot be reached, "
                          "records wait for it", s->peer.name);
            s->told = 1;
        }

        if (s->peer.connection) {
            ngx_close_connection(s->peer.connection);
            s->peer.connection = NULL;
        }

        return;
    }

    c = s->peer.connection;

    c->data = s;
    c->log = s->event.log;
    c->read->log = c->log;
    c->write->log = c->log;
    c->read->handler = ngx_http_ollama_sender_read_handler;
    c->write->handler = ngx_http_ollama_sender_write_handler;

    /* not a connection that a worker has to wait for when it exits */

    c->idle = 0;

    s->connection = c;
    s->connected = 0;
    s->ready = 0;
    s->pos = 0;
    s->last = 0;
    s->in_last = 0;

    if (rc == NGX_OK) {
        ngx_http_ollama_sender_write_handler(c->write);
    }
}


static void
ngx_http_ollama_sender_close(ngx_http_ollama_sender_t *s, const char *why)
{
    if (why && !s->told) {
        ngx_log_error(NGX_LOG_WARN, s->event.log, 0,
                      "ollama-statsd at \"%V\" %s, records wait for it",
                      s->peer.name, why);
        s->told = 1;
    }

    if (s->connection) {
        ngx_close_connection(s->connection);
    }

    s->connection = NULL;
    s->connected = 0;
    s->ready = 0;

    s->outbox->sh->connected = 0;
}


static void
ngx_http_ollama_sender_write_handler(ngx_event_t *wev)
{
    ngx_connection_t          *c;
    ngx_http_ollama_sender_t  *s;

    c = wev->data;
    s = c->data;

    if (!s->connected) {
        s->connected = 1;

        if (ngx_http_ollama_sender_introduce(s) != NGX_OK) {
            ngx_http_ollama_sender_close(s, "is not there");
            return;
        }
    }

    if (ngx_http_ollama_sender_write(s) == NGX_ERROR) {
        ngx_http_ollama_sender_close(s, "is gone");
    }
}


/* HELLO, a KEY for each, READY: the daemon answers with what it knows */

static ngx_int_t
ngx_http_ollama_sender_introduce(ngx_http_ollama_sender_t *s)
{
    size_t                         n;
    ngx_int_t                      rc;
    ngx_uint_t                     i;
    ollama_record_key_t            rk;
    ollama_record_hello_t          hello;
    ngx_http_ollama_key_t         *key;
    ngx_http_ollama_pool_t        *pool;
    ngx_http_ollama_outbox_shm_t  *sh;

    sh = s->outbox->sh;
    pool = s->outbox->keys->pool;

    ngx_memzero(&hello, sizeof(ollama_record_hello_t));

    hello.instance = sh->instance;
    hello.started = sh->started;
    hello.pid = ngx_pid;
    hello.keys = (uint32_t) pool->nkeys;
    hello.version.data = (u_char *) NGX_HTTP_OLLAMA_VERSION;
    hello.version.len = sizeof(NGX_HTTP_OLLAMA_VERSION) - 1;
    hello.server.data = (u_char *) NGINX_VER;
    hello.server.len = sizeof(NGINX_VER) - 1;

    rc = NGX_ERROR;

    ngx_http_ollama_keys_lock(s->outbox->keys);

    if (ngx_http_ollama_sender_reserve(s, (pool->nkeys + 2) * 512) != NGX_OK) {
        goto done;
    }

    n = ollama_record_hello_encode(s->out, s->size, &hello);

    for (i = 0; i < pool->nkeys; i++) {
        key = pool->keys[i];

        ngx_memzero(&rk, sizeof(ollama_record_key_t));

        rk.key = ngx_http_ollama_key_number(key);
        rk.index = (uint32_t) i;
        rk.max_concurrent = (uint32_t) ngx_http_ollama_key_slots(key);
        rk.weight = key->weight;
        rk.enabled = key->enabled;
        rk.name.data = key->name.data;
        rk.name.len = key->name.len;

        n += ollama_record_key_encode(s->out + n, s->size - n, &rk);
    }

    n += ollama_record_ready_encode(s->out + n, s->size - n);

    s->pos = 0;
    s->last = n;

    rc = NGX_OK;

done:

    ngx_http_ollama_keys_unlock(s->outbox->keys);

    return rc;
}


static ngx_int_t
ngx_http_ollama_sender_reserve(ngx_http_ollama_sender_t *s, size_t size)
{
    u_char  *p;

    if (s->size >= size) {
        return NGX_OK;
    }

    size = ngx_max(size, NGX_HTTP_OLLAMA_BATCH);

    p = ngx_alloc(size, s->event.log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    if (s->out) {
        ngx_free(s->out);
    }

    s->out = p;
    s->size = size;

    return NGX_OK;
}


static ngx_int_t
ngx_http_ollama_sender_flush(ngx_http_ollama_sender_t *s)
{
    ngx_uint_t  i;

    /* some batches and no more: other events wait as well */

    for (i = 0; i < 8; i++) {

        switch (ngx_http_ollama_sender_write(s)) {

        case NGX_ERROR:
            return NGX_ERROR;

        case NGX_AGAIN:
            return NGX_OK;

        default: /* NGX_OK: all is written */
            break;
        }

        if (ngx_current_msec - s->state_sent >= NGX_HTTP_OLLAMA_STATE) {
            s->state_sent = ngx_current_msec;

            if (ngx_http_ollama_sender_state(s) != NGX_OK) {
                return NGX_ERROR;
            }

            continue;
        }

        if (ngx_http_ollama_sender_running_due(s)) {

            if (ngx_http_ollama_sender_running(s) != NGX_OK) {
                return NGX_ERROR;
            }

            continue;
        }

        if (ngx_http_ollama_sender_fill(s) != NGX_OK) {
            return NGX_ERROR;
        }

        if (s->last == 0) {
            return NGX_OK;
        }
    }

    return (ngx_http_ollama_sender_write(s) == NGX_ERROR) ? NGX_ERROR : NGX_OK;
}


static ngx_int_t
ngx_http_ollama_sender_write(ngx_http_ollama_sender_t *s)
{
    ssize_t            n;
    ngx_connection_t  *c;

    c = s->connection;

    while (s->pos < s->last) {

        n = c->send(c, s->out + s->pos, s->last - s->pos);

        if (n == NGX_AGAIN) {
            return (ngx_handle_write_event(c->write, 0) == NGX_OK)
                   ? NGX_AGAIN : NGX_ERROR;
        }

        if (n == NGX_ERROR) {
            return NGX_ERROR;
        }

        s->pos += n;
    }

    s->pos = 0;
    s->last = 0;

    return NGX_OK;
}


/* the next batch of whole frames from the ring */

static ngx_int_t
ngx_http_ollama_sender_fill(ngx_http_ollama_sender_t *s)
{
    size_t  n, need;

    if (ngx_http_ollama_sender_reserve(s, NGX_HTTP_OLLAMA_BATCH) != NGX_OK) {
        return NGX_ERROR;
    }

    for ( ;; ) {
        ngx_shmtx_lock(&s->outbox->shpool->mutex);

        n = ollama_ring_read(&s->outbox->sh->ring, s->out, s->size, &need);

        ngx_shmtx_unlock(&s->outbox->shpool->mutex);

        if (need == 0) {
            s->pos = 0;
            s->last = n;
            return NGX_OK;
        }

        if (ngx_http_ollama_sender_reserve(s, need) != NGX_OK) {
            return NGX_ERROR;
        }
    }
}


/* how the outbox and the keys are, for the page and the metrics */

static ngx_int_t
ngx_http_ollama_sender_state(ngx_http_ollama_sender_t *s)
{
    size_t                     n;
    time_t                     now;
    uint64_t                   oldest, ms;
    ngx_int_t                  rc;
    ngx_uint_t                 i;
    ollama_ring_t             *ring;
    ngx_http_ollama_key_t     *key;
    ngx_http_ollama_pool_t    *pool;
    ollama_record_outbox_t     ro;
    ollama_record_keystate_t   rk;

    pool = s->outbox->keys->pool;
    ring = &s->outbox->sh->ring;
    now = ngx_time();
    ms = ngx_http_ollama_now();

    ngx_memzero(&ro, sizeof(ollama_record_outbox_t));

    ngx_shmtx_lock(&s->outbox->shpool->mutex);

    oldest = ollama_ring_oldest(ring);

    ro.time = ms;
    ro.size = ring->size;
    ro.used = ollama_ring_used(ring);
    ro.last_seq = ring->seq;
    ro.acked = ring->acked;
    ro.dropped_records = ring->dropped_records;
    ro.dropped_bodies = ring->dropped_bodies;
    ro.resent = ring->resent;
    ro.lag = (oldest && oldest < ms) ? (uint32_t) (ms - oldest) : 0;

    ngx_shmtx_unlock(&s->outbox->shpool->mutex);

    rc = NGX_ERROR;

    ngx_http_ollama_keys_lock(s->outbox->keys);
    ngx_http_ollama_keys_refresh(s->outbox->keys, now);

    if (ngx_http_ollama_sender_reserve(s, (pool->nkeys + 1) * 512) != NGX_OK) {
        goto done;
    }

    ro.waiting = (uint32_t) pool->nwaiters;

    for (i = 0; i < pool->nkeys; i++) {
        ro.running += pool->keys[i]->in_flight;
    }

    for (i = 0; i < NGX_HTTP_OLLAMA_PROCESSES; i++) {
        if (pool->processes[i].pid) {
            ro.workers++;
        }
    }

    n = ollama_record_outbox_encode(s->out, s->size, &ro);

    for (i = 0; i < pool->nkeys; i++) {
        key = pool->keys[i];

        ngx_memzero(&rk, sizeof(ollama_record_keystate_t));

        rk.key = ngx_http_ollama_key_number(key);
        rk.in_flight = key->in_flight;
        rk.slots = (uint32_t) ngx_http_ollama_key_slots(key);
        rk.usage = ollama_window_sum(&key->window, now);
        rk.reserved = key->reserved;
        rk.until = (uint64_t) key->until * 1000;
        rk.state = key->state;
        rk.eligible = (uint8_t) ngx_http_ollama_key_eligible(key);
        rk.status.data = (u_char *) ngx_http_ollama_key_state_name(key);
        rk.status.len = ngx_strlen(rk.status.data);
        rk.reason.data = key->reason;
        rk.reason.len = ngx_strlen(key->reason);

        n += ollama_record_keystate_encode(s->out + n, s->size - n, &rk);
    }

    s->pos = 0;
    s->last = n;

    rc = NGX_OK;

done:

    ngx_http_ollama_keys_unlock(s->outbox->keys);

    return rc;
}


/* a list that nobody writes anew is looked at again: its worker may be dead */

static ngx_uint_t
ngx_http_ollama_sender_running_due(ngx_http_ollama_sender_t *s)
{
    ngx_msec_t  since;

    since = ngx_current_msec - s->running_sent;

    if (s->running_version != s->outbox->running->sh->version) {
        return since >= NGX_HTTP_OLLAMA_RUNNING;
    }

    return s->running && since >= NGX_HTTP_OLLAMA_STATE;
}


static ngx_int_t
ngx_http_ollama_sender_running(ngx_http_ollama_sender_t *s)
{
    size_t                       n;
    ollama_record_running_end_t  end;

    if (ngx_http_ollama_sender_reserve(s, NGX_HTTP_OLLAMA_BATCH) != NGX_OK) {
        return NGX_ERROR;
    }

    s->running_version = s->outbox->running->sh->version;
    s->running_sent = ngx_current_msec;

    n = ngx_http_ollama_running_collect(s->outbox->running, s->out,
                                        NGX_HTTP_OLLAMA_BATCH
                                        - OLLAMA_RECORD_MAX,
                                        &end.total);
    s->running = end.total;

    end.time = ngx_http_ollama_now();
    end.waiting = ngx_http_ollama_keys_waiters(s->outbox->keys);

    n += ollama_record_running_end_encode(s->out + n, s->size - n, &end);

    s->pos = 0;
    s->last = n;

    return NGX_OK;
}


static void
ngx_http_ollama_sender_read_handler(ngx_event_t *rev)
{
    size_t                     pos, used;
    ssize_t                    n;
    ollama_frame_t             frame;
    ngx_connection_t          *c;
    ngx_http_ollama_sender_t  *s;

    c = rev->data;
    s = c->data;

    if (s->in == NULL) {
        s->in = ngx_alloc(NGX_HTTP_OLLAMA_RECV, s->event.log);
        if (s->in == NULL) {
            ngx_http_ollama_sender_close(s, NULL);
            return;
        }
    }

    for ( ;; ) {

        n = c->recv(c, s->in + s->in_last, NGX_HTTP_OLLAMA_RECV - s->in_last);

        if (n == NGX_AGAIN) {

            if (ngx_handle_read_event(rev, 0) != NGX_OK) {
                ngx_http_ollama_sender_close(s, NULL);
            }

            return;
        }

        if (n == NGX_ERROR || n == 0) {
            ngx_http_ollama_sender_close(s, "is gone");
            return;
        }

        s->in_last += n;
        s->answered = ngx_current_msec;

        for (pos = 0; pos < s->in_last; pos += used) {

            switch (ollama_frame_next(s->in + pos, s->in_last - pos, &used,
                                      &frame))
            {

            case OLLAMA_FRAME_GOT:
                if (ngx_http_ollama_sender_frame(s, &frame) != NGX_OK) {
                    ngx_http_ollama_sender_close(s, "speaks another language");
                    return;
                }

                continue;

            case OLLAMA_FRAME_AGAIN:
                goto again;

            default: /* OLLAMA_FRAME_DAMAGED, OLLAMA_FRAME_FOREIGN */
                continue;
            }
        }

    again:

        if (pos < s->in_last) {
            ngx_memmove(s->in, s->in + pos, s->in_last - pos);
        }

        s->in_last -= pos;

        if (s->in_last == NGX_HTTP_OLLAMA_RECV) {
            ngx_http_ollama_sender_close(s, "speaks another language");
            return;
        }
    }
}


static ngx_int_t
ngx_http_ollama_sender_frame(ngx_http_ollama_sender_t *s,
    ollama_frame_t *frame)
{
    ollama_record_ack_t            ack;
    ollama_record_usage_t          usage;
    ollama_record_penalty_t        penalty;
    ollama_record_welcome_t        welcome;
    ngx_http_ollama_outbox_shm_t  *sh;

    sh = s->outbox->sh;

    switch (frame->type) {

    case OLLAMA_FRAME_WELCOME:

        if (ollama_record_welcome_decode(frame, &welcome) != 0) {
            return NGX_ERROR;
        }

        ngx_shmtx_lock(&s->outbox->shpool->mutex);

        if (welcome.instance == sh->instance) {
            ollama_ring_ack(&sh->ring, welcome.seq);
        }

        ollama_ring_rewind(&sh->ring);

        ngx_shmtx_unlock(&s->outbox->shpool->mutex);

        return NGX_OK;

    case OLLAMA_FRAME_USAGE:

        if (ollama_record_usage_decode(frame, &usage) != 0) {
            return NGX_ERROR;
        }

        /* only a pool that knows nothing: afterwards it knows better */

        if (!s->outbox->keys->pool->restored) {
            ngx_http_ollama_keys_restore_usage(s->outbox->keys, &usage);
        }

        return NGX_OK;

    case OLLAMA_FRAME_PENALTY:

        if (ollama_record_penalty_decode(frame, &penalty) != 0) {
            return NGX_ERROR;
        }

        if (!s->outbox->keys->pool->restored) {
            ngx_http_ollama_keys_restore_penalty(s->outbox->keys, &penalty);
        }

        return NGX_OK;

    case OLLAMA_FRAME_READY:
        s->outbox->keys->pool->restored = 1;
        sh->connected = 1;

        s->ready = 1;

        ngx_log_error(NGX_LOG_INFO, s->event.log, 0,
                      "ollama-statsd at \"%V\" is there", s->peer.name);
        s->told = 0;

        s->state_sent = ngx_current_msec - NGX_HTTP_OLLAMA_STATE;
        s->running_version = 0;

        ngx_add_timer(&s->event, 1);

        return NGX_OK;

    case OLLAMA_FRAME_ACK:

        if (ollama_record_ack_decode(frame, &ack) != 0) {
            return NGX_ERROR;
        }

        ngx_shmtx_lock(&s->outbox->shpool->mutex);
        ollama_ring_ack(&sh->ring, ack.seq);
        ngx_shmtx_unlock(&s->outbox->shpool->mutex);

        return NGX_OK;

    default:
        return NGX_OK;
    }
}
