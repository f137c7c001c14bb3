
#include "ngx_http_ollama_keys.h"
#include "core/sha256.h"


#define NGX_HTTP_OLLAMA_LEARNED_TIME  86400
#define NGX_HTTP_OLLAMA_IDLE_TIME     7200
#define NGX_HTTP_OLLAMA_LOAD_SCALE    16
#define NGX_HTTP_OLLAMA_HOLDS         256


typedef struct {
    const char                      *name;
    ngx_uint_t                       i;
} ngx_http_ollama_account_name_t;


static ngx_int_t ngx_http_ollama_keys_prepare(ngx_http_ollama_keys_t *keys,
    ngx_log_t *log);
static ngx_int_t ngx_http_ollama_keys_room(ngx_http_ollama_keys_t *keys);
static ngx_int_t ngx_http_ollama_keys_prepare_accounts(
    ngx_http_ollama_keys_t *keys);
static void ngx_http_ollama_keys_discard(ngx_http_ollama_keys_t *keys);
static void ngx_http_ollama_keys_collect(ngx_http_ollama_keys_t *keys,
    time_t now);
static ngx_http_ollama_key_t *ngx_http_ollama_key_find(
    ngx_http_ollama_pool_t *pool, u_char *id);
static ngx_http_ollama_key_t *ngx_http_ollama_key_create(
    ngx_http_ollama_keys_t *keys, ollama_config_key_t *ck, u_char *id);
static void ngx_http_ollama_key_free(ngx_http_ollama_keys_t *keys,
    ngx_http_ollama_key_t *key);

static void ngx_http_ollama_key_place(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_key_t *key);
static void ngx_http_ollama_account_place(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_account_t *account);
static uint32_t ngx_http_ollama_account_slots(
    ngx_http_ollama_account_t *account);
static void ngx_http_ollama_key_deadline(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_key_t *key, time_t until);
static void ngx_http_ollama_key_forgive(ngx_http_ollama_keys_t *keys,
    ngx_http_ollama_key_t *key);
static void ngx_http_ollama_key_hold_against(ngx_http_ollama_keys_t *keys,
    ngx_http_ollama_key_t *key, time_t until, ngx_uint_t state,
    ngx_uint_t level, const char *reason, ngx_uint_t http);

static ngx_http_ollama_block_t *ngx_http_ollama_key_block(
    ngx_http_ollama_key_t *key, uint32_t hash, ngx_str_t *model);
static void ngx_http_ollama_key_add_block(ngx_http_ollama_keys_t *keys,
    ngx_http_ollama_key_t *key, ngx_str_t *model, time_t until,
    ngx_uint_t http);
static void ngx_http_ollama_key_expire_blocks(ngx_http_ollama_keys_t *keys,
    ngx_http_ollama_key_t *key, time_t now);

static ngx_http_ollama_hold_t *ngx_http_ollama_hold_alloc(
    ngx_http_ollama_keys_t *keys);
static void ngx_http_ollama_hold_free(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_hold_t *hold);
static void ngx_http_ollama_hold_take(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_hold_t *hold, ngx_http_ollama_key_t *key,
    uint64_t tokens, time_t now);
static void ngx_http_ollama_hold_give_back(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_hold_t *hold);
static void ngx_http_ollama_keys_reap(ngx_http_ollama_pool_t *pool);
static void ngx_http_ollama_process_clear(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_process_t *process);

static ngx_http_ollama_key_t *ngx_http_ollama_keys_select(
    ngx_http_ollama_pool_t *pool, ngx_http_ollama_want_t *want, time_t now);
static ngx_int_t ngx_http_ollama_keys_refuse(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_want_t *want, time_t now);
static ngx_http_ollama_key_t *ngx_http_ollama_keys_by_number(
    ngx_http_ollama_pool_t *pool, uint32_t number);
static ngx_uint_t ngx_http_ollama_want_tried(ngx_http_ollama_want_t *want,
    ngx_http_ollama_key_t *key);

static int ngx_libc_cdecl ngx_http_ollama_account_cmp(const void *one,
    const void *two);


ngx_int_t
ngx_http_ollama_keys_init_zone(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_http_ollama_keys_t  *keys = shm_zone->data;
    ngx_http_ollama_keys_t  *old = data;

    ngx_uint_t               i;
    ngx_http_ollama_pool_t  *pool;

    keys->shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    if (old) {
        keys->pool = old->pool;
        return ngx_http_ollama_keys_prepare(keys, shm_zone->shm.log);
    }

    if (shm_zone->shm.exists) {
        keys->pool = keys->shpool->data;
        return ngx_http_ollama_keys_prepare(keys, shm_zone->shm.log);
    }

    pool = ngx_slab_calloc(keys->shpool, sizeof(ngx_http_ollama_pool_t));
    if (pool == NULL) {
        ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                      "\"ollama_zone\" \"%V\" is too small",
                      &shm_zone->shm.name);
        return NGX_ERROR;
    }

    /* worker after worker may fail for want of memory: say it in our words */

    keys->shpool->log_nomem = 0;
    keys->shpool->data = pool;
    keys->pool = pool;

    ngx_rbtree_init(&pool->ready, &pool->ready_sentinel,
                    ngx_rbtree_insert_value);
    ngx_rbtree_init(&pool->deadlines, &pool->deadlines_sentinel,
                    ngx_rbtree_insert_value);
    ngx_rbtree_init(&pool->ids, &pool->ids_sentinel,
                    ngx_rbtree_insert_value);

    ngx_queue_init(&pool->free);
    ngx_queue_init(&pool->waiters);

    for (i = 0; i < NGX_HTTP_OLLAMA_PROCESSES; i++) {
        ngx_queue_init(&pool->processes[i].holds);
    }

    return ngx_http_ollama_keys_prepare(keys, shm_zone->shm.log);
}


