/*
 * A proxy.log that cannot be written: it is tried once a second, gets what it
 * has missed, and is said in /health meanwhile.  The loop's thread only.
 */

#ifndef STATSD_LOG_WATCH_H
#define STATSD_LOG_WATCH_H

struct event_base;

void log_watch_start(struct event_base *base);
void log_watch_stop(void);

#endif
