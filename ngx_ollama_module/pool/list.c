
/*
 * The list of keys: prepared, which may fail, and then committed, which does
 * not, or given up.
 *
 * All that is allocated for a list that is not committed is known to the master
 * alone, and nothing of it can be seen in the pool.
 */

#include "key.h"
#include "ramp.h"


#define NGX_HTTP_OLLAMA_IDLE_TIME  7200


typedef struct {
    const char                      *name;
    ngx_uint_t                       i;
} ngx_http_ollama_account_name_t;


static ngx_int_t ngx_http_ollama_list_read(ngx_http_ollama_pool_t *pool);
static ngx_int_t ngx_http_ollama_list_accounts(ngx_http_ollama_pool_t *pool);
static ngx_int_t ngx_http_ollama_list_allocate(ngx_http_ollama_pool_t *pool);
static ngx_int_t ngx_http_ollama_list_notes(ngx_http_ollama_pool_t *pool);
static void ngx_http_ollama_list_put(ngx_http_ollama_pool_t *pool,
    ngx_uint_t i);
static void ngx_http_ollama_list_place(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_key_t *key);
static void ngx_http_ollama_list_collect(ngx_http_ollama_pool_t *pool);
static int ngx_libc_cdecl ngx_http_ollama_account_cmp(const void *one,
    const void *two);


ngx_int_t
ngx_http_ollama_list_prepare(ngx_http_ollama_pool_t *pool, ngx_log_t *log)
{
    u_char      unit;
    size_t      size;
    ngx_int_t   rc;

    if (ngx_http_ollama_list_read(pool) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = NGX_ERROR;

    if (pool->sh) {
        rc = ngx_http_ollama_list_allocate(pool);
    }

    if (rc == NGX_OK) {
        return NGX_OK;
    }

    size = ngx_http_ollama_list_need(pool);

    unit = 'k';
    size = (size + 1023) / 1024;

    if (size >= 10 * 1024) {
        unit = 'm';
        size = (size + 1023) / 1024;
    }

    if (pool->sessions_said) {
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "\"ollama_zone\" \"%V\" is too small for %uz keys and "
                      "%ui conversations, %uz%c is needed",
                      &pool->shm_zone->shm.name, pool->config->nkeys,
                      pool->sessions, size, unit);

    } else {
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "\"ollama_zone\" \"%V\" is too small for %uz keys, "
                      "%uz%c is needed", &pool->shm_zone->shm.name,
                      pool->config->nkeys, size, unit);
    }

    ngx_http_ollama_list_discard(pool);

    return NGX_ERROR;
}


/* all that can be known without the zone */

static ngx_int_t
ngx_http_ollama_list_read(ngx_http_ollama_pool_t *pool)
{
    ngx_uint_t               i;
    ollama_sha256_t          sha;
    ollama_config_key_t     *ck;
    ngx_http_ollama_line_t  *line;

    pool->lines = ngx_calloc((pool->config->nkeys + 1)
                             * sizeof(ngx_http_ollama_line_t), ngx_cycle->log);
    if (pool->lines == NULL) {
        return NGX_ERROR;
    }

    pool->nlines = pool->config->nkeys;

    for (i = 0; i < pool->config->nkeys; i++) {

        ck = &pool->config->keys[i];
        line = &pool->lines[i];

        line->leader = i;

        ollama_sha256_init(&sha);
        ollama_sha256_update(&sha, ck->key, ck->key_len);
        ollama_sha256_final(&sha, line->id);
    }

    return ngx_http_ollama_list_accounts(pool);
}


