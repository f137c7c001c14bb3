
#include "config_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>


#define OLLAMA_CONFIG_TOKENS_MAX   1000000000000000u    /* a day */
#define OLLAMA_CONFIG_DOLLARS_MAX  1000000u             /* a month */
#define OLLAMA_CONFIG_NANO         1000000000u


static int ollama_config_client_add(ollama_config_ctx_t *ctx);
static int ollama_config_client_name(ollama_config_ctx_t *ctx);
static int ollama_config_client_token(ollama_config_ctx_t *ctx);
static int ollama_config_client_sha256(ollama_config_ctx_t *ctx);
static int ollama_config_client_models(ollama_config_ctx_t *ctx);
static int ollama_config_client_keys(ollama_config_ctx_t *ctx);
static int ollama_config_client_concurrent(ollama_config_ctx_t *ctx);
static int ollama_config_client_minute(ollama_config_ctx_t *ctx);
static int ollama_config_client_day(ollama_config_ctx_t *ctx);
static int ollama_config_client_month(ollama_config_ctx_t *ctx);
static int ollama_config_client_weight(ollama_config_ctx_t *ctx);
static int ollama_config_client_bodies(ollama_config_ctx_t *ctx);
static int ollama_config_client_fallback(ollama_config_ctx_t *ctx);
static int ollama_config_client_expires(ollama_config_ctx_t *ctx);
static int ollama_config_count(ollama_config_ctx_t *ctx, const char *field,
    uint64_t max, uint64_t *n);
static int ollama_config_hex(char c);


static const ollama_config_field_t  ollama_config_client_fields[] = {
    { "name", ollama_config_client_name },
    { "token", ollama_config_client_token },
    { "token_sha256", ollama_config_client_sha256 },
    { "models", ollama_config_client_models },
    { "keys", ollama_config_client_keys },
    { "max_concurrent", ollama_config_client_concurrent },
    { "requests_per_minute", ollama_config_client_minute },
    { "tokens_per_day", ollama_config_client_day },
    { "usd_per_month", ollama_config_client_month },
    { "weight", ollama_config_client_weight },
    { "bodies", ollama_config_client_bodies },
    { "fallback", ollama_config_client_fallback },
    { "expires", ollama_config_client_expires },
    { NULL, NULL }
};


#define ollama_config_last(ctx)                                               \
    (&(ctx)->conf->clients[(ctx)->conf->nclients - 1])


void
ollama_config_clients_free(ollama_config_client_t *clients, size_t n)
{
    size_t  i, j;

    for (i = 0; i < n; i++) {
        free(clients[i].name);
        ollama_config_models_free(clients[i].models, clients[i].nmodels);

        for (j = 0; j < clients[i].nkeys; j++) {
            free(clients[i].keys[j].name);
        }

        free(clients[i].keys);
        explicit_bzero(clients[i].token, OLLAMA_SHA256_LEN);
    }

    free(clients);
}


int
ollama_config_clients(ollama_config_ctx_t *ctx)
{
    if (ollama_config_null(ctx)) {
        return 0;
    }

    if (ctx->event.type != YAML_SEQUENCE_START_EVENT) {
        return ollama_config_here(ctx, "\"clients\" must be a list");
    }

    for ( ;; ) {

        if (ollama_config_next(ctx) != 0) {
            return -1;
        }

        if (ctx->event.type == YAML_SEQUENCE_END_EVENT) {
            break;
        }

        if (ollama_config_client_add(ctx) != 0) {
            return -1;
        }
    }

    ctx->where[0] = '\0';

    return 0;
}


static int
ollama_config_client_add(ollama_config_ctx_t *ctx)
{
    void                    *p;
    size_t                   n;
    ollama_config_t         *conf;
    ollama_config_mark_t     begin;
    ollama_config_client_t  *client;

    conf = ctx->conf;
    n = conf->nclients;
    begin = ctx->mark;

    if (n == OLLAMA_CONFIG_CLIENTS_MAX) {
        return ollama_config_here(ctx, "there are more than %d clients",
                                  OLLAMA_CONFIG_CLIENTS_MAX);
    }

    snprintf(ctx->where, sizeof(ctx->where), " of clients[%zu]", n);

    if (ctx->event.type != YAML_MAPPING_START_EVENT) {
        return ollama_config_here(ctx, "clients[%zu] must be an object with "
                                  "the fields \"name\" and \"token\"", n);
    }

    if ((n & (n - 1)) == 0) {

        /* full at 1, 2, 4 .. */

        p = realloc(conf->clients, (n ? 2 * n : 1) * sizeof(*client));
        if (p == NULL) {
            return ollama_config_memory(ctx);
        }

        conf->clients = p;
    }

    client = &conf->clients[n];
    memset(client, 0, sizeof(*client));
    client->weight = 1;
    client->line = (uint32_t) begin.line;
    conf->nclients++;

    if (ollama_config_fields(ctx, ollama_config_client_fields) != 0) {
        return -1;
    }

    if (client->name == NULL) {
        return ollama_config_fail(ctx, &begin, "clients[%zu] has no field "
                                  "\"name\"", n);
    }

    if (!client->has_token) {
        return ollama_config_fail(ctx, &begin, "clients[%zu] has no field "
                                  "\"token\" and no \"token_sha256\"", n);
    }

    return 0;
}


