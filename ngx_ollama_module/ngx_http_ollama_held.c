
#include "ngx_http_ollama_held.h"
#include "ngx_http_ollama_respond.h"

#include "core/unpack.h"


static size_t ngx_http_ollama_held_unpack(ngx_http_request_t *r,
    const u_char *body, size_t len, u_char *text);
static u_char *ngx_http_ollama_held_bytes(ngx_http_ollama_held_t *held,
    ngx_http_request_t *r, u_char *text, ollama_held_t *now);
static void ngx_http_ollama_held_h2(ollama_held_h2_t *h2,
    ngx_http_upstream_headers_in_t *headers, ollama_held_t *now);


void
ngx_http_ollama_held_begin(ngx_http_ollama_held_t *held)
{
    held->fed = NULL;
}


/*
 * In HTTP/2 the flags of the header's frame may end the answer, so the frames
 * are watched from the first one on.
 */

ngx_int_t
ngx_http_ollama_held_watch(ngx_http_ollama_held_t *held,
    ngx_http_request_t *r)
{
#if (nginx_version >= 1029004)

    u_char         *from;
    ngx_buf_t      *b;
    ollama_held_t   now;

    b = &r->upstream->buffer;
    from = held->fed ? held->fed : b->pos;

    if (from == b->last) {
        return NGX_OK;
    }

    if (held->fed == NULL) {

        /* "HTTP/1.1", or the length of a frame */

        if (*from == 'H') {
            held->h2 = NULL;

        } else {

            if (held->h2 == NULL) {
                held->h2 = ngx_palloc(r->pool, sizeof(ollama_held_h2_t));
                if (held->h2 == NULL) {
                    return NGX_ERROR;
                }
            }

            ollama_held_h2_init(held->h2);
        }
    }

    held->fed = b->last;

    if (held->h2) {
        ollama_held_h2_feed(held->h2, from, b->last - from, &now);
    }

#endif

    return NGX_OK;
}


/* what was read and is not wanted has been put away, perhaps */

void
ngx_http_ollama_held_called(ngx_http_ollama_held_t *held,
    ngx_http_request_t *r)
{
    held->fed = r->upstream->buffer.last;
}


u_char *
ngx_http_ollama_held_body(ngx_http_ollama_held_t *held, ngx_http_request_t *r,
    u_char *text, ollama_held_t *now)
{
    size_t                           len;
    u_char                          *body, packed[OLLAMA_HELD_TEXT];

    if (text == NULL || ngx_http_ollama_held_packing(r) == NULL) {
        return ngx_http_ollama_held_bytes(held, r, text, now);
    }

    body = ngx_http_ollama_held_bytes(held, r, packed, now);

    len = ngx_http_ollama_held_unpack(r, body, now->len, text);

    if (len == 0) {
        len = ngx_min(now->len, OLLAMA_HELD_TEXT);
        ngx_memcpy(text, body, len);
    }

    now->len = len;

    return text;
}


/* as much as is there and fits; 0 if nothing of it can be read */

static size_t
ngx_http_ollama_held_unpack(ngx_http_request_t *r, const u_char *body,
    size_t len, u_char *text)
{
    u_char           *last;
    ngx_str_t        *coding;
    const u_char     *p;
    ollama_unpack_t  *unpack;

    coding = ngx_http_ollama_held_packing(r);

    unpack = ollama_unpack_create(ollama_unpack_coding(coding->data,
                                                       coding->len));
    if (unpack == NULL) {
        return 0;
    }

    p = body;
    last = text;

    (void) ollama_unpack(unpack, &p, body + len, &last,
                         text + OLLAMA_HELD_TEXT);

    ollama_unpack_destroy(unpack);

    return last - text;
}


ngx_str_t *
ngx_http_ollama_held_packing(ngx_http_request_t *r)
{
    return ngx_http_ollama_find_header(&r->upstream->headers_in.headers,
                                       "content-encoding",
                                       sizeof("content-encoding") - 1);
}


static u_char *
ngx_http_ollama_held_bytes(ngx_http_ollama_held_t *held,
    ngx_http_request_t *r, u_char *text, ollama_held_t *now)
{
    ngx_buf_t                       *b;
    ngx_http_upstream_headers_in_t  *headers;

    headers = &r->upstream->headers_in;

    if (held->h2) {
        ngx_http_ollama_held_h2(held->h2, headers, now);

        return held->h2->text;
    }

    b = &r->upstream->buffer;

    if (headers->chunked) {
        ollama_held_chunked(b->pos, b->last - b->pos, text,
                            text ? OLLAMA_HELD_TEXT : 0, now);
        return text;
    }

    ollama_held_length(b->pos, b->last - b->pos, headers->content_length_n,
                       now);

    if (headers->content_length_n < 0 && now->len) {

        /* up to the end of the connection: what is there has to do */

        now->complete = 1;
    }

    return b->pos;
}


ollama_first_t *
ngx_http_ollama_held_first(ngx_http_ollama_held_t *held,
    ngx_http_request_t *r, ollama_first_t *first, ollama_held_t *now)
{
    u_char                           text[OLLAMA_HELD_TEXT];
    ngx_buf_t                       *b;
    ollama_first_t                  *raw;
    ngx_http_upstream_headers_in_t  *headers;

    headers = &r->upstream->headers_in;
    b = &r->upstream->buffer;

    raw = first;
    ollama_first_init(first);

    if (held->h2) {
        ngx_http_ollama_held_h2(held->h2, headers, now);
        raw = &held->h2->first;

    } else if (headers->chunked) {
        ollama_held_first(b->pos, b->last - b->pos, first, now);

    } else {
        ollama_held_length(b->pos, b->last - b->pos,
                           headers->content_length_n, now);
        (void) ollama_first_feed(first, b->pos, now->len);
    }

    if (!raw->form.known
        || raw->form.format != OLLAMA_FORMAT_OTHER
        || ngx_http_ollama_held_packing(r) == NULL)
    {
        return raw;
    }

    ollama_first_init(first);

    (void) ngx_http_ollama_held_body(held, r, text, now);
    (void) ollama_first_feed(first, text, now->len);

    if (now->len == OLLAMA_HELD_TEXT) {
        (void) ollama_first_finish(first);
    }

    return first;
}


/* a length that is reached is as good as an end of the stream, which may lag */

static void
ngx_http_ollama_held_h2(ollama_held_h2_t *h2,
    ngx_http_upstream_headers_in_t *headers, ollama_held_t *now)
{
    ollama_held_h2_feed(h2, NULL, 0, now);

    if (headers->content_length_n >= 0
        && h2->body >= (uint64_t) headers->content_length_n)
    {
        now->complete = 1;
    }
}
