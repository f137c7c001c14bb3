
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "config.h"


#define COUNT(a)  (sizeof(a) / sizeof((a)[0]))

#define SECRET  "0123456789abcdef0123456789abcdef.SeCrEtSeCrEtSeCrEtSeCrEt"
#define OTHER   "fedcba9876543210fedcba9876543210.OtHeRoThErOtHeRoThErOtHe"


static int
parse(ollama_config_t *conf, const char *text, size_t len, char *err,
    size_t size)
{
    int             rc;
    unsigned char  *copy;

    copy = calloc(1, len ? len : 1);
    memcpy(copy, text, len);

    err[0] = '\0';
    rc = ollama_config_parse(conf, copy, len, err, size);

    free(copy);

    return rc;
}


static void
accept(ollama_config_t *conf, const char *text)
{
    char  err[OLLAMA_CONFIG_ERROR_MAX];

    if (parse(conf, text, strlen(text), err, sizeof(err)) != 0) {
        fail_msg("%s\n%s", text, err);
    }
}


/* as the original has it */

static void
test_strings(void **state)
{
    ollama_config_t  conf;

    (void) state;

    accept(&conf, "# keys\n\nkeys:\n- " SECRET "\n- \"" OTHER "\"  # quoted\n"
                  "- '12345678'\n- 87654321\n- ab=\n");

    assert_int_equal(conf.nkeys, 5);
    assert_string_equal(conf.keys[0].key, SECRET);
    assert_int_equal(conf.keys[0].key_len, strlen(SECRET));
    assert_string_equal(conf.keys[0].name, "key_0");
    assert_null(conf.keys[0].account);
    assert_int_equal(conf.keys[0].max_concurrent, 0);
    assert_int_equal(conf.keys[0].weight, 1);
    assert_true(conf.keys[0].enabled);
    assert_int_equal(conf.keys[0].line, 4);
    assert_string_equal(conf.keys[0].fingerprint, "0ee8e233");

    assert_string_equal(conf.keys[1].key, OTHER);
    assert_string_equal(conf.keys[2].key, "12345678");
    assert_string_equal(conf.keys[3].key, "87654321");
    assert_string_equal(conf.keys[4].name, "key_4");
    assert_int_equal(conf.keys[4].line, 8);

    assert_null(conf.auth_token);
    assert_null(conf.admin_token);
    assert_null(conf.metrics_token);
    assert_int_equal(conf.allow_unauthenticated, -1);

    ollama_config_free(&conf);

    assert_int_equal(conf.nkeys, 0);
    assert_null(conf.keys);

    ollama_config_free(&conf);
}


