#include "sums_by.h"

#include "../base/map.h"
#include "../base/util.h"

#include <stdlib.h>
#include <string.h>

#define DAY     86400000LL
#define FAST_MS 50

static const char other[] = "(other)";

/* For qsort: < 0 if a is the larger one. */
static int larger(const struct store_counts *a, const struct store_counts *b) {
    int64_t x = a->prompt + a->completion, y = b->prompt + b->completion;

    if (x == y) {
        x = a->requests;
        y = b->requests;
    }
    return (x < y) - (x > y);
}

static char *copy(const char *s) {
    return s ? xstrdup(s) : NULL;
}

/* ---- by hour, client, model, key ---- */

struct sum {
    struct store_hour row;
    size_t order; /* in which it came */
};

struct sums {
    enum by by;
    struct map *map;
};

static void add_row(struct sums *s, const struct store_hour *row) {
    char *client = NULL;
    const void *key = NULL;
    size_t len = 0;
    int fresh;

    switch (s->by) {
    case BY_HOUR:
        key = &row->time;
        len = sizeof(row->time);
        break;
    case BY_KEY:
        key = &row->key;
        len = sizeof(row->key);
        break;
    case BY_MODEL:
        key = row->model ? row->model : "";
        len = strlen(key);
        break;
    default:
        key = client = xasprintf("%s\n%s", row->client ? row->client : "",
                                 row->client_name ? row->client_name : "");
        len = strlen(key);
    }

    struct sum *sum = map_put(s->map, key, len, &fresh);
    free(client);
    if (!fresh) {
        store_add(&sum->row.n, &row->n);
        return;
    }
    sum->order = map_count(s->map);
    sum->row = *row;
    sum->row.client = s->by == BY_CLIENT ? copy(row->client) : NULL;
    sum->row.client_name = s->by == BY_CLIENT ? copy(row->client_name) : NULL;
    sum->row.key_name = s->by == BY_KEY ? copy(row->key_name) : NULL;
    sum->row.model = s->by == BY_MODEL ? copy(row->model) : NULL;
}

static void on_row(void *arg, const struct store_minute *got) {
    struct sums *s = arg;
    struct store_hour row = {.time = got->time, .key_index = -1, .n = got->n};

    switch (s->by) {
    case BY_KEY:
        row.key = got->key;
        row.key_name = got->name;
        row.key_index = got->key_index;
        break;
    case BY_MODEL: row.model = got->name; break;
    case BY_CLIENT:
        row.client = got->name;
        row.client_name = got->more;
        break;
    default: break;
    }
    add_row(s, &row);
}

static void forget(struct sums *s) {
    for (struct sum *sum = NULL; (sum = map_next(s->map, sum));) {
        free((char *)sum->row.client);
        free((char *)sum->row.client_name);
        free((char *)sum->row.key_name);
        free((char *)sum->row.model);
    }
    map_free(s->map);
}

static enum store_result read_sums(struct store_reader *rd, struct sums *s,
                                   int64_t from, int64_t to) {
    enum store_kind kind = s->by == BY_KEY     ? STORE_KEY
                           : s->by == BY_MODEL ? STORE_MODEL
                           : s->by == BY_HOUR  ? STORE_ALL
                                               : STORE_CLIENT;

    return store_minutes(rd, kind, from, to, s->by == BY_HOUR ? 60 : 0, on_row,
                         s);
}

/* A slice counts as a whole or not at all. */
static enum store_result read_slice(struct store_reader *rd, struct sums *s,
                                    int64_t from, int64_t to) {
    struct sums slice = {s->by, map_new(sizeof(struct sum))};
    enum store_result r = read_sums(rd, &slice, from, to);

    for (struct sum *sum = NULL;
         r == STORE_OK && (sum = map_next(slice.map, sum));)
        add_row(s, &sum->row);
    forget(&slice);
    return r;
}

/* Backwards, in whole days, so that none counts twice; the next slice is longer
 * when this one was read fast. */
static enum store_result read_all(struct store_reader *rd, struct sums *s,
                                  int64_t to, struct sums_cut *cut) {
    int64_t began = mono_ms(), days = 1, now = now_ms();
    int64_t end = (now / DAY + 1) * DAY;
    enum store_result r = STORE_OK;

    if (end > to) end = to;
    if (to > end) r = read_slice(rd, s, end, to);
    while (r == STORE_OK && end > 0) {
        int64_t turn = mono_ms();
        int64_t from = ((end - 1) / DAY + 1 - days) * DAY;

        if (from < 0) from = 0;
        if (turn - began > SUMS_MS) {
            cut->from = end;
            break;
        }
        r = read_slice(rd, s, from, end);
        if (r == STORE_BUSY && map_count(s->map)) {
            cut->from = end;
            return STORE_OK;
        }
        end = from;
        if (mono_ms() - turn < FAST_MS && days < 1 << 14) days *= 2;
    }
    return r;
}

static int by_size(const void *a, const void *b) {
    const struct sum *x = *(struct sum *const *)a, *y = *(struct sum *const *)b;
    int order = larger(&x->row.n, &y->row.n);

    return order ? order : (x->order > y->order) - (x->order < y->order);
}

static int by_time(const void *a, const void *b) {
    const struct sum *x = *(struct sum *const *)a, *y = *(struct sum *const *)b;

    return (x->row.time < y->row.time) - (x->row.time > y->row.time);
}

static int is_other(enum by by, const struct store_hour *row) {
    return (by == BY_CLIENT && row->client && !strcmp(row->client, other)) ||
           (by == BY_MODEL && row->model && !strcmp(row->model, other));
}

