
#include "config_internal.h"
#include "request.h"

#include <stdlib.h>
#include <string.h>


static int ollama_config_prices_date(ollama_config_ctx_t *ctx);
static int ollama_config_prices_document(ollama_config_ctx_t *ctx);
static ollama_price_model_t *ollama_config_prices_model(
    ollama_config_ctx_t *ctx);
static int ollama_config_prices_twice(ollama_config_ctx_t *ctx);
static int ollama_config_prices_periods(ollama_config_ctx_t *ctx,
    ollama_price_model_t *model);


static const ollama_config_field_t  ollama_config_prices_top[] = {
    { "date", ollama_config_prices_date },
    { "prices", ollama_config_prices },
    { NULL, NULL }
};


/* the file: a document of its own */

ollama_prices_t *
ollama_prices_read(const unsigned char *data, size_t len, char *err,
    size_t err_size)
{
    int                   rc;
    ollama_config_t       conf;
    ollama_config_ctx_t   ctx;

    memset(&conf, 0, sizeof(conf));
    memset(&ctx, 0, sizeof(ctx));

    ctx.conf = &conf;
    ctx.data = data;
    ctx.len = len;
    ctx.err = err;
    ctx.err_size = err_size;
    ctx.mark.line = 1;
    ctx.mark.column = 1;

    if (len > OLLAMA_PRICE_BYTES_MAX) {
        (void) ollama_config_here(&ctx, "the file is too large");
        return NULL;
    }

    conf.prices = calloc(1, sizeof(ollama_prices_t));

    if (conf.prices == NULL || !yaml_parser_initialize(&ctx.parser)) {
        free(conf.prices);
        (void) ollama_config_memory(&ctx);
        return NULL;
    }

    yaml_parser_set_input_string(&ctx.parser, data, len);

    rc = ollama_config_prices_document(&ctx);

    if (ctx.have_event) {
        yaml_event_delete(&ctx.event);
    }

    yaml_parser_delete(&ctx.parser);

    if (rc != 0) {
        ollama_prices_free(conf.prices);
        return NULL;
    }

    return conf.prices;
}


static int
ollama_config_prices_document(ollama_config_ctx_t *ctx)
{
    /* the stream's start, the document's, the mapping's */

    if (ollama_config_next(ctx) != 0 || ollama_config_next(ctx) != 0
        || (ctx->event.type == YAML_DOCUMENT_START_EVENT
            && ollama_config_next(ctx) != 0))
    {
        return -1;
    }

    if (ctx->event.type != YAML_MAPPING_START_EVENT) {
        return ollama_config_here(ctx, "the file must be an object with the "
                                  "field \"prices\": models, and what each of "
                                  "them costs");
    }

    if (ollama_config_fields(ctx, ollama_config_prices_top) != 0
        || ollama_config_next(ctx) != 0 || ollama_config_next(ctx) != 0)
    {
        return -1;
    }

    if (ctx->event.type != YAML_STREAM_END_EVENT) {
        return ollama_config_here(ctx, "a second document begins; the file "
                                  "must be a single one");
    }

    if (ctx->conf->prices->nmodels == 0) {
        return ollama_config_here(ctx, "no prices: list at least one below "
                                  "\"prices:\"");
    }

    return 0;
}


static int
ollama_config_prices_date(ollama_config_ctx_t *ctx)
{
    int64_t  when;

    if (ollama_config_scalar(ctx, "date") != 0) {
        return -1;
    }

    if (ollama_config_date((char *) ctx->event.data.scalar.value,
                           ctx->event.data.scalar.length, &when) != 0)
    {
        return ollama_config_here(ctx, "\"date\" must be a day, such as "
                                  "2026-08-31");
    }

    memcpy(ctx->conf->prices->date, ctx->event.data.scalar.value, 11);

    return 0;
}


int
ollama_config_prices(ollama_config_ctx_t *ctx)
{
    ollama_price_model_t  *model;

    if (ollama_config_null(ctx)) {
        return 0;
    }

    if (ctx->event.type != YAML_MAPPING_START_EVENT) {
        return ollama_config_here(ctx, "\"prices\" must be an object: a "
                                  "model's name, or the beginning of names "
                                  "and \"*\", and what it costs");
    }

    if (ctx->conf->prices == NULL) {
        ctx->conf->prices = calloc(1, sizeof(ollama_prices_t));

        if (ctx->conf->prices == NULL) {
            return ollama_config_memory(ctx);
        }
    }

    for ( ;; ) {

        if (ollama_config_next(ctx) != 0) {
            return -1;
        }

        if (ctx->event.type == YAML_MAPPING_END_EVENT) {
            break;
        }

        model = ollama_config_prices_model(ctx);

        if (model == NULL || ollama_config_prices_twice(ctx) != 0
            || ollama_config_next(ctx) != 0
            || ollama_config_prices_periods(ctx, model) != 0)
        {
            return -1;
        }
    }

    ollama_prices_sort(ctx->conf->prices);

    return 0;
}


