
#include "window.h"

#include <string.h>


static uint32_t ollama_window_minute(int64_t t);
static uint64_t ollama_window_raise(ollama_window_t *w, uint32_t i,
    uint64_t tokens);


void
ollama_window_add(ollama_window_t *w, int64_t now, uint64_t tokens)
{
    (void) ollama_window_expire(w, now);

    if (tokens > UINT32_MAX) {
        tokens = UINT32_MAX;
    }

    (void) ollama_window_raise(w, w->newest, w->bucket[w->newest] + tokens);
}


uint64_t
ollama_window_sum(ollama_window_t *w, int64_t now)
{
    (void) ollama_window_expire(w, now);

    return w->sum;
}


uint64_t
ollama_window_expire(ollama_window_t *w, int64_t now)
{
    uint32_t  minute;
    uint64_t  before;

    minute = ollama_window_minute(now);

    if (minute == w->minute) {
        return 0;
    }

    if (minute < w->minute) {

        if (w->minute - minute >= OLLAMA_WINDOW_MINUTES) {
            w->minute = minute;
        }

        return 0;
    }

    before = w->sum;

    if (minute - w->minute >= OLLAMA_WINDOW_MINUTES) {
        memset(w, 0, sizeof(ollama_window_t));
        w->minute = minute;

        return before;
    }

    while (w->minute != minute) {
        w->minute++;
        w->newest = (w->newest + 1) % OLLAMA_WINDOW_MINUTES;
        w->sum -= w->bucket[w->newest];
        w->bucket[w->newest] = 0;
    }

    return before - w->sum;
}


uint64_t
ollama_window_add_minute(ollama_window_t *w, int64_t now, int64_t minute,
    uint64_t tokens)
{
    uint32_t  age, i, m;

    (void) ollama_window_expire(w, now);

    m = ollama_window_minute(minute);

    if (m > w->minute || w->minute - m >= OLLAMA_WINDOW_MINUTES) {
        return 0;
    }

    age = w->minute - m;

    i = (w->newest + OLLAMA_WINDOW_MINUTES - age) % OLLAMA_WINDOW_MINUTES;

    if (tokens > UINT32_MAX) {
        tokens = UINT32_MAX;
    }

    return ollama_window_raise(w, i, w->bucket[i] + tokens);
}


static uint32_t
ollama_window_minute(int64_t t)
{
    if (t < 0) {
        return 0;
    }

    t /= 60;

    return (t > UINT32_MAX) ? UINT32_MAX : (uint32_t) t;
}


static uint64_t
ollama_window_raise(ollama_window_t *w, uint32_t i, uint64_t tokens)
{
    uint64_t  grown;

    if (tokens > UINT32_MAX) {
        tokens = UINT32_MAX;
    }

    if (tokens <= w->bucket[i]) {
        return 0;
    }

    grown = tokens - w->bucket[i];

    w->bucket[i] = (uint32_t) tokens;
    w->sum += grown;

    return grown;
}
