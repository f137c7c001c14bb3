
#include "ngx_http_ollama.h"


#define NGX_HTTP_OLLAMA_SPARE  64


/* scanners of this worker that no answer uses now */

static ngx_uint_t         ngx_http_ollama_nspare;
static ollama_usage_t    *ngx_http_ollama_spare[NGX_HTTP_OLLAMA_SPARE];
static ngx_uint_t         ngx_http_ollama_ncuts;
static ollama_sse_cut_t  *ngx_http_ollama_cuts[NGX_HTTP_OLLAMA_SPARE];


ngx_int_t
ngx_http_ollama_usage_start(ngx_http_ollama_ctx_t *ctx)
{
    ngx_http_request_t     *r;
    ollama_usage_format_e   format;

    r = ctx->request;

    if (ctx->usage) {
        return NGX_OK;
    }

    /* a buffering proxy may have put a part of the answer into a file */

    r->filter_need_in_memory = 1;

    if (ngx_http_ollama_nspare) {
        ctx->usage = ngx_http_ollama_spare[--ngx_http_ollama_nspare];

    } else {
        ctx->usage = ollama_usage_create();
        if (ctx->usage == NULL) {
            return NGX_ERROR;
        }
    }

    format = ollama_usage_format((char *) r->headers_out.content_type.data,
                                 r->headers_out.content_type.len);

    if (r->headers_out.content_encoding
        && r->headers_out.content_encoding->value.len)
    {
        /* packed: one document that cannot be read, so it is estimated */

        format = OLLAMA_FORMAT_JSON;
    }

    ollama_usage_reset(ctx->usage, format,
                       ollama_usage_family(ctx->endpoint.data,
                                           ctx->endpoint.len));

    if (ctx->include_usage && format == OLLAMA_FORMAT_SSE) {

        if (ngx_http_ollama_ncuts) {
            ctx->cut = ngx_http_ollama_cuts[--ngx_http_ollama_ncuts];

        } else {
            ctx->cut = ollama_sse_cut_create();
            if (ctx->cut == NULL) {
                return NGX_ERROR;
            }
        }

        ollama_sse_cut_reset(ctx->cut);

        ctx->zeros = ngx_strcmp(ctx->route->name, "completions") == 0;
        ollama_zero_cut_reset(&ctx->zero_cut);
    }

    return NGX_OK;
}


/*
 * What was reserved becomes what was used, the slot is free, and the request
 * does not run any more.  Called when the cloud's answer has ended, or by the
 * request's cleanup.
 */

void
ngx_http_ollama_usage_settle(ngx_http_ollama_ctx_t *ctx)
{
    uint64_t                      answered;
    const ollama_usage_result_t  *result;

    answered = 0;

    ngx_http_ollama_running_remove(ctx);

    if (ctx->total == 0) {
        ctx->total = ngx_http_ollama_elapsed(ctx->request);
    }

    if (ctx->usage && !ctx->settled) {
        ollama_usage_finish(ctx->usage);

        result = ollama_usage_result(ctx->usage);

        ollama_usage_tokens(result, ctx->body, &ctx->prompt,
                            &ctx->completion);

        if (result->certainty == OLLAMA_CERTAINTY_EXACT) {
            answered = ctx->completion;
        }

        ctx->settled = 1;
    }

    if (ctx->hold) {
        ngx_http_ollama_keys_release(ctx->conf->keys, ctx->hold,
                                     ctx->prompt + ctx->completion,
                                     ctx->want.hash, answered);
        ctx->hold = NULL;

        ngx_http_ollama_queue_kick();
    }
}


void
ngx_http_ollama_usage_done(ngx_http_ollama_ctx_t *ctx)
{
    if (ctx->cut) {

        if (ngx_http_ollama_ncuts < NGX_HTTP_OLLAMA_SPARE) {
            ngx_http_ollama_cuts[ngx_http_ollama_ncuts++] = ctx->cut;

        } else {
            ollama_sse_cut_destroy(ctx->cut);
        }

        ctx->cut = NULL;
    }

    if (ctx->usage == NULL) {
        return;
    }

    if (ngx_http_ollama_nspare < NGX_HTTP_OLLAMA_SPARE) {
        ngx_http_ollama_spare[ngx_http_ollama_nspare++] = ctx->usage;

    } else {
        ollama_usage_destroy(ctx->usage);
    }

    ctx->usage = NULL;
}