static ngx_int_t
ngx_http_ollama_keys_prepare(ngx_http_ollama_keys_t *keys, ngx_log_t *log)
{
    size_t                       len;
    u_char                       id[OLLAMA_SHA256_LEN];
    ngx_int_t                    rc;
    ngx_uint_t                   i;
    ollama_sha256_t              sha;
    ollama_config_key_t         *ck;
    ngx_http_ollama_key_t       *key;
    ngx_http_ollama_pool_t      *pool;
    ngx_http_ollama_prepared_t  *prepared;

    pool = keys->pool;
    rc = NGX_ERROR;

    ngx_shmtx_lock(&keys->shpool->mutex);

    ngx_http_ollama_keys_discard(keys);

    prepared = ngx_slab_calloc_locked(keys->shpool,
                     keys->config->nkeys * sizeof(ngx_http_ollama_prepared_t));
    if (prepared == NULL) {
        goto failed;
    }

    pool->prepared = prepared;
    pool->nprepared = keys->config->nkeys;

    for (i = 0; i < keys->config->nkeys; i++) {

        ck = &keys->config->keys[i];

        ollama_sha256_init(&sha);
        ollama_sha256_update(&sha, ck->key, ck->key_len);
        ollama_sha256_final(&sha, id);

        key = ngx_http_ollama_key_find(pool, id);

        if (key == NULL) {
            key = ngx_http_ollama_key_create(keys, ck, id);
            if (key == NULL) {
                goto failed;
            }
        }

        len = ngx_strlen(ck->name);

        prepared[i].name.data = ngx_slab_alloc_locked(keys->shpool, len);
        if (prepared[i].name.data == NULL) {
            goto failed;
        }

        ngx_memcpy(prepared[i].name.data, ck->name, len);

        prepared[i].name.len = len;
        prepared[i].key = key;
        prepared[i].weight = ck->weight;
        prepared[i].enabled = ck->enabled;
    }

    rc = ngx_http_ollama_keys_prepare_accounts(keys);

    if (rc == NGX_OK && pool->generation == 0) {
        rc = ngx_http_ollama_keys_room(keys);
    }

failed:

    ngx_shmtx_unlock(&keys->shpool->mutex);

    if (rc != NGX_OK) {
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "\"ollama_zone\" \"%V\" is too small for %uz keys, "
                      "about 1k is needed for each",
                      &keys->shm_zone->shm.name, keys->config->nkeys);
    }

    return rc;
}


/*
 * A zone in which the keys just fit could start, but neither serve a request
 * nor take the same list again at a reload.
 */

static ngx_int_t
ngx_http_ollama_keys_room(ngx_http_ollama_keys_t *keys)
{
    void                    *p;
    ngx_uint_t               i;
    ngx_http_ollama_hold_t  *hold;

    for (i = 0; i < NGX_HTTP_OLLAMA_HOLDS; i++) {
        hold = ngx_slab_alloc_locked(keys->shpool,
                                     sizeof(ngx_http_ollama_hold_t));
        if (hold == NULL) {
            return NGX_ERROR;
        }

        ngx_queue_insert_tail(&keys->pool->free, &hold->queue);
    }

    p = ngx_slab_alloc_locked(keys->shpool, keys->config->nkeys
                                * (sizeof(ngx_http_ollama_prepared_t)
                                   + sizeof(ngx_http_ollama_account_t)
                                   + OLLAMA_CONFIG_NAME_MAX)
                              + 8 * ngx_pagesize);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_slab_free_locked(keys->shpool, p);

    return NGX_OK;
}


static ngx_int_t
ngx_http_ollama_keys_prepare_accounts(ngx_http_ollama_keys_t *keys)
{
    ngx_int_t                        rc;
    ngx_uint_t                       i, n;
    ollama_config_key_t             *ck;
    ngx_http_ollama_account_t       *account;
    ngx_http_ollama_prepared_t      *prepared;
    ngx_http_ollama_account_name_t  *names;

    rc = NGX_ERROR;
    n = 0;
    prepared = keys->pool->prepared;

    names = ngx_alloc(keys->config->nkeys
                      * sizeof(ngx_http_ollama_account_name_t),
                      ngx_cycle->log);
    if (names == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < keys->config->nkeys; i++) {

        if (keys->config->keys[i].account) {
            names[n].name = keys->config->keys[i].account;
            names[n++].i = i;
        }
    }

    ngx_qsort(names, n, sizeof(ngx_http_ollama_account_name_t),
              ngx_http_ollama_account_cmp);

    for (i = 1; i < n; i++) {

        if (ngx_strcmp(names[i].name, names[i - 1].name) != 0) {
            continue;
        }

        account = prepared[names[i - 1].i].account;

        if (account == NULL) {
            account = ngx_slab_calloc_locked(keys->shpool,
                                           sizeof(ngx_http_ollama_account_t));
            if (account == NULL) {
                goto failed;
            }

            ngx_queue_init(&account->keys);
            prepared[names[i - 1].i].account = account;
        }

        prepared[names[i].i].account = account;
    }

    for (i = 0; i < keys->config->nkeys; i++) {

        account = prepared[i].account;

        if (account == NULL) {
            account = ngx_slab_calloc_locked(keys->shpool,
                                           sizeof(ngx_http_ollama_account_t));
            if (account == NULL) {
                goto failed;
            }

            ngx_queue_init(&account->keys);
            prepared[i].account = account;
        }

        /* of several limits for one account the smallest is meant */

        ck = &keys->config->keys[i];

        if (ck->max_concurrent
            && (account->max_concurrent == 0
                || ck->max_concurrent < account->max_concurrent))
        {
            account->max_concurrent = ck->max_concurrent;
        }
    }

    rc = NGX_OK;

failed:

    ngx_free(names);

    return rc;
}


/* what an earlier configuration has prepared, but did not come to use */

static void
ngx_http_ollama_keys_discard(ngx_http_ollama_keys_t *keys)
{
    ngx_uint_t                   i, j;
    ngx_http_ollama_pool_t      *pool;
    ngx_http_ollama_account_t   *account;
    ngx_http_ollama_prepared_t  *prepared;

    pool = keys->pool;
    prepared = pool->prepared;

    if (prepared == NULL) {
        return;
    }

    for (i = 0; i < pool->nprepared; i++) {

        if (prepared[i].name.data) {
            ngx_slab_free_locked(keys->shpool, prepared[i].name.data);
        }

        account = prepared[i].account;

        if (account == NULL) {
            continue;
        }

        for (j = i; j < pool->nprepared; j++) {
            if (prepared[j].account == account) {
                prepared[j].account = NULL;
            }
        }

        ngx_slab_free_locked(keys->shpool, account);
    }

    ngx_slab_free_locked(keys->shpool, prepared);

    pool->prepared = NULL;
    pool->nprepared = 0;
}


