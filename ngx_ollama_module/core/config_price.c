
#include "config_internal.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>


#define OLLAMA_CONFIG_FACTOR_MAX  100000u       /* 100, in 1/1000 */


/* a price while its fields are read */

typedef struct {
    ollama_price_period_t    period;
    ollama_config_mark_t     mark;
    uint64_t                 factor;        /* in 1/1000, 0: no peak */
    unsigned                 has_input:1;
    unsigned                 has_cached:1;
    unsigned                 has_output:1;
    unsigned                 has_from:1;
    unsigned                 has_hours:1;
} ollama_config_price_t;


static int ollama_config_price_done(ollama_config_ctx_t *ctx,
    ollama_price_model_t *model, ollama_config_price_t *price);
static int ollama_config_price_input(ollama_config_ctx_t *ctx);
static int ollama_config_price_cached(ollama_config_ctx_t *ctx);
static int ollama_config_price_output(ollama_config_ctx_t *ctx);
static int ollama_config_price_from(ollama_config_ctx_t *ctx);
static int ollama_config_price_peak(ollama_config_ctx_t *ctx);
static int ollama_config_peak_factor(ollama_config_ctx_t *ctx);
static int ollama_config_peak_days(ollama_config_ctx_t *ctx);
static int ollama_config_peak_hours(ollama_config_ctx_t *ctx);
static int ollama_config_decimal(ollama_config_ctx_t *ctx, const char *field,
    uint64_t max, uint64_t *value);
static int ollama_config_factor(ollama_config_ctx_t *ctx,
    ollama_config_price_t *price, uint64_t from, uint64_t *to);
static int ollama_config_day(const char **p, const char *last);
static int ollama_config_hour(const char **p, const char *last,
    uint32_t *second);


static const ollama_config_field_t  ollama_config_price_fields[] = {
    { "from", ollama_config_price_from },
    { "input", ollama_config_price_input },
    { "cached", ollama_config_price_cached },
    { "output", ollama_config_price_output },
    { "peak", ollama_config_price_peak },
    { NULL, NULL }
};


static const ollama_config_field_t  ollama_config_peak_fields[] = {
    { "factor", ollama_config_peak_factor },
    { "days", ollama_config_peak_days },
    { "hours", ollama_config_peak_hours },
    { NULL, NULL }
};


int
ollama_config_price(ollama_config_ctx_t *ctx, ollama_price_model_t *model)
{
    ollama_config_price_t  price;

    memset(&price, 0, sizeof(price));
    price.period.from = INT64_MIN;
    price.mark = ctx->mark;

    ctx->item = &price;
    strcpy(ctx->where, " of a price");

    if (ollama_config_fields(ctx, ollama_config_price_fields) != 0) {
        return -1;
    }

    ctx->where[0] = '\0';

    return ollama_config_price_done(ctx, model, &price);
}


static int
ollama_config_price_done(ollama_config_ctx_t *ctx, ollama_price_model_t *model,
    ollama_config_price_t *price)
{
    void                   *p;
    ollama_price_period_t  *period;

    period = &price->period;

    if (!price->has_input || !price->has_output) {
        return ollama_config_fail(ctx, &price->mark, "a price has no field "
                                  "\"%s\"",
                                  price->has_input ? "output" : "input");
    }

    if (!price->has_cached) {
        period->price.cached = period->price.input;
    }

    if (model->nperiods
        && (!price->has_from
            || period->from <= model->periods[model->nperiods - 1].from))
    {
        return ollama_config_fail(ctx, &price->mark, "a price that is not the "
                                  "first one of its model must have a \"from\""
                                  " later than that of the one before");
    }

    if (model->nperiods == OLLAMA_PRICE_PERIODS) {
        return ollama_config_fail(ctx, &price->mark, "a model has more than "
                                  "%d prices", OLLAMA_PRICE_PERIODS);
    }

    if (price->factor
        && (ollama_config_factor(ctx, price, period->price.input,
                                 &period->peak.input) != 0
            || ollama_config_factor(ctx, price, period->price.cached,
                                    &period->peak.cached) != 0
            || ollama_config_factor(ctx, price, period->price.output,
                                    &period->peak.output) != 0))
    {
        return -1;
    }

    p = realloc(model->periods, (model->nperiods + 1) * sizeof(*period));
    if (p == NULL) {
        return ollama_config_memory(ctx);
    }

    model->periods = p;
    model->periods[model->nperiods++] = *period;

    return 0;
}


