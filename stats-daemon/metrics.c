#include "metrics.h"

#include "json.h"
#include "map.h"
#include "problems_api.h"
#include "state.h"
#include "util.h"
#include "version.h"
#include "writer.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN_KINDS 3
#define BUCKETS_MAX 16

enum outcome {
    OK,
    CLIENT_GONE,
    RATE_LIMITED,
    CLIENT_ERROR,
    UPSTREAM_ERROR,
    PROXY_STOPPED,
    WORKER_GONE
};
static const char *const outcomes[] = {
    "ok",           "client_gone",    "rate_limited",
    "client_error", "upstream_error", "proxy_stopped",
    "worker_gone"};
static const char *const certainties[] = {"none", "estimated", "partial",
                                          "exact"};

static const double seconds_le[] = {0.05, 0.1, 0.25, 0.5, 1,  2.5,
                                    5,    10,  30,   60,  300};
static const double tokens_le[] = {16,   64,    256,   1024,
                                   4096, 16384, 65536, 262144};

#define COUNT(a) ((int)(sizeof(a) / sizeof(*(a))))

struct histogram {
    uint64_t n[BUCKETS_MAX + 1]; /* the last one: +Inf */
    double sum;
};

/* by (key, model, outcome) */
struct series {
    uint32_t key;
    int model, outcome;
    uint64_t requests;
    uint64_t prompt, completion, cached;
};

/* by model */
struct timing {
    int model;
    struct histogram first, total, tokens;
};

struct name {
    int id;
};

static struct {
    pthread_mutex_t lock;
    struct map *series;  /* (key, model, outcome) */
    struct map *timings; /* model */
    struct map *names;   /* model's name -> struct name */
    struct map *keys;    /* keys with labels of their own */
    char *models[METRICS_MODELS + 1];
    int nmodels;
    uint64_t certainty[4], attempts, retries, client_bytes_in, client_bytes_out;

    /* noted, not yet committed; the writer's own */
    struct sample {
        uint32_t key, first, total;
        uint16_t status, attempts;
        uint8_t certainty, end;
        uint64_t prompt, completion, cached, in, out;
        int model;
    } * pending;
    size_t n, size;
} m = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void init(void) {
    if (m.series) return;
    m.series = map_new(sizeof(struct series));
    m.timings = map_new(sizeof(struct timing));
    m.names = map_new(sizeof(struct name));
    m.keys = map_new(1);
}

void metrics_free(void) {
    map_free(m.series);
    map_free(m.timings);
    map_free(m.names);
    map_free(m.keys);
    for (int i = 0; i <= METRICS_MODELS; i++) free(m.models[i]);
    free(m.pending);
    memset(m.models, 0, sizeof(m.models));
    m.series = m.timings = m.names = m.keys = NULL;
    m.pending = NULL;
    m.n = m.size = 0;
    m.nmodels = 0;
}

/* ---- counting ---- */

/* The number of a model's name; 0 is "(other)".  With the lock held. */
static int model_number(const ollama_text_t *t, int fine) {
    struct name *n = map_get(m.names, t->data, t->len);
    int fresh;

    if (n) return n->id;
    /* a name that somebody made up takes no place of a real one */
    if (m.nmodels >= METRICS_MODELS ||
        (m.nmodels >= METRICS_MODELS / 2 && !fine))
        return 0;
    n = map_put(m.names, t->data, t->len, &fresh);
    n->id = ++m.nmodels;
    m.models[n->id] = xmalloc(t->len + 1);
    memcpy(m.models[n->id], t->data, t->len);
    m.models[n->id][t->len] = '\0';
    return n->id;
}

void metrics_note(const ollama_record_request_t *q) {
    if (m.n == m.size) {
        m.size = m.size ? m.size * 2 : 256;
        m.pending = xrealloc(m.pending, m.size * sizeof(*m.pending));
    }
    struct sample *s = &m.pending[m.n++];

    s->key = q->key;
    s->first = q->first_token;
    s->total = q->total;
    s->status = q->status;
    s->certainty = q->certainty;
    s->end = q->end;
    s->attempts = q->attempts_all;
    s->prompt = q->prompt;
    s->completion = q->completion;
    s->cached = q->cached;
    s->in = q->bytes_in;
    s->out = q->bytes_out;

    pthread_mutex_lock(&m.lock);
    init();
    s->model = q->model.len ? model_number(&q->model, q->status < 400) : -1;
    pthread_mutex_unlock(&m.lock);
}

