
/*
 * The pool as JSON, told by nginx itself: true whatever becomes of the daemon.
 * "ollama_status" has it for Prometheus as well (_prometheus.h).
 *
 * Keys are copied out of the pool some at a time and formatted outside of its
 * lock, into memory that grows as it is needed: nothing is cut.
 */


#ifndef _NGX_HTTP_OLLAMA_STATUS_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_STATUS_H_INCLUDED_


#include "ngx_http_ollama.h"


#define NGX_HTTP_OLLAMA_STATUS_JSON        1
#define NGX_HTTP_OLLAMA_STATUS_PROMETHEUS  2


/* "ollama_status" */

ngx_int_t ngx_http_ollama_status_handler(ngx_http_request_t *r);

/* all keys; one of them, by its number */

ngx_int_t ngx_http_ollama_status_keys(ngx_http_request_t *r,
    ngx_http_ollama_pool_t *pool, ngx_str_t *out);
ngx_int_t ngx_http_ollama_status_key(ngx_http_request_t *r,
    ngx_http_ollama_pool_t *pool, uint32_t key, ngx_str_t *out);

/* the rate-limit headers last seen */

ngx_int_t ngx_http_ollama_status_ratelimits(ngx_http_request_t *r,
    ngx_http_ollama_pool_t *pool, ngx_str_t *out);


#endif /* _NGX_HTTP_OLLAMA_STATUS_H_INCLUDED_ */
