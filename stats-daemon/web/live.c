#include "live.h"

#include "../base/log.h"
#include "../base/problems.h"
#include "../base/util.h"
#include "../base/version.h"
#include "health.h"
#include "http_conns.h"
#include "queries.h"
#include "running.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct client {
    struct client *next, **prev;
    struct evhttp_request *req;
    /* one that has come back, until it has what it has missed */
    struct evbuffer *missed; /* NULL: it hears what all hear */
    struct asking *asking;
    int64_t row, asked; /* it has them up to here; will have, with the answer */
    int64_t line;
};

static struct {
    struct api *api;
    struct event *tick;
    struct client *clients;
    int nclients;
    int64_t row, line;     /* the last ones that were told */
    struct asking *asking; /* for newer ones */
    int64_t sent;          /* when anything was, monotonic */
    int64_t second;        /* when keys and health were looked at, monotonic */
    int64_t listed;        /* when the running requests were told, monotonic */
    uint64_t shape, progress; /* of what was told of them */
    int long_list;            /* that one was */
    int uneven;               /* somebody has heard another list since */
    uint64_t figures;         /* hash of what makes health worth telling */
    uint64_t *key_hash; /* of what was last told of each key of the state */
    int nkeys;
} lv;

/* ---- events ---- */

static void put(struct evbuffer *out, const char *event, int64_t row,
                int64_t line, struct json *j) {
    evbuffer_add_printf(out,
                        "event: %s\nid: %" PRId64 ".%" PRId64 "\ndata: ", event,
                        row, line);
    evbuffer_add(out, j->data, j->len);
    evbuffer_add(out, "\n\n", 2);
    json_free(j);
}

static void put_hello(struct evbuffer *out) {
    struct json j = {0};

    json_begin(&j, '{');
    json_member(&j, "version");
    json_text(&j, STATSD_VERSION);
    json_member(&j, "demo");
    json_bool(&j, lv.api->state->demo);
    json_member(&j, "started");
    json_time(&j, lv.api->state->started, 1);
    json_member(&j, "time");
    json_time(&j, now_ms(), 1);
    json_member(&j, "last_id");
    json_int(&j, lv.row);
    json_end(&j, '}');
    evbuffer_add_printf(out, "retry: 2000\n");
    put(out, "hello", lv.row, lv.line, &j);
}

static void put_health(struct evbuffer *out) {
    struct json j = {0};

    health_json(&j, lv.api);
    put(out, "health", lv.row, lv.line, &j);
}

static int put_list(struct evbuffer *out) {
    struct json j = {0};
    int n = running_json(&j, lv.api->state, LIVE_RUNNING);

    put(out, "running", lv.row, lv.line, &j);
    return n;
}

/* What runs, soon after it is another, and how far it is once a second.  Long
 * lists, which are another each time under load, are told once a second. */
static void put_running(struct evbuffer *out, int64_t now) {
    int64_t since = now - lv.listed;

    if (since < (lv.long_list ? 1000 : LIVE_RUNNING_MS)) return;

    uint64_t shape = running_hash(lv.api->state, 0);
    uint64_t progress = running_hash(lv.api->state, 1);

    if (!lv.uneven) {
        if (progress == lv.progress) return;
        if (shape == lv.shape && since < 1000) return;
    }
    lv.uneven = 0;
    lv.shape = shape;
    lv.progress = progress;
    lv.listed = now;
    lv.long_list = put_list(out) > LIVE_RUNNING / 4;
}

/* ---- requests ---- */

struct rows_params {
    int64_t after, before;
    int limit;
};

enum { ROWS_NEWEST, ROWS_COUNT, ROWS_AFTER };

static void on_row(void *arg, const struct store_row *row) {
    struct answer *a = arg;

    if (row->id > a->n[ROWS_NEWEST]) a->n[ROWS_NEWEST] = row->id;
    a->n[ROWS_COUNT]++;
    queries_row(&a->j, row);
}

