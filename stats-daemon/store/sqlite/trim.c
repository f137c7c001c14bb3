#include "sqlite.h"

#include "../../base/clock.h"
#include "../../base/util.h"
#include "rollup.h"
#include "size.h"
#include "spread.h"

#include <stdlib.h>
#include <string.h>

#define TIME_IDLE_MS 300000
#define ROLL_PIECES  6 /* of ten minutes, in one turn */
#define IDLE_MINUTES 2

/* Runs one DELETE with (bound, n), the rest of whose parameters are bound. */
static enum store_result trim(struct sqlite *s, int which, int64_t before,
                              int n, int *left) {
    sqlite3_stmt *st = s->write[which];

    sqlite3_bind_int64(st, 1, before);
    if (sqlite3_bind_parameter_count(st) > 1) sqlite3_bind_int(st, 2, n);
    enum store_result r = sqlite_run(s, st);
    if (r == STORE_OK && sqlite3_changes(s->db) >= n) *left = 1;
    return r;
}

/* Rows with the lowest ids, which came first.  Those that say they are of a
 * time to come were written while a clock was wrong: they go with those behind
 * them, and are looked past until then. */
static enum store_result trim_rows(struct sqlite *s, struct store_head *h,
                                   int find, int which, int64_t before, int n,
                                   int *left) {
    int64_t future = s->now + CLOCK_JUMP;
    sqlite3_stmt *st = s->write[find];

    sqlite3_bind_int64(st, 1, before);
    sqlite3_bind_int(st, 2, n);
    sqlite3_bind_int64(st, 3, future);
    sqlite3_bind_int64(st, 4, h->future);
    int code = sqlite3_step(st);
    if (code == SQLITE_ROW) {
        if (sqlite3_column_type(st, 1) != SQLITE_NULL)
            h->old = sqlite3_column_int64(st, 1);
        /* there is none behind, or none at all: what comes is looked at anew */
        if (sqlite3_column_int64(st, 3) == 0) memset(h, 0, sizeof(*h));
        if (sqlite3_column_int64(st, 2) == 0 &&
            sqlite3_column_int64(st, 3) == n) {
            h->future = sqlite3_column_int64(st, 0);
            *left = 1;
        }
    }
    sqlite3_reset(st);
    if (code != SQLITE_ROW) return sqlite_failed(s, code);

    sqlite3_bind_int64(s->write[which], 4, h->old);
    sqlite3_bind_int64(s->write[which], 3, future);
    return trim(s, which, before, n, left);
}

/* Sums by hour of series, which are noted. */
static enum store_result trim_hours(struct sqlite *s,
                                    const struct store_limits *l, int n,
                                    int *left, struct names_trim *names) {
    sqlite3_stmt *st = s->write[OLD_HOURS];
    int64_t before = l->cube_before / 3600000;
    int code;

    names->series = xcalloc((size_t)n, sizeof(*names->series));
    sqlite3_bind_int64(st, 1, before);
    sqlite3_bind_int(st, 2, n);
    while ((code = sqlite3_step(st)) == SQLITE_ROW)
        names->series[names->n++] = sqlite3_column_int64(st, 0);
    enum store_result r =
        code == SQLITE_DONE ? STORE_OK : sqlite_failed(s, code);
    sqlite3_reset(st);
    return r == STORE_OK && names->n ? trim(s, TRIM_HOURS, before, n, left) : r;
}

/* Ids of rows that are gone are not given again. */
static enum store_result write_given(struct sqlite *s) {
    sqlite3_bind_int64(s->write[WRITE_GIVEN], 1, s->last_id);
    return sqlite_run(s, s->write[WRITE_GIVEN]);
}

/* Rows of any age, when the ledger is too large. */
static enum store_result trim_oldest(struct sqlite *s, int n, int *left) {
    sqlite3_bind_int64(s->write[TRIM_REQUESTS], 3, INT64_MAX);
    sqlite3_bind_int64(s->write[TRIM_REQUESTS], 4, 0);
    enum store_result r = trim(s, TRIM_REQUESTS, INT64_MAX, n, left);
    if (r == STORE_OK && sqlite3_changes(s->db)) r = write_given(s);
    return r;
}

/* What one turn takes away. */
struct trimmed {
    struct store_gone *gone;
    int count, bodies;
    int64_t bytes;
};

/* Bodies that earlier versions kept in files of their own: the lowest ids. */
static enum store_result trim_files(struct sqlite *s,
                                    const struct store_limits *l, int n,
                                    int *left, struct trimmed *t) {
    sqlite3_stmt *st = s->write[TRIM_BODY_FIND];
    int64_t bytes = s->body_bytes;
    int64_t *ids = xcalloc((size_t)n, sizeof(*ids));
    enum store_result r = STORE_OK;
    int code, looked = 0;

    sqlite3_bind_int(st, 1, n);
    while ((code = sqlite3_step(st)) == SQLITE_ROW &&
           sqlite3_column_type(st, 5) == SQLITE_NULL) {
        struct store_gone *g = &t->gone[t->count];

        looked++;
        g->segment = 0;
        g->instance = (uint64_t)sqlite3_column_int64(st, 1);
        g->id = (uint64_t)sqlite3_column_int64(st, 2);
        g->time = sqlite3_column_int64(st, 3);
        if (g->time >= l->bodies_before && bytes <= l->body_bytes &&
            l->segment == 0)
            continue;
        ids[t->count++] = sqlite3_column_int64(st, 0);
        bytes -= sqlite3_column_int64(st, 4);
    }
    if (code != SQLITE_DONE && code != SQLITE_ROW) r = sqlite_failed(s, code);
    sqlite3_reset(st);
    if (looked == n && t->count == n) *left = 1;

    for (int i = 0; r == STORE_OK && i < t->count; i++) {
        sqlite3_bind_int64(s->write[TRIM_BODY], 1, ids[i]);
        r = sqlite_run(s, s->write[TRIM_BODY]);
    }
    t->bytes = s->body_bytes - bytes;
    t->bodies = t->count;
    free(ids);
    return r;
}

