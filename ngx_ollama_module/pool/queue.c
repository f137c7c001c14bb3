
/*
 * Those who wait: handed a key by whoever frees one.
 */

#include "key.h"


static void ngx_http_ollama_queue_begin(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_node_t *node);
static void ngx_http_ollama_queue_insert(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_node_t *node);
static void ngx_http_ollama_queue_remove(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_node_t *node);
static void ngx_http_ollama_queue_set_aside(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_node_t *node);
static void ngx_http_ollama_queue_return(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_process_t *process);
static void ngx_http_ollama_queue_offer(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_node_t *node);
static void ngx_http_ollama_queue_take_back(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_node_t *node);
static ngx_http_ollama_node_t *ngx_http_ollama_queue_first(
    ngx_http_ollama_shared_t *sh, ngx_http_ollama_key_t *key,
    ngx_int_t *looks);
static void ngx_http_ollama_queue_serve(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_node_t *node, ngx_http_ollama_key_t *key);
static void ngx_http_ollama_queue_want(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_node_t *node, ngx_http_ollama_want_t *want);
static ngx_uint_t ngx_http_ollama_queue_holds(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_node_t *node);


/* a node that holds nothing: it waits from now on, behind the others */

void
ngx_http_ollama_queue_join(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_node_t *node)
{
    node->arrival = ++sh->arrivals;

    ngx_http_ollama_queue_begin(sh, node);
    ngx_http_ollama_queue_insert(sh, node);

    /* what it has just given back may be for itself, too */

    ngx_http_ollama_queue_offer(sh, node);
}


static void
ngx_http_ollama_queue_begin(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_node_t *node)
{
    node->waiting = 1;
    node->seen = sh->version;

    sh->nwaiting++;
    sh->waiting[node->line]++;

    ngx_queue_remove(&node->queue);
    ngx_queue_insert_tail(&node->process->waiters, &node->queue);
}


/* neither waits any more, nor has to notice anything; it may have a key */

void
ngx_http_ollama_queue_leave(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_node_t *node)
{
    if (node->handed) {
        node->handed = 0;
        node->process->news--;

        ngx_queue_remove(&node->wait);

    } else if (node->waiting) {
        node->waiting = 0;

        sh->nwaiting--;
        sh->waiting[node->line]--;

        if (node->held) {
            node->held = 0;
            sh->held[node->line]--;
        }

        ngx_http_ollama_queue_remove(sh, node);

    } else {
        return;
    }

    ngx_queue_remove(&node->queue);
    ngx_queue_insert_tail(&node->process->leases, &node->queue);
}


/* and gives back what it holds */

void
ngx_http_ollama_queue_give_back(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_node_t *node)
{
    ngx_http_ollama_queue_leave(sh, node);
    ngx_http_ollama_node_give_back(sh, node);
}


/* in order of arrival: at the end, but for those who return */

static void
ngx_http_ollama_queue_insert(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_node_t *node)
{
    ngx_queue_t              *q, *waiters;
    ngx_http_ollama_node_t   *n;
    ngx_http_ollama_model_t  *model;

    model = &sh->models[node->model];
    waiters = &model->waiters[node->ntried ? 1 : 0];

    if (model->nwaiters++ == 0) {
        ngx_queue_insert_tail(&sh->waited, &model->queue);
    }

    if (node->arrival == sh->arrivals) {
        ngx_queue_insert_tail(waiters, &node->wait);
        return;
    }

    for (q = ngx_queue_head(waiters);
         q != ngx_queue_sentinel(waiters);
         q = ngx_queue_next(q))
    {
        n = ngx_queue_data(q, ngx_http_ollama_node_t, wait);

        if (n->arrival > node->arrival) {
            break;
        }
    }

    /* before q */

    ngx_queue_insert_tail(q, &node->wait);
}


static void
ngx_http_ollama_queue_remove(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_node_t *node)
{
    ngx_http_ollama_model_t  *model;

    ngx_queue_remove(&node->wait);

    if (node->aside) {
        node->aside = 0;
        return;
    }

    model = &sh->models[node->model];

    if (--model->nwaiters == 0) {
        ngx_queue_remove(&model->queue);
    }
}


