
/*
 * A pool: the zone it lives in, and the process's handle of it.
 */

#include "key.h"


static ngx_int_t ngx_http_ollama_pool_init_zone(ngx_shm_zone_t *shm_zone,
    void *data);
static ngx_http_ollama_shared_t *ngx_http_ollama_pool_init(
    ngx_slab_pool_t *shpool);
static void ngx_http_ollama_pool_cleanup(void *data);


/* its address makes a zone one of ours */

static ngx_uint_t  ngx_http_ollama_pool_tag;


ngx_http_ollama_pool_t *
ngx_http_ollama_pool_create(ngx_conf_t *cf, ngx_str_t *name, size_t size)
{
    ngx_shm_zone_t          *shm_zone;
    ngx_pool_cleanup_t      *cln;
    ngx_http_ollama_pool_t  *pool;

    if (size < NGX_HTTP_OLLAMA_POOL_MIN) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "zone \"%V\" is too small, at least %uz bytes "
                           "are needed", name,
                           (size_t) NGX_HTTP_OLLAMA_POOL_MIN);
        return NULL;
    }

    pool = ngx_pcalloc(cf->pool, sizeof(ngx_http_ollama_pool_t));
    if (pool == NULL) {
        return NULL;
    }

    shm_zone = ngx_shared_memory_add(cf, name, size, &ngx_http_ollama_pool_tag);
    if (shm_zone == NULL) {
        return NULL;
    }

    if (shm_zone->data) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "zone \"%V\" is a pool of keys already", name);
        return NULL;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    cln->handler = ngx_http_ollama_pool_cleanup;
    cln->data = pool;

    shm_zone->init = ngx_http_ollama_pool_init_zone;
    shm_zone->data = pool;

    pool->shm_zone = shm_zone;

    return pool;
}


void
ngx_http_ollama_pool_set_list(ngx_http_ollama_pool_t *pool,
    ollama_config_t *config)
{
    pool->config = config;
}


void
ngx_http_ollama_pool_set_changed(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_changed_pt changed, void *data)
{
    pool->changed = changed;
    pool->data = data;
}


void
ngx_http_ollama_pool_set_tokens(ngx_http_ollama_pool_t *pool, ngx_uint_t on)
{
    pool->tokens = on;
}


void
ngx_http_ollama_pool_set_usual(ngx_http_ollama_pool_t *pool, uint64_t usual)
{
    pool->usual = usual;
}


void
ngx_http_ollama_pool_set_expiring(ngx_http_ollama_pool_t *pool, ngx_uint_t on)
{
    pool->expiring = on;
}


void
ngx_http_ollama_pool_set_interval(ngx_http_ollama_pool_t *pool, time_t interval)
{
    pool->interval = interval;
}


void
ngx_http_ollama_pool_set_sessions(ngx_http_ollama_pool_t *pool,
    ngx_uint_t sessions, ngx_uint_t said)
{
    pool->sessions = sessions;
    pool->sessions_said = said;
}


static ngx_int_t
ngx_http_ollama_pool_init_zone(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_http_ollama_pool_t  *pool = shm_zone->data;
    ngx_http_ollama_pool_t  *old = data;

    pool->shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    if (old) {
        pool->sh = old->sh;
        pool->existed = 1;

        /* without a master this is the process that serves, and it goes on */

        pool->process = old->process;

    } else if (shm_zone->shm.exists) {
        pool->sh = pool->shpool->data;
        pool->existed = 1;

    } else {
        pool->sh = ngx_http_ollama_pool_init(pool->shpool);
    }

    return ngx_http_ollama_list_prepare(pool, shm_zone->shm.log);
}


static ngx_http_ollama_shared_t *
ngx_http_ollama_pool_init(ngx_slab_pool_t *shpool)
{
    ngx_uint_t                 i;
    ngx_http_ollama_shared_t  *sh;

    /* worker after worker may fail for want of memory: say it in our words */

    shpool->log_nomem = 0;

    sh = ngx_slab_calloc(shpool, sizeof(ngx_http_ollama_shared_t));
    if (sh == NULL) {
        return NULL;
    }

    shpool->data = sh;

    ngx_rbtree_init(&sh->ready, &sh->ready_sentinel, ngx_rbtree_insert_value);
    ngx_rbtree_init(&sh->deadlines, &sh->deadlines_sentinel,
                    ngx_rbtree_insert_value);
    ngx_rbtree_init(&sh->ids, &sh->ids_sentinel, ngx_rbtree_insert_value);
    ngx_rbtree_init(&sh->notes, &sh->notes_sentinel, ngx_rbtree_insert_value);

    ngx_queue_init(&sh->free_nodes);
    ngx_queue_init(&sh->free_notes);
    ngx_queue_init(&sh->processes);
    ngx_queue_init(&sh->fresh);
    ngx_queue_init(&sh->changes);
    ngx_queue_init(&sh->waited);
    ngx_queue_init(&sh->handed);

    ngx_cpystrn(sh->unauthorized, (u_char *) "unauthorized",
                NGX_HTTP_OLLAMA_REASON_LEN);

    for (i = 0; i < NGX_HTTP_OLLAMA_MODELS + 1; i++) {
        ngx_queue_init(&sh->models[i].waiters[0]);
        ngx_queue_init(&sh->models[i].waiters[1]);
    }

    return sh;
}


/*
 * The configuration that has prepared a list goes, without having committed
 * it.  Memory of a zone that came with it is gone already.
 */

static void
ngx_http_ollama_pool_cleanup(void *data)
{
    ngx_http_ollama_pool_t  *pool = data;

    if (pool->lines) {
        ngx_http_ollama_list_discard(pool);
    }
}


void
ngx_http_ollama_pool_init_process(ngx_http_ollama_pool_t *pool, ngx_log_t *log)
{
    ngx_queue_t                *q, *next;
    ngx_http_ollama_shared_t   *sh;
    ngx_http_ollama_process_t  *process;

    if (pool->sh == NULL) {
        return;
    }

    sh = pool->sh;
    pool->process = NULL;

    ngx_http_ollama_pool_lock(pool);

    for (q = ngx_queue_head(&sh->processes);
         q != ngx_queue_sentinel(&sh->processes);
         q = next)
    {
        next = ngx_queue_next(q);
        process = ngx_queue_data(q, ngx_http_ollama_process_t, queue);

        if (process->pid == ngx_pid) {

            /* somebody had our pid before us */

            ngx_http_ollama_process_free(pool, process);
        }
    }

    ngx_http_ollama_process_reap(pool, sh->nprocesses);

    pool->process = ngx_http_ollama_process_create(pool);

    ngx_http_ollama_pool_unlock(pool);

    if (pool->process == NULL) {
        ngx_log_error(NGX_LOG_ALERT, log, 0,
                      "\"ollama_zone\" \"%V\" has no memory left for this "
                      "process: its requests get keys, but are not counted",
                      &pool->shm_zone->shm.name);
    }
}


void
ngx_http_ollama_pool_exit_process(ngx_http_ollama_pool_t *pool)
{
    ngx_http_ollama_process_t  *process;

    if (pool->process == NULL) {
        return;
    }

    process = pool->process;
    pool->process = NULL;

    ngx_http_ollama_pool_lock(pool);

    ngx_http_ollama_process_free(pool, process);

    ngx_http_ollama_pool_unlock(pool);
}
