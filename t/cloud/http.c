#include "http.h"

#include "clock.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD_MAX       (64 * 1024)
#define BODY_MAX       ((size_t)100 * 1024 * 1024)
#define LINE_MAX_CHUNK 256
#define AHEAD_MAX      ((size_t)1024 * 1024) /* input behind a request */
#define KEEP_MAX       ((size_t)64 * 1024) /* memory an idle connection keeps */
#define SPARE_MAX      256                 /* connections kept for the next */
#define LINGER_MS      20

enum {
    READ_HEAD,
    READ_BODY,
    READ_CHUNK, /* its size line */
    READ_CHUNK_BODY,
    READ_CHUNK_END,
    READ_TRAILER,
    BUSY, /* server_request() has been called */
    SENDING,
    DRAINING, /* all is written, not all of it has left */
    REFUSED,  /* a 4xx of the reader is on its way */
    DEAD
};

struct server {
    struct evconnlistener *listener;
    struct event_base *base;
    struct conn *conns, *spare;
    unsigned nspare;
    uint64_t last_id;
};

static struct server the_server;

/* ---- reading ---- */

struct slice request_header(const struct request *r, const char *name,
                            unsigned *count) {
    struct slice found = {NULL, 0};
    unsigned i, n = 0;
    size_t len = strlen(name);

    for (i = 0; i < r->nheaders; i++) {
        if (r->headers[i].name.len != len ||
            strncasecmp(r->headers[i].name.p, name, len) != 0)
            continue;
        if (n++ == 0) found = r->headers[i].value;
    }
    if (count) *count = n;
    return found;
}

struct slice request_arg(const struct request *r, const char *name) {
    const char *p = r->query.p, *end = p + r->query.len, *next, *eq;

    for (; p < end; p = next + 1) {
        next = memchr(p, '&', end - p);
        if (next == NULL) next = end;
        eq = memchr(p, '=', next - p);
        if (eq && slice_is((struct slice){p, eq - p}, name))
            return (struct slice){eq + 1, next - eq - 1};
    }
    return (struct slice){NULL, 0};
}

bool slice_is(struct slice s, const char *text) {
    return s.len == strlen(text) &&
           (s.len == 0 || memcmp(s.p, text, s.len) == 0);
}

static bool is_token(struct slice s) {
    static const char marks[] = "!#$%&'*+-.^_`|~";
    size_t i;
    unsigned char c;

    for (i = 0; i < s.len; i++) {
        c = s.p[i];
        if ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') continue;
        if (c >= '0' && c <= '9') continue;
        if (c == '\0' || !strchr(marks, c)) return false;
    }
    return s.len > 0;
}

static bool parse_line(struct request *r, const char *p, const char *end) {
    const char *space, *mark;

    space = memchr(p, ' ', end - p);
    if (space == NULL) return false;
    r->method = (struct slice){p, space - p};
    p = space + 1;

    space = memchr(p, ' ', end - p);
    if (space == NULL || end - space != 9) return false;
    if (memcmp(space, " HTTP/1.", 8) != 0 ||
        (space[8] != '0' && space[8] != '1'))
        return false;
    r->minor = space[8] - '0';
    r->uri = (struct slice){p, space - p};

    if (!is_token(r->method) || r->uri.len == 0) return false;
    if (*p != '/' && !slice_is(r->uri, "*")) return false;
    for (; p < space; p++)
        if ((unsigned char)*p <= ' ' || *p == 0x7f) return false;

    mark = memchr(r->uri.p, '?', r->uri.len);
    r->path =
        (struct slice){r->uri.p, mark ? (size_t)(mark - r->uri.p) : r->uri.len};
    r->query =
        (struct slice){mark ? mark + 1 : space, mark ? space - mark - 1 : 0};
    return true;
}

