/*
 * scan_bytes.h - the inner loops of those who read JSON: 16 bytes at a time
 * where the machine can (SSE2), 8 otherwise.  Never a byte behind `end`.
 */

#ifndef OLLAMA_SCAN_BYTES_H_INCLUDED
#define OLLAMA_SCAN_BYTES_H_INCLUDED

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif


#if defined(__SSE2__)

/* Which of 16 bytes end a run of plain ones: those are 0xff. */

static inline __m128i
ollama_scan_stops(const unsigned char *p)
{
    __m128i  chunk, flipped;

    /* with bit 1 flipped, a quote is 0x20, and what is below stays below */

    chunk = _mm_loadu_si128((const __m128i *) p);
    flipped = _mm_xor_si128(chunk, _mm_set1_epi8(0x02));

    return _mm_or_si128(_mm_cmpeq_epi8(chunk, _mm_set1_epi8('\\')),
                        _mm_cmpeq_epi8(_mm_min_epu8(flipped,
                                                    _mm_set1_epi8(0x20)),
                                       flipped));
}

#endif


/* The first byte from p on that is a quote, a backslash or below 0x20. */

static inline const unsigned char *
ollama_scan_plain(const unsigned char *p, const unsigned char *end)
{
#if defined(__SSE2__)

    int  mask;

    while (end - p >= 16) {
        mask = _mm_movemask_epi8(ollama_scan_stops(p));

        if (mask) {
            return p + __builtin_ctz(mask);
        }

        p += 16;

        /* a long string: most of it at half the price */

        while (end - p >= 32
               && _mm_movemask_epi8(_mm_or_si128(ollama_scan_stops(p),
                                                 ollama_scan_stops(p + 16)))
                  == 0)
        {
            p += 32;
        }
    }

#else

    uint64_t  w, x, y, z;

    const uint64_t  ones = 0x0101010101010101, tops = 0x8080808080808080;

    while (end - p >= 8) {
        memcpy(&w, p, 8);

        x = w ^ (ones * '"');
        y = w ^ (ones * '\\');
        z = w & (ones * 0xe0);

        /* a zero byte in any of them: what was looked for is in this word */

        if ((((x - ones) & ~x) | ((y - ones) & ~y) | ((z - ones) & ~z)) & tops)
        {
            break;
        }

        p += 8;
    }

#endif

    while (p != end && *p != '"' && *p != '\\' && *p >= 0x20) {
        p++;
    }

    return p;
}


/* How many of the first n bytes are the same. */

static inline size_t
ollama_scan_same(const unsigned char *a, const unsigned char *b, size_t n)
{
    size_t    i;
    uint64_t  x, y;

    i = 0;

#if defined(__SSE2__)

    unsigned  mask;

    while (n - i >= 16) {
        mask = _mm_movemask_epi8(
                   _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *) (a + i)),
                                  _mm_loadu_si128((const __m128i *) (b + i))));

        if (mask != 0xffff) {
            return i + __builtin_ctz(~mask);
        }

        i += 16;
    }

#endif

    while (n - i >= 8) {
        memcpy(&x, a + i, 8);
        memcpy(&y, b + i, 8);

        if (x != y) {
            break;
        }

        i += 8;
    }

    while (i != n && a[i] == b[i]) {
        i++;
    }

    return i;
}


/*
 * The first `a` with a `b` two bytes behind it, as far as that can be seen: at
 * the end of the piece any `a` will do.  `end` if there is none.
 */

static inline const unsigned char *
ollama_scan_pair(const unsigned char *p, const unsigned char *end,
    unsigned char a, unsigned char b)
{
#if defined(__SSE2__)

    unsigned  mask;

    while (end - p >= 18) {
        mask = _mm_movemask_epi8(
                   _mm_and_si128(
                       _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *) p),
                                      _mm_set1_epi8((char) a)),
                       _mm_cmpeq_epi8(
                           _mm_loadu_si128((const __m128i *) (p + 2)),
                           _mm_set1_epi8((char) b))));

        if (mask) {
            return p + __builtin_ctz(mask);
        }

        p += 16;
    }

#endif

    while (p != end) {
        p = (const unsigned char *) memchr(p, a, end - p);

        if (p == NULL) {
            return end;
        }

        if (end - p <= 2 || p[2] == b) {
            return p;
        }

        p++;
    }

    return end;
}


/* -1: it is none */

static inline int
ollama_scan_hex_digit(unsigned c)
{
    if ((unsigned) (c - '0') < 10) {
        return c - '0';
    }

    c |= 0x20;

    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }

    return -1;
}


#endif /* OLLAMA_SCAN_BYTES_H_INCLUDED */
