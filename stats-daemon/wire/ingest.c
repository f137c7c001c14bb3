#include "ingest.h"

#include "../base/accepting.h"
#include "../base/log.h"
#include "../base/map.h"
#include "../base/util.h"
#include "../base/version.h"
#include "key_names.h"
#include "peers.h"
#include "welcome.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE 262144

struct conn {
    struct conn *next, **prev;
    struct ingest *in;
    int fd;
    struct event *read, *write;
    unsigned char *buf;
    size_t len, size;
    struct evbuffer *out;
    struct state_proxy *proxy; /* NULL before HELLO */
    int introduced;            /* READY has come */
    struct asking *asking;     /* .. and is not answered yet */
    struct run_list running;   /* until it is whole */
    int told_damage, told_foreign, told_gap;
};

struct ingest {
    struct event_base *base;
    struct event *accept;
    struct accepting accepting;
    int fd;
    struct state *state;
    struct ask *ask;
    struct writer *writer;
    struct conn *conns;
    ingest_greeting *greeting;
    void *greeting_arg;
    int paused, stopped;
};

static void conn_close(struct conn *c, const char *why) {
    struct ingest *in = c->in;
    struct state_proxy *p = c->proxy;

    if (why) log_msg(LOG_WARN, "ingest: connection closed: %s", why);
    if (p && --p->connections == 0)
        log_msg(LOG_INFO, "proxy %016" PRIx64 " has disconnected", p->instance);
    c->in->state->connections--;
    if (c->asking) ask_leave(c->asking);
    event_free(c->read);
    event_free(c->write);
    evbuffer_free(c->out);
    run_list_free(&c->running);
    close(c->fd);
    free(c->buf);
    if (c->next) c->next->prev = c->prev;
    *c->prev = c->next;
    free(c);
    if (!in->stopped) accepting_closed(&in->accepting);
}

/* ---- answers ---- */

static void on_write(evutil_socket_t fd, short what, void *arg) {
    struct conn *c = arg;

    (void)what;
    if (evbuffer_write(c->out, fd) < 0 && errno != EAGAIN && errno != EINTR) {
        conn_close(c, NULL);
        return;
    }
    if (evbuffer_get_length(c->out)) event_add(c->write, NULL);
}

/* Sends when the loop comes round, so that a connection never goes away in
 * the middle of what is done with it. */
static void conn_send(struct conn *c, const unsigned char *frame, size_t len) {
    if (len == 0) return;
    evbuffer_add(c->out, frame, len);
    event_add(c->write, NULL);
}

static void on_welcome(void *arg, const struct answer *a) {
    struct conn *c = arg;
    size_t len;

    c->asking = NULL;
    const void *frames = welcome_frames(a, &len);
    conn_send(c, frames, len);
    if (c->in->greeting) c->in->greeting(c->in->greeting_arg, c->out);
}

void ingest_greet(struct ingest *in, ingest_greeting *greeting, void *arg) {
    in->greeting = greeting;
    in->greeting_arg = arg;
}

void ingest_tell(struct ingest *in, struct evbuffer *frames) {
    size_t len = evbuffer_get_length(frames);
    const unsigned char *data = evbuffer_pullup(frames, -1);

    for (struct conn *c = in->conns; data && c; c = c->next)
        if (c->introduced && c->asking == NULL) conn_send(c, data, len);
}

static void conn_welcome(struct conn *c) {
    unsigned char buf[OLLAMA_RECORD_MAX];
    int64_t now = now_ms();
    ollama_record_welcome_t welcome = {
        .instance = c->proxy->instance,
        .seq = c->proxy->committed,
        .time = (uint64_t)now,
        .version = {(const unsigned char *)STATSD_VERSION,
                    sizeof(STATSD_VERSION) - 1},
    };

    conn_send(c, buf, ollama_record_welcome_encode(buf, sizeof(buf), &welcome));
    c->asking =
        ask(c->in->ask, &welcome_question, &now, sizeof(now), 0, on_welcome, c);
}

