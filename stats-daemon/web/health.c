#include "health.h"

#include "../base/trouble.h"
#include "../base/util.h"
#include "../base/version.h"
#include "../wire/peers.h"
#include "fields.h"
#include "http_ask.h"
#include "http_conns.h"
#include "problems_api.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HOUR 3600000LL

static void health_cloud(struct json *j, const struct writer_status *w,
                         int64_t now) {
    static const int64_t fresh = HOUR;
    const char *word;
    int64_t last =
        w->cloud.answer > w->cloud.failure ? w->cloud.answer : w->cloud.failure;

    if (last == 0 || now - last > fresh)
        word = "unknown"; /* no traffic, and none is made to find out */
    else if (w->cloud.failure > w->cloud.answer)
        word = "unreachable";
    else if (w->cloud.status >= 500)
        word = "failing";
    else
        word = "reachable";

    json_member(j, "cloud");
    json_begin(j, '{');
    field_text(j, "status", word);
    json_member(j, "last_answer");
    json_time(j, w->cloud.answer, 0);
    json_member(j, "last_good");
    json_time(j, w->cloud.good, 0);
    json_member(j, "last_failure");
    json_time(j, w->cloud.failure, 0);
    json_member(j, "last_status");
    if (w->cloud.status)
        json_int(j, w->cloud.status);
    else
        json_null(j);
    field_text(j, "last_cause",
               w->cloud.failure ? field_cause((unsigned)w->cloud.cause) : NULL);
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
    field_number(j, "bodies_redacted", w->bodies_redacted);
    field_number(j, "bodies_withheld", w->bodies_withheld);
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

static void health_balances(struct json *j, const struct api *api) {
    struct asker_count n;

    asker_count(api->asker, &n);
    json_member(j, "balances");
    json_begin(j, '{');
    field_number(j, "accounts", n.accounts);
    field_number(j, "known", n.known);
    field_number(j, "failing", n.failing);
    field_number(j, "asking", n.asking);
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

struct found {
    struct json list;
    int n;
};

static void problem(struct found *p, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void problem(struct found *p, const char *fmt, ...) {
    char buf[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(buf, sizeof(buf), fmt, ap);
    va_end(ap);
    json_text(&p->list, buf);
    p->n++;
}

static void find_problems(struct found *p, const struct api *api,
                          const struct writer_status *w, enum store_result read,
                          const char *error) {
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
                error);
    if (w->disk_size && w->disk_free < 100 * 1024 * 1024 &&
        w->disk_free < w->disk_size / 10)
        problem(p, "the disk is nearly full: %lld MiB are left",
                (long long)w->disk_free / 1048576);
    if (connected == 0) problem(p, "no proxy is connected");
}

static void put_health(struct json *j, const struct api *api,
                       enum store_result r, const char *error) {
    struct found p = {0};
    struct writer_status w;
    int64_t now = now_ms();

    writer_status(api->writer, &w);
    find_problems(&p, api, &w, r, error);

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
    health_balances(j, api);

    json_member(j, "disk");
    json_begin(j, '{');
    field_number(j, "free_bytes", w.disk_free);
    field_number(j, "size_bytes", w.disk_size);
    field_number(j, "database_bytes", w.store.bytes);
    field_number(j, "body_bytes", w.store.body_bytes);
    field_number(j, "body_limit", api->keep->body_bytes);
    field_number(j, "bodies", w.store.bodies);
    json_end(j, '}');

    json_member(j, "totals");
    json_begin(j, '{');
    field_number(j, "total_tokens",
                 w.store.total.prompt + w.store.total.completion);
    field_counts(j, &w.store.total);
    json_end(j, '}');
    json_end(j, '}');
}

void health_json(struct json *j, const struct api *api) {
    const char *error;
    enum store_result r = ask_last(api->ask, &error);

    put_health(j, api, r, error);
}

/* Does the ledger answer?  Whoever asks for the health waits for that. */
static enum store_result read_nothing(struct store_reader *rd,
                                      const void *params, struct answer *a) {
    (void)params;
    (void)a;
    return store_probe(rd);
}

static void send_health(struct http_request *q, const struct answer *a) {
    struct json j = {0};

    put_health(&j, q->ctx, a->result, a->error);
    http_json(q, &j);
}

static void health(struct http_request *q) {
    static const struct question kind = {.read = read_nothing, .first = 1};

    http_ask(q, ((const struct api *)q->ctx)->ask, &kind, NULL, 0, send_health);
}

void health_routes(struct http *h) {
    http_route(h, "/health", health);
    http_route(h, "/stats/health", health);
}
