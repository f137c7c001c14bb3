
/*
 * Answers on their way to the client: headers are added, the bytes are shown
 * to the token scanner and go on untouched, and an error page of nginx becomes
 * JSON in the shape of the API that was asked.
 */

#include "ngx_http_ollama.h"


typedef int (*ngx_http_ollama_cut_next_pt)(void *cut, const u_char **p,
    const u_char *end, ollama_sse_run_t *run);
typedef int (*ngx_http_ollama_cut_finish_pt)(void *cut,
    ollama_sse_run_t *run);


static ngx_int_t ngx_http_ollama_header_filter(ngx_http_request_t *r);
static ngx_int_t ngx_http_ollama_cors(ngx_http_request_t *r);
static ngx_int_t ngx_http_ollama_key_headers(ngx_http_request_t *r,
    ngx_http_ollama_ctx_t *ctx);
static ngx_int_t ngx_http_ollama_answer_headers(ngx_http_request_t *r,
    ngx_http_ollama_ctx_t *ctx);
static void ngx_http_ollama_true_status(ngx_http_request_t *r,
    ngx_http_ollama_ctx_t *ctx);
static ngx_int_t ngx_http_ollama_error_headers(ngx_http_request_t *r,
    ngx_http_ollama_ctx_t *ctx);
static ngx_uint_t ngx_http_ollama_has_header(ngx_http_request_t *r,
    const char *name, size_t len);
static ngx_int_t ngx_http_ollama_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_int_t ngx_http_ollama_cut(ngx_http_request_t *r,
    ngx_http_ollama_ctx_t *ctx, ngx_chain_t *in);
static int ngx_http_ollama_chunk_next(void *cut, const u_char **p,
    const u_char *end, ollama_sse_run_t *run);
static int ngx_http_ollama_chunk_finish(void *cut, ollama_sse_run_t *run);
static int ngx_http_ollama_zeros_next(void *cut, const u_char **p,
    const u_char *end, ollama_sse_run_t *run);
static int ngx_http_ollama_zeros_finish(void *cut, ollama_sse_run_t *run);
static ngx_int_t ngx_http_ollama_cut_pass(ngx_http_request_t *r,
    ngx_http_ollama_ctx_t *ctx, ngx_chain_t *in, ngx_chain_t **out, void *cut,
    ngx_http_ollama_cut_next_pt next, ngx_http_ollama_cut_finish_pt finish);
static ngx_int_t ngx_http_ollama_cut_held(ngx_http_request_t *r,
    ngx_http_ollama_ctx_t *ctx, ngx_chain_t ***last, ollama_sse_run_t *run);
static ngx_int_t ngx_http_ollama_cut_link(ngx_http_request_t *r,
    ngx_chain_t ***last, ngx_buf_t *from);
static ngx_int_t ngx_http_ollama_send_error(ngx_http_request_t *r,
    ngx_http_ollama_ctx_t *ctx, ngx_chain_t *in);
static ngx_int_t ngx_http_ollama_request_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_int_t ngx_http_ollama_filter_init(ngx_conf_t *cf);


