
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "window.h"


#define NOW  1760000000             /* 20 s into a minute */
#define MINUTES(n)  ((n) * 60)


static void
test_add(void **state)
{
    ollama_window_t  w;

    (void) state;

    memset(&w, 0, sizeof(w));

    assert_int_equal(ollama_window_sum(&w, NOW), 0);

    ollama_window_add(&w, NOW, 5);
    ollama_window_add(&w, NOW + 1, 7);
    ollama_window_add(&w, NOW + MINUTES(3), 100);

    assert_int_equal(ollama_window_sum(&w, NOW + MINUTES(3)), 112);
}


static void
test_expiry(void **state)
{
    ollama_window_t  w;

    (void) state;

    memset(&w, 0, sizeof(w));

    ollama_window_add(&w, NOW, 5);
    ollama_window_add(&w, NOW + MINUTES(60), 7);

    /* the running minute and 119 before it */

    assert_int_equal(ollama_window_sum(&w, NOW + MINUTES(119)), 12);
    assert_int_equal(ollama_window_sum(&w, NOW + MINUTES(119) + 39), 12);
    assert_int_equal(ollama_window_expire(&w, NOW + MINUTES(119) + 40), 5);
    assert_int_equal(ollama_window_expire(&w, NOW + MINUTES(119) + 40), 0);
    assert_int_equal(ollama_window_sum(&w, NOW + MINUTES(179)), 7);
    assert_int_equal(ollama_window_expire(&w, NOW + MINUTES(180)), 7);
    assert_int_equal(ollama_window_sum(&w, NOW + MINUTES(180)), 0);
}


static void
test_long_silence(void **state)
{
    ollama_window_t  w;

    (void) state;

    memset(&w, 0, sizeof(w));

    ollama_window_add(&w, NOW, 5);
    ollama_window_add(&w, NOW + MINUTES(119), 6);

    assert_int_equal(ollama_window_expire(&w, NOW + MINUTES(100000)), 11);

    ollama_window_add(&w, NOW + MINUTES(100000), 3);

    assert_int_equal(ollama_window_sum(&w, NOW + MINUTES(100119)), 3);
    assert_int_equal(ollama_window_sum(&w, NOW + MINUTES(100120)), 0);
}


static void
test_clock_back(void **state)
{
    ollama_window_t  w;

    (void) state;

    memset(&w, 0, sizeof(w));

    ollama_window_add(&w, NOW, 5);

    /* a little: counted into the newest minute */

    ollama_window_add(&w, NOW - MINUTES(30), 6);
    assert_int_equal(ollama_window_sum(&w, NOW - MINUTES(119)), 11);
    assert_int_equal(ollama_window_sum(&w, NOW + MINUTES(119)), 11);
    assert_int_equal(ollama_window_sum(&w, NOW + MINUTES(120)), 0);

    /* by days: the window goes along, and ages from there */

    ollama_window_add(&w, NOW + MINUTES(120), 8);
    assert_int_equal(ollama_window_sum(&w, NOW - MINUTES(5000)), 8);
    assert_int_equal(ollama_window_sum(&w, NOW - MINUTES(4881)), 8);
    assert_int_equal(ollama_window_sum(&w, NOW - MINUTES(4880)), 0);

    /* before 1970, and after the end of days */

    ollama_window_add(&w, -5, 2);
    assert_int_equal(ollama_window_sum(&w, 0), 2);
    ollama_window_add(&w, INT64_MAX, 4);
    assert_int_equal(ollama_window_sum(&w, INT64_MAX), 4);
}


static void
test_large(void **state)
{
    int              i;
    ollama_window_t  w;

    (void) state;

    memset(&w, 0, sizeof(w));

    for (i = 0; i < OLLAMA_WINDOW_MINUTES; i++) {
        ollama_window_add(&w, NOW + MINUTES(i), 3000000000u);
        ollama_window_add(&w, NOW + MINUTES(i), 1000000000u);
    }

    assert_true(ollama_window_sum(&w, NOW + MINUTES(119)) == 480000000000ull);

    /* more than a bucket holds: it stays full, and is dropped as it was */

    memset(&w, 0, sizeof(w));

    ollama_window_add(&w, NOW, UINT64_MAX);
    ollama_window_add(&w, NOW, UINT64_MAX);
    ollama_window_add(&w, NOW, 1);

    assert_true(ollama_window_sum(&w, NOW) == UINT32_MAX);
    assert_true(ollama_window_expire(&w, NOW + MINUTES(120)) == UINT32_MAX);
    assert_true(ollama_window_sum(&w, NOW + MINUTES(120)) == 0);

    assert_true(sizeof(ollama_window_t) <= 512);
}


