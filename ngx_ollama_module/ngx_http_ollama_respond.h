
/*
 * Our own words: answers made here, refusals, headers.
 *
 * A refusal is an event.  Whoever refuses a request notes what the client is
 * to be told and returns the status to the phase engine; when an answer with
 * that very status is really sent, and by nginx itself, the filter turns it
 * into JSON of the API's shape.  If the phases go on instead (another access
 * module lets the request in, an error_page leads elsewhere), the refusal is
 * forgotten, and nothing remains of it in the answer, the record or the log's
 * variables.
 */


#ifndef _NGX_HTTP_OLLAMA_RESPOND_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_RESPOND_H_INCLUDED_


#include "ngx_http_ollama.h"


/* retry: seconds since 1970 for Retry-After, or 0; returns status */

ngx_int_t ngx_http_ollama_error(ngx_http_request_t *r, ngx_uint_t status,
    time_t retry, const char *fmt, ...);

/* as the lease says */

ngx_int_t ngx_http_ollama_refuse(ngx_http_ollama_ctx_t *ctx);

void ngx_http_ollama_forget(ngx_http_ollama_ctx_t *ctx);

/* the header filter's: the status that is sent is final, the page follows */

ngx_int_t ngx_http_ollama_error_page(ngx_http_request_t *r,
    ngx_http_ollama_ctx_t *ctx);

/* what such a page says; if that is a refusal of ours, the client is told */

void ngx_http_ollama_error_text(ngx_http_ollama_ctx_t *ctx,
    ngx_uint_t status, ngx_str_t *text);

/* sends the whole answer and returns what finalizes the request */

ngx_int_t ngx_http_ollama_send(ngx_http_request_t *r, ngx_uint_t status,
    const char *type, u_char *data, size_t len);

ngx_int_t ngx_http_ollama_not_allowed(ngx_http_request_t *r,
    const char *methods);

ngx_table_elt_t *ngx_http_ollama_add_header(ngx_http_request_t *r,
    const char *name, ngx_str_t *value);
ngx_int_t ngx_http_ollama_add_retry_after(ngx_http_request_t *r,
    time_t retry);

/*
 * A header that came, from a client or an upstream, by its name in small
 * letters; NULL if there is none.  (Of one that goes out nobody knows them.)
 */

#define ngx_http_ollama_header_in(r, name)                                    \
    ngx_http_ollama_find_header(&(r)->headers_in.headers, name,               \
                                sizeof(name) - 1)

ngx_str_t *ngx_http_ollama_find_header(ngx_list_t *headers, const char *name,
    size_t len);

/* several at once: values[i] is that of names[i] */

void ngx_http_ollama_find_headers(ngx_list_t *headers, ngx_str_t *names,
    ngx_str_t **values, ngx_uint_t n);


#endif /* _NGX_HTTP_OLLAMA_RESPOND_H_INCLUDED_ */
