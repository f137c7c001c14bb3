/*
 * load [options] PORT: many requests over a few kept connections.
 *
 *     -c N        connections (16)
 *     -n N        requests in all (1000)
 *     -u PATH     an endpoint; several take turns (/api/chat)
 *     -s PERCENT  of the requests stream (0)
 *     -b BYTES    of prompt (1024)
 *     -w WORDS    of answer (8)
 *     -d MS       before each word of a stream, done by the simulator (0)
 *     -m MODEL    the model's name (gpt-oss:20b)
 *     -t TOKEN    Authorization: Bearer TOKEN
 *     -T SECONDS  after which an answer is given up (30)
 *     -g FILE     stops early when this file is there
 *     -f FILE     made when the first byte of N answers has come
 *
 * Prints one JSON object when all is done:
 *
 *     requests    that were to be made, and have been
 *     ok          answered with 200, whole to the last byte
 *     statuses    how often each came
 *     refused     connections that were refused
 *     lost        the connection ended before or in an answer
 *     late        given up
 *     stale       a kept connection turned out to be closed when a request was
 *                 sent, not a byte came back, and the request was made again:
 *                 any client of HTTP has to (RFC 9112, 9.3.1), and nginx closes
 *                 idle connections when it is reloaded. No failure.
 *     seconds, rate, bytes; p50, p90, p99, max: microseconds to the last byte;
 *     first_p50, first_p99: to the first
 *
 * One thread, epoll. Answers are read and not kept: what matters is that they
 * are HTTP and whole.
 */

#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PATHS_MAX 16
#define HEAD_MAX  16384
#define READ_SIZE 65536

enum step { IDLE, CONNECTING, SENDING, HEAD, BODY };
enum framing { BY_LENGTH, BY_CHUNKS, BY_CLOSE };

/* Where in a chunked body we are. */
enum chunk { SIZE, SIZE_REST, DATA, DATA_CR, DATA_LF, TRAILER, TRAILER_REST };

struct text {
    char *p;
    size_t len;
};

struct conn {
    int fd;
    enum step step;
    int used; /* an answer has come over it */

    const struct text *request;
    size_t sent;
    int64_t began, first;
    int resent;

    char head[HEAD_MAX];
    size_t head_len;
    int status, closes;
    enum framing framing;
    enum chunk chunk;
    uint64_t left;
    int digits;
};

static int port, nconns = 16, percent, words = 8, delay;
static int64_t nrequests = 1000, timeout_us = 30 * 1000000LL;
static size_t prompt_bytes = 1024;
static const char *paths[PATHS_MAX], *model = "gpt-oss:20b", *token, *gate, *flag;
static int npaths;

static struct text requests[PATHS_MAX][2]; /* plain, streaming */
static struct conn *conns;
static int ep;

static int64_t begun, answered, finished;
static int64_t ok, refused, lost, late, stale, bytes;
static int64_t statuses[1000];
static uint32_t *latencies, *firsts;

