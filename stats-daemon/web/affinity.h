/*
 * What it gives to keep a conversation with its account, by this ledger:
 *
 *     /stats/affinity?from=&to=    of the last seven days, whole hours
 *
 *     {"from", "to", "saved_usd", "significant",
 *      "models": [{"model", "saved_usd", "significant",
 *                  "new": .., "moved": .., "kept": {"turns", "prompt_tokens",
 *                  "cached_tokens", "cached_share"}}]}
 *
 * Only turns that were answered well and counted exactly are in it.  A cached
 * share is the mean of the turns' shares; null without a turn.
 *
 * The difference of the shares of kept and moved turns is significant when it
 * would come by chance in less than one of twenty cases: Welch's test of two
 * means (their spreads are not the same), two-sided, with the normal
 * distribution's 1.96, which holds from AFFINITY_TURNS turns of each on.  It
 * takes each turn for itself, though turns of one conversation are alike: with
 * few, long conversations it says "significant" too early.
 *
 * saved_usd: what the prompts of the kept turns would have cost more, with the
 * prices that they had, if of their tokens as many had been cached as of the
 * moved ones'.  This goes by tokens, not by turns: a difference in short
 * prompts is not that of the long ones.  null where the difference is not
 * significant or nothing has a price; that of all is the sum of those of the
 * models.  It may be less than 0.
 *
 * The context of http is a struct api.
 */

#ifndef STATSD_AFFINITY_H
#define STATSD_AFFINITY_H

#include "context.h"
#include "http.h"

#define AFFINITY_TURNS 30

void affinity_routes(struct http *h);

#endif