static enum store_result read_rows(struct store_reader *rd, const void *params,
                                   struct answer *a) {
    const struct rows_params *p = params;
    struct ledger_cursor after = {0, p->after};
    struct store_query q = {
        .after = after, .before.id = p->before, .limit = p->limit};

    a->n[ROWS_AFTER] = a->n[ROWS_NEWEST] = p->after;
    json_begin(&a->j, '[');
    enum store_result r = p->before
                              ? store_rows(rd, &q, on_row, a)
                              : store_changes(rd, after, p->limit, on_row, a);
    json_end(&a->j, ']');
    return r;
}

/* Requests after one and before another (0: any). */
static struct asking *ask_rows(int64_t after, int64_t before, int limit,
                               ask_cb *cb, void *arg) {
    static const struct question kind = {.read = read_rows};
    struct rows_params p;

    memset(&p, 0, sizeof(p));
    p.after = after;
    p.before = before;
    p.limit = limit;
    return ask(lv.api->ask, &kind, &p, sizeof(p), 0, cb, arg);
}

static void put_queries(struct evbuffer *out, const struct answer *a,
                        int64_t line) {
    struct json j = {0};

    if (a->n[ROWS_COUNT] == 0) return;
    json_begin(&j, '{');
    json_member(&j, "count");
    json_int(&j, a->n[ROWS_NEWEST] - a->n[ROWS_AFTER]);
    json_member(&j, "queries");
    json_raw(&j, a->j.data, a->j.len);
    json_end(&j, '}');
    put(out, "queries", a->n[ROWS_NEWEST], line, &j);
}

/* ---- lines ---- */

struct collect {
    struct json j;
    int64_t newest;
    int n;
};

static void on_line(void *arg, const struct log_line *line) {
    struct collect *c = arg;

    if (line->id > c->newest) c->newest = line->id;
    c->n++;
    api_log(&c->j, line);
}

static int64_t put_logs(struct evbuffer *out, int64_t after, int limit) {
    struct collect c = {.newest = after};

    json_begin(&c.j, '[');
    log_each(LOG_DEBUG, after, limit, on_line, &c);
    json_end(&c.j, ']');
    if (c.n)
        put(out, "logs", lv.row, c.newest, &c.j);
    else
        json_free(&c.j);
    return c.newest;
}

static uint64_t key_hash(const struct state_key *k) {
    struct state_key copy = *k;

    copy.seen = 0;
    copy.teller = 0;
    return hash_bytes(&copy, sizeof(copy));
}

/* Keys whose figures are others than last time, or, at a client's beginning,
 * all. */
static void put_keys(struct evbuffer *out, int all) {
    const struct state *s = lv.api->state;
    struct json j = {0};
    int n = 0;

    if (lv.nkeys < s->nkeys) {
        lv.key_hash =
            xrealloc(lv.key_hash, (size_t)s->nkeys * sizeof(*lv.key_hash));
        memset(lv.key_hash + lv.nkeys, 0,
               (size_t)(s->nkeys - lv.nkeys) * sizeof(*lv.key_hash));
        lv.nkeys = s->nkeys;
    }
    json_begin(&j, '[');
    for (int i = 0; i < s->nkeys && n < LIVE_KEYS; i++) {
        const struct state_key *k = &s->keys[i];
        uint64_t hash = all ? 0 : key_hash(k);

        if (k->index < 0 || (!all && hash == lv.key_hash[i])) continue;
        if (!all) lv.key_hash[i] = hash;
        api_key(&j, k);
        n++;
    }
    json_end(&j, ']');
    if (n || all)
        put(out, "keys", lv.row, lv.line, &j);
    else
        json_free(&j);
}

/* What an operator wants to see move at once; the rest of the health moves
 * all the time and goes along. */
static uint64_t figures(void) {
    struct writer_status w;
    int64_t f[9] = {0};

    writer_status(lv.api->writer, &w);
    for (struct state_proxy *p = lv.api->state->proxies; p; p = p->next) {
        if (p->connections == 0) continue;
        f[0]++;
        f[1] += p->outbox.running;
        f[2] += p->outbox.waiting;
        f[3] += (int64_t)(p->outbox.dropped_records + p->outbox.dropped_bodies);
    }
    f[4] = lv.row;
    f[5] = w.result;
    f[6] = w.cloud.failure;
    f[7] = w.cloud.status;
    f[8] = problems_version();
    return hash_bytes(f, sizeof(f));
}

