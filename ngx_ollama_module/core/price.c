
#include "price.h"

#include <stdlib.h>
#include <string.h>


#define OLLAMA_PRICE_DAY  86400


static int ollama_prices_one(const ollama_prices_t *prices, const char *model,
    size_t len, int64_t when, ollama_price_t *price);
static const ollama_price_model_t *ollama_prices_model(
    const ollama_prices_t *prices, const char *model, size_t len);
static const ollama_price_model_t *ollama_prices_whole(
    const ollama_prices_t *prices, const char *model, size_t len);
static const ollama_price_model_t *ollama_prices_beginning(
    const ollama_prices_t *prices, const char *model, size_t len);
static size_t ollama_prices_after(const ollama_prices_t *prices, size_t low,
    size_t high, const char *model, size_t len);
static int ollama_price_begins(const ollama_price_model_t *m,
    const char *model, size_t len);
static const ollama_price_period_t *ollama_price_period(
    const ollama_price_model_t *model, int64_t when);
static int ollama_price_peak(const ollama_price_period_t *period,
    int64_t when);
static size_t ollama_prices_force(const ollama_prices_t *prices,
    const ollama_prices_t *but, int64_t when, uint64_t *inputs,
    uint64_t *cached, uint64_t *outputs, size_t n);
static uint64_t ollama_price_median(uint64_t *prices, size_t n);
static int ollama_price_by_name(const char *one, size_t one_len,
    const char *two, size_t two_len);
static int ollama_price_order(const void *one, const void *two);
static int ollama_price_less(const void *one, const void *two);


void
ollama_prices_free(ollama_prices_t *prices)
{
    size_t  i;

    if (prices == NULL) {
        return;
    }

    for (i = 0; i < prices->nmodels; i++) {
        free(prices->models[i].name);
        free(prices->models[i].periods);
    }

    free(prices->models);
    free(prices);
}


void
ollama_prices_sort(ollama_prices_t *prices)
{
    size_t                 i, shorter;
    ollama_price_model_t  *m;

    if (prices->nmodels == 0) {
        return;
    }

    qsort(prices->models, prices->nmodels, sizeof(ollama_price_model_t),
          ollama_price_order);

    prices->nwhole = 0;

    while (prices->nwhole < prices->nmodels
           && !prices->models[prices->nwhole].begins)
    {
        prices->nwhole++;
    }

    /* what begins a name is among the one before it and what begins that */

    shorter = 0;

    for (i = prices->nwhole; i < prices->nmodels; i++) {
        m = &prices->models[i];

        while (shorter && !ollama_price_begins(&prices->models[shorter - 1],
                                               m->name, m->len))
        {
            shorter = prices->models[shorter - 1].shorter;
        }

        m->shorter = shorter;
        shorter = i + 1;
    }
}


int
ollama_prices_find(const ollama_prices_t *own, const ollama_prices_t *list,
    const char *model, size_t len, int64_t when, ollama_price_t *price)
{
    return ollama_prices_one(own, model, len, when, price)
           || ollama_prices_one(list, model, len, when, price);
}


static int
ollama_prices_one(const ollama_prices_t *prices, const char *model, size_t len,
    int64_t when, ollama_price_t *price)
{
    const ollama_price_model_t   *m;
    const ollama_price_period_t  *period;

    m = prices ? ollama_prices_model(prices, model, len) : NULL;

    if (m == NULL) {
        return 0;
    }

    period = ollama_price_period(m, when);

    if (period == NULL) {
        return 0;
    }

    *price = ollama_price_peak(period, when) ? period->peak : period->price;

    return 1;
}


static const ollama_price_model_t *
ollama_prices_model(const ollama_prices_t *prices, const char *model,
    size_t len)
{
    const char                  *tag;
    const ollama_price_model_t  *m;

    if (len == 0) {
        model = "";
    }

    m = ollama_prices_whole(prices, model, len);

    if (m) {
        return m;
    }

    tag = memchr(model, ':', len);

    if (tag) {
        m = ollama_prices_whole(prices, model, (size_t) (tag - model));

        if (m) {
            return m;
        }
    }

    return ollama_prices_beginning(prices, model, len);
}


static const ollama_price_model_t *
ollama_prices_whole(const ollama_prices_t *prices, const char *model,
    size_t len)
{
    size_t                       i;
    const ollama_price_model_t  *m;

    i = ollama_prices_after(prices, 0, prices->nwhole, model, len);

    if (i == 0) {
        return NULL;
    }

    m = &prices->models[i - 1];

    return (m->len == len && memcmp(m->name, model, len) == 0) ? m : NULL;
}


/* the longest: the last one that is not after the name, or what begins that */

static const ollama_price_model_t *
ollama_prices_beginning(const ollama_prices_t *prices, const char *model,
    size_t len)
{
    size_t                       i;
    const ollama_price_model_t  *m;

    i = ollama_prices_after(prices, prices->nwhole, prices->nmodels, model,
                            len);

    if (i == prices->nwhole) {
        return NULL;
    }

    for ( /* void */ ; i; i = m->shorter) {
        m = &prices->models[i - 1];

        if (ollama_price_begins(m, model, len)) {
            return m;
        }
    }

    return NULL;
}