void metrics_discard(void) {
    m.n = 0;
}

static void observe(struct histogram *h, const double *le, int n, double v) {
    int i = 0;

    while (i < n && v > le[i]) i++;
    h->n[i]++;
    h->sum += v;
}

static enum outcome outcome_of(const struct sample *s) {
    if (s->end == OLLAMA_RECORD_CLIENT_GONE) return CLIENT_GONE;
    if (s->end == OLLAMA_RECORD_PROXY_STOPPED) return PROXY_STOPPED;
    if (s->end == OLLAMA_RECORD_WORKER_GONE) return WORKER_GONE;
    if (s->status == 429) return RATE_LIMITED;
    if (s->status >= 500 || s->end == OLLAMA_RECORD_UPSTREAM_GONE ||
        s->end == OLLAMA_RECORD_STREAM_ERROR)
        return UPSTREAM_ERROR;
    return s->status >= 400 ? CLIENT_ERROR : OK;
}

static void count(const struct sample *s) {
    struct {
        uint32_t key;
        int model, outcome;
    } id = {s->key, s->model, (int)outcome_of(s)};
    int fresh;

    if (map_get(m.keys, &id.key, sizeof(id.key)) == NULL) {
        if (map_count(m.keys) < METRICS_KEYS)
            map_put(m.keys, &id.key, sizeof(id.key), &fresh);
        else
            id.key = UINT32_MAX; /* "(other)" */
    }
    if (map_count(m.series) >= METRICS_SERIES &&
        map_get(m.series, &id, sizeof(id)) == NULL) {
        id.key = UINT32_MAX;
        id.model = 0;
    }

    struct series *c = map_put(m.series, &id, sizeof(id), &fresh);
    c->key = id.key;
    c->model = id.model;
    c->outcome = id.outcome;
    c->requests++;
    c->prompt += s->prompt;
    c->completion += s->completion;
    c->cached += s->cached;

    m.certainty[s->certainty & 3]++;
    m.attempts += s->attempts;
    if (s->attempts > 1) m.retries += s->attempts - 1u;
    m.client_bytes_in += s->in;
    m.client_bytes_out += s->out;

    if (s->end == OLLAMA_RECORD_LOCAL || s->model < 0) return;
    struct timing *t = map_put(m.timings, &s->model, sizeof(s->model), &fresh);
    t->model = s->model;
    if (s->first != OLLAMA_RECORD_NO_TIME)
        observe(&t->first, seconds_le, COUNT(seconds_le), s->first / 1000.0);
    if (s->total != OLLAMA_RECORD_NO_TIME)
        observe(&t->total, seconds_le, COUNT(seconds_le), s->total / 1000.0);
    if (s->certainty != OLLAMA_RECORD_NONE)
        observe(&t->tokens, tokens_le, COUNT(tokens_le),
                (double)(s->prompt + s->completion));
}

void metrics_commit(void) {
    pthread_mutex_lock(&m.lock);
    init();
    for (size_t i = 0; i < m.n; i++) count(&m.pending[i]);
    pthread_mutex_unlock(&m.lock);
    m.n = 0;
}

/* ---- the page ---- */

