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
 *         - from: 2026-10-01            # 00:00 UTC; the last begun holds
 *           input: 0.22
 *           cached: 0.007
 *           output: 0.66
 *           peak: {factor: 2, days: mon-fri, hours: 12-18}      # UTC
 *       kimi-*: {input: 0.95, cached: 0.16, output: 4}          # all such
 *
 * and from "prices:" of config.yaml, which goes before it.  The one that says
 * most of a model holds: itself, its name without the tag (gemma4 for
 * gemma4:31b), or the longest "*"; "*" alone is all others.  A model that is
 * not found has no price, which is not a price of 0; nor has one whose first
 * price is still to begin.
 *
 * Cached tokens are a part of the prompt, and are priced apart; "cached" that
 * is not given is what "input" is.  In its peak, of hours on some days, a price
 * is multiplied by a factor: "hours" are hours or "HH:MM", from the first one
 * on and before the second one; if that is the smaller one, until the next day,
 * and "days" are those on which they begin (none: all).  A price with its
 * factor is a whole number of nano-dollars as well and no more than a price may
 * be, or it is refused: OLLAMA_PRICE_MAX times the most tokens that an answer
 * counts is far from what 63 bits hold.
 *
 * A file that is wrong is refused as config.yaml is: -1 or NULL, and one
 * sentence of constant words that starts with "line L, column C: " in err.
 */

#ifndef OLLAMA_PRICE_H_INCLUDED
#define OLLAMA_PRICE_H_INCLUDED

#include <stddef.h>
#include <stdint.h>


#define OLLAMA_PRICE_DOLLAR     1000000000  /* nano-dollars */
#define OLLAMA_PRICE_MODELS     10000       /* of a list, at most */
#define OLLAMA_PRICE_PERIODS    100         /* of a model */
#define OLLAMA_PRICE_MAX        1000000000u /* nano-dollars a token */
#define OLLAMA_PRICE_BYTES_MAX  (4 * 1024 * 1024)       /* of a file */


/* nano-dollars a token */

typedef struct {
    uint64_t                     input;
    uint64_t                     cached;
    uint64_t                     output;
} ollama_price_t;


/* from a time on, until the next one */

typedef struct {
    int64_t                      from;      /* seconds since 1970 */
    ollama_price_t               price;
    ollama_price_t               peak;
    uint32_t                     begins;    /* seconds of a day (UTC) */
    uint32_t                     ends;
    unsigned                     days;      /* bits, 0: Sunday; 0: no peak */
} ollama_price_period_t;


typedef struct {
    char                        *name;      /* without the "*" */
    size_t                       len;
    unsigned                     begins:1;  /* with "*": all that begin so */
    size_t                       shorter;   /* the longest "*" that it begins
                                               with: its place + 1, or 0 */
    ollama_price_period_t       *periods;   /* the first one first */
    size_t                       nperiods;
} ollama_price_model_t;


/* models: whole names in their order, then beginnings in theirs */

typedef struct {
    ollama_price_model_t        *models;
    size_t                       nmodels;
    size_t                       nwhole;
    char                         date[11];  /* "": not said */
} ollama_prices_t;


ollama_prices_t *ollama_prices_read(const unsigned char *data, size_t len,
    char *err, size_t err_size);
void ollama_prices_free(ollama_prices_t *prices);

/* puts the models in order; a list that has been read is in order */

void ollama_prices_sort(ollama_prices_t *prices);

/*
 * 1, and the price of a model at a time (seconds since 1970); 0: it has none.
 * "own" goes before "list"; either may be NULL.
 */

int ollama_prices_find(const ollama_prices_t *own, const ollama_prices_t *list,
    const char *model, size_t len, int64_t when, ollama_price_t *price);

/*
 * What an unknown model may cost: the median, of each of the three, of the
 * prices in force, peaks left out; zeros if there are none or no memory.
 */

void ollama_prices_usual(const ollama_prices_t *own,
    const ollama_prices_t *list, int64_t when, ollama_price_t *price);

/* a cached token is at most one of the prompt's */

uint64_t ollama_price_cost(const ollama_price_t *price, uint64_t prompt,
    uint64_t cached, uint64_t completion);

/*
 * Dollars, exactly and without zeros at the end: "0.000123", "12".  Returns the
 * length; buf has OLLAMA_PRICE_TEXT bytes and is not terminated.
 */

#define OLLAMA_PRICE_TEXT  24

size_t ollama_price_text(char *buf, uint64_t nano);


#endif /* OLLAMA_PRICE_H_INCLUDED */
