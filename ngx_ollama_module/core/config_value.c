
#include "config_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>


static int ollama_config_yaml_error(ollama_config_ctx_t *ctx);
static int ollama_config_vfail(ollama_config_ctx_t *ctx,
    const ollama_config_mark_t *mark, const char *fmt, va_list args);


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


int
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


int
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


int
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


int
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


int
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


int
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


size_t
ollama_config_thousandths(const char *value, size_t len, uint64_t *n)
{
    size_t    i;
    uint64_t  unit;

    *n = 0;

    for (i = 0; i < len && i < 10 && value[i] >= '0' && value[i] <= '9'; i++) {
        *n = *n * 10 + (uint64_t) (value[i] - '0');
    }

    *n *= 1000;

    if (i == 0 || i + 1 >= len || value[i] != '.' || value[i + 1] < '0'
        || value[i + 1] > '9')
    {
        return i;
    }

    unit = 1000;

    for (i++; i < len && value[i] >= '0' && value[i] <= '9'; i++) {

        unit /= 10;

        if (unit == 0 && value[i] != '0') {
            break;
        }

        *n += (uint64_t) (value[i] - '0') * unit;
    }

    return i;
}


int
ollama_config_date(const char *value, size_t len, int64_t *when)
{
    int      year, month, day;
    size_t   i;
    int64_t  days;

    static const int  lengths[] =
        { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

    if (len != 10 || value[4] != '-' || value[7] != '-') {
        return -1;
    }

    for (i = 0; i < len; i++) {
        if (i != 4 && i != 7 && (value[i] < '0' || value[i] > '9')) {
            return -1;
        }
    }

    year = atoi(value);
    month = atoi(value + 5);
    day = atoi(value + 8);

    if (year < 1970 || month < 1 || month > 12 || day < 1
        || day > lengths[month - 1]
                 + (month == 2 && year % 4 == 0
                    && (year % 100 != 0 || year % 400 == 0)))
    {
        return -1;
    }

    /* days by a calendar in which a year begins with March */

    year -= (month <= 2);
    days = 365 * (int64_t) year + year / 4 - year / 100 + year / 400
           + (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
           - 719468;

    *when = days * 86400;

    return 0;
}


/* from the mapping's start to its end */

int
ollama_config_fields(ollama_config_ctx_t *ctx,
    const ollama_config_field_t *fields)
{
    char      known[320];
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


int
ollama_config_here(ollama_config_ctx_t *ctx, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    (void) ollama_config_vfail(ctx, &ctx->mark, fmt, args);
    va_end(args);

    return -1;
}


int
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


int
ollama_config_memory(ollama_config_ctx_t *ctx)
{
    return ollama_config_here(ctx, "there is not enough memory");
}
