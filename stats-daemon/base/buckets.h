/*
 * Numbers of which only their spread is kept: times, rates.
 *
 * A number falls into one of BUCKETS buckets, eight to each doubling.  Those
 * below 16 have one of their own, then come 16-17, 18-19, .. 30-31, 32-35, ..
 * and so on up to 2^32 - 1.  So a bucket is never wider than an eighth of its
 * least number: whatever is told of a number from its bucket alone is wrong by
 * less than 12.5 %, below 16 by nothing.
 *
 * Whole numbers and shifts only: the same everywhere, whatever wrote them down.
 */

#ifndef STATSD_BUCKETS_H
#define STATSD_BUCKETS_H

#include <stdint.h>

#define BUCKETS 240

unsigned bucket_of(uint32_t v);

/* Its least number, and how many it has. */
uint32_t bucket_low(unsigned b);
uint32_t bucket_width(unsigned b);

/* The number below which a part q (0 .. 1) of those counted lies: that of rank
 * ceil(q * all), as far as its bucket tells, the numbers of a bucket being
 * taken as evenly spread over it.  -1 if none was counted. */
double bucket_quantile(const uint64_t n[BUCKETS], double q);

#endif
