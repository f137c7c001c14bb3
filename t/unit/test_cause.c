/* Why a request failed. */

#include "../../stats-daemon/store/cause.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define QUOTA "you (a) have reached your session usage limit, upgrade"
#define SLOTS "too many concurrent requests"

enum { DONE = OLLAMA_RECORD_DONE, LOCAL = OLLAMA_RECORD_LOCAL };
enum { OK = OLLAMA_ATTEMPT_ANSWERED };

/* tries: status and cause, from the first on, 0, 0 ends them */
struct try { uint16_t status; uint8_t cause; };
static const struct {
    enum cause cause;
    uint8_t end;
    uint16_t status;
    const char *reason;
    struct try tries[4];
} table[] = {
    {CAUSE_NONE, DONE, 200, "", {{200, OK}}},
    {CAUSE_NONE, DONE, 200, "", {{0, 0}}},
    {CAUSE_NONE, LOCAL, 200, "", {{0, 0}}},
    {CAUSE_NONE, DONE, 301, "", {{301, OK}}},
    /* another key answered well */
    {CAUSE_NONE, DONE, 200, QUOTA, {{429, OK}, {200, OK}}},
    {CAUSE_NONE, DONE, 200, "", {{0, OLLAMA_ATTEMPT_CONNECT}, {200, OK}}},

    {CAUSE_QUOTA, DONE, 429, QUOTA, {{429, OK}}},
    {CAUSE_QUOTA, DONE, 429, QUOTA, {{0, 0}}},
    {CAUSE_QUOTA, DONE, 402, "your balance is empty", {{402, OK}}},
    {CAUSE_QUOTA, DONE, 403, "weekly usage limit", {{403, OK}}},
    {CAUSE_QUOTA, DONE, 429, QUOTA, {{503, OK}, {429, OK}}},
    {CAUSE_QUOTA, OLLAMA_RECORD_STREAM_ERROR, 200, QUOTA, {{200, OK}}},
    /* with each key that there is: then the proxy speaks */
    {CAUSE_QUOTA, LOCAL, 429,
     "no key can serve this request: session usage limit reached; try again"
     " in 3 h", {{429, OK}, {429, OK}}},

    {CAUSE_SLOTS, DONE, 429, SLOTS, {{429, OK}}},
    {CAUSE_SLOTS, DONE, 429, "timed out waiting for a concurrent request slot",
     {{0, 0}}},
    {CAUSE_SLOTS, OLLAMA_RECORD_STREAM_ERROR, 200, SLOTS, {{200, OK}}},
    {CAUSE_SLOTS, LOCAL, 429,
     "no key can serve this request: all slots are taken; try again in 1 s",
     {{429, OK}}},

    {CAUSE_4XX, DONE, 404, "model 'x' not found", {{404, OK}}},
    {CAUSE_4XX, DONE, 404, "model 'x' not found", {{0, 0}}},
    {CAUSE_4XX, DONE, 429, "too many requests", {{429, OK}}},
    {CAUSE_4XX, DONE, 402, "this model requires a subscription", {{402, OK}}},
    {CAUSE_4XX, DONE, 403, "your plan has no usage limit for this model",
     {{403, OK}}},
    {CAUSE_4XX, LOCAL, 401, "unauthorized", {{401, OK}, {401, OK}}},
    {CAUSE_4XX, DONE, 400, QUOTA, {{400, OK}}},

    {CAUSE_5XX, DONE, 503, "", {{503, OK}}},
    {CAUSE_5XX, DONE, 500, "", {{0, 0}}},
    {CAUSE_5XX, DONE, 502, SLOTS, {{0, OLLAMA_ATTEMPT_CLOSED}, {502, OK}}},
    {CAUSE_5XX, LOCAL, 503, "no key can serve this request: x", {{500, OK}}},
    {CAUSE_5XX, OLLAMA_RECORD_UPSTREAM_GONE, 500, "", {{500, OK}}},

    {CAUSE_NETWORK, DONE, 502, "", {{0, OLLAMA_ATTEMPT_CONNECT}}},
    {CAUSE_NETWORK, DONE, 504, "", {{0, OLLAMA_ATTEMPT_TIMEOUT}}},
    {CAUSE_NETWORK, DONE, 502, "", {{503, OK}, {0, OLLAMA_ATTEMPT_CLOSED}}},
    {CAUSE_NETWORK, DONE, 502, "", {{0, OLLAMA_ATTEMPT_STALE}}},
    {CAUSE_NETWORK, LOCAL, 503, "", {{0, OLLAMA_ATTEMPT_ABANDONED}}},
    {CAUSE_NETWORK, OLLAMA_RECORD_UPSTREAM_GONE, 502, "",
     {{0, OLLAMA_ATTEMPT_CLOSED}}},
    {CAUSE_NETWORK, OLLAMA_RECORD_UPSTREAM_GONE, 502, "", {{0, 0}}},
    {CAUSE_NETWORK, OLLAMA_RECORD_UPSTREAM_GONE, 0, "", {{0, 0}}},

    {CAUSE_CUT_OFF, OLLAMA_RECORD_UPSTREAM_GONE, 200, "", {{200, OK}}},
    {CAUSE_CUT_OFF, OLLAMA_RECORD_STREAM_ERROR, 200, "an error", {{200, OK}}},
    {CAUSE_CUT_OFF, OLLAMA_RECORD_PROXY_STOPPED, 200, "", {{200, OK}}},
    {CAUSE_CUT_OFF, OLLAMA_RECORD_WORKER_GONE, 0, "",
     {{0, OLLAMA_ATTEMPT_ABORTED}}},
    {CAUSE_CUT_OFF, OLLAMA_RECORD_PROXY_STOPPED, 503, "",
     {{0, OLLAMA_ATTEMPT_ABORTED}}},

    {CAUSE_GONE, OLLAMA_RECORD_CLIENT_GONE, 499, "", {{0, 0}}},
    {CAUSE_GONE, OLLAMA_RECORD_CLIENT_GONE, 200, "", {{200, OK}}},
    {CAUSE_GONE, OLLAMA_RECORD_CLIENT_GONE, 429, QUOTA, {{429, OK}}},

    {CAUSE_REFUSED, LOCAL, 401, "unauthorized", {{0, 0}}},
    {CAUSE_REFUSED, LOCAL, 403, "", {{0, 0}}},
    {CAUSE_REFUSED, LOCAL, 404, "", {{0, 0}}},
    {CAUSE_REFUSED, LOCAL, 503, "no key is enabled", {{0, 0}}},
    {CAUSE_REFUSED, LOCAL, 429, "session usage limit reached", {{0, 0}}},
    {CAUSE_REFUSED, LOCAL, 429, SLOTS, {{0, 0}}},
    {CAUSE_REFUSED, DONE, 413, "", {{0, 0}}},
};

