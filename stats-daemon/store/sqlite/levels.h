/*
 * Levels of sums, and which of them answers a question.
 *
 * Sums of the whole, each key, model and client are kept by minute, by ten
 * minutes, by hour and by day (UTC), the finer ones for a shorter time.  A
 * question is answered from the coarsest units that lie within it, and its
 * edges from finer ones, as long as these are there; what they no longer are
 * there for is answered by whole units of the finest level that is: the bounds
 * grow, nothing is left out.
 *
 * All times are in minutes since 1970.  Minutes before the mark are in all
 * levels (rollup.h), those from it on only in the minutes; so a unit in which
 * the mark lies has what came before it.
 */

#ifndef STATSD_STORE_LEVELS_H
#define STATSD_STORE_LEVELS_H

#include <stdint.h>

enum store_level { LEVEL_MINUTE, LEVEL_TEN, LEVEL_HOUR, LEVEL_DAY, LEVELS };

/* A unit of a level. */
static inline int64_t level_unit(int level) {
    static const int64_t units[LEVELS] = {1, 10, 60, 1440};
    return units[level];
}

/* A level is whole from since on.  None is younger than a coarser one. */
struct level_bounds {
    int64_t since[LEVELS];
    int64_t mark;
};

/* Units of a level that begin from "from" on and before "to". */
struct level_part {
    int level;
    int64_t from, to;
};

#define LEVEL_PARTS 16

/* What answers for [from, to), oldest first; how many parts these are.  Steps
 * are of so many minutes, counted from 1970: no unit lies in two of them, but
 * where there is nothing finer.  0: all is one step. */
int level_plan(const struct level_bounds *bounds, int64_t from, int64_t to,
               int64_t step, struct level_part parts[LEVEL_PARTS]);

#endif
