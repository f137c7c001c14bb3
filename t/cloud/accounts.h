/*
 * Accounts of the cloud, the keys that belong to them, and their slots.
 *
 * What POST /_sim/accounts and --config take:
 *
 *   {"accounts": [{"name": "alice",
 *                  "keys": ["k1", "k2"],    they share quota and slots
 *                  "plan": "pro",           free (default), pro, max, team
 *                  "max_concurrent": 3,     answers at once; 0: any number
 *                  "queue_limit": 5,        requests that may wait for a slot
 *                  "queue_timeout_ms": 1800000,   .. and for how long
 *                  "quota": null,           hourly, session, weekly, monthly:
 *                                           that window is used up
 *                  "balance": {..},         what is left, or
 *                  "windows": {..},         of a legacy plan: purse.h
 *                  "denied_models": {"m": 402},   or 403
 *                  "suspended": false,      all its keys are unauthorized
 *                  "revoked_keys": []}],    these are
 *    "models": ["gpt-oss:20b"],             the only ones that exist; absent:
 *                                           any name does
 *    "any_key": false}                      keys of no account are let in,
 *                                           without any limit
 *
 * The document replaces all accounts. Answers under way, and requests in line,
 * keep the account they came in with.
 *
 * An account's slots: accounts_enter() says whether a request may run now, has
 * to wait in line, or is turned away. Each that runs or waits is given back by
 * exactly one accounts_leave(); that lets the first in line run, whose wake()
 * is called then.
 */

#ifndef CLOUD_ACCOUNTS_H
#define CLOUD_ACCOUNTS_H

#include "buf.h"
#include "purse.h"
#include "table.h"

#include <stdbool.h>
#include <yajl/yajl_tree.h>

enum quota {
    QUOTA_NONE,
    QUOTA_HOURLY,
    QUOTA_SESSION,
    QUOTA_WEEKLY,
    QUOTA_MONTHLY
};

struct ticket {
    enum { TICKET_NONE, TICKET_RUNS, TICKET_WAITS } state;
    struct account *account;
    struct ticket *prev, *next;
    void (*wake)(struct ticket *t);
};

struct account {
    char *name, *plan;
    struct table keys;   /* of something, if revoked */
    struct table denied; /* by model, the status as a pointer */
    int64_t max_concurrent, queue_limit, queue_timeout_ms;
    enum quota quota;
    struct purse purse, given; /* as it is, and as it was given */
    bool suspended;

    int64_t running, queued;
    struct ticket *first, *last;
    int64_t asked_usage_since; /* the minute of /api/usage, /api/balance */
    int asked_usage;
    int refs;
};

/* What a presented key is. */
enum standing { KEY_UNKNOWN, KEY_DEAD, KEY_SUSPENDED, KEY_GOOD };

const char *quota_word(enum quota q);

bool accounts_load(yajl_val document, struct buf *complaint);
void accounts_sample(void);

/* account is NULL for a key that is good because any is. */
enum standing accounts_find(const char *key, size_t len,
                            struct account **account);

/* The status that the model is denied with, or 0. */
int account_denies(const struct account *a, const char *model, size_t len);

/* Whether the account (NULL: some key of none) may ask for its usage or its
 * balance, ten times a minute: 0, or the seconds after which it may again. */
int account_may_ask(struct account *a);

void accounts_enter(struct ticket *t,
                    struct account *a); /* TICKET_NONE: turned away */
void accounts_leave(struct ticket *t);

/* NULL: any model exists. */
const struct table *accounts_models(void);

/* GET /_sim/balances: by account, as GET /api/balance tells it. */
void accounts_write(struct buf *b);

void accounts_reset(void); /* usage of all accounts back to nothing */
void accounts_free(void);

#endif
