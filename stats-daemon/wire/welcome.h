/*
 * What the ledger knows that a proxy may have forgotten: the usage of each key
 * in the last two hours and the penalties that stand, then READY, as frames.
 *
 * The question is asked on a reader's thread; the answer's bytes are sent as
 * they are.  If the ledger does not answer, there is no more than READY: a
 * proxy never waits for what it can do without.
 */

#ifndef STATSD_WELCOME_H
#define STATSD_WELCOME_H

#include "../ledger/ask.h"

extern const struct question welcome_question; /* params: time of day, ms */

/* The frames of an answer. */
const void *welcome_frames(const struct answer *a, size_t *len);

#endif
