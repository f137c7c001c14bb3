/*
 * request_edit.h - the edits of one kind that request.c has noted.
 *
 * They come in the order of the body, any number of them; the last
 * OLLAMA_REQUEST_DUPLICATES are kept.  All zeroes, or n = 0, is an empty list.
 * What an edit means is said in request.h, and when one is due in request.c.
 */

#ifndef OLLAMA_REQUEST_EDIT_H_INCLUDED
#define OLLAMA_REQUEST_EDIT_H_INCLUDED

#include "request.h"


typedef struct {
    unsigned        n;              /* all that there were */
    ollama_edit_t   ring[OLLAMA_REQUEST_DUPLICATES];
} ollama_request_edits_t;


void ollama_request_edits_add(ollama_request_edits_t *edits, uint64_t offset,
    uint64_t remove, const char *insert, size_t insert_len);

/* copies them behind the n in out, as far as max allows; n and theirs */

size_t ollama_request_edits_put(const ollama_request_edits_t *edits,
    ollama_edit_t *out, size_t n, size_t max);

/* by offset */

void ollama_request_edits_sort(ollama_edit_t *out, size_t n);


#endif /* OLLAMA_REQUEST_EDIT_H_INCLUDED */
