/*
 * The daemon's unix sockets: passed by systemd (LISTEN_FDS), or made here.
 *
 * A path that a living process listens on is left alone; a dead one's is
 * taken.  Sockets get mode 0660.  Those made here are removed at the end.
 */

#ifndef STATSD_SOCKETS_H
#define STATSD_SOCKETS_H

#include <stddef.h>
#include <sys/types.h>

enum socket_use { SOCKET_INGEST, SOCKET_HTTP, SOCKET_SYSLOG, SOCKETS };

/* The descriptor that systemd has passed for a use, by its name ("ingest",
 * "http", "syslog") or, where the names are others (one unit has one for all of
 * its sockets), by its type and order; -1: none. */
int socket_passed(enum socket_use use);

/* Makes, binds and, for streams, listens; -1 with the reason in err. */
int socket_make(enum socket_use use, const char *path, uid_t uid, gid_t gid,
                char *err, size_t errlen);

void sockets_remove(void);

#endif
