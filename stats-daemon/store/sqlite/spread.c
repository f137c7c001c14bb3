#include "spread.h"

#include "../../base/spread.h"
#include "../../base/util.h"

#include <stdlib.h>
#include <string.h>

#define KINDS    3  /* STORE_ALL, STORE_KEY, STORE_MODEL */
#define SPEED_MS 20 /* an answer that took less says nothing of its speed */

static const char other[] = "(other)";

struct row_key {
    int64_t kind, time, ref;
};

/* What a request adds.  It is in the list of each row that it belongs to. */
struct sample {
    int64_t tokens;
    uint32_t next[KINDS]; /* + 1 */
    uint16_t places[4];   /* 0: none */
};

struct store_spreads {
    struct map *rows; /* (kind, minute, ref) -> its first sample, + 1 */
    struct sample *list;
    size_t n, room;
};

struct packed {
    unsigned char *data;
    size_t len;
};

struct store_spreads *sqlite_spread_new(void) {
    struct store_spreads *b = xcalloc(1, sizeof(*b));

    b->rows = map_new(sizeof(uint32_t));
    return b;
}

void sqlite_spread_free(struct store_spreads *b) {
    if (b == NULL) return;
    map_free(b->rows);
    free(b->list);
    free(b);
}

void sqlite_spread_clear(struct sqlite *s) {
    map_clear(s->spreads->rows);
    s->spreads->n = 0;
}

/* ---- SQL ---- */

static void sum_function(sqlite3_context *ctx, int n, sqlite3_value **v) {
    const void *a = sqlite3_value_blob(v[0]), *b = sqlite3_value_blob(v[1]);
    size_t alen = (size_t)sqlite3_value_bytes(v[0]);
    size_t blen = (size_t)sqlite3_value_bytes(v[1]);
    unsigned char *sum = sqlite3_malloc64(alen + blen + 1);

    (void)n;
    if (sum == NULL) {
        sqlite3_result_error_nomem(ctx);
        return;
    }
    alen = spread_sum(sum, a, alen, b, blen);
    sqlite3_result_blob64(ctx, sum, alen, sqlite3_free);
}

int sqlite_spread_functions(sqlite3 *db) {
    return sqlite3_create_function(db, "spread_sum", 2,
                                   SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL,
                                   sum_function, NULL, NULL);
}

/* ---- a batch ---- */

static uint16_t place(int from, uint32_t v) {
    return v == OLLAMA_RECORD_NO_TIME ? 0
                                      : (uint16_t)(from + (int)bucket_of(v));
}

/* Hundredths of a token in a second, while the answer came: one that was sent
 * at once says nothing of it. */
static uint16_t speed(const ollama_record_request_t *q) {
    if (!q->streamed || q->completion == 0 ||
        q->first_token == OLLAMA_RECORD_NO_TIME ||
        q->total == OLLAMA_RECORD_NO_TIME ||
        q->total < (uint64_t)q->first_token + SPEED_MS)
        return 0;

    double v = (double)q->completion * 100000 / (q->total - q->first_token);
    return place(SPREAD_SPEED, v < 4e9 ? (uint32_t)v : 4000000000u);
}

void sqlite_spread_note(struct sqlite *s, const struct profile *p,
                        int64_t minute, const ollama_record_request_t *q,
                        enum cause cause, int64_t tokens) {
    const int64_t refs[KINDS] = {
        [STORE_KEY] = p->key, [STORE_MODEL] = p->model};
    struct store_spreads *b = s->spreads;
    int fresh;

    if (b->n == b->room) {
        b->room = b->room ? b->room * 2 : 256;
        b->list = xrealloc(b->list, b->room * sizeof(*b->list));
    }

    struct sample *a = &b->list[b->n++];
    memset(a, 0, sizeof(*a));
    a->tokens = tokens;
    if (cause != CAUSE_NONE) a->places[0] = (uint16_t)(SPREAD_CAUSES + cause);
    if (!cause_is_refused(q)) {
        a->places[1] = place(SPREAD_FIRST, q->first_token);
        a->places[2] = place(SPREAD_TOTAL, q->total);
        a->places[3] = speed(q);
    }
    for (int kind = 0; kind < KINDS; kind++) {
        struct row_key key = {kind, minute, refs[kind]};
        uint32_t *first = map_put(b->rows, &key, sizeof(key), &fresh);

        a->next[kind] = *first;
        *first = (uint32_t)b->n;
    }
}

static void add_up(const struct store_spreads *b, int64_t kind, uint32_t i,
                   struct spread *to) {
    memset(to, 0, sizeof(*to));
    for (; i; i = b->list[i - 1].next[kind]) {
        const struct sample *a = &b->list[i - 1];

        to->n[SPREAD_REQUESTS]++;
        to->n[SPREAD_TOKENS] += (uint64_t)a->tokens;
        for (int p = 0; p < 4; p++)
            if (a->places[p]) to->n[a->places[p]]++;
    }
}

/* Adds to a row of the batch. */
static void put(struct map *rows, const struct row_key *key,
                const unsigned char *data, size_t len) {
    int fresh;
    struct packed *p = map_put(rows, key, sizeof(*key), &fresh);
    unsigned char *sum = xmalloc(p->len + len + 1);

    if (fresh) {
        memcpy(sum, data, len);
        p->len = len;
    } else {
        p->len = spread_sum(sum, p->data, p->len, data, len);
    }
    free(p->data);
    p->data = sum;
}

