
/*
 * An answer that was refused for want of a slot, while every other key is busy
 * too, is parked: the last byte received is taken back, and delivered again
 * when the queue has decided.
 */


#ifndef _NGX_HTTP_OLLAMA_PARK_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_PARK_H_INCLUDED_


#include "ngx_http_ollama.h"


/*
 * The request goes back to the queue.  NGX_OK: it has a key at once, NGX_AGAIN:
 * its answer is parked; else there is no place.
 */

ngx_int_t ngx_http_ollama_park(ngx_http_ollama_ctx_t *ctx,
    ngx_http_ollama_srv_conf_t *conf);

/*
 * The answer's bytes are looked at again.  NGX_OK: it was parked and has a key,
 * NGX_ABORT: and has none, NGX_DECLINED: it was not parked.
 */

ngx_int_t ngx_http_ollama_park_resume(ngx_http_ollama_ctx_t *ctx);

/* nginx gives up the connection; true if an answer was parked */

ngx_uint_t ngx_http_ollama_park_abandon(ngx_http_ollama_ctx_t *ctx,
    ngx_connection_t *c);


#endif /* _NGX_HTTP_OLLAMA_PARK_H_INCLUDED_ */