static void
test_objects(void **state)
{
    char             err[OLLAMA_CONFIG_ERROR_MAX];
    ollama_config_t  conf;

    static const char  utf16[] = "\xff\xfek\0e\0y\0s\0:\0 \0[\0a\0b\0]\0\n\0";

    (void) state;

    accept(&conf, "%YAML 1.1\n"
                  "---\n"
                  "auth_token: 't0ken\"/\xc3\xa4'\n"
                  "keys:\n"
                  "  - name: team-a\n"
                  "    key: " SECRET "\n"
                  "    account: alice@example.com\n"
                  "    max_concurrent: 3\n"
                  "    weight: 1000\n"
                  "    tier: 9\n"
                  "    floor: 12.5USD\n"
                  "    enabled: true\n"
                  "  - {key: " OTHER ", name: Team B/2, enabled: OFF, floor: 10%}\n"
                  "  - plain\n"
                  "  - key: last\n"
                  "allow_unauthenticated_access: no\n"
                  "admin_token: adm1n\n"
                  "metrics_token: 'm\"'\n"
                  "...\n");

    assert_int_equal(conf.nkeys, 4);
    assert_string_equal(conf.keys[0].key, SECRET);
    assert_string_equal(conf.keys[0].name, "team-a");
    assert_string_equal(conf.keys[0].account, "alice@example.com");
    assert_int_equal(conf.keys[0].max_concurrent, 3);
    assert_int_equal(conf.keys[0].weight, 1000);
    assert_true(conf.keys[0].enabled);
    assert_int_equal(conf.keys[0].tier, 9);
    assert_int_equal(conf.keys[0].floor_percent, 0);
    assert_int_equal(conf.keys[0].floor_cost, 12500000000);
    assert_int_equal(conf.keys[0].line, 6);

    assert_string_equal(conf.keys[1].name, "Team B/2");
    assert_false(conf.keys[1].enabled);
    assert_int_equal(conf.keys[1].tier, 0);
    assert_int_equal(conf.keys[1].floor_percent, 10);
    assert_int_equal(conf.keys[1].floor_cost, 0);
    assert_string_equal(conf.keys[3].name, "key_3");

    assert_string_equal(conf.auth_token, "t0ken\"/\xc3\xa4");
    assert_string_equal(conf.admin_token, "adm1n");
    assert_string_equal(conf.metrics_token, "m\"");
    assert_int_equal(conf.allow_unauthenticated, 0);

    ollama_config_free(&conf);

    accept(&conf, "{keys: [a], allow_unauthenticated_access: \"true\"}");
    assert_int_equal(conf.allow_unauthenticated, 1);
    ollama_config_free(&conf);

    /* the names that others get by position may be given to their own keys */

    accept(&conf, "keys: [{key: a, name: key_0}, b]");
    ollama_config_free(&conf);

    /* UTF-16, as an editor may save it */

    assert_int_equal(parse(&conf, utf16, sizeof(utf16) - 1, err, sizeof(err)),
                     0);
    assert_string_equal(conf.keys[0].key, "ab");
    ollama_config_free(&conf);
}


typedef struct {
    const char  *text;
    const char  *err;
} error_t;


