
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "verdict.h"


#define COUNT(a)  (sizeof(a) / sizeof((a)[0]))

#define NOW   1763822000            /* Saturday 2025-11-22 14:33:20 UTC */
#define HOUR  3600
#define DAY   86400


static const char  session[] =
    "{\"error\":\"you (alice) have reached your session usage limit, upgrade "
    "for higher limits: https://ollama.com/upgrade or add usage credits: "
    "https://ollama.com/settings (ref: 3f0c0c52-1f0f-4d2a-9a53-0d4d1c1c9a11)"
    "\"}";

static const char  concurrent[] =
    "{\"error\":\"too many concurrent requests\"}\n";


static ollama_answer_t
answer(unsigned status, const char *body)
{
    ollama_answer_t  a;

    memset(&a, 0, sizeof(a));

    a.status = status;
    a.body = (const unsigned char *) body;
    a.body_len = strlen(body);
    a.retry_after = -1;
    a.max_concurrent = -1;
    a.now = NOW;
    a.judges = 1;
    a.has_model = 1;

    return a;
}


static ollama_verdict_t
verdict(const ollama_answer_t *a)
{
    unsigned char     *body;
    ollama_answer_t    copy;
    ollama_verdict_t   v;

    /* an exact copy, so that a sanitizer sees a byte too much */

    body = malloc(a->body_len ? a->body_len : 1);
    memcpy(body, a->body, a->body_len);

    copy = *a;
    copy.body = body;

    memset(&v, 0x55, sizeof(v));
    ollama_verdict(&copy, &v);

    free(body);

    return v;
}


static ollama_verdict_t
judge(unsigned status, const char *body)
{
    ollama_answer_t  a;

    a = answer(status, body);

    return verdict(&a);
}


static void
assert_quota(const ollama_verdict_t *v, int64_t until, const char *reason)
{
    assert_int_equal(v->key, OLLAMA_KEY_EXHAUSTED);
    assert_int_equal(v->scope, OLLAMA_SCOPE_ACCOUNT);
    assert_int_equal(v->request, OLLAMA_REQUEST_NEXT_KEY);
    assert_int_equal(v->until, until);
    assert_string_equal(v->reason, reason);
    assert_int_equal(v->slots, 0);
    assert_false(v->proves);
}


static void
assert_none(const ollama_verdict_t *v, ollama_request_effect_e request)
{
    assert_int_equal(v->key, OLLAMA_KEY_NONE);
    assert_int_equal(v->request, request);
    assert_int_equal(v->until, 0);
    assert_int_equal(v->level, 0);
    assert_int_equal(v->slots, 0);
    assert_false(v->proves);
}


/* none from one answer, one other key, then the error as it came */

static void
assert_other_once(ollama_answer_t a)
{
    ollama_verdict_t  v;

    v = verdict(&a);
    assert_none(&v, OLLAMA_REQUEST_OTHER_KEY_ONCE);
    assert_true(v.reason[0] != '\0');

    a.other_failed = 1;

    v = verdict(&a);
    assert_none(&v, OLLAMA_REQUEST_RETURN);
}


static void
test_429_session(void **state)
{
    ollama_answer_t   a;
    ollama_verdict_t  v;

    (void) state;

    v = judge(429, session);
    assert_quota(&v, 1763838000, "session usage limit reached");
    assert_int_equal(v.until % 18000, 0);
    assert_in_range(v.until - NOW, 1, 18000);
    assert_int_equal(v.level, 0);

    /* the OpenAI shape, the Anthropic one, and plain text */

    v = judge(429, "{\"error\":{\"message\":\"you (alice) have reached your "
                   "session usage limit, ..\",\"type\":\"api_error\","
                   "\"param\":null,\"code\":null}}");
    assert_quota(&v, 1763838000, "session usage limit reached");

    v = judge(429, "{\"type\":\"error\",\"error\":{\"type\":"
                   "\"rate_limit_error\",\"message\":\"You have reached your "
                   "SESSION usage limit\"}}");
    assert_quota(&v, 1763838000, "session usage limit reached");

    v = judge(429, "you've reached your session usage limit, please wait");
    assert_quota(&v, 1763838000, "session usage limit reached");

    /* cut */

    a = answer(429, session);
    a.body_len = 65;
    v = verdict(&a);
    assert_quota(&v, 1763838000, "session usage limit reached");

    /* the last second of a window, and its first ones */

    a = answer(429, session);
    a.now = 1763838000 - 1;
    v = verdict(&a);
    assert_int_equal(v.until, 1763838000);

    a.now = 1763838000;
    v = verdict(&a);
    assert_int_equal(v.until, a.now + OLLAMA_WINDOW_RECHECK);

    a.now = 1763838000 + OLLAMA_WINDOW_GRACE;
    v = verdict(&a);
    assert_int_equal(v.until, 1763838000 + 18000);
}


