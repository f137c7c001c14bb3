/*
 * Sums put together by hour, client, model or key; and the largest of them.
 *
 * The largest is the one with the most tokens, then with the most requests.
 * Those behind the limit are added up as one row more, the last one, "(other)",
 * so that the sum stays true; names that had no room in the ledger, which bear
 * that name already, are then in it, too.  Hours are not ranked: the newest
 * come first, and none stands for the rest.
 *
 * Sums of all time may be more than can be read while somebody waits.  With
 * SUMS_ALL they are read from the newest backwards, in slices of days, until
 * SUMS_MS are over; sums_cut says how far that went.
 */

#ifndef STATSD_SUMS_BY_H
#define STATSD_SUMS_BY_H

#include "../store/question.h"

#define SUMS_ALL INT64_MIN
#define SUMS_MS  700

enum by { BY_HOUR = 1, BY_CLIENT = 2, BY_MODEL = 4, BY_KEY = 8, BY_ALL = 15 };

struct sums_cut {
    int64_t others; /* left out, or in "(other)"; 0: none */
    int64_t from;   /* older ones were not read; 0: all were */
};

/* others: how many the row stands for, 0: it is one of its own. */
typedef void sums_hour_cb(void *arg, const struct store_hour *row,
                          int64_t others);
enum store_result sums_by(struct store_reader *rd, enum by by, int64_t from,
                          int64_t to, int64_t limit, sums_hour_cb *cb,
                          void *arg, struct sums_cut *cut);

/* The n largest of a window, in steps of so many minutes, oldest first; each
 * step has a row "(other)" for the rest, of which there are *others. */
typedef void sums_minute_cb(void *arg, const struct store_minute *row,
                            int64_t others);
enum store_result sums_top(struct store_reader *rd, enum store_kind kind,
                           int64_t from, int64_t to, int step, int n,
                           sums_minute_cb *cb, void *arg, int64_t *others);

#endif
