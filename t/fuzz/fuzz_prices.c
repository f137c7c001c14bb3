
/*
 * A list of prices, as its file and as "prices:" of config.yaml.  What is
 * accepted keeps the promises of price.h: models in order and each once, periods
 * by their beginnings, no price above the largest.  What a model costs at times of
 * a week is what is found by going through all of them.  An error is one printable
 * sentence in which nothing of the input appears: no message has a "zq" in it,
 * while the seeds are full of it.
 */

#include "fuzz.h"

#include "config.h"
#include "price.h"


#define DAY    86400
#define BEGIN  1767225600           /* 1 January 2026, a Thursday */


static void check_error(const char *err);
static void check_list(const ollama_prices_t *prices);
static void check_period(const ollama_price_period_t *period);
static void check_names(const ollama_prices_t *prices, const uint8_t *data,
    size_t size);
static void check_model(const ollama_prices_t *prices, const char *name,
    size_t len);
static const ollama_price_model_t *find(const ollama_prices_t *prices,
    const char *name, size_t len);
static size_t fits(const ollama_price_model_t *model, const char *name,
    size_t len);
static int is_peak(const ollama_price_period_t *period, int64_t when);
static int same(const ollama_price_t *a, const ollama_price_t *b);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char              err[OLLAMA_CONFIG_ERROR_MAX];
    unsigned char    *copy;
    ollama_price_t    usual;
    ollama_config_t   conf;
    ollama_prices_t  *list;

    static const char  keys[] = "keys: [a]\n";

    copy = malloc(sizeof(keys) - 1 + size);
    fuzz_check(copy != NULL);

    memcpy(copy, keys, sizeof(keys) - 1);
    memcpy(copy + sizeof(keys) - 1, data, size);
    memset(err, 0, sizeof(err));

    list = ollama_prices_read(copy + sizeof(keys) - 1, size, err, sizeof(err));

    if (list) {
        fuzz_check(list->nmodels > 0);
        check_list(list);
        check_names(list, data, size);

    } else {
        check_error(err);
    }

    memset(err, 0, sizeof(err));

    if (ollama_config_parse(&conf, copy, sizeof(keys) - 1 + size, err,
                            sizeof(err)) == 0)
    {
        if (conf.prices) {
            check_list(conf.prices);
        }

        ollama_prices_usual(conf.prices, list, BEGIN, &usual);

        fuzz_check(usual.input <= OLLAMA_PRICE_MAX);
        fuzz_check(usual.cached <= OLLAMA_PRICE_MAX);
        fuzz_check(usual.output <= OLLAMA_PRICE_MAX);

        ollama_config_free(&conf);

    } else {
        check_error(err);
        fuzz_check(conf.prices == NULL);
    }

    ollama_prices_free(list);
    free(copy);

    return 0;
}


static void
check_error(const char *err)
{
    unsigned     line, column;
    const char  *p;

    fuzz_check(sscanf(err, "line %u, column %u: ", &line, &column) == 2);
    fuzz_check(line > 0 && column > 0);
    fuzz_check(strlen(err) < OLLAMA_CONFIG_ERROR_MAX - 1);
    fuzz_check(strstr(err, "zq") == NULL);

    for (p = err; *p; p++) {
        fuzz_check(*p >= ' ' && *p <= '~');
    }
}


static void
check_list(const ollama_prices_t *prices)
{
    size_t                       i, j;
    const ollama_price_model_t  *m;

    fuzz_check(prices->nmodels <= OLLAMA_PRICE_MODELS);
    fuzz_check(strlen(prices->date) == 0 || strlen(prices->date) == 10);

    for (i = 0; i < prices->nmodels; i++) {
        m = &prices->models[i];

        fuzz_check(m->begins == (i >= prices->nwhole));
        fuzz_check(m->begins || m->len);
        fuzz_check(m->nperiods > 0 && m->nperiods <= OLLAMA_PRICE_PERIODS);

        for (j = 0; j < m->nperiods; j++) {
            check_period(&m->periods[j]);
            fuzz_check(j == 0 || m->periods[j - 1].from < m->periods[j].from);
        }

        for (j = 0; j < i; j++) {
            fuzz_check(prices->models[j].begins != m->begins
                       || prices->models[j].len != m->len
                       || memcmp(prices->models[j].name, m->name, m->len));
        }
    }
}


