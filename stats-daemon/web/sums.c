#include "sums.h"

#include "../base/util.h"
#include "fields.h"
#include "http_ask.h"
#include "sums_by.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOUR   3600000LL
#define MINUTE 60000LL

static struct ask *asked(struct http_request *q) {
    return ((const struct api *)q->ctx)->ask;
}

/* ---- by hour, client, model, key ---- */

static void put_hour(struct json *j, enum by by, const struct store_hour *row,
                     int64_t others) {
    json_begin(j, '{');
    if (by & BY_HOUR) {
        json_member(j, "bucket");
        json_time(j, row->time, 0);
    }
    if (by & BY_CLIENT) {
        json_member(j, "client_ip");
        json_text(j, row->client);
        field_text(j, "client_name", row->client_name);
    }
    if (by & BY_KEY) {
        json_member(j, "key_index");
        if (row->key_index < 0)
            json_null(j);
        else
            json_int(j, row->key_index);
        field_key(j, row->key, row->key_name);
    }
    if (by & BY_MODEL) {
        json_member(j, "model");
        json_text(j, row->model);
    }
    if (others) field_number(j, "others", others);
    field_counts(j, &row->n);
    json_end(j, '}');
}

/* Sums by all go as they are read; one more than is asked for says that there
 * are more. */
struct hour_rows {
    struct json *j;
    enum by by;
    int64_t left;
    struct sums_cut cut;
};

static void on_hour(void *arg, const struct store_hour *row) {
    struct hour_rows *h = arg;

    if (h->left-- > 0)
        put_hour(h->j, BY_ALL, row, 0);
    else
        h->cut.others = 1;
}

static void on_sum(void *arg, const struct store_hour *row, int64_t others) {
    struct hour_rows *h = arg;

    put_hour(h->j, h->by, row, others);
}

/* What answer.n says. */
enum { CUT_OTHERS, CUT_FROM };

static void note_cut(struct answer *a, const struct sums_cut *cut) {
    a->n[CUT_OTHERS] = cut->others;
    a->n[CUT_FROM] = cut->from;
}

/* Not all of what was asked for is in the answer: it says so. */
static void send_cut(struct http_request *q, const struct answer *a) {
    char word[32];

    if (a->result == STORE_OK && a->n[CUT_OTHERS]) {
        snprintf(word, sizeof(word), "%" PRId64, a->n[CUT_OTHERS]);
        http_set(q, "X-Cut", word);
    }
    if (a->result == STORE_OK && a->n[CUT_FROM])
        http_set(q, "X-From", iso_time(word, a->n[CUT_FROM], 0));
    http_answer(q, a);
}

struct stats_params {
    enum by by;
    int64_t from, to, limit;
};

static int parse_by(const char *s) {
    static const struct {
        const char *name;
        enum by by;
    } kinds[] = {{"hour", BY_HOUR},
                 {"client", BY_CLIENT},
                 {"model", BY_MODEL},
                 {"key", BY_KEY},
                 {"all", BY_ALL}};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
        if (strcmp(s, kinds[i].name) == 0) return kinds[i].by;
    return 0;
}

static enum store_result read_stats(struct store_reader *rd, const void *params,
                                    struct answer *a) {
    const struct stats_params *p = params;
    struct hour_rows h = {.j = &a->j, .by = p->by, .left = p->limit};

    json_begin(&a->j, '[');
    enum store_result r =
        p->by == BY_ALL
            ? store_hours(rd, p->from == SUMS_ALL ? 0 : p->from, p->to,
                          (int)p->limit + 1, on_hour, &h)
            : sums_by(rd, p->by, p->from, p->to, p->limit, on_sum, &h, &h.cut);
    json_end(&a->j, ']');
    note_cut(a, &h.cut);
    return r;
}

static void stats(struct http_request *q) {
    static const struct question kind = {.read = read_stats, .is_json = 1};
    const char *name = http_param(q, "by");
    int by = name ? parse_by(name) : BY_ALL;
    struct stats_params p;

    memset(&p, 0, sizeof(p));
    if (by == 0) {
        http_error(q, 400, "by must be hour, client, model, key or all");
        return;
    }
    p.by = (enum by)by;
    if (http_time(q, "from", 0, &p.from) != 0 ||
        http_time(q, "to", INT64_C(253402300800000), &p.to) != 0 ||
        http_int(q, "limit", 1000, 1, 10000, &p.limit) != 0)
        return;
    if (p.from > p.to) {
        http_error(q, 400, "from must not be later than to");
        return;
    }
    if (http_param(q, "from") == NULL) p.from = SUMS_ALL;
    http_ask(q, asked(q), &kind, &p, sizeof(p), send_cut);
}

/* ---- by minute ---- */

struct minutes_params {
    int64_t first, last; /* minutes */
    int64_t top;         /* 0: all */
    int step;
    enum store_kind kind;
};

struct minutes {
    struct json *j;
    enum store_kind kind;
};

