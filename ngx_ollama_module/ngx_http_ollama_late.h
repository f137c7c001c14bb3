
/*
 * "ollama_first_token": a request of which no byte has come for so long is
 * sent once more, with another key.
 *
 * The time is that of its model in config.yaml ("models", "first_token"), else
 * the location's; 0: none.  It runs from the beginning of each try, so that
 * the queue is no part of it.  When it is over, and nothing of the answer has
 * come (a header alone is nothing), the request moves to another key that has
 * a free slot; without one it goes on waiting, and looks again each second.
 * That happens once for a request, and only on routes of inference.
 *
 * The try that is given up ends as if nginx's own timer had: what is passed to
 * the client, and how the next try begins, stays in one place.  nginx logs it
 * as timed out, after our own line which says why.
 *
 * All of it costs an ordinary request two comparisons.
 */


#ifndef _NGX_HTTP_OLLAMA_LATE_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_LATE_H_INCLUDED_


#include "ngx_http_ollama.h"


/* a try has begun; it ends */

void ngx_http_ollama_late_begin(ngx_http_ollama_ctx_t *ctx);
void ngx_http_ollama_late_end(ngx_http_ollama_ctx_t *ctx);


#endif /* _NGX_HTTP_OLLAMA_LATE_H_INCLUDED_ */