static void
check_period(const ollama_price_period_t *period)
{
    fuzz_check(period->price.input <= OLLAMA_PRICE_MAX);
    fuzz_check(period->price.cached <= OLLAMA_PRICE_MAX);
    fuzz_check(period->price.output <= OLLAMA_PRICE_MAX);
    fuzz_check(period->peak.input <= OLLAMA_PRICE_MAX);
    fuzz_check(period->peak.cached <= OLLAMA_PRICE_MAX);
    fuzz_check(period->peak.output <= OLLAMA_PRICE_MAX);
    fuzz_check(period->days <= 0x7f);

    if (period->days) {
        fuzz_check(period->begins < DAY && period->ends <= DAY);
        fuzz_check(period->begins != period->ends);
    }
}


/* its own models, each with more and with less, and what the input is */

static void
check_names(const ollama_prices_t *prices, const uint8_t *data, size_t size)
{
    char                         name[OLLAMA_CONFIG_MODEL_MAX + 8];
    size_t                       i;
    const ollama_price_model_t  *m;

    for (i = 0; i < prices->nmodels && i < 20; i++) {
        m = &prices->models[i];

        memcpy(name, m->name, m->len);
        check_model(prices, name, m->len);
        check_model(prices, name, m->len ? m->len - 1 : 0);

        memcpy(name + m->len, ":31b", 4);
        check_model(prices, name, m->len + 4);
        check_model(prices, name, m->len + 1);
    }

    check_model(prices, (const char *) data, size < 200 ? size : 200);
}


static void
check_model(const ollama_prices_t *prices, const char *name, size_t len)
{
    char                         *copy;
    size_t                        i;
    int64_t                       when;
    ollama_price_t                price;
    const ollama_price_model_t   *m;
    const ollama_price_period_t  *period;

    copy = malloc(len ? len : 1);
    fuzz_check(copy != NULL);
    memcpy(copy, name, len);

    m = find(prices, copy, len);

    for (when = BEGIN; when < BEGIN + 8 * DAY; when += 4 * 3600 - 60) {

        period = NULL;

        for (i = 0; m && i < m->nperiods && m->periods[i].from <= when; i++) {
            period = &m->periods[i];
        }

        if (!ollama_prices_find(NULL, prices, copy, len, when, &price)) {
            fuzz_check(period == NULL);
            continue;
        }

        fuzz_check(period != NULL);
        fuzz_check(same(&price, is_peak(period, when) ? &period->peak
                                                      : &period->price));
    }

    free(copy);
}


/* the one that fits best of all */

static const ollama_price_model_t *
find(const ollama_prices_t *prices, const char *name, size_t len)
{
    size_t                       i, n, best;
    const ollama_price_model_t  *m;

    m = NULL;
    best = 0;

    for (i = 0; i < prices->nmodels; i++) {
        n = fits(&prices->models[i], name, len);

        if (n > best) {
            best = n;
            m = &prices->models[i];
        }
    }

    return m;
}


static size_t
fits(const ollama_price_model_t *model, const char *name, size_t len)
{
    if (model->len > len || memcmp(model->name, name, model->len) != 0) {
        return 0;
    }

    if (model->begins) {
        return 1 + model->len;
    }

    if (model->len == len) {
        return 100000;
    }

    return (name[model->len] == ':'
            && memchr(name, ':', len) == name + model->len)
           ? 50000 : 0;
}


static int
is_peak(const ollama_price_period_t *period, int64_t when)
{
    int      i;
    int64_t  day, begins, ends;

    /* of two days: this one and the one before it */

    for (i = 0; i < 2; i++) {
        day = when / DAY - i;

        begins = day * DAY + period->begins;
        ends = day * DAY + period->ends
               + (period->ends < period->begins ? DAY : 0);

        if ((period->days >> (day + 4) % 7 & 1) && when >= begins
            && when < ends)
        {
            return 1;
        }
    }

    return 0;
}


static int
same(const ollama_price_t *a, const ollama_price_t *b)
{
    return a->input == b->input && a->cached == b->cached
           && a->output == b->output;
}
