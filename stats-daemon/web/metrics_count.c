#include "metrics_count.h"

#include "../base/map.h"
#include "../base/util.h"
#include "../store/cause.h"
#include "../store/counted.h"
#include "fields.h"
#include "metrics_histogram.h"

#include "../../ngx_ollama_module/core/price.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OTHER_KEY (UINT64_C(1) << 32) /* no fingerprint */

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

struct sums {
    uint64_t requests, prompt, completion, cached, cost, unpriced;
};

/* Since the last page, by (fingerprint, model, outcome). */
struct fresh {
    uint64_t key;
    int model, outcome;
    struct sums n;
};

/* A line: by (key's name, model, outcome). */
struct series {
    struct name *name;
    int model, outcome;
    struct sums n;
};

/* A key's name on the page. */
struct name {
    const char *text;
    int told;    /* a key of the state has, or had, this name */
    int present; /* a configured one has */
};

/* By model. */
struct timing {
    int model;
    struct histogram first, total, tokens;
    struct turns {
        uint64_t turns, prompt, cached;
    } turns[OLLAMA_AFFINITY_MOVED + 1];
};

struct model {
    int id;
};

static struct {
    pthread_mutex_t lock;
    struct map *fresh, *keys; /* .. and the fingerprints in it */
    struct map *series, *names;
    struct map *timings; /* by the model's number */
    struct map *models;  /* name -> struct model */
    char *model[METRICS_MODELS + 1];
    int nmodels, nnames;
    uint64_t certainty[4], attempts, retries, bytes_in, bytes_out;
    struct histogram commits, reads;

    /* noted, not yet committed; the writer's own */
    struct sample {
        uint32_t key, first, total;
        uint16_t status, attempts;
        uint8_t certainty, end, refused;
        uint64_t prompt, completion, cached, in, out, cost;
        uint8_t priced, affinity; /* one that tells something */
        int model;                /* -1: none was asked for */
    } * pending;
    size_t n, size;
} m = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* With the lock held. */
static void init(void) {
    if (m.fresh) return;
    m.fresh = map_new(sizeof(struct fresh));
    m.keys = map_new(1);
    m.series = map_new(sizeof(struct series));
    m.names = map_new(sizeof(struct name));
    m.timings = map_new(sizeof(struct timing));
    m.models = map_new(sizeof(struct model));
}

void metrics_free(void) {
    map_free(m.fresh);
    map_free(m.keys);
    map_free(m.series);
    map_free(m.names);
    map_free(m.timings);
    map_free(m.models);
    for (int i = 0; i <= METRICS_MODELS; i++) free(m.model[i]);
    free(m.pending);
    memset(m.model, 0, sizeof(m.model));
    m.fresh = m.keys = m.series = m.names = m.timings = m.models = NULL;
    m.pending = NULL;
    m.n = m.size = 0;
    m.nmodels = m.nnames = 0;
}

/* ---- counting ---- */

/* The number of a model's name; 0 is "(other)".  With the lock held. */
static int model_number(const ollama_text_t *t, int fine) {
    const struct model *known = map_get(m.models, t->data, t->len);
    int fresh;

    if (known) return known->id;

    char *name = xmalloc(METRICS_CLEAN(t->len));
    size_t len = metrics_clean(name, t->data, t->len);
    int id = 0;

    if ((known = map_get(m.models, name, len))) {
        id = known->id;
    } else if (strcmp(name, METRICS_OTHER) != 0 && m.nmodels < METRICS_MODELS &&
               /* a name that somebody made up takes no place of a real one */
               (m.nmodels < METRICS_MODELS / 2 || fine)) {
        id = ++m.nmodels;
        ((struct model *)map_put(m.models, name, len, &fresh))->id = id;
        m.model[id] = name;
        return id;
    }
    free(name);
    return id;
}

static const char *model_name(int model) {
    return model < 0 ? "" : model == 0 ? METRICS_OTHER : m.model[model];
}

