/*
 * usage_facts.h - what an answer says of tokens, its end and errors.  For
 * usage*.c.
 *
 * Told value by value, with the place and the key of each (usage_place.h),
 * in the order of the document; whoever reads the bytes is no concern of this
 * file.  The facts of one document are gathered, and at its end, or that of a
 * usage object, become the answer's.
 */

#ifndef OLLAMA_USAGE_FACTS_H_INCLUDED
#define OLLAMA_USAGE_FACTS_H_INCLUDED

#include "usage_place.h"


/* The answer, over all its documents. */

typedef struct {
    ollama_usage_result_t   result;
    ollama_usage_format_e   format;
    ollama_usage_family_e   family;
    unsigned                loaded;     /* native: done, but nothing to count */
    unsigned                finished;   /* openai: a finish_reason was given */
    unsigned                final;      /* the counts are the last ones */
    unsigned                guessed;    /* anthropic: the prompt is but that of
                                           message_start, and later it was 0 */
    uint64_t                input;      /* anthropic: the prompt's parts */
    uint64_t                read;
    uint64_t                creation;
} ollama_usage_answer_t;


/* One document. */

typedef struct {
    uint64_t  prompt;
    uint64_t  completion;
    uint64_t  cached;
    uint64_t  creation;
    uint64_t  reasoning;
    unsigned  has_prompt:1;
    unsigned  refused:1;            /* its input_tokens are no count, nor 0 */
} ollama_usage_counts_t;


typedef struct {
    ollama_usage_counts_t  counts;      /* of the usage object, or the line */
    unsigned               type;
    unsigned               done;        /* native: 1 true, 2 false */
    unsigned               choices;     /* openai: 1 there, 2 not empty */
    unsigned               counted;     /* openai: with a usage not of zeros */
    unsigned               failed;      /* with an error */
    unsigned               status;      /* of the error */
    unsigned               spoke;       /* it was more than text */
    size_t                 text_len;    /* of a message that may be an error */
    char                   text[OLLAMA_USAGE_ERROR_MAX];
} ollama_usage_facts_t;


void ollama_usage_facts_begin(ollama_usage_facts_t *f);
void ollama_usage_facts_open(ollama_usage_answer_t *a, ollama_usage_facts_t *f,
    ollama_usage_place_e place);
void ollama_usage_facts_close(ollama_usage_answer_t *a, ollama_usage_facts_t *f,
    ollama_usage_place_e place, ollama_usage_place_e around);

/* A string that is no content, and a number: as text. */
void ollama_usage_facts_string(ollama_usage_answer_t *a,
    ollama_usage_facts_t *f, ollama_usage_place_e place,
    ollama_usage_key_e key, const unsigned char *text, size_t len);
void ollama_usage_facts_number(ollama_usage_answer_t *a,
    ollama_usage_facts_t *f, ollama_usage_place_e place,
    ollama_usage_key_e key, const unsigned char *text, size_t len);

/* Whether those there can say anything. */
int ollama_usage_facts_of_string(ollama_usage_place_e place,
    ollama_usage_key_e key);
int ollama_usage_facts_of_number(ollama_usage_place_e place,
    ollama_usage_key_e key);

void ollama_usage_facts_bool(ollama_usage_facts_t *f,
    ollama_usage_place_e place, ollama_usage_key_e key, int value);

/*
 * The whole object has been read.  `spoke` is 0 if it could as well not have
 * been there, but for its content, its model's name (of which the answer's
 * first one holds) and its being a document.
 */
void ollama_usage_facts_end(ollama_usage_answer_t *a, ollama_usage_facts_t *f);

/*
 * The answer has ended, orderly or not: usage_end.c.  lost is the number of
 * documents before what could not be read, + 1.
 */
void ollama_usage_answer_settle(ollama_usage_answer_t *a);
ollama_stream_e ollama_usage_answer_stream(const ollama_usage_answer_t *a,
    uint64_t lost);


#endif /* OLLAMA_USAGE_FACTS_H_INCLUDED */
