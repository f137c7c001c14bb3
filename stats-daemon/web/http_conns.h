/*
 * The connections of evhttp, which counts none and has no bound for them.
 *
 * Up to a limit they are served.  Above it there is room for a few more, whose
 * request is answered with 503, Retry-After, and the end of the connection; a
 * client that says nothing for HTTP_CONNS_REFUSED_MS is left.  When
 * that is used up, too, nothing is accepted until one closes (accepting.h).
 *
 * evhttp tells nobody of a new connection but the function that makes its
 * bufferevent.  That one is kept, and looked at when evhttp is through with
 * it, in the same turn of the loop: the connection is the argument of its
 * callbacks then.  A connection has one callback for its end, which is taken by
 * this; http_conns_on_close() is for others.
 */

#ifndef STATSD_HTTP_CONNS_H
#define STATSD_HTTP_CONNS_H

#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>

#define HTTP_CONNS_MAX        512
#define HTTP_CONNS_REFUSALS   64
#define HTTP_CONNS_REFUSED_MS 250

/* At most max are served, and so many more refused. */
int http_conns_start(struct event_base *base, struct evhttp *ev, int fd,
                     int max, int refusals);

/* Before, and after evhttp_free(). */
void http_conns_stop(void);
void http_conns_free(void);

/* Whether the request is of one that there is no room for; it is counted. */
int http_conns_refuses(struct evhttp_request *req);

/* A callback for its end, once for a connection. */
void http_conns_on_close(struct evhttp_connection *conn,
                         void (*cb)(struct evhttp_connection *, void *),
                         void *arg);

struct http_conns_count {
    int open, max;
    long long refused;
};
void http_conns_count(struct http_conns_count *count);

#endif