static ngx_http_module_t  ngx_http_ollama_filter_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_ollama_filter_init,           /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_ollama_filter_module = {
    NGX_MODULE_V1,
    &ngx_http_ollama_filter_module_ctx,    /* module context */
    NULL,                                  /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;
static ngx_http_output_body_filter_pt    ngx_http_next_body_filter;
static ngx_http_request_body_filter_pt   ngx_http_next_request_body_filter;


static ngx_int_t
ngx_http_ollama_header_filter(ngx_http_request_t *r)
{
    ngx_uint_t                   answered;
    ngx_http_ollama_ctx_t       *ctx;
    ngx_http_ollama_loc_conf_t  *olcf;

    if (r != r->main) {
        return ngx_http_next_header_filter(r);
    }

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_ollama_module);
    ctx = ngx_http_ollama_get_ctx(r);

    if (!olcf->enable && !olcf->health && (ctx == NULL || ctx->error.len == 0))
    {
        return ngx_http_next_header_filter(r);
    }

    if (ctx == NULL) {
        ctx = ngx_http_ollama_create_ctx(r);
        if (ctx == NULL) {
            return NGX_ERROR;
        }
    }

    if (ngx_http_ollama_cors(r) != NGX_OK
        || ngx_http_ollama_key_headers(r, ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* the cloud's own answer, error or not, goes on as it came */

    answered = r->upstream
               && r->upstream->headers_in.status_n == r->headers_out.status
               && r->err_status == 0
               && ctx->error.len == 0;

    if (answered) {
        if (ngx_http_ollama_answer_headers(r, ctx) != NGX_OK) {
            return NGX_ERROR;
        }

    } else if (r->headers_out.status >= NGX_HTTP_BAD_REQUEST) {
        if (ngx_http_ollama_error_headers(r, ctx) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return ngx_http_next_header_filter(r);
}


static ngx_int_t
ngx_http_ollama_cors(ngx_http_request_t *r)
{
    ngx_str_t  *origin, value;

    origin = ngx_http_ollama_find_header(r, "origin", sizeof("origin") - 1);

    if (origin == NULL || !ngx_http_ollama_origin_allowed(r, origin)) {
        return NGX_OK;
    }

    if (ngx_http_ollama_add_header(r, "Access-Control-Allow-Origin", origin)
        == NULL)
    {
        return NGX_ERROR;
    }

    ngx_str_set(&value, "Origin");

    return ngx_http_ollama_add_header(r, "Vary", &value) ? NGX_OK : NGX_ERROR;
}


/* by which key, after how many attempts */

static ngx_int_t
ngx_http_ollama_key_headers(ngx_http_request_t *r, ngx_http_ollama_ctx_t *ctx)
{
    ngx_str_t                    value;
    ngx_http_ollama_loc_conf_t  *olcf;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_ollama_module);

    if (!olcf->headers || ctx->nattempts == 0) {
        return NGX_OK;
    }

    if (ctx->key_name.len
        && ngx_http_ollama_add_header(r, "X-Ollama-Key", &ctx->key_name)
           == NULL)
    {
        return NGX_ERROR;
    }

    value.data = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    value.len = ngx_sprintf(value.data, "%ui", ctx->nattempts) - value.data;

    return ngx_http_ollama_add_header(r, "X-Ollama-Attempts", &value)
           ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_ollama_answer_headers(ngx_http_request_t *r,
    ngx_http_ollama_ctx_t *ctx)
{
    time_t     retry;
    ngx_str_t  value;

    /* a proxy in front of us shall not buffer a stream either */

    if (r->headers_out.content_length_n == -1) {
        ngx_str_set(&value, "no");

        if (ngx_http_ollama_add_header(r, "X-Accel-Buffering", &value)
            == NULL)
        {
            return NGX_ERROR;
        }
    }

    if (r->headers_out.status == NGX_HTTP_TOO_MANY_REQUESTS
        && ctx->route
        && !ngx_http_ollama_has_header(r, "retry-after", 11))
    {
        /* the cloud says no time for a quota, but the pool knows one */

        retry = ngx_http_ollama_keys_when(ctx->conf->keys, &ctx->want);

        if (retry && ngx_http_ollama_add_retry_after(r, retry) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (ctx->route
        && ctx->route->kind == OLLAMA_ROUTE_INFERENCE
        && r->headers_out.status == NGX_HTTP_OK
        && !r->header_only)
    {
        if (ngx_http_ollama_usage_start(ctx) != NGX_OK) {
            return NGX_ERROR;
        }

        /* how long the answer is without what is cut out, nobody knows */

        if (ctx->cut) {
            ngx_http_clear_content_length(r);
        }
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_ollama_has_header(ngx_http_request_t *r, const char *name,
    size_t len)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *header;

    part = &r->headers_out.headers.part;
    header = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                break;
            }

            part = part->next;
            header = part->elts;
            i = 0;
        }

        if (header[i].hash
            && header[i].key.len == len
            && ngx_strncasecmp(header[i].key.data, (u_char *) name, len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/*
 * An error whose body broke off is a bad gateway to nginx.  It was an answer
 * nevertheless, and its status says more.
 */

static void
ngx_http_ollama_true_status(ngx_http_request_t *r, ngx_http_ollama_ctx_t *ctx)
{
    ngx_http_ollama_attempt_t  *attempt;

    if (r->upstream == NULL || ctx->error.len || ctx->nattempts == 0) {
        return;
    }

    if (r->headers_out.status != NGX_HTTP_BAD_GATEWAY
        && r->headers_out.status != NGX_HTTP_GATEWAY_TIME_OUT)
    {
        return;
    }

    attempt = &ctx->attempts[ctx->nattempts - 1];

    if (attempt->status >= NGX_HTTP_BAD_REQUEST) {
        r->headers_out.status = attempt->status;
        r->headers_out.status_line.len = 0;
    }
}


static ngx_int_t
ngx_http_ollama_error_headers(ngx_http_request_t *r,
    ngx_http_ollama_ctx_t *ctx)
{
    if (r->header_only && r->method != NGX_HTTP_HEAD) {
        return NGX_OK;
    }

    ngx_http_ollama_true_status(r, ctx);

    if (ngx_http_ollama_error_body(r, ctx, r->headers_out.status) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_str_set(&r->headers_out.content_type,
                "application/json; charset=utf-8");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;

    ngx_http_clear_content_length(r);
    ngx_http_clear_accept_ranges(r);
    ngx_http_clear_last_modified(r);
    ngx_http_clear_etag(r);

    r->headers_out.content_length_n = ctx->error_body.len;

    return NGX_OK;
}


static ngx_int_t
ngx_http_ollama_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_buf_t              *b;
    ngx_chain_t            *cl;
    ngx_http_ollama_ctx_t  *ctx;

    if (in == NULL || r != r->main) {
        return ngx_http_next_body_filter(r, in);
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_ollama_module);

    if (ctx == NULL) {
        return ngx_http_next_body_filter(r, in);
    }

    if (ctx->error_body.len) {
        return ngx_http_ollama_send_error(r, ctx, in);
    }

    for (cl = in; cl; cl = cl->next) {
        b = cl->buf;

        if (ngx_buf_in_memory(b) && b->last > b->pos) {

            if (ctx->first_byte == 0) {
                ctx->first_byte = ngx_http_ollama_elapsed(r) + 1;
            }

            if (ctx->cut == NULL) {
                ctx->bytes_out += b->last - b->pos;
            }

            if (ctx->usage && !ctx->settled) {
                ollama_usage_feed(ctx->usage, b->pos, b->last - b->pos);
            }
        }

        if (b->last_buf) {
            ctx->answer_ended = 1;
        }
    }

    if (ctx->cut) {
        return ngx_http_ollama_cut(r, ctx, in);
    }

    return ngx_http_next_body_filter(r, in);
}


/*
 * What only came because we asked for usage is taken out again: the chunk with
 * the usage, and in /v1/completions the zeros in all the others.
 */

static ngx_int_t
ngx_http_ollama_cut(ngx_http_request_t *r, ngx_http_ollama_ctx_t *ctx,
    ngx_chain_t *in)
{
    ngx_int_t     rc;
    ngx_chain_t  *cl, *next, *chunks, *out;

    if (ngx_http_ollama_cut_pass(r, ctx, in, &out, ctx->cut,
                                 ngx_http_ollama_chunk_next,
                                 ngx_http_ollama_chunk_finish)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ctx->zeros && out) {
        chunks = out;

        if (ngx_http_ollama_cut_pass(r, ctx, chunks, &out, &ctx->zero_cut,
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
        ctx->bytes_out += ngx_buf_size(cl->buf);
    }

    rc = ngx_http_next_body_filter(r, out);

    for (cl = out; cl; cl = next) {
        next = cl->next;

        if (cl->buf->tag == (ngx_buf_tag_t) &ngx_http_ollama_filter_module) {
            cl->next = ctx->held;
            ctx->held = cl;

        } else {
            ngx_free_chain(r->pool, cl);
        }
    }

    return rc;
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
ngx_http_ollama_cut_pass(ngx_http_request_t *r, ngx_http_ollama_ctx_t *ctx,
    ngx_chain_t *in, ngx_chain_t **out, void *cut,
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

            while (next(cut, &p, b->last, &run)) {

                if (run.held) {
                    if (ngx_http_ollama_cut_held(r, ctx, &last, &run)
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

        if (b->last_buf && finish(cut, &run)
            && ngx_http_ollama_cut_held(r, ctx, &last, &run) != NGX_OK)
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
ngx_http_ollama_cut_held(ngx_http_request_t *r, ngx_http_ollama_ctx_t *ctx,
    ngx_chain_t ***last, ollama_sse_run_t *run)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl, **ll;

    /* one that has been sent meanwhile */

    for (ll = &ctx->held; *ll; ll = &(*ll)->next) {
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


static ngx_int_t
ngx_http_ollama_send_error(ngx_http_request_t *r, ngx_http_ollama_ctx_t *ctx,
    ngx_chain_t *in)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl, out;

    for (cl = in; cl; cl = cl->next) {
        cl->buf->pos = cl->buf->last;
        cl->buf->file_pos = cl->buf->file_last;
    }

    if (ctx->error_sent) {
        return NGX_OK;
    }

    ctx->error_sent = 1;
    ctx->bytes_out = ctx->error_body.len;

    /* nginx may yet wait for the rest of the request */

    ngx_http_ollama_running_remove(ctx);

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->memory = 1;
    b->pos = ctx->error_body.data;
    b->last = b->pos + ctx->error_body.len;
    b->last_buf = 1;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_next_body_filter(r, &out);
}


static ngx_int_t
ngx_http_ollama_request_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_http_ollama_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_ollama_module);

    if (ctx) {
        ngx_http_ollama_request_scan(ctx, in);
    }

    return ngx_http_next_request_body_filter(r, in);
}


static ngx_int_t
ngx_http_ollama_filter_init(ngx_conf_t *cf)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_ollama_header_filter;

    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_ollama_body_filter;

    ngx_http_next_request_body_filter = ngx_http_top_request_body_filter;
    ngx_http_top_request_body_filter = ngx_http_ollama_request_body_filter;

    return NGX_OK;
}