static int64_t now_us(void) {
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void *must(void *p) {
    if (p == NULL) die("malloc");
    return p;
}

/* ---- requests ---- */

static void append(struct text *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void append(struct text *t, const char *fmt, ...) {
    va_list ap;
    char *more;
    int n;

    va_start(ap, fmt);
    n = vasprintf(&more, fmt, ap);
    va_end(ap);
    if (n < 0) die("malloc");
    t->p = must(realloc(t->p, t->len + (size_t)n + 1));
    memcpy(t->p + t->len, more, (size_t)n + 1);
    t->len += (size_t)n;
    free(more);
}

static int ends_with(const char *s, const char *end) {
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

static struct text make_request(const char *path, int stream) {
    struct text body = {0}, all = {0};
    char *prompt = must(malloc(prompt_bytes + 1));

    memset(prompt, 'p', prompt_bytes);
    prompt[prompt_bytes] = '\0';

    append(&body, "{\"model\":\"%s\",\"stream\":%s,\"max_tokens\":%d,", model,
           stream ? "true" : "false", words + 1);
    if (ends_with(path, "/generate") || ends_with(path, "/v1/completions"))
        append(&body, "\"prompt\":\"%s\"", prompt);
    else if (ends_with(path, "/responses"))
        append(&body, "\"input\":\"%s\"", prompt);
    else
        append(&body, "\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]",
               prompt);
    append(&body, ",\"_sim\":{\"words\":%d", words);
    if (delay && stream) append(&body, ",\"delay_ms\":%d", delay);
    append(&body, "}}");

    append(&all, "POST %s HTTP/1.1\r\nHost: localhost:%d\r\n", path, port);
    if (token) append(&all, "Authorization: Bearer %s\r\n", token);
    append(&all,
           "User-Agent: load\r\nAccept: */*\r\n"
           "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
           body.len);
    append(&all, "%s", body.p);

    free(body.p);
    free(prompt);
    return all;
}

static const struct text *next_request(void) {
    int64_t i = begun++;

    return &requests[i % npaths][i / npaths % 100 < percent];
}

/* ---- connections ---- */

static void start(struct conn *c);

static void watch(struct conn *c, int op, uint32_t events) {
    struct epoll_event ev = {.events = events, .data.ptr = c};

    if (epoll_ctl(ep, op, c->fd, &ev) != 0) die("epoll_ctl");
}

static void drop(struct conn *c) {
    if (c->fd >= 0) close(c->fd);
    c->fd = -1;
    c->used = 0;
}

static void dial(struct conn *c) {
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) die("socket");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    c->used = 0;
    c->step = CONNECTING;
    if (connect(c->fd, (struct sockaddr *)&to, sizeof(to)) != 0 &&
        errno != EINPROGRESS)
        die("connect");
    watch(c, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT | EPOLLRDHUP);
}

static void next(struct conn *c) {
    c->step = IDLE;
    c->request = NULL;
    if (begun >= nrequests) return;
    c->request = next_request();
    c->began = now_us();
    c->resent = 0;
    start(c);
}

/* The request is over, without an answer that counts. */
static void fail(struct conn *c, int64_t *reason) {
    (*reason)++;
    finished++;
    drop(c);
    next(c);
}

/* Nobody knows whether a request that was sent over a kept connection has
 * reached anyone if that connection was being closed at the same time. */
static void gone(struct conn *c) {
    int again = c->used && c->head_len == 0 && c->step <= HEAD;

    if (c->step == IDLE) {
        drop(c);
    } else if (c->step == CONNECTING) {
        fail(c, &refused);
    } else if (again && c->resent++ < 3) {
        stale++;
        drop(c);
        start(c);
    } else {
        fail(c, &lost);
    }
}

static void done(struct conn *c) {
    int64_t now = now_us();

    latencies[finished] = (uint32_t)(now - c->began);
    firsts[finished] = (uint32_t)(c->first - c->began);
    finished++;
    statuses[c->status]++;
    if (c->status == 200) ok++;
    c->used = 1;
    if (c->closes) drop(c);
    next(c);
}

static void send_some(struct conn *c) {
    ssize_t n;

    while (c->sent < c->request->len) {
        n = send(c->fd, c->request->p + c->sent, c->request->len - c->sent,
                 MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT | EPOLLRDHUP);
            return;
        }
        if (n < 0) return; /* what was said before is still to be read */
        c->sent += (size_t)n;
    }
    c->step = HEAD;
    watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLRDHUP);
}

static void start(struct conn *c) {
    c->sent = 0;
    c->head_len = 0;
    c->status = 0;
    c->closes = 0;
    c->first = 0;
    if (c->fd < 0) {
        dial(c);
        return;
    }
    c->step = SENDING;
    send_some(c);
}

/* ---- answers ---- */

static const char *field(const char *head, const char *name) {
    size_t n = strlen(name);
    const char *line;

    for (line = strstr(head, "\r\n"); line; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, n) == 0 && line[n] == ':')
            return line + n + 1 + strspn(line + n + 1, " ");
    }
    return NULL;
}

/* 0: the header is not whole yet, -1: it is no HTTP. */
static int read_head(struct conn *c) {
    const char *value;
    char *end;

    c->head[c->head_len] = '\0';
    end = strstr(c->head, "\r\n\r\n");
    if (end == NULL) return c->head_len == HEAD_MAX - 1 ? -1 : 0;
    end[2] = '\0';

    if (sscanf(c->head, "HTTP/1.%*1d %3d", &c->status) != 1 ||
        c->status < 200 || c->status > 999)
        return -1;

    value = field(c->head, "connection");
    c->closes = value && strncasecmp(value, "close", 5) == 0;
    c->chunk = SIZE;
    c->digits = 0;
    c->left = 0;
    if ((value = field(c->head, "transfer-encoding"))) {
        c->framing = BY_CHUNKS;
    } else if ((value = field(c->head, "content-length"))) {
        c->framing = BY_LENGTH;
        c->left = strtoull(value, NULL, 10);
    } else {
        c->framing = BY_CLOSE;
        c->closes = 1;
    }
    c->step = BODY;
    return (int)(end - c->head) + 4;
}

