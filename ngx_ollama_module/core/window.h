/*
 * Tokens of the last two hours, by the minute; and nano-dollars, likewise.
 *
 * A fixed-size struct without pointers, for shared memory; the caller holds the
 * lock.  All zeroes is an empty window.  Times are epoch seconds.  The window
 * is the running minute and the 119 before it.
 *
 * Each call moves the window to "now" first, at most 120 steps and normally
 * none, so that the sum is always at hand.  A bucket holds up to 2^32 - 1
 * tokens and then stays there: more than a key can use in a minute, and half of
 * what 64 bits would cost with 10,000 keys (496 bytes a key).  Of nano-dollars
 * that would be 4 dollars, so these have 64 bits (976 bytes).
 *
 * A clock that goes back by less than the window counts into the newest
 * minute and drops nothing; one that goes back further takes the window with
 * it, so that it ages from there.
 */

#ifndef OLLAMA_WINDOW_H_INCLUDED
#define OLLAMA_WINDOW_H_INCLUDED

#include <stdint.h>

#define OLLAMA_WINDOW_MINUTES  120


typedef struct {
    uint64_t   sum;
    uint32_t   minute;                          /* of the newest bucket */
    uint32_t   newest;                          /* its index */
    uint32_t   bucket[OLLAMA_WINDOW_MINUTES];   /* a ring */
} ollama_window_t;


typedef struct {
    uint64_t   sum;
    uint32_t   minute;
    uint32_t   newest;
    uint64_t   bucket[OLLAMA_WINDOW_MINUTES];
} ollama_costs_t;


void ollama_window_add(ollama_window_t *w, int64_t now, uint64_t tokens);
uint64_t ollama_window_sum(ollama_window_t *w, int64_t now);

/* moves the window; returns the tokens that have left it */
uint64_t ollama_window_expire(ollama_window_t *w, int64_t now);

/*
 * History from elsewhere: in the minute that begins at "minute" (epoch seconds,
 * any second of it) there were so many tokens more.  Returns by how much the
 * sum has grown; minutes outside the window are ignored.
 */
uint64_t ollama_window_add_minute(ollama_window_t *w, int64_t now,
    int64_t minute, uint64_t tokens);


void ollama_costs_add(ollama_costs_t *c, int64_t now, uint64_t cost);
uint64_t ollama_costs_sum(ollama_costs_t *c, int64_t now);
uint64_t ollama_costs_expire(ollama_costs_t *c, int64_t now);
uint64_t ollama_costs_add_minute(ollama_costs_t *c, int64_t now,
    int64_t minute, uint64_t cost);


#endif /* OLLAMA_WINDOW_H_INCLUDED */
