/*
 * A ledger in memory that keeps the promises of stats-daemon/store/store.h in
 * the simplest way: all requests in one array, and each question a walk over
 * it.  The unit tests compare others with it.
 *
 * It keeps every name (there is no "(other)"), of a sum what its requests say as
 * long as it was not trimmed, and nothing of how times are spread.
 */

#ifndef MEMORY_STORE_H
#define MEMORY_STORE_H

#include "../../stats-daemon/store/question.h"

extern const struct store_type store_memory;

/* The next write() says so, and keeps nothing of its batch. */
void memory_store_fail(struct store *s, enum store_result r);

#endif
