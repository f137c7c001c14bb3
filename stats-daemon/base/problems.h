/*
 * Problems that somebody has to have seen: they stand in /health, /metrics and
 * at the head of the page until POST /stats/problems/{name}/acknowledge, also
 * when what caused them is over, and when the daemon is started again.
 *
 * They are kept in DIR/problems, one "name since text" a line, since in
 * milliseconds since 1970.  Not in the ledger, which may be what is damaged.  A
 * file that cannot be written costs their memory of a restart, no more.
 *
 * There is one of each name; the text is of the last time, since of the first.
 * Any thread may call.
 */

#ifndef STATSD_PROBLEMS_H
#define STATSD_PROBLEMS_H

#include <stdint.h>

#define PROBLEM_LEDGER "ledger_damaged"

#define PROBLEM_NAME 64
#define PROBLEM_TEXT 1024
#define PROBLEMS_MAX 16

struct problem {
    char name[PROBLEM_NAME]; /* a-z and _ */
    int64_t since;           /* time of day */
    char text[PROBLEM_TEXT]; /* one line */
};

void problems_open(const char *dir);
void problems_close(void);

void problem_raise(const char *name, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* 0, or -1: there is none of this name. */
int problem_acknowledge(const char *name);

/* Those that stand, at most PROBLEMS_MAX. */
int problems_list(struct problem *list);

/* Greater after each change. */
int64_t problems_version(void);

#endif
