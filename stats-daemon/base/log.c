#include "log.h"

#include "log_file.h"
#include "util.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *const names[] = {"debug", "info", "notice", "warn",
                                    "error", "crit", "alert",  "emerg"};

static struct {
    pthread_mutex_t lock;
    struct log_file file;
    struct event *event;
    int64_t last;    /* id of the newest line */
    int64_t written; /* of the newest one that is in the file */
    int64_t lost;    /* that never will be */
    struct log_line ring[LOG_LINES];
} lg = {.lock = PTHREAD_MUTEX_INITIALIZER, .file = {.fd = -1}};

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

/* In the file, too: what has come since it was last possible to write there.
 * Lines that the ring has lost meanwhile are lost to the file. */
static void flush(void) {
    char head[ISO_SIZE + 64], when[ISO_SIZE];

    if (lg.file.dir == NULL || log_file_ready(&lg.file) != 0) return;
    if (lg.written < lg.last - LOG_LINES) {
        lg.lost += lg.last - LOG_LINES - lg.written;
        lg.written = lg.last - LOG_LINES;
    }
    while (lg.written < lg.last) {
        const struct log_line *line = &lg.ring[(lg.written + 1) % LOG_LINES];
        int n = snprintf(head, sizeof(head),
                         "%s [%s] %s: ", iso_time(when, line->time, 1),
                         names[line->level], line->source);
        char *whole = xmalloc((size_t)n + line->len + 1);

        memcpy(whole, head, (size_t)n);
        memcpy(whole + n, line->text, line->len);
        whole[(size_t)n + line->len] = '\n';
        int bad = log_file_write(&lg.file, whole, (size_t)n + line->len + 1);
        free(whole);
        if (bad) return;
        lg.written++;
    }
}

int log_open(const char *dir, int64_t max, int keep) {
    pthread_mutex_lock(&lg.lock);
    lg.written = lg.last;
    int bad = log_file_open(&lg.file, dir, max, keep);
    pthread_mutex_unlock(&lg.lock);
    return bad;
}

void log_limits(int64_t max, int keep) {
    pthread_mutex_lock(&lg.lock);
    lg.file.max = max;
    lg.file.keep = keep;
    pthread_mutex_unlock(&lg.lock);
}

void log_reopen(void) {
    pthread_mutex_lock(&lg.lock);
    if (lg.file.dir) log_file_reopen(&lg.file);
    pthread_mutex_unlock(&lg.lock);
}

void log_close(void) {
    pthread_mutex_lock(&lg.lock);
    log_file_close(&lg.file);
    for (int i = 0; i < LOG_LINES; i++) {
        free((char *)lg.ring[i].text);
        lg.ring[i].text = NULL;
    }
    pthread_mutex_unlock(&lg.lock);
}

static void put(int level, const char *source, const char *text, size_t len) {
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
    flush();
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

const char *log_missing(char *buf, size_t size, int64_t *waiting,
                        int64_t *lost) {
    pthread_mutex_lock(&lg.lock);
    flush();
    const char *error = log_file_error(&lg.file, buf, size);
    *waiting = lg.last - lg.written;
    *lost = lg.lost;
    pthread_mutex_unlock(&lg.lock);
    return error;
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
