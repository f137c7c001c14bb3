
#include "ngx_http_ollama_unpack.h"
#include "ngx_http_ollama_respond.h"
#include "core/unpack.h"


#define NGX_HTTP_OLLAMA_UNPACK_SIZE  65536


typedef struct {
    ollama_unpack_t                  *unpack;
    off_t                             size;     /* of what has come out */
    size_t                            held;     /*   and is in memory */

    ngx_http_request_body_filter_pt   next;

    ngx_chain_t                      *free;
    ngx_chain_t                      *busy;
} ngx_http_ollama_unpack_t;


static void ngx_http_ollama_unpack_cleanup(void *data);
static ngx_int_t ngx_http_ollama_unpack_piece(ngx_http_ollama_ctx_t *ctx,
    ngx_buf_t *in);
static ngx_int_t ngx_http_ollama_unpack_send(ngx_http_ollama_ctx_t *ctx,
    ngx_chain_t *out);
static ngx_int_t ngx_http_ollama_unpack_spill(ngx_http_request_t *r);
static ngx_int_t ngx_http_ollama_unpack_headers(ngx_http_request_t *r);


ngx_int_t
ngx_http_ollama_unpack_init(ngx_http_ollama_ctx_t *ctx)
{
    ngx_str_t                 *values[2];
    ollama_coding_e            coding;
    ngx_pool_cleanup_t        *cln;
    ngx_http_request_t        *r;
    ngx_http_ollama_unpack_t  *u;

    /* one line is asked for, and whether there is another */

    static ngx_str_t  names[2] = {
        ngx_string("content-encoding"),
        ngx_string("content-encoding")
    };

    r = ctx->request;

    if (r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD)) {

        /* a body would be dropped, whatever it is */

        return NGX_OK;
    }

    if (ngx_http_ollama_header_in(r, "content-encoding") == NULL) {
        return NGX_OK;
    }

    ngx_http_ollama_find_headers(&r->headers_in.headers, names, values, 2);

    coding = values[1] ? OLLAMA_CODING_OTHER
                       : ollama_unpack_coding(values[0]->data, values[0]->len);

    if (coding == OLLAMA_CODING_NONE) {
        return NGX_OK;
    }

    if (!ollama_unpack_known(coding)) {
        return ngx_http_ollama_error(r, NGX_HTTP_UNSUPPORTED_MEDIA_TYPE, 0,
                                     "a body with Content-Encoding \"%V\" is "
                                     "not read here: send it as it is, or as "
                                     "gzip%s", values[0],
                                     ollama_unpack_known(OLLAMA_CODING_ZSTD)
                                     ? " or zstd" : "");
    }

    if (r->request_body) {
        return ngx_http_ollama_error(r, NGX_HTTP_UNSUPPORTED_MEDIA_TYPE, 0,
                                     "a body with Content-Encoding is not read "
                                     "here: something else has read it before");
    }

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_ollama_unpack_t));
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    u = cln->data;
    ngx_memzero(u, sizeof(ngx_http_ollama_unpack_t));

    u->unpack = ollama_unpack_create(coding);
    if (u->unpack == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_http_ollama_unpack_cleanup;

    ctx->unpack = u;

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "ollama unpack: %V", values[0]);

    return NGX_OK;
}


static void
ngx_http_ollama_unpack_cleanup(void *data)
{
    ngx_http_ollama_unpack_t  *u = data;

    if (u->unpack) {
        ollama_unpack_destroy(u->unpack);
    }
}


