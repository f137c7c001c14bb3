#include "api.h"

#include "bodies/body_files.h"
#include "bodies/gunzip.h"

#include "fields.h"
#include "http_conns.h"
#include "map.h"
#include "metrics.h"
#include "peers.h"
#include "problems_api.h"
#include "running.h"
#include "trouble.h"
#include "util.h"
#include "version.h"

#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HOUR   3600000LL
#define MINUTE 60000LL

struct answer {
    struct api *api;
    struct json j;
};

/* Sends what was collected, or says why the store did not answer. */
static void finish(struct http_request *q, struct answer *a,
                   enum store_result r) {
    if (r == STORE_OK) {
        http_json(q, &a->j);
        return;
    }
    json_free(&a->j);
    http_error(q, 503, "the ledger does not answer (%s): %s", store_word(r),
               store_read_error(a->api->store));
}

static void counts(struct json *j, const struct store_counts *n) {
    field_number(j, "requests", n->requests);
    field_number(j, "prompt_tokens", n->prompt);
    field_number(j, "completion_tokens", n->completion);
    field_number(j, "cached_tokens", n->cached);
    field_number(j, "estimated_tokens", n->estimated);
    field_number(j, "errors", n->errors);
}

/* ---- sums ---- */

enum by { BY_HOUR = 1, BY_CLIENT = 2, BY_MODEL = 4, BY_KEY = 8, BY_ALL = 15 };

static void put_hour(struct json *j, enum by by, const struct store_hour *row) {
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
    counts(j, &row->n);
    json_end(j, '}');
}

static void on_hour(void *arg, const struct store_hour *row) {
    put_hour(&((struct answer *)arg)->j, BY_ALL, row);
}

/* Rows put together: what they have in common stays, their counts add up. */
struct sums {
    enum by by;
    struct map *map;
};

static char *copy(const char *s) {
    return s ? xstrdup(s) : NULL;
}

static void on_sum(void *arg, const struct store_hour *row) {
    struct sums *s = arg;
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

    struct store_hour *sum = map_put(s->map, key, len, &fresh);
    free(client);
    if (fresh) {
        *sum = *row;
        sum->client = s->by == BY_CLIENT ? copy(row->client) : NULL;
        sum->client_name = s->by == BY_CLIENT ? copy(row->client_name) : NULL;
        sum->key_name = s->by == BY_KEY ? copy(row->key_name) : NULL;
        sum->model = s->by == BY_MODEL ? copy(row->model) : NULL;
        return;
    }
    sum->n.requests += row->n.requests;
    sum->n.errors += row->n.errors;
    sum->n.prompt += row->n.prompt;
    sum->n.completion += row->n.completion;
    sum->n.cached += row->n.cached;
    sum->n.estimated += row->n.estimated;
}

static enum store_result stats_by(struct answer *a, enum by by, int64_t from,
                                  int64_t to, int64_t limit) {
    struct sums s = {by, map_new(sizeof(struct store_hour))};
    enum store_result r =
        store_hours(a->api->store, from, to, INT_MAX, on_sum, &s);

    for (struct store_hour *sum = NULL; (sum = map_next(s.map, sum));) {
        if (limit-- > 0) put_hour(&a->j, by, sum);
        free((char *)sum->client);
        free((char *)sum->client_name);
        free((char *)sum->key_name);
        free((char *)sum->model);
    }
    map_free(s.map);
    return r;
}

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

static void stats(struct http_request *q) {
    struct answer a = {.api = q->ctx};
    const char *name = http_param(q, "by");
    int by = name ? parse_by(name) : BY_ALL;
    int64_t from, to, limit;

    if (by == 0) {
        http_error(q, 400, "by must be hour, client, model, key or all");
        return;
    }
    if (http_time(q, "from", 0, &from) != 0 ||
        http_time(q, "to", INT64_C(253402300800000), &to) != 0 ||
        http_int(q, "limit", 1000, 1, 10000, &limit) != 0)
        return;
    if (from > to) {
        http_error(q, 400, "from must not be later than to");
        return;
    }
    json_begin(&a.j, '[');
    enum store_result r =
        by == BY_ALL
            ? store_hours(a.api->store, from, to, (int)limit, on_hour, &a)
            : stats_by(&a, (enum by)by, from, to, limit);
    json_end(&a.j, ']');
    finish(q, &a, r);
}

