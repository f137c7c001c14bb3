
/*
 * What a request costs, by the price that its model had when it began: of what
 * is expected for a reservation, of what was counted for record and pool.
 */


#ifndef _NGX_HTTP_OLLAMA_COST_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_COST_H_INCLUDED_


#include "ngx_http_ollama.h"


/* finds the price; once the model is known */

void ngx_http_ollama_cost_begin(ngx_http_ollama_ctx_t *ctx);

/* cached is a part of prompt */

void ngx_http_ollama_charge(ngx_http_ollama_ctx_t *ctx, uint64_t prompt,
    uint64_t cached, uint64_t completion, ngx_http_ollama_charge_t *charge);


#endif /* _NGX_HTTP_OLLAMA_COST_H_INCLUDED_ */
