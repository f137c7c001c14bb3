
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "config.h"


#define KEYS  "keys: [0123456789abcdef.abc]\nmodels:\n"


static int
parse(ollama_config_t *conf, const char *text, char *err)
{
    return ollama_config_parse(conf, (const unsigned char *) text,
                               strlen(text), err, OLLAMA_CONFIG_ERROR_MAX);
}


static int
ms(ollama_config_t *conf, const char *model)
{
    const ollama_config_model_t  *m;

    m = ollama_config_model(conf->models.first_tokens,
                            conf->models.nfirst_tokens, model,
                            strlen(model));

    return m ? (int) m->ms : -1;
}


static void
test_times(void **state)
{
    char             err[OLLAMA_CONFIG_ERROR_MAX];
    ollama_config_t  conf;

    (void) state;

    assert_int_equal(parse(&conf, KEYS "  first_token:\n"
                           "    a: 120s\n    b: 500ms\n    c: 2m\n"
                           "    d: 1h\n    e: 7\n    f: off\n    g: 0\n"
                           "    h: 24h\n    i:8b-cloud: 1s\n    ji*: 2s\n"
                           "    jim*: 3s\n    jimmy: 4s\n", err), 0);

    assert_int_equal(ms(&conf, "a"), 120000);
    assert_int_equal(ms(&conf, "b"), 500);
    assert_int_equal(ms(&conf, "c"), 120000);
    assert_int_equal(ms(&conf, "d"), 3600000);
    assert_int_equal(ms(&conf, "e"), 7000);
    assert_int_equal(ms(&conf, "f"), 0);
    assert_int_equal(ms(&conf, "g"), 0);
    assert_int_equal(ms(&conf, "h"), 86400000);
    assert_int_equal(ms(&conf, "i:8b"), 1000);
    assert_int_equal(ms(&conf, "ji"), 2000);
    assert_int_equal(ms(&conf, "jin"), 2000);
    assert_int_equal(ms(&conf, "jimm"), 3000);
    assert_int_equal(ms(&conf, "jimmy"), 4000);
    assert_int_equal(ms(&conf, "jimmy2"), 3000);
    assert_int_equal(ms(&conf, "aa"), -1);
    assert_int_equal(ms(&conf, ""), -1);

    ollama_config_free(&conf);

    assert_int_equal(parse(&conf, KEYS, err), 0);
    assert_int_equal(ms(&conf, "a"), -1);
    ollama_config_free(&conf);

    assert_int_equal(parse(&conf, KEYS "  first_token: {\"*\": 1s}\n", err),
                     0);
    assert_int_equal(ms(&conf, "a"), 1000);
    ollama_config_free(&conf);
}


static int
served(const ollama_config_t *conf, const char *model)
{
    return ollama_config_served(&conf->models, model, strlen(model));
}


static void
test_served(void **state)
{
    char             err[OLLAMA_CONFIG_ERROR_MAX];
    ollama_config_t  conf;

    (void) state;

    assert_int_equal(parse(&conf, KEYS "  allow: [gpt-oss:*, kimi-k3]\n"
                           "  deny: [gpt-oss:120b-cloud, kimi-*]\n", err), 0);

    assert_int_equal(served(&conf, "gpt-oss:20b"), 1);
    assert_int_equal(served(&conf, "gpt-oss:120b"), 0);
    assert_int_equal(served(&conf, "kimi-k3"), 0);      /* deny is stronger */
    assert_int_equal(served(&conf, "glm-5.3"), 0);
    assert_int_equal(served(&conf, ""), 0);
    ollama_config_free(&conf);

    assert_int_equal(parse(&conf, KEYS "  deny: [glm-*]\n", err), 0);
    assert_int_equal(served(&conf, "gpt-oss:20b"), 1);
    assert_int_equal(served(&conf, "glm-5.3"), 0);
    assert_int_equal(served(&conf, ""), 1);
    ollama_config_free(&conf);

    assert_int_equal(parse(&conf, KEYS, err), 0);
    assert_int_equal(served(&conf, "glm-5.3"), 1);
    ollama_config_free(&conf);
}


static void
test_refused(void **state)
{
    char             err[OLLAMA_CONFIG_ERROR_MAX], text[1024];
    size_t           i;
    ollama_config_t  conf;

    static const struct {
        const char  *text;
        const char  *says;
    } cases[] = {
        { "  - a\n", "must be an object" },
        { "  first: 1\n", "unknown field" },
        { "  first_token: 1\n", "must be an object" },
        { "  first_token: {a: }\n", "is empty" },
        { "  first_token: {a: [1]}\n", "single value" },
        { "  first_token: {a: -1}\n", "must be a time" },
        { "  first_token: {a: 1 s}\n", "must be a time" },
        { "  first_token: {a: 1d}\n", "must be a time" },
        { "  first_token: {a: ms}\n", "must be a time" },
        { "  first_token: {a: 25h}\n", "a day at most" },
        { "  first_token: {a: 99999999999999999999}\n", "a day at most" },
        { "  first_token: {a b: 1s}\n", "without spaces" },
        { "  first_token: {\"\": 1s}\n", "must be a model" },
        { "  first_token: {\"a*b\": 1s}\n", "only at the end" },
        { "  first_token: {[a]: 1s}\n", "names of models" },
        { "  first_token: {a: 1s, a: 2s}\n", "twice" },
        { "  first_token: {a*: 1s, a*: 2s}\n", "twice" },
        { "  first_token: {a:8b: 1s, a:8b-cloud: 2s}\n", "twice" },
        { "  first_token: {}\n  first_token: {}\n", "twice" },
        { "  allow: a\n", "\"allow\" of models must be a list of models" },
        { "  allow: {a: b}\n", "must be a list of models" },
        { "  allow: []\n", "\"allow\" of models is empty: leave it out for" },
        { "  deny: []\n", "\"deny\" of models is empty: leave it out" },
        { "  deny: [a, 'b*c']\n", "only at the end" },
        { "  deny: [a, a:cloud]\n", "twice" },
        { "  allow: [a]\n  allow: [b]\n", "twice" },
    };

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(text, sizeof(text), KEYS "%s", cases[i].text);

        err[0] = '\0';

        if (parse(&conf, text, err) == 0) {
            fail_msg("accepted: %s", text);
        }

        if (strstr(err, cases[i].says) == NULL || strncmp(err, "line ", 5)) {
            fail_msg("%s\n%s", text, err);
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_served),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
