
/*
 * An account in the shared memory of a pool, and what is kept of the use of
 * each of its keys.  Private to this folder: see key.h.
 *
 * What is left of an account's money is what the cloud has told, less what was
 * spent since then, and less what requests in flight will probably cost.  What
 * follows for its keys, how they stand among others (left.c), is kept here:
 * "low", "class" and "rate".
 */


#ifndef _NGX_HTTP_OLLAMA_ACCOUNT_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_ACCOUNT_H_INCLUDED_


#include "pool.h"
#include "core/window.h"


typedef struct {
    ngx_queue_t                      keys;

    uint32_t                         max_concurrent;    /* configured */
    uint32_t                         learned;           /* told by the cloud */
    uint32_t                         in_flight;
    uint32_t                         unpaid;            /* model's hash, */
    time_t                           unpaid_at;         /*   and its 402 */
    time_t                           learned_at;

    ngx_http_ollama_balance_t        balance;           /* as it was told */
    time_t                           told;              /* anything of it */
    uint64_t                         spent;             /* since then */
    uint64_t                         reserved;          /* cost, or a guess */
    uint64_t                         floor_cost;
    uint32_t                         floor_percent;
    uint64_t                         rate;              /* of "included" */

    uint16_t                         ramp;      /* at once, 0: any: ramp.c */
    uint16_t                         ramped;    /* in flight since then */
    uint16_t                         good;      /* of these: answered well */
    uint16_t                         proven;    /* likewise, in this step */
    uint32_t                         ramp_id;   /* one of the pool's ramps */

    unsigned                         full:1;
    unsigned                         low:1;
    unsigned                         class:3;
} ngx_http_ollama_account_t;


#define ngx_http_ollama_ramp_full(account)                                    \
    ((account)->ramp && (account)->ramped >= (account)->ramp)


/* what its keys are chosen for, in this order */

typedef enum {
    NGX_HTTP_OLLAMA_LEFT_INCLUDED = 0,      /* or strategy=least */
    NGX_HTTP_OLLAMA_LEFT_WINDOWS,
    NGX_HTTP_OLLAMA_LEFT_PURCHASED,
    NGX_HTTP_OLLAMA_LEFT_UNKNOWN,
    NGX_HTTP_OLLAMA_LEFT_NOTHING
} ngx_http_ollama_left_e;


/* the rest of a key: one more allocation of at most 1024 bytes */

typedef struct {
    ollama_costs_t                  *guess;             /* NULL: no such use */
    ollama_costs_t                   costs;
    ngx_http_ollama_ratelimit_t      ratelimit;
} ngx_http_ollama_book_t;


#endif /* _NGX_HTTP_OLLAMA_ACCOUNT_H_INCLUDED_ */
