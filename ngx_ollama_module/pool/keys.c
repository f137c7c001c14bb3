
/*
 * Keys: found, made and freed, and their slots in the maps.
 */

#include "key.h"


static uint32_t ngx_http_ollama_id_number(u_char *id);


ngx_http_ollama_slots_t *
ngx_http_ollama_slots_create(ngx_http_ollama_pool_t *pool, ngx_uint_t nslots)
{
    ngx_http_ollama_slots_t  *slots;

    slots = ngx_slab_calloc(pool->shpool, ngx_http_ollama_slots_size(nslots));
    if (slots == NULL) {
        return NULL;
    }

    slots->nslots = nslots;
    slots->nwords = nslots / 64;

    slots->ready = (uint64_t *) (slots + 1);
    slots->free = slots->ready + slots->nwords;
    slots->soft = slots->free + slots->nwords;
    slots->hope = slots->soft + slots->nwords;
    slots->quota = slots->hope + slots->nwords;
    slots->low = slots->quota + slots->nwords;
    slots->tiers = slots->low + slots->nwords;
    slots->blocked = slots->tiers + NGX_HTTP_OLLAMA_TIERS * slots->nwords;

    slots->keys = (ngx_http_ollama_key_t **)
                  (slots->blocked + NGX_HTTP_OLLAMA_MODELS * slots->nwords);

    return slots;
}


/* the larger ones begin as those that there are */

void
ngx_http_ollama_slots_put(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_slots_t *slots)
{
    ngx_uint_t                i, size;
    ngx_http_ollama_slots_t  *old;

    old = sh->slots;

    if (old == NULL) {
        return;
    }

    size = old->nwords * sizeof(uint64_t);

    ngx_memcpy(slots->keys, old->keys,
               old->nslots * sizeof(ngx_http_ollama_key_t *));
    ngx_memcpy(slots->ready, old->ready, size);
    ngx_memcpy(slots->free, old->free, size);
    ngx_memcpy(slots->soft, old->soft, size);
    ngx_memcpy(slots->hope, old->hope, size);
    ngx_memcpy(slots->quota, old->quota, size);
    ngx_memcpy(slots->low, old->low, size);

    for (i = 0; i < NGX_HTTP_OLLAMA_TIERS; i++) {
        ngx_memcpy(slots->tiers + i * slots->nwords,
                   old->tiers + i * old->nwords, size);
    }

    for (i = 0; i < NGX_HTTP_OLLAMA_MODELS; i++) {
        ngx_memcpy(slots->blocked + i * slots->nwords,
                   old->blocked + i * old->nwords, size);
    }
}


ngx_http_ollama_key_t *
ngx_http_ollama_key_find(ngx_http_ollama_shared_t *sh, u_char *id)
{
    ngx_http_ollama_key_t  *key;

    /* the configuration has no two keys of one number; a former one might */

    key = ngx_http_ollama_key_by_number(sh, ngx_http_ollama_id_number(id));

    if (key == NULL || ngx_memcmp(key->id, id, OLLAMA_SHA256_LEN) == 0) {
        return key;
    }

    return NULL;
}


ngx_http_ollama_key_t *
ngx_http_ollama_key_by_number(ngx_http_ollama_shared_t *sh, uint32_t number)
{
    ngx_rbtree_node_t      *node, *sentinel;
    ngx_http_ollama_key_t  *key, *found;

    node = sh->ids.root;
    sentinel = sh->ids.sentinel;
    found = NULL;

    while (node != sentinel) {

        if (number < node->key) {
            node = node->left;
            continue;
        }

        if (number > node->key) {
            node = node->right;
            continue;
        }

        key = ngx_rbtree_data(node, ngx_http_ollama_key_t, id_node);

        if (ngx_http_ollama_listed(sh, key)) {
            return key;
        }

        found = key;
        node = node->right;
    }

    return found;
}


