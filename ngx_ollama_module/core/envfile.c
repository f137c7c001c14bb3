
#include "envfile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>


typedef struct {
    const unsigned char  *p;
    const unsigned char  *end;      /* of the line */
    ollama_envfile_t     *env;
    size_t                nalloc;
    unsigned              line;
} ollama_envfile_ctx_t;


static const char *ollama_envfile_line(ollama_envfile_ctx_t *ctx);
static const char *ollama_envfile_value(ollama_envfile_ctx_t *ctx,
    char **value);
static const char *ollama_envfile_bare(ollama_envfile_ctx_t *ctx, char *value);
static const char *ollama_envfile_quoted(ollama_envfile_ctx_t *ctx,
    char *value);
static const char *ollama_envfile_add(ollama_envfile_ctx_t *ctx,
    const unsigned char *name, size_t len);
static void ollama_envfile_space(ollama_envfile_ctx_t *ctx);
static int ollama_envfile_letter(unsigned char c);
static void ollama_envfile_wipe(char *s);


int
ollama_envfile_parse(ollama_envfile_t *env, const unsigned char *data,
    size_t len, char *err, size_t err_size)
{
    const char            *problem;
    const unsigned char   *last;
    ollama_envfile_ctx_t   ctx;

    memset(env, 0, sizeof(ollama_envfile_t));
    memset(&ctx, 0, sizeof(ollama_envfile_ctx_t));

    ctx.env = env;
    ctx.line = 1;

    problem = NULL;

    if (len > OLLAMA_ENVFILE_BYTES_MAX) {
        problem = "the file is too large";
        len = 0;
    }

    last = data + len;

    if (len >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0) {
        data += 3;
    }

    while (problem == NULL && data < last) {

        ctx.p = data;
        ctx.end = memchr(data, '\n', last - data);

        if (ctx.end == NULL) {
            ctx.end = last;
            data = last;

        } else {
            data = ctx.end + 1;
        }

        if (ctx.end > ctx.p && ctx.end[-1] == '\r') {
            ctx.end--;
        }

        problem = ollama_envfile_line(&ctx);

        if (problem == NULL) {
            ctx.line++;
        }
    }

    if (problem != NULL) {
        snprintf(err, err_size, "line %u: %s", ctx.line, problem);
        ollama_envfile_free(env);

        return -1;
    }

    return 0;
}


const char *
ollama_envfile_get(const ollama_envfile_t *env, const char *name)
{
    size_t  i;

    for (i = env->nvars; i > 0; i--) {
        if (strcmp(env->vars[i - 1].name, name) == 0) {
            return env->vars[i - 1].value;
        }
    }

    return NULL;
}


void
ollama_envfile_free(ollama_envfile_t *env)
{
    size_t  i;

    for (i = 0; i < env->nvars; i++) {
        ollama_envfile_wipe(env->vars[i].name);
        ollama_envfile_wipe(env->vars[i].value);
    }

    free(env->vars);

    memset(env, 0, sizeof(ollama_envfile_t));
}


/* returns what is wrong, or NULL */

static const char *
ollama_envfile_line(ollama_envfile_ctx_t *ctx)
{
    const char           *problem;
    const unsigned char  *p, *name, *name_end;

    for (p = ctx->p; p < ctx->end; p++) {
        if (*p == '\0') {
            return "a zero byte";
        }
    }

    ollama_envfile_space(ctx);

    if (ctx->p == ctx->end || *ctx->p == '#') {
        return NULL;
    }

    if (ctx->end - ctx->p > 7 && memcmp(ctx->p, "export", 6) == 0
        && (ctx->p[6] == ' ' || ctx->p[6] == '\t'))
    {
        ctx->p += 6;
        ollama_envfile_space(ctx);
    }

    name = ctx->p;

    while (ctx->p < ctx->end
           && (ollama_envfile_letter(*ctx->p)
               || (ctx->p > name && *ctx->p >= '0' && *ctx->p <= '9')))
    {
        ctx->p++;
    }

    name_end = ctx->p;

    ollama_envfile_space(ctx);

    if (name_end == name || ctx->p == ctx->end || *ctx->p != '=') {
        return "this is not NAME=VALUE, with a name of letters, digits "
               "and \"_\"";
    }

    ctx->p++;

    problem = ollama_envfile_add(ctx, name, name_end - name);

    if (problem != NULL) {
        return problem;
    }

    return ollama_envfile_value(ctx, &ctx->env->vars[ctx->env->nvars - 1]
                                     .value);
}


