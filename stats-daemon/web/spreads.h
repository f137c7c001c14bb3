/*
 * How long requests took, and why they failed, in JSON, see api.h:
 *
 *     /stats/latency    of each name: requests; first_token_ms and total_ms,
 *                       count p50 p90 p99; tokens_per_second, count p10 p50 p90
 *     /stats/errors     .. requests; errors, as the sums count them; causes, of
 *                       each how many
 *
 * A time counts when the cloud was asked (as in /metrics); a speed when the
 * answer was streamed and took more than a moment after its first token.  A
 * number of buckets.h: it is wrong by less than an eighth.  null: none was
 * counted.
 *
 * A window goes by minutes, [from, to); where it is so old that there are only
 * longer rows, by these.  With step= each name has "series": the same of each
 * step that has requests.
 *
 * The context of http is a struct api.
 */

#ifndef STATSD_SPREADS_H
#define STATSD_SPREADS_H

#include "context.h"
#include "http.h"

#define SPREADS_STEPS 1500 /* in a window, at most */

void spreads_routes(struct http *h);

#endif
