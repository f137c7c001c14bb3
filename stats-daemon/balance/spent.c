#include "spent.h"

#include "../base/log.h"
#include "../base/map.h"
#include "../base/util.h"

#include <stdlib.h>
#include <string.h>

#define DAY    INT64_C(86400000)
#define MINUTE INT64_C(60000)
#define LATEST (3650 * DAY) /* what is that far away is no forecast */

struct row {
    int64_t cost;
    uint32_t key, zero;
};

struct spent {
    struct ask *ask;
    struct asking *asking;
    struct map *map;
    spent_cb *cb;
    void *arg;
    int64_t next; /* monotonic */
};

struct spent *spent_start(struct ask *ask, spent_cb *cb, void *arg) {
    struct spent *s = xcalloc(1, sizeof(*s));

    s->ask = ask;
    s->cb = cb;
    s->arg = arg;
    s->map = map_new(sizeof(int64_t));
    return s;
}

void spent_stop(struct spent *s) {
    if (s->asking) ask_leave(s->asking);
    s->asking = NULL;
}

void spent_free(struct spent *s) {
    map_free(s->map);
    free(s);
}

static void on_row(void *arg, const struct store_minute *m) {
    struct row row = {.cost = m->n.cost, .key = m->key};

    if (m->key) json_raw(arg, (const char *)&row, sizeof(row));
}

static enum store_result read_day(struct store_reader *rd, const void *params,
                                  struct answer *a) {
    const int64_t *to = params;

    return store_minutes(rd, STORE_KEY, *to - DAY, *to, 0, on_row, &a->j);
}

static void on_answer(void *arg, const struct answer *a) {
    struct spent *s = arg;

    s->asking = NULL;
    if (a->result != STORE_OK) {
        log_msg(LOG_WARN, "the costs of the last day are not at hand: %s",
                a->error);
        return;
    }
    map_clear(s->map);
    for (size_t at = 0; at < a->j.len; at += sizeof(struct row)) {
        struct row row;
        int fresh;

        memcpy(&row, a->j.data + at, sizeof(row));
        *(int64_t *)map_put(s->map, &row.key, sizeof(row.key), &fresh) +=
            row.cost;
    }
    s->cb(s->arg);
}

void spent_look(struct spent *s, int64_t now) {
    static const struct question kind = {.read = read_day, .alone = 1};
    int64_t to = (now_ms() / MINUTE + 1) * MINUTE;

    if (s->asking || now < s->next) return;
    s->next = now + SPENT_EVERY_MS;
    s->asking = ask(s->ask, &kind, &to, sizeof(to), 0, on_answer, s);
}

int64_t spent_of(const struct spent *s, uint32_t key) {
    const int64_t *cost = map_get(s->map, &key, sizeof(key));

    return cost ? *cost : 0;
}

int64_t spent_empty(int64_t time, int64_t left, int64_t cost, int64_t renews) {
    if (left <= 0) return time;
    if (cost <= 0 || left / cost >= LATEST / DAY) return 0;

    int64_t end = time + left / cost * DAY +
                  (int64_t)((__int128)(left % cost) * DAY / cost);
    return renews && end >= renews ? 0 : end;
}
