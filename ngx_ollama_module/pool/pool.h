
/*
 * The pool of keys: leases and snapshots are all that others see of it.
 *
 * A pool lives in shared memory, so that every worker, of the old
 * configuration as of the new one during a reload, looks at the same keys.
 * ngx_http_ollama_pool_t is a process's handle of one.  What a key, an account
 * or a node of the pool looks like is nobody's business outside this folder.
 *
 * Lease.  A request has one, embedded in its context and zeroed.  It says what
 * is wanted (..._want()), and is then
 *
 *     taken       ..._take(): a key that can serve it now, the first one in
 *                 order (key.h); called again, it moves to another key, and
 *                 keeps the one it has if there is no other
 *     waited for  ..._wait(): the same, or a place in the queue
 *     judged      ..._judge(): what an answer says of the key, applied
 *     settled     ..._settle(): tokens booked, slot and reservation given
 *                 back; also the end of waiting.  Any number of times
 *
 * key, name and authorization are copies, or point to what stays until the
 * lease is settled; afterwards the name still says which one it was.  key is 0
 * when there is none: before, afterwards, and while it waits.  A request that
 * nothing certain keeps from a key may have got one against which something is
 * held (forced): better the cloud's word than a guess.  A lease that is refused
 * says with which status, why and when to come again (retry: seconds since
 * 1970, 0: nobody knows), and so does one that waits.  A request that has to be
 * served although there is no memory for its lease gets a key all the same; its
 * tokens are booked, but it is not counted as in flight.
 *
 * Conversations.  A lease with a session gets a key of the account that the one
 * before it with this session has got, as long as that is ready, as good as the
 * first in order, and not too far ahead of it (stay); else the first, at once,
 * as does one that begins.
 * affinity says afterwards what became of it: kept; moved, also when it went on
 * to another account later; or new.
 *
 * Hand-off.  Whoever frees a slot (a lease settled, a penalty's end, a key
 * proven, a higher limit, a reset, a reload) hands it, under the lock that is
 * held anyway, to the first waiter whom that key may serve.  The owner only
 * notices: ..._pool_news() is true, without a lock, when there is something for
 * this process, and ..._pool_served() then gives the leases that have got a
 * key (NGX_OK) or have lost all hope (NGX_DECLINED), one by one.  What a worker
 * does not notice within a second goes on to the next.  So a waiter never asks,
 * and one that came later never passes one whom the same key might serve.
 *
 * Snapshots.  Keys are shown by copies, made under the lock some at a time and
 * formatted outside.  ..._pool_list() gives all of them in the list's order,
 * ..._pool_changes() those that have changed since they were given last (there
 * is one reader: the sender).
 *
 * State is identified by the SHA-256 of the key, never by its place: editing
 * the list moves no history.  The first four bytes of it are the key's number
 * (as in records), printed as eight hex digits its fingerprint.
 *
 * What a request does under the lock does not grow with the keys or the
 * waiters, but with the keys of its own account.  Times are seconds since 1970
 * (ngx_time()) unless they are called ms; tokens are 64-bit.
 *
 * A list that cannot be taken is refused as a whole: ..._pool_commit() makes
 * the new one valid when nginx has decided for the new configuration, and what
 * was prepared for one that failed is given up with its cycle.
 */


#ifndef _NGX_HTTP_OLLAMA_POOL_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_POOL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "core/config.h"
#include "core/record.h"
#include "core/verdict.h"


#define NGX_HTTP_OLLAMA_MAX_TRIES   16
#define NGX_HTTP_OLLAMA_REASON_LEN  64      /* with NUL */
#define NGX_HTTP_OLLAMA_QUEUES      16      /* of waiters, by upstream */
#define NGX_HTTP_OLLAMA_MODEL_LEN   256

#define NGX_HTTP_OLLAMA_POOL_MIN    (48 * ngx_pagesize)     /* of a zone */


typedef struct ngx_http_ollama_pool_s  ngx_http_ollama_pool_t;


/* what a request uses, or is expected to: tokens, and what they cost */

typedef struct {
    uint64_t                         tokens;
    uint64_t                         cost;      /* nano-dollars, if priced */
    uint64_t                         guess;     /* if not: at usual prices */
} ngx_http_ollama_charge_t;


/* how far a conversation may stay with an account that is not the first */

typedef struct {
    time_t                           ttl;       /* since its last turn */
    ngx_uint_t                       percent;   /* ahead of the first's load, */
    uint64_t                         tokens;    /*   or input, if more */
} ngx_http_ollama_stay_t;


