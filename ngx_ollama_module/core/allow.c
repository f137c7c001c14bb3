
#include "allow.h"

#include <string.h>


#define ollama_allow_name(s)  (const unsigned char *) s, sizeof(s) - 1

#define ollama_allow_pass(s)   { ollama_allow_name(s), 0, 0, 0 }
#define ollama_allow_keep(s)   { ollama_allow_name(s), 0, 1, 0 }


static int ollama_allow_token(unsigned char c);


static const ollama_allow_rule_t  ollama_allow_rules[] = {

    /* what the SDKs say of themselves; a pattern is asked after all names */
    { ollama_allow_name("x-stainless-"), 1, 0, 0 },
    ollama_allow_pass("user-agent"),
    ollama_allow_pass("x-app"),
    ollama_allow_pass("originator"),

    /* of the body, and of the answer */
    ollama_allow_pass("content-type"),
    ollama_allow_pass("accept"),

    /* versions of the APIs */
    ollama_allow_pass("anthropic-version"),
    ollama_allow_pass("anthropic-beta"),
    ollama_allow_pass("anthropic-dangerous-direct-browser-access"),
    ollama_allow_pass("openai-beta"),

    /* of one request, made for it */
    ollama_allow_pass("idempotency-key"),
    ollama_allow_pass("traceparent"),
    ollama_allow_pass("tracestate"),
    ollama_allow_pass("x-request-id"),
    ollama_allow_pass("x-client-request-id")
};


static const ollama_allow_rule_t  ollama_allow_nevers[] = {
    ollama_allow_keep("authorization"),
    ollama_allow_keep("proxy-authorization"),
    ollama_allow_keep("x-api-key"),
    ollama_allow_keep("api-key"),
    ollama_allow_keep("x-goog-api-key")
};


#define OLLAMA_ALLOW_NEVERS  (sizeof(ollama_allow_nevers)                     \
                              / sizeof(ollama_allow_nevers[0]))


const char *
ollama_allow_parse(unsigned char *text, size_t len, int off,
    ollama_allow_rule_t *rule)
{
    size_t  i;

    memset(rule, 0, sizeof(ollama_allow_rule_t));

    if (len == 0) {
        return "a header's name is missing";
    }

    rule->name = text;
    rule->len = len;
    rule->off = off ? 1 : 0;

    if (text[len - 1] == '*') {
        rule->pattern = 1;
        rule->len--;
    }

    for (i = 0; i < rule->len; i++) {

        if (text[i] == '*') {
            return "a \"*\" may only be the last character";
        }

        if (!ollama_allow_token(text[i])) {
            return "this is no header's name";
        }

        if (text[i] >= 'A' && text[i] <= 'Z') {
            text[i] |= 0x20;
        }
    }

    if (off || rule->pattern) {
        return NULL;
    }

    for (i = 0; i < OLLAMA_ALLOW_NEVERS; i++) {
        if (ollama_allow_nevers[i].len == len
            && memcmp(ollama_allow_nevers[i].name, text, len) == 0)
        {
            return "clients show the proxy's token in this header: "
                   "it is never passed on";
        }
    }

    return NULL;
}


size_t
ollama_allow_own(const ollama_allow_rule_t **rules)
{
    *rules = ollama_allow_rules;

    return sizeof(ollama_allow_rules) / sizeof(ollama_allow_rules[0]);
}


size_t
ollama_allow_never(const ollama_allow_rule_t **rules)
{
    *rules = ollama_allow_nevers;

    return OLLAMA_ALLOW_NEVERS;
}


void
ollama_allow_index(ollama_allow_t *allow, ollama_allow_rule_t *rules, size_t n)
{
    size_t     i;
    unsigned  *first;

    memset(allow, 0, sizeof(ollama_allow_t));

    allow->rules = rules;
    allow->n = n;

    for (i = 0; i < n; i++) {
        first = rules[i].pattern
                ? &allow->patterns
                : &allow->names[rules[i].len % OLLAMA_ALLOW_LENGTHS];

        rules[i].next = *first;
        *first = (unsigned) (i + 1);
    }
}


int
ollama_allow(const ollama_allow_t *allow, const unsigned char *name,
    size_t len)
{
    unsigned                    i, k;
    const ollama_allow_rule_t  *rule;

    rule = NULL;

    for (i = allow->names[len % OLLAMA_ALLOW_LENGTHS]; i; i = rule->next) {
        rule = &allow->rules[i - 1];

        if (rule->len == len && memcmp(rule->name, name, len) == 0) {
            break;
        }
    }

    /* a pattern that comes after it */

    for (k = allow->patterns; k > i; k = rule->next) {
        rule = &allow->rules[k - 1];

        if (len >= rule->len && memcmp(rule->name, name, rule->len) == 0) {
            return !rule->off;
        }
    }

    return i && !allow->rules[i - 1].off;
}


static int
ollama_allow_token(unsigned char c)
{
    return (c >= 'a' && c <= 'z')
           || (c >= 'A' && c <= 'Z')
           || (c >= '0' && c <= '9')
           || (c != '\0' && strchr("!#$%&'+-.^_`|~", c) != NULL);
}
