
/*
 * The tokens of an answer: its bytes are shown to a scanner (core/usage.h),
 * which one answer has at a time; finished ones wait for the next.
 */


#ifndef _NGX_HTTP_OLLAMA_USAGE_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_USAGE_H_INCLUDED_


#include "ngx_http_ollama.h"


/* an answer begins whose tokens count, of the family its path names */

ngx_int_t ngx_http_ollama_usage_start(ngx_http_ollama_ctx_t *ctx);
void ngx_http_ollama_usage_feed(ngx_http_ollama_ctx_t *ctx, u_char *p,
    size_t n);

/* what was fed last is whole events of text, of which nothing is to be cut */

ngx_uint_t ngx_http_ollama_usage_only_text(ngx_http_ollama_ctx_t *ctx);

/* so many bytes were passed to the client; with the last one */

void ngx_http_ollama_usage_passed(ngx_http_ollama_ctx_t *ctx, off_t n);
void ngx_http_ollama_usage_ended(ngx_http_ollama_ctx_t *ctx);

/* it is over, whole or not: what it counts is in ctx->answer */

void ngx_http_ollama_usage_settle(ngx_http_ollama_ctx_t *ctx);

/* tokens so far, or NULL if no answer is read */

const ollama_usage_result_t *ngx_http_ollama_usage(
    ngx_http_ollama_ctx_t *ctx);

/* how a stream stands that ends here, and line feeds that end what was begun */

ollama_stream_e ngx_http_ollama_usage_stream(ngx_http_ollama_ctx_t *ctx);
ngx_uint_t ngx_http_ollama_usage_broken(ngx_http_ollama_ctx_t *ctx);

/* the scanner goes back to its worker */

void ngx_http_ollama_usage_free(ngx_http_ollama_ctx_t *ctx);


#endif /* _NGX_HTTP_OLLAMA_USAGE_H_INCLUDED_ */
