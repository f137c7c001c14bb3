
#include "crc32.h"


static uint32_t  ollama_crc32_table[8][256];


static void ollama_crc32_init(void) __attribute__((constructor));


/* eight tables: eight bytes a step */

static void
ollama_crc32_init(void)
{
    uint32_t      c;
    unsigned int  n, k;

    for (n = 0; n < 256; n++) {
        c = n;

        for (k = 0; k < 8; k++) {
            c = (c & 1) ? 0xedb88320u ^ (c >> 1) : c >> 1;
        }

        ollama_crc32_table[0][n] = c;
    }

    for (n = 0; n < 256; n++) {
        c = ollama_crc32_table[0][n];

        for (k = 1; k < 8; k++) {
            c = ollama_crc32_table[0][c & 0xff] ^ (c >> 8);
            ollama_crc32_table[k][n] = c;
        }
    }
}


uint32_t
ollama_crc32(uint32_t crc, const unsigned char *data, size_t len)
{
    uint32_t  hi;

    crc = ~crc;

    while (len >= 8) {
        crc ^= (uint32_t) data[0] | (uint32_t) data[1] << 8
               | (uint32_t) data[2] << 16 | (uint32_t) data[3] << 24;
        hi = (uint32_t) data[4] | (uint32_t) data[5] << 8
             | (uint32_t) data[6] << 16 | (uint32_t) data[7] << 24;

        crc = ollama_crc32_table[7][crc & 0xff]
              ^ ollama_crc32_table[6][(crc >> 8) & 0xff]
              ^ ollama_crc32_table[5][(crc >> 16) & 0xff]
              ^ ollama_crc32_table[4][crc >> 24]
              ^ ollama_crc32_table[3][hi & 0xff]
              ^ ollama_crc32_table[2][(hi >> 8) & 0xff]
              ^ ollama_crc32_table[1][(hi >> 16) & 0xff]
              ^ ollama_crc32_table[0][hi >> 24];

        data += 8;
        len -= 8;
    }

    while (len--) {
        crc = ollama_crc32_table[0][(crc ^ *data++) & 0xff] ^ (crc >> 8);
    }

    return ~crc;
}
