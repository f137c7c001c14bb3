
/*
 * Headers that go to the cloud: those of a list (core/allow.h), not all but
 * some.
 *
 * ..._pass() is the last word of the precontent phase: NGX_DECLINED, or an
 * error.  From then on nginx makes the location's upstream, and each time it
 * makes a request for it, r->headers_in.headers has none but those that may
 * go: it is another one for as long as that takes, made of stretches of the
 * client's own.  Nobody else ever sees it so: not the cache, other variables,
 * filters, the log or a location to which an error leads.
 *
 * What "proxy_set_header" says is sent in any case.  A $http_.. that it asks
 * for is what the client has sent: those which the configuration mentions at
 * all are taken before.
 *
 * ..._passed() is whether the request that was made last was made so.
 */


#ifndef _NGX_HTTP_OLLAMA_PASS_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_PASS_H_INCLUDED_


#include "ngx_http_ollama.h"


ngx_int_t ngx_http_ollama_pass_init(ngx_cycle_t *cycle,
    ngx_http_ollama_main_conf_t *omcf);
ngx_int_t ngx_http_ollama_pass(ngx_http_ollama_ctx_t *ctx);
ngx_uint_t ngx_http_ollama_passed(ngx_http_ollama_ctx_t *ctx);


#endif /* _NGX_HTTP_OLLAMA_PASS_H_INCLUDED_ */
