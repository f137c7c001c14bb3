/* What is taken out of bodies. */

#include "../../stats-daemon/bodies/redact.h"

#include "../../stats-daemon/base/util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct redact *list(const char *one, const char *two) {
    char err[256];
    struct redact *r = redact_add(NULL, one, err, sizeof(err));

    assert_non_null(r);
    if (two) assert_ptr_equal(redact_add(r, two, err, sizeof(err)), r);
    return r;
}

static void becomes(const char *one, const char *two, const char *body,
                    const char *wanted) {
    struct redact *r = list(one, two);
    size_t len = strlen(body), n = 0;
    char *copy = malloc(len ? len : 1); /* without an end: over it is wrong */
    void *out = NULL;

    memcpy(copy, body, len);
    enum redact_result got = redact_body(r, copy, len, &out, &n);
    if (strcmp(body, wanted) == 0) {
        assert_int_equal(got, REDACT_NOTHING);
    } else {
        assert_int_equal(got, REDACT_DONE);
        assert_int_equal(n, strlen(wanted));
        assert_memory_equal(out, wanted, n);
    }
    free(out);
    free(copy);
    redact_unref(r);
}

static void words_are_replaced(void **state) {
    (void)state;
    becomes("secret", NULL, "", "");
    becomes("secret", NULL, "nothing", "nothing");
    becomes("secret", NULL, "secret", "[redacted]");
    becomes("secret", NULL, "a secret, secretsecret.",
            "a [redacted], [redacted][redacted].");
    becomes("^x", NULL, "xx", "[redacted]x");
    becomes("x$", NULL, "xx", "x[redacted]");
    becomes("(?<=token=)\\w+", NULL, "token=ab1 token= ",
            "token=[redacted] token= ");
    becomes("\"password\"\\s*:\\s*\"\\K[^\"]+", NULL,
            "{\"password\": \"hunter2\", \"x\": 1}",
            "{\"password\": \"[redacted]\", \"x\": 1}");
    becomes("a+", "b", "aab", "[redacted][redacted]");
    /* what one has written, the next one sees */
    becomes("a", "redact", "a", "[[redacted]ed]");
}

static void bytes_of_any_kind(void **state) {
    (void)state;
    becomes("\xc3\xa9+", NULL, "caf\xc3\xa9\xc3\xa9!", "caf[redacted]!");
    becomes("f.!", NULL, "caf\xc3\xa9!", "ca[redacted]");
    becomes("secret", NULL, "\xff\xfesecret\xff", "\xff\xfe[redacted]\xff");
    becomes("a.b", NULL, "a\xff"
                         "b",
            "a\xff"
            "b");

    struct redact *r = list("b\\x00c", NULL);
    void *out;
    size_t n;
    assert_int_equal(redact_body(r, "ab\0cd", 5, &out, &n), REDACT_DONE);
    assert_int_equal(n, 12);
    assert_memory_equal(out, "a[redacted]d", 12);
    free(out);
    redact_unref(r);
}

/* Over the places at which it looks at the time. */
static void long_bodies(void **state) {
    size_t len = 1000003, n;
    char *body = malloc(len);
    struct redact *r = list("secret", NULL);
    void *out;

    (void)state;
    memset(body, '.', len);
    for (size_t at = 65530; at + 6 < len; at += 65536 - 1)
        memcpy(body + at, "secret", 6);
    assert_int_equal(redact_body(r, body, len, &out, &n), REDACT_DONE);
    assert_int_equal(n, len + 15 * 4);
    assert_null(memmem(out, n, "secret", 6));
    free(out);

    memset(body, '.', len);
    memcpy(body + len - 6, "secret", 6);
    assert_int_equal(redact_body(r, body, len, &out, &n), REDACT_DONE);
    assert_memory_equal((char *)out + n - 11, ".[redacted]", 11);
    free(out);
    free(body);
    redact_unref(r);
}

/* It ends, and says that it does not know. */
static void too_hard(void **state) {
    static const char *const hard[] = {"(a+)+b", "(a|a)*c", "a*a*a*a*a*b",
                                       "(?s)(.*)(.*)(.*)(.*)(.*)x"};
    size_t len = 4 * 1024 * 1024, n;
    char *body = malloc(len);
    void *out;

    (void)state;
    memset(body, 'a', len);
    for (size_t i = 0; i < sizeof(hard) / sizeof(hard[0]); i++) {
        char err[256];
        struct redact *r = redact_add(NULL, hard[i], err, sizeof(err));
        int64_t began = mono_ms();

        assert_non_null(r);
        assert_int_equal(redact_body(r, body, len, &out, &n), REDACT_TOO_HARD);
        /* as much on a slow machine: it is its own clock that ends it */
        assert_true(mono_ms() - began < 20000);
        redact_unref(r);
    }
    free(body);
}

static void wrong_expressions(void **state) {
    char err[256];

    (void)state;
    assert_null(redact_add(NULL, "a(b", err, sizeof(err)));
    assert_string_equal(err, "the expression, at its byte 4: missing closing "
                             "parenthesis");
    assert_null(redact_add(NULL, "a*", err, sizeof(err)));
    assert_non_null(strstr(err, "matches what is empty"));
    assert_null(redact_add(NULL, "\xff", err, sizeof(err)));

    struct redact *r = list("a", NULL);
    assert_null(redact_add(r, "[", err, sizeof(err)));
    void *out;
    size_t n;
    assert_int_equal(redact_body(r, "a[", 2, &out, &n), REDACT_DONE);
    assert_memory_equal(out, "[redacted][", 11);
    free(out);
    redact_unref(redact_ref(r));
    redact_unref(r);

    assert_int_equal(redact_body(NULL, "a", 1, &out, &n), REDACT_NOTHING);
    assert_null(redact_ref(NULL));
    redact_unref(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_replaced),
        cmocka_unit_test(bytes_of_any_kind),
        cmocka_unit_test(long_bodies),
        cmocka_unit_test(too_hard),
        cmocka_unit_test(wrong_expressions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
