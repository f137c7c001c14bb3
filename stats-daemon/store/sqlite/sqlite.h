/*
 * What the parts of the SQLite store share:
 *
 *     type.c        the table of operations (../store.h); batch.c, one of them
 *     db.c          opens, repairs, begins, rolls back; status
 *     schema.c      the tables, and how they came to be; statements.c
 *     write.c       what a batch adds: requests, bodies, keys, sums; commits
 *     names.c       names, and names_trim.c, how they go
 *     spread.c      how times are spread, and causes of errors; used.c, what
 *                   a window had used when a penalty came
 *     turns.c       turns of conversations
 *     rollup.c      sums by more than a minute; levels.c, which of them answers
 *     trim.c        takes away what is too old or too much; size.c
 *     read.c        answers; sums.c, of sums; requests.c, what is asked of
 *                   requests, and fitting.c, which of them fit a filter
 *     damage.c      looks at a file before it is opened, and puts a new one
 *                   into a damaged one's place; file.c head.c aside.c
 *                   salvage.c; backup.c copies
 *
 * What is kept
 *
 *     request        one row per request, newest = greatest id
 *     other_name     .. and its names that are summed up as "(other)"
 *     usage_minute   sums by minute for the whole, each key, model and client
 *     usage_sum      the same by ten minutes, hour and day; usage_bound, from
 *                    when on each of these is whole
 *     usage_hour     sums by hour for each (client, key, model)
 *     usage_spread   how times are spread, and causes of errors, by all four
 *     turn           turns of conversations, by hour and model
 *     body           where a request's body is; segment, where those of an hour
 *                    end
 *     penalty        what is held against a key now; key_event is its history
 *     key            names of fingerprints; key_place, where each proxy has it
 *     instance       last number committed for each life of a proxy
 *     total          sums of everything ever seen
 *     given          the greatest id of a request whose row is gone
 *     began          the greatest id of the requests that began in a minute:
 *                    by this a time has a bound among the ids
 *
 * A request's (client, key, model) is a "series", a series with a status and
 * kind a "combo".  Rows hold the combo's id, and (combo, id) is the only index
 * on requests that is read.  So an insert pays for one index, and a query for
 * what it shows.  A second one, (instance, rid), which grows at its end only,
 * keeps a request from being written twice.  A body is found by the same two,
 * so it does not matter which of the two came first, or whether both did.
 *
 * A connection for the writing side, and one for each reader.  A reader's lock
 * is held while it reads for one reason only: the writer replaces all of them
 * when it has to move a damaged file away.
 */

#ifndef STATSD_STORE_SQLITE_H
#define STATSD_STORE_SQLITE_H

#include "../../base/map.h"
#include "../question.h"
#include "levels.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

#define STORE_SCHEMA 6

enum read_statement {
    READ_HOURS,
    READ_MINUTES,
    READ_SUMS,
    READ_MINUTE_OF,
    READ_SUM_OF,
    READ_BOUNDS,
    READ_KEY_NAME,
    READ_MODEL_NAME,
    READ_CLIENT_NAME,
    READ_ROWS,
    READ_ROW,
    READ_ENDED,
    READ_BEGAN,
    READ_FITTING,
    READ_ENDED_BEFORE,
    READ_COMBO_CLIENT,
    READ_COMBO_MODEL,
    READ_COMBO_MODEL_KEY,
    READ_COMBO_KEY,
    READ_COMBO_STATUS,
    READ_STATUS,
    READ_COMBO_ROWS,
    READ_COMBO_ENDED,
    READ_OTHER_MODEL,
    READ_OTHER_CLIENT,
    READ_OTHER_CLIENT_NAME,
    READ_KEYS,
    READ_USAGE,
    READ_PENALTIES,
    READ_EVENTS,
    READ_TOTALS,
    READ_SPREADS,
    READ_SPREAD_FIRST,
    READ_TURNS,
    READ_STATEMENTS
};

