#include "rollup.h"

#include "../../base/util.h"

#include <stdlib.h>

#define MINUTE 60000
#define TEN    10

int sqlite_bounds(sqlite3_stmt *st, struct level_bounds *b) {
    int code;

    *b = (struct level_bounds){0};
    while ((code = sqlite3_step(st)) == SQLITE_ROW) {
        int64_t id = sqlite3_column_int64(st, 0);
        int64_t minute = sqlite3_column_int64(st, 1);

        if (id == STORE_MARK)
            b->mark = minute;
        else if (id >= 0 && id < LEVELS)
            b->since[id] = minute;
    }
    for (int level = LEVEL_DAY; level > LEVEL_MINUTE; level--)
        if (b->since[level - 1] < b->since[level])
            b->since[level - 1] = b->since[level];
    return code;
}

static enum store_result read_one(struct sqlite *s, sqlite3_stmt *st,
                                  int64_t *v, int *is_null) {
    int code = sqlite3_step(st);

    *is_null = code != SQLITE_ROW || sqlite3_column_type(st, 0) == SQLITE_NULL;
    *v = *is_null ? 0 : sqlite3_column_int64(st, 0);
    sqlite3_reset(st);
    return code == SQLITE_ROW || code == SQLITE_DONE ? STORE_OK
                                                     : sqlite_failed(s, code);
}

enum store_result sqlite_rollup_begin(struct sqlite *s) {
    int none, code = sqlite_bounds(s->write[FIND_BOUNDS], &s->bounds);

    sqlite3_reset(s->write[FIND_BOUNDS]);
    s->bounds_kept = s->bounds;
    if (code != SQLITE_DONE) return sqlite_failed(s, code);
    return read_one(s, s->write[FIND_NEWEST], &s->newest, &none);
}

void sqlite_rollup_end(struct sqlite *s, int committed) {
    if (committed)
        s->bounds_kept = s->bounds;
    else
        s->bounds = s->bounds_kept;
}

static enum store_result write_bound(struct sqlite *s, int id, int64_t minute) {
    sqlite3_stmt *st = s->write[WRITE_BOUND];

    sqlite3_bind_int(st, 1, id);
    sqlite3_bind_int64(st, 2, minute);
    return sqlite_run(s, st);
}

/* What would go at once is not begun: the level is whole from then on only. */
static enum store_result is_too_old(struct sqlite *s, int level, int *old) {
    int64_t unit = level_unit(level);
    int64_t end = (s->bounds.mark / unit + 1) * unit;

    *old = end <= s->too_old[level];
    if (!*old || s->bounds.since[level] >= end) return STORE_OK;
    s->bounds.since[level] = end;
    return write_bound(s, level, end);
}

/* One level of ten minutes, for each kind: from the minutes, or from the ten
 * that were just made of them, which are fewer. */
static enum store_result roll_level(struct sqlite *s, int level, int from_ten) {
    sqlite3_stmt *st = s->write[from_ten ? ROLL_TEN : ROLL_MINUTES];
    enum store_result r = STORE_OK;

    for (int kind = STORE_ALL; r == STORE_OK && kind <= STORE_CLIENT; kind++) {
        sqlite3_bind_int(st, 1, from_ten ? 4 * LEVEL_TEN + kind : kind);
        sqlite3_bind_int64(st, 2,
                           from_ten ? s->bounds.mark / TEN : s->bounds.mark);
        sqlite3_bind_int(st, 3, 4 * level + kind);
        sqlite3_bind_int64(st, 4, s->bounds.mark / level_unit(level));
        r = sqlite_run(s, st);
    }
    return r;
}

/* Ten minutes from the mark on, to all levels. */
static enum store_result roll(struct sqlite *s) {
    enum store_result r = STORE_OK;
    int old, ten = 0;

    for (int level = LEVEL_TEN; r == STORE_OK && level < LEVELS; level++) {
        r = is_too_old(s, level, &old);
        if (r != STORE_OK || old) continue;
        r = roll_level(s, level, ten);
        if (level == LEVEL_TEN) ten = 1;
    }
    return r;
}

enum store_result sqlite_rollup(struct sqlite *s, int n, int idle, int *left) {
    int64_t *mark = &s->bounds.mark, from = *mark, first;
    int64_t over = s->now / MINUTE;
    enum store_result r = STORE_OK;
    int none = 0;