struct minutes {
    struct answer a;
    const char *by;
};

static void on_minute(void *arg, const struct store_minute *row) {
    struct minutes *m = arg;
    struct json *j = &m->a.j;

    json_begin(j, '{');
    json_member(j, "minute");
    json_time(j, row->time, 0);
    if (strcmp(m->by, "key") == 0) {
        field_key(j, row->key, row->name);
    } else if (strcmp(m->by, "client") == 0) {
        json_member(j, "client_ip");
        json_text(j, row->name);
        field_text(j, "client_name", row->more);
    } else if (strcmp(m->by, "model") == 0) {
        json_member(j, "model");
        json_text(j, row->name);
    }
    field_number(j, "total_tokens", row->n.prompt + row->n.completion);
    field_number(j, "requests", row->n.requests);
    field_number(j, "errors", row->n.errors);
    json_end(j, '}');
}

static void stats_minute(struct http_request *q) {
    static const char *const kinds[] = {"all", "key", "model", "client"};
    struct minutes m = {.a.api = q->ctx, .by = http_param(q, "by")};
    int64_t window, step, now = now_ms();
    int kind = STORE_MODEL;

    if (m.by == NULL) m.by = "model";
    for (kind = STORE_ALL; kind <= STORE_CLIENT; kind++)
        if (strcmp(m.by, kinds[kind]) == 0) break;
    if (kind > STORE_CLIENT) {
        http_error(q, 400, "by must be model, key, client or all");
        return;
    }
    if (http_int(q, "window", 60, 1, 1440, &window) != 0 ||
        http_int(q, "step", 1, 1, 60, &step) != 0)
        return;

    /* the current minute and those before it; a step is never cut */
    int64_t last = now / MINUTE, first = last - window + 1;
    first -= first % step;
    json_begin(&m.a.j, '[');
    enum store_result r =
        store_minutes(m.a.api->store, (enum store_kind)kind, first * MINUTE,
                      (last + 2) * MINUTE, (int)step, on_minute, &m);
    json_end(&m.a.j, ']');
    finish(q, &m.a, r);
}

struct hours {
    int64_t first;
    int n;
    struct store_counts *list;
};

static void on_hour_sum(void *arg, const struct store_minute *row) {
    struct hours *h = arg;
    int64_t i = row->time / HOUR - h->first;

    if (i >= 0 && i < h->n) h->list[i] = row->n;
}

static void stats_24h(struct http_request *q) {
    struct answer a = {.api = q->ctx};
    int64_t n, now = now_ms();

    if (http_int(q, "hours", 24, 1, 744, &n) != 0) return;

    struct hours h = {now / HOUR - n + 1, (int)n, NULL};
    h.list = xcalloc((size_t)n, sizeof(*h.list));
    enum store_result r =
        store_minutes(a.api->store, STORE_ALL, h.first * HOUR,
                      (h.first + n) * HOUR, 60, on_hour_sum, &h);
    json_begin(&a.j, '[');
    for (int i = 0; i < h.n; i++) {
        json_begin(&a.j, '{');
        json_member(&a.j, "hour_bucket");
        json_time(&a.j, (h.first + i) * HOUR, 0);
        field_number(&a.j, "total_tokens",
                     h.list[i].prompt + h.list[i].completion);
        counts(&a.j, &h.list[i]);
        json_end(&a.j, '}');
    }
    json_end(&a.j, ']');
    free(h.list);
    finish(q, &a, r);
}

static void on_event(void *arg, const ollama_record_penalty_t *p) {
    struct answer *a = arg;
    struct json *j = &a->j;
    const struct state_key *k = state_find_key(a->api->state, p->key);

    json_begin(j, '{');
    json_member(j, "time");
    json_time(j, (int64_t)p->time, 1);
    field_key(j, p->key, k ? k->name : NULL);
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
    json_end(j, '}');
}

static void stats_events(struct http_request *q) {
    struct answer a = {.api = q->ctx};
    int64_t limit;

    if (http_int(q, "limit", 100, 1, 1000, &limit) != 0) return;
    json_begin(&a.j, '[');
    enum store_result r = store_events(a.api->store, (int)limit, on_event, &a);
    json_end(&a.j, ']');
    finish(q, &a, r);
}

