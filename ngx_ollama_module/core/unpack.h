/*
 * unpack.h - a body that came with a Content-Encoding.
 *
 *     u = ollama_unpack_create(coding);      NULL: no memory, or not built in
 *     while (..)                             pieces of any size
 *         rc = ollama_unpack(u, &p, end, &out, out_end);
 *     ollama_unpack_whole(u)                 did it end where it should?
 *     ollama_unpack_destroy(u);
 *
 * ollama_unpack() moves p behind what was read and out behind what was written,
 * and stops when one of them is at its end; so call it again with more room, or
 * with more input.  OLLAMA_UNPACK_BROKEN is final.
 *
 * Codings are those that an Ollama server knows of a request: gzip ("x-gzip" is
 * the same) and zstd, where the library was found at the build; and deflate
 * (RFC 1950), which only an answer may come in.  Several members of gzip,
 * or frames of zstd, one behind the other are one body; anything else behind
 * the last one makes it broken, as it does for Go's readers.  The window of
 * zstd is bounded by OLLAMA_UNPACK_WINDOW (RFC 8878 asks for 8 MB of everybody):
 * a frame that wants more is broken.
 *
 * How much may come out is the caller's business: nothing here is larger than
 * the window.
 */

#ifndef OLLAMA_UNPACK_H_INCLUDED
#define OLLAMA_UNPACK_H_INCLUDED

#include <stddef.h>


#define OLLAMA_UNPACK_OK       0
#define OLLAMA_UNPACK_BROKEN   (-1)

#define OLLAMA_UNPACK_WINDOW   23        /* log2 of bytes */


typedef enum {
    OLLAMA_CODING_NONE = 0,             /* "identity", or nothing at all */
    OLLAMA_CODING_GZIP,
    OLLAMA_CODING_ZSTD,
    OLLAMA_CODING_DEFLATE,
    OLLAMA_CODING_OTHER
} ollama_coding_e;


typedef struct ollama_unpack_s  ollama_unpack_t;


/* Of a Content-Encoding; OTHER for a list of several. */
ollama_coding_e ollama_unpack_coding(const unsigned char *value, size_t len);

/* What a client may send, and be told to send. */
int ollama_unpack_known(ollama_coding_e coding);

ollama_unpack_t *ollama_unpack_create(ollama_coding_e coding);
void ollama_unpack_destroy(ollama_unpack_t *u);

int ollama_unpack(ollama_unpack_t *u, const unsigned char **p,
    const unsigned char *end, unsigned char **out, unsigned char *out_end);

/* All that was begun has ended, and something was begun. */
int ollama_unpack_whole(const ollama_unpack_t *u);


#endif /* OLLAMA_UNPACK_H_INCLUDED */
