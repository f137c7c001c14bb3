/*
 * What the cloud takes for tokens. A list is there from the beginning, that of
 * 2026-08-31 (contract, section 5); POST /_sim/prices puts another in its
 * place, an empty document brings the first one back:
 *
 *   {"prices": {"m": {"input": 0.15,      dollars for a million tokens, of up
 *                     "cached": 0.014,    to three decimals
 *                     "output": 0.60,
 *                     "peak": 2,          Monday to Friday from 12:00 to 18:00
 *                     "hours": [12, 18]}} UTC, or in these hours, times two
 *
 * A model is priced under its name, else under what is before its colon. One
 * that is in neither way on the list is not charged, and stands in the bill as
 * unpriced.
 */

#ifndef CLOUD_PRICES_H
#define CLOUD_PRICES_H

#include "buf.h"
#include "ledger.h"

#include <stdbool.h>
#include <time.h>
#include <yajl/yajl_tree.h>

/* Nano-dollars a token. */
struct price {
    int64_t input, cached, output;
};

bool prices_load(yajl_val document, struct buf *complaint);

/* What holds at a time; false and zeros: there is none. */
bool prices_find(struct slice model, time_t at, struct price *price);

/* Cached tokens are among those of the prompt. */
int64_t price_of(const struct price *price, const struct tokens *t);

void prices_free(void);

#endif
