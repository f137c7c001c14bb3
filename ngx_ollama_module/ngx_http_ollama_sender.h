
/*
 * The worker that carries the outbox to the daemon.
 *
 * A timer of a few milliseconds looks into the ring; what is there goes out in
 * one piece, so that the socket is written to per batch and not per request.
 * Bytes are copied out of the ring first: what is being written stays as it
 * is, whatever the ring has to drop meanwhile.
 */


#ifndef _NGX_HTTP_OLLAMA_SENDER_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_SENDER_H_INCLUDED_


#include "ngx_http_ollama.h"


void ngx_http_ollama_sender_init_process(ngx_http_ollama_main_conf_t *conf,
    ngx_cycle_t *cycle);

/* says what is left to say */

void ngx_http_ollama_sender_exit_process(void);


#endif /* _NGX_HTTP_OLLAMA_SENDER_H_INCLUDED_ */
