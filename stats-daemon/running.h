/*
 * The requests that run now, as the proxies last told them: RUNNING frames up
 * to a RUNNING_END are the list of one proxy, and replace its list before.
 *
 * A proxy that is not connected, or has not told its list for
 * RUNNING_FRESH_MS, runs nothing that we know of.  Of each list at most
 * RUNNING_ROWS requests are kept; all are counted.
 *
 * As JSON they are
 *
 *     {"total": n, "waiting": n, "requests": [..]}
 *
 * the longest first, in the members of /queries as far as they are known yet;
 * "phase" is where a request is: reading (its body is on the way), waiting
 * (for a slot), sent (the cloud has not answered), answering.  Tokens are
 * estimates.
 */

#ifndef STATSD_RUNNING_H
#define STATSD_RUNNING_H

#include "json.h"

#include "../ngx_ollama_module/core/record.h"

#include <stdint.h>

#define RUNNING_ROWS     512
#define RUNNING_FRESH_MS 5000

struct state;

struct running_list {
    unsigned char *data; /* payloads, each behind its length */
    size_t len, size;
    int n;
};

struct running {
    struct running_list now, coming;
    uint32_t total, waiting;
    int64_t told; /* when, monotonic; 0: never */
};

/* A connection begins: what the one before has left half told is nothing. */
void running_begin(struct running *r);
void running_row(struct running *r, const ollama_frame_t *f);
void running_end(struct running *r, const ollama_frame_t *f);
void running_free(struct running *r);

void running_json(struct json *j, const struct state *s, int limit);

/* Differs when there is something to tell: another request, phase or key; or,
 * with progress, another number of tokens. */
uint64_t running_hash(const struct state *s, int progress);

#endif
