
#include "ngx_http_ollama_cost.h"


void
ngx_http_ollama_cost_begin(ngx_http_ollama_ctx_t *ctx)
{
    ctx->priced = ollama_prices_find(ctx->conf->own_prices, ctx->conf->prices,
                                     (char *) ctx->body.model.data,
                                     ctx->body.model.len,
                                     ctx->request->start_sec, &ctx->price);
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
