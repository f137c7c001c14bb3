
#include "route_rule.h"

#include <string.h>


static int ollama_route_rule_is(const unsigned char *text, size_t len,
    const char *word);
static const char *ollama_route_rule_path(const unsigned char *path,
    size_t len);
static int ollama_route_rule_fits(const ollama_route_rule_t *rule,
    const char *method, size_t method_len, const unsigned char *path,
    size_t len);


const char *
ollama_route_rule_parse(const unsigned char *method, size_t method_len,
    const unsigned char *path, size_t len, const unsigned char *what,
    size_t what_len, ollama_route_rule_t *rule)
{
    size_t  i;

    memset(rule, 0, sizeof(ollama_route_rule_t));

    if (!ollama_route_rule_is(method, method_len, "*")) {

        for (i = 0; i < method_len; i++) {
            if (method[i] < 'A' || method[i] > 'Z') {
                break;
            }
        }

        if (i == 0 || i < method_len) {
            return "expected a method, such as \"GET\", or \"*\"";
        }

        rule->method = (const char *) method;
        rule->method_len = method_len;
    }

    rule->path = path;
    rule->len = len;

    if (len && path[len - 1] == '*') {
        rule->pattern = 1;
        rule->len--;
    }

    if (ollama_route_rule_is(what, what_len, "pass")) {
        rule->pass = 1;

    } else if (!ollama_route_rule_is(what, what_len, "local")) {
        return "expected \"local\" or \"pass\"";
    }

    return ollama_route_rule_path(path, rule->len);
}


/* a path that no request can have after it was put right would never fit */

static const char *
ollama_route_rule_path(const unsigned char *path, size_t len)
{
    size_t  i;

    static const char  words[] = "expected a path that begins with "
                                 "\"/api/\" or \"/v1/\"";

    if ((len < 5 || memcmp(path, "/api/", 5) != 0)
        && (len < 4 || memcmp(path, "/v1/", 4) != 0)
        && !ollama_route_rule_is(path, len, "/api")
        && !ollama_route_rule_is(path, len, "/v1"))
    {
        return words;
    }

    for (i = 0; i < len; i++) {

        if (path[i] == '*') {
            return "a \"*\" may only be the last character";
        }

        if (path[i] == '?') {
            return "a path has no query";
        }

        if (path[i] == '/' && i + 1 < len && path[i + 1] == '/') {
            return "slashes that follow one another are one";
        }
    }

    return NULL;
}


const ollama_route_t *
ollama_route_changed(const ollama_route_t *route,
    const ollama_route_rule_t *rules, size_t n, int refuse, const char *method,
    size_t method_len, const unsigned char *path, size_t len)
{
    if (route == NULL || route->local == OLLAMA_LOCAL_PREFLIGHT) {
        return route;
    }

    while (n--) {

        if (!ollama_route_rule_fits(&rules[n], method, method_len, path, len))
        {
            continue;
        }

        if (!rules[n].pass) {
            return ollama_route_nowhere(route->family);
        }

        return (route->kind == OLLAMA_ROUTE_LOCAL)
               ? ollama_route_unknown(route->family) : route;
    }

    if (refuse && route->flags & OLLAMA_ROUTE_UNKNOWN) {
        return ollama_route_known(path, len)
               ? ollama_route_not_allowed(route->family)
               : ollama_route_nowhere(route->family);
    }

    return route;
}


static int
ollama_route_rule_fits(const ollama_route_rule_t *rule, const char *method,
    size_t method_len, const unsigned char *path, size_t len)
{
    if (rule->method_len
        && (rule->method_len != method_len
            || memcmp(rule->method, method, method_len) != 0))
    {
        return 0;
    }

    if (len < rule->len || (len > rule->len && !rule->pattern)) {
        return 0;
    }

    return memcmp(rule->path, path, rule->len) == 0;
}


static int
ollama_route_rule_is(const unsigned char *text, size_t len, const char *word)
{
    return len == strlen(word) && memcmp(text, word, len) == 0;
}
