
#include "config_internal.h"

#include <stdlib.h>
#include <string.h>


static int ollama_config_file(ollama_config_ctx_t *ctx);
static int ollama_config_keys(ollama_config_ctx_t *ctx);
static int ollama_config_auth_token(ollama_config_ctx_t *ctx);
static int ollama_config_admin_token(ollama_config_ctx_t *ctx);
static int ollama_config_metrics_token(ollama_config_ctx_t *ctx);
static int ollama_config_read_token(ollama_config_ctx_t *ctx,
    const char *field, char **token);
static int ollama_config_open_access(ollama_config_ctx_t *ctx);
static void ollama_config_wipe(char *s);


static const ollama_config_field_t  ollama_config_top[] = {
    { "keys", ollama_config_keys },
    { "auth_token", ollama_config_auth_token },
    { "admin_token", ollama_config_admin_token },
    { "metrics_token", ollama_config_metrics_token },
    { "allow_unauthenticated_access", ollama_config_open_access },
    { "models", ollama_config_models },
    { "clients", ollama_config_clients },
    { "prices", ollama_config_prices },
    { NULL, NULL }
};


int
ollama_config_parse(ollama_config_t *conf, const unsigned char *data,
    size_t len, char *err, size_t err_size)
{
    int                  rc;
    ollama_config_ctx_t  ctx;

    memset(conf, 0, sizeof(ollama_config_t));
    conf->allow_unauthenticated = -1;

    memset(&ctx, 0, sizeof(ctx));

    ctx.conf = conf;
    ctx.data = data;
    ctx.len = len;
    ctx.err = err;
    ctx.err_size = err_size;
    ctx.mark.line = 1;
    ctx.mark.column = 1;

    if (len > OLLAMA_CONFIG_BYTES_MAX) {
        return ollama_config_here(&ctx, "the file is too large");
    }

    if (!yaml_parser_initialize(&ctx.parser)) {
        return ollama_config_memory(&ctx);
    }

    yaml_parser_set_input_string(&ctx.parser, data, len);

    rc = ollama_config_file(&ctx);

    if (rc == 0) {
        rc = ollama_config_check(&ctx);
    }

    if (rc == 0) {
        rc = ollama_config_clients_check(&ctx);
    }

    if (ctx.have_event) {
        yaml_event_delete(&ctx.event);
    }

    yaml_parser_delete(&ctx.parser);
    free(ctx.marks);

    if (rc != 0) {
        ollama_config_free(conf);
    }

    return rc;
}


void
ollama_config_free(ollama_config_t *conf)
{
    size_t  i;

    for (i = 0; i < conf->nkeys; i++) {
        ollama_config_wipe(conf->keys[i].key);
        ollama_config_wipe(conf->keys[i].name);
        ollama_config_wipe(conf->keys[i].account);
    }

    ollama_config_models_free(conf->models.first_tokens,
                              conf->models.nfirst_tokens);
    ollama_config_models_free(conf->models.allow, conf->models.nallow);
    ollama_config_models_free(conf->models.deny, conf->models.ndeny);
    ollama_config_clients_free(conf->clients, conf->nclients);
    ollama_prices_free(conf->prices);
    free(conf->keys);
    ollama_config_wipe(conf->auth_token);
    ollama_config_wipe(conf->admin_token);
    ollama_config_wipe(conf->metrics_token);

    memset(conf, 0, sizeof(ollama_config_t));
    conf->allow_unauthenticated = -1;
}


static int
ollama_config_file(ollama_config_ctx_t *ctx)
{
    /* the stream's start, and the document's, if there is one */

    if (ollama_config_next(ctx) != 0 || ollama_config_next(ctx) != 0) {
        return -1;
    }

    if (ctx->event.type == YAML_DOCUMENT_START_EVENT) {

        if (ollama_config_next(ctx) != 0) {
            return -1;
        }

        if (ctx->event.type == YAML_MAPPING_START_EVENT) {

            if (ollama_config_fields(ctx, ollama_config_top) != 0) {
                return -1;
            }

        } else if (!ollama_config_null(ctx)) {
            return ollama_config_here(ctx, "at its top the file must have the "
                                      "field \"keys\", with the list of keys "
                                      "below it");
        }

        /* the document's end, and what follows */

        if (ollama_config_next(ctx) != 0 || ollama_config_next(ctx) != 0) {
            return -1;
        }

        if (ctx->event.type != YAML_STREAM_END_EVENT) {
            return ollama_config_here(ctx, "a second document begins; the file "
                                      "must be a single one");
        }
    }

    if (ctx->conf->nkeys == 0) {
        ctx->mark.line = 1;
        ctx->mark.column = 1;

        return ollama_config_here(ctx, "no keys: list at least one below "
                                  "\"keys:\"");
    }

    return 0;
}


static int
ollama_config_keys(ollama_config_ctx_t *ctx)
{
    if (ctx->event.type == YAML_SEQUENCE_START_EVENT) {

        for ( ;; ) {

            if (ollama_config_next(ctx) != 0) {
                return -1;
            }

            if (ctx->event.type == YAML_SEQUENCE_END_EVENT) {
                break;
            }

            if (ollama_config_entry(ctx) != 0) {
                return -1;
            }
        }

    } else if (!ollama_config_null(ctx)) {
        return ollama_config_here(ctx, "\"keys\" must be a list");
    }

    ctx->where[0] = '\0';

    if (ctx->conf->nkeys == 0) {
        return ollama_config_here(ctx, "no keys: the list of keys is empty");
    }

    return 0;
}


static int
ollama_config_auth_token(ollama_config_ctx_t *ctx)
{
    return ollama_config_read_token(ctx, "auth_token", &ctx->conf->auth_token);
}


static int
ollama_config_admin_token(ollama_config_ctx_t *ctx)
{
    return ollama_config_read_token(ctx, "admin_token",
                                    &ctx->conf->admin_token);
}


static int
ollama_config_metrics_token(ollama_config_ctx_t *ctx)
{
    return ollama_config_read_token(ctx, "metrics_token",
                                    &ctx->conf->metrics_token);
}


static int
ollama_config_read_token(ollama_config_ctx_t *ctx, const char *field,
    char **token)
{
    if (ollama_config_scalar(ctx, field) != 0) {
        return -1;
    }

    if (!ollama_config_token((char *) ctx->event.data.scalar.value,
                             ctx->event.data.scalar.length))
    {
        return ollama_config_here(ctx, "\"%s\" must consist of printable "
                                  "characters without spaces, %d at most",
                                  field, OLLAMA_CONFIG_TOKEN_MAX);
    }

    return ollama_config_copy(ctx, token);
}


static int
ollama_config_open_access(ollama_config_ctx_t *ctx)
{
    int  value;

    value = ollama_config_flag(ctx, "allow_unauthenticated_access");

    if (value == -1) {
        return -1;
    }

    ctx->conf->allow_unauthenticated = value;

    return 0;
}


static void
ollama_config_wipe(char *s)
{
    if (s != NULL) {
        explicit_bzero(s, strlen(s));
        free(s);
    }
}
