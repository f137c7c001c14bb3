
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