/* its process does not run: others shall not be looked at after it */

static void
ngx_http_ollama_queue_set_aside(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_node_t *node)
{
    ngx_http_ollama_queue_remove(sh, node);

    node->aside = 1;
    ngx_queue_insert_tail(&node->process->aside, &node->wait);
}


/* the process runs again, as one sees: it is here */

static void
ngx_http_ollama_queue_return(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_process_t *process)
{
    ngx_uint_t               i, n;
    ngx_queue_t             *q;
    ngx_http_ollama_node_t  *node, *nodes[NGX_HTTP_OLLAMA_LOOK];

    process->stalled = NGX_HTTP_OLLAMA_RETURNS;

    for (n = 0; n < NGX_HTTP_OLLAMA_LOOK; n++) {

        if (ngx_queue_empty(&process->aside)) {
            process->stalled = 0;
            break;
        }

        q = ngx_queue_head(&process->aside);
        node = ngx_queue_data(q, ngx_http_ollama_node_t, wait);

        ngx_queue_remove(q);
        node->aside = 0;

        if (node->model != NGX_HTTP_OLLAMA_OTHER
            && sh->hashes[node->model] != node->hash)
        {
            /* its entry was not kept for it */

            node->model = NGX_HTTP_OLLAMA_OTHER;
        }

        ngx_http_ollama_queue_insert(sh, node);

        nodes[n] = node;
    }

    ngx_http_ollama_queue_hand(sh);

    for (i = 0; i < n; i++) {
        ngx_http_ollama_queue_offer(sh, nodes[i]);
    }
}


/* ready keys that nobody else could use are fresh again for this one */

static void
ngx_http_ollama_queue_offer(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_node_t *node)
{
    ngx_http_ollama_key_t   *key;
    ngx_http_ollama_want_t   want;

    while (node->waiting && !node->aside) {

        ngx_http_ollama_queue_want(sh, node, &want);
        want.stale = 1;

        key = ngx_http_ollama_select(sh, &want);

        if (key == NULL) {
            return;
        }

        ngx_http_ollama_key_refresh(sh, key);
        ngx_http_ollama_queue_hand(sh);

        if (key->is_fresh) {

            /* it has been looked at enough for now */

            return;
        }
    }
}


/* what a process has not noticed in time goes on, as do its other waiters */

void
ngx_http_ollama_queue_refresh(ngx_http_ollama_pool_t *pool)
{
    ngx_uint_t                 n;
    ngx_queue_t               *q;
    ngx_http_ollama_node_t    *node;
    ngx_http_ollama_shared_t  *sh;

    sh = pool->sh;

    for (n = 0; n < NGX_HTTP_OLLAMA_LOOK; n++) {

        if (ngx_queue_empty(&sh->handed)) {
            break;
        }

        q = ngx_queue_head(&sh->handed);
        node = ngx_queue_data(q, ngx_http_ollama_node_t, wait);

        if ((ngx_msec_int_t) (ngx_current_msec - node->handed_at)
            <= NGX_HTTP_OLLAMA_PATIENCE)
        {
            break;
        }

        ngx_log_debug2(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                       "ollama key %08xD was not noticed by process %P",
                       node->key->number, node->process->pid);

        ngx_http_ollama_queue_take_back(sh, node);
    }

    if (pool->process && pool->process->stalled) {
        ngx_http_ollama_queue_return(sh, pool->process);
    }
}


static void
ngx_http_ollama_queue_take_back(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_node_t *node)
{
    ngx_http_ollama_process_t  *process;

    process = node->process;

    ngx_http_ollama_queue_give_back(sh, node);
    ngx_http_ollama_queue_begin(sh, node);

    node->aside = 1;
    ngx_queue_insert_tail(&process->aside, &node->wait);

    process->stalled = NGX_HTTP_OLLAMA_STALLED;
}


/* fresh keys go to those who came first of those whom they may serve */

