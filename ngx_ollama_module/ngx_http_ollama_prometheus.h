
/*
 * The pool for Prometheus: names, help and labels are those of the daemon's
 * /metrics for the same facts.
 */


#ifndef _NGX_HTTP_OLLAMA_PROMETHEUS_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_PROMETHEUS_H_INCLUDED_


#include "ngx_http_ollama.h"


ngx_int_t ngx_http_ollama_prometheus(ngx_http_request_t *r,
    ngx_http_ollama_pool_t *pool, ngx_str_t *out);


#endif /* _NGX_HTTP_OLLAMA_PROMETHEUS_H_INCLUDED_ */
