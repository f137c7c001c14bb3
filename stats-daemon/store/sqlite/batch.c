#include "batch.h"

#include "sqlite.h"

/* The last number of an instance: in the tables, and of this batch. */
struct last {
    uint64_t committed, now;
};

struct map *sqlite_numbers_new(void) {
    return map_new(sizeof(struct last));
}

static enum store_result last_of(struct sqlite *s, uint64_t instance,
                                 struct last **last) {
    int fresh;

    *last = map_put(s->numbers, &instance, sizeof(instance), &fresh);
    if (!fresh) return STORE_OK;

    sqlite3_stmt *st = s->write[FIND_SEQ];
    sqlite3_bind_int64(st, 1, (int64_t)instance);
    int code = sqlite3_step(st);
    if (code == SQLITE_ROW)
        (*last)->committed = (*last)->now = (uint64_t)number(st, 0);
    sqlite3_reset(st);
    return code == SQLITE_ROW || code == SQLITE_DONE ? STORE_OK
                                                     : sqlite_failed(s, code);
}

static enum store_result put(struct sqlite *s, const struct ledger_entry *e) {
    switch (e->kind) {
    case LEDGER_REQUEST: return sqlite_request(s, e->instance, e->of.request);
    case LEDGER_BODY:
        return sqlite_body(s, e->instance, e->of.body.is, e->of.body.ref);
    case LEDGER_PENALTY: return sqlite_penalty(s, e->instance, e->of.penalty);
    case LEDGER_PROXY: return sqlite_proxy(s, e->instance, e->of.proxy);
    case LEDGER_KEY: return sqlite_key(s, e->instance, e->of.key);
    case LEDGER_KEYS: return sqlite_keys(s, e->instance);
    case LEDGER_NOTHING: break;
    }
    return STORE_OK;
}

static enum store_result put_all(struct sqlite *s,
                                 const struct ledger_batch *b) {
    struct ledger_entry e = {0};
    struct last *last = NULL;
    uint64_t instance = 0;
    enum store_result r = STORE_OK;

    while (r == STORE_OK && b->next(b->arg, &e)) {
        int again = 0;

        if (e.seq) {
            if (last == NULL || instance != e.instance)
                r = last_of(s, e.instance, &last);
            if (r != STORE_OK) break;
            instance = e.instance;
            again = e.seq <= last->committed;
            if (e.seq > last->now) last->now = e.seq;
        }
        if (!again) r = put(s, &e);
        if (r == SQLITE_STORE_AGAIN) {
            again = 1;
            r = STORE_OK;
        }
        if (r == STORE_OK && b->done) b->done(b->arg, &e, again);
    }
    return r;
}

static enum store_result put_numbers(struct sqlite *s) {
    enum store_result r = STORE_OK;
    size_t len;

    for (struct last *l = NULL;
         r == STORE_OK && (l = map_next(s->numbers, l));) {
        const uint64_t *instance = map_key(l, &len);

        if (l->now > l->committed) r = sqlite_seq(s, *instance, l->now);
    }
    return r;
}

enum store_result sqlite_write(struct sqlite *s, const struct ledger_batch *b) {
    enum store_result r = sqlite_begin(s);

    if (r == STORE_OK) r = put_all(s, b);
    if (r == STORE_OK) r = put_numbers(s);
    if (r == STORE_OK) r = sqlite_commit(s);
    if (r != STORE_OK) {
        sqlite_rollback(s);
        return r;
    }
    for (struct last *l = NULL; (l = map_next(s->numbers, l));)
        l->committed = l->now;
    s->settled_all = 0;
    return STORE_OK;
}
