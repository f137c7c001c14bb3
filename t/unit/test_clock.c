/*
 * A clock that is wrong for a while does not count, one that stays does.
 */

#include "../../stats-daemon/base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>


#define SECOND  1000
#define HOUR    (3600 * SECOND)
#define DAY     (24LL * HOUR)
#define NOON    (INT64_C(1795694400) * SECOND)


static void
test_steady(void **state)
{
    int64_t       i;
    struct clock  c;

    (void) state;

    clock_start(&c, NOON, 5, 0);

    for (i = 0; i < 3 * HOUR; i += SECOND) {

        /* drift, and steps of up to an hour */

        int64_t wall = NOON + i + i / 100 + (i / HOUR % 2) * 59 * 60 * SECOND;

        assert_int_equal(clock_now(&c, wall, 5 + i), wall);
        assert_int_equal(c.jump, 0);
    }
}


static void
test_jump(void **state)
{
    size_t        k;
    int64_t       i;
    struct clock  c;

    static const int64_t  jumps[] = {
        40 * DAY, -40 * DAY, HOUR + SECOND, -HOUR - SECOND, 30000 * DAY,
        -NOON
    };

    (void) state;

    for (k = 0; k < sizeof(jumps) / sizeof(jumps[0]); k++) {

        /* for four seconds */

        clock_start(&c, NOON, 0, NOON - SECOND);

        for (i = SECOND; i < 5 * SECOND; i += SECOND) {
            assert_in_range(clock_now(&c, NOON + i + jumps[k], i),
                            NOON, NOON + i);
            assert_true(c.jump != 0);
            assert_int_equal(c.jump > 0, jumps[k] > 0);
            assert_int_equal(c.asleep, 0);
        }

        assert_int_equal(clock_now(&c, NOON + i, i), NOON + i);
        assert_int_equal(c.jump, 0);

        /* for good */

        for (i = 10 * SECOND; i < HOUR + 10 * SECOND; i += SECOND) {
            assert_in_range(clock_now(&c, NOON + i + jumps[k], i),
                            NOON + i - SECOND, NOON + i);
        }

        assert_int_equal(clock_now(&c, NOON + i + jumps[k], i),
                         NOON + i + jumps[k]);
        assert_int_equal(c.jump, 0);
    }
}


/* a second jump within the hour begins another hour, the way back none */

static void
test_jumps(void **state)
{
    int64_t       i;
    struct clock  c;

    (void) state;

    clock_start(&c, NOON, 0, 0);

    for (i = 0; i < 10 * HOUR; i += 10 * SECOND) {
        int64_t jump = (1 + i / (59 * 60 * SECOND)) * 5 * DAY;

        assert_int_equal(clock_now(&c, NOON + i + jump, i), NOON + i);
    }

    assert_int_equal(clock_now(&c, NOON + i, i), NOON + i);
}


static void
test_start(void **state)
{
    struct clock  c;

    (void) state;

    /* off for a month */

    clock_start(&c, NOON, 0, NOON - 30 * DAY);
    assert_int_equal(c.asleep, 1);
    assert_int_equal(clock_now(&c, NOON + 9, 9), NOON - 30 * DAY + 9);
    assert_int_equal(c.jump, 30 * DAY);
    assert_int_equal(clock_now(&c, NOON + HOUR, HOUR), NOON + HOUR);
    assert_int_equal(c.asleep, 0);

    /* off for ten minutes */

    clock_start(&c, NOON, 0, NOON - HOUR / 6);
    assert_int_equal(c.asleep, 0);
    assert_int_equal(clock_now(&c, NOON + 9, 9), NOON + 9);

    /* back in 1970 */

    clock_start(&c, 0, 0, NOON);
    assert_int_equal(c.asleep, 0);
    assert_int_equal(clock_now(&c, 9, 9), NOON + 9);
    assert_int_equal(c.jump, -NOON);
    assert_int_equal(clock_now(&c, NOON + 10 * SECOND, 5 * SECOND),
                     NOON + 10 * SECOND);
    assert_int_equal(c.jump, 0);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_steady),
        cmocka_unit_test(test_jump),
        cmocka_unit_test(test_jumps),
        cmocka_unit_test(test_start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
