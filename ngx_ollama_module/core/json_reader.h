/*
 * json_reader.h - yajl for streams: one JSON object after the other, arriving
 * in pieces split anywhere, in constant memory.
 *
 * yajl keeps a token whose end has not come yet, and allocates for it.  This
 * wrapper gives it a pocket of memory inside the reader instead of malloc, and
 * keeps what it has to hold small:
 *
 *  - Of a string only the first OLLAMA_JSON_READER_STRING bytes (or a few more,
 *    an escape is never cut) are shown to yajl.  `dropped` tells the token
 *    function how many were left out of the string or name it is given; an
 *    escape counts as one.
 *  - Numbers and literals longer than OLLAMA_JSON_READER_WORD, and nesting
 *    deeper than OLLAMA_JSON_READER_DEPTH, break the object.
 *
 * These limits depend on the bytes alone, never on how they are split.
 *
 *     ollama_json_reader_init(rd, token, ctx);       once
 *     rc = ollama_json_reader_feed(rd, &p, end);
 *     ollama_json_reader_restart(rd);                forget what has begun
 *     ollama_json_reader_free(rd);                   once
 *
 * feed() reads from p on, and moves p behind what it has read:
 *
 *     MORE    all of it, the object has not ended
 *     DONE    up to the object's last brace; the next feed begins another
 *     BROKEN  this is no JSON, or a limit, or token() returned 0; p == end.
 *             The next feed begins anew: where, is for the caller to find.
 *
 * At the beginning of an object the first byte must be '{'.
 *
 * token() gets names, strings (both unescaped, not checked for UTF-8) and
 * numbers as text.  `depth` counts the brackets that are open, with an object's
 * own in OPEN and without it in CLOSE.
 */

#ifndef OLLAMA_JSON_READER_H_INCLUDED
#define OLLAMA_JSON_READER_H_INCLUDED

#include <stddef.h>
#include <stdint.h>
#include <yajl/yajl_parse.h>


#define OLLAMA_JSON_READER_STRING  512
#define OLLAMA_JSON_READER_WORD    64
#define OLLAMA_JSON_READER_DEPTH   500
#define OLLAMA_JSON_READER_POCKET  6144

#define OLLAMA_JSON_READER_MORE    0
#define OLLAMA_JSON_READER_DONE    1
#define OLLAMA_JSON_READER_BROKEN  2


typedef enum {
    OLLAMA_JSON_KEY = 0,
    OLLAMA_JSON_STRING,
    OLLAMA_JSON_NUMBER,
    OLLAMA_JSON_TRUE,
    OLLAMA_JSON_FALSE,
    OLLAMA_JSON_NULL,
    OLLAMA_JSON_OBJECT,
    OLLAMA_JSON_ARRAY,
    OLLAMA_JSON_OBJECT_END,
    OLLAMA_JSON_ARRAY_END
} ollama_json_token_e;


typedef int (*ollama_json_token_pt)(void *ctx, ollama_json_token_e token,
    const unsigned char *text, size_t len);


typedef struct {
    unsigned              depth;      /* for token() */
    uint64_t              dropped;

    /* its own */

    ollama_json_token_pt  token;
    void                 *ctx;
    yajl_handle           handle;
    unsigned              brackets;   /* open, as far as the bytes are read */
    unsigned              string;     /* inside of one: 1, behind its \: 2 */
    unsigned              escape;     /* hex digits to come */
    unsigned              dropping;
    unsigned              word;       /* length of a number or literal */
    size_t                kept;       /* of the string */
    size_t                used;       /* of the pocket */
    _Alignas(16) unsigned char  pocket[OLLAMA_JSON_READER_POCKET];
} ollama_json_reader_t;


/* Both return 0 if there is no memory: only for a foreign yajl, see the .c. */

int ollama_json_reader_init(ollama_json_reader_t *rd,
    ollama_json_token_pt token, void *ctx);
int ollama_json_reader_restart(ollama_json_reader_t *rd);

int ollama_json_reader_feed(ollama_json_reader_t *rd, const unsigned char **p,
    const unsigned char *end);
void ollama_json_reader_free(ollama_json_reader_t *rd);

/* The bytes so far of a string whose end has not come; 0 if there is none. */
uint64_t ollama_json_reader_open_string(const ollama_json_reader_t *rd);


#endif /* OLLAMA_JSON_READER_H_INCLUDED */
