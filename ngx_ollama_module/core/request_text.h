/*
 * request_text.h - one string of a request body, unescaped while it arrives:
 * a member's name, or a value that matters (a model, a keep_alive).
 *
 *     ollama_request_text_begin(&t);
 *     ollama_request_text_add(&t, p, n, offset);        raw bytes
 *     ollama_request_text_unit(&t, unit, offset);       an escape
 *     ollama_request_text_end(&t);                      before it is looked at
 *
 * As Go's decoder does it, halves of a surrogate pair become one character, and
 * a half alone U+FFFD.  The first OLLAMA_MODEL_MAX bytes are kept, all are
 * counted.  Of the last bytes it is also known where each stood in the body,
 * since that is where a model's suffix is cut off, escaped or not.
 */

#ifndef OLLAMA_REQUEST_TEXT_H_INCLUDED
#define OLLAMA_REQUEST_TEXT_H_INCLUDED

#include "request.h"

#define OLLAMA_REQUEST_SUFFIX  6    /* ":cloud", "-cloud" */


typedef struct {
    size_t          len;            /* may exceed the room */
    unsigned        high;           /* half a surrogate pair, or 0 */
    uint64_t        high_start;     /* where that stood */
    uint64_t        tail[OLLAMA_REQUEST_SUFFIX];    /* and the last bytes */
    unsigned char   data[OLLAMA_MODEL_MAX + 1];
} ollama_request_text_t;


#define ollama_request_text_begin(t)  ((t)->len = 0, (t)->high = 0)

void ollama_request_text_add(ollama_request_text_t *t, const unsigned char *p,
    size_t n, uint64_t start);
void ollama_request_text_unit(ollama_request_text_t *t, unsigned unit,
    uint64_t start);
void ollama_request_text_end(ollama_request_text_t *t);

/*
 * In lower case, as Go folds names: also U+017F is an s, and U+212A a k.
 * out has room for len bytes; returns how many there are.
 */
size_t ollama_request_text_fold(const ollama_request_text_t *t, char *out);

/* Whether a name could be one of ours, written in another way. */
static inline int
ollama_request_text_folds(const unsigned char *text, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        if (text[i] >= 0x80 || (text[i] >= 'A' && text[i] <= 'Z')) {
            return 1;
        }
    }

    return 0;
}

/* "0", "0s", "-0h0.0m": as Go's ParseDuration reads it, nothing but zeros */
int ollama_request_text_zero(const ollama_request_text_t *t);


#endif /* OLLAMA_REQUEST_TEXT_H_INCLUDED */