static const error_t  errors[] = {

    /* nothing there */
    { "", "line 1, column 1: no keys: list at least one below \"keys:\"" },
    { "# nothing\n", "line 1, column 1: no keys" },
    { "---\n", "line 1, column 1: no keys" },
    { "auth_token: " SECRET "\n", "line 1, column 1: no keys" },
    { "\nkeys: []\n", "line 2, column 8: no keys: the list of keys is empty" },
    { "keys:\n", "line 1, column 6: no keys" },
    { "keys: ~\n", "line 1, column 7: no keys" },

    /* not this shape */
    { "- " SECRET "\n", "line 1, column 1: at its top the file must have the "
                        "field \"keys\"" },
    { SECRET, "line 1, column 1: at its top" },
    { "keys: " SECRET "\n", "line 1, column 7: \"keys\" must be a list" },
    { "keys:\n  a: " SECRET "\n", "line 2, column 3: \"keys\" must be a "
                                  "list" },
    { "keys:\n- a\n- [" SECRET "]\n", "line 3, column 3: keys[1] must be a "
                              "key or an object with the field \"key\"" },
    { "keys:\n- key: [" SECRET "]\n", "line 2, column 8: \"key\" of keys[0] "
                        "must be a single value, not a list or an object" },
    { "keys: [a]\nauth_token: {" SECRET ": 1}\n", "line 2, column 13: "
                        "\"auth_token\" must be a single value" },
    { "keys:\n- a\n- name: b\n", "line 3, column 3: keys[1] has no field "
                                 "\"key\"" },
    { "keys:\n- {}\n", "line 2, column 3: keys[0] has no field \"key\"" },

    /* fields */
    { "keys: [a]\n" SECRET ": b\n", "line 2, column 1: unknown field; known "
                     "are keys, auth_token, admin_token, metrics_token, allow_un" },
    { "keys:\n- key: a\n- " SECRET ": b\n", "line 3, column 3: unknown field "
              "of keys[1]; known are key, name, account, max_concurrent, "
              "weight, tier, floor, enabled" },
    { "Keys: [a]\n", "line 1, column 1: unknown field" },
    { "[" SECRET "]: a\n", "line 1, column 1: unknown field" },
    { "keys: [{key: a, <<: b}]\n", "line 1, column 17: unknown field" },
    { "keys: [a]\nkeys: [" SECRET "]\n", "line 2, column 1: \"keys\" is given "
                                         "twice" },
    { "keys:\n- key: a\n  key: " SECRET "\n", "line 3, column 3: \"key\" of "
                                              "keys[0] is given twice" },
    { "keys: [a]\nauth_token: b\nauth_token: c\n", "line 3, column 1: "
                                          "\"auth_token\" is given twice" },

    /* which comes first, and how much of it */
    { "keys: [{key: a, tier: 10}]\n", "line 1, column 23: \"tier\" of keys[0] "
                                      "must be a digit, 0 to 9" },
    { "keys: [{key: a, floor: 5}]\n", "line 1, column 24: \"floor\" of keys[0] "
      "must be a part of what the account's period includes, such as 10%, or "
      "dollars, such as 5usd" },
    { "keys: [{key: a, floor: 101%}]\n", "line 1, column 24: \"floor\" of" },
    { "keys: [{key: a, floor: 1.5%}]\n", "line 1, column 24: \"floor\" of" },
    { "keys: [{key: a, floor: 1.0001usd}]\n", "line 1, column 24: \"floor\"" },
    { "keys: [{key: a, floor: usd}]\n", "line 1, column 24: \"floor\" of" },

    /* keys */
    { "keys:\n- a\n-\n", "line 3, column 2: \"key\" of keys[1] is empty" },
    { "keys: ['']\n", "line 1, column 8: \"key\" of keys[0] is empty" },
    { "keys: [null]\n", "line 1, column 8: \"key\" of keys[0] is empty" },
    { "keys:\n- key:\n  name: a\n", "line 2, column 7: \"key\" of keys[0] is "
                                    "empty" },
    { "keys: [\"" SECRET " x\"]\n", "line 1, column 8: keys[0] holds, at its "
              "byte 58, what no key holds: a key consists of letters, digits "
              "and \"-._~+/=\"" },
    { "keys:\n- Bearer " SECRET "\n", "line 2, column 3: keys[0] holds, at "
                                      "its byte 7," },
    { "keys: [\"a\\n\"]\n", "line 1, column 8: keys[0] holds, at its byte 2" },
    { "keys: [\"a\\0b\"]\n", "line 1, column 8: keys[0] holds, at its byte 2" },
    { "keys: [\"a\\x7f\"]\n", "line 1, column 8: keys[0] holds, at its byte "
                              "2" },
    { "keys: [\"\xc3\xa4\"]\n", "line 1, column 8: keys[0] holds, at its byte "
                                "1" },
    { "keys: [\"a\\\"b\"]\n", "line 1, column 8: keys[0] holds, at its byte "
                              "2" },
    { "keys: [\"${KEY}\"]\n", "line 1, column 8: keys[0] holds, at its byte "
                              "1" },

    /* twice */
    { "keys:\n- " SECRET "\n- " OTHER "\n- key: " SECRET "\n",
      "line 4, column 8: keys[2] is the same key as keys[0] in line 2" },
    { "keys:\n- key: a\n  name: x\n- key: b\n  name: y\n- key: c\n  name: x\n",
      "line 7, column 9: keys[2] has the same name as keys[0] in line 3" },
    { "keys:\n- key: a\n  name: key_1\n- b\n",
      "line 3, column 9: keys[0] has the name that keys[1] in line 4 gets by "
      "its position" },
    { "keys:\n- a\n- key: b\n  name: key_0\n",
      "line 4, column 9: keys[1] has the name that keys[0] in line 2 gets by "
      "its position" },
    { "keys:\n- key29902\n- key140299\n",
      "line 3, column 3: keys[1] has, by chance, the fingerprint of keys[0] in "
      "line 2; leave one of them out" },

    /* names and accounts */
    { "keys:\n- key: a\n  name:\n", "line 3, column 8: \"name\" of keys[0] is "
                                    "empty" },
    { "keys: [{key: a, name: \"b\\nc\"}]\n", "line 1, column 23: \"name\" of "
      "keys[0] must consist of letters, digits, \"._-@+:/\" and inner "
      "spaces" },
    { "keys: [{key: a, name: \" b\"}]\n", "line 1, column 23: \"name\" of" },
    { "keys: [{key: a, name: \"b \"}]\n", "line 1, column 23: \"name\" of" },
    { "keys: [{key: a, name: \"b\\0\"}]\n", "line 1, column 23: \"name\" of" },
    { "keys: [{key: a, name: <b>}]\n", "line 1, column 23: \"name\" of" },
    { "keys: [{key: a, account: \"b;c\"}]\n", "line 1, column 26: "
                                              "\"account\" of keys[0] must" },
    { "keys: [{name: " SECRET ", key: team-a}]\n", "line 1, column 15: "
      "\"name\" of keys[0] looks like a key, and would be shown to people" },
    { "keys: [{key: a, account: " SECRET "}]\n", "line 1, column 26: "
      "\"account\" of keys[0] looks like a key" },
    { "keys:\n- key: seecret-seecret\n  name: my seecret-seecret\n",
      "line 3, column 9: \"name\" of keys[0] holds a key, and would be shown "
      "to people" },
    { "keys:\n- key: a\n  name: seecret\n- seecret\n",
      "line 3, column 9: \"name\" of keys[0] holds a key" },
    { "keys:\n- key: a\n  account: seecret\n- seecret\n",
      "line 3, column 12: \"account\" of keys[0] holds a key" },

    /* numbers and flags */
    { "keys: [{key: a, weight: 0}]\n", "line 1, column 25: \"weight\" of "
                            "keys[0] must be a whole number from 1 to 1000" },
    { "keys: [{key: a, weight: 1001}]\n", "line 1, column 25: \"weight\" of" },
    { "keys: [{key: a, weight: 99999999999999999999}]\n", "line 1, column 25: "
                                                          "\"weight\" of" },
    { "keys: [{key: a, weight: -1}]\n", "line 1, column 25: \"weight\" of" },
    { "keys: [{key: a, weight: 1.5}]\n", "line 1, column 25: \"weight\" of" },
    { "keys: [{key: a, weight: }]\n", "line 1, column 25: \"weight\" of "
                                      "keys[0] is empty" },
    { "keys: [{key: a, max_concurrent: 0}]\n", "line 1, column 33: "
      "\"max_concurrent\" of keys[0] must be a whole number from 1 to 1000" },
    { "keys: [{key: a, max_concurrent: " SECRET "}]\n", "line 1, column 33: "
                                            "\"max_concurrent\" of keys[0]" },
    { "keys: [{key: a, enabled: " SECRET "}]\n", "line 1, column 26: "
                            "\"enabled\" of keys[0] must be true or false" },
    { "keys: [{key: a, enabled: 2}]\n", "line 1, column 26: \"enabled\" of" },
    { "keys: [a]\nallow_unauthenticated_access: maybe\n", "line 2, column 31: "
      "\"allow_unauthenticated_access\" must be true or false" },

    /* the token */
    { "keys: [a]\nauth_token: \"\"\n", "line 2, column 13: \"auth_token\" is "
                                       "empty" },
    { "keys: [a]\nauth_token: seecret x\n", "line 2, column 13: "
      "\"auth_token\" must consist of printable characters without spaces, "
      "1024 at most" },
    { "keys: [a]\nadmin_token: seecret x\n", "line 2, column 14: "
      "\"admin_token\" must consist of printable characters without spaces, " },
    { "keys: [a]\nmetrics_token: [a]\n", "line 2, column 16: "
                              "\"metrics_token\" must be a single value" },
    { "keys: [a]\nauth_token: \"seecret\\n\"\n", "line 2, column 13: "
                                                 "\"auth_token\" must" },

    /* YAML that is not needed */
    { "keys:\n- &a " SECRET "\n- *a\n", "line 2, column 3: anchors (\"&\") "
      "and aliases (\"*\") cannot be used here; quote the value if it is "
      "meant" },
    { "keys: &" "seecret [a]\n", "line 1, column 7: anchors" },
    { "keys: [*seecret]\n", "line 1, column 8: anchors" },
    { "keys: [!!binary seecret]\n", "line 1, column 8: tags (\"!\") cannot be "
                            "used here; quote the value if it is meant" },
    { "keys: !seecret [a]\n", "line 1, column 7: tags" },
    { "!seecret {keys: [a]}\n", "line 1, column 1: tags" },
    { "keys: [a]\n---\nkeys: [" SECRET "]\n", "line 2, column 1: a second "
                          "document begins; the file must be a single one" },

    /* no YAML */
    { "keys:\n  - " SECRET "\n \t- [\n", "line 3, column 2: bad YAML: " },
    { "keys:\n  - \"" SECRET "\n", "line 3, column 1: bad YAML: while "
      "scanning a quoted scalar, found unexpected end of stream" },
    { "keys: [" SECRET "\n", "line 2, column 1: bad YAML: " },
    { "keys:\n- key: b: " SECRET "\n", "line 2, column 9: bad YAML: mapping "
                             "values are not allowed in this context" },
    { "keys:\n- a\n @" SECRET "\n", "line 2, column 3: keys[0] holds, at its "
                                    "byte 2" },
    { "keys:\n- @" SECRET "\n", "line 2, column 3: bad YAML: while scanning "
      "for the next token, found character that cannot start any token" },
    { "keys:\n- a\n- \xff" SECRET "\n", "line 3, column 3: bad YAML: invalid "
                                        "leading UTF-8 octet" },
    { "keys:\n- a\n- \x01" SECRET "\n", "line 3, column 3: bad YAML: control "
                                        "characters are not allowed" },
    { "%" SECRET "\n---\nkeys: [a]\n", "line 1, column " },
    { "#\n%YAML 9.9\n---\nkeys: [a]\n", "line 2, column 1: bad YAML: found "
                                        "incompatible YAML document" },
    { "keys: [!e!seecret a]\n", "line 1, column 8: bad YAML: while parsing a "
                                "node, found undefined tag handle" }
};