typedef struct {

    /* wanted */

    ngx_str_t                        model;
    uint32_t                         hash;      /* of the model's name */
    uint64_t                         session;   /* of its conversation, or 0 */
    const ngx_http_ollama_stay_t    *stay;      /* NULL: it need not stay */
    ngx_http_ollama_charge_t         charge;    /* to reserve */
    time_t                           hold;      /* may wait until then for a
                                                   key that returns; 0: no */
    ngx_uint_t                       held_max;  /* if no more do so */
    unsigned                         begins:1;  /* the session, as one knows */
    unsigned                         dry:1;     /* never refuse, never wait */
    unsigned                         used:1;    /* a try was made with it */

    uint32_t                         tried[NGX_HTTP_OLLAMA_MAX_TRIES];
    ngx_uint_t                       ntried;    /* keys, by number: not again */

    /* granted */

    uint32_t                         key;       /* number, 0: none */
    ngx_str_t                        name;
    ngx_str_t                        authorization;     /* "Bearer <key>" */
    time_t                           taken;
    unsigned                         would_refuse:1;    /* a dry run's */
    unsigned                         forced:1;  /* it was not free */
    ollama_affinity_e                affinity;  /* of its session */

    /* refused: 429, 503, or 401 with the cloud's words for a reason */

    ngx_uint_t                       status;
    time_t                           retry;
    u_char                           reason[NGX_HTTP_OLLAMA_REASON_LEN];

    /* the pool's own */

    void                            *node;
    u_char                           text[OLLAMA_CONFIG_NAME_MAX];
} ngx_http_ollama_lease_t;


typedef enum {
    NGX_HTTP_OLLAMA_KEY_HEALTHY = 0,        /* numbers are in records */
    NGX_HTTP_OLLAMA_KEY_PAUSED,
    NGX_HTTP_OLLAMA_KEY_SLOTS,
    NGX_HTTP_OLLAMA_KEY_EXHAUSTED,
    NGX_HTTP_OLLAMA_KEY_INVALID,
    NGX_HTTP_OLLAMA_KEY_PENALIZED,
    NGX_HTTP_OLLAMA_KEY_SUSPENDED           /* its account */
} ngx_http_ollama_key_state_e;


/* the rate-limit headers last seen, -1 for one that was not there */

typedef struct {
    time_t                           seen;      /* 0: never */
    int32_t                          max_concurrent;
    int32_t                          active;
    int32_t                          queue_limit;
    int32_t                          queued;
    int32_t                          retry_after;
} ngx_http_ollama_ratelimit_t;


/* what its account has left: as told, less what was spent since then */

typedef struct {
    time_t                           seen;      /* 0: never */
    uint64_t                         included;  /* money: nano-dollars */
    uint64_t                         allowance;
    uint64_t                         purchased;
    time_t                           renews;    /* 0: unknown */
    time_t                           session_resets;
    time_t                           week_resets;
    uint16_t                         session;   /* windows: left, in 1/1000, */
    uint16_t                         week;      /*   or .._NO_SHARE */
    uint8_t                          kind;      /* ollama_balance_e */
} ngx_http_ollama_balance_t;


/* what is held against a key: in general, or (model) with one model */

typedef struct {
    uint32_t                         key;
    time_t                           until;     /* 0: nothing any more */
    ngx_http_ollama_key_state_e      state;
    ngx_uint_t                       http;      /* status that caused it */
    ngx_uint_t                       level;     /* of the ladder */
    ngx_uint_t                       learned;   /* slots, 0: unknown */
    const char                      *status;    /* in words */
    u_char                           reason[NGX_HTTP_OLLAMA_REASON_LEN];
    size_t                           model_len;
    u_char                           model[NGX_HTTP_OLLAMA_MODEL_LEN];
} ngx_http_ollama_penalty_t;


typedef struct {
    uint32_t                         number;
    ngx_uint_t                       index;     /* in the list */
    u_char                           fingerprint[8];
    size_t                           name_len;
    u_char                           name[OLLAMA_CONFIG_NAME_MAX];

    ngx_http_ollama_key_state_e      state;
    const char                      *state_name;    /* "healthy", .. */
    const char                      *status;        /* for people */
    u_char                           reason[NGX_HTTP_OLLAMA_REASON_LEN];
    time_t                           until;     /* 0: no penalty */
    ngx_uint_t                       http;
    ngx_uint_t                       level;

    uint64_t                         usage;     /* tokens, two hours */
    uint64_t                         cost;      /* nano-dollars, likewise */
    uint64_t                         reserved;
    uint64_t                         reserved_cost;     /* priced ones */
    uint64_t                         load;      /* as selection has it, but
                                                   for the weight */
    uint64_t                         requests;
    ngx_uint_t                       in_flight;
    ngx_uint_t                       slots;     /* of its account, 0: unknown */
    ngx_uint_t                       weight;

    ngx_uint_t                       tier;
    ngx_uint_t                       floor_percent;     /* of its account, */
    uint64_t                         floor_cost;        /*   0: none */
    ngx_http_ollama_balance_t        balance;

    ngx_http_ollama_ratelimit_t      ratelimit;

    ngx_uint_t                       nblocks;   /* models it may not serve */

    unsigned                         enabled:1;
    unsigned                         eligible:1;    /* as selection has it */
    unsigned                         trusted:1;     /* its balance is fresh */
} ngx_http_ollama_snapshot_t;


