
/*
 * Waiting for a key that returns: "ollama_hold" lets a request wait although all
 * keys are used up, if one is back within its time.  A client may say how long
 * it would wait (X-Ollama-Wait: seconds), and has to with "header".
 */


#ifndef _NGX_HTTP_OLLAMA_HOLD_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_HOLD_H_INCLUDED_


#include "ngx_http_ollama.h"


char *ngx_http_ollama_set_hold(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* tells the request's lease until when it may be held; once */

void ngx_http_ollama_hold(ngx_http_ollama_ctx_t *ctx,
    ngx_http_ollama_srv_conf_t *conf);


#endif /* _NGX_HTTP_OLLAMA_HOLD_H_INCLUDED_ */