static bool parse_header(struct request *r, const char *p, const char *end) {
    const char *colon = memchr(p, ':', end - p);
    struct header *h = &r->headers[r->nheaders];

    if (colon == NULL || r->nheaders == HTTP_HEADERS_MAX) return false;
    h->name = (struct slice){p, colon - p};
    if (!is_token(h->name)) return false;

    for (p = colon + 1; p < end && (*p == ' ' || *p == '\t'); p++) {
    }
    while (end > p && (end[-1] == ' ' || end[-1] == '\t')) end--;
    h->value = (struct slice){p, end - p};
    for (; p < end; p++)
        if (((unsigned char)*p < ' ' && *p != '\t') || *p == 0x7f) return false;

    r->nheaders++;
    return true;
}

static bool has_word(struct slice value, const char *word) {
    size_t i, len = strlen(word);

    for (i = 0; i + len <= value.len; i++)
        if (strncasecmp(value.p + i, word, len) == 0) return true;
    return false;
}

/* Fills want, and the state in which the body is read; 0 or a status. */
static int parse_body_size(struct conn *c) {
    struct request *r = &c->request;
    struct slice length, coding, value;
    unsigned nlength, ncoding, nhost, i;
    size_t n = 0;

    request_header(r, "host", &nhost);
    if (nhost > 1 || (nhost == 0 && r->minor == 1)) return 400;

    length = request_header(r, "content-length", &nlength);
    coding = request_header(r, "transfer-encoding", &ncoding);
    if (nlength > 1 || ncoding > 1 || (nlength && ncoding)) return 400;

    value = request_header(r, "connection", NULL);
    r->keepalive = r->minor == 1 ? !has_word(value, "close")
                                 : has_word(value, "keep-alive");

    value = request_header(r, "expect", NULL);
    c->expects = value.p && r->minor == 1;
    if (c->expects && !(value.len == 12 && has_word(value, "100-continue")))
        return 417;

    c->want = 0;
    c->state = READ_BODY;

    if (ncoding) {
        if (r->minor == 0) return 400;
        if (coding.len != 7 || !has_word(coding, "chunked")) return 501;
        c->state = READ_CHUNK;
    } else if (nlength) {
        if (length.len == 0 || length.len > 18) return 400;
        for (i = 0; i < length.len; i++) {
            if (length.p[i] < '0' || length.p[i] > '9') return 400;
            n = n * 10 + (length.p[i] - '0');
        }
        if (n > BODY_MAX) return 413;
        c->want = n;
    }
    return 0;
}

static int parse_head(struct conn *c) {
    struct request *r = &c->request;
    const char *p = r->head.p, *end = p + r->head.len - 2, *eol;
    bool first = true;

    r->nheaders = 0;
    for (; p < end; p = eol + 2, first = false) {
        eol = memchr(p, '\r', end - p + 1);
        if (eol == NULL || eol[1] != '\n' || memchr(p, '\n', eol - p))
            return 400;
        if (first ? !parse_line(r, p, eol) : !parse_header(r, p, eol))
            return 400;
    }
    return parse_body_size(c);
}

static void write_out(struct conn *c, const char *p, size_t len) {
    struct evbuffer *out = bufferevent_get_output(c->bev);
    ssize_t n = 0;

    if (evbuffer_get_length(out) == 0) {
        n = send(c->fd, p, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0) n = 0; /* an error will come to the bufferevent as well */
    }
    if ((size_t)n < len) evbuffer_add(out, p + n, len - n);
}

static bool is_drained(struct conn *c) {
    return evbuffer_get_length(bufferevent_get_output(c->bev)) == 0;
}

static const char *reason_of(int status) {
    switch (status) {
    case 200: return "OK";
    case 204: return "No Content";
    case 302: return "Found";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 402: return "Payment Required";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 410: return "Gone";
    case 411: return "Length Required";
    case 413: return "Request Entity Too Large";
    case 417: return "Expectation Failed";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    default: return "Status";
    }
}

