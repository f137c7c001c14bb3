
/*
 * Which conversation a request goes on with.
 *
 * A client may say it in a header; else its body does (core/request_session.h).
 * What it says is mixed with who it is, so that no client's requests follow
 * another's: with the name that its own token has, or else its address, and
 * with the name it goes by.
 */


#ifndef _NGX_HTTP_OLLAMA_SESSION_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_SESSION_H_INCLUDED_


#include "ngx_http_ollama.h"


/* before the body is read: is it to be looked at? */

ngx_uint_t ngx_http_ollama_session_asks(ngx_http_ollama_ctx_t *ctx);

/* before its lease is taken */

void ngx_http_ollama_session_want(ngx_http_ollama_ctx_t *ctx,
    ngx_http_ollama_srv_conf_t *conf);

/* "new", "kept", "moved"; NULL: it is of none, or was not let in */

ngx_str_t *ngx_http_ollama_session_affinity(ngx_http_ollama_ctx_t *ctx);


#endif /* _NGX_HTTP_OLLAMA_SESSION_H_INCLUDED_ */