/* ---- requests ---- */

static const char *const certainties[] = {"none", "estimated", "partial",
                                          "exact"};

/* "fingerprint:status:ms:cause ..." as it lies in the store; returns how many
 * there were in all, told or not. */
static int attempts(struct json *j, const struct state *state, const char *s,
                    int all) {
    unsigned key, status, ms, cause;
    int n, told = 0;

    json_member(j, "attempts");
    json_begin(j, '[');
    while (sscanf(s, "%8x:%5u:%10u:%3u%n", &key, &status, &ms, &cause, &n) ==
           4) {
        field_attempt(j, state, key, status, ms, cause);
        s += n;
        if (*s == ' ') s++;
        told++;
    }
    json_end(j, ']');
    return told > all ? told : all;
}

static void field_certainty(struct json *j, const char *name, int certainty) {
    field_text(j, name,
               certainty >= 0 && certainty < 4 ? certainties[certainty]
                                               : "unknown");
}

void api_query(struct json *j, const struct state *state,
               const struct store_row *r) {
    json_begin(j, '{');
    field_number(j, "id", r->id);
    json_member(j, "timestamp");
    json_time(j, r->time, 1);
    json_member(j, "client_ip");
    json_text(j, r->client);
    field_text(j, "client_name", r->client_name);
    json_member(j, "method");
    json_text(j, r->method);
    json_member(j, "endpoint");
    json_text(j, r->endpoint);
    field_text(j, "model", r->model);
    /* what is not noted is as asked for */
    field_text(j, "model_answered",
               r->model_answered ? r->model_answered : r->model);
    field_key(j, r->key, r->key_name);
    field_maybe(j, "key_index", r->key_index);
    field_number(j, "status", r->status);
    field_text(j, "end", field_end((unsigned)r->end));
    field_text(j, "reason", r->reason);
    field_number(j, "prompt_tokens", r->prompt);
    field_number(j, "completion_tokens", r->completion);
    field_number(j, "cached_tokens", r->cached);
    field_number(j, "total_tokens", r->prompt + r->completion);
    field_certainty(j, "certainty", r->certainty);
    field_certainty(j, "prompt_certainty", r->prompt_certainty);
    field_certainty(j, "completion_certainty", r->completion_certainty);
    json_member(j, "streamed");
    json_bool(j, r->streamed);
    field_maybe(j, "queue_ms", r->queue);
    field_maybe(j, "connect_ms", r->connect);
    field_maybe(j, "first_token_ms", r->first_token);
    field_maybe(j, "total_ms", r->total);
    field_number(j, "bytes_in", r->bytes_in);
    field_number(j, "bytes_out", r->bytes_out);
    field_number(
        j, "attempts_total",
        attempts(j, state, r->attempts ? r->attempts : "", r->attempts_all));
    field_text(j, "upstream_id", r->upstream_id);
    field_text(j, "user_agent", r->user_agent);
    json_member(j, "body");
    if (r->body_size < 0) {
        json_null(j);
    } else {
        json_begin(j, '{');
        field_number(j, "size", r->body_size);
        json_member(j, "truncated");
        json_bool(j, r->body_truncated);
        json_end(j, '}');
    }
    json_end(j, '}');
}

static void on_query(void *arg, const struct store_row *row) {
    struct answer *a = arg;
    api_query(&a->j, a->api->state, row);
}

/* The kinds that have any of these bits. */
static int kinds_with(int bits) {
    int set = 0;

    for (int kind = 0; kind < 8; kind++)
        if (kind & bits) set |= 1 << kind;
    return set;
}

