
/*
 * The two files a person writes, config.yaml and .env: each input is read as
 * both.  What is accepted keeps the promises of config.h, and an error is one
 * printable sentence in which nothing of the input appears: no message of ours
 * or of libyaml has a "zq" in it, while the seeds are full of it.
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "envfile.h"


static void check_error(const char *err, const char *begin);
static void check_config(const ollama_config_t *conf);
static void check_label(const char *label);
static void check_env(const ollama_envfile_t *env);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char              err[OLLAMA_CONFIG_ERROR_MAX];
    unsigned char    *copy;
    ollama_config_t   conf;
    ollama_envfile_t  env;

    copy = malloc(size ? size : 1);
    memcpy(copy, data, size);

    memset(err, 0, sizeof(err));

    if (ollama_config_parse(&conf, copy, size, err, sizeof(err)) == 0) {
        check_config(&conf);
        ollama_config_free(&conf);

    } else {
        check_error(err, "line 0, column 0: ");

        if (conf.keys != NULL || conf.nkeys != 0 || conf.auth_token != NULL) {
            abort();
        }
    }

    memset(err, 0, sizeof(err));

    if (ollama_envfile_parse(&env, copy, size, err, sizeof(err)) == 0) {
        check_env(&env);
        ollama_envfile_free(&env);

    } else {
        check_error(err, "line 0: ");

        if (env.vars != NULL || env.nvars != 0) {
            abort();
        }
    }

    free(copy);

    return 0;
}


static void
check_error(const char *err, const char *begin)
{
    const char  *p;

    p = err;

    for ( /* void */ ; *begin != '\0'; begin++) {

        if (*begin != '0') {

            if (*p++ != *begin) {
                abort();
            }

            continue;
        }

        if (*p < '1' || *p > '9') {
            abort();
        }

        while (*p >= '0' && *p <= '9') {
            p++;
        }
    }

    if (*p == '\0' || strlen(err) >= OLLAMA_CONFIG_ERROR_MAX - 1
        || strstr(err, "zq") != NULL)
    {
        abort();
    }

    for ( /* void */ ; *p != '\0'; p++) {
        if (*p < ' ' || *p > '~') {
            abort();
        }
    }
}


static void
check_config(const ollama_config_t *conf)
{
    size_t                      i, j;
    const ollama_config_key_t  *key;

    if (conf->nkeys == 0 || conf->allow_unauthenticated < -1
        || conf->allow_unauthenticated > 1)
    {
        abort();
    }

    if (conf->auth_token != NULL
        && !ollama_config_token(conf->auth_token, strlen(conf->auth_token)))
    {
        abort();
    }

    if (conf->admin_token != NULL
        && !ollama_config_token(conf->admin_token, strlen(conf->admin_token)))
    {
        abort();
    }

    for (i = 0; i < conf->nkeys; i++) {

        key = &conf->keys[i];

        if (key->key == NULL || key->key_len == 0
            || strlen(key->key) != key->key_len
            || key->key_len > OLLAMA_CONFIG_KEY_MAX
            || key->weight < 1 || key->weight > OLLAMA_CONFIG_NUMBER_MAX
            || key->max_concurrent > OLLAMA_CONFIG_NUMBER_MAX
            || key->line == 0
            || strlen(key->fingerprint) != OLLAMA_FINGERPRINT_LEN)
        {
            abort();
        }

        for (j = 0; j < key->key_len; j++) {
            if (key->key[j] <= ' ' || key->key[j] > '~') {
                abort();
            }
        }

        check_label(key->name);

        if (key->account != NULL) {
            check_label(key->account);
        }

        for (j = 0; j < i; j++) {

            if (strcmp(key->key, conf->keys[j].key) == 0
                || strcmp(key->name, conf->keys[j].name) == 0
                || strcmp(key->fingerprint, conf->keys[j].fingerprint) == 0)
            {
                abort();
            }
        }
    }
}


static void
check_label(const char *label)
{
    size_t  len;

    len = strlen(label);

    if (len == 0 || len > OLLAMA_CONFIG_NAME_MAX || label[0] == ' '
        || label[len - 1] == ' ')
    {
        abort();
    }

    for ( /* void */ ; *label != '\0'; label++) {
        if (*label < ' ' || *label > 'z' || strchr("\"'<>&\\,;", *label)) {
            abort();
        }
    }
}


static void
check_env(const ollama_envfile_t *env)
{
    size_t       i;
    unsigned     line;
    const char  *value;

    line = 0;

    for (i = 0; i < env->nvars; i++) {

        value = ollama_envfile_get(env, env->vars[i].name);

        if (env->vars[i].name[0] == '\0' || env->vars[i].line <= line
            || env->vars[i].value == NULL || value == NULL)
        {
            abort();
        }

        line = env->vars[i].line;
    }
}