static void put_minute(void *arg, const struct store_minute *row,
                       int64_t others) {
    const struct minutes *m = arg;
    struct json *j = m->j;

    json_begin(j, '{');
    json_member(j, "minute");
    json_time(j, row->time, 0);
    switch (m->kind) {
    case STORE_KEY: field_key(j, row->key, row->name); break;
    case STORE_CLIENT:
        json_member(j, "client_ip");
        json_text(j, row->name);
        field_text(j, "client_name", row->more);
        break;
    case STORE_MODEL:
        json_member(j, "model");
        json_text(j, row->name);
        break;
    case STORE_ALL: break;
    }
    if (others) field_number(j, "others", others);
    field_number(j, "total_tokens", row->n.prompt + row->n.completion);
    field_number(j, "requests", row->n.requests);
    field_number(j, "errors", row->n.errors);
    field_money(j, "cost_usd", row->n.cost);
    field_number(j, "unpriced_tokens", store_unpriced(&row->n));
    json_end(j, '}');
}

static void on_minute(void *arg, const struct store_minute *row) {
    put_minute(arg, row, 0);
}

static enum store_result read_minutes(struct store_reader *rd,
                                      const void *params, struct answer *a) {
    const struct minutes_params *p = params;
    struct minutes m = {&a->j, p->kind};

    int64_t from = p->first * MINUTE, to = (p->last + 2) * MINUTE;
    enum store_result r;

    json_begin(&a->j, '[');
    r = p->top ? sums_top(rd, p->kind, from, to, p->step, (int)p->top,
                          put_minute, &m, &a->n[CUT_OTHERS])
               : store_minutes(rd, p->kind, from, to, p->step, on_minute, &m);
    json_end(&a->j, ']');
    return r;
}

static void stats_minute(struct http_request *q) {
    static const struct question kind = {.read = read_minutes, .is_json = 1};
    static const char *const kinds[] = {"all", "key", "model", "client"};
    const char *by = http_param(q, "by");
    struct minutes_params p;
    int64_t window, step;
    int n;

    memset(&p, 0, sizeof(p));
    if (by == NULL) by = "model";
    for (n = STORE_ALL; n <= STORE_CLIENT; n++)
        if (strcmp(by, kinds[n]) == 0) break;
    if (n > STORE_CLIENT) {
        http_error(q, 400, "by must be model, key, client or all");
        return;
    }
    if (http_int(q, "window", 60, 1, 1440, &window) != 0 ||
        http_int(q, "step", 1, 1, 60, &step) != 0 ||
        http_int(q, "top", 0, 1, 1000, &p.top) != 0)
        return;

    /* the current minute and those before it; a step is never cut */
    p.kind = (enum store_kind)n;
    p.step = (int)step;
    p.last = now_ms() / MINUTE;
    p.first = p.last - window + 1;
    p.first -= p.first % step;
    http_ask(q, asked(q), &kind, &p, sizeof(p), send_cut);
}

/* ---- by hour ---- */

struct hours_params {
    int64_t first, n; /* hours */
};

struct hours {
    int64_t first;
    int n;
    struct store_counts *list;
};

static void on_hour_sum(void *arg, const struct store_minute *row) {
    struct hours *h = arg;
    int64_t i = row->time / HOUR - h->first;

    /* of a time of which there are days only, the first has begun before */
    if (i < 0) i = 0;
    if (i < h->n) store_add(&h->list[i], &row->n);
}

static enum store_result read_24h(struct store_reader *rd, const void *params,
                                  struct answer *a) {
    const struct hours_params *p = params;
    struct hours h = {p->first, (int)p->n, NULL};
    struct json *j = &a->j;

    h.list = xcalloc((size_t)h.n, sizeof(*h.list));
    enum store_result r =
        store_minutes(rd, STORE_ALL, h.first * HOUR, (h.first + h.n) * HOUR, 60,
                      on_hour_sum, &h);
    json_begin(j, '[');
    for (int i = 0; i < h.n; i++) {
        json_begin(j, '{');
        json_member(j, "hour_bucket");
        json_time(j, (h.first + i) * HOUR, 0);
        field_number(j, "total_tokens",
                     h.list[i].prompt + h.list[i].completion);
        field_counts(j, &h.list[i]);
        json_end(j, '}');
    }
    json_end(j, ']');
    free(h.list);
    return r;
}

static void stats_24h(struct http_request *q) {
    static const struct question kind = {.read = read_24h, .is_json = 1};
    struct hours_params p;

    memset(&p, 0, sizeof(p));
    if (http_int(q, "hours", 24, 1, 744, &p.n) != 0) return;
    p.first = now_ms() / HOUR - p.n + 1;
    http_ask(q, asked(q), &kind, &p, sizeof(p), NULL);
}

void sums_routes(struct http *h) {
    http_route(h, "/stats", stats);
    http_route(h, "/stats/minute", stats_minute);
    http_route(h, "/stats/24h", stats_24h);
}
