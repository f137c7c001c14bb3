/*
 * The ledger: all that lasts, behind one interface.
 *
 * db.c keeps it in one SQLite file, DIR/usage.db (WAL, synchronous
 * NORMAL).  Nothing else in the daemon knows SQL.
 *
 * What is kept
 *
 *     request        one row per request, newest = greatest id
 *     usage_minute   sums by minute for the whole, each key, model and client
 *     usage_hour     sums by hour for each (client, key, model)
 *     body           where to find a request's body (the bytes are in files)
 *     penalty        what is held against a key now; key_event is its history
 *     key            names of fingerprints
 *     instance       last number committed for each life of a proxy
 *     total          sums of everything ever seen
 *     given          the greatest id of a request whose row is gone
 *     began          the greatest id of the requests that began in a minute:
 *                    by this a time has a bound among the ids
 *
 * A request's (client, key, model) is a "series", a series with a status (and
 * a kind, see below) a "combo".  Rows hold the combo's id, and (combo, id) is
 * the only index on requests that is read: any filter is a set of combos, whose
 * newest rows are merged.  So an insert pays for one index, and a query for
 * what it shows.  A second one, (instance, rid), which grows at its end only,
 * keeps a request from being written twice.  A body is found by the same two,
 * so it does not matter which of the two came first, or whether both did.
 *
 * Two sides
 *
 *     The writing side belongs to one thread.  store_begin(), any number of
 *     store_request(), store_body(), ..., store_seq(), then store_commit():
 *     rows, sums and numbers appear together or not at all.  After an error
 *     call store_rollback(), later store_repair(), and give the same batch
 *     again.
 *
 *     The reading side is STORE_READERS readers, each of which belongs to one
 *     other thread at a time and never waits for the writer.  A read gives up
 *     after STORE_READ_MAX milliseconds, or when another thread says so.
 *
 * Errors are one of store_result; store_error() has the words of the last
 * one on that side.
 *
 * Bounds.  Names come from outside: from STORE_NAMES_FREE models (clients:
 * ten times as many) on, a new name gets an entry of its own only with an
 * answer that was no error, and from STORE_NAMES_MAX on never.  One client, by
 * its address (IPv6: /64), adds at most STORE_NAMES_DAY models on a day (UTC)
 * with errors, in 400 days less than there is room for, and STORE_NAMES_FINE
 * with good answers: these the cloud has.  Of names of clients, which are
 * anybody's invention, it is ten times STORE_NAMES_DAY in either case.  A name
 * without an entry is summed up as "(other)", and the request's row keeps it,
 * by which it is found.  Names go with the last row that uses them.
 */

#ifndef STATSD_STORE_H
#define STATSD_STORE_H

#include "../bodies/body_ref.h"

#include "../../ngx_ollama_module/core/record.h"

#include <stdint.h>

#define STORE_FILE       "usage.db"
#define STORE_SCHEMA     5
#define STORE_READERS    2
#define STORE_READ_MAX   2000
#define STORE_NAMES_FREE 1000
#define STORE_NAMES_MAX  20000
#define STORE_NAMES_DAY  40
#define STORE_NAMES_FINE 1000

enum store_result {
    STORE_OK = 0,
    STORE_FULL,     /* no space on the disk */
    STORE_READONLY, /* disk or file cannot be written */
    STORE_IO,       /* the disk answers with errors, or the file is gone */
    STORE_DAMAGED,  /* the file is no database any more */
    STORE_BUSY,     /* took too long, or somebody else holds a lock */
    STORE_NONE,     /* there is no such thing */
    STORE_AGAIN,    /* there is such a thing already: left out */
    STORE_ERROR     /* anything else */
};

struct store;
struct store_reader;

/* Opens or creates; a schema of an older version is brought up to date (and a
 * copy kept, backup.h), a newer one and a file of somebody else refused.
 * Of a damaged one, now or later, what can be read is saved into a new one
 * (salvage.h), and problems.h says so.  NULL with the reason in err,
 * worded for the person who started the daemon. */
