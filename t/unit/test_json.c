
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "json.h"


#define COUNT(a)  (sizeof(a) / sizeof((a)[0]))


static void
test_document(void **state)
{
    char           buf[256];
    ollama_json_t  j;

    static const char  expected[] =
        "{\"a\":1,\"b\":[1,-2,\"x\",[],{}],\"c\":{\"d\":true,\"e\":false},"
        "\"f\":null,\"g\":18446744073709551615,\"h\":-9223372036854775808}";

    (void) state;

    ollama_json_init(&j, buf, sizeof(buf));

    ollama_json_open(&j, '{');
    ollama_json_key(&j, "a");
    ollama_json_int(&j, 1);
    ollama_json_key(&j, "b");
    ollama_json_open(&j, '[');
    ollama_json_uint(&j, 1);
    ollama_json_int(&j, -2);
    ollama_json_text(&j, "x");
    ollama_json_open(&j, '[');
    ollama_json_close(&j, ']');
    ollama_json_open(&j, '{');
    ollama_json_close(&j, '}');
    ollama_json_close(&j, ']');
    ollama_json_key(&j, "c");
    ollama_json_open(&j, '{');
    ollama_json_key(&j, "d");
    ollama_json_bool(&j, 1);
    ollama_json_key(&j, "e");
    ollama_json_bool(&j, 0);
    ollama_json_close(&j, '}');
    ollama_json_key(&j, "f");
    ollama_json_null(&j);
    ollama_json_key(&j, "g");
    ollama_json_uint(&j, UINT64_MAX);
    ollama_json_key(&j, "h");
    ollama_json_int(&j, INT64_MIN);
    ollama_json_close(&j, '}');

    assert_false(j.overflow);
    assert_int_equal(ollama_json_len(&j), sizeof(expected) - 1);
    assert_memory_equal(buf, expected, sizeof(expected) - 1);
}


static void
test_lines(void **state)
{
    char           buf[64];
    ollama_json_t  j;

    (void) state;

    ollama_json_init(&j, buf, sizeof(buf));
    ollama_json_open(&j, '{');
    ollama_json_close(&j, '}');
    ollama_json_raw(&j, "\n", 1);
    ollama_json_open(&j, '{');
    ollama_json_close(&j, '}');

    assert_int_equal(ollama_json_len(&j), 5);
    assert_memory_equal(buf, "{}\n{}", 5);
}


static void
test_strings(void **state)
{
    size_t         i;
    char          *in, buf[128];
    ollama_json_t  j;

    static const struct {
        const char  *in;
        size_t       len;
        const char  *out;
    } strings[] = {
        { "", 0, "\"\"" },
        { "abc", 3, "\"abc\"" },
        { "\"\\/", 3, "\"\\\"\\\\/\"" },
        { "a\n\r\tb", 5, "\"a\\n\\r\\tb\"" },
        { "\0\x1f\x7f", 3, "\"\\u0000\\u001f\x7f\"" },
        { "<&>'", 4, "\"<&>'\"" },
        { "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9,
          "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"" },
        { "\xf4\x8f\xbf\xbf\xed\x9f\xbf", 7,
          "\"\xf4\x8f\xbf\xbf\xed\x9f\xbf\"" },

        /* not UTF-8: lone, cut, overlong, surrogate, beyond, continued */
        { "a\xff", 2, "\"a\xef\xbf\xbd\"" },
        { "\x80z", 2, "\"\xef\xbf\xbdz\"" },
        { "\xc3", 1, "\"\xef\xbf\xbd\"" },
        { "\xe2\x82", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
        { "\xc0\xaf", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
        { "\xe0\x80\xaf", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
        { "\xed\xa0\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
        { "\xf4\x90\x80\x80", 4,
          "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
        { "\xf0\x8f\xbf\xbf", 4,
          "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
        { "\xc3\x28", 2, "\"\xef\xbf\xbd(\"" },
        { "\xc3\"", 2, "\"\xef\xbf\xbd\\\"\"" }
    };

    (void) state;

    for (i = 0; i < COUNT(strings); i++) {
        in = malloc(strings[i].len ? strings[i].len : 1);
        memcpy(in, strings[i].in, strings[i].len);

        memset(buf, 0, sizeof(buf));
        ollama_json_init(&j, buf, sizeof(buf) - 1);
        ollama_json_string(&j, in, strings[i].len);

        free(in);

        assert_false(j.overflow);
        assert_string_equal(buf, strings[i].out);
    }
}


static void
test_overflow(void **state)
{
    char           buf[8];
    size_t         size, len;
    ollama_json_t  j;

    (void) state;

    for (size = 0; size < sizeof(buf); size++) {
        memset(buf, '#', sizeof(buf));

        ollama_json_init(&j, buf, size);
        ollama_json_text(&j, "a\"b\nc");

        assert_true(j.overflow);
        assert_true(ollama_json_len(&j) <= size);
        assert_int_equal(buf[size], '#');

        /* nor does a shorter thing slip in behind it */

        len = ollama_json_len(&j);

        ollama_json_int(&j, 1);
        assert_int_equal(ollama_json_len(&j), len);
    }

    ollama_json_init(&j, buf, 7);
    ollama_json_text(&j, "a\"bcd");
    assert_true(j.overflow);

    ollama_json_init(&j, buf, 8);
    ollama_json_text(&j, "a\"bcd");
    assert_false(j.overflow);
    assert_int_equal(ollama_json_len(&j), 8);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_document),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_overflow)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
