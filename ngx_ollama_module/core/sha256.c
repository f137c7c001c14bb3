
#include "sha256.h"

#include <string.h>


static void ollama_sha256_block(uint32_t state[8], const unsigned char *p);


static const uint32_t  ollama_sha256_k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5,
    0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3,
    0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
    0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
    0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
    0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
    0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5,
    0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2
};


#define ollama_rotr(x, n)  ((x) >> (n) | (x) << (32 - (n)))


void
ollama_sha256_init(ollama_sha256_t *ctx)
{
    ctx->state[0] = 0x6a09e667;
    ctx->state[1] = 0xbb67ae85;
    ctx->state[2] = 0x3c6ef372;
    ctx->state[3] = 0xa54ff53a;
    ctx->state[4] = 0x510e527f;
    ctx->state[5] = 0x9b05688c;
    ctx->state[6] = 0x1f83d9ab;
    ctx->state[7] = 0x5be0cd19;

    ctx->bytes = 0;
}


void
ollama_sha256_update(ollama_sha256_t *ctx, const void *data, size_t len)
{
    size_t                used, n;
    const unsigned char  *p;

    p = data;
    used = ctx->bytes % 64;
    ctx->bytes += len;

    while (len > 0) {

        if (used == 0 && len >= 64) {
            ollama_sha256_block(ctx->state, p);
            p += 64;
            len -= 64;
            continue;
        }

        n = (len < 64 - used) ? len : 64 - used;

        memcpy(ctx->block + used, p, n);
        p += n;
        len -= n;
        used += n;

        if (used == 64) {
            ollama_sha256_block(ctx->state, ctx->block);
            used = 0;
        }
    }
}


void
ollama_sha256_final(ollama_sha256_t *ctx,
    unsigned char digest[OLLAMA_SHA256_LEN])
{
    size_t         i, pad;
    uint64_t       bits;
    unsigned char  tail[72];

    bits = ctx->bytes * 8;

    /* 1 to 64 bytes, so that the 8 of the length end a block */

    pad = 64 - (ctx->bytes + 8) % 64;

    memset(tail, 0, sizeof(tail));
    tail[0] = 0x80;

    for (i = 0; i < 8; i++) {
        tail[pad + i] = (unsigned char) (bits >> (56 - 8 * i));
    }

    ollama_sha256_update(ctx, tail, pad + 8);

    for (i = 0; i < OLLAMA_SHA256_LEN; i++) {
        digest[i] = (unsigned char) (ctx->state[i / 4] >> (24 - 8 * (i % 4)));
    }

    /* what was hashed may be a secret */

    explicit_bzero(ctx, sizeof(*ctx));
}


static void
ollama_sha256_block(uint32_t state[8], const unsigned char *p)
{
    uint32_t  w[64], a, b, c, d, e, f, g, h, t1, t2;
    unsigned  i;

    for (i = 0; i < 16; i++) {
        w[i] = (uint32_t) p[4 * i] << 24 | (uint32_t) p[4 * i + 1] << 16
               | (uint32_t) p[4 * i + 2] << 8 | p[4 * i + 3];
    }

    for (i = 16; i < 64; i++) {
        t1 = ollama_rotr(w[i - 15], 7) ^ ollama_rotr(w[i - 15], 18)
             ^ w[i - 15] >> 3;
        t2 = ollama_rotr(w[i - 2], 17) ^ ollama_rotr(w[i - 2], 19)
             ^ w[i - 2] >> 10;

        w[i] = w[i - 16] + t1 + w[i - 7] + t2;
    }

    a = state[0];
    b = state[1];
    c = state[2];
    d = state[3];
    e = state[4];
    f = state[5];
    g = state[6];
    h = state[7];

    for (i = 0; i < 64; i++) {
        t1 = h
             + (ollama_rotr(e, 6) ^ ollama_rotr(e, 11) ^ ollama_rotr(e, 25))
             + ((e & f) ^ (~e & g))
             + ollama_sha256_k[i] + w[i];

        t2 = (ollama_rotr(a, 2) ^ ollama_rotr(a, 13) ^ ollama_rotr(a, 22))
             + ((a & b) ^ (a & c) ^ (b & c));

        h = g;
        g = f;
        f = e;
        e = d + t1;
        d = c;
        c = b;
        b = a;
        a = t1 + t2;
    }

    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
    state[5] += f;
    state[6] += g;
    state[7] += h;

    explicit_bzero(w, sizeof(w));
}
