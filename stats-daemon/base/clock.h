/*
 * What the time of day is, when the clock may be wrong.
 *
 * Ages decide what is deleted, so a clock that is wrong for four seconds must
 * not make everything old.  The time of day that counts is the last one that
 * was trusted plus what a steady clock has run since.  The wall clock is
 * followed where it says nearly the same, which is what NTP's steps and drift
 * come to.  If it says more than CLOCK_JUMP else, it has jumped: that counts
 * once it has lasted for CLOCK_LAST, and is shown until then.
 *
 *     clock_start(&c, wall, steady, last);        last: as trusted when this
 *     now = clock_now(&c, wall, steady);                ran before, 0: never
 *
 * A start is no exception: what was off for a month cannot tell its pause from
 * a wrong clock, and deletes nothing for an hour.  c.asleep tells that case:
 * the clock is ahead since the start, which is nothing to be told as a problem.
 *
 * Times are in milliseconds: wall is the time of day, steady any clock that
 * runs evenly.  Pure; one thread, or a lock around it.
 */

#ifndef STATSD_CLOCK_H
#define STATSD_CLOCK_H

#include <stdint.h>

#define CLOCK_JUMP 3600000LL
#define CLOCK_LAST 3600000LL

struct clock {
    int64_t offset; /* the time of day that counts, less steady */
    int64_t jump;   /* how far the wall clock is ahead of it, 0: it is not */
    int64_t since;  /* steady, when that began */
    int asleep;
};

void clock_start(struct clock *c, int64_t wall, int64_t steady, int64_t last);
int64_t clock_now(struct clock *c, int64_t wall, int64_t steady);

#endif
