/*
 * A growing run of bytes, and the few ways of appending to it that the answers
 * of the simulator need.
 *
 * A zeroed struct is an empty buffer. Memory grows by doubling and stays with
 * the buffer when it is emptied, so that one which is used again and again
 * allocates nothing; buf_trim() gives a large one back. Running out of memory
 * ends the program.
 *
 * Strings are written as Go's encoding/json writes them, since that is what the
 * cloud speaks: <, > and & become \u003c, \u003e, \u0026. A byte which is not
 * part of valid UTF-8 becomes U+FFFD.
 */

#ifndef CLOUD_BUF_H
#define CLOUD_BUF_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct buf {
    char *p;
    size_t len;
    size_t cap;
};

/* A run of bytes that belongs to someone else. */
struct slice {
    const char *p;
    size_t len;
};

void *must(void *memory); /* what malloc gave, or the end */

void buf_reserve(struct buf *b, size_t more);
void buf_trim(struct buf *b, size_t keep);
void buf_free(struct buf *b);

static inline void buf_add(struct buf *b, const void *data, size_t len) {
    if (b->cap - b->len < len) buf_reserve(b, len);
    if (len) memcpy(b->p + b->len, data, len);
    b->len += len;
}

#define buf_lit(b, literal) buf_add(b, "" literal, sizeof(literal) - 1)

void buf_str(struct buf *b, const char *s);
void buf_char(struct buf *b, char c);
void buf_fill(struct buf *b, char c, size_t n);
void buf_int(struct buf *b, int64_t n);
void buf_printf(struct buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* A JSON string with its quotes; and what is between the quotes. */
void buf_json(struct buf *b, const char *s, size_t len);
void buf_json_str(struct buf *b, const char *s);
void buf_json_chars(struct buf *b, const char *s, size_t len);

#endif
