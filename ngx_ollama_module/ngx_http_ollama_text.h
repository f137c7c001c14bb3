
/*
 * Text of any length, written in JSON's or in other words into memory of a pool
 * that grows as it is needed.
 */


#ifndef _NGX_HTTP_OLLAMA_TEXT_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_TEXT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "core/json.h"


typedef struct {
    ngx_pool_t                  *pool;
    ollama_json_t                json;
} ngx_http_ollama_text_t;


ngx_int_t ngx_http_ollama_text_init(ngx_http_ollama_text_t *text,
    ngx_pool_t *pool);

/* the next so many bytes fit, and some that close what is open */

ngx_int_t ngx_http_ollama_text_room(ngx_http_ollama_text_t *text,
    size_t size);

/* at most 1024 bytes, without a NUL */

void ngx_cdecl ngx_http_ollama_text_write(ngx_http_ollama_text_t *text,
    const char *fmt, ...);

/* nano-dollars as dollars, with all digits that are needed */

#define NGX_HTTP_OLLAMA_USD_LEN  (NGX_INT64_LEN + 10)

u_char *ngx_http_ollama_usd(u_char *p, uint64_t cost);

void ngx_http_ollama_text_end(ngx_http_ollama_text_t *text, ngx_str_t *out);


#endif /* _NGX_HTTP_OLLAMA_TEXT_H_INCLUDED_ */
