/*
 * Bodies that came packed: whole, in pieces, broken, cut, several in one.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "unpack.h"


static unsigned char  text[300000];
static unsigned char  packed[400000], out[400000];


static size_t
gzip(unsigned char *to, const unsigned char *from, size_t len)
{
    z_stream  z;

    memset(&z, 0, sizeof(z));
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 31, 8,
                                  Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (unsigned char *) from;
    z.avail_in = len;
    z.next_out = to;
    z.avail_out = sizeof(packed) / 2;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);

    return z.total_out;
}


/* "hello, world\n", as the zstd tool packs it, without a checksum */

static const unsigned char  zstd[] = {
    0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58, 0x69, 0x00, 0x00, 'h', 'e', 'l', 'l',
    'o', ',', ' ', 'w', 'o', 'r', 'l', 'd', '\n'
};


/* pieces of in bytes, into room bytes at a time: the length, or -1 */

static long
unpack(ollama_coding_e coding, const unsigned char *p, size_t len, size_t in,
    size_t room)
{
    int                   rc;
    size_t                n, total;
    unsigned char        *to;
    const unsigned char  *end, *before;

    ollama_unpack_t  *u = ollama_unpack_create(coding);
    assert_non_null(u);

    total = 0;

    while (len) {
        n = in < len ? in : len;
        end = p + n;
        len -= n;

        do {
            to = out + total;
            before = p;
            assert_true(total + room <= sizeof(out));
            rc = ollama_unpack(u, &p, end, &to, out + total + room);

            if (rc != OLLAMA_UNPACK_OK) {
                assert_int_equal(ollama_unpack(u, &p, end, &to, to + 1),
                                 OLLAMA_UNPACK_BROKEN);
                ollama_unpack_destroy(u);
                return -1;
            }

            n = to - (out + total);
            total += n;
            assert_true(n || p != before || p == end);

        } while (p != end || n == room);
    }

    rc = ollama_unpack_whole(u);
    ollama_unpack_destroy(u);

    return rc ? (long) total : -1;
}


static void
fill(void)
{
    size_t    i;
    uint32_t  x = 1;

    for (i = 0; i < sizeof(text); i++) {
        x = x * 1103515245 + 12345;
        text[i] = (i / 1000 % 3) ? 'a' + (x >> 16) % 3 : (unsigned char) (x >> 16);
    }
}


static void
test_gzip(void **state)
{
    size_t  n, i;

    static const size_t  sizes[] = { 0, 1, 13, 65536, 300000 };
    static const size_t  pieces[] = { 1, 7, 4096, 400000 };
    static const size_t  rooms[] = { 1, 100, 65536 };

    (void) state;

    fill();

    for (i = 0; i < 5 * 4 * 3; i++) {
        size_t  size = sizes[i % 5], in = pieces[i / 5 % 4];
        size_t  room = rooms[i / 20];

        n = gzip(packed, text, size);
        assert_int_equal(unpack(OLLAMA_CODING_GZIP, packed, n, in, room), size);
        assert_memory_equal(out, text, size);
    }

    /* one behind the other */

    n = gzip(packed, text, 1000);
    n += gzip(packed + n, text + 1000, 0);
    n += gzip(packed + n, text + 1000, 2000);

    for (i = 1; i < 50; i++) {
        assert_int_equal(unpack(OLLAMA_CODING_GZIP, packed, n, i, 64), 3000);
        assert_memory_equal(out, text, 3000);
    }
}


static void
test_gzip_broken(void **state)
{
    size_t  n, i;

    (void) state;

    fill();

    n = gzip(packed, text, 500);

    for (i = 0; i < n; i++) {
        assert_int_equal(unpack(OLLAMA_CODING_GZIP, packed, i, 64, 4096), -1);
    }

    packed[n] = 0;
    assert_int_equal(unpack(OLLAMA_CODING_GZIP, packed, n + 1, 64, 4096), -1);
    memcpy(packed + n, "{}", 2);
    assert_int_equal(unpack(OLLAMA_CODING_GZIP, packed, n + 2, 64, 4096), -1);

    /* its checksum */

    packed[n - 6] ^= 1;
    assert_int_equal(unpack(OLLAMA_CODING_GZIP, packed, n, 64, 4096), -1);
    assert_int_equal(unpack(OLLAMA_CODING_GZIP, (unsigned char *) "{\"a\":1}", 7,
                            64, 4096), -1);
}