static const char *
ollama_envfile_value(ollama_envfile_ctx_t *ctx, char **value)
{
    ollama_envfile_space(ctx);

    *value = calloc(1, ctx->end - ctx->p + 1);

    if (*value == NULL) {
        return "there is not enough memory";
    }

    if (ctx->p < ctx->end && (*ctx->p == '"' || *ctx->p == '\'')) {
        return ollama_envfile_quoted(ctx, *value);
    }

    return ollama_envfile_bare(ctx, *value);
}


static const char *
ollama_envfile_bare(ollama_envfile_ctx_t *ctx, char *value)
{
    size_t                len;
    const unsigned char  *p;

    for (p = ctx->p; p < ctx->end; p++) {

        if (*p == '#' && (p[-1] == ' ' || p[-1] == '\t' || p[-1] == '=')) {
            break;
        }
    }

    len = p - ctx->p;

    while (len > 0 && (ctx->p[len - 1] == ' ' || ctx->p[len - 1] == '\t')) {
        len--;
    }

    memcpy(value, ctx->p, len);

    return NULL;
}


static const char *
ollama_envfile_quoted(ollama_envfile_ctx_t *ctx, char *value)
{
    unsigned char  c, quote;

    quote = *ctx->p++;

    for ( ;; ) {

        if (ctx->p == ctx->end) {
            return "the quote is not closed";
        }

        c = *ctx->p++;

        if (c == quote) {
            break;
        }

        if (c == '\\' && quote == '"' && ctx->p < ctx->end) {

            switch (*ctx->p) {

            case 'n':
                c = '\n';
                ctx->p++;
                break;

            case 'r':
                c = '\r';
                ctx->p++;
                break;

            case 't':
                c = '\t';
                ctx->p++;
                break;

            case '"':
            case '\\':
            case '$':
            case '`':
                c = *ctx->p++;
                break;
            }
        }

        *value++ = (char) c;
    }

    if (ctx->p < ctx->end && *ctx->p != ' ' && *ctx->p != '\t') {
        return "something follows the closing quote";
    }

    ollama_envfile_space(ctx);

    if (ctx->p < ctx->end && *ctx->p != '#') {
        return "something follows the closing quote";
    }

    return NULL;
}


static const char *
ollama_envfile_add(ollama_envfile_ctx_t *ctx, const unsigned char *name,
    size_t len)
{
    void                  *p;
    size_t                 n;
    ollama_envfile_var_t  *var;

    if (ctx->env->nvars == ctx->nalloc) {
        n = ctx->nalloc ? 2 * ctx->nalloc : 16;

        p = realloc(ctx->env->vars, n * sizeof(ollama_envfile_var_t));
        if (p == NULL) {
            return "there is not enough memory";
        }

        ctx->env->vars = p;
        ctx->nalloc = n;
    }

    var = &ctx->env->vars[ctx->env->nvars];

    memset(var, 0, sizeof(ollama_envfile_var_t));

    var->name = strndup((const char *) name, len);
    if (var->name == NULL) {
        return "there is not enough memory";
    }

    var->line = ctx->line;
    ctx->env->nvars++;

    return NULL;
}


static void
ollama_envfile_space(ollama_envfile_ctx_t *ctx)
{
    while (ctx->p < ctx->end && (*ctx->p == ' ' || *ctx->p == '\t')) {
        ctx->p++;
    }
}


static int
ollama_envfile_letter(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}


static void
ollama_envfile_wipe(char *s)
{
    if (s != NULL) {
        explicit_bzero(s, strlen(s));
        free(s);
    }
}