/* The oldest segment, if it has to go: at most n of its rows, and the segment
 * itself with the last of them. */
static enum store_result trim_segment(struct sqlite *s,
                                      const struct store_limits *l, int n,
                                      int *left, struct trimmed *t) {
    sqlite3_stmt *st = s->write[TRIM_SEGMENT_FIND];
    int64_t segment = 0, bodies = 0, bytes = 0;
    enum store_result r = STORE_OK;

    int code = sqlite3_step(st);
    if (code == SQLITE_ROW) {
        segment = sqlite3_column_int64(st, 0);
        bodies = sqlite3_column_int64(st, 1);
        bytes = sqlite3_column_int64(st, 2);
    } else if (code != SQLITE_DONE) {
        r = sqlite_failed(s, code);
    }
    sqlite3_reset(st);
    if (r != STORE_OK || segment == 0) return r;

    int64_t over = (segment / SEGMENT_PER_HOUR + 1) * 3600000;
    if (over > l->bodies_before && s->body_bytes - t->bytes <= l->body_bytes &&
        segment > l->segment)
        return STORE_OK;

    *left = 1;
    if (bodies > 0) {
        st = s->write[TRIM_SEGMENT_ROWS];
        sqlite3_bind_int64(st, 1, segment);
        sqlite3_bind_int(st, 2, n);
        if ((r = sqlite_run(s, st)) != STORE_OK) return r;

        int gone = sqlite3_changes(s->db);
        t->bodies += gone;
        bodies = gone < n ? 0 : bodies - gone;
        st = s->write[TRIM_SEGMENT_LESS];
        sqlite3_bind_int64(st, 1, segment);
        sqlite3_bind_int(st, 2, gone);
        if ((r = sqlite_run(s, st)) != STORE_OK) return r;
    }
    if (bodies > 0) return STORE_OK;

    struct store_gone *g = &t->gone[t->count++];
    g->segment = segment;
    t->bytes += bytes;
    sqlite3_bind_int64(s->write[TRIM_SEGMENT], 1, segment);
    return sqlite_run(s, s->write[TRIM_SEGMENT]);
}

/* Nothing comes that would be rolled up with its batch. */
static int is_idle(const struct sqlite *s) {
    return s->newest + IDLE_MINUTES < s->now / 60000;
}

enum store_result sqlite_trim(struct sqlite *s, const struct store_limits *l,
                              int n, int *left, store_gone_cb *cb, void *arg) {
    struct trimmed t = {0};
    struct names_trim names = {.sweep = s->sweep, .sweeping = s->sweeping};

    t.gone = xcalloc((size_t)n + 1, sizeof(*t.gone));
    *left = 0;
    enum store_result r = sqlite_begin(s);
    if (r == STORE_OK)
        r = trim_rows(s, &s->requests, OLD_REQUESTS, TRIM_REQUESTS,
                      l->rows_before, n, left);
    if (r == STORE_OK && sqlite3_changes(s->db)) r = write_given(s);
    if (r == STORE_OK && sqlite_size_over(s, l->row_bytes))
        r = trim_oldest(s, n, left);
    if (r == STORE_OK) r = trim(s, TRIM_OTHERS, s->last_id, n, left);
    if (r == STORE_OK) r = trim(s, TRIM_BEGAN, s->next_id, n, left);
    if (r == STORE_OK) r = sqlite_rollup(s, ROLL_PIECES, is_idle(s), left);
    if (r == STORE_OK) r = sqlite_levels_trim(s, l, n, left, &names);
    if (r == STORE_OK) r = sqlite_spread_trim(s, l, n, left);
    if (r == STORE_OK)
        r = trim(s, TRIM_TURNS, l->hours_before / 3600000, n, left);
    if (r == STORE_OK) r = trim_hours(s, l, n, left, &names);
    if (r == STORE_OK)
        r = trim_rows(s, &s->events, OLD_EVENTS, TRIM_EVENTS, l->rows_before, n,
                      left);
    if (r == STORE_OK && sqlite3_changes(s->db)) s->keys_due = 1;
    if (r == STORE_OK) r = sqlite_names_trim(s, n, left, &names);
    if (r == STORE_OK) r = trim_files(s, l, n, left, &t);
    if (r == STORE_OK) r = trim_segment(s, l, n, left, &t);
    if (r == STORE_OK) {
        int ignored;
        r = trim(s, TRIM_PENALTIES, s->now, 1, &ignored);
        if (r == STORE_OK && sqlite3_changes(s->db)) s->keys_due = 1;
        if (r == STORE_OK)
            r = trim(s, TRIM_INSTANCES, l->rows_before, 1, &ignored);
    }
    if (r == STORE_OK) r = sqlite_write_time(s, TIME_IDLE_MS);
    if (r == STORE_OK) r = sqlite_exec(s, "COMMIT");
    if (r == STORE_OK) {
        s->commits++;
        sqlite_rollup_end(s, 1);
        s->body_bytes -= t.bytes;
        s->body_count -= t.bodies;
        for (int i = 0; i < t.count; i++) cb(arg, &t.gone[i]);
        sqlite_names_gone(s, &names);
        /* ids of instances that are gone must not be used again */
        map_clear(s->instances);
        r = sqlite_size_shrink(s, l->row_bytes, left);
    } else {
        sqlite_rollback(s);
    }
    free(t.gone);
    free(names.series);
    free(names.combos);
    return r;
}