static void
test_add_minute(void **state)
{
    ollama_window_t  w;

    (void) state;

    memset(&w, 0, sizeof(w));

    ollama_window_add(&w, NOW, 10);

    assert_int_equal(ollama_window_add_minute(&w, NOW, NOW - MINUTES(5), 7), 7);
    assert_int_equal(ollama_window_add_minute(&w, NOW, NOW - MINUTES(5), 2), 2);

    /* a minute that is counted here as well */

    assert_int_equal(ollama_window_add_minute(&w, NOW, NOW - 20, 2), 2);
    assert_int_equal(ollama_window_sum(&w, NOW), 21);

    /* outside */

    assert_int_equal(ollama_window_add_minute(&w, NOW, NOW + 40, 9), 0);
    assert_int_equal(ollama_window_add_minute(&w, NOW, NOW - MINUTES(120), 9),
                     0);
    assert_int_equal(ollama_window_add_minute(&w, NOW, NOW - MINUTES(119), 9),
                     9);
    assert_int_equal(ollama_window_sum(&w, NOW), 30);

    /* each goes when its minute goes */

    assert_int_equal(ollama_window_expire(&w, NOW + MINUTES(1)), 9);
    assert_int_equal(ollama_window_expire(&w, NOW + MINUTES(114)), 0);
    assert_int_equal(ollama_window_expire(&w, NOW + MINUTES(115)), 9);
    assert_int_equal(ollama_window_expire(&w, NOW + MINUTES(120)), 12);

    /* more than a bucket holds */

    assert_true(ollama_window_add_minute(&w, NOW, NOW, UINT64_MAX) <= UINT32_MAX);
    assert_true(ollama_window_add_minute(&w, NOW, NOW, UINT64_MAX) == 0);
}


static void
test_costs(void **state)
{
    ollama_costs_t  c;

    (void) state;

    memset(&c, 0, sizeof(c));

    /* more dollars in a minute than 32 bits of nano-dollars hold */

    ollama_costs_add(&c, NOW, 60000000000ull);
    ollama_costs_add(&c, NOW + 1, 60000000001ull);

    assert_true(ollama_costs_sum(&c, NOW + 2) == 120000000001ull);
    assert_int_equal(ollama_costs_add_minute(&c, NOW, NOW - MINUTES(5), 7), 7);
    assert_int_equal(ollama_costs_add_minute(&c, NOW, NOW - MINUTES(120), 7),
                     0);
    assert_int_equal(ollama_costs_add_minute(&c, NOW, NOW + MINUTES(1), 7), 0);

    assert_int_equal(ollama_costs_expire(&c, NOW + MINUTES(114)), 0);
    assert_int_equal(ollama_costs_expire(&c, NOW + MINUTES(115)), 7);
    assert_true(ollama_costs_sum(&c, NOW + MINUTES(119)) == 120000000001ull);
    assert_int_equal(ollama_costs_sum(&c, NOW + MINUTES(120)), 0);

    /* the clock goes back by days: the window goes along */

    ollama_costs_add(&c, NOW + MINUTES(120), 8);
    assert_int_equal(ollama_costs_sum(&c, NOW - MINUTES(5000)), 8);
    assert_int_equal(ollama_costs_sum(&c, NOW - MINUTES(4880)), 0);

    assert_true(sizeof(ollama_costs_t) <= 1024);
}


/* against the plainest way to count: a number for each minute there is */

static void
test_model(void **state)
{
    enum { SPAN = 3000 };

    int              i, m, minute, newest;
    uint32_t         rnd;
    uint64_t         sum, dropped, added;
    static uint64_t  model[SPAN];
    ollama_window_t  w;

    (void) state;

    memset(&w, 0, sizeof(w));
    memset(model, 0, sizeof(model));

    rnd = 12345;
    minute = 200;
    newest = 200;
    dropped = 0;
    added = 0;

    for (i = 0; i < 20000; i++) {
        rnd = rnd * 1664525 + 1013904223;

        switch ((rnd >> 16) % 40) {
        case 0:
            minute += 1 + (rnd >> 24);
            break;
        case 1:
            minute -= (rnd >> 24) % 10;
            break;
        case 2:
        case 3:
        case 4:
            minute++;
            break;
        }

        if (minute >= SPAN) {
            break;
        }

        newest = (minute > newest) ? minute : newest;

        dropped += ollama_window_expire(&w, MINUTES((int64_t) minute));
        ollama_window_add(&w, MINUTES((int64_t) minute), rnd >> 20);
        model[newest] += rnd >> 20;
        added += rnd >> 20;

        sum = 0;

        for (m = newest; m > newest - OLLAMA_WINDOW_MINUTES; m--) {
            sum += model[m];
        }

        assert_true(ollama_window_sum(&w, MINUTES((int64_t) minute)) == sum);
        assert_true(added == sum + dropped);
    }

    assert_true(newest > 1000);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_add),
        cmocka_unit_test(test_expiry),
        cmocka_unit_test(test_long_silence),
        cmocka_unit_test(test_clock_back),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_add_minute),
        cmocka_unit_test(test_costs),
        cmocka_unit_test(test_model)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