enum write_statement {
    WRITE_REQUEST,
    WRITE_OTHER,
    WRITE_BODY,
    WRITE_SEGMENT,
    WRITE_PENALTY,
    WRITE_PENALTY_GONE,
    WRITE_EVENT,
    WRITE_KEY,
    WRITE_KEYS,
    WRITE_PLACE,
    TRIM_PLACES,
    WRITE_SEQ,
    WRITE_MINUTE,
    WRITE_HOUR,
    WRITE_SUM,
    WRITE_BOUND,
    WRITE_TOTAL,
    ROLL_MINUTES,
    ROLL_TEN,
    FIND_BOUNDS,
    FIND_NEWEST,
    FIND_UNROLLED,
    WRITE_COMBO_LAST,
    FIND_SEQ,
    FIND_INSTANCE,
    ADD_INSTANCE,
    FIND_KEY,
    ADD_KEY,
    FIND_MODEL,
    ADD_MODEL,
    FIND_CLIENT,
    ADD_CLIENT,
    FIND_SERIES,
    ADD_SERIES,
    FIND_COMBO,
    ADD_COMBO,
    WRITE_DAY,
    OLD_COMBOS,
    TRIM_COMBO,
    SOME_SERIES,
    SOME_MODELS,
    SOME_CLIENTS,
    ONE_SERIES,
    ONE_HOUR,
    ONE_MODEL,
    ONE_CLIENT,
    ONE_SUM,
    FOLD_DAYS,
    TRIM_DAYS,
    TRIM_SERIES,
    TRIM_CLIENT,
    TRIM_MODEL,
    TRIM_KEYS,
    OLD_REQUESTS,
    OLD_EVENTS,
    TRIM_REQUESTS,
    OLD_MINUTE,
    OLD_SUM,
    OLD_SUMS,
    TRIM_OTHERS,
    TRIM_MINUTES,
    TRIM_SUMS,
    TRIM_SUM,
    OLD_HOURS,
    TRIM_HOURS,
    TRIM_EVENTS,
    TRIM_PENALTIES,
    TRIM_INSTANCES,
    TRIM_BODY_FIND,
    TRIM_BODY,
    TRIM_SEGMENT_FIND,
    TRIM_SEGMENT_ROWS,
    TRIM_SEGMENT_LESS,
    TRIM_SEGMENT,
    WRITE_GIVEN,
    WRITE_BEGAN,
    TRIM_BEGAN,
    FIND_TIME,
    WRITE_TIME,
    WRITE_SPREAD,
    TRIM_SPREAD,
    FIND_SPREAD,
    FIND_SPREAD_FIRST,
    WRITE_EVENT_USED,
    WRITE_PENALTY_USED,
    WRITE_TURN,
    TRIM_TURNS,
    WRITE_STATEMENTS
};

/* Where retention has come to in a table whose rows were added in the order of
 * their ids. */
struct store_head {
    int64_t future; /* up to this one they are of a time to come */
    int64_t old;    /* this one is old, so those before it are */
};

/* Who tells keys. */
struct proxy {
    char name[65];
    int64_t round; /* 0: none has begun */
};

struct sqlite_reader {
    struct store_reader head;
    struct sqlite *store;
    pthread_mutex_t lock;
    sqlite3 *db;
    sqlite3_stmt *st[READ_STATEMENTS];
    int64_t deadline; /* ms */
    _Atomic int stopped;
};

struct store_names {
    int64_t models, clients;
};

/* One (client, key, model, status and kind), with the ids it has in the tables.
 */
struct profile {
    int64_t client, key, model, series;
    int64_t combo; /* 0: gone from the tables, to be found again */
    int64_t last;  /* greatest id of this batch, 0: none */
    int64_t day;   /* up to which its series is known to have one */
    int client_other, model_other;
};

struct cell_key {
    int64_t minute;
    struct profile *profile;
};

/* What a batch adds to a segment. */
struct segment_sum {
    int64_t bodies, bytes, end;
};

struct sqlite {
    struct store head;
    char *path;

