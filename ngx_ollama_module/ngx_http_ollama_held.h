
/*
 * The body of an error that is held back: whether all of it has come, and what
 * it says, read from the buffer of the upstream without taking anything out of
 * it (core/held.h).
 */


#ifndef _NGX_HTTP_OLLAMA_HELD_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_HELD_H_INCLUDED_


#include "ngx_http_ollama.h"

#include "core/held.h"


typedef struct {
    ollama_held_h2_t                *h2;        /* NULL: it is not HTTP/2 */
    u_char                          *fed;       /* frames up to here */
} ngx_http_ollama_held_t;


/* a try begins; bytes have come, and then the header's handler was called */

void ngx_http_ollama_held_begin(ngx_http_ollama_held_t *held);
ngx_int_t ngx_http_ollama_held_watch(ngx_http_ollama_held_t *held,
    ngx_http_request_t *r);
void ngx_http_ollama_held_called(ngx_http_ollama_held_t *held,
    ngx_http_request_t *r);

/*
 * What there is, behind the header.  text is room for OLLAMA_HELD_TEXT bytes, or
 * NULL if only the state is asked for; what it says, if anything, is returned,
 * now->len bytes of it.
 */

u_char *ngx_http_ollama_held_body(ngx_http_ollama_held_t *held,
    ngx_http_request_t *r, u_char *text, ollama_held_t *now);

/* how it is packed, or NULL: the text is what it unpacks to, cut off */

ngx_str_t *ngx_http_ollama_held_packing(ngx_http_request_t *r);

/*
 * The same for the beginning of an answer: what it says, as far as it is known.
 * first is room for it.
 */

ollama_first_t *ngx_http_ollama_held_first(ngx_http_ollama_held_t *held,
    ngx_http_request_t *r, ollama_first_t *first, ollama_held_t *now);


#endif /* _NGX_HTTP_OLLAMA_HELD_H_INCLUDED_ */
