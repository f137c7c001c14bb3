/*
 * Histograms: how often a value was at most so much.
 */

#ifndef STATSD_METRICS_HISTOGRAM_H
#define STATSD_METRICS_HISTOGRAM_H

#include "../base/json.h"

#include <stdint.h>

#define HISTOGRAM_MAX 16

struct buckets {
    int n;
    double le[HISTOGRAM_MAX];
};

struct histogram {
    uint64_t n[HISTOGRAM_MAX + 1]; /* by bucket; the last one: +Inf */
    double sum;
};

/* Seconds of a request, 25 ms to half an hour; tokens of one; seconds that the
 * ledger takes, 1 ms to 10 s. */
extern const struct buckets buckets_request, buckets_tokens, buckets_ledger;

void histogram_add(struct histogram *h, const struct buckets *b, double value);

/* Its lines, with one label if it is not NULL. */
void histogram_text(struct json *j, const char *name, const char *label,
                    const char *value, const struct histogram *h,
                    const struct buckets *b);

#endif
