/*
 * pieces.h - feeding a scanner in every way a stream can be split.
 *
 * One pass for each of `pieces_ways(n)`: way 0 is the whole, way 1 byte by
 * byte, way k splits once, before byte k - 1.  Every piece is a block of its
 * own on the heap, so that a sanitizer sees a read beyond its end.
 */

#ifndef PIECES_H_INCLUDED
#define PIECES_H_INCLUDED

#include <stddef.h>
#include <stdlib.h>
#include <string.h>


typedef void (*piece_pt)(void *ctx, const unsigned char *p, size_t n);


static inline size_t
pieces_ways(size_t n)
{
    return n + 2;
}


static inline void
pieces_one(const void *data, size_t n, piece_pt feed, void *ctx)
{
    unsigned char  *copy;

    copy = malloc(n ? n : 1);
    if (copy == NULL) {
        abort();
    }

    if (n) {
        memcpy(copy, data, n);
    }

    feed(ctx, copy, n);
    free(copy);
}


static inline void
pieces_feed(const void *data, size_t n, size_t way, piece_pt feed, void *ctx)
{
    size_t       i;
    const char  *p;

    p = data;

    if (way == 0) {
        pieces_one(p, n, feed, ctx);
        return;
    }

    if (way == 1) {
        for (i = 0; i < n; i++) {
            pieces_one(p + i, 1, feed, ctx);
        }

        return;
    }

    pieces_one(p, way - 1, feed, ctx);
    pieces_one(p + way - 1, n - (way - 1), feed, ctx);
}


#endif /* PIECES_H_INCLUDED */
