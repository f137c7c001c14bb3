/*
 * mix.h - a cheap hash of 64 bits, of bytes that come in pieces.
 *
 *     ollama_mix_begin(&m);
 *     ollama_mix_add(&m, p, n);  ...          split anywhere: the same hash
 *     hash = ollama_mix_end(&m);
 *
 *     hash = ollama_mix(hash, another);       in this order
 *
 * 16 bytes a step: a multiplication whose both halves are folded.  It is for
 * text (eight NULs in a row lose what was before them) that nobody forges, or
 * where whoever forges gains nothing: it has no key.  Other machines may have
 * other hashes.
 */

#ifndef OLLAMA_MIX_H_INCLUDED
#define OLLAMA_MIX_H_INCLUDED

#include <stddef.h>
#include <stdint.h>


#define OLLAMA_MIX_STEP  16


typedef struct {
    uint64_t        hash;
    uint64_t        len;
    size_t          n;                      /* of rest */
    unsigned char   rest[OLLAMA_MIX_STEP];
} ollama_mix_t;


/* a product's halves, folded */

static inline uint64_t
ollama_mix_fold(uint64_t a, uint64_t b)
{
#if defined(__SIZEOF_INT128__)

    unsigned __int128  m;

    m = (unsigned __int128) a * b;

    return (uint64_t) m ^ (uint64_t) (m >> 64);

#else

    uint64_t  ah, al, bh, bl, high, low, middle;

    ah = a >> 32;
    al = (uint32_t) a;
    bh = b >> 32;
    bl = (uint32_t) b;

    low = al * bl;
    middle = ah * bl + (low >> 32);
    high = ah * bh + (middle >> 32);
    middle = (uint32_t) middle + al * bh;
    high += middle >> 32;

    return ((middle << 32) | (uint32_t) low) ^ high;

#endif
}


static inline uint64_t
ollama_mix(uint64_t a, uint64_t b)
{
    return ollama_mix_fold(a ^ 0x2d358dccaa6c78a5, b ^ 0x8bb84b93962eacc9);
}


void ollama_mix_begin(ollama_mix_t *m);
void ollama_mix_add(ollama_mix_t *m, const unsigned char *p, size_t n);
uint64_t ollama_mix_end(ollama_mix_t *m);


#endif /* OLLAMA_MIX_H_INCLUDED */
