#include "api.h"
#include "context.h"

#include "../base/util.h"
#include "../wire/key_names.h"
#include "affinity.h"
#include "balances.h"
#include "fields.h"
#include "health.h"
#include "http_ask.h"
#include "metrics.h"
#include "problems_api.h"
#include "queries.h"
#include "running.h"
#include "spreads.h"
#include "sums.h"

#include <stdlib.h>

/* ---- keys ---- */

static void on_event(void *arg, const struct store_event *e) {
    const ollama_record_penalty_t *p = &e->penalty;
    struct json *j = arg;
    char name[KEY_NAME_SIZE];

    key_names_get(p->key, name);
    json_begin(j, '{');
    json_member(j, "time");
    json_time(j, (int64_t)p->time, 1);
    field_key(j, p->key, name);
    json_member(j, "model");
    if (p->model.len)
        json_string(j, p->model.data, p->model.len);
    else
        json_null(j);
    json_member(j, "status");
    json_string(j, p->status.data, p->status.len);
    json_member(j, "reason");
    json_string(j, p->reason.data, p->reason.len);
    json_member(j, "http");
    if (p->http)
        json_int(j, p->http);
    else
        json_null(j);
    field_number(j, "level", p->level);
    json_member(j, "until");
    json_time(j, (int64_t)p->until, 1);
    json_member(j, "used_from");
    json_time(j, e->used_from < 0 ? 0 : e->used_from, 0);
    field_maybe(j, "used_tokens", e->used_tokens);
    field_maybe(j, "used_requests", e->used_requests);
    json_end(j, '}');
}

static enum store_result read_events(struct store_reader *rd,
                                     const void *params, struct answer *a) {
    const int64_t *limit = params;

    json_begin(&a->j, '[');
    enum store_result r = store_events(rd, (int)*limit, on_event, &a->j);
    json_end(&a->j, ']');
    return r;
}

static void stats_events(struct http_request *q) {
    static const struct question kind = {.read = read_events, .is_json = 1};
    const struct api *api = q->ctx;
    int64_t limit;

    if (http_int(q, "limit", 100, 1, 1000, &limit) != 0) return;
    http_ask(q, api->ask, &kind, &limit, sizeof(limit), NULL);
}

void api_key(struct json *j, const struct state_key *k) {
    json_begin(j, '{');
    field_key(j, k->key, k->name);
    field_maybe(j, "key_index", k->index);
    field_text(j, "account", k->account);
    json_member(j, "enabled");
    json_bool(j, k->enabled);
    json_member(j, "eligible");
    json_bool(j, k->eligible);
    field_text(j, "status", k->status);
    field_text(j, "reason", k->reason);
    json_member(j, "until");
    json_time(j, k->until, 0);
    field_number(j, "usage_2h", (int64_t)k->usage);
    field_number(j, "reserved", (int64_t)k->reserved);
    field_number(j, "in_flight", k->in_flight);
    field_number(j, "slots", k->slots);
    json_member(j, "seen");
    json_time(j, k->seen, 0);
    field_balance(j, k);
    json_end(j, '}');
}

static void stats_keys(struct http_request *q) {
    struct json j = {0};
    const struct state *s = ((const struct api *)q->ctx)->state;

    json_begin(&j, '[');
    for (int i = 0; i < s->nkeys; i++)
        if (s->keys[i].index >= 0) api_key(&j, &s->keys[i]);
    json_end(&j, ']');
    http_json(q, &j);
}

/* ---- running ---- */

static void stats_running(struct http_request *q) {
    struct json j = {0};
    int64_t limit;

    if (http_int(q, "limit", 100, 1, 1000, &limit) != 0) return;
    running_json(&j, ((const struct api *)q->ctx)->state, (int)limit);
    http_json(q, &j);
}

/* ---- logs ---- */

void api_log(struct json *j, const struct log_line *l) {
    json_begin(j, '{');
    field_number(j, "id", l->id);
    json_member(j, "timestamp");
    json_time(j, l->time, 1);
    field_text(j, "level", log_level_name(l->level));
    field_text(j, "source", l->source);
    json_member(j, "message");
    json_string(j, l->text, l->len);
    json_end(j, '}');
}

static void on_line(void *arg, const struct log_line *l) {
    api_log(arg, l);
}

static void logs(struct http_request *q) {
    struct json j = {0};
    const char *name;
    int64_t limit, after;
    int level = LOG_DEBUG;

    if (http_text(q, "level", 16, &name) != 0 ||
        http_int(q, "limit", 200, 1, LOG_LINES, &limit) != 0 ||
        http_int(q, "after", 0, 0, INT64_MAX, &after) != 0)
        return;
    if (name && (level = log_level_parse(name)) < 0) {
        http_error(q, 400,
                   "level must be debug, info, notice, warn, error, crit, "
                   "alert or emerg");
        return;
    }
    json_begin(&j, '[');
    log_each(level, after, (int)limit, on_line, &j);
    json_end(&j, ']');
    http_json(q, &j);
}

static void metrics(struct http_request *q) {
    struct api *api = q->ctx;
    size_t len;
    char *page = metrics_page(api->state, api->writer, &len);

    http_data(q, 200, "text/plain; version=0.0.4; charset=utf-8", page, len);
}

void api_routes(struct http *h) {
    sums_routes(h);
    spreads_routes(h);
    affinity_routes(h);
    queries_routes(h);
    health_routes(h);
    http_route(h, "/stats/events", stats_events);
    http_route(h, "/stats/keys", stats_keys);
    http_route(h, "/stats/running", stats_running);
    http_route(h, "/logs", logs);
    http_route(h, "/metrics", metrics);
    problems_routes(h);
    balances_routes(h);
}
