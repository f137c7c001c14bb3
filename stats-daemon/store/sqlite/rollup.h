/*
 * Sums that stay small: how the coarser levels (levels.h) are written, and how
 * all of them go.  The writing side of the SQLite store.
 *
 *     usage_minute  (kind, minute, ref)  enum store_kind; an id of key, model
 *                                        or client
 *     usage_sum     (kind, time, ref)    kind: 4 * level + the one above; time
 *                                        in units of the level
 *     usage_bound   id 0..3: a level is whole from this minute on
 *                   id 4:    the mark
 *
 * A batch writes minutes.  When ten of them are over they are added to all
 * three other levels at once, and the mark is put behind them, in one
 * transaction: what is before the mark is in usage_sum, what is behind it is
 * not, whatever crashes.  A question takes mark and sums from one moment.  A
 * record that comes late, for a minute before the mark, is written to its
 * minute and to all levels by its own batch.  So ingest pays for minutes, and
 * once in ten of them for one row more for each name that was used.  Minutes
 * behind the mark are not deleted.
 *
 * Of each level the oldest units go (store_levels_trim), those of finer ones
 * first.  With its last hour a client or a model has nothing but days, which
 * would keep a name of anybody's invention for ever: they are added to those of
 * "(other)", and the name goes.  Names of keys are the operator's, and stay
 * with their days.
 *
 * A ledger without these tables is filled from its hours by series, and from
 * its minutes; all of them are before the mark then.
 */

#ifndef STATSD_STORE_ROLLUP_H
#define STATSD_STORE_ROLLUP_H

#include "names.h"
#include "sqlite.h"

#define STORE_MARK 4 /* in usage_bound */

/* The columns that count, and how they are added up: of schema 5, which a
 * migration needs, and of today's. */
#define STORE_COUNTS_5 \
    "requests, errors, prompt, completion, cached, estimated "
#define STORE_ADD_COUNTS_5                                   \
    "DO UPDATE SET requests = requests + excluded.requests," \
    " errors = errors + excluded.errors,"                    \
    " prompt = prompt + excluded.prompt,"                    \
    " completion = completion + excluded.completion,"        \
    " cached = cached + excluded.cached,"                    \
    " estimated = estimated + excluded.estimated"
#define STORE_COUNTS_6 \
    "requests, errors, prompt, completion, cached, estimated, cost, priced "
#define STORE_ADD_COUNTS_6                              \
    STORE_ADD_COUNTS_5 ", cost = cost + excluded.cost," \
                       " priced = priced + excluded.priced"
#define STORE_COUNTS     STORE_COUNTS_6
#define STORE_ADD_COUNTS STORE_ADD_COUNTS_6

#define STORE_LEARN_KIND(v, kind, ref, which)                                \
    "INSERT INTO usage_sum SELECT " kind ", hour, " ref ", " STORE_COUNTS##v \
        "FROM usage_hour u CROSS JOIN series s"                              \
        " ON s.id = u.series WHERE (" which ")"                              \
        " ON CONFLICT(kind, time, ref) " STORE_ADD_COUNTS##v ";"

/* Of a ledger that has no such sums, or has lost some: what hours by series
 * know.  Kinds of days follow those of hours. */
#define STORE_LEARN_HOURS(v, which)             \
    STORE_LEARN_KIND(v, "8", "0", which)        \
    STORE_LEARN_KIND(v, "9", "s.key", which)    \
    STORE_LEARN_KIND(v, "10", "s.model", which) \
    STORE_LEARN_KIND(v, "11", "s.client", which)
#define STORE_LEARN_DAYS_OF(v, which)                                         \
    "INSERT INTO usage_sum SELECT kind + 4, time / 24, ref, " STORE_COUNTS##v \
        "FROM usage_sum WHERE kind BETWEEN 8 AND 11 AND (" which ")"          \
        " ON CONFLICT(kind, time, ref) " STORE_ADD_COUNTS##v ";"
#define STORE_LEARN_MARK                 \
    "INSERT OR REPLACE INTO usage_bound" \
    " SELECT 4, 60 * (coalesce(max(hour), -1) + 1) FROM usage_hour;"
/* Minutes that are as old as the hours have not been deleted yet. */
#define STORE_LEARN_TENS(v)                                                     \
    "INSERT INTO usage_sum SELECT kind + 4, minute / 10, ref, " STORE_COUNTS##v \
        "FROM usage_minute WHERE minute <"                                      \
        " (SELECT minute FROM usage_bound WHERE id = 4)"                        \
        " ON CONFLICT(kind, time, ref) " STORE_ADD_COUNTS##v                    \
        ";"                                                                     \
        "INSERT OR REPLACE INTO usage_bound SELECT 0, CASE"                     \
        " WHEN m IS NULL THEN (SELECT minute FROM usage_bound WHERE id = 4)"    \
        " WHEN m / 60 <= h THEN 0 ELSE m END FROM"                              \
        " (SELECT (SELECT min(minute) FROM usage_minute WHERE kind = 0) AS m,"  \
        " (SELECT min(hour) FROM usage_hour) AS h);"                            \
        "INSERT OR REPLACE INTO usage_bound SELECT 1, (minute + 9) / 10 * 10"   \
        " FROM usage_bound WHERE id = 0;"                                       \
        "INSERT OR IGNORE INTO usage_bound VALUES(2, 0), (3, 0);"

#define STORE_ROLLUP_SCHEMA                                                  \
    "CREATE TABLE usage_sum("                                                \
    " kind INTEGER NOT NULL,"                                                \
    " time INTEGER NOT NULL,"                                                \
    " ref INTEGER NOT NULL,"                                                 \
    " requests INTEGER NOT NULL,"                                            \
    " errors INTEGER NOT NULL,"                                              \
    " prompt INTEGER NOT NULL,"                                              \
    " completion INTEGER NOT NULL,"                                          \
    " cached INTEGER NOT NULL,"                                              \
    " estimated INTEGER NOT NULL,"                                           \
    " PRIMARY KEY(kind, time, ref)) WITHOUT ROWID;" /* the days of a name */ \
    "CREATE INDEX usage_sum_ref ON usage_sum(kind, ref) WHERE kind >= 12;"   \
    "CREATE TABLE usage_bound("                                              \
    " id INTEGER PRIMARY KEY,"                                               \
    " minute INTEGER NOT NULL);" STORE_LEARN_HOURS(_5, "true")               \
        STORE_LEARN_DAYS_OF(_5, "true") STORE_LEARN_MARK                     \
        STORE_LEARN_TENS(_5)

/* What usage_bound says, from a statement that gives (id, minute); SQLite's
 * code of its last step. */
int sqlite_bounds(sqlite3_stmt *st, struct level_bounds *b);

/* At the start; and when a transaction came to nothing, or was committed. */
enum store_result sqlite_rollup_begin(struct sqlite *s);
void sqlite_rollup_end(struct sqlite *s, int committed);

/* Inside a transaction: what is over, in at most n pieces of ten minutes; idle:
 * nothing was written for a while, and the time of day decides.  *left is set
 * when there is more. */
enum store_result sqlite_rollup(struct sqlite *s, int n, int idle, int *left);

/* Inside a transaction: a piece of what is too old, at most n rows of each
 * kind.  *left is set when more is due. */
enum store_result sqlite_levels_trim(struct sqlite *s,
                                     const struct store_limits *l, int n,
                                     int *left, struct names_trim *names);

#endif