static ollama_text_t text(const char *s) {
    return (ollama_text_t){(const unsigned char *)s, strlen(s)};
}

static ollama_record_request_t record_of(size_t n) {
    ollama_record_request_t q = {0};

    q.end = table[n].end;
    q.status = table[n].status;
    q.reason = text(table[n].reason);
    for (int t = 0; t < 4 && (table[n].tries[t].status ||
                              table[n].tries[t].cause); t++) {
        q.attempts[t].status = table[n].tries[t].status;
        q.attempts[t].cause = table[n].tries[t].cause;
        q.nattempts++;
    }
    return q;
}

static void test_causes(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        ollama_record_request_t q = record_of(i);
        enum cause got = cause_of(&q);

        if (got != table[i].cause)
            fail_msg("line %zu (status %u, %s): %s, not %s", i, q.status,
                     table[i].reason, cause_names[got],
                     cause_names[table[i].cause]);
    }
}

/* Whatever a record says: as many as the sums count as errors. */
static void test_errors(void **state) {
    static const uint16_t statuses[] = {0, 200, 301, 400, 429, 499, 500, 599};

    (void)state;
    for (int end = 0; end < 12; end++)
        for (size_t i = 0; i < sizeof(statuses) / sizeof(*statuses); i++)
            for (int cause = -1; cause < 8; cause++) {
                ollama_record_request_t q = {0};

                q.end = (uint8_t)end;
                q.status = statuses[i];
                q.nattempts = cause >= 0;
                q.attempts[0].cause = (uint8_t)cause;
                int error = end != OLLAMA_RECORD_CLIENT_GONE &&
                            (q.status >= 400 || cause_is_broken(&q));
                assert_int_equal(cause_is_error(cause_of(&q)), error);
            }
}

static void test_refused(void **state) {
    ollama_record_request_t q = {.end = LOCAL, .status = 200};

    (void)state;
    assert_true(cause_is_refused(&q));
    q.end = DONE;
    assert_false(cause_is_refused(&q));
    q.status = 413;
    assert_true(cause_is_refused(&q));
    q.nattempts = 1;
    assert_false(cause_is_refused(&q));
    q.nattempts = 0;
    q.attempts_all = 3;
    assert_false(cause_is_refused(&q));
    assert_int_equal(cause_of(&q), CAUSE_4XX);
    q.attempts_all = 0;
    q.end = OLLAMA_RECORD_CLIENT_GONE;
    q.status = 0;
    assert_true(cause_is_refused(&q));
}

static void test_windows(void **state) {
    int64_t time = 1795761904123; /* Friday, 2026-11-27 06:45:04 */
    static const struct {
        const char *reason;
        int64_t since;
    } list[] = {
        {"", 1795754704000},
        {"too many concurrent requests", 1795754704000},
        {"usage limit reached", 1795754704000},
        {"Session Usage Limit reached", 1795752000000},
        {QUOTA, 1795752000000},
        {"hourly usage limit reached", 1795759200000},
        {"weekly usage limit reached", 1795392000000},
        {"monthly usage limit reached", 1795761904000 - 31 * 86400000LL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++) {
        ollama_text_t t = text(list[i].reason);
        assert_int_equal(cause_window(&t, time), list[i].since);
    }
    ollama_text_t t = text("weekly usage limit");
    assert_int_equal(cause_window(&t, 1000), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_causes),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_windows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
