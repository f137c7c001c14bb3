/*
 * The daemon's list of keys: whose figures are shown.
 */

#include "../../stats-daemon/wire/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
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


static void
test_shown(void **unused)
{
    struct state_key    *k;
    struct state_proxy  *p = proxy(1);

    (void) unused;

    k = state_key(&s, 10);
    assert_non_null(k);
    k->teller = p->instance;
    k->index = 0;
    strcpy(k->name, "key_10");
    assert_false(state_key_shown(&s, k, NOW));

    k->seen = NOW;
    assert_true(state_key_shown(&s, k, NOW));

    /* idle for an hour, which the proxy was not */

    p->seen = NOW + 3600000;
    assert_true(state_key_shown(&s, k, NOW + 3600000));
    assert_false(state_key_shown(&s, k, NOW + 3600000 + STATE_SHOWN_MS + 1));

    /* removed */

    k->index = -1;
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
        cmocka_unit_test_setup_teardown(test_shown, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
