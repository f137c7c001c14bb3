#include "batch.h"

#include "../base/clock.h"
#include "../base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A body whose bytes are with the segments, but whose row is not written. */
struct pending {
    uint64_t instance, seq;
    ollama_record_body_t body;
    struct body_ref ref;
};

/* A batch while the store pulls its entries. */
struct pull {
    struct batch *batch;
    const struct frames *frames;
    struct tally *tally;
    size_t pos, body; /* the next frame, the next pending body */
    int64_t max, end; /* frames; a time of the steady clock */
    int flushed;      /* no frame comes any more: bodies */
    union {
        ollama_record_request_t request;
        ollama_record_body_t body;
        ollama_record_penalty_t penalty;
        ollama_record_key_t key;
        ollama_record_hello_t hello;
    } r;
};

void numbers_put(struct numbers *l, uint64_t instance, uint64_t seq) {
    for (size_t i = 0; i < l->n; i++) {
        if (l->list[i].instance == instance) {
            if (l->list[i].seq < seq) l->list[i].seq = seq;
            return;
        }
    }
    if (l->n == l->size) {
        l->size = l->size ? l->size * 2 : 8;
        l->list = xrealloc(l->list, l->size * sizeof(*l->list));
    }
    l->list[l->n++] = (struct number){instance, seq};
}

/* What an attempt says of the cloud: an answer of any kind, a good one, or
 * none at all. */
static void note_cloud(struct cloud *s, const ollama_record_request_t *q) {
    int64_t now = now_ms();

    for (int i = 0; i < q->nattempts; i++) {
        const ollama_record_attempt_t *a = &q->attempts[i];
        if (a->status) {
            s->answer = now;
            s->status = a->status;
            if (a->status < 500) s->good = now;
        }
        if (a->status == 0 && (a->cause == OLLAMA_ATTEMPT_CONNECT ||
                               a->cause == OLLAMA_ATTEMPT_TIMEOUT ||
                               a->cause == OLLAMA_ATTEMPT_CLOSED)) {
            s->failure = now;
            s->cause = a->cause;
        }
    }
}

/* Without what is to be taken out of it. */
static int keep_body(struct batch *b, int64_t now, const ollama_text_t *body,
                     struct body_ref *ref, struct tally *t) {
    const void *data = body->data;
    size_t len = body->len;
    void *less = NULL;

    switch (redact_body(b->redact, data, len, &less, &len)) {
    case REDACT_NOTHING: break;
    case REDACT_DONE:
        data = less;
        t->redacted++;
        break;
    case REDACT_TOO_HARD: t->withheld++; return -1;
    }
    int bad = segments_put(b->bodies, now, data, len, ref);
    if (bad) {
        t->body_errno = errno;
        t->lost++;
    }
    free(less);
    return bad;
}

static void put_body(struct batch *b, uint64_t instance, uint64_t seq,
                     const ollama_record_body_t *r, struct tally *t) {
    int64_t now = now_ms();

    if (b->now - now > CLOCK_JUMP) now = b->now; /* or it is old at once */
    if (t->pending == b->pending_size) {
        b->pending_size = b->pending_size ? b->pending_size * 2 : 256;
        b->pending =
            xrealloc(b->pending, b->pending_size * sizeof(*b->pending));
    }
    struct pending *p = &b->pending[t->pending];

    p->instance = instance;
    p->seq = seq;
    p->body = *r;
    if ((int64_t)p->body.time < 0 || (int64_t)p->body.time > now + 60000)
        p->body.time = (uint64_t)now;
    if (keep_body(b, now, &r->data, &p->ref, t) == 0) t->pending++;
}

/* Their bytes have to be on the disk before their rows are written. */
static void flush_bodies(struct batch *b, struct tally *t) {
    if (segments_flush(b->bodies) == 0) return;
    t->body_errno = errno;
    t->lost += (int64_t)t->pending;
    t->pending = 0;
}

/* What a frame says becomes an entry; 0: its bytes are with the segments, and
 * its row comes when they are on the disk. */
