
#include "price.h"


uint64_t
ollama_price_cost(const ollama_price_t *price, uint64_t prompt,
    uint64_t cached, uint64_t completion)
{
    if (cached > prompt) {
        cached = prompt;
    }

    return (prompt - cached) * price->input + cached * price->cached
           + completion * price->output;
}


int
ollama_prices_find(const ollama_prices_t *own, const ollama_prices_t *list,
    const char *model, size_t len, int64_t when, ollama_price_t *price)
{
    (void) own;
    (void) list;
    (void) model;
    (void) len;
    (void) when;

    price->input = 0;
    price->cached = 0;
    price->output = 0;

    return 0;
}
