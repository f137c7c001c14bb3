
/*
 * Conversations stay with their account, while that costs nobody anything.
 */

#include "key.h"


#define NGX_HTTP_OLLAMA_SESSIONS_LEAST  64
#define NGX_HTTP_OLLAMA_SESSIONS_SHARE  4       /* of what is free, if unsaid */
#define NGX_HTTP_OLLAMA_PLACE_STEPS     1024    /* no place has so many */


static ngx_http_ollama_key_t *ngx_http_ollama_affinity_stay(
    ngx_http_ollama_pool_t *pool, ngx_http_ollama_lease_t *lease,
    ngx_http_ollama_want_t *want, ngx_http_ollama_key_t *key);
static ngx_uint_t ngx_http_ollama_affinity_may(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_lease_t *lease, ngx_http_ollama_want_t *want,
    ngx_http_ollama_key_t *key, ngx_http_ollama_key_t *best);
static ngx_http_ollama_key_t *ngx_http_ollama_turn_key(
    ngx_http_ollama_shared_t *sh, ngx_http_ollama_turn_t *turn);
static ngx_http_ollama_turn_t *ngx_http_ollama_turn_find(
    ngx_http_ollama_affinity_t *table, uint64_t session);
static ngx_http_ollama_turn_t *ngx_http_ollama_turn_add(
    ngx_http_ollama_affinity_t *table, uint64_t session);
static void ngx_http_ollama_turn_unplace(ngx_http_ollama_affinity_t *table,
    ngx_http_ollama_turn_t *turn);
static void ngx_http_ollama_turn_remove(ngx_http_ollama_affinity_t *table,
    ngx_http_ollama_turn_t *turn);
static void ngx_http_ollama_turn_insert(ngx_http_ollama_affinity_t *table,
    ngx_http_ollama_turn_t *turn);
static void ngx_http_ollama_affinity_clear(ngx_http_ollama_affinity_t *table);
static uint32_t ngx_http_ollama_affinity_places(ngx_uint_t size);


#define ngx_http_ollama_place(table, session)                                 \
    (&(table)->places[((session) * (table)->secret) >> (table)->shift])

#define ngx_http_ollama_turn_over(turn, lease, now)                           \
    ((time_t) (int32_t) ((uint32_t) (now) - (turn)->used)                     \
     > (lease)->stay->ttl)


/* the key of the turn before, or of its account, else the first in order */

ngx_http_ollama_key_t *
ngx_http_ollama_affinity_select(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_lease_t *lease, ngx_http_ollama_want_t *want)
{
    ngx_http_ollama_key_t  *key;

    key = ngx_http_ollama_select(pool->sh, want);

    if (key && lease->session && lease->stay && !lease->begins
        && pool->sh->affinity)
    {
        return ngx_http_ollama_affinity_stay(pool, lease, want, key);
    }

    return key;
}


static ngx_http_ollama_key_t *
ngx_http_ollama_affinity_stay(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_lease_t *lease, ngx_http_ollama_want_t *want,
    ngx_http_ollama_key_t *best)
{
    ngx_uint_t               n;
    ngx_queue_t             *q;
    ngx_http_ollama_key_t   *key, *last;
    ngx_http_ollama_turn_t  *turn;

    turn = ngx_http_ollama_turn_find(pool->sh->affinity, lease->session);

    if (turn == NULL || ngx_http_ollama_turn_over(turn, lease, ngx_time())) {
        return best;
    }

    last = ngx_http_ollama_turn_key(pool->sh, turn);

    if (last == NULL) {
        return best;
    }

    if (ngx_http_ollama_affinity_may(pool, lease, want, last, best)) {
        return last;
    }

    if (last->account == best->account) {
        return best;
    }

    for (q = ngx_queue_head(&last->account->keys), n = 0;
         q != ngx_queue_sentinel(&last->account->keys)
             && n < NGX_HTTP_OLLAMA_LOOK;
         q = ngx_queue_next(q), n++)
    {
        key = ngx_queue_data(q, ngx_http_ollama_key_t, siblings);

        if (key != last
            && ngx_http_ollama_affinity_may(pool, lease, want, key, best))
        {
            return key;
        }
    }

    return best;
}


