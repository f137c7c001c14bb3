
/*
 * Interim answers (1xx) of the cloud are skipped, whatever they are: the real
 * one comes behind them.  nginx takes most of them for the answer itself.
 */


#ifndef _NGX_HTTP_OLLAMA_INTERIM_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_INTERIM_H_INCLUDED_


#include "ngx_http_ollama.h"


/*
 * A header is complete, of HTTP/1.  NGX_OK: it was interim, and what the
 * upstream's module knows of it is forgotten by way of reinit; NGX_DECLINED: it
 * is the answer's.
 */

ngx_int_t ngx_http_ollama_interim(ngx_http_request_t *r,
    ngx_int_t (*reinit)(ngx_http_request_t *r));


#endif /* _NGX_HTTP_OLLAMA_INTERIM_H_INCLUDED_ */
