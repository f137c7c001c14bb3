#include "spreads.h"

#include "../base/util.h"
#include "../store/cause.h"
#include "fields.h"
#include "http_ask.h"
#include "spread_sums.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define MINUTE  60000LL
#define DAY     86400000LL
#define FOREVER INT64_C(253402300800000)

/* ---- what a spread says ---- */

static void quantile(struct json *j, const char *name, const uint64_t *n,
                     double q, double unit) {
    double v = bucket_quantile(n, q);

    json_member(j, name);
    if (v < 0)
        json_null(j);
    else if (unit == 1)
        json_int(j, (int64_t)lround(v));
    else
        json_double(j, round(v * unit * 100) / 100);
}

static void quantiles(struct json *j, const char *name, const struct spread *s,
                      int place, const char *const names[3],
                      const double parts[3], double unit) {
    json_member(j, name);
    json_begin(j, '{');
    field_number(j, "count", (int64_t)spread_count(s, place));
    for (int i = 0; i < 3; i++)
        quantile(j, names[i], s->n + place, parts[i], unit);
    json_end(j, '}');
}

static void put_latency(struct json *j, const struct spread *s) {
    static const char *const slow[] = {"p50", "p90", "p99"}, *const fast[] = {
                                                                 "p10", "p50",
                                                                 "p90"};
    static const double slowest[] = {.5, .9, .99}, fastest[] = {.1, .5, .9};

    field_number(j, "requests", (int64_t)s->n[SPREAD_REQUESTS]);
    quantiles(j, "first_token_ms", s, SPREAD_FIRST, slow, slowest, 1);
    quantiles(j, "total_ms", s, SPREAD_TOTAL, slow, slowest, 1);
    quantiles(j, "tokens_per_second", s, SPREAD_SPEED, fast, fastest, .01);
}

static void put_errors(struct json *j, const struct spread *s) {
    field_number(j, "requests", (int64_t)s->n[SPREAD_REQUESTS]);
    field_number(j, "errors", (int64_t)spread_errors(s));
    json_member(j, "causes");
    json_begin(j, '{');
    for (int c = CAUSE_NONE + 1; c < CAUSES; c++)
        field_number(j, cause_names[c], (int64_t)s->n[SPREAD_CAUSES + c]);
    json_end(j, '}');
}

/* ---- an answer ---- */

struct params {
    int64_t from, to, step, limit; /* ms, ms, minutes */
    enum store_kind kind;
    int errors;
};

struct rows {
    struct json *j;
    const struct params *p;
};

static void put(const struct rows *r, const struct spread *sum) {
    (r->p->errors ? put_errors : put_latency)(r->j, sum);
}

static void on_begin(void *arg, const struct spread_name *name,
                     const struct spread *sum) {
    const struct rows *r = arg;

    json_begin(r->j, '{');
    if (r->p->kind == STORE_KEY) field_key(r->j, name->key, name->name);
    if (r->p->kind == STORE_MODEL) {
        json_member(r->j, "model");
        json_text(r->j, name->name);
    }
    if (name->others) field_number(r->j, "others", name->others);
    put(r, sum);
    if (r->p->step == 0) return;
    json_member(r->j, "series");
    json_begin(r->j, '[');
}

static void on_step(void *arg, int64_t time, const struct spread *sum) {
    const struct rows *r = arg;

    json_begin(r->j, '{');
    json_member(r->j, "time");
    json_time(r->j, time, 0);
    put(r, sum);
    json_end(r->j, '}');
}

static void on_end(void *arg) {
    const struct rows *r = arg;

    if (r->p->step) json_end(r->j, ']');
    json_end(r->j, '}');
}

static enum store_result read_spreads(struct store_reader *rd,
                                      const void *params, struct answer *a) {
    static const struct spread_sums_cb cb = {on_begin, on_step, on_end};
    const struct params *p = params;
    struct rows rows = {&a->j, p};
    struct spread_sums *s = spread_sums_new(p->step * MINUTE, p->errors);
    enum store_result r =
        store_spreads(rd, p->kind, p->from, p->to, p->step, spread_sums_add, s);

    json_begin(&a->j, '[');
    if (r == STORE_OK) {
        a->n[0] = spread_sums_rank(s, p->limit);
        spread_sums_give(s, &cb, &rows);
    }
    json_end(&a->j, ']');
    spread_sums_free(s);
    return r;
}

static void send_spreads(struct http_request *q, const struct answer *a) {
    char word[32];

    if (a->result == STORE_OK && a->n[0]) {
        snprintf(word, sizeof(word), "%" PRId64, a->n[0]);
        http_set(q, "X-Cut", word);
    }
    http_answer(q, a);
}

/* ---- a question ---- */

static int parse_by(struct http_request *q, enum store_kind *kind) {
    static const char *const kinds[] = {"all", "key", "model"};
    const char *by = http_param(q, "by");
    int n;

    if (by == NULL) by = "model";
    for (n = STORE_ALL; n <= STORE_MODEL; n++)
        if (strcmp(by, kinds[n]) == 0) break;
    *kind = (enum store_kind)n;
    if (n <= STORE_MODEL) return 0;
    http_error(q, 400, "by must be model, key or all");
    return -1;
}

static void spreads(struct http_request *q, int errors) {
    static const struct question kind = {.read = read_spreads, .is_json = 1};
    struct params p;

    memset(&p, 0, sizeof(p));
    p.errors = errors;
    if (parse_by(q, &p.kind) != 0 ||
        http_int(q, "step", 0, 1, 1440, &p.step) != 0 ||
        http_int(q, "limit", 100, 1, 1000, &p.limit) != 0 ||
        http_time(q, "to", FOREVER, &p.to) != 0)
        return;

    /* the minutes until the next one; the same for all who ask in this one */
    int64_t now = (now_ms() / MINUTE + 2) * MINUTE;
    if (p.step && p.to > now) p.to = now;
    if (http_time(q, "from", p.step ? p.to - DAY : 0, &p.from) != 0) return;
    if (p.from > p.to && http_param(q, "to")) {
        http_error(q, 400, "from must not be later than to");
        return;
    }
    if (p.from < 0) p.from = 0;
    if (p.step && (p.to - p.from) / MINUTE > SPREADS_STEPS * p.step) {
        http_error(q, 400,
                   "more than %d steps: give a longer step, or a later "
                   "from",
                   SPREADS_STEPS);
        return;
    }
    http_ask(q, ((const struct api *)q->ctx)->ask, &kind, &p, sizeof(p),
             send_spreads);
}

static void stats_latency(struct http_request *q) {
    spreads(q, 0);
}

static void stats_errors(struct http_request *q) {
    spreads(q, 1);
}

void spreads_routes(struct http *h) {
    http_route(h, "/stats/latency", stats_latency);
    http_route(h, "/stats/errors", stats_errors);
}