void
ngx_http_ollama_keys_commit(ngx_http_ollama_keys_t *keys)
{
    time_t                       now;
    ngx_uint_t                   i, nkeys;
    ngx_rbtree_node_t           *node;
    ngx_http_ollama_key_t       *key, **list;
    ngx_http_ollama_pool_t      *pool;
    ngx_http_ollama_account_t   *old;
    ngx_http_ollama_prepared_t  *prepared;

    pool = keys->pool;
    now = ngx_time();

    ngx_shmtx_lock(&keys->shpool->mutex);

    prepared = pool->prepared;
    nkeys = pool->nprepared;

    if (prepared == NULL) {
        ngx_shmtx_unlock(&keys->shpool->mutex);
        return;
    }

    pool->generation++;

    for (i = 0; i < nkeys; i++) {
        key = prepared[i].key;
        old = key->account;

        if (old) {
            if (old->learned
                && (prepared[i].account->learned == 0
                    || old->learned < prepared[i].account->learned))
            {
                prepared[i].account->learned = old->learned;
                prepared[i].account->learned_at = old->learned_at;
            }

            ngx_queue_remove(&key->siblings);

            if (ngx_queue_empty(&old->keys)) {
                ngx_slab_free_locked(keys->shpool, old);

            } else {
                old->in_flight -= key->in_flight;
            }
        }

        key->account = prepared[i].account;
        key->account->in_flight += key->in_flight;
        ngx_queue_insert_tail(&key->account->keys, &key->siblings);

        if (key->name.data) {
            ngx_slab_free_locked(keys->shpool, key->name.data);
        }

        key->name = prepared[i].name;
        key->weight = prepared[i].weight;
        key->enabled = prepared[i].enabled;
        key->index = i;
        key->generation = pool->generation;
    }

    /*
     * The array of lines becomes the list of keys: a pointer takes less
     * room than a line, and so nothing has to be allocated here.
     */

    list = (ngx_http_ollama_key_t **) prepared;

    for (i = 0; i < nkeys; i++) {
        key = prepared[i].key;
        list[i] = key;
    }

    if (pool->keys) {
        ngx_slab_free_locked(keys->shpool, pool->keys);
    }

    pool->keys = list;
    pool->nkeys = nkeys;
    pool->prepared = NULL;
    pool->nprepared = 0;

    ngx_http_ollama_keys_collect(keys, now);

    if (pool->ids.root != pool->ids.sentinel) {

        for (node = ngx_rbtree_min(pool->ids.root, pool->ids.sentinel);
             node;
             node = ngx_rbtree_next(&pool->ids, node))
        {
            key = ngx_rbtree_data(node, ngx_http_ollama_key_t, id_node);

            if (key->account) {
                ngx_http_ollama_account_place(pool, key->account);
            }

            ngx_http_ollama_key_deadline(pool, key, key->until);
            ngx_http_ollama_key_place(pool, key);
        }
    }

    pool->change++;

    ngx_shmtx_unlock(&keys->shpool->mutex);
}


/* keys that left the list and about which nothing is worth knowing */

static void
ngx_http_ollama_keys_collect(ngx_http_ollama_keys_t *keys, time_t now)
{
    ngx_rbtree_node_t       *node, *next;
    ngx_http_ollama_key_t   *key;
    ngx_http_ollama_pool_t  *pool;

    pool = keys->pool;

    if (pool->ids.root == pool->ids.sentinel) {
        return;
    }

    for (node = ngx_rbtree_min(pool->ids.root, pool->ids.sentinel);
         node;
         node = next)
    {
        next = ngx_rbtree_next(&pool->ids, node);
        key = ngx_rbtree_data(node, ngx_http_ollama_key_t, id_node);

        if (key->generation == pool->generation
            || key->in_flight
            || key->until > now
            || now - key->last_used < NGX_HTTP_OLLAMA_IDLE_TIME)
        {
            continue;
        }

        ngx_http_ollama_key_free(keys, key);
    }
}


static ngx_http_ollama_key_t *
ngx_http_ollama_key_find(ngx_http_ollama_pool_t *pool, u_char *id)
{
    ngx_rbtree_key_t        hash;
    ngx_rbtree_node_t      *node, *sentinel;
    ngx_http_ollama_key_t  *key;

    ngx_memcpy(&hash, id, sizeof(ngx_rbtree_key_t));

    node = pool->ids.root;
    sentinel = pool->ids.sentinel;

    while (node != sentinel) {

        if (hash < node->key) {
            node = node->left;
            continue;
        }

        if (hash > node->key) {
            node = node->right;
            continue;
        }

        key = ngx_rbtree_data(node, ngx_http_ollama_key_t, id_node);

        if (ngx_memcmp(key->id, id, sizeof(key->id)) == 0) {
            return key;
        }

        node = node->right;
    }

    return NULL;
}


static ngx_http_ollama_key_t *
ngx_http_ollama_key_create(ngx_http_ollama_keys_t *keys,
    ollama_config_key_t *ck, u_char *id)
{
    u_char                 *p;
    ngx_http_ollama_key_t  *key;

    key = ngx_slab_calloc_locked(keys->shpool, sizeof(ngx_http_ollama_key_t));
    if (key == NULL) {
        return NULL;
    }

    p = ngx_slab_alloc_locked(keys->shpool,
                              sizeof("Bearer ") - 1 + ck->key_len);
    if (p == NULL) {
        ngx_slab_free_locked(keys->shpool, key);
        return NULL;
    }

    key->authorization.data = p;

    p = ngx_cpymem(p, "Bearer ", sizeof("Bearer ") - 1);
    p = ngx_cpymem(p, ck->key, ck->key_len);

    key->authorization.len = p - key->authorization.data;

    ngx_memcpy(key->id, id, sizeof(key->id));
    ngx_memcpy(key->fingerprint, ck->fingerprint, sizeof(key->fingerprint));
    ngx_memcpy(&key->id_node.key, id, sizeof(ngx_rbtree_key_t));

    key->weight = 1;

    ngx_queue_init(&key->blocks);
    ngx_rbtree_insert(&keys->pool->ids, &key->id_node);

    return key;
}


static void
ngx_http_ollama_key_free(ngx_http_ollama_keys_t *keys,
    ngx_http_ollama_key_t *key)
{
    ngx_http_ollama_pool_t  *pool;

    pool = keys->pool;

    if (key->is_ready) {
        ngx_rbtree_delete(&pool->ready, &key->ready_node);
    }

    if (key->is_waiting) {
        ngx_rbtree_delete(&pool->deadlines, &key->deadline_node);
    }

    ngx_rbtree_delete(&pool->ids, &key->id_node);

    ngx_http_ollama_key_expire_blocks(keys, key, NGX_MAX_TIME_T_VALUE);

    if (key->account) {
        ngx_queue_remove(&key->siblings);

        if (ngx_queue_empty(&key->account->keys)) {
            ngx_slab_free_locked(keys->shpool, key->account);
        }
    }

    if (key->name.data) {
        ngx_slab_free_locked(keys->shpool, key->name.data);
    }

    ngx_explicit_memzero(key->authorization.data, key->authorization.len);
    ngx_slab_free_locked(keys->shpool, key->authorization.data);
    ngx_slab_free_locked(keys->shpool, key);
}


