
/*
 * A request's states, from its arrival in the precontent phase to the end of
 * its lease:
 *
 *     INIT      nothing is known; local answers are given here
 *     READING   the body is on the way
 *     READ      it is here, and a key has to be chosen
 *     WAITING   no slot is free
 *     GRANTED   it has a key (or its upstream needs none): proxy_pass goes on
 *     REFUSED   it waited in vain; the phase engine is told so next
 *
 * When the lease is settled the request is READ again: an error_page may lead
 * to another location, whose upstream may have another key for it, or need
 * none.
 */


#ifndef _NGX_HTTP_OLLAMA_REQUEST_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_REQUEST_H_INCLUDED_


#include "ngx_http_ollama.h"


/* rewrite, precontent */

ngx_int_t ngx_http_ollama_rewrite_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_ollama_request_handler(ngx_http_request_t *r);

/*
 * The answer has ended: tokens are booked, the slot is free, and the request
 * does not run any more.  Any number of times.
 */

void ngx_http_ollama_request_settle(ngx_http_ollama_ctx_t *ctx);

/* the client has its answer, whatever nginx still waits for */

void ngx_http_ollama_request_answered(ngx_http_ollama_ctx_t *ctx);

/* the request ends (conf->end); the worker does, with requests that run */

void ngx_http_ollama_request_end(ngx_http_ollama_ctx_t *ctx);
void ngx_http_ollama_request_stop(ngx_http_ollama_ctx_t *ctx);


#endif /* _NGX_HTTP_OLLAMA_REQUEST_H_INCLUDED_ */
