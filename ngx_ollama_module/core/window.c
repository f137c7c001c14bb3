
#include "window.h"


static uint32_t ollama_window_minute(int64_t t);
static uint32_t ollama_window_move(uint32_t *minute, int64_t now);
static int ollama_window_place(uint32_t newest, uint32_t running,
    int64_t minute, uint32_t *place);
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
    uint32_t  n;
    uint64_t  before;

    before = w->sum;

    for (n = ollama_window_move(&w->minute, now); n; n--) {
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
    uint32_t  i;

    (void) ollama_window_expire(w, now);

    if (!ollama_window_place(w->newest, w->minute, minute, &i)) {
        return 0;
    }

    if (tokens > UINT32_MAX) {
        tokens = UINT32_MAX;
    }

    return ollama_window_raise(w, i, w->bucket[i] + tokens);
}


void
ollama_costs_add(ollama_costs_t *c, int64_t now, uint64_t cost)
{
    (void) ollama_costs_expire(c, now);

    c->bucket[c->newest] += cost;
    c->sum += cost;
}


uint64_t
ollama_costs_sum(ollama_costs_t *c, int64_t now)
{
    (void) ollama_costs_expire(c, now);

    return c->sum;
}


uint64_t
ollama_costs_expire(ollama_costs_t *c, int64_t now)
{
    uint32_t  n;
    uint64_t  before;

    before = c->sum;

    for (n = ollama_window_move(&c->minute, now); n; n--) {
        c->newest = (c->newest + 1) % OLLAMA_WINDOW_MINUTES;
        c->sum -= c->bucket[c->newest];
        c->bucket[c->newest] = 0;
    }

    return before - c->sum;
}


uint64_t
ollama_costs_add_minute(ollama_costs_t *c, int64_t now, int64_t minute,
    uint64_t cost)
{
    uint32_t  i;

    (void) ollama_costs_expire(c, now);

    if (!ollama_window_place(c->newest, c->minute, minute, &i)) {
        return 0;
    }

    c->bucket[i] += cost;
    c->sum += cost;

    return cost;
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


/* the steps to take: all minutes at most */

static uint32_t
ollama_window_move(uint32_t *minute, int64_t now)
{
    uint32_t  m, n;

    m = ollama_window_minute(now);

    if (m < *minute) {

        if (*minute - m >= OLLAMA_WINDOW_MINUTES) {
            *minute = m;
        }

        return 0;
    }

    n = m - *minute;
    *minute = m;

    return (n < OLLAMA_WINDOW_MINUTES) ? n : OLLAMA_WINDOW_MINUTES;
}


/* 0: outside of the window */

static int
ollama_window_place(uint32_t newest, uint32_t running, int64_t minute,
    uint32_t *place)
{
    uint32_t  m;

    m = ollama_window_minute(minute);

    if (m > running || running - m >= OLLAMA_WINDOW_MINUTES) {
        return 0;
    }

    *place = (newest + OLLAMA_WINDOW_MINUTES - (running - m))
             % OLLAMA_WINDOW_MINUTES;
    return 1;
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
