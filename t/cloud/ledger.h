/*
 * The ledger: what the cloud would bill, and what it told its clients.
 *
 * A request of an inference route counts in `requests` when it has come in
 * whole, whatever becomes of it. When its answer has been handed to the kernel
 * to the last byte it counts in `ok`, and its tokens with it; an answer that a
 * client left, that was cut, or that ended in an error counts no tokens.
 *
 *   prompt, completion, cached    the tokens of the answers in `ok`
 *   reported_prompt, ...          those among them which the answers named on
 *                                 the wire (a stream without include_usage
 *                                 names none; zero_usage names 0)
 *   nano_usd                      what they cost, by the price of the moment
 *                                 in which the request came in
 *   unpriced                      those among them that have no price
 *
 * Kept in total, by endpoint, by key and by key and model. A request without a
 * key is under "(none)", one without a model too.
 *
 * Entries live to the end of the program: a reset only sets them to zero, so an
 * answer under way may keep its pointers. It keeps the epoch as well, and does
 * not count if that has passed.
 */

#ifndef CLOUD_LEDGER_H
#define CLOUD_LEDGER_H

#include "table.h"

#include "buf.h"

#include <stdbool.h>

struct tokens {
    int64_t prompt, completion, cached;
    int64_t reported_prompt, reported_completion, reported_cached;
    int64_t nano_usd, unpriced; /* what all of them cost, prices.h */
};

struct tally {
    int64_t requests, ok;
    struct tokens tokens;
};

struct ledger_key {
    struct tally tally;
    struct table models; /* of struct tally */
    int64_t running, peak;
};

/* Where one request is counted. */
struct entry {
    struct ledger_key *key;
    struct tally *model, *endpoint;
    unsigned epoch;
};

void ledger_request(struct entry *e, struct slice key, struct slice model,
                    struct slice endpoint);
/* false: it was before a reset, and does not count. */
bool ledger_ok(const struct entry *e, const struct tokens *t);

/* The same key's running count and its peak. */
void ledger_run(struct ledger_key *key);
void ledger_rest(struct ledger_key *key);

/* NULL if the key was never seen. */
const struct ledger_key *ledger_find(const char *key, size_t len);

void ledger_reset(void);
void ledger_write(struct buf *b);
void ledger_free(void);

#endif
