/*
 * GET /events: Server-Sent Events, one stream for everything that is new.
 *
 *     hello     once: version, demo, started, time, last_id (of requests)
 *     health    as /health
 *     keys      as /stats/keys, of those whose figures have changed
 *     running   as /stats/running: when there is another request or another
 *               state of one, twice a second at most; tokens, and long
 *               lists, once a second
 *     queries   {"count": n, "queries": [..]}: how many there were, and the
 *               newest of them, newest first, as in /queries
 *     logs      as /logs
 *
 * A timer collects what LIVE_TICK_MS have brought into one piece, made once
 * for all clients and no larger at 1,000 requests a second than at 100: at
 * most LIVE_ROWS requests, LIVE_LINES lines, LIVE_RUNNING running requests,
 * and once a second at most LIVE_KEYS keys and the health, if it has moved.
 * When nothing happens there is a heartbeat (a comment, and the health) every
 * LIVE_BEAT_MS.  Without clients nothing is done.
 *
 * The id of an event is REQUEST.LINE, the last of each that were told.  A
 * client that comes back with it (Last-Event-ID, or ?last= where the browser
 * has given up and a script begins anew) gets what it has missed, at most
 * LIVE_RESUME of each; a new one hears nothing old.
 *
 * A client that does not read is dropped: at LIVE_PENDING bytes, or when it
 * takes nothing for LIVE_STALL_S seconds.  LIVE_CLIENTS at a time, and no more
 * than half of the connections.
 */

#ifndef STATSD_LIVE_H
#define STATSD_LIVE_H

#include "api.h"
#include "context.h"
#include "http.h"

#include <event2/event.h>

#define LIVE_TICK_MS    250
#define LIVE_RUNNING_MS 500
#define LIVE_RUNNING    50
#define LIVE_BEAT_MS    10000
#define LIVE_ROWS       25
#define LIVE_LINES      50
#define LIVE_KEYS       500
#define LIVE_RESUME     200
#define LIVE_CLIENTS    64
#define LIVE_PENDING    (512 * 1024)
#define LIVE_STALL_S    30

void live_start(struct event_base *base, struct api *api);
void live_routes(struct http *h);

/* Before http_free(), which ends the streams. */
void live_stop(void);

#endif
