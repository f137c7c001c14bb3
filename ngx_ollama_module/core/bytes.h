/*
 * bytes.h - numbers and strings of a frame's payload, written and read one
 * after another.  Only for the files that know what is in a frame.
 *
 * Nothing is checked at each call: a writer that has no room, or a reader
 * that has come to the end, remembers it, does nothing any more, and says so
 * at the end (full, bad).  What a bad reader gives is 0.
 *
 * Here, and not in a file of its own, because a record is some forty of these
 * and is written for each request.
 */

#ifndef OLLAMA_BYTES_H_INCLUDED
#define OLLAMA_BYTES_H_INCLUDED

#include <string.h>

#include "frame.h"


typedef struct {
    unsigned char         *p;
    unsigned char         *last;
    int                    full;
} ollama_writer_t;


typedef struct {
    const unsigned char   *p;
    const unsigned char   *last;
    int                    bad;
} ollama_reader_t;


/* little endian, or back */

static inline uint64_t
ollama_le(uint64_t v)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return __builtin_bswap64(v);
#else
    return v;
#endif
}


static inline void
ollama_put_n(unsigned char *p, uint64_t v, size_t n)
{
    v = ollama_le(v);
    memcpy(p, &v, n);
}


static inline uint64_t
ollama_get_n(const unsigned char *p, size_t n)
{
    uint64_t  v;

    v = 0;
    memcpy(&v, p, n);

    return ollama_le(v);
}


static inline int
ollama_write_begin(ollama_writer_t *w, unsigned char *buf, size_t size)
{
    if (size < OLLAMA_FRAME_HEADER) {
        return -1;
    }

    w->p = buf + OLLAMA_FRAME_HEADER;
    w->last = buf + size;
    w->full = 0;

    return 0;
}


static inline void
ollama_write_n(ollama_writer_t *w, uint64_t v, size_t n)
{
    if (w->full || (size_t) (w->last - w->p) < n) {
        w->full = 1;
        return;
    }

    ollama_put_n(w->p, v, n);
    w->p += n;
}


/* at most max bytes of it */

static inline void
ollama_write_text(ollama_writer_t *w, const ollama_text_t *t, size_t max)
{
    size_t  len, cut;

    len = t->len;

    if (len > max) {
        len = max;

        /* a UTF-8 character is left out rather than split */

        for (cut = 0; cut < 3 && (t->data[len] & 0xc0) == 0x80; cut++) {
            len--;
        }
    }

    ollama_write_n(w, len, 2);

    if (w->full || (size_t) (w->last - w->p) < len) {
        w->full = 1;
        return;
    }

    if (len) {
        memcpy(w->p, t->data, len);
        w->p += len;
    }
}


/* seals the frame: its size, or 0 if there was no room */

static inline size_t
ollama_write_end(ollama_writer_t *w, unsigned char *buf,
    ollama_frame_type_e type)
{
    size_t  size;

    if (w->full) {
        return 0;
    }

    size = (size_t) (w->p - buf);

    ollama_frame_seal(buf, type, size);

    return size;
}


static inline void
ollama_read_begin(ollama_reader_t *r, const ollama_frame_t *f)
{
    r->p = f->payload;
    r->last = f->payload + f->len;
    r->bad = 0;
}


static inline uint64_t
ollama_read_n(ollama_reader_t *r, size_t n)
{
    uint64_t  v;

    if (r->bad || (size_t) (r->last - r->p) < n) {
        r->bad = 1;
        return 0;
    }

    v = ollama_get_n(r->p, n);
    r->p += n;

    return v;
}


/* a number that earlier versions did not write */

static inline uint64_t
ollama_read_later(ollama_reader_t *r, size_t n, uint64_t unset)
{
    if (r->bad || (size_t) (r->last - r->p) < n) {
        return unset;
    }

    return ollama_read_n(r, n);
}


static inline void
ollama_read_text(ollama_reader_t *r, ollama_text_t *t, size_t max)
{
    t->len = (size_t) ollama_read_n(r, 2);
    t->data = r->p;

    if (r->bad || t->len > max || (size_t) (r->last - r->p) < t->len) {
        r->bad = 1;
        t->len = 0;
        return;
    }

    r->p += t->len;
}


/* one that earlier versions did not write */

static inline void
ollama_read_text_later(ollama_reader_t *r, ollama_text_t *t, size_t max)
{
    if (r->bad || r->p == r->last) {
        t->data = r->p;
        t->len = 0;
        return;
    }

    ollama_read_text(r, t, max);
}


#endif /* OLLAMA_BYTES_H_INCLUDED */