static int hex(char ch) {
    if (ch >= '0' && ch <= '9') return ch - '0';
    ch |= 0x20;
    return ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : -1;
}

/* 1: the body is whole, 0: more is to come, -1: no chunks */
static int read_chunks(struct conn *c, const char *p, size_t n) {
    const char *end = p + n;
    size_t part;

    while (p < end) {
        switch (c->chunk) {
        case SIZE:
            if (hex(*p) >= 0 && c->digits < 12) {
                c->left = c->left << 4 | (unsigned)hex(*p++);
                c->digits++;
                break;
            }
            if (c->digits == 0) return -1;
            c->chunk = SIZE_REST;
            break;
        case SIZE_REST:
            if (*p++ == '\n') c->chunk = c->left ? DATA : TRAILER;
            break;
        case DATA:
            part = (size_t)(end - p);
            if (part > c->left) part = c->left;
            p += part;
            c->left -= part;
            if (c->left == 0) c->chunk = DATA_CR;
            break;
        case DATA_CR:
            if (*p++ != '\r') return -1;
            c->chunk = DATA_LF;
            break;
        case DATA_LF:
            if (*p++ != '\n') return -1;
            c->chunk = SIZE;
            c->digits = 0;
            break;
        case TRAILER:
            if (*p == '\n') return p + 1 == end ? 1 : -1;
            if (*p++ != '\r') c->chunk = TRAILER_REST;
            break;
        case TRAILER_REST:
            if (*p++ == '\n') c->chunk = TRAILER;
            break;
        }
    }
    return 0;
}

static int read_body(struct conn *c, const char *p, size_t n) {
    bytes += (int64_t)n;
    if (c->framing == BY_CHUNKS) return read_chunks(c, p, n);
    if (c->framing == BY_CLOSE) return 0;
    if (n > c->left) return -1;
    c->left -= n;
    return c->left == 0;
}

static void raise_flag(void) {
    int fd = open(flag, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0) die(flag);
    close(fd);
}

static void heard(struct conn *c, const char *p, size_t n) {
    int r, before;
    size_t room;

    if (c->step == IDLE || c->step == CONNECTING) { /* nobody was asked */
        fail(c, &lost);
        return;
    }
    if (c->first == 0) {
        c->first = now_us();
        if (++answered == nrequests && flag) raise_flag();
    }
    if (c->step != BODY) {
        before = (int)c->head_len;
        room = HEAD_MAX - 1 - c->head_len;
        if (room > n) room = n;
        memcpy(c->head + c->head_len, p, room);
        c->head_len += room;
        r = read_head(c);
        if (r < 0) {
            fail(c, &lost);
            return;
        }
        if (r == 0) return;
        p += r - before;
        n -= (size_t)(r - before);
    }
    r = read_body(c, p, n);
    if (r < 0)
        fail(c, &lost);
    else if (r > 0)
        done(c);
}

static void readable(struct conn *c) {
    static char buf[READ_SIZE];
    int fd = c->fd;
    ssize_t n;

    /* heard() may have begun the next request, on a new connection, too */
    while (c->fd == fd) {
        n = read(fd, buf, sizeof(buf));
        if (n > 0) {
            heard(c, buf, (size_t)n);
            if ((size_t)n < sizeof(buf)) return;
            continue;
        }
        if (n < 0 && errno == EAGAIN) return;
        if (n == 0 && c->step == BODY && c->framing == BY_CLOSE)
            done(c);
        else
            gone(c);
        return;
    }
}

static void ready(struct conn *c, uint32_t events) {
    int error = 0;
    socklen_t len = sizeof(error);

    if (c->fd < 0) return;
    if (c->step == CONNECTING) {
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len);
        if (error) {
            gone(c);
            return;
        }
        if (!(events & EPOLLOUT)) return;
        c->step = SENDING;
    }
    if ((events & EPOLLOUT) && c->step == SENDING) send_some(c);
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) readable(c);
}

/* ---- the whole ---- */

