/*
 * The time as the cloud writes it. The date of a header is formatted once a
 * second; the stamp of a chunk once per answer, later chunks only count up its
 * fraction.
 *
 * The time of day is the machine's, or where a test has moved it to:
 * POST /_sim/clock {"pass": seconds}, {"at": seconds since 1970} or, back to
 * the machine's, {}; GET tells it in milliseconds. It runs on from there. What
 * runs evenly (delays, slots) is not moved.
 */

#ifndef CLOUD_CLOCK_H
#define CLOUD_CLOCK_H

#include "buf.h"

#include <time.h>

int64_t clock_ms(void);       /* monotonic */
int64_t clock_now_ms(void);   /* of the day */
time_t clock_now(void);
void clock_move(int64_t ms);  /* from the machine's time of day on */
int64_t clock_moved(void);
const char *clock_http(void); /* Sun, 06 Nov 1994 08:49:37 GMT */

/* 2026-09-20T10:00:00Z, and with nanoseconds as Go writes them: no zeros at
 * the end of the fraction, no fraction if it is 0. */
void clock_rfc3339(struct buf *b, time_t at);
void clock_rfc3339_nano(struct buf *b, time_t at, long nsec);

#endif
