
#include "ngx_http_ollama_first.h"
#include "ngx_http_ollama_trace.h"

#include "core/error.h"


#define NGX_HTTP_OLLAMA_FRAME  9        /* bytes of an HTTP/2 frame's head */


static ngx_int_t ngx_http_ollama_first_type(ngx_http_request_t *r);
static u_char *ngx_http_ollama_first_frame(u_char *p, size_t len,
    uint32_t stream);


ngx_uint_t
ngx_http_ollama_first_wanted(ngx_http_ollama_ctx_t *ctx)
{
    ngx_http_request_t              *r;
    ngx_http_upstream_headers_in_t  *headers;

    r = ctx->request;
    headers = &r->upstream->headers_in;

    return headers->status_n >= NGX_HTTP_OK
           && headers->status_n < NGX_HTTP_SPECIAL_RESPONSE
           && headers->status_n != NGX_HTTP_NO_CONTENT
           && headers->content_length_n != 0
           && ctx->route->kind == OLLAMA_ROUTE_INFERENCE
           && r->method != NGX_HTTP_HEAD;
}


ngx_int_t
ngx_http_ollama_first(ngx_http_ollama_ctx_t *ctx, ngx_http_ollama_held_t *held)
{
    ngx_buf_t            *b;
    ollama_held_t         now;
    ollama_first_t        room, *first;
    ngx_http_request_t   *r;
    ngx_http_upstream_t  *u;

    r = ctx->request;
    u = r->upstream;
    b = &u->buffer;

    first = ngx_http_ollama_held_first(held, r, &room, &now);

    if (first->what == OLLAMA_FIRST_UNKNOWN) {

        if (!now.complete && b->last + 1 < b->end) {

            ngx_log_debug1(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                           "ollama first event: not yet known after %uz bytes",
                           (size_t) (b->last - b->pos));

            ngx_add_timer(u->peer.connection->read, u->conf->read_timeout);
            return NGX_AGAIN;
        }

        (void) ollama_first_finish(first);
    }

    if (first->what == OLLAMA_FIRST_ANSWER) {
        return NGX_OK;
    }

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "ollama first event: an error, %ud \"%s\"",
                   first->status, first->text);

    return NGX_DECLINED;
}


ngx_int_t
ngx_http_ollama_first_rewrite(ngx_http_ollama_ctx_t *ctx,
    ngx_http_ollama_held_t *held)
{
    size_t                len, text, frame;
    u_char                page[OLLAMA_ERROR_BODY_MAX(OLLAMA_FIRST_TEXT)];
    ngx_buf_t            *b;
    ngx_str_t            *packing;
    ngx_uint_t            status;
    const char           *words;
    ollama_held_t         now;
    ollama_first_t        room, *first;
    ngx_table_elt_t      *h;
    ngx_http_request_t   *r;
    ngx_http_upstream_t  *u;

    r = ctx->request;
    u = r->upstream;
    b = &u->buffer;

    first = ngx_http_ollama_held_first(held, r, &room, &now);

    (void) ollama_first_finish(first);

    status = ngx_http_ollama_trace_last(ctx)->status;
    frame = held->h2 ? NGX_HTTP_OLLAMA_FRAME : 0;

    words = first->text;
    text = first->len;

    if (text == 0) {
        words = "the cloud failed to answer";
        text = ngx_strlen(words);
    }

    /* the header may have left little room */

    for ( ;; ) {
        len = ollama_error_body(ctx->route->family, status, words, text, page,
                                sizeof(page));

        if (len && len + frame <= (size_t) (b->end - b->pos)) {
            break;
        }

        if (text == 0) {
            return NGX_ERROR;
        }

        text /= 2;
    }

    b->last = b->pos;

    if (frame) {
        b->last = ngx_http_ollama_first_frame(b->last, len, held->h2->stream);
    }

    b->last = ngx_cpymem(b->last, page, len);

    u->headers_in.status_n = status;
    u->headers_in.status_line.len = 0;
    u->headers_in.content_length_n = len;
    u->headers_in.chunked = 0;
    u->headers_in.connection_close = 1;
    u->cacheable = 0;

    if (u->state) {
        u->state->status = status;
    }

    packing = ngx_http_ollama_held_packing(r);

    if (packing) {
        h = (ngx_table_elt_t *) ((u_char *) packing
                                 - offsetof(ngx_table_elt_t, value));
        h->hash = 0;
    }

    /* what is left of the answer may yet come: the connection is not kept */

    u->peer.connection->requests = NGX_MAX_INT32_VALUE;

    return ngx_http_ollama_first_type(r);
}


static ngx_int_t
ngx_http_ollama_first_type(ngx_http_request_t *r)
{
    ngx_table_elt_t                 *h;
    ngx_http_upstream_headers_in_t  *headers;

    headers = &r->upstream->headers_in;

    h = headers->content_type;

    if (h == NULL) {
        h = ngx_list_push(&headers->headers);
        if (h == NULL) {
            return NGX_ERROR;
        }

        ngx_memzero(h, sizeof(ngx_table_elt_t));

        ngx_str_set(&h->key, "Content-Type");
        h->lowcase_key = (u_char *) "content-type";
        h->hash = ngx_hash_key(h->lowcase_key, h->key.len);

        headers->content_type = h;
    }

    ngx_str_set(&h->value, "application/json");

    return NGX_OK;
}


/* DATA, the stream's last */

static u_char *
ngx_http_ollama_first_frame(u_char *p, size_t len, uint32_t stream)
{
    *p++ = (u_char) (len >> 16);
    *p++ = (u_char) (len >> 8);
    *p++ = (u_char) len;
    *p++ = 0;
    *p++ = 0x01;
    *p++ = (u_char) (stream >> 24);
    *p++ = (u_char) (stream >> 16);
    *p++ = (u_char) (stream >> 8);
    *p++ = (u_char) stream;

    return p;
}
