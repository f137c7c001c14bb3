/*
 * form.h - the form of an answer, from its first bytes.
 *
 * What a Content-Type says may be missing, a default (text/plain,
 * application/octet-stream), or that of another form.  The bytes are never
 * wrong: a JSON document begins with a brace, a stream of events with the name
 * of a field or the colon of a comment.  White space and a byte order mark may
 * come before.
 *
 *     ollama_form_init(&f);
 *     while (!ollama_form_next(&f, &p, end)) { p == end: more has to come }
 *
 * next() moves *p over what says nothing yet, and returns 1 once the form is
 * known: f.format is then OLLAMA_FORMAT_JSON (one document, or one a line: the
 * bytes behind the first will tell), OLLAMA_FORMAT_SSE, or OLLAMA_FORMAT_OTHER.
 * Of a field's name the first `held` bytes, those of `name`, have been passed
 * over by then; of everything else only white space and the mark.
 */

#ifndef OLLAMA_FORM_H_INCLUDED
#define OLLAMA_FORM_H_INCLUDED

#include "usage.h"


typedef struct {
    ollama_usage_format_e   format;
    const char             *name;
    unsigned                held;
    unsigned                mark;   /* bytes of a byte order mark */
    unsigned                known;
} ollama_form_t;


void ollama_form_init(ollama_form_t *f);
int ollama_form_next(ollama_form_t *f, const unsigned char **p,
    const unsigned char *end);


#endif /* OLLAMA_FORM_H_INCLUDED */
