
#include "mix.h"

#include <string.h>


#define MIX_START  0x9e3779b97f4a7c15       /* not 0, as no sum is */


static inline uint64_t mix_step(uint64_t hash, const unsigned char *p);


void
ollama_mix_begin(ollama_mix_t *m)
{
    m->hash = MIX_START;
    m->len = 0;
    m->n = 0;
}


void
ollama_mix_add(ollama_mix_t *m, const unsigned char *p, size_t n)
{
    size_t                room;
    uint64_t              hash;
    const unsigned char  *last;

    m->len += n;

    if (m->n) {
        room = OLLAMA_MIX_STEP - m->n;

        if (n < room) {
            memcpy(&m->rest[m->n], p, n);
            m->n += n;
            return;
        }

        memcpy(&m->rest[m->n], p, room);
        m->hash = mix_step(m->hash, m->rest);
        m->n = 0;

        p += room;
        n -= room;
    }

    hash = m->hash;

    for (last = p + n - n % (4 * OLLAMA_MIX_STEP); p != last;
         p += 4 * OLLAMA_MIX_STEP)
    {
        hash = mix_step(hash, p);
        hash = mix_step(hash, p + OLLAMA_MIX_STEP);
        hash = mix_step(hash, p + 2 * OLLAMA_MIX_STEP);
        hash = mix_step(hash, p + 3 * OLLAMA_MIX_STEP);
    }

    n %= 4 * OLLAMA_MIX_STEP;

    while (n >= OLLAMA_MIX_STEP) {
        hash = mix_step(hash, p);
        p += OLLAMA_MIX_STEP;
        n -= OLLAMA_MIX_STEP;
    }

    m->hash = hash;

    if (n) {
        memcpy(m->rest, p, n);
        m->n = n;
    }
}


uint64_t
ollama_mix_end(ollama_mix_t *m)
{
    if (m->n) {
        memset(&m->rest[m->n], 1, OLLAMA_MIX_STEP - m->n);
        m->hash = mix_step(m->hash, m->rest);
    }

    return ollama_mix(m->hash, m->len);
}


static inline uint64_t
mix_step(uint64_t hash, const unsigned char *p)
{
    uint64_t  a, b;

    memcpy(&a, p, 8);
    memcpy(&b, p + 8, 8);

    return ollama_mix_fold(hash ^ a, b);
}
