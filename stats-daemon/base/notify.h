/*
 * Says to systemd that the daemon is ready, or about to end: sd_notify(3),
 * whose protocol is a datagram to $NOTIFY_SOCKET.  Without that variable,
 * nothing.
 */

#ifndef STATSD_NOTIFY_H
#define STATSD_NOTIFY_H

void notify(const char *state); /* "READY=1", "STOPPING=1" */

#endif
