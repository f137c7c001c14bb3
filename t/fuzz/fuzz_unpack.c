/*
 * Packed bodies: whatever comes in, in whatever pieces and into whatever room,
 * the same comes out, as much of it as zlib itself would give; and what is
 * packed is unpacked.
 */

#include "fuzz.h"
#include "unpack.h"

#include <zlib.h>


#define MAX  (1 << 20)


static unsigned char  whole[MAX], pieces[MAX], packed[MAX];


/* how many bytes come out, at most MAX; *ok: it ended well */

static size_t
unpack(ollama_coding_e coding, const uint8_t *data, size_t size, size_t in,
    size_t room, unsigned char *out, int *ok)
{
    int                   rc;
    size_t                n, total;
    unsigned char        *copy, *to;
    const unsigned char  *p, *end;
    ollama_unpack_t      *u;

    u = ollama_unpack_create(coding);
    fuzz_check(u != NULL);

    total = 0;
    rc = OLLAMA_UNPACK_OK;

    while (size && rc == OLLAMA_UNPACK_OK) {

        /* a block of its own, so that a read beyond its end is seen */

        n = in < size ? in : size;
        copy = malloc(n);
        memcpy(copy, data, n);
        data += n;
        size -= n;

        p = copy;
        end = copy + n;

        do {
            n = room < MAX - total ? room : MAX - total;
            to = out + total;

            rc = ollama_unpack(u, &p, end, &to, to + n);

            fuzz_check(to >= out + total && to <= out + total + n);
            fuzz_check(p >= copy && p <= end);

            /* it stops where input or room is used up */

            n -= to - (out + total);
            total = to - out;

            fuzz_check(rc != OLLAMA_UNPACK_OK || n == 0 || p == end);

        } while (rc == OLLAMA_UNPACK_OK && total < MAX
                 && (p != end || n == 0));

        free(copy);

        if (total == MAX) {
            break;
        }
    }

    *ok = (rc == OLLAMA_UNPACK_OK && total < MAX && ollama_unpack_whole(u));

    ollama_unpack_destroy(u);

    return total;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int              ok, again;
    size_t           n, m, in, room;
    z_stream         z;
    ollama_coding_e  coding;

    if (size < 3) {
        return 0;
    }

    coding = (data[0] & 1) && ollama_unpack_known(OLLAMA_CODING_ZSTD)
             ? OLLAMA_CODING_ZSTD : OLLAMA_CODING_GZIP;
    in = 1 + data[1] % 64;
    room = 1 + data[2] * 16;

    data += 3;
    size -= 3;

    n = unpack(coding, data, size, size ? size : 1, 65536, whole, &ok);
    m = unpack(coding, data, size, in, room, pieces, &again);

    /*
     * libzstd looks whether a frame is as long as it says only where it finds
     * all of it in one piece, and room for it.
     */

    fuzz_check(ok == again || coding == OLLAMA_CODING_ZSTD);

    if (ok && again) {
        fuzz_check(n == m && memcmp(whole, pieces, n) == 0);
    }

    /* and the other way round */

    memset(&z, 0, sizeof(z));
    fuzz_check(deflateInit2(&z, 1, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY)
               == Z_OK);
    z.next_in = (unsigned char *) data;
    z.avail_in = size;
    z.next_out = packed;
    z.avail_out = MAX;
    fuzz_check(deflate(&z, Z_FINISH) == Z_STREAM_END);
    m = z.total_out;
    deflateEnd(&z);

    n = unpack(OLLAMA_CODING_GZIP, packed, m, in, room, whole, &ok);
    fuzz_check(ok && n == size && memcmp(whole, data, size) == 0);

    return 0;
}
