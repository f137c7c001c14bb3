
/*
 * What is in the shared memory of a pool.  Private to this folder.
 *
 * Everything here is changed under the zone's mutex only, between
 * ngx_http_ollama_pool_lock(), which first brings the pool up to the time, and
 * ngx_http_ollama_pool_unlock(), which hands freed keys on and then tells
 * "changed" what happened to penalties.  Keys are made and freed by the master
 * alone, so it may look through them without the lock.
 *
 * Load.  A key's load is what it has cost in the last two hours plus what
 * requests in flight probably will, divided by its weight.  What models without
 * a price have used is weighed by the usual price, but kept apart: it is a
 * guess, and nobody's cost.  Load may be in tokens, too.
 *
 * Order.  Keys that may be chosen now are in the tree "ready", sorted by one
 * number (load.c), from above to below:
 *
 *     behind  it has lost a connection early, a short time ago
 *     low     its account has no more left than is to be kept, its floor
 *     tier    as configured
 *     class   with strategy=expiring: what its account has left (left.c)
 *     load    or, while something included is left, how fast it would have to
 *             be spent, the fastest first
 *
 * Everything that changes a part of it ends in ..._key_place(), which puts the
 * key back to where it belongs; what changes with time is set right by the
 * sweep, once a minute.  So choosing is a look at the leftmost node, for three
 * keys as for ten thousand, and equal ones take turns, since a key that comes
 * back goes behind its equals.  Where the first some may not serve a request,
 * the maps tell who may, tier by tier.  Keys that wait for the end of something
 * are in the tree "deadlines".  No function of ours stands in a tree: a reload
 * may bring the module to another address.
 *
 * Slots and maps.  While it lives a key has a number of its own, its place in
 * the maps: one bit for each key that is ready, that is free (has no penalty),
 * that is soft (nothing but a soft one), that gives hope (is worth waiting
 * for), whose refusal is a matter of quota; and for each noted model one bit
 * for each key which may not serve it.
 *
 * Models.  A note says that a key may not serve a model until some time.  The
 * notes are made with the list, so they take no memory that leases need; when
 * there is none left, the one that ends first is used again.  A model has an
 * entry while there are notes of it or requests that wait for a key for it.
 * One that finds no entry has no notes, and its requests share the last one.
 * A note that has ended is kept for an hour, without its bit: one that comes
 * again lasts longer.
 *
 * Accounts.  Keys of one account share quota and slots, so the number of
 * requests in flight is compared with the account's limit: the configured one,
 * or what the cloud has told.  0 means that no limit is known.  All keys are
 * placed anew when what follows from its money changes (account.h).
 *
 * Leases.  A node says what is to be given back.  It is in one list of its
 * process:
 *
 *     leases   it has a key, or nothing
 *     waiters  it waits, and is in its model's queue, or set aside since its
 *              process does not run
 *     served   it was handed a key, and is in the pool's queue "handed" until
 *              the process notices
 *
 * When a process dies, another walks these lists: no count can leak.
 *
 * Hand-off.  A key that comes into "ready", or that a model's note no longer
 * bars, is "fresh" until it has been offered to those who wait; with nobody
 * waiting nothing is fresh.  Since everything is offered before the lock is
 * given up, no waiter can use a ready key that is not fresh, and a new request
 * may simply choose.
 *
 * Half-open.  When a penalty ends, the key gets one request; the others follow
 * when that one has been answered, of an account that was used up 2, 4, 8 .. at
 * once (ramp.c).  After a 401 that may have been a mistake
 * the key is only behind the others until then.
 *
 * Doubt.  What was said may be a hiccup of the cloud, in which no key is any
 * good.  Such penalties and notes are soft: a request that has tried nothing
 * yet and that nothing but soft things keeps from every key gets the one that
 * is free soonest (soft.c).  A 401 is compared (doubt.c): "proofs" grows when a
 * key has worked after one was refused, "differs" when one has failed in
 * another way.  A key that was condemned is spared when one that has worked
 * until now is refused, too, before any works again.
 *
 * No loop under the lock takes more than NGX_HTTP_OLLAMA_LOOK steps (the maps
 * are walked by words); what is left is due at once, for whoever comes next.
 * But all keys of an account are blamed in one step, a sixtieth of all keys is
 * swept each second, a dead process gives back all it had, and all keys are
 * looked at when the clock is set back.
 */


