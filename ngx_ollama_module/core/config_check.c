
#include "config_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>


#define OLLAMA_CONFIG_FOUND  8      /* a key so long is looked for in names */


static int ollama_config_default_names(ollama_config_ctx_t *ctx);
static int ollama_config_check_keys(ollama_config_ctx_t *ctx,
    const ollama_config_key_t **sorted);
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


int
ollama_config_check(ollama_config_ctx_t *ctx)
{
    int                          rc;
    size_t                       i, n;
    const ollama_config_key_t  **sorted;

    if (ollama_config_default_names(ctx) != 0) {
        return -1;
    }

    n = ctx->conf->nkeys;

    sorted = malloc(n * sizeof(ollama_config_key_t *));
    if (sorted == NULL) {
        return ollama_config_memory(ctx);
    }

    for (i = 0; i < n; i++) {
        sorted[i] = &ctx->conf->keys[i];
    }

    rc = ollama_config_check_keys(ctx, sorted);

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


static int
ollama_config_check_keys(ollama_config_ctx_t *ctx,
    const ollama_config_key_t **sorted)
{
    size_t  i, first, second;

    qsort(sorted, ctx->conf->nkeys, sizeof(sorted[0]), ollama_config_by_key);

    for (i = 1; i < ctx->conf->nkeys; i++) {

        if (strcmp(sorted[i - 1]->key, sorted[i]->key) == 0) {
            first = sorted[i - 1] - ctx->conf->keys;
            second = sorted[i] - ctx->conf->keys;

            return ollama_config_fail(ctx, &ctx->marks[second].key, "keys[%zu] "
                                      "is the same key as keys[%zu] in line "
                                      "%zu", second, first,
                                      ctx->marks[first].key.line);
        }
    }

    return 0;
}


/*
 * No name or account that is a key, or has its own key in it; "sorted" is by
 * key.
 */

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
