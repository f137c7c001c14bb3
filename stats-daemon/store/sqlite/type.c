#include "type.h"

#include "backup.h"
#include "sqlite.h"

#include <stdio.h>
#include <string.h>

#define IDLE_MS 60000 /* then the file is made whole */

static struct sqlite *of(struct store *s) {
    return (struct sqlite *)(void *)s;
}

static struct sqlite_reader *reader_of(struct store_reader *rd) {
    return (struct sqlite_reader *)(void *)rd;
}

/* What others know. */
static enum store_result shown(enum store_result r) {
    if (r == SQLITE_STORE_DAMAGED) return STORE_IO;
    return r < STORE_OWN ? r : STORE_ERROR;
}

/* After an error; its words stay, unless mending has more to say. */
static enum store_result mend(struct sqlite *s, enum store_result r) {
    char error[sizeof(s->head.error)];

    memcpy(error, s->head.error, sizeof(error));
    enum store_result after = sqlite_repair(s, r);
    if (r == SQLITE_STORE_DAMAGED && after == STORE_OK) return STORE_RETRY;
    if (r != SQLITE_STORE_DAMAGED) memcpy(s->head.error, error, sizeof(error));
    return shown(r);
}

static struct store *type_open(const char *where, char *err, size_t errlen) {
    struct sqlite *s = sqlite_open(&store_sqlite, where, err, errlen);

    return s ? &s->head : NULL;
}

static void type_close(struct store *s) {
    sqlite_close(of(s));
}

static enum store_result type_write(struct store *store,
                                    const struct ledger_batch *b) {
    struct sqlite *s = of(store);

    sqlite_set_time(s, b->now, b->wall);
    enum store_result r = sqlite_write(s, b);
    return r == STORE_OK ? r : mend(s, r);
}

static enum store_result type_trim(struct store *store,
                                   const struct store_limits *l, int n,
                                   int *left, store_gone_cb *cb, void *arg) {
    struct sqlite *s = of(store);

    sqlite_set_time(s, l->now, l->wall);
    enum store_result r = sqlite_trim(s, l, n, left, cb, arg);
    return r == STORE_OK ? r : mend(s, r);
}

static void type_tick(struct store *store, int64_t idle) {
    struct sqlite *s = of(store);

    sqlite_checkpoint(s, idle == STORE_ENDS);
    if (idle >= IDLE_MS && idle != STORE_ENDS && !s->settled_all)
        s->settled_all = sqlite_settle(s);
}

static void type_status(struct store *s, struct store_status *status) {
    sqlite_status(of(s), status);
}

static enum store_result type_instances(struct store *s, store_instance_cb *cb,
                                        void *arg) {
    return shown(sqlite_instances(of(s), cb, arg));
}

static enum store_result type_segments(struct store *s, store_segment_cb *cb,
                                       void *arg) {
    return shown(sqlite_segments(of(s), cb, arg));
}

static struct store_reader *type_reader(struct store *s, int n) {
    return &of(s)->readers[n].head;
}

static enum store_result type_ask(struct store_reader *rd,
                                  const struct store_question *q) {
    return shown(sqlite_ask(reader_of(rd), q));
}

static void type_interrupt(struct store_reader *rd, int stop) {
    reader_of(rd)->stopped = stop;
}

static uint64_t type_commits(struct store *s) {
    return of(s)->commits;
}

/* Rows get their ids in the order in which they are committed. */
static struct ledger_cursor type_horizon(struct store *s) {
    return (struct ledger_cursor){0, of(s)->last_id};
}

const struct store_type store_sqlite = {
    .scheme = "sqlite",
    .open = type_open,
    .close = type_close,
    .write = type_write,
    .trim = type_trim,
    .tick = type_tick,
    .status = type_status,
    .instances = type_instances,
    .segments = type_segments,
    .reader = type_reader,
    .ask = type_ask,
    .interrupt = type_interrupt,
    .commits = type_commits,
    .horizon = type_horizon,
    .backup = sqlite_backup,
};
