#include "used.h"

#include "../../base/spread.h"
#include "../../base/util.h"
#include "spread.h"

#include <stdlib.h>
#include <string.h>

struct noted {
    uint32_t key; /* fingerprint */
    char *model;
    size_t len;
    int64_t event, from, time;
};

struct store_used {
    struct noted *list;
    size_t n, room;
};

struct store_used *sqlite_used_new(void) {
    return xcalloc(1, sizeof(struct store_used));
}

void sqlite_used_clear(struct sqlite *s) {
    for (size_t i = 0; i < s->used->n; i++) free(s->used->list[i].model);
    s->used->n = 0;
}

void sqlite_used_free(struct store_used *u) {
    if (u == NULL) return;
    for (size_t i = 0; i < u->n; i++) free(u->list[i].model);
    free(u->list);
    free(u);
}

void sqlite_used_note(struct sqlite *s, const ollama_record_penalty_t *p,
                      int64_t event) {
    struct store_used *u = s->used;

    if (u->n == u->room) {
        u->room = u->room ? u->room * 2 : 16;
        u->list = xrealloc(u->list, u->room * sizeof(*u->list));
    }

    struct noted *n = &u->list[u->n++];
    n->key = p->key;
    n->model = xmalloc(p->model.len + 1);
    n->len = p->model.len;
    if (n->len) memcpy(n->model, p->model.data, n->len);
    n->event = event;
    n->time = (int64_t)p->time < 0 ? 0 : (int64_t)p->time;
    n->from = cause_window(&p->reason, n->time);
}

static enum store_result add_up(struct sqlite *s, int64_t key,
                                const struct noted *n, struct spread *sum) {
    sqlite3_stmt *st = s->write[FIND_SPREAD];
    struct level_part parts[LEVEL_PARTS];
    int code, nparts = sqlite_spread_plan(s->write[FIND_SPREAD_FIRST],
                                          STORE_KEY, n->from / 60000,
                                          n->time / 60000 + 1, 0, parts, &code);

    if (nparts < 0) return sqlite_failed(s, code);
    for (int i = 0; i < nparts; i++) {
        int64_t unit = level_unit(parts[i].level);

        sqlite3_bind_int64(st, 1, 4 * parts[i].level + STORE_KEY);
        sqlite3_bind_int64(st, 2, parts[i].from / unit);
        sqlite3_bind_int64(st, 3, (parts[i].to + unit - 1) / unit);
        sqlite3_bind_int64(st, 4, key);
        while ((code = sqlite3_step(st)) == SQLITE_ROW)
            spread_add(sum, sqlite3_column_blob(st, 0),
                       (size_t)sqlite3_column_bytes(st, 0));
        sqlite3_reset(st);
        if (code != SQLITE_DONE) return sqlite_failed(s, code);
    }
    return STORE_OK;
}

static void bind_used(sqlite3_stmt *st, const struct noted *n,
                      const struct spread *sum) {
    sqlite3_bind_int64(st, 1, n->from);
    sqlite3_bind_int64(st, 2, (int64_t)sum->n[SPREAD_TOKENS]);
    sqlite3_bind_int64(st, 3, (int64_t)sum->n[SPREAD_REQUESTS]);
}

static enum store_result write_one(struct sqlite *s, const struct noted *n) {
    struct spread sum;
    int64_t key;
    int added;

    memset(&sum, 0, sizeof(sum));
    sqlite3_bind_int64(s->write[FIND_KEY], 1, n->key);
    enum store_result r = sqlite_find_or_add(s, FIND_KEY, -1, &key, &added);
    if (r == STORE_OK && key) r = add_up(s, key, n, &sum);
    if (r != STORE_OK) return r;

    sqlite3_stmt *st = s->write[WRITE_EVENT_USED];
    bind_used(st, n, &sum);
    sqlite3_bind_int64(st, 4, n->event);
    r = sqlite_run(s, st);
    if (r != STORE_OK) return r;

    st = s->write[WRITE_PENALTY_USED];
    bind_used(st, n, &sum);
    sqlite3_bind_int64(st, 4, n->key);
    sqlite3_bind_text(st, 5, n->model, (int)n->len, SQLITE_STATIC);
    return sqlite_run(s, st);
}

enum store_result sqlite_used_write(struct sqlite *s) {
    enum store_result r = STORE_OK;

    for (size_t i = 0; r == STORE_OK && i < s->used->n; i++)
        r = write_one(s, &s->used->list[i]);
    return r;
}
