#include "store.h"

#include "../base/util.h"

const char *store_word(enum store_result r) {
    switch (r) {
    case STORE_OK: return "ok";
    case STORE_FULL: return "full";
    case STORE_READONLY: return "read-only";
    case STORE_IO: return "failing";
    case STORE_BUSY: return "busy";
    case STORE_NONE: return "none";
    case STORE_RETRY: return "mended";
    case STORE_ERROR:
    case STORE_OWN: break;
    }
    return "error";
}

void store_on_read(struct store *s, store_read_cb *cb, void *arg) {
    s->on_read = cb;
    s->on_read_arg = arg;
}

void store_close(struct store *s) {
    if (s) s->type->close(s);
}

enum store_result store_write(struct store *s, const struct ledger_batch *b) {
    return s->type->write(s, b);
}

enum store_result store_trim(struct store *s, const struct store_limits *l,
                             int n, int *left, store_gone_cb *cb, void *arg) {
    return s->type->trim(s, l, n, left, cb, arg);
}

void store_tick(struct store *s, int64_t idle) {
    s->type->tick(s, idle);
}

void store_status(struct store *s, struct store_status *status) {
    s->type->status(s, status);
}

enum store_result store_instances(struct store *s, store_instance_cb *cb,
                                  void *arg) {
    return s->type->instances(s, cb, arg);
}

enum store_result store_segments(struct store *s, store_segment_cb *cb,
                                 void *arg) {
    return s->type->segments(s, cb, arg);
}

struct store_reader *store_reader(struct store *s, int n) {
    return s->type->reader(s, n);
}

enum store_result store_ask(struct store_reader *rd,
                            const struct store_question *q) {
    struct store *s = rd->store;
    int64_t began = mono_us();
    enum store_result r = s->type->ask(rd, q);

    if (s->on_read) s->on_read(s->on_read_arg, mono_us() - began);
    return r;
}

void store_interrupt(struct store_reader *rd, int stop) {
    rd->store->type->interrupt(rd, stop);
}

uint64_t store_commits(struct store *s) {
    return s->type->commits(s);
}

struct ledger_cursor store_horizon(struct store *s) {
    return s->type->horizon(s);
}
