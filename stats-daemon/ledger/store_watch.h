/*
 * What the store has to say to a person: in the log when it begins, and in
 * /health as long as it lasts (trouble.h).  It costs no record; what does is
 * refused, and told by the writer.
 *
 * It is what the writer has heard, a few seconds old; nothing here touches the
 * disk.  The loop's thread only.
 */

#ifndef STATSD_STORE_WATCH_H
#define STATSD_STORE_WATCH_H

struct event_base;
struct writer;

void store_watch_start(struct event_base *base, struct writer *writer);
void store_watch_stop(void);

#endif