static void
test_429_hourly(void **state)
{
    ollama_verdict_t  v;

    (void) state;

    v = judge(429, "{\"error\":\"you've reached your hourly usage limit, "
                   "please wait or upgrade to continue\"}");
    assert_quota(&v, 1763823600, "hourly usage limit reached");
    assert_int_equal(v.until % HOUR, 0);
}


static void
test_429_weekly(void **state)
{
    ollama_answer_t   a;
    ollama_verdict_t  v;

    (void) state;

    a = answer(429, "{\"error\":\"you (alice) have reached your weekly usage "
                    "limit, upgrade for higher limits\"}");
    v = verdict(&a);
    assert_quota(&v, 1763942400, "weekly usage limit reached");

    /* Monday 2025-11-24 00:00, the second before, and the first moments */

    a.now = 1763942400 - 1;
    v = verdict(&a);
    assert_int_equal(v.until, 1763942400);

    a.now = 1763942400 + 5;
    v = verdict(&a);
    assert_int_equal(v.until, a.now + OLLAMA_WINDOW_RECHECK);

    a.now = 1763942400 + 60;
    v = verdict(&a);
    assert_int_equal(v.until, 1763942400 + 7 * DAY);

    /* before the first Monday there was */

    a.now = 1000;
    v = verdict(&a);
    assert_int_equal(v.until, 4 * DAY);
}


static void
test_429_monthly(void **state)
{
    unsigned          i;
    ollama_answer_t   a;
    ollama_verdict_t  v;

    static const int64_t  ladder[] = {
        900, HOUR, 2 * HOUR, 6 * HOUR, 12 * HOUR, DAY, DAY, DAY
    };

    (void) state;

    a = answer(429, "{\"error\":\"you (alice) have reached your monthly usage "
                    "limit, ... add usage credits\"}");

    for (i = 0; i < COUNT(ladder); i++) {
        v = verdict(&a);
        assert_quota(&v, NOW + ladder[i], "monthly usage limit reached");
        assert_in_range(v.level, 1, 6);

        a.level = v.level;
    }

    a.level = 1000000;
    v = verdict(&a);
    assert_int_equal(v.until, NOW + DAY);

    a.level = 2;
    a.retry_after = 5000;
    v = verdict(&a);
    assert_quota(&v, NOW + 5000, "monthly usage limit reached");
    assert_int_equal(v.level, 2);

    a.retry_after = 0;
    v = verdict(&a);
    assert_int_equal(v.until, NOW + 1);

    /* the period's end, where somebody knows it */

    a.period_end = NOW + 20 * DAY;
    v = verdict(&a);
    assert_quota(&v, NOW + 20 * DAY, "monthly usage limit reached");

    a.period_end = NOW + 400 * DAY;
    v = verdict(&a);
    assert_int_equal(v.until, NOW + 31 * DAY);

    a.period_end = NOW - 5;
    v = verdict(&a);
    assert_int_equal(v.until, NOW + 1);
}


static void
test_429_quota_other(void **state)
{
    ollama_answer_t   a;
    ollama_verdict_t  v;

    (void) state;

    v = judge(429, "{\"error\":\"usage limit reached\"}");
    assert_quota(&v, NOW + 900, "usage limit reached");

    v = judge(429, "{\"error\":\"your yearly usage limit\"}");
    assert_quota(&v, NOW + 900, "usage limit reached");

    a = answer(429, "{\"error\":\"usage limit reached\"}");
    a.period_end = NOW + 20 * DAY;
    v = verdict(&a);
    assert_quota(&v, NOW + 900, "usage limit reached");

    /* a name may be any words, the window stands behind it */

    v = judge(429, "{\"error\":\"you (weekly usage limit) have reached your "
                   "session usage limit\"}");
    assert_quota(&v, 1763838000, "session usage limit reached");

    v = judge(429, "{\"error\":\"you (concurrent) have reached your session "
                   "usage limit\"}");
    assert_quota(&v, 1763838000, "session usage limit reached");

    v = judge(429, "{\"error\":\"you (weekly) have reached your usage "
                   "limit\"}");
    assert_quota(&v, NOW + 900, "usage limit reached");
}


