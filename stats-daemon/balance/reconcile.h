/*
 * The cloud's word on an account's days beside the ledger's.
 *
 * Once a day an account's last week of use is asked for, in days of UTC, and
 * put beside the sums of its keys.  RECONCILE_DAYS are kept, in memory: after a
 * start those of the last week come again, and what the cloud tells of a day
 * later goes before what it has told first: its figures lag.  A day of which
 * the cloud tells much more than all that went through here (RECONCILE_PERCENT,
 * and more than RECONCILE_FEW requests) says that somebody else uses the
 * account, if the ledger knew it the day before already: what was before the
 * proxy is nobody's.
 */

#ifndef STATSD_RECONCILE_H
#define STATSD_RECONCILE_H

#include "told.h"

#include <stdint.h>

#define RECONCILE_DAYS    30
#define RECONCILE_PERCENT 5
#define RECONCILE_FEW     10

#define RECONCILE_DAY INT64_C(86400000)

/* One side of a day. */
struct reconcile_sum {
    int64_t requests, errors;
    int64_t usd; /* nano-dollars, -1: not told */
};

struct reconciled {
    int64_t day; /* its beginning */
    struct reconcile_sum theirs, ours;
    int known;   /* the ledger had something of the day before */
    int foreign; /* somebody else uses the account */
};

struct reconcile {
    struct reconciled *days; /* the newest first */
    int n;
    struct told_day *told; /* not compared yet */
    int ntold;
};

void reconcile_free(struct reconcile *r);

/* Takes what the cloud has told of an account, for the next reconcile(). */
void reconcile_told(struct reconcile *r, const struct told_day *days, int n);

/* The sums of our keys of a day; 0: there are none of it. */
typedef int reconcile_ours(void *arg, int64_t day, struct reconcile_sum *sum);

/* Compares what was told of days before a time; the newest one that is foreign
 * and was not known to be, or NULL. */
const struct reconciled *reconcile(struct reconcile *r, int64_t before,
                                   reconcile_ours *ours, void *arg);

#endif
