#include "log.h"

#include "util.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const names[] = {"debug", "info", "notice", "warn",
                                    "error", "crit", "alert",  "emerg"};

static struct {
    pthread_mutex_t lock;
    char *dir;
    int fd;
    int64_t size, max, lost;
    int keep;
    struct event *event;
    int64_t last; /* id of the newest line */
    struct log_line ring[LOG_LINES];
} lg = {.lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1};

const char *log_level_name(int level) {
    return names[level < 0 ? 0 : level > LOG_EMERG ? LOG_EMERG : level];
}

int log_level_parse(const char *name) {
    for (int i = 0; i <= LOG_EMERG; i++)
        if (strcasecmp(name, names[i]) == 0) return i;
    if (strcasecmp(name, "warning") == 0) return LOG_WARN;
    if (strcasecmp(name, "err") == 0) return LOG_ERROR;
    if (strcasecmp(name, "critical") == 0) return LOG_CRIT;
    return -1;
}

static void open_file(void) {
    char *path = xasprintf("%s/proxy.log", lg.dir);
    struct stat st;

    if (lg.fd >= 0) close(lg.fd);
    lg.fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    lg.size = lg.fd >= 0 && fstat(lg.fd, &st) == 0 ? st.st_size : 0;
    free(path);
}

static void turn_over(void) {
    for (int n = lg.keep; n > 0; n--) {
        char *to = xasprintf("%s/proxy.log.%d", lg.dir, n);
        char *from = n > 1 ? xasprintf("%s/proxy.log.%d", lg.dir, n - 1)
                           : xasprintf("%s/proxy.log", lg.dir);
        rename(from, to);
        free(from);
        free(to);
    }
    if (lg.keep == 0 && ftruncate(lg.fd, 0) != 0) lg.lost++;
    open_file();
}

int log_open(const char *dir, int64_t max, int keep) {
    pthread_mutex_lock(&lg.lock);
    free(lg.dir);
    lg.dir = xstrdup(dir);
    lg.max = max;
    lg.keep = keep;
    open_file();
    int bad = lg.fd < 0;
    pthread_mutex_unlock(&lg.lock);
    return bad ? -1 : 0;
}

void log_limits(int64_t max, int keep) {
    pthread_mutex_lock(&lg.lock);
    lg.max = max;
    lg.keep = keep;
    pthread_mutex_unlock(&lg.lock);
}

void log_reopen(void) {
    pthread_mutex_lock(&lg.lock);
    if (lg.dir) open_file();
    pthread_mutex_unlock(&lg.lock);
}

void log_close(void) {
    pthread_mutex_lock(&lg.lock);
    if (lg.fd >= 0) close(lg.fd);
    lg.fd = -1;
    free(lg.dir);
    lg.dir = NULL;
    for (int i = 0; i < LOG_LINES; i++) {
        free((char *)lg.ring[i].text);
        lg.ring[i].text = NULL;
    }
    pthread_mutex_unlock(&lg.lock);
}

static void put(int level, const char *source, const char *text, size_t len) {
    char head[ISO_SIZE + 64], when[ISO_SIZE];
    char *copy = xmalloc(len + 1);

    /* one line stays one line, and no terminal is steered by a log */
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        copy[i] = c < 0x20 || c == 0x7f ? ' ' : (char)c;
    }
    while (len && copy[len - 1] == ' ') len--;
    copy[len] = '\0';

    pthread_mutex_lock(&lg.lock);
    struct log_line *line = &lg.ring[++lg.last % LOG_LINES];
    free((char *)line->text);
    line->id = lg.last;
    line->time = now_ms();
    line->level = level;
    line->source = source;
    line->text = copy;
    line->len = len;

    int n = snprintf(head, sizeof(head),
                     "%s [%s] %s: ", iso_time(when, line->time, 1),
                     names[level], source);
    if (lg.dir) {
        if (lg.size >= lg.max || lg.fd < 0) turn_over();
        char *whole = xmalloc((size_t)n + len + 1);
        memcpy(whole, head, (size_t)n);
        memcpy(whole + n, copy, len);
        whole[(size_t)n + len] = '\n';
        ssize_t w = lg.fd < 0 ? -1 : write(lg.fd, whole, (size_t)n + len + 1);
        if (w < 0)
            lg.lost++;
        else
            lg.size += w;
        free(whole);
    }
    pthread_mutex_unlock(&lg.lock);
}