/* ---- clients ---- */

static void client_send(struct client *c, struct evbuffer *out) {
    struct evhttp_connection *conn = evhttp_request_get_connection(c->req);
    struct bufferevent *bev = evhttp_connection_get_bufferevent(conn);

    if (evbuffer_get_length(bufferevent_get_output(bev)) > LIVE_PENDING) {
        log_msg(LOG_INFO, "events: a listener who does not read is dropped");
        evhttp_connection_free(conn);
        return;
    }

    struct evbuffer *copy = evbuffer_new();
    evbuffer_add_buffer_reference(copy, out);
    evhttp_send_reply_chunk(c->req, copy);
    evbuffer_free(copy);
}

static void client_send_all(struct evbuffer *out) {
    struct client *next;

    for (struct client *c = lv.clients; c; c = next) {
        next = c->next;
        if (c->missed == NULL) client_send(c, out);
    }
}

static void on_rows(void *arg, const struct answer *a) {
    struct evbuffer *out = evbuffer_new();

    (void)arg;
    lv.asking = NULL;
    if (a->result == STORE_OK && a->n[ROWS_NEWEST] > lv.row) {
        put_queries(out, a, lv.line);
        lv.row = a->n[ROWS_NEWEST];
        lv.sent = mono_ms();
        client_send_all(out);
    }
    evbuffer_free(out);
}

static void on_tick(evutil_socket_t fd, short what, void *arg) {
    int64_t now = mono_ms(), row = store_horizon(lv.api->store).id;
    int beat = now - lv.sent >= LIVE_BEAT_MS;
    struct evbuffer *out = evbuffer_new();

    (void)fd;
    (void)what;
    (void)arg;

    if (beat) evbuffer_add_printf(out, ": heartbeat\n");
    if (row < lv.row) lv.row = row; /* another ledger */
    if (log_last() > lv.line) lv.line = put_logs(out, lv.line, LIVE_LINES);
    put_running(out, now);
    if (now - lv.second >= 1000 || beat) {
        uint64_t f = figures();

        lv.second = now;
        put_keys(out, 0);
        if (f != lv.figures || beat) put_health(out);
        lv.figures = f;
    }

    if (evbuffer_get_length(out)) {
        lv.sent = now;
        client_send_all(out);
    }
    evbuffer_free(out);
    if (row > lv.row && lv.asking == NULL)
        lv.asking = ask_rows(lv.row, 0, LIVE_ROWS, on_rows, NULL);
}

/* Whoever ends it: the browser, a timeout, client_send(), http_free(). */
static void on_close(struct evhttp_connection *conn, void *arg) {
    struct client *c = arg;

    (void)conn;
    *c->prev = c->next;
    if (c->next) c->next->prev = c->prev;
    lv.api->state->streams = --lv.nclients;
    if (lv.nclients == 0) {
        if (lv.tick) event_del(lv.tick);
        if (lv.asking) ask_leave(lv.asking);
        lv.asking = NULL;
    }
    if (c->asking) ask_leave(c->asking);
    if (c->missed) evbuffer_free(c->missed);
    /* a request that its connection has let go of is ours to free */
    if (evhttp_request_get_connection(c->req) == NULL)
        evhttp_send_reply_end(c->req);
    free(c);
}

static struct client *client_add(struct evhttp_request *req) {
    static const struct timeval period = {0, LIVE_TICK_MS * 1000},
                                stall = {LIVE_STALL_S, 0};
    struct evhttp_connection *conn = evhttp_request_get_connection(req);
    struct client *c = xcalloc(1, sizeof(*c));

    if (lv.nclients++ == 0) {
        lv.row = store_horizon(lv.api->store).id;
        lv.line = log_last();
        lv.sent = lv.second = mono_ms();
        event_add(lv.tick, &period);
    }
    lv.api->state->streams = lv.nclients;
    c->req = req;
    c->next = lv.clients;
    c->prev = &lv.clients;
    if (c->next) c->next->prev = &c->next;
    lv.clients = c;
    http_conns_on_close(conn, on_close, c);
    bufferevent_set_timeouts(evhttp_connection_get_bufferevent(conn), NULL,
                             &stall);
    return c;
}

