/*
 * Which headers of a client go on to the cloud.
 *
 * A list of rules, each a name or the beginning of names ("x-stainless-*"),
 * that lets in or takes out ("off").  The last rule that fits a name decides,
 * and a name that none fits stays here.  In order:
 *
 *     what is built in        ollama_allow_own(): what the cloud's APIs and
 *                             their SDKs define, and ids of traces
 *     an operator's lines     of http, server and location, as they come
 *     what is never let in    where a client may have put this proxy's token
 *
 * ollama_allow_parse() makes a rule of a line's first word and says in words
 * what is wrong with it (NULL: nothing); its name is put into lower case where
 * it stands, and has to stay there.  "*" alone is every name.
 *
 * ollama_allow_index() prepares a list of n rules, which the caller has laid
 * out: own rules, lines, never rules.  ollama_allow() asks it with a name in
 * lower case: it looks at the names of the same length (modulo 32), and at the
 * few patterns, so that it needs neither a hash nor a walk through the list.
 */

#ifndef OLLAMA_ALLOW_H_INCLUDED
#define OLLAMA_ALLOW_H_INCLUDED

#include <stddef.h>


#define OLLAMA_ALLOW_LENGTHS  32


typedef struct {
    const unsigned char  *name;     /* lower case, without the "*" */
    size_t                len;
    unsigned              pattern:1;
    unsigned              off:1;
    unsigned              next;     /* of index: + 1, 0 is the end */
} ollama_allow_rule_t;


typedef struct {
    ollama_allow_rule_t  *rules;
    size_t                n;
    unsigned              names[OLLAMA_ALLOW_LENGTHS];  /* the last one, + 1 */
    unsigned              patterns;
} ollama_allow_t;


const char *ollama_allow_parse(unsigned char *text, size_t len, int off,
    ollama_allow_rule_t *rule);

/* static rules, to be copied: how many there are is returned */
size_t ollama_allow_own(const ollama_allow_rule_t **rules);
size_t ollama_allow_never(const ollama_allow_rule_t **rules);

void ollama_allow_index(ollama_allow_t *allow, ollama_allow_rule_t *rules,
    size_t n);
int ollama_allow(const ollama_allow_t *allow, const unsigned char *name,
    size_t len);


#endif /* OLLAMA_ALLOW_H_INCLUDED */
