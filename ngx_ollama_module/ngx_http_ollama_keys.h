
/*
 * The pool of keys, in shared memory.
 *
 * Every worker, of the old configuration as of the new one during a reload,
 * looks at the same pool, and everything in it is changed under the zone's
 * mutex only.  A key is identified by the SHA-256 of its value: editing the
 * list, or its order, moves no history.
 *
 * Load.  A key's load is the number of tokens of the last two hours plus
 * those reserved by requests in flight, divided by its weight.  Keys that
 * may be chosen now are in the tree "ready", sorted by load; everything that
 * changes a key's load or state ends in one function which puts the key
 * back to where it belongs.  So choosing is a look at the leftmost node, for
 * three keys as for ten thousand, and equal loads take turns, since a key
 * that comes back goes behind its equals.  Keys that wait for the end of a
 * penalty are in the tree "deadlines".
 *
 * Slots.  Keys of one account share quota and slots, so the number of
 * requests in flight is compared with the account's limit: the configured
 * one, or what the cloud has told.  0 means that no limit is known.
 *
 * Holds.  A request that has a key owns one hold: a node in the list of its
 * process, which says what is to be given back.  Trying the next key moves
 * the hold, the request's cleanup releases it, and nothing else does.  When
 * a worker dies, its successor walks the dead one's list, hence no count
 * can leak.  A request that waits for a slot has a hold as well, without a
 * key, linked into the pool's queue of waiters.
 *
 * Half-open.  When a penalty ends, the key gets one request; the others
 * follow when that one has been answered.
 *
 * Times are seconds since 1970 (ngx_time()), tokens are 64-bit.  A zone that
 * is full is an error of the configuration, told at start or reload; at run
 * time only holds and notes of blocked models are allocated, and without
 * memory for them the request goes on without the note.
 *
 * Whatever changes what is held against a key is told to "changed", under the
 * lock: with block if it is about one model.
 */


#ifndef _NGX_HTTP_OLLAMA_KEYS_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_KEYS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "core/config.h"
#include "core/record.h"
#include "core/verdict.h"
#include "core/window.h"


#define NGX_HTTP_OLLAMA_PROCESSES   256
#define NGX_HTTP_OLLAMA_MODELS      256
#define NGX_HTTP_OLLAMA_MAX_TRIES   16
#define NGX_HTTP_OLLAMA_MAX_BLOCKS  64

#define NGX_HTTP_OLLAMA_USUAL       512     /* tokens of an unknown answer */


typedef enum {
    NGX_HTTP_OLLAMA_KEY_HEALTHY = 0,
    NGX_HTTP_OLLAMA_KEY_PAUSED,
    NGX_HTTP_OLLAMA_KEY_SLOTS,
    NGX_HTTP_OLLAMA_KEY_EXHAUSTED,
    NGX_HTTP_OLLAMA_KEY_INVALID,
    NGX_HTTP_OLLAMA_KEY_PENALIZED
} ngx_http_ollama_key_state_e;


typedef struct {
    ngx_queue_t                      keys;

    uint32_t                         max_concurrent;    /* configured */
    uint32_t                         learned;           /* told by the cloud */
    uint32_t                         in_flight;
    time_t                           learned_at;
    unsigned                         full:1;
} ngx_http_ollama_account_t;


/* the rate-limit headers last seen, -1 for one that was not there */

typedef struct {
    time_t                           seen;
    int32_t                          max_concurrent;
    int32_t                          active;
    int32_t                          queue_limit;
    int32_t                          queued;
    int32_t                          retry_after;
} ngx_http_ollama_ratelimit_t;


typedef struct {
    ngx_queue_t                      queue;
    time_t                           until;
    uint32_t                         hash;
    uint16_t                         status;
    uint16_t                         len;
    u_char                           model[1];
} ngx_http_ollama_block_t;


