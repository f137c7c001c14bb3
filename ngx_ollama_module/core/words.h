
/*
 * What the words of an error are about.
 *
 * The cloud tells its reasons in sentences, of which these parts have stayed
 * the same over the years:
 *
 *     quota         "usage limit", and the word before it names the window
 *     concurrent    "concurrent"
 *     unauthorized  "unauthorized", "invalid credentials", "invalid api key"
 *     money         "balance is empty", "add credits"
 *     plan          "subscription", "plan", "usage", "credits", "upgrade"
 *     model         "this model": what is said is about no other one
 *     slow          "too many requests", "rate limit"
 *     internal      "internal server error"
 *
 * "plan" is a word of its own, and a usage policy is no plan.  Capitals do not
 * matter.  The body may be cut anywhere, as in error.h.
 */

#ifndef OLLAMA_WORDS_H_INCLUDED
#define OLLAMA_WORDS_H_INCLUDED

#include <stddef.h>
#include <stdint.h>


typedef struct {
    const char     *word;
    const char     *reason;
    int64_t         period;             /* 0: has no fixed end */
    int64_t         offset;             /* of the first one */
    int64_t         longest;
    unsigned        billed:1;           /* ends with what was paid for */
} ollama_quota_t;


typedef struct {
    const ollama_quota_t  *quota;       /* or NULL */

    unsigned               concurrent:1;
    unsigned               unauthorized:1;
    unsigned               money:1;
    unsigned               plan:1;
    unsigned               model:1;
    unsigned               slow:1;
    unsigned               internal:1;
} ollama_words_t;


void ollama_words(const unsigned char *body, size_t len, ollama_words_t *words);

/* the window that a text in small letters names, or NULL */
const ollama_quota_t *ollama_words_quota(const char *text);


#endif /* OLLAMA_WORDS_H_INCLUDED */
