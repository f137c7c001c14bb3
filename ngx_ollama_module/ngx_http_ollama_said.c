
#include "ngx_http_ollama_said.h"
#include "ngx_http_ollama_respond.h"
#include "ngx_http_ollama_trace.h"

#include "core/error.h"


#define NGX_HTTP_OLLAMA_SAID  256


/* a page of something before the cloud, which knows nothing of keys */

ngx_uint_t
ngx_http_ollama_said_html(ngx_http_ollama_ctx_t *ctx)
{
    ngx_table_elt_t  *h;

    h = ctx->request->upstream->headers_in.content_type;

    return h
           && h->value.len >= 9
           && ngx_strncasecmp(h->value.data, (u_char *) "text/html", 9) == 0;
}


/* what an error says, for the record: that of the last one is the reason */

void
ngx_http_ollama_said_error(ngx_http_ollama_ctx_t *ctx, ollama_answer_t *answer)
{
    char        text[NGX_HTTP_OLLAMA_SAID];
    size_t      len;
    ngx_str_t  *key;

    ngx_http_ollama_trace_said(ctx, NULL, 0);

    if (answer->status < NGX_HTTP_BAD_REQUEST || answer->body_len == 0) {
        return;
    }

    if (answer->is_html) {
        ngx_http_ollama_trace_said(ctx, "a page of HTML came instead of JSON",
                       sizeof("a page of HTML came instead of JSON") - 1);
        return;
    }

    len = ollama_error_text(answer->body, answer->body_len, text,
                            sizeof(text));

    /* a record holds no key, whatever the cloud repeats of what it was sent */

    key = &ctx->lease.authorization;

    if (ctx->lease.key
        && memmem(text, len, key->data + sizeof("Bearer ") - 1,
                  key->len - (sizeof("Bearer ") - 1)))
    {
        return;
    }

    ngx_http_ollama_trace_said(ctx, text, len);
}


void
ngx_http_ollama_said_ratelimit(ngx_http_ollama_ctx_t *ctx,
    ollama_answer_t *answer)
{
    ngx_int_t                     n;
    ngx_str_t                    *value, *values[5];
    ngx_uint_t                    i, seen;
    ngx_http_ollama_ratelimit_t   rl;

    static ngx_str_t  names[5] = {
        ngx_string("x-ratelimit-max-concurrent"),
        ngx_string("x-ratelimit-active"),
        ngx_string("x-ratelimit-queue-limit"),
        ngx_string("x-ratelimit-queued"),
        ngx_string("retry-after")
    };

    int32_t  *fields[4] = { &rl.max_concurrent, &rl.active, &rl.queue_limit,
                            &rl.queued };

    answer->retry_after = -1;
    answer->max_concurrent = -1;

    rl.seen = ngx_time();
    rl.max_concurrent = -1;
    rl.active = -1;
    rl.queue_limit = -1;
    rl.queued = -1;
    rl.retry_after = -1;

    seen = 0;

    ngx_http_ollama_find_headers(&ctx->request->upstream->headers_in.headers,
                                 names, values, 5);

    value = values[4];

    if (value) {
        answer->retry_after = ollama_retry_after((char *) value->data,
                                                 value->len, ngx_time());
        rl.retry_after = (int32_t) answer->retry_after;
        seen = 1;
    }

    for (i = 0; i < 4; i++) {

        if (values[i] == NULL) {
            continue;
        }

        n = ngx_atoi(values[i]->data, values[i]->len);

        if (n >= 0 && n <= 1000000) {
            *fields[i] = (int32_t) n;
            seen = 1;
        }
    }

    answer->max_concurrent = rl.max_concurrent;

    if (seen && ctx->lease.key) {
        ngx_http_ollama_lease_ratelimit(ctx->conf->pool, &ctx->lease, &rl);
    }
}
