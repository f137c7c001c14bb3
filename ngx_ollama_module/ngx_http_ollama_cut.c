
#include "ngx_http_ollama_cut.h"
#include "ngx_http_ollama_usage.h"
#include "core/form.h"


#define NGX_HTTP_OLLAMA_SPARE  64


typedef struct {
    ollama_sse_cut_t    *chunks;
    ollama_zero_cut_t    zero_cut;
    ollama_form_t        form;
    ngx_chain_t         *held;          /* copies, to be used again */
    ngx_uint_t           zeros;         /* /v1/completions */
} ngx_http_ollama_cut_t;


typedef int (*ngx_http_ollama_cut_next_pt)(void *cut, const u_char **p,
    const u_char *end, ollama_sse_run_t *run);
typedef int (*ngx_http_ollama_cut_finish_pt)(void *cut,
    ollama_sse_run_t *run);


static ngx_uint_t ngx_http_ollama_cut_form(ngx_http_ollama_cut_t *cut,
    ngx_chain_t *in);
static int ngx_http_ollama_chunk_next(void *cut, const u_char **p,
    const u_char *end, ollama_sse_run_t *run);
static int ngx_http_ollama_chunk_finish(void *cut, ollama_sse_run_t *run);
static int ngx_http_ollama_zeros_next(void *cut, const u_char **p,
    const u_char *end, ollama_sse_run_t *run);
static int ngx_http_ollama_zeros_finish(void *cut, ollama_sse_run_t *run);
static ngx_int_t ngx_http_ollama_cut_pass(ngx_http_request_t *r,
    ngx_http_ollama_cut_t *cut, ngx_chain_t *in, ngx_chain_t **out, void *data,
    ngx_http_ollama_cut_next_pt next, ngx_http_ollama_cut_finish_pt finish);
static ngx_int_t ngx_http_ollama_cut_held(ngx_http_request_t *r,
    ngx_http_ollama_cut_t *cut, ngx_chain_t ***last, ollama_sse_run_t *run);
static ngx_int_t ngx_http_ollama_cut_link(ngx_http_request_t *r,
    ngx_chain_t ***last, ngx_buf_t *from);


/* scanners of this worker that no answer uses now */

static ngx_uint_t         ngx_http_ollama_nspare;
static ollama_sse_cut_t  *ngx_http_ollama_spare[NGX_HTTP_OLLAMA_SPARE];


ngx_int_t
ngx_http_ollama_cut_start(ngx_http_ollama_ctx_t *ctx)
{
    ngx_http_ollama_cut_t  *cut;

    if (ctx->cut) {
        return NGX_OK;
    }

    cut = ngx_pcalloc(ctx->request->pool, sizeof(ngx_http_ollama_cut_t));
    if (cut == NULL) {
        return NGX_ERROR;
    }

    if (ngx_http_ollama_nspare) {
        cut->chunks = ngx_http_ollama_spare[--ngx_http_ollama_nspare];

    } else {
        cut->chunks = ollama_sse_cut_create();
        if (cut->chunks == NULL) {
            return NGX_ERROR;
        }
    }

    ollama_sse_cut_reset(cut->chunks);
    ollama_zero_cut_reset(&cut->zero_cut);
    ollama_form_init(&cut->form);

    cut->zeros = ngx_strcmp(ctx->route->name, "completions") == 0;

    ctx->cut = cut;

    /* one of a cache comes from a file */

    ctx->request->filter_need_in_memory = 1;

    return NGX_OK;
}


void
ngx_http_ollama_cut_free(ngx_http_ollama_ctx_t *ctx)
{
    ngx_http_ollama_cut_t  *cut;

    cut = ctx->cut;

    if (cut == NULL) {
        return;
    }

    /* one that broke off in mid-event has more memory than it needs now */

    ollama_sse_cut_reset(cut->chunks);

    if (ngx_http_ollama_nspare < NGX_HTTP_OLLAMA_SPARE) {
        ngx_http_ollama_spare[ngx_http_ollama_nspare++] = cut->chunks;

    } else {
        ollama_sse_cut_destroy(cut->chunks);
    }

    ctx->cut = NULL;
}


ngx_uint_t
ngx_http_ollama_cut_between(ngx_http_ollama_ctx_t *ctx)
{
    ngx_http_ollama_cut_t  *cut;

    cut = ctx->cut;

    return cut->form.known && !cut->zeros
           && ollama_sse_cut_between(cut->chunks);
}