struct store *store_open(const char *dir, char *err, size_t errlen);
void store_close(struct store *s);

const char *store_word(enum store_result r); /* "full", "read-only", ... */

struct store_counts {
    int64_t requests, errors;
    int64_t prompt, completion, cached;
    int64_t estimated; /* tokens of answers that were not counted exactly */
};

static inline void store_add(struct store_counts *to,
                             const struct store_counts *n) {
    to->requests += n->requests;
    to->errors += n->errors;
    to->prompt += n->prompt;
    to->completion += n->completion;
    to->cached += n->cached;
    to->estimated += n->estimated;
}

/* From any thread: the greatest id committed so far, and how often something
 * was. */
int64_t store_last_id(struct store *s);
uint64_t store_commits(struct store *s);

/* ---- the writing side ---- */

/* The time of day that counts (clock.h) and what the clock says, for what is
 * written from now on.  It is kept; store_time() is what it was at the last
 * commit of an earlier run, 0: there was none. */
void store_set_time(struct store *s, int64_t now, int64_t wall);
int64_t store_time(struct store *s);

enum store_result store_begin(struct store *s);
/* STORE_AGAIN for one that is there already, by its instance and id. */
enum store_result store_request(struct store *s, uint64_t instance,
                                const ollama_record_request_t *r);
/* Its bytes are on the disk already. */
enum store_result store_body(struct store *s, uint64_t instance,
                             const ollama_record_body_t *r,
                             const struct body_ref *ref);
enum store_result store_penalty(struct store *s,
                                const ollama_record_penalty_t *r);

/* Keys are told in rounds, by each proxy for itself: store_keys() after the
 * last key of a round takes those away from it that were not in it.  A key that
 * no proxy has keeps its name, but no position.  store_proxy() begins a round,
 * and says the name of the proxy that an instance is (of old ones, none). */
enum store_result store_proxy(struct store *s, uint64_t instance,
                              const ollama_text_t *name);
enum store_result store_key(struct store *s, uint64_t instance,
                            const ollama_record_key_t *r);
enum store_result store_keys(struct store *s, uint64_t instance);

/* The last number of an instance in this batch. */
enum store_result store_seq(struct store *s, uint64_t instance, uint64_t seq);

enum store_result store_commit(struct store *s);
void store_rollback(struct store *s);
enum store_result store_repair(struct store *s, enum store_result reason);
const char *store_error(const struct store *s);

/* Of all that was ever committed. */
void store_totals(const struct store *s, struct store_counts *n);

/* Where the last known body of each segment ends, for the start. */
typedef void store_segment_cb(void *arg, int64_t segment, int64_t end);
enum store_result store_segments(struct store *s, store_segment_cb *cb,
                                 void *arg);

/* Numbers committed by earlier runs, for the start. */
typedef void store_instance_cb(void *arg, uint64_t instance, uint64_t seq);
enum store_result store_instances(struct store *s, store_instance_cb *cb,
                                  void *arg);

/* A piece of retention: at most n rows or bodies that are older than the
 * given times (or, for bodies, more than bytes in all, oldest first).  *left
 * is set when more may be due.  Bodies go by segments, whose hour counts: cb is
 * told of those of which no row is left, after the commit, so that it can
 * remove them; and of single bodies that earlier versions kept. */
struct store_limits {
    int64_t rows_before, hours_before, bodies_before; /* time of day, ms */
    int64_t body_bytes;
    int64_t row_bytes; /* of usage.db: the oldest rows go above it, 0: none */
    int64_t segment;   /* this one and those before it must go, 0: none */
};
struct store_gone {
    int64_t segment; /* 0: a single body */
    uint64_t instance, id;
    int64_t time;
};
typedef void store_gone_cb(void *arg, const struct store_gone *gone);
enum store_result store_trim(struct store *s, const struct store_limits *l,
                             int n, int *left, store_gone_cb *cb, void *arg);

