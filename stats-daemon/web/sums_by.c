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

struct group {
    struct store_counts n;
    char *name, *more;
    uint32_t key;
    size_t order;
    int rest;
};

struct cell {
    int64_t time;
    struct group *group;
    struct store_counts n;
};

struct top {
    int64_t n, others;
    int ranked;
    struct map *groups;
    struct cell *cells;
    size_t count, room;
};

struct top *top_new(int64_t n) {
    struct top *t = xcalloc(1, sizeof(*t));

    t->n = n;
    t->groups = map_new(sizeof(struct group));
    return t;
}

void top_add(void *arg, const struct store_minute *row) {
    struct top *t = arg;
    char *key =
        xasprintf("%08x%s\n%s", (unsigned)row->key, row->name ? row->name : "",
                  row->more ? row->more : "");
    int fresh;
    struct group *g = map_put(t->groups, key, strlen(key), &fresh);

    free(key);
    if (fresh) {
        g->name = copy(row->name);
        g->more = copy(row->more);
        g->key = row->key;
        g->order = map_count(t->groups);
    }
    store_add(&g->n, &row->n);
    if (t->count == t->room) {
        t->room = t->room ? t->room * 2 : 256;
        t->cells = xrealloc(t->cells, t->room * sizeof(*t->cells));
    }
    t->cells[t->count++] = (struct cell){row->time, g, row->n};
}

static int group_by_size(const void *a, const void *b) {
    const struct group *x = *(struct group *const *)a,
                       *y = *(struct group *const *)b;
    int order = larger(&x->n, &y->n);

    return order ? order : (x->order > y->order) - (x->order < y->order);
}

int64_t top_others(struct top *t) {
    size_t n = 0, count = map_count(t->groups);
    struct group **list;

    if (t->ranked) return t->others;
    t->ranked = 1;
    if (count <= (size_t)t->n) return 0;

    list = xcalloc(count, sizeof(*list));
    for (struct group *g = NULL; (g = map_next(t->groups, g));) {
        g->rest = g->key == 0 && g->name && strcmp(g->name, other) == 0;
        if (g->rest)
            t->others++;
        else
            list[n++] = g;
    }
    qsort(list, n, sizeof(*list), group_by_size);
    for (size_t i = (size_t)t->n; i < n; i++) {
        list[i]->rest = 1;
        t->others++;
    }
    free(list);
    return t->others;
}

void top_give(struct top *t, sums_minute_cb *cb, void *arg) {
    struct store_minute rest = {.name = other, .more = ""};

    top_others(t);
    for (size_t i = 0; i < t->count; i++) {
        const struct cell *c = &t->cells[i];
        const struct group *g = c->group;

        if (i == 0 || c->time != rest.time) {
            memset(&rest.n, 0, sizeof(rest.n));
            rest.time = c->time;
        }
        if (g->rest) {
            store_add(&rest.n, &c->n);
        } else {
            struct store_minute row = {c->time, g->name, g->more,
                                       g->key,  -1,      c->n};
            cb(arg, &row, 0);
        }
        if (rest.n.requests &&
            (i + 1 == t->count || t->cells[i + 1].time != c->time))
            cb(arg, &rest, t->others);
    }
}

void top_free(struct top *t) {
    for (struct group *g = NULL; (g = map_next(t->groups, g));) {
        free(g->name);
        free(g->more);
    }
    map_free(t->groups);
    free(t->cells);
    free(t);
}
