
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "envfile.h"


#define COUNT(a)  (sizeof(a) / sizeof((a)[0]))


static int
parse(ollama_envfile_t *env, const char *text, size_t len, char *err,
    size_t size)
{
    int             rc;
    unsigned char  *copy;

    copy = malloc(len ? len : 1);
    memcpy(copy, text, len);

    err[0] = '\0';
    rc = ollama_envfile_parse(env, copy, len, err, size);

    free(copy);

    return rc;
}


static void
test_values(void **state)
{
    char              err[128];
    size_t            i;
    const char       *value;
    ollama_envfile_t  env;

    static const struct {
        const char  *line;
        const char  *value;
    } lines[] = {
        { "A=b", "b" },
        { "A=", "" },
        { "A=  ", "" },
        { "A=b c", "b c" },
        { " A = b \t", "b" },
        { "\texport\tA=b", "b" },
        { "export A='b'", "b" },
        { "A=b\r\n", "b" },
        { "A=b#c", "b#c" },
        { "A=b #c", "b" },
        { "A=#c", "" },
        { "A= # c", "" },
        { "A=b=c==", "b=c==" },
        { "A=\"b # c\" # d", "b # c" },
        { "A='b\\n\"$'", "b\\n\"$" },
        { "A=\"b\\n\\t\\r\\\"\\\\\\$\\`\\x'\"", "b\n\t\r\"\\$`\\x'" },
        { "A=\"\"", "" },
        { "A=''\t", "" },
        { "A=$B${C}", "$B${C}" },
        { "A=b\"c", "b\"c" },
        { "A=\xc3\xa4", "\xc3\xa4" },
        { "\xef\xbb\xbf" "A=b", "b" },
        { "# A=x\n\n  \nA=b\n#", "b" },
        { "A=x\nB=y\nA=z\n", "z" }
    };

    (void) state;

    for (i = 0; i < COUNT(lines); i++) {

        if (parse(&env, lines[i].line, strlen(lines[i].line), err, sizeof(err))
            != 0)
        {
            fail_msg("%s: %s", lines[i].line, err);
        }

        value = ollama_envfile_get(&env, "A");

        assert_non_null(value);
        assert_string_equal(value, lines[i].value);

        ollama_envfile_free(&env);
        ollama_envfile_free(&env);
    }
}


static void
test_many(void **state)
{
    char              text[4096], name[16], err[128];
    int               i, n;
    ollama_envfile_t  env;

    (void) state;

    n = 0;

    for (i = 0; i < 200; i++) {
        n += snprintf(text + n, sizeof(text) - n, "N_%d=v%d\n", i, i);
    }

    assert_int_equal(parse(&env, text, n, err, sizeof(err)), 0);
    assert_int_equal(env.nvars, 200);
    assert_int_equal(env.vars[199].line, 200);

    for (i = 0; i < 200; i++) {
        snprintf(name, sizeof(name), "N_%d", i);
        snprintf(text, sizeof(text), "v%d", i);
        assert_string_equal(ollama_envfile_get(&env, name), text);
    }

    assert_null(ollama_envfile_get(&env, "N_"));
    assert_null(ollama_envfile_get(&env, "N_200"));

    ollama_envfile_free(&env);
    assert_null(ollama_envfile_get(&env, "N_1"));

    assert_int_equal(parse(&env, "", 0, err, sizeof(err)), 0);
    assert_int_equal(env.nvars, 0);
}


static void
test_errors(void **state)
{
    char              err[128], *large;
    size_t            i;
    ollama_envfile_t  env;

    static const struct {
        const char  *text;
        const char  *err;
    } errors[] = {
        { "secret", "line 1: this is not NAME=VALUE, with a name of letters, "
                    "digits and \"_\"" },
        { "A=b\n\n=secret\n", "line 3: this is not" },
        { "A=b\r\nsecret value\r\n", "line 2: this is not" },
        { "1A=secret", "line 1: this is not" },
        { "A-B=secret", "line 1: this is not" },
        { "export\n", "line 1: this is not" },
        { "A=\"secret", "line 1: the quote is not closed" },
        { "A=\"secret\\\"", "line 1: the quote is not closed" },
        { "A=\"secret\\", "line 1: the quote is not closed" },
        { "A='secret\nB='", "line 1: the quote is not closed" },
        { "A=\"secret\"x", "line 1: something follows the closing quote" },
        { "A=\"secret\" x", "line 1: something follows the closing quote" },
        { "A='secret'#x", "line 1: something follows the closing quote" }
    };

    (void) state;

    for (i = 0; i < COUNT(errors); i++) {
        assert_int_equal(parse(&env, errors[i].text, strlen(errors[i].text),
                               err, sizeof(err)), -1);

        if (strncmp(err, errors[i].err, strlen(errors[i].err)) != 0
            || strstr(err, "secret") != NULL)
        {
            fail_msg("%s: %s", errors[i].text, err);
        }

        assert_int_equal(env.nvars, 0);
        assert_null(env.vars);
    }

    assert_int_equal(parse(&env, "A=b\nB=c\0d\n", 10, err, sizeof(err)), -1);
    assert_string_equal(err, "line 2: a zero byte");

    large = calloc(1, OLLAMA_ENVFILE_BYTES_MAX + 1);
    memset(large, '\n', OLLAMA_ENVFILE_BYTES_MAX + 1);

    assert_int_equal(ollama_envfile_parse(&env, (unsigned char *) large,
                                          OLLAMA_ENVFILE_BYTES_MAX + 1, err,
                                          sizeof(err)), -1);
    assert_string_equal(err, "line 1: the file is too large");

    assert_int_equal(ollama_envfile_parse(&env, (unsigned char *) large,
                                          OLLAMA_ENVFILE_BYTES_MAX, err,
                                          sizeof(err)), 0);
    free(large);

    /* a short buffer holds the beginning */

    assert_int_equal(parse(&env, "secret", 6, err, 8), -1);
    assert_string_equal(err, "line 1:");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_errors)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
