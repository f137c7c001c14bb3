
#include "config_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>


#define OLLAMA_CONFIG_HEX_RUN  32   /* so many hex digits look like a key */


static int ollama_config_add(ollama_config_ctx_t *ctx);
static int ollama_config_object(ollama_config_ctx_t *ctx);
static int ollama_config_key(ollama_config_ctx_t *ctx);
static int ollama_config_name(ollama_config_ctx_t *ctx);
static int ollama_config_account(ollama_config_ctx_t *ctx);
static int ollama_config_max_concurrent(ollama_config_ctx_t *ctx);
static int ollama_config_weight(ollama_config_ctx_t *ctx);
static int ollama_config_tier(ollama_config_ctx_t *ctx);
static int ollama_config_floor(ollama_config_ctx_t *ctx);
static int ollama_config_enabled(ollama_config_ctx_t *ctx);


static const ollama_config_field_t  ollama_config_key_fields[] = {
    { "key", ollama_config_key },
    { "name", ollama_config_name },
    { "account", ollama_config_account },
    { "max_concurrent", ollama_config_max_concurrent },
    { "weight", ollama_config_weight },
    { "tier", ollama_config_tier },
    { "floor", ollama_config_floor },
    { "enabled", ollama_config_enabled },
    { NULL, NULL }
};


int
ollama_config_entry(ollama_config_ctx_t *ctx)
{
    if (ollama_config_add(ctx) != 0) {
        return -1;
    }

    snprintf(ctx->where, sizeof(ctx->where), " of keys[%zu]",
             ctx->conf->nkeys - 1);

    if (ctx->event.type == YAML_MAPPING_START_EVENT) {
        return ollama_config_object(ctx);
    }

    if (ctx->event.type != YAML_SCALAR_EVENT) {
        return ollama_config_here(ctx, "keys[%zu] must be a key or an object "
                                  "with the field \"key\"",
                                  ctx->conf->nkeys - 1);
    }

    return ollama_config_key(ctx);
}


static int
ollama_config_add(ollama_config_ctx_t *ctx)
{
    void             *p;
    size_t            n;
    ollama_config_t  *conf;

    conf = ctx->conf;

    if (conf->nkeys == OLLAMA_CONFIG_KEYS_MAX) {
        return ollama_config_here(ctx, "there are more than %d keys",
                                  OLLAMA_CONFIG_KEYS_MAX);
    }

    if (conf->nkeys == ctx->nalloc) {
        n = ctx->nalloc ? 2 * ctx->nalloc : 16;

        p = realloc(conf->keys, n * sizeof(ollama_config_key_t));
        if (p == NULL) {
            return ollama_config_memory(ctx);
        }

        conf->keys = p;

        p = realloc(ctx->marks, n * sizeof(ollama_config_marks_t));
        if (p == NULL) {
            return ollama_config_memory(ctx);
        }

        ctx->marks = p;
        ctx->nalloc = n;
    }

    n = conf->nkeys++;

    memset(&conf->keys[n], 0, sizeof(ollama_config_key_t));
    memset(&ctx->marks[n], 0, sizeof(ollama_config_marks_t));

    conf->keys[n].weight = 1;
    conf->keys[n].enabled = 1;

    return 0;
}


static int
ollama_config_object(ollama_config_ctx_t *ctx)
{
    ollama_config_mark_t  begin;

    begin = ctx->mark;

    if (ollama_config_fields(ctx, ollama_config_key_fields) != 0) {
        return -1;
    }

    if (ctx->conf->keys[ctx->conf->nkeys - 1].key == NULL) {
        return ollama_config_fail(ctx, &begin, "keys[%zu] has no field "
                                  "\"key\"", ctx->conf->nkeys - 1);
    }

    return 0;
}


static int
ollama_config_key(ollama_config_ctx_t *ctx)
{
    size_t                i, n, len;
    const char           *value;
    ollama_config_key_t  *key;

    static const char  allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
        "-._~+/=";

    n = ctx->conf->nkeys - 1;
    key = &ctx->conf->keys[n];

    if (ollama_config_scalar(ctx, "key") != 0) {
        return -1;
    }

    value = (char *) ctx->event.data.scalar.value;
    len = ctx->event.data.scalar.length;

    for (i = 0; i < len; i++) {

        if (value[i] == '\0' || strchr(allowed, value[i]) == NULL) {
            return ollama_config_here(ctx, "keys[%zu] holds, at its byte %zu, "
                                      "what no key holds: a key consists of "
                                      "letters, digits and \"-._~+/=\"",
                                      n, i + 1);
        }
    }

    if (len > OLLAMA_CONFIG_KEY_MAX) {
        return ollama_config_here(ctx, "keys[%zu] is longer than %d bytes", n,
                                  OLLAMA_CONFIG_KEY_MAX);
    }

    if (ollama_config_copy(ctx, &key->key) != 0) {
        return -1;
    }

    key->key_len = len;
    key->line = (uint32_t) ctx->mark.line;
    ctx->marks[n].key = ctx->mark;

    ollama_fingerprint(key->key, key->key_len, key->fingerprint);

    return 0;
}


