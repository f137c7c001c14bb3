/*
 * usage_document.h - one document of an answer, read with yajl.  For usage*.c.
 *
 *     d = ollama_usage_document_open(answer);      NULL: out of memory
 *     rc = ollama_usage_document_feed(d, &p, end);  as json_reader.h has it
 *     ollama_usage_document_close(d);              not behind DONE or BROKEN
 *
 * Its facts become the answer's (usage_facts.h), its shape is learned
 * (usage_shape.h).
 *
 * A document under work is about 8 KB, mostly the reader's pocket, so that an
 * answer has one only from its opening brace to its closing one.  A few are
 * kept for the next; reserve() sees to it that there is one.  As long as no
 * two answers stand in the middle of a document, it is the only one ever made.
 */

#ifndef OLLAMA_USAGE_DOCUMENT_H_INCLUDED
#define OLLAMA_USAGE_DOCUMENT_H_INCLUDED

#include "json_reader.h"
#include "usage_facts.h"


#define OLLAMA_USAGE_DOCUMENTS  8           /* kept at most */


typedef struct ollama_usage_document_s  ollama_usage_document_t;


int ollama_usage_document_reserve(void);    /* 0: out of memory */
ollama_usage_document_t *ollama_usage_document_open(ollama_usage_answer_t *a);
int ollama_usage_document_feed(ollama_usage_document_t *d,
    const unsigned char **p, const unsigned char *end);
void ollama_usage_document_close(ollama_usage_document_t *d);

/* The bytes so far of a content string whose end has not come. */
uint64_t ollama_usage_document_open_content(const ollama_usage_document_t *d);


#endif /* OLLAMA_USAGE_DOCUMENT_H_INCLUDED */
