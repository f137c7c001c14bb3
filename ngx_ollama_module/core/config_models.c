
#include "config_internal.h"
#include "request.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>


#define OLLAMA_CONFIG_DAY  86400000u


static int ollama_config_first_token(ollama_config_ctx_t *ctx);
static int ollama_config_allow(ollama_config_ctx_t *ctx);
static int ollama_config_deny(ollama_config_ctx_t *ctx);
static int ollama_config_subject(ollama_config_ctx_t *ctx,
    const char *subject, ollama_config_model_t **models, size_t *n,
    int (*read)(ollama_config_ctx_t *ctx, ollama_config_model_t *model));
static int ollama_config_model_add(ollama_config_ctx_t *ctx,
    const char *subject, ollama_config_model_t **models, size_t *n);
static int ollama_config_model_time(ollama_config_ctx_t *ctx,
    ollama_config_model_t *model);
static int ollama_config_time(const char *value, size_t len, uint32_t *ms);


static const ollama_config_field_t  ollama_config_subjects[] = {
    { "first_token", ollama_config_first_token },
    { "allow", ollama_config_allow },
    { "deny", ollama_config_deny },
    { NULL, NULL }
};


const ollama_config_model_t *
ollama_config_model(const ollama_config_model_t *models, size_t n,
    const char *model, size_t len)
{
    size_t                        i;
    const ollama_config_model_t  *m, *best;

    best = NULL;

    for (i = 0; i < n; i++) {
        m = &models[i];

        if (len < m->len
            || (!m->begins && len != m->len)
            || memcmp(model, m->name, m->len) != 0)
        {
            continue;
        }

        if (!m->begins) {
            return m;
        }

        if (best == NULL || m->len > best->len) {
            best = m;
        }
    }

    return best;
}


int
ollama_config_served(const ollama_config_models_t *models, const char *model,
    size_t len)
{
    if (models->ndeny
        && ollama_config_model(models->deny, models->ndeny, model, len))
    {
        return 0;
    }

    return models->nallow == 0
           || ollama_config_model(models->allow, models->nallow, model, len)
              != NULL;
}


int
ollama_config_models(ollama_config_ctx_t *ctx)
{
    if (ollama_config_null(ctx)) {
        return 0;
    }

    if (ctx->event.type != YAML_MAPPING_START_EVENT) {
        return ollama_config_here(ctx, "\"models\" must be an object of "
                                  "subjects, such as \"first_token\"");
    }

    strcpy(ctx->where, " of models");

    if (ollama_config_fields(ctx, ollama_config_subjects) != 0) {
        return -1;
    }

    ctx->where[0] = '\0';

    return 0;
}


static int
ollama_config_first_token(ollama_config_ctx_t *ctx)
{
    return ollama_config_subject(ctx, "first_token",
                                 &ctx->conf->models.first_tokens,
                                 &ctx->conf->models.nfirst_tokens,
                                 ollama_config_model_time);
}


static int
ollama_config_allow(ollama_config_ctx_t *ctx)
{
    return ollama_config_patterns(ctx, "allow", &ctx->conf->models.allow,
                                  &ctx->conf->models.nallow);
}


static int
ollama_config_deny(ollama_config_ctx_t *ctx)
{
    return ollama_config_patterns(ctx, "deny", &ctx->conf->models.deny,
                                  &ctx->conf->models.ndeny);
}


static int
ollama_config_subject(ollama_config_ctx_t *ctx, const char *subject,
    ollama_config_model_t **models, size_t *n,
    int (*read)(ollama_config_ctx_t *ctx, ollama_config_model_t *model))
{
    if (ollama_config_null(ctx)) {
        return 0;
    }

    if (ctx->event.type != YAML_MAPPING_START_EVENT) {
        return ollama_config_here(ctx, "\"%s\"%s must be an object: a model's "
                                  "name, or the beginning of names and "
                                  "\"*\", and its value", subject, ctx->where);
    }

    for ( ;; ) {

        if (ollama_config_next(ctx) != 0) {
            return -1;
        }

        if (ctx->event.type == YAML_MAPPING_END_EVENT) {
            return 0;
        }

        if (ollama_config_model_add(ctx, subject, models, n) != 0
            || ollama_config_next(ctx) != 0
            || read(ctx, &(*models)[*n - 1]) != 0)
        {
            return -1;
        }
    }
}