#ifndef _NGX_HTTP_OLLAMA_KEY_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_KEY_H_INCLUDED_


#include "pool.h"
#include "account.h"
#include "bits.h"
#include "turns.h"
#include "core/sha256.h"
#include "core/words.h"


#define NGX_HTTP_OLLAMA_LOOK        64

#define NGX_HTTP_OLLAMA_MODELS      64      /* and one entry for the others */
#define NGX_HTTP_OLLAMA_OTHER       NGX_HTTP_OLLAMA_MODELS
#define NGX_HTTP_OLLAMA_USUALS      256
#define NGX_HTTP_OLLAMA_TIERS       10
#define NGX_HTTP_OLLAMA_KEY_NOTES   64
#define NGX_HTTP_OLLAMA_NOTES       256     /* and two for each key */
#define NGX_HTTP_OLLAMA_NOTE_MEMORY 3600    /* s, of one that has ended */
#define NGX_HTTP_OLLAMA_LEASES      256     /* made at start */

#define NGX_HTTP_OLLAMA_USUAL       512     /* tokens of an unknown answer */

#define NGX_HTTP_OLLAMA_PATIENCE    1000    /* ms, to notice a key */
#define NGX_HTTP_OLLAMA_STALLED     1       /* a process that did not */
#define NGX_HTTP_OLLAMA_RETURNS     2       /* its waiters do, some at a time */


typedef struct ngx_http_ollama_key_s      ngx_http_ollama_key_t;
typedef struct ngx_http_ollama_node_s     ngx_http_ollama_node_t;
typedef struct ngx_http_ollama_line_s     ngx_http_ollama_line_t;


/* one slab allocation for each, of at most 1024 bytes */

struct ngx_http_ollama_key_s {
    ngx_rbtree_node_t                ready_node;        /* key: load */
    ngx_rbtree_node_t                deadline_node;     /* key: time */
    ngx_rbtree_node_t                id_node;           /* key: of the id */
    ngx_queue_t                      siblings;          /* same account */
    ngx_queue_t                      fresh;
    ngx_queue_t                      changes;           /* not sent yet */
    ngx_queue_t                      notes;             /* of models */

    u_char                           id[OLLAMA_SHA256_LEN];
    uint32_t                         number;            /* of the id */
    uint32_t                         slot;              /* in the maps */

    ngx_str_t                        authorization;     /* "Bearer <key>" */
    ngx_http_ollama_account_t       *account;

    uint32_t                         index;             /* in the list */
    uint32_t                         weight;
    ngx_uint_t                       generation;        /* of the list */

    uint32_t                         in_flight;
    uint32_t                         pins;              /* without a slot */
    ngx_http_ollama_charge_t         reserved;
    uint64_t                         requests;
    ollama_window_t                  window;            /* tokens */
    ngx_http_ollama_book_t          *book;

    time_t                           until;             /* 0: no penalty */
    time_t                           said;              /* that it holds */
    time_t                           behind_until;
    time_t                           refused_since;     /* first 401 */
    time_t                           refused_at;        /* last one */
    uint32_t                         proofs;            /* the pool's, then */
    uint32_t                         differs;
    ngx_http_ollama_node_t          *probed;            /* half-open: by it */
    time_t                           last_used;

    u_char                           reason[NGX_HTTP_OLLAMA_REASON_LEN];
    u_char                           name[OLLAMA_CONFIG_NAME_MAX];

    uint16_t                         name_len;
    uint16_t                         http;              /* its status */
    uint8_t                          state;
    uint8_t                          level;             /* of the ladder */
    uint8_t                          behind;            /* times in a row */
    uint8_t                          nnotes;
    uint8_t                          nover;             /* have ended */
    uint8_t                          refused;           /* 401s in a row */