    /* the writing side */
    sqlite3 *db;
    sqlite3_stmt *write[WRITE_STATEMENTS];
    struct map *profiles;  /* (client, key, model, status) -> struct profile */
    struct map *cells;     /* (minute, profile) -> counts, of this batch */
    struct map *turns;     /* .. and of its turns of conversations: turns.h */
    struct map *instances; /* value -> small id */
    struct map *numbers;   /* instance -> its last ones, see batch.c */
    int64_t next_id;       /* of requests */
    struct level_bounds bounds, bounds_kept; /* of sums; of the last commit */
    int64_t newest;                          /* minute that was written */
    int64_t too_old[LEVELS]; /* minutes before it, said by retention */
    struct store_names names, names_kept; /* how many; of the last commit */
    struct map *allowed; /* address -> what it has added today */
    int64_t today;
    int sweeping;         /* enum names_sweep */
    int64_t sweep, swept; /* the next one to look at; when all were */
    int keys_due;         /* something that held a key may have gone */
    int64_t page_size;    /* 0: not asked yet */
    int shrinks, shrunk;  /* it can; it has, but for what is in the -wal */
    int64_t settled;      /* when the -wal was written back for that */
    int64_t body_bytes, body_count;
    int64_t batch_body_bytes, batch_body_count;
    struct store_spreads *spreads; /* of this batch, spread.h */
    struct store_used *used;       /* .. used.h */
    struct map *segments; /* of this batch: number -> bodies, bytes, end */
    struct store_counts batch_total;
    struct map *proxies; /* instance -> struct proxy */
    int64_t last_round;
    int64_t now;    /* the time of day that counts */
    int64_t behind; /* how far the clock is behind it, 0 when it is ahead */
    int64_t time_written, time_then; /* when it was opened */
    struct store_head requests, events;
    int wal_pages;
    int64_t checked; /* when damage was looked for and not found, monotonic */
    int settled_all; /* since the last batch, all of the -wal was written back
                      */
    int wal_large;   /* that was said */

    struct store_counts total; /* of all batches */

    struct sqlite_reader readers[STORE_READERS];

    _Atomic uint64_t commits;
    _Atomic int64_t last_id; /* committed */
    _Atomic int damaged;     /* the reader has met a damaged page */
};

/* What an error can mean here and nowhere else. */
#define SQLITE_STORE_DAMAGED ((enum store_result)STORE_OWN) /* no database */
#define SQLITE_STORE_AGAIN                            \
    ((enum store_result)(STORE_OWN + 1)) /* was there \
                                          */

enum store_result sqlite_result_of(int sqlite_code);

/* Statements of the writing side, by enum write_statement. */
extern const char *const store_write_sql[WRITE_STATEMENTS];

/* The one number that a statement gives, 0 if there is none. */
int64_t sqlite_number(sqlite3 *db, const char *sql, int *code);

/* The writing side: notes an error; runs a statement that gives no rows; runs
 * SQL; finds an id, or adds a row (both statements have the same parameters).
 */
enum store_result sqlite_failed(struct sqlite *s, int code);
enum store_result sqlite_run(struct sqlite *s, sqlite3_stmt *st);
enum store_result sqlite_exec(struct sqlite *s, const char *sql);
enum store_result sqlite_find_or_add(struct sqlite *s, int find, int add,
                                     int64_t *id, int *added);

/* Not by each commit: that would be one more page. */
enum store_result sqlite_write_time(struct sqlite *s, int64_t every);

static inline void bind_text(sqlite3_stmt *st, int n, const ollama_text_t *t) {
    sqlite3_bind_text(st, n, t->len ? (const char *)t->data : "", (int)t->len,
                      SQLITE_STATIC);
}

static inline void bind_maybe(sqlite3_stmt *st, int n, const ollama_text_t *t) {
    if (t->len)
        bind_text(st, n, t);
    else
        sqlite3_bind_null(st, n);
}

/* ---- the table of operations (type.c) ---- */

struct sqlite *sqlite_open(const struct store_type *type, const char *path,
                           char *err, size_t errlen);
void sqlite_close(struct sqlite *s);

/* The time of day that counts (clock.h) and what the clock says, for what is
 * written from now on.  It is kept; sqlite_time() is what it was at the last
 * commit of an earlier run, 0: there was none. */
void sqlite_set_time(struct sqlite *s, int64_t now, int64_t wall);
int64_t sqlite_time(struct sqlite *s);

/* After an error of one of the first two, which have rolled back: a look at
 * what is the matter, and mending. */
enum store_result sqlite_write(struct sqlite *s, const struct ledger_batch *b);
enum store_result sqlite_trim(struct sqlite *s, const struct store_limits *l,
                              int n, int *left, store_gone_cb *cb, void *arg);
enum store_result sqlite_repair(struct sqlite *s, enum store_result reason);

/* Writes the WAL back into the file when it has grown enough (or, with force,
 * as far as it goes). */
void sqlite_checkpoint(struct sqlite *s, int force);
/* For an idle time: all of the WAL that can be written back without waiting, so
 * that the file is the whole ledger.  0: somebody reads, try again later. */
