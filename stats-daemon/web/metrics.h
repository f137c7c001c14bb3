/*
 * GET /metrics: the page for Prometheus.
 *
 *     metrics_count      counters and histograms, see there
 *     metrics.c          gauges: what the module and the writer say of keys,
 *                        outbox and store at the moment of the question
 *     metrics_process    what the kernel says of the daemon
 *     metrics_text       how a line is written
 *
 * No line comes twice: what shares its labels is summed up.  Keys that share a
 * name are one line, in which slots are unlimited if those of one are, and the
 * penalty is that of the one which waits longest; ollama_proxy_key_info tells
 * them apart by their fingerprints.  A key that is not configured any more
 * leaves, and so do those of a proxy that was not heard for STATE_SHOWN_MS.
 */

#ifndef STATSD_METRICS_H
#define STATSD_METRICS_H

#include <stddef.h>

struct state;
struct writer;

/* The whole page in fresh memory. */
char *metrics_page(struct state *state, struct writer *writer, size_t *len);

#endif
