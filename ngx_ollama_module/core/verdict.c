
#include "verdict.h"
#include "words.h"

#include <string.h>


#define OLLAMA_MINUTE          60
#define OLLAMA_HOUR            3600
#define OLLAMA_DAY             86400

#define OLLAMA_SLOTS_PAUSE     10
#define OLLAMA_SLOTS_LONGEST   60
#define OLLAMA_SLOTS_MAX       1000

#define OLLAMA_REFUSED_PAUSE   10
#define OLLAMA_REFUSED_TIMES   3
#define OLLAMA_REFUSED_TIME    60


static void ollama_verdict_failure(const ollama_answer_t *a,
    ollama_verdict_t *v);
static unsigned ollama_verdict_inside(const ollama_answer_t *a,
    const ollama_words_t *words);
static void ollama_verdict_refused(const ollama_answer_t *a,
    ollama_verdict_t *v);
static void ollama_verdict_plan(const ollama_answer_t *a, unsigned status,
    const ollama_words_t *words, ollama_verdict_t *v);
static void ollama_verdict_limit(const ollama_answer_t *a,
    const ollama_words_t *words, ollama_verdict_t *v);
static void ollama_verdict_quota(const ollama_answer_t *a,
    const ollama_quota_t *quota, ollama_verdict_t *v);
static void ollama_verdict_unpaid(const ollama_answer_t *a,
    ollama_verdict_t *v);
static void ollama_verdict_slots(const ollama_answer_t *a,
    ollama_verdict_t *v);
static void ollama_verdict_pause(const ollama_answer_t *a,
    ollama_verdict_t *v);
static void ollama_verdict_other(const ollama_answer_t *a, const char *reason,
    ollama_verdict_t *v);
static int64_t ollama_verdict_ladder(const int64_t *ladder, unsigned n,
    unsigned level, unsigned *next);
static int64_t ollama_clamp(int64_t n, int64_t min, int64_t max);


static const int64_t  ollama_quota_ladder[] = {
    900, OLLAMA_HOUR, 2 * OLLAMA_HOUR, 6 * OLLAMA_HOUR, 12 * OLLAMA_HOUR,
    OLLAMA_DAY
};


static const int64_t  ollama_pause_ladder[] = {
    15, 30, 60, 120, 240, 480, 900
};


static const int64_t  ollama_refused_ladder[] = {
    2, 4, 8, OLLAMA_REFUSED_PAUSE
};


static const int64_t  ollama_blocked_ladder[] = {
    OLLAMA_MINUTE, OLLAMA_HOUR
};


#define ollama_count(a)  (sizeof(a) / sizeof((a)[0]))


void
ollama_verdict(const ollama_answer_t *a, ollama_verdict_t *v)
{
    unsigned        status;
    ollama_words_t  words;

    memset(v, 0, sizeof(ollama_verdict_t));

    v->key = OLLAMA_KEY_NONE;
    v->scope = OLLAMA_SCOPE_KEY;
    v->request = OLLAMA_REQUEST_RETURN;
    v->level = a->level;
    v->blocked = a->blocked;
    v->reason = "";

    if (a->failure != OLLAMA_FAIL_NONE) {
        ollama_verdict_failure(a, v);
        return;
    }

    status = a->status;

    if (a->inside) {
        ollama_words(a->body, a->body_len, &words);
        status = ollama_verdict_inside(a, &words);

    } else if (status == 400 || (status >= 401 && status <= 403)
               || status == 429)
    {
        ollama_words(a->body, a->body_len, &words);
    }

    switch (status) {

    case 400:

        if (words.internal) {
            ollama_verdict_other(a, "error of the cloud", v);
        }

        return;

    case 401:
    case 402:
    case 403:
    case 429:

        if (a->is_html) {
            ollama_verdict_other(a, "a page in place of an answer", v);
            return;
        }

        break;

    case 501:
    case 505:
        return;

    default:

        if (status >= 500) {
            ollama_verdict_other(a, "error of the cloud", v);

        } else if (status >= 200 && status < 300) {
            v->proves = (a->judges && !a->is_html);
        }

        return;
    }

    if (status == 401) {
        ollama_verdict_refused(a, v);

    } else if (status == 429) {
        ollama_verdict_limit(a, &words, v);

    } else {
        ollama_verdict_plan(a, status, &words, v);
    }
}


static void
ollama_verdict_failure(const ollama_answer_t *a, ollama_verdict_t *v)
{
    switch (a->failure) {

    case OLLAMA_FAIL_CONNECT:
        ollama_verdict_other(a, "no connection to the cloud", v);
        return;

    case OLLAMA_FAIL_TIMEOUT_FIRST_BYTE:
        ollama_verdict_other(a, "no answer in time", v);
        return;

    case OLLAMA_FAIL_ABORTED_EARLY:
        ollama_verdict_other(a, "connection closed before an answer", v);
        v->key = OLLAMA_KEY_BEHIND;
        return;

    default: /* OLLAMA_FAIL_STALE */
        v->request = OLLAMA_REQUEST_SAME_KEY;
        v->reason = "kept connection was closed";
    }
}