static void
test_errors(void **state)
{
    char             err[OLLAMA_CONFIG_ERROR_MAX];
    size_t           i;
    ollama_config_t  conf;

    (void) state;

    for (i = 0; i < COUNT(errors); i++) {

        if (parse(&conf, errors[i].text, strlen(errors[i].text), err,
                  sizeof(err))
            != -1)
        {
            fail_msg("accepted: %s", errors[i].text);
        }

        if (strncmp(err, errors[i].err, strlen(errors[i].err)) != 0) {
            fail_msg("%s\n%s", errors[i].text, err);
        }

        /* one whole sentence that tells nothing of what is in the file */

        assert_int_equal(strncmp(err, "line ", 5), 0);
        assert_true(strlen(err) < sizeof(err) - 1);
        assert_null(strchr(err, '\n'));
        assert_null(strcasestr(err, "seecret"));
        assert_null(strstr(err, "SeCrEt"));
        assert_null(strstr(err, "0123456789abcdef"));
        assert_null(strstr(err, "OtHeR"));

        assert_int_equal(conf.nkeys, 0);
        assert_null(conf.keys);
        assert_null(conf.auth_token);
    }
}


static void
test_short_buffer(void **state)
{
    char             err[12];
    ollama_config_t  conf;

    (void) state;

    memset(err, '#', sizeof(err));

    assert_int_equal(parse(&conf, "", 0, err, 8), -1);
    assert_string_equal(err, "line 1,");
    assert_int_equal(err[8], '#');
}


