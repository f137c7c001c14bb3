
#include "ngx_http_ollama.h"


#define NGX_HTTP_OLLAMA_SCAN_SIZE   65536
#define NGX_HTTP_OLLAMA_SPARE       64


static void ngx_http_ollama_cleanup(void *data);
static void ngx_http_ollama_finish(void *data);

static ngx_int_t ngx_http_ollama_read_body(ngx_http_request_t *r,
    ngx_http_ollama_ctx_t *ctx);
static void ngx_http_ollama_body_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_ollama_body_done(ngx_http_request_t *r,
    ngx_http_ollama_ctx_t *ctx);
static ngx_int_t ngx_http_ollama_body_rescan(ngx_http_request_t *r,
    ngx_http_ollama_ctx_t *ctx);
static ngx_int_t ngx_http_ollama_body_edit(ngx_http_request_t *r,
    ngx_http_ollama_ctx_t *ctx, ollama_edit_t *edits, size_t n);
static ngx_int_t ngx_http_ollama_body_part(ngx_http_request_t *r,
    ngx_chain_t ***last, ngx_buf_t *from, off_t start, off_t size);
static ngx_int_t ngx_http_ollama_body_insert(ngx_http_request_t *r,
    ngx_chain_t ***last, ollama_edit_t *edit);

static ngx_int_t ngx_http_ollama_choose(ngx_http_request_t *r,
    ngx_http_ollama_ctx_t *ctx);
static void ngx_http_ollama_wake(ngx_http_ollama_ctx_t *ctx, ngx_int_t rc);

static ollama_request_t *ngx_http_ollama_scanner_get(void);
static void ngx_http_ollama_scanner_put(ollama_request_t *scanner);


/* scanners of this worker that no request uses now */

static ngx_uint_t         ngx_http_ollama_nspare;
static ollama_request_t  *ngx_http_ollama_spare[NGX_HTTP_OLLAMA_SPARE];


ngx_http_ollama_ctx_t *
ngx_http_ollama_get_ctx(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t     *cln;
    ngx_http_ollama_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_ollama_module);

    if (ctx == NULL && (r->internal || r->filter_finalize)) {

        /* an internal redirect has cleared the pointer */

        for (cln = r->pool->cleanup; cln; cln = cln->next) {
            if (cln->handler == ngx_http_ollama_cleanup) {
                ctx = cln->data;

                if (ctx->request == r) {
                    ngx_http_set_ctx(r, ctx, ngx_http_ollama_module);
                    return ctx;
                }
            }
        }

        return NULL;
    }

    return ctx;
}


ngx_http_ollama_ctx_t *
ngx_http_ollama_create_ctx(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t     *cln;
    ngx_http_ollama_ctx_t  *ctx;

    ctx = ngx_http_ollama_get_ctx(r);
    if (ctx) {
        return ctx;
    }

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_ollama_ctx_t));
    if (cln == NULL) {
        return NULL;
    }

    ctx = cln->data;
    ngx_memzero(ctx, sizeof(ngx_http_ollama_ctx_t));

    ctx->request = r;
    ctx->conf = ngx_http_get_module_main_conf(r, ngx_http_ollama_module);

    cln->handler = ngx_http_ollama_cleanup;

    ngx_http_set_ctx(r, ctx, ngx_http_ollama_module);

    return ctx;
}


/*
 * The end of the request, however it came.  A slot and its reservation are
 * given back here, unless the balancer has seen the answer's end before.
 */

static void
ngx_http_ollama_cleanup(void *data)
{
    ngx_http_ollama_ctx_t  *ctx = data;

    ngx_http_ollama_finish(ctx);

    if (ctx->scanner) {
        ngx_http_ollama_scanner_put(ctx->scanner);
        ctx->scanner = NULL;
    }

    ngx_http_ollama_usage_done(ctx);
}


/*
 * Registered once more when the body has been read: cleanups run in reverse
 * order, and here the body's temporary file is still open.
 */