static void give(struct sums *s, int64_t limit, sums_hour_cb *cb, void *arg,
                 struct sums_cut *cut) {
    size_t n = 0, count = map_count(s->map);
    struct sum **list = xcalloc(count + 1, sizeof(*list));
    struct store_hour rest = {.key_index = -1};
    int more = count > (size_t)limit;

    for (struct sum *sum = NULL; (sum = map_next(s->map, sum));) {
        if (more && is_other(s->by, &sum->row)) {
            store_add(&rest.n, &sum->row.n);
            cut->others++;
        } else {
            list[n++] = sum;
        }
    }
    qsort(list, n, sizeof(*list), s->by == BY_HOUR ? by_time : by_size);
    for (size_t i = 0; i < n; i++) {
        if (i < (size_t)limit) {
            cb(arg, &list[i]->row, 0);
        } else {
            store_add(&rest.n, &list[i]->row.n);
            cut->others++;
        }
    }
    free(list);
    if (cut->others == 0 || s->by == BY_HOUR) return;
    rest.client = s->by == BY_CLIENT ? other : NULL;
    rest.key_name = s->by == BY_KEY ? other : NULL;
    rest.model = s->by == BY_MODEL ? other : NULL;
    cb(arg, &rest, cut->others);
}

enum store_result sums_by(struct store_reader *rd, enum by by, int64_t from,
                          int64_t to, int64_t limit, sums_hour_cb *cb,
                          void *arg, struct sums_cut *cut) {
    struct sums s = {by, map_new(sizeof(struct sum))};

    memset(cut, 0, sizeof(*cut));
    enum store_result r = from == SUMS_ALL ? read_all(rd, &s, to, cut)
                                           : read_sums(rd, &s, from, to);
    if (r == STORE_OK) give(&s, limit, cb, arg, cut);
    forget(&s);
    return r;
}

/* ---- the largest of a window ---- */

struct name {
    int64_t ref;
    struct store_counts n;
    size_t order;
};

struct rest {
    int64_t time;
    struct store_counts n;
};

struct top {
    struct name *names; /* in the end the largest ones first */
    size_t n, room;
    int64_t others;
    struct rest *rest; /* of each step, oldest first */
    size_t nrest, rest_room, at;
    sums_minute_cb *cb;
    void *arg;
};

static void on_name(void *arg, const struct store_minute *row) {
    struct top *t = arg;

    /* names that had no room are among the rest in any case */
    if (row->key == 0 && row->name && strcmp(row->name, other) == 0) {
        t->others++;
        return;
    }
    if (t->n == t->room) {
        t->room = t->room ? t->room * 2 : 64;
        t->names = xrealloc(t->names, t->room * sizeof(*t->names));
    }
    t->names[t->n] = (struct name){row->ref, row->n, t->n};
    t->n++;
}

static int name_by_size(const void *a, const void *b) {
    const struct name *x = a, *y = b;
    int order = larger(&x->n, &y->n);

    return order ? order : (x->order > y->order) - (x->order < y->order);
}

static void on_whole(void *arg, const struct store_minute *row) {
    struct top *t = arg;

    if (t->nrest == t->rest_room) {
        t->rest_room = t->rest_room ? t->rest_room * 2 : 64;
        t->rest = xrealloc(t->rest, t->rest_room * sizeof(*t->rest));
    }
    t->rest[t->nrest++] = (struct rest){row->time, row->n};
}

/* What is left of the steps before a time. */
static void give_rest(struct top *t, int64_t before) {
    for (; t->at < t->nrest && t->rest[t->at].time < before; t->at++) {
        const struct rest *rest = &t->rest[t->at];
        struct store_minute row = {.time = rest->time,
                                   .name = other,
                                   .more = "",
                                   .key_index = -1,
                                   .n = rest->n};

        if (rest->n.requests > 0) t->cb(t->arg, &row, t->others);
    }
}

static void on_largest(void *arg, const struct store_minute *row) {
    struct top *t = arg;

    give_rest(t, row->time);
    if (t->at < t->nrest && t->rest[t->at].time == row->time)
        store_subtract(&t->rest[t->at].n, &row->n);
    t->cb(t->arg, row, 0);
}

static void on_each(void *arg, const struct store_minute *row) {
    struct top *t = arg;

    t->cb(t->arg, row, 0);
}

static enum store_result read_largest(struct store_reader *rd, struct top *t,
                                      enum store_kind kind, int64_t from,
                                      int64_t to, int step, int n) {
    int64_t *refs = xcalloc((size_t)n, sizeof(*refs));

    t->others += (int64_t)t->n - n;
    qsort(t->names, t->n, sizeof(*t->names), name_by_size);
    for (int i = 0; i < n; i++) refs[i] = t->names[i].ref;

    enum store_result r =
        store_minutes(rd, STORE_ALL, from, to, step, on_whole, t);
    if (r == STORE_OK && n > 0)
        r = store_minutes_of(rd, kind, from, to, step, refs, n, on_largest, t);
    if (r == STORE_OK) give_rest(t, INT64_MAX);
    free(refs);
    return r;
}

enum store_result sums_top(struct store_reader *rd, enum store_kind kind,
                           int64_t from, int64_t to, int step, int n,
                           sums_minute_cb *cb, void *arg, int64_t *others) {
    struct top t = {.cb = cb, .arg = arg};
    enum store_result r = store_minutes(rd, kind, from, to, 0, on_name, &t);

    if (r == STORE_OK) {
        if ((int64_t)t.n + t.others <= n) {
            t.others = 0;
            r = store_minutes(rd, kind, from, to, step, on_each, &t);
        } else {
            if (n > (int)t.n) n = (int)t.n;
            r = read_largest(rd, &t, kind, from, to, step, n);
        }
    }
    *others = t.others;
    free(t.names);
    free(t.rest);
    return r;
}
