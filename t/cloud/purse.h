/*
 * What an account has left, in either shape of GET /api/balance. An account
 * without one has no end of it. In the document of an account:
 *
 *   "balance": {"included_usd": 10,   left of what the plan includes
 *               "allowance_usd": 20,  what it is after its renewal
 *               "from": 1790812800,   the period, in seconds since 1970
 *               "until": 1793491200,
 *               "purchased_usd": 5,   spent after what is included
 *               "empty": 429}         or 402: how an empty one is told
 *
 *   "windows": {"session_usd": 2,     what a legacy plan's windows hold; money
 *               "weekly_usd": 10,     because there has to be a measure
 *               "session_used_usd": 1, "weekly_used_usd": 1}
 *
 * A period is renewed at its end: what was left of it is lost, the next one is
 * as long. Windows end where those of the cloud do, every five hours and on
 * Mondays at 00:00 UTC. All by the simulator's clock, when somebody looks.
 */

#ifndef CLOUD_PURSE_H
#define CLOUD_PURSE_H

#include "error.h"

#include <stdbool.h>
#include <time.h>
#include <yajl/yajl_tree.h>

struct purse {
    enum { PURSE_NONE, PURSE_MONEY, PURSE_WINDOWS } kind;

    int64_t included, allowance, purchased; /* nano-dollars */
    time_t from, until;
    enum preset empty;

    int64_t session, session_used, weekly, weekly_used;
    time_t session_until, weekly_until;
};

/* Reads both members of an account. */
bool purse_load(struct purse *p, yajl_val account, struct buf *complaint);

/* The refusal of an account that has nothing left; PRESET_NONE: it has. */
enum preset purse_refusal(struct purse *p);

/* What is not there is not owed. */
void purse_spend(struct purse *p, int64_t nano);

/* The answer of GET /api/balance; kind is not PURSE_NONE. */
void purse_write(struct purse *p, struct buf *b);

#endif
