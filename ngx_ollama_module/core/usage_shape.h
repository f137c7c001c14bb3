/*
 * usage_shape.h - documents that yajl need not be shown, since it has read one
 * of the same shape before.  For usage*.c.
 *
 * A shape is a document without its values: the brackets, names, literals and
 * white space to the byte, and between them holes, where a string or a number
 * may be.  Two documents of one shape are the same tokens in the same order,
 * but for what is in the holes.  So a document that yajl has read is learned,
 * with what its tokens meant (usage_facts.h), and the next one like it is
 * compared, 16 bytes at a time; its facts are told from the holes, or, if the
 * first one was nothing but text, its content is measured and that is all.
 *
 * What fits into a hole is narrower than what JSON allows (no surrogates, no
 * escapes in a value that matters, digits only); whatever does not fit, and
 * whatever is not whole in its buffer, is read by yajl.  The results are the
 * same to the bit: a document fed byte by byte never meets a shape, which is
 * how the tests and the fuzzer hold one against the other.
 *
 * A content string is measured as json_reader.h has it: behind its first 512
 * bytes an escape counts as one.
 *
 * The last OLLAMA_USAGE_SHAPES are kept for all answers of the process, about
 * 29 KB of static memory (one that is not met goes first).  Not for threads.
 */

#ifndef OLLAMA_USAGE_SHAPE_H_INCLUDED
#define OLLAMA_USAGE_SHAPE_H_INCLUDED

#include "json_reader.h"
#include "usage_facts.h"


#define OLLAMA_USAGE_SHAPES           16
#define OLLAMA_USAGE_SHAPE_BYTES      1024  /* of a document, without content */
#define OLLAMA_USAGE_SHAPE_HOLES      32
#define OLLAMA_USAGE_NOTES            96

#define OLLAMA_USAGE_SHAPE_NONE       0     /* unknown: *p is where it was */
#define OLLAMA_USAGE_SHAPE_READ       1
#define OLLAMA_USAGE_SHAPE_TEXT_ONLY  2     /* read, and it was but text */


/*
 * What a token of a document is.  Noted are all names, strings and numbers,
 * and of the others those that usage_facts.h is told.  At an END the place is
 * the one that closes, and the key holds the place around it.
 */

typedef struct {
    unsigned char  token;           /* ollama_json_token_e */
    unsigned char  place;
    unsigned char  key;
} ollama_usage_note_t;


/*
 * Reads the document that begins at *p, if it is of a shape that is known and
 * ends before `end`.  `last` is where to look first, and the answer's own.
 */
int ollama_usage_shape_read(ollama_usage_answer_t *a, unsigned *last,
    const unsigned char **p, const unsigned char *end);

/* Learns from a document that has just been read. */
void ollama_usage_shape_learn(const ollama_usage_answer_t *a,
    const ollama_usage_facts_t *f, const ollama_usage_note_t *notes, size_t n,
    const unsigned char *p, const unsigned char *end);

/* Forgets them all. */
void ollama_usage_shape_forget(void);


#endif /* OLLAMA_USAGE_SHAPE_H_INCLUDED */
