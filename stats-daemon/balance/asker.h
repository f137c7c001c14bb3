/*
 * Asks the cloud what accounts have left, and tells it to the proxies.
 *
 * The daemon sees no key: it asks nginx, at the private location that a proxy's
 * HELLO names, with the fingerprint of one of the account's keys; the next one
 * if that was refused.  Nothing of it is waited for.
 *
 *     interval      as HELLO says, the accounts spread over it
 *     ASKER_GAP_MS  between any two questions of an account, whatever happens;
 *                   what was asked before a start is not known, so the first
 *                   one waits for as long
 *     429           Retry-After, exactly
 *     400, 404      not for a day
 *     401           the next key of the account
 *     403           suspended: a state like any other
 *     no answer     twice as long each time, up to an hour
 *
 * What is known goes into the state, beside each key, and in BALANCE frames to
 * every proxy, also to one that comes later.  Once a day the account's use is
 * asked for as well, see reconcile.h; the ledger says what went through here.
 */

#ifndef STATSD_ASKER_H
#define STATSD_ASKER_H

#include "../ledger/ask.h"
#include "../wire/ingest.h"
#include "../wire/state.h"
#include "reconcile.h"

#define ASKER_GAP_MS     60000
#define ASKER_DAY_MS     86400000
#define ASKER_BACKOFF_MS 3600000
#define ASKER_REFUSED_MS 3600000 /* a key is not asked with after a 401 */
#define ASKER_AT_ONCE    64
#define ASKER_SPREAD_MS  10000   /* at most, between two accounts */
#define ASKER_LATE_MS    7200000 /* after midnight: figures of the day lag */

struct asker;

struct asker *asker_start(struct event_base *base, struct state *state,
                          struct ingest *in, struct ask *ask);
/* Nobody is asked any more. */
void asker_stop(struct asker *k);
void asker_free(struct asker *k);

struct asker_count {
    int accounts, known, failing, asking;
};
void asker_count(const struct asker *k, struct asker_count *n);

/* Days that were compared, account by account, the newest first. */
typedef void asker_day_cb(void *arg, const char *account,
                          const struct reconciled *day);
void asker_days(const struct asker *k, asker_day_cb *cb, void *arg);

#endif
