/*
 * What is kept, how long, and the file that says so: --config, or
 * DIR/statsd.conf of --data.
 *
 *     body_age   7d      bodies older than this
 *     body_bytes 1g      .. and the oldest, when all take more than this
 *     row_age    31d     requests, history of keys
 *     row_bytes  4g      .. and the oldest requests, when usage.db uses more
 *     minute_age 48h     sums by minute of all, each key, model, client
 *     ten_age    14d     .. by ten minutes
 *     hour_age   400d    .. by hour
 *     day_age    0       .. by day, for ever
 *     cube_age   31d     sums by hour of each client with key and model
 *     log_size   5m      proxy.log is turned over
 *     log_keep   5       old ones kept
 *     redact     REGEX   taken out of bodies (redact.h), once or several times
 *
 * One "name value" a line, '#' begins a comment; units s m h d and k m g.  What
 * follows "redact" is the expression, to the end of the line.
 *
 * Coarser sums are kept at least as long as finer ones: an age that is not
 * given gives way to those that are; of two that are the coarser one is kept
 * for longer.  Minutes are kept for the 2 h that a proxy is told.
 *
 * The writer calls retention_step() between batches.  It deletes in pieces of
 * RETENTION_PIECE, for at most RETENTION_BUDGET_MS at a time, so that neither
 * a batch nor a reader waits for it.
 */

#ifndef STATSD_RETENTION_H
#define STATSD_RETENTION_H

#include "../bodies/redact.h"
#include "../bodies/segments.h"
#include "../store/store.h"

#include <stdint.h>

#define RETENTION_EVERY_MS  1000
#define RETENTION_PIECE     500
#define RETENTION_BUDGET_MS 25

struct retention {
    int64_t body_age, row_age;                                /* ms */
    int64_t minute_age, ten_age, cube_age, hour_age, day_age; /* of sums */
    int64_t body_bytes, row_bytes, log_size; /* row_bytes 0: no bound */
    int64_t log_keep;
    struct redact *redact; /* a reference, or NULL */
};

extern const struct retention retention_default;

/* 0, or -1 with the file, the line and the reason in err.  *k gets references
 * of its own, and loses none. */
int retention_read(struct retention *k, const char *file, char *err,
                   size_t errlen);

/* One turn; *left says that more is due at once.  Ages are told from now.
 * Bodies up to a segment, if that is not 0, go whatever their age.  STORE_OK or
 * the error. */
enum store_result retention_step(const struct retention *k, int64_t now,
                                 int64_t wall, struct store *s,
                                 struct segments *b, const char *dir,
                                 int64_t segment, int *left);

#endif