void
ngx_http_ollama_keys_init_process(ngx_http_ollama_keys_t *keys, ngx_log_t *log)
{
    ngx_uint_t                  i;
    ngx_http_ollama_pool_t     *pool;
    ngx_http_ollama_process_t  *process;

    pool = keys->pool;
    keys->process = NGX_HTTP_OLLAMA_PROCESSES;

    ngx_shmtx_lock(&keys->shpool->mutex);

    for (i = 0; i < NGX_HTTP_OLLAMA_PROCESSES; i++) {

        process = &pool->processes[i];

        if (process->pid == ngx_pid) {

            /* somebody had our pid before us */

            ngx_http_ollama_process_clear(pool, process);
        }
    }

    ngx_http_ollama_keys_reap(pool);

    for (i = 0; i < NGX_HTTP_OLLAMA_PROCESSES; i++) {

        process = &pool->processes[i];

        if (process->pid == 0) {
            process->pid = ngx_pid;
            keys->process = i;
            break;
        }
    }

    ngx_shmtx_unlock(&keys->shpool->mutex);

    if (keys->process == NGX_HTTP_OLLAMA_PROCESSES) {
        ngx_log_error(NGX_LOG_ALERT, log, 0,
                      "more than %d processes use \"ollama_zone\" \"%V\"",
                      NGX_HTTP_OLLAMA_PROCESSES, &keys->shm_zone->shm.name);
    }
}


void
ngx_http_ollama_keys_exit_process(ngx_http_ollama_keys_t *keys)
{
    if (keys->process == NGX_HTTP_OLLAMA_PROCESSES) {
        return;
    }

    ngx_shmtx_lock(&keys->shpool->mutex);

    ngx_http_ollama_process_clear(keys->pool,
                                  &keys->pool->processes[keys->process]);

    ngx_shmtx_unlock(&keys->shpool->mutex);

    keys->process = NGX_HTTP_OLLAMA_PROCESSES;
}


/* what workers that were killed have not given back */

static void
ngx_http_ollama_keys_reap(ngx_http_ollama_pool_t *pool)
{
    ngx_uint_t                  i;
    ngx_http_ollama_process_t  *process;

    for (i = 0; i < NGX_HTTP_OLLAMA_PROCESSES; i++) {

        process = &pool->processes[i];

        if (process->pid
            && process->pid != ngx_pid
            && kill(process->pid, 0) == -1
            && ngx_errno == NGX_ESRCH)
        {
            ngx_http_ollama_process_clear(pool, process);
        }
    }
}


static void
ngx_http_ollama_process_clear(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_process_t *process)
{
    ngx_queue_t             *q;
    ngx_http_ollama_hold_t  *hold;

    while (!ngx_queue_empty(&process->holds)) {
        q = ngx_queue_head(&process->holds);
        hold = ngx_queue_data(q, ngx_http_ollama_hold_t, queue);

        ngx_http_ollama_hold_give_back(pool, hold);
        ngx_http_ollama_hold_free(pool, hold);
    }

    process->pid = 0;
    pool->change++;
}


/*
 * The only place where a key comes into, leaves, or moves within "ready",
 * and so the only definition of who may be chosen.
 */

static void
ngx_http_ollama_key_place(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_key_t *key)
{
    ngx_uint_t        ready;
    ngx_rbtree_key_t  load;

    ready = key->generation == pool->generation
            && key->enabled
            && key->until == 0
            && !key->account->full
            && !(key->half_open && key->probed);

    load = (ngx_rbtree_key_t) ((key->window.sum + key->reserved)
                               * NGX_HTTP_OLLAMA_LOAD_SCALE / key->weight);

    if (key->is_ready) {

        if (ready && key->ready_node.key == load) {
            return;
        }

        ngx_rbtree_delete(&pool->ready, &key->ready_node);
        key->is_ready = 0;
    }

    if (ready) {
        key->ready_node.key = load;
        ngx_rbtree_insert(&pool->ready, &key->ready_node);
        key->is_ready = 1;
    }
}


/* after a change of the account's requests in flight, or of its slots */

static void
ngx_http_ollama_account_place(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_account_t *account)
{
    uint32_t                slots;
    ngx_uint_t              full;
    ngx_queue_t            *q;
    ngx_http_ollama_key_t  *key;

    slots = ngx_http_ollama_account_slots(account);
    full = slots && account->in_flight >= slots;

    if (full == account->full) {
        return;
    }

    account->full = full;

    for (q = ngx_queue_head(&account->keys);
         q != ngx_queue_sentinel(&account->keys);
         q = ngx_queue_next(q))
    {
        key = ngx_queue_data(q, ngx_http_ollama_key_t, siblings);
        ngx_http_ollama_key_place(pool, key);
    }
}


static uint32_t
ngx_http_ollama_account_slots(ngx_http_ollama_account_t *account)
{
    if (account->learned
        && (account->max_concurrent == 0
            || account->learned < account->max_concurrent))
    {
        return account->learned;
    }

    return account->max_concurrent;
}


ngx_uint_t
ngx_http_ollama_key_slots(ngx_http_ollama_key_t *key)
{
    return ngx_http_ollama_account_slots(key->account);
}


ngx_uint_t
ngx_http_ollama_key_eligible(ngx_http_ollama_key_t *key)
{
    return key->is_ready;
}


/* until 0 ends it; a key outside of the list waits for nothing */

static void
ngx_http_ollama_key_deadline(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_key_t *key, time_t until)
{
    if (key->is_waiting) {
        ngx_rbtree_delete(&pool->deadlines, &key->deadline_node);
        key->is_waiting = 0;
    }

    key->until = until;

    if (until && key->generation == pool->generation) {
        key->deadline_node.key = (ngx_rbtree_key_t) until;
        ngx_rbtree_insert(&pool->deadlines, &key->deadline_node);
        key->is_waiting = 1;
    }
}


/* ends of penalties, and once a minute what has left the two hours */

void
ngx_http_ollama_keys_refresh(ngx_http_ollama_keys_t *keys, time_t now)
{
    ngx_uint_t               i;
    ngx_rbtree_node_t       *node;
    ngx_http_ollama_key_t   *key;
    ngx_http_ollama_pool_t  *pool;

    pool = keys->pool;

    while (pool->deadlines.root != pool->deadlines.sentinel) {

        node = ngx_rbtree_min(pool->deadlines.root, pool->deadlines.sentinel);

        if (node->key > (ngx_rbtree_key_t) now) {
            break;
        }

        key = ngx_rbtree_data(node, ngx_http_ollama_key_t, deadline_node);

        key->half_open = 1;
        key->probed = 0;

        ngx_http_ollama_key_deadline(pool, key, 0);
        ngx_http_ollama_key_place(pool, key);

        pool->change++;
    }

    /*
     * A worker that dies has a successor, which looks at once; but not one
     * that was about to exit after a reload.
     */

    if (pool->reaped != now) {
        pool->reaped = now;
        ngx_http_ollama_keys_reap(pool);
    }

    if (pool->swept == now / 60) {
        return;
    }

    pool->swept = now / 60;

    for (i = 0; i < pool->nkeys; i++) {
        key = pool->keys[i];

        (void) ollama_window_expire(&key->window, now);
        ngx_http_ollama_key_expire_blocks(keys, key, now);

        /* plans change: a limit once told is not believed for ever */

        if (key->account->learned
            && now - key->account->learned_at > NGX_HTTP_OLLAMA_LEARNED_TIME)
        {
            key->account->learned = 0;
            ngx_http_ollama_account_place(pool, key->account);
        }

        ngx_http_ollama_key_place(pool, key);
    }

    pool->change++;
}