ngx_http_ollama_key_t *
ngx_http_ollama_key_create(ngx_http_ollama_pool_t *pool,
    ollama_config_key_t *ck, u_char *id)
{
    u_char                 *p;
    ngx_http_ollama_key_t  *key;

    key = ngx_slab_calloc(pool->shpool, sizeof(ngx_http_ollama_key_t));
    if (key == NULL) {
        return NULL;
    }

    key->book = ngx_slab_calloc(pool->shpool, sizeof(ngx_http_ollama_book_t));
    if (key->book == NULL) {
        ngx_slab_free(pool->shpool, key);
        return NULL;
    }

    p = ngx_slab_alloc(pool->shpool, sizeof("Bearer ") - 1 + ck->key_len);
    if (p == NULL) {
        ngx_slab_free(pool->shpool, key->book);
        ngx_slab_free(pool->shpool, key);
        return NULL;
    }

    key->authorization.data = p;

    p = ngx_cpymem(p, "Bearer ", sizeof("Bearer ") - 1);
    p = ngx_cpymem(p, ck->key, ck->key_len);

    key->authorization.len = p - key->authorization.data;

    ngx_memcpy(key->id, id, sizeof(key->id));
    key->number = ngx_http_ollama_id_number(id);
    key->id_node.key = key->number;
    key->weight = 1;

    ngx_queue_init(&key->notes);

    return key;
}


void
ngx_http_ollama_key_free(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_key_t *key)
{
    ngx_queue_t               *q;
    ngx_http_ollama_shared_t  *sh;

    sh = pool->sh;

    if (key->is_ready) {
        ngx_rbtree_delete(&sh->ready, &key->ready_node);
        key->is_ready = 0;
    }

    if (key->is_due) {
        ngx_rbtree_delete(&sh->deadlines, &key->deadline_node);
    }

    while (!ngx_queue_empty(&key->notes)) {
        q = ngx_queue_head(&key->notes);
        ngx_http_ollama_note_remove(sh, ngx_queue_data(q,
                                               ngx_http_ollama_note_t, queue));
    }

    if (key->is_fresh) {
        ngx_queue_remove(&key->fresh);
    }

    if (key->is_changed) {
        ngx_queue_remove(&key->changes);
    }

    ngx_http_ollama_bit_clear(sh->slots->ready, key->slot);
    ngx_http_ollama_bit_clear(sh->slots->free, key->slot);
    ngx_http_ollama_bit_clear(sh->slots->soft, key->slot);
    ngx_http_ollama_bit_clear(sh->slots->hope, key->slot);
    ngx_http_ollama_bit_clear(sh->slots->quota, key->slot);
    ngx_http_ollama_bit_clear(sh->slots->low, key->slot);

    ngx_http_ollama_key_tier(sh, key, NGX_HTTP_OLLAMA_TIERS);

    sh->slots->keys[key->slot] = NULL;
    sh->nlive--;

    ngx_rbtree_delete(&sh->ids, &key->id_node);

    ngx_http_ollama_key_leave_account(pool, key);
    ngx_http_ollama_key_destroy(pool, key);
}


void
ngx_http_ollama_key_destroy(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_key_t *key)
{
    ngx_explicit_memzero(key->authorization.data, key->authorization.len);
    ngx_slab_free_locked(pool->shpool, key->authorization.data);

    if (key->book->guess) {
        ngx_slab_free_locked(pool->shpool, key->book->guess);
    }

    ngx_slab_free_locked(pool->shpool, key->book);
    ngx_slab_free_locked(pool->shpool, key);
}


void
ngx_http_ollama_key_leave_account(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_key_t *key)
{
    ngx_http_ollama_account_t  *account;

    account = key->account;

    ngx_queue_remove(&key->siblings);

    if (ngx_queue_empty(&account->keys)) {
        ngx_slab_free_locked(pool->shpool, account);

    } else {
        account->in_flight -= key->in_flight;
        account->reserved -= key->reserved.cost + key->reserved.guess;
    }
}


/* in the map of its tier, and in no other; beyond all of them: in none */

void
ngx_http_ollama_key_tier(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_key_t *key, ngx_uint_t tier)
{
    uint64_t    *map;
    ngx_uint_t   i;

    for (i = 0; i < NGX_HTTP_OLLAMA_TIERS; i++) {
        map = sh->slots->tiers + i * sh->slots->nwords;

        if (i == tier) {
            ngx_http_ollama_bit_set(map, key->slot);
            key->tier = tier;

        } else {
            ngx_http_ollama_bit_clear(map, key->slot);
        }
    }
}


static uint32_t
ngx_http_ollama_id_number(u_char *id)
{
    return (uint32_t) id[0] << 24 | (uint32_t) id[1] << 16
           | (uint32_t) id[2] << 8 | id[3];
}