typedef struct {
    ngx_rbtree_node_t                ready_node;        /* key: load */
    ngx_rbtree_node_t                deadline_node;     /* key: until */
    ngx_rbtree_node_t                id_node;           /* key: of the id */
    ngx_queue_t                      siblings;          /* same account */

    u_char                           id[32];            /* SHA-256 */
    u_char                           fingerprint[8];

    ngx_str_t                        name;
    ngx_str_t                        authorization;     /* "Bearer <key>" */

    ngx_http_ollama_account_t       *account;

    ngx_uint_t                       index;             /* in the list */
    ngx_uint_t                       generation;        /* of the list */

    uint32_t                         weight;
    uint32_t                         in_flight;
    uint64_t                         reserved;
    uint64_t                         requests;
    ollama_window_t                  window;

    time_t                           until;             /* 0: no penalty */
    time_t                           last_used;
    u_char                           reason[64];        /* with NUL */
    uint16_t                         http;              /* its status */
    uint8_t                          state;
    uint8_t                          level;             /* of the ladder */

    ngx_queue_t                      blocks;            /* models */
    ngx_http_ollama_ratelimit_t      ratelimit;

    unsigned                         enabled:1;
    unsigned                         is_ready:1;
    unsigned                         is_waiting:1;      /* in "deadlines" */
    unsigned                         half_open:1;
    unsigned                         probed:1;          /* by a request */
} ngx_http_ollama_key_t;


typedef struct {
    ngx_queue_t                      queue;     /* of a process, or free */
    ngx_queue_t                      wait;      /* of the pool's waiters */
    ngx_http_ollama_key_t           *key;       /* NULL: waits */
    uint64_t                         tokens;    /* reserved */
    ngx_uint_t                       seen;      /* the pool's change */
    ngx_uint_t                       process;
    unsigned                         waiting:1;
    unsigned                         probe:1;   /* the half-open request */
} ngx_http_ollama_hold_t;


typedef struct {
    ngx_pid_t                        pid;       /* 0: free */
    ngx_queue_t                      holds;
} ngx_http_ollama_process_t;


typedef struct {
    uint32_t                         hash;
    uint32_t                         usual;     /* tokens of an answer */
} ngx_http_ollama_model_t;


/* one line of a list that is not in use yet: all that commit must not fail on */

typedef struct {
    ngx_http_ollama_key_t           *key;
    ngx_http_ollama_account_t       *account;
    ngx_str_t                        name;
    uint32_t                         weight;
    unsigned                         enabled:1;
} ngx_http_ollama_prepared_t;


typedef struct {
    ngx_rbtree_t                     ready;
    ngx_rbtree_node_t                ready_sentinel;
    ngx_rbtree_t                     deadlines;
    ngx_rbtree_node_t                deadlines_sentinel;
    ngx_rbtree_t                     ids;
    ngx_rbtree_node_t                ids_sentinel;

    ngx_queue_t                      free;      /* holds */
    ngx_queue_t                      waiters;
    ngx_uint_t                       nwaiters;
    ngx_uint_t                       change;

    ngx_uint_t                       generation;
    ngx_uint_t                       nkeys;
    ngx_http_ollama_key_t          **keys;      /* in the list's order */

    ngx_uint_t                       nprepared;
    ngx_http_ollama_prepared_t      *prepared;  /* of the next list */

    ngx_uint_t                       restored;  /* told by the daemon */
    time_t                           reaped;    /* second of the last look */
    time_t                           swept;     /* minute of the last sweep */

    ngx_http_ollama_model_t          models[NGX_HTTP_OLLAMA_MODELS];
    ngx_http_ollama_process_t        processes[NGX_HTTP_OLLAMA_PROCESSES];
} ngx_http_ollama_pool_t;


/* what one request wants, and what it is told when it cannot have it */

typedef struct {
    ngx_str_t                        model;
    uint32_t                         hash;
    uint64_t                         tokens;    /* to reserve */

    ngx_http_ollama_key_t           *tried[NGX_HTTP_OLLAMA_MAX_TRIES];
    ngx_uint_t                       ntried;

    ngx_uint_t                       status;    /* 429 or 503 */
    time_t                           retry;     /* when the soonest is free */
    u_char                           reason[64];
} ngx_http_ollama_want_t;


typedef void (*ngx_http_ollama_changed_pt)(void *data,
    ngx_http_ollama_key_t *key, ngx_http_ollama_block_t *block);


typedef struct {
    ngx_shm_zone_t                  *shm_zone;
    ngx_slab_pool_t                 *shpool;
    ngx_http_ollama_pool_t          *pool;
    ngx_uint_t                       process;   /* of this worker */

    ngx_http_ollama_changed_pt       changed;   /* or NULL */
    void                            *data;      /* its first argument */

    ollama_config_t                 *config;
} ngx_http_ollama_keys_t;


/* the time of day, in ms since 1970 */

static ngx_inline uint64_t
ngx_http_ollama_now(void)
{
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    return (uint64_t) tp->sec * 1000 + tp->msec;
}


