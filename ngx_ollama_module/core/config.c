
#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>


#define OLLAMA_CONFIG_HEX_RUN  32   /* so many hex digits look like a key */
#define OLLAMA_CONFIG_FOUND    8    /* a key so long is looked for in names */


typedef struct {
    size_t                   line;
    size_t                   column;
} ollama_config_mark_t;


typedef struct {
    ollama_config_mark_t     key;
    ollama_config_mark_t     name;
    ollama_config_mark_t     account;
} ollama_config_marks_t;


typedef struct {
    yaml_parser_t            parser;
    yaml_event_t             event;
    ollama_config_mark_t     mark;      /* of the event */

    ollama_config_t         *conf;
    ollama_config_marks_t   *marks;     /* one for each key */
    size_t                   nalloc;

    const unsigned char     *data;
    size_t                   len;

    char                    *err;
    size_t                   err_size;

    char                     where[32]; /* " of keys[N]", or nothing */
    unsigned                 have_event:1;
} ollama_config_ctx_t;


typedef struct {
    const char  *name;
    int        (*read)(ollama_config_ctx_t *ctx);
} ollama_config_field_t;


static int ollama_config_file(ollama_config_ctx_t *ctx);
static int ollama_config_fields(ollama_config_ctx_t *ctx,
    const ollama_config_field_t *fields);
static int ollama_config_keys(ollama_config_ctx_t *ctx);
static int ollama_config_object(ollama_config_ctx_t *ctx);
static int ollama_config_auth_token(ollama_config_ctx_t *ctx);
static int ollama_config_open_access(ollama_config_ctx_t *ctx);
static int ollama_config_key(ollama_config_ctx_t *ctx);
static int ollama_config_name(ollama_config_ctx_t *ctx);
static int ollama_config_account(ollama_config_ctx_t *ctx);
static int ollama_config_max_concurrent(ollama_config_ctx_t *ctx);
static int ollama_config_weight(ollama_config_ctx_t *ctx);
static int ollama_config_enabled(ollama_config_ctx_t *ctx);
static int ollama_config_label(ollama_config_ctx_t *ctx, const char *field,
    char **label);
static int ollama_config_number(ollama_config_ctx_t *ctx, const char *field,
    uint32_t *n);
static int ollama_config_flag(ollama_config_ctx_t *ctx, const char *field);
static int ollama_config_scalar(ollama_config_ctx_t *ctx, const char *field);
static int ollama_config_null(ollama_config_ctx_t *ctx);
static int ollama_config_copy(ollama_config_ctx_t *ctx, char **to);
static int ollama_config_add(ollama_config_ctx_t *ctx);
static int ollama_config_default_names(ollama_config_ctx_t *ctx);
static int ollama_config_check_keys(ollama_config_ctx_t *ctx);
static int ollama_config_check_labels(ollama_config_ctx_t *ctx,
    const ollama_config_key_t **sorted);
static int ollama_config_check_names(ollama_config_ctx_t *ctx,
    const ollama_config_key_t **sorted);
static int ollama_config_check_fingerprints(ollama_config_ctx_t *ctx,
    const ollama_config_key_t **sorted);
