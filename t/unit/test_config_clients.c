/* The list of clients in config.yaml. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config.h"


#define HEX   "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
#define DAY   86400


static void
accept(ollama_config_t *conf, const char *text)
{
    char  err[OLLAMA_CONFIG_ERROR_MAX] = "";

    if (ollama_config_parse(conf, (const unsigned char *) text, strlen(text),
                            err, sizeof(err))
        != 0)
    {
        fail_msg("%s", err);
    }
}


static const ollama_config_client_t *
of(ollama_config_t *conf, const char *token)
{
    return ollama_config_client(conf->clients, conf->nclients, token,
                                strlen(token));
}


static void
all_fields(void **state)
{
    ollama_config_t                conf;
    const ollama_config_client_t  *c;

    (void) state;

    accept(&conf, "clients:\n"
                  "- name: anna\n"
                  "  token: secret-of-anna\n"
                  "  models: [gpt-oss:*, kimi-k3:cloud, \"*\"]\n"
                  "  keys: [team-a, key_1]\n"
                  "  max_concurrent: 4\n"
                  "  requests_per_minute: 60\n"
                  "  tokens_per_day: 2m\n"
                  "  usd_per_month: 12.50\n"
                  "  weight: 2\n"
                  "  bodies: off\n"
                  "  fallback: false\n"
                  "  expires: 2027-01-31\n"
                  "- {name: ben, token_sha256: " HEX "}\n"
                  "keys: [{key: a, name: team-a}, b]\n");

    assert_int_equal(conf.nclients, 2);

    c = of(&conf, "secret-of-anna");
    assert_non_null(c);
    assert_string_equal(c->name, "anna");
    assert_int_equal(c->nmodels, 3);
    assert_int_equal(c->nkeys, 2);
    assert_string_equal(c->keys[1].name, "key_1");
    assert_int_equal(c->keys[0].at, 0);
    assert_int_equal(c->keys[1].at, 1);
    assert_int_equal(c->max_concurrent, 4);
    assert_int_equal(c->per_minute, 60);
    assert_int_equal(c->tokens_per_day, 2000000);
    assert_int_equal(c->per_month, 12500000000);
    assert_int_equal(c->weight, 2);
    assert_true(c->no_bodies);
    assert_true(c->no_fallback);
    assert_int_equal(c->expires, 1801353600 + DAY);     /* date -u -d .. +%s */
    assert_int_equal(c->line, 2);

    c = of(&conf, "test");
    assert_non_null(c);
    assert_string_equal(c->name, "ben");
    assert_int_equal(c->nmodels + c->nkeys + c->max_concurrent + c->per_minute,
                     0);
    assert_int_equal(c->tokens_per_day + c->per_month + c->expires, 0);
    assert_int_equal(c->weight, 1);
    assert_false(c->no_bodies || c->no_fallback);

    assert_null(of(&conf, "tes"));
    assert_null(of(&conf, "test "));
    assert_null(of(&conf, ""));
    assert_null(of(&conf, HEX));

    ollama_config_free(&conf);
    assert_null(conf.clients);
    assert_int_equal(conf.nclients, 0);
    assert_null(of(&conf, "test"));
}


static int
may(ollama_config_t *conf, const char *token, const char *model)
{
    return ollama_config_client_may(of(conf, token), model, strlen(model));
}


static void
models_by_pattern(void **state)
{
    ollama_config_t  conf;

    (void) state;

    accept(&conf, "clients:\n"
                  "- {name: a, token: ta, models: [gpt-oss:*, kimi-k3]}\n"
                  "- {name: b, token: tb}\n"
                  "- {name: c, token: tc, models: ['*']}\n"
                  "keys: [x]\n");

    assert_true(may(&conf, "ta", "gpt-oss:20b"));
    assert_true(may(&conf, "ta", "kimi-k3"));
    assert_false(may(&conf, "ta", "kimi-k3:1t"));
    assert_false(may(&conf, "ta", "glm-5.3"));
    assert_false(may(&conf, "ta", ""));
    assert_true(may(&conf, "tb", "glm-5.3"));
    assert_true(may(&conf, "tc", "glm-5.3"));

    ollama_config_free(&conf);
}


