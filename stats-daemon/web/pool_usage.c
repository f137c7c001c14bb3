#include "pool_usage.h"

#include "../base/util.h"
#include "context.h"
#include "fields.h"
#include "http_ask.h"
#include "sums_by.h"

#include <string.h>
#include <sys/queue.h>

#define MINUTE     INT64_C(60000)
#define HOUR       (60 * MINUTE)
#define DAY        (24 * HOUR)
#define BUCKETS_OF 31
#define MODELS_MAX 1000

int pool_parameters(struct http_request *q, const char *const *names, int n) {
    struct evkeyval *one, *other;

    TAILQ_FOREACH(one, &q->params, next) {
        int known = 0;

        for (int i = 0; i < n && !known; i++)
            known = strcmp(one->key, names[i]) == 0;
        if (!known) {
            http_error(q, 400, "invalid query parameter \"%s\"", one->key);
            return -1;
        }
        for (other = TAILQ_NEXT(one, next); other;
             other = TAILQ_NEXT(other, next)) {
            if (strcmp(one->key, other->key) != 0) continue;
            http_error(q, 400, "repeated query parameter \"%s\"", one->key);
            return -1;
        }
    }
    return 0;
}

static const struct range {
    const char *name;
    int64_t unit;
    int units; /* whole ones; that of now comes on top */
} ranges[] = {{"7d", DAY, 7}, {"24h", HOUR, 24}, {"30d", DAY, 30}};

struct usage_params {
    const struct range *range;
    int64_t now; /* to the minute: who asks in the same one gets the same */
    int models;
};

/* ---- what is answered ---- */

struct buckets {
    int64_t from, unit;
    int n;
    struct store_counts of[BUCKETS_OF], all;
};

static void on_bucket(void *arg, const struct store_minute *m) {
    struct buckets *b = arg;
    int64_t at = (m->time - b->from) / b->unit;

    if (m->time < b->from || at >= b->n) return;
    store_add(&b->of[at], &m->n);
    store_add(&b->all, &m->n);
}

static void counts(struct json *j, const struct store_counts *n) {
    field_number(j, "request_count", n->requests);
    field_money(j, "usage_usd", n->cost);
    field_number(j, "input_tokens", n->prompt);
    field_number(j, "cached_input_tokens", n->cached);
    field_number(j, "output_tokens", n->completion);
}

static void on_model(void *arg, const struct store_hour *row, int64_t others) {
    struct json *j = arg;

    (void)others;
    json_begin(j, '{');
    json_member(j, "model");
    json_text(j, row->model);
    counts(j, &row->n);
    json_end(j, '}');
}

static void put_time(struct json *j, const char *name, int64_t ms) {
    json_member(j, name);
    json_time(j, ms, 0);
}

static enum store_result read_usage(struct store_reader *rd, const void *params,
                                    struct answer *a) {
    const struct usage_params *p = params;
    const struct range *r = p->range;
    struct buckets b = {.unit = r->unit, .n = r->units + 1};
    struct json *j = &a->j;
    struct sums_cut cut;

    b.from = p->now / r->unit * r->unit - r->units * r->unit;
    enum store_result rc =
        store_minutes(rd, STORE_ALL, b.from, p->now + MINUTE,
                      (int)(r->unit / MINUTE), on_bucket, &b);
    if (rc != STORE_OK) return rc;

    json_begin(j, '{');
    field_text(j, "range", r->name);
    field_text(j, "scope", "self");
    field_text(j, "granularity", r->unit == HOUR ? "hour" : "day");
    put_time(j, "from", b.from);
    put_time(j, "until", p->now);
    json_member(j, "totals");
    json_begin(j, '{');
    counts(j, &b.all);
    json_end(j, '}');
    json_member(j, "buckets");
    json_begin(j, '[');
    for (int i = 0; i < b.n; i++) {
        int last = i == b.n - 1;

        json_begin(j, '{');
        put_time(j, "from", b.from + i * b.unit);
        put_time(j, "until", last ? p->now : b.from + (i + 1) * b.unit);
        if (last) {
            json_member(j, "partial");
            json_bool(j, 1);
        }
        counts(j, &b.of[i]);
        json_end(j, '}');
    }
    json_end(j, ']');
    if (p->models) {
        json_member(j, "models");
        json_begin(j, '[');
        rc = sums_by(rd, BY_MODEL, b.from, p->now + MINUTE, MODELS_MAX,
                     on_model, j, &cut);
        json_end(j, ']');
    }
    json_end(j, '}');
    return rc;
}

void pool_usage(struct http_request *q) {
    static const char *const names[] = {"range", "scope", "group_by"};
    static const struct question kind = {.read = read_usage, .is_json = 1};
    const char *range = http_param(q, "range"), *scope = http_param(q, "scope"),
               *group = http_param(q, "group_by");
    struct usage_params p;

    if (pool_parameters(q, names, 3) != 0) return;
    memset(&p, 0, sizeof(p));
    for (size_t i = 0; i < sizeof(ranges) / sizeof(*ranges); i++)
        if (strcmp(range ? range : "7d", ranges[i].name) == 0)
            p.range = &ranges[i];
    if (p.range == NULL) {
        http_error(q, 400, "range must be 24h, 7d or 30d");
    } else if (scope && strcmp(scope, "self") != 0) {
        http_error(q, 400, "scope must be self: a pool has no team");
    } else if (group && strcmp(group, "model") != 0) {
        http_error(q, 400, "group_by must be model");
    } else {
        p.models = group != NULL;
        p.now = now_ms() / MINUTE * MINUTE;
        http_ask(q, ((const struct api *)q->ctx)->ask, &kind, &p, sizeof(p),
                 NULL);
    }
}