/* "429", "4xx", "error", ..: 0, or -1. */
static int parse_status(const char *s, struct store_query *q) {
    int64_t v;

    if (strcmp(s, "error") == 0) {
        /* what the sums count as one */
        q->status_min = 400;
        q->status_max = 999;
        q->also = kinds_with(STORE_KIND_BROKEN);
        q->kinds =
            STORE_KINDS_ANY & ~kinds_with(STORE_KIND_BROKEN | STORE_KIND_GONE);
        return 0;
    }
    if (strlen(s) == 3 && s[0] >= '1' && s[0] <= '5' &&
        strcmp(s + 1, "xx") == 0) {
        q->status_min = (s[0] - '0') * 100;
        q->status_max = q->status_min + 99;
        return 0;
    }
    if (parse_number(s, 100, 999, &v) == 0) {
        q->status_min = q->status_max = (int)v;
        return 0;
    }

    q->status_min = q->status_max = 1000; /* none */
    if (strcmp(s, "broken") == 0)
        q->also = kinds_with(STORE_KIND_BROKEN);
    else if (strcmp(s, "client_gone") == 0)
        q->also = kinds_with(STORE_KIND_GONE);
    else if (strcmp(s, "retried") == 0)
        q->also = kinds_with(STORE_KIND_RETRIED);
    else
        return -1;
    return 0;
}

static void queries(struct http_request *q) {
    struct answer a = {.api = q->ctx};
    struct store_query sq = {0};
    const char *status, *ip;
    int64_t limit, offset, until;

    if (http_int(q, "limit", 50, 1, 500, &limit) != 0 ||
        http_int(q, "offset", 0, 0, 10000, &offset) != 0 ||
        http_int(q, "before", 0, 1, INT64_MAX, &sq.before) != 0 ||
        http_int(q, "after", 0, 0, INT64_MAX, &sq.after) != 0 ||
        http_time(q, "until", -1, &until) != 0 ||
        http_text(q, "ip", 128, &ip) != 0 ||
        http_text(q, "client", 128, &sq.client) != 0 ||
        http_text(q, "model", 256, &sq.model) != 0 ||
        http_text(q, "key", 128, &sq.key) != 0 ||
        http_text(q, "status", 16, &status) != 0)
        return;
    if (status && parse_status(status, &sq) != 0) {
        http_error(q, 400,
                   "status must be a number from 100 to 999, a class like "
                   "4xx, or error, broken, client_gone, retried");
        return;
    }
    if (sq.client == NULL) sq.client = ip;
    sq.limit = (int)limit;
    sq.offset = (int)offset;

    if (until == 0) sq.before = 1; /* nothing had */
    if (until > 0) sq.until = until;
    json_begin(&a.j, '[');
    enum store_result r = store_rows(a.api->store, &sq, on_query, &a);
    json_end(&a.j, ']');
    finish(q, &a, r);
}

struct body {
    struct body_ref ref;
    uint64_t instance, rid;
    int64_t time, size;
    int truncated;
};

static void on_body(void *arg, const struct store_row *row) {
    struct body *b = arg;

    b->ref = row->body;
    b->instance = row->instance;
    b->rid = row->rid;
    b->time = row->body_time;
    b->size = row->body_size;
    b->truncated = row->body_truncated;
}

static void query_body(struct http_request *q, int64_t id) {
    struct api *api = q->ctx;
    struct body b;
    char size[24];
    size_t len = 0;
    void *data;

    enum store_result r = store_row(api->store, id, on_body, &b);
    if (r == STORE_NONE) {
        http_error(q, 404, "there is no request %" PRId64, id);
        return;
    }
    if (r != STORE_OK) {
        http_error(q, 503, "the ledger does not answer (%s): %s", store_word(r),
                   store_read_error(api->store));
        return;
    }
    data = NULL;
    if (b.size >= 0 && b.ref.segment) {
        data = segments_read(api->bodies, &b.ref);
        len = (size_t)b.ref.len;
    } else if (b.size >= 0) {
        data = body_file_read(api->dir, b.instance, b.rid, b.time, &len);
    }
    if (data == NULL) {
        http_error(q, 404, "the body of request %" PRId64 " is not kept", id);
        return;
    }

    snprintf(size, sizeof(size), "%" PRId64, b.size);
    http_set(q, "X-Ollama-Body-Size", size);
    http_set(q, "X-Ollama-Body-Truncated", b.truncated ? "1" : "0");
    http_set(q, "Vary", "Accept-Encoding");

    const char *accept = http_header(q, "Accept-Encoding");
    if (accept && strstr(accept, "gzip")) {
        http_set(q, "Content-Encoding", "gzip");
    } else {
        size_t plain_len;
        void *plain = gunzip(data, len, OLLAMA_FRAME_MAX, &plain_len);

        free(data);
        if (plain == NULL) {
            http_error(q, 500, "the file of this body is damaged");
            return;
        }
        data = plain;
        len = plain_len;
    }
    http_data(q, 200, "application/json", data, len);
}

