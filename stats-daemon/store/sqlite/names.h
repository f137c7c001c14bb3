/*
 * Names, and what is put together of them: clients, models, keys; series
 * (client, key, model); combos (a series with a status).  The writing side of
 * the SQLite store.
 *
 * names.c finds them, or adds them within the bounds of store.h.  What
 * was found is kept in mind (s->profiles), so that a request costs no lookup.
 *
 * names_trim.c takes away those that nothing refers to.  A combo goes
 * when no request has it; a series when it has no combo and no sums by hour; a
 * client or model when it has no series and no sums but days, which are then
 * those of "(other)" (rollup.h); a key when it has neither, is not configured
 * either, and nothing is held against it.  That is looked at where something
 * goes that may have been the last: at the combos whose greatest id is less
 * than that of any row, the series of these, and those of hours that are
 * deleted.  Once an hour, and at the start, all series, models and clients are
 * swept over in pieces: for what older versions, and damaged ledgers, have
 * left.
 *
 * A series notes the last day on which it has sums by hour, so nobody has to
 * search these for it: 24 looks at most.
 */

#ifndef STATSD_STORE_NAMES_H
#define STATSD_STORE_NAMES_H

#include "sqlite.h"

#define SWEEP_BEGIN    INT64_MIN
#define SWEEP_EVERY_MS 3600000

enum names_sweep { SWEEP_SERIES, SWEEP_MODELS, SWEEP_CLIENTS, SWEEP_KINDS };

/* What an address (IPv6: a network, /64) has added on one day, with an answer
 * that was an error [0], and one that was none [1]. */
struct allowance {
    uint16_t models[2], clients[2];
};

/* Of what is there already, for a migration and a saved ledger. */
#define STORE_LEARN_DAYS                                                    \
    "CREATE TABLE learn(series INTEGER PRIMARY KEY, day INTEGER NOT NULL);" \
    "INSERT INTO learn SELECT series, hour / 24 FROM usage_hour WHERE true" \
    " ON CONFLICT(series) DO UPDATE SET day = excluded.day"                 \
    " WHERE excluded.day > day;"                                            \
    "UPDATE series SET day = coalesce((SELECT l.day FROM learn l"           \
    " WHERE l.series = series.id), 0);"                                     \
    "DROP TABLE learn;"

/* .. and of those in which rows had the names that became "(other)". */
#define STORE_LEARN_OTHERS                                \
    "INSERT OR IGNORE INTO other_name(id, model, client)" \
    " SELECT id, model_other, client_other FROM request"  \
    " WHERE model_other IS NOT NULL OR client_other IS NOT NULL;"

void sqlite_names_begin(struct sqlite *s);

/* Those of a request. */
enum store_result sqlite_profile_of(struct sqlite *s, struct profile **profile,
                                    const ollama_record_request_t *q);

/* The days of the batch's series. */
enum store_result sqlite_write_days(struct sqlite *s);

/* A piece of what nothing refers to, inside a transaction.  Candidates come
 * from hours that were deleted; *left is set when there is more.  When the
 * transaction is through, sqlite_names_gone() tells the memory. */
struct names_trim {
    int64_t *series; /* whose hours have gone, n of them */
    int n;
    int64_t *combos; /* that have gone */
    int ncombos;
    struct store_names gone;
    int sweeping; /* where the sweep goes on */
    int64_t sweep;
    int folded; /* days that became those of "(other)" */
};
enum store_result sqlite_names_trim(struct sqlite *s, int n, int *left,
                                    struct names_trim *t);
/* A model or a client of which something went: was it the last? */
enum store_result sqlite_name_look(struct sqlite *s, enum store_kind kind,
                                   int64_t id, struct names_trim *t);
/* The id of "(other)", which has room. */
enum store_result sqlite_name_other(struct sqlite *s, enum store_kind kind,
                                    int64_t *id);
void sqlite_names_gone(struct sqlite *s, const struct names_trim *t);

#endif
