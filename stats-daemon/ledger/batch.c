#include "batch.h"

#include "../base/clock.h"
#include "../base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A body whose bytes are with the segments, but whose row is not written. */
struct pending {
    uint64_t instance;
    ollama_record_body_t body;
    struct body_ref ref;
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

static void put_body(struct batch *b, uint64_t instance,
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
    p->body = *r;
    if ((int64_t)p->body.time < 0 || (int64_t)p->body.time > now + 60000)
        p->body.time = (uint64_t)now;
    if (segments_put(b->bodies, now, r->data.data, r->data.len, &p->ref) != 0) {
        t->body_errno = errno;
        t->lost++;
        return;
    }
    t->pending++;
}

/* Once they are on the disk, their rows can be written. */
static enum store_result write_bodies(struct batch *b, struct tally *t) {
    enum store_result r = STORE_OK;

    if (segments_flush(b->bodies) != 0) {
        t->body_errno = errno;
        t->lost += (int64_t)t->pending;
        return STORE_OK;
    }
    for (size_t i = 0; r == STORE_OK && i < t->pending; i++)
        r = store_body(b->store, b->pending[i].instance, &b->pending[i].body,
                       &b->pending[i].ref);
    t->bodies = (int64_t)t->pending;
    return r;
}

static enum store_result write_request(struct batch *b, uint64_t instance,
                                       const ollama_record_request_t *q,
                                       struct tally *t) {
    enum store_result r = store_request(b->store, instance, q);

    if (r == STORE_AGAIN) {
        t->repeated++;
        return STORE_OK;
    }
    if (r != STORE_OK) return r;
    t->requests++;
    if (b->observer.request) b->observer.request(b->observer.arg, q);
    note_cloud(&t->cloud, q);
    return STORE_OK;
}

static enum store_result write_entry(struct batch *b, uint64_t instance,
                                     const ollama_frame_t *f, struct tally *t) {
    union {
        ollama_record_request_t request;
        ollama_record_body_t body;
        ollama_record_penalty_t penalty;
        ollama_record_key_t key;
        ollama_record_hello_t hello;
    } r;

    switch (f->type) {
    case OLLAMA_FRAME_REQUEST:
        if (ollama_record_request_decode(f, &r.request) != 0) break;
        return write_request(b, instance, &r.request, t);
    case OLLAMA_FRAME_BODY:
        if (ollama_record_body_decode(f, &r.body) != 0) break;
        put_body(b, instance, &r.body, t);
        return STORE_OK;
    case OLLAMA_FRAME_PENALTY:
        if (ollama_record_penalty_decode(f, &r.penalty) != 0) break;
        return store_penalty(b->store, &r.penalty);
    case OLLAMA_FRAME_KEY:
        if (ollama_record_key_decode(f, &r.key) != 0) break;
        return store_key(b->store, instance, &r.key);
    case OLLAMA_FRAME_HELLO:
        if (ollama_record_hello_decode(f, &r.hello) != 0) break;
        return store_proxy(b->store, instance, &r.hello.proxy);
    case OLLAMA_FRAME_READY: t->keys = 1; return store_keys(b->store, instance);
    default: break;
    }
    /* its checksum was right: it is not going to be better next time */
    t->malformed++;
    return STORE_OK;
}

/* Tells the observer what became of it. */
static void told(struct batch *b, int committed, int64_t began) {
    if (b->observer.batch)
        b->observer.batch(b->observer.arg, committed, mono_us() - began);
}

enum store_result batch_write(struct batch *b, const struct frames *q,
                              size_t *at, int max, struct tally *t) {
    size_t pos = *at;
    int64_t end = mono_ms() + BATCH_MS, began = mono_us();

    enum store_result r = store_begin(b->store);
    while (r == STORE_OK && pos < q->len && t->frames < max) {
        ollama_frame_t f;
        uint64_t instance;

        pos = frames_at(q, pos, &instance, &f);
        r = write_entry(b, instance, &f, t);
        if (f.seq) numbers_put(&t->numbers, instance, f.seq);
        if ((++t->frames & 63) == 0 && mono_ms() >= end) break;
    }
    if (r == STORE_OK) r = write_bodies(b, t);
    for (size_t i = 0; r == STORE_OK && i < t->numbers.n; i++)
        r = store_seq(b->store, t->numbers.list[i].instance,
                      t->numbers.list[i].seq);
    if (r == STORE_OK) r = store_commit(b->store);

    if (r == STORE_OK) {
        *at = pos;
    } else {
        store_rollback(b->store);
        segments_undo(b->bodies);
    }
    told(b, r == STORE_OK, began);
    return r;
}

void batch_free(struct batch *b) {
    free(b->pending);
}
