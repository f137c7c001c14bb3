
/*
 * config.yaml and .env: the list of keys, and who may use them.  A file that
 * cannot be taken is told in one line with its name, the line and what is
 * expected.
 */


#ifndef _NGX_HTTP_OLLAMA_CONFIG_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_CONFIG_H_INCLUDED_


#include "ngx_http_ollama.h"


char *ngx_http_ollama_load_config(ngx_conf_t *cf,
    ngx_http_ollama_main_conf_t *omcf);

/* the environment's names go over to a new binary */

ngx_int_t ngx_http_ollama_keep_environment(ngx_conf_t *cf);

/* the line of nginx's own that is being read: file:line */

ngx_int_t ngx_http_ollama_where(ngx_conf_t *cf, ngx_str_t *at);


#endif /* _NGX_HTTP_OLLAMA_CONFIG_H_INCLUDED_ */
