/*
 * crc32.h - the usual CRC-32, as in zlib: of frames that go between the
 * module and the daemon.
 */

#ifndef OLLAMA_CRC32_H_INCLUDED
#define OLLAMA_CRC32_H_INCLUDED

#include <stddef.h>
#include <stdint.h>


/* crc is 0 to begin with, or what the bytes before gave */

uint32_t ollama_crc32(uint32_t crc, const unsigned char *data, size_t len);


#endif /* OLLAMA_CRC32_H_INCLUDED */
