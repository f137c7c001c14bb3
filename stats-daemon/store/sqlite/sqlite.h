/*
 * What the parts of the SQLite store share:
 *
 *     db.c          opens, repairs, begins, commits; sizes
 *     schema.c      the tables, and how they came to be; statements.c
 *     write.c       what a batch adds: requests, bodies, keys, sums
 *     names.c       names, and names_trim.c, how they go
 *     trim.c        takes away what is too old or too much; size.c
 *     read.c        answers; requests.c, what is asked of requests
 *     damage.c      looks at a file before it is opened, and puts a new one
 * into a damaged one's place; file.c head.c aside.c salvage.c backup.c copies
 *
 * A connection for the writing side, and one for each reader.  A reader's lock
 * is held while it reads for one reason only: the writer replaces all of them
 * when it has to move a damaged file away.
 */

#ifndef STATSD_STORE_SQLITE_H
#define STATSD_STORE_SQLITE_H

#include "../../base/map.h"
#include "../store.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

enum read_statement {
    READ_HOURS,
    READ_MINUTES,
    READ_KEY_NAME,
    READ_MODEL_NAME,
    READ_CLIENT_NAME,
    READ_ROWS,
    READ_ROW,
    READ_ENDED,
    READ_BEGAN,
    READ_COMBO_MODEL,
    READ_COMBO_CLIENT,
    READ_COMBO_KEY,
    READ_COMBO_ANY,
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
    READ_STATEMENTS
};

enum write_statement {
    WRITE_REQUEST,
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
    WRITE_TOTAL,
    WRITE_COMBO_LAST,
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
    ONE_SERIES,
    ONE_HOUR,
    TRIM_SERIES,
    TRIM_CLIENT,
    TRIM_MODEL,
    TRIM_KEYS,
    OLD_REQUESTS,
    OLD_EVENTS,
    TRIM_REQUESTS,
    TRIM_MINUTES,
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

struct store_reader {
    struct store *store;
    pthread_mutex_t lock;
    sqlite3 *db;
    sqlite3_stmt *st[READ_STATEMENTS];
    int64_t deadline, began; /* ms; us */
    _Atomic int stopped;
    char error[256];
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

struct store {
    char *dir, *path;

    /* the writing side */
    sqlite3 *db;
    sqlite3_stmt *write[WRITE_STATEMENTS];
    struct map *profiles;  /* (client, key, model, status) -> struct profile */
    struct map *cells;     /* (minute, profile) -> counts, of this batch */
    struct map *instances; /* value -> small id */
    int64_t next_id;       /* of requests */
    struct store_names names, names_kept; /* how many; of the last commit */
    struct map *allowed; /* address -> what it has added today */
    int64_t today;
    int64_t sweep, swept; /* the next series to look at; when all were */
    int keys_due;         /* something that held a key may have gone */
    int64_t page_size;    /* 0: not asked yet */
    int shrinks, shrunk;  /* it can; it has, but for what is in the -wal */
    int64_t settled;      /* when the -wal was written back for that */
    int64_t body_bytes, body_count;
    int64_t batch_body_bytes, batch_body_count;
    struct map *segments; /* of this batch: number -> bodies, bytes, end */
    struct store_counts batch_total;
    struct map *proxies; /* instance -> struct proxy */
    int64_t last_round;
    int64_t now;    /* the time of day that counts */
    int64_t behind; /* how far the clock is behind it, 0 when it is ahead */
    int64_t time_written;
    struct store_head requests, events;
    int wal_pages;
    int64_t checked; /* when damage was looked for and not found, monotonic */
    char error[256];

    struct store_counts total; /* of all batches */

    struct store_reader readers[STORE_READERS];
    store_read_cb *on_read;
    void *on_read_arg;

    _Atomic uint64_t commits;
    _Atomic int64_t last_id; /* committed */
    _Atomic int damaged;     /* the reader has met a damaged page */
};

enum store_result store_result_of(int sqlite_code);

/* Statements of the writing side, by enum write_statement. */
extern const char *const store_write_sql[WRITE_STATEMENTS];

/* The one number that a statement gives, 0 if there is none. */
int64_t store_number(sqlite3 *db, const char *sql, int *code);

/* The writing side: notes an error; runs a statement that gives no rows; runs
 * SQL; finds an id, or adds a row (both statements have the same parameters).
 */
enum store_result store_failed(struct store *s, int code);
enum store_result store_run(struct store *s, sqlite3_stmt *st);
enum store_result store_exec(struct store *s, const char *sql);
enum store_result store_find_or_add(struct store *s, int find, int add,
                                    int64_t *id, int *added);

/* Not by each commit: that would be one more page. */
enum store_result store_write_time(struct store *s, int64_t every);

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

enum store_result store_open_both(struct store *s, char *err, size_t len);
enum store_result store_migrate(struct store *s, char *err, size_t len);
void store_close_writer(struct store *s);

/* The start: whose file is it, is it whole?  Then it is open. */
enum store_result store_open_first(struct store *s, char *err, size_t len);
/* After an error that says damage.  STORE_AGAIN: none is found, open anew. */
enum store_result store_mend(struct store *s);

void store_readers_init(struct store *s);
void store_readers_free(struct store *s);
/* Waits until nobody reads, and lets nobody read until they are open, or
 * store_readers_go_on() is called. */
void store_readers_close(struct store *s);
enum store_result store_readers_open(struct store *s, char *err, size_t len);
void store_readers_go_on(struct store *s);

/* For store_totals(), at the start. */
enum store_result store_read_total(struct store_reader *rd,
                                   struct store_counts *n);

/* A read is between these two, with the lock held. */
enum store_result store_read_begin(struct store_reader *rd);
enum store_result store_read_end(struct store_reader *rd, enum store_result r);

/* What a statement's last step meant; the statement is ready again. */
enum store_result store_read_done(struct store_reader *rd, sqlite3_stmt *st,
                                  int code);

static inline const char *text(sqlite3_stmt *st, int n) {
    return (const char *)sqlite3_column_text(st, n);
}

static inline int64_t number(sqlite3_stmt *st, int n) {
    return sqlite3_column_int64(st, n);
}

static inline int64_t or_minus(sqlite3_stmt *st, int n) {
    return sqlite3_column_type(st, n) == SQLITE_NULL ? -1 : number(st, n);
}

#endif
