
/*
 * What an error says: its text for the record, and the numbers in its headers
 * for the verdict and for the pool.
 */


#ifndef _NGX_HTTP_OLLAMA_SAID_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_SAID_H_INCLUDED_


#include "ngx_http_ollama.h"

#include "core/verdict.h"


ngx_uint_t ngx_http_ollama_said_html(ngx_http_ollama_ctx_t *ctx);
void ngx_http_ollama_said_error(ngx_http_ollama_ctx_t *ctx,
    ollama_answer_t *answer);
void ngx_http_ollama_said_ratelimit(ngx_http_ollama_ctx_t *ctx,
    ollama_answer_t *answer);


#endif /* _NGX_HTTP_OLLAMA_SAID_H_INCLUDED_ */
