#include "http.h"

#include "../base/util.h"
#include "http_conns.h"

#include <event2/buffer.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define ROUTES_MAX 32
#define TIMEOUT_S  60

struct http {
    struct evhttp *ev;
    void *ctx;
    int n;
    struct {
        const char *path;
        size_t len;
        http_handler *handler;
        int post;
    } routes[ROUTES_MAX];
};

static void release(const void *data, size_t len, void *arg) {
    (void)len;
    (void)arg;
    free((void *)(uintptr_t)data);
}

static void send_buffer(struct http_request *q, int code, const char *type,
                        struct evbuffer *body) {
    char length[24];

    snprintf(length, sizeof(length), "%zu", evbuffer_get_length(body));
    if (code != 304) http_set(q, "Content-Length", length);
    if (type) http_set(q, "Content-Type", type);
    http_set(q, "X-Content-Type-Options", "nosniff");
    struct evkeyvalq *h = evhttp_request_get_output_headers(q->ev);
    if (evhttp_find_header(h, "Cache-Control") == NULL)
        http_set(q, "Cache-Control", "no-store");
    if (evhttp_find_header(h, "Content-Security-Policy") == NULL)
        http_set(q, "Content-Security-Policy",
                 "default-src 'none'; frame-ancestors 'none'");

    if (evhttp_request_get_command(q->ev) == EVHTTP_REQ_HEAD)
        evbuffer_drain(body, evbuffer_get_length(body));
    evhttp_send_reply(q->ev, code, NULL, body);
    evbuffer_free(body);
}

void http_data(struct http_request *q, int code, const char *type, void *data,
               size_t len) {
    struct evbuffer *body = evbuffer_new();

    if (len)
        evbuffer_add_reference(body, data, len, release, NULL);
    else
        free(data);
    send_buffer(q, code, type, body);
}

void http_static(struct http_request *q, int code, const char *type,
                 const void *data, size_t len, http_sent *sent, void *arg) {
    struct evbuffer *body = evbuffer_new();

    if (len)
        evbuffer_add_reference(body, data, len, sent, arg);
    else if (sent)
        sent(data, len, arg);
    send_buffer(q, code, type, body);
}

void http_json(struct http_request *q, struct json *j) {
    json_newline(j);
    http_data(q, 200, "application/json", j->data, j->len);
    memset(j, 0, sizeof(*j));
}

void http_error(struct http_request *q, int code, const char *fmt, ...) {
    struct json j = {0};
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);

    json_begin(&j, '{');
    json_member(&j, "error");
    json_text(&j, text);
    json_end(&j, '}');
    json_newline(&j);
    http_data(q, code, "application/json", j.data, j.len);
}

const char *http_header(struct http_request *q, const char *name) {
    return evhttp_find_header(evhttp_request_get_input_headers(q->ev), name);
}

void http_set(struct http_request *q, const char *name, const char *value) {
    struct evkeyvalq *h = evhttp_request_get_output_headers(q->ev);

    evhttp_remove_header(h, name);
    evhttp_add_header(h, name, value);
}

const char *http_param(struct http_request *q, const char *name) {
    return evhttp_find_header(&q->params, name);
}

int http_int(struct http_request *q, const char *name, int64_t unset,
             int64_t min, int64_t max, int64_t *value) {
    const char *s = http_param(q, name);

    *value = unset;
    if (s == NULL || parse_number(s, min, max, value) == 0) return 0;
    http_error(q, 400, "%s must be a whole number from %lld to %lld", name,
               (long long)min, (long long)max);
    return -1;
}

int http_time(struct http_request *q, const char *name, int64_t unset,
              int64_t *value) {
    const char *s = http_param(q, name);

    *value = unset;
    if (s == NULL || parse_time(s, value) == 0) return 0;
    http_error(q, 400,
               "%s must be a time in ISO 8601 like 2026-11-22T20:00:00Z, a "
               "date, or seconds since 1970",
               name);
    return -1;
}

