
/*
 * The state of the keys, and what a person can do with them.
 */


#ifndef _NGX_HTTP_OLLAMA_HEALTH_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_HEALTH_H_INCLUDED_


#include "ngx_http_ollama.h"


/* "ollama_health" */

ngx_int_t ngx_http_ollama_health_handler(ngx_http_request_t *r);


#endif /* _NGX_HTTP_OLLAMA_HEALTH_H_INCLUDED_ */
