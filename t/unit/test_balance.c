/*
 * Money as text, and what the cloud tells of an account.
 */

#include "../../stats-daemon/balance/money.h"
#include "../../stats-daemon/balance/told.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>


static void
test_money(void **state)
{
    size_t   i;
    int64_t  nano;

    static const struct {
        const char  *text;
        int64_t      nano;
    } good[] = {
        { "72.5", INT64_C(72500000000) },
        { "0", 0 },
        { "0.0", 0 },
        { "25", INT64_C(25000000000) },
        { "0.000000001", 1 },
        { "0.0000000004", 0 },
        { "0.0000000005", 1 },
        { "0.01718", 17180000 },
        { "1e-7", 100 },
        { "1.5E+2", INT64_C(150000000000) },
        { "12345e-14", 0 },
        { "99999e-14", 1 },
        { "-3.5", 0 },
        { "99.999999999999999999999999999999", INT64_C(100000000000) },
        { "0.30000000000000004", 300000000 },
        { "1e300", MONEY_MAX },
        { "123456789012345678901234567890", MONEY_MAX },
        { "1e-300", 0 },
        { "007.5", INT64_C(7500000000) },
    };
    static const char  *bad[] = { "", "-", ".", "x", "1.2.3", "1e", "1e+", "1.",
                                  "1 ", "0x10", "--1", "NaN", ".5", "1e5x" };

    (void) state;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(money_read(good[i].text, strlen(good[i].text), &nano),
                         0);
        if (nano != good[i].nano) {
            print_message("%s\n", good[i].text);
        }
        assert_int_equal(nano, good[i].nano);
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(money_read(bad[i], strlen(bad[i]), &nano), -1);
    }
}


static ollama_record_balance_t
balance(const char *body)
{
    ollama_record_balance_t  b;

    told_balance(body, strlen(body), &b);

    return b;
}


static void
test_shapes(void **state)
{
    size_t                   i;
    ollama_record_balance_t  b;

    static const char  *unknown[] = {
        "", "{}", "[]", "null", "{\"included\":72}", "<html>", "{\"included\":",
        "{\"included\":{\"balance_usd\":true}}",
        "{\"other\":{\"balance_usd\":5}}",
        "{\"x\":{\"included\":{\"balance_usd\":5}}}",
        "{\"included\":[{\"balance_usd\":5}]}",
        "{\"included\":{\"balance_usd\":5}",
        "{\"included\":{\"balance_usd\":5,\"allowance_usd\":-1}}"
    };

    (void) state;

    b = balance(" {\"included\":{\"balance_usd\":72.5,\"allowance_usd\":100,"
                "\"new\":[{\"balance_usd\":1}],\"period\":{"
                "\"from\":\"2026-11-01T00:00:00Z\","
                "\"until\":\"2026-12-01T00:00:00.123456789Z\"}},"
                "\"purchased\":{\"balance_usd\":25}}\n");

    assert_int_equal(b.kind, OLLAMA_BALANCE_MONEY);
    assert_true(b.included == UINT64_C(72500000000));
    assert_true(b.allowance == UINT64_C(100000000000));
    assert_true(b.purchased == UINT64_C(25000000000));
    assert_true(b.from == UINT64_C(1793491200000));
    assert_true(b.until == UINT64_C(1796083200123));
    assert_int_equal(b.session, OLLAMA_BALANCE_NO_SHARE);

    b = balance("{\"included\":{\"session\":{\"remaining_percent\":75,"
                "\"resets_at\":\"2026-11-27T15:00:00Z\"},\"weekly\":"
                "{\"remaining_percent\":40.25}}}");

    assert_int_equal(b.kind, OLLAMA_BALANCE_WINDOWS);
    assert_int_equal(b.session, 750);
    assert_int_equal(b.week, 403);
    assert_true(b.session_resets == UINT64_C(1795791600000));
    assert_true(b.week_resets == 0);

    b = balance("{\"purchased\":{\"balance_usd\":\"3.25\"}}");
    assert_int_equal(b.kind, OLLAMA_BALANCE_MONEY);
    assert_true(b.purchased == UINT64_C(3250000000));

    for (i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        assert_int_equal(balance(unknown[i]).kind, OLLAMA_BALANCE_UNKNOWN);
    }
}


static void
test_usage(void **state)
{
    struct told_day  days[TOLD_DAYS];

    static const char  body[] =
        "{\"range\":\"7d\",\"totals\":{\"request_count\":9,\"usage_usd\":9},"
        "\"buckets\":[{\"from\":\"2026-11-25T00:00:00Z\","
        "\"until\":\"2026-11-26T00:00:00Z\",\"request_count\":42,"
        "\"usage_usd\":1.23,\"models\":[{\"request_count\":7}]},"
        "{\"from\":\"2026-11-26T00:00:00Z\",\"request_count\":3},"
        "{\"from\":\"2026-11-27T00:00:00Z\",\"partial\":true}]}";

    (void) state;

    assert_int_equal(told_usage(body, strlen(body), days), 3);
    assert_int_equal(days[0].requests, 42);
    assert_true(days[0].usd == INT64_C(1230000000));
    assert_int_equal(days[0].has_usd, 1);
    assert_int_equal(days[0].partial, 0);
    assert_true(days[0].until - days[0].from == 86400000);
    assert_int_equal(days[1].requests, 3);
    assert_int_equal(days[1].has_usd, 0);
    assert_int_equal(days[2].partial, 1);
    assert_int_equal(told_usage("{\"buckets\":[]}", 14, days), -1);
    assert_int_equal(told_usage("oops", 4, days), -1);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_money),
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_usage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