static void
test_429_concurrent(void **state)
{
    ollama_answer_t   a;
    ollama_verdict_t  v;

    (void) state;

    a = answer(429, concurrent);
    a.retry_after = 17;
    a.max_concurrent = 3;
    a.level = 2;
    v = verdict(&a);

    assert_int_equal(v.key, OLLAMA_KEY_SLOTS);
    assert_int_equal(v.scope, OLLAMA_SCOPE_ACCOUNT);
    assert_int_equal(v.request, OLLAMA_REQUEST_NEXT_KEY);
    assert_int_equal(v.until, NOW + 17);
    assert_int_equal(v.slots, 3);
    assert_int_equal(v.level, 2);
    assert_string_equal(v.reason, "too many concurrent requests");

    /* without headers nothing is learned */

    v = judge(429, concurrent);
    assert_int_equal(v.key, OLLAMA_KEY_SLOTS);
    assert_int_equal(v.until, NOW + 10);
    assert_int_equal(v.slots, 0);

    v = judge(429, "{\"error\":\"timed out waiting for a concurrent request "
                   "slot\"}");
    assert_int_equal(v.key, OLLAMA_KEY_SLOTS);
    assert_int_equal(v.request, OLLAMA_REQUEST_NEXT_KEY);

    /* the header alone says it as well; out of bounds */

    a = answer(429, "");
    a.max_concurrent = 1000000;
    a.retry_after = DAY;
    v = verdict(&a);
    assert_int_equal(v.key, OLLAMA_KEY_SLOTS);
    assert_int_equal(v.slots, 1000);
    assert_int_equal(v.until, NOW + 60);

    a.retry_after = 0;
    v = verdict(&a);
    assert_int_equal(v.until, NOW + 1);

    a = answer(429, concurrent);
    a.max_concurrent = 0;
    v = verdict(&a);
    assert_int_equal(v.slots, 0);
}


static void
test_429_other(void **state)
{
    unsigned          i;
    ollama_answer_t   a;
    ollama_verdict_t  v;

    static const int64_t  ladder[] = { 15, 30, 60, 120, 240, 480, 900, 900 };

    (void) state;

    a = answer(429, "{\"error\":\"slow down\"}");

    for (i = 0; i < COUNT(ladder); i++) {
        v = verdict(&a);

        assert_int_equal(v.key, OLLAMA_KEY_PAUSED);
        assert_int_equal(v.scope, OLLAMA_SCOPE_KEY);
        assert_int_equal(v.request, OLLAMA_REQUEST_NEXT_KEY);
        assert_int_equal(v.until, NOW + ladder[i]);
        assert_string_equal(v.reason, "too many requests (429)");
        assert_true(v.soft);

        a.level = v.level;
    }

    a.level = 3;
    a.retry_after = 40;
    v = verdict(&a);
    assert_int_equal(v.until, NOW + 40);
    assert_int_equal(v.level, 3);
    assert_false(v.soft);

    a.retry_after = 0;
    v = verdict(&a);
    assert_int_equal(v.until, NOW + 1);

    a.retry_after = 30 * DAY;
    v = verdict(&a);
    assert_int_equal(v.until, NOW + DAY);

    v = judge(429, "");
    assert_int_equal(v.key, OLLAMA_KEY_PAUSED);

    /* an endpoint with limits of its own, as /api/usage: not the key's fault */

    a = answer(429, "{\"error\":\"slow down\"}");
    a.judges = 0;
    a.retry_after = 60;
    assert_other_once(a);

    a = answer(429, session);
    a.judges = 0;
    v = verdict(&a);
    assert_quota(&v, 1763838000, "session usage limit reached");
}


/* the first of a key that has worked: briefly, and not for sure */

