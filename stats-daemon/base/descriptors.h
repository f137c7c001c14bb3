/*
 * Descriptors: how many the process may have, and who gets them.
 *
 * The soft limit is raised to the hard one.  Of what that leaves beside the
 * files that are open already, DESCRIPTORS_SPARE (a third, where there are few)
 * are kept for what comes and goes: segments of bodies, the ledger's files, the
 * log when it is turned over.  The rest is for connections, and is shared out
 * at the start: clients of HTTP, however many come, take none of those that are
 * for records.
 */

#ifndef STATSD_DESCRIPTORS_H
#define STATSD_DESCRIPTORS_H

#define DESCRIPTORS_SPARE 64
#define DESCRIPTORS_MIN   4 /* connections of each kind, whatever the limit */

struct descriptors {
    int limit;  /* RLIMIT_NOFILE */
    int open;   /* when they were shared out */
    int ingest; /* connections, each */
    int http;
    int refusals; /* of HTTP as well, which only hear that it is full */
};

void descriptors_raise(void);

/* To be called when everything else is open.  At most so many of each. */
void descriptors_share(struct descriptors *d, int ingest, int http,
                       int refusals);

#endif