int sqlite_settle(struct sqlite *s);
void sqlite_status(struct sqlite *s, struct store_status *status);
enum store_result sqlite_instances(struct sqlite *s, store_instance_cb *cb,
                                   void *arg);
enum store_result sqlite_segments(struct sqlite *s, store_segment_cb *cb,
                                  void *arg);
enum store_result sqlite_ask(struct sqlite_reader *rd,
                             const struct store_question *q);

/* ---- what a batch consists of ---- */

enum store_result sqlite_begin(struct sqlite *s);
/* SQLITE_STORE_AGAIN for one that is there already, by its instance and id. */
enum store_result sqlite_request(struct sqlite *s, uint64_t instance,
                                 const ollama_record_request_t *r);
enum store_result sqlite_body(struct sqlite *s, uint64_t instance,
                              const ollama_record_body_t *r,
                              const struct body_ref *ref);
enum store_result sqlite_penalty(struct sqlite *s, uint64_t instance,
                                 const ollama_record_penalty_t *r);
/* Keys are told in rounds: sqlite_proxy() begins one, and says the name of the
 * proxy that an instance is (of old ones, none); sqlite_keys() ends it. */
enum store_result sqlite_proxy(struct sqlite *s, uint64_t instance,
                               const ollama_text_t *name);
enum store_result sqlite_key(struct sqlite *s, uint64_t instance,
                             const ollama_record_key_t *r);
enum store_result sqlite_keys(struct sqlite *s, uint64_t instance);
/* The last number of an instance in this batch. */
enum store_result sqlite_seq(struct sqlite *s, uint64_t instance, uint64_t seq);
enum store_result sqlite_commit(struct sqlite *s);
void sqlite_rollback(struct sqlite *s);

/* ---- the connections ---- */

enum store_result sqlite_open_both(struct sqlite *s, char *err, size_t len);
enum store_result sqlite_migrate(struct sqlite *s, char *err, size_t len);
void sqlite_close_writer(struct sqlite *s);

/* The start: whose file is it, is it whole?  Then it is open. */
enum store_result sqlite_open_first(struct sqlite *s, char *err, size_t len);
/* After an error that says damage.  SQLITE_STORE_AGAIN: none is found, open
 * anew. */
enum store_result sqlite_mend(struct sqlite *s);

void sqlite_readers_init(struct sqlite *s);
void sqlite_readers_free(struct sqlite *s);
/* Waits until nobody reads, and lets nobody read until they are open, or
 * sqlite_readers_go_on() is called. */
void sqlite_readers_close(struct sqlite *s);
enum store_result sqlite_readers_open(struct sqlite *s, char *err, size_t len);
void sqlite_readers_go_on(struct sqlite *s);

/* ---- answers ---- */

enum store_result sqlite_hours(struct sqlite_reader *rd, int64_t from,
                               int64_t to, int limit, store_hour_cb *cb,
                               void *arg);
enum store_result sqlite_minutes(struct sqlite_reader *rd,
                                 const struct store_question *question);
enum store_result sqlite_rows(struct sqlite_reader *rd,
                              const struct store_query *query, store_row_cb *cb,
                              void *arg);
enum store_result sqlite_row(struct sqlite_reader *rd, int64_t id,
                             store_row_cb *cb, void *arg);

/* For the totals, at the start. */
enum store_result sqlite_read_total(struct sqlite_reader *rd,
                                    struct store_counts *n);

/* What a statement's last step meant; the statement is ready again. */
enum store_result sqlite_read_done(struct sqlite_reader *rd, sqlite3_stmt *st,
                                   int code);

static inline const char *text(sqlite3_stmt *st, int n) {
    return (const char *)sqlite3_column_text(st, n);
}

static inline int64_t number(sqlite3_stmt *st, int n) {
    return sqlite3_column_int64(st, n);
}

static inline void sqlite_counts_of(sqlite3_stmt *st, int n,
                                    struct store_counts *c) {
    c->requests = number(st, n);
    c->errors = number(st, n + 1);
    c->prompt = number(st, n + 2);
    c->completion = number(st, n + 3);
    c->cached = number(st, n + 4);
    c->estimated = number(st, n + 5);
    c->cost = number(st, n + 6);
    c->priced = number(st, n + 7);
}

static inline int64_t or_minus(sqlite3_stmt *st, int n) {
    return sqlite3_column_type(st, n) == SQLITE_NULL ? -1 : number(st, n);
}

#endif
