
/*
 * Signs of life ("ollama_keepalive"): a stream of events that has been silent
 * towards its client for so long gets a ping, whatever the silence is for: the
 * request waits for a slot, an error of the cloud is parked, the cloud has not
 * answered yet, or has stopped in mid-stream.  Only between events.
 *
 *     : ping                                      chat/completions, completions,
 *                                                 responses
 *     event: ping, data: {"type":"ping"}          messages
 *
 * The first one takes the header with it: 200, text/event-stream.  Nginx is not
 * told (r->header_sent stays 0), and goes on as if nothing had been said; when
 * it comes with a header, that of the cloud's answer or of an error's page,
 * this is what becomes of it in our header filter: of a stream with 200 the
 * body follows as it is, anything else is told as an error of the API, and ends
 * the stream.  Its status is the one in the log and on record.
 *
 * Pings pass the filters below ours only: no scanner sees them, they are no
 * first token, and count as nothing.  A client that does not read gets none.
 *
 * An internal redirect would take the filters' state of a header that is out:
 * error_page is not followed after a ping.
 */


#ifndef _NGX_HTTP_OLLAMA_KEEPALIVE_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_KEEPALIVE_H_INCLUDED_


#include "ngx_http_ollama.h"


/* the filter of whatever has passed ours */

void ngx_http_ollama_keepalive_init(ngx_http_output_body_filter_pt next);
ngx_int_t ngx_http_ollama_keepalive_filter(ngx_http_request_t *r,
    ngx_chain_t *in);

/* a request's body is known; nothing is done unless it asks for such a stream */

ngx_int_t ngx_http_ollama_keepalive_start(ngx_http_ollama_ctx_t *ctx);

/* for the following ctx->keepalive is not NULL; the first ping is on its way */

ngx_uint_t ngx_http_ollama_keepalive_opens(ngx_http_ollama_ctx_t *ctx);
ngx_uint_t ngx_http_ollama_keepalive_pings(ngx_http_ollama_ctx_t *ctx);

/* its header is out */

ngx_uint_t ngx_http_ollama_keepalive_open(ngx_http_ollama_ctx_t *ctx);

/* a header comes: whether it is one of a stream that may have pings */

ngx_uint_t ngx_http_ollama_keepalive_stream(ngx_http_ollama_ctx_t *ctx);

/* after the first ping: what is to be said instead of it, by the body filter */

ngx_int_t ngx_http_ollama_keepalive_tell(ngx_http_ollama_ctx_t *ctx,
    ngx_uint_t from_cloud);


#endif /* _NGX_HTTP_OLLAMA_KEEPALIVE_H_INCLUDED_ */
