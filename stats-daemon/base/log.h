/*
 * One log for nginx and the daemon: data/proxy.log, and its last 1,000 lines
 * in memory for GET /logs.
 *
 * nginx sends its error log as datagrams (error_log syslog:server=unix:...),
 * see log_listen().  The daemon's own lines come through log_msg(), from any
 * thread, and go to stderr as well.
 *
 * The file is turned over at max bytes: proxy.log.1 is the newest old one,
 * keep of them are kept (log_file.h).  A disk that refuses lines gets them when
 * it takes them again, as far as they are among those in memory; nobody waits
 * for it.  It is said in /health meanwhile.
 */

#ifndef STATSD_LOG_H
#define STATSD_LOG_H

#include <stddef.h>
#include <stdint.h>

#define LOG_LINES    1000
#define LOG_LINE_MAX 2048

/* nginx's names and order, turned round: greater is worse */
enum log_level {
    LOG_DEBUG,
    LOG_INFO,
    LOG_NOTICE,
    LOG_WARN,
    LOG_ERROR,
    LOG_CRIT,
    LOG_ALERT,
    LOG_EMERG
};

struct event_base;

const char *log_level_name(int level);
int log_level_parse(const char *name); /* -1: no such level */

/* Begins to write DIR/proxy.log; before that lines go to stderr only.  -1 with
 * errno: not yet, it is tried again. */
int log_open(const char *dir, int64_t max, int keep);
void log_limits(int64_t max, int keep);
void log_reopen(void);
void log_close(void);

void log_msg(int level, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Takes datagrams from a bound socket. */
void log_listen(struct event_base *base, int fd);
void log_deafen(void);

struct log_line {
    int64_t id; /* grows by one */
    int64_t time;
    int level;
    const char *source; /* "nginx" or "ollama-statsd" */
    const char *text;
    size_t len;
};

/* The newest limit lines of at least a level that are newer than after,
 * oldest first. */
typedef void log_line_cb(void *arg, const struct log_line *line);
void log_each(int level, int64_t after, int limit, log_line_cb *cb, void *arg);

int64_t log_last(void); /* id of the newest line */

/* Writes what the file has missed, if that is possible again.  What is wrong
 * with the file, or NULL; lines that wait for it, and lines that it will never
 * have. */
const char *log_missing(char *buf, size_t size, int64_t *waiting,
                        int64_t *lost);

#endif
