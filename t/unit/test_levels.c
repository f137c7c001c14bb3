/*
 * Which level of sums answers: all of what is asked for, nothing twice, exactly
 * where there is something exact, and in few pieces.
 */

#include "../../stats-daemon/store/sqlite/levels.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>


#define DAY   1440
#define MARK  (400 * DAY + 13 * 60 + 20)

/* minutes of 2 days, tens of 14, hours of 100 */

static const struct level_bounds  bounds = {
    { MARK - 2 * DAY, MARK - 14 * DAY, 300 * DAY + 60, 0 }, MARK
};


static uint32_t
dice(uint32_t n)
{
    static uint32_t  x = 2463534242u;

    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return x % n;
}


static int64_t
unit_of(const struct level_part *p)
{
    return level_unit(p->level);
}


/* Can a bound be told exactly?  By a level that has all of the next coarser
 * unit around it, or by days. */

static int
is_exact(int64_t minute)
{
    int      level;
    int64_t  unit;

    for (level = LEVEL_MINUTE; level < LEVEL_DAY; level++) {
        unit = level_unit(level + 1);

        if (minute % level_unit(level) == 0
            && minute - minute % unit >= bounds.since[level])
        {
            return 1;
        }
    }

    return minute % DAY == 0;
}


static void
check(int64_t from, int64_t to, int64_t step)
{
    int                n, i;
    int64_t            at;
    struct level_part  p[LEVEL_PARTS];

    n = level_plan(&bounds, from, to, step, p);
    assert_in_range(n, 1, LEVEL_PARTS - 1);

    /* without gaps, from a unit that has the begin to one that has the end */

    assert_true(p[0].from <= from);
    assert_true(p[0].from > from - unit_of(&p[0]));
    assert_true(p[n - 1].to >= to);

    if (is_exact(from) && (step == 0 || from >= bounds.since[0])) {
        assert_int_equal(p[0].from, from);
    }

    if (is_exact(to) && to < MARK && (step == 0 || to >= bounds.since[0])) {
        assert_int_equal(p[n - 1].to, to);
    }

    for (i = 0; i < n; i++) {
        assert_true(p[i].from < p[i].to);
        assert_int_equal(p[i].from % unit_of(&p[i]), 0);
        assert_true(p[i].from >= bounds.since[p[i].level]
                    || p[i].level == LEVEL_DAY);

        if (i > 0) {

            /* the mark lies in a unit which has what was before it */

            at = p[i - 1].to < MARK ? p[i - 1].to : MARK;
            assert_int_equal(p[i].from, at);
        }

        if (p[i].level != LEVEL_MINUTE) {
            assert_true(p[i].from < MARK);
            assert_true(p[i].to < MARK + unit_of(&p[i]));

            /* a unit lies in one step, where there is something finer */

            if (step && p[i].from >= bounds.since[p[i].level - 1]) {
                assert_int_equal(step % unit_of(&p[i]), 0);
            }
        }
    }
}


static void
test_at_random(void **state)
{
    int                   i;
    int64_t               from, to;
    static const int64_t  steps[] = { 0, 0, 1, 2, 5, 10, 20, 30, 60, 120, 1440 };

    (void) state;

    for (i = 0; i < 200000; i++) {
        from = dice(2) ? dice(402 * DAY) : MARK - dice(3 * DAY);
        to = from + 1 + dice(dice(3) ? 3 * DAY : 300);

        if (dice(3) == 0) {
            from -= from % 60;
        }

        check(from, to, steps[dice(sizeof(steps) / sizeof(steps[0]))]);
    }
}


/* An old time is answered by the coarsest there is, not in single minutes. */

static void
test_coarse(void **state)
{
    int                n;
    struct level_part  p[LEVEL_PARTS];

    (void) state;

    n = level_plan(&bounds, 0, 1 << 30, 0, p);
    assert_int_equal(n, 2);
    assert_int_equal(p[0].level, LEVEL_DAY);
    assert_int_equal(p[0].to, 401 * DAY);
    assert_int_equal(p[1].level, LEVEL_MINUTE);
    assert_int_equal(p[1].from, MARK);

    /* a day and a bit of both its neighbours */

    n = level_plan(&bounds, 399 * DAY - 65, 400 * DAY + 65, 0, p);
    assert_int_equal(n, 5);
    assert_int_equal(p[0].level, LEVEL_MINUTE);
    assert_int_equal(p[1].level, LEVEL_HOUR);
    assert_int_equal(p[2].level, LEVEL_DAY);
    assert_int_equal(p[3].level, LEVEL_HOUR);
    assert_int_equal(p[4].level, LEVEL_MINUTE);
}


/* A ledger that has rolled nothing up yet. */

static void
test_new(void **state)
{
    int                        n;
    struct level_part          p[LEVEL_PARTS];
    static struct level_bounds  none;

    (void) state;

    n = level_plan(&none, 0, 1000, 60, p);
    assert_int_equal(n, 1);
    assert_int_equal(p[0].level, LEVEL_MINUTE);
    assert_int_equal(level_plan(&none, 1000, 1000, 0, p), 0);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_at_random),
        cmocka_unit_test(test_coarse),
        cmocka_unit_test(test_new),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