    unsigned                         enabled:1;
    unsigned                         is_ready:1;
    unsigned                         is_due:1;          /* in "deadlines" */
    unsigned                         is_fresh:1;
    unsigned                         is_changed:1;
    unsigned                         is_restored:1;     /* its usage */
    unsigned                         half_open:1;
    unsigned                         worked:1;          /* at least once */
    unsigned                         soft:1;            /* what is held */
    unsigned                         unpaid:1;          /* its account */
    unsigned                         tier:4;
};


typedef struct {
    ngx_rbtree_node_t                node;              /* key: until */
    ngx_queue_t                      queue;             /* of the key, free */
    uint32_t                         slot;              /* the key's */
    uint16_t                         http;
    uint8_t                          model;
    uint8_t                          level;             /* the next one */
} ngx_http_ollama_note_t;


typedef struct {
    time_t                           until;
    time_t                           said;
    ngx_uint_t                       state;
    ngx_uint_t                       level;
    ngx_uint_t                       http;
    u_char                          *reason;
    unsigned                         soft:1;
    unsigned                         unpaid:1;
} ngx_http_ollama_hold_t;


typedef struct {
    ngx_queue_t                      queue;             /* those waited for */
    ngx_queue_t                      waiters[2];        /* 1: have tried keys */
    ngx_uint_t                       nwaiters;
    ngx_uint_t                       nnotes;
    size_t                           len;
    u_char                           name[NGX_HTTP_OLLAMA_MODEL_LEN];
} ngx_http_ollama_model_t;


typedef struct {
    ngx_queue_t                      queue;
    ngx_pid_t                        pid;

    ngx_queue_t                      leases;
    ngx_queue_t                      waiters;
    ngx_queue_t                      served;
    ngx_queue_t                      aside;     /* of no model's queue */

    ngx_uint_t                       news;      /* served */
    ngx_uint_t                       looked;    /* at its waiters: version */
    ngx_uint_t                       stalled;
} ngx_http_ollama_process_t;


struct ngx_http_ollama_node_s {
    ngx_queue_t                      queue;     /* of its process, or free */
    ngx_queue_t                      wait;      /* of a model, aside, handed */

    ngx_http_ollama_key_t           *key;
    ngx_http_ollama_process_t       *process;
    ngx_http_ollama_lease_t         *lease;     /* for its process alone */

    ngx_http_ollama_charge_t         charge;    /* reserved */
    uint64_t                         arrival;
    ngx_msec_t                       handed_at;
    ngx_uint_t                       seen;      /* version */

    uint32_t                         hash;      /* of the model's name */
    uint32_t                         ramp_id;   /* its account's, 0: none */
    uint32_t                         tried[NGX_HTTP_OLLAMA_MAX_TRIES];

    time_t                           hold;      /* waits without hope, 0 */

    uint16_t                         held_max;
    uint8_t                          ntried;
    uint8_t                          model;
    uint8_t                          line;      /* one of .._QUEUES */

    unsigned                         waiting:1;
    unsigned                         aside:1;
    unsigned                         handed:1;
    unsigned                         pinned:1;  /* a key without a slot */
    unsigned                         proven:1;  /* by its answer: ramp.c */
    unsigned                         held:1;    /* it waits without hope */
};


/* grows with the keys: one allocation, made by prepare, put in by commit */

typedef struct {
    ngx_uint_t                       nslots;
    ngx_uint_t                       nwords;
    ngx_http_ollama_key_t          **keys;
    uint64_t                        *ready;
    uint64_t                        *free;
    uint64_t                        *soft;
    uint64_t                        *hope;
    uint64_t                        *quota;
    uint64_t                        *low;       /* whatever their state */
    uint64_t                        *tiers;     /* nwords for each, likewise */
    uint64_t                        *blocked;   /* nwords for each model */
} ngx_http_ollama_slots_t;


typedef struct {
    uint32_t                         hash;
    uint32_t                         usual;     /* tokens of an answer */
} ngx_http_ollama_usual_t;


