
#include "ngx_http_ollama_body.h"
#include "ngx_http_ollama_session.h"
#include "ngx_http_ollama_unpack.h"


#define NGX_HTTP_OLLAMA_SCAN_SIZE   65536
#define NGX_HTTP_OLLAMA_SPARE       64


static unsigned ngx_http_ollama_body_flags(ngx_http_ollama_ctx_t *ctx);
static void ngx_http_ollama_body_drop(ngx_http_request_t *r);
static ngx_int_t ngx_http_ollama_body_facts(ngx_http_ollama_ctx_t *ctx);
static ngx_int_t ngx_http_ollama_body_rescan(ngx_http_request_t *r,
    ngx_http_ollama_ctx_t *ctx);
static ngx_int_t ngx_http_ollama_body_edit(ngx_http_request_t *r,
    ngx_http_ollama_ctx_t *ctx, ollama_edit_t *edits, size_t n);
static ngx_int_t ngx_http_ollama_body_part(ngx_http_request_t *r,
    ngx_chain_t ***last, ngx_buf_t *from, off_t start, off_t size);
static ngx_int_t ngx_http_ollama_body_insert(ngx_http_request_t *r,
    ngx_chain_t ***last, ollama_edit_t *edit);
static ollama_request_t *ngx_http_ollama_scanner_get(void);


/* scanners of this worker that no request uses now */

static ngx_uint_t         ngx_http_ollama_nspare;
static ollama_request_t  *ngx_http_ollama_spare[NGX_HTTP_OLLAMA_SPARE];


ngx_int_t
ngx_http_ollama_body_read(ngx_http_ollama_ctx_t *ctx,
    ngx_http_client_body_handler_pt handler)
{
    ngx_int_t  rc;

    rc = ngx_http_ollama_unpack_init(ctx);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ctx->route->flags & OLLAMA_ROUTE_SCAN) {

        ctx->body.scanner = ngx_http_ollama_scanner_get();
        if (ctx->body.scanner == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        ollama_request_reset(ctx->body.scanner,
                             ngx_http_ollama_body_flags(ctx));
    }

    return ngx_http_read_client_request_body(ctx->request, handler);
}


static unsigned
ngx_http_ollama_body_flags(ngx_http_ollama_ctx_t *ctx)
{
    unsigned  flags;

    flags = 0;

    if (ctx->route->flags & OLLAMA_ROUTE_STREAM) {
        flags |= OLLAMA_REQUEST_NATIVE;
    }

    if (ngx_strcmp(ctx->route->name, "show") == 0) {
        flags |= OLLAMA_REQUEST_NAME;
    }

    if (ngx_http_ollama_session_asks(ctx)) {
        flags |= OLLAMA_REQUEST_TURNS;

        if (ctx->route->family == OLLAMA_FAMILY_ANTHROPIC) {
            flags |= OLLAMA_REQUEST_USER;
        }
    }

    return flags;
}


void
ngx_http_ollama_body_scan(ngx_http_ollama_ctx_t *ctx, ngx_chain_t *in)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    if (ctx->body.scanner == NULL || ctx->state != NGX_HTTP_OLLAMA_READING) {
        return;
    }

    for (cl = in; cl; cl = cl->next) {
        b = cl->buf;

        if (ngx_buf_in_memory(b) && b->last > b->pos) {
            (void) ollama_request_feed(ctx->body.scanner, b->pos,
                                       b->last - b->pos);
            ctx->body.scanned += b->last - b->pos;
        }
    }
}


