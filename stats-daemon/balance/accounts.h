/*
 * The accounts that keys belong to, as proxies have told them, and what is
 * known of each.
 *
 * A key without an account is one of its own.  The accounts are looked up anew
 * with each look; one that no listed key belongs to any more is kept, so that
 * it is not asked too early when it comes again.  The loop's thread only.
 */

#ifndef STATSD_ACCOUNTS_H
#define STATSD_ACCOUNTS_H

#include "../wire/state.h"
#include "reconcile.h"

struct fetch;
struct asker;

struct account {
    struct asker *asker;
    char name[129]; /* "": the key's own */
    uint32_t first; /* a key of it, which names it then */
    int listed;     /* its keys, at the last look */

    /* monotonic; 0: never */
    int64_t asked;     /* the last question, whatever it was, */
    int64_t key_asked; /*   or with a key that it has now */
    int64_t balance_asked;
    int64_t due, usage_due; /* due: unless it is regular */
    int regular; /* an interval behind the last question is the next one */
    int64_t usage_day;   /* the day (since 1970) that was asked for its use */
    int failures;        /* in a row */
    int failed;          /* that is in the log */
    uint32_t key;        /* asked with it */
    uint64_t avoid;      /* a proxy that does not have it */
    struct fetch *fetch; /* a question is under way .. */
    int is_usage;        /* .. which one */

    ollama_record_balance_t balance; /* time 0: not known */
    int64_t spent;                   /* in a day, nano-dollars */
    struct reconcile days;
};

/* What is known of state.keys[i]. */
struct account_key {
    struct account *account;
    int64_t asked, refused; /* monotonic; refused: by 401, 0: no */
};

struct accounts {
    struct map *map;
    struct account_key *keys; /* as many as there were at the last look */
    int nkeys;
    int listed; /* accounts */
};

void accounts_start(struct accounts *a);
void accounts_free(struct accounts *a);
void accounts_look(struct accounts *a, const struct state *s);

/* What it is called: its name, or that of its key. */
const char *account_name(const struct account *a, const struct state *s);

#endif
