
/*
 * Who may use the proxy: by a token, and by where a browser's request comes
 * from.
 *
 * Who uses the API and who looks after it are told apart once there is a token
 * for the latter ("admin"), which is good everywhere; pages and numbers are
 * "ollama_access admin" then.  Without it they take the one token there is, or
 * none.  The token for metrics opens "ollama_access metrics" and nothing else.
 *
 * A local Ollama lets pages of the own machine and of desktop applications in,
 * and refuses all others: without that, any page somebody looks at could spend
 * the pool's tokens.  What a browser adds by itself (Basic, cookies) proves
 * nothing about the page that asks, so with Basic as with open access the
 * origin is looked at.
 */


#ifndef _NGX_HTTP_OLLAMA_ACCESS_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_ACCESS_H_INCLUDED_


#include "ngx_http_ollama.h"


ngx_int_t ngx_http_ollama_access_handler(ngx_http_request_t *r);

/* a token is needed here, but for what is open to everybody */

ngx_uint_t ngx_http_ollama_access_guarded(ngx_http_request_t *r);

/* a page of this origin may read our answers */

ngx_uint_t ngx_http_ollama_origin_allowed(ngx_http_request_t *r,
    ngx_str_t *origin);

/* the name a client goes by: "ollama_client", else what it says; or empty */

ngx_str_t *ngx_http_ollama_client(ngx_http_ollama_ctx_t *ctx);

/* a browser says that another site's page has sent this */

ngx_uint_t ngx_http_ollama_cross_site(ngx_http_request_t *r);


#endif /* _NGX_HTTP_OLLAMA_ACCESS_H_INCLUDED_ */