static void
test_zstd(void **state)
{
    size_t  i;

    (void) state;

    if (!ollama_unpack_known(OLLAMA_CODING_ZSTD)) {
        assert_null(ollama_unpack_create(OLLAMA_CODING_ZSTD));
        skip();
    }

    for (i = 1; i <= sizeof(zstd); i++) {
        assert_int_equal(unpack(OLLAMA_CODING_ZSTD, zstd, sizeof(zstd), i, 5),
                         13);
        assert_memory_equal(out, "hello, world\n", 13);
    }

    for (i = 0; i < sizeof(zstd); i++) {
        assert_int_equal(unpack(OLLAMA_CODING_ZSTD, zstd, i, 64, 64), -1);
    }

    memcpy(packed, zstd, sizeof(zstd));
    memcpy(packed + sizeof(zstd), zstd, sizeof(zstd));
    assert_int_equal(unpack(OLLAMA_CODING_ZSTD, packed, 2 * sizeof(zstd), 3, 64),
                     26);
    packed[sizeof(zstd)] = '{';
    assert_int_equal(unpack(OLLAMA_CODING_ZSTD, packed, 2 * sizeof(zstd), 3, 64),
                     -1);

    /* a frame to be skipped, and one of zstd 0.7 */

    memcpy(packed, "\x5a\x2a\x4d\x18\3\0\0\0abc", 11);
    memcpy(packed + 11, zstd, sizeof(zstd));
    assert_int_equal(unpack(OLLAMA_CODING_ZSTD, packed, 11 + sizeof(zstd), 3,
                            64), 13);
    assert_int_equal(unpack(OLLAMA_CODING_ZSTD, (unsigned char *)
                            "\x27\xb5\x2f\xfd\x40\x58\x69\xab\0\0\0", 11, 1,
                            64), -1);

    /* a window of 1 GB */

    memcpy(packed, zstd, 4);
    packed[4] = 0;
    packed[5] = 20 << 3;
    memcpy(packed + 6, zstd + 6, sizeof(zstd) - 6);
    assert_int_equal(unpack(OLLAMA_CODING_ZSTD, packed, sizeof(zstd), 64, 64),
                     -1);
}


/* what has come so far is enough, and so is the room there is */

static void
test_beginning(void **state)
{
    size_t                n, k, len;
    uLongf                size;
    unsigned              i;
    unsigned char        *to;
    ollama_unpack_t      *u;
    const unsigned char  *p;

    static const ollama_coding_e  codings[] = {
        OLLAMA_CODING_GZIP, OLLAMA_CODING_DEFLATE
    };

    (void) state;

    fill();

    for (i = 0; i < 2; i++) {
        n = gzip(packed, text, 3000);

        if (codings[i] == OLLAMA_CODING_DEFLATE) {
            size = sizeof(packed);
            assert_int_equal(compress2(packed, &size, text, 3000, 6), Z_OK);
            n = size;
            assert_int_equal(unpack(codings[i], packed, n, 7, 64), 3000);
        }

        for (k = 0, len = 0; k <= n; k++) {
            p = packed;
            to = out;
            u = ollama_unpack_create(codings[i]);
            assert_int_equal(ollama_unpack(u, &p, packed + k, &to, out + 2000),
                             OLLAMA_UNPACK_OK);
            assert_in_range(to - out, len, 2000);
            len = to - out;
            assert_memory_equal(out, text, len);
            ollama_unpack_destroy(u);
        }

        assert_int_equal(len, 2000);

        /* and what is broken further on does not matter */

        packed[n - 1] ^= 1;
        p = packed;
        to = out;
        u = ollama_unpack_create(codings[i]);
        assert_int_equal(ollama_unpack(u, &p, packed + n, &to, out + 4000),
                         OLLAMA_UNPACK_BROKEN);
        assert_int_equal(to - out, 3000);
        ollama_unpack_destroy(u);
    }
}


static void
test_coding(void **state)
{
    size_t  i;

    static const struct {
        const char       *value;
        ollama_coding_e   coding;
    } values[] = {
        { "", OLLAMA_CODING_NONE },
        { "identity", OLLAMA_CODING_NONE },
        { " Identity\t", OLLAMA_CODING_NONE },
        { "gzip", OLLAMA_CODING_GZIP },
        { "GZip ", OLLAMA_CODING_GZIP },
        { "x-gzip", OLLAMA_CODING_GZIP },
        { "zstd", OLLAMA_CODING_ZSTD },
        { "gzip, zstd", OLLAMA_CODING_OTHER },
        { "gzip,", OLLAMA_CODING_OTHER },
        { "br", OLLAMA_CODING_OTHER },
        { "deflate", OLLAMA_CODING_DEFLATE },
        { "gzi", OLLAMA_CODING_OTHER }
    };

    (void) state;

    for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        assert_int_equal(ollama_unpack_coding((unsigned char *) values[i].value,
                                              strlen(values[i].value)),
                         values[i].coding);
    }

    assert_null(ollama_unpack_create(OLLAMA_CODING_OTHER));
    assert_null(ollama_unpack_create(OLLAMA_CODING_NONE));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_gzip),
        cmocka_unit_test(test_gzip_broken),
        cmocka_unit_test(test_zstd),
        cmocka_unit_test(test_beginning),
        cmocka_unit_test(test_coding),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
