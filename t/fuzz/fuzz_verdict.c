
/*
 * Verdicts: whatever the cloud answers, a penalty ends, lies ahead, and is in
 * step with what becomes of the request; the levels stay within the ladders,
 * and nothing is said that contradicts itself.  The first 16 bytes choose the
 * circumstances, the rest is the body, and read as a Retry-After as well.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "verdict.h"


#define CHOICES  16


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char              text[64];
    size_t            n;
    int64_t           again;
    unsigned char    *body;
    ollama_answer_t   a;
    ollama_verdict_t  v;

    if (size < CHOICES) {
        return 0;
    }

    body = malloc(size - CHOICES + 1);
    memcpy(body, data + CHOICES, size - CHOICES);

    memset(&a, 0, sizeof(a));

    a.failure = (data[0] < 128) ? OLLAMA_FAIL_NONE : (data[0] % 5);
    a.status = (data[1] < 128) ? 400u + data[1] % 32
                               : (unsigned) (data[1] << 8 | data[2]) % 1000;
    a.level = data[3];
    a.is_html = data[4] & 1;
    a.judges = data[4] >> 1 & 1;
    a.has_model = data[4] >> 2 & 1;
    a.other_failed = data[4] >> 3 & 1;
    a.inside = data[4] >> 4 & 1;
    a.worked = data[4] >> 5 & 1;
    a.other_worked = data[4] >> 6 & 1;
    a.other_differs = data[4] >> 7 & 1;
    a.other_unpaid = data[11] >> 1 & 1;
    a.blocked = data[14];
    a.refused = data[15];
    a.max_concurrent = (int64_t) (int8_t) data[5] * (1 + (data[6] << 12));
    a.now = (int64_t) data[7] << 24 | data[8] << 16 | data[9] << 8 | data[10];
    a.refused_since = a.now - data[14] * data[15];
    a.period_end = (data[11] & 4) ? a.now + (int64_t) data[12] * 100000 : 0;
    a.body_len = size - CHOICES;

    a.retry_after = ollama_retry_after((char *) body, a.body_len, a.now);

    if (a.retry_after < -1 || a.retry_after > OLLAMA_RETRY_AFTER_MAX) {
        abort();
    }

    if (data[11] & 1) {
        a.retry_after = data[12] - 1;
    }

    /* reallocated, so that the body ends where the memory does */

    body = realloc(body, a.body_len ? a.body_len : 1);
    a.body = body;

    n = ollama_error_text(a.body, a.body_len, text, 1 + data[13] % 64);

    if (n > data[13] % 64 || strlen(text) != n) {
        abort();
    }

    ollama_verdict(&a, &v);

    if (v.reason == NULL || strlen(v.reason) > 60) {
        abort();
    }

    if (v.proves && a.inside) {
        abort();
    }

    if ((v.soft && v.certain && v.key != OLLAMA_KEY_PAUSED)
        || (v.soft && v.scope == OLLAMA_SCOPE_ACCOUNT)
        || (v.unpaid && v.key != OLLAMA_KEY_EXHAUSTED)
        || (v.suspect && v.key != OLLAMA_KEY_MODEL_BLOCKED)
        || (v.refused && v.key != OLLAMA_KEY_INVALID
            && v.key != OLLAMA_KEY_PAUSED)
        || (v.blocked != a.blocked && (v.key != OLLAMA_KEY_MODEL_BLOCKED
                                       || v.blocked < 1 || v.blocked > 2)))
    {
        abort();
    }

    if (v.key == OLLAMA_KEY_NONE) {

        if (v.until != 0 || v.slots != 0 || v.level != a.level
            || v.request == OLLAMA_REQUEST_NEXT_KEY)
        {
            abort();
        }

        if (a.other_failed && v.request == OLLAMA_REQUEST_OTHER_KEY_ONCE) {
            abort();
        }

    } else if (v.key == OLLAMA_KEY_BEHIND) {

        if (v.until != 0 || v.slots != 0 || v.level != a.level || v.proves
            || v.request != (a.other_failed ? OLLAMA_REQUEST_RETURN
                                            : OLLAMA_REQUEST_OTHER_KEY_ONCE)
            || a.failure != OLLAMA_FAIL_ABORTED_EARLY)
        {
            abort();
        }

    } else {

        if (v.until <= a.now
            || v.until > a.now + ollama_verdict_longest(v.key, v.reason)
            || v.request != OLLAMA_REQUEST_NEXT_KEY || v.proves
            || v.reason[0] == '\0' || a.failure != OLLAMA_FAIL_NONE
            || a.is_html)
        {
            abort();
        }

        if (a.status != 401 && a.status != 402 && a.status != 403
            && a.status != 429 && !a.inside)
        {
            abort();
        }

        if (v.level != a.level && (v.level < 1 || v.level > 7)) {
            abort();
        }

        if (v.slots > 1000 || (v.slots && v.key != OLLAMA_KEY_SLOTS)) {
            abort();
        }

        if (v.key == OLLAMA_KEY_INVALID && !a.judges) {
            abort();
        }
    }

    /* the same again: nothing is kept anywhere */

    again = v.until;
    ollama_verdict(&a, &v);

    if (v.until != again) {
        abort();
    }

    free(body);

    return 0;
}
