#include "fitting.h"

#include <stdlib.h>
#include <string.h>

#define SCAN_PIECE 500
#define SCAN_MAX   8000 /* and a few for each that is wanted */
#define WALK_MAX   1000 /* likewise */

/* The greatest ids so far, as a heap with the smallest of them on top. */
struct top {
    int64_t *ids;
    int n, max;
};

static void top_add(struct top *t, int64_t id) {
    int i;

    if (t->n < t->max) {
        for (i = t->n++; i && t->ids[(i - 1) / 2] > id; i = (i - 1) / 2)
            t->ids[i] = t->ids[(i - 1) / 2];
        t->ids[i] = id;
        return;
    }
    if (id <= t->ids[0]) return;
    for (i = 0;;) {
        int child = 2 * i + 1;
        if (child >= t->n) break;
        if (child + 1 < t->n && t->ids[child + 1] < t->ids[child]) child++;
        if (t->ids[child] >= id) break;
        t->ids[i] = t->ids[child];
        i = child;
    }
    t->ids[i] = id;
}

static int top_has(const struct top *t, int64_t id) {
    for (int i = 0; i < t->n; i++)
        if (t->ids[i] == id) return 1;
    return 0;
}

static int newer_first(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

/* What the statements about a filter have in common; some have no ?8, and none
 * from ?11 on. */
static void bind_filter(sqlite3_stmt *st, const struct store_query *q) {
    int64_t key = -1;

    if (q->client) sqlite3_bind_text(st, 1, q->client, -1, SQLITE_STATIC);
    if (q->model) sqlite3_bind_text(st, 2, q->model, -1, SQLITE_STATIC);
    if (q->key) {
        char *rest;
        sqlite3_bind_text(st, 3, q->key, -1, SQLITE_STATIC);
        if (strlen(q->key) == 8) {
            key = (int64_t)strtoul(q->key, &rest, 16);
            if (*rest) key = -1;
        }
    }
    sqlite3_bind_int64(st, 4, key);
    sqlite3_bind_int(st, 5, q->status_min);
    sqlite3_bind_int(st, 6, q->status_max ? q->status_max : 999);
    sqlite3_bind_int64(st, 7, q->after.id);
    sqlite3_bind_int64(st, 8, q->before.id);
    sqlite3_bind_int(st, 9, q->kinds ? q->kinds : STORE_KINDS_ANY);
    sqlite3_bind_int(st, 10, q->also);
}

static int fits_status(const struct store_query *q, int64_t status) {
    int kind = 1 << status / 1000, max = q->status_max ? q->status_max : 999;

    status %= 1000;
    return (status >= q->status_min && status <= max &&
            (q->kinds ? q->kinds : STORE_KINDS_ANY) & kind) ||
           q->also & kind;
}

/* Requests that a statement finds by itself, the newest first. */
static enum store_result collect_ids(struct sqlite_reader *rd,
                                     const struct store_query *q, int which,
                                     int most, struct top *top) {
    sqlite3_stmt *st = rd->st[which];
    int code;

    bind_filter(st, q);
    if (q->until) sqlite3_bind_int64(st, 11, q->until);
    sqlite3_bind_int(st, 12, most);
    while ((code = sqlite3_step(st)) == SQLITE_ROW)
        if (which == READ_FITTING || !top_has(top, number(st, 0)))
            top_add(top, number(st, 0));
    return sqlite_read_done(rd, st, code);
}

/* Those at the end that had begun, but not ended, may be many, and say nothing
 * about how many fit. */
static enum store_result skip_open(struct sqlite_reader *rd,
                                   struct store_query *q) {
    sqlite3_stmt *st = rd->st[READ_ENDED_BEFORE];

    sqlite3_bind_int64(st, 1, q->before.id);
    sqlite3_bind_int64(st, 2, q->after.id);
    sqlite3_bind_int64(st, 3, q->until);
    int code = sqlite3_step(st);
    q->before.id = 1 + (code == SQLITE_ROW ? number(st, 0) : q->after.id);
    return sqlite_read_done(rd, st, code);
}

/* Piece by piece, until the page is full, or is not going to be soon.  What is
 * left to look at is before q->before. */
static enum store_result collect_newest(struct sqlite_reader *rd,
                                        struct store_query *q,
                                        struct top *top) {
    int64_t end = rd->store->last_id + 1, looked = 0;
    int64_t most = SCAN_MAX + 8 * (int64_t)top->max;
    enum store_result r = STORE_OK;

    while (r == STORE_OK && top->n < top->max &&
           q->before.id > q->after.id + 1 &&
           top->n * most >= looked * top->max) {
        struct store_query piece = *q;

        if (q->until) r = skip_open(rd, &piece);
        if (r != STORE_OK) break;
        q->before.id = piece.before.id < end ? piece.before.id : end;
        q->before.id -= SCAN_PIECE;
        if (q->before.id <= q->after.id) q->before.id = q->after.id + 1;
        piece.after.id = q->before.id - 1;
        r = collect_ids(rd, &piece, READ_FITTING, top->max - top->n, top);
        looked += SCAN_PIECE;
    }
    return r;
}

/* The requests of a combo, if there may be some that are newer than what is
 * there already.  0: there are none, because its newest one is too old. */
static int collect_combo(struct sqlite_reader *rd, const struct store_query *q,
                         sqlite3_stmt *combo, struct top *top,
                         enum store_result *r) {
    sqlite3_stmt *st = rd->st[q->until ? READ_COMBO_ENDED : READ_COMBO_ROWS];
    int64_t oldest = top->n == top->max ? top->ids[0] : q->after.id;
    int code;

    if (number(combo, 1) <= oldest) return 0;
    sqlite3_bind_int64(st, 1, number(combo, 0));
    sqlite3_bind_int64(st, 2, q->before.id);
    sqlite3_bind_int64(st, 3, oldest);
    sqlite3_bind_int(st, 4, top->max);
    if (q->until) sqlite3_bind_int64(st, 5, q->until);
    while ((code = sqlite3_step(st)) == SQLITE_ROW) top_add(top, number(st, 0));
    *r = sqlite_read_done(rd, st, code);
    return 1;
}

/* From the narrowest thing that is given on, in no order: sorting them would
 * cost more than looking into some in vain. */
static enum store_result collect_combos(struct sqlite_reader *rd,
                                        const struct store_query *q,
                                        struct top *top) {
    sqlite3_stmt *combos = rd->st[q->client            ? READ_COMBO_CLIENT
                                  : q->model && q->key ? READ_COMBO_MODEL_KEY
                                  : q->model           ? READ_COMBO_MODEL
                                                       : READ_COMBO_KEY];
    enum store_result r = STORE_OK;
    int code = SQLITE_DONE;

    bind_filter(combos, q);
    while (r == STORE_OK && (code = sqlite3_step(combos)) == SQLITE_ROW)
        collect_combo(rd, q, combos, top, &r);
    if (r != STORE_OK) code = SQLITE_DONE;
    enum store_result end = sqlite_read_done(rd, combos, code);
    return r != STORE_OK ? r : end;
}

/* Of one status, those with the newest requests first; *left is how many may
 * still be looked at, and below 0 when that was not enough. */
static enum store_result collect_status(struct sqlite_reader *rd,
                                        const struct store_query *q,
                                        int64_t status, int64_t *left,
                                        struct top *top) {
    sqlite3_stmt *combos = rd->st[READ_COMBO_STATUS];
    enum store_result r = STORE_OK;
    int code = SQLITE_DONE, go_on = 1;

    bind_filter(combos, q);
    sqlite3_bind_int64(combos, 5, status);
    while (r == STORE_OK && go_on &&
           (code = sqlite3_step(combos)) == SQLITE_ROW)
        if (--*left < 0)
            go_on = 0;
        else if (number(combos, 2))
            go_on = collect_combo(rd, q, combos, top, &r);
    if (r != STORE_OK) code = SQLITE_DONE;
    enum store_result end = sqlite_read_done(rd, combos, code);
    return r != STORE_OK ? r : end;
}

static enum store_result collect_statuses(struct sqlite_reader *rd,
                                          const struct store_query *q,
                                          int64_t *left, struct top *top) {
    sqlite3_stmt *st = rd->st[READ_STATUS];
    enum store_result r = STORE_OK;
    int64_t status = -1;

    while (r == STORE_OK && *left >= 0) {
        sqlite3_bind_int64(st, 1, status);
        int code = sqlite3_step(st);
        if (code == SQLITE_ROW) status = number(st, 0);
        r = sqlite_read_done(rd, st, code);
        if (code != SQLITE_ROW) break;
        if (r == STORE_OK && fits_status(q, status))
            r = collect_status(rd, q, status, left, top);
    }
    return r;
}

/* By statuses, requests, combos, as far as each is worth it. */
static enum store_result collect(struct sqlite_reader *rd, struct store_query q,
                                 struct top *top) {
    int names = q.client || q.model || q.key;
    int status = q.status_max || q.kinds || q.also;
    int64_t end = INT64_MAX, left = WALK_MAX + 20 * (int64_t)top->max;
    enum store_result r = STORE_OK;

    if (status && q.before.id > rd->store->last_id - SCAN_PIECE) {
        r = collect_statuses(rd, &q, names ? &left : &end, top);
        if (r != STORE_OK || !names || left >= 0) return r;
        top->n = 0;
    }
    r = collect_newest(rd, &q, top);
    if (r != STORE_OK || top->n == top->max || q.before.id <= q.after.id + 1)
        return r;
    return names ? collect_combos(rd, &q, top)
                 : collect_statuses(rd, &q, &end, top);
}

enum store_result sqlite_fitting(struct sqlite_reader *rd,
                                 const struct store_query *query, int64_t *ids,
                                 int *n) {
    struct store_query q = *query;
    struct top top = {ids, 0, q.limit + q.offset};

    *n = 0;
    if (top.max <= 0) return STORE_OK;
    if (q.before.id == 0) q.before.id = INT64_MAX;
    enum store_result r = collect(rd, q, &top);
    if (r == STORE_OK && q.model)
        r = collect_ids(rd, &q, READ_OTHER_MODEL, top.max, &top);
    if (r == STORE_OK && q.client)
        r = collect_ids(rd, &q, READ_OTHER_CLIENT, top.max, &top);
    if (r == STORE_OK && q.client)
        r = collect_ids(rd, &q, READ_OTHER_CLIENT_NAME, top.max, &top);
    qsort(ids, (size_t)top.n, sizeof(*ids), newer_first);
    *n = top.n;
    return r;
}
