/*
 * Balances: of a key, of the pool as if it were one account, and beside the
 * ledger's figures.
 *
 *     /api/balance      the cloud's shape, sums over accounts: what is included
 *                       of those that tell money, and when the next one renews;
 *                       of legacy plans the mean of what their windows have
 *                       left.  No parameters.  503 as long as no account is
 *                       known
 *     /api/usage        the cloud's shape, of the ledger: range = 24h (by
 * hour), 7d (default) or 30d (by day), each up to now; scope = self; group_by =
 * model: "models" beside it /stats/reconcile  days of accounts, the cloud's
 * figures and ours
 *
 * A parameter that is not known, or comes twice, is 400.
 */

#ifndef STATSD_BALANCES_H
#define STATSD_BALANCES_H

#include "../wire/state.h"
#include "http.h"

/* "balance": an object, or null. */
void field_balance(struct json *j, const struct state_key *k);

void balances_routes(struct http *h);

#endif
