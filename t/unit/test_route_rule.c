
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "route_rule.h"


#define COUNT(a)  (sizeof(a) / sizeof((a)[0]))


static const char *
parse(const char *method, const char *path, const char *what,
    ollama_route_rule_t *rule)
{
    return ollama_route_rule_parse((const unsigned char *) method,
                                   strlen(method),
                                   (const unsigned char *) path, strlen(path),
                                   (const unsigned char *) what, strlen(what),
                                   rule);
}


static const ollama_route_t *
changed(const ollama_route_rule_t *rules, size_t n, int refuse,
    const char *method, const char *path)
{
    const ollama_route_t  *route;

    route = ollama_route_find(method, strlen(method),
                              (const unsigned char *) path, strlen(path));

    return ollama_route_changed(route, rules, n, refuse, method,
                                strlen(method), (const unsigned char *) path,
                                strlen(path));
}


static void
test_wrong(void **state)
{
    size_t               i;
    ollama_route_rule_t  rule;

    static const char  *wrong[][3] = {
        { "", "/api/x", "pass" }, { "get", "/api/x", "pass" },
        { "GET POST", "/api/x", "pass" }, { "G*", "/api/x", "pass" },
        { "**", "/api/x", "pass" }, { "GET", "", "pass" },
        { "GET", "/x", "pass" }, { "GET", "*", "pass" },
        { "GET", "/", "local" }, { "GET", "/apix", "local" },
        { "GET", "/v1x/y", "local" }, { "GET", "/ap*", "local" },
        { "GET", "/api/*/x", "local" }, { "GET", "/api/x**", "local" },
        { "GET", "/api/x?y", "local" }, { "GET", "/api//x", "local" },
        { "GET", "/api/x", "" }, { "GET", "/api/x", "on" },
        { "GET", "/api/x", "passes" }, { "GET", "/api/x", "LOCAL" },
        { "/api/x", "GET", "local" }
    };

    (void) state;

    for (i = 0; i < COUNT(wrong); i++) {
        if (parse(wrong[i][0], wrong[i][1], wrong[i][2], &rule) == NULL) {
            fail_msg("%s %s %s", wrong[i][0], wrong[i][1], wrong[i][2]);
        }
    }
}


static void
test_rules(void **state)
{
    ollama_route_rule_t    rules[5];
    const ollama_route_t  *route;

    (void) state;

    assert_null(parse("*", "/api/new/*", "local", &rules[0]));
    assert_null(parse("GET", "/api/new/one", "pass", &rules[1]));
    assert_null(parse("*", "/api/usage", "pass", &rules[2]));
    assert_null(parse("*", "/api/chat", "pass", &rules[3]));
    assert_null(parse("POST", "/v1/messages/*", "local", &rules[4]));

    route = changed(rules, 5, 0, "POST", "/api/new/one");
    assert_int_equal(route->local, OLLAMA_LOCAL_NOWHERE);

    route = changed(rules, 5, 0, "GET", "/api/new/one");
    assert_ptr_equal(route, ollama_route_unknown(OLLAMA_FAMILY_NATIVE));

    route = changed(rules, 5, 0, "GET", "/api/new/");
    assert_int_equal(route->local, OLLAMA_LOCAL_NOWHERE);

    route = changed(rules, 5, 0, "GET", "/api/new");
    assert_ptr_equal(route, ollama_route_unknown(OLLAMA_FAMILY_NATIVE));

    /* answered here by the table */

    route = changed(rules, 5, 0, "GET", "/api/usage");
    assert_ptr_equal(route, ollama_route_unknown(OLLAMA_FAMILY_NATIVE));

    route = changed(rules, 5, 0, "GET", "/api/balance");
    assert_int_equal(route->local, OLLAMA_LOCAL_ACCOUNT);

    /* forwarded by the table: it stays as it is */

    route = changed(rules, 5, 0, "POST", "/api/chat");
    assert_string_equal(route->name, "chat");

    /* the shape is that of the API */

    route = changed(rules, 5, 0, "POST", "/v1/messages/count_tokens");
    assert_int_equal(route->local, OLLAMA_LOCAL_NOWHERE);
    assert_int_equal(route->family, OLLAMA_FAMILY_ANTHROPIC);

    /* the last one that fits decides; a preflight is one */

    assert_null(parse("*", "/api/new/one", "local", &rules[4]));

    route = changed(rules, 5, 0, "GET", "/api/new/one");
    assert_int_equal(route->local, OLLAMA_LOCAL_NOWHERE);

    route = changed(rules, 5, 0, "OPTIONS", "/api/new/one");
    assert_int_equal(route->local, OLLAMA_LOCAL_PREFLIGHT);

    assert_null(changed(rules, 5, 0, "GET", "/health"));
}


static void
test_refuse(void **state)
{
    ollama_route_rule_t    rule;
    const ollama_route_t  *route;

    (void) state;

    assert_null(parse("*", "/api/new", "pass", &rule));

    route = changed(&rule, 1, 1, "GET", "/api/other");
    assert_int_equal(route->local, OLLAMA_LOCAL_NOWHERE);

    route = changed(&rule, 1, 1, "GET", "/v1/messages/x");
    assert_int_equal(route->local, OLLAMA_LOCAL_NOWHERE);
    assert_int_equal(route->family, OLLAMA_FAMILY_ANTHROPIC);

    route = changed(&rule, 1, 1, "GET", "/api/chat");
    assert_int_equal(route->local, OLLAMA_LOCAL_METHOD);

    route = changed(&rule, 1, 1, "GET", "/api/new");
    assert_ptr_equal(route, ollama_route_unknown(OLLAMA_FAMILY_NATIVE));

    route = changed(&rule, 1, 1, "POST", "/api/chat");
    assert_string_equal(route->name, "chat");

    route = changed(NULL, 0, 1, "GET", "/api/tags");
    assert_string_equal(route->name, "tags");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_refuse)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