unsigned
ollama_verdict_status(const ollama_answer_t *a)
{
    ollama_words_t  words;

    ollama_words(a->body, a->body_len, &words);

    return ollama_verdict_inside(a, &words);
}


static unsigned
ollama_verdict_inside(const ollama_answer_t *a, const ollama_words_t *words)
{
    if (words->quota || words->concurrent) {
        return 429;
    }

    if (a->status >= 400) {
        return a->status;
    }

    if (words->unauthorized) {
        return 401;
    }

    if (words->money || (words->plan && words->model)) {
        return 402;
    }

    return words->slow ? 429 : 500;
}


static void
ollama_verdict_refused(const ollama_answer_t *a, ollama_verdict_t *v)
{
    unsigned  next;

    if (!a->judges) {
        ollama_verdict_other(a, "endpoint not served by the cloud", v);
        return;
    }

    v->request = OLLAMA_REQUEST_NEXT_KEY;
    v->refused = 1;

    if (a->refused && a->other_worked) {
        v->key = OLLAMA_KEY_INVALID;
        v->until = a->now + OLLAMA_HOUR;
        v->reason = "key refused (401), others are not";
        return;
    }

    if (!a->worked
        || (a->refused + 1 >= OLLAMA_REFUSED_TIMES
            && a->now - a->refused_since >= OLLAMA_REFUSED_TIME
            && !a->other_differs))
    {
        v->key = OLLAMA_KEY_INVALID;
        v->until = a->now + OLLAMA_REFUSED_PAUSE;
        v->soft = (a->refused == 0);
        v->reason = "key refused (401)";
        return;
    }

    v->key = OLLAMA_KEY_PAUSED;
    v->until = a->now
               + ollama_verdict_ladder(ollama_refused_ladder,
                                       ollama_count(ollama_refused_ladder),
                                       a->refused, &next);
    v->soft = 1;
    v->reason = "refused (401), perhaps by mistake";
}


/* 402 and 403: what is not paid for, and what is not allowed */

static void
ollama_verdict_plan(const ollama_answer_t *a, unsigned status,
    const ollama_words_t *words, ollama_verdict_t *v)
{
    if (!words->model) {

        if (words->quota) {
            ollama_verdict_quota(a, words->quota, v);
            return;
        }

        if (words->money
            || (status == 402 && a->has_model && a->other_unpaid))
        {
            ollama_verdict_unpaid(a, v);
            return;
        }
    }

    if (!a->has_model) {
        ollama_verdict_other(a, "not allowed for this key", v);
        return;
    }

    if (status == 403 && !words->plan && !words->money) {

        /* perhaps for what was asked: no other key may be better */

        ollama_verdict_other(a, "not allowed (403)", v);
        return;
    }

    v->key = OLLAMA_KEY_MODEL_BLOCKED;
    v->scope = OLLAMA_SCOPE_KEY_MODEL;
    v->request = OLLAMA_REQUEST_NEXT_KEY;
    v->until = a->now
               + ollama_verdict_ladder(ollama_blocked_ladder,
                                       ollama_count(ollama_blocked_ladder),
                                       a->blocked, &v->blocked);
    v->soft = 1;
    v->suspect = (status == 402 && !words->model);
    v->reason = (status == 402) ? "model not included in the plan (402)"
                                : "model not allowed by the plan (403)";
}


static void
ollama_verdict_limit(const ollama_answer_t *a, const ollama_words_t *words,
    ollama_verdict_t *v)
{
    if (words->quota) {
        ollama_verdict_quota(a, words->quota, v);
        return;
    }

    if (words->concurrent || a->max_concurrent > 0) {
        ollama_verdict_slots(a, v);
        return;
    }

    if (words->money && !words->model && a->retry_after < 0) {
        ollama_verdict_unpaid(a, v);
        return;
    }

    if (!a->judges) {
        ollama_verdict_other(a, "too many requests to this endpoint", v);
        return;
    }

    ollama_verdict_pause(a, v);
}


