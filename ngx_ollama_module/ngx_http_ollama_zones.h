
/*
 * What is in shared memory beside the keys, where there is a daemon: the outbox
 * and the list of running requests.
 */


#ifndef _NGX_HTTP_OLLAMA_ZONES_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_ZONES_H_INCLUDED_


#include "ngx_http_ollama.h"


ngx_int_t ngx_http_ollama_zones_add(ngx_conf_t *cf,
    ngx_http_ollama_main_conf_t *omcf);


#endif /* _NGX_HTTP_OLLAMA_ZONES_H_INCLUDED_ */
