
/*
 * A lease: a key is taken, moved to another one, given back.
 */

#include "key.h"


static void ngx_http_ollama_lease_serve(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_lease_t *lease, ngx_http_ollama_key_t *key);
static ngx_int_t ngx_http_ollama_lease_try(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_lease_t *lease);


void
ngx_http_ollama_lease_want(ngx_http_ollama_lease_t *lease, ngx_str_t *model)
{
    lease->model = *model;

    lease->charge.tokens = 1;
    lease->charge.cost = 0;
    lease->charge.guess = 0;

    lease->hash = ngx_http_ollama_model_hash(model);
}


ngx_int_t
ngx_http_ollama_lease_take(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_lease_t *lease)
{
    ngx_int_t  rc;

    ngx_http_ollama_pool_lock(pool);

    rc = ngx_http_ollama_lease_try(pool, lease);

    ngx_http_ollama_pool_unlock(pool);

    return rc;
}


static ngx_int_t
ngx_http_ollama_lease_try(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_lease_t *lease)
{
    ngx_int_t                rc;
    ngx_http_ollama_key_t   *key;
    ngx_http_ollama_want_t   want;

    rc = NGX_OK;

    lease->would_refuse = 0;
    lease->forced = 0;

    ngx_http_ollama_want(pool->sh, lease, &want);

    /* not all who came before may have been looked at yet */

    want.stale = pool->sh->nwaiting && !lease->dry;

    key = ngx_http_ollama_affinity_select(pool, lease, &want);

    if (key == NULL) {

        want.stale = 0;
        rc = ngx_http_ollama_select_refuse(pool->sh, &want, lease);

        if (rc == NGX_DECLINED && !lease->used && lease->ntried == 0) {
            key = ngx_http_ollama_select_soft(pool->sh, &want);

            if (key) {
                lease->forced = 1;

            } else if (ngx_http_ollama_soft_hope(pool->sh)) {
                rc = NGX_AGAIN;
            }
        }
    }

    if (key == NULL) {

        if (!lease->dry) {
            return rc;
        }

        lease->would_refuse = 1;

        key = ngx_http_ollama_select_dry(pool->sh, &want);

        if (key == NULL) {
            return rc;
        }
    }

    ngx_http_ollama_lease_serve(pool, lease, key);

    return NGX_OK;
}


ngx_int_t
ngx_http_ollama_lease_wait(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_lease_t *lease, ngx_uint_t line, ngx_uint_t max)
{
    ngx_int_t                  rc;
    ngx_uint_t                 held;
    ngx_http_ollama_node_t    *node;
    ngx_http_ollama_shared_t  *sh;

    sh = pool->sh;

    if (line >= NGX_HTTP_OLLAMA_QUEUES) {
        line = NGX_HTTP_OLLAMA_QUEUES - 1;
    }

    ngx_http_ollama_pool_lock(pool);

    rc = ngx_http_ollama_lease_try(pool, lease);
    held = 0;

    if (rc == NGX_DECLINED && lease->hold && lease->retry
        && lease->retry <= lease->hold && lease->status != 401
        && sh->held[line] < lease->held_max)
    {
        held = 1;

    } else if (rc != NGX_AGAIN) {
        goto done;
    }

    if (!held && sh->waiting[line] - sh->held[line] >= max) {
        rc = NGX_BUSY;
        goto done;
    }

    node = ngx_http_ollama_lease_node(pool, lease);

    if (node == NULL) {
        rc = NGX_BUSY;
        goto done;
    }

    /* a request that waits uses no slot */

    ngx_http_ollama_queue_give_back(sh, node);

    lease->key = 0;
    ngx_str_null(&lease->authorization);

    node->charge = lease->charge;
    node->ntried = (uint8_t) lease->ntried;
    ngx_memcpy(node->tried, lease->tried, sizeof(node->tried));

    node->hold = lease->hold;
    node->held_max = (uint16_t) ngx_min(lease->held_max, 0xffff);

    if (held) {
        node->held = 1;
        sh->held[line]++;
        rc = NGX_AGAIN;
    }

    node->hash = lease->hash;
    node->line = (uint8_t) line;
    node->model = (uint8_t) ngx_http_ollama_model_get(sh, lease->hash,
                                                      &lease->model);

    ngx_http_ollama_queue_join(sh, node);

done:

    ngx_http_ollama_pool_unlock(pool);

    return rc;
}