static void query(struct http_request *q) {
    struct answer a = {.api = q->ctx};
    char digits[24];
    size_t n = strspn(q->rest, "0123456789");
    int64_t id;

    if (n == 0) {
        http_error(q, 404, "there is no such page");
        return;
    }
    snprintf(digits, sizeof(digits), "%.*s", n > 20 ? 20 : (int)n, q->rest);
    if (parse_number(digits, 1, INT64_MAX, &id) != 0) {
        http_error(q, 400, "an id is a whole number from 1 to %" PRId64,
                   INT64_MAX);
        return;
    }
    if (strcmp(q->rest + n, "/body") == 0) {
        query_body(q, id);
        return;
    }
    if (q->rest[n]) {
        http_error(q, 404, "there is no such page");
        return;
    }

    enum store_result r = store_row(a.api->store, id, on_query, &a);
    if (r == STORE_NONE) {
        json_free(&a.j);
        http_error(q, 404, "there is no request %" PRId64, id);
    } else {
        finish(q, &a, r);
    }
}

/* ---- keys ---- */

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
    json_end(j, '}');
}

static void stats_keys(struct http_request *q) {
    struct answer a = {.api = q->ctx};
    const struct state *s = a.api->state;

    json_begin(&a.j, '[');
    for (int i = 0; i < s->nkeys; i++)
        if (s->keys[i].index >= 0) api_key(&a.j, &s->keys[i]);
    json_end(&a.j, ']');
    finish(q, &a, STORE_OK);
}

/* ---- running ---- */

static void stats_running(struct http_request *q) {
    struct answer a = {.api = q->ctx};
    int64_t limit;

    if (http_int(q, "limit", 100, 1, 1000, &limit) != 0) return;
    running_json(&a.j, a.api->state, (int)limit);
    finish(q, &a, STORE_OK);
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
    api_log(&((struct answer *)arg)->j, l);
}

static void logs(struct http_request *q) {
    struct answer a = {.api = q->ctx};
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
    json_begin(&a.j, '[');
    log_each(level, after, (int)limit, on_line, &a);
    json_end(&a.j, ']');
    finish(q, &a, STORE_OK);
}

/* ---- health ---- */

static void health_cloud(struct json *j, const struct writer_status *w,
                         int64_t now) {
    static const int64_t fresh = HOUR;
    const char *word;
    int64_t last =
        w->cloud_answer > w->cloud_failure ? w->cloud_answer : w->cloud_failure;

    if (last == 0 || now - last > fresh)
        word = "unknown"; /* no traffic, and none is made to find out */
    else if (w->cloud_failure > w->cloud_answer)
        word = "unreachable";
    else if (w->cloud_status >= 500)
        word = "failing";
    else
        word = "reachable";

    json_member(j, "cloud");
    json_begin(j, '{');
    field_text(j, "status", word);
    json_member(j, "last_answer");
    json_time(j, w->cloud_answer, 0);
    json_member(j, "last_good");
    json_time(j, w->cloud_good, 0);
    json_member(j, "last_failure");
    json_time(j, w->cloud_failure, 0);
    json_member(j, "last_status");
    if (w->cloud_status)
        json_int(j, w->cloud_status);
    else
        json_null(j);
    field_text(j, "last_cause",
               w->cloud_failure ? field_cause((unsigned)w->cloud_cause) : NULL);
    json_end(j, '}');
}

static int is_slow(const struct writer_status *w) {
    return w->result == STORE_OK && w->busy_ms > WRITER_SLOW_MS;
}