static ngx_uint_t
ngx_http_ollama_affinity_may(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_lease_t *lease, ngx_http_ollama_want_t *want,
    ngx_http_ollama_key_t *key, ngx_http_ollama_key_t *best)
{
    uint64_t                        ahead, least, slack;
    const ngx_http_ollama_stay_t   *stay;

    if (key == best) {
        return 1;
    }

    if (!key->is_ready
        || !ngx_http_ollama_want_fits(want, key)
        || (want->ntried && key->behind)
        || ngx_http_ollama_key_rank(key) > ngx_http_ollama_key_rank(best))
    {
        return 0;
    }

    ahead = ngx_http_ollama_key_score(pool->sh, key);
    least = ngx_http_ollama_key_score(pool->sh, best);

    if (ahead <= least) {
        return 1;
    }

    stay = lease->stay;
    ahead -= least;

    if (ahead <= least / 100 * stay->percent) {
        return 1;
    }

    slack = stay->tokens * (pool->sh->tokens ? 1 : pool->usual);

    return ahead <= ngx_http_ollama_key_share(key, slack);
}


/* it has got a key: its next turn shall have the same */

void
ngx_http_ollama_affinity_note(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_lease_t *lease, ngx_http_ollama_key_t *key)
{
    time_t                       now;
    ngx_http_ollama_key_t       *last;
    ngx_http_ollama_turn_t      *turn;
    ngx_http_ollama_affinity_t  *table;

    table = pool->sh->affinity;

    if (lease->session == 0 || lease->stay == NULL || table == NULL) {
        return;
    }

    now = ngx_time();

    turn = ngx_http_ollama_turn_find(table, lease->session);

    if (turn == NULL) {
        turn = ngx_http_ollama_turn_add(table, lease->session);

        if (lease->affinity == OLLAMA_AFFINITY_NONE) {
            lease->affinity = OLLAMA_AFFINITY_NEW;
        }

    } else {
        last = ngx_http_ollama_turn_key(pool->sh, turn);

        if (lease->affinity == OLLAMA_AFFINITY_NONE
            && (lease->begins || ngx_http_ollama_turn_over(turn, lease, now)))
        {
            lease->affinity = OLLAMA_AFFINITY_NEW;

        } else if (last == NULL || last->account != key->account) {

            /* what began with this request, or moved, goes on to do so */

            if (lease->affinity != OLLAMA_AFFINITY_NEW) {
                lease->affinity = OLLAMA_AFFINITY_MOVED;
            }

        } else if (lease->affinity == OLLAMA_AFFINITY_NONE) {
            lease->affinity = OLLAMA_AFFINITY_KEPT;
        }

        ngx_http_ollama_turn_remove(table, turn);
    }

    turn->key = key->number;
    turn->slot = key->slot;
    turn->used = (uint32_t) now;

    ngx_http_ollama_turn_insert(table, turn);
}


static ngx_http_ollama_key_t *
ngx_http_ollama_turn_key(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_turn_t *turn)
{
    ngx_http_ollama_key_t  *key;

    if (turn->slot >= sh->slots->nslots) {
        return NULL;
    }

    key = sh->slots->keys[turn->slot];

    return (key && key->number == turn->key) ? key : NULL;
}


static ngx_http_ollama_turn_t *
ngx_http_ollama_turn_find(ngx_http_ollama_affinity_t *table, uint64_t session)
{
    uint32_t    i;
    ngx_uint_t  n;

    n = 0;

    for (i = *ngx_http_ollama_place(table, session);
         i && n < NGX_HTTP_OLLAMA_PLACE_STEPS;
         i = table->turns[i].next, n++)
    {
        if (table->turns[i].session == session) {
            return &table->turns[i];
        }
    }

    return NULL;
}


/* at its place, but not yet in order */

static ngx_http_ollama_turn_t *
ngx_http_ollama_turn_add(ngx_http_ollama_affinity_t *table, uint64_t session)
{
    uint32_t                *place;
    ngx_http_ollama_turn_t  *turn;

    turn = &table->turns[table->turns[0].newer];

    if (table->n == table->size) {
        ngx_http_ollama_turn_remove(table, turn);
        ngx_http_ollama_turn_unplace(table, turn);
    }

    if (table->n < table->size) {
        turn = &table->turns[++table->n];
    }

    place = ngx_http_ollama_place(table, session);

    turn->session = session;
    turn->next = *place;
    *place = (uint32_t) (turn - table->turns);

    return turn;
}


static void
ngx_http_ollama_turn_unplace(ngx_http_ollama_affinity_t *table,
    ngx_http_ollama_turn_t *turn)
{
    uint32_t    *p, i;
    ngx_uint_t   n;

    i = (uint32_t) (turn - table->turns);
    p = ngx_http_ollama_place(table, turn->session);

    for (n = 0; *p && n < NGX_HTTP_OLLAMA_PLACE_STEPS; n++) {

        if (*p == i) {
            *p = turn->next;
            return;
        }

        p = &table->turns[*p].next;
    }

    /* somebody was killed in the middle of this */

    ngx_http_ollama_affinity_clear(table);
}