static int
ollama_config_name(ollama_config_ctx_t *ctx)
{
    size_t  n;

    n = ctx->conf->nkeys - 1;
    ctx->marks[n].name = ctx->mark;

    return ollama_config_label(ctx, "name", &ctx->conf->keys[n].name);
}


static int
ollama_config_account(ollama_config_ctx_t *ctx)
{
    size_t  n;

    n = ctx->conf->nkeys - 1;
    ctx->marks[n].account = ctx->mark;

    return ollama_config_label(ctx, "account", &ctx->conf->keys[n].account);
}


static int
ollama_config_max_concurrent(ollama_config_ctx_t *ctx)
{
    return ollama_config_number(ctx, "max_concurrent",
                      &ctx->conf->keys[ctx->conf->nkeys - 1].max_concurrent);
}


static int
ollama_config_weight(ollama_config_ctx_t *ctx)
{
    return ollama_config_number(ctx, "weight",
                              &ctx->conf->keys[ctx->conf->nkeys - 1].weight);
}


static int
ollama_config_tier(ollama_config_ctx_t *ctx)
{
    const char  *value;

    if (ollama_config_scalar(ctx, "tier") != 0) {
        return -1;
    }

    value = (char *) ctx->event.data.scalar.value;

    if (ctx->event.data.scalar.length != 1 || *value < '0' || *value > '9') {
        return ollama_config_here(ctx, "\"tier\"%s must be a digit, 0 to 9: "
                                  "keys of a lower one come first",
                                  ctx->where);
    }

    ctx->conf->keys[ctx->conf->nkeys - 1].tier = (uint32_t) (*value - '0');

    return 0;
}


/* "10%", "2.50usd" */

static int
ollama_config_floor(ollama_config_ctx_t *ctx)
{
    size_t                len, n;
    uint64_t              value;
    const char           *s;
    ollama_config_key_t  *key;

    key = &ctx->conf->keys[ctx->conf->nkeys - 1];

    if (ollama_config_scalar(ctx, "floor") != 0) {
        return -1;
    }

    s = (char *) ctx->event.data.scalar.value;
    len = ctx->event.data.scalar.length;

    n = ollama_config_thousandths(s, len, &value);

    if (n && len - n == 1 && s[n] == '%' && value % 1000 == 0
        && value <= 100 * 1000)
    {
        key->floor_percent = (uint32_t) (value / 1000);
        return 0;
    }

    if (n && len - n == 3 && strncasecmp(s + n, "usd", 3) == 0
        && value <= 1000000 * (uint64_t) 1000)
    {
        key->floor_cost = value * (OLLAMA_PRICE_DOLLAR / 1000);
        return 0;
    }

    return ollama_config_here(ctx, "\"floor\"%s must be a part of what the "
                              "account's period includes, such as 10%%, or "
                              "dollars, such as 5usd", ctx->where);
}


static int
ollama_config_enabled(ollama_config_ctx_t *ctx)
{
    int  value;

    value = ollama_config_flag(ctx, "enabled");

    if (value == -1) {
        return -1;
    }

    ctx->conf->keys[ctx->conf->nkeys - 1].enabled = (value == 1);

    return 0;
}


int
ollama_config_label(ollama_config_ctx_t *ctx, const char *field, char **label)
{
    char         c;
    size_t       i, len, hex;
    const char  *value;

    if (ollama_config_scalar(ctx, field) != 0) {
        return -1;
    }

    value = (char *) ctx->event.data.scalar.value;
    len = ctx->event.data.scalar.length;

    if (len > OLLAMA_CONFIG_NAME_MAX) {
        return ollama_config_here(ctx, "\"%s\"%s is longer than %d bytes",
                                  field, ctx->where, OLLAMA_CONFIG_NAME_MAX);
    }

    hex = 0;

    for (i = 0; i < len; i++) {

        c = value[i];

        if ((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f'))
        {
            hex++;

        } else {
            hex = 0;
        }

        if (hex == OLLAMA_CONFIG_HEX_RUN) {
            return ollama_config_here(ctx, "\"%s\"%s looks like a key, and "
                                      "would be shown to people", field,
                                      ctx->where);
        }

        if (c == '\0'
            || (!(c >= '0' && c <= '9')
                && !((c | 0x20) >= 'a' && (c | 0x20) <= 'z')
                && strchr("._-@+:/", c) == NULL
                && !(c == ' ' && i > 0 && i < len - 1)))
        {
            return ollama_config_here(ctx, "\"%s\"%s must consist of "
                                      "letters, digits, \"._-@+:/\" and inner "
                                      "spaces", field, ctx->where);
        }
    }

    return ollama_config_copy(ctx, label);
}
