
/*
 * The path is put right, before locations are looked for: /v1/api/chat,
 * /api/api/chat and /chat become /api/chat (core/path.h has the rules).
 */


#ifndef _NGX_HTTP_OLLAMA_URI_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_URI_H_INCLUDED_


#include "ngx_http_ollama.h"


ngx_int_t ngx_http_ollama_uri_handler(ngx_http_request_t *r);


#endif /* _NGX_HTTP_OLLAMA_URI_H_INCLUDED_ */