static int by_size(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static uint32_t quantile(const uint32_t *sorted, int64_t n, double q) {
    return n ? sorted[(int64_t)((double)(n - 1) * q)] : 0;
}

/* Those that failed have left a 0 behind: they go to the front. */
static int64_t sort(uint32_t **list) {
    int64_t zeros = 0;

    qsort(*list, (size_t)finished, sizeof(**list), by_size);
    while (zeros < finished && (*list)[zeros] == 0) zeros++;
    *list += zeros;
    return finished - zeros;
}

static void report(double seconds) {
    const char *comma = "";
    int64_t n, m;
    int i;

    n = sort(&latencies);
    m = sort(&firsts);
    printf("{\"requests\":%" PRId64 ",\"ok\":%" PRId64 ",\"statuses\":{",
           finished, ok);
    for (i = 0; i < 1000; i++) {
        if (statuses[i] == 0) continue;
        printf("%s\"%d\":%" PRId64, comma, i, statuses[i]);
        comma = ",";
    }
    printf("},\"refused\":%" PRId64 ",\"lost\":%" PRId64 ",\"late\":%" PRId64
           ",\"stale\":%" PRId64 ",\"seconds\":%.3f,\"rate\":%.0f,"
           "\"bytes\":%" PRId64,
           refused, lost, late, stale, seconds, (double)finished / seconds,
           bytes);
    printf(",\"p50\":%u,\"p90\":%u,\"p99\":%u,\"max\":%u",
           quantile(latencies, n, 0.5), quantile(latencies, n, 0.9),
           quantile(latencies, n, 0.99), quantile(latencies, n, 1));
    printf(",\"first_p50\":%u,\"first_p99\":%u}\n", quantile(firsts, m, 0.5),
           quantile(firsts, m, 0.99));
}

static void give_up_late(void) {
    int64_t now = now_us();
    int i;

    for (i = 0; i < nconns; i++)
        if (conns[i].step != IDLE && now - conns[i].began > timeout_us)
            fail(&conns[i], &late);
}

static void usage(void) {
    fprintf(stderr, "usage: load [-c connections] [-n requests] [-u path].. "
                    "[-s percent] [-b bytes]\n            [-w words] [-d ms] "
                    "[-m model] [-t token] [-T seconds] [-g file]\n            "
                    "[-f file] port\n");
    exit(2);
}

static void options(int argc, char **argv) {
    int o;

    while ((o = getopt(argc, argv, "c:n:u:s:b:w:d:m:t:T:g:f:")) != -1) {
        switch (o) {
        case 'c': nconns = atoi(optarg); break;
        case 'n': nrequests = atoll(optarg); break;
        case 'u':
            if (npaths == PATHS_MAX) usage();
            paths[npaths++] = optarg;
            break;
        case 's': percent = atoi(optarg); break;
        case 'b': prompt_bytes = (size_t)atoll(optarg); break;
        case 'w': words = atoi(optarg); break;
        case 'd': delay = atoi(optarg); break;
        case 'm': model = optarg; break;
        case 't': token = optarg; break;
        case 'T': timeout_us = atoll(optarg) * 1000000; break;
        case 'g': gate = optarg; break;
        case 'f': flag = optarg; break;
        default: usage();
        }
    }
    if (optind + 1 != argc || nconns < 1 || nrequests < 1) usage();
    port = atoi(argv[optind]);
    if (port < 1 || port > 65535) usage();
    if (npaths == 0) paths[npaths++] = "/api/chat";
}

int main(int argc, char **argv) {
    struct epoll_event events[256];
    int64_t from, looked;
    int i, n;

    options(argc, argv);
    for (i = 0; i < npaths; i++) {
        requests[i][0] = make_request(paths[i], 0);
        requests[i][1] = make_request(paths[i], 1);
    }
    conns = must(calloc((size_t)nconns, sizeof(*conns)));
    latencies = must(calloc((size_t)nrequests, sizeof(*latencies)));
    firsts = must(calloc((size_t)nrequests, sizeof(*firsts)));
    ep = epoll_create1(EPOLL_CLOEXEC);
    if (ep < 0) die("epoll_create1");

    from = looked = now_us();
    for (i = 0; i < nconns; i++) {
        conns[i].fd = -1;
        next(&conns[i]);
    }
    while (finished < nrequests) {
        n = epoll_wait(ep, events, 256, 200);
        if (n < 0 && errno != EINTR) die("epoll_wait");
        for (i = 0; i < n; i++) ready(events[i].data.ptr, events[i].events);
        if (now_us() - looked < 200000) continue;
        looked = now_us();
        give_up_late();
        if (gate && access(gate, F_OK) == 0 && begun < nrequests)
            nrequests = begun;
    }
    report((double)(now_us() - from) / 1e6);
    return 0;
}