ngx_int_t
ngx_http_ollama_keys_reserve(ngx_http_ollama_keys_t *keys,
    ngx_http_ollama_want_t *want, ngx_http_ollama_hold_t **hold)
{
    time_t                   now;
    ngx_int_t                rc;
    ngx_http_ollama_key_t   *key;
    ngx_http_ollama_pool_t  *pool;

    pool = keys->pool;
    now = ngx_time();

    ngx_shmtx_lock(&keys->shpool->mutex);

    ngx_http_ollama_keys_refresh(keys, now);

    key = ngx_http_ollama_keys_select(pool, want, now);

    if (key == NULL) {
        rc = ngx_http_ollama_keys_refuse(pool, want, now);
        ngx_shmtx_unlock(&keys->shpool->mutex);
        return rc;
    }

    if (*hold == NULL) {
        *hold = ngx_http_ollama_hold_alloc(keys);

        if (*hold == NULL) {
            ngx_shmtx_unlock(&keys->shpool->mutex);

            want->status = 503;
            want->retry = now + 1;
            ngx_cpystrn(want->reason,
                        (u_char *) "the proxy is out of shared memory",
                        sizeof(want->reason));
            return NGX_DECLINED;
        }
    }

    ngx_http_ollama_hold_take(pool, *hold, key, want->tokens, now);

    ngx_shmtx_unlock(&keys->shpool->mutex);

    return NGX_OK;
}


static ngx_http_ollama_key_t *
ngx_http_ollama_keys_select(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_want_t *want, time_t now)
{
    ngx_rbtree_node_t        *node;
    ngx_http_ollama_key_t    *key;
    ngx_http_ollama_block_t  *block;

    if (pool->ready.root == pool->ready.sentinel) {
        return NULL;
    }

    for (node = ngx_rbtree_min(pool->ready.root, pool->ready.sentinel);
         node;
         node = ngx_rbtree_next(&pool->ready, node))
    {
        key = ngx_rbtree_data(node, ngx_http_ollama_key_t, ready_node);

        if (ngx_http_ollama_want_tried(want, key)) {
            continue;
        }

        block = ngx_http_ollama_key_block(key, want->hash, &want->model);

        if (block && block->until > now) {
            continue;
        }

        return key;
    }

    return NULL;
}


/*
 * No key can be had: is it worth waiting for one, or when is the soonest
 * free?  Looks at every key, but only when there is nothing else to do.
 */

static ngx_int_t
ngx_http_ollama_keys_refuse(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_want_t *want, time_t now)
{
    time_t                    until;
    ngx_int_t                 rc;
    ngx_uint_t                i, quota;
    const char               *reason;
    ngx_http_ollama_key_t    *key;
    ngx_http_ollama_block_t  *block;

    rc = NGX_DECLINED;
    quota = 0;

    want->retry = 0;

    ngx_cpystrn(want->reason, (u_char *) "no key is enabled",
                sizeof(want->reason));

    for (i = 0; i < pool->nkeys; i++) {
        key = pool->keys[i];

        if (!key->enabled || ngx_http_ollama_want_tried(want, key)) {
            continue;
        }

        block = ngx_http_ollama_key_block(key, want->hash, &want->model);

        if (block && block->until > now) {
            until = ngx_max(block->until, key->until);
            reason = "no key may use this model";

        } else if (key->until == 0) {

            /* its slots are taken, or one request tries it out */

            until = now + 1;
            reason = "all slots are taken";
            quota = 1;
            rc = NGX_AGAIN;

        } else {
            until = key->until;
            reason = (char *) key->reason;

            switch (key->state) {

            case NGX_HTTP_OLLAMA_KEY_SLOTS:
                rc = NGX_AGAIN;

                /* fall through */

            case NGX_HTTP_OLLAMA_KEY_PAUSED:
            case NGX_HTTP_OLLAMA_KEY_EXHAUSTED:
                quota = 1;
                break;

            default:
                break;
            }
        }

        if (want->retry == 0 || until < want->retry) {
            want->retry = until;
            ngx_cpystrn(want->reason, (u_char *) reason,
                        sizeof(want->reason));
        }
    }

    want->status = quota ? 429 : 503;

    return rc;
}


time_t
ngx_http_ollama_keys_when(ngx_http_ollama_keys_t *keys,
    ngx_http_ollama_want_t *want)
{
    time_t                  now;
    ngx_http_ollama_want_t  again;

    now = ngx_time();

    again = *want;
    again.ntried = 0;

    ngx_shmtx_lock(&keys->shpool->mutex);

    ngx_http_ollama_keys_refresh(keys, now);

    if (ngx_http_ollama_keys_select(keys->pool, &again, now)) {
        again.retry = now + 1;

    } else {
        (void) ngx_http_ollama_keys_refuse(keys->pool, &again, now);
    }

    ngx_shmtx_unlock(&keys->shpool->mutex);

    return again.retry;
}


static ngx_uint_t
ngx_http_ollama_want_tried(ngx_http_ollama_want_t *want,
    ngx_http_ollama_key_t *key)
{
    ngx_uint_t  i;

    for (i = 0; i < want->ntried; i++) {
        if (want->tried[i] == key) {
            return 1;
        }
    }

    return 0;
}


ngx_http_ollama_key_t *
ngx_http_ollama_keys_any(ngx_http_ollama_keys_t *keys)
{
    ngx_uint_t               i;
    ngx_http_ollama_key_t   *key, *best;
    ngx_http_ollama_pool_t  *pool;

    pool = keys->pool;
    best = NULL;

    ngx_shmtx_lock(&keys->shpool->mutex);

    ngx_http_ollama_keys_refresh(keys, ngx_time());

    if (pool->ready.root != pool->ready.sentinel) {
        best = ngx_rbtree_data(ngx_rbtree_min(pool->ready.root,
                                              pool->ready.sentinel),
                               ngx_http_ollama_key_t, ready_node);
        goto done;
    }

    for (i = 0; i < pool->nkeys; i++) {
        key = pool->keys[i];

        if (key->enabled && key->state != NGX_HTTP_OLLAMA_KEY_INVALID) {
            best = key;
            break;
        }
    }

done:

    if (best) {
        best->last_used = ngx_time();
    }

    ngx_shmtx_unlock(&keys->shpool->mutex);

    return best;
}