static int
ollama_config_client_name(ollama_config_ctx_t *ctx)
{
    return ollama_config_label(ctx, "name", &ollama_config_last(ctx)->name);
}


static int
ollama_config_client_token(ollama_config_ctx_t *ctx)
{
    size_t                   len;
    const char              *value;
    ollama_sha256_t          sha256;
    ollama_config_client_t  *client;

    client = ollama_config_last(ctx);

    if (ollama_config_scalar(ctx, "token") != 0) {
        return -1;
    }

    value = (char *) ctx->event.data.scalar.value;
    len = ctx->event.data.scalar.length;

    if (!ollama_config_token(value, len)) {
        return ollama_config_here(ctx, "\"token\"%s must consist of printable "
                                  "characters without spaces, %d at most",
                                  ctx->where, OLLAMA_CONFIG_TOKEN_MAX);
    }

    if (client->has_token) {
        return ollama_config_here(ctx, "\"token\"%s is given beside its "
                                  "\"token_sha256\"", ctx->where);
    }

    ollama_sha256_init(&sha256);
    ollama_sha256_update(&sha256, value, len);
    ollama_sha256_final(&sha256, client->token);
    client->has_token = 1;

    return 0;
}


static int
ollama_config_client_sha256(ollama_config_ctx_t *ctx)
{
    int                      high, low;
    size_t                   i;
    const char              *value;
    ollama_config_client_t  *client;

    client = ollama_config_last(ctx);

    if (ollama_config_scalar(ctx, "token_sha256") != 0) {
        return -1;
    }

    if (client->has_token) {
        return ollama_config_here(ctx, "\"token_sha256\"%s is given beside "
                                  "its \"token\"", ctx->where);
    }

    value = (char *) ctx->event.data.scalar.value;

    for (i = 0; ctx->event.data.scalar.length == 2 * OLLAMA_SHA256_LEN
                && i < OLLAMA_SHA256_LEN; i++)
    {
        high = ollama_config_hex(value[2 * i]);
        low = ollama_config_hex(value[2 * i + 1]);

        if (high < 0 || low < 0) {
            break;
        }

        client->token[i] = (unsigned char) (high << 4 | low);
    }

    if (i != OLLAMA_SHA256_LEN) {
        return ollama_config_here(ctx, "\"token_sha256\"%s must be 64 hex "
                                  "digits, as sha256sum prints them",
                                  ctx->where);
    }

    client->has_token = 1;

    return 0;
}


static int
ollama_config_client_models(ollama_config_ctx_t *ctx)
{
    ollama_config_client_t  *client;

    client = ollama_config_last(ctx);

    return ollama_config_patterns(ctx, "models", &client->models,
                                  &client->nmodels);
}


static int
ollama_config_client_keys(ollama_config_ctx_t *ctx)
{
    void                    *p;
    ollama_config_use_t     *use;
    ollama_config_client_t  *client;

    client = ollama_config_last(ctx);

    if (ctx->event.type != YAML_SEQUENCE_START_EVENT) {
        return ollama_config_here(ctx, "\"keys\"%s must be a list of names of "
                                  "keys", ctx->where);
    }

    for ( ;; ) {

        if (ollama_config_next(ctx) != 0) {
            return -1;
        }

        if (ctx->event.type == YAML_SEQUENCE_END_EVENT) {
            break;
        }

        p = realloc(client->keys, (client->nkeys + 1)
                                  * sizeof(ollama_config_use_t));
        if (p == NULL) {
            return ollama_config_memory(ctx);
        }

        client->keys = p;
        use = &client->keys[client->nkeys];

        use->name = NULL;
        use->at = 0;

        if (ollama_config_label(ctx, "keys", &use->name) != 0) {
            return -1;
        }

        client->nkeys++;
    }

    if (client->nkeys == 0) {
        return ollama_config_here(ctx, "\"keys\"%s is empty: leave it out for "
                                  "all", ctx->where);
    }

    return 0;
}


static int
ollama_config_client_concurrent(ollama_config_ctx_t *ctx)
{
    return ollama_config_number(ctx, "max_concurrent",
                                &ollama_config_last(ctx)->max_concurrent);
}