static int entry_of(struct pull *p, const ollama_frame_t *f,
                    struct ledger_entry *e) {
    switch (f->type) {
    case OLLAMA_FRAME_REQUEST:
        if (ollama_record_request_decode(f, &p->r.request) != 0) break;
        e->kind = LEDGER_REQUEST;
        e->of.request = &p->r.request;
        return 1;
    case OLLAMA_FRAME_BODY:
        if (ollama_record_body_decode(f, &p->r.body) != 0) break;
        put_body(p->batch, e->instance, e->seq, &p->r.body, p->tally);
        return 0;
    case OLLAMA_FRAME_PENALTY:
        if (ollama_record_penalty_decode(f, &p->r.penalty) != 0) break;
        e->kind = LEDGER_PENALTY;
        e->of.penalty = &p->r.penalty;
        return 1;
    case OLLAMA_FRAME_KEY:
        if (ollama_record_key_decode(f, &p->r.key) != 0) break;
        e->kind = LEDGER_KEY;
        e->of.key = &p->r.key;
        return 1;
    case OLLAMA_FRAME_HELLO:
        if (ollama_record_hello_decode(f, &p->r.hello) != 0) break;
        e->kind = LEDGER_PROXY;
        e->of.proxy = &p->r.hello.proxy;
        return 1;
    case OLLAMA_FRAME_READY:
        p->tally->keys = 1;
        e->kind = LEDGER_KEYS;
        return 1;
    default: break;
    }
    /* its checksum was right: it is not going to be better next time */
    p->tally->malformed++;
    e->kind = LEDGER_NOTHING;
    return 1;
}

/* The frames, as long as there is time, then the bodies that were among them.
 */
static int next_entry(void *arg, struct ledger_entry *e) {
    struct pull *p = arg;
    struct tally *t = p->tally;

    while (!p->flushed) {
        ollama_frame_t f;

        if (p->pos == p->frames->len || t->frames == p->max ||
            (t->frames && (t->frames & 63) == 0 && mono_ms() >= p->end)) {
            flush_bodies(p->batch, t);
            p->flushed = 1;
            break;
        }
        p->pos = frames_at(p->frames, p->pos, &e->instance, &f);
        e->seq = f.seq;
        t->frames++;
        if (f.seq) numbers_put(&t->numbers, e->instance, f.seq);
        if (entry_of(p, &f, e)) return 1;
    }
    if (p->body == t->pending) return 0;

    const struct pending *body = &p->batch->pending[p->body++];
    e->kind = LEDGER_BODY;
    e->instance = body->instance;
    e->seq = body->seq;
    e->of.body.is = &body->body;
    e->of.body.ref = &body->ref;
    return 1;
}

static void entry_done(void *arg, const struct ledger_entry *e, int again) {
    struct pull *p = arg;
    struct tally *t = p->tally;

    if (e->kind == LEDGER_BODY && !again) t->bodies++;
    if (e->kind != LEDGER_REQUEST) return;
    if (again) {
        t->repeated++;
        return;
    }
    t->requests++;
    const struct writer_observer *o = &p->batch->observer;
    if (o->request) o->request(o->arg, e->of.request);
    note_cloud(&t->cloud, e->of.request);
}

/* Tells the observer what became of it. */
static void told(struct batch *b, int committed, int64_t began) {
    if (b->observer.batch)
        b->observer.batch(b->observer.arg, committed, mono_us() - began);
}

enum store_result batch_write(struct batch *b, const struct frames *q,
                              size_t *at, int max, struct tally *t) {
    int64_t began = mono_us();
    struct pull p = {.batch = b,
                     .frames = q,
                     .tally = t,
                     .pos = *at,
                     .max = max,
                     .end = mono_ms() + BATCH_MS};
    struct ledger_batch pulled = {b->now, b->wall, next_entry, entry_done, &p};

    enum store_result r = store_write(b->store, &pulled);
    if (r == STORE_OK)
        *at = p.pos;
    else
        segments_undo(b->bodies);
    told(b, r == STORE_OK, began);
    return r;
}

static int one_entry(void *arg, struct ledger_entry *e) {
    struct ledger_entry *left = arg;

    if (left->seq == 0) return 0;
    *e = *left;
    left->seq = 0;
    return 1;
}

enum store_result batch_skip(struct batch *b, uint64_t instance, uint64_t seq) {
    struct ledger_entry left = {
        .kind = LEDGER_NOTHING, .instance = instance, .seq = seq};

    return store_write(b->store, &(struct ledger_batch){
                                     b->now, b->wall, one_entry, NULL, &left});
}

void batch_free(struct batch *b) {
    free(b->pending);
}