static void health_store(struct json *j, const struct writer_status *w) {
    json_member(j, "store");
    json_begin(j, '{');
    field_text(j, "status", is_slow(w) ? "slow" : store_word(w->result));
    field_text(j, "error", w->error);
    json_member(j, "since");
    json_time(j, w->since, 0);
    json_member(j, "last_commit");
    json_time(j, w->committed, 1);
    field_number(j, "queued_frames", w->queued_frames);
    field_number(j, "queued_bytes", w->queued_bytes);
    field_number(j, "batch_ms", w->busy_ms);
    field_number(j, "batches", w->batches);
    field_number(j, "requests", w->requests);
    field_number(j, "bodies", w->bodies);
    field_number(j, "bodies_lost", w->bodies_lost);
    field_number(j, "malformed", w->malformed);
    field_number(j, "repeated", w->repeated);
    json_end(j, '}');
}

/* What the clock says that is not believed yet. */
static void health_clock(struct json *j, const struct writer_status *w) {
    json_member(j, "clock");
    json_begin(j, '{');
    field_number(j, "jump_seconds", w->clock_jump / 1000);
    field_number(j, "for_seconds", w->clock_jump ? w->clock_ms / 1000 : 0);
    json_end(j, '}');
}

static void health_proxies(struct json *j, const struct state *s, int64_t now) {
    json_member(j, "proxies");
    json_begin(j, '[');
    for (struct state_proxy *p = s->proxies; p; p = p->next) {
        char hex[17];

        if (p->seen < now - STATE_SHOWN_MS) continue;
        snprintf(hex, sizeof(hex), "%016" PRIx64, p->instance);
        json_begin(j, '{');
        field_text(j, "instance", hex);
        json_member(j, "connected");
        json_bool(j, p->connections > 0);
        field_text(j, "server", p->server);
        field_text(j, "version", p->version);
        json_member(j, "last_seen");
        json_time(j, p->seen, 0);
        field_number(j, "committed", (int64_t)p->committed);
        field_number(j, "duplicates", (int64_t)p->duplicates);
        field_number(j, "missing", (int64_t)p->gaps);
        json_member(j, "outbox");
        if (p->has_outbox) {
            const ollama_record_outbox_t *o = &p->outbox;
            json_begin(j, '{');
            field_number(j, "size", (int64_t)o->size);
            field_number(j, "used", (int64_t)o->used);
            field_number(j, "unacknowledged",
                         o->last_seq > p->committed
                             ? (int64_t)(o->last_seq - p->committed)
                             : 0);
            field_number(j, "lag_ms", o->lag);
            field_number(j, "dropped_records", (int64_t)o->dropped_records);
            field_number(j, "dropped_bodies", (int64_t)o->dropped_bodies);
            field_number(j, "resent", (int64_t)o->resent);
            field_number(j, "running", o->running);
            field_number(j, "waiting", o->waiting);
            field_number(j, "workers", o->workers);
            json_end(j, '}');
        } else {
            json_null(j);
        }
        json_end(j, '}');
    }
    json_end(j, ']');
}

static void health_ingest(struct json *j, const struct state *s) {
    json_member(j, "ingest");
    json_begin(j, '{');
    field_number(j, "connections", s->connections);
    field_number(j, "frames", (int64_t)s->frames);
    field_number(j, "damaged", (int64_t)s->damaged);
    field_number(j, "foreign", (int64_t)s->foreign);
    field_number(j, "unknown", (int64_t)s->unknown);
    field_number(j, "refused", (int64_t)s->refused);
    field_number(j, "peers_refused", peers_refused());
    json_end(j, '}');
}

static void health_readers(struct json *j) {
    struct http_conns_count count;

    http_conns_count(&count);
    json_member(j, "readers");
    json_begin(j, '{');
    field_number(j, "connections", count.open);
    field_number(j, "most", count.max);
    field_number(j, "refused", count.refused);
    json_end(j, '}');
}

struct problems {
    struct json list;
    int n;
};

