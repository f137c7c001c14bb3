
/*
 * What only came because we asked for usage is taken out of the answer again:
 * the chunk with the usage, and in /v1/completions the zeros in all the others
 * (core/sse_cut.h, core/zero_cut.h).
 */


#ifndef _NGX_HTTP_OLLAMA_CUT_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_CUT_H_INCLUDED_


#include "ngx_http_ollama.h"


/* an answer begins from which, if it is a stream, something is taken out */

ngx_int_t ngx_http_ollama_cut_start(ngx_http_ollama_ctx_t *ctx);

/* events of text alone may pass by it, as they are */

ngx_uint_t ngx_http_ollama_cut_between(ngx_http_ollama_ctx_t *ctx);

/* passes on to next what stays of in */

ngx_int_t ngx_http_ollama_cut(ngx_http_ollama_ctx_t *ctx, ngx_chain_t *in,
    ngx_http_output_body_filter_pt next);

void ngx_http_ollama_cut_free(ngx_http_ollama_ctx_t *ctx);


#endif /* _NGX_HTTP_OLLAMA_CUT_H_INCLUDED_ */