ngx_uint_t
ngx_http_ollama_lease_hopes(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_lease_t *lease)
{
    ngx_uint_t              hopes;
    ngx_http_ollama_want_t  want;

    ngx_http_ollama_pool_lock(pool);

    ngx_http_ollama_want(pool->sh, lease, &want);
    hopes = ngx_http_ollama_hope(pool->sh, &want);

    ngx_http_ollama_pool_unlock(pool);

    return hopes;
}


void
ngx_http_ollama_lease_any(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_lease_t *lease)
{
    ngx_http_ollama_key_t   *key;
    ngx_http_ollama_node_t  *node;

    ngx_http_ollama_pool_lock(pool);

    node = lease->node ? ngx_http_ollama_lease_node(pool, lease) : NULL;

    if (node) {
        ngx_http_ollama_queue_give_back(pool->sh, node);
    }

    key = ngx_http_ollama_select_any(pool->sh);

    if (key == NULL) {
        lease->key = 0;
        lease->name.len = 0;
        ngx_str_null(&lease->authorization);
        goto done;
    }

    node = ngx_http_ollama_lease_node(pool, lease);

    if (node) {
        node->key = key;
        node->pinned = 1;
        key->pins++;
    }

    key->last_used = ngx_time();

    ngx_http_ollama_lease_grant(lease, key);

    if (node == NULL) {

        /* nothing to give back, nor to be held against the key */

        lease->node = NULL;
    }

done:

    ngx_http_ollama_pool_unlock(pool);
}


ngx_int_t
ngx_http_ollama_lease_certain(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_lease_t *lease, uint32_t number)
{
    ngx_int_t                rc;
    ngx_http_ollama_key_t   *key;
    ngx_http_ollama_node_t  *node;

    ngx_http_ollama_pool_lock(pool);

    key = ngx_http_ollama_key_by_number(pool->sh, number);

    if (key == NULL || !ngx_http_ollama_listed(pool->sh, key)) {
        rc = NGX_DECLINED;
        goto done;
    }

    node = ngx_http_ollama_lease_node(pool, lease);

    if (node == NULL) {
        rc = NGX_ERROR;
        goto done;
    }

    node->key = key;
    node->pinned = 1;
    key->pins++;

    ngx_http_ollama_lease_grant(lease, key);

    rc = NGX_OK;

done:

    ngx_http_ollama_pool_unlock(pool);

    return rc;
}


void
ngx_http_ollama_lease_skip(ngx_http_ollama_lease_t *lease)
{
    ngx_uint_t  i;

    if (lease->key == 0) {
        return;
    }

    for (i = 0; i < lease->ntried; i++) {
        if (lease->tried[i] == lease->key) {
            return;
        }
    }

    if (lease->ntried < NGX_HTTP_OLLAMA_MAX_TRIES) {
        lease->tried[lease->ntried++] = lease->key;
    }
}