static void refuse(struct conn *c, int status) {
    struct buf *out = &c->out;

    out->len = 0;
    buf_printf(
        out,
        "HTTP/1.1 %d %s\r\nDate: %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        status, reason_of(status), clock_http());
    write_out(c, out->p, out->len);
    c->state = REFUSED;
    conn_later(c, LINGER_MS, NULL);
}

/* The functions that read return true if they got on, so that process() calls
 * the next. */

static bool read_head(struct conn *c) {
    struct evbuffer *in = bufferevent_get_input(c->bev);
    struct evbuffer_ptr end;
    struct buf *head = &c->request.head;
    char start[2];
    int status;

    while (evbuffer_get_length(in) >= 2) { /* empty lines before a request */
        evbuffer_copyout(in, start, 2);
        if (memcmp(start, "\r\n", 2) != 0) break;
        evbuffer_drain(in, 2);
    }

    end = evbuffer_search(in, "\r\n\r\n", 4, NULL);
    if (end.pos < 0 || end.pos > HEAD_MAX) {
        if (evbuffer_get_length(in) > HEAD_MAX) refuse(c, 431);
        return false;
    }

    head->len = 0;
    buf_reserve(head, end.pos + 4);
    evbuffer_remove(in, head->p, end.pos + 4);
    head->len = end.pos + 4;
    c->request.body.len = 0;

    status = parse_head(c);
    if (status) {
        refuse(c, status);
        return false;
    }
    if (c->expects && evbuffer_get_length(in) == 0) {
        static const char go[] = "HTTP/1.1 100 Continue\r\n\r\n";
        write_out(c, go, sizeof(go) - 1);
    }
    return true;
}

/* Moves what is there of the want bytes; true when none is wanting. */
static bool take_body(struct conn *c) {
    struct evbuffer *in = bufferevent_get_input(c->bev);
    struct buf *body = &c->request.body;
    size_t n = evbuffer_get_length(in);

    if (n > c->want) n = c->want;
    if (n) {
        buf_reserve(body, n);
        evbuffer_remove(in, body->p + body->len, n);
        body->len += n;
        c->want -= n;
    }
    return c->want == 0;
}

static void begin(struct conn *c) {
    c->state = BUSY;
    c->nrequests++;
    server_request(c);
}

/* A line of a chunked body without its end; -1 if it is not there yet, -2 if it
 * is not right. */
static int read_line(struct conn *c, char line[LINE_MAX_CHUNK]) {
    struct evbuffer *in = bufferevent_get_input(c->bev);
    struct evbuffer_ptr end = evbuffer_search(in, "\r\n", 2, NULL);
    int len = end.pos;

    if (end.pos < 0) return evbuffer_get_length(in) >= LINE_MAX_CHUNK ? -2 : -1;
    if (end.pos >= LINE_MAX_CHUNK) return -2;
    evbuffer_remove(in, line, len);
    evbuffer_drain(in, 2);
    line[len] = '\0';
    return len;
}

static bool read_chunk_size(struct conn *c) {
    char line[LINE_MAX_CHUNK];
    int len = read_line(c, line);
    size_t digits;

    if (len == -1) return false;

    digits = len > 0 ? strspn(line, "0123456789abcdefABCDEF") : 0;
    if (digits == 0 || digits > 15 || (line[digits] && line[digits] != ';')) {
        refuse(c, 400);
        return false;
    }

    c->want = strtoull(line, NULL, 16);
    if (c->want > BODY_MAX - c->request.body.len) {
        refuse(c, 413);
        return false;
    }
    c->state = c->want ? READ_CHUNK_BODY : READ_TRAILER;
    return true;
}

static bool read_chunk_end(struct conn *c) {
    char line[LINE_MAX_CHUNK];
    int len = read_line(c, line);

    if (len == -1) return false;
    if (len != 0) {
        refuse(c, 400);
        return false;
    }
    c->state = READ_CHUNK;
    return true;
}

static bool read_trailer(struct conn *c) {
    char line[LINE_MAX_CHUNK];
    int len = read_line(c, line);

    if (len == -1) return false;
    if (len < 0) {
        refuse(c, 400);
        return false;
    }
    if (len == 0) begin(c);
    return true;
}

static bool step(struct conn *c) {
    switch (c->state) {
    case READ_HEAD: return read_head(c);
    case READ_BODY:
        if (!take_body(c)) return false;
        begin(c);
        return true;
    case READ_CHUNK: return read_chunk_size(c);
    case READ_CHUNK_BODY:
        if (!take_body(c)) return false;
        c->state = READ_CHUNK_END;
        return true;
    case READ_CHUNK_END: return read_chunk_end(c);
    case READ_TRAILER: return read_trailer(c);
    default: return false;
    }
}

static void process(struct conn *c) {
    struct evbuffer *in = bufferevent_get_input(c->bev);

    while (step(c)) {
    }

    if (c->state == REFUSED) evbuffer_drain(in, evbuffer_get_length(in));
    if (c->state >= BUSY && evbuffer_get_length(in) > AHEAD_MAX)
        conn_drop(c, false);
}

/* ---- writing ---- */

void reply_mark(struct reply *r) {
    if (r->nends == r->ends_cap) {
        r->ends_cap = r->ends_cap ? r->ends_cap * 2 : 32;
        r->ends = must(realloc(r->ends, r->ends_cap * sizeof(*r->ends)));
    }
    r->ends[r->nends++] = r->body.len;
}

static enum framing choose_framing(const struct conn *c) {
    const struct reply *r = &c->reply;
    enum framing framing = r->framing;

    if (framing == FRAMING_AUTO)
        framing = r->stream ? FRAMING_CHUNKED : FRAMING_LENGTH;
    if (framing == FRAMING_CHUNKED && c->request.minor == 0)
        framing = FRAMING_CLOSE;
    if (r->own_length) framing = FRAMING_CLOSE;
    return framing;
}

static void write_head(struct conn *c, struct buf *out) {
    struct reply *r = &c->reply;
    enum framing framing = choose_framing(c);

    if (r->status == 204 || r->status == 304) {
        framing = FRAMING_CLOSE;
        r->body.len = 0;
    } else if (framing == FRAMING_CLOSE || r->cut) {
        c->request.keepalive = false;
    }

    buf_add(out, r->interim.p, r->interim.len);
    buf_str(out, r->http10 ? "HTTP/1.0 " : "HTTP/1.1 ");
    buf_int(out, r->status);
    buf_char(out, ' ');
    buf_str(out, reason_of(r->status));
    buf_lit(out, "\r\n");
    if (r->type) {
        buf_lit(out, "content-type: ");
        buf_str(out, r->type);
        buf_lit(out, "\r\n");
    }
    if (framing == FRAMING_LENGTH) {
        buf_lit(out, "content-length: ");
        buf_int(out, r->body.len);
        buf_lit(out, "\r\n");
    } else if (framing == FRAMING_CHUNKED) {
        buf_lit(out, "transfer-encoding: chunked\r\n");
    }
    if (!c->request.keepalive) {
        buf_lit(out, "connection: close\r\n");
    } else if (c->request.minor == 0) {
        buf_lit(out, "connection: keep-alive\r\n");
    }
    buf_lit(out, "date: ");
    buf_str(out, clock_http());
    buf_lit(out, "\r\n");
    buf_add(out, r->extra.p, r->extra.len);
    buf_lit(out, "\r\n");

    c->chunked = framing == FRAMING_CHUNKED;
    if (slice_is(c->request.method, "HEAD")) {
        r->body.len = 0;
        c->chunked = false;
    }
}

static void write_body(struct conn *c, struct buf *out, size_t n) {
    static const char hex[] = "0123456789abcdef";
    char size[18], *p = size + sizeof(size);
    size_t u = n;

    if (n == 0) return;
    if (c->chunked) {
        *--p = '\n';
        *--p = '\r';
        do *--p = hex[u & 15];
        while (u >>= 4);
        buf_add(out, p, size + sizeof(size) - p);
    }
    buf_add(out, c->reply.body.p + c->sent, n);
    if (c->chunked) buf_lit(out, "\r\n");
    c->sent += n;
}

static void done(struct conn *c, bool sent) {
    bool keepalive = c->request.keepalive;

    c->state = BUSY;
    server_done(c, sent);

    buf_trim(&c->request.head, KEEP_MAX);
    buf_trim(&c->request.body, KEEP_MAX);
    buf_trim(&c->reply.body, KEEP_MAX);
    buf_trim(&c->reply.extra, KEEP_MAX);
    buf_trim(&c->out, KEEP_MAX);

    if (sent && keepalive) {
        c->state = READ_HEAD;
    } else if (sent) {
        /* Let what was sent arrive before the close, which could become a
         * reset if the client has sent more than was read. */
        shutdown(c->fd, SHUT_WR);
        c->state = REFUSED;
        conn_later(c, LINGER_MS, NULL);
    } else {
        c->state = DEAD;
    }
}

void conn_drop(struct conn *c, bool reset) {
    struct linger linger = {1, 0};

    if (reset)
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    evtimer_del(c->timer);
    if (c->state == BUSY || c->state == SENDING || c->state == DRAINING)
        done(c, false);
    c->state = DEAD;
}

static void cut(struct conn *c) {
    conn_drop(c, c->reply.cut == CUT_RESET);
}

/* Where the event that is being sent ends. */
static size_t event_end(struct conn *c, size_t limit) {
    const struct reply *r = &c->reply;

    while (c->event < r->nends && r->ends[c->event] <= c->sent) c->event++;
    return c->event < r->nends && r->ends[c->event] < limit ? r->ends[c->event]
                                                            : limit;
}

/* Writes what is due, and comes back when more is. */
static void advance(struct conn *c) {
    struct reply *r = &c->reply;
    struct buf *out = &c->out;
    size_t limit, end, n;

    if (!is_drained(c)) return; /* on_write() will call again */

    out->len = 0;
    if (!c->head_sent) {
        c->head_sent = true;
        write_head(c, out);
        if (r->piece || r->body_ms) {
            write_out(c, out->p, out->len);
            out->len = 0;
        }
        if (r->body_ms) {
            conn_later(c, r->body_ms, advance);
            return;
        }
    }
    limit = r->cut && r->cut_at < r->body.len ? r->cut_at : r->body.len;

    while (c->sent < limit) {
        end = r->piece && !r->delay_ms ? limit : event_end(c, limit);
        n = end - c->sent;
        if (r->piece && n > r->piece) n = r->piece;
        write_body(c, out, n);

        if ((r->piece || r->delay_ms) && c->sent < limit) {
            write_out(c, out->p, out->len);
            conn_later(c, c->sent == end ? r->delay_ms : 0, advance);
            return;
        }
    }

    if (c->chunked && !r->cut) {
        buf_lit(out, "0\r\n");
        buf_add(out, r->trailers.p, r->trailers.len);
        buf_lit(out, "\r\n");
    }
    if (out->len) write_out(c, out->p, out->len);

    c->state = DRAINING;
    if (!is_drained(c)) return;
    if (r->cut) {
        conn_later(c, LINGER_MS, cut);
    } else {
        done(c, true);
    }
}

void conn_send(struct conn *c) {
    c->state = SENDING;
    c->sent = 0;
    c->event = 0;
    c->head_sent = false;
    advance(c);
}

/* ---- the loop's callbacks ---- */

static void destroy(struct conn *c) {
    server_forget(c);
    event_free(c->timer);
    buf_free(&c->request.head);
    buf_free(&c->request.body);
    buf_free(&c->reply.body);
    buf_free(&c->reply.extra);
    buf_free(&c->out);
    free(c->reply.ends);
    free(c);
}

static void free_conn(struct conn *c) {
    struct server *s = &the_server;

    *(c->prev ? &c->prev->next : &s->conns) = c->next;
    if (c->next) c->next->prev = c->prev;
    bufferevent_free(c->bev);
    evtimer_del(c->timer);

    if (s->nspare < SPARE_MAX) {
        c->next = s->spare;
        s->spare = c;
        s->nspare++;
        return;
    }
    destroy(c);
}

static void settle(struct conn *c) {
    if (c->state == DEAD) free_conn(c);
}

static void on_read(struct bufferevent *bev, void *ctx) {
    (void)bev;
    process(ctx);
    settle(ctx);
}

static void on_write(struct bufferevent *bev, void *ctx) {
    struct conn *c = ctx;

    (void)bev;
    if (c->state == SENDING && !evtimer_pending(c->timer, NULL)) {
        advance(c);
    } else if (c->state == DRAINING && c->reply.cut) {
        conn_later(c, LINGER_MS, cut);
    } else if (c->state == DRAINING) {
        done(c, true);
    }
    process(c);
    settle(c);
}

static void on_event(struct bufferevent *bev, short what, void *ctx) {
    (void)bev;
    if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) conn_drop(ctx, false);
    settle(ctx);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx) {
    struct conn *c = ctx;
    void (*then)(struct conn *) = c->on_timer;

    (void)fd;
    (void)what;
    if (then) {
        then(c);
        process(c);
    } else {
        c->state = DEAD;
    }
    settle(c);
}