static void
test_401_doubted(void **state)
{
    unsigned          i;
    ollama_answer_t   a;
    ollama_verdict_t  v;

    static const int64_t  ladder[] = { 2, 4, 8, 10, 10 };

    (void) state;

    a = answer(401, "{\"error\":\"unauthorized\"}");
    a.level = 4;
    a.worked = 1;
    a.refused_since = NOW - 30;

    for (i = 0; i < COUNT(ladder); i++) {
        a.refused = i;
        v = verdict(&a);

        assert_int_equal(v.key, OLLAMA_KEY_PAUSED);
        assert_int_equal(v.scope, OLLAMA_SCOPE_KEY);
        assert_int_equal(v.request, OLLAMA_REQUEST_NEXT_KEY);
        assert_int_equal(v.until, NOW + ladder[i]);
        assert_int_equal(v.level, 4);
        assert_true(v.soft);
        assert_true(v.refused);
        assert_false(v.certain);
        assert_non_null(strstr(v.reason, "401"));
    }

    /* another one has worked, but this is the first refusal */

    a.refused = 0;
    a.other_worked = 1;
    v = verdict(&a);
    assert_int_equal(v.key, OLLAMA_KEY_PAUSED);
    assert_int_equal(v.until, NOW + 2);
}


static void
test_401_confirmed(void **state)
{
    ollama_answer_t   a;
    ollama_verdict_t  v;

    (void) state;

    a = answer(401, "{\"error\":\"unauthorized\"}");
    a.worked = 1;
    a.refused = 1;
    a.refused_since = NOW - 3;
    a.other_worked = 1;
    v = verdict(&a);

    assert_int_equal(v.key, OLLAMA_KEY_INVALID);
    assert_int_equal(v.scope, OLLAMA_SCOPE_KEY);
    assert_int_equal(v.request, OLLAMA_REQUEST_NEXT_KEY);
    assert_int_equal(v.until, NOW + HOUR);
    assert_false(v.soft);
    assert_true(v.refused);
    assert_non_null(strstr(v.reason, "401"));

    a.worked = 0;
    v = verdict(&a);
    assert_int_equal(v.until, NOW + HOUR);

    /* the cloud does not serve embeddings, and says 401 to good keys there */

    a.judges = 0;
    assert_other_once(a);
}


static void
test_401_alone(void **state)
{
    ollama_answer_t   a;
    ollama_verdict_t  v;

    (void) state;

    /* never seen working */

    a = answer(401, "{\"error\":\"unauthorized\"}");
    v = verdict(&a);
    assert_int_equal(v.key, OLLAMA_KEY_INVALID);
    assert_int_equal(v.until, NOW + 10);
    assert_true(v.soft);

    a.refused = 1;
    v = verdict(&a);
    assert_int_equal(v.key, OLLAMA_KEY_INVALID);
    assert_int_equal(v.until, NOW + 10);
    assert_false(v.soft);

    /* three times in a minute */

    a.worked = 1;
    a.refused = 2;
    a.refused_since = NOW - 59;
    v = verdict(&a);
    assert_int_equal(v.key, OLLAMA_KEY_PAUSED);

    a.refused_since = NOW - 60;
    v = verdict(&a);
    assert_int_equal(v.key, OLLAMA_KEY_INVALID);
    assert_int_equal(v.until, NOW + 10);
    assert_false(v.soft);

    a.refused = 1;
    v = verdict(&a);
    assert_int_equal(v.key, OLLAMA_KEY_PAUSED);

    /* others fail, but otherwise */

    a.refused = 9;
    a.other_differs = 1;
    v = verdict(&a);
    assert_int_equal(v.key, OLLAMA_KEY_PAUSED);
    assert_int_equal(v.until, NOW + 10);
}


static void
assert_unpaid(ollama_answer_t a)
{
    ollama_verdict_t  v;

    v = verdict(&a);
    assert_quota(&v, NOW + 900, "the account is out of credits");
    assert_true(v.unpaid);
    assert_true(v.certain);
    assert_false(v.soft);
    assert_int_equal(v.level, 1);

    a.level = 1;
    v = verdict(&a);
    assert_int_equal(v.until, NOW + HOUR);

    a.retry_after = 77;
    v = verdict(&a);
    assert_int_equal(v.until, NOW + 77);
    assert_int_equal(v.level, 1);
}


