/*
 * The short name by which a key is known wherever its value must not appear:
 * the first 8 hex digits of SHA-256(key).
 */

#ifndef OLLAMA_FINGERPRINT_H_INCLUDED
#define OLLAMA_FINGERPRINT_H_INCLUDED

#include <stddef.h>

#define OLLAMA_FINGERPRINT_LEN  8


/* writes OLLAMA_FINGERPRINT_LEN digits and a NUL */
void ollama_fingerprint(const void *key, size_t len,
    char out[OLLAMA_FINGERPRINT_LEN + 1]);


#endif /* OLLAMA_FINGERPRINT_H_INCLUDED */
