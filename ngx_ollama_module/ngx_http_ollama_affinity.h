
/*
 * "ollama_affinity": whether conversations stay with their account, for how
 * long, and how far that account may be ahead.  The pool does it.
 */


#ifndef _NGX_HTTP_OLLAMA_AFFINITY_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_AFFINITY_H_INCLUDED_


#include "ngx_http_ollama.h"


char *ngx_http_ollama_set_affinity(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* of an upstream with keys, once all is read */

void ngx_http_ollama_affinity_init(ngx_http_ollama_main_conf_t *omcf,
    ngx_http_ollama_srv_conf_t *oscf);


#endif /* _NGX_HTTP_OLLAMA_AFFINITY_H_INCLUDED_ */