typedef struct {
    ngx_rbtree_t                     ready;
    ngx_rbtree_node_t                ready_sentinel;
    ngx_rbtree_t                     deadlines;
    ngx_rbtree_node_t                deadlines_sentinel;
    ngx_rbtree_t                     ids;
    ngx_rbtree_node_t                ids_sentinel;
    ngx_rbtree_t                     notes;
    ngx_rbtree_node_t                notes_sentinel;

    ngx_queue_t                      free_nodes;
    ngx_queue_t                      free_notes;
    ngx_queue_t                      processes;
    ngx_queue_t                      fresh;     /* keys */
    ngx_queue_t                      changes;   /* keys */
    ngx_queue_t                      waited;    /* models */
    ngx_queue_t                      handed;    /* nodes, the oldest first */

    ngx_http_ollama_slots_t         *slots;
    ngx_http_ollama_affinity_t      *affinity;  /* or NULL */
    ngx_http_ollama_key_t          **keys;      /* in the list's order */
    ngx_uint_t                       nkeys;
    ngx_uint_t                       nlive;     /* those that left, too */
    ngx_uint_t                       generation;

    ngx_uint_t                       nnotes;    /* free ones, too */
    ngx_uint_t                       nprocesses;
    ngx_uint_t                       in_flight;
    ngx_uint_t                       nwaiting;
    uint32_t                         waiting[NGX_HTTP_OLLAMA_QUEUES];
    uint32_t                         held[NGX_HTTP_OLLAMA_QUEUES];
    uint64_t                         arrivals;

    ngx_uint_t                       version;   /* grows when hope is lost */
    ngx_uint_t                       is_due;    /* ... at "due" */
    ngx_msec_t                       due;
    time_t                           ticked;
    ngx_uint_t                       left;      /* something due was left */
    ngx_uint_t                       swept;     /* next to look at */
    ngx_uint_t                       scan;      /* next word to begin with */

    uint32_t                         ramps;     /* the last one's number */
    ngx_uint_t                       restored;  /* told by the daemon */

    ngx_uint_t                       tokens;    /* load is in tokens */
    ngx_uint_t                       expiring;  /* strategy */
    ngx_uint_t                       floors;    /* some account has one */
    ngx_uint_t                       tiers;     /* a bit for each there is */
    time_t                           interval;  /* of balances, 0: off */
    ngx_uint_t                       unguessed; /* no memory for a guess */

    ngx_uint_t                       doubted;   /* a key, since one worked */
    uint32_t                         refused;   /* its number */
    uint32_t                         proofs;
    uint32_t                         differs;
    uint32_t                         condemned; /* the last one, its number, */
    uint32_t                         condemned_proofs;
    time_t                           condemned_at;
    u_char                           unauthorized[NGX_HTTP_OLLAMA_REASON_LEN];

    uint32_t                         hashes[NGX_HTTP_OLLAMA_MODELS];
    ngx_uint_t                       next_model;
    ngx_http_ollama_model_t          models[NGX_HTTP_OLLAMA_MODELS + 1];
    ngx_http_ollama_usual_t          usuals[NGX_HTTP_OLLAMA_USUALS];
} ngx_http_ollama_shared_t;


struct ngx_http_ollama_pool_s {
    ngx_shm_zone_t                  *shm_zone;
    ngx_slab_pool_t                 *shpool;
    ngx_http_ollama_shared_t        *sh;
    ngx_http_ollama_process_t       *process;   /* NULL: none, or it exits */

    ollama_config_t                 *config;
    ngx_http_ollama_changed_pt       changed;   /* or NULL */
    void                            *data;      /* its first argument */

    ngx_uint_t                       tokens;    /* for those of "sh" */
    ngx_uint_t                       expiring;
    time_t                           interval;
    uint64_t                         usual;     /* an input token's price */
    ngx_uint_t                       sessions;
    ngx_uint_t                       sessions_said;

    /* what is prepared and not committed; this is the master's own memory */

    ngx_http_ollama_line_t          *lines;
    ngx_uint_t                       nlines;    /* "config" may be gone */
    ngx_http_ollama_key_t          **keys;
    ngx_http_ollama_slots_t         *slots;
    void                            *notes;     /* pages of them */
    ngx_http_ollama_affinity_t      *affinity;
    ngx_uint_t                       same_affinity;
    ngx_uint_t                       existed;   /* the zone, before us */
};


/* one line of a list that is not in use yet */