typedef struct {
    ngx_uint_t                       keys;
    ngx_uint_t                       waiting;
    ngx_uint_t                       in_flight;
    ngx_uint_t                       processes;
} ngx_http_ollama_totals_t;


/* where a walk through the list is; zeroed to begin with */

typedef struct {
    ngx_uint_t                       next;
    ngx_uint_t                       generation;
} ngx_http_ollama_cursor_t;


/*
 * Told by the process that changed it, outside of the lock (but when an account
 * of more than 64 keys is blamed at once).
 */

typedef void (*ngx_http_ollama_changed_pt)(void *data,
    ngx_http_ollama_penalty_t *penalty);


/* the configuration's side; NULL: the reason is in the log */

ngx_http_ollama_pool_t *ngx_http_ollama_pool_create(ngx_conf_t *cf,
    ngx_str_t *name, size_t size);
void ngx_http_ollama_pool_set_list(ngx_http_ollama_pool_t *pool,
    ollama_config_t *config);
void ngx_http_ollama_pool_set_changed(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_changed_pt changed, void *data);

/*
 * How keys are chosen, from the commit on.  Load is in tokens (on) or in
 * nano-dollars; usual is what an input token of a model without a price is
 * weighed with.  interval is how often accounts are asked for their balance, in
 * seconds, 0: never; two of them later a balance is not trusted any more.
 */

void ngx_http_ollama_pool_set_tokens(ngx_http_ollama_pool_t *pool,
    ngx_uint_t on);
void ngx_http_ollama_pool_set_usual(ngx_http_ollama_pool_t *pool,
    uint64_t usual);
void ngx_http_ollama_pool_set_expiring(ngx_http_ollama_pool_t *pool,
    ngx_uint_t on);
void ngx_http_ollama_pool_set_interval(ngx_http_ollama_pool_t *pool,
    time_t interval);

/*
 * How many conversations are kept, 0: none; if it is not said, fewer will do
 * where the zone is small.  A list that is committed with another number begins
 * with none.
 */

void ngx_http_ollama_pool_set_sessions(ngx_http_ollama_pool_t *pool,
    ngx_uint_t sessions, ngx_uint_t said);

void ngx_http_ollama_pool_commit(ngx_http_ollama_pool_t *pool);

void ngx_http_ollama_pool_init_process(ngx_http_ollama_pool_t *pool,
    ngx_log_t *log);
void ngx_http_ollama_pool_exit_process(ngx_http_ollama_pool_t *pool);


/* leases */

void ngx_http_ollama_lease_want(ngx_http_ollama_lease_t *lease,
    ngx_str_t *model);

/*
 * NGX_OK: it has a key.  NGX_AGAIN: a key may serve it, but has no slot free
 * now, or is free again at lease->retry.  NGX_DECLINED: none will before
 * lease->retry.
 */

ngx_int_t ngx_http_ollama_lease_take(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_lease_t *lease);

/*
 * NGX_OK and NGX_DECLINED as above; NGX_AGAIN: it waits now, and holds nothing;
 * NGX_BUSY: max waiters are there, of this queue (0 to NGX_HTTP_OLLAMA_QUEUES
 * - 1).  With "hold" one that would be declined is held, too: it waits for a key
 * that returns by then, and is declined when it has become clear that none does.
 */

ngx_int_t ngx_http_ollama_lease_wait(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_lease_t *lease, ngx_uint_t queue, ngx_uint_t max);

/* of one that waits: is there a key that may serve it, if it is free? */

ngx_uint_t ngx_http_ollama_lease_hopes(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_lease_t *lease);

/* any key, slots or not, for what costs nothing; none if there is none */

void ngx_http_ollama_lease_any(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_lease_t *lease);

