/*
 * Trouble that may come a thousand times a second: a peer that is refused, a
 * connection that there is no descriptor for.
 *
 * It is in the log when it begins, and once in TROUBLE_SAID_MS while it goes
 * on, with how often it was met meanwhile; and among the "problems" of /health
 * until it has not been met for quiet_ms.  A state is in the log once while it
 * lasts.  Nobody has to acknowledge it: what has to be is in problems.h.
 *
 *     static struct trouble full = {.level = LOG_WARN, .quiet_ms = 60000};
 *
 *     trouble_met(&full, "%d connections are open already", n);
 *
 * The loop's thread only.
 */

#ifndef STATSD_TROUBLE_H
#define STATSD_TROUBLE_H

#include "json.h"

#include <stdint.h>

#define TROUBLE_SAID_MS 60000

struct trouble {
    int level; /* enum log_level */
    int64_t quiet_ms;
    int is_state; /* how often it was met says nothing */
    /* the rest is trouble_met()'s */
    struct trouble *next;
    int known, told;
    int64_t met, said; /* the last time of each, monotonic */
    int64_t since;     /* when it began, time of day */
    int64_t count;     /* since then */
    int64_t unsaid;    /* since it was last in the log */
    char text[256];
};

void trouble_met(struct trouble *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* The texts of what lasts, as members of a list; how many there are. */
int trouble_texts(struct json *list);

#endif
