
/*
 * One record for each request that has reached the proxy, and its body; made
 * once, when everything about the request is known and nothing of it is freed
 * yet, and the same in short, again and again, while it runs.  A body may go
 * before its record, once it is not needed any more.
 */


#ifndef _NGX_HTTP_OLLAMA_RECORD_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_RECORD_H_INCLUDED_


#include "ngx_http_ollama.h"


/* mark: its own on a board (_board.h), or NULL */

void ngx_http_ollama_record(ngx_http_ollama_ctx_t *ctx, uint32_t *mark);

/* its body, before it; NGX_AGAIN: there is no room for it now */

ngx_int_t ngx_http_ollama_record_body(ngx_http_ollama_ctx_t *ctx);

/* a whole RUNNING frame; 0: it does not fit */

size_t ngx_http_ollama_record_running(ngx_http_ollama_ctx_t *ctx, u_char *buf,
    size_t size);

/* how the request ended, and why; what is known of it so far */

ollama_record_end_e ngx_http_ollama_record_end(ngx_http_ollama_ctx_t *ctx,
    ngx_str_t *reason);
const char *ngx_http_ollama_record_end_name(ollama_record_end_e end);


#endif /* _NGX_HTTP_OLLAMA_RECORD_H_INCLUDED_ */
