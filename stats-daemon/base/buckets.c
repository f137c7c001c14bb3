#include "buckets.h"

#include <math.h>

#define STEPS 8 /* to a doubling */
#define SHIFT 3 /* 2^SHIFT of them */

unsigned bucket_of(uint32_t v) {
    unsigned shift = 0;

    if (v < 2 * STEPS) return v;
    while (v >> shift >= 2 * STEPS) shift++;
    return STEPS * shift + (v >> shift);
}

uint32_t bucket_width(unsigned b) {
    return b < 2 * STEPS ? 1 : UINT32_C(1) << ((b >> SHIFT) - 1);
}

uint32_t bucket_low(unsigned b) {
    return b < 2 * STEPS ? b : (STEPS + b % STEPS) * bucket_width(b);
}

double bucket_quantile(const uint64_t n[BUCKETS], double q) {
    double all = 0, before = 0;

    for (unsigned b = 0; b < BUCKETS; b++) all += (double)n[b];
    if (all == 0) return -1;

    double rank = ceil(q * all - 1e-9);
    if (rank < 1) rank = 1;
    for (unsigned b = 0; b < BUCKETS; b++) {
        double here = (double)n[b];

        if (before + here >= rank)
            return bucket_low(b) +
                   (bucket_width(b) - 1) * ((rank - before - 0.5) / here);
        before += here;
    }
    return -1;
}
