
#include "ngx_http_ollama_usage.h"


#define NGX_HTTP_OLLAMA_SPARE  64


/* scanners of this worker that no answer uses now */

static ngx_uint_t       ngx_http_ollama_nspare;
static ollama_usage_t  *ngx_http_ollama_spare[NGX_HTTP_OLLAMA_SPARE];


ngx_int_t
ngx_http_ollama_usage_start(ngx_http_ollama_ctx_t *ctx)
{
    ngx_http_request_t     *r;
    ollama_usage_format_e   format;

    r = ctx->request;

    if (ctx->answer.usage) {
        return NGX_OK;
    }

    /* a buffering proxy may have put a part of the answer into a file */

    r->filter_need_in_memory = 1;

    if (ngx_http_ollama_nspare) {
        ctx->answer.usage = ngx_http_ollama_spare[--ngx_http_ollama_nspare];

    } else {
        ctx->answer.usage = ollama_usage_create();
        if (ctx->answer.usage == NULL) {
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

    ollama_usage_reset(ctx->answer.usage, format,
                       ollama_usage_family(ctx->endpoint.data,
                                           ctx->endpoint.len));

    return NGX_OK;
}


void
ngx_http_ollama_usage_feed(ngx_http_ollama_ctx_t *ctx, u_char *p, size_t n)
{
    if (ctx->answer.usage == NULL) {
        return;
    }

    if (ctx->answer.settled) {

        /* of a buffering proxy, to a client that was slow */

        ctx->answer.unread = 1;
        return;
    }

    ollama_usage_feed(ctx->answer.usage, p, n);
}


ngx_uint_t
ngx_http_ollama_usage_only_text(ngx_http_ollama_ctx_t *ctx)
{
    return ctx->answer.usage && !ctx->answer.settled
           && ollama_usage_only_text(ctx->answer.usage);
}


void
ngx_http_ollama_usage_passed(ngx_http_ollama_ctx_t *ctx, off_t n)
{
    ctx->answer.bytes += n;
}


void
ngx_http_ollama_usage_ended(ngx_http_ollama_ctx_t *ctx)
{
    ctx->answer.ended = 1;
}


void
ngx_http_ollama_usage_settle(ngx_http_ollama_ctx_t *ctx)
{
    if (ctx->answer.usage == NULL || ctx->answer.settled) {
        return;
    }

    ollama_usage_finish(ctx->answer.usage);

    ollama_usage_tokens(ollama_usage_result(ctx->answer.usage),
                        ctx->body.tokens, &ctx->answer.prompt,
                        &ctx->answer.completion);

    ctx->answer.settled = 1;
}


const ollama_usage_result_t *
ngx_http_ollama_usage(ngx_http_ollama_ctx_t *ctx)
{
    return ctx->answer.usage ? ollama_usage_result(ctx->answer.usage) : NULL;
}


ollama_stream_e
ngx_http_ollama_usage_stream(ngx_http_ollama_ctx_t *ctx)
{
    if (ctx->answer.usage == NULL || ctx->answer.unread) {
        return OLLAMA_STREAM_NONE;
    }

    return ollama_usage_stream(ctx->answer.usage);
}


ngx_uint_t
ngx_http_ollama_usage_broken(ngx_http_ollama_ctx_t *ctx)
{
    return ollama_usage_broken(ctx->answer.usage);
}


void
ngx_http_ollama_usage_free(ngx_http_ollama_ctx_t *ctx)
{
    if (ctx->answer.usage == NULL) {
        return;
    }

    if (ngx_http_ollama_nspare < NGX_HTTP_OLLAMA_SPARE) {

        /* one that was left within a document gives back what it reads with */

        ollama_usage_reset(ctx->answer.usage, OLLAMA_FORMAT_OTHER,
                           OLLAMA_USAGE_FAMILY_NONE);

        ngx_http_ollama_spare[ngx_http_ollama_nspare++] = ctx->answer.usage;

    } else {
        ollama_usage_destroy(ctx->answer.usage);
    }

    ctx->answer.usage = NULL;
}
