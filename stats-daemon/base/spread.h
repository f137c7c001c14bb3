/*
 * What is kept of a number of requests beside their sums: how many there were,
 * by which cause some failed, and how their times are spread (buckets.h).
 *
 *     SPREAD_REQUESTS   all of them
 *     SPREAD_TOKENS     prompt and completion
 *     SPREAD_CAUSES ..  by cause, SPREAD_CAUSES_MAX places (store/cause.h)
 *     SPREAD_FIRST ..   first token: a bucket of milliseconds each
 *     SPREAD_TOTAL ..   whole answer: the same
 *     SPREAD_SPEED ..   hundredths of a token in a second: the same
 *
 * Packed, as it lies in the ledger: of each place that is not 0, by number, how
 * far it is from the one before it (the first, from -1), and its count; both as
 * bytes of seven bits, the least ones first, all but the last with the eighth
 * bit set.  Two packed ones are added up without being unpacked.  A few dozen
 * bytes hold what would be a row for each bucket.
 *
 * Bytes that are no such row are read up to where that shows.  Counts stay
 * below 2^63.
 */

#ifndef STATSD_SPREAD_H
#define STATSD_SPREAD_H

#include "buckets.h"

#include <stddef.h>
#include <stdint.h>

enum {
    SPREAD_REQUESTS,
    SPREAD_TOKENS,
    SPREAD_CAUSES,
    SPREAD_CAUSES_MAX = 14,
    SPREAD_FIRST = SPREAD_CAUSES + SPREAD_CAUSES_MAX,
    SPREAD_TOTAL = SPREAD_FIRST + BUCKETS,
    SPREAD_SPEED = SPREAD_TOTAL + BUCKETS,
    SPREAD_PLACES = SPREAD_SPEED + BUCKETS
};

#define SPREAD_PACKED (SPREAD_PLACES * (2 + 9)) /* never more bytes */

struct spread {
    uint64_t n[SPREAD_PLACES];
};

/* Adds what is packed. */
void spread_add(struct spread *to, const void *packed, size_t len);

/* The bytes that were written into a buffer of SPREAD_PACKED. */
size_t spread_pack(const struct spread *s, unsigned char *buf);

/* The same of a sum, into a buffer of alen + blen. */
size_t spread_sum(unsigned char *buf, const void *a, size_t alen, const void *b,
                  size_t blen);

/* How many are counted in the buckets of SPREAD_FIRST, .. */
uint64_t spread_count(const struct spread *s, int place);

#endif
