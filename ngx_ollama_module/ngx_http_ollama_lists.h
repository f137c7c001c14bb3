
/*
 * Directives that change a list which is built in: ollama_pass_header (headers
 * that go to the cloud, core/allow.h) and ollama_path (paths that are answered
 * here, core/route_rule.h).
 *
 * Lines add up: those of http come first, then the server's, then those of the
 * location, and of two that fit the later one holds.
 */


#ifndef _NGX_HTTP_OLLAMA_LISTS_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_LISTS_H_INCLUDED_


#include "ngx_http_ollama.h"


char *ngx_http_ollama_set_pass_header(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_ollama_set_path(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_int_t ngx_http_ollama_merge_lists(ngx_conf_t *cf,
    ngx_http_ollama_loc_conf_t *prev, ngx_http_ollama_loc_conf_t *conf);


#endif /* _NGX_HTTP_OLLAMA_LISTS_H_INCLUDED_ */
