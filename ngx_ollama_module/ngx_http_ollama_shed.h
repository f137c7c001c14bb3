
/*
 * A long body goes as soon as nobody needs it.
 *
 * nginx keeps its buffer, up to client_body_buffer_size, as long as the request
 * lasts, which may be half an hour.  It is needed no more when the cloud has
 * all of it and the answer's header has gone to the client: there will be no
 * other try.  Then it goes to the outbox, before its record, and its memory is
 * given back; while the outbox has no room for it, it waits.
 *
 * $request_body is empty from then on.  A body in a file stays where it is (what
 * goes is the buffer that it came through), and so does one that subrequests
 * share, and a short one.
 */


#ifndef _NGX_HTTP_OLLAMA_SHED_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_SHED_H_INCLUDED_


#include "ngx_http_ollama.h"


void ngx_http_ollama_shed_init_process(ngx_log_t *log);

/* bytes of an answer pass; any number of times */

void ngx_http_ollama_shed(ngx_http_ollama_ctx_t *ctx);

/* the request ends */

void ngx_http_ollama_shed_end(ngx_http_ollama_ctx_t *ctx);


#endif /* _NGX_HTTP_OLLAMA_SHED_H_INCLUDED_ */