void log_msg(int level, const char *fmt, ...) {
    char buf[LOG_LINE_MAX], when[ISO_SIZE];
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(buf, sizeof(buf), fmt, ap);
    va_end(ap);
    if (n < 0) return;
    if ((size_t)n >= sizeof(buf)) n = sizeof(buf) - 1;

    put(level, "ollama-statsd", buf, (size_t)n);
    fprintf(stderr, "%s [%s] ollama-statsd: %s\n", iso_time(when, now_ms(), 1),
            names[level], buf);
}

/* Moves p behind a word and the spaces after it. */
static const char *after(const char *p, const char *end, const char *stop) {
    while (p < end && strchr(stop, *p) == NULL) p++;
    while (p < end && strchr(stop, *p)) p++;
    return p;
}

/*
 * A datagram of nginx:
 *   <187>Nov 22 20:43:00 host nginx: 2026/11/22 20:43:00 [error] 12#12: *1 ...
 * The number says the level; the date is said by us, the rest is the message.
 */
static void foreign_line(const char *p, const char *end) {
    static const int levels[] = {LOG_EMERG, LOG_ALERT,  LOG_CRIT, LOG_ERROR,
                                 LOG_WARN,  LOG_NOTICE, LOG_INFO, LOG_DEBUG};
    int level = LOG_ERROR;
    unsigned pri = 0;

    if (p < end && *p == '<') {
        const char *q = p + 1;
        while (q < end && *q >= '0' && *q <= '9' && q - p < 5)
            pri = pri * 10 + (unsigned)(*q++ - '0');
        if (q < end && *q == '>') {
            level = levels[pri & 7];
            p = q + 1;
        }
    }

    /* "Nov 22 20:43:00 host tag: ", the host may be missing */
    const char *tag = memmem(p, (size_t)(end - p), ": ", 2);
    if (tag && tag - p < 128) p = tag + 2;

    /* "2026/11/22 20:43:00 [error] " */
    if (end - p > 22 && p[4] == '/' && p[7] == '/' && p[13] == ':' &&
        p[20] == '[')
        p = after(p + 20, end, " ");

    put(level, "nginx", p, (size_t)(end - p));
}

static void on_datagram(evutil_socket_t fd, short what, void *arg) {
    char buf[8192];

    (void)what;
    (void)arg;
    for (int i = 0; i < 100; i++) {
        ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
        if (n < 0) break;
        if (n > LOG_LINE_MAX) n = LOG_LINE_MAX;
        if (n > 0) foreign_line(buf, buf + n);
    }
}

void log_listen(struct event_base *base, int fd) {
    lg.event = event_new(base, fd, EV_READ | EV_PERSIST, on_datagram, NULL);
    event_add(lg.event, NULL);
}

void log_deafen(void) {
    if (lg.event == NULL) return;
    close(event_get_fd(lg.event));
    event_free(lg.event);
    lg.event = NULL;
}

void log_each(int level, int64_t after_id, int limit, log_line_cb *cb,
              void *arg) {
    pthread_mutex_lock(&lg.lock);
    int64_t first = lg.last - LOG_LINES + 1, id;
    if (first < 1) first = 1;
    if (first <= after_id) first = after_id + 1;

    /* back to where the limit is reached, then forward */
    int n = 0;
    for (id = lg.last; id >= first && n < limit; id--)
        if (lg.ring[id % LOG_LINES].level >= level) n++;
    for (id++; id <= lg.last; id++)
        if (lg.ring[id % LOG_LINES].level >= level)
            cb(arg, &lg.ring[id % LOG_LINES]);
    pthread_mutex_unlock(&lg.lock);
}

int64_t log_last(void) {
    pthread_mutex_lock(&lg.lock);
    int64_t id = lg.last;
    pthread_mutex_unlock(&lg.lock);
    return id;
}

int64_t log_lost(void) {
    pthread_mutex_lock(&lg.lock);
    int64_t n = lg.lost;
    pthread_mutex_unlock(&lg.lock);
    return n;
}
