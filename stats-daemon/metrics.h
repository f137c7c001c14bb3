/*
 * GET /metrics: Prometheus text.
 *
 * Two sources.  Counters and histograms grow with each committed request:
 * the writer notes the requests of a batch, then says commit or discard, so
 * that the numbers agree with the ledger.  They begin with 0 at each start,
 * as counters may.  Gauges (keys, outbox, store) are what the module and the
 * writer say at the moment of the question.
 *
 * Cardinality is bounded: METRICS_KEYS keys, METRICS_MODELS models and
 * METRICS_SERIES combinations get labels of their own, the rest is summed up
 * as "(other)".
 */

#ifndef STATSD_METRICS_H
#define STATSD_METRICS_H

#include "../ngx_ollama_module/core/record.h"

#include <stddef.h>

#define METRICS_KEYS   200
#define METRICS_MODELS 100
#define METRICS_SERIES 5000

struct state;
struct writer;

/* The writer's side. */
void metrics_note(const ollama_record_request_t *q);
void metrics_commit(void);
void metrics_discard(void);

/* The whole page in fresh memory. */
char *metrics_page(struct state *state, struct writer *writer, size_t *len);

void metrics_free(void);

#endif