int
ollama_config_patterns(ollama_config_ctx_t *ctx, const char *field,
    ollama_config_model_t **models, size_t *n)
{
    if (ctx->event.type != YAML_SEQUENCE_START_EVENT) {
        return ollama_config_here(ctx, "\"%s\"%s must be a list of models, "
                                  "such as [gpt-oss:20b, kimi-*]", field,
                                  ctx->where);
    }

    for ( ;; ) {

        if (ollama_config_next(ctx) != 0) {
            return -1;
        }

        if (ctx->event.type == YAML_SEQUENCE_END_EVENT) {
            break;
        }

        if (ollama_config_model_add(ctx, field, models, n) != 0) {
            return -1;
        }
    }

    if (*n == 0) {
        return ollama_config_here(ctx, "\"%s\"%s is empty: leave it out%s",
                                  field, ctx->where,
                                  strcmp(field, "deny") ? " for all" : "");
    }

    return 0;
}


void
ollama_config_models_free(ollama_config_model_t *models, size_t n)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        free(models[i].name);
    }

    free(models);
}


static int
ollama_config_model_add(ollama_config_ctx_t *ctx, const char *subject,
    ollama_config_model_t **models, size_t *n)
{
    void                   *p;
    size_t                  i, len;
    const char             *name;
    ollama_config_model_t  *m;

    if (ctx->event.type != YAML_SCALAR_EVENT) {
        return ollama_config_here(ctx, "\"%s\"%s must have names of models, "
                                  "one a line", subject, ctx->where);
    }

    name = (char *) ctx->event.data.scalar.value;
    len = ctx->event.data.scalar.length;

    for (i = 0; i < len; i++) {
        if ((unsigned char) name[i] <= ' ' || name[i] == 0x7f
            || (name[i] == '*' && i < len - 1))
        {
            break;
        }
    }

    if (i < len || len == 0 || len > OLLAMA_CONFIG_MODEL_MAX) {
        return ollama_config_here(ctx, "a name in \"%s\"%s must be a model: 1 "
                                  "to %d characters without spaces, \"*\" "
                                  "only at the end", subject, ctx->where,
                                  OLLAMA_CONFIG_MODEL_MAX);
    }

    if (*n == OLLAMA_CONFIG_MODELS_MAX) {
        return ollama_config_here(ctx, "\"%s\"%s has more than %d models",
                                  subject, ctx->where,
                                  OLLAMA_CONFIG_MODELS_MAX);
    }

    if ((*n & (*n - 1)) == 0) {

        /* full at 1, 2, 4 .. */

        p = realloc(*models, (*n ? 2 * *n : 1) * sizeof(*m));
        if (p == NULL) {
            return ollama_config_memory(ctx);
        }

        *models = p;
    }

    m = &(*models)[*n];
    memset(m, 0, sizeof(*m));

    if (name[len - 1] == '*') {
        m->begins = 1;
        len--;

    } else {
        len = ollama_model_strip(name, len);
    }

    for (i = 0; i < *n; i++) {
        if ((*models)[i].len == len && (*models)[i].begins == m->begins
            && memcmp((*models)[i].name, name, len) == 0)
        {
            return ollama_config_here(ctx, "the same model is given twice in "
                                      "\"%s\"%s", subject, ctx->where);
        }
    }

    if (ollama_config_copy(ctx, &m->name) != 0) {
        return -1;
    }

    m->len = len;
    (*n)++;

    return 0;
}


static int
ollama_config_model_time(ollama_config_ctx_t *ctx,
    ollama_config_model_t *model)
{
    if (ollama_config_scalar(ctx, "first_token") != 0) {
        return -1;
    }

    if (ollama_config_time((char *) ctx->event.data.scalar.value,
                           ctx->event.data.scalar.length, &model->ms) != 0)
    {
        return ollama_config_here(ctx, "a value in \"first_token\"%s must be "
                                  "a time, for example \"120s\", \"500ms\" or "
                                  "\"2m\", a day at most, or \"off\"",
                                  ctx->where);
    }

    return 0;
}


static int
ollama_config_time(const char *value, size_t len, uint32_t *ms)
{
    size_t    i;
    uint64_t  n;

    if (len == 3 && strncasecmp(value, "off", 3) == 0) {
        *ms = 0;
        return 0;
    }

    n = 0;

    for (i = 0; i < len && value[i] >= '0' && value[i] <= '9'; i++) {

        n = n * 10 + (uint64_t) (value[i] - '0');

        if (n > OLLAMA_CONFIG_DAY) {
            return -1;
        }
    }

    if (i == 0) {
        return -1;
    }

    value += i;
    len -= i;

    if (len == 0 || (len == 1 && value[0] == 's')) {
        n *= 1000;

    } else if (len == 1 && value[0] == 'm') {
        n *= 60 * 1000;

    } else if (len == 1 && value[0] == 'h') {
        n *= 60 * 60 * 1000;

    } else if (len != 2 || memcmp(value, "ms", 2) != 0) {
        return -1;
    }

    if (n > OLLAMA_CONFIG_DAY) {
        return -1;
    }

    *ms = (uint32_t) n;

    return 0;
}
