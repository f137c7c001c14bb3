#include "gunzip.h"

#include "../base/util.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

void *gunzip(const void *data, size_t len, size_t max, size_t *out) {
    z_stream z;
    size_t size = len * 4 + 1024, used = 0;
    int r = Z_OK;

    memset(&z, 0, sizeof(z));
    if (inflateInit2(&z, 31) != Z_OK) return NULL;
    if (size > max) size = max;
    unsigned char *buf = xmalloc(size);

    z.next_in = (unsigned char *)(uintptr_t)data;
    z.avail_in = (unsigned)len;
    while (r == Z_OK) {
        if (used == size) {
            if (size == max) break;
            size = size * 2 > max ? max : size * 2;
            buf = xrealloc(buf, size);
        }
        z.next_out = buf + used;
        z.avail_out = (unsigned)(size - used);
        r = inflate(&z, Z_NO_FLUSH);
        used = size - z.avail_out;
    }
    inflateEnd(&z);
    if (r != Z_STREAM_END) {
        free(buf);
        return NULL;
    }
    *out = used;
    return buf;
}
