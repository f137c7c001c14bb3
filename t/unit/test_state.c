/*
 * The daemon's list of keys: who is configured, by which proxy, and whose
 * figures are shown.
 */

#include "../../stats-daemon/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>


#define NOW  INT64_C(1795694400000)


static struct state  s;


static int
setup(void **unused)
{
    (void) unused;

    state_init(&s);
    return 0;
}


static int
teardown(void **unused)
{
    (void) unused;

    state_free(&s);
    return 0;
}


static struct state_proxy *
proxy(uint64_t instance)
{
    struct state_proxy  *p;

    p = state_proxy(&s, instance);
    assert_non_null(p);
    p->connections = 1;
    p->seen = NOW;
    return p;
}


/* a round of keys, up to a 0 */

static void
tell(struct state_proxy *p, const uint32_t *keys)
{
    int               i;
    struct state_key  *k;

    for (i = 0; keys[i]; i++) {
        k = state_key(&s, keys[i]);
        assert_non_null(k);
        state_told(p, k);
        k->index = i;
        snprintf(k->name, sizeof(k->name), "key_%u", keys[i]);
    }

    state_round(&s, p);
}


#define TELL(p, ...)  tell(p, (const uint32_t[]) { __VA_ARGS__, 0 })


static int
listed(uint32_t key)
{
    const struct state_key  *k = state_find_key(&s, key);

    return k && state_key_listed(k);
}


static void
test_rounds(void **unused)
{
    struct state_proxy  *p = proxy(1);

    (void) unused;

    TELL(p, 10, 11, 12);
    assert_true(listed(10) && listed(11) && listed(12));

    TELL(p, 12, 10);
    assert_true(listed(10) && !listed(11) && listed(12));

    TELL(p, 11);
    assert_true(!listed(10) && listed(11) && !listed(12));

    tell(p, (const uint32_t[]) { 0 });
    assert_false(listed(11));
}


static void
test_two_proxies(void **unused)
{
    struct state_proxy  *p = proxy(1), *q = proxy(2);

    (void) unused;

    TELL(p, 10, 11);
    TELL(q, 20, 21);
    TELL(p, 10);
    assert_true(listed(10) && !listed(11) && listed(20) && listed(21));

    /* a key of both belongs to the one that told it last */

    TELL(q, 10, 20);
    TELL(p, 10);
    TELL(q, 20);
    assert_true(listed(10) && listed(20) && !listed(21));
}


/* another life of a proxy has another number */

static void
test_restart(void **unused)
{
    struct state_proxy  *p = proxy(1), *q;

    (void) unused;

    TELL(p, 10, 11);
    p->connections = 0;

    q = proxy(2);
    TELL(q, 10);
    assert_true(listed(10) && !listed(11));
}


/* keys of the ledger, of which no proxy has said anything yet */

static void
test_start(void **unused)
{
    struct state_key  *k;

    (void) unused;

    k = state_key(&s, 10);
    k->index = 0;
    strcpy(k->name, "old");
    assert_true(listed(10));

    TELL(proxy(1), 11);
    assert_true(!listed(10) && listed(11));
}


static void
test_shown(void **unused)
{
    struct state_key    *k;
    struct state_proxy  *p = proxy(1);

    (void) unused;

    TELL(p, 10);
    k = state_key(&s, 10);
    assert_false(state_key_shown(&s, k, NOW));

    k->seen = NOW;
    assert_true(state_key_shown(&s, k, NOW));

    /* idle for an hour, which the proxy was not */

    p->seen = NOW + 3600000;
    assert_true(state_key_shown(&s, k, NOW + 3600000));
    assert_false(state_key_shown(&s, k, NOW + 3600000 + STATE_SHOWN_MS + 1));

    /* removed */

    tell(p, (const uint32_t[]) { 0 });
    assert_false(state_key_shown(&s, k, NOW));

    /* figures of a key that nobody has told */

    k = state_key(&s, 11);
    k->seen = NOW;
    assert_true(state_key_shown(&s, k, NOW + STATE_SHOWN_MS));
    assert_false(state_key_shown(&s, k, NOW + STATE_SHOWN_MS + 1));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test_setup_teardown(test_rounds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_two_proxies, setup, teardown),
        cmocka_unit_test_setup_teardown(test_restart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_start, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shown, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
