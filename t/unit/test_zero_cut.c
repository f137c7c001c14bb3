/*
 * The usage of zeros leaves a stream, wherever the stream is split; everything
 * else stays, what only looks like it included.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "zero_cut.h"


#define ZEROS  ",\"usage\":{\"prompt_tokens\":0,\"completion_tokens\":0," \
               "\"total_tokens\":0}"


typedef struct {
    const char  *in;
    const char  *out;
} row_t;


static const row_t  rows[] = {
    { "", "" },
    { "a", "a" },
    { ZEROS, "" },
    { ZEROS ZEROS, "" },
    { "{\"a\":1" ZEROS "}\n\n{\"b\":2" ZEROS "}\n\n",
      "{\"a\":1}\n\n{\"b\":2}\n\n" },
    { "," ZEROS ",", ",," },
    { "0123456789abcdef,xu,\"u" ZEROS "0123456789abcdef,\"u,\"us,",
      "0123456789abcdef,xu,\"u0123456789abcdef,\"u,\"us," },
    { ",\"usage\"" ZEROS, ",\"usage\"" },

    /* real numbers, other members, other forms */
    { ",\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":0,"
      "\"total_tokens\":0}",
      ",\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":0,"
      "\"total_tokens\":0}" },
    { ",\"usage\":null", ",\"usage\":null" },
    { "\"text\":\",\\\"usage\\\":{\\\"prompt_tokens\\\":0\"",
      "\"text\":\",\\\"usage\\\":{\\\"prompt_tokens\\\":0\"" },

    /* it ends in the midst of it */
    { "x,\"usage\":{\"prompt_tokens\":0,\"comp",
      "x,\"usage\":{\"prompt_tokens\":0,\"comp" },
    { "x,", "x," },
};


static size_t
feed(ollama_zero_cut_t *c, const char *in, size_t len, char *out)
{
    size_t                n;
    char                 *copy;
    const unsigned char  *p, *end;
    ollama_sse_run_t      run;

    /* a buffer of its own, so that a byte behind it is seen by ASan */

    copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, in, len);

    p = (unsigned char *) copy;
    end = p + len;
    n = 0;

    while (ollama_zero_cut_next(c, &p, end, &run)) {
        assert_true(run.len > 0);
        memcpy(out + n, run.data, run.len);
        n += run.len;
    }

    assert_ptr_equal(p, end);
    free(copy);

    return n;
}


static void
check(const row_t *row, size_t one, size_t two)
{
    char               out[1024];
    size_t             n, len;
    ollama_sse_run_t   run;
    ollama_zero_cut_t  c;

    len = strlen(row->in);
    ollama_zero_cut_reset(&c);

    n = feed(&c, row->in, one, out);
    n += feed(&c, row->in + one, two - one, out + n);
    n += feed(&c, row->in + two, len - two, out + n);

    if (ollama_zero_cut_finish(&c, &run)) {
        memcpy(out + n, run.data, run.len);
        n += run.len;
    }

    out[n] = '\0';
    assert_string_equal(out, row->out);
}


static void
test_splits(void **state)
{
    size_t  i, one, two, len;

    (void) state;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        len = strlen(rows[i].in);

        for (one = 0; one <= len; one++) {
            for (two = one; two <= len; two++) {
                check(&rows[i], one, two);
            }
        }
    }
}


static void
test_bytes(void **state)
{
    char               out[1024];
    size_t             i, k, n;
    ollama_sse_run_t   run;
    ollama_zero_cut_t  c;

    (void) state;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        ollama_zero_cut_reset(&c);
        n = 0;

        for (k = 0; k < strlen(rows[i].in); k++) {
            n += feed(&c, rows[i].in + k, 1, out + n);
        }

        if (ollama_zero_cut_finish(&c, &run)) {
            memcpy(out + n, run.data, run.len);
            n += run.len;
        }

        out[n] = '\0';
        assert_string_equal(out, rows[i].out);
    }
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_splits),
        cmocka_unit_test(test_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