/* From now on it hears what all hear. */
static void client_begin(struct client *c) {
    struct evbuffer *out = evbuffer_new();

    put_hello(out);
    put_health(out);
    put_keys(out, 1);
    put_list(out);
    lv.uneven = 1;
    evbuffer_add_buffer(out, c->missed);
    evbuffer_free(c->missed);
    c->missed = NULL;
    if (c->line < lv.line) put_logs(out, c->line, LIVE_RESUME);
    client_send(c, out);
    evbuffer_free(out);
}

static void client_resume(struct client *c);

static void on_missed(void *arg, const struct answer *a) {
    struct client *c = arg;

    c->asking = NULL;
    if (a->result == STORE_OK) put_queries(c->missed, a, c->line);
    c->row = c->asked;
    client_resume(c);
}

/* All have heard more while it was asked for: once more. */
static void client_resume(struct client *c) {
    if (c->row >= lv.row) {
        client_begin(c);
        return;
    }
    c->asked = lv.row;

    /* on_missed() may be called here */
    struct asking *asking =
        ask_rows(c->row, lv.row + 1, LIVE_RESUME, on_missed, c);
    if (asking) c->asking = asking;
}

/* Questions need connections, too, where there are few. */
static int clients_max(void) {
    struct http_conns_count count;

    http_conns_count(&count);
    return count.max / 2 < LIVE_CLIENTS ? count.max / 2 : LIVE_CLIENTS;
}

/* "12.34" */
static int parse_last(const char *s, int64_t *row, int64_t *line) {
    char digits[24];
    size_t n = strspn(s, "0123456789");

    if (s[n] != '.' || n == 0 || n >= sizeof(digits)) return -1;
    memcpy(digits, s, n);
    digits[n] = '\0';
    return parse_number(digits, 0, INT64_MAX, row) ||
                   parse_number(s + n + 1, 0, INT64_MAX, line)
               ? -1
               : 0;
}

static void events(struct http_request *q) {
    const char *last = http_header(q, "Last-Event-ID");
    int64_t row = -1, line = -1;

    if (last == NULL && http_text(q, "last", 48, &last) != 0) return;
    if (last && parse_last(last, &row, &line) != 0) {
        http_error(q, 400, "Last-Event-ID is not the id of an event here");
        return;
    }
    http_set(q, "X-Accel-Buffering", "no");
    if (evhttp_request_get_command(q->ev) == EVHTTP_REQ_HEAD) {
        http_data(q, 200, "text/event-stream", NULL, 0);
        return;
    }
    if (lv.nclients >= clients_max()) {
        http_set(q, "Retry-After", "5");
        http_set(q, "Connection", "close");
        http_error(q, 503, "%d pages are listening already", lv.nclients);
        return;
    }
    http_set(q, "Content-Type", "text/event-stream");
    http_set(q, "Cache-Control", "no-store");
    http_set(q, "X-Content-Type-Options", "nosniff");
    http_set(q, "Content-Security-Policy",
             "default-src 'none'; frame-ancestors 'none'");
    evhttp_send_reply_start(q->ev, 200, NULL);

    struct client *c = client_add(q->ev);

    c->row = lv.row;
    c->line = lv.line;
    if (last) {
        c->row = row;
        /* lines are numbered anew by each daemon, requests are not */
        c->line = line > lv.line ? 0 : line;
    }
    c->missed = evbuffer_new();
    client_resume(c);
}

void live_start(struct event_base *base, struct api *api) {
    lv.api = api;
    lv.tick = event_new(base, -1, EV_PERSIST, on_tick, NULL);
}

void live_routes(struct http *h) {
    http_route(h, "/events", events);
}

void live_stop(void) {
    event_free(lv.tick);
    lv.tick = NULL;
    free(lv.key_hash);
    lv.key_hash = NULL;
    lv.nkeys = 0;
}
