/*
 * Prometheus' text: names of any bytes, histograms.
 */

#include "../../stats-daemon/web/metrics_histogram.h"
#include "../../stats-daemon/web/metrics_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>


#define BAD  "\xef\xbf\xbd"

#define CLEAN(from, to)  clean(from, sizeof(from) - 1, to)


static void
clean(const char *from, size_t len, const char *to)
{
    char  buf[256];

    assert_true(METRICS_CLEAN(len) <= sizeof(buf));
    assert_int_equal(metrics_clean(buf, from, len), strlen(to));
    assert_string_equal(buf, to);
}


static void
test_clean(void **state)
{
    (void) state;

    CLEAN("", "");
    CLEAN("gpt-oss:120b", "gpt-oss:120b");
    CLEAN("\xe6\xa8\xa1\xe5\x9e\x8b", "\xe6\xa8\xa1\xe5\x9e\x8b");
    CLEAN("\xf0\x9f\x98\x80 \t\n\x7f", "\xf0\x9f\x98\x80 \t\n\x7f");

    CLEAN("a\0b", "a" BAD "b");
    CLEAN("\xff\xfe", BAD BAD);
    CLEAN("\xe4", BAD);                          /* Latin-1 */
    CLEAN("\xe6\xa8", BAD BAD);                  /* cut */
    CLEAN("\xc0\xaf", BAD BAD);                  /* overlong */
    CLEAN("\xed\xa0\x80", BAD BAD BAD);          /* a surrogate */
    CLEAN("\xf4\x90\x80\x80", BAD BAD BAD BAD);  /* above U+10FFFF */
}


static void
test_label(void **state)
{
    struct json  j = { 0 };

    (void) state;

    metrics_label(&j, "key", "\xc3\xa4 \"b\"\\\n\xff");
    json_raw(&j, "", 1);
    assert_string_equal(j.data,
                        "key=\"\xc3\xa4 \\\"b\\\"\\\\\\n" BAD "\"");
    json_free(&j);
}


static void
test_histogram(void **state)
{
    struct json             j = { 0 };
    struct histogram        h = { { 0 }, 0 };
    static const struct buckets  b = { 2, { 0.5, 1 } };

    (void) state;

    histogram_add(&h, &b, 0.25);
    histogram_add(&h, &b, 0.5);     /* at most */
    histogram_add(&h, &b, 0.75);
    histogram_add(&h, &b, 4);

    histogram_text(&j, "h", NULL, NULL, &h, &b);
    histogram_text(&j, "h", "x", "\"", &h, &b);
    json_raw(&j, "", 1);
    assert_string_equal(j.data, "h_bucket{le=\"0.5\"} 2\n"
                                "h_bucket{le=\"1\"} 3\n"
                                "h_bucket{le=\"+Inf\"} 4\n"
                                "h_sum 5.5\nh_count 4\n"
                                "h_bucket{x=\"\\\"\",le=\"0.5\"} 2\n"
                                "h_bucket{x=\"\\\"\",le=\"1\"} 3\n"
                                "h_bucket{x=\"\\\"\",le=\"+Inf\"} 4\n"
                                "h_sum{x=\"\\\"\"} 5.5\n"
                                "h_count{x=\"\\\"\"} 4\n");
    json_free(&j);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_clean),
        cmocka_unit_test(test_label),
        cmocka_unit_test(test_histogram),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