void
ngx_http_ollama_queue_hand(ngx_http_ollama_shared_t *sh)
{
    ngx_int_t                looks;
    ngx_queue_t             *q;
    ngx_http_ollama_key_t   *key, *least;
    ngx_http_ollama_node_t  *node;
    ngx_http_ollama_want_t   want;

    looks = NGX_HTTP_OLLAMA_LOOK;

    while (looks > 0 && sh->nwaiting && !ngx_queue_empty(&sh->fresh)) {

        q = ngx_queue_head(&sh->fresh);
        key = ngx_queue_data(q, ngx_http_ollama_key_t, fresh);

        node = NULL;

        if (key->is_ready) {
            node = ngx_http_ollama_queue_first(sh, key, &looks);

            if (node == NULL && looks <= 0) {
                return;
            }
        }

        looks--;

        if (node == NULL) {
            ngx_queue_remove(q);
            key->is_fresh = 0;
            continue;
        }

        /* of several fresh keys the one with the least load */

        ngx_http_ollama_queue_want(sh, node, &want);

        least = ngx_http_ollama_select(sh, &want);

        if (least && least != key) {
            key = least;
            node = ngx_http_ollama_queue_first(sh, key, &looks);

            if (node == NULL) {
                return;
            }
        }

        ngx_http_ollama_queue_serve(sh, node, key);
    }
}


static ngx_http_ollama_node_t *
ngx_http_ollama_queue_first(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_key_t *key, ngx_int_t *looks)
{
    ngx_uint_t                i;
    ngx_queue_t              *q, *next, *m, *mnext;
    ngx_http_ollama_want_t    want;
    ngx_http_ollama_node_t   *node, *first;
    ngx_http_ollama_model_t  *model;

    first = NULL;

    for (m = ngx_queue_head(&sh->waited);
         m != ngx_queue_sentinel(&sh->waited);
         m = mnext)
    {
        mnext = ngx_queue_next(m);
        model = ngx_queue_data(m, ngx_http_ollama_model_t, queue);

        for (i = 0; i < 2; i++) {

            for (q = ngx_queue_head(&model->waiters[i]);
                 q != ngx_queue_sentinel(&model->waiters[i]);
                 q = next)
            {
                next = ngx_queue_next(q);
                node = ngx_queue_data(q, ngx_http_ollama_node_t, wait);

                if (first && node->arrival > first->arrival) {
                    break;
                }

                ngx_http_ollama_queue_want(sh, node, &want);

                if (want.blocked
                    && ngx_http_ollama_bit_test(want.blocked, key->slot))
                {
                    if (node->model != NGX_HTTP_OLLAMA_OTHER) {
                        i = 2;
                        break;
                    }

                } else if (node->process->stalled == NGX_HTTP_OLLAMA_STALLED) {
                    ngx_http_ollama_queue_set_aside(sh, node);

                } else if (!ngx_http_ollama_want_tried(&want, key)) {
                    first = node;
                    break;
                }

                if (--(*looks) <= 0) {
                    return NULL;
                }
            }
        }
    }

    return first;
}


static void
ngx_http_ollama_queue_serve(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_node_t *node, ngx_http_ollama_key_t *key)
{
    ngx_http_ollama_queue_leave(sh, node);
    ngx_http_ollama_node_take(sh, node, key);

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "ollama key %08xD is handed to waiter %uL of process %P",
                   key->number, node->arrival, node->process->pid);

    node->handed = 1;
    node->handed_at = ngx_current_msec;

    ngx_queue_remove(&node->queue);
    ngx_queue_insert_tail(&node->process->served, &node->queue);
    ngx_queue_insert_tail(&sh->handed, &node->wait);

    node->process->news++;
}


static void
ngx_http_ollama_queue_want(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_node_t *node, ngx_http_ollama_want_t *want)
{
    ngx_uint_t  model;

    model = node->model;

    if (model != NGX_HTTP_OLLAMA_OTHER && sh->hashes[model] != node->hash) {

        /* it is aside, and its entry is another model's now */

        model = NGX_HTTP_OLLAMA_OTHER;
    }

    want->blocked = ngx_http_ollama_model_blocked(sh, model, node->hash);
    want->tried = node->tried;
    want->ntried = node->ntried;
    want->stale = 0;
}