struct ngx_http_ollama_line_s {
    ngx_http_ollama_key_t           *key;
    ngx_http_ollama_account_t       *account;
    ngx_uint_t                       leader;    /* first line of the account */
    ngx_uint_t                       nkeys;     /* of the account */
    uint32_t                         limit;     /* of the account */
    uint32_t                         floor_percent;
    uint64_t                         floor_cost;
    unsigned                         is_new:1;
    unsigned                         new_account:1;
    u_char                           id[OLLAMA_SHA256_LEN];
};


/* what a key has to be for somebody */

typedef struct {
    uint64_t                        *blocked;   /* NULL: no notes */
    uint32_t                        *tried;
    ngx_uint_t                       ntried;
    ngx_uint_t                       stale;     /* fresh keys are for others */
} ngx_http_ollama_want_t;


/*
 * The files, from above to below: pool.c, lease.c, balance.c, blame.c,
 * restore.c and show.c, which are pool.h's, and those that they call.
 */

/* list.c */

ngx_int_t ngx_http_ollama_list_prepare(ngx_http_ollama_pool_t *pool,
    ngx_log_t *log);
void ngx_http_ollama_list_discard(ngx_http_ollama_pool_t *pool);


/* room.c */

ngx_int_t ngx_http_ollama_list_room(ngx_http_ollama_pool_t *pool);
size_t ngx_http_ollama_list_need(ngx_http_ollama_pool_t *pool);


/* refresh.c */

void ngx_http_ollama_pool_lock(ngx_http_ollama_pool_t *pool);
void ngx_http_ollama_pool_unlock(ngx_http_ollama_pool_t *pool);


/* doubt.c */

void ngx_http_ollama_doubt_know(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_lease_t *lease, ollama_answer_t *answer);
void ngx_http_ollama_doubt_refused(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_lease_t *lease, ngx_http_ollama_key_t *key,
    ollama_answer_t *answer);
void ngx_http_ollama_doubt_condemned(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_key_t *key);
void ngx_http_ollama_doubt_worked(ngx_http_ollama_shared_t *sh);
void ngx_http_ollama_doubt_differs(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_lease_t *lease);


/* hold.c */

ngx_uint_t ngx_http_ollama_key_hold(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_key_t *key, ngx_http_ollama_hold_t *hold);
void ngx_http_ollama_key_forgive(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_key_t *key);
void ngx_http_ollama_account_forgive(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_account_t *account);
void ngx_http_ollama_account_allow(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_account_t *account, uint32_t hash);
void ngx_http_ollama_model_allow(ngx_http_ollama_pool_t *pool, uint32_t hash);
void ngx_http_ollama_hold_set_back(ngx_http_ollama_shared_t *sh, time_t now);


/* process.c */

ngx_http_ollama_process_t *ngx_http_ollama_process_create(
    ngx_http_ollama_pool_t *pool);
void ngx_http_ollama_process_free(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_process_t *process);
void ngx_http_ollama_process_reap(ngx_http_ollama_pool_t *pool,
    ngx_uint_t max);


/* queue.c */

void ngx_http_ollama_queue_join(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_node_t *node);
void ngx_http_ollama_queue_leave(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_node_t *node);
void ngx_http_ollama_queue_give_back(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_node_t *node);
void ngx_http_ollama_queue_refresh(ngx_http_ollama_pool_t *pool);
void ngx_http_ollama_queue_hand(ngx_http_ollama_shared_t *sh);
void ngx_http_ollama_queue_due(ngx_http_ollama_shared_t *sh);
ngx_http_ollama_lease_t *ngx_http_ollama_queue_hopeless(
    ngx_http_ollama_pool_t *pool, ngx_int_t *rc);


/* node.c */

extern ngx_http_ollama_node_t  ngx_http_ollama_no_node;

ngx_int_t ngx_http_ollama_nodes_add(ngx_http_ollama_pool_t *pool);
void ngx_http_ollama_node_take(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_node_t *node, ngx_http_ollama_key_t *key);
void ngx_http_ollama_node_give_back(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_node_t *node);
void ngx_http_ollama_node_free(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_node_t *node);
ngx_http_ollama_node_t *ngx_http_ollama_lease_node(
    ngx_http_ollama_pool_t *pool, ngx_http_ollama_lease_t *lease);
