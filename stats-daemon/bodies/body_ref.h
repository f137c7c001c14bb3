/*
 * Where a request's body is: the ledger keeps it for whoever keeps bodies.
 */

#ifndef STATSD_BODY_REF_H
#define STATSD_BODY_REF_H

#include <stdint.h>

/* A segment's number is hours since 1970 times SEGMENT_PER_HOUR, plus its place
 * in the hour: greater is later. */
#define SEGMENT_PER_HOUR 1000

struct body_ref {
    int64_t segment, offset, len; /* len: of the gzip member */
};

#endif
