/*
 * The ledger's sums of each key by day, of the last days before one: read once
 * for all accounts.
 */

#ifndef STATSD_OURS_H
#define STATSD_OURS_H

#include "../ledger/ask.h"
#include "reconcile.h"

#define OURS_DAYS 9 /* a week, and the day before */

struct ours;

struct ours *ours_start(struct ask *ask);
void ours_stop(struct ours *o);
void ours_free(struct ours *o);

/* Those of the days before a day (its beginning).  cb is called when they are
 * at hand, at once if they are already; not at all if the ledger does not
 * answer: who wants them asks again. */
typedef void ours_cb(void *arg);
void ours_want(struct ours *o, int64_t day, ours_cb *cb, void *arg);

/* The day that was wanted, and is at hand; 0: none. */
int64_t ours_before(const struct ours *o);

/* Adds those of a key. */
void ours_add(const struct ours *o, uint32_t key, int64_t day,
              struct reconcile_sum *sum);

#endif
