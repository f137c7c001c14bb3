#include "spread_sums.h"

#include "../base/map.h"
#include "../base/util.h"
#include "../store/cause.h"

#include <stdlib.h>
#include <string.h>

static const char other[] = "(other)";

struct packed {
    unsigned char *data;
    size_t len;
};

struct group {
    char *name;
    uint32_t key;
    struct packed sum;
    uint64_t size;
    size_t order;
    size_t first, last; /* of its cells, + 1 */
    int rest;           /* is in the others */
};

struct cell {
    int64_t time;
    struct group *group;
    size_t next; /* of its group, + 1 */
    struct packed sum;
};

struct spread_sums {
    int64_t step;
    int errors;
    int64_t others;
    struct map *groups;
    struct group **list; /* the largest first */
    struct cell *cells;  /* oldest first */
    size_t count, room;
};

uint64_t spread_errors(const struct spread *s) {
    uint64_t n = 0;

    for (int c = 0; c < CAUSES; c++)
        if (cause_is_error((enum cause)c)) n += s->n[SPREAD_CAUSES + c];
    return n;
}

static void add(struct packed *p, const void *data, size_t len) {
    unsigned char *sum = xmalloc(p->len + len + 1);

    p->len = spread_sum(sum, p->data, p->len, data, len);
    free(p->data);
    p->data = sum;
}

static void unpack(struct spread *to, const struct packed *p) {
    memset(to, 0, sizeof(*to));
    spread_add(to, p->data, p->len);
}

struct spread_sums *spread_sums_new(int64_t step, int errors) {
    struct spread_sums *s = xcalloc(1, sizeof(*s));

    s->step = step;
    s->errors = errors;
    s->groups = map_new(sizeof(struct group));
    return s;
}

void spread_sums_free(struct spread_sums *s) {
    for (struct group *g = NULL; (g = map_next(s->groups, g));) {
        free(g->name);
        free(g->sum.data);
    }
    for (size_t i = 0; i < s->count; i++) free(s->cells[i].sum.data);
    map_free(s->groups);
    free(s->cells);
    free(s->list);
    free(s);
}

/* A key is told from others by its fingerprint, a model by its name. */
static struct group *group_of(struct spread_sums *s,
                              const struct store_spread *row) {
    const char *name = row->name ? row->name : "";
    int fresh;
    struct group *g =
        row->key ? map_put(s->groups, &row->key, sizeof(row->key), &fresh)
                 : map_put(s->groups, name, strlen(name) + 1, &fresh);

    if (fresh) {
        g->name = row->name ? xstrdup(row->name) : NULL;
        g->key = row->key;
        g->order = map_count(s->groups);
    }
    return g;
}

void spread_sums_add(void *arg, const struct store_spread *row) {
    struct spread_sums *s = arg;
    struct group *g = group_of(s, row);

    add(&g->sum, row->packed, row->len);
    if (s->step == 0) return;

    int64_t time = row->time - row->time % s->step;
    if (g->last == 0 || s->cells[g->last - 1].time != time) {
        if (s->count == s->room) {
            s->room = s->room ? s->room * 2 : 256;
            s->cells = xrealloc(s->cells, s->room * sizeof(*s->cells));
        }
        s->cells[s->count++] = (struct cell){.time = time, .group = g};
        if (g->last)
            s->cells[g->last - 1].next = s->count;
        else
            g->first = s->count;
        g->last = s->count;
    }
    add(&s->cells[g->last - 1].sum, row->packed, row->len);
}

static int by_size(const void *a, const void *b) {
    const struct group *x = *(struct group *const *)a,
                       *y = *(struct group *const *)b;

    if (x->size != y->size) return x->size < y->size ? 1 : -1;
    return (x->order > y->order) - (x->order < y->order);
}

static int is_other(const struct group *g) {
    return g->key == 0 && g->name && strcmp(g->name, other) == 0;
}

int64_t spread_sums_rank(struct spread_sums *s, int64_t limit) {
    size_t n = 0, count = map_count(s->groups);
    struct spread sum;

    s->list = xcalloc(count + 1, sizeof(struct group *));
    for (struct group *g = NULL; (g = map_next(s->groups, g));) {
        unpack(&sum, &g->sum);
        g->size = s->errors ? spread_errors(&sum) : sum.n[SPREAD_REQUESTS];
        g->rest = count > (size_t)limit && is_other(g);
        s->others += g->rest;
        if (!g->rest) s->list[n++] = g;
    }
    qsort(s->list, n, sizeof(*s->list), by_size);
    for (; n > (size_t)limit; s->others++) {
        s->list[--n]->rest = 1;
        s->list[n] = NULL;
    }
    return s->others;
}

/* The cells of a group, or of all that are in the others. */
static void give_steps(struct spread_sums *s, const struct group *g,
                       const struct spread_sums_cb *cb, void *arg) {
    struct spread sum;
    int64_t time = -1;

    for (size_t i = g ? g->first : 1, next; i && i <= s->count; i = next) {
        const struct cell *c = &s->cells[i - 1];

        next = g ? c->next : i + 1;
        if (!g && !c->group->rest) continue;
        if (time >= 0 && c->time != time) cb->step(arg, time, &sum);
        if (c->time != time) memset(&sum, 0, sizeof(sum));
        time = c->time;
        spread_add(&sum, c->sum.data, c->sum.len);
    }
    if (time >= 0) cb->step(arg, time, &sum);
}

void spread_sums_give(struct spread_sums *s, const struct spread_sums_cb *cb,
                      void *arg) {
    struct spread sum;

    for (struct group **g = s->list; *g; g++) {
        struct spread_name name = {(*g)->name, (*g)->key, 0};

        unpack(&sum, &(*g)->sum);
        cb->begin(arg, &name, &sum);
        if (s->step) give_steps(s, *g, cb, arg);
        cb->end(arg);
    }
    if (s->others == 0) return;

    struct spread_name name = {other, 0, s->others};
    memset(&sum, 0, sizeof(sum));
    for (struct group *g = NULL; (g = map_next(s->groups, g));)
        if (g->rest) spread_add(&sum, g->sum.data, g->sum.len);
    cb->begin(arg, &name, &sum);
    if (s->step) give_steps(s, NULL, cb, arg);
    cb->end(arg);
}
