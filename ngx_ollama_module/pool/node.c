
/*
 * Nodes: what a lease holds, and so what is to be given back.
 */

#include "key.h"
#include "ramp.h"


/* in place of a node, for a key that counts for nothing */

ngx_http_ollama_node_t  ngx_http_ollama_no_node;


ngx_http_ollama_node_t *
ngx_http_ollama_lease_node(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_lease_t *lease)
{
    ngx_queue_t               *q;
    ngx_http_ollama_node_t    *node;
    ngx_http_ollama_shared_t  *sh;

    if (pool->process == NULL) {
        return NULL;
    }

    if (lease->node && lease->node != &ngx_http_ollama_no_node) {
        return lease->node;
    }

    sh = pool->sh;

    if (ngx_queue_empty(&sh->free_nodes)
        && ngx_http_ollama_nodes_add(pool) != NGX_OK)
    {
        return NULL;
    }

    q = ngx_queue_head(&sh->free_nodes);
    ngx_queue_remove(q);

    node = ngx_queue_data(q, ngx_http_ollama_node_t, queue);

    ngx_memzero(node, sizeof(ngx_http_ollama_node_t));

    node->process = pool->process;
    node->lease = lease;

    ngx_queue_insert_tail(&pool->process->leases, &node->queue);

    lease->node = node;

    return node;
}


/* a page of them */

ngx_int_t
ngx_http_ollama_nodes_add(ngx_http_ollama_pool_t *pool)
{
    ngx_uint_t               i;
    ngx_http_ollama_node_t  *node;

    node = ngx_slab_alloc_locked(pool->shpool, ngx_pagesize);

    if (node == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < ngx_pagesize / sizeof(ngx_http_ollama_node_t); i++) {
        ngx_queue_insert_tail(&pool->sh->free_nodes, &node[i].queue);
    }

    return NGX_OK;
}


/* of no key, out of every queue */

void
ngx_http_ollama_node_free(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_node_t *node)
{
    ngx_queue_remove(&node->queue);
    ngx_queue_insert_head(&sh->free_nodes, &node->queue);
}


void
ngx_http_ollama_node_take(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_node_t *node, ngx_http_ollama_key_t *key)
{
    node->key = key;

    if (key->half_open && key->probed == NULL) {
        key->probed = node;
    }

    key->in_flight++;
    key->reserved.tokens += node->charge.tokens;
    key->reserved.cost += node->charge.cost;
    key->reserved.guess += node->charge.guess;
    key->last_used = ngx_time();
    key->account->in_flight++;
    ngx_http_ollama_ramp_take(key->account, node);
    key->account->reserved += node->charge.cost + node->charge.guess;

    sh->in_flight++;

    ngx_http_ollama_account_place(sh, key->account);
    ngx_http_ollama_key_place(sh, key);
}


void
ngx_http_ollama_node_give_back(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_node_t *node)
{
    ngx_http_ollama_key_t  *key;

    key = node->key;

    if (key == NULL) {
        return;
    }

    node->key = NULL;

    if (node->pinned) {
        node->pinned = 0;
        key->pins--;
        return;
    }

    if (key->probed == node) {
        key->probed = NULL;
    }

    if (sh->nwaiting && (key->soft || key->nnotes)) {

        /* who has no other hope may have it, against what is held */

        sh->version++;
    }

    key->in_flight--;
    key->reserved.tokens -= node->charge.tokens;
    key->reserved.cost -= node->charge.cost;
    key->reserved.guess -= node->charge.guess;
    key->account->in_flight--;
    ngx_http_ollama_ramp_give_back(key->account, node);
    key->account->reserved -= node->charge.cost + node->charge.guess;

    sh->in_flight--;

    ngx_http_ollama_account_place(sh, key->account);
    ngx_http_ollama_key_place(sh, key);
}


void
ngx_http_ollama_lease_grant(ngx_http_ollama_lease_t *lease,
    ngx_http_ollama_key_t *key)
{
    if (lease->node == NULL) {
        lease->node = &ngx_http_ollama_no_node;
    }

    lease->key = key->number;
    lease->taken = ngx_time();
    lease->authorization = key->authorization;

    lease->name.data = lease->text;
    lease->name.len = key->name_len;
    ngx_memcpy(lease->text, key->name, key->name_len);
}


/* the key that it holds and is judged for; under the lock */

ngx_http_ollama_key_t *
ngx_http_ollama_lease_key(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_lease_t *lease, ngx_http_ollama_node_t **node)
{
    *node = lease->node;

    if (*node == NULL) {
        return NULL;
    }

    if (*node == &ngx_http_ollama_no_node) {
        *node = NULL;
        return ngx_http_ollama_key_by_number(pool->sh, lease->key);
    }

    if (pool->process == NULL) {

        /* what it held was given back when the process began to exit */

        return NULL;
    }

    if ((*node)->pinned || (*node)->waiting || (*node)->handed) {
        return NULL;
    }

    return (*node)->key;
}


/* the same without the lock: what a node holds is changed by its owner alone */

ngx_http_ollama_key_t *
ngx_http_ollama_lease_peek(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_lease_t *lease)
{
    ngx_http_ollama_key_t   *key;
    ngx_http_ollama_node_t  *node;

    if (lease->node != &ngx_http_ollama_no_node) {
        return ngx_http_ollama_lease_key(pool, lease, &node);
    }

    ngx_shmtx_lock(&pool->shpool->mutex);

    key = ngx_http_ollama_lease_key(pool, lease, &node);

    ngx_shmtx_unlock(&pool->shpool->mutex);

    return key;
}
