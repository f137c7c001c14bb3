/*
 * Minutes, and what they are rolled up to: tens of minutes, hours, days (UTC).
 *
 * A window of time is read from few rows: from days in its middle, and from
 * ever shorter ones towards its edges.  What is old is there by the longer ones
 * only; then an edge is where these have theirs.
 */

#ifndef STATSD_SPANS_H
#define STATSD_SPANS_H

#include <stdint.h>

enum span { SPAN_MINUTE, SPAN_TEN, SPAN_HOUR, SPAN_DAY, SPANS };

/* In minutes. */
int64_t span_minutes(enum span s);

/* The longest of which a step of so many minutes is made, 0: of a day. */
enum span span_of_step(int64_t step);

/* Rows of one kind, numbered from 1970 on: from .. to - 1. */
struct span_range {
    enum span span;
    int64_t from, to;
};

#define SPAN_RANGES 16

/* The rows of a window of minutes, [from, to), oldest first, none longer than
 * longest if there are shorter ones.  first[] is the minute from which on each
 * kind is there, which is a whole one of the next.  Looks at each row, but
 * those of days when these are the longest.  Returns how many ranges. */
int span_plan(int64_t from, int64_t to, const int64_t first[SPANS],
              enum span longest, struct span_range list[SPAN_RANGES]);

#endif
