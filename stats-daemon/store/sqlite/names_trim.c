#include "names.h"

#include "../../base/map.h"
#include "../../base/util.h"

#include <stdlib.h>

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

/* Sums by hour of the last day on which it has any.  What is not rolled up yet
 * is on a day that its series keeps in mind. */
static enum store_result has_sums(struct sqlite *s, enum store_kind kind,
                                  int64_t id, int64_t day, int *has) {
    sqlite3_stmt *st = s->write[ONE_SUM];
    int code = SQLITE_DONE;

    for (int hour = 23; hour >= 0 && code == SQLITE_DONE; hour--) {
        sqlite3_bind_int(st, 1, 4 * LEVEL_HOUR + (int)kind);
        sqlite3_bind_int64(st, 2, day * 24 + hour);
        sqlite3_bind_int64(st, 3, id);
        code = sqlite3_step(st);
        sqlite3_reset(st);
    }
    *has = code == SQLITE_ROW;
    return code == SQLITE_ROW || code == SQLITE_DONE ? STORE_OK
                                                     : sqlite_failed(s, code);
}

/* Its days become those of "(other)". */
static enum store_result fold(struct sqlite *s, enum store_kind kind,
                              int64_t id, struct names_trim *t) {
    static const int which[] = {FOLD_DAYS, TRIM_DAYS};
    int64_t other;
    enum store_result r = sqlite_name_other(s, kind, &other);

    for (int i = 0; r == STORE_OK && i < 2; i++) {
        sqlite3_stmt *st = s->write[which[i]];

        sqlite3_bind_int(st, 1, 4 * LEVEL_DAY + (int)kind);
        sqlite3_bind_int64(st, 2, id);
        if (i == 0) sqlite3_bind_int64(st, 3, other);
        r = sqlite_run(s, st);
    }
    if (r == STORE_OK) t->folded += sqlite3_changes(s->db);
    return r;
}

enum store_result sqlite_name_look(struct sqlite *s, enum store_kind kind,
                                   int64_t id, struct names_trim *t) {
    int is_model = kind == STORE_MODEL;
    sqlite3_stmt *st = s->write[is_model ? ONE_MODEL : ONE_CLIENT];
    int used = 1, other = 0, days = 0;
    int64_t day = 0;

    sqlite3_bind_int64(st, 1, id);
    int code = sqlite3_step(st);
    if (code == SQLITE_ROW) {
        other = sqlite3_column_int(st, 0);
        used = sqlite3_column_int(st, 1);
        days = sqlite3_column_type(st, 2) != SQLITE_NULL;
        day = sqlite3_column_int64(st, 2);
    }
    sqlite3_reset(st);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        return sqlite_failed(s, code);

    enum store_result r = STORE_OK;
    if (!used && days && (day + 1) * 1440 > s->bounds.since[LEVEL_HOUR])
        r = has_sums(s, kind, id, day, &used);
    if (r != STORE_OK || used || (other && days)) return r;
    if (days) r = fold(s, kind, id, t);
    if (r != STORE_OK) return r;
    return is_model ? remove_one(s, TRIM_MODEL, id, &t->gone.models)
                    : remove_one(s, TRIM_CLIENT, id, &t->gone.clients);
}

/* A series without combos and sums goes, and perhaps its client and model. */
static enum store_result look_at_series(struct sqlite *s, int64_t id,
                                        struct names_trim *t, int *gone) {
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

    /* minutes that are not rolled up yet have no other sums */
    if ((day + 1) * 1440 > s->bounds.mark && s->newest >= s->bounds.mark)
        used = 1;
    enum store_result r = STORE_OK;
    if (!used) r = has_hours(s, id, day, &used);
    if (r != STORE_OK || used) return r;

    *gone = 1;
    s->keys_due = 1;
    r = remove_one(s, TRIM_SERIES, id, &ignored);
    if (r == STORE_OK) r = sqlite_name_look(s, STORE_CLIENT, client, t);
    if (r == STORE_OK) r = sqlite_name_look(s, STORE_MODEL, model, t);
    return r;
}

/* Combos of which no row is left, and their series. */
static enum store_result trim_combos(struct sqlite *s, int n, int *left,
                                     struct names_trim *t) {
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
        r = look_at_series(s, series[i], t, &gone);
    free(series);
    return r;
}

/* A piece of all names, a small one because each may need a look at all hours
 * of a day; at once the next, while there is something to do. */
static enum store_result sweep(struct sqlite *s, int n, int *left,
                               struct names_trim *t) {
    static const int some[] = {SOME_SERIES, SOME_MODELS, SOME_CLIENTS};
    sqlite3_stmt *st = s->write[some[t->sweeping]];
    int64_t *ids = xcalloc((size_t)n, sizeof(*ids));
    int64_t names = t->gone.models + t->gone.clients;
    int code, count = 0, gone = 0;

    sqlite3_bind_int64(st, 1, t->sweep);
    sqlite3_bind_int(st, 2, n);
    while ((code = sqlite3_step(st)) == SQLITE_ROW)
        ids[count++] = sqlite3_column_int64(st, 0);
    enum store_result r =
        code == SQLITE_DONE ? STORE_OK : sqlite_failed(s, code);
    sqlite3_reset(st);

    for (int i = 0; r == STORE_OK && i < count; i++) {
        if (t->sweeping == SWEEP_SERIES)
            r = look_at_series(s, ids[i], t, &gone);
        else
            r = sqlite_name_look(
                s, t->sweeping == SWEEP_MODELS ? STORE_MODEL : STORE_CLIENT,
                ids[i], t);
    }
    if (t->gone.models + t->gone.clients > names) gone = 1;
    if (count == n) {
        t->sweep = ids[n - 1];
        if (gone) *left = 1;
    } else {
        t->sweep = ++t->sweeping == SWEEP_KINDS ? INT64_MAX : SWEEP_BEGIN;
    }
    free(ids);
    return r;
}

enum store_result sqlite_names_trim(struct sqlite *s, int n, int *left,
                                    struct names_trim *t) {
    enum store_result r = trim_combos(s, n, left, t);
    int gone;

    for (int i = 0; r == STORE_OK && i < t->n; i++)
        r = look_at_series(s, t->series[i], t, &gone);

    t->sweeping = s->sweeping;
    t->sweep = s->sweep;
    if (t->sweep == INT64_MAX && mono_ms() - s->swept >= SWEEP_EVERY_MS) {
        t->sweeping = SWEEP_SERIES;
        t->sweep = SWEEP_BEGIN;
    }
    if (r == STORE_OK && t->sweep != INT64_MAX)
        r = sweep(s, SWEEP_PIECE, left, t);
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
    s->sweeping = t->sweeping;
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
