/*
 * What the ledger is made of: plain types, known to those who write it, keep it
 * and ask it.
 *
 * A batch is a list of entries, in the order in which they came; what a
 * question is answered with is one row after the other.  Times of day are
 * milliseconds since 1970 unless a name says minute.  Texts belong to whoever
 * gives them, for the time of the call.
 */

#ifndef STATSD_LEDGER_H
#define STATSD_LEDGER_H

#include "../bodies/body_ref.h"

#include "../../ngx_ollama_module/core/record.h"

#include <stdint.h>

struct store_counts {
    int64_t requests, errors;
    int64_t prompt, completion, cached;
    int64_t estimated; /* tokens of answers that were not counted exactly */
    int64_t cost;      /* nano-dollars .. */
    int64_t priced;    /* .. of so many tokens: the others have no price */
};

static inline int64_t store_unpriced(const struct store_counts *n) {
    return n->prompt + n->completion - n->priced;
}

static inline void store_add(struct store_counts *to,
                             const struct store_counts *n) {
    to->requests += n->requests;
    to->errors += n->errors;
    to->prompt += n->prompt;
    to->completion += n->completion;
    to->cached += n->cached;
    to->estimated += n->estimated;
    to->cost += n->cost;
    to->priced += n->priced;
}

static inline void store_subtract(struct store_counts *from,
                                  const struct store_counts *n) {
    from->requests -= n->requests;
    from->errors -= n->errors;
    from->prompt -= n->prompt;
    from->completion -= n->completion;
    from->cached -= n->cached;
    from->estimated -= n->estimated;
    from->cost -= n->cost;
    from->priced -= n->priced;
}

/* ---- what is written ---- */

enum ledger_entry_kind {
    LEDGER_REQUEST,
    LEDGER_BODY,    /* its bytes are on the disk already */
    LEDGER_PENALTY, /* what is held against a key; until 0: nothing more */
    LEDGER_PROXY,   /* an instance's name; it begins a round of keys */
    LEDGER_KEY,     /* one key of a round .. */
    LEDGER_KEYS,   /* .. and its end: keys that were not in it left the proxy */
    LEDGER_NOTHING /* but its number is dealt with */
};

/* An entry has a number of its instance, which grows, or 0. */
struct ledger_entry {
    enum ledger_entry_kind kind;
    uint64_t instance, seq;
    union {
        const ollama_record_request_t *request;
        struct {
            const ollama_record_body_t *is;
            const struct body_ref *ref;
        } body;
        const ollama_record_penalty_t *penalty;
        const ollama_text_t *proxy;
        const ollama_record_key_t *key;
    } of;
};

/*
 * next() gives an entry, or 0 behind the last one: the store pulls, so that
 * nothing is held twice.  done() hears what became of each: again says that it
 * was there before.  The numbers of bodies, which come last, may be less than
 * those before them.
 */
struct ledger_batch {
    int64_t now, wall; /* the time of day that counts (clock.h); the clock's */
    int (*next)(void *arg, struct ledger_entry *e);
    void (*done)(void *arg, const struct ledger_entry *e, int again);
    void *arg;
};

/* What is too old or too much. */
struct store_limits {
    int64_t now, wall;
    int64_t rows_before, bodies_before;
    /* sums, and how times are spread: a coarser level never later than a finer
     * one; cube: sums of series by hour.  INT64_MIN: they stay */
    int64_t minutes_before, tens_before, hours_before, days_before, cube_before;
    int64_t body_bytes; /* the oldest go above it */
    int64_t row_bytes;  /* of what the store uses, likewise; 0: no bound */
    int64_t segment;    /* this one and those before it must go, 0: none */
};

/* A body, or all of a segment, of which no row is left. */
struct store_gone {
    int64_t segment; /* 0: a single body, as earlier versions kept them */
    uint64_t instance, id;
    int64_t time;
};

/* ---- what is answered ---- */

/* Sums by hour, newest first. */
struct store_hour {
    int64_t time;
    const char *client, *client_name, *key_name, *model;
    uint32_t key;  /* fingerprint, 0: none */
    int key_index; /* position in the configuration, -1: no longer there */
    struct store_counts n;
};
typedef void store_hour_cb(void *arg, const struct store_hour *row);

/* Sums of one kind in steps of so many minutes, oldest first; step 0: of all
 * the time, as one.  They are exact to the minute as long as there are sums by
 * minute of that time; then whole units of what there is count to the step in
 * which they begin, also the one in which "from" lies. */