int http_text(struct http_request *q, const char *name, size_t max,
              const char **value) {
    *value = http_param(q, name);
    if (*value && **value == '\0') *value = NULL;
    if (*value == NULL || strlen(*value) <= max) return 0;
    http_error(q, 400, "%s must not be longer than %zu bytes", name, max);
    return -1;
}

/* As nginx does with its own POSTs; Origin is compared with Host there. */
static int is_cross_site(struct http_request *q) {
    const char *site = http_header(q, "Sec-Fetch-Site");

    return site && strcmp(site, "same-origin") != 0 &&
           strcmp(site, "none") != 0;
}

static void on_request(struct evhttp_request *ev, void *arg) {
    struct http *h = arg;
    struct http_request q = {.ev = ev, .ctx = h->ctx, .rest = ""};
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(ev);
    const char *query = uri ? evhttp_uri_get_query(uri) : NULL;
    http_handler *handler = NULL;
    int post = 0;

    q.path = uri ? evhttp_uri_get_path(uri) : NULL;
    if (q.path == NULL) q.path = "";
    TAILQ_INIT(&q.params);

    if (http_conns_refuses(ev)) {
        http_set(&q, "Connection", "close");
        http_set(&q, "Retry-After", "2");
        http_error(&q, 503, "too many connections are open already");
        return;
    }

    for (int i = 0; i < h->n && handler == NULL; i++) {
        size_t len = h->routes[i].len;

        if (strcmp(q.path, h->routes[i].path) == 0) {
            handler = h->routes[i].handler;
        } else if (h->routes[i].path[len - 1] == '/' &&
                   strncmp(q.path, h->routes[i].path, len) == 0) {
            handler = h->routes[i].handler;
            q.rest = q.path + len;
        }
        if (handler) post = h->routes[i].post;
    }

    enum evhttp_cmd_type cmd = evhttp_request_get_command(ev);
    if (handler == NULL) {
        http_error(&q, 404, "there is no such page");
    } else if (post && cmd != EVHTTP_REQ_POST) {
        http_set(&q, "Allow", "POST");
        http_error(&q, 405, "only POST is served here");
    } else if (post && is_cross_site(&q)) {
        http_error(&q, 403, "a page of another site may not do this");
    } else if (!post && cmd != EVHTTP_REQ_GET && cmd != EVHTTP_REQ_HEAD) {
        http_set(&q, "Allow", "GET, HEAD");
        http_error(&q, 405, "only GET and HEAD are served here");
    } else if (query && evhttp_parse_query_str(query, &q.params) != 0) {
        http_error(&q, 400, "the query string is malformed");
    } else {
        handler(&q);
    }
    evhttp_clear_headers(&q.params);
}

struct http *http_start(struct event_base *base, int fd, void *ctx, int max,
                        int refusals) {
    struct http *h = xcalloc(1, sizeof(*h));

    h->ctx = ctx;
    h->ev = evhttp_new(base);
    if (h->ev == NULL ||
        http_conns_start(base, h->ev, fd, max, refusals) != 0) {
        free(h);
        return NULL;
    }
    evhttp_set_max_headers_size(h->ev, 32768);
    evhttp_set_max_body_size(h->ev, 4096);
    evhttp_set_timeout(h->ev, TIMEOUT_S);
    evhttp_set_allowed_methods(
        h->ev, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST |
                   EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS |
                   EVHTTP_REQ_PATCH);
    evhttp_set_gencb(h->ev, on_request, h);
    return h;
}

static void add_route(struct http *h, const char *path, http_handler *handler,
                      int post) {
    if (h->n == ROUTES_MAX) abort();
    h->routes[h->n].path = path;
    h->routes[h->n].len = strlen(path);
    h->routes[h->n].handler = handler;
    h->routes[h->n].post = post;
    h->n++;
}

void http_route(struct http *h, const char *path, http_handler *handler) {
    add_route(h, path, handler, 0);
}

void http_route_post(struct http *h, const char *path, http_handler *handler) {
    add_route(h, path, handler, 1);
}

void http_free(struct http *h) {
    if (h == NULL) return;
    http_conns_stop();
    evhttp_free(h->ev);
    http_conns_free();
    free(h);
}
