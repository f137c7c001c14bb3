
/*
 * The header of an upstream's answer: an error is held until its body is here,
 * judged, and tried again with another key or passed on.
 *
 * An answer which is to be tried again is presented to nginx as a 403: one of
 * the statuses it knows, and the one after which the connection may be kept.
 * What really came is put back for the logs.  For that the handler of the
 * answer's header is wrapped.  It holds an error back until its body has
 * arrived as well (a few hundred bytes), since only the text tells a spent
 * quota from taken slots.
 *
 * The next key is taken before the answer in hand is given up, so the last
 * error always reaches the client as it came.  "tries" bounds the failures that
 * may not be the key's; a quota or slots that are used up only cost time, and
 * "tries_time" bounds that.
 *
 * A connection that cannot be made is nobody's failure: the same key goes on to
 * the next address, up to the last of them.
 */


#ifndef _NGX_HTTP_OLLAMA_ANSWER_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_ANSWER_H_INCLUDED_


#include "ngx_http_ollama.h"


/* r->upstream is about to be used */

ngx_int_t ngx_http_ollama_answer_init(ngx_http_ollama_ctx_t *ctx,
    ngx_http_ollama_srv_conf_t *conf, ngx_uint_t peers);

/* every address has been tried, the balancer starts over */

void ngx_http_ollama_answer_over(ngx_http_ollama_ctx_t *ctx);

/* a try begins */

void ngx_http_ollama_answer_begin(ngx_http_ollama_ctx_t *ctx);

/* nginx ends a try and asks for the next one: judged, if it was not before */

void ngx_http_ollama_answer_end(ngx_http_ollama_ctx_t *ctx,
    ngx_peer_connection_t *pc);

/*
 * Nothing of the answer has come, and there might be another try; that is what
 * happens when the connection has been ended.  The answer is not judged, and
 * what has passed is no time spent on trying: the other key gets all of it.
 */

ngx_uint_t ngx_http_ollama_answer_waits(ngx_http_ollama_ctx_t *ctx);
void ngx_http_ollama_answer_leave(ngx_http_ollama_ctx_t *ctx);
/* and its end: an error may have come after other bytes, whose key is blamed */

void ngx_http_ollama_answer_late(ngx_http_ollama_ctx_t *ctx);

/* its header is complete; another try is made */

ngx_uint_t ngx_http_ollama_answer_came(ngx_http_ollama_ctx_t *ctx);
ngx_uint_t ngx_http_ollama_answer_retry(ngx_http_ollama_ctx_t *ctx);


#endif /* _NGX_HTTP_OLLAMA_ANSWER_H_INCLUDED_ */
