
/*
 * The processes that use the pool, and what the dead have not given back.
 */

#include "key.h"


static void ngx_http_ollama_process_clear(ngx_http_ollama_shared_t *sh,
    ngx_queue_t *nodes);


ngx_http_ollama_process_t *
ngx_http_ollama_process_create(ngx_http_ollama_pool_t *pool)
{
    ngx_http_ollama_process_t  *process;

    process = ngx_slab_calloc_locked(pool->shpool,
                                     sizeof(ngx_http_ollama_process_t));
    if (process == NULL) {
        return NULL;
    }

    process->pid = ngx_pid;
    process->looked = pool->sh->version;

    ngx_queue_init(&process->leases);
    ngx_queue_init(&process->waiters);
    ngx_queue_init(&process->served);
    ngx_queue_init(&process->aside);

    ngx_queue_insert_tail(&pool->sh->processes, &process->queue);
    pool->sh->nprocesses++;

    return process;
}


/* round robin, so that many processes are looked at in turn */

void
ngx_http_ollama_process_reap(ngx_http_ollama_pool_t *pool, ngx_uint_t max)
{
    ngx_uint_t                  i;
    ngx_queue_t                *q;
    ngx_http_ollama_shared_t   *sh;
    ngx_http_ollama_process_t  *process;

    sh = pool->sh;

    for (i = ngx_min(max, sh->nprocesses); i; i--) {

        q = ngx_queue_head(&sh->processes);
        process = ngx_queue_data(q, ngx_http_ollama_process_t, queue);

        ngx_queue_remove(q);
        ngx_queue_insert_tail(&sh->processes, q);

        if (process->pid != ngx_pid
            && kill(process->pid, 0) == -1
            && ngx_errno == NGX_ESRCH)
        {
            ngx_http_ollama_process_free(pool, process);
        }
    }
}


void
ngx_http_ollama_process_free(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_process_t *process)
{
    ngx_http_ollama_process_clear(pool->sh, &process->waiters);
    ngx_http_ollama_process_clear(pool->sh, &process->served);
    ngx_http_ollama_process_clear(pool->sh, &process->leases);

    ngx_queue_remove(&process->queue);
    pool->sh->nprocesses--;

    ngx_slab_free_locked(pool->shpool, process);
}


static void
ngx_http_ollama_process_clear(ngx_http_ollama_shared_t *sh, ngx_queue_t *nodes)
{
    ngx_queue_t             *q;
    ngx_http_ollama_node_t  *node;

    while (!ngx_queue_empty(nodes)) {
        q = ngx_queue_head(nodes);
        node = ngx_queue_data(q, ngx_http_ollama_node_t, queue);

        ngx_http_ollama_queue_give_back(sh, node);
        ngx_http_ollama_node_free(sh, node);
    }
}