void metrics_note(void *arg, const ollama_record_request_t *q) {
    (void)arg;
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
    s->refused = (uint8_t)cause_is_refused(q);
    s->attempts = q->attempts_all;
    s->prompt = q->prompt;
    s->completion = q->completion;
    s->cached = q->cached;
    s->in = q->bytes_in;
    s->out = q->bytes_out;
    s->cost = (uint64_t)counted_money(q->cost);
    s->priced = q->priced;

    struct store_turns turn;
    s->affinity =
        counted_turn(q, &turn) ? q->affinity : (uint8_t)OLLAMA_AFFINITY_NONE;

    pthread_mutex_lock(&m.lock);
    init();
    s->model = q->model.len ? model_number(&q->model, q->status < 400) : -1;
    pthread_mutex_unlock(&m.lock);
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

static void add(struct sums *to, const struct sums *n) {
    to->requests += n->requests;
    to->prompt += n->prompt;
    to->completion += n->completion;
    to->cached += n->cached;
    to->cost += n->cost;
    to->unpriced += n->unpriced;
}

static void count(const struct sample *s) {
    struct {
        uint64_t key;
        int model, outcome;
    } id = {s->key, s->model, (int)outcome_of(s)};
    const struct sums n = {1,
                           s->prompt,
                           s->completion,
                           s->cached,
                           s->priced ? s->cost : 0,
                           s->priced ? 0 : s->prompt + s->completion};
    int fresh;

    if (map_get(m.keys, &id.key, sizeof(id.key)) == NULL) {
        if (map_count(m.keys) < METRICS_KEYS)
            map_put(m.keys, &id.key, sizeof(id.key), &fresh);
        else
            id.key = OTHER_KEY;
    }
    if (map_count(m.fresh) >= METRICS_SERIES &&
        map_get(m.fresh, &id, sizeof(id)) == NULL) {
        id.key = OTHER_KEY;
        id.model = 0;
    }

    struct fresh *f = map_put(m.fresh, &id, sizeof(id), &fresh);
    f->key = id.key;
    f->model = id.model;
    f->outcome = id.outcome;
    add(&f->n, &n);

    m.certainty[s->certainty & 3]++;
    m.attempts += s->attempts;
    if (s->attempts > 1) m.retries += s->attempts - 1u;
    m.bytes_in += s->in;
    m.bytes_out += s->out;

    if (s->refused || s->model < 0) return;
    struct timing *t = map_put(m.timings, &s->model, sizeof(s->model), &fresh);
    t->model = s->model;
    if (s->affinity) {
        struct turns *turns = &t->turns[s->affinity];
        turns->turns++;
        turns->prompt += s->prompt;
        turns->cached += s->cached;
    }
    if (s->first != OLLAMA_RECORD_NO_TIME)
        histogram_add(&t->first, &buckets_request, s->first / 1000.0);
    if (s->total != OLLAMA_RECORD_NO_TIME)
        histogram_add(&t->total, &buckets_request, s->total / 1000.0);
    if (s->certainty != OLLAMA_RECORD_NONE)
        histogram_add(&t->tokens, &buckets_tokens,
                      (double)(s->prompt + s->completion));
}

void metrics_batch(void *arg, int committed, int64_t us) {
    (void)arg;
    if (committed) {
        pthread_mutex_lock(&m.lock);
        init();
        for (size_t i = 0; i < m.n; i++) count(&m.pending[i]);
        histogram_add(&m.commits, &buckets_ledger, (double)us / 1e6);
        pthread_mutex_unlock(&m.lock);
    }
    m.n = 0;
}

void metrics_read(void *arg, int64_t us) {
    (void)arg;
    pthread_mutex_lock(&m.lock);
    histogram_add(&m.reads, &buckets_ledger, (double)us / 1e6);
    pthread_mutex_unlock(&m.lock);
}

/* ---- from fingerprints to names ---- */

void metrics_key_name(char *to, const struct state_key *k) {
    if (*k->name)
        metrics_clean(to, k->name, strlen(k->name));
    else
        snprintf(to, METRICS_KEY_SIZE, "%08" PRIx32, k->key);
}

static int is_name(const char *text) {
    return *text && strcmp(text, METRICS_OTHER) != 0;
}

static struct name *name_put(const char *text) {
    int fresh;
    size_t len;
    struct name *n = map_get(m.names, text, strlen(text) + 1);

    if (n) return n;
    if (is_name(text)) {
        if (m.nnames == METRICS_KEYS) return name_put(METRICS_OTHER);
        m.nnames++;
    }
    n = map_put(m.names, text, strlen(text) + 1, &fresh);
    n->text = map_key(n, &len);
    return n;
}

static struct name *name_of(const struct state *state, uint64_t key) {
    struct state_key nobody = {.key = (uint32_t)key};
    char text[METRICS_KEY_SIZE];

    if (key == OTHER_KEY) return name_put(METRICS_OTHER);
    if (key == 0) return name_put("");

    const struct state_key *k = state_find_key(state, (uint32_t)key);
    metrics_key_name(text, k ? k : &nobody);
    return name_put(text);
}

/* The line, or that of the others when there are too many. */
static struct series *series_put(struct map *to, struct name *name, int model,
                                 int outcome) {
    char id[2 * sizeof(int) + METRICS_KEY_SIZE];
    size_t len = strlen(name->text);
    int fresh;

    memcpy(id, &model, sizeof(int));
    memcpy(id + sizeof(int), &outcome, sizeof(int));
    memcpy(id + 2 * sizeof(int), name->text, len);
    len += 2 * sizeof(int);

    struct series *s = map_get(to, id, len);
    if (s) return s;
    if (map_count(to) >= METRICS_SERIES && (is_name(name->text) || model > 0))
        return series_put(to, name_put(METRICS_OTHER), 0, outcome);

    s = map_put(to, id, len, &fresh);
    s->name = name;
    s->model = model;
    s->outcome = outcome;
    return s;
}

/* What came since the last page is added to the lines of today's names. */
static void fold(const struct state *state) {
    struct map *known = map_new(sizeof(struct name *));
    int fresh;

    for (struct fresh *f = NULL; (f = map_next(m.fresh, f));) {
        struct name **name = map_put(known, &f->key, sizeof(f->key), &fresh);

        if (fresh) *name = name_of(state, f->key);
        add(&series_put(m.series, *name, f->model, f->outcome)->n, &f->n);
    }
    map_free(known);
    map_clear(m.fresh);
    map_clear(m.keys);
}

static int is_gone(const struct name *n) {
    return n->told && !n->present && is_name(n->text);
}

/* Takes away the lines of names that only keys had which are not configured
 * any more. */
static void leave(const struct state *state) {
    char text[METRICS_KEY_SIZE];
    int gone = 0;

    for (struct name *n = NULL; (n = map_next(m.names, n));) n->present = 0;
    for (int i = 0; i < state->nkeys; i++) {
        const struct state_key *k = &state->keys[i];

        metrics_key_name(text, k);
        struct name *n = map_get(m.names, text, strlen(text) + 1);
        if (n == NULL) continue;
        n->told = 1;
        if (state_key_listed(k)) n->present = 1;
    }
    for (struct name *n = NULL; (n = map_next(m.names, n));) gone += is_gone(n);
    if (gone == 0) return;

    struct map *names = m.names, *series = m.series;
    m.names = map_new(sizeof(struct name));
    m.series = map_new(sizeof(struct series));
    m.nnames = 0;
    for (struct series *s = NULL; (s = map_next(series, s));) {
        if (is_gone(s->name)) continue;
        struct name *n = name_put(s->name->text);
        n->told = s->name->told;
        n->present = s->name->present;
        add(&series_put(m.series, n, s->model, s->outcome)->n, &s->n);
    }
    map_free(series);
    map_free(names);
}

/* ---- lines ---- */

static void labels(struct json *j, const char *name, const struct series *s) {
    metrics_out(j, "%s{", name);
    metrics_label(j, "key", s->name->text);
    metrics_out(j, ",");
    metrics_label(j, "model", model_name(s->model));
}

static void line(struct json *j, const char *name, const struct series *s,
                 int outcome, uint64_t value) {
    labels(j, name, s);
    if (outcome) metrics_out(j, ",outcome=\"%s\"", outcomes[s->outcome]);
    metrics_out(j, "} %" PRIu64 "\n", value);
}

static void requests(struct json *j) {
    metrics_head(j, "ollama_proxy_requests_total", "counter",
                 "Requests by key, model asked for and outcome.");
    for (struct series *s = NULL; (s = map_next(m.series, s));)
        line(j, "ollama_proxy_requests_total", s, 1, s->n.requests);
}

/* Over all outcomes: one line a key and model. */
static void tokens(struct json *j) {
    static const struct {
        const char *name, *help;
    } kinds[] = {
        {"ollama_proxy_prompt_tokens_total",
         "Tokens of prompts, cached ones included."},
        {"ollama_proxy_completion_tokens_total", "Tokens of answers."},
        {"ollama_proxy_cached_tokens_total",
         "Tokens of prompts that the cloud had cached."},
        {"ollama_proxy_unpriced_tokens_total",
         "Tokens of models that have no price."},
    };
    struct map *sums = map_new(sizeof(struct series));

    for (struct series *s = NULL; (s = map_next(m.series, s));)
        add(&series_put(sums, s->name, s->model, 0)->n, &s->n);
    for (int i = 0; i < 4; i++) {
        metrics_head(j, kinds[i].name, "counter", kinds[i].help);
        for (struct series *s = NULL; (s = map_next(sums, s));)
            line(j, kinds[i].name, s, 0,
                 i == 0   ? s->n.prompt
                 : i == 1 ? s->n.completion
                 : i == 2 ? s->n.cached
                          : s->n.unpriced);
    }
    metrics_head(j, "ollama_proxy_cost_usd_total", "counter",
                 "What tokens with a price have cost.");
    for (struct series *s = NULL; (s = map_next(sums, s));) {
        char text[OLLAMA_PRICE_TEXT];
        size_t len = ollama_price_text(text, s->n.cost);

        labels(j, "ollama_proxy_cost_usd_total", s);
        metrics_out(j, "} %.*s\n", (int)len, text);
    }
    map_free(sums);
}

/* Of conversations, by what became of the turn. */
static void turns(struct json *j) {
    static const struct {
        const char *name, *help;
    } kinds[] = {
        {"ollama_proxy_affinity_turns_total",
         "Turns of conversations, by whether they stayed with their account."},
        {"ollama_proxy_affinity_prompt_tokens_total",
         "Tokens of their prompts."},
        {"ollama_proxy_affinity_cached_tokens_total",
         "Tokens of these that the cloud had cached."},
    };

    for (int i = 0; i < 3; i++) {
        metrics_head(j, kinds[i].name, "counter", kinds[i].help);
        for (struct timing *t = NULL; (t = map_next(m.timings, t));) {
            for (int a = OLLAMA_AFFINITY_NEW; a <= OLLAMA_AFFINITY_MOVED; a++) {
                const struct turns *n = &t->turns[a];

                if (n->turns == 0) continue;
                metrics_out(j, "%s{", kinds[i].name);
                metrics_label(j, "model", model_name(t->model));
                metrics_out(j, ",affinity=\"%s\"} %" PRIu64 "\n",
                            field_affinity(a),
                            i == 0   ? n->turns
                            : i == 1 ? n->prompt
                                     : n->cached);
            }
        }
    }
}

static void whole(struct json *j) {
    metrics_head(j, "ollama_proxy_answers_total", "counter",
                 "Requests by how sure their number of tokens is.");
    for (int i = 0; i < 4; i++)
        metrics_out(
            j, "ollama_proxy_answers_total{certainty=\"%s\"} %" PRIu64 "\n",
            certainties[i], m.certainty[i]);

    metrics_one(j, "ollama_proxy_upstream_attempts_total", "counter",
                "Tries at the cloud, the first ones included.",
                (double)m.attempts);
    metrics_one(j, "ollama_proxy_upstream_retries_total", "counter",
                "Tries after the first one of a request.", (double)m.retries);
    metrics_one(j, "ollama_proxy_request_bytes_total", "counter",
                "Bytes of request bodies.", (double)m.bytes_in);
    metrics_one(j, "ollama_proxy_response_bytes_total", "counter",
                "Bytes of answers sent to clients.", (double)m.bytes_out);
}

static void timings(struct json *j) {
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
        metrics_head(j, kinds[i].name, "histogram", kinds[i].help);
        for (struct timing *t = NULL; (t = map_next(m.timings, t));)
            histogram_text(j, kinds[i].name, "model", model_name(t->model),
                           i == 0   ? &t->first
                           : i == 1 ? &t->total
                                    : &t->tokens,
                           i < 2 ? &buckets_request : &buckets_tokens);
    }
}

static void ledger(struct json *j) {
    metrics_head(j, "ollama_statsd_commit_seconds", "histogram",
                 "Time that a batch took, from its first row until it was on "
                 "the disk.");
    histogram_text(j, "ollama_statsd_commit_seconds", NULL, NULL, &m.commits,
                   &buckets_ledger);
    metrics_head(j, "ollama_statsd_read_seconds", "histogram",
                 "Time that a question to the ledger took.");
    histogram_text(j, "ollama_statsd_read_seconds", NULL, NULL, &m.reads,
                   &buckets_ledger);
}

void metrics_counters(struct json *j, const struct state *state) {
    pthread_mutex_lock(&m.lock);
    init();
    fold(state);
    leave(state);
    requests(j);
    tokens(j);
    whole(j);
    turns(j);
    timings(j);
    ledger(j);
    pthread_mutex_unlock(&m.lock);
}
