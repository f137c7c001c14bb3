
/*
 * The balancer.  It wraps the one that chooses a server, as keepalive does, so
 * that each try is made with the key that the request's lease has.
 *
 * nginx asks two things before it goes on to a next try: that pc->tries is not
 * 0, and that "proxy_next_upstream" names what has happened.  Both answers are
 * given here and in _answer.c, which decides.  The request of a next try is
 * made anew, since proxy_pass renders it once, with its Authorization.
 */


#ifndef _NGX_HTTP_OLLAMA_BALANCER_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_BALANCER_H_INCLUDED_


#include "ngx_http_ollama.h"


ngx_int_t ngx_http_ollama_init_upstream(ngx_conf_t *cf,
    ngx_http_upstream_srv_conf_t *us);


#endif /* _NGX_HTTP_OLLAMA_BALANCER_H_INCLUDED_ */