/* ---- frames ---- */

static const char *got_hello(struct conn *c, const ollama_frame_t *f) {
    ollama_record_hello_t h;
    struct state_proxy *p;

    if (ollama_record_hello_decode(f, &h) != 0) return "its HELLO is malformed";
    if (h.instance == 0) return "its HELLO names no instance";
    if (c->proxy && c->proxy->instance != h.instance)
        return "a second HELLO names another instance";

    p = state_proxy(c->in->state, h.instance);
    if (p == NULL) return "there are too many instances";
    if (c->proxy == NULL) p->connections++;
    c->proxy = p;
    event_remove_timer(c->read);
    c->introduced = 0;
    writer_push(c->in->writer, h.instance, f);
    p->seen = now_ms();
    p->started = (int64_t)h.started;
    p->pid = h.pid;
    state_copy(p->version, sizeof(p->version), &h.version);
    state_copy(p->server, sizeof(p->server), &h.server);
    p->balance = h.balance;
    state_copy(p->private, sizeof(p->private), &h.private);
    log_msg(LOG_INFO, "proxy %016" PRIx64 " (%s, pid %u) is connected",
            h.instance, p->server, p->pid);
    if (h.frames < OLLAMA_FRAME_VERSION && p->frames_told != h.frames) {
        p->frames_told = h.frames;
        log_msg(LOG_NOTICE,
                "proxy %016" PRIx64 ": its module is older than this "
                "ollama-statsd (it speaks version %d, not %d): all that it "
                "sends is recorded, but requests that it loses when nginx or "
                "a worker ends are not among it",
                h.instance, h.frames, OLLAMA_FRAME_VERSION);
    }
    return NULL;
}

static void got_key(struct conn *c, const ollama_frame_t *f) {
    ollama_record_key_t r;
    struct state_key *k;

    if (ollama_record_key_decode(f, &r) != 0) return;
    k = state_key(c->in->state, r.key);
    if (k) {
        k->teller = c->proxy->instance;
        k->index = (int)r.index;
        k->max_concurrent = r.max_concurrent;
        k->enabled = r.enabled;
        state_copy(k->name, sizeof(k->name), &r.name);
        key_names_set(k->key, k->name);
        state_copy(k->account, sizeof(k->account), &r.account);
    }
    writer_push(c->in->writer, c->proxy->instance, f);
}

static void got_keystate(struct conn *c, const ollama_frame_t *f) {
    ollama_record_keystate_t r;
    struct state_key *k;

    if (ollama_record_keystate_decode(f, &r) != 0) return;
    k = state_key(c->in->state, r.key);
    if (k == NULL) return;
    k->seen = now_ms();
    k->in_flight = r.in_flight;
    k->slots = r.slots;
    k->usage = r.usage;
    k->reserved = r.reserved;
    k->until = (int64_t)r.until;
    k->state = r.state;
    k->eligible = r.eligible;
    state_copy(k->status, sizeof(k->status), &r.status);
    state_copy(k->reason, sizeof(k->reason), &r.reason);
}

static void got_numbered(struct conn *c, const ollama_frame_t *f) {
    struct state_proxy *p = c->proxy;

    if (f->seq <= p->accepted) {
        p->duplicates++;
        return;
    }
    /* what a proxy had sent before this ledger began is not missing here */
    if (p->accepted && f->seq > p->accepted + 1) {
        p->gaps += f->seq - p->accepted - 1;
        if (!c->told_gap) {
            c->told_gap = 1;
            log_msg(LOG_WARN,
                    "proxy %016" PRIx64 ": numbers %" PRIu64 " to %" PRIu64
                    " did not come: its outbox was full, or a frame was "
                    "damaged",
                    p->instance, p->accepted + 1, f->seq - 1);
        }
    }
    p->accepted = f->seq;
    p->frames++;
    writer_push(c->in->writer, p->instance, f);
}

