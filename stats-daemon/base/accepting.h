/*
 * When connections are accepted at a listening socket.
 *
 * Not while as many are open as there may be, and not for ACCEPTING_PAUSE_MS
 * when the system has no descriptor or no memory for another one: who asks a
 * socket that cannot be served again and again does nothing else.  Either ends
 * when a connection of any of our sockets does.  Meanwhile the kernel lets
 * clients wait; it is said in /health and in the log, see trouble.h.
 *
 * turn() starts and stops the listening.  The loop's thread only.
 */

#ifndef STATSD_ACCEPTING_H
#define STATSD_ACCEPTING_H

#include "trouble.h"

#include <event2/event.h>

#define ACCEPTING_PAUSE_MS 1000

typedef void accepting_turn(void *arg, int on);

struct accepting {
    struct accepting *next;
    const char *whose; /* "proxies" */
    int max, open;
    int on;
    int no_more; /* the system has none for another one */
    accepting_turn *turn;
    void *arg;
    struct event *look; /* while it is off */
    struct trouble full, short_of;
};

/* It is on at first; turn() is not called for that. */
void accepting_start(struct accepting *a, struct event_base *base,
                     const char *whose, int max, accepting_turn *turn,
                     void *arg);
void accepting_stop(struct accepting *a);

void accepting_opened(struct accepting *a);
void accepting_closed(struct accepting *a);

/* accept() has failed with this errno. */
void accepting_failed(struct accepting *a, int error);

#endif
