#include "http_conns.h"

#include "../base/accepting.h"
#include "../base/log.h"
#include "../base/trouble.h"
#include "../base/util.h"

#include <event2/bufferevent.h>
#include <stdlib.h>
#include <string.h>

/*
 * Bytes of one write. libevent's own 16 KB are a divisor of every usual
 * proxy_buffer_size: when nginx has read exactly what was there into exactly
 * what it had room for, it takes the socket to be readable still and sets no
 * timer (ngx_readv_chain(), up to 1.31). A worker that is told to quit then
 * sees nothing to wait for, and leaves in the midst of the answer. A prime
 * number never fits.
 */
#define WRITE_AT_MOST 65521

struct conn {
    struct conn *next, **prev;
    struct bufferevent *bev;        /* until it is known, then NULL */
    struct evhttp_connection *conn; /* when it is */
    int refused;
    void (*cb)(struct evhttp_connection *, void *);
    void *arg;
};

static struct {
    struct evconnlistener *listener;
    struct event *look;
    struct accepting accepting;
    struct conn *conns;
    int fresh; /* the first ones of the list are not known yet */
    int served, max;
    int nrefused; /* of those that are open */
    long long refused;
    struct trouble full;
} hc;

static void on_closed(struct evhttp_connection *conn, void *arg) {
    struct conn *c = arg;

    if (c->cb) c->cb(conn, c->arg);
    if (c->refused)
        hc.nrefused--;
    else
        hc.served--;
    *c->prev = c->next;
    if (c->next) c->next->prev = c->prev;
    free(c);
    if (hc.listener) accepting_closed(&hc.accepting);
}

static void on_look(evutil_socket_t fd, short what, void *arg) {
    static const struct timeval patience = {0, HTTP_CONNS_REFUSED_MS * 1000};

    (void)fd;
    (void)what;
    (void)arg;
    for (struct conn *c = hc.conns; hc.fresh; c = c->next, hc.fresh--) {
        void *of_evhttp = NULL;

        bufferevent_getcb(c->bev, NULL, NULL, NULL, &of_evhttp);
        c->conn = of_evhttp;
        c->bev = NULL;
        evhttp_connection_set_closecb(c->conn, on_closed, c);
        if (c->refused) evhttp_connection_set_timeout_tv(c->conn, &patience);
    }
}

static struct bufferevent *on_accept(struct event_base *base, void *arg) {
    struct conn *c = xcalloc(1, sizeof(*c));

    (void)arg;
    c->bev = bufferevent_socket_new(base, -1, 0);
    bufferevent_set_max_single_write(c->bev, WRITE_AT_MOST);
    c->refused = hc.served >= hc.max;
    if (c->refused)
        hc.nrefused++;
    else
        hc.served++;
    c->next = hc.conns;
    c->prev = &hc.conns;
    if (c->next) c->next->prev = &c->next;
    hc.conns = c;
    if (hc.fresh++ == 0) event_active(hc.look, 0, 0);
    accepting_opened(&hc.accepting);
    return c->bev;
}

static void on_error(struct evconnlistener *l, void *arg) {
    (void)l;
    (void)arg;
    accepting_failed(&hc.accepting, EVUTIL_SOCKET_ERROR());
}

static void turn(void *arg, int on) {
    (void)arg;
    if (on)
        evconnlistener_enable(hc.listener);
    else
        evconnlistener_disable(hc.listener);
}

int http_conns_start(struct event_base *base, struct evhttp *ev, int fd,
                     int max, int refusals) {
    memset(&hc, 0, sizeof(hc));
    hc.max = max;
    hc.full.level = LOG_WARN;
    hc.full.quiet_ms = 60000;
    hc.listener = evconnlistener_new(
        base, NULL, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
    if (hc.listener == NULL) return -1;
    evconnlistener_set_error_cb(hc.listener, on_error);
    if (evhttp_bind_listener(ev, hc.listener) == NULL) return -1;
    evhttp_set_bevcb(ev, on_accept, NULL);
    hc.look = event_new(base, -1, 0, on_look, NULL);
    accepting_start(&hc.accepting, base, "readers", max + refusals, turn, NULL);
    return 0;
}

void http_conns_stop(void) {
    if (hc.listener) accepting_stop(&hc.accepting);
    hc.listener = NULL; /* evhttp frees it */
}

void http_conns_free(void) {
    event_free(hc.look);
    hc.look = NULL;
}

static struct conn *find(const struct evhttp_connection *conn) {
    for (struct conn *c = hc.conns; c; c = c->next)
        if (c->conn == conn) return c;
    return NULL;
}

int http_conns_refuses(struct evhttp_request *req) {
    if (hc.nrefused == 0) return 0;

    const struct conn *c = find(evhttp_request_get_connection(req));
    if (c == NULL || !c->refused) return 0;
    hc.refused++;
    trouble_met(&hc.full,
                "readers are refused with 503: %d connections are open, as "
                "many as are served",
                hc.max);
    return 1;
}

void http_conns_on_close(struct evhttp_connection *conn,
                         void (*cb)(struct evhttp_connection *, void *),
                         void *arg) {
    struct conn *c = find(conn);

    if (c == NULL) return;
    c->cb = cb;
    c->arg = arg;
}

void http_conns_count(struct http_conns_count *count) {
    count->open = hc.served;
    count->max = hc.max;
    count->refused = hc.refused;
}