static int ollama_config_by_key(const void *one, const void *two);
static int ollama_config_by_name(const void *one, const void *two);
static int ollama_config_by_fingerprint(const void *one, const void *two);
static int ollama_config_find(const void *label, const void *key);
static int ollama_config_next(ollama_config_ctx_t *ctx);
static int ollama_config_yaml_error(ollama_config_ctx_t *ctx);
static int ollama_config_here(ollama_config_ctx_t *ctx, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static int ollama_config_fail(ollama_config_ctx_t *ctx,
    const ollama_config_mark_t *mark, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static int ollama_config_vfail(ollama_config_ctx_t *ctx,
    const ollama_config_mark_t *mark, const char *fmt, va_list args);
static int ollama_config_memory(ollama_config_ctx_t *ctx);
static void ollama_config_wipe(char *s);


static const ollama_config_field_t  ollama_config_top[] = {
    { "keys", ollama_config_keys },
    { "auth_token", ollama_config_auth_token },
    { "allow_unauthenticated_access", ollama_config_open_access },
    { NULL, NULL }
};


static const ollama_config_field_t  ollama_config_key_fields[] = {
    { "key", ollama_config_key },
    { "name", ollama_config_name },
    { "account", ollama_config_account },
    { "max_concurrent", ollama_config_max_concurrent },
    { "weight", ollama_config_weight },
    { "enabled", ollama_config_enabled },
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
        rc = ollama_config_default_names(&ctx);
    }

    if (rc == 0) {
        rc = ollama_config_check_keys(&ctx);
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

    free(conf->keys);
    ollama_config_wipe(conf->auth_token);

    memset(conf, 0, sizeof(ollama_config_t));
    conf->allow_unauthenticated = -1;
}


int
ollama_config_bool(const char *value, size_t len)
{
    size_t  i;

    static const struct {
        const char  *word;
        int          value;
    } words[] = {
        { "true", 1 }, { "yes", 1 }, { "on", 1 }, { "1", 1 },
        { "false", 0 }, { "no", 0 }, { "off", 0 }, { "0", 0 }
    };

    for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {

        if (len == strlen(words[i].word)
            && strncasecmp(value, words[i].word, len) == 0)
        {
            return words[i].value;
        }
    }

    return -1;
}


int
ollama_config_token(const char *value, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        if ((unsigned char) value[i] <= ' ' || value[i] == 0x7f) {
            return 0;
        }
    }

    return len > 0 && len <= OLLAMA_CONFIG_TOKEN_MAX;
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


/* from the mapping's start to its end */

static int
ollama_config_fields(ollama_config_ctx_t *ctx,
    const ollama_config_field_t *fields)
{
    char      known[160];
    size_t    i, used;
    unsigned  seen;

    seen = 0;

    for ( ;; ) {

        if (ollama_config_next(ctx) != 0) {
            return -1;
        }

        if (ctx->event.type == YAML_MAPPING_END_EVENT) {
            return 0;
        }

        i = 0;

        if (ctx->event.type == YAML_SCALAR_EVENT) {

            while (fields[i].name != NULL
                   && (ctx->event.data.scalar.length
                       != strlen(fields[i].name)
                       || memcmp(ctx->event.data.scalar.value,
                                 fields[i].name,
                                 ctx->event.data.scalar.length) != 0))
            {
                i++;
            }
        }

        if (ctx->event.type != YAML_SCALAR_EVENT || fields[i].name == NULL) {

            used = 0;

            for (i = 0; fields[i].name != NULL; i++) {
                used += snprintf(known + used, sizeof(known) - used, "%s%s",
                                 i ? ", " : "", fields[i].name);
            }

            return ollama_config_here(ctx, "unknown field%s; known are %s",
                                      ctx->where, known);
        }

        if (seen & 1u << i) {
            return ollama_config_here(ctx, "\"%s\"%s is given twice",
                                      fields[i].name, ctx->where);
        }

        seen |= 1u << i;

        if (ollama_config_next(ctx) != 0 || fields[i].read(ctx) != 0) {
            return -1;
        }
    }
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

            if (ollama_config_add(ctx) != 0) {
                return -1;
            }

            snprintf(ctx->where, sizeof(ctx->where), " of keys[%zu]",
                     ctx->conf->nkeys - 1);

            if (ctx->event.type == YAML_MAPPING_START_EVENT) {

                if (ollama_config_object(ctx) != 0) {
                    return -1;
                }

            } else if (ctx->event.type != YAML_SCALAR_EVENT) {
                return ollama_config_here(ctx, "keys[%zu] must be a key or an "
                                          "object with the field \"key\"",
                                          ctx->conf->nkeys - 1);

            } else if (ollama_config_key(ctx) != 0) {
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
ollama_config_auth_token(ollama_config_ctx_t *ctx)
{
    if (ollama_config_scalar(ctx, "auth_token") != 0) {
        return -1;
    }

    if (!ollama_config_token((char *) ctx->event.data.scalar.value,
                             ctx->event.data.scalar.length))
    {
        return ollama_config_here(ctx, "\"auth_token\" must consist of "
                                  "printable characters without spaces, %d "
                                  "at most", OLLAMA_CONFIG_TOKEN_MAX);
    }

    return ollama_config_copy(ctx, &ctx->conf->auth_token);
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


/* a name or an account: seen by people, so that a key must not slip into it */

static int
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


static int
ollama_config_number(ollama_config_ctx_t *ctx, const char *field, uint32_t *n)
{
    size_t       i, len;
    const char  *value;

    if (ollama_config_scalar(ctx, field) != 0) {
        return -1;
    }

    value = (char *) ctx->event.data.scalar.value;
    len = ctx->event.data.scalar.length;

    *n = 0;

    for (i = 0; i < len && value[i] >= '0' && value[i] <= '9'; i++) {

        *n = *n * 10 + (uint32_t) (value[i] - '0');

        if (*n > OLLAMA_CONFIG_NUMBER_MAX) {
            break;
        }
    }

    if (i < len || *n == 0) {
        return ollama_config_here(ctx, "\"%s\"%s must be a whole number from "
                                  "1 to %d", field, ctx->where,
                                  OLLAMA_CONFIG_NUMBER_MAX);
    }

    return 0;
}


static int
ollama_config_flag(ollama_config_ctx_t *ctx, const char *field)
{
    int  value;

    if (ollama_config_scalar(ctx, field) != 0) {
        return -1;
    }

    value = ollama_config_bool((char *) ctx->event.data.scalar.value,
                               ctx->event.data.scalar.length);

    if (value == -1) {
        return ollama_config_here(ctx, "\"%s\"%s must be true or false", field,
                                  ctx->where);
    }

    return value;
}


static int
ollama_config_scalar(ollama_config_ctx_t *ctx, const char *field)
{
    if (ctx->event.type != YAML_SCALAR_EVENT) {
        return ollama_config_here(ctx, "\"%s\"%s must be a single value, not "
                                  "a list or an object", field, ctx->where);
    }

    if (ctx->event.data.scalar.length == 0 || ollama_config_null(ctx)) {
        return ollama_config_here(ctx, "\"%s\"%s is empty", field, ctx->where);
    }

    return 0;
}


static int
ollama_config_null(ollama_config_ctx_t *ctx)
{
    const char  *value;

    if (ctx->event.type != YAML_SCALAR_EVENT
        || ctx->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
    {
        return 0;
    }

    value = (char *) ctx->event.data.scalar.value;

    return ctx->event.data.scalar.length == 0 || strcmp(value, "~") == 0
           || strcmp(value, "null") == 0 || strcmp(value, "Null") == 0
           || strcmp(value, "NULL") == 0;
}


static int
ollama_config_copy(ollama_config_ctx_t *ctx, char **to)
{
    size_t  len;

    len = ctx->event.data.scalar.length;

    *to = malloc(len + 1);

    if (*to == NULL) {
        return ollama_config_memory(ctx);
    }

    memcpy(*to, ctx->event.data.scalar.value, len);
    (*to)[len] = '\0';

    return 0;
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
ollama_config_default_names(ollama_config_ctx_t *ctx)
{
    char                  name[32];
    size_t                i;
    ollama_config_key_t  *key;

    for (i = 0; i < ctx->conf->nkeys; i++) {

        key = &ctx->conf->keys[i];

        if (key->name != NULL) {
            continue;
        }

        snprintf(name, sizeof(name), "key_%zu", i);

        key->name = strdup(name);

        if (key->name == NULL) {
            return ollama_config_memory(ctx);
        }
    }

    return 0;
}


/* what can be said of the keys only when all are there */

static int
ollama_config_check_keys(ollama_config_ctx_t *ctx)
{
    int                          rc;
    size_t                       i, n, first, second;
    const ollama_config_key_t  **sorted;

    n = ctx->conf->nkeys;

    sorted = malloc(n * sizeof(ollama_config_key_t *));
    if (sorted == NULL) {
        return ollama_config_memory(ctx);
    }

    for (i = 0; i < n; i++) {
        sorted[i] = &ctx->conf->keys[i];
    }

    qsort(sorted, n, sizeof(sorted[0]), ollama_config_by_key);

    rc = 0;

    for (i = 1; i < n; i++) {

        if (strcmp(sorted[i - 1]->key, sorted[i]->key) == 0) {
            first = sorted[i - 1] - ctx->conf->keys;
            second = sorted[i] - ctx->conf->keys;

            rc = ollama_config_fail(ctx, &ctx->marks[second].key, "keys[%zu] "
                                    "is the same key as keys[%zu] in line %zu",
                                    second, first, ctx->marks[first].key.line);
            break;
        }
    }

    if (rc == 0) {
        rc = ollama_config_check_labels(ctx, sorted);
    }

    if (rc == 0) {
        rc = ollama_config_check_names(ctx, sorted);
    }

    if (rc == 0) {
        rc = ollama_config_check_fingerprints(ctx, sorted);
    }

    free(sorted);

    return rc;
}


/* no name or account that is a key, or has its own key in it */

static int
ollama_config_check_labels(ollama_config_ctx_t *ctx,
    const ollama_config_key_t **sorted)
{
    size_t                  i, n, field;
    const char             *label;
    ollama_config_key_t    *key;
    ollama_config_marks_t  *marks;

    n = ctx->conf->nkeys;

    for (i = 0; i < n; i++) {

        key = &ctx->conf->keys[i];
        marks = &ctx->marks[i];

        for (field = 0; field < 2; field++) {

            if (field == 0) {
                label = marks->name.line ? key->name : NULL;

            } else {
                label = key->account;
            }

            if (label != NULL
                && ((key->key_len >= OLLAMA_CONFIG_FOUND
                     && strstr(label, key->key) != NULL)
                    || bsearch(label, sorted, n, sizeof(sorted[0]),
                               ollama_config_find) != NULL))
            {
                return ollama_config_fail(ctx, field ? &marks->account
                                                     : &marks->name,
                                          "\"%s\" of keys[%zu] holds a key, "
                                          "and would be shown to people",
                                          field ? "account" : "name", i);
            }
        }
    }

    return 0;
}


static int
ollama_config_check_names(ollama_config_ctx_t *ctx,
    const ollama_config_key_t **sorted)
{
    size_t  i, first, second;

    qsort(sorted, ctx->conf->nkeys, sizeof(sorted[0]), ollama_config_by_name);

    for (i = 1; i < ctx->conf->nkeys; i++) {

        if (strcmp(sorted[i - 1]->name, sorted[i]->name) != 0) {
            continue;
        }

        first = sorted[i - 1] - ctx->conf->keys;
        second = sorted[i] - ctx->conf->keys;

        /* one of them at least has been given, that one can be changed */

        if (ctx->marks[second].name.line == 0) {
            return ollama_config_fail(ctx, &ctx->marks[first].name, "keys[%zu] "
                                      "has the name that keys[%zu] in line %zu "
                                      "gets by its position", first, second,
                                      ctx->marks[second].key.line);
        }

        if (ctx->marks[first].name.line == 0) {
            return ollama_config_fail(ctx, &ctx->marks[second].name,
                                      "keys[%zu] has the name that keys[%zu] "
                                      "in line %zu gets by its position",
                                      second, first,
                                      ctx->marks[first].key.line);
        }

        return ollama_config_fail(ctx, &ctx->marks[second].name, "keys[%zu] "
                                  "has the same name as keys[%zu] in line %zu",
                                  second, first, ctx->marks[first].name.line);
    }

    return 0;
}


static int
ollama_config_check_fingerprints(ollama_config_ctx_t *ctx,
    const ollama_config_key_t **sorted)
{
    size_t  i, first, second;

    qsort(sorted, ctx->conf->nkeys, sizeof(sorted[0]),
          ollama_config_by_fingerprint);

    for (i = 1; i < ctx->conf->nkeys; i++) {

        if (strcmp(sorted[i - 1]->fingerprint, sorted[i]->fingerprint) == 0) {
            first = sorted[i - 1] - ctx->conf->keys;
            second = sorted[i] - ctx->conf->keys;

            return ollama_config_fail(ctx, &ctx->marks[second].key, "keys[%zu] "
                                      "has, by chance, the fingerprint of "
                                      "keys[%zu] in line %zu; leave one of "
                                      "them out", second, first,
                                      ctx->marks[first].key.line);
        }
    }

    return 0;
}


/* equal ones by position, so that the later one is complained about */

static int
ollama_config_by_key(const void *one, const void *two)
{
    int                         rc;
    const ollama_config_key_t  *a, *b;

    a = *(const ollama_config_key_t * const *) one;
    b = *(const ollama_config_key_t * const *) two;

    rc = strcmp(a->key, b->key);

    return rc ? rc : (a > b) - (a < b);
}


static int
ollama_config_by_name(const void *one, const void *two)
{
    int                         rc;
    const ollama_config_key_t  *a, *b;

    a = *(const ollama_config_key_t * const *) one;
    b = *(const ollama_config_key_t * const *) two;

    rc = strcmp(a->name, b->name);

    return rc ? rc : (a > b) - (a < b);
}


static int
ollama_config_by_fingerprint(const void *one, const void *two)
{
    int                         rc;
    const ollama_config_key_t  *a, *b;

    a = *(const ollama_config_key_t * const *) one;
    b = *(const ollama_config_key_t * const *) two;

    rc = strcmp(a->fingerprint, b->fingerprint);

    return rc ? rc : (a > b) - (a < b);
}


static int
ollama_config_find(const void *label, const void *key)
{
    return strcmp(label, (*(const ollama_config_key_t * const *) key)->key);
}


static int
ollama_config_next(ollama_config_ctx_t *ctx)
{
    const void  *anchor, *tag;

    if (ctx->have_event) {
        yaml_event_delete(&ctx->event);
        ctx->have_event = 0;
    }

    if (!yaml_parser_parse(&ctx->parser, &ctx->event)) {
        return ollama_config_yaml_error(ctx);
    }

    ctx->have_event = 1;
    ctx->mark.line = ctx->event.start_mark.line + 1;
    ctx->mark.column = ctx->event.start_mark.column + 1;

    anchor = NULL;
    tag = NULL;

    switch (ctx->event.type) {

    case YAML_ALIAS_EVENT:
        anchor = ctx->event.data.alias.anchor;
        break;

    case YAML_SCALAR_EVENT:
        anchor = ctx->event.data.scalar.anchor;
        tag = ctx->event.data.scalar.tag;
        break;

    case YAML_SEQUENCE_START_EVENT:
        anchor = ctx->event.data.sequence_start.anchor;
        tag = ctx->event.data.sequence_start.tag;
        break;

    case YAML_MAPPING_START_EVENT:
        anchor = ctx->event.data.mapping_start.anchor;
        tag = ctx->event.data.mapping_start.tag;
        break;

    default:
        break;
    }

    if (anchor != NULL) {
        return ollama_config_here(ctx, "anchors (\"&\") and aliases (\"*\") "
                                  "cannot be used here; quote the value if it "
                                  "is meant");
    }

    if (tag != NULL) {
        return ollama_config_here(ctx, "tags (\"!\") cannot be used here; "
                                  "quote the value if it is meant");
    }

    return 0;
}


/* libyaml describes problems in constant words, without the text it has read */

static int
ollama_config_yaml_error(ollama_config_ctx_t *ctx)
{
    size_t                i;
    yaml_parser_t        *parser;
    ollama_config_mark_t  mark;

    parser = &ctx->parser;

    if (parser->error == YAML_MEMORY_ERROR) {
        return ollama_config_memory(ctx);
    }

    if (parser->error == YAML_READER_ERROR) {

        /* there is no mark, but the place in the file */

        mark.line = 1;
        mark.column = 1;

        for (i = 0; i < parser->problem_offset && i < ctx->len; i++) {
            mark.column++;

            if (ctx->data[i] == '\n') {
                mark.line++;
                mark.column = 1;
            }
        }

    } else {
        mark.line = parser->problem_mark.line + 1;
        mark.column = parser->problem_mark.column + 1;
    }

    return ollama_config_fail(ctx, &mark, "bad YAML: %s%s%s",
                              parser->context ? parser->context : "",
                              parser->context ? ", " : "",
                              parser->problem ? parser->problem
                                              : "it cannot be read");
}


static int
ollama_config_here(ollama_config_ctx_t *ctx, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    (void) ollama_config_vfail(ctx, &ctx->mark, fmt, args);
    va_end(args);

    return -1;
}


static int
ollama_config_fail(ollama_config_ctx_t *ctx, const ollama_config_mark_t *mark,
    const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    (void) ollama_config_vfail(ctx, mark, fmt, args);
    va_end(args);

    return -1;
}


static int
ollama_config_vfail(ollama_config_ctx_t *ctx, const ollama_config_mark_t *mark,
    const char *fmt, va_list args)
{
    int  n;

    n = snprintf(ctx->err, ctx->err_size, "line %zu, column %zu: ",
                 mark->line, mark->column);

    if (n >= 0 && (size_t) n < ctx->err_size) {
        (void) vsnprintf(ctx->err + n, ctx->err_size - n, fmt, args);
    }

    return -1;
}


static int
ollama_config_memory(ollama_config_ctx_t *ctx)
{
    return ollama_config_here(ctx, "there is not enough memory");
}


static void
ollama_config_wipe(char *s)
{
    if (s != NULL) {
        explicit_bzero(s, strlen(s));
        free(s);
    }
}
