
/*
 * A private location: the daemon asks the cloud there what an account has left.
 * It names the account's key by its fingerprint and never sees the key itself.
 *
 *     GET /api/balance          on a unix socket of its own
 *     X-Ollama-Key: a1b2c3d4
 *
 * Let in are root, the workers' own user, and those of "allow_user", as the
 * kernel knows them (SO_PEERCRED).  The request has that very key and no other,
 * free or not; it takes no slot, is no record, and its answer is nobody's
 * blame.  An answer with "X-Ollama-Private: asked" is the cloud's, any other is
 * our own word.
 */


#ifndef _NGX_HTTP_OLLAMA_PRIVATE_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_PRIVATE_H_INCLUDED_


#include "ngx_http_ollama.h"


/* directives: "ollama_private [allow_user=name ...]", "ollama_balance" */

char *ngx_http_ollama_set_private(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_ollama_set_balance(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/*
 * When all locations are known: they are reached by a unix socket alone, whose
 * path is noted for the daemon; what a killed nginx has left of it is removed.
 */

ngx_int_t ngx_http_ollama_check_private(ngx_conf_t *cf);

/* of a location with "ollama_private": NGX_DECLINED, it goes on */

ngx_int_t ngx_http_ollama_private_handler(ngx_http_request_t *r);


#endif /* _NGX_HTTP_OLLAMA_PRIVATE_H_INCLUDED_ */
