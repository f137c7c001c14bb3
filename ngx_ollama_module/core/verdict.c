
#include "verdict.h"
#include "error.h"

#include <string.h>


#define OLLAMA_HOUR         3600
#define OLLAMA_DAY          86400
#define OLLAMA_SESSION      18000
#define OLLAMA_WEEK         604800
#define OLLAMA_MONDAY       345600      /* 1970-01-05, the first one */

#define OLLAMA_SLOTS_PAUSE  10
#define OLLAMA_SLOTS_MAX    1000
#define OLLAMA_TEXT_MAX     1024


typedef struct {
    const char  *word;
    const char  *reason;
    int64_t      period;                /* 0: has no fixed end */
    int64_t      offset;
} ollama_quota_t;


typedef struct {
    const char  *p;
    const char  *end;
} ollama_date_t;


static void ollama_verdict_quota(const ollama_answer_t *a,
    const ollama_quota_t *quota, ollama_verdict_t *v);
static void ollama_verdict_slots(const ollama_answer_t *a,
    ollama_verdict_t *v);
static void ollama_verdict_pause(const ollama_answer_t *a,
    ollama_verdict_t *v);
static void ollama_verdict_key(const ollama_answer_t *a,
    ollama_key_effect_e key, ollama_scope_e scope, const char *reason,
    ollama_verdict_t *v);
static void ollama_verdict_other(const ollama_answer_t *a, const char *reason,
    ollama_verdict_t *v);
static int64_t ollama_verdict_ladder(const int64_t *ladder, unsigned n,
    const ollama_answer_t *a, ollama_verdict_t *v);
static void ollama_verdict_text(const ollama_answer_t *a, char *text);
static const ollama_quota_t *ollama_verdict_window(const char *text);
static int64_t ollama_date_parse(const char *value, size_t len, int64_t now);
static int ollama_date_number(ollama_date_t *d, unsigned digits, int64_t *n);
static int ollama_date_month(ollama_date_t *d, int64_t *month);
static int ollama_date_clock(ollama_date_t *d, int64_t *seconds);
static int ollama_date_byte(ollama_date_t *d, char c);
static int64_t ollama_date_days(int64_t year, int64_t month, int64_t day);
static int64_t ollama_clamp(int64_t n, int64_t min, int64_t max);


static const ollama_quota_t  ollama_quotas[] = {
    { "session", "session usage limit reached", OLLAMA_SESSION, 0 },
    { "hourly", "hourly usage limit reached", OLLAMA_HOUR, 0 },
    { "weekly", "weekly usage limit reached", OLLAMA_WEEK, OLLAMA_MONDAY },
    { "monthly", "monthly usage limit reached", 0, 0 },
    { "", "usage limit reached", 0, 0 }
};


static const int64_t  ollama_quota_ladder[] = {
    900, OLLAMA_HOUR, 2 * OLLAMA_HOUR, 6 * OLLAMA_HOUR, 12 * OLLAMA_HOUR,
    OLLAMA_DAY
};


static const int64_t  ollama_pause_ladder[] = {
    15, 30, 60, 120, 240, 480, 900
};


#define ollama_count(a)  (sizeof(a) / sizeof((a)[0]))


