
/*
 * The path is put right, before locations are looked for: /v1/api/chat,
 * /api/api/chat and /chat become /api/chat (core/path.h has the rules).
 */


#ifndef _NGX_HTTP_OLLAMA_URI_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_URI_H_INCLUDED_


#include "ngx_http_ollama.h"


ngx_int_t ngx_http_ollama_uri_handler(ngx_http_request_t *r);

/* "/v1/models/gpt-oss:20b-cloud": the suffix goes, as in a body */

ngx_int_t ngx_http_ollama_uri_model(ngx_http_ollama_ctx_t *ctx);


#endif /* _NGX_HTTP_OLLAMA_URI_H_INCLUDED_ */
