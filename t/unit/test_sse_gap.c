/*
 * Tests for sse_gap.h: between two events or not, split anywhere.
 */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "sse_gap.h"


static const struct {
    const char  *text;
    int          open;
} cases[] = {
    { "", 1 },
    { "d", 0 },
    { "data: 1", 0 },
    { "data: 1\n", 0 },
    { "data: 1\n\n", 1 },
    { "data: 1\n\n\n", 1 },
    { "data: 1\n\nd", 0 },
    { "data: 1\n\ndata: 2\n", 0 },
    { "data: 1\r\n", 0 },
    { "data: 1\r\n\r", 0 },
    { "data: 1\r\n\r\n", 1 },
    { "a\n\r\n", 1 },
    { "a\r\n\n", 1 },
    { "a\r\rb\r\r\n", 1 },
    { "event: x\n", 0 },
    { "\n", 1 },
    { "\r\n", 1 },
    { "\rd\n", 0 },
    { ": ping\n\n", 1 },
};


static void
whole_and_split(void **state)
{
    size_t                n, cut, i;
    unsigned              gap;
    const unsigned char  *p;

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        p = (const unsigned char *) cases[i].text;
        n = strlen(cases[i].text);

        for (cut = 0; cut <= n; cut++) {
            gap = ollama_sse_gap(OLLAMA_SSE_GAP, p, cut);
            gap = ollama_sse_gap(gap, p + cut, n - cut);

            assert_int_equal(ollama_sse_gap_open(gap), cases[i].open);
        }

        gap = OLLAMA_SSE_GAP;

        for (cut = 0; cut < n; cut++) {
            gap = ollama_sse_gap(gap, p + cut, 1);
        }

        assert_int_equal(ollama_sse_gap_open(gap), cases[i].open);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(whole_and_split),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
