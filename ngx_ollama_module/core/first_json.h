/*
 * first_json.h - the document of a first event; for first*.c, see first.h.
 *
 *     first.c         lines and events, and what is made of it all
 *     first_json.c    one document: which of its members tell what it is
 *
 * ollama_first_json() reads from p on and returns behind what it has read; it
 * stops early when the answer is decided, and behind the last brace, where
 * f->json is JSON_OVER.
 *
 * ollama_first_add() puts bytes where f->target says, and cuts them there.
 */

#ifndef OLLAMA_FIRST_JSON_H_INCLUDED
#define OLLAMA_FIRST_JSON_H_INCLUDED

#include "first.h"


/* f->json */

enum {
    JSON_NONE = 0,
    JSON_VALUE,
    JSON_NAME,
    JSON_STRING,
    JSON_WORD,
    JSON_OVER
};


/* f->target */

enum {
    TARGET_NONE = 0,
    TARGET_WORD,
    TARGET_TEXT
};


typedef struct {
    const char  *name;
    unsigned     value;
} ollama_first_name_t;


/* events that say nothing yet (0), and those which are a failure (1) */

extern const ollama_first_name_t  ollama_first_events[];


const unsigned char *ollama_first_json(ollama_first_t *f,
    const unsigned char *p, const unsigned char *end);
void ollama_first_string_over(ollama_first_t *f);
void ollama_first_word_over(ollama_first_t *f);

void ollama_first_add(ollama_first_t *f, const unsigned char *p, size_t n);
int ollama_first_is(const ollama_first_t *f, const char *name);
int ollama_first_lookup(const ollama_first_t *f,
    const ollama_first_name_t *names, unsigned *value);

void ollama_first_decide(ollama_first_t *f);
void ollama_first_answer(ollama_first_t *f);


#endif /* OLLAMA_FIRST_JSON_H_INCLUDED */
