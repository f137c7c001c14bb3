
/*
 * What the directives take, but those for which nginx's own slots do.  The
 * table is in _module.c, the README says what each means.  What can be told
 * from one directive alone is refused here with its line; what only the whole
 * configuration shows is in _check.c.
 */


#ifndef _NGX_HTTP_OLLAMA_DIRECTIVES_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_DIRECTIVES_H_INCLUDED_


#include "ngx_http_ollama.h"


char *ngx_http_ollama_set_zone(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_ollama_set_statsd(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_ollama_set_origins(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_ollama_set_keys(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_ollama_set_queue(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_ollama_set_enable(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_ollama_set_bodies(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_ollama_set_time(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_ollama_set_upstream(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_ollama_set_client(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_ollama_set_status(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_ollama_set_health(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


#endif /* _NGX_HTTP_OLLAMA_DIRECTIVES_H_INCLUDED_ */
