/*
 * Spreads (base/spread.h) of a window put together by name, and by steps of it.
 *
 * The largest is the name with the most requests, or errors.  Those behind the
 * limit are added up as one more, the last one, "(other)", with whatever has
 * that name already; so the sum stays true.
 */

#ifndef STATSD_SPREAD_SUMS_H
#define STATSD_SPREAD_SUMS_H

#include "../base/spread.h"
#include "../store/store.h"

struct spread_sums;
/* step in ms, 0: the window is one.  errors: these rank. */
struct spread_sums *spread_sums_new(int64_t step, int errors);
void spread_sums_add(void *sums, const struct store_spread *row);
void spread_sums_free(struct spread_sums *s);

/* How many are behind the limit, or in "(other)" because there are such. */
int64_t spread_sums_rank(struct spread_sums *s, int64_t limit);

/* In this order: a name (others: how many it stands for, 0: it is one), each of
 * its steps, oldest first, and its end. */
struct spread_name {
    const char *name;
    uint32_t key;
    int64_t others;
};
struct spread_sums_cb {
    void (*begin)(void *arg, const struct spread_name *name,
                  const struct spread *sum);
    void (*step)(void *arg, int64_t time, const struct spread *sum);
    void (*end)(void *arg);
};
void spread_sums_give(struct spread_sums *s, const struct spread_sums_cb *cb,
                      void *arg);

/* Those that count as errors. */
uint64_t spread_errors(const struct spread *s);

#endif