static void
ngx_http_ollama_finish(void *data)
{
    ngx_http_ollama_ctx_t  *ctx = data;

    if (ctx->finished) {
        return;
    }

    ctx->finished = 1;

    ngx_http_ollama_queue_remove(ctx);
    ngx_http_ollama_usage_settle(ctx);
    ngx_http_ollama_record(ctx);
}


const ollama_route_t *
ngx_http_ollama_route(ngx_http_ollama_ctx_t *ctx)
{
    ngx_http_request_t  *r;

    if (!ctx->route_known) {
        r = ctx->request;

        ctx->route = ollama_route_find((char *) r->method_name.data,
                                       r->method_name.len, r->uri.data,
                                       r->uri.len);
        ctx->route_known = 1;
    }

    return ctx->route;
}


ngx_int_t
ngx_http_ollama_request_handler(ngx_http_request_t *r)
{
    ngx_int_t                    rc;
    ngx_http_ollama_ctx_t       *ctx;
    ngx_http_ollama_loc_conf_t  *olcf;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_ollama_module);

    if (!olcf->enable || r != r->main) {
        return NGX_DECLINED;
    }

    /* an error's page would be asked for in the cloud: the filter makes one */

    if (r->err_status >= NGX_HTTP_BAD_REQUEST) {
        return r->err_status;
    }

    ctx = ngx_http_ollama_create_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "ollama request, state: %d", ctx->state);

    switch (ctx->state) {

    case NGX_HTTP_OLLAMA_INIT:

        if (ngx_http_ollama_route(ctx) == NULL) {
            return ngx_http_ollama_error(r, NGX_HTTP_NOT_FOUND, 0,
                                         "path \"%V\" not found",
                                         &r->unparsed_uri);
        }

        if (ctx->route->kind == OLLAMA_ROUTE_LOCAL) {
            ctx->state = NGX_HTTP_OLLAMA_REFUSED;
            return ngx_http_ollama_local(ctx);
        }

        rc = ngx_http_ollama_read_body(r, ctx);

        if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
            return rc;
        }

        ngx_http_finalize_request(r, NGX_DONE);
        return NGX_DONE;

    case NGX_HTTP_OLLAMA_READ:
        rc = ngx_http_ollama_body_done(r, ctx);

        if (rc != NGX_OK) {
            return rc;
        }

        rc = ngx_http_ollama_local(ctx);

        if (rc != NGX_DECLINED) {
            return rc;
        }

        return ngx_http_ollama_choose(r, ctx);

    case NGX_HTTP_OLLAMA_GRANTED:
        return NGX_DECLINED;

    case NGX_HTTP_OLLAMA_REFUSED:

        if (ctx->error.len) {
            return ctx->error_status;
        }

        return NGX_HTTP_INTERNAL_SERVER_ERROR;

    default: /* READING, WAITING */
        return NGX_AGAIN;
    }
}


static ngx_int_t
ngx_http_ollama_read_body(ngx_http_request_t *r, ngx_http_ollama_ctx_t *ctx)
{
    unsigned  flags;

    if (ctx->route->flags & OLLAMA_ROUTE_SCAN) {

        ctx->scanner = ngx_http_ollama_scanner_get();
        if (ctx->scanner == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        flags = 0;

        if (ctx->route->flags & OLLAMA_ROUTE_STREAM) {
            flags |= OLLAMA_REQUEST_NATIVE;
        }

        if (ngx_strcmp(ctx->route->name, "show") == 0) {
            flags |= OLLAMA_REQUEST_NAME;
        }

        ollama_request_reset(ctx->scanner, flags);
    }

    ctx->endpoint = r->uri;
    ctx->state = NGX_HTTP_OLLAMA_READING;

    ngx_http_ollama_running_add(ctx);

    return ngx_http_read_client_request_body(r, ngx_http_ollama_body_handler);
}


void
ngx_http_ollama_request_scan(ngx_http_ollama_ctx_t *ctx, ngx_chain_t *in)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    if (ctx->scanner == NULL || ctx->state != NGX_HTTP_OLLAMA_READING) {
        return;
    }

    for (cl = in; cl; cl = cl->next) {
        b = cl->buf;

        if (ngx_buf_in_memory(b) && b->last > b->pos) {
            (void) ollama_request_feed(ctx->scanner, b->pos,
                                       b->last - b->pos);
            ctx->scanned += b->last - b->pos;
        }
    }
}