static ollama_price_model_t *
ollama_config_prices_model(ollama_config_ctx_t *ctx)
{
    void                  *p;
    size_t                 i, n, len;
    const char            *name;
    ollama_prices_t       *prices;
    ollama_price_model_t  *model;

    prices = ctx->conf->prices;
    n = prices->nmodels;

    len = 0;
    i = 1;

    if (ctx->event.type == YAML_SCALAR_EVENT) {
        name = (char *) ctx->event.data.scalar.value;
        len = ctx->event.data.scalar.length;

        for (i = 0; i < len; i++) {
            if ((unsigned char) name[i] <= ' ' || name[i] == 0x7f
                || (name[i] == '*' && i < len - 1))
            {
                break;
            }
        }
    }

    if (i < len || len == 0 || len > OLLAMA_CONFIG_MODEL_MAX) {
        (void) ollama_config_here(ctx, "a name in \"prices\" must be a model: "
                                  "1 to %d characters without spaces, \"*\" "
                                  "only at the end", OLLAMA_CONFIG_MODEL_MAX);
        return NULL;
    }

    if (n == OLLAMA_PRICE_MODELS) {
        (void) ollama_config_here(ctx, "\"prices\" has more than %d models",
                                  OLLAMA_PRICE_MODELS);
        return NULL;
    }

    if ((n & (n - 1)) == 0) {

        /* full at 1, 2, 4 .. */

        p = realloc(prices->models, (n ? 2 * n : 1) * sizeof(*model));
        if (p == NULL) {
            (void) ollama_config_memory(ctx);
            return NULL;
        }

        prices->models = p;
    }

    model = &prices->models[n];
    memset(model, 0, sizeof(*model));

    if (ollama_config_copy(ctx, &model->name) != 0) {
        return NULL;
    }

    prices->nmodels++;

    if (model->name[len - 1] == '*') {
        model->begins = 1;
        model->len = len - 1;

    } else {
        model->len = ollama_model_strip(model->name, len);
    }

    return model;
}


/* is the last one there already? */

static int
ollama_config_prices_twice(ollama_config_ctx_t *ctx)
{
    size_t                 i;
    ollama_prices_t       *prices;
    ollama_price_model_t  *model;

    prices = ctx->conf->prices;
    model = &prices->models[prices->nmodels - 1];

    for (i = 0; i < prices->nmodels - 1; i++) {
        if (prices->models[i].len == model->len
            && prices->models[i].begins == model->begins
            && memcmp(prices->models[i].name, model->name, model->len) == 0)
        {
            return ollama_config_here(ctx, "the same model is given twice in "
                                      "\"prices\"");
        }
    }

    return 0;
}


static int
ollama_config_prices_periods(ollama_config_ctx_t *ctx,
    ollama_price_model_t *model)
{
    if (ctx->event.type == YAML_MAPPING_START_EVENT) {
        return ollama_config_price(ctx, model);
    }

    if (ctx->event.type != YAML_SEQUENCE_START_EVENT) {
        return ollama_config_here(ctx, "a price must be an object such as "
                                  "{input: 0.15, cached: 0.014, output: 0.60}"
                                  ", USD for a million tokens, or a list of "
                                  "these, each with \"from\"");
    }

    for ( ;; ) {

        if (ollama_config_next(ctx) != 0) {
            return -1;
        }

        if (ctx->event.type == YAML_SEQUENCE_END_EVENT) {
            break;
        }

        if (ctx->event.type != YAML_MAPPING_START_EVENT) {
            return ollama_config_here(ctx, "a price must be an object such "
                                      "as {from: 2026-10-01, input: 0.15, "
                                      "output: 0.60}");
        }

        if (ollama_config_price(ctx, model) != 0) {
            return -1;
        }
    }

    if (model->nperiods == 0) {
        return ollama_config_here(ctx, "the list of prices is empty");
    }

    return 0;
}
