
/*
 * No stream dies silently: one that has ended without its end mark is told so
 * in its client's API (core/stream_error.h), and ends as a broken one does:
 * without the last chunk of HTTP/1.1, with RST_STREAM of HTTP/2.
 *
 * It does not matter how the cloud's bytes ended: cleanly, too early for their
 * length or chunk, by a reset, a timeout, or in chunks that cannot be parsed.
 * What the client has got by then is a line or event that was begun, which is
 * ended first.  Where the mark had come, the answer is whole, and ends well
 * even if the cloud's connection did not.
 *
 * Only where a scanner reads the answer (_usage.c), and can read it.
 */


#ifndef _NGX_HTTP_OLLAMA_TAIL_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_TAIL_H_INCLUDED_


#include "ngx_http_ollama.h"


/* an answer begins, its scanner is there */

void ngx_http_ollama_tail_start(ngx_http_ollama_ctx_t *ctx);

/* bytes of it, as long as tail.look */

void ngx_http_ollama_tail_look(ngx_http_ollama_ctx_t *ctx, u_char *p,
    size_t n);

/* a buffer without data: the last that nginx says of an answer, whole or not */

ngx_uint_t ngx_http_ollama_tail_is_end(ngx_http_request_t *r, ngx_buf_t *b);

/*
 * Called once with it.  The filter that the buffers up to and with it are to be
 * passed to is returned: next, or one that adds what is to be told to them, and
 * that to next at once.
 */

ngx_http_output_body_filter_pt ngx_http_ollama_tail_end(
    ngx_http_ollama_ctx_t *ctx, ngx_buf_t *b,
    ngx_http_output_body_filter_pt next);


#endif /* _NGX_HTTP_OLLAMA_TAIL_H_INCLUDED_ */