/* Writes the WAL back into the file when it has grown enough (or, with force,
 * as far as it goes). */
void store_checkpoint(struct store *s, int force);

/* For an idle time: all of the WAL that can be written back without waiting, so
 * that the file is the whole ledger.  0: somebody reads, try again later. */
int store_settle(struct store *s);

/* ---- the reading side ---- */

/* One of STORE_READERS, from 0 on. */
struct store_reader *store_reader(struct store *s, int n);

/* From any thread: what it reads is given up, and so is what it begins to read,
 * until stop is 0 again. */
void store_stop_reading(struct store_reader *rd, int stop);

const char *store_read_error(const struct store_reader *rd);

/* Called after each question, by who asked it, with how long the answer took in
 * microseconds. */
typedef void store_read_cb(void *arg, int64_t us);
void store_on_read(struct store *s, store_read_cb *cb, void *arg);

/* Sums by hour, newest first. */
struct store_hour {
    int64_t time;
    const char *client, *client_name, *key_name, *model;
    uint32_t key;  /* fingerprint, 0: none */
    int key_index; /* position in the configuration, -1: no longer there */
    struct store_counts n;
};
typedef void store_hour_cb(void *arg, const struct store_hour *row);
enum store_result store_hours(struct store_reader *rd, int64_t from, int64_t to,
                              int limit, store_hour_cb *cb, void *arg);

/* Sums by minute (or step minutes) of one kind, oldest first. */
enum store_kind { STORE_ALL, STORE_KEY, STORE_MODEL, STORE_CLIENT };
struct store_minute {
    int64_t time;
    const char *name; /* of key, model or client; client: its address */
    const char *more; /* client: its name */
    uint32_t key;     /* fingerprint, for STORE_KEY */
    struct store_counts n;
};
typedef void store_minute_cb(void *arg, const struct store_minute *row);
enum store_result store_minutes(struct store_reader *rd, enum store_kind kind,
                                int64_t from, int64_t to, int step,
                                store_minute_cb *cb, void *arg);

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
    int64_t before, after;      /* ids, 0: no bound */
    int64_t until;              /* a time by which they had ended, 0: any */
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
    int64_t queue, connect, first_token, total; /* -1: did not come to it */
    int64_t body_size, body_time;               /* -1: there is none */
    int body_truncated;
    struct body_ref body; /* no segment: in a file of its own */
};
typedef void store_row_cb(void *arg, const struct store_row *row);
enum store_result store_rows(struct store_reader *rd,
                             const struct store_query *q, store_row_cb *cb,
                             void *arg);
enum store_result store_row(struct store_reader *rd, int64_t id,
                            store_row_cb *cb, void *arg);

/* Names of keys, for labels and filters. */
struct store_key_name {
    uint32_t key;
    int index;
    const char *name, *account;
};
typedef void store_key_cb(void *arg, const struct store_key_name *k);
enum store_result store_key_names(struct store_reader *rd, store_key_cb *cb,
                                  void *arg);

/* What a new connection is told: usage since a minute, standing penalties. */
typedef void store_usage_cb(void *arg, uint32_t key, uint32_t minute,
                            uint64_t tokens);
enum store_result store_usage(struct store_reader *rd, uint32_t since,
                              store_usage_cb *cb, void *arg);
typedef void store_penalty_cb(void *arg, const ollama_record_penalty_t *p);
enum store_result store_penalties(struct store_reader *rd, int64_t now,
                                  store_penalty_cb *cb, void *arg);

/* The history of penalties, newest first. */
enum store_result store_events(struct store_reader *rd, int limit,
                               store_penalty_cb *cb, void *arg);

/* Reads next to nothing: does the ledger answer? */
enum store_result store_probe(struct store_reader *rd);

struct store_sizes {
    int64_t file, wal, bodies, body_count;
};
void store_sizes(struct store *s, struct store_sizes *z);

/* Every statement of the reading side, for a test that looks at its plan:
 * its text, or NULL behind the last one. */
const char *store_statement(int n, const char **name);

#endif