ngx_int_t
ngx_http_ollama_cut(ngx_http_ollama_ctx_t *ctx, ngx_chain_t *in,
    ngx_http_output_body_filter_pt next_filter)
{
    ngx_int_t               rc;
    ngx_chain_t            *cl, *next, *chunks, *out;
    ngx_http_request_t     *r;
    ngx_http_ollama_cut_t  *cut;

    r = ctx->request;
    cut = ctx->cut;

    if (!cut->form.known && !ngx_http_ollama_cut_form(cut, in)) {

        /* not the stream that was asked for: all of it passes */

        ngx_http_ollama_cut_free(ctx);

        for (cl = in; cl; cl = cl->next) {
            ngx_http_ollama_usage_passed(ctx, ngx_buf_size(cl->buf));
        }

        return next_filter(r, in);
    }

    if (ngx_http_ollama_cut_pass(r, cut, in, &out, cut->chunks,
                                 ngx_http_ollama_chunk_next,
                                 ngx_http_ollama_chunk_finish)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (cut->zeros && out) {
        chunks = out;

        if (ngx_http_ollama_cut_pass(r, cut, chunks, &out, &cut->zero_cut,
                                     ngx_http_ollama_zeros_next,
                                     ngx_http_ollama_zeros_finish)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        for (cl = chunks; cl; cl = next) {
            next = cl->next;
            ngx_free_chain(r->pool, cl);
        }
    }

    if (out == NULL) {
        return NGX_OK;
    }

    for (cl = out; cl; cl = cl->next) {
        ngx_http_ollama_usage_passed(ctx, ngx_buf_size(cl->buf));
    }

    rc = next_filter(r, out);

    for (cl = out; cl; cl = next) {
        next = cl->next;

        if (cl->buf->tag == (ngx_buf_tag_t) &ngx_http_ollama_filter_module) {
            cl->next = cut->held;
            cut->held = cl;

        } else {
            ngx_free_chain(r->pool, cl);
        }
    }

    return rc;
}


/* 0: its first bytes are none of a stream */

static ngx_uint_t
ngx_http_ollama_cut_form(ngx_http_ollama_cut_t *cut, ngx_chain_t *in)
{
    const u_char  *p;
    ngx_chain_t   *cl;

    for (cl = in; cl; cl = cl->next) {

        if (!ngx_buf_in_memory(cl->buf)) {
            continue;
        }

        p = cl->buf->pos;

        if (ollama_form_next(&cut->form, &p, cl->buf->last)) {
            break;
        }
    }

    return !cut->form.known
           || cut->form.format == OLLAMA_FORMAT_SSE
           || ollama_sse_cut_held(cut->chunks)
           || cut->zero_cut.held;
}


static int
ngx_http_ollama_chunk_next(void *cut, const u_char **p, const u_char *end,
    ollama_sse_run_t *run)
{
    return ollama_sse_cut_next(cut, p, end, run);
}


static int
ngx_http_ollama_chunk_finish(void *cut, ollama_sse_run_t *run)
{
    return ollama_sse_cut_finish(cut, run);
}


static int
ngx_http_ollama_zeros_next(void *cut, const u_char **p, const u_char *end,
    ollama_sse_run_t *run)
{
    return ollama_zero_cut_next(cut, p, end, run);
}


static int
ngx_http_ollama_zeros_finish(void *cut, ollama_sse_run_t *run)
{
    return ollama_zero_cut_finish(cut, run);
}


/*
 * What stays of a buffer is moved together where it is, so that nginx goes on
 * to know by this very buffer what has been sent; only what had been held back
 * is copied.
 */

static ngx_int_t
ngx_http_ollama_cut_pass(ngx_http_request_t *r, ngx_http_ollama_cut_t *cut,
    ngx_chain_t *in, ngx_chain_t **out, void *data,
    ngx_http_ollama_cut_next_pt next, ngx_http_ollama_cut_finish_pt finish)
{
    u_char            *start, *end;
    ngx_buf_t         *b;
    const u_char      *p;
    ngx_chain_t       *cl, **last;
    ollama_sse_run_t   run;

    *out = NULL;
    last = out;

    for (cl = in; cl; cl = cl->next) {
        b = cl->buf;

        if (ngx_buf_in_memory(b)) {

            p = b->pos;
            start = b->last;
            end = b->last;

            while (next(data, &p, b->last, &run)) {

                if (run.held) {
                    if (ngx_http_ollama_cut_held(r, cut, &last, &run)
                        != NGX_OK)
                    {
                        return NGX_ERROR;
                    }

                    continue;
                }

                if (start == b->last) {
                    start = (u_char *) run.data;
                    end = start;
                }

                if (end != run.data) {
                    ngx_memmove(end, run.data, run.len);
                }

                end += run.len;
            }

            b->pos = start;
            b->last = end;
        }

        if (b->last_buf && finish(data, &run)
            && ngx_http_ollama_cut_held(r, cut, &last, &run) != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (ngx_http_ollama_cut_link(r, &last, b) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    *last = NULL;

    return NGX_OK;
}


/* bytes of earlier buffers: they were held back, and nobody else has them */

static ngx_int_t
ngx_http_ollama_cut_held(ngx_http_request_t *r, ngx_http_ollama_cut_t *cut,
    ngx_chain_t ***last, ollama_sse_run_t *run)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl, **ll;

    /* one that has been sent meanwhile */

    for (ll = &cut->held; *ll; ll = &(*ll)->next) {
        if (ngx_buf_size((*ll)->buf) == 0) {
            break;
        }
    }

    cl = *ll;

    if (cl) {
        *ll = cl->next;
        b = cl->buf;

    } else {
        cl = ngx_alloc_chain_link(r->pool);
        if (cl == NULL) {
            return NGX_ERROR;
        }

        b = ngx_create_temp_buf(r->pool, OLLAMA_SSE_CUT_HOLD);
        if (b == NULL) {
            return NGX_ERROR;
        }

        b->tag = (ngx_buf_tag_t) &ngx_http_ollama_filter_module;
        cl->buf = b;
    }

    b->pos = b->start;
    b->last = ngx_cpymem(b->pos, run->data, run->len);
    b->flush = 1;

    **last = cl;
    *last = &cl->next;

    return NGX_OK;
}


static ngx_int_t
ngx_http_ollama_cut_link(ngx_http_request_t *r, ngx_chain_t ***last,
    ngx_buf_t *from)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    b = from;

    if (ngx_buf_in_memory(from) && from->pos == from->last) {

        /* those before it have a flush of their own */

        if (!from->last_buf) {
            return NGX_OK;
        }

        b = ngx_calloc_buf(r->pool);
        if (b == NULL) {
            return NGX_ERROR;
        }

        b->last_buf = 1;
        b->last_in_chain = from->last_in_chain;
    }

    cl = ngx_alloc_chain_link(r->pool);
    if (cl == NULL) {
        return NGX_ERROR;
    }

    cl->buf = b;

    **last = cl;
    *last = &cl->next;

    return NGX_OK;
}
