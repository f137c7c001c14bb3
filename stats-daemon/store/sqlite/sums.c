#include "rollup.h"

#include "../../base/util.h"

#include <stdlib.h>
#include <string.h>

enum store_result sqlite_hours(struct sqlite_reader *rd, int64_t from,
                               int64_t to, int limit, store_hour_cb *cb,
                               void *arg) {
    int code;

    sqlite3_stmt *st = rd->st[READ_HOURS];
    sqlite3_bind_int64(st, 1, from / 3600000);
    sqlite3_bind_int64(st, 2, to / 3600000 + (to % 3600000 != 0));
    sqlite3_bind_int(st, 3, limit);
    while ((code = sqlite3_step(st)) == SQLITE_ROW) {
        struct store_hour row = {
            .time = number(st, 0) * 3600000,
            .client = text(st, 1),
            .client_name = text(st, 2),
            .key = (uint32_t)number(st, 3),
            .key_name = text(st, 4),
            .key_index = (int)or_minus(st, 5),
            .model = text(st, 6),
        };
        sqlite_counts_of(st, 7, &row.n);
        cb(arg, &row);
    }
    return sqlite_read_done(rd, st, code);
}

/* The names behind refs are looked up once each. */
struct label {
    char *name, *more;
    uint32_t key;
    int key_index;
    int64_t ref;
    struct store_counts n; /* of the step at hand */
};

/* One question. */
struct sums {
    struct sqlite_reader *rd;
    enum store_kind kind;
    int64_t step, at; /* minutes; where the step at hand begins, -1: none */
    struct map *labels;
    const int64_t *refs;
    int nrefs;
    store_minute_cb *cb;
    void *arg;
};

static struct label *label_of(struct sums *q, int64_t ref) {
    static const int which[] = {[STORE_KEY] = READ_KEY_NAME,
                                [STORE_MODEL] = READ_MODEL_NAME,
                                [STORE_CLIENT] = READ_CLIENT_NAME};
    int fresh;
    struct label *l = map_put(q->labels, &ref, sizeof(ref), &fresh);

    if (!fresh) return l;
    l->key_index = -1;
    l->ref = ref;
    if (q->kind == STORE_ALL) return l;

    sqlite3_stmt *st = q->rd->st[which[q->kind]];
    sqlite3_bind_int64(st, 1, ref);
    int code = sqlite3_step(st);
    if (code == SQLITE_ROW) {
        l->name = xstrdup(text(st, 0) ? text(st, 0) : "");
        if (q->kind == STORE_KEY) {
            l->key = (uint32_t)number(st, 1);
            l->key_index = (int)or_minus(st, 2);
        }
        if (q->kind == STORE_CLIENT)
            l->more = xstrdup(text(st, 1) ? text(st, 1) : "");
    }
    sqlite_read_done(q->rd, st, code);
    return l;
}

static void give(struct sums *q, int64_t minute, const struct label *l,
                 const struct store_counts *n) {
    struct store_minute row = {minute * 60000, l->name, l->more, l->key,
                               l->key_index,   l->ref,  *n};

    q->cb(q->arg, &row);
}

/* Gives the sums of one step, in the order in which its refs appeared. */
static void give_step(struct sums *q) {
    for (struct label *l = NULL; (l = map_next(q->labels, l));) {
        if (l->n.requests == 0) continue;
        struct store_counts n = l->n;
        memset(&l->n, 0, sizeof(l->n));
        give(q, q->at, l, &n);
    }
}

static int read_rows(struct sums *q, sqlite3_stmt *st, int64_t unit) {
    int code;

    while ((code = sqlite3_step(st)) == SQLITE_ROW) {
        int64_t minute = number(st, 0) * unit;
        struct label *l = label_of(q, number(st, 1));
        struct store_counts n;

        sqlite_counts_of(st, 2, &n);
        if (q->step == 1) { /* a row is a step */
            give(q, minute, l, &n);
            continue;
        }
        minute = q->step ? minute / q->step * q->step : 0;
        if (minute != q->at) give_step(q);
        q->at = minute;
        store_add(&l->n, &n);
    }
    return code;
}

/* Of few names, each time and name by itself: the times hold all others. */
static int read_names(struct sums *q, sqlite3_stmt *st, int64_t from,
                      int64_t to, int64_t unit) {
    int code = SQLITE_DONE;

    for (int64_t time = from; time < to; time++) {
        for (int i = 0; i < q->nrefs && code == SQLITE_DONE; i++) {
            sqlite3_bind_int64(st, 2, time);
            sqlite3_bind_int64(st, 3, q->refs[i]);
            code = read_rows(q, st, unit);
            sqlite3_reset(st);
        }
    }
    return code;
}

static enum store_result read_part(struct sums *q,
                                   const struct level_part *part) {
    static const int which[2][2] = {{READ_MINUTES, READ_SUMS},
                                    {READ_MINUTE_OF, READ_SUM_OF}};
    int64_t unit = level_unit(part->level);
    int64_t from = part->from / unit, to = (part->to + unit - 1) / unit;
    sqlite3_stmt *st = q->rd->st[which[q->nrefs > 0][part->level > 0]];
    int code;

    sqlite3_bind_int(st, 1, 4 * part->level + (int)q->kind);
    if (q->nrefs) {
        code = read_names(q, st, from, to, unit);
    } else {
        sqlite3_bind_int64(st, 2, from);
        sqlite3_bind_int64(st, 3, to);
        code = read_rows(q, st, unit);
    }
    return sqlite_read_done(q->rd, st, code);
}

/* Bounds and sums are of one moment. */
static enum store_result read_parts(struct sums *q, int64_t from, int64_t to) {
    sqlite3_stmt *st = q->rd->st[READ_BOUNDS];
    struct level_bounds bounds;
    struct level_part parts[LEVEL_PARTS];

    /* one whose end was cut off by the deadline */
    if (!sqlite3_get_autocommit(q->rd->db))
        sqlite3_exec(q->rd->db, "ROLLBACK", NULL, NULL, NULL);
    int code = sqlite3_exec(q->rd->db, "BEGIN", NULL, NULL, NULL);
    if (code != SQLITE_OK) return sqlite_read_done(q->rd, st, code);
    code = sqlite_bounds(st, &bounds);
    enum store_result r = sqlite_read_done(q->rd, st, code);
    int n = level_plan(&bounds, from, to, q->step, parts);

    for (int i = 0; r == STORE_OK && i < n; i++) r = read_part(q, &parts[i]);
    sqlite3_exec(q->rd->db, "COMMIT", NULL, NULL, NULL);
    return r;
}

enum store_result sqlite_minutes(struct sqlite_reader *rd,
                                 const struct store_question *question) {
    int64_t from = question->of.minutes.from, to = question->of.minutes.to;
    struct sums q = {.rd = rd,
                     .kind = question->of.minutes.kind,
                     .step = question->of.minutes.step,
                     .at = -1,
                     .labels = map_new(sizeof(struct label)),
                     .refs = question->of.minutes.refs,
                     .nrefs = question->of.minutes.nrefs,
                     .cb = question->of.minutes.cb,
                     .arg = question->arg};

    enum store_result r =
        read_parts(&q, from / 60000, to / 60000 + (to % 60000 != 0));
    if (r == STORE_OK) give_step(&q);

    for (struct label *l = NULL; (l = map_next(q.labels, l));) {
        free(l->name);
        free(l->more);
    }
    map_free(q.labels);
    return r;
}
