/*
 * Where the ledger is kept: a table of operations, chosen by URL.
 *
 *     sqlite:data/usage.db       one file on this host (store/sqlite)
 *
 * What every store promises, and t/unit/test_store.c asks of each
 *
 *     write() is all or nothing.  When it returns STORE_OK, the batch outlasts
 *     whatever comes, and all who ask from then on see it.  When it does not,
 *     nothing of the batch is seen, or (a store over a network may not know)
 *     all of it; either way the same batch is given again, and a store must
 *     rule out doubling by itself: an entry whose number is not greater than
 *     the last one committed of its instance is there already, and so is a
 *     request with the instance and id of another.  The last number of each
 *     instance is part of the batch.
 *
 *     Sums, totals and rows of a batch appear together.  Rows have ids that
 *     grow and are never given again.  horizon() is a cursor below which
 *     nothing appears any more: who has seen the rows up to it asks for those
 *     after it next time, and misses none.
 *
 *     Penalties of a key and model are merged by the later end when several
 *     proxies tell them; the one that stands its own proxy may shorten, and any
 *     may take away: the key works again for all.  A key is told by each proxy
 *     for itself, and keeps its name when none has it any more.  Bodies are not
 *     kept here, but where they are (bodies/), by reference.
 *
 *     A store that was in trouble mends itself as far as it can, while it is
 *     called again.  Only then may write() and trim() say STORE_RETRY: the
 *     trouble is over, give it again.
 *
 * Who calls
 *
 *     write(), trim(), tick() and status() are the writer's, one thread's.
 *     ask() is one of STORE_READERS readers', each of which belongs to one
 *     other thread at a time and never waits for the writer; it gives up after
 *     STORE_READ_MAX milliseconds, or when interrupted from any thread.
 *     commits() and horizon() are anybody's and cost nothing.
 *
 * Bounds.  Names come from outside: from STORE_NAMES_FREE models (clients:
 * ten times as many) on, a new name gets an entry of its own only with an
 * answer that was no error, and from STORE_NAMES_MAX on never.  One client, by
 * its address (IPv6: /64), adds at most STORE_NAMES_DAY models on a day (UTC)
 * with errors, in 400 days less than there is room for, and STORE_NAMES_FINE
 * with good answers: these the cloud has.  Of names of clients, which are
 * anybody's invention, it is ten times STORE_NAMES_DAY in either case.  A name
 * without an entry is summed up as "(other)", and the request's row keeps it,
 * by which it is found.  Names go with the last row that uses them; those of
 * models and clients when only sums by day are left, which are "(other)"'s
 * then.
 */

#ifndef STATSD_STORE_H
#define STATSD_STORE_H

#include "../ledger/ledger.h"

#include <stddef.h>

#define STORE_READERS    2
#define STORE_READ_MAX   2000
#define STORE_NAMES_FREE 1000
#define STORE_NAMES_MAX  20000
#define STORE_NAMES_DAY  40
#define STORE_NAMES_FINE 1000

enum store_result {
    STORE_OK = 0,
    STORE_FULL,     /* there is no room */
    STORE_READONLY, /* it cannot be written */
    STORE_IO,       /* it does not answer, or with errors */
    STORE_BUSY,     /* took too long, or was interrupted */
    STORE_NONE,     /* there is no such thing */
    STORE_RETRY,    /* it was in trouble and is not any more */
    STORE_ERROR,    /* anything else: maybe the entry's own fault */
    STORE_OWN       /* from here on a store's own, which nobody else sees */
};

const char *store_word(enum store_result r); /* "full", "read-only", ... */

struct store_question;
struct store_status;
typedef void store_gone_cb(void *arg, const struct store_gone *gone);
typedef void store_instance_cb(void *arg, uint64_t instance, uint64_t seq);
typedef void store_segment_cb(void *arg, int64_t segment, int64_t end);
typedef void store_read_cb(void *arg, int64_t us);

/* A store's own struct begins with this. */
struct store {
    const struct store_type *type;
    char error[256]; /* words of the writing side's last error */
    store_read_cb *on_read;
    void *on_read_arg;
};
struct store_reader {
    struct store *store;
    char error[256]; /* likewise, of this reader */
};

struct store_type {
    const char *scheme;

    /* Opens or creates what is behind "scheme:", bringing that of an older
     * version up to date.  NULL with the reason in err, worded for the person
     * who started the daemon. */
    struct store *(*open)(const char *where, char *err, size_t errlen);
    void (*close)(struct store *s);

    enum store_result (*write)(struct store *s, const struct ledger_batch *b);

    /* At most about n rows or bodies that are past the limits; *left is set
     * when more may be due.  cb hears of bodies that can be removed now. */
    enum store_result (*trim)(struct store *s, const struct store_limits *l,
                              int n, int *left, store_gone_cb *cb, void *arg);

    /* Between batches: whatever keeps it in order.  Nothing was written for
     * idle milliseconds; STORE_ENDS: nothing will be. */
    void (*tick)(struct store *s, int64_t idle);
    void (*status)(struct store *s, struct store_status *status);

    /* For the start: the last number of each instance that earlier runs wrote;
     * where the last known body of each segment ends. */
    enum store_result (*instances)(struct store *s, store_instance_cb *cb,
                                   void *arg);
    enum store_result (*segments)(struct store *s, store_segment_cb *cb,
                                  void *arg);

    struct store_reader *(*reader)(struct store *s, int n);
    enum store_result (*ask)(struct store_reader *rd,
                             const struct store_question *q);
    /* What it reads is given up, and so is what it begins to read, until stop
     * is 0 again. */
    void (*interrupt)(struct store_reader *rd, int stop);

    uint64_t (*commits)(struct store *s); /* how often something was */
    struct ledger_cursor (*horizon)(struct store *s);

    /* A copy of it, maybe beside a daemon that runs.  NULL: it has tools of its
     * own for that. */
    int (*backup)(const char *where, const char *file, char *err, size_t len);
};

#define STORE_ENDS INT64_MAX

struct store_status {
    struct store_counts total; /* of all that was ever committed */
    int64_t time;              /* when it was last written, ledger_batch.now */
    int64_t bytes;             /* that it takes .. */
    int64_t unsettled;         /* .. of which not yet in their place */
    int64_t bodies, body_bytes;
    char trouble[256]; /* what a person should know, else "" */
};

/* Called after each question, by who asked it, with how long the answer took in
 * microseconds. */
void store_on_read(struct store *s, store_read_cb *cb, void *arg);

/* The table's, by name. */
void store_close(struct store *s);
enum store_result store_write(struct store *s, const struct ledger_batch *b);
enum store_result store_trim(struct store *s, const struct store_limits *l,
                             int n, int *left, store_gone_cb *cb, void *arg);
void store_tick(struct store *s, int64_t idle);
void store_status(struct store *s, struct store_status *status);
enum store_result store_instances(struct store *s, store_instance_cb *cb,
                                  void *arg);
enum store_result store_segments(struct store *s, store_segment_cb *cb,
                                 void *arg);
struct store_reader *store_reader(struct store *s, int n);
enum store_result store_ask(struct store_reader *rd,
                            const struct store_question *q);
void store_interrupt(struct store_reader *rd, int stop);
uint64_t store_commits(struct store *s);
struct ledger_cursor store_horizon(struct store *s);

#endif
