
/*
 * Requests that nginx refuses before a location was looked for: the line or a
 * header is not valid or too long (400, 414), no HTTP of ours (505), a Host or
 * a method that cannot be (400, 405), a coding it does not know (501).
 *
 * ..._early() says whether the answer is one of these, in a server of ours, and
 * then which API's shape it has: that of the path, as far as it was read.  In a
 * server that does other things as well, that is one which puts no paths right,
 * it has to be a path of an API.
 *
 * There is no answer whose shape could be ours where nginx closes a connection
 * without one: when a header does not arrive in time, bytes are not TLS or not
 * the PROXY protocol, a frame of HTTP/2 or HTTP/3 is broken.
 */


#ifndef _NGX_HTTP_OLLAMA_EARLY_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_EARLY_H_INCLUDED_


#include "ngx_http_ollama.h"


ngx_uint_t ngx_http_ollama_early(ngx_http_request_t *r,
    ollama_family_e *family);


#endif /* _NGX_HTTP_OLLAMA_EARLY_H_INCLUDED_ */