static void out(struct json *j, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void out(struct json *j, const char *fmt, ...) {
    char buf[1024];
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(buf, sizeof(buf), fmt, ap);
    va_end(ap);
    if (n > 0)
        json_raw(j, buf, n < (int)sizeof(buf) ? (size_t)n : sizeof(buf) - 1);
}

static void head(struct json *j, const char *name, const char *type,
                 const char *help) {
    out(j, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* A label's value: UTF-8 with \ " and newline escaped. */
static void label(struct json *j, const char *name, const char *value) {
    out(j, "%s=\"", name);
    for (const char *p = value; *p; p++) {
        if (*p == '\\' || *p == '"')
            out(j, "\\%c", *p);
        else if (*p == '\n')
            out(j, "\\n");
        else
            /* what is not ASCII might not be UTF-8 either */
            json_raw(j,
                     (unsigned char)*p < 0x20 || (unsigned char)*p > 0x7e ? "?"
                                                                          : p,
                     1);
    }
    out(j, "\"");
}

static const char *model_name(int model) {
    return model < 0 ? "" : model == 0 ? "(other)" : m.models[model];
}

static void key_label(struct json *j, const struct state *state, uint32_t key) {
    const struct state_key *k = state_find_key(state, key);
    char hex[12];

    if (key == UINT32_MAX) {
        label(j, "key", "(other)");
        return;
    }
    snprintf(hex, sizeof(hex), "%08" PRIx32, key);
    label(j, "key", key == 0 ? "" : k && *k->name ? k->name : hex);
}

static void histogram(struct json *j, const char *name, const char *model,
                      const struct histogram *h, const double *le, int n) {
    uint64_t sum = 0;

    for (int i = 0; i <= n; i++) {
        sum += h->n[i];
        out(j, "%s_bucket{", name);
        label(j, "model", model);
        if (i < n)
            out(j, ",le=\"%g\"} %" PRIu64 "\n", le[i], sum);
        else
            out(j, ",le=\"+Inf\"} %" PRIu64 "\n", sum);
    }
    out(j, "%s_sum{", name);
    label(j, "model", model);
    out(j, "} %.17g\n%s_count{", h->sum, name);
    label(j, "model", model);
    out(j, "} %" PRIu64 "\n", sum);
}

static void series(struct json *j, const char *name, const struct state *state,
                   const struct series *s, int outcome) {
    out(j, "%s{", name);
    key_label(j, state, s->key);
    out(j, ",");
    label(j, "model", model_name(s->model));
    if (outcome) out(j, ",outcome=\"%s\"", outcomes[s->outcome]);
}

static void counters(struct json *j, const struct state *state) {
    static const struct {
        const char *name, *help;
    } tokens[TOKEN_KINDS] = {
        {"ollama_proxy_prompt_tokens_total",
         "Tokens of prompts, cached ones included."},
        {"ollama_proxy_completion_tokens_total", "Tokens of answers."},
        {"ollama_proxy_cached_tokens_total",
         "Tokens of prompts that the cloud had cached."},
    };

    head(j, "ollama_proxy_requests_total", "counter",
         "Requests by key, model asked for and outcome.");
    for (struct series *s = NULL; (s = map_next(m.series, s));) {
        series(j, "ollama_proxy_requests_total", state, s, 1);
        out(j, "} %" PRIu64 "\n", s->requests);
    }

    /* tokens are summed up over outcomes: one line a key and model */
    struct map *sums = map_new(sizeof(struct series));
    for (struct series *s = NULL; (s = map_next(m.series, s));) {
        struct {
            uint32_t key;
            int model;
        } id = {s->key, s->model};
        int fresh;
        struct series *t = map_put(sums, &id, sizeof(id), &fresh);
        t->key = s->key;
        t->model = s->model;
        t->prompt += s->prompt;
        t->completion += s->completion;
        t->cached += s->cached;
    }
    for (int i = 0; i < TOKEN_KINDS; i++) {
        head(j, tokens[i].name, "counter", tokens[i].help);
        for (struct series *s = NULL; (s = map_next(sums, s));) {
            series(j, tokens[i].name, state, s, 0);
            out(j, "} %" PRIu64 "\n",
                i == 0   ? s->prompt
                : i == 1 ? s->completion
                         : s->cached);
        }
    }
    map_free(sums);

    head(j, "ollama_proxy_answers_total", "counter",
         "Requests by how sure their number of tokens is.");
    for (int i = 0; i < 4; i++)
        out(j, "ollama_proxy_answers_total{certainty=\"%s\"} %" PRIu64 "\n",
            certainties[i], m.certainty[i]);

    head(j, "ollama_proxy_upstream_attempts_total", "counter",
         "Tries at the cloud, the first ones included.");
    out(j, "ollama_proxy_upstream_attempts_total %" PRIu64 "\n", m.attempts);
    head(j, "ollama_proxy_upstream_retries_total", "counter",
         "Tries after the first one of a request.");
    out(j, "ollama_proxy_upstream_retries_total %" PRIu64 "\n", m.retries);
    head(j, "ollama_proxy_request_bytes_total", "counter",
         "Bytes of request bodies.");
    out(j, "ollama_proxy_request_bytes_total %" PRIu64 "\n", m.client_bytes_in);
    head(j, "ollama_proxy_response_bytes_total", "counter",
         "Bytes of answers sent to clients.");
    out(j, "ollama_proxy_response_bytes_total %" PRIu64 "\n",
        m.client_bytes_out);
}

static void histograms(struct json *j) {
    static const struct {
        const char *name, *help;
    } kinds[] = {
        {"ollama_proxy_first_token_seconds",
         "Time from a request's beginning to its first token."},
        {"ollama_proxy_request_duration_seconds",
         "Time from a request's beginning to its end."},
        {"ollama_proxy_request_tokens",
         "Tokens of a request, prompt and completion."},
    };

    for (int i = 0; i < 3; i++) {
        head(j, kinds[i].name, "histogram", kinds[i].help);
        for (struct timing *t = NULL; (t = map_next(m.timings, t));) {
            histogram(j, kinds[i].name, model_name(t->model),
                      i == 0   ? &t->first
                      : i == 1 ? &t->total
                               : &t->tokens,
                      i < 2 ? seconds_le : tokens_le,
                      i < 2 ? COUNT(seconds_le) : COUNT(tokens_le));
        }
    }
}

struct gauge {
    const char *name, *help;
    uint64_t (*of)(const struct state_key *k);
};

static uint64_t key_eligible(const struct state_key *k) {
    return k->eligible;
}
static uint64_t key_in_flight(const struct state_key *k) {
    return k->in_flight;
}
static uint64_t key_slots(const struct state_key *k) {
    return k->slots;
}
static uint64_t key_usage(const struct state_key *k) {
    return k->usage;
}
static uint64_t key_reserved(const struct state_key *k) {
    return k->reserved;
}
static uint64_t key_penalty(const struct state_key *k) {
    int64_t left = k->until - now_ms();
    return left > 0 ? (uint64_t)left / 1000 : 0;
}

static void keys(struct json *j, const struct state *state) {
    static const struct gauge gauges[] = {
        {"ollama_proxy_key_eligible",
         "1 if the key may be chosen for the next request.", key_eligible},
        {"ollama_proxy_key_in_flight", "Requests in flight with the key.",
         key_in_flight},
        {"ollama_proxy_key_slots",
         "Requests the key may have in flight, 0 for any number.", key_slots},
        {"ollama_proxy_key_window_tokens",
         "Tokens used with the key in the last 2 h.", key_usage},
        {"ollama_proxy_key_reserved_tokens",
         "Tokens reserved for requests in flight.", key_reserved},
        {"ollama_proxy_key_penalty_seconds",
         "Seconds until the key's penalty ends.", key_penalty},
    };
    int64_t old = now_ms() - STATE_SHOWN_MS;

    for (int g = 0; g < COUNT(gauges); g++) {
        int shown = 0;

        head(j, gauges[g].name, "gauge", gauges[g].help);
        for (int i = 0; i < state->nkeys && shown < METRICS_KEYS; i++) {
            const struct state_key *k = &state->keys[i];
            if (k->seen < old) continue;
            shown++;
            out(j, "%s{", gauges[g].name);
            key_label(j, state, k->key);
            out(j, "} %" PRIu64 "\n", gauges[g].of(k));
        }
    }

    int shown = 0;
    head(j, "ollama_proxy_key_info", "gauge",
         "1, with the state of a key in words.");
    for (int i = 0; i < state->nkeys && shown < METRICS_KEYS; i++) {
        const struct state_key *k = &state->keys[i];
        char hex[12];

        if (k->seen < old) continue;
        shown++;
        snprintf(hex, sizeof(hex), "%08" PRIx32, k->key);
        out(j, "ollama_proxy_key_info{");
        key_label(j, state, k->key);
        out(j, ",fingerprint=\"%s\",", hex);
        label(j, "status", k->status);
        out(j, "} 1\n");
    }
}

static void one(struct json *j, const char *name, const char *type,
                const char *help, double value) {
    head(j, name, type, help);
    out(j, "%s %.17g\n", name, value);
}

static void outbox(struct json *j, const struct state *state) {
    ollama_record_outbox_t sum = {0};
    uint64_t duplicates = 0, missing = 0;
    int connected = 0;
    int64_t old = now_ms() - STATE_SHOWN_MS;

    for (const struct state_proxy *p = state->proxies; p; p = p->next) {
        connected += p->connections > 0;
        duplicates += p->duplicates;
        missing += p->gaps;
        /* drops are counters: those of a proxy that is gone still count */
        sum.dropped_records += p->outbox.dropped_records;
        sum.dropped_bodies += p->outbox.dropped_bodies;
        sum.resent += p->outbox.resent;
        if (!p->has_outbox || p->seen < old) continue;
        sum.size += p->outbox.size;
        sum.used += p->outbox.used;
        sum.running += p->outbox.running;
        sum.waiting += p->outbox.waiting;
        if (p->outbox.lag > sum.lag) sum.lag = p->outbox.lag;
    }
    one(j, "ollama_proxy_connected", "gauge", "Proxies that are connected.",
        connected);
    one(j, "ollama_proxy_requests_in_flight", "gauge",
        "Requests in flight at the cloud.", sum.running);
    one(j, "ollama_proxy_requests_waiting", "gauge",
        "Requests that wait for a key's slot.", sum.waiting);
    one(j, "ollama_proxy_outbox_size_bytes", "gauge",
        "Room in the proxy's outbox.", (double)sum.size);
    one(j, "ollama_proxy_outbox_used_bytes", "gauge",
        "Records in the proxy's outbox that wait for the daemon.",
        (double)sum.used);
    one(j, "ollama_proxy_outbox_lag_seconds", "gauge",
        "Age of the oldest record in the outbox.", sum.lag / 1000.0);
    one(j, "ollama_proxy_outbox_dropped_records_total", "counter",
        "Records that the full outbox had to drop.",
        (double)sum.dropped_records);
    one(j, "ollama_proxy_outbox_dropped_bodies_total", "counter",
        "Bodies that the full outbox had to drop.", (double)sum.dropped_bodies);
    one(j, "ollama_proxy_outbox_resent_frames_total", "counter",
        "Frames that were sent again.", (double)sum.resent);
    one(j, "ollama_statsd_duplicate_frames_total", "counter",
        "Frames that came again and were not counted again.",
        (double)duplicates);
    one(j, "ollama_statsd_missing_frames_total", "counter",
        "Numbers of frames that never came.", (double)missing);
}

char *metrics_page(struct state *state, struct writer *writer, size_t *len) {
    struct writer_status w;
    struct json j = {0};

    writer_status(writer, &w);

    pthread_mutex_lock(&m.lock);
    init();
    counters(&j, state);
    histograms(&j);
    pthread_mutex_unlock(&m.lock);

    keys(&j, state);
    outbox(&j, state);

    one(&j, "ollama_statsd_store_up", "gauge",
        "1 if the last batch could be written.", w.result == STORE_OK);
    problems_metrics(&j);
    one(&j, "ollama_statsd_queued_frames", "gauge",
        "Frames received and not yet committed.", (double)w.queued_frames);
    one(&j, "ollama_statsd_batches_total", "counter", "Transactions committed.",
        (double)w.batches);
    one(&j, "ollama_statsd_frames_total", "counter", "Frames received.",
        (double)state->frames);
    one(&j, "ollama_statsd_damaged_frames_total", "counter",
        "Frames skipped because of a wrong checksum or version.",
        (double)(state->damaged + state->foreign));
    one(&j, "ollama_statsd_malformed_frames_total", "counter",
        "Frames that did not hold what their type says.", (double)w.malformed);
    one(&j, "ollama_statsd_lost_bodies_total", "counter",
        "Request bodies that could not be written.", (double)w.bodies_lost);
    one(&j, "ollama_statsd_repeated_requests_total", "counter",
        "Records left out because their request had one already.",
        (double)w.repeated);
    one(&j, "ollama_statsd_database_size_bytes", "gauge",
        "Size of the database.", (double)(w.sizes.file + w.sizes.wal));
    one(&j, "ollama_statsd_bodies_size_bytes", "gauge",
        "Size of the bodies that are kept.", (double)w.sizes.bodies);
    one(&j, "ollama_statsd_disk_free_bytes", "gauge",
        "Free space of the data folder's disk.", (double)w.disk_free);
    one(&j, "ollama_statsd_start_time_seconds", "gauge",
        "When the daemon was started.", (double)state->started / 1000.0);
    head(&j, "ollama_statsd_build_info", "gauge",
         "1, with the version of the daemon.");
    out(&j, "ollama_statsd_build_info{version=\"%s\"} 1\n", STATSD_VERSION);

    *len = j.len;
    return j.data;
}
