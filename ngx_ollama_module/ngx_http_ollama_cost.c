
#include "ngx_http_ollama_cost.h"


#define NGX_HTTP_OLLAMA_PRICED_LEN  64


/* what a worker has found last: most requests are of the model before */

static struct {
    ngx_http_ollama_main_conf_t  *conf;
    time_t                        sec;
    size_t                        len;
    ngx_uint_t                    priced;
    ollama_price_t                price;
    u_char                        model[NGX_HTTP_OLLAMA_PRICED_LEN];
} ngx_http_ollama_priced;


void
ngx_http_ollama_cost_begin(ngx_http_ollama_ctx_t *ctx)
{
    time_t      sec;
    ngx_str_t  *model;

    model = &ctx->body.model;
    sec = ctx->request->start_sec;

    if (ngx_http_ollama_priced.len != model->len
        || ngx_http_ollama_priced.sec != sec
        || ngx_http_ollama_priced.conf != ctx->conf
        || ngx_memcmp(ngx_http_ollama_priced.model, model->data, model->len)
           != 0)
    {
        ctx->priced = ollama_prices_find(ctx->conf->own_prices,
                                         ctx->conf->prices,
                                         (char *) model->data, model->len, sec,
                                         &ctx->price);

        if (model->len == 0 || model->len > NGX_HTTP_OLLAMA_PRICED_LEN) {
            return;
        }

        ngx_http_ollama_priced.conf = ctx->conf;
        ngx_http_ollama_priced.sec = sec;
        ngx_http_ollama_priced.len = model->len;
        ngx_http_ollama_priced.priced = ctx->priced;
        ngx_http_ollama_priced.price = ctx->price;
        ngx_memcpy(ngx_http_ollama_priced.model, model->data, model->len);
        return;
    }

    ctx->priced = ngx_http_ollama_priced.priced;
    ctx->price = ngx_http_ollama_priced.price;
}


void
ngx_http_ollama_charge(ngx_http_ollama_ctx_t *ctx, uint64_t prompt,
    uint64_t cached, uint64_t completion, ngx_http_ollama_charge_t *charge)
{
    uint64_t  cost;

    cost = ollama_price_cost(ctx->priced ? &ctx->price
                                         : &ctx->conf->usual_price,
                             prompt, cached, completion);

    charge->tokens = prompt + completion;
    charge->cost = ctx->priced ? cost : 0;
    charge->guess = ctx->priced ? 0 : cost;
}
