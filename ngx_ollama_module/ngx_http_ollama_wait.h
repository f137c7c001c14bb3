
/*
 * This worker's requests that wait for a slot.
 *
 * Who is served next is decided in the pool, by whoever frees a slot; here it
 * is only noticed: at once when this worker has freed one itself, else at the
 * next look, some milliseconds later, which takes no lock while there is no
 * news.  Without waiters there is no timer; with them it keeps a worker from
 * exiting after a reload.
 */


#ifndef _NGX_HTTP_OLLAMA_WAIT_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_WAIT_H_INCLUDED_


#include "ngx_http_ollama.h"


void ngx_http_ollama_wait_init_process(ngx_http_ollama_pool_t *pool);

/*
 * As ngx_http_ollama_lease_wait().  After NGX_AGAIN wake is called once, out of
 * an event of its own: with NGX_OK when there is a key, NGX_DECLINED when there
 * will be none, NGX_BUSY when the time is up.
 */

ngx_int_t ngx_http_ollama_wait(ngx_http_ollama_ctx_t *ctx,
    ngx_http_ollama_srv_conf_t *conf, ngx_http_ollama_wake_pt wake);

/* the request will not be woken any more */

void ngx_http_ollama_wait_end(ngx_http_ollama_ctx_t *ctx);

/* a slot was freed here, perhaps for one of ours */

void ngx_http_ollama_wait_kick(void);


#endif /* _NGX_HTTP_OLLAMA_WAIT_H_INCLUDED_ */
