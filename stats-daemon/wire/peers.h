/*
 * Whose records are taken: the user of the process at the other end of a unix
 * socket, as the kernel knows it (SO_PEERCRED).  The sockets' mode lets in
 * nginx's group, which others may be in; what they would send are forged
 * records.
 *
 * Taken are those of the daemon's own user and of root, and those of the users
 * that --allow-user names.  Without any --allow-user it is as if the usual
 * users of nginx's workers had been named, as far as there are any.
 */

#ifndef STATSD_PEERS_H
#define STATSD_PEERS_H

#include <sys/types.h>

#define PEERS_MAX 32

/* A name, or the number of a user without one; 0, or -1: there is none, or
 * there are too many. */
int peers_allow(const char *user);

/* To be called when the daemon is who it will be. */
void peers_start(void);

/* Whether a connection's peer may send records.  If not it is said, see
 * trouble.h, and counted. */
int peers_allowed(int fd);
long long peers_refused(void);

#endif