ngx_int_t
ngx_http_ollama_keys_wait(ngx_http_ollama_keys_t *keys,
    ngx_http_ollama_hold_t **hold, ngx_uint_t max)
{
    ngx_http_ollama_hold_t  *h;
    ngx_http_ollama_pool_t  *pool;

    pool = keys->pool;

    ngx_shmtx_lock(&keys->shpool->mutex);

    if (pool->nwaiters >= max) {
        ngx_shmtx_unlock(&keys->shpool->mutex);
        return NGX_BUSY;
    }

    if (*hold == NULL) {
        *hold = ngx_http_ollama_hold_alloc(keys);
    }

    h = *hold;

    if (h == NULL) {
        ngx_shmtx_unlock(&keys->shpool->mutex);
        return NGX_ERROR;
    }

    /* a request that waits uses no slot */

    ngx_http_ollama_hold_give_back(pool, h);

    h->waiting = 1;
    h->seen = pool->change - 1;

    ngx_queue_insert_tail(&pool->waiters, &h->wait);
    pool->nwaiters++;

    ngx_shmtx_unlock(&keys->shpool->mutex);

    return NGX_OK;
}


/*
 * First come, first served, over all workers: a waiter may try when all who
 * came before it have tried since the last change, and in vain.
 */

ngx_int_t
ngx_http_ollama_keys_turn(ngx_http_ollama_keys_t *keys,
    ngx_http_ollama_want_t *want, ngx_http_ollama_hold_t *hold)
{
    time_t                   now;
    ngx_int_t                rc;
    ngx_queue_t             *q;
    ngx_http_ollama_key_t   *key;
    ngx_http_ollama_hold_t  *h;
    ngx_http_ollama_pool_t  *pool;

    pool = keys->pool;
    now = ngx_time();

    ngx_shmtx_lock(&keys->shpool->mutex);

    ngx_http_ollama_keys_refresh(keys, now);

    if (want->status == 0) {

        /* should its time run out before its turn comes, it has a reason */

        (void) ngx_http_ollama_keys_refuse(pool, want, now);
    }

    if (hold->seen == pool->change) {
        ngx_shmtx_unlock(&keys->shpool->mutex);
        return NGX_BUSY;
    }

    for (q = ngx_queue_head(&pool->waiters);
         q != ngx_queue_sentinel(&pool->waiters);
         q = ngx_queue_next(q))
    {
        h = ngx_queue_data(q, ngx_http_ollama_hold_t, wait);

        if (h == hold) {
            break;
        }

        if (h->seen != pool->change) {
            ngx_shmtx_unlock(&keys->shpool->mutex);
            return NGX_BUSY;
        }
    }

    hold->seen = pool->change;

    key = ngx_http_ollama_keys_select(pool, want, now);

    if (key == NULL) {
        rc = ngx_http_ollama_keys_refuse(pool, want, now);

    } else {
        ngx_http_ollama_hold_take(pool, hold, key, want->tokens, now);
        rc = NGX_OK;
    }

    ngx_shmtx_unlock(&keys->shpool->mutex);

    return rc;
}


ngx_uint_t
ngx_http_ollama_keys_waiters(ngx_http_ollama_keys_t *keys)
{
    return keys->pool->nwaiters;
}


static ngx_http_ollama_hold_t *
ngx_http_ollama_hold_alloc(ngx_http_ollama_keys_t *keys)
{
    ngx_queue_t             *q;
    ngx_http_ollama_hold_t  *hold;
    ngx_http_ollama_pool_t  *pool;

    pool = keys->pool;

    if (keys->process == NGX_HTTP_OLLAMA_PROCESSES) {
        return NULL;
    }

    if (ngx_queue_empty(&pool->free)) {
        hold = ngx_slab_alloc_locked(keys->shpool,
                                     sizeof(ngx_http_ollama_hold_t));
        if (hold == NULL) {
            return NULL;
        }

    } else {
        q = ngx_queue_head(&pool->free);
        ngx_queue_remove(q);
        hold = ngx_queue_data(q, ngx_http_ollama_hold_t, queue);
    }

    ngx_memzero(hold, sizeof(ngx_http_ollama_hold_t));

    hold->process = keys->process;

    ngx_queue_insert_tail(&pool->processes[keys->process].holds,
                          &hold->queue);

    return hold;
}


static void
ngx_http_ollama_hold_free(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_hold_t *hold)
{
    ngx_queue_remove(&hold->queue);
    ngx_queue_insert_head(&pool->free, &hold->queue);
}


static void
ngx_http_ollama_hold_take(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_hold_t *hold, ngx_http_ollama_key_t *key,
    uint64_t tokens, time_t now)
{
    ngx_http_ollama_hold_give_back(pool, hold);

    hold->key = key;
    hold->tokens = tokens;
    hold->probe = key->half_open;
    key->probed = key->half_open;

    key->in_flight++;
    key->reserved += tokens;
    key->last_used = now;
    key->account->in_flight++;

    ngx_http_ollama_account_place(pool, key->account);
    ngx_http_ollama_key_place(pool, key);
}


static void
ngx_http_ollama_hold_give_back(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_hold_t *hold)
{
    ngx_http_ollama_key_t  *key;

    if (hold->waiting) {
        ngx_queue_remove(&hold->wait);
        hold->waiting = 0;
        pool->nwaiters--;
    }

    key = hold->key;

    if (key == NULL) {
        return;
    }

    hold->key = NULL;

    if (hold->probe) {
        hold->probe = 0;
        key->probed = 0;
    }

    key->in_flight--;
    key->reserved -= hold->tokens;
    key->account->in_flight--;

    ngx_http_ollama_account_place(pool, key->account);
    ngx_http_ollama_key_place(pool, key);

    pool->change++;
}


void
ngx_http_ollama_keys_release(ngx_http_ollama_keys_t *keys,
    ngx_http_ollama_hold_t *hold, uint64_t tokens, uint32_t hash,
    uint64_t answered)
{
    time_t                    now;
    ngx_http_ollama_key_t    *key;
    ngx_http_ollama_pool_t   *pool;
    ngx_http_ollama_model_t  *model;

    pool = keys->pool;
    now = ngx_time();

    ngx_shmtx_lock(&keys->shpool->mutex);

    key = hold->key;

    if (key) {
        key->requests++;

        if (tokens) {
            ollama_window_add(&key->window, now, tokens);
        }

        key->last_used = now;
    }

    if (answered) {
        model = &pool->models[hash % NGX_HTTP_OLLAMA_MODELS];

        if (model->hash != hash || model->usual == 0) {
            model->hash = hash;
            model->usual = (uint32_t) ngx_min(answered, NGX_MAX_UINT32_VALUE);

        } else {
            model->usual = (uint32_t) (model->usual
                       + ((int64_t) ngx_min(answered, NGX_MAX_UINT32_VALUE)
                          - (int64_t) model->usual) / 8);
        }
    }

    ngx_http_ollama_hold_give_back(pool, hold);
    ngx_http_ollama_hold_free(pool, hold);

    ngx_shmtx_unlock(&keys->shpool->mutex);
}


