
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "allow.h"


#define COUNT(a)  (sizeof(a) / sizeof((a)[0]))

#define MAX_LINES  16


typedef struct {
    char                  text[MAX_LINES][64];
    ollama_allow_rule_t   rules[64];
    ollama_allow_t        allow;
} list_t;


/* "name" or "name off", one a line */

static void
make(list_t *list, const char **lines, size_t nlines)
{
    int                         off;
    char                       *space;
    size_t                      i, n, k;
    const ollama_allow_rule_t  *own;

    k = ollama_allow_own(&own);
    memcpy(list->rules, own, k * sizeof(*own));
    n = k;

    for (i = 0; i < nlines; i++) {
        strcpy(list->text[i], lines[i]);
        space = strchr(list->text[i], ' ');
        off = (space != NULL);

        assert_null(ollama_allow_parse((unsigned char *) list->text[i],
                                       space ? (size_t) (space - list->text[i])
                                             : strlen(list->text[i]),
                                       off, &list->rules[n++]));
    }

    k = ollama_allow_never(&own);
    memcpy(list->rules + n, own, k * sizeof(*own));

    ollama_allow_index(&list->allow, list->rules, n + k);
}


/* an exact buffer, so that a sanitizer sees every byte too much */

static int
passes(list_t *list, const char *name)
{
    int             rc;
    size_t          len;
    unsigned char  *copy;

    len = strlen(name);
    copy = malloc(len ? len : 1);
    memcpy(copy, name, len);

    rc = ollama_allow(&list->allow, copy, len);

    free(copy);

    return rc;
}


static const char  *ours[] = {
    "content-type", "accept", "user-agent", "anthropic-version",
    "anthropic-beta", "anthropic-dangerous-direct-browser-access",
    "openai-beta", "x-app", "originator", "idempotency-key", "traceparent",
    "tracestate", "x-request-id", "x-client-request-id", "x-stainless-lang",
    "x-stainless-retry-count", "x-stainless-"
};

static const char  *others[] = {
    "", "x", "cookie", "host", "x-forwarded-for", "x-ollama-client",
    "x-stainless", "x-stainles-lang", "accept-encoding", "accep", "accept-",
    "x_request_id", "x-request-idx", "anthropic-dangerous-direct-browser-acces",
    "authorization", "proxy-authorization", "x-api-key", "api-key",
    "x-goog-api-key", "content-encoding", "openai-organization",
    "x-openwebui-user-email"
};


static void
test_own(void **state)
{
    list_t  list;
    size_t  i;

    (void) state;

    make(&list, NULL, 0);

    for (i = 0; i < COUNT(ours); i++) {
        if (!passes(&list, ours[i])) {
            fail_msg("%s is kept back", ours[i]);
        }
    }

    for (i = 0; i < COUNT(others); i++) {
        if (passes(&list, others[i])) {
            fail_msg("%s passes", others[i]);
        }
    }
}


static void
test_lines(void **state)
{
    list_t  list;

    static const char  *lines[] = {
        "X-Team", "X-Trace-*", "x-trace-secret off", "User-Agent off",
        "X-Stainless-* off", "x-stainless-lang"
    };

    (void) state;

    make(&list, lines, COUNT(lines));

    assert_true(passes(&list, "x-team"));
    assert_true(passes(&list, "x-trace-a"));
    assert_true(passes(&list, "x-trace-"));
    assert_false(passes(&list, "x-trace-secret"));
    assert_false(passes(&list, "user-agent"));
    assert_false(passes(&list, "x-stainless-os"));
    assert_true(passes(&list, "x-stainless-lang"));
    assert_true(passes(&list, "accept"));
}


static void
test_order(void **state)
{
    list_t  list;

    static const char  *off[] = { "x-a", "x-* off" };
    static const char  *on[] = { "x-* off", "x-a", "x-a off", "x-a" };
    static const char  *none[] = { "* off", "accept" };

    (void) state;

    make(&list, off, COUNT(off));
    assert_false(passes(&list, "x-a"));
    assert_false(passes(&list, "x-app"));
    assert_true(passes(&list, "accept"));

    make(&list, on, COUNT(on));
    assert_true(passes(&list, "x-a"));
    assert_false(passes(&list, "x-b"));

    make(&list, none, COUNT(none));
    assert_true(passes(&list, "accept"));
    assert_false(passes(&list, "content-type"));
    assert_false(passes(&list, "x-stainless-lang"));
}


/* "*" is all but the token */

static void
test_all(void **state)
{
    list_t  list;
    size_t  i;

    static const char  *all[] = { "*", "X-*", "Auth*", "Cookie off" };
    static const char  *never[] = {
        "authorization", "proxy-authorization", "x-api-key", "api-key",
        "x-goog-api-key"
    };

    (void) state;

    make(&list, all, COUNT(all));

    assert_true(passes(&list, "x-forwarded-for"));
    assert_true(passes(&list, "anything"));
    assert_true(passes(&list, ""));
    assert_false(passes(&list, "cookie"));

    for (i = 0; i < COUNT(never); i++) {
        assert_false(passes(&list, never[i]));
    }
}


static void
test_wrong(void **state)
{
    size_t               i;
    unsigned char        text[64];
    ollama_allow_rule_t  rule;

    static const char  *wrong[] = {
        "", "*x", "x*y", "**", "x**", "a b", "a:", "a\tb", "\xc3\xa4", "x,y",
        "a(b)", "Authorization", "X-API-Key", "api-key", "X-Goog-Api-Key",
        "proxy-authorization"
    };

    (void) state;

    for (i = 0; i < COUNT(wrong); i++) {
        strcpy((char *) text, wrong[i]);

        if (ollama_allow_parse(text, strlen(wrong[i]), 0, &rule) == NULL) {
            fail_msg("\"%s\" is taken", wrong[i]);
        }
    }

    strcpy((char *) text, "Authorization");
    assert_null(ollama_allow_parse(text, 13, 1, &rule));
    assert_memory_equal(rule.name, "authorization", 13);

    assert_non_null(ollama_allow_parse((unsigned char *) "a\0b", 3, 0, &rule));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_own),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_all),
        cmocka_unit_test(test_wrong)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
