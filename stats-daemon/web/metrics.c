#include "metrics.h"

#include "../base/map.h"
#include "../base/util.h"
#include "../base/version.h"
#include "../ledger/writer.h"
#include "../wire/state.h"
#include "metrics_count.h"
#include "metrics_process.h"
#include "metrics_text.h"
#include "problems_api.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- keys ---- */

/* Of all keys of a name. */
struct key_sum {
    const char *name;
    int n, limited; /* how many there are, and how many with known slots */
    uint64_t eligible, in_flight, slots, usage, reserved, penalty;
};

static void key_add(struct key_sum *sum, const struct state_key *k,
                    int64_t now) {
    uint64_t left = k->until > now ? (uint64_t)(k->until - now) / 1000 : 0;

    sum->n++;
    sum->limited += k->slots > 0;
    sum->eligible += k->eligible;
    sum->in_flight += k->in_flight;
    sum->slots += k->slots;
    sum->usage += k->usage;
    sum->reserved += k->reserved;
    if (left > sum->penalty) sum->penalty = left;
}

static struct map *key_sums(const struct state *state, int64_t now) {
    struct map *sums = map_new(sizeof(struct key_sum));
    char name[METRICS_KEY_SIZE];
    int fresh;
    size_t len;

    for (int i = 0; i < state->nkeys; i++) {
        const struct state_key *k = &state->keys[i];

        if (!state_key_shown(state, k, now)) continue;
        metrics_key_name(name, k);
        if (map_count(sums) >= METRICS_KEYS &&
            map_get(sums, name, strlen(name) + 1) == NULL)
            strcpy(name, METRICS_OTHER);
        struct key_sum *sum = map_put(sums, name, strlen(name) + 1, &fresh);
        sum->name = map_key(sum, &len);
        key_add(sum, k, now);
    }
    return sums;
}

static uint64_t key_eligible(const struct key_sum *k) {
    return k->eligible;
}
static uint64_t key_in_flight(const struct key_sum *k) {
    return k->in_flight;
}
static uint64_t key_slots(const struct key_sum *k) {
    return k->limited == k->n ? k->slots : 0;
}
static uint64_t key_usage(const struct key_sum *k) {
    return k->usage;
}
static uint64_t key_reserved(const struct key_sum *k) {
    return k->reserved;
}
static uint64_t key_penalty(const struct key_sum *k) {
    return k->penalty;
}

static void key_gauges(struct json *j, const struct map *sums) {
    static const struct {
        const char *name, *help;
        uint64_t (*of)(const struct key_sum *k);
    } gauges[] = {
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

    for (size_t g = 0; g < sizeof(gauges) / sizeof(*gauges); g++) {
        metrics_head(j, gauges[g].name, "gauge", gauges[g].help);
        for (struct key_sum *k = NULL; (k = map_next(sums, k));) {
            metrics_out(j, "%s{", gauges[g].name);
            metrics_label(j, "key", k->name);
            metrics_out(j, "} %" PRIu64 "\n", gauges[g].of(k));
        }
    }
}

/* One line a fingerprint. */
static void key_info(struct json *j, const struct state *state, int64_t now) {
    char name[METRICS_KEY_SIZE];
    int shown = 0;

    metrics_head(j, "ollama_proxy_key_info", "gauge",
                 "1, with the state of a key in words.");
    for (int i = 0; i < state->nkeys && shown < METRICS_KEYS; i++) {
        const struct state_key *k = &state->keys[i];

        if (!state_key_shown(state, k, now)) continue;
        shown++;
        metrics_key_name(name, k);
        metrics_out(j, "ollama_proxy_key_info{");
        metrics_label(j, "key", name);
        metrics_out(j, ",fingerprint=\"%08" PRIx32 "\",", k->key);
        metrics_label(j, "status", k->status);
        metrics_out(j, "} 1\n");
    }
}

static void keys(struct json *j, const struct state *state) {
    int64_t now = now_ms();
    struct map *sums = key_sums(state, now);

    key_gauges(j, sums);
    key_info(j, state, now);
    map_free(sums);
}

/* ---- proxies and the daemon ---- */

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
    metrics_one(j, "ollama_proxy_connected", "gauge",
                "Proxies that are connected.", connected);
    metrics_one(j, "ollama_proxy_requests_in_flight", "gauge",
                "Requests in flight at the cloud.", sum.running);
    metrics_one(j, "ollama_proxy_requests_waiting", "gauge",
                "Requests that wait for a key's slot.", sum.waiting);
    metrics_one(j, "ollama_proxy_outbox_size_bytes", "gauge",
                "Room in the proxy's outbox.", (double)sum.size);
    metrics_one(j, "ollama_proxy_outbox_used_bytes", "gauge",
                "Records in the proxy's outbox that wait for the daemon.",
                (double)sum.used);
    metrics_one(j, "ollama_proxy_outbox_lag_seconds", "gauge",
                "Age of the oldest record in the outbox.", sum.lag / 1000.0);
    metrics_one(j, "ollama_proxy_outbox_dropped_records_total", "counter",
                "Records that the full outbox had to drop.",
                (double)sum.dropped_records);
    metrics_one(j, "ollama_proxy_outbox_dropped_bodies_total", "counter",
                "Bodies that the full outbox had to drop.",
                (double)sum.dropped_bodies);
    metrics_one(j, "ollama_proxy_outbox_resent_frames_total", "counter",
                "Frames that were sent again.", (double)sum.resent);
    metrics_one(j, "ollama_statsd_duplicate_frames_total", "counter",
                "Frames that came again and were not counted again.",
                (double)duplicates);
    metrics_one(j, "ollama_statsd_missing_frames_total", "counter",
                "Numbers of frames that never came.", (double)missing);
}

