/*
 * A request's body that came packed (core/unpack.h): the request body filter
 * shows us its pieces and passes on what comes out of them, so that whoever is
 * behind sees the body as it is.
 *
 * It is bounded by client_max_body_size as it comes out, not only as it came:
 * more is refused with 413 at once.  What is more than client_body_buffer_size
 * goes to a temporary file, as nginx would do with a body that came so.  A
 * body that is broken, or ends too early, is a 400; a coding that nobody here
 * knows is a 415 before a byte of it has been read.
 */


#ifndef _NGX_HTTP_OLLAMA_UNPACK_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_UNPACK_H_INCLUDED_


#include "ngx_http_ollama.h"


/* before the body is read; NGX_OK, or the status of a refusal */

ngx_int_t ngx_http_ollama_unpack_init(ngx_http_ollama_ctx_t *ctx);

/* the filter's, if ctx->unpack is not NULL */

ngx_int_t ngx_http_ollama_unpack(ngx_http_ollama_ctx_t *ctx, ngx_chain_t *in,
    ngx_http_request_body_filter_pt next);

/* all of it has come: what the headers say of it is true again */

ngx_int_t ngx_http_ollama_unpack_done(ngx_http_ollama_ctx_t *ctx);


#endif /* _NGX_HTTP_OLLAMA_UNPACK_H_INCLUDED_ */
