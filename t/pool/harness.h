
/*
 * Tests of the pool of keys by itself, inside a real nginx.
 *
 * The pool needs nginx's slab, trees and locks, so the tests are a module: it
 * is loaded by "nginx -t", makes zones, processes and time of its own, prints
 * TAP, and ends the process.  Nothing listens anywhere.
 *
 *     POOL_TEST=cases    what the pool has to do, one thing after another
 *     POOL_TEST=random   thousands of operations; after each one all is counted
 *     POOL_TEST=crowd    real processes at once; then all is counted
 *     POOL_TEST=bench    what each operation takes, with POOL_KEYS keys, and
 *                        with strategy=expiring if POOL_EXPIRING is set
 *     POOL_TEST=zone     a zone of POOL_SIZE bytes: does the list fit?
 *
 * A world is a zone and what uses it.  A worker is a handle of the pool, as a
 * process has it after fork(), with the pid of a child that does nothing.
 */


#ifndef _T_POOL_HARNESS_H_INCLUDED_
#define _T_POOL_HARNESS_H_INCLUDED_


#include "pool/key.h"
#include "core/mix.h"


#define WORKERS  400
#define USD      1000000000ull


typedef ngx_http_ollama_pool_t   pool_t;
typedef ngx_http_ollama_lease_t  lease_t;
typedef ngx_http_ollama_key_t    pkey_t;


typedef struct {
    ngx_pool_t        *memory;      /* of the cycle */
    pool_t            *pool;        /* the master's handle */
    ngx_shm_zone_t    *zone;
    u_char            *addr;
    size_t             size;
    ollama_config_t    config;

    pool_t             workers[WORKERS];
    pid_t              pids[WORKERS];
    ngx_uint_t         nworkers;
} world_t;


/* what the next list says of loads; at first they are in tokens */

typedef struct {
    uint64_t           usual;
    ngx_uint_t         tokens;
    ngx_uint_t         expiring;
    time_t             interval;
    ngx_uint_t         sessions;
    ngx_uint_t         said;
} rules_t;


extern rules_t     t_rules;

extern ngx_uint_t  t_failed;
extern uint64_t    t_commit_ns;


uint64_t t_ns(void);


void t_ok(ngx_uint_t ok, const char *name, ...);
void t_note(const char *text, ...);

void t_time(time_t seconds, ngx_msec_t ms);     /* goes on by so much */
void t_clock(time_t seconds);                   /* is set */

/*
 * text: "name account=a slots=1 weight=2 tier=1 floor=10% floor=5usd off; ..",
 * or NULL and so many keys
 */

void t_config(ollama_config_t *config, const char *text, ngx_uint_t n);

void t_world(world_t *w, const char *text, ngx_uint_t n, size_t size);
ngx_int_t t_reload(world_t *w, const char *text, ngx_uint_t n,
    ngx_uint_t commit);
void t_end(world_t *w);

pool_t *t_worker(world_t *w);
void t_kill(world_t *w, ngx_uint_t i);
void t_as(world_t *w, pool_t *worker);

void t_lease(lease_t *lease, const char *model, uint64_t tokens);
ngx_int_t t_take(pool_t *pool, lease_t *lease);
ngx_int_t t_wait(pool_t *pool, lease_t *lease);
void t_settle(pool_t *pool, lease_t *lease, uint64_t tokens);
void t_book(pool_t *pool, uint32_t key, uint64_t tokens);
void t_spend(pool_t *pool, lease_t *lease, uint64_t tokens, uint64_t cost,
    uint64_t guess);
lease_t *t_served(pool_t *pool, ngx_int_t *rc);

/* cost.c: prices are known from the next list on */

void t_prices(ngx_uint_t expiring);

/* a request from beginning to end; which key it had, by place */

ngx_uint_t t_one_request(world_t *w, pool_t *pool, uint64_t tokens,
    uint64_t cost, uint64_t guess);

/* windows: left of session and week, in 1/1000; renews: seconds from now */

void t_balance(world_t *w, pool_t *pool, ngx_uint_t i, ollama_balance_e kind,
    uint64_t included, uint64_t purchased, time_t renews);
void t_shown(pool_t *pool, pkey_t *key, ngx_http_ollama_snapshot_t *s);

void t_answer(pool_t *pool, lease_t *lease, ngx_uint_t status,
    const char *body, ngx_int_t retry_after, ollama_verdict_t *verdict);
ngx_uint_t t_named(lease_t *lease, const char *name);
pkey_t *t_key(world_t *w, ngx_uint_t i);

/* turns.c: the lease is one of a conversation */

void t_stays(lease_t *l, uint64_t session);

/* NULL, or what is wrong */

const char *t_check(world_t *w);

void t_right(world_t *w, const char *where);    /* a test of it */

void t_cases(void);
void t_doubt(void);
void t_costs(void);
void t_balances(void);
void t_ramps(void);
void t_turns(void);
void t_random(void);
void t_crowd(void);
void t_bench(void);
void t_zone(void);


#endif /* _T_POOL_HARNESS_H_INCLUDED_ */
