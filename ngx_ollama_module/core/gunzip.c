
#include "gunzip.h"

#include <string.h>
#include <zlib.h>


#define GUNZIP_EITHER  (MAX_WBITS + 32)     /* whichever header it has */


size_t
ollama_gunzip(const unsigned char *p, size_t n, unsigned char *out,
    size_t size)
{
    size_t    len;
    z_stream  z;

    memset(&z, 0, sizeof(z_stream));

    if (inflateInit2(&z, GUNZIP_EITHER) != Z_OK) {
        return 0;
    }

    z.next_in = (unsigned char *) p;
    z.avail_in = (uInt) n;
    z.next_out = out;
    z.avail_out = (uInt) size;

    (void) inflate(&z, Z_SYNC_FLUSH);

    len = size - z.avail_out;

    inflateEnd(&z);

    return len;
}
