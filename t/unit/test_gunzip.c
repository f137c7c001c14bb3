
/*
 * The beginning of a packed body: whole, cut off anywhere, and what is none.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <zlib.h>

#include "gunzip.h"


static unsigned char  packed[4096];


static size_t
pack(const char *text, size_t n, int bits)
{
    z_stream  z;

    memset(&z, 0, sizeof(z));
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, bits, 8, 0), Z_OK);

    z.next_in = (unsigned char *) text;
    z.avail_in = (uInt) n;
    z.next_out = packed;
    z.avail_out = sizeof(packed);

    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);

    return sizeof(packed) - z.avail_out;
}


static void
test_whole(void **state)
{
    int            i;
    size_t         n, k, len;
    unsigned char  out[256];

    static const char  text[] = "{\"error\":\"you have reached it\"}";
    static const int   bits[] = { 15 + 16, 15 };

    (void) state;

    for (i = 0; i < 2; i++) {
        n = pack(text, sizeof(text) - 1, bits[i]);

        for (k = 0; k <= n; k++) {
            len = ollama_gunzip(packed, k, out, sizeof(out));

            assert_in_range(len, 0, sizeof(text) - 1);
            assert_memory_equal(out, text, len);
        }

        assert_int_equal(len, sizeof(text) - 1);
    }
}


/* a bomb fills the room there is, and no more */

static void
test_room(void **state)
{
    size_t         n;
    unsigned char  out[11];

    static char    zeros[1000000];

    (void) state;

    n = pack(zeros, sizeof(zeros), 15 + 16);

    out[10] = '#';
    assert_int_equal(ollama_gunzip(packed, n, out, 10), 10);
    assert_int_equal(out[10], '#');
}


static void
test_broken(void **state)
{
    unsigned char  out[16];

    (void) state;

    assert_int_equal(ollama_gunzip((const unsigned char *) "", 0, out, 16), 0);
    assert_int_equal(ollama_gunzip((const unsigned char *) "{\"error\":1}", 11,
                                   out, 16), 0);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_broken)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
