/*
 * The requests that run now, of all proxies, as JSON:
 *
 *     {"total": n, "waiting": n, "requests": [..]}
 *
 * the longest first, in the members of /queries as far as they are known yet;
 * "phase" is where a request is: reading (its body is on the way), waiting
 * (for a slot), sent (the cloud has not answered), answering.  Tokens are
 * estimates.
 *
 * A proxy that is not connected, or has not told its list for
 * RUNNING_FRESH_MS, runs nothing that we know of.
 */

#ifndef STATSD_RUNNING_H
#define STATSD_RUNNING_H

#include "json.h"
#include "state.h"

#include <stdint.h>

#define RUNNING_FRESH_MS 5000

void running_json(struct json *j, const struct state *s, int limit);

/* Differs when there is something to tell: another request, phase or key; or,
 * with progress, another number of tokens. */
uint64_t running_hash(const struct state *s, int progress);

#endif