ngx_http_ollama_key_t *ngx_http_ollama_lease_key(
    ngx_http_ollama_pool_t *pool, ngx_http_ollama_lease_t *lease,
    ngx_http_ollama_node_t **node);
ngx_http_ollama_key_t *ngx_http_ollama_lease_peek(
    ngx_http_ollama_pool_t *pool, ngx_http_ollama_lease_t *lease);
void ngx_http_ollama_lease_grant(ngx_http_ollama_lease_t *lease,
    ngx_http_ollama_key_t *key);


/* soft.c */

ngx_http_ollama_key_t *ngx_http_ollama_select_soft(
    ngx_http_ollama_shared_t *sh, ngx_http_ollama_want_t *want);
ngx_uint_t ngx_http_ollama_soft_hope(ngx_http_ollama_shared_t *sh);


/* affinity.c */

ngx_http_ollama_key_t *ngx_http_ollama_affinity_select(
    ngx_http_ollama_pool_t *pool, ngx_http_ollama_lease_t *lease,
    ngx_http_ollama_want_t *want);
void ngx_http_ollama_affinity_note(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_lease_t *lease, ngx_http_ollama_key_t *key);
size_t ngx_http_ollama_affinity_size(ngx_uint_t size);
ngx_int_t ngx_http_ollama_affinity_prepare(ngx_http_ollama_pool_t *pool);
void ngx_http_ollama_affinity_commit(ngx_http_ollama_pool_t *pool);


/* select.c */

void ngx_http_ollama_key_place(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_key_t *key);
void ngx_http_ollama_key_deadline(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_key_t *key);
void ngx_http_ollama_key_age(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_key_t *key);
void ngx_http_ollama_account_place(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_account_t *account);
void ngx_http_ollama_account_learn(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_account_t *account, ngx_uint_t slots);
uint32_t ngx_http_ollama_account_slots(ngx_http_ollama_account_t *account);

void ngx_http_ollama_want(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_lease_t *lease, ngx_http_ollama_want_t *want);
ngx_uint_t ngx_http_ollama_want_fits(ngx_http_ollama_want_t *want,
    ngx_http_ollama_key_t *key);
ngx_uint_t ngx_http_ollama_want_tried(ngx_http_ollama_want_t *want,
    ngx_http_ollama_key_t *key);
ngx_http_ollama_key_t *ngx_http_ollama_select(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_want_t *want);
ngx_http_ollama_key_t *ngx_http_ollama_select_any(
    ngx_http_ollama_shared_t *sh);
ngx_http_ollama_key_t *ngx_http_ollama_select_dry(
    ngx_http_ollama_shared_t *sh, ngx_http_ollama_want_t *want);
ngx_uint_t ngx_http_ollama_hope(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_want_t *want);
ngx_int_t ngx_http_ollama_select_refuse(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_want_t *want, ngx_http_ollama_lease_t *lease);


/* load.c */

ngx_rbtree_key_t ngx_http_ollama_key_load(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_key_t *key);
uint64_t ngx_http_ollama_key_score(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_key_t *key);
uint64_t ngx_http_ollama_key_share(ngx_http_ollama_key_t *key, uint64_t used);
ngx_uint_t ngx_http_ollama_key_rank(ngx_http_ollama_key_t *key);
uint64_t ngx_http_ollama_key_used(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_key_t *key);
ngx_uint_t ngx_http_ollama_key_book(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_key_t *key, ngx_http_ollama_charge_t *charge);
ollama_costs_t *ngx_http_ollama_key_guess(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_key_t *key);
void ngx_http_ollama_key_expire(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_key_t *key, time_t now);
void ngx_http_ollama_left_out(ngx_http_ollama_pool_t *pool);


/* left.c */

ngx_uint_t ngx_http_ollama_account_weigh(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_account_t *account);
ngx_uint_t ngx_http_ollama_account_trusted(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_account_t *account, time_t now);
void ngx_http_ollama_account_left(ngx_http_ollama_account_t *account,
    uint64_t spent, ngx_http_ollama_balance_t *left);


