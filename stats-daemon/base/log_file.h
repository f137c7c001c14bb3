/*
 * DIR/proxy.log: a file that lines are appended to, that is turned over, and
 * that may be away for a while.
 *
 * At max bytes it becomes proxy.log.1, and so on up to keep.  Where the folder
 * does not allow that it goes on growing, up to what all of them might have
 * taken together, and then begins anew.
 *
 * log_file_write() appends all of a line, or nothing and says -1; then
 * log_file_error() says why.  A file that was removed is made anew; whatever
 * cannot be opened or turned over is tried again every LOG_FILE_RETRY_MS.
 *
 * It locks nothing.
 */

#ifndef STATSD_LOG_FILE_H
#define STATSD_LOG_FILE_H

#include <stddef.h>
#include <stdint.h>

#define LOG_FILE_RETRY_MS 1000

struct log_file {
    char *dir; /* NULL: there is none yet */
    int fd;    /* -1: there is none */
    int64_t size, max;
    int keep;
    int moved; /* it is not proxy.log any more: open it again */
    int open_error, write_error, turn_error; /* errno, 0: well */
    int64_t next_open, next_turn;            /* monotonic */
};

/* 0, or -1: it cannot be opened yet. */
int log_file_open(struct log_file *f, const char *dir, int64_t max, int keep);
void log_file_close(struct log_file *f);

/* Opens the file that has the name now; what was open is used until that is
 * possible. */
void log_file_reopen(struct log_file *f);

/* Looks whether there is a file to write to: 0, or -1. */
int log_file_ready(struct log_file *f);

/* After log_file_ready(). */
int log_file_write(struct log_file *f, const char *line, size_t len);

/* What is wrong, in words, or NULL. */
const char *log_file_error(const struct log_file *f, char *buf, size_t size);

#endif
