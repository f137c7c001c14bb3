/*
 * The answers in JSON.
 *
 *     /stats            sums by hour, client, key, model; newest first
 *                         from, to (times; to the minute, or what is left
 *                         that is finest; by all, to the hour), limit
 *                         1..10000 (1000),
 *                         by = hour | client | model | key | all
 *     /stats/minute     tokens by minute, oldest first, minutes without any
 *                       left out: window 1..1440 (60) minutes,
 *                         by = model | key | client | all, step 1..60 (1)
 *     /stats/24h        tokens by hour, oldest first, hours without any are
 *                       0: hours 1..744 (24)
 *     /stats/latency    how long requests took: by = model (default) | key |
 *                         all, from, to (times), limit 1..1000 (100), step
 *                         (minutes; then with a series, see spreads.h)
 *     /stats/errors     why requests failed (cause.h): the same parameters
 *     /stats/events     changes of keys' state, newest first: limit 1..1000
 *     /stats/health     the same as /health, for an nginx that keeps /health
 *     /queries          requests, newest first: limit 1..500 (50),
 *                         offset 0..10000, before, after (ids), until
 *                         (a time by which they had ended), client
 *                         (address or name; "ip" is the same), model, key
 *                         (name or fingerprint), status: a number, 4xx, 5xx,
 *                         .., error (as the sums count them: 400 and above,
 *                         cut off, or an error inside the stream, but not
 *                         that the client hung up), broken (the latter two),
 *                         client_gone, retried (more than one attempt)
 *     /queries/{id}     one of them
 *     /queries/{id}/body  its body, as it came
 *     /logs             lines, oldest first: level (and worse), limit
 *                         1..1000 (200), after (id)
 *     /stats/keys       what the module has last said of its keys
 *     /stats/running    requests that run now, see running.h: limit 1..1000
 *                         (100)
 *     /api/balance, /api/usage, /stats/reconcile
 *                       see balances.h
 *     /health           what works and what does not
 *     /metrics, /events see metrics.h, live.h
 *
 * Times are ISO 8601 in UTC.  A number of tokens is prompt + completion;
 * cached ones are a part of the prompt.  estimated_tokens are those of
 * answers whose count is not exact.
 */

#ifndef STATSD_API_H
#define STATSD_API_H

#include "../base/log.h"
#include "../wire/state.h"
#include "http.h"

/* The context of http must be a struct api (context.h). */
void api_routes(struct http *h);

/* Objects that live.c tells as well: a line, a key. */
void api_log(struct json *j, const struct log_line *line);
void api_key(struct json *j, const struct state_key *k);

#endif
