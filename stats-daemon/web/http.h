/*
 * HTTP on a unix socket, behind nginx: a table of routes, parameters with
 * bounds, answers.
 *
 * Paths are compared as they came, byte by byte: "%2e", "//" and the like
 * match nothing.  A route that ends with '/' takes the rest of the path,
 * which its handler has to understand completely or refuse.
 *
 * Parameters.  http_int() and its kin return 0, or answer 400 with a sentence
 * and return -1, after which the handler only has to return.  What a handler
 * does not ask for is ignored.
 *
 * GET and HEAD are served, and POST where a route is for that, then only that.
 * Who may ask is nginx's business, and the socket's mode; that no page of
 * another site posts with the browser's password is seen to here.
 */

#ifndef STATSD_HTTP_H
#define STATSD_HTTP_H

#include "../base/json.h"

#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <stdint.h>

struct http;
struct http_request;

typedef void http_handler(struct http_request *q);

struct http_request {
    struct evhttp_request *ev;
    const char *path; /* as it came, without the query */
    const char *rest; /* behind the route's '/' */
    struct evkeyvalq params;
    void *ctx;
};

/* fd listens already; ctx is handed to every handler.  At most max connections
 * are served, and refusals more are told so (http_conns.h). */
struct http *http_start(struct event_base *base, int fd, void *ctx, int max,
                        int refusals);
void http_free(struct http *h);
void http_route(struct http *h, const char *path, http_handler *handler);
void http_route_post(struct http *h, const char *path, http_handler *handler);

/* NULL if it is not given. */
const char *http_param(struct http_request *q, const char *name);
int http_int(struct http_request *q, const char *name, int64_t unset,
             int64_t min, int64_t max, int64_t *value);
int http_time(struct http_request *q, const char *name, int64_t unset,
              int64_t *value);
int http_text(struct http_request *q, const char *name, size_t max,
              const char **value);

/* A request header, or NULL; a header of the answer. */
const char *http_header(struct http_request *q, const char *name);
void http_set(struct http_request *q, const char *name, const char *value);

/* Answers.  The JSON's memory goes with it. */
void http_json(struct http_request *q, struct json *j);
void http_error(struct http_request *q, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* data is freed with free() when it is sent. */
void http_data(struct http_request *q, int code, const char *type, void *data,
               size_t len);
/* data stays where it is; sent() is called when it is not needed any more. */
typedef void http_sent(const void *data, size_t len, void *arg);
void http_static(struct http_request *q, int code, const char *type,
                 const void *data, size_t len, http_sent *sent, void *arg);

#endif
