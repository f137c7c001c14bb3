
/*
 * What a key has used, and its place among the others because of it.
 */

#include "key.h"


/*
 * The parts of the number by which keys are sorted: see key.h.  A rank is all
 * of them but the last.
 */

#define NGX_HTTP_OLLAMA_SCORE_BITS  55
#define NGX_HTTP_OLLAMA_SCORE_MAX   (((uint64_t) 1                            \
                                      << NGX_HTTP_OLLAMA_SCORE_BITS) - 1)
#define NGX_HTTP_OLLAMA_CLASS_BITS  3
#define NGX_HTTP_OLLAMA_TIER_BITS   4

/* as fine as weights are; more than that in two hours is as much as that */

#define NGX_HTTP_OLLAMA_LOAD_SCALE  1024
#define NGX_HTTP_OLLAMA_LOAD_MAX    (NGX_HTTP_OLLAMA_SCORE_MAX                \
                                     / NGX_HTTP_OLLAMA_LOAD_SCALE)

/* where a place in a tree has 32 bits only */

#define NGX_HTTP_OLLAMA_SHORT_BITS  17

#define NGX_HTTP_OLLAMA_SPARE       8       /* pages, for leases */


#if (NGX_PTR_SIZE == 4)
static uint64_t ngx_http_ollama_load_short(uint64_t score);
#endif


static ngx_inline uint64_t
ngx_http_ollama_load_score(uint64_t used, ngx_http_ollama_key_t *key)
{
    return ngx_min(used, NGX_HTTP_OLLAMA_LOAD_MAX)
           * NGX_HTTP_OLLAMA_LOAD_SCALE / key->weight;
}


ngx_rbtree_key_t
ngx_http_ollama_key_load(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_key_t *key)
{
    uint64_t                    rank, score;
    ngx_uint_t                  bits;
    ngx_http_ollama_account_t  *account;

    account = key->account;

    rank = (key->behind_until || (key->half_open && key->probed)) ? 1 : 0;

    rank = (rank << 1) | account->low;
    rank = (rank << NGX_HTTP_OLLAMA_TIER_BITS) | key->tier;
    rank = (rank << NGX_HTTP_OLLAMA_CLASS_BITS) | account->class;

    if (account->rate) {
        score = NGX_HTTP_OLLAMA_SCORE_MAX
                - ngx_min(account->rate, NGX_HTTP_OLLAMA_SCORE_MAX);

    } else {
        score = ngx_http_ollama_load_score(ngx_http_ollama_key_used(sh, key),
                                           key);
    }

    bits = NGX_HTTP_OLLAMA_SCORE_BITS;

#if (NGX_PTR_SIZE == 4)
    score = ngx_http_ollama_load_short(score);
    bits = NGX_HTTP_OLLAMA_SHORT_BITS + 6;
#endif

    return (ngx_rbtree_key_t) ((rank << bits) | score);
}


/* of one that is ready: its load, divided by its weight */

uint64_t
ngx_http_ollama_key_score(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_key_t *key)
{
#if (NGX_PTR_SIZE == 8)

    if (key->account->rate == 0) {
        return key->ready_node.key & NGX_HTTP_OLLAMA_SCORE_MAX;
    }

#endif

    return ngx_http_ollama_load_score(ngx_http_ollama_key_used(sh, key), key);
}


/* what so much use adds to it */

uint64_t
ngx_http_ollama_key_share(ngx_http_ollama_key_t *key, uint64_t used)
{
    return ngx_http_ollama_load_score(used, key);
}


/* of two keys that are ready, the one with the smaller one serves first */

ngx_uint_t
ngx_http_ollama_key_rank(ngx_http_ollama_key_t *key)
{
#if (NGX_PTR_SIZE == 4)
    return key->ready_node.key >> (NGX_HTTP_OLLAMA_SHORT_BITS + 6);
#else
    return key->ready_node.key >> NGX_HTTP_OLLAMA_SCORE_BITS;
#endif
}


#if (NGX_PTR_SIZE == 4)

/* its leading bits, and how many follow them: in order, but less finely */

static uint64_t
ngx_http_ollama_load_short(uint64_t score)
{
    ngx_uint_t  n;

    for (n = 0; score >> (NGX_HTTP_OLLAMA_SHORT_BITS + 1); n++) {
        score >>= 1;
    }

    return ((uint64_t) n << NGX_HTTP_OLLAMA_SHORT_BITS) + score;
}

#endif


/* nano-dollars or tokens, of two hours and of what is in flight */

uint64_t
ngx_http_ollama_key_used(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_key_t *key)
{
    uint64_t                 used;
    ngx_http_ollama_book_t  *book;

    if (sh->tokens) {
        return key->window.sum + key->reserved.tokens;
    }

    book = key->book;

    used = book->costs.sum + key->reserved.cost + key->reserved.guess;

    if (book->guess) {
        used += book->guess->sum;
    }

    /* what costs nothing takes turns, too */

    return used + key->in_flight;
}


/* true: it is the first guess for which there was no memory */

ngx_uint_t
ngx_http_ollama_key_book(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_key_t *key, ngx_http_ollama_charge_t *charge)
{
    time_t           now;
    ollama_costs_t  *guess;

    now = ngx_time();

    if (charge->tokens) {
        ollama_window_add(&key->window, now, charge->tokens);
    }

    if (charge->cost) {
        ollama_costs_add(&key->book->costs, now, charge->cost);
        key->account->spent += charge->cost;
    }

    if (charge->guess) {
        guess = ngx_http_ollama_key_guess(pool, key);

        if (guess == NULL) {
            return pool->sh->unguessed++ == 0;
        }

        ollama_costs_add(guess, now, charge->guess);
    }

    return 0;
}


/* not of the memory that leases need */

ollama_costs_t *
ngx_http_ollama_key_guess(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_key_t *key)
{
    if (key->book->guess == NULL
        && pool->shpool->pfree > NGX_HTTP_OLLAMA_SPARE)
    {
        key->book->guess = ngx_slab_calloc_locked(pool->shpool,
                                                  sizeof(ollama_costs_t));
    }

    return key->book->guess;
}


void
ngx_http_ollama_left_out(ngx_http_ollama_pool_t *pool)
{
    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "\"ollama_zone\" \"%V\" has no memory left for what models "
                  "without a price use: it is left out of the load of keys",
                  &pool->shm_zone->shm.name);
}


/* what has left the two hours */

void
ngx_http_ollama_key_expire(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_key_t *key, time_t now)
{
    ngx_uint_t               gone;
    ngx_http_ollama_book_t  *book;

    book = key->book;

    gone = (ollama_window_expire(&key->window, now) != 0);
    gone |= (ollama_costs_expire(&book->costs, now) != 0);

    if (book->guess) {
        (void) ollama_costs_expire(book->guess, now);

        if (book->guess->sum == 0) {
            ngx_slab_free_locked(pool->shpool, book->guess);
            book->guess = NULL;
        }
    }

    if (gone) {
        ngx_http_ollama_key_changed(pool->sh, key);
    }
}