/* the configuration's side: prepare may fail, commit does not */

ngx_int_t ngx_http_ollama_keys_init_zone(ngx_shm_zone_t *shm_zone,
    void *data);
void ngx_http_ollama_keys_commit(ngx_http_ollama_keys_t *keys);
void ngx_http_ollama_keys_init_process(ngx_http_ollama_keys_t *keys,
    ngx_log_t *log);
void ngx_http_ollama_keys_exit_process(ngx_http_ollama_keys_t *keys);

/*
 * NGX_OK: the hold has a key.  NGX_AGAIN: a key may serve this request, but
 * has no slot free now, or is free again at want->retry.  NGX_DECLINED: none
 * will before want->retry.  *hold is allocated when it is NULL.
 */

ngx_int_t ngx_http_ollama_keys_reserve(ngx_http_ollama_keys_t *keys,
    ngx_http_ollama_want_t *want, ngx_http_ollama_hold_t **hold);

/* puts the hold among the waiters; ..._turn() says whether it may try now */

ngx_int_t ngx_http_ollama_keys_wait(ngx_http_ollama_keys_t *keys,
    ngx_http_ollama_hold_t **hold, ngx_uint_t max);
ngx_int_t ngx_http_ollama_keys_turn(ngx_http_ollama_keys_t *keys,
    ngx_http_ollama_want_t *want, ngx_http_ollama_hold_t *hold);
ngx_uint_t ngx_http_ollama_keys_waiters(ngx_http_ollama_keys_t *keys);

/* when a request like this one may be served, tried keys included; 0: never */

time_t ngx_http_ollama_keys_when(ngx_http_ollama_keys_t *keys,
    ngx_http_ollama_want_t *want);

/* the key with the least load, slots or not; NULL if none may be used */

ngx_http_ollama_key_t *ngx_http_ollama_keys_any(ngx_http_ollama_keys_t *keys);

/* an answer came: good, or as the verdict says */

void ngx_http_ollama_keys_success(ngx_http_ollama_keys_t *keys,
    ngx_http_ollama_hold_t *hold);
void ngx_http_ollama_keys_blame(ngx_http_ollama_keys_t *keys,
    ngx_http_ollama_key_t *key, ollama_verdict_t *v, ngx_str_t *model,
    ngx_uint_t http);
void ngx_http_ollama_keys_ratelimit(ngx_http_ollama_keys_t *keys,
    ngx_http_ollama_key_t *key, ngx_http_ollama_ratelimit_t *rl);

/*
 * the request ended: tokens are what it used, answered what a reservation
 * for this model shall be learned from (0: nothing)
 */

void ngx_http_ollama_keys_release(ngx_http_ollama_keys_t *keys,
    ngx_http_ollama_hold_t *hold, uint64_t tokens, uint32_t hash,
    uint64_t answered);

/* a person said so */

void ngx_http_ollama_keys_reset(ngx_http_ollama_keys_t *keys,
    ngx_http_ollama_key_t *key);
void ngx_http_ollama_keys_penalize(ngx_http_ollama_keys_t *keys,
    ngx_http_ollama_key_t *key, time_t seconds);

/* what is known from before this nginx was started, under no lock */

void ngx_http_ollama_keys_restore_usage(ngx_http_ollama_keys_t *keys,
    ollama_record_usage_t *usage);
void ngx_http_ollama_keys_restore_penalty(ngx_http_ollama_keys_t *keys,
    ollama_record_penalty_t *penalty);

/* under the lock, for those who show the pool */

void ngx_http_ollama_keys_lock(ngx_http_ollama_keys_t *keys);
void ngx_http_ollama_keys_unlock(ngx_http_ollama_keys_t *keys);
void ngx_http_ollama_keys_refresh(ngx_http_ollama_keys_t *keys, time_t now);
ngx_uint_t ngx_http_ollama_key_eligible(ngx_http_ollama_key_t *key);
ngx_uint_t ngx_http_ollama_key_slots(ngx_http_ollama_key_t *key);
uint32_t ngx_http_ollama_key_number(ngx_http_ollama_key_t *key);
const char *ngx_http_ollama_key_state_name(ngx_http_ollama_key_t *key);

uint64_t ngx_http_ollama_keys_usual(ngx_http_ollama_keys_t *keys,
    uint32_t hash);


#endif /* _NGX_HTTP_OLLAMA_KEYS_H_INCLUDED_ */