static void
assert_model(ollama_answer_t a)
{
    ollama_verdict_t  v;

    v = verdict(&a);
    assert_int_equal(v.key, OLLAMA_KEY_MODEL_BLOCKED);
    assert_int_equal(v.scope, OLLAMA_SCOPE_KEY_MODEL);
    assert_int_equal(v.request, OLLAMA_REQUEST_NEXT_KEY);
    assert_int_equal(v.until, NOW + 60);
    assert_int_equal(v.level, 0);
    assert_int_equal(v.blocked, 1);
    assert_true(v.soft);
    assert_false(v.certain);
    assert_non_null(strstr(v.reason, a.status == 402 ? "402" : "403"));

    a.blocked = v.blocked;
    v = verdict(&a);
    assert_int_equal(v.until, NOW + HOUR);

    a.blocked = v.blocked;
    v = verdict(&a);
    assert_int_equal(v.until, NOW + HOUR);

    /* no model that could be blocked */

    a.has_model = 0;
    a.blocked = 0;
    assert_other_once(a);
}


static void
test_402_403_plan(void **state)
{
    size_t            i;
    unsigned          status;
    ollama_answer_t   a;
    ollama_verdict_t  v;

    static const char  *const texts[] = {
        "this model requires a subscription",
        "not part of your plan",
        "PLANS differ",
        "no usage left for it",
        "uses credits",
        "please upgrade",
        "this model is not included in your free usage; add credits at "
        "ollama.com/settings",
        "this model uses extra usage only (not included plan usage) and your "
        "extra usage balance is empty"
    };

    char  body[256];

    (void) state;

    for (status = 402; status <= 403; status++) {

        for (i = 0; i < COUNT(texts); i++) {
            snprintf(body, sizeof(body), "{\"error\":\"%s\"}", texts[i]);
            assert_model(answer(status, body));
        }
    }

    /* a 402 is about money, whatever it says */

    assert_model(answer(402, "{\"error\":\"payment required\"}"));

    v = judge(402, "{\"error\":\"payment required\"}");
    assert_true(v.suspect);
    v = judge(402, "{\"error\":\"this model requires a subscription\"}");
    assert_false(v.suspect);

    /* a 403 may be about what was asked */

    assert_other_once(answer(403, "{\"error\":\"forbidden\"}"));
    assert_other_once(answer(403, "{}"));
    assert_other_once(answer(403, "{\"error\":\"against our usage policy\"}"));
    assert_other_once(answer(403, "{\"error\":\"no explanation\"}"));

    /* a quota is one in these clothes, too */

    a = answer(402, session);
    v = verdict(&a);
    assert_quota(&v, 1763838000, "session usage limit reached");
}


static void
test_402_403_unpaid(void **state)
{
    unsigned         status;
    ollama_answer_t  a;

    (void) state;

    for (status = 402; status <= 403; status++) {
        a = answer(status, "{\"error\":\"extra usage balance is empty, add "
                           "extra usage\"}");
        assert_unpaid(a);

        a.has_model = 0;
        assert_unpaid(a);

        assert_unpaid(answer(status, "{\"error\":\"Add credits to go on\"}"));
    }

    assert_unpaid(answer(402, "your balance is empty"));

    /* a second model */

    a = answer(402, "{\"error\":\"payment required\"}");
    a.other_unpaid = 1;
    assert_unpaid(a);

    a = answer(402, "{\"error\":\"this model requires a subscription\"}");
    a.other_unpaid = 1;
    assert_model(a);

    a = answer(403, "{\"error\":\"upgrade\"}");
    a.other_unpaid = 1;
    assert_model(a);

    /* told as a limit */

    assert_unpaid(answer(429, "{\"error\":\"your balance is empty\"}"));
}


/* told inside of a 200 */