void
ollama_verdict(const ollama_answer_t *a, ollama_verdict_t *v)
{
    char                   text[OLLAMA_TEXT_MAX];
    const ollama_quota_t  *quota;

    memset(v, 0, sizeof(ollama_verdict_t));

    v->key = OLLAMA_KEY_NONE;
    v->scope = OLLAMA_SCOPE_KEY;
    v->request = OLLAMA_REQUEST_RETURN;
    v->level = a->level;
    v->reason = "";

    switch (a->failure) {

    case OLLAMA_FAIL_NONE:
        break;

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

    case OLLAMA_FAIL_STALE:
        v->request = OLLAMA_REQUEST_SAME_KEY;
        v->reason = "kept connection was closed";
        return;
    }

    switch (a->status) {

    case 400:
        ollama_verdict_text(a, text);

        if (strstr(text, "internal server error") != NULL) {
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

        if (a->status >= 500) {
            ollama_verdict_other(a, "error of the cloud", v);

        } else if (a->status >= 200 && a->status < 300) {
            v->proves = (a->judges && !a->is_html);
        }

        return;
    }

    switch (a->status) {

    case 401:

        if (!a->judges) {
            ollama_verdict_other(a, "endpoint not served by the cloud", v);
            return;
        }

        ollama_verdict_key(a, OLLAMA_KEY_INVALID, OLLAMA_SCOPE_KEY,
                           "key refused (401)", v);
        return;

    case 402:
    case 403:

        if (!a->has_model) {
            ollama_verdict_other(a, "not allowed for this key", v);
            return;
        }

        ollama_verdict_key(a, OLLAMA_KEY_MODEL_BLOCKED,
                           OLLAMA_SCOPE_KEY_MODEL,
                           (a->status == 402)
                           ? "model not included in the plan (402)"
                           : "model not allowed by the plan (403)", v);
        return;
    }

    /* 429 */

    ollama_verdict_text(a, text);

    quota = ollama_verdict_window(text);

    if (quota != NULL) {
        ollama_verdict_quota(a, quota, v);
        return;
    }

    if (strstr(text, "concurrent") != NULL || a->max_concurrent > 0) {
        ollama_verdict_slots(a, v);
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
    v->reason = quota->reason;

    if (quota->period == 0) {

        if (a->retry_after >= 0) {
            v->until = a->now
                       + ollama_clamp(a->retry_after, 1,
                                      OLLAMA_RETRY_AFTER_MAX);
            return;
        }

        v->until = a->now
                   + ollama_verdict_ladder(ollama_quota_ladder,
                                           ollama_count(ollama_quota_ladder),
                                           a, v);
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


static void
ollama_verdict_slots(const ollama_answer_t *a, ollama_verdict_t *v)
{
    v->key = OLLAMA_KEY_SLOTS;
    v->scope = OLLAMA_SCOPE_ACCOUNT;
    v->request = OLLAMA_REQUEST_NEXT_KEY;
    v->reason = "too many concurrent requests";

    v->until = a->now + ((a->retry_after >= 0)
                         ? ollama_clamp(a->retry_after, 1, 60)
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
    v->reason = "too many requests (429)";

    if (a->retry_after >= 0) {
        v->until = a->now + ollama_clamp(a->retry_after, 1, OLLAMA_DAY);
        return;
    }

    v->until = a->now
               + ollama_verdict_ladder(ollama_pause_ladder,
                                       ollama_count(ollama_pause_ladder),
                                       a, v);
}


static void
ollama_verdict_key(const ollama_answer_t *a, ollama_key_effect_e key,
    ollama_scope_e scope, const char *reason, ollama_verdict_t *v)
{
    v->key = key;
    v->scope = scope;
    v->request = OLLAMA_REQUEST_NEXT_KEY;
    v->until = a->now + OLLAMA_HOUR;
    v->reason = reason;
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
ollama_verdict_ladder(const int64_t *ladder, unsigned n,
    const ollama_answer_t *a, ollama_verdict_t *v)
{
    unsigned  step;

    step = (a->level < n - 1) ? a->level : n - 1;

    v->level = step + 1;

    return ladder[step];
}


/* what the error says, in small letters */

static void
ollama_verdict_text(const ollama_answer_t *a, char *text)
{
    size_t  i, len;

    len = ollama_error_text(a->body, a->body_len, text, OLLAMA_TEXT_MAX);

    for (i = 0; i < len; i++) {
        if (text[i] >= 'A' && text[i] <= 'Z') {
            text[i] |= 0x20;
        }
    }
}


/*
 * The word before "usage limit" tells the window.  It has to stand right there,
 * and the last one counts: the account's name, which may be any words, comes
 * first.
 */

static const ollama_quota_t *
ollama_verdict_window(const char *text)
{
    size_t                 i, len;
    const char            *p;
    const ollama_quota_t  *quota;

    quota = NULL;

    for (p = strstr(text, "usage limit");
         p != NULL;
         p = strstr(p + 1, "usage limit"))
    {
        for (i = 0; i < ollama_count(ollama_quotas); i++) {

            len = strlen(ollama_quotas[i].word);

            if (len == 0
                || ((size_t) (p - text) > len && p[-1] == ' '
                    && memcmp(p - 1 - len, ollama_quotas[i].word, len) == 0))
            {
                quota = &ollama_quotas[i];
                break;
            }
        }
    }

    return quota;
}


int64_t
ollama_retry_after(const char *value, size_t len, int64_t now)
{
    size_t   i;
    int64_t  n;

    while (len > 0 && (*value == ' ' || *value == '\t')) {
        value++;
        len--;
    }

    while (len > 0 && (value[len - 1] == ' ' || value[len - 1] == '\t')) {
        len--;
    }

    if (len == 0) {
        return -1;
    }

    n = 0;

    for (i = 0; i < len && value[i] >= '0' && value[i] <= '9'; i++) {
        n = ollama_clamp(n * 10 + (value[i] - '0'), 0,
                         OLLAMA_RETRY_AFTER_MAX);
    }

    if (i == len) {
        return n;
    }

    n = ollama_date_parse(value, len, now);

    return (n == -1) ? -1 : ollama_clamp(n - now, 0, OLLAMA_RETRY_AFTER_MAX);
}


int64_t
ollama_deadline(int64_t old, int64_t new)
{
    return (new > old) ? new : old;
}


/*
 *     Sun, 06 Nov 1994 08:49:37 GMT
 *     Sunday, 06-Nov-94 08:49:37 GMT
 *     Sun Nov  6 08:49:37 1994
 *
 * What day of the week it was is not looked at.
 */

static int64_t
ollama_date_parse(const char *value, size_t len, int64_t now)
{
    int            ok;
    int64_t        day, month, year, clock, t;
    ollama_date_t  d;

    day = 0;
    month = 0;
    year = 0;
    clock = 0;

    d.p = value;
    d.end = value + len;

    while (d.p < d.end && *d.p != ',' && *d.p != ' ') {
        d.p++;
    }

    if (ollama_date_byte(&d, ',')) {

        ok = ollama_date_byte(&d, ' ') && ollama_date_number(&d, 2, &day);

        if (ok && ollama_date_byte(&d, '-')) {
            ok = ollama_date_month(&d, &month) && ollama_date_byte(&d, '-')
                 && ollama_date_number(&d, 2, &year);

            /* a year that seems to be more than 50 ahead is a past one */

            if (ok) {
                t = 1970 + now / (365 * OLLAMA_DAY + OLLAMA_DAY / 4);
                year += t / 100 * 100;
                year -= (year > t + 50) ? 100 : 0;
            }

        } else {
            ok = ok && ollama_date_byte(&d, ' ')
                 && ollama_date_month(&d, &month) && ollama_date_byte(&d, ' ')
                 && ollama_date_number(&d, 4, &year);
        }

        ok = ok && ollama_date_byte(&d, ' ') && ollama_date_clock(&d, &clock)
             && d.end - d.p == 4 && memcmp(d.p, " GMT", 4) == 0;

    } else {
        ok = ollama_date_byte(&d, ' ') && ollama_date_month(&d, &month)
             && ollama_date_byte(&d, ' ')
             && (ollama_date_byte(&d, ' ')
                 ? ollama_date_number(&d, 1, &day)
                 : ollama_date_number(&d, 2, &day))
             && ollama_date_byte(&d, ' ') && ollama_date_clock(&d, &clock)
             && ollama_date_byte(&d, ' ') && ollama_date_number(&d, 4, &year)
             && d.p == d.end;
    }

    if (!ok || day < 1 || day > 31 || year < 1970) {
        return -1;
    }

    return ollama_date_days(year, month, day) * OLLAMA_DAY + clock;
}


static int
ollama_date_number(ollama_date_t *d, unsigned digits, int64_t *n)
{
    *n = 0;

    while (digits-- > 0) {

        if (d->p == d->end || *d->p < '0' || *d->p > '9') {
            return 0;
        }

        *n = *n * 10 + (*d->p++ - '0');
    }

    return 1;
}


static int
ollama_date_month(ollama_date_t *d, int64_t *month)
{
    int64_t  i;

    static const char  names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

    if (d->end - d->p < 3) {
        return 0;
    }

    for (i = 0; i < 12; i++) {

        if (memcmp(d->p, names + 3 * i, 3) == 0) {
            d->p += 3;
            *month = i + 1;
            return 1;
        }
    }

    return 0;
}


static int
ollama_date_clock(ollama_date_t *d, int64_t *seconds)
{
    int64_t  h, m, s;

    if (!ollama_date_number(d, 2, &h) || !ollama_date_byte(d, ':')
        || !ollama_date_number(d, 2, &m) || !ollama_date_byte(d, ':')
        || !ollama_date_number(d, 2, &s) || h > 23 || m > 59 || s > 60)
    {
        return 0;
    }

    *seconds = h * OLLAMA_HOUR + m * 60 + s;

    return 1;
}


static int
ollama_date_byte(ollama_date_t *d, char c)
{
    if (d->p == d->end || *d->p != c) {
        return 0;
    }

    d->p++;

    return 1;
}


/* from 1970-01-01; a year begins in March, so that the leap day is its last */

static int64_t
ollama_date_days(int64_t year, int64_t month, int64_t day)
{
    if (month <= 2) {
        month += 12;
        year--;
    }

    return 365 * year + year / 4 - year / 100 + year / 400
           + (153 * (month - 3) + 2) / 5 + day - 1 - 719468;
}


static int64_t
ollama_clamp(int64_t n, int64_t min, int64_t max)
{
    return (n < min) ? min : (n > max) ? max : n;
}
