/*
 * What every store makes of a request in the same way: how it counts, and when
 * it was.
 *
 * What is an error, cause.h says.  Numbers of the wire have 64 bits without a
 * sign; they are bounded, so that no sum overflows.
 */

#ifndef STATSD_COUNTED_H
#define STATSD_COUNTED_H

#include "../ledger/ledger.h"

#define COUNTED_ATTEMPTS (OLLAMA_RECORD_ATTEMPTS * 40)

int64_t counted_bounded(uint64_t v);
int64_t counted_money(uint64_t v); /* a million dollars at most */
struct store_counts counted(const ollama_record_request_t *q);

/* Is it a turn of a conversation that tells something?  Then *t is it, without
 * its model. */
int counted_turn(const ollama_record_request_t *q, struct store_turns *t);

/* STORE_KIND_.. */
int counted_kind(const ollama_record_request_t *q);

/* "fingerprint:status:ms:cause", a space between two, without a terminating
 * zero; returns the length. */
int counted_attempts(char buf[COUNTED_ATTEMPTS],
                     const ollama_record_request_t *q);

/* The proxy's clock is ours, or nearly so: what it told, put right.  behind is
 * how far our clock is behind the time of day that counts, 0 when it is ahead.
 */
int64_t counted_time(uint64_t told, int64_t behind);
int64_t counted_behind(int64_t now, int64_t wall);

#endif
