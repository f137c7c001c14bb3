
/*
 * What a local Ollama answers by itself: clients ask it before their first
 * request, and the cloud would answer something else, or nothing.
 */


#ifndef _NGX_HTTP_OLLAMA_LOCAL_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_LOCAL_H_INCLUDED_


#include "ngx_http_ollama.h"


/* a route of the kind LOCAL */

ngx_int_t ngx_http_ollama_local(ngx_http_ollama_ctx_t *ctx);

/* its OLLAMA_LOCAL_COUNT_TOKENS, when the body has been read */

ngx_int_t ngx_http_ollama_count_tokens(ngx_http_ollama_ctx_t *ctx);

/*
 * A body that only asks for a model to be loaded or unloaded; NGX_DECLINED:
 * it asks for more.
 */

ngx_int_t ngx_http_ollama_preload(ngx_http_ollama_ctx_t *ctx);


#endif /* _NGX_HTTP_OLLAMA_LOCAL_H_INCLUDED_ */