static void
test_inside(void **state)
{
    size_t            i;
    ollama_answer_t   a;
    ollama_verdict_t  v;

    static const unsigned  statuses[] = { 0, 200, 429, 500, 503, 400 };
    static const unsigned  unnamed[] = { 0, 200 };

    (void) state;

    for (i = 0; i < COUNT(statuses); i++) {
        a = answer(statuses[i], session);
        a.inside = 1;
        v = verdict(&a);
        assert_quota(&v, 1763838000, "session usage limit reached");

        a = answer(statuses[i], concurrent);
        a.inside = 1;
        v = verdict(&a);
        assert_int_equal(v.key, OLLAMA_KEY_SLOTS);
    }

    for (i = 0; i < COUNT(unnamed); i++) {
        a = answer(unnamed[i], "{\"error\":\"unauthorized\"}");
        a.inside = 1;
        a.worked = 1;
        v = verdict(&a);
        assert_int_equal(v.key, OLLAMA_KEY_PAUSED);
        assert_true(v.refused);

        a = answer(unnamed[i], "{\"error\":\"balance is empty\"}");
        a.inside = 1;
        assert_unpaid(a);

        a = answer(unnamed[i], "{\"error\":\"this model requires a "
                               "subscription\"}");
        a.inside = 1;
        v = verdict(&a);
        assert_int_equal(v.key, OLLAMA_KEY_MODEL_BLOCKED);

        a = answer(unnamed[i], "{\"error\":\"Rate limit exceeded\"}");
        a.inside = 1;
        v = verdict(&a);
        assert_int_equal(v.key, OLLAMA_KEY_PAUSED);
        assert_false(v.refused);

        a = answer(unnamed[i], "{\"error\":\"an error was encountered while "
                               "running the model\"}");
        a.inside = 1;
        assert_other_once(a);

        a = answer(unnamed[i], "{\"error\":\"overloaded, see our plan\"}");
        a.inside = 1;
        assert_other_once(a);
    }

    a = answer(503, "{\"error\":\"unauthorized\"}");
    a.inside = 1;
    assert_other_once(a);

    a = answer(401, "{\"error\":\"?\"}");
    a.inside = 1;
    v = verdict(&a);
    assert_true(v.refused);

    a = answer(404, "{\"error\":\"model 'x' not found\"}");
    a.inside = 1;
    v = verdict(&a);
    assert_none(&v, OLLAMA_REQUEST_RETURN);
}


static void
test_longest(void **state)
{
    (void) state;

    assert_int_equal(ollama_verdict_longest(OLLAMA_KEY_EXHAUSTED,
                                            "session usage limit reached"),
                     5 * HOUR);
    assert_int_equal(ollama_verdict_longest(OLLAMA_KEY_EXHAUSTED,
                                            "hourly usage limit reached"),
                     HOUR);
    assert_int_equal(ollama_verdict_longest(OLLAMA_KEY_EXHAUSTED,
                                            "weekly usage limit reached"),
                     7 * DAY);
    assert_int_equal(ollama_verdict_longest(OLLAMA_KEY_EXHAUSTED,
                                            "monthly usage limit reached"),
                     31 * DAY);
    assert_int_equal(ollama_verdict_longest(OLLAMA_KEY_EXHAUSTED,
                                            "the account is out of credits"),
                     DAY);
    assert_int_equal(ollama_verdict_longest(OLLAMA_KEY_EXHAUSTED, ""), DAY);
    assert_int_equal(ollama_verdict_longest(OLLAMA_KEY_SLOTS, ""), 60);
    assert_int_equal(ollama_verdict_longest(OLLAMA_KEY_PAUSED, ""), DAY);
    assert_int_equal(ollama_verdict_longest(OLLAMA_KEY_INVALID, ""), HOUR);
    assert_int_equal(ollama_verdict_longest(OLLAMA_KEY_MODEL_BLOCKED, ""),
                     HOUR);
    assert_int_equal(ollama_verdict_longest(OLLAMA_KEY_NONE, ""), 31 * DAY);
}


static void
test_5xx(void **state)
{
    size_t            i;
    ollama_answer_t   a;

    static const unsigned  statuses[] = {
        500, 502, 503, 504, 520, 522, 524, 529, 599
    };

    (void) state;

    for (i = 0; i < COUNT(statuses); i++) {
        assert_other_once(answer(statuses[i], "{\"error\":\"Server "
                                 "overloaded, please retry shortly\"}"));
    }

    /* what it says does not matter: no key has earned a 503 */

    a = answer(503, session);
    a.retry_after = 600;
    a.max_concurrent = 1;
    assert_other_once(a);
}


static void
test_html(void **state)
{
    size_t            i;
    ollama_answer_t   a;
    ollama_verdict_t  v;

    static const unsigned  instead[] = { 401, 402, 403, 429, 502 };
    static const unsigned  returned[] = { 400, 404, 405, 413 };

    (void) state;

    for (i = 0; i < COUNT(instead); i++) {
        a = answer(instead[i], "<html><h1>usage limit concurrent</h1></html>");
        a.is_html = 1;
        assert_other_once(a);
    }

    for (i = 0; i < COUNT(returned); i++) {
        a = answer(returned[i], "<html></html>");
        a.is_html = 1;
        v = verdict(&a);
        assert_none(&v, OLLAMA_REQUEST_RETURN);
    }
}


