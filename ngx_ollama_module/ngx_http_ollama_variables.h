
/*
 * Variables: $ollama_authorization, $ollama_upstream and $ollama_host for the
 * include files, and what is known about a request, for log_format and map.
 * The latter are those of its record, and have the last word in the log phase.
 */


#ifndef _NGX_HTTP_OLLAMA_VARIABLES_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_VARIABLES_H_INCLUDED_


#include "ngx_http_ollama.h"


ngx_int_t ngx_http_ollama_add_variables(ngx_conf_t *cf);


#endif /* _NGX_HTTP_OLLAMA_VARIABLES_H_INCLUDED_ */