/* .. and to that of the next level in which it is. */
static void put_longer(struct map *rows, const struct row_key *key,
                       const struct packed *p) {
    int level = (int)key->kind / 4;
    struct row_key longer = {
        key->kind + 4, key->time * level_unit(level) / level_unit(level + 1),
        key->ref};

    put(rows, &longer, p->data, p->len);
}

enum store_result sqlite_spread_write(struct sqlite *s) {
    struct map *rows = map_new(sizeof(struct packed));
    sqlite3_stmt *st = s->write[WRITE_SPREAD];
    enum store_result r = STORE_OK;
    unsigned char buf[SPREAD_PACKED];
    struct spread sum;
    size_t len;

    for (uint32_t *first = NULL; (first = map_next(s->spreads->rows, first));) {
        const struct row_key *key = map_key(first, &len);

        add_up(s->spreads, key->kind, *first, &sum);
        put(rows, key, buf, spread_pack(&sum, buf));
    }
    /* longer ones come behind those of which they are made */
    for (struct packed *p = NULL; (p = map_next(rows, p));) {
        const struct row_key *key = map_key(p, &len);

        if (key->kind / 4 < LEVEL_DAY) put_longer(rows, key, p);
        if (r == STORE_OK) {
            sqlite3_bind_int64(st, 1, key->kind);
            sqlite3_bind_int64(st, 2, key->time);
            sqlite3_bind_int64(st, 3, key->ref);
            sqlite3_bind_blob64(st, 4, p->data, p->len, SQLITE_STATIC);
            r = sqlite_run(s, st);
        }
        free(p->data);
    }
    map_free(rows);
    return r;
}

/* ---- what is too old ---- */

enum store_result sqlite_spread_trim(struct sqlite *s,
                                     const struct store_limits *l, int n,
                                     int *left) {
    sqlite3_stmt *st = s->write[TRIM_SPREAD];
    enum store_result r = STORE_OK;

    const int64_t limits[LEVELS] = {l->minutes_before, l->tens_before,
                                    l->hours_before, l->days_before};

    for (int level = 0; level < LEVELS; level++) {
        int64_t whole = level_unit(level < LEVEL_DAY ? level + 1 : LEVEL_DAY);
        int64_t before = limits[level] / 60000;

        if (before <= 0) continue;
        before -= before % whole;
        for (int kind = 0; r == STORE_OK && kind < KINDS; kind++) {
            sqlite3_bind_int64(st, 1, 4 * level + kind);
            sqlite3_bind_int64(st, 2, before / level_unit(level));
            sqlite3_bind_int(st, 3, n);
            r = sqlite_run(s, st);
            if (r == STORE_OK && sqlite3_changes(s->db) >= n) *left = 1;
        }
    }
    return r;
}

/* ---- reading ---- */

int sqlite_spread_plan(sqlite3_stmt *st, enum store_kind kind, int64_t from,
                       int64_t to, int64_t step,
                       struct level_part parts[LEVEL_PARTS], int *code) {
    struct level_bounds bounds = {.mark = INT64_MAX};
    int64_t *since = bounds.since;

    for (int level = 0; level < LEVELS; level++) {
        sqlite3_bind_int64(st, 1, 4 * level + (int)kind);
        *code = sqlite3_step(st);
        since[level] = INT64_MAX;
        if (*code == SQLITE_ROW && sqlite3_column_type(st, 0) != SQLITE_NULL) {
            since[level] = number(st, 0) * level_unit(level);
            if (level < LEVEL_DAY)
                since[level] -= since[level] % level_unit(level + 1);
        }
        sqlite3_reset(st);
        if (*code != SQLITE_ROW) return -1;
    }
    if (since[LEVEL_DAY] == INT64_MAX) return 0;
    if (from < since[LEVEL_DAY]) from = since[LEVEL_DAY];
    return from < to ? level_plan(&bounds, from, to, step, parts) : 0;
}

/* One part, at the reader's statement. */
static int read_part(struct sqlite_reader *rd, enum store_kind kind,
                     const struct level_part *part, store_spread_cb *cb,
                     void *arg) {
    sqlite3_stmt *st = rd->st[READ_SPREADS];
    int64_t unit = level_unit(part->level);
    int code;

    sqlite3_bind_int64(st, 1, 4 * part->level + kind);
    sqlite3_bind_int64(st, 2, part->from / unit);
    sqlite3_bind_int64(st, 3, (part->to + unit - 1) / unit);
    while ((code = sqlite3_step(st)) == SQLITE_ROW) {
        struct store_spread row = {
            .time = number(st, 0) * unit * 60000,
            .name = text(st, 3),
            .key = (uint32_t)number(st, 4),
            .packed = sqlite3_column_blob(st, 2),
            .len = (size_t)sqlite3_column_bytes(st, 2),
        };
        if (row.name == NULL && number(st, 1) != 0) row.name = other;
        cb(arg, &row);
    }
    return code;
}

enum store_result sqlite_spreads(struct sqlite_reader *rd, enum store_kind kind,
                                 int64_t from, int64_t to, int64_t step,
                                 store_spread_cb *cb, void *arg) {
    enum store_result r = STORE_OK;
    struct level_part parts[LEVEL_PARTS];
    int code;

    int n =
        sqlite_spread_plan(rd->st[READ_SPREAD_FIRST], kind, from / 60000,
                           to / 60000 + (to % 60000 != 0), step, parts, &code);
    if (n < 0) return sqlite_read_done(rd, rd->st[READ_SPREAD_FIRST], code);
    for (int i = 0; r == STORE_OK && i < n; i++)
        r = sqlite_read_done(rd, rd->st[READ_SPREADS],
                             read_part(rd, kind, &parts[i], cb, arg));
    return r;
}