void
ngx_http_ollama_lease_settle(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_lease_t *lease, ngx_http_ollama_charge_t *charge,
    uint64_t answered)
{
    int64_t                    usual;
    ngx_uint_t                 left_out;
    ngx_http_ollama_key_t     *key;
    ngx_http_ollama_node_t    *node;
    ngx_http_ollama_usual_t   *model;
    ngx_http_ollama_shared_t  *sh;

    node = lease->node;

    if (node == NULL) {
        return;
    }

    if (pool->process == NULL && node != &ngx_http_ollama_no_node) {

        /* the process is about to exit: all is given back already */

        lease->node = NULL;
        lease->key = 0;
        lease->used = 0;
        return;
    }

    sh = pool->sh;
    left_out = 0;

    ngx_http_ollama_pool_lock(pool);

    if (node == &ngx_http_ollama_no_node) {
        node = NULL;
        key = ngx_http_ollama_key_by_number(sh, lease->key);

    } else {
        key = node->pinned ? NULL : node->key;
    }

    if (key) {
        key->requests += lease->used;
        key->last_used = ngx_time();

        left_out = ngx_http_ollama_key_book(pool, key, charge);

        if (node == NULL) {
            ngx_http_ollama_account_place(sh, key->account);
            ngx_http_ollama_key_place(sh, key);
        }
    }

    if (answered) {
        model = &sh->usuals[lease->hash % NGX_HTTP_OLLAMA_USUALS];
        usual = ngx_min(answered, NGX_MAX_INT32_VALUE);

        if (model->hash != lease->hash || model->usual == 0) {
            model->hash = lease->hash;
            model->usual = (uint32_t) usual;

        } else {
            model->usual = (uint32_t) (model->usual
                                       + (usual - (int64_t) model->usual) / 8);
        }
    }

    if (node) {
        ngx_http_ollama_queue_give_back(sh, node);
        ngx_http_ollama_node_free(sh, node);
    }

    ngx_http_ollama_pool_unlock(pool);

    if (left_out) {
        ngx_http_ollama_left_out(pool);
    }

    lease->node = NULL;
    lease->key = 0;
    lease->used = 0;
    ngx_str_null(&lease->authorization);
}


time_t
ngx_http_ollama_lease_when(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_lease_t *lease)
{
    ngx_http_ollama_want_t   want;
    ngx_http_ollama_lease_t  again;

    again.retry = 0;

    ngx_http_ollama_pool_lock(pool);

    ngx_http_ollama_want(pool->sh, lease, &want);
    want.ntried = 0;

    if (ngx_http_ollama_select(pool->sh, &want)) {
        again.retry = ngx_time() + 1;

    } else {
        (void) ngx_http_ollama_select_refuse(pool->sh, &want, &again);
    }

    ngx_http_ollama_pool_unlock(pool);

    return again.retry;
}


static void
ngx_http_ollama_lease_serve(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_lease_t *lease, ngx_http_ollama_key_t *key)
{
    ngx_http_ollama_node_t  *node;

    node = ngx_http_ollama_lease_node(pool, lease);

    if (node) {
        ngx_http_ollama_queue_give_back(pool->sh, node);
        node->charge = lease->charge;
        ngx_http_ollama_node_take(pool->sh, node, key);

    } else {
        key->last_used = ngx_time();
    }

    ngx_http_ollama_lease_grant(lease, key);
    ngx_http_ollama_affinity_note(pool, lease, key);
}


ngx_uint_t
ngx_http_ollama_pool_news(ngx_http_ollama_pool_t *pool)
{
    ngx_http_ollama_shared_t   *sh;
    ngx_http_ollama_process_t  *process;

    sh = pool->sh;
    process = pool->process;

    if (process == NULL) {
        return 0;
    }

    if (process->news || process->stalled) {
        return 1;
    }

    if (ngx_queue_empty(&process->waiters)) {
        return 0;
    }

    return process->looked != sh->version
           || (sh->is_due
               && (ngx_msec_int_t) (ngx_current_msec - sh->due) >= 0);
}


ngx_http_ollama_lease_t *
ngx_http_ollama_pool_served(ngx_http_ollama_pool_t *pool, ngx_int_t *rc)
{
    ngx_queue_t                *q;
    ngx_http_ollama_node_t     *node;
    ngx_http_ollama_lease_t    *lease;
    ngx_http_ollama_process_t  *process;

    process = pool->process;

    if (process == NULL) {
        return NULL;
    }

    ngx_http_ollama_pool_lock(pool);

    if (!ngx_queue_empty(&process->served)) {
        q = ngx_queue_head(&process->served);
        node = ngx_queue_data(q, ngx_http_ollama_node_t, queue);

        lease = node->lease;

        ngx_http_ollama_queue_leave(pool->sh, node);
        ngx_http_ollama_lease_grant(lease, node->key);
        ngx_http_ollama_affinity_note(pool, lease, node->key);

        *rc = NGX_OK;

    } else {
        lease = ngx_http_ollama_queue_hopeless(pool, rc);
    }

    ngx_http_ollama_pool_unlock(pool);

    return lease;
}