/* when somebody has to look at the pool, if nobody comes by himself */

void
ngx_http_ollama_queue_due(ngx_http_ollama_shared_t *sh)
{
    ngx_time_t              *tp;
    ngx_msec_t               due, noticed;
    ngx_http_ollama_node_t  *node;

    if (sh->nwaiting == 0) {
        sh->is_due = 0;
        return;
    }

    due = ngx_current_msec;

    if (ngx_queue_empty(&sh->fresh) && !sh->left) {

        /* penalties end with a second */

        tp = ngx_timeofday();
        due += 1000 - tp->msec;

        if (!ngx_queue_empty(&sh->handed)) {
            node = ngx_queue_data(ngx_queue_head(&sh->handed),
                                  ngx_http_ollama_node_t, wait);

            noticed = node->handed_at + NGX_HTTP_OLLAMA_PATIENCE + 1;

            if ((ngx_msec_int_t) (noticed - due) < 0) {
                due = noticed;
            }
        }
    }

    sh->due = due;
    sh->is_due = 1;
}


/*
 * A waiter of this process whom no key will serve any more, or only one against
 * which something soft is held: NGX_OK, it has that one.
 */

ngx_http_ollama_lease_t *
ngx_http_ollama_queue_hopeless(ngx_http_ollama_pool_t *pool, ngx_int_t *rc)
{
    ngx_uint_t                  n, soft;
    ngx_queue_t                *q;
    ngx_http_ollama_key_t      *key;
    ngx_http_ollama_want_t      want;
    ngx_http_ollama_node_t     *node;
    ngx_http_ollama_shared_t   *sh;
    ngx_http_ollama_process_t  *process;

    sh = pool->sh;
    process = pool->process;

    if (process->looked == sh->version) {
        return NULL;
    }

    for (n = 0; n < NGX_HTTP_OLLAMA_LOOK; n++) {

        if (ngx_queue_empty(&process->waiters)) {
            break;
        }

        q = ngx_queue_head(&process->waiters);
        node = ngx_queue_data(q, ngx_http_ollama_node_t, queue);

        if (node->seen == sh->version) {
            break;
        }

        ngx_http_ollama_queue_want(sh, node, &want);

        if (!ngx_http_ollama_hope(sh, &want)) {

            soft = !node->lease->used && node->ntried == 0;
            key = soft ? ngx_http_ollama_select_soft(sh, &want) : NULL;

            if (key) {
                ngx_http_ollama_queue_leave(sh, node);
                ngx_http_ollama_node_take(sh, node, key);
                ngx_http_ollama_lease_grant(node->lease, key);
                ngx_http_ollama_affinity_note(pool, node->lease, key);

                node->lease->forced = 1;

                *rc = NGX_OK;
                return node->lease;
            }

            if (!soft || !ngx_http_ollama_soft_hope(sh)) {
                (void) ngx_http_ollama_select_refuse(sh, &want, node->lease);

                if (!ngx_http_ollama_queue_holds(sh, node)) {
                    ngx_http_ollama_queue_leave(sh, node);

                    *rc = NGX_DECLINED;
                    return node->lease;
                }
            }
        }

        node->seen = sh->version;

        ngx_queue_remove(q);
        ngx_queue_insert_tail(&process->waiters, q);
    }

    if (n < NGX_HTTP_OLLAMA_LOOK) {
        process->looked = sh->version;
    }

    return NULL;
}


/* refused just now: may it wait nevertheless? */

static ngx_uint_t
ngx_http_ollama_queue_holds(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_node_t *node)
{
    if (node->lease->retry == 0 || node->lease->retry > node->hold
        || node->lease->status == 401)
    {
        return 0;
    }

    if (!node->held) {

        if (sh->held[node->line] >= node->held_max) {
            return 0;
        }

        node->held = 1;
        sh->held[node->line]++;
    }

    return 1;
}