    /* a minute more: the clocks of proxies are not quite the same */
    if (!idle && over > s->newest) over = s->newest;
    while (r == STORE_OK && *mark + TEN < over) {
        if (n-- == 0) {
            *left = 1;
            break;
        }
        sqlite3_bind_int64(s->write[FIND_UNROLLED], 1, *mark);
        r = read_one(s, s->write[FIND_UNROLLED], &first, &none);
        if (r != STORE_OK || none) break;
        if (first >= *mark + TEN) *mark = first - first % TEN;
        if (*mark + TEN >= over) break;
        r = roll(s);
        *mark += TEN;
    }
    return r == STORE_OK && *mark != from ? write_bound(s, STORE_MARK, *mark)
                                          : r;
}

/* ---- what is too old ---- */

static int is_one(sqlite3_stmt *st, int kind, int64_t before) {
    sqlite3_bind_int64(st, 1, before);
    sqlite3_bind_int(st, 2, kind);
    int code = sqlite3_step(st);
    sqlite3_reset(st);
    return code == SQLITE_ROW;
}

/* One row after the other, because its name may go with it. */
static enum store_result trim_named(struct sqlite *s, int kind, int64_t before,
                                    int n, int *left,
                                    struct names_trim *names) {
    sqlite3_stmt *st = s->write[OLD_SUMS];
    int64_t(*rows)[2] = xcalloc((size_t)n, sizeof(*rows));
    int code, count = 0, i;

    sqlite3_bind_int64(st, 1, before);
    sqlite3_bind_int(st, 2, kind);
    sqlite3_bind_int(st, 3, n);
    while ((code = sqlite3_step(st)) == SQLITE_ROW) {
        rows[count][0] = sqlite3_column_int64(st, 0);
        rows[count++][1] = sqlite3_column_int64(st, 1);
    }
    enum store_result r =
        code == SQLITE_DONE ? STORE_OK : sqlite_failed(s, code);
    sqlite3_reset(st);

    st = s->write[TRIM_SUM];
    for (i = 0; r == STORE_OK && i < count && names->folded < n; i++) {
        sqlite3_bind_int(st, 1, kind);
        sqlite3_bind_int64(st, 2, rows[i][0]);
        sqlite3_bind_int64(st, 3, rows[i][1]);
        r = sqlite_run(s, st);
        if (r == STORE_OK)
            r = sqlite_name_look(s, (enum store_kind)(kind % 4), rows[i][1],
                                 names);
    }
    if (i == n || i < count) *left = 1;
    free(rows);
    return r;
}

static enum store_result trim_level(struct sqlite *s, int level, int64_t before,
                                    int n, int *left,
                                    struct names_trim *names) {
    enum store_result r = STORE_OK;
    sqlite3_stmt *st = s->write[level ? TRIM_SUMS : TRIM_MINUTES];
    int unit = (int)level_unit(level);

    /* of the whole there is a row wherever there is one of a name */
    if (before * unit > s->bounds.since[level] &&
        is_one(s->write[level ? OLD_SUM : OLD_MINUTE], 4 * level, before)) {
        s->bounds.since[level] = before * unit;
        r = write_bound(s, level, before * unit);
    }
    for (int kind = 4 * level; r == STORE_OK && kind < 4 * level + 4; kind++) {
        if (level == LEVEL_HOUR && kind % 4 >= STORE_MODEL) {
            r = trim_named(s, kind, before, n, left, names);
            continue;
        }
        sqlite3_bind_int64(st, 1, before);
        sqlite3_bind_int(st, 2, n);
        sqlite3_bind_int(st, 3, kind);
        r = sqlite_run(s, st);
        if (r != STORE_OK) break;
        if (sqlite3_changes(s->db) >= n) *left = 1;
        if (kind == 4 * LEVEL_DAY + STORE_KEY && sqlite3_changes(s->db))
            s->keys_due = 1;
    }
    return r;
}

enum store_result sqlite_levels_trim(struct sqlite *s,
                                     const struct store_limits *l, int n,
                                     int *left, struct names_trim *names) {
    const int64_t before[LEVELS] = {l->minutes_before, l->tens_before,
                                    l->hours_before, l->days_before};
    enum store_result r = STORE_OK;
    int more = 0;

    for (int level = 0; r == STORE_OK && !more && level < LEVELS; level++) {
        int64_t minute = before[level] / MINUTE;

        s->too_old[level] = minute;
        if (minute > s->bounds.mark) minute = s->bounds.mark;
        if (minute > 0)
            r = trim_level(s, level, minute / level_unit(level), n, &more,
                           names);
    }
    if (more) *left = 1;
    return r;
}