/* Returns why the connection cannot go on, or NULL. */
static const char *got_frame(struct conn *c, const ollama_frame_t *f) {
    struct state *state = c->in->state;

    state->frames++;
    if (f->type == OLLAMA_FRAME_HELLO) return got_hello(c, f);
    if (c->proxy == NULL) {
        state->refused++;
        return "its first frame is not HELLO";
    }
    c->proxy->seen = now_ms();

    switch (f->type) {
    case OLLAMA_FRAME_KEY: got_key(c, f); break;
    case OLLAMA_FRAME_READY:
        writer_push(c->in->writer, c->proxy->instance, f);
        if (!c->introduced) {
            c->introduced = 1;
            conn_welcome(c);
        }
        break;
    case OLLAMA_FRAME_OUTBOX:
        if (ollama_record_outbox_decode(f, &c->proxy->outbox) == 0)
            c->proxy->has_outbox = 1;
        break;
    case OLLAMA_FRAME_KEYSTATE: got_keystate(c, f); break;
    case OLLAMA_FRAME_RUNNING: run_list_row(&c->running, f); break;
    case OLLAMA_FRAME_RUNNING_END:
        run_list_end(&c->proxy->running, &c->running, f);
        break;
    default:
        /* what is numbered has to be acknowledged, known to us or not; the
         * writer counts what it does not understand */
        if (f->seq)
            got_numbered(c, f);
        else
            state->unknown++;
    }
    return NULL;
}

static void note_damage(struct conn *c, size_t bytes) {
    c->in->state->damaged++;
    if (c->told_damage) return;
    c->told_damage = 1;
    log_msg(LOG_ERROR, "ingest: a damaged frame, %zu bytes are skipped", bytes);
}

static void note_foreign(struct conn *c, int version) {
    c->in->state->foreign++;
    if (c->told_foreign) return;
    c->told_foreign = 1;
    log_msg(LOG_ERROR,
            "ingest: the proxy sends frames of version %d, this ollama-statsd "
            "knows them up to version %d: restart the older of the two",
            version, OLLAMA_FRAME_VERSION);
}

/* All whole frames in the buffer, or as many as the writer takes. */
static const char *conn_parse(struct conn *c) {
    struct ingest *in = c->in;
    const char *why = NULL;
    size_t pos = 0, used;
    ollama_frame_t f;

    writer_lock(in->writer);
    while (why == NULL && !(in->paused = writer_full(in->writer))) {
        int got = (int)ollama_frame_next(c->buf + pos, c->len - pos, &used, &f);
        if (got == OLLAMA_FRAME_AGAIN) break;
        if (got == OLLAMA_FRAME_GOT)
            why = got_frame(c, &f);
        else if (got == OLLAMA_FRAME_FOREIGN)
            note_foreign(c, f.version);
        else if (c->proxy == NULL)
            why = "what it sends are no frames";
        else
            note_damage(c, used);
        pos += used;
    }
    writer_unlock(in->writer);

    if (pos) {
        c->len -= pos;
        memmove(c->buf, c->buf + pos, c->len);
    }
    if (c->len == 0 && c->size > READ_SIZE) {
        free(c->buf);
        c->buf = NULL;
        c->size = 0;
    }
    return why;
}

/* Who does not say HELLO takes no place for ever. */
static void conn_listen(struct conn *c) {
    static const struct timeval patience = {INGEST_HELLO_S, 0};

    event_add(c->read, c->proxy ? NULL : &patience);
}

static void pause_all(struct ingest *in) {
    in->state->paused++;
    for (struct conn *c = in->conns; c; c = c->next) event_del(c->read);
}

static void on_read(evutil_socket_t fd, short what, void *arg) {
    struct conn *c = arg;
    struct ingest *in = c->in;
    const char *why;

    if ((what & EV_TIMEOUT) && c->proxy == NULL) {
        conn_close(c, "it does not say who it is");
        return;
    }
    if (c->size - c->len < READ_SIZE / 2) {
        c->size = c->len + READ_SIZE;
        c->buf = xrealloc(c->buf, c->size);
    }
    ssize_t n = read(fd, c->buf + c->len, c->size - c->len);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) {
        conn_close(c, NULL);
        return;
    }
    c->len += (size_t)n;
    in->state->bytes += (uint64_t)n;

    why = conn_parse(c);
    if (why == NULL && evbuffer_get_length(c->out) > INGEST_OUT_MAX)
        why = "it does not read its answers";
    if (why) conn_close(c, why);
    if (in->paused) pause_all(in);
}

