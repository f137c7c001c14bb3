/*
 * What each key has cost in the last 24 hours, by the ledger: read now and
 * then.
 */

#ifndef STATSD_SPENT_H
#define STATSD_SPENT_H

#include "../ledger/ask.h"

#include <stdint.h>

#define SPENT_EVERY_MS 300000

struct spent;

/* cb is called when there are new figures. */
typedef void spent_cb(void *arg);
struct spent *spent_start(struct ask *ask, spent_cb *cb, void *arg);
void spent_stop(struct spent *s);
void spent_free(struct spent *s);

/* Reads them if it is time: now is monotonic. */
void spent_look(struct spent *s, int64_t now);

int64_t spent_of(const struct spent *s, uint32_t key); /* nano-dollars */

/* When what is left will be gone, at the cost of a day: since time, 0: not
 * before it renews (0: it does not), or nobody knows. */
int64_t spent_empty(int64_t time, int64_t left, int64_t cost, int64_t renews);

#endif
