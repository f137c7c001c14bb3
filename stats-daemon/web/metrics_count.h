/*
 * What /metrics counts: requests, as the writer commits them, and how long the
 * ledger takes.  They begin with 0 at each start, as counters may.
 *
 *     writer thread                     loop thread
 *     metrics_note()  each request
 *     metrics_batch() of the batch  ->  metrics_counters()  the page
 *
 * The writer knows keys by their fingerprints, the page by their names.  So
 * what was committed since the last page is kept by fingerprint, and added to
 * the sums of the names that the keys have when a page is asked for: a key
 * that is replaced under its name goes on in the same line, and one that gets
 * another name begins another.  The lines of a name that no configured key has
 * any more leave.
 *
 * Lines are told apart by what they show (metrics_clean(), "(other)", "" for
 * none), nothing else, so that none can come twice.
 *
 * Bounds: METRICS_KEYS keys, METRICS_MODELS models and METRICS_SERIES of both
 * with an outcome have lines of their own, the rest is summed up as "(other)".
 */

#ifndef STATSD_METRICS_COUNT_H
#define STATSD_METRICS_COUNT_H

#include "../base/json.h"
#include "../wire/state.h"
#include "metrics_text.h"

#include "../../ngx_ollama_module/core/record.h"

#define METRICS_KEYS   200
#define METRICS_MODELS 100
#define METRICS_SERIES 5000

#define METRICS_OTHER "(other)"

/* What the writer and the store tell, see writer.h and store.h. */
void metrics_note(void *arg, const ollama_record_request_t *q);
void metrics_batch(void *arg, int committed, int64_t us);
void metrics_read(void *arg, int64_t us);

/* All their lines. */
void metrics_counters(struct json *j, const struct state *state);

/* The value of a key's label. */
#define METRICS_KEY_SIZE METRICS_CLEAN(128)
void metrics_key_name(char *to, const struct state_key *k);

void metrics_free(void);

#endif
