/*
 * One GET at nginx's private location (ollama_private), over a unix socket.
 *
 * The question is HTTP/1.0, so the answer ends with the connection; it may have
 * FETCH_MAX bytes, and all of it takes at most FETCH_MS.  Nothing blocks.
 */

#ifndef STATSD_FETCH_H
#define STATSD_FETCH_H

#include <event2/event.h>
#include <stddef.h>
#include <stdint.h>

#define FETCH_MAX 65536
#define FETCH_MS  12000 /* nginx itself gives up after 10 s without a byte */

struct fetched {
    int status; /* 0: none came, and why is in error */
    int asked;  /* the cloud was: the status is its own */
    const char *error;
    char retry_after[64]; /* "": not said */
    const char *body;
    size_t len;
};

struct fetch;

/* Called once, in the loop, but not from within fetch_start(). */
typedef void fetch_cb(void *arg, const struct fetched *f);

struct fetch *fetch_start(struct event_base *base, const char *socket,
                          const char *uri, uint32_t key, fetch_cb *cb,
                          void *arg);

/* Does not want to know any more; cb is not called. */
void fetch_leave(struct fetch *f);

#endif