static int
ollama_config_client_minute(ollama_config_ctx_t *ctx)
{
    uint64_t  n;

    if (ollama_config_count(ctx, "requests_per_minute", 1000000, &n) != 0) {
        return -1;
    }

    ollama_config_last(ctx)->per_minute = (uint32_t) n;

    return 0;
}


static int
ollama_config_client_day(ollama_config_ctx_t *ctx)
{
    return ollama_config_count(ctx, "tokens_per_day", OLLAMA_CONFIG_TOKENS_MAX,
                               &ollama_config_last(ctx)->tokens_per_day);
}


/* dollars, with decimals down to a nano-dollar */

static int
ollama_config_client_month(ollama_config_ctx_t *ctx)
{
    size_t       i, len;
    uint64_t     n, unit;
    const char  *value;

    if (ollama_config_scalar(ctx, "usd_per_month") != 0) {
        return -1;
    }

    value = (char *) ctx->event.data.scalar.value;
    len = ctx->event.data.scalar.length;
    n = 0;

    for (i = 0; i < len && i < 8 && value[i] >= '0' && value[i] <= '9'; i++) {
        n = n * 10 + (uint64_t) (value[i] - '0') * OLLAMA_CONFIG_NANO;
    }

    if (i && i + 1 < len && value[i] == '.') {

        unit = OLLAMA_CONFIG_NANO / 10;

        for (i++; i < len && unit && value[i] >= '0' && value[i] <= '9'; i++) {
            n += (uint64_t) (value[i] - '0') * unit;
            unit /= 10;
        }
    }

    if (i < len || n == 0
        || n > (uint64_t) OLLAMA_CONFIG_DOLLARS_MAX * OLLAMA_CONFIG_NANO)
    {
        return ollama_config_here(ctx, "\"usd_per_month\"%s must be dollars, "
                                  "such as 20 or 12.50, more than 0 and %u at "
                                  "most", ctx->where,
                                  OLLAMA_CONFIG_DOLLARS_MAX);
    }

    ollama_config_last(ctx)->per_month = n;

    return 0;
}


static int
ollama_config_client_weight(ollama_config_ctx_t *ctx)
{
    return ollama_config_number(ctx, "weight",
                                &ollama_config_last(ctx)->weight);
}


static int
ollama_config_client_bodies(ollama_config_ctx_t *ctx)
{
    int  value;

    value = ollama_config_flag(ctx, "bodies");

    if (value == -1) {
        return -1;
    }

    ollama_config_last(ctx)->no_bodies = !value;

    return 0;
}


static int
ollama_config_client_fallback(ollama_config_ctx_t *ctx)
{
    int  value;

    value = ollama_config_flag(ctx, "fallback");

    if (value == -1) {
        return -1;
    }

    ollama_config_last(ctx)->no_fallback = !value;

    return 0;
}


static int
ollama_config_client_expires(ollama_config_ctx_t *ctx)
{
    int64_t  when;

    if (ollama_config_scalar(ctx, "expires") != 0) {
        return -1;
    }

    if (ollama_config_date((char *) ctx->event.data.scalar.value,
                           ctx->event.data.scalar.length, &when) != 0)
    {
        return ollama_config_here(ctx, "\"expires\"%s must be a day, such as "
                                  "2027-01-31", ctx->where);
    }

    /* that day itself is a good one */

    ollama_config_last(ctx)->expires = when + 86400;

    return 0;
}


/* "500", "20k", "2m", "1g" */

static int
ollama_config_count(ollama_config_ctx_t *ctx, const char *field, uint64_t max,
    uint64_t *n)
{
    size_t       i, len;
    uint64_t     unit;
    const char  *value;

    if (ollama_config_scalar(ctx, field) != 0) {
        return -1;
    }

    value = (char *) ctx->event.data.scalar.value;
    len = ctx->event.data.scalar.length;
    *n = 0;

    for (i = 0; i < len && value[i] >= '0' && value[i] <= '9'; i++) {

        *n = *n * 10 + (uint64_t) (value[i] - '0');

        if (*n > max) {
            break;
        }
    }

    if (i && i + 1 == len) {

        switch (value[i] | 0x20) {
        case 'k': unit = 1000; break;
        case 'm': unit = 1000000; break;
        case 'g': unit = 1000000000; break;
        default: unit = 0;
        }

        if (unit && *n <= max / unit) {
            *n *= unit;
            i = len;
        }
    }

    if (i < len || *n == 0 || *n > max) {
        return ollama_config_here(ctx, "\"%s\"%s must be a whole number, such "
                                  "as 500, 20k or 2m, more than 0 and %llu "
                                  "at most", field, ctx->where,
                                  (unsigned long long) max);
    }

    return 0;
}


static int
ollama_config_hex(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    c |= 0x20;

    return (c >= 'a' && c <= 'f') ? c - 'a' + 10 : -1;
}
