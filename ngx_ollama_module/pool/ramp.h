
/*
 * How many requests at once an account gets that comes back: see ramp.c.
 * Private to this folder: see key.h.
 */


#ifndef _NGX_HTTP_OLLAMA_RAMP_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_RAMP_H_INCLUDED_


#include "key.h"


void ngx_http_ollama_ramp_begin(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_key_t *key);
void ngx_http_ollama_ramp_end(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_account_t *account);
void ngx_http_ollama_ramp_held(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_account_t *account);
void ngx_http_ollama_ramp_inherit(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_account_t *account, ngx_http_ollama_account_t *old);
void ngx_http_ollama_ramp_proven(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_account_t *account, ngx_http_ollama_node_t *node);
void ngx_http_ollama_ramp_take(ngx_http_ollama_account_t *account,
    ngx_http_ollama_node_t *node);
void ngx_http_ollama_ramp_give_back(ngx_http_ollama_account_t *account,
    ngx_http_ollama_node_t *node);


#endif /* _NGX_HTTP_OLLAMA_RAMP_H_INCLUDED_ */