static void
test_400_internal(void **state)
{
    ollama_verdict_t  v;

    (void) state;

    assert_other_once(answer(400, "{\"error\":\"Internal Server Error "
                                  "(ref: 3f0c0c52)\"}"));
    assert_other_once(answer(400, "{\"error\":{\"message\":\"internal server "
                                  "error\"}}"));

    /* only where the error's text says so */

    v = judge(400, "{\"note\":\"Internal Server Error\","
                   "\"error\":\"max_tokens is required\"}");
    assert_none(&v, OLLAMA_REQUEST_RETURN);
}


static void
test_network(void **state)
{
    size_t            i;
    ollama_answer_t   a;
    ollama_verdict_t  v;

    static const ollama_failure_e  failures[] = {
        OLLAMA_FAIL_CONNECT, OLLAMA_FAIL_TIMEOUT_FIRST_BYTE
    };

    (void) state;

    for (i = 0; i < COUNT(failures); i++) {

        /* a status of the try before does not count */

        a = answer(429, session);
        a.failure = failures[i];
        assert_other_once(a);
    }

    /* the key goes after the others */

    a = answer(429, session);
    a.failure = OLLAMA_FAIL_ABORTED_EARLY;
    v = verdict(&a);
    assert_int_equal(v.key, OLLAMA_KEY_BEHIND);
    assert_int_equal(v.scope, OLLAMA_SCOPE_KEY);
    assert_int_equal(v.request, OLLAMA_REQUEST_OTHER_KEY_ONCE);
    assert_int_equal(v.until, 0);
    assert_int_equal(v.proves, 0);

    a.other_failed = 1;
    a.level = 3;
    v = verdict(&a);
    assert_int_equal(v.request, OLLAMA_REQUEST_RETURN);
    assert_int_equal(v.level, 3);

    a = answer(0, "");
    a.failure = OLLAMA_FAIL_STALE;
    v = verdict(&a);
    assert_none(&v, OLLAMA_REQUEST_SAME_KEY);

    a.other_failed = 1;
    v = verdict(&a);
    assert_none(&v, OLLAMA_REQUEST_SAME_KEY);
}


static void
test_returned(void **state)
{
    size_t            i;
    ollama_verdict_t  v;

    static const unsigned  statuses[] = {
        301, 302, 304, 400, 404, 405, 408, 409, 410, 413, 415, 422, 501, 505
    };

    (void) state;

    for (i = 0; i < COUNT(statuses); i++) {
        v = judge(statuses[i], "{\"error\":\"usage limit, concurrent\"}");
        assert_none(&v, OLLAMA_REQUEST_RETURN);
        assert_string_equal(v.reason, "");
    }
}


static void
test_success(void **state)
{
    ollama_answer_t   a;
    ollama_verdict_t  v;

    (void) state;

    a = answer(200, "{\"error\":\"usage limit\"}");
    a.level = 3;
    v = verdict(&a);

    assert_int_equal(v.key, OLLAMA_KEY_NONE);
    assert_int_equal(v.request, OLLAMA_REQUEST_RETURN);
    assert_true(v.proves);

    /* public endpoints answer to bad keys too, and a page is no answer */

    a.judges = 0;
    v = verdict(&a);
    assert_false(v.proves);

    a.judges = 1;
    a.is_html = 1;
    v = verdict(&a);
    assert_false(v.proves);
}