static void
test_bounds(void **state)
{
    char             *text, err[OLLAMA_CONFIG_ERROR_MAX];
    size_t            n, i;
    ollama_config_t   conf;

    (void) state;

    /* the longest key, name and token, and one byte more */

    text = malloc(4096);

    for (i = 0; i < 2; i++) {
        n = sprintf(text, "keys:\n- ");
        memset(text + n, 'k', OLLAMA_CONFIG_KEY_MAX + i);
        n += OLLAMA_CONFIG_KEY_MAX + i;

        assert_int_equal(parse(&conf, text, n, err, sizeof(err)), -(int) i);
        ollama_config_free(&conf);

        n = sprintf(text, "keys:\n- key: a\n  name: ");
        memset(text + n, 'n', OLLAMA_CONFIG_NAME_MAX + i);
        n += OLLAMA_CONFIG_NAME_MAX + i;

        assert_int_equal(parse(&conf, text, n, err, sizeof(err)), -(int) i);
        ollama_config_free(&conf);

        n = sprintf(text, "keys: [a]\nauth_token: ");
        memset(text + n, 't', OLLAMA_CONFIG_TOKEN_MAX + i);
        n += OLLAMA_CONFIG_TOKEN_MAX + i;

        assert_int_equal(parse(&conf, text, n, err, sizeof(err)), -(int) i);
        ollama_config_free(&conf);
    }

    free(text);

    /* one key too many */

    n = 0;
    text = malloc(16 * (OLLAMA_CONFIG_KEYS_MAX + 2));
    n += sprintf(text, "keys:\n");

    for (i = 0; i <= OLLAMA_CONFIG_KEYS_MAX; i++) {
        n += sprintf(text + n, "- %zu\n", i);
    }

    assert_int_equal(parse(&conf, text, n, err, sizeof(err)), -1);
    assert_string_equal(err, "line 100002, column 3: there are more than "
                             "100000 keys");
    free(text);

    /* the size is looked at before a byte is read */

    assert_int_equal(ollama_config_parse(&conf, (unsigned char *) "",
                                         OLLAMA_CONFIG_BYTES_MAX + 1, err,
                                         sizeof(err)), -1);
    assert_string_equal(err, "line 1, column 1: the file is too large");
}


