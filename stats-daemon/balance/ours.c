#include "ours.h"

#include "../base/log.h"
#include "../base/map.h"
#include "../base/util.h"

#include <stdlib.h>
#include <string.h>

struct day_key {
    int64_t day;
    uint32_t key, zero;
};

/* One row in an answer's bytes. */
struct row {
    struct day_key of;
    struct reconcile_sum sum;
};

struct ours {
    struct ask *ask;
    struct asking *asking;
    struct map *map; /* by day_key */
    int64_t wanted, before;
    ours_cb *cb;
    void *arg;
};

struct window {
    int64_t from, to;
};

struct ours *ours_start(struct ask *ask) {
    struct ours *o = xcalloc(1, sizeof(*o));

    o->ask = ask;
    o->map = map_new(sizeof(struct reconcile_sum));
    return o;
}

void ours_stop(struct ours *o) {
    if (o->asking) ask_leave(o->asking);
    o->asking = NULL;
}

void ours_free(struct ours *o) {
    map_free(o->map);
    free(o);
}

static void on_row(void *arg, const struct store_minute *m) {
    struct row row = {.of = {.day = m->time, .key = m->key},
                      .sum = {m->n.requests, m->n.errors, m->n.cost}};

    if (m->key) json_raw(arg, (const char *)&row, sizeof(row));
}

static enum store_result read_days(struct store_reader *rd, const void *params,
                                   struct answer *a) {
    const struct window *w = params;

    return store_minutes(rd, STORE_KEY, w->from, w->to, 1440, on_row, &a->j);
}

static void on_answer(void *arg, const struct answer *a) {
    struct ours *o = arg;

    o->asking = NULL;
    if (a->result != STORE_OK) {
        log_msg(LOG_WARN, "the sums of the last days are not at hand: %s",
                a->error);
        return;
    }
    map_clear(o->map);
    for (size_t at = 0; at < a->j.len; at += sizeof(struct row)) {
        struct row row;
        int fresh;

        memcpy(&row, a->j.data + at, sizeof(row));
        *(struct reconcile_sum *)map_put(o->map, &row.of, sizeof(row.of),
                                         &fresh) = row.sum;
    }
    o->before = o->wanted;
    o->cb(o->arg);
}

void ours_want(struct ours *o, int64_t day, ours_cb *cb, void *arg) {
    static const struct question kind = {.read = read_days, .alone = 1};
    struct window w = {day - OURS_DAYS * RECONCILE_DAY, day};

    o->cb = cb;
    o->arg = arg;
    if (o->before == day) {
        cb(arg);
        return;
    }
    if (o->asking) return;
    o->wanted = day;
    o->asking = ask(o->ask, &kind, &w, sizeof(w), 0, on_answer, o);
}

int64_t ours_before(const struct ours *o) {
    return o->before;
}

void ours_add(const struct ours *o, uint32_t key, int64_t day,
              struct reconcile_sum *sum) {
    struct day_key of = {.day = day, .key = key};
    const struct reconcile_sum *one = map_get(o->map, &of, sizeof(of));

    if (one == NULL) return;
    sum->requests += one->requests;
    sum->errors += one->errors;
    if (one->usd >= 0) sum->usd = (sum->usd > 0 ? sum->usd : 0) + one->usd;
}
