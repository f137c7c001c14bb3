
/*
 * How large a zone has to be.
 */

#include "key.h"


#define NGX_HTTP_OLLAMA_SPARE  8            /* pages for processes and leases */


static ngx_uint_t ngx_http_ollama_list_naccounts(
    ngx_http_ollama_pool_t *pool, ngx_uint_t nkeys);
static ngx_uint_t ngx_http_ollama_list_pages(size_t size, ngx_uint_t n);


/*
 * A zone in which the keys just fit could start, but neither serve a request
 * nor take the same list again at a reload.
 */

ngx_int_t
ngx_http_ollama_list_room(ngx_http_ollama_pool_t *pool)
{
    void        *p;
    ngx_int_t    rc;
    ngx_uint_t   n;

    rc = NGX_OK;

    ngx_shmtx_lock(&pool->shpool->mutex);

    for (n = 0; n < NGX_HTTP_OLLAMA_LEASES; n += ngx_pagesize
                                             / sizeof(ngx_http_ollama_node_t))
    {
        if (ngx_http_ollama_nodes_add(pool) != NGX_OK) {
            rc = NGX_ERROR;
            goto done;
        }
    }

    p = ngx_slab_alloc_locked(pool->shpool,
                              (pool->config->nkeys + 1)
                              * sizeof(ngx_http_ollama_key_t *)
                              + ngx_http_ollama_list_naccounts(pool, 2)
                                * 2 * sizeof(ngx_http_ollama_account_t)
                              + NGX_HTTP_OLLAMA_SPARE * ngx_pagesize);

    if (p == NULL) {
        rc = NGX_ERROR;
        goto done;
    }

    ngx_slab_free_locked(pool->shpool, p);

done:

    ngx_shmtx_unlock(&pool->shpool->mutex);

    return rc;
}


/* what a zone has to have for this list, counted as the slab does */

size_t
ngx_http_ollama_list_need(ngx_http_ollama_pool_t *pool)
{
    size_t      size;
    ngx_uint_t  i, n, nkeys, pages, shift, sizes[16];

    nkeys = pool->config->nkeys;

    ngx_memzero(sizes, sizeof(sizes));

    for (i = 0; i < nkeys; i++) {
        size = sizeof("Bearer ") - 1 + pool->config->keys[i].key_len;

        for (shift = 3; ((size_t) 1 << shift) < size; shift++) { /* void */ }

        sizes[shift]++;
    }

    pages = NGX_HTTP_OLLAMA_SPARE + 1;

    for (shift = 3; shift < 16; shift++) {
        pages += ngx_http_ollama_list_pages((size_t) 1 << shift, sizes[shift]);
    }

    n = nkeys + 1;

    pages += ngx_http_ollama_list_pages(sizeof(ngx_http_ollama_key_t), nkeys);
    pages += ngx_http_ollama_list_pages(sizeof(ngx_http_ollama_book_t), nkeys);
    pages += ngx_http_ollama_list_pages(sizeof(ngx_http_ollama_account_t),
                                     ngx_http_ollama_list_naccounts(pool, 1));
    pages += ngx_http_ollama_list_pages(2 * sizeof(ngx_http_ollama_account_t)
                                    * ngx_http_ollama_list_naccounts(pool, 2)
                                        + ngx_pagesize, 1);
    pages += 2 * ngx_http_ollama_list_pages(
                                   n * sizeof(ngx_http_ollama_key_t *), 1);
    pages += ngx_http_ollama_list_pages(
                            ngx_http_ollama_slots_size(ngx_align(n, 64)), 1);
    pages += ngx_http_ollama_list_pages(sizeof(ngx_http_ollama_shared_t), 1);

    if (pool->sessions && pool->sessions_said) {
        pages += ngx_http_ollama_list_pages(
                          ngx_http_ollama_affinity_size(pool->sessions), 1);
    }

    n = ngx_http_ollama_per_page(ngx_http_ollama_note_t);
    pages += (NGX_HTTP_OLLAMA_NOTES + 2 * nkeys + n - 1) / n;

    n = ngx_pagesize / sizeof(ngx_http_ollama_node_t);
    pages += (NGX_HTTP_OLLAMA_LEASES + n - 1) / n;

    size = sizeof(ngx_slab_pool_t)
           + ngx_pagesize_shift
             * (sizeof(ngx_slab_page_t) + sizeof(ngx_slab_stat_t))
           + pages * (ngx_pagesize + sizeof(ngx_slab_page_t)) + ngx_pagesize;

    /* of this size it would be the same zone, which is full of something */

    if (size <= pool->shm_zone->shm.size) {
        size = pool->shm_zone->shm.size + ngx_pagesize;
    }

    return size;
}


/* accounts of so many keys at least: a reload replaces those of two */

static ngx_uint_t
ngx_http_ollama_list_naccounts(ngx_http_ollama_pool_t *pool, ngx_uint_t nkeys)
{
    ngx_uint_t  i, n;

    n = 0;

    for (i = 0; i < pool->config->nkeys; i++) {
        if (pool->lines[i].nkeys >= nkeys) {
            n++;
        }
    }

    return n;
}


static ngx_uint_t
ngx_http_ollama_list_pages(size_t size, ngx_uint_t n)
{
    size_t  per;

    if (size > ngx_pagesize / 2) {
        return n * ((size + ngx_pagesize - 1) / ngx_pagesize);
    }

    for (per = 8; per < size; per *= 2) { /* void */ }

    /* small ones have their map in the page */

    per = (ngx_pagesize - ((per < 64) ? ngx_pagesize / per / 8 : 0)) / per;

    return (n + per - 1) / per;
}
