/*
 * Which requests fit a filter: the newest of them.
 *
 * A filter is about what a combo has: client, key, model, status and kind.  So
 * there are two ways.  Through the requests themselves, the newest first: good
 * when many of them fit, as a page is soon full.  Through the combos that fit,
 * each of which knows its newest request and has its requests in an index: good
 * when they are few, or when hardly any request fits.  Neither bears everything
 * (a model that is used a lot has some ten thousand combos when there are a
 * thousand clients, a rare one no request among the newest million), and
 * nobody knows beforehand what fits.  So a piece of the requests is looked at,
 * and the next while a page can still be expected within SCAN_MAX of them; then
 * come the combos for what is older.
 *
 * Combos of a status are in an index in the order of their newest requests: the
 * third way, and the first one to be taken, where the newest of all is asked
 * for.  A status alone is found at once by it; with a name, only some are
 * looked at.
 *
 * Requests with a name that became "(other)" are found by that name.
 */

#ifndef STATSD_STORE_SQLITE_FITTING_H
#define STATSD_STORE_SQLITE_FITTING_H

#include "sqlite.h"

/* The ids, the greatest first: at most q->limit + q->offset, *n of them.  Of q
 * upto is not looked at, and until only together with before: no request that
 * is not older had ended by then. */
enum store_result sqlite_fitting(struct sqlite_reader *rd,
                                 const struct store_query *q, int64_t *ids,
                                 int *n);

#endif