void conn_later(struct conn *c, int64_t ms, void (*then)(struct conn *c)) {
    struct timeval tv = {ms / 1000, ms % 1000 * 1000};

    c->on_timer = then;
    evtimer_add(c->timer, &tv);
}

static void on_accept(struct evconnlistener *l, evutil_socket_t fd,
                      struct sockaddr *addr, int len, void *ctx) {
    struct server *s = ctx;
    struct conn *c = s->spare;
    int one = 1;

    (void)l;
    (void)addr;
    (void)len;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));

    if (c) {
        s->spare = c->next;
        s->nspare--;
    } else {
        c = must(calloc(1, sizeof(*c)));
        c->timer = must(evtimer_new(s->base, on_timer, c));
    }

    c->fd = fd;
    c->id = ++s->last_id;
    c->nrequests = 0;
    c->state = READ_HEAD;
    c->bev = must(bufferevent_socket_new(s->base, fd, BEV_OPT_CLOSE_ON_FREE));
    c->prev = NULL;
    c->next = s->conns;
    if (c->next) c->next->prev = c;
    s->conns = c;

    bufferevent_setcb(c->bev, on_read, on_write, on_event, c);
    bufferevent_enable(c->bev, EV_READ | EV_WRITE);
}

/* Out of descriptors, say: those that are open go on. */
static void on_accept_error(struct evconnlistener *l, void *ctx) {
    (void)l;
    (void)ctx;
}

struct server *server_start(struct event_base *base, int port, int *bound) {
    struct server *s = &the_server;
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t len = sizeof(sin);

    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    s->base = base;
    s->listener = evconnlistener_new_bind(
        base, on_accept, s,
        LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE | LEV_OPT_CLOSE_ON_EXEC, 4096,
        (struct sockaddr *)&sin, sizeof(sin));
    if (s->listener == NULL) return NULL;

    evconnlistener_set_error_cb(s->listener, on_accept_error);
    getsockname(evconnlistener_get_fd(s->listener), (struct sockaddr *)&sin,
                &len);
    *bound = ntohs(sin.sin_port);
    return s;
}

void server_stop(struct server *s) {
    struct conn *c;

    evconnlistener_free(s->listener);
    while (s->conns) {
        conn_drop(s->conns, false);
        free_conn(s->conns);
    }
    while ((c = s->spare) != NULL) {
        s->spare = c->next;
        destroy(c);
    }
}
