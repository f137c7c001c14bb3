/*
 * zero_cut.h - takes the usage of zeros out of a stream of /v1/completions.
 *
 * When we asked for usage (see sse_cut.h), the cloud puts
 *
 *     ,"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}
 *
 * into every chunk but the last one, in just this form: Go writes members in
 * the order of its struct and without spaces.  A client that did not ask would
 * not have got it.  These bytes cannot stand inside a JSON string, where each
 * of their quotes would be escaped, so they are simply looked for.
 *
 *     ollama_zero_cut_reset(c);                 before every answer
 *
 *     for each buffer [p, end) of the answer:
 *         while (ollama_zero_cut_next(c, &p, end, &run)) { send run }
 *
 *     if (ollama_zero_cut_finish(c, &run)) { send run }     at its end
 *
 * Runs are as in sse_cut.h.  What is held back is the beginning of those bytes
 * at the end of a buffer; such a run points to a constant, and is marked as
 * held all the same, since it is not in the caller's buffer.  The object is the
 * caller's, and no call allocates anything.
 */

#ifndef OLLAMA_ZERO_CUT_H_INCLUDED
#define OLLAMA_ZERO_CUT_H_INCLUDED

#include <stddef.h>

#include "sse_cut.h"


typedef struct {
    size_t  held;                   /* bytes seen of it, and not passed */
} ollama_zero_cut_t;


void ollama_zero_cut_reset(ollama_zero_cut_t *c);

int ollama_zero_cut_next(ollama_zero_cut_t *c, const unsigned char **p,
    const unsigned char *end, ollama_sse_run_t *run);
int ollama_zero_cut_finish(ollama_zero_cut_t *c, ollama_sse_run_t *run);


#endif /* OLLAMA_ZERO_CUT_H_INCLUDED */
