/* Buckets, what is packed of them, and how a window is put together of rows. */

#include "../../stats-daemon/base/spread.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_buckets(void **state) {
    (void)state;
    for (uint32_t v = 0; v < 200000; v++) {
        unsigned b = bucket_of(v);

        assert_true(bucket_low(b) <= v);
        assert_true(v - bucket_low(b) < bucket_width(b));
        assert_true(v < 16 ? bucket_width(b) == 1
                           : bucket_width(b) * 8 <= bucket_low(b));
    }
    for (unsigned b = 1; b < BUCKETS; b++)
        assert_int_equal(bucket_low(b),
                         bucket_low(b - 1) + bucket_width(b - 1));
    assert_int_equal(bucket_of(UINT32_MAX), BUCKETS - 1);
    assert_int_equal(bucket_low(BUCKETS - 1) + (bucket_width(BUCKETS - 1) - 1),
                     UINT32_MAX);
}

static int by_value(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* The error is less than an eighth, whatever was counted. */
static void test_quantiles(void **state) {
    static const double parts[] = {0.01, 0.1, 0.5, 0.9, 0.99, 1};
    uint32_t list[1000];

    (void)state;
    srand(7);
    for (int turn = 0; turn < 300; turn++) {
        uint64_t n[BUCKETS] = {0};
        int count = 1 + rand() % 1000, bits = 1 + rand() % 31;

        for (int i = 0; i < count; i++) {
            list[i] = (uint32_t)rand() & ((UINT32_C(1) << bits) - 1);
            n[bucket_of(list[i])]++;
        }
        qsort(list, (size_t)count, sizeof(*list), by_value);
        for (size_t p = 0; p < sizeof(parts) / sizeof(*parts); p++) {
            int rank = (int)(parts[p] * count + 0.999999);
            double truth = list[rank ? rank - 1 : 0];
            double told = bucket_quantile(n, parts[p]);

            assert_true(told <= truth * 1.125 && told >= truth * 0.875);
            if (truth < 16) assert_true(told == truth);
        }
    }
    uint64_t none[BUCKETS] = {0};
    assert_true(bucket_quantile(none, 0.5) == -1);
}

static void fill(struct spread *s, int many) {
    memset(s, 0, sizeof(*s));
    for (int i = 0; i < many; i++)
        s->n[rand() % SPREAD_PLACES] +=
            rand() % 3 ? 1 : (uint64_t)rand() << rand() % 20;
}

static void test_packed(void **state) {
    static unsigned char a[SPREAD_PACKED], b[SPREAD_PACKED],
        both[2 * SPREAD_PACKED];
    static struct spread x, y, z, got;

    (void)state;
    srand(11);
    for (int turn = 0; turn < 500; turn++) {
        fill(&x, rand() % (turn % 10 ? 40 : 2000));
        fill(&y, rand() % (turn % 7 ? 40 : 2000));
        size_t alen = spread_pack(&x, a), blen = spread_pack(&y, b);
        size_t len = spread_sum(both, a, alen, b, blen);

        assert_true(len <= alen + blen);
        memset(&got, 0, sizeof(got));
        spread_add(&got, a, alen);
        assert_memory_equal(&got, &x, sizeof(x));
        for (int i = 0; i < SPREAD_PLACES; i++) z.n[i] = x.n[i] + y.n[i];
        memset(&got, 0, sizeof(got));
        spread_add(&got, both, len);
        assert_memory_equal(&got, &z, sizeof(z));
        /* .. and as it is packed at once */
        assert_int_equal(spread_pack(&z, a), len);
        assert_memory_equal(a, both, len);
    }
}

/* A full one fits; counts do not overflow. */
static void test_bounds(void **state) {
    static unsigned char a[SPREAD_PACKED], both[2 * SPREAD_PACKED];
    static struct spread x;

    (void)state;
    for (int i = 0; i < SPREAD_PLACES; i++) x.n[i] = INT64_MAX;
    size_t len = spread_pack(&x, a);
    assert_true(len <= SPREAD_PACKED);
    assert_int_equal(spread_sum(both, a, len, a, len), len);
    assert_memory_equal(a, both, len);
    memset(&x, 0, sizeof(x));
    spread_add(&x, both, len);
    spread_add(&x, both, len);
    assert_true(x.n[SPREAD_PLACES - 1] == INT64_MAX);
    assert_true(spread_count(&x, SPREAD_FIRST) == INT64_MAX);
    assert_int_equal(spread_pack(&(struct spread){{0}}, a), 0);
    assert_int_equal(spread_sum(both, NULL, 0, NULL, 0), 0);
}

/* Anything may lie in a damaged ledger. */
static void test_garbage(void **state) {
    unsigned char a[64], b[64], both[128];
    struct spread x;

    (void)state;
    srand(13);
    for (int turn = 0; turn < 100000; turn++) {
        size_t alen = (size_t)rand() % 64, blen = (size_t)rand() % 64;

        for (size_t i = 0; i < 64; i++) {
            a[i] = (unsigned char)(rand() >> (turn % 3 * 4) & 255);
            b[i] = (unsigned char)(rand() & 255);
        }
        memset(&x, 0, sizeof(x));
        spread_add(&x, a, alen);
        assert_true(spread_sum(both, a, alen, b, blen) <= alen + blen);
        for (int i = 0; i < SPREAD_PLACES; i++)
            assert_true(x.n[i] <= INT64_MAX);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buckets), cmocka_unit_test(test_quantiles),
        cmocka_unit_test(test_packed),  cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_garbage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