/* the first of some that comes after a name */

static size_t
ollama_prices_after(const ollama_prices_t *prices, size_t low, size_t high,
    const char *model, size_t len)
{
    size_t                       mid;
    const ollama_price_model_t  *m;

    while (low < high) {
        mid = low + (high - low) / 2;
        m = &prices->models[mid];

        if (ollama_price_by_name(model, len, m->name, m->len) < 0) {
            high = mid;

        } else {
            low = mid + 1;
        }
    }

    return low;
}


static int
ollama_price_begins(const ollama_price_model_t *m, const char *model,
    size_t len)
{
    return m->len <= len && memcmp(m->name, model, m->len) == 0;
}


static const ollama_price_period_t *
ollama_price_period(const ollama_price_model_t *model, int64_t when)
{
    size_t  i;

    for (i = model->nperiods; i > 0; i--) {
        if (model->periods[i - 1].from <= when) {
            return &model->periods[i - 1];
        }
    }

    return NULL;
}


static int
ollama_price_peak(const ollama_price_period_t *period, int64_t when)
{
    int64_t   day;
    uint32_t  second;
    unsigned  today, yesterday;

    if (period->days == 0 || when < 0) {
        return 0;
    }

    /* the first day was a Thursday */

    day = when / OLLAMA_PRICE_DAY;
    second = (uint32_t) (when % OLLAMA_PRICE_DAY);

    today = period->days & 1u << (day + 4) % 7;
    yesterday = period->days & 1u << (day + 3) % 7;

    if (period->begins < period->ends) {
        return today && second >= period->begins && second < period->ends;
    }

    return (today && second >= period->begins)
           || (yesterday && second < period->ends);
}


void
ollama_prices_usual(const ollama_prices_t *own, const ollama_prices_t *list,
    int64_t when, ollama_price_t *price)
{
    size_t     n, max;
    uint64_t  *p;

    memset(price, 0, sizeof(ollama_price_t));

    max = (own ? own->nmodels : 0) + (list ? list->nmodels : 0);

    if (max == 0) {
        return;
    }

    p = malloc(3 * max * sizeof(uint64_t));
    if (p == NULL) {
        return;
    }

    n = ollama_prices_force(own, NULL, when, p, p + max, p + 2 * max, 0);
    n = ollama_prices_force(list, own, when, p, p + max, p + 2 * max, n);

    if (n) {
        price->input = ollama_price_median(p, n);
        price->cached = ollama_price_median(p + max, n);
        price->output = ollama_price_median(p + 2 * max, n);
    }

    free(p);
}


static size_t
ollama_prices_force(const ollama_prices_t *prices, const ollama_prices_t *but,
    int64_t when, uint64_t *inputs, uint64_t *cached, uint64_t *outputs,
    size_t n)
{
    size_t                        i;
    ollama_price_t                own;
    const ollama_price_model_t   *m;
    const ollama_price_period_t  *period;

    for (i = 0; prices && i < prices->nmodels; i++) {
        m = &prices->models[i];
        period = ollama_price_period(m, when);

        if (period == NULL
            || ollama_prices_one(but, m->name, m->len, when, &own))
        {
            continue;
        }

        inputs[n] = period->price.input;
        cached[n] = period->price.cached;
        outputs[n] = period->price.output;
        n++;
    }

    return n;
}


static uint64_t
ollama_price_median(uint64_t *prices, size_t n)
{
    qsort(prices, n, sizeof(uint64_t), ollama_price_less);

    return (n % 2) ? prices[n / 2] : (prices[n / 2 - 1] + prices[n / 2]) / 2;
}


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


size_t
ollama_price_text(char *buf, uint64_t nano)
{
    char      digits[OLLAMA_PRICE_TEXT];
    size_t    n, len;
    uint64_t  whole, rest;

    whole = nano / OLLAMA_PRICE_DOLLAR;
    rest = nano % OLLAMA_PRICE_DOLLAR;
    n = 0;

    do {
        digits[n++] = (char) ('0' + whole % 10);
        whole /= 10;
    } while (whole);

    for (len = 0; n; len++) {
        buf[len] = digits[--n];
    }

    if (rest == 0) {
        return len;
    }

    buf[len++] = '.';

    for (whole = OLLAMA_PRICE_DOLLAR / 10; rest; whole /= 10) {
        buf[len++] = (char) ('0' + rest / whole);
        rest %= whole;
    }

    return len;
}


static int
ollama_price_by_name(const char *one, size_t one_len, const char *two,
    size_t two_len)
{
    int  rc;

    rc = memcmp(one, two, one_len < two_len ? one_len : two_len);

    return rc ? rc : (one_len > two_len) - (one_len < two_len);
}


static int
ollama_price_order(const void *one, const void *two)
{
    const ollama_price_model_t  *a, *b;

    a = one;
    b = two;

    if (a->begins != b->begins) {
        return a->begins ? 1 : -1;
    }

    return ollama_price_by_name(a->name, a->len, b->name, b->len);
}


static int
ollama_price_less(const void *one, const void *two)
{
    uint64_t  a, b;

    a = *(const uint64_t *) one;
    b = *(const uint64_t *) two;

    return (a > b) - (a < b);
}
