#include "running.h"

#include "../base/util.h"
#include "fields.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct row {
    uint64_t instance;
    ollama_record_request_t r;
};

static int known(const struct state_proxy *p, int64_t mono) {
    int64_t fresh = p->connections > 0 ? RUNNING_FRESH_MS : RUNNING_GONE_MS;

    return p->running.told && mono - p->running.told < fresh;
}

static int older(const void *a, const void *b) {
    const struct row *x = a, *y = b;

    if (x->r.time != y->r.time) return x->r.time < y->r.time ? -1 : 1;
    return x->r.id < y->r.id ? -1 : x->r.id > y->r.id;
}

/* All rows of all proxies, the oldest first; NULL if there are none. */
static struct row *collect(const struct state *s, int *n, uint32_t *total,
                           uint32_t *waiting) {
    struct row *rows = NULL;
    int64_t now = mono_ms();
    int size = 0;

    *n = 0;
    *total = *waiting = 0;
    for (const struct state_proxy *p = s->proxies; p; p = p->next) {
        if (!known(p, now)) continue;
        *total += p->running.total;
        *waiting += p->running.waiting;
        size += p->running.n;
    }
    if (size == 0) return NULL;
    rows = xmalloc((size_t)size * sizeof(*rows));
    for (const struct state_proxy *p = s->proxies; p; p = p->next) {
        size_t at = 0;

        if (!known(p, now)) continue;
        while (run_list_next(&p->running, &at, &rows[*n].r))
            rows[(*n)++].instance = p->instance;
    }
    qsort(rows, (size_t)*n, sizeof(*rows), older);
    return rows;
}

static const char *phase(unsigned end) {
    switch (end) {
    case OLLAMA_RECORD_READING: return "reading";
    case OLLAMA_RECORD_WAITING: return "waiting";
    case OLLAMA_RECORD_SENT: return "sent";
    default: return "answering";
    }
}

static void field_wire(struct json *j, const char *name,
                       const ollama_text_t *t) {
    json_member(j, name);
    if (t->len)
        json_string(j, t->data, t->len);
    else
        json_null(j);
}

static int64_t duration(uint32_t ms) {
    return ms == OLLAMA_RECORD_NO_TIME ? -1 : (int64_t)ms;
}

static void put(struct json *j, const struct state *s, const struct row *row) {
    const ollama_record_request_t *r = &row->r;
    const struct state_key *k = r->key ? state_find_key(s, r->key) : NULL;
    char id[40];

    snprintf(id, sizeof(id), "%016" PRIx64 ".%" PRIu64, row->instance, r->id);
    json_begin(j, '{');
    field_text(j, "id", id);
    json_member(j, "timestamp");
    json_time(j, (int64_t)r->time, 1);
    field_text(j, "phase", phase(r->end));
    field_wire(j, "client_ip", &r->client);
    field_wire(j, "client_name", &r->client_name);
    field_wire(j, "method", &r->method);
    field_wire(j, "endpoint", &r->endpoint);
    field_wire(j, "model", &r->model);
    field_key(j, r->key, k ? k->name : NULL);
    field_maybe(j, "key_index", k ? k->index : -1);
    field_number(j, "prompt_tokens", (int64_t)r->prompt);
    field_number(j, "completion_tokens", (int64_t)r->completion);
    field_money(j, "cost_usd",
                r->priced && r->cost <= INT64_MAX ? (int64_t)r->cost : -1);
    field_text(j, "affinity", field_affinity(r->affinity));
    json_member(j, "streamed");
    json_bool(j, r->streamed);
    field_maybe(j, "queue_ms", duration(r->queue));
    field_maybe(j, "first_token_ms", duration(r->first_token));
    field_maybe(j, "total_ms", duration(r->total));
    field_number(j, "bytes_in", (int64_t)r->bytes_in);
    field_number(j, "bytes_out", (int64_t)r->bytes_out);
    json_member(j, "attempts");
    json_begin(j, '[');
    for (int i = 0; i < r->nattempts; i++)
        field_attempt(j, r->attempts[i].key, r->attempts[i].status,
                      r->attempts[i].ms, r->attempts[i].cause);
    json_end(j, ']');
    field_number(j, "attempts_total", r->attempts_all);
    field_wire(j, "user_agent", &r->user_agent);
    json_end(j, '}');
}

int running_json(struct json *j, const struct state *s, int limit) {
    uint32_t total, waiting;
    int n;
    struct row *rows = collect(s, &n, &total, &waiting);

    json_begin(j, '{');
    field_number(j, "total", total);
    field_number(j, "waiting", waiting);
    json_member(j, "requests");
    json_begin(j, '[');
    if (n > limit) n = limit;
    for (int i = 0; i < n; i++) put(j, s, &rows[i]);
    json_end(j, ']');
    json_end(j, '}');
    free(rows);
    return n;
}

uint64_t running_hash(const struct state *s, int progress) {
    int64_t now = mono_ms();
    uint64_t hash = 0;

    for (const struct state_proxy *p = s->proxies; p; p = p->next)
        if (known(p, now))
            hash =
                hash * 31 + (progress ? p->running.progress : p->running.shape);
    return hash;
}