static void
ollama_verdict_quota(const ollama_answer_t *a, const ollama_quota_t *quota,
    ollama_verdict_t *v)
{
    int64_t  since;

    v->key = OLLAMA_KEY_EXHAUSTED;
    v->scope = OLLAMA_SCOPE_ACCOUNT;
    v->request = OLLAMA_REQUEST_NEXT_KEY;
    v->certain = 1;
    v->reason = quota->reason;

    if (quota->period == 0) {

        if (quota->billed && a->period_end > a->now) {
            v->until = a->now + ollama_clamp(a->period_end - a->now, 1,
                                             quota->longest);
            return;
        }

        if (a->retry_after >= 0) {
            v->until = a->now + ollama_clamp(a->retry_after, 1,
                                             quota->longest);
            return;
        }

        v->until = a->now
                   + ollama_verdict_ladder(ollama_quota_ladder,
                                           ollama_count(ollama_quota_ladder),
                                           a->level, &v->level);
        return;
    }

    since = (a->now - quota->offset) % quota->period;

    if (since < 0) {
        since += quota->period;
    }

    if (since < OLLAMA_WINDOW_GRACE) {
        v->until = a->now + OLLAMA_WINDOW_RECHECK;
        return;
    }

    v->until = a->now - since + quota->period;
}


/* no key of it will do, for no model, until somebody pays */

static void
ollama_verdict_unpaid(const ollama_answer_t *a, ollama_verdict_t *v)
{
    v->key = OLLAMA_KEY_EXHAUSTED;
    v->scope = OLLAMA_SCOPE_ACCOUNT;
    v->request = OLLAMA_REQUEST_NEXT_KEY;
    v->unpaid = 1;
    v->certain = 1;
    v->reason = "the account is out of credits";

    if (a->retry_after >= 0) {
        v->until = a->now + ollama_clamp(a->retry_after, 1, OLLAMA_DAY);
        return;
    }

    v->until = a->now
               + ollama_verdict_ladder(ollama_quota_ladder,
                                       ollama_count(ollama_quota_ladder),
                                       a->level, &v->level);
}


static void
ollama_verdict_slots(const ollama_answer_t *a, ollama_verdict_t *v)
{
    v->key = OLLAMA_KEY_SLOTS;
    v->scope = OLLAMA_SCOPE_ACCOUNT;
    v->request = OLLAMA_REQUEST_NEXT_KEY;
    v->certain = 1;
    v->reason = "too many concurrent requests";

    v->until = a->now + ((a->retry_after >= 0)
                         ? ollama_clamp(a->retry_after, 1,
                                        OLLAMA_SLOTS_LONGEST)
                         : OLLAMA_SLOTS_PAUSE);

    if (a->max_concurrent > 0) {
        v->slots = (unsigned) ollama_clamp(a->max_concurrent, 1,
                                           OLLAMA_SLOTS_MAX);
    }
}


static void
ollama_verdict_pause(const ollama_answer_t *a, ollama_verdict_t *v)
{
    v->key = OLLAMA_KEY_PAUSED;
    v->request = OLLAMA_REQUEST_NEXT_KEY;
    v->certain = 1;
    v->reason = "too many requests (429)";

    if (a->retry_after >= 0) {
        v->until = a->now + ollama_clamp(a->retry_after, 1, OLLAMA_DAY);
        return;
    }

    /* a guess, then: the cloud knows better */

    v->soft = 1;
    v->until = a->now
               + ollama_verdict_ladder(ollama_pause_ladder,
                                       ollama_count(ollama_pause_ladder),
                                       a->level, &v->level);
}


/* not the key's fault, as far as one can tell */

static void
ollama_verdict_other(const ollama_answer_t *a, const char *reason,
    ollama_verdict_t *v)
{
    v->request = a->other_failed ? OLLAMA_REQUEST_RETURN
                                 : OLLAMA_REQUEST_OTHER_KEY_ONCE;
    v->reason = reason;
}


static int64_t
ollama_verdict_ladder(const int64_t *ladder, unsigned n, unsigned level,
    unsigned *next)
{
    unsigned  step;

    step = (level < n - 1) ? level : n - 1;

    *next = step + 1;

    return ladder[step];
}


int64_t
ollama_deadline(int64_t old, int64_t new)
{
    return (new > old) ? new : old;
}


int64_t
ollama_verdict_longest(ollama_key_effect_e key, const char *reason)
{
    const ollama_quota_t  *quota;

    switch (key) {

    case OLLAMA_KEY_EXHAUSTED:
        quota = ollama_words_quota(reason);
        return quota ? quota->longest : OLLAMA_DAY;

    case OLLAMA_KEY_SLOTS:
        return OLLAMA_SLOTS_LONGEST;

    case OLLAMA_KEY_PAUSED:
        return OLLAMA_DAY;

    case OLLAMA_KEY_INVALID:
    case OLLAMA_KEY_MODEL_BLOCKED:
        return OLLAMA_HOUR;

    default: /* nobody but a person */
        return OLLAMA_RETRY_AFTER_MAX;
    }
}


static int64_t
ollama_clamp(int64_t n, int64_t min, int64_t max)
{
    return (n < min) ? min : (n > max) ? max : n;
}
