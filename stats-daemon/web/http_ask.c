#include "http_ask.h"

#include "../base/util.h"
#include "http_conns.h"

#include <event2/bufferevent.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

struct pending {
    struct http_request q;
    http_asked *send;
    struct asking *asking;
    struct event *gone;
    int sent;
};

int http_takes_gzip(struct http_request *q) {
    const char *accept = http_header(q, "Accept-Encoding");

    return accept && strstr(accept, "gzip") != NULL;
}

static void on_sent(const void *data, size_t len, void *arg) {
    (void)data;
    (void)len;
    answer_release(arg);
}

void http_held(struct http_request *q, const struct answer *a, const void *data,
               size_t len) {
    http_static(q, 200, "application/json", data, len, on_sent,
                (void *)(uintptr_t)answer_hold(a));
}

void http_no_answer(struct http_request *q, const struct answer *a) {
    http_set(q, "Retry-After", "1");
    http_error(q, 503, "the ledger does not answer (%s): %s",
               store_word(a->result), a->error);
}

void http_answer(struct http_request *q, const struct answer *a) {
    if (a->result != STORE_OK) {
        http_no_answer(q, a);
        return;
    }
    http_set(q, "Vary", "Accept-Encoding");
    if (a->packed && http_takes_gzip(q)) {
        http_set(q, "Content-Encoding", "gzip");
        http_held(q, a, a->packed, a->packed_len);
    } else {
        http_held(q, a, a->j.data, a->j.len);
    }
}

/* ---- until there is an answer ---- */

static void pending_free(struct pending *p) {
    if (p->gone) event_free(p->gone);
    free(p);
}

/* Whoever ended the connection. */
static void on_close(struct evhttp_connection *conn, void *arg) {
    struct pending *p = arg;

    (void)conn;
    ask_leave(p->asking);
    /* a request that its connection has let go of is ours to free */
    if (evhttp_request_get_connection(p->q.ev) == NULL)
        evhttp_send_reply(p->q.ev, 503, NULL, NULL);
    pending_free(p);
}

/* evhttp does not read while it waits for us, so it does not notice. */
static void on_gone(evutil_socket_t fd, short what, void *arg) {
    struct pending *p = arg;
    struct pollfd look = {.fd = fd};

    (void)what;
    if (poll(&look, 1, 0) == 1 && (look.revents & (POLLHUP | POLLERR)))
        evhttp_connection_free(evhttp_request_get_connection(p->q.ev));
}

static void on_answer(void *arg, const struct answer *a) {
    struct pending *p = arg;
    struct evhttp_connection *conn = evhttp_request_get_connection(p->q.ev);

    p->sent = 1;
    if (p->gone) http_conns_on_close(conn, NULL, NULL);
    p->send(&p->q, a);
    if (p->gone) pending_free(p);
}

void http_ask(struct http_request *q, struct ask *k,
              const struct question *kind, const void *params, size_t len,
              http_asked *send) {
    struct pending *p = xcalloc(1, sizeof(*p));
    struct evhttp_connection *conn = evhttp_request_get_connection(q->ev);

    p->q.ev = q->ev;
    p->q.ctx = q->ctx;
    p->q.path = p->q.rest = "";
    TAILQ_INIT(&p->q.params);
    p->send = send ? send : http_answer;
    p->asking = ask(k, kind, params, len, kind->is_json && http_takes_gzip(q),
                    on_answer, p);
    if (p->sent) {
        pending_free(p);
        return;
    }

    struct bufferevent *bev = evhttp_connection_get_bufferevent(conn);

    p->gone = event_new(bufferevent_get_base(bev), bufferevent_getfd(bev),
                        EV_CLOSED, on_gone, p);
    event_add(p->gone, NULL);
    http_conns_on_close(conn, on_close, p);
}
