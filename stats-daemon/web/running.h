/*
 * The requests that run now, of all proxies, as JSON:
 *
 *     {"total": n, "waiting": n, "requests": [..]}
 *
 * the longest first, in the members of /queries as far as they are known yet,
 * but with an id of their own; "phase" is where a request is: reading (its
 * body is on the way), waiting (for a slot), sent (the cloud has not
 * answered), answering.  Tokens are estimates.
 *
 * A proxy tells its list several times a second, as long as there is anything
 * on it.  What was told longer ago than RUNNING_FRESH_MS is not known any
 * more; for a proxy that has disconnected that is RUNNING_GONE_MS, the time in
 * which another of its workers takes over.
 */

#ifndef STATSD_RUNNING_H
#define STATSD_RUNNING_H

#include "../base/json.h"
#include "../wire/state.h"

#include <stdint.h>

#define RUNNING_FRESH_MS 5000
#define RUNNING_GONE_MS  2000

/* Returns how many requests were put, at most limit. */
int running_json(struct json *j, const struct state *s, int limit);

/* Differs when there is something to tell: another request, phase or key; or,
 * with progress, another number of tokens. */
uint64_t running_hash(const struct state *s, int progress);

#endif
