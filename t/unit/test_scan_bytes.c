/* The inner loops, against what they say they do, byte by byte. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "scan_bytes.h"


#define LEN  40


/* Of the right size, so that a sanitizer sees a read beyond its end */

static unsigned char *
block(size_t n, unsigned c)
{
    unsigned char  *p;

    p = malloc(n ? n : 1);
    assert_non_null(p);
    memset(p, c, n);

    return p;
}


static void
test_plain(void **state)
{
    size_t          at, n;
    unsigned        c, special;
    unsigned char  *p;

    (void) state;

    for (n = 0; n < LEN; n++) {
        p = block(n, 'x');
        assert_ptr_equal(ollama_scan_plain(p, p + n), p + n);

        for (at = 0; at < n; at++) {
            for (c = 0; c < 256; c++) {
                special = (c == '"' || c == '\\' || c < 0x20);
                p[at] = c;
                assert_ptr_equal(ollama_scan_plain(p, p + n),
                                 special ? p + at : p + n);
            }

            p[at] = 'x';
        }

        free(p);
    }
}


static void
test_same(void **state)
{
    size_t          at, n;
    unsigned char  *a, *b;

    (void) state;

    for (n = 0; n < LEN; n++) {
        a = block(n, 'x');
        b = block(n, 'x');
        assert_int_equal(ollama_scan_same(a, b, n), n);

        for (at = 0; at < n; at++) {
            a[at] ^= 0x80;
            assert_int_equal(ollama_scan_same(a, b, n), at);
            a[at] ^= 0x80;
        }

        free(a);
        free(b);
    }
}


static void
test_pair(void **state)
{
    size_t          at, n;
    unsigned char  *p;

    (void) state;

    for (n = 0; n < LEN; n++) {
        p = block(n, 'x');
        assert_ptr_equal(ollama_scan_pair(p, p + n, ',', 'u'), p + n);

        for (at = 0; at < n; at++) {
            p[at] = ',';

            /* seen, or not yet to be told */

            assert_ptr_equal(ollama_scan_pair(p, p + n, ',', 'u'),
                             (n - at <= 2) ? p + at : p + n);

            if (n - at > 2) {
                p[at + 2] = 'u';
                assert_ptr_equal(ollama_scan_pair(p, p + n, ',', 'u'), p + at);
                p[at + 2] = 'x';
            }

            p[at] = 'x';
        }

        free(p);
    }
}


static void
test_hex(void **state)
{
    unsigned  c;

    (void) state;

    for (c = 0; c < 256; c++) {
        assert_int_equal(ollama_scan_hex_digit(c),
                         (c >= '0' && c <= '9') ? (int) c - '0'
                         : (c >= 'a' && c <= 'f') ? (int) c - 'a' + 10
                         : (c >= 'A' && c <= 'F') ? (int) c - 'A' + 10 : -1);
    }
}


int
main(void)
{
    static const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_same),
        cmocka_unit_test(test_pair),
        cmocka_unit_test(test_hex)
    };

    return cmocka_run_group_tests_name("scan_bytes", tests, NULL, NULL);
}
