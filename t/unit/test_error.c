
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "error.h"


#define COUNT(a)  (sizeof(a) / sizeof((a)[0]))

#define NATIVE     OLLAMA_FAMILY_NATIVE
#define OPENAI     OLLAMA_FAMILY_OPENAI
#define ANTHROPIC  OLLAMA_FAMILY_ANTHROPIC


static void
test_types(void **state)
{
    size_t  i;

    static const struct {
        ollama_family_e   family;
        unsigned          status;
        const char       *type;
    } types[] = {
        { OPENAI, 400, "invalid_request_error" },
        { OPENAI, 404, "not_found_error" },
        { OPENAI, 401, "api_error" },
        { OPENAI, 429, "api_error" },
        { OPENAI, 500, "api_error" },
        { ANTHROPIC, 400, "invalid_request_error" },
        { ANTHROPIC, 401, "authentication_error" },
        { ANTHROPIC, 403, "permission_error" },
        { ANTHROPIC, 404, "not_found_error" },
        { ANTHROPIC, 429, "rate_limit_error" },
        { ANTHROPIC, 503, "overloaded_error" },
        { ANTHROPIC, 529, "overloaded_error" },
        { ANTHROPIC, 500, "api_error" },
        { ANTHROPIC, 502, "api_error" }
    };

    (void) state;

    for (i = 0; i < COUNT(types); i++) {
        assert_string_equal(ollama_error_type(types[i].family,
                                              types[i].status),
                            types[i].type);
    }
}


static void
test_bodies(void **state)
{
    size_t  i, n;
    char    buf[OLLAMA_ERROR_BODY_MAX(16)];

    static const struct {
        ollama_family_e   family;
        unsigned          status;
        const char       *text;
        const char       *body;
    } bodies[] = {
        { NATIVE, 429, "no \"key\"", "{\"error\":\"no \\\"key\\\"\"}" },
        { OPENAI, 404, "not here",
          "{\"error\":{\"message\":\"not here\","
          "\"type\":\"not_found_error\",\"param\":null,\"code\":null}}" },
        { ANTHROPIC, 503, "all\nout",
          "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\","
          "\"message\":\"all\\nout\"}}" }
    };

    (void) state;

    for (i = 0; i < COUNT(bodies); i++) {
        n = ollama_error_body(bodies[i].family, bodies[i].status,
                              bodies[i].text, strlen(bodies[i].text), buf,
                              sizeof(buf));

        assert_int_equal(n, strlen(bodies[i].body));
        assert_memory_equal(buf, bodies[i].body, n);

        assert_int_equal(ollama_error_body(bodies[i].family, bodies[i].status,
                                           bodies[i].text,
                                           strlen(bodies[i].text), buf, n), n);
        assert_int_equal(ollama_error_body(bodies[i].family, bodies[i].status,
                                           bodies[i].text,
                                           strlen(bodies[i].text), buf, n - 1),
                         0);
    }
}


/* the room that is promised to be enough, for the worst text there is */

static void
test_room(void **state)
{
    char  text[100], buf[OLLAMA_ERROR_BODY_MAX(sizeof(text))];

    (void) state;

    memset(text, 1, sizeof(text));

    assert_true(ollama_error_body(ANTHROPIC, 400, text, sizeof(text), buf,
                                  sizeof(buf)) > 600);
    assert_true(ollama_error_body(OPENAI, 400, text, sizeof(text), buf,
                                  sizeof(buf)) > 600);
    assert_true(ollama_error_body(NATIVE, 400, text, sizeof(text), buf,
                                  sizeof(buf)) > 600);
}


static size_t
text(const char *body, size_t len, char *out, size_t size)
{
    size_t          n;
    unsigned char  *copy;

    copy = malloc(len ? len : 1);
    memcpy(copy, body, len);

    n = ollama_error_text(copy, len, out, size);

    free(copy);

    return n;
}