static void
ngx_http_ollama_body_handler(ngx_http_request_t *r)
{
    ngx_http_ollama_ctx_t  *ctx;

    ctx = ngx_http_ollama_get_ctx(r);

    ctx->state = NGX_HTTP_OLLAMA_READ;

    r->preserve_body = 1;

    r->write_event_handler = ngx_http_core_run_phases;
    ngx_http_core_run_phases(r);
}


static ngx_int_t
ngx_http_ollama_body_done(ngx_http_request_t *r, ngx_http_ollama_ctx_t *ctx)
{
    size_t                         n;
    uint64_t                       tokens;
    unsigned                       want;
    ngx_chain_t                   *cl;
    ollama_edit_t                  edits[OLLAMA_REQUEST_MAX_EDITS];
    ngx_pool_cleanup_t            *cln;
    const ollama_request_facts_t  *facts;

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_http_ollama_finish;
    cln->data = ctx;

    ctx->body = 0;

    if (r->request_body) {
        ctx->bufs = r->request_body->bufs;

        for (cl = r->request_body->bufs; cl; cl = cl->next) {
            ctx->body += ngx_buf_size(cl->buf);
        }
    }

    if (ctx->scanner == NULL) {
        ctx->want.tokens = 1;
        return NGX_OK;
    }

    if (ctx->scanned != ctx->body
        && ngx_http_ollama_body_rescan(r, ctx) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ollama_request_finish(ctx->scanner);

    facts = ollama_request_facts(ctx->scanner);

    ctx->body_valid = facts->valid;
    ctx->streaming = facts->streaming;
    ctx->prompt_empty = facts->prompt_empty;
    ctx->messages_empty = facts->messages_empty;
    ctx->keep_alive_zero = facts->keep_alive_zero;

    if (facts->model_len) {
        ctx->want.model.data = ngx_pnalloc(r->pool, facts->model_len
                                                    + facts->model_sent_len);
        if (ctx->want.model.data == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        ctx->want.model.len = facts->model_len;
        ngx_memcpy(ctx->want.model.data, facts->model, facts->model_len);

        ctx->model_sent.data = ctx->want.model.data + facts->model_len;
        ctx->model_sent.len = facts->model_sent_len;
        ngx_memcpy(ctx->model_sent.data, facts->model_sent,
                   facts->model_sent_len);

        ctx->want.hash = ngx_crc32_short(ctx->want.model.data,
                                         ctx->want.model.len);
    }

    if (ctx->route->kind == OLLAMA_ROUTE_INFERENCE) {
        tokens = ngx_http_ollama_keys_usual(ctx->conf->keys, ctx->want.hash);
        ctx->want.tokens = ctx->body / 4 + tokens;

    } else {
        ctx->want.tokens = 1;
    }

    want = OLLAMA_EDIT_MODEL;

    if (ctx->route->flags & OLLAMA_ROUTE_USAGE) {

        /* without it a stream says nothing of its tokens */

        want |= OLLAMA_EDIT_INCLUDE_USAGE;

        ctx->include_usage = facts->valid && facts->streaming
                             && !facts->include_usage;
    }

    n = ollama_request_edits(ctx->scanner, want, edits,
                             OLLAMA_REQUEST_MAX_EDITS);

    n = ngx_min(n, OLLAMA_REQUEST_MAX_EDITS);

    if (n && ngx_http_ollama_body_edit(r, ctx, edits, n) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_ollama_scanner_put(ctx->scanner);
    ctx->scanner = NULL;

    return NGX_OK;
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
                   "ollama body rescan: %O of %O", ctx->scanned, ctx->body);

    ollama_request_reset(ctx->scanner,
                         (ctx->route->flags & OLLAMA_ROUTE_STREAM)
                         ? OLLAMA_REQUEST_NATIVE : 0);

    buf = NULL;

    for (cl = r->request_body->bufs; cl; cl = cl->next) {
        b = cl->buf;

        if (ngx_buf_in_memory(b)) {
            (void) ollama_request_feed(ctx->scanner, b->pos,
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

            (void) ollama_request_feed(ctx->scanner, buf, n);
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
    r->headers_in.content_length_n = ctx->body - removed + inserted;

    ctx->model_edited = 1;

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


static ngx_int_t
ngx_http_ollama_choose(ngx_http_request_t *r, ngx_http_ollama_ctx_t *ctx)
{
    ngx_int_t                rc;
    ngx_http_ollama_keys_t  *keys;

    keys = ctx->conf->keys;

    if (ctx->route->flags & OLLAMA_ROUTE_PUBLIC) {

        /* costs no slot, and is served without a key if need be */

        ngx_http_ollama_set_key(ctx, ngx_http_ollama_keys_any(keys));

        ctx->state = NGX_HTTP_OLLAMA_GRANTED;
        return NGX_DECLINED;
    }

    if (ngx_http_ollama_keys_waiters(keys)) {

        /* others came first: the queue decides */

        rc = NGX_AGAIN;

    } else {
        rc = ngx_http_ollama_keys_reserve(keys, &ctx->want, &ctx->hold);
    }

    if (rc == NGX_AGAIN) {
        rc = ngx_http_ollama_keys_wait(keys, &ctx->hold, ctx->conf->queue);

        if (rc == NGX_OK) {
            rc = ngx_http_ollama_keys_turn(keys, &ctx->want, ctx->hold);

            if (rc == NGX_AGAIN || rc == NGX_BUSY) {
                goto wait;
            }

        } else if (ctx->want.status == 0) {

            /* a full queue, and not asked for a key yet */

            rc = ngx_http_ollama_keys_reserve(keys, &ctx->want, &ctx->hold);
        }
    }

    if (rc == NGX_OK) {
        ngx_http_ollama_set_key(ctx, ctx->hold->key);

        ctx->state = NGX_HTTP_OLLAMA_GRANTED;
        return NGX_DECLINED;
    }

    ngx_http_ollama_usage_settle(ctx);

    ctx->state = NGX_HTTP_OLLAMA_REFUSED;
    return ngx_http_ollama_refuse(ctx);

wait:

    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "ollama request waits for a slot");

    if (r->connection->read->ready) {
        ngx_post_event(r->connection->read, &ngx_posted_events);

    } else if (ngx_handle_read_event(r->connection->read, 0) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    ctx->state = NGX_HTTP_OLLAMA_WAITING;

    ngx_http_ollama_queue_add(ctx, ngx_http_ollama_wake);

    return NGX_AGAIN;
}


/* called by the queue; goes on with the phases in an event of its own */

static void
ngx_http_ollama_wake(ngx_http_ollama_ctx_t *ctx, ngx_int_t rc)
{
    ngx_http_request_t  *r;

    r = ctx->request;

    if (rc == NGX_OK) {
        ngx_http_ollama_set_key(ctx, ctx->hold->key);
        ctx->state = NGX_HTTP_OLLAMA_GRANTED;

    } else {

        /* out of the queue now: those behind shall not wait for us */

        ngx_http_ollama_usage_settle(ctx);

        (void) ngx_http_ollama_refuse(ctx);
        ctx->state = NGX_HTTP_OLLAMA_REFUSED;
    }

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_core_run_phases;

    ngx_post_event(r->connection->write, &ngx_posted_events);
}


static ollama_request_t *
ngx_http_ollama_scanner_get(void)
{
    if (ngx_http_ollama_nspare) {
        return ngx_http_ollama_spare[--ngx_http_ollama_nspare];
    }

    return ollama_request_create();
}


static void
ngx_http_ollama_scanner_put(ollama_request_t *scanner)
{
    if (ngx_http_ollama_nspare < NGX_HTTP_OLLAMA_SPARE) {
        ngx_http_ollama_spare[ngx_http_ollama_nspare++] = scanner;
        return;
    }

    ollama_request_destroy(scanner);
}