static void problem(struct problems *p, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void problem(struct problems *p, const char *fmt, ...) {
    char buf[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(buf, sizeof(buf), fmt, ap);
    va_end(ap);
    json_text(&p->list, buf);
    p->n++;
}

static void find_problems(struct problems *p, const struct api *api,
                          const struct writer_status *w,
                          enum store_result read) {
    char since[ISO_SIZE];
    int connected = 0;

    for (struct state_proxy *x = api->state->proxies; x; x = x->next)
        connected += x->connections;

    p->n += problems_texts(&p->list);
    p->n += trouble_texts(&p->list);
    if (w->result != STORE_OK)
        problem(p,
                "the ledger cannot be written since %s (%s): %s; records wait "
                "in the proxy's outbox",
                iso_time(since, w->since, 0), store_word(w->result), w->error);
    if (w->body_since)
        problem(p,
                "request bodies cannot be kept since %s: %s; requests are "
                "recorded without them",
                iso_time(since, w->body_since, 0), w->body_error);
    if (w->clock_jump && !w->clock_asleep)
        problem(p,
                "the clock is %lld s %s what was expected; ages are told "
                "without it until it has been so for an hour",
                (long long)llabs(w->clock_jump) / 1000,
                w->clock_jump > 0 ? "ahead of" : "behind");
    if (is_slow(w))
        problem(p, "the disk is slow: a batch takes %lld s already",
                (long long)w->busy_ms / 1000);
    if (read != STORE_OK)
        problem(p, "the ledger cannot be read (%s): %s", store_word(read),
                store_read_error(api->store));
    if (w->disk_size && w->disk_free < 100 * 1024 * 1024 &&
        w->disk_free < w->disk_size / 10)
        problem(p, "the disk is nearly full: %lld MiB are left",
                (long long)w->disk_free / 1048576);
    if (connected == 0) problem(p, "no proxy is connected");
    if (log_lost())
        problem(p, "%lld lines of proxy.log could not be written",
                (long long)log_lost());
}

void api_health(struct json *j, struct api *api) {
    struct problems p = {0};
    struct writer_status w;
    struct store_counts total;
    int64_t now = now_ms();

    writer_status(api->writer, &w);
    enum store_result r = store_totals(api->store, &total);
    find_problems(&p, api, &w, r);

    json_begin(j, '{');
    field_text(j, "status", p.n ? "degraded" : "ok");
    json_member(j, "problems");
    json_begin(j, '[');
    if (p.n) json_raw(j, p.list.data, p.list.len);
    json_end(j, ']');
    json_free(&p.list);
    problems_health(j);
    field_text(j, "version", STATSD_VERSION);
    json_member(j, "demo");
    json_bool(j, api->state->demo);
    field_number(j, "pid", getpid());
    json_member(j, "time");
    json_time(j, now, 0);
    field_number(j, "uptime_seconds", (mono_ms() - api->state->begun) / 1000);
    health_cloud(j, &w, now);
    health_store(j, &w);
    health_clock(j, &w);
    health_proxies(j, api->state, now);
    health_ingest(j, api->state);
    health_readers(j);

    json_member(j, "disk");
    json_begin(j, '{');
    field_number(j, "free_bytes", w.disk_free);
    field_number(j, "size_bytes", w.disk_size);
    field_number(j, "database_bytes", w.sizes.file + w.sizes.wal);
    field_number(j, "body_bytes", w.sizes.bodies);
    field_number(j, "body_limit", api->keep->body_bytes);
    field_number(j, "bodies", w.sizes.body_count);
    json_end(j, '}');

    json_member(j, "totals");
    if (r == STORE_OK) {
        json_begin(j, '{');
        field_number(j, "total_tokens", total.prompt + total.completion);
        counts(j, &total);
        json_end(j, '}');
    } else {
        json_null(j);
    }
    json_end(j, '}');
}

static void health(struct http_request *q) {
    struct answer a = {.api = q->ctx};

    api_health(&a.j, a.api);
    finish(q, &a, STORE_OK);
}

static void metrics(struct http_request *q) {
    struct api *api = q->ctx;
    size_t len;
    char *page = metrics_page(api->state, api->writer, &len);

    http_data(q, 200, "text/plain; version=0.0.4; charset=utf-8", page, len);
}

void api_routes(struct http *h) {
    http_route(h, "/stats", stats);
    http_route(h, "/stats/minute", stats_minute);
    http_route(h, "/stats/24h", stats_24h);
    http_route(h, "/stats/events", stats_events);
    http_route(h, "/stats/keys", stats_keys);
    http_route(h, "/stats/running", stats_running);
    http_route(h, "/stats/health", health);
    http_route(h, "/queries", queries);
    http_route(h, "/queries/", query);
    http_route(h, "/logs", logs);
    http_route(h, "/health", health);
    http_route(h, "/metrics", metrics);
    problems_routes(h);
}