/* keys.c */

ngx_http_ollama_slots_t *ngx_http_ollama_slots_create(
    ngx_http_ollama_pool_t *pool, ngx_uint_t nslots);
void ngx_http_ollama_slots_put(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_slots_t *slots);
ngx_http_ollama_key_t *ngx_http_ollama_key_find(ngx_http_ollama_shared_t *sh,
    u_char *id);
ngx_http_ollama_key_t *ngx_http_ollama_key_by_number(
    ngx_http_ollama_shared_t *sh, uint32_t number);
ngx_http_ollama_key_t *ngx_http_ollama_key_create(ngx_http_ollama_pool_t *pool,
    ollama_config_key_t *ck, u_char *id);
void ngx_http_ollama_key_free(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_key_t *key);
void ngx_http_ollama_key_destroy(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_key_t *key);
void ngx_http_ollama_key_leave_account(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_key_t *key);
void ngx_http_ollama_key_tier(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_key_t *key, ngx_uint_t tier);


/* model.c */

uint32_t ngx_http_ollama_model_hash(ngx_str_t *name);
ngx_uint_t ngx_http_ollama_model_find(ngx_http_ollama_shared_t *sh,
    uint32_t hash, ngx_str_t *name);
ngx_uint_t ngx_http_ollama_model_get(ngx_http_ollama_shared_t *sh,
    uint32_t hash, ngx_str_t *name);
uint64_t *ngx_http_ollama_model_blocked(ngx_http_ollama_shared_t *sh,
    ngx_uint_t model, uint32_t hash);
ngx_http_ollama_note_t *ngx_http_ollama_note_add(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_key_t *key, ngx_str_t *model, time_t until,
    ngx_uint_t http, ngx_uint_t level);
ngx_http_ollama_note_t *ngx_http_ollama_note_find(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_key_t *key, uint32_t hash);
ngx_uint_t ngx_http_ollama_note_stands(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_note_t *note);
void ngx_http_ollama_note_end(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_note_t *note, time_t now);
void ngx_http_ollama_note_move(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_note_t *note, time_t until);
void ngx_http_ollama_note_remove(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_note_t *note);
ngx_rbtree_key_t ngx_http_ollama_time_key(time_t t);


/* tell.c */

void ngx_http_ollama_key_refresh(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_key_t *key);
void ngx_http_ollama_key_changed(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_key_t *key);
void ngx_http_ollama_tell(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_key_t *key, ngx_http_ollama_note_t *note);
void ngx_http_ollama_told(ngx_http_ollama_pool_t *pool);
void ngx_http_ollama_penalty_copy(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_key_t *key, ngx_http_ollama_note_t *note,
    ngx_http_ollama_penalty_t *penalty);
const char *ngx_http_ollama_state_name(ngx_http_ollama_key_t *key);


/* a page of notes begins with the address of the next one */

#define ngx_http_ollama_per_page(type)                                        \
    ((ngx_pagesize - sizeof(void *)) / sizeof(type))

#define ngx_http_ollama_slots_size(nslots)                                    \
    (sizeof(ngx_http_ollama_slots_t)                                          \
     + (nslots) * sizeof(ngx_http_ollama_key_t *)                             \
     + (nslots) / 64 * sizeof(uint64_t)                                       \
       * (6 + NGX_HTTP_OLLAMA_TIERS + NGX_HTTP_OLLAMA_MODELS))

#define ngx_http_ollama_listed(sh, key)                                       \
    ((key)->generation == (sh)->generation)

/* back from a 401 that may have been a mistake */

#define ngx_http_ollama_doubtful(key)                                         \
    ((key)->half_open && (key)->soft                                          \
     && (key)->state == NGX_HTTP_OLLAMA_KEY_PAUSED && (key)->http == 401)

/* nobody else, until it has been tried out */

#define ngx_http_ollama_closed(key)                                           \
    ((key)->half_open && (key)->probed && !ngx_http_ollama_doubtful(key))


#endif /* _NGX_HTTP_OLLAMA_KEY_H_INCLUDED_ */