static void
test_text(void **state)
{
    char    out[128];
    size_t  i, n;

    static const struct {
        const char  *body;
        const char  *text;
    } texts[] = {
        { "{\"error\":\"unauthorized\"}", "unauthorized" },
        { " \r\n{ \"error\" : \"x\" }\n", "x" },
        { "{\"error\":{\"message\":\"m\",\"type\":\"api_error\"}}", "m" },
        { "{\"type\":\"error\",\"error\":{\"type\":\"t\",\"message\":\"m\"}}",
          "m" },
        { "{\"a\":[1,{\"error\":\"no\"},\"]\"],\"b\":{\"error\":\"no\"},"
          "\"error\":\"yes\"}", "yes" },
        { "{\"a\":-1.5e3,\"b\":true,\"c\":null,\"error\":\"yes\"}", "yes" },
        { "{\"x\":\"\\\"error\\\":\\\"no\\\"\",\"error\":\"yes\"}", "yes" },
        { "{\"error\":\"\\r\\bx\\f\"}", "\r x " },
        { "{\"error\":\"a\\n\\t\\\"\\\\\\/\\u00e4\\u20ac\\ud83d\\ude00\"}",
          "a\n\t\"\\/\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80" },
        { "{\"error\":\"\\u003cb\\u003E\"}", "<b>" },
        { "{\"error\":\"\\ud83dx\\ude00\"}", "\xef\xbf\xbdx\xef\xbf\xbd" },
        { "{\"error\":\"\\ud83d\\u0041\"}", "\xef\xbf\xbd" },
        { "{\"error\":\"\\uZZ\"}", "\xef\xbf\xbdZZ" },
        { "{\"error\":\"a\\u0000b\"}", "a b" },

        /* cut */
        { "{\"error\":\"session usage li", "session usage li" },
        { "{\"error\":{\"message\":\"too ma", "too ma" },
        { "{\"error\":\"x\\", "x" },
        { "{\"error\":\"x\\u12", "x\xef\xbf\xbd" },
        { "{\"error\":", "{\"error\":" },
        { "{\"err", "{\"err" },
        { "{", "{" },

        /* other */
        { "", "" },
        { "upstream failed", "upstream failed" },
        { "<html>502</html>", "<html>502</html>" },
        { "[\"error\"]", "[\"error\"]" },
        { "{\"error\":17}", "{\"error\":17}" },
        { "{\"error\":{\"code\":1}}", "{\"error\":{\"code\":1}}" },
        { "{\"error\":{\"message\":{}}}", "{\"error\":{\"message\":{}}}" },
        { "{\"message\":\"m\"}", "{\"message\":\"m\"}" },
        { "{\"a\":]]]]}}", "{\"a\":]]]]}}" }
    };

    (void) state;

    for (i = 0; i < COUNT(texts); i++) {
        n = text(texts[i].body, strlen(texts[i].body), out, sizeof(out));

        assert_int_equal(n, strlen(texts[i].text));
        assert_string_equal(out, texts[i].text);
    }

    assert_int_equal(text("a\0b", 3, out, sizeof(out)), 3);
    assert_string_equal(out, "a b");
}


static void
test_text_bounds(void **state)
{
    char    *out;
    size_t   size, n;

    static const char  body[] = "{\"error\":\"ab\\u20accdef\"}";

    (void) state;

    assert_int_equal(text(body, sizeof(body) - 1, NULL, 0), 0);

    for (size = 1; size < 12; size++) {
        out = malloc(size);
        n = text(body, sizeof(body) - 1, out, size);

        assert_true(n < size);
        assert_int_equal(strlen(out), n);
        assert_memory_equal(out, "ab\xe2\x82\xac" "cdef", n);

        /* no half of a character */

        assert_true(n < 3 || n > 4);

        n = text("plain text", 10, out, size);

        assert_int_equal(n, size - 1 < 10 ? size - 1 : 10);
        free(out);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_text_bounds)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