static ngx_int_t
ngx_http_ollama_list_accounts(ngx_http_ollama_pool_t *pool)
{
    uint32_t                         limit;
    ngx_uint_t                       i, n;
    ollama_config_key_t             *ck;
    ngx_http_ollama_line_t          *line, *lines;
    ngx_http_ollama_account_name_t  *names;

    n = 0;
    ck = pool->config->keys;
    lines = pool->lines;

    names = ngx_alloc((pool->config->nkeys + 1)
                      * sizeof(ngx_http_ollama_account_name_t),
                      ngx_cycle->log);
    if (names == NULL) {
        ngx_free(pool->lines);
        pool->lines = NULL;
        return NGX_ERROR;
    }

    for (i = 0; i < pool->config->nkeys; i++) {

        if (ck[i].account) {
            names[n].name = ck[i].account;
            names[n++].i = i;
        }
    }

    ngx_qsort(names, n, sizeof(ngx_http_ollama_account_name_t),
              ngx_http_ollama_account_cmp);

    for (i = 1; i < n; i++) {
        if (ngx_strcmp(names[i].name, names[i - 1].name) == 0) {
            lines[names[i].i].leader = lines[names[i - 1].i].leader;
        }
    }

    ngx_free(names);

    for (i = 0; i < pool->config->nkeys; i++) {

        /* of several limits for one account the smallest is meant */

        line = &lines[lines[i].leader];
        line->nkeys++;

        limit = ck[i].max_concurrent;

        if (limit && (line->limit == 0 || limit < line->limit)) {
            line->limit = limit;
        }

        /* and of several floors the highest one */

        line->floor_percent = ngx_max(line->floor_percent,
                                      ck[i].floor_percent);
        line->floor_cost = ngx_max(line->floor_cost, ck[i].floor_cost);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_ollama_list_allocate(ngx_http_ollama_pool_t *pool)
{
    ngx_uint_t                  i, n, nkeys, slot;
    ollama_config_key_t        *ck;
    ngx_http_ollama_key_t      *key;
    ngx_http_ollama_line_t     *line, *lines;
    ngx_http_ollama_slots_t    *slots;
    ngx_http_ollama_shared_t   *sh;
    ngx_http_ollama_account_t  *account;

    sh = pool->sh;
    ck = pool->config->keys;
    nkeys = pool->config->nkeys;
    lines = pool->lines;
    n = 0;

    for (i = 0; i < nkeys; i++) {
        lines[i].key = ngx_http_ollama_key_find(sh, lines[i].id);

        if (lines[i].key == NULL) {
            lines[i].is_new = 1;
            n++;
        }
    }

    slots = sh->slots;

    if (slots == NULL || sh->nlive + n > slots->nslots) {

        pool->slots = ngx_http_ollama_slots_create(pool,
                                         ngx_align(sh->nlive + n + 1, 64));
        if (pool->slots == NULL) {
            return NGX_ERROR;
        }
    }

    pool->keys = ngx_slab_alloc(pool->shpool,
                                (nkeys + 1) * sizeof(ngx_http_ollama_key_t *));
    if (pool->keys == NULL) {
        return NGX_ERROR;
    }

    slot = 0;

    for (i = 0; i < nkeys; i++) {

        line = &lines[i];

        if (!line->is_new) {
            continue;
        }

        line->key = ngx_http_ollama_key_create(pool, &ck[i], line->id);
        if (line->key == NULL) {
            return NGX_ERROR;
        }

        while (slots && slot < slots->nslots && slots->keys[slot]) {
            slot++;
        }

        line->key->slot = (uint32_t) slot++;
    }

    for (i = 0; i < nkeys; i++) {

        line = &lines[lines[i].leader];

        if (line != &lines[i]) {
            lines[i].account = line->account;
            continue;
        }

        /* one that was of this key alone, and is, goes on */

        key = line->key;
        account = key->account;

        if (account
            && line->nkeys == 1
            && ngx_queue_head(&account->keys) == ngx_queue_last(&account->keys))
        {
            line->account = account;
            continue;
        }

        account = ngx_slab_calloc(pool->shpool,
                                  sizeof(ngx_http_ollama_account_t));
        if (account == NULL) {
            return NGX_ERROR;
        }

        ngx_queue_init(&account->keys);

        line->account = account;
        line->new_account = 1;
    }

    if (ngx_http_ollama_list_notes(pool) != NGX_OK) {
        return NGX_ERROR;
    }

    if (!pool->existed && ngx_http_ollama_list_room(pool) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_ollama_affinity_prepare(pool);
}


/* pages of notes, each of which begins with the address of the next one */

static ngx_int_t
ngx_http_ollama_list_notes(ngx_http_ollama_pool_t *pool)
{
    void        **page;
    ngx_uint_t    n;

    n = pool->sh->nnotes;

    while (n < NGX_HTTP_OLLAMA_NOTES + 2 * pool->config->nkeys) {

        page = ngx_slab_alloc(pool->shpool, ngx_pagesize);
        if (page == NULL) {
            return NGX_ERROR;
        }

        *page = pool->notes;
        pool->notes = page;

        n += ngx_http_ollama_per_page(ngx_http_ollama_note_t);
    }

    return NGX_OK;
}


/* what was prepared, but will not be used */

void
ngx_http_ollama_list_discard(ngx_http_ollama_pool_t *pool)
{
    void                    *page;
    ngx_uint_t               i;
    ngx_http_ollama_line_t  *line;

    if (pool->existed) {

        ngx_shmtx_lock(&pool->shpool->mutex);

        for (i = 0; i < pool->nlines; i++) {
            line = &pool->lines[i];

            if (line->new_account) {
                ngx_slab_free_locked(pool->shpool, line->account);
            }

            if (line->is_new && line->key) {
                ngx_http_ollama_key_destroy(pool, line->key);
            }
        }

        while (pool->notes) {
            page = pool->notes;
            pool->notes = *(void **) page;
            ngx_slab_free_locked(pool->shpool, page);
        }

        if (pool->keys) {
            ngx_slab_free_locked(pool->shpool, pool->keys);
        }

        if (pool->slots) {
            ngx_slab_free_locked(pool->shpool, pool->slots);
        }

        if (pool->affinity) {
            ngx_slab_free_locked(pool->shpool, pool->affinity);
        }

        ngx_shmtx_unlock(&pool->shpool->mutex);
    }

    ngx_free(pool->lines);

    pool->lines = NULL;
    pool->keys = NULL;
    pool->slots = NULL;
    pool->notes = NULL;
    pool->affinity = NULL;
}


void
ngx_http_ollama_pool_commit(ngx_http_ollama_pool_t *pool)
{
    void                      *page;
    ngx_uint_t                 i, n;
    ngx_rbtree_node_t         *node;
    ngx_http_ollama_key_t     *key;
    ngx_http_ollama_note_t    *note;
    ngx_http_ollama_shared_t  *sh;

    if (pool->lines == NULL || pool->sh == NULL) {
        return;
    }

    sh = pool->sh;

    ngx_shmtx_lock(&pool->shpool->mutex);

    if (pool->slots) {
        ngx_http_ollama_slots_put(sh, pool->slots);

        if (sh->slots) {
            ngx_slab_free_locked(pool->shpool, sh->slots);
        }

        sh->slots = pool->slots;
    }

    while (pool->notes) {
        page = pool->notes;
        pool->notes = *(void **) page;

        note = (ngx_http_ollama_note_t *) ((void **) page + 1);
        n = ngx_http_ollama_per_page(ngx_http_ollama_note_t);

        for (i = 0; i < n; i++) {
            ngx_queue_insert_tail(&sh->free_notes, &note[i].queue);
        }

        sh->nnotes += n;
    }

    ngx_http_ollama_affinity_commit(pool);

    sh->generation++;

    sh->tokens = pool->tokens;
    sh->expiring = pool->expiring;
    sh->interval = pool->interval;
    sh->floors = 0;
    sh->tiers = 0;

    for (i = 0; i < pool->config->nkeys; i++) {
        ngx_http_ollama_list_put(pool, i);
        pool->keys[i] = pool->lines[i].key;
    }

    if (sh->keys) {
        ngx_slab_free_locked(pool->shpool, sh->keys);
    }

    sh->keys = pool->keys;
    sh->nkeys = pool->config->nkeys;
    sh->swept = 0;
    sh->version++;

    ngx_http_ollama_list_collect(pool);

    /* those of the list in its order, which is that of the first requests */

    for (i = 0; i < sh->nkeys; i++) {
        ngx_http_ollama_list_place(sh, sh->keys[i]);
    }

    if (sh->ids.root != sh->ids.sentinel) {

        for (node = ngx_rbtree_min(sh->ids.root, sh->ids.sentinel);
             node;
             node = ngx_rbtree_next(&sh->ids, node))
        {
            key = ngx_rbtree_data(node, ngx_http_ollama_key_t, id_node);

            if (!ngx_http_ollama_listed(sh, key)) {
                ngx_http_ollama_list_place(sh, key);
            }
        }
    }

    ngx_http_ollama_pool_unlock(pool);

    ngx_free(pool->lines);

    pool->lines = NULL;
    pool->keys = NULL;
    pool->slots = NULL;
}


/* one line becomes valid */

static void
ngx_http_ollama_list_put(ngx_http_ollama_pool_t *pool, ngx_uint_t i)
{
    ngx_http_ollama_key_t      *key;
    ollama_config_key_t        *ck;
    ngx_http_ollama_line_t     *line;
    ngx_http_ollama_shared_t   *sh;
    ngx_http_ollama_account_t  *account, *old;

    sh = pool->sh;
    ck = &pool->config->keys[i];
    line = &pool->lines[i];
    key = line->key;

    if (line->is_new) {
        ngx_rbtree_insert(&sh->ids, &key->id_node);
        sh->slots->keys[key->slot] = key;
        sh->nlive++;
    }

    account = line->account;
    line = &pool->lines[line->leader];

    account->max_concurrent = line->limit;
    account->floor_percent = line->floor_percent;
    account->floor_cost = line->floor_cost;

    if (line->floor_percent || line->floor_cost) {
        sh->floors = 1;
    }

    old = key->account;

    if (old != account) {

        if (old) {
            if (old->learned
                && (account->learned == 0 || old->learned < account->learned))
            {
                account->learned = old->learned;
                account->learned_at = old->learned_at;
            }

            if (old->told > account->told) {
                account->told = old->told;
                account->balance = old->balance;
                account->spent = old->spent;
            }

            ngx_http_ollama_ramp_inherit(sh, account, old);
            ngx_http_ollama_key_leave_account(pool, key);
        }

        key->account = account;
        account->in_flight += key->in_flight;
        account->reserved += key->reserved.cost + key->reserved.guess;
        ngx_queue_insert_tail(&account->keys, &key->siblings);
    }

    key->name_len = (uint16_t) ngx_strlen(ck->name);
    ngx_memcpy(key->name, ck->name, key->name_len);

    ngx_http_ollama_key_tier(sh, key, ngx_min(ck->tier,
                                              NGX_HTTP_OLLAMA_TIERS - 1));
    sh->tiers |= (ngx_uint_t) 1 << key->tier;

    key->weight = ck->weight;
    key->enabled = ck->enabled;
    key->index = (uint32_t) i;
    key->generation = sh->generation;
}


static void
ngx_http_ollama_list_place(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_key_t *key)
{
    ngx_http_ollama_account_place(sh, key->account);
    ngx_http_ollama_key_deadline(sh, key);
    ngx_http_ollama_key_place(sh, key);
}


/* keys that left the list and about which nothing is worth knowing */

static void
ngx_http_ollama_list_collect(ngx_http_ollama_pool_t *pool)
{
    time_t                     now;
    ngx_rbtree_node_t         *node, *next;
    ngx_http_ollama_key_t     *key;
    ngx_http_ollama_shared_t  *sh;

    sh = pool->sh;
    now = ngx_time();

    if (sh->ids.root == sh->ids.sentinel) {
        return;
    }

    for (node = ngx_rbtree_min(sh->ids.root, sh->ids.sentinel);
         node;
         node = next)
    {
        next = ngx_rbtree_next(&sh->ids, node);
        key = ngx_rbtree_data(node, ngx_http_ollama_key_t, id_node);

        if (ngx_http_ollama_listed(sh, key)
            || key->in_flight
            || key->pins
            || key->until > now
            || now - key->last_used < NGX_HTTP_OLLAMA_IDLE_TIME)
        {
            continue;
        }

        ngx_http_ollama_key_free(pool, key);
    }
}


static int ngx_libc_cdecl
ngx_http_ollama_account_cmp(const void *one, const void *two)
{
    int                                    rc;
    const ngx_http_ollama_account_name_t  *first = one;
    const ngx_http_ollama_account_name_t  *second = two;

    rc = ngx_strcmp(first->name, second->name);

    if (rc) {
        return rc;
    }

    return (first->i > second->i) ? 1 : -1;
}