static void resume_all(struct ingest *in) {
    struct conn *next;

    in->paused = 0;
    for (struct conn *c = in->conns; c && !in->paused; c = next) {
        next = c->next;
        const char *why = conn_parse(c);
        if (why) conn_close(c, why);
    }
    if (in->paused) return;
    for (struct conn *c = in->conns; c; c = c->next) conn_listen(c);
}

void ingest_committed(struct ingest *in, uint64_t instance, uint64_t seq) {
    unsigned char buf[OLLAMA_RECORD_MAX];
    ollama_record_ack_t ack = {seq};
    struct state_proxy *p;

    if (instance == 0) {
        if (in->paused && !in->stopped) resume_all(in);
        return;
    }
    p = state_proxy(in->state, instance);
    if (p == NULL || p->committed >= seq) return;
    p->committed = seq;

    size_t n = ollama_record_ack_encode(buf, sizeof(buf), &ack);
    for (struct conn *c = in->conns; c; c = c->next)
        if (c->proxy == p) conn_send(c, buf, n);
}

/* ---- connections ---- */

static void on_accept(evutil_socket_t fd, short what, void *arg) {
    struct ingest *in = arg;

    (void)what;
    int s = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (s < 0) {
        accepting_failed(&in->accepting, errno);
        return;
    }
    if (!peers_allowed(s)) {
        close(s);
        return;
    }

    struct conn *c = xcalloc(1, sizeof(*c));
    c->in = in;
    c->fd = s;
    c->read = event_new(in->base, s, EV_READ | EV_PERSIST, on_read, c);
    c->write = event_new(in->base, s, EV_WRITE, on_write, c);
    c->out = evbuffer_new();
    c->next = in->conns;
    c->prev = &in->conns;
    if (c->next) c->next->prev = &c->next;
    in->conns = c;
    in->state->connections++;
    if (!in->paused) conn_listen(c);
    accepting_opened(&in->accepting);
}

static void turn(void *arg, int on) {
    struct ingest *in = arg;

    if (on)
        event_add(in->accept, NULL);
    else
        event_del(in->accept);
}

static void on_instance(void *arg, uint64_t instance, uint64_t seq) {
    struct state_proxy *p = state_proxy(arg, instance);

    if (p) p->accepted = p->committed = seq;
}

struct ingest *ingest_start(struct event_base *base, int fd,
                            struct state *state, struct store *store, int max) {
    struct ingest *in = xcalloc(1, sizeof(*in));

    in->base = base;
    in->fd = fd;
    in->state = state;
    if (store_instances(store, on_instance, state) != STORE_OK) {
        log_msg(LOG_EMERG, "the last numbers cannot be read: %s", store->error);
        free(in);
        return NULL;
    }
    in->accept = event_new(base, fd, EV_READ | EV_PERSIST, on_accept, in);
    event_add(in->accept, NULL);
    accepting_start(&in->accepting, base, "proxies", max, turn, in);
    return in;
}

void ingest_set_writer(struct ingest *in, struct writer *writer,
                       struct ask *ask) {
    in->ask = ask;
    in->writer = writer;
}

void ingest_stop(struct ingest *in) {
    in->stopped = 1;
    accepting_stop(&in->accepting);
    event_del(in->accept);
    for (struct conn *c = in->conns; c; c = c->next) event_del(c->read);
}

void ingest_free(struct ingest *in) {
    while (in->conns) {
        /* the last ACK, if the other side takes it at once */
        evbuffer_write(in->conns->out, in->conns->fd);
        conn_close(in->conns, NULL);
    }
    event_free(in->accept);
    close(in->fd);
    free(in);
}
