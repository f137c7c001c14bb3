/*
 * HTTP/1.1 over libevent's bufferevents: a strict reader of requests and a
 * writer of answers that can be slow, torn and cut on purpose.
 *
 * One request at a time is taken from a connection; what follows it waits in
 * the input. The reader takes Content-Length and chunked bodies up to 100 MB,
 * answers Expect: 100-continue, and refuses with 400 what a careful server has
 * to refuse: bare LF, folded or nameless headers, spaces before the colon, both
 * or differing lengths, no or several Host.
 *
 * When a request is complete, server_request() is called. Whoever answers fills
 * c->reply and calls conn_send(), now or later. Every server_request() is
 * followed by exactly one server_done(): sent is true when all of the reply has
 * been handed to the kernel, false if the client went away, the reply was cut
 * or there was none. c->app is for the one who answers.
 *
 * A connection is freed by the event loop's callbacks alone, after they have
 * called the functions of this header; so it may be used until one returns to
 * the loop.
 *
 * Writes go to the socket at once when nothing is in line before them, which
 * spares two system calls per answer; the rest is left to the bufferevent.
 */

#ifndef CLOUD_HTTP_H
#define CLOUD_HTTP_H

#include "buf.h"

#include <event2/event.h>
#include <stdbool.h>

#define HTTP_HEADERS_MAX 128

struct header {
    struct slice name, value;
};

struct request {
    struct buf head; /* all slices point into it */
    struct buf body;
    struct slice method, uri; /* uri as received */
    struct slice path, query; /* of uri, query without the ? */
    struct header headers[HTTP_HEADERS_MAX];
    unsigned nheaders;
    unsigned minor; /* HTTP/1.minor */
    bool keepalive;
};

enum framing { FRAMING_AUTO, FRAMING_LENGTH, FRAMING_CHUNKED, FRAMING_CLOSE };
enum cut { CUT_NONE, CUT_CLOSE, CUT_RESET };

/* The body of a reply is a row of events; ends[i] is where the i-th ends. What
 * is not marked is one event. */
struct reply {
    int status;
    const char *type; /* Content-Type, NULL for none */
    struct buf extra; /* more header lines, each with CR LF */
    bool own_length;  /* .. with a Content-Length of their own */
    struct buf body;
    size_t *ends;
    size_t nends, ends_cap;
    bool stream; /* FRAMING_AUTO is chunked, else by length */

    enum framing framing;
    bool http10;
    int64_t delay_ms; /* between events */
    int64_t body_ms;  /* between the headers and the body */
    struct buf trailers, interim; /* somebody else's: a rule's */
    size_t piece;     /* bytes a write, 0: all that is due */
    enum cut cut;
    size_t cut_at; /* bytes of the body before the cut */
};

struct conn {
    struct request request;
    struct reply reply;
    void *app;
    uint64_t id;        /* of the TCP connection, from 1 */
    unsigned nrequests; /* on it, this one included */

    /* what follows is the reader's and writer's own */
    struct bufferevent *bev;
    struct event *timer;
    void (*on_timer)(struct conn *c);
    int fd;
    int state;
    size_t want;
    bool expects;
    size_t sent, event;
    bool head_sent, chunked;
    struct buf out;
    struct conn *prev, *next;
};

/* The value of the header's first appearance, p == NULL if there is none;
 * count says how often it is there. */
struct slice request_header(const struct request *r, const char *name,
                            unsigned *count);

/* An argument of the query string, as it stands there. */
struct slice request_arg(const struct request *r, const char *name);

bool slice_is(struct slice s, const char *text);

/* For the writer of a reply's body: here ends an event. */
void reply_mark(struct reply *r);

void conn_send(struct conn *c);
void conn_drop(struct conn *c, bool reset);
void conn_later(struct conn *c, int64_t ms, void (*then)(struct conn *c));

struct server;

struct server *server_start(struct event_base *base, int port, int *bound);
void server_stop(struct server *s);

/* Given by whoever answers. */
void server_request(struct conn *c);
void server_done(struct conn *c, bool sent);
void server_forget(struct conn *c); /* the connection and c->app end */

#endif
