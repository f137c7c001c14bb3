/*
 * SHA-256 (FIPS 180-4), for fingerprints of keys.
 *
 * Its own small implementation, since nginx may have been built without
 * OpenSSL.  Not meant for secrets of a protocol or for speed.
 */

#ifndef OLLAMA_SHA256_H_INCLUDED
#define OLLAMA_SHA256_H_INCLUDED

#include <stddef.h>
#include <stdint.h>

#define OLLAMA_SHA256_LEN  32


typedef struct {
    uint32_t        state[8];
    uint64_t        bytes;
    unsigned char   block[64];
} ollama_sha256_t;


void ollama_sha256_init(ollama_sha256_t *ctx);
void ollama_sha256_update(ollama_sha256_t *ctx, const void *data, size_t len);
void ollama_sha256_final(ollama_sha256_t *ctx,
    unsigned char digest[OLLAMA_SHA256_LEN]);


#endif /* OLLAMA_SHA256_H_INCLUDED */