ngx_int_t
ngx_http_ollama_body_done(ngx_http_ollama_ctx_t *ctx)
{
    size_t               n;
    unsigned             want;
    ngx_chain_t         *cl;
    ollama_edit_t        edits[OLLAMA_REQUEST_MAX_EDITS];
    ngx_http_request_t  *r;

    r = ctx->request;

    r->preserve_body = 1;
    ctx->body.size = 0;

    if (r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD)) {
        ngx_http_ollama_body_drop(r);
        return NGX_OK;
    }

    if (r->request_body) {
        ctx->body.bufs = r->request_body->bufs;

        for (cl = r->request_body->bufs; cl; cl = cl->next) {
            ctx->body.size += ngx_buf_size(cl->buf);
        }
    }

    if (ctx->unpack && ngx_http_ollama_unpack_done(ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    ctx->body.tokens = ollama_usage_estimate(ctx->body.size);

    if (ctx->body.scanner == NULL) {
        return NGX_OK;
    }

    if (ctx->body.scanned != ctx->body.size
        && ngx_http_ollama_body_rescan(r, ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ollama_request_finish(ctx->body.scanner);

    if (ngx_http_ollama_body_facts(ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    want = OLLAMA_EDIT_MODEL;

    if (ctx->route->flags & OLLAMA_ROUTE_USAGE) {

        /* without it a stream says nothing of its tokens */

        want |= OLLAMA_EDIT_INCLUDE_USAGE;
    }

    n = ollama_request_edits(ctx->body.scanner, want, edits,
                             OLLAMA_REQUEST_MAX_EDITS);

    n = ngx_min(n, OLLAMA_REQUEST_MAX_EDITS);

    if (n && ngx_http_ollama_body_edit(r, ctx, edits, n) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_ollama_body_free(ctx);

    return NGX_OK;
}


/* there it means nothing, and servers answer 400 or wait for it */

static void
ngx_http_ollama_body_drop(ngx_http_request_t *r)
{
    if (r->request_body) {
        r->request_body->bufs = NULL;
    }

    r->headers_in.content_length_n = -1;
}


static ngx_int_t
ngx_http_ollama_body_facts(ngx_http_ollama_ctx_t *ctx)
{
    u_char                        *p;
    ngx_http_ollama_body_t        *body;
    const ollama_request_facts_t  *facts;

    body = &ctx->body;
    facts = ollama_request_facts(body->scanner);

    body->valid = facts->valid;
    body->streaming = facts->streaming;
    body->prompt_empty = facts->prompt_empty;
    body->messages_empty = facts->messages_empty;
    body->keep_alive_zero = facts->keep_alive_zero;

    body->tokens = ollama_request_tokens(facts);
    body->session = facts->session;
    body->named = facts->named;
    body->begins = facts->begins;

    body->include_usage = (ctx->route->flags & OLLAMA_ROUTE_USAGE)
                          && facts->valid
                          && facts->streaming
                          && !facts->include_usage;

    if (facts->model_len == 0) {
        return NGX_OK;
    }

    p = ngx_pnalloc(ctx->request->pool,
                    facts->model_len + facts->model_sent_len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    body->model.data = p;
    body->model.len = facts->model_len;

    p = ngx_cpymem(p, facts->model, facts->model_len);

    body->model_sent.data = p;
    body->model_sent.len = facts->model_sent_len;

    ngx_memcpy(p, facts->model_sent, facts->model_sent_len);

    return NGX_OK;
}


void
ngx_http_ollama_body_free(ngx_http_ollama_ctx_t *ctx)
{
    if (ctx->body.scanner == NULL) {
        return;
    }

    if (ngx_http_ollama_nspare < NGX_HTTP_OLLAMA_SPARE) {
        ngx_http_ollama_spare[ngx_http_ollama_nspare++] = ctx->body.scanner;

    } else {
        ollama_request_destroy(ctx->body.scanner);
    }

    ctx->body.scanner = NULL;
}


/* somebody else has read the body, before we could see it coming in */

static ngx_int_t
ngx_http_ollama_body_rescan(ngx_http_request_t *r, ngx_http_ollama_ctx_t *ctx)
{
    off_t         offset;
    size_t        size;
    ssize_t       n;
    u_char       *buf;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "ollama body rescan: %O of %O",
                   ctx->body.scanned, ctx->body.size);

    ollama_request_reset(ctx->body.scanner, ngx_http_ollama_body_flags(ctx));

    buf = NULL;

    for (cl = r->request_body->bufs; cl; cl = cl->next) {
        b = cl->buf;

        if (ngx_buf_in_memory(b)) {
            (void) ollama_request_feed(ctx->body.scanner, b->pos,
                                       b->last - b->pos);
            continue;
        }

        if (!b->in_file) {
            continue;
        }

        if (buf == NULL) {
            buf = ngx_palloc(r->pool, NGX_HTTP_OLLAMA_SCAN_SIZE);
            if (buf == NULL) {
                return NGX_ERROR;
            }
        }

        for (offset = b->file_pos; offset < b->file_last; offset += n) {

            size = (size_t) ngx_min(b->file_last - offset,
                                    NGX_HTTP_OLLAMA_SCAN_SIZE);

            n = ngx_read_file(b->file, buf, size, offset);

            if (n == NGX_ERROR || n == 0) {
                return NGX_ERROR;
            }

            (void) ollama_request_feed(ctx->body.scanner, buf, n);
        }
    }

    if (buf) {
        (void) ngx_pfree(r->pool, buf);
    }

    return NGX_OK;
}


/*
 * The body becomes a chain of what stays and what is new; nothing is copied,
 * and nginx sends it on every try as it would send the original.
 */

static ngx_int_t
ngx_http_ollama_body_edit(ngx_http_request_t *r, ngx_http_ollama_ctx_t *ctx,
    ollama_edit_t *edits, size_t n)
{
    off_t          pos, start, end, size, removed, inserted;
    size_t         i;
    ngx_chain_t   *cl, *out, **last;

    out = NULL;
    last = &out;

    i = 0;
    pos = 0;
    removed = 0;
    inserted = 0;

    for (cl = r->request_body->bufs; cl; cl = cl->next) {

        size = ngx_buf_size(cl->buf);
        end = pos + size;
        start = pos;

        for ( ;; ) {

            if (i < n && (off_t) edits[i].offset <= end) {

                /* up to the edit */

                if ((off_t) edits[i].offset > start) {
                    if (ngx_http_ollama_body_part(r, &last, cl->buf,
                                                  start - pos,
                                                  edits[i].offset - start)
                        != NGX_OK)
                    {
                        return NGX_ERROR;
                    }

                    start = edits[i].offset;
                }

                if ((off_t) edits[i].offset == end && edits[i].remove
                    && cl->next)
                {
                    /* what is removed begins with the next buffer */
                    break;
                }

                if (edits[i].insert_len) {
                    if (ngx_http_ollama_body_insert(r, &last, &edits[i])
                        != NGX_OK)
                    {
                        return NGX_ERROR;
                    }

                    inserted += edits[i].insert_len;
                    edits[i].insert_len = 0;
                }

                /* what is removed may go on in the next buffer */

                size = ngx_min((off_t) (edits[i].offset + edits[i].remove)
                               - start, end - start);

                if (size > 0) {
                    start += size;
                    removed += size;
                    edits[i].offset += size;
                    edits[i].remove -= size;
                }

                if (edits[i].remove) {
                    break;
                }

                i++;
                continue;
            }

            if (end > start
                && ngx_http_ollama_body_part(r, &last, cl->buf, start - pos,
                                             end - start)
                   != NGX_OK)
            {
                return NGX_ERROR;
            }

            break;
        }

        pos = end;
    }

    *last = NULL;

    r->request_body->bufs = out;
    r->headers_in.content_length_n = ctx->body.size - removed + inserted;

    return NGX_OK;
}


static ngx_int_t
ngx_http_ollama_body_part(ngx_http_request_t *r, ngx_chain_t ***last,
    ngx_buf_t *from, off_t start, off_t size)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    cl = ngx_alloc_chain_link(r->pool);
    if (cl == NULL) {
        return NGX_ERROR;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    if (ngx_buf_in_memory(from)) {
        b->temporary = from->temporary;
        b->memory = from->memory;
        b->mmap = from->mmap;

        b->pos = from->pos + start;
        b->last = b->pos + size;

        /* nginx rewinds to the start when it sends the request again */

        b->start = b->pos;
        b->end = b->last;

    } else {
        b->in_file = 1;
        b->file = from->file;
        b->file_pos = from->file_pos + start;
        b->file_last = b->file_pos + size;
    }

    cl->buf = b;

    **last = cl;
    *last = &cl->next;

    return NGX_OK;
}


static ngx_int_t
ngx_http_ollama_body_insert(ngx_http_request_t *r, ngx_chain_t ***last,
    ollama_edit_t *edit)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    cl = ngx_alloc_chain_link(r->pool);
    if (cl == NULL) {
        return NGX_ERROR;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->memory = 1;
    b->start = (u_char *) edit->insert;
    b->pos = b->start;
    b->last = b->pos + edit->insert_len;
    b->end = b->last;

    cl->buf = b;

    **last = cl;
    *last = &cl->next;

    return NGX_OK;
}


static ollama_request_t *
ngx_http_ollama_scanner_get(void)
{
    if (ngx_http_ollama_nspare) {
        return ngx_http_ollama_spare[--ngx_http_ollama_nspare];
    }

    return ollama_request_create();
}
