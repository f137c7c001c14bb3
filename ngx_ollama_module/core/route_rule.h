/*
 * What an operator changes of the route table (route.h).
 *
 * A rule names a method ("*": any) and a path, or with a "*" at its end the
 * beginning of paths, decoded as in the table.  The last one that fits decides.
 *
 *    local   404 in the API's shape, and the body goes nowhere
 *    pass    forwarded: what the table would answer here goes on as an unknown
 *            path does; what it forwards stays as it is there, or chats would
 *            no longer be counted
 *
 * OPTIONS is always a preflight.  With "refuse" an unknown path is local, and
 * another method of a known one 405, as long as no rule says otherwise.
 *
 * ollama_route_rule_parse() keeps pointers to the words it was given; it says
 * in words what is wrong with them (NULL: nothing).
 */

#ifndef OLLAMA_ROUTE_RULE_H_INCLUDED
#define OLLAMA_ROUTE_RULE_H_INCLUDED

#include "route.h"


typedef struct {
    const unsigned char  *path;     /* without the "*" */
    size_t                len;
    const char           *method;
    size_t                method_len;       /* 0: any */
    unsigned              pattern:1;
    unsigned              pass:1;
} ollama_route_rule_t;


const char *ollama_route_rule_parse(const unsigned char *method,
    size_t method_len, const unsigned char *path, size_t len,
    const unsigned char *what, size_t what_len, ollama_route_rule_t *rule);

/* route is what the table says, NULL stays NULL */
const ollama_route_t *ollama_route_changed(const ollama_route_t *route,
    const ollama_route_rule_t *rules, size_t n, int refuse, const char *method,
    size_t method_len, const unsigned char *path, size_t len);


#endif /* OLLAMA_ROUTE_RULE_H_INCLUDED */
