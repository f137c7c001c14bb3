/*
 * How the times of requests are spread, and why some failed: usage_spread.
 *
 *     kind    4 * level + kind as in usage_minute: the whole, a key, a model;
 *             levels are those of sums (levels.h)
 *     time    in units of the level
 *     counts  packed (base/spread.h)
 *
 * A row holds all buckets: a row for each would be some hundred in an hour for
 * each name.  What a batch adds is put together in memory, and each row that it
 * touches is written once, by spread_sum(), a function of SQL of our own that
 * adds up two packed ones.  All four levels are written by the batch: so there
 * is nothing to roll up later, what comes late needs no care, and a question
 * reads one table.
 *
 * Levels are trimmed by whole units of the next: what is left of a day is its
 * hours, all of them, or none.  A row stays when its name is gone, and is then
 * told as "(other)"; no other name is given its number as long as there is a
 * row (of days, which stay longest: for that is the index).
 *
 * A ledger from before has no such rows: they begin with the upgrade.
 */

#ifndef STATSD_STORE_SPREAD_H
#define STATSD_STORE_SPREAD_H

#include "../cause.h"
#include "sqlite.h"

#define STORE_SPREAD_SCHEMA                                    \
    "CREATE TABLE usage_spread("                               \
    " kind INTEGER NOT NULL,"                                  \
    " time INTEGER NOT NULL,"                                  \
    " ref INTEGER NOT NULL,"                                   \
    " counts BLOB NOT NULL,"                                   \
    " PRIMARY KEY(kind, time, ref)) WITHOUT ROWID;"            \
    "CREATE INDEX usage_spread_ref ON usage_spread(kind, ref)" \
    " WHERE kind >= 12;" /* days */

#define STORE_SPREAD_FIRST "SELECT min(time) FROM usage_spread WHERE kind = ?1"

#define STORE_SPREAD_ROWS                                       \
    "SELECT u.time, u.ref, u.counts, coalesce(m.name, k.name)," \
    " k.fingerprint FROM usage_spread u"                        \
    " LEFT JOIN model m ON u.kind % 4 = 2 AND m.id = u.ref"     \
    " LEFT JOIN key k ON u.kind % 4 = 1 AND k.id = u.ref"       \
    " WHERE u.kind = ?1 AND u.time >= ?2 AND u.time < ?3 ORDER BY u.time"

struct store_spreads;
struct store_spreads *sqlite_spread_new(void);
void sqlite_spread_free(struct store_spreads *b);

/* The functions of SQL that the statements need. */
int sqlite_spread_functions(sqlite3 *db);

/* A request of the batch; what it adds; and nothing. */
void sqlite_spread_note(struct sqlite *s, const struct profile *p,
                        int64_t minute, const ollama_record_request_t *q,
                        enum cause cause, int64_t tokens);
enum store_result sqlite_spread_write(struct sqlite *s);
void sqlite_spread_clear(struct sqlite *s);

enum store_result sqlite_spread_trim(struct sqlite *s,
                                     const struct store_limits *l, int n,
                                     int *left);

enum store_result sqlite_spreads(struct sqlite_reader *rd, enum store_kind kind,
                                 int64_t from, int64_t to, int64_t step,
                                 store_spread_cb *cb, void *arg);

/* The rows of a window of minutes that begins with what there is; st is a
 * STORE_SPREAD_FIRST.  How many parts, or -1 with a code. */
int sqlite_spread_plan(sqlite3_stmt *st, enum store_kind kind, int64_t from,
                       int64_t to, int64_t step,
                       struct level_part parts[LEVEL_PARTS], int *code);

#endif
