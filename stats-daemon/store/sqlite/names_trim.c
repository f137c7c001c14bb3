#include "names.h"

#include "../../base/map.h"
#include "../../base/util.h"

#include <stdlib.h>

#define HOUR 3600000LL
#define DAY  86400000LL

#define SWEEP_PIECE 100

static enum store_result remove_one(struct sqlite *s, int which, int64_t id,
                                    int64_t *gone) {
    sqlite3_bind_int64(s->write[which], 1, id);
    enum store_result r = sqlite_run(s, s->write[which]);
    if (r == STORE_OK) *gone += sqlite3_changes(s->db);
    return r;
}

/* Sums by hour of its last day, newest first. */
static enum store_result has_hours(struct sqlite *s, int64_t series,
                                   int64_t day, int *has) {
    sqlite3_stmt *st = s->write[ONE_HOUR];
    int code = SQLITE_DONE;

    for (int64_t hour = day * 24 + 23; day > 0 && hour >= day * 24; hour--) {
        sqlite3_bind_int64(st, 1, hour);
        sqlite3_bind_int64(st, 2, series);
        code = sqlite3_step(st);
        sqlite3_reset(st);
        if (code != SQLITE_DONE) break;
    }
    *has = code == SQLITE_ROW;
    return code == SQLITE_ROW || code == SQLITE_DONE ? STORE_OK
                                                     : sqlite_failed(s, code);
}

/* A series without combos and sums goes, and takes its client and model along
 * if they have no other. */
static enum store_result look_at_series(struct sqlite *s,
                                        const struct store_limits *l,
                                        int64_t id, struct names_trim *t,
                                        int *gone) {
    sqlite3_stmt *st = s->write[ONE_SERIES];
    int64_t client = 0, model = 0, day = 0, ignored = 0;
    int used = 1;

    sqlite3_bind_int64(st, 1, id);
    int code = sqlite3_step(st);
    if (code == SQLITE_ROW) {
        client = sqlite3_column_int64(st, 0);
        model = sqlite3_column_int64(st, 1);
        day = sqlite3_column_int64(st, 2);
        used = sqlite3_column_int(st, 3);
    }
    sqlite3_reset(st);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        return sqlite_failed(s, code);

    /* sums by minute go by the age of rows: if they outlive those by hour,
     * there may be some of that day */
    if (l->hours_before > l->rows_before && (day + 1) * DAY > l->rows_before)
        used = 1;
    enum store_result r = STORE_OK;
    if (!used) r = has_hours(s, id, day, &used);
    if (r != STORE_OK || used) return r;

    *gone = 1;
    s->keys_due = 1;
    r = remove_one(s, TRIM_SERIES, id, &ignored);
    if (r == STORE_OK) r = remove_one(s, TRIM_CLIENT, client, &t->gone.clients);
    if (r == STORE_OK) r = remove_one(s, TRIM_MODEL, model, &t->gone.models);
    return r;
}

/* Combos of which no row is left, and their series. */
static enum store_result trim_combos(struct sqlite *s,
                                     const struct store_limits *l, int n,
                                     int *left, struct names_trim *t) {
    sqlite3_stmt *st = s->write[OLD_COMBOS];
    int64_t *series = xcalloc((size_t)n, sizeof(*series)), ignored = 0;
    int code, gone;

    t->combos = xcalloc((size_t)n, sizeof(*t->combos));
    sqlite3_bind_int64(st, 1, s->next_id);
    sqlite3_bind_int(st, 2, n);
    while ((code = sqlite3_step(st)) == SQLITE_ROW) {
        t->combos[t->ncombos] = sqlite3_column_int64(st, 0);
        series[t->ncombos++] = sqlite3_column_int64(st, 1);
    }
    enum store_result r =
        code == SQLITE_DONE ? STORE_OK : sqlite_failed(s, code);
    sqlite3_reset(st);
    if (t->ncombos == n) *left = 1;

    for (int i = 0; r == STORE_OK && i < t->ncombos; i++)
        r = remove_one(s, TRIM_COMBO, t->combos[i], &ignored);
    for (int i = 0; r == STORE_OK && i < t->ncombos; i++)
        r = look_at_series(s, l, series[i], t, &gone);
    free(series);
    return r;
}

/* A piece of all series, a small one because each may need a look at all hours
 * of a day; at once the next, while there is something to do. */
static enum store_result sweep(struct sqlite *s, const struct store_limits *l,
                               int n, int *left, struct names_trim *t) {
    sqlite3_stmt *st = s->write[SOME_SERIES];
    int64_t *series = xcalloc((size_t)n, sizeof(*series));
    int code, some = 0, gone = 0;

    sqlite3_bind_int64(st, 1, t->sweep);
    sqlite3_bind_int(st, 2, n);
    while ((code = sqlite3_step(st)) == SQLITE_ROW)
        series[some++] = sqlite3_column_int64(st, 0);
    enum store_result r =
        code == SQLITE_DONE ? STORE_OK : sqlite_failed(s, code);
    sqlite3_reset(st);

    for (int i = 0; r == STORE_OK && i < some; i++)
        r = look_at_series(s, l, series[i], t, &gone);
    if (some == n) {
        t->sweep = series[n - 1];
        if (gone) *left = 1;
    } else {
        t->sweep = INT64_MAX;
    }
    free(series);
    return r;
}

enum store_result sqlite_names_trim(struct sqlite *s,
                                    const struct store_limits *l, int n,
                                    int *left, struct names_trim *t) {
    enum store_result r = trim_combos(s, l, n, left, t);
    int gone;

    for (int i = 0; r == STORE_OK && i < t->n; i++)
        r = look_at_series(s, l, t->series[i], t, &gone);

    t->sweep = s->sweep;
    if (t->sweep == INT64_MAX && mono_ms() - s->swept >= SWEEP_EVERY_MS)
        t->sweep = SWEEP_BEGIN;
    if (r == STORE_OK && t->sweep != INT64_MAX)
        r = sweep(s, l, SWEEP_PIECE, left, t);
    if (r == STORE_OK && s->keys_due) {
        r = sqlite_run(s, s->write[TRIM_KEYS]);
        s->keys_due = 0;
    }
    return r;
}

/* Profiles of what has gone are looked up anew; and those that found no room,
 * when there is some. */
void sqlite_names_gone(struct sqlite *s, const struct names_trim *t) {
    int room = t->gone.models || t->gone.clients, fresh;
    struct map *gone;

    if (t->sweep == INT64_MAX && s->sweep != INT64_MAX) s->swept = mono_ms();
    s->sweep = t->sweep;
    s->names.models -= t->gone.models;
    s->names.clients -= t->gone.clients;
    s->names_kept = s->names;
    if (t->ncombos == 0 && !room) return;

    gone = map_new(1);
    for (int i = 0; i < t->ncombos; i++)
        map_put(gone, &t->combos[i], sizeof(t->combos[i]), &fresh);
    for (struct profile *p = NULL; (p = map_next(s->profiles, p));)
        if ((room && (p->client_other || p->model_other)) ||
            map_get(gone, &p->combo, sizeof(p->combo)))
            p->combo = 0;
    map_free(gone);
}