static const struct {
    const char  *text;
    const char  *err;
} wrong[] = {
    { "clients: 1\n", "line 1, column 10: \"clients\" must be a list" },
    { "clients: [anna]\n", "line 1, column 11: clients[0] must be an object" },
    { "clients:\n- {token: t}\n", "line 2, column 3: clients[0] has no field "
                                  "\"name\"" },
    { "clients:\n- {name: a}\n", "line 2, column 3: clients[0] has no field "
                                 "\"token\"" },
    { "clients:\n- {name: a, token: t, colour: x}\n",
      "line 2, column 23: unknown field of clients[0]; known are name, token, "
      "token_sha256, models, keys, max_concurrent, requests_per_minute, "
      "tokens_per_day, usd_per_month, weight, bodies, fallback, expires" },
    { "clients:\n- {name: a, token: 't t'}\n", "line 2, column 20: \"token\" "
      "of clients[0] must consist of printable characters" },
    { "clients:\n- {name: a, token: t, token_sha256: " HEX "}\n",
      "line 2, column 37: \"token_sha256\" of clients[0] is given beside" },
    { "clients:\n- {name: a, token_sha256: " HEX "0}\n",
      "line 2, column 27: \"token_sha256\" of clients[0] must be 64 hex" },
    { "clients:\n- {name: a, token_sha256: x" HEX "}\n",
      "line 2, column 27: \"token_sha256\" of clients[0] must be 64 hex" },
    { "clients:\n- {name: 'a;b', token: t}\n",
      "line 2, column 10: \"name\" of clients[0] must consist of" },
    { "clients:\n- {name: a, token: t, models: gpt}\n",
      "line 2, column 31: \"models\" of clients[0] must be a list of models" },
    { "clients:\n- {name: a, token: t, models: []}\n",
      "line 2, column 32: \"models\" of clients[0] is empty" },
    { "clients:\n- {name: a, token: t, models: ['a*b']}\n",
      "line 2, column 32: a name in \"models\" of clients[0] must be a model" },
    { "clients:\n- {name: a, token: t, keys: []}\n",
      "line 2, column 30: \"keys\" of clients[0] is empty" },
    { "clients:\n- {name: a, token: t, keys: [nobody]}\n",
      "line 2, column 1: the client in line 2 names in \"keys\" at place 1 no "
      "key of this file" },
    { "clients:\n- {name: a, token: t, max_concurrent: 0}\n",
      "line 2, column 39: \"max_concurrent\" of clients[0] must be a whole" },
    { "clients:\n- {name: a, token: t, requests_per_minute: 1.5}\n",
      "line 2, column 44: \"requests_per_minute\" of clients[0] must be a" },
    { "clients:\n- {name: a, token: t, tokens_per_day: 2x}\n",
      "line 2, column 39: \"tokens_per_day\" of clients[0] must be a whole" },
    { "clients:\n- {name: a, token: t, tokens_per_day: 9999999g}\n",
      "line 2, column 39: \"tokens_per_day\" of clients[0] must be a whole" },
    { "clients:\n- {name: a, token: t, tokens_per_day: 18446744074g}\n",
      "line 2, column 39: \"tokens_per_day\" of clients[0] must be a whole" },
    { "clients:\n- {name: a, token: t, usd_per_month: -1}\n",
      "line 2, column 38: \"usd_per_month\" of clients[0] must be dollars" },
    { "clients:\n- {name: a, token: t, usd_per_month: 1.0000000001}\n",
      "line 2, column 38: \"usd_per_month\" of clients[0] must be dollars" },
    { "clients:\n- {name: a, token: t, usd_per_month: 1.}\n",
      "line 2, column 38: \"usd_per_month\" of clients[0] must be dollars" },
    { "clients:\n- {name: a, token: t, usd_per_month: 99999999999}\n",
      "line 2, column 38: \"usd_per_month\" of clients[0] must be dollars" },
    { "clients:\n- {name: a, token: t, weight: 1001}\n",
      "line 2, column 31: \"weight\" of clients[0] must be a whole number" },
    { "clients:\n- {name: a, token: t, bodies: some}\n",
      "line 2, column 31: \"bodies\" of clients[0] must be true or false" },
    { "clients:\n- {name: a, token: t, expires: 2027-02-29}\n",
      "line 2, column 32: \"expires\" of clients[0] must be a day" },
    { "clients:\n- {name: a, token: t, expires: tomorrow}\n",
      "line 2, column 32: \"expires\" of clients[0] must be a day" },
    { "clients:\n- {name: a, token: t}\n- {name: a, token: u}\n",
      "line 3, column 1: the client in line 3 has the same name as the one in "
      "line 2" },
    { "clients:\n- {name: a, token: t}\n- {name: b, token: t}\n",
      "line 3, column 1: the client in line 3 has the same token as the one "
      "in line 2" },
    { "auth_token: t\nclients:\n- {name: a, token: t}\n",
      "line 3, column 1: the client in line 3 has a token that is "
      "\"auth_token\", too" },
    { "admin_token: t\nclients:\n- {name: a, token: t}\n",
      "line 3, column 1: the client in line 3 has a token that is "
      "\"admin_token\", too" },
};


static void
wrong_ones(void **state)
{
    char             text[512], err[OLLAMA_CONFIG_ERROR_MAX];
    size_t           i;
    ollama_config_t  conf;

    (void) state;

    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        snprintf(text, sizeof(text), "%skeys: [x]\n", wrong[i].text);

        assert_int_equal(ollama_config_parse(&conf, (unsigned char *) text,
                                             strlen(text), err, sizeof(err)),
                         -1);

        if (strncmp(err, wrong[i].err, strlen(wrong[i].err)) != 0) {
            fail_msg("%s\nsays  %s\nnot   %s", text, err, wrong[i].err);
        }

        assert_null(conf.clients);
    }
}


static void
many_of_them(void **state)
{
    char             *text, *p, token[32];
    size_t           i;
    ollama_config_t  conf;

    (void) state;

    text = test_malloc(5000 * 64);
    p = text + sprintf(text, "keys: [x]\nclients:\n");

    for (i = 0; i < 5000; i++) {
        p += sprintf(p, "- {name: client-%zu, token: token-%zu}\n", i, i);
    }

    accept(&conf, text);
    test_free(text);

    for (i = 0; i < 5000; i++) {
        sprintf(token, "token-%zu", i);
        assert_non_null(of(&conf, token));
        assert_int_equal(atoi(of(&conf, token)->name + 7), i);
    }

    assert_null(of(&conf, "token-5000"));
    ollama_config_free(&conf);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(all_fields),
        cmocka_unit_test(models_by_pattern),
        cmocka_unit_test(wrong_ones),
        cmocka_unit_test(many_of_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