enum store_kind { STORE_ALL, STORE_KEY, STORE_MODEL, STORE_CLIENT };
struct store_minute {
    int64_t time;
    const char *name; /* of key, model or client; client: its address */
    const char *more; /* client: its name */
    uint32_t key;     /* fingerprint, for STORE_KEY */
    int key_index;    /* position, as above */
    int64_t ref;      /* the name's number, by which it can be asked for */
    struct store_counts n;
};
typedef void store_minute_cb(void *arg, const struct store_minute *row);

/* A place among the requests, in the order in which they became visible.  id 0:
 * none.  ended 0: not known, the id finds it. */
struct ledger_cursor {
    int64_t ended, id;
};

/* Requests.  A request is of one of eight kinds, by how it ended and whether
 * it was tried more than once; kinds are asked for as a set of bits, 1 << kind.
 */
#define STORE_KIND_BROKEN  1 /* cut off by whomever, or an error inside */
#define STORE_KIND_GONE    2 /* the client hung up */
#define STORE_KIND_RETRIED 4
#define STORE_KINDS_ANY    0xff

struct store_query {
    /* NULL: any; client: address or name, key: name or fingerprint */
    const char *client, *model, *key;
    int status_min, status_max; /* 0: any */
    int kinds;                  /* of those with such a status; 0: any */
    int also;                   /* with any status; 0: none */
    struct ledger_cursor before, after, upto; /* upto itself is in it */
    int64_t until; /* a time by which they had ended, 0: any */
    int limit, offset;
};
struct store_row {
    int64_t id, time;
    uint64_t instance, rid;
    const char *client, *client_name, *key_name, *model, *model_answered;
    const char *method, *endpoint, *attempts, *upstream_id, *user_agent,
        *reason;
    uint32_t key;
    int key_index;
    int status, certainty, end, streamed;
    int prompt_certainty, completion_certainty; /* certainty: the weaker */
    int attempts_all; /* of which the first and the last are in attempts */
    int64_t prompt, completion, cached, bytes_in, bytes_out;
    int64_t cost; /* nano-dollars, -1: its model had no price */
    int affinity; /* ollama_affinity_e */
    int64_t queue, connect, first_token, total; /* -1: did not come to it */
    int64_t body_size, body_time;               /* -1: there is none */
    int body_truncated;
    struct body_ref body; /* no segment: in a file of its own */
};
typedef void store_row_cb(void *arg, const struct store_row *row);

/* Names of keys, for labels and filters. */
struct store_key_name {
    uint32_t key;
    int index;
    const char *name, *account;
};
typedef void store_key_cb(void *arg, const struct store_key_name *k);

/* What a key was used for in a minute (since 1970). */
typedef void store_usage_cb(void *arg, uint32_t key,
                            const ollama_record_minute_t *minute);
typedef void store_penalty_cb(void *arg, const ollama_record_penalty_t *p);

/* A penalty of the past, with what the key had used when it came, since its
 * window had begun (-1: not known, or none came but went). */
struct store_event {
    ollama_record_penalty_t penalty;
    int64_t used_from, used_tokens, used_requests;
};
typedef void store_event_cb(void *arg, const struct store_event *e);

/* Turns of conversations (affinity.h) of a model in a window, those that were
 * kept, or moved, or new; only such as were answered well and counted exactly.
 * A share is cached / prompt of one turn, in 1/10000. */
struct store_turns {
    const char *model; /* one that is gone: "(other)" */
    int affinity;      /* ollama_affinity_e */
    int64_t turns, prompt, cached;
    int64_t shares, squares; /* sums of shares, and of their squares */
    int64_t could, saved; /* nano-dollars that the cache could save, if it had
                           * all of the prompts, and has */
};
typedef void store_turns_cb(void *arg, const struct store_turns *row);

/* How times are spread, and why requests failed (spread.h, cause.h), of one
 * kind (not clients) in a window: oldest first, a row for each name and minute,
 * or ten of them, hour, day: none is longer than a step of so many minutes (0:
 * the window is one), as long as there are such.  Of a window what is older
 * than that is told by those in which its beginning lies.  A name that is gone
 * is "(other)". */
struct store_spread {
    int64_t time;
    const char *name;   /* of key or model */
    uint32_t key;       /* fingerprint, for STORE_KEY */
    const void *packed; /* spread.h */
    size_t len;
};
typedef void store_spread_cb(void *arg, const struct store_spread *row);

#endif