uint64_t
ngx_http_ollama_keys_usual(ngx_http_ollama_keys_t *keys, uint32_t hash)
{
    ngx_http_ollama_model_t  *model;

    /* a guess for a reservation: not worth the lock */

    model = &keys->pool->models[hash % NGX_HTTP_OLLAMA_MODELS];

    if (model->hash != hash || model->usual == 0) {
        return NGX_HTTP_OLLAMA_USUAL;
    }

    return model->usual;
}


void
ngx_http_ollama_keys_success(ngx_http_ollama_keys_t *keys,
    ngx_http_ollama_hold_t *hold)
{
    ngx_http_ollama_key_t  *key;

    key = hold->key;

    /* the usual case needs no lock: there is nothing to forgive */

    if (key == NULL || (!key->half_open && key->level == 0)) {
        return;
    }

    ngx_shmtx_lock(&keys->shpool->mutex);

    /* a request from before the penalty proves nothing about what came after */

    if (key->until == 0 && (hold->probe || !key->half_open)) {
        hold->probe = 0;
        key->probed = 0;

        ngx_http_ollama_key_forgive(keys, key);
    }

    ngx_shmtx_unlock(&keys->shpool->mutex);
}


static void
ngx_http_ollama_key_forgive(ngx_http_ollama_keys_t *keys,
    ngx_http_ollama_key_t *key)
{
    key->half_open = 0;
    key->level = 0;
    key->http = 0;
    key->reason[0] = '\0';
    key->state = NGX_HTTP_OLLAMA_KEY_HEALTHY;

    ngx_http_ollama_key_deadline(keys->pool, key, 0);
    ngx_http_ollama_key_place(keys->pool, key);

    keys->pool->change++;

    if (keys->changed) {
        keys->changed(keys->data, key, NULL);
    }
}


void
ngx_http_ollama_keys_blame(ngx_http_ollama_keys_t *keys,
    ngx_http_ollama_key_t *key, ollama_verdict_t *v, ngx_str_t *model,
    ngx_uint_t http)
{
    ngx_uint_t               state;
    ngx_queue_t             *q;
    ngx_http_ollama_key_t   *k;
    ngx_http_ollama_pool_t  *pool;

    switch (v->key) {

    case OLLAMA_KEY_EXHAUSTED:
        state = NGX_HTTP_OLLAMA_KEY_EXHAUSTED;
        break;

    case OLLAMA_KEY_SLOTS:
        state = NGX_HTTP_OLLAMA_KEY_SLOTS;
        break;

    case OLLAMA_KEY_PAUSED:
        state = NGX_HTTP_OLLAMA_KEY_PAUSED;
        break;

    case OLLAMA_KEY_INVALID:
        state = NGX_HTTP_OLLAMA_KEY_INVALID;
        break;

    case OLLAMA_KEY_MODEL_BLOCKED:
        state = NGX_HTTP_OLLAMA_KEY_HEALTHY;
        break;

    default:
        return;
    }

    pool = keys->pool;

    ngx_shmtx_lock(&keys->shpool->mutex);

    if (v->slots) {
        key->account->learned = v->slots;
        key->account->learned_at = ngx_time();
        ngx_http_ollama_account_place(pool, key->account);
    }

    if (state == NGX_HTTP_OLLAMA_KEY_HEALTHY
        || v->scope == OLLAMA_SCOPE_ACCOUNT)
    {
        /* a plan is the account's: what one of its keys met, all will meet */

        for (q = ngx_queue_head(&key->account->keys);
             q != ngx_queue_sentinel(&key->account->keys);
             q = ngx_queue_next(q))
        {
            k = ngx_queue_data(q, ngx_http_ollama_key_t, siblings);

            if (state == NGX_HTTP_OLLAMA_KEY_HEALTHY) {
                ngx_http_ollama_key_add_block(keys, k, model, v->until, http);

            } else {
                ngx_http_ollama_key_hold_against(keys, k, v->until, state,
                                                 v->level, v->reason, http);
            }
        }

    } else {
        ngx_http_ollama_key_hold_against(keys, key, v->until, state, v->level,
                                         v->reason, http);
    }

    pool->change++;

    ngx_shmtx_unlock(&keys->shpool->mutex);
}


static void
ngx_http_ollama_key_hold_against(ngx_http_ollama_keys_t *keys,
    ngx_http_ollama_key_t *key, time_t until, ngx_uint_t state,
    ngx_uint_t level, const char *reason, ngx_uint_t http)
{
    key->level = ngx_min(ngx_max(key->level, level), 255);

    /* a later, smaller penalty shortens nothing, and explains nothing */

    if (until <= key->until) {
        return;
    }

    key->state = state;
    key->http = http;
    key->half_open = 0;

    ngx_cpystrn(key->reason, (u_char *) reason, sizeof(key->reason));

    ngx_http_ollama_key_deadline(keys->pool, key, until);
    ngx_http_ollama_key_place(keys->pool, key);

    if (keys->changed) {
        keys->changed(keys->data, key, NULL);
    }
}


static ngx_http_ollama_block_t *
ngx_http_ollama_key_block(ngx_http_ollama_key_t *key, uint32_t hash,
    ngx_str_t *model)
{
    ngx_queue_t              *q;
    ngx_http_ollama_block_t  *block;

    for (q = ngx_queue_head(&key->blocks);
         q != ngx_queue_sentinel(&key->blocks);
         q = ngx_queue_next(q))
    {
        block = ngx_queue_data(q, ngx_http_ollama_block_t, queue);

        if (block->hash == hash
            && block->len == model->len
            && ngx_memcmp(block->model, model->data, model->len) == 0)
        {
            return block;
        }
    }

    return NULL;
}


static void
ngx_http_ollama_key_add_block(ngx_http_ollama_keys_t *keys,
    ngx_http_ollama_key_t *key, ngx_str_t *model, time_t until,
    ngx_uint_t http)
{
    uint32_t                  hash;
    ngx_uint_t                n;
    ngx_queue_t              *q;
    ngx_http_ollama_block_t  *block;

    hash = ngx_crc32_short(model->data, model->len);

    block = ngx_http_ollama_key_block(key, hash, model);

    if (block) {
        block->until = ngx_max(block->until, until);
        block->status = http;
        goto changed;
    }

    n = 0;

    for (q = ngx_queue_head(&key->blocks);
         q != ngx_queue_sentinel(&key->blocks);
         q = ngx_queue_next(q))
    {
        n++;
    }

    if (n >= NGX_HTTP_OLLAMA_MAX_BLOCKS) {
        q = ngx_queue_head(&key->blocks);
        ngx_queue_remove(q);
        ngx_slab_free_locked(keys->shpool,
                         ngx_queue_data(q, ngx_http_ollama_block_t, queue));
    }

    block = ngx_slab_alloc_locked(keys->shpool,
                                  sizeof(ngx_http_ollama_block_t)
                                  + model->len);
    if (block == NULL) {
        return;
    }

    block->until = until;
    block->hash = hash;
    block->status = http;
    block->len = model->len;
    ngx_memcpy(block->model, model->data, model->len);

    ngx_queue_insert_tail(&key->blocks, &block->queue);

changed:

    if (keys->changed) {
        keys->changed(keys->data, key, block);
    }
}


