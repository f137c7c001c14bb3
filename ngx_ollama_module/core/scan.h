/*
 * scan.h - the tokens of one JSON object that arrives in pieces.
 *
 * For large documents of which a few members at the top matter, and where it
 * matters at which byte they stand.  Everything is checked, as strictly as
 * Go's encoding/json does it; reported is only what lies at depth `report` or
 * above.  What lies deeper, and the text of strings nobody asked for, is
 * passed over 16 bytes at a time.  Nothing is copied, nothing is allocated.
 *
 *     ollama_scan_init(&s);
 *     while ((token = ollama_scan_next(&s, &p, end)) > OLLAMA_SCAN_ERROR) ...
 *
 * next() reads from *p on, moves *p behind what it has read, and returns at
 * the next token to report; OLLAMA_SCAN_MORE when the piece is used up.  A
 * token may be split over any number of pieces.  After OLLAMA_SCAN_ERROR every
 * call gives it again.  Once `done` is set, the object is complete, and only
 * white space may follow.
 *
 * Where to look deeper, `names`, else the same as `report`, is set to a greater
 * depth: down to it names are reported, the brackets that open, and strings with
 * `want_text`, and nothing else.  What is passed by costs little if `letters` has the bits, 1 << (c & 31),
 * of what the names begin with that matter, and `openers` those of which only a
 * value in brackets does.  Other names need not be reported: `name_known` is 0
 * then when their value is.
 *
 * Depth is the number of brackets that are open: 1 at the members of the
 * outermost object.  OBJECT and ARRAY count their own bracket, .._END does not,
 * so that both are reported if the members around them are.
 *
 * Text of strings: before KEY (and before STRING, if the caller has set
 * `want_text` at the KEY) come TEXT, raw bytes that mean themselves, and
 * ESCAPE, one UTF-16 unit; in any number and order.  What a name ends with
 * comes with its KEY: usually all of it.
 *
 * With `want_end`, likewise set at the KEY, there is a STRING, but no TEXT: for
 * one whose bytes are read between `start` and `end`.  At MORE they pass while
 * `want_end` is set and `key` is not.
 *
 * Offsets count from the first byte of the document.  All fields under "the
 * token" hold until the next call.
 *
 * request.h says what this costs, and why it is not yajl.
 */

#ifndef OLLAMA_SCAN_H_INCLUDED
#define OLLAMA_SCAN_H_INCLUDED

#include <stddef.h>
#include <stdint.h>

#include "scan_bytes.h"


#define OLLAMA_SCAN_DEPTH  10000      /* Go's limit */


typedef enum {
    OLLAMA_SCAN_MORE = 0,
    OLLAMA_SCAN_ERROR,
    OLLAMA_SCAN_TEXT,
    OLLAMA_SCAN_ESCAPE,
    OLLAMA_SCAN_KEY,                  /* a member's name has ended */
    OLLAMA_SCAN_STRING,               /* a string has ended */
    OLLAMA_SCAN_NUMBER,
    OLLAMA_SCAN_TRUE,
    OLLAMA_SCAN_FALSE,
    OLLAMA_SCAN_NULL,
    OLLAMA_SCAN_OBJECT,
    OLLAMA_SCAN_ARRAY,
    OLLAMA_SCAN_OBJECT_END,
    OLLAMA_SCAN_ARRAY_END
} ollama_scan_token_e;


typedef struct {
    unsigned              report;     /* the caller's to change */
    unsigned              names;
    uint32_t              letters;
    uint32_t              openers;
    unsigned              want_text;
    unsigned              want_end;

    /* the token */

    unsigned              depth;      /* of the token, if it is reported */
    uint64_t              start;      /* of a key, string, literal, number */
    uint64_t              end;        /* behind it; behind the bracket */
    const unsigned char  *text;       /* TEXT; KEY, if text_len */
    size_t                text_len;
    uint64_t              text_start; /* TEXT, KEY, ESCAPE */
    unsigned              unit;       /* ESCAPE */
    unsigned              empty;      /* .._END: nothing was inside */
    unsigned              zero;       /* NUMBER: all digits are 0 */
    unsigned              done;
    unsigned              name_known;

    uint64_t              offset;     /* how far it has read */
    unsigned              key;        /* in a name, or behind it */

    /* its own */

    unsigned              split;      /* some of the name was TEXT, ESCAPE */
    unsigned              state;
    unsigned              object;
    unsigned              hex;
    const char           *literal;
    ollama_scan_token_e   literal_token;
    uint64_t              stack[OLLAMA_SCAN_DEPTH / 64 + 1];
} ollama_scan_t;


void ollama_scan_init(ollama_scan_t *s);
ollama_scan_token_e ollama_scan_next(ollama_scan_t *s, const unsigned char **p,
    const unsigned char *end);


#endif /* OLLAMA_SCAN_H_INCLUDED */