static int
ollama_config_factor(ollama_config_ctx_t *ctx, ollama_config_price_t *price,
    uint64_t from, uint64_t *to)
{
    if (from * price->factor % 1000) {
        return ollama_config_fail(ctx, &price->mark, "a price times its "
                                  "factor has more than three decimals");
    }

    *to = from * price->factor / 1000;

    if (*to > OLLAMA_PRICE_MAX) {
        return ollama_config_fail(ctx, &price->mark, "a price times its "
                                  "factor is more than %u",
                                  OLLAMA_PRICE_MAX / 1000);
    }

    return 0;
}


static int
ollama_config_price_input(ollama_config_ctx_t *ctx)
{
    ollama_config_price_t  *price;

    price = ctx->item;
    price->has_input = 1;

    return ollama_config_decimal(ctx, "input", OLLAMA_PRICE_MAX,
                                 &price->period.price.input);
}


static int
ollama_config_price_cached(ollama_config_ctx_t *ctx)
{
    ollama_config_price_t  *price;

    price = ctx->item;
    price->has_cached = 1;

    return ollama_config_decimal(ctx, "cached", OLLAMA_PRICE_MAX,
                                 &price->period.price.cached);
}


static int
ollama_config_price_output(ollama_config_ctx_t *ctx)
{
    ollama_config_price_t  *price;

    price = ctx->item;
    price->has_output = 1;

    return ollama_config_decimal(ctx, "output", OLLAMA_PRICE_MAX,
                                 &price->period.price.output);
}


static int
ollama_config_price_from(ollama_config_ctx_t *ctx)
{
    ollama_config_price_t  *price;

    price = ctx->item;
    price->has_from = 1;

    if (ollama_config_scalar(ctx, "from") != 0) {
        return -1;
    }

    if (ollama_config_date((char *) ctx->event.data.scalar.value,
                           ctx->event.data.scalar.length,
                           &price->period.from) != 0)
    {
        return ollama_config_here(ctx, "\"from\"%s must be a day, such as "
                                  "2026-10-01", ctx->where);
    }

    return 0;
}


static int
ollama_config_price_peak(ollama_config_ctx_t *ctx)
{
    ollama_config_mark_t    begin;
    ollama_config_price_t  *price;

    price = ctx->item;
    begin = ctx->mark;

    if (ctx->event.type != YAML_MAPPING_START_EVENT) {
        return ollama_config_here(ctx, "\"peak\"%s must be an object such as "
                                  "{factor: 2, days: mon-fri, hours: 12-18}",
                                  ctx->where);
    }

    strcpy(ctx->where, " of a peak");

    price->period.days = 0x7f;

    if (ollama_config_fields(ctx, ollama_config_peak_fields) != 0) {
        return -1;
    }

    strcpy(ctx->where, " of a price");

    if (price->factor == 0 || !price->has_hours) {
        return ollama_config_fail(ctx, &begin, "a peak has no field \"%s\"",
                                  price->factor ? "hours" : "factor");
    }

    return 0;
}


static int
ollama_config_peak_factor(ollama_config_ctx_t *ctx)
{
    ollama_config_price_t  *price;

    price = ctx->item;

    if (ollama_config_decimal(ctx, "factor", OLLAMA_CONFIG_FACTOR_MAX,
                              &price->factor) != 0)
    {
        return -1;
    }

    if (price->factor == 0) {
        return ollama_config_here(ctx, "\"factor\"%s must be more than 0",
                                  ctx->where);
    }

    return 0;
}


/* "mon-fri", "mon,wed,fri", "fri-mon" */