static void
test_ten_thousand(void **state)
{
    char             *text, name[32];
    size_t            n, i;
    clock_t           begin;
    ollama_config_t   conf;

    (void) state;

    text = malloc(10000 * 200);
    n = sprintf(text, "keys:\n");

    for (i = 0; i < 10000; i++) {
        n += sprintf(text + n, "- key: %032zx.aBcDeFgHiJkLmNoPqRsTuVwX\n"
                               "  name: n%zu\n  account: a%zu\n", i, i, i / 3);
    }

    begin = clock();
    accept(&conf, text);

    /* a tenth of that when alone; a comparison of all with all takes minutes */

    assert_true(clock() - begin < 5 * CLOCKS_PER_SEC);

    assert_int_equal(conf.nkeys, 10000);

    for (i = 0; i < 10000; i += 999) {
        snprintf(name, sizeof(name), "n%zu", i);
        assert_string_equal(conf.keys[i].name, name);
        assert_int_equal(conf.keys[i].line, 2 + 3 * i);
    }

    ollama_config_free(&conf);
    free(text);
}


static void
test_words(void **state)
{
    (void) state;

    assert_int_equal(ollama_config_bool("true", 4), 1);
    assert_int_equal(ollama_config_bool("TRUE", 4), 1);
    assert_int_equal(ollama_config_bool("Yes", 3), 1);
    assert_int_equal(ollama_config_bool("1", 1), 1);
    assert_int_equal(ollama_config_bool("on", 2), 1);
    assert_int_equal(ollama_config_bool("false", 5), 0);
    assert_int_equal(ollama_config_bool("no", 2), 0);
    assert_int_equal(ollama_config_bool("off", 3), 0);
    assert_int_equal(ollama_config_bool("0", 1), 0);
    assert_int_equal(ollama_config_bool("", 0), -1);
    assert_int_equal(ollama_config_bool("tru", 3), -1);
    assert_int_equal(ollama_config_bool("true ", 5), -1);

    assert_true(ollama_config_token("a", 1));
    assert_true(ollama_config_token("\xc3\xa4!\"$%&/()=", 11));
    assert_false(ollama_config_token("", 0));
    assert_false(ollama_config_token("a b", 3));
    assert_false(ollama_config_token("a\0b", 3));
    assert_false(ollama_config_token("a\n", 2));
    assert_false(ollama_config_token("\x7f", 1));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_objects),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_short_buffer),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_ten_thousand),
        cmocka_unit_test(test_words)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