ngx_int_t
ngx_http_ollama_unpack(ngx_http_ollama_ctx_t *ctx, ngx_chain_t *in,
    ngx_http_request_body_filter_pt next)
{
    ngx_int_t                  rc;
    ngx_buf_t                 *b;
    ngx_chain_t               *cl, *out;
    ngx_http_ollama_unpack_t  *u;

    u = ctx->unpack;
    u->next = next;

    for (cl = in; cl; cl = cl->next) {
        b = cl->buf;

        if (u->unpack == NULL) {
            break;
        }

        rc = ngx_http_ollama_unpack_piece(ctx, b);

        if (rc != NGX_OK) {
            return rc;
        }

        b->pos = b->last;

        if (!b->last_buf) {
            continue;
        }

        if (!ollama_unpack_whole(u->unpack)) {
            return ngx_http_ollama_error(ctx->request, NGX_HTTP_BAD_REQUEST, 0,
                                         "the body ends before what its "
                                         "Content-Encoding says it is");
        }

        /* its window is larger than most bodies */

        ollama_unpack_destroy(u->unpack);
        u->unpack = NULL;

        out = ngx_chain_get_free_buf(ctx->request->pool, &u->free);
        if (out == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        ngx_memzero(out->buf, sizeof(ngx_buf_t));
        out->buf->last_buf = 1;

        return next(ctx->request, out);
    }

    return next(ctx->request, NULL);
}


static ngx_int_t
ngx_http_ollama_unpack_piece(ngx_http_ollama_ctx_t *ctx, ngx_buf_t *in)
{
    int                        broken;
    u_char                    *last;
    ngx_int_t                  rc;
    ngx_buf_t                 *b;
    ngx_chain_t               *out;
    const u_char              *p;
    ngx_http_request_t        *r;
    ngx_http_core_loc_conf_t  *clcf;
    ngx_http_ollama_unpack_t  *u;

    u = ctx->unpack;
    r = ctx->request;
    p = in->pos;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (p == in->last) {
        return NGX_OK;
    }

    do {
        out = ngx_chain_get_free_buf(r->pool, &u->free);
        if (out == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        b = out->buf;

        if (b->start == NULL) {
            b->start = ngx_palloc(r->pool, NGX_HTTP_OLLAMA_UNPACK_SIZE);
            if (b->start == NULL) {
                return NGX_HTTP_INTERNAL_SERVER_ERROR;
            }

            b->end = b->start + NGX_HTTP_OLLAMA_UNPACK_SIZE;
            b->temporary = 1;
            b->tag = (ngx_buf_tag_t) &ngx_http_ollama_module;
        }

        b->pos = b->start;
        b->last = b->start;

        last = b->last;
        broken = ollama_unpack(u->unpack, &p, in->last, &last, b->end);
        b->last = last;

        if (broken) {
            return ngx_http_ollama_error(r, NGX_HTTP_BAD_REQUEST, 0,
                                         "the body is not what its "
                                         "Content-Encoding says it is");
        }

        u->size += b->last - b->pos;

        if (clcf->client_max_body_size
            && u->size > clcf->client_max_body_size)
        {
            return ngx_http_ollama_error(r, NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                         0, "the body is larger than %O bytes "
                                         "when it is unpacked",
                                         clcf->client_max_body_size);
        }

        if (b->last == b->pos) {
            out->next = u->free;
            u->free = out;
            break;
        }

        u->held += b->last - b->pos;

        rc = ngx_http_ollama_unpack_send(ctx, out);

        if (rc != NGX_OK) {
            return rc;
        }

    } while (p != in->last || last == b->end);

    return NGX_OK;
}


static ngx_int_t
ngx_http_ollama_unpack_send(ngx_http_ollama_ctx_t *ctx, ngx_chain_t *out)
{
    ngx_int_t                  rc;
    ngx_http_request_t        *r;
    ngx_http_core_loc_conf_t  *clcf;
    ngx_http_ollama_unpack_t  *u;

    u = ctx->unpack;
    r = ctx->request;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    rc = u->next(r, out);

    if (rc != NGX_OK) {
        return rc;
    }

    if (u->held > clcf->client_body_buffer_size
        && ngx_http_ollama_unpack_spill(r) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (r->request_body->bufs == NULL) {
        u->held = 0;
    }

    ngx_chain_update_chains(r->pool, &u->free, &u->busy, &out,
                            (ngx_buf_tag_t) &ngx_http_ollama_module);

    return NGX_OK;
}


/* what nginx does when its own buffer is full, which is of the packed body */

static ngx_int_t
ngx_http_ollama_unpack_spill(ngx_http_request_t *r)
{
    ssize_t                    n;
    ngx_chain_t               *cl, *ln;
    ngx_temp_file_t           *tf;
    ngx_http_request_body_t   *rb;
    ngx_http_core_loc_conf_t  *clcf;

    rb = r->request_body;

    if (rb->bufs == NULL || r->request_body_no_buffering) {
        return NGX_OK;
    }

    if (rb->temp_file == NULL) {

        tf = ngx_pcalloc(r->pool, sizeof(ngx_temp_file_t));
        if (tf == NULL) {
            return NGX_ERROR;
        }

        clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

        tf->file.fd = NGX_INVALID_FILE;
        tf->file.log = r->connection->log;
        tf->path = clcf->client_body_temp_path;
        tf->pool = r->pool;
        tf->warn = "a client request body is buffered to a temporary file";
        tf->log_level = r->request_body_file_log_level;
        tf->persistent = r->request_body_in_persistent_file;
        tf->clean = r->request_body_in_clean_file;

        if (r->request_body_file_group_access) {
            tf->access = 0660;
        }

        rb->temp_file = tf;
    }

    n = ngx_write_chain_to_temp_file(rb->temp_file, rb->bufs);

    if (n == NGX_ERROR) {
        return NGX_ERROR;
    }

    rb->temp_file->offset += n;

    for (cl = rb->bufs; cl; /* void */) {
        cl->buf->pos = cl->buf->last;

        ln = cl;
        cl = cl->next;
        ngx_free_chain(r->pool, ln);
    }

    rb->bufs = NULL;

    return NGX_OK;
}


ngx_int_t
ngx_http_ollama_unpack_done(ngx_http_ollama_ctx_t *ctx)
{
    ngx_http_request_t  *r;

    r = ctx->request;

    r->headers_in.content_length_n = ctx->body.size;

    return ngx_http_ollama_unpack_headers(r);
}


/*
 * Whoever gets the body, a fallback as well, is not to hear that it is packed.
 * Others point into the list, so it stays, and a new one takes its place.
 */

static ngx_int_t
ngx_http_ollama_unpack_headers(ngx_http_request_t *r)
{
    ngx_uint_t        i, n;
    ngx_list_t       *list;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h, *to;

    n = 0;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        n += part->nelts;
    }

    list = ngx_list_create(r->pool, ngx_max(n, 1), sizeof(ngx_table_elt_t));
    if (list == NULL) {
        return NGX_ERROR;
    }

    for (part = &r->headers_in.headers.part; part; part = part->next) {

        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].key.len == sizeof("content-encoding") - 1
                && ngx_strncmp(h[i].lowcase_key, "content-encoding",
                               sizeof("content-encoding") - 1)
                   == 0)
            {
                continue;
            }

            to = ngx_list_push(list);
            if (to == NULL) {
                return NGX_ERROR;
            }

            *to = h[i];
        }
    }

    /* all of it is in one part */

    r->headers_in.headers = *list;
    r->headers_in.headers.last = &r->headers_in.headers.part;

    return NGX_OK;
}