static void store(struct json *j, const struct writer_status *w) {
    metrics_one(j, "ollama_statsd_store_up", "gauge",
                "1 if the last batch could be written.", w->result == STORE_OK);
    metrics_one(j, "ollama_statsd_queued_frames", "gauge",
                "Frames received and not yet committed.",
                (double)w->queued_frames);
    metrics_one(j, "ollama_statsd_batches_total", "counter",
                "Transactions committed.", (double)w->batches);
    metrics_one(j, "ollama_statsd_malformed_frames_total", "counter",
                "Frames that did not hold what their type says.",
                (double)w->malformed);
    metrics_one(j, "ollama_statsd_lost_bodies_total", "counter",
                "Request bodies that could not be written.",
                (double)w->bodies_lost);
    metrics_one(j, "ollama_statsd_redacted_bodies_total", "counter",
                "Request bodies that something was taken out of.",
                (double)w->bodies_redacted);
    metrics_one(j, "ollama_statsd_withheld_bodies_total", "counter",
                "Request bodies not kept, since searching them took too long.",
                (double)w->bodies_withheld);
    metrics_one(j, "ollama_statsd_repeated_requests_total", "counter",
                "Records left out because their request had one already.",
                (double)w->repeated);
    metrics_one(j, "ollama_statsd_database_size_bytes", "gauge",
                "Size of the database, its WAL included.",
                (double)(w->store.bytes));
    metrics_one(j, "ollama_statsd_wal_size_bytes", "gauge",
                "Size of the database's WAL.", (double)w->store.unsettled);
    metrics_one(j, "ollama_statsd_bodies_size_bytes", "gauge",
                "Size of the bodies that are kept.",
                (double)w->store.body_bytes);
    metrics_one(j, "ollama_statsd_disk_free_bytes", "gauge",
                "Free space of the data folder's disk.", (double)w->disk_free);
}

static void daemon_itself(struct json *j, const struct state *state) {
    metrics_one(j, "ollama_statsd_frames_total", "counter", "Frames received.",
                (double)state->frames);
    metrics_one(j, "ollama_statsd_damaged_frames_total", "counter",
                "Frames skipped because of a wrong checksum or version.",
                (double)(state->damaged + state->foreign));
    metrics_one(j, "ollama_statsd_event_streams", "gauge",
                "Pages that listen to /events.", state->streams);
    metrics_one(j, "ollama_statsd_start_time_seconds", "gauge",
                "When the daemon was started.",
                (double)state->started / 1000.0);
    metrics_head(j, "ollama_statsd_build_info", "gauge",
                 "1, with the version of the daemon.");
    metrics_out(j, "ollama_statsd_build_info{version=\"%s\"} 1\n",
                STATSD_VERSION);
}

char *metrics_page(struct state *state, struct writer *writer, size_t *len) {
    struct writer_status w;
    struct json j = {0};

    writer_status(writer, &w);
    metrics_counters(&j, state);
    keys(&j, state);
    outbox(&j, state);
    store(&j, &w);
    problems_metrics(&j);
    daemon_itself(&j, state);
    metrics_process(&j);

    *len = j.len;
    return j.data;
}
