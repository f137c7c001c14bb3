
/*
 * The beginning of an answer with status 200 is held back for as long as it may
 * still be an error (core/first.h): at most one buffer of bytes, and usually
 * not for a moment, since the first read tells.
 *
 * An error which goes to the client becomes what it should have been: an
 * answer with that status, in the shape of the API that was asked, with the
 * cloud's own words.  It is written over the bytes that came, in the buffer of
 * the upstream, so that nginx treats it as it treats any other error.
 */


#ifndef _NGX_HTTP_OLLAMA_FIRST_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_FIRST_H_INCLUDED_


#include "ngx_http_ollama.h"
#include "ngx_http_ollama_held.h"


/* the header is complete: its body is one that is looked at */

ngx_uint_t ngx_http_ollama_first_wanted(ngx_http_ollama_ctx_t *ctx);

/*
 * More bytes have come.  NGX_AGAIN: not yet known, NGX_OK: an answer,
 * NGX_DECLINED: an error.
 */

ngx_int_t ngx_http_ollama_first(ngx_http_ollama_ctx_t *ctx,
    ngx_http_ollama_held_t *held);

/* the status is that of the last attempt */

ngx_int_t ngx_http_ollama_first_rewrite(ngx_http_ollama_ctx_t *ctx,
    ngx_http_ollama_held_t *held);


#endif /* _NGX_HTTP_OLLAMA_FIRST_H_INCLUDED_ */
