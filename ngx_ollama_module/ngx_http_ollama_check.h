
/*
 * What only the whole configuration shows: names that have to exist, and what
 * works but will hardly have been meant.  The former is refused; of the latter
 * "nginx -t" warns, with the line, and says what to write.
 */


#ifndef _NGX_HTTP_OLLAMA_CHECK_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_CHECK_H_INCLUDED_


#include "ngx_http_ollama.h"


/*
 * Which upstreams have keys, and their defaults.  A name that is none would be
 * looked for in the DNS, request by request.
 */

ngx_int_t ngx_http_ollama_check_upstreams(ngx_conf_t *cf);

/* as one is merged: it needs a pool, and is noted for what is told below */

char *ngx_http_ollama_check_location(ngx_conf_t *cf,
    ngx_http_ollama_main_conf_t *omcf, ngx_http_ollama_loc_conf_t *conf);

/* when all is merged: the locations that were noted */

void ngx_http_ollama_check_locations(ngx_conf_t *cf);

/* the core module's, which nginx completes after http {} */

void ngx_http_ollama_check_process(ngx_cycle_t *cycle,
    ngx_http_ollama_main_conf_t *omcf);


#endif /* _NGX_HTTP_OLLAMA_CHECK_H_INCLUDED_ */
