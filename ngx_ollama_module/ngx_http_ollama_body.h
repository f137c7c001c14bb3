
/*
 * The request's body: read whole, scanned as it arrives (core/request.h), and
 * edited where the cloud wants something else.  It stays as it came in
 * ctx->body.bufs; what is sent is a chain of pieces of it and of what is new.
 */


#ifndef _NGX_HTTP_OLLAMA_BODY_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_BODY_H_INCLUDED_


#include "ngx_http_ollama.h"


/* as ngx_http_read_client_request_body() */

ngx_int_t ngx_http_ollama_body_read(ngx_http_ollama_ctx_t *ctx,
    ngx_http_client_body_handler_pt handler);

/* the request body filter's: a piece has arrived */

void ngx_http_ollama_body_scan(ngx_http_ollama_ctx_t *ctx, ngx_chain_t *in);

/* all of it is there: ctx->body is filled in, and r->request_body edited */

ngx_int_t ngx_http_ollama_body_done(ngx_http_ollama_ctx_t *ctx);

/* the scanner goes back to its worker */

void ngx_http_ollama_body_free(ngx_http_ollama_ctx_t *ctx);


#endif /* _NGX_HTTP_OLLAMA_BODY_H_INCLUDED_ */
