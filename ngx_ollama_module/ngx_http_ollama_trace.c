
#include "ngx_http_ollama_trace.h"


static ngx_http_ollama_attempt_t *ngx_http_ollama_trace_at(
    ngx_http_ollama_trace_t *trace, ngx_uint_t n);


void
ngx_http_ollama_trace_begin(ngx_http_ollama_ctx_t *ctx)
{
    ngx_http_ollama_trace_keep(ctx);

    ctx->trace.total = 0;
}


void
ngx_http_ollama_trace_attempt(ngx_http_ollama_ctx_t *ctx)
{
    ngx_http_ollama_attempt_t  *attempt;

    ctx->trace.nattempts++;

    attempt = ngx_http_ollama_trace_last(ctx);

    ngx_memzero(attempt, sizeof(ngx_http_ollama_attempt_t));

    attempt->start = ngx_current_msec;
    attempt->key = ctx->lease.key;
    attempt->name = ctx->lease.name;
}


void
ngx_http_ollama_trace_keep(ngx_http_ollama_ctx_t *ctx)
{
    ngx_str_t                  *name;
    ngx_http_ollama_attempt_t  *attempt;

    attempt = ngx_http_ollama_trace_last(ctx);

    if (attempt && attempt->name.data == ctx->lease.text) {
        name = &attempt->name;

        name->data = ngx_pnalloc(ctx->request->pool, name->len);

        if (name->data == NULL) {
            name->len = 0;
            return;
        }

        ngx_memcpy(name->data, ctx->lease.text, name->len);
    }
}


void
ngx_http_ollama_trace_status(ngx_http_ollama_ctx_t *ctx, ngx_uint_t status)
{
    ngx_http_ollama_trace_last(ctx)->status = status;
}


void
ngx_http_ollama_trace_failure(ngx_http_ollama_ctx_t *ctx,
    ollama_failure_e failure)
{
    ngx_http_ollama_trace_last(ctx)->failure = failure;

    ngx_str_null(&ctx->trace.said);
}


void
ngx_http_ollama_trace_attempt_end(ngx_http_ollama_ctx_t *ctx)
{
    ngx_http_ollama_attempt_t  *attempt;

    attempt = ngx_http_ollama_trace_last(ctx);

    if (!attempt->ended) {
        attempt->ended = 1;
        attempt->time = ngx_current_msec - attempt->start;
    }
}


void
ngx_http_ollama_trace_undo(ngx_http_ollama_ctx_t *ctx)
{
    ctx->trace.nattempts--;
}


void
ngx_http_ollama_trace_said(ngx_http_ollama_ctx_t *ctx, const char *text,
    size_t len)
{
    ngx_str_t  *said;

    said = &ctx->trace.said;

    said->len = 0;

    if (len == 0) {
        return;
    }

    said->data = ngx_pnalloc(ctx->request->pool, len);

    if (said->data) {
        ngx_memcpy(said->data, text, len);
        said->len = len;
    }
}


void
ngx_http_ollama_trace_first_byte(ngx_http_ollama_ctx_t *ctx)
{
    if (ctx->trace.first_byte == 0) {
        ctx->trace.first_byte = ngx_http_ollama_elapsed(ctx->request) + 1;
    }
}


void
ngx_http_ollama_trace_wait(ngx_http_ollama_ctx_t *ctx)
{
    if (ctx->trace.nattempts) {

        /* its answer may be parked: it does not last as long as we wait */

        ngx_http_ollama_trace_attempt_end(ctx);
    }

    ctx->trace.wait_since = ngx_current_msec;

    if (ctx->trace.wait_started == 0) {
        ctx->trace.wait_started = ngx_current_msec;
    }
}


void
ngx_http_ollama_trace_waited(ngx_http_ollama_ctx_t *ctx)
{
    if (ctx->trace.wait_since) {
        ctx->trace.waited += ngx_current_msec - ctx->trace.wait_since;
        ctx->trace.wait_since = 0;
    }
}


/* two clocks: a part is never more than the whole */

void
ngx_http_ollama_trace_end(ngx_http_ollama_ctx_t *ctx)
{
    ngx_http_ollama_trace_t  *trace;

    trace = &ctx->trace;

    if (trace->total == 0) {
        trace->total = ngx_max(ngx_http_ollama_elapsed(ctx->request),
                               trace->waited);
    }
}


ngx_http_ollama_attempt_t *
ngx_http_ollama_trace_last(ngx_http_ollama_ctx_t *ctx)
{
    ngx_http_ollama_trace_t  *trace;

    trace = &ctx->trace;

    if (trace->nattempts == 0) {
        return NULL;
    }

    return ngx_http_ollama_trace_at(trace, trace->nattempts - 1);
}


ngx_uint_t
ngx_http_ollama_trace_noted(ngx_http_ollama_ctx_t *ctx)
{
    return ngx_min(ctx->trace.nattempts,
                   NGX_HTTP_OLLAMA_FIRST + NGX_HTTP_OLLAMA_LAST);
}


ngx_http_ollama_attempt_t *
ngx_http_ollama_trace_nth(ngx_http_ollama_ctx_t *ctx, ngx_uint_t n)
{
    ngx_http_ollama_trace_t  *trace;

    trace = &ctx->trace;

    if (n >= NGX_HTTP_OLLAMA_FIRST) {
        n += trace->nattempts - ngx_http_ollama_trace_noted(ctx);
    }

    return ngx_http_ollama_trace_at(trace, n);
}


/* the first ones have places of their own, the others take turns */

static ngx_http_ollama_attempt_t *
ngx_http_ollama_trace_at(ngx_http_ollama_trace_t *trace, ngx_uint_t n)
{
    if (n >= NGX_HTTP_OLLAMA_FIRST) {
        n = NGX_HTTP_OLLAMA_FIRST + n % NGX_HTTP_OLLAMA_LAST;
    }

    return &trace->attempts[n];
}


ngx_msec_t
ngx_http_ollama_elapsed(ngx_http_request_t *r)
{
    ngx_time_t      *tp;
    ngx_msec_int_t   ms;

    tp = ngx_timeofday();

    ms = (ngx_msec_int_t) ((tp->sec - r->start_sec) * 1000
                           + (tp->msec - r->start_msec));

    return (ngx_msec_t) ngx_max(ms, 0);
}