static void
ngx_http_ollama_turn_remove(ngx_http_ollama_affinity_t *table,
    ngx_http_ollama_turn_t *turn)
{
    table->turns[turn->newer].older = turn->older;
    table->turns[turn->older].newer = turn->newer;
}


/* as the newest: of the first entry "older" is the newest one of all */

static void
ngx_http_ollama_turn_insert(ngx_http_ollama_affinity_t *table,
    ngx_http_ollama_turn_t *turn)
{
    uint32_t                 i;
    ngx_http_ollama_turn_t  *ends;

    ends = table->turns;
    i = (uint32_t) (turn - table->turns);

    turn->newer = 0;
    turn->older = ends->older;

    table->turns[ends->older].newer = i;
    ends->older = i;
}


static void
ngx_http_ollama_affinity_clear(ngx_http_ollama_affinity_t *table)
{
    table->n = 0;
    table->turns[0].newer = 0;
    table->turns[0].older = 0;

    ngx_memzero(table->places, ((size_t) 1 << (64 - table->shift))
                               * sizeof(uint32_t));
}


size_t
ngx_http_ollama_affinity_size(ngx_uint_t size)
{
    return sizeof(ngx_http_ollama_affinity_t)
           + (size + 1) * sizeof(ngx_http_ollama_turn_t)
           + ngx_http_ollama_affinity_places(size) * sizeof(uint32_t);
}


static uint32_t
ngx_http_ollama_affinity_places(ngx_uint_t size)
{
    uint32_t  n;

    for (n = 2; n < size; n *= 2) { /* void */ }

    return n;
}


/*
 * A table that is as large as is wanted stays.  If nobody has said how large it
 * has to be, keys and requests go first.
 */

ngx_int_t
ngx_http_ollama_affinity_prepare(ngx_http_ollama_pool_t *pool)
{
    u_char                      *p;
    size_t                       free;
    ngx_uint_t                   i, size, places;
    ngx_http_ollama_affinity_t  *table;

    table = pool->sh->affinity;
    size = pool->sessions;

    pool->same_affinity = (table && size
                           && (table->size == size
                               || (!pool->sessions_said
                                   && table->wanted == size)));

    if (size == 0 || pool->same_affinity) {
        return NGX_OK;
    }

    if (!pool->sessions_said) {
        free = pool->shpool->pfree * ngx_pagesize
               / NGX_HTTP_OLLAMA_SESSIONS_SHARE;

        while (size >= NGX_HTTP_OLLAMA_SESSIONS_LEAST
               && ngx_http_ollama_affinity_size(size) > free)
        {
            size -= size / 8;
        }

        if (size < NGX_HTTP_OLLAMA_SESSIONS_LEAST) {
            return NGX_OK;
        }
    }

    table = ngx_slab_alloc(pool->shpool, ngx_http_ollama_affinity_size(size));

    if (table == NULL) {
        return pool->sessions_said ? NGX_ERROR : NGX_OK;
    }

    places = ngx_http_ollama_affinity_places(size);

    p = (u_char *) table + sizeof(ngx_http_ollama_affinity_t);

    table->turns = (ngx_http_ollama_turn_t *) p;
    table->places = (uint32_t *) (p + (size + 1)
                                      * sizeof(ngx_http_ollama_turn_t));

    table->size = (uint32_t) size;
    table->wanted = (uint32_t) (pool->sessions_said ? 0 : pool->sessions);

    for (table->shift = 64; places > 1; places /= 2) {
        table->shift--;
    }

    table->secret = 1;

    for (i = 0; i < 4; i++) {
        table->secret = (table->secret << 16) ^ (uint64_t) ngx_random();
    }

    table->secret |= 1;

    ngx_http_ollama_affinity_clear(table);

    pool->affinity = table;

    return NGX_OK;
}


void
ngx_http_ollama_affinity_commit(ngx_http_ollama_pool_t *pool)
{
    ngx_http_ollama_affinity_t  *old;

    old = pool->sh->affinity;

    if (pool->same_affinity) {
        return;
    }

    pool->sh->affinity = pool->affinity;
    pool->affinity = NULL;

    if (old == NULL) {
        return;
    }

    if (pool->sh->affinity) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "\"ollama_zone\" \"%V\": %uD conversations are kept "
                      "from now on, not %uD: they begin anew",
                      &pool->shm_zone->shm.name, pool->sh->affinity->size,
                      old->size);
    }

    ngx_slab_free_locked(pool->shpool, old);
}
