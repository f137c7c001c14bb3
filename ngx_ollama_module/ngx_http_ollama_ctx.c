
#include "ngx_http_ollama.h"
#include "core/route_rule.h"


static void ngx_http_ollama_cleanup(void *data);


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
    ngx_memzero(ctx, offsetof(ngx_http_ollama_ctx_t, trace.attempts));

    ctx->request = r;
    ctx->conf = ngx_http_get_module_main_conf(r, ngx_http_ollama_module);

    cln->handler = ngx_http_ollama_cleanup;

    ngx_http_set_ctx(r, ctx, ngx_http_ollama_module);

    return ctx;
}


/* the end of the request, however it came */

static void
ngx_http_ollama_cleanup(void *data)
{
    ngx_http_ollama_ctx_t  *ctx = data;

    ctx->conf->end(ctx);
}


const ollama_route_t *
ngx_http_ollama_route(ngx_http_ollama_ctx_t *ctx)
{
    ngx_http_request_t          *r;
    ngx_http_ollama_loc_conf_t  *olcf;

    if (!ctx->route_known) {
        r = ctx->request;
        olcf = ngx_http_get_module_loc_conf(r, ngx_http_ollama_module);

        ctx->route = ollama_route_find((char *) r->method_name.data,
                                       r->method_name.len, r->uri.data,
                                       r->uri.len);

        if (olcf->paths || olcf->refuse_unknown) {
            ctx->route = ollama_route_changed(ctx->route,
                                     olcf->paths ? olcf->paths->elts : NULL,
                                     olcf->paths ? olcf->paths->nelts : 0,
                                     olcf->refuse_unknown,
                                     (char *) r->method_name.data,
                                     r->method_name.len, r->uri.data,
                                     r->uri.len);
        }

        ctx->route_known = 1;
    }

    return ctx->route;
}