static void
ngx_http_ollama_key_expire_blocks(ngx_http_ollama_keys_t *keys,
    ngx_http_ollama_key_t *key, time_t now)
{
    ngx_queue_t              *q, *next;
    ngx_http_ollama_block_t  *block;

    for (q = ngx_queue_head(&key->blocks);
         q != ngx_queue_sentinel(&key->blocks);
         q = next)
    {
        next = ngx_queue_next(q);
        block = ngx_queue_data(q, ngx_http_ollama_block_t, queue);

        if (block->until <= now) {
            ngx_queue_remove(q);
            ngx_slab_free_locked(keys->shpool, block);
        }
    }
}


void
ngx_http_ollama_keys_ratelimit(ngx_http_ollama_keys_t *keys,
    ngx_http_ollama_key_t *key, ngx_http_ollama_ratelimit_t *rl)
{
    ngx_shmtx_lock(&keys->shpool->mutex);

    key->ratelimit = *rl;

    ngx_shmtx_unlock(&keys->shpool->mutex);
}


void
ngx_http_ollama_keys_reset(ngx_http_ollama_keys_t *keys,
    ngx_http_ollama_key_t *key)
{
    ngx_queue_t              *q;
    ngx_http_ollama_block_t  *block;

    for (q = ngx_queue_head(&key->blocks);
         q != ngx_queue_sentinel(&key->blocks) && keys->changed;
         q = ngx_queue_next(q))
    {
        block = ngx_queue_data(q, ngx_http_ollama_block_t, queue);
        block->until = 0;

        keys->changed(keys->data, key, block);
    }

    ngx_http_ollama_key_expire_blocks(keys, key, NGX_MAX_TIME_T_VALUE);
    ngx_http_ollama_key_forgive(keys, key);
}


void
ngx_http_ollama_keys_penalize(ngx_http_ollama_keys_t *keys,
    ngx_http_ollama_key_t *key, time_t seconds)
{
    ngx_http_ollama_key_hold_against(keys, key, ngx_time() + seconds,
                                     NGX_HTTP_OLLAMA_KEY_PENALIZED, key->level,
                                     "paused by an operator", 0);
    keys->pool->change++;
}


void
ngx_http_ollama_keys_restore_usage(ngx_http_ollama_keys_t *keys,
    ollama_record_usage_t *usage)
{
    time_t                  now;
    uint32_t                i;
    ngx_http_ollama_key_t  *key;

    now = ngx_time();

    ngx_http_ollama_keys_lock(keys);

    key = ngx_http_ollama_keys_by_number(keys->pool, usage->key);

    if (key) {
        for (i = 0; i < usage->n; i++) {
            (void) ollama_window_set_minute(&key->window, now,
                                        (int64_t) usage->minutes[i].minute * 60,
                                        usage->minutes[i].tokens);
        }

        ngx_http_ollama_key_place(keys->pool, key);
    }

    ngx_http_ollama_keys_unlock(keys);
}


void
ngx_http_ollama_keys_restore_penalty(ngx_http_ollama_keys_t *keys,
    ollama_record_penalty_t *penalty)
{
    time_t                       now, until;
    ngx_str_t                    model;
    ngx_http_ollama_key_t       *key;
    ngx_http_ollama_changed_pt   changed;
    u_char                       reason[64];

    now = ngx_time();
    until = (time_t) (penalty->until / 1000);

    if (until <= now || penalty->state > NGX_HTTP_OLLAMA_KEY_PENALIZED) {
        return;
    }

    ngx_http_ollama_keys_lock(keys);

    /* the daemon knows it, there is nothing to tell */

    changed = keys->changed;
    keys->changed = NULL;

    key = ngx_http_ollama_keys_by_number(keys->pool, penalty->key);

    if (key && penalty->model.len) {
        model.data = (u_char *) penalty->model.data;
        model.len = penalty->model.len;

        ngx_http_ollama_key_add_block(keys, key, &model, until,
                                      penalty->http);

    } else if (key) {
        ngx_memzero(reason, sizeof(reason));
        ngx_memcpy(reason, penalty->reason.data,
                   ngx_min(penalty->reason.len, sizeof(reason) - 1));

        if (penalty->max_concurrent) {
            key->account->learned = penalty->max_concurrent;
            key->account->learned_at = now;
            ngx_http_ollama_account_place(keys->pool, key->account);
        }

        ngx_http_ollama_key_hold_against(keys, key, until, penalty->state,
                                         penalty->level, (char *) reason,
                                         penalty->http);
    }

    keys->changed = changed;

    ngx_http_ollama_keys_unlock(keys);
}


static ngx_http_ollama_key_t *
ngx_http_ollama_keys_by_number(ngx_http_ollama_pool_t *pool, uint32_t number)
{
    ngx_uint_t  i;

    for (i = 0; i < pool->nkeys; i++) {
        if (ngx_http_ollama_key_number(pool->keys[i]) == number) {
            return pool->keys[i];
        }
    }

    return NULL;
}


/* the fingerprint, as records have it */

uint32_t
ngx_http_ollama_key_number(ngx_http_ollama_key_t *key)
{
    return (uint32_t) key->id[0] << 24 | (uint32_t) key->id[1] << 16
           | (uint32_t) key->id[2] << 8 | key->id[3];
}


const char *
ngx_http_ollama_key_state_name(ngx_http_ollama_key_t *key)
{
    if (!key->enabled) {
        return "disabled";
    }

    if (key->until == 0) {
        return key->half_open ? "half_open" : "healthy";
    }

    switch (key->state) {

    case NGX_HTTP_OLLAMA_KEY_PAUSED:
        return "paused";

    case NGX_HTTP_OLLAMA_KEY_SLOTS:
        return "slots";

    case NGX_HTTP_OLLAMA_KEY_EXHAUSTED:
        return "exhausted";

    case NGX_HTTP_OLLAMA_KEY_INVALID:
        return "invalid";

    case NGX_HTTP_OLLAMA_KEY_PENALIZED:
        return "penalized";

    default:
        return "healthy";
    }
}


void
ngx_http_ollama_keys_lock(ngx_http_ollama_keys_t *keys)
{
    ngx_shmtx_lock(&keys->shpool->mutex);
}


void
ngx_http_ollama_keys_unlock(ngx_http_ollama_keys_t *keys)
{
    ngx_shmtx_unlock(&keys->shpool->mutex);
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
