
#include "config_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>


static int ollama_config_same_clients(ollama_config_ctx_t *ctx,
    int (*by)(const void *one, const void *two), const char *what);
static int ollama_config_own_tokens(ollama_config_ctx_t *ctx);
static int ollama_config_known_keys(ollama_config_ctx_t *ctx);
static int ollama_config_known_keys_of(ollama_config_ctx_t *ctx,
    ollama_config_client_t *client, const ollama_config_key_t **keys);
static int ollama_config_client_fail(ollama_config_ctx_t *ctx,
    const ollama_config_client_t *client, const char *words);
static int ollama_config_by_key_name(const void *one, const void *two);
static int ollama_config_by_client_name(const void *one, const void *two);
static int ollama_config_by_client_token(const void *one, const void *two);


const ollama_config_client_t *
ollama_config_client(const ollama_config_client_t *clients, size_t n,
    const void *token, size_t len)
{
    int                            diff;
    size_t                         i;
    ollama_sha256_t                sha256;
    ollama_config_client_t         wanted;
    const ollama_config_client_t  *client;

    if (n == 0) {
        return NULL;
    }

    ollama_sha256_init(&sha256);
    ollama_sha256_update(&sha256, token, len);
    ollama_sha256_final(&sha256, wanted.token);

    client = bsearch(&wanted, clients, n, sizeof(wanted),
                     ollama_config_by_client_token);
    if (client == NULL) {
        return NULL;
    }

    diff = 0;

    for (i = 0; i < OLLAMA_SHA256_LEN; i++) {
        diff |= client->token[i] ^ wanted.token[i];
    }

    return diff ? NULL : client;
}


int
ollama_config_client_may(const ollama_config_client_t *client,
    const char *model, size_t len)
{
    return client->nmodels == 0
           || ollama_config_model(client->models, client->nmodels, model, len)
              != NULL;
}


/* leaves them sorted by their tokens */

int
ollama_config_clients_check(ollama_config_ctx_t *ctx)
{
    if (ctx->conf->nclients == 0) {
        return 0;
    }

    if (ollama_config_same_clients(ctx, ollama_config_by_client_name, "name")
        != 0
        || ollama_config_known_keys(ctx) != 0
        || ollama_config_same_clients(ctx, ollama_config_by_client_token,
                                      "token")
           != 0)
    {
        return -1;
    }

    return ollama_config_own_tokens(ctx);
}


static int
ollama_config_same_clients(ollama_config_ctx_t *ctx,
    int (*by)(const void *one, const void *two), const char *what)
{
    char                     words[80];
    size_t                   i;
    ollama_config_client_t  *a, *b;

    qsort(ctx->conf->clients, ctx->conf->nclients,
          sizeof(ollama_config_client_t), by);

    for (i = 1; i < ctx->conf->nclients; i++) {

        a = &ctx->conf->clients[i - 1];
        b = &ctx->conf->clients[i];

        if (by(a, b) == 0) {
            snprintf(words, sizeof(words), "has the same %s as the one in "
                     "line %u", what, a->line < b->line ? a->line : b->line);

            return ollama_config_client_fail(ctx, a->line < b->line ? b : a,
                                             words);
        }
    }

    return 0;
}


/* none that opens more than a client's does */

static int
ollama_config_own_tokens(ollama_config_ctx_t *ctx)
{
    size_t                         i;
    const ollama_config_client_t  *client;

    const char  *others[] = { ctx->conf->auth_token, ctx->conf->admin_token,
                              ctx->conf->metrics_token };

    static const char *const  words[] = {
        "has a token that is \"auth_token\", too",
        "has a token that is \"admin_token\", too",
        "has a token that is \"metrics_token\", too"
    };

    for (i = 0; i < 3; i++) {

        if (others[i] == NULL) {
            continue;
        }

        client = ollama_config_client(ctx->conf->clients, ctx->conf->nclients,
                                      others[i], strlen(others[i]));
        if (client != NULL) {
            return ollama_config_client_fail(ctx, client, words[i]);
        }
    }

    return 0;
}


/* which keys they name */

static int
ollama_config_known_keys(ollama_config_ctx_t *ctx)
{
    int                            rc;
    size_t                         i, n;
    const ollama_config_key_t    **keys;

    for (i = 0, n = 0; i < ctx->conf->nclients; i++) {
        n += ctx->conf->clients[i].nkeys;
    }

    if (n == 0) {
        return 0;
    }

    keys = malloc((ctx->conf->nkeys + 1) * sizeof(keys[0]));
    if (keys == NULL) {
        return ollama_config_memory(ctx);
    }

    for (i = 0; i < ctx->conf->nkeys; i++) {
        keys[i] = &ctx->conf->keys[i];
    }

    qsort(keys, ctx->conf->nkeys, sizeof(keys[0]), ollama_config_by_key_name);

    for (i = 0, rc = 0; i < ctx->conf->nclients && rc == 0; i++) {
        rc = ollama_config_known_keys_of(ctx, &ctx->conf->clients[i], keys);
    }

    free(keys);

    return rc;
}


static int
ollama_config_known_keys_of(ollama_config_ctx_t *ctx,
    ollama_config_client_t *client, const ollama_config_key_t **keys)
{
    char                         words[80];
    size_t                       i;
    ollama_config_key_t          wanted;
    const ollama_config_key_t   *p, **found;

    p = &wanted;

    for (i = 0; i < client->nkeys; i++) {
        wanted.name = client->keys[i].name;

        found = bsearch(&p, keys, ctx->conf->nkeys, sizeof(keys[0]),
                        ollama_config_by_key_name);

        if (found == NULL) {
            snprintf(words, sizeof(words), "names in \"keys\" at place %zu no "
                     "key of this file", i + 1);

            return ollama_config_client_fail(ctx, client, words);
        }

        client->keys[i].at = (size_t) (*found - ctx->conf->keys);
    }

    return 0;
}


static int
ollama_config_client_fail(ollama_config_ctx_t *ctx,
    const ollama_config_client_t *client, const char *words)
{
    ollama_config_mark_t  mark;

    mark.line = client->line;
    mark.column = 1;

    return ollama_config_fail(ctx, &mark, "the client in line %u %s",
                              client->line, words);
}


static int
ollama_config_by_key_name(const void *one, const void *two)
{
    return strcmp((*(const ollama_config_key_t *const *) one)->name,
                  (*(const ollama_config_key_t *const *) two)->name);
}


static int
ollama_config_by_client_name(const void *one, const void *two)
{
    return strcmp(((const ollama_config_client_t *) one)->name,
                  ((const ollama_config_client_t *) two)->name);
}


static int
ollama_config_by_client_token(const void *one, const void *two)
{
    return memcmp(((const ollama_config_client_t *) one)->token,
                  ((const ollama_config_client_t *) two)->token,
                  OLLAMA_SHA256_LEN);
}