static void
test_retry_after(void **state)
{
    char     *copy;
    size_t    i, len;
    int64_t   n;

    /* Sun, 06 Nov 1994 08:49:37 GMT is 784111777 */

    static const struct {
        const char  *value;
        int64_t      now;
        int64_t      seconds;
    } values[] = {
        { "0", NOW, 0 },
        { "10", NOW, 10 },
        { " 10\t", NOW, 10 },
        { "2678400", NOW, OLLAMA_RETRY_AFTER_MAX },
        { "2678401", NOW, OLLAMA_RETRY_AFTER_MAX },
        { "999999999", NOW, OLLAMA_RETRY_AFTER_MAX },

        /* times since 1970 */

        { "1763822090", NOW, 90 },
        { "1763822090123", NOW, 90 },
        { "1763822090123456", NOW, 90 },
        { "1763822090123456789", NOW, 90 },
        { "1763821000", NOW, 0 },
        { "1795700000", NOW, OLLAMA_RETRY_AFTER_MAX },
        { "1000000000", NOW, 0 },
        { "1795700000", 1795700000 - 18000, 18000 },
        { "1795700000000", 1795700000 - 18000, 18000 },
        { "9223372036854775807", NOW, OLLAMA_RETRY_AFTER_MAX },
        { "9223372036854775808", NOW, OLLAMA_RETRY_AFTER_MAX },
        { "99999999999999999999999999", NOW, OLLAMA_RETRY_AFTER_MAX },
        { "Sun, 06 Nov 1994 08:49:37 GMT", 784111777 - 90, 90 },
        { "Sunday, 06-Nov-94 08:49:37 GMT", 784111777 - 90, 90 },
        { "Sun Nov  6 08:49:37 1994", 784111777 - 90, 90 },
        { "Sun Nov 16 08:49:37 1994", 784111777, 10 * DAY },
        { "Sun, 06 Nov 1994 08:49:37 GMT", NOW, 0 },
        { "Thu, 29 Feb 2024 23:59:60 GMT", 1709251200 - 5, 5 },
        { "Sat, 01 Mar 2200 00:00:00 GMT", 7263216000ll - DAY, DAY },
        { "Wednesday, 01-Jan-31 00:00:00 GMT", 1924905600, DAY },
        { "Friday, 01-Jan-99 00:00:00 GMT", NOW, 0 },
        { "Fri, 31 Dec 9999 23:59:59 GMT", NOW, OLLAMA_RETRY_AFTER_MAX },

        { "", NOW, -1 },
        { "  ", NOW, -1 },
        { "-1", NOW, -1 },
        { "+5", NOW, -1 },
        { "1.5", NOW, -1 },
        { "5s", NOW, -1 },
        { "soon", NOW, -1 },
        { "Sun, 06 Nov 1994 08:49:37", NOW, -1 },
        { "Sun, 06 Nov 1994 08:49:37 CET", NOW, -1 },
        { "Sun, 06 Nov 1994 24:00:00 GMT", NOW, -1 },
        { "Sun, 00 Nov 1994 08:49:37 GMT", NOW, -1 },
        { "Sun, 32 Nov 1994 08:49:37 GMT", NOW, -1 },
        { "Sun, 06 Foo 1994 08:49:37 GMT", NOW, -1 },
        { "Sun, 06 Nov 1894 08:49:37 GMT", NOW, -1 },
        { "Sun, 06 Nov 1994 08:49:37 GMT+1", NOW, -1 },
        { "Sun Nov  6 08:49:37 1994 GMT", NOW, -1 },
        { "Sun,", NOW, -1 },
        { "Sun, 06 No", NOW, -1 },
        { ",,,", NOW, -1 }
    };

    (void) state;

    for (i = 0; i < COUNT(values); i++) {
        len = strlen(values[i].value);
        copy = malloc(len ? len : 1);
        memcpy(copy, values[i].value, len);

        n = ollama_retry_after(copy, len, values[i].now);

        free(copy);

        if (n != values[i].seconds) {
            fail_msg("\"%s\" is %lld", values[i].value, (long long) n);
        }
    }
}


static void
test_deadline(void **state)
{
    (void) state;

    assert_int_equal(ollama_deadline(0, NOW), NOW);
    assert_int_equal(ollama_deadline(NOW + 5, NOW), NOW + 5);
    assert_int_equal(ollama_deadline(NOW, NOW + 5), NOW + 5);
    assert_int_equal(ollama_deadline(NOW, 0), NOW);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_429_session),
        cmocka_unit_test(test_429_hourly),
        cmocka_unit_test(test_429_weekly),
        cmocka_unit_test(test_429_monthly),
        cmocka_unit_test(test_429_quota_other),
        cmocka_unit_test(test_429_concurrent),
        cmocka_unit_test(test_429_other),
        cmocka_unit_test(test_401_doubted),
        cmocka_unit_test(test_401_confirmed),
        cmocka_unit_test(test_401_alone),
        cmocka_unit_test(test_402_403_plan),
        cmocka_unit_test(test_402_403_unpaid),
        cmocka_unit_test(test_inside),
        cmocka_unit_test(test_longest),
        cmocka_unit_test(test_5xx),
        cmocka_unit_test(test_html),
        cmocka_unit_test(test_400_internal),
        cmocka_unit_test(test_network),
        cmocka_unit_test(test_returned),
        cmocka_unit_test(test_success),
        cmocka_unit_test(test_retry_after),
        cmocka_unit_test(test_deadline)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
