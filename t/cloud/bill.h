/*
 * The bill: what each account used of each model, by the hour in which its
 * requests came in, and what that costs.
 *
 * Only answers in `ok` (ledger.h) are on it, at the price of the moment at
 * which they were asked for. The bill is written as
 *
 *   {"accounts": {"alice": {"requests": .., "prompt": .., "cached": ..,
 *                           "completion": .., "nano_usd": ..,
 *                           "unpriced": tokens that have no price,
 *                           "models": {"m": {.. the same}}}},
 *    "total": {.. the same}}
 *
 * The keys of no account are together under "(none)".
 */

#ifndef CLOUD_BILL_H
#define CLOUD_BILL_H

#include "ledger.h"
#include "table.h"

#include <stdbool.h>
#include <time.h>

struct bill {
    int64_t requests, prompt, cached, completion, nano_usd, unpriced;
};

/* What is on it of one model. */
struct bill_model {
    struct bill sum;
    struct bill_hour {
        time_t from;
        struct bill sum;
    } *hours; /* in the order in which they came */
    size_t nhours, cap;
};

/* account may be NULL; nano is negative for what has no price. */
void bill_add(const char *account, struct slice model, time_t at,
              const struct tokens *t, int64_t nano);

/* Of struct bill_model; NULL: nothing yet. */
const struct table *bill_models(const char *account);

/* Adds the hours that begin from .. until - 1. */
void bill_between(struct bill *to, const struct bill_model *m, time_t from,
                  time_t until);

void bill_write(struct buf *b);
void bill_reset(void);

#endif
