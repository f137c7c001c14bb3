/*
 * gunzip.h - the beginning of a packed body, gzip or zlib (RFC 1952, 1950).
 *
 * Returns the bytes put into out, at most `size`; what has been cut off or is
 * broken further on does not matter, and 0 means that nothing could be read.
 * What unpacking needs (some 40 KB) is freed before it returns.
 */

#ifndef OLLAMA_GUNZIP_H_INCLUDED
#define OLLAMA_GUNZIP_H_INCLUDED

#include <stddef.h>


size_t ollama_gunzip(const unsigned char *p, size_t n, unsigned char *out,
    size_t size);


#endif /* OLLAMA_GUNZIP_H_INCLUDED */
