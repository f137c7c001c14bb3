/*
 * held.h - the body of an error that is held back, before anybody has read it.
 *
 * What lies behind an answer's header is framed in some way; here it is found
 * out whether all of it has come, and what it says.  Nothing is consumed: who
 * passes the answer on reads the same bytes again.
 *
 * HTTP/1 (length, chunked, or up to the end of the connection): the bytes
 * behind the header, as often as more of them have come.  A chunked body is
 * complete with the empty line behind its trailer.
 *
 *     ollama_held_length(p, n, length, &held);      length -1: not said
 *     ollama_held_chunked(p, n, out, size, &held);  its text goes to out
 *     ollama_held_first(p, n, &first, &held);       or is read at once
 *
 * HTTP/2: all bytes that come on the connection from the beginning of the
 * exchange on, each once, the frames of the header among them: only the flags
 * of that frame tell that there is no body, and whose frames are meant.  Those
 * of other streams and of the connection are passed over.
 *
 *     ollama_held_h2_init(&h2);
 *     ollama_held_h2_feed(&h2, p, n, &held);        its text is in h2.text,
 *                                                   what it is in h2.first
 *
 *     complete  all of it has come, or no more will
 *     exact     .. and nothing behind it (HTTP/2: nothing but whole frames)
 *     broken    this is not what it should be; complete is set as well
 *     len       bytes of text, up to where there was room for them
 */

#ifndef OLLAMA_HELD_H_INCLUDED
#define OLLAMA_HELD_H_INCLUDED

#include <stddef.h>
#include <stdint.h>

#include "first.h"


#define OLLAMA_HELD_TEXT  1024


typedef struct {
    unsigned       complete:1;
    unsigned       exact:1;
    unsigned       broken:1;
    size_t         len;
} ollama_held_t;


typedef struct {
    unsigned char  head[9];             /* of a frame */
    unsigned       nhead;               /* bytes of it */
    uint32_t       rest;                /* of the frame's payload */
    uint32_t       pad;                 /* of these the padding */
    uint32_t       stream;              /* of the answer, 0: not yet known */
    unsigned       padded:1;            /* its length comes next */
    unsigned       data:1;              /* the payload is of the body */
    unsigned       ending:1;            /* the stream, with this header */
    unsigned       ended:1;             /* with this frame */
    unsigned       over:1;              /* with one before */
    unsigned       broken:1;
    uint64_t       body;                /* bytes of it */
    size_t         len;
    ollama_first_t first;
    unsigned char  text[OLLAMA_HELD_TEXT];
} ollama_held_h2_t;


void ollama_held_length(const unsigned char *p, size_t n, int64_t length,
    ollama_held_t *held);
void ollama_held_chunked(const unsigned char *p, size_t n, unsigned char *out,
    size_t size, ollama_held_t *held);
void ollama_held_first(const unsigned char *p, size_t n, ollama_first_t *first,
    ollama_held_t *held);

void ollama_held_h2_init(ollama_held_h2_t *h2);
void ollama_held_h2_feed(ollama_held_h2_t *h2, const unsigned char *p,
    size_t n, ollama_held_t *held);


#endif /* OLLAMA_HELD_H_INCLUDED */