/*
 * That key and no other, whatever its state, without a slot: nothing of what
 * comes of it is booked or held against it.  NGX_DECLINED: there is no such
 * key; NGX_ERROR: no memory.
 */

ngx_int_t ngx_http_ollama_lease_certain(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_lease_t *lease, uint32_t number);

/* its key will not be taken again for this request */

void ngx_http_ollama_lease_skip(ngx_http_ollama_lease_t *lease);

/*
 * Completes the answer by what the pool knows, judges it, and applies the
 * verdict to key, account or (key, model).  A lease of any key (.._any())
 * is judged, but nothing is held against the key.
 */

void ngx_http_ollama_lease_judge(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_lease_t *lease, ollama_answer_t *answer,
    ollama_verdict_t *verdict);
void ngx_http_ollama_lease_ratelimit(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_lease_t *lease, ngx_http_ollama_ratelimit_t *rl);

/*
 * charge is what was used, answered what a reservation for this model shall
 * be learned from (tokens, 0: nothing)
 */

void ngx_http_ollama_lease_settle(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_lease_t *lease, ngx_http_ollama_charge_t *charge,
    uint64_t answered);

/* when a request like this one may be served, tried keys included; 0: never */

time_t ngx_http_ollama_lease_when(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_lease_t *lease);

/* tokens that an answer of this model usually has, a guess without a lock */

uint64_t ngx_http_ollama_pool_usual(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_lease_t *lease);


/*
 * This process's waiters: NULL when there is no more to say for now.  A few at
 * a time are looked at, so there may be news again right away.  NGX_OK: it has
 * a key; NGX_DECLINED: it waits no more, and is settled as any other.
 */

ngx_uint_t ngx_http_ollama_pool_news(ngx_http_ollama_pool_t *pool);
ngx_http_ollama_lease_t *ngx_http_ollama_pool_served(
    ngx_http_ollama_pool_t *pool, ngx_int_t *rc);


/*
 * Snapshots: how many were written to out, 0 at the end; at most 64 at a time.
 * A list that is replaced meanwhile is gone on with at the same place, and the
 * cursor's generation is another one.
 */

void ngx_http_ollama_pool_totals(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_totals_t *totals);
ngx_uint_t ngx_http_ollama_pool_list(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_cursor_t *cursor, ngx_http_ollama_snapshot_t *out,
    ngx_uint_t max);
ngx_uint_t ngx_http_ollama_pool_changes(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_snapshot_t *out, ngx_uint_t max);

/* one of them; NGX_DECLINED: there is no such key any more */

ngx_int_t ngx_http_ollama_pool_key(ngx_http_ollama_pool_t *pool,
    uint32_t key, ngx_http_ollama_snapshot_t *out);

/* models that a key may not serve: those from the from-th on */

ngx_uint_t ngx_http_ollama_pool_blocks(ngx_http_ollama_pool_t *pool,
    uint32_t key, ngx_uint_t from, ngx_http_ollama_penalty_t *out,
    ngx_uint_t max);

/*
 * The key that text names: a fingerprint (8 hex digits), else a name, else a
 * position in the list.  NGX_DECLINED: there is none.
 */

ngx_int_t ngx_http_ollama_pool_find(ngx_http_ollama_pool_t *pool,
    ngx_str_t *text, uint32_t *key);


/* a person said so; NGX_DECLINED: there is no such key any more */

ngx_int_t ngx_http_ollama_pool_reset(ngx_http_ollama_pool_t *pool,
    uint32_t key);
ngx_int_t ngx_http_ollama_pool_penalize(ngx_http_ollama_pool_t *pool,
    uint32_t key, time_t seconds);


/* news of an account, of which a key is named */

void ngx_http_ollama_pool_balance(ngx_http_ollama_pool_t *pool,
    ollama_record_balance_t *balance);


/* the daemon's memory of what was before this pool was made */

ngx_uint_t ngx_http_ollama_pool_restored(ngx_http_ollama_pool_t *pool);
void ngx_http_ollama_pool_restore_usage(ngx_http_ollama_pool_t *pool,
    ollama_record_usage_t *usage);
void ngx_http_ollama_pool_restore_penalty(ngx_http_ollama_pool_t *pool,
    ollama_record_penalty_t *penalty);
void ngx_http_ollama_pool_restore_done(ngx_http_ollama_pool_t *pool);

/* what a request has used whose worker died */

void ngx_http_ollama_pool_book(ngx_http_ollama_pool_t *pool, uint32_t key,
    ngx_http_ollama_charge_t *charge);


#endif /* _NGX_HTTP_OLLAMA_POOL_H_INCLUDED_ */