static int
ollama_config_peak_days(ollama_config_ctx_t *ctx)
{
    int                     day, end;
    unsigned                days;
    const char             *p, *last;
    ollama_config_price_t  *price;

    price = ctx->item;

    if (ollama_config_scalar(ctx, "days") != 0) {
        return -1;
    }

    p = (char *) ctx->event.data.scalar.value;
    last = p + ctx->event.data.scalar.length;
    days = 0;

    for ( ;; ) {
        day = ollama_config_day(&p, last);

        if (day < 0) {
            break;
        }

        end = day;

        if (p < last && *p == '-') {
            p++;
            end = ollama_config_day(&p, last);

            if (end < 0) {
                break;
            }
        }

        days |= 1u << day;

        while (day != end) {
            day = (day + 1) % 7;
            days |= 1u << day;
        }

        if (p == last) {
            price->period.days = days;
            return 0;
        }

        if (*p++ != ',') {
            break;
        }
    }

    return ollama_config_here(ctx, "\"days\"%s must be days such as mon-fri, "
                              "or mon,wed,sat", ctx->where);
}


static int
ollama_config_day(const char **p, const char *last)
{
    int  i;

    static const char  names[] = "sunmontuewedthufrisat";

    for (i = 0; i < 7 && last - *p >= 3; i++) {
        if (strncasecmp(*p, names + 3 * i, 3) == 0) {
            *p += 3;
            return i;
        }
    }

    return -1;
}


/* "12-18", "22-6", "12:30-18" */

static int
ollama_config_peak_hours(ollama_config_ctx_t *ctx)
{
    const char             *p, *last;
    ollama_config_price_t  *price;

    price = ctx->item;
    price->has_hours = 1;

    if (ollama_config_scalar(ctx, "hours") != 0) {
        return -1;
    }

    p = (char *) ctx->event.data.scalar.value;
    last = p + ctx->event.data.scalar.length;

    if (ollama_config_hour(&p, last, &price->period.begins) != 0
        || p == last || *p++ != '-'
        || ollama_config_hour(&p, last, &price->period.ends) != 0
        || p != last
        || price->period.begins == price->period.ends
        || price->period.begins == 86400)
    {
        return ollama_config_here(ctx, "\"hours\"%s must be two times of the "
                                  "day (UTC), such as 12-18 or 22:30-6",
                                  ctx->where);
    }

    return 0;
}


static int
ollama_config_hour(const char **p, const char *last, uint32_t *second)
{
    size_t    i;
    uint32_t  n[2];

    n[0] = 0;
    n[1] = 0;

    for (i = 0; i < 2; i++) {

        if (*p == last || **p < '0' || **p > '9') {
            return -1;
        }

        n[i] = (uint32_t) (*(*p)++ - '0');

        if (*p < last && **p >= '0' && **p <= '9') {
            n[i] = n[i] * 10 + (uint32_t) (*(*p)++ - '0');
        }

        if (*p == last || **p != ':') {
            break;
        }

        if (i == 0) {
            (*p)++;
        }
    }

    *second = n[0] * 3600 + n[1] * 60;

    return (n[0] > 24 || n[1] > 59 || *second > 86400) ? -1 : 0;
}


/* in 1/1000, which for a price are nano-dollars a token */

static int
ollama_config_decimal(ollama_config_ctx_t *ctx, const char *field,
    uint64_t max, uint64_t *value)
{
    size_t    i, len;
    uint64_t  n;

    if (ollama_config_scalar(ctx, field) != 0) {
        return -1;
    }

    len = ctx->event.data.scalar.length;

    i = ollama_config_thousandths((char *) ctx->event.data.scalar.value, len,
                                  &n);

    if (i == 0 || i < len || n > max) {
        return ollama_config_here(ctx, "\"%s\"%s must be a number such as "
                                  "0.15, with at most three decimals and not "
                                  "more than %u", field, ctx->where,
                                  (unsigned) (max / 1000));
    }

    *value = n;

    return 0;
}
