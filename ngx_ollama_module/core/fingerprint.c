
#include "fingerprint.h"
#include "sha256.h"


void
ollama_fingerprint(const void *key, size_t len,
    char out[OLLAMA_FINGERPRINT_LEN + 1])
{
    size_t           i;
    unsigned char    digest[OLLAMA_SHA256_LEN];
    ollama_sha256_t  ctx;

    static const char  hex[] = "0123456789abcdef";

    ollama_sha256_init(&ctx);
    ollama_sha256_update(&ctx, key, len);
    ollama_sha256_final(&ctx, digest);

    for (i = 0; i < OLLAMA_FINGERPRINT_LEN / 2; i++) {
        out[2 * i] = hex[digest[i] >> 4];
        out[2 * i + 1] = hex[digest[i] & 0x0f];
    }

    out[OLLAMA_FINGERPRINT_LEN] = '\0';
}
