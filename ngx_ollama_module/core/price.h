/*
 * price.h - what tokens cost.
 *
 * Money is a whole number of nano-dollars everywhere: a price of up to three
 * decimals in USD per million tokens is a whole number of them for one token,
 * so sums are exact.  Only what is shown is rounded.
 *
 * A list of prices is read from YAML, once from a file of its own:
 *
 *     date: 2026-08-31                  # of the list, for people
 *     prices:
 *       gpt-oss:120b: {input: 0.15, cached: 0.014, output: 0.60}
 *       deepseek-v4-flash:
 *         - {input: 0.44, cached: 0.014, output: 1.32}
 *         - from: 2026-10-01            # 00:00 UTC; the last one that has begun
 *           input: 0.22
 *           cached: 0.007
 *           output: 0.66
 *           peak: {factor: 2, days: mon-fri, hours: 12-18}      # UTC
 *       kimi-*: {input: 0.95, cached: 0.16, output: 4}          # all such
 *
 * and from "prices:" of config.yaml, which goes before it.  The one that says
 * most of a model holds, as in config_models.h: itself, or the longest "*";
 * "*" alone is all others.  A model that is not found has no price, which is
 * not a price of 0.
 *
 * Cached tokens are a part of the prompt, and are priced apart.
 */

#ifndef OLLAMA_PRICE_H_INCLUDED
#define OLLAMA_PRICE_H_INCLUDED

#include <stddef.h>
#include <stdint.h>


#define OLLAMA_PRICE_DOLLAR  1000000000     /* nano-dollars */


/* nano-dollars a token */

typedef struct {
    uint64_t                     input;
    uint64_t                     cached;
    uint64_t                     output;
} ollama_price_t;


typedef struct ollama_prices_s  ollama_prices_t;


/*
 * 1, and the price of a model at a time (seconds since 1970); 0: it has none.
 * "own" goes before "list"; either may be NULL.
 */

int ollama_prices_find(const ollama_prices_t *own, const ollama_prices_t *list,
    const char *model, size_t len, int64_t when, ollama_price_t *price);

uint64_t ollama_price_cost(const ollama_price_t *price, uint64_t prompt,
    uint64_t cached, uint64_t completion);


#endif /* OLLAMA_PRICE_H_INCLUDED */
