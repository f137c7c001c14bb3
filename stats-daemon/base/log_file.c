#include "log_file.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What is open stays until there is another one. */
static int open_it(struct log_file *f) {
    char *path = xasprintf("%s/proxy.log", f->dir);
    struct stat st;
    /* not to wait for a reader, if it should be a pipe */
    int fd = open(
        path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
        0640);

    f->open_error = fd < 0 ? errno : 0;
    free(path);
    if (fd < 0) {
        f->next_open = mono_ms() + LOG_FILE_RETRY_MS;
        return -1;
    }
    if (f->fd >= 0) close(f->fd);
    f->fd = fd;
    f->size = fstat(fd, &st) == 0 ? st.st_size : 0;
    f->moved = 0;
    f->turn_error = 0; /* of another file */
    return 0;
}

int log_file_open(struct log_file *f, const char *dir, int64_t max, int keep) {
    free(f->dir);
    f->dir = xstrdup(dir);
    f->max = max;
    f->keep = keep;
    return open_it(f);
}

void log_file_close(struct log_file *f) {
    if (f->fd >= 0) close(f->fd);
    f->fd = -1;
    free(f->dir);
    f->dir = NULL;
}

void log_file_reopen(struct log_file *f) {
    f->moved = 1;
    open_it(f);
}

int log_file_ready(struct log_file *f) {
    struct stat st;

    if (f->fd >= 0 && fstat(f->fd, &st) == 0 && st.st_nlink == 0) {
        close(f->fd); /* who would find what is written there? */
        f->fd = -1;
        f->next_open = 0;
    }
    if ((f->fd < 0 || f->moved) && mono_ms() >= f->next_open) open_it(f);
    return f->fd < 0 ? -1 : 0;
}

/* proxy.log -> proxy.log.1 -> .. */
static int rename_all(const struct log_file *f) {
    int bad = 0;

    for (int n = f->keep; n > 0; n--) {
        char *to = xasprintf("%s/proxy.log.%d", f->dir, n);
        char *from = n > 1 ? xasprintf("%s/proxy.log.%d", f->dir, n - 1)
                           : xasprintf("%s/proxy.log", f->dir);
        /* there need not be so many of them */
        bad = rename(from, to) != 0 && (n == 1 || errno != ENOENT);
        int error = errno;
        free(from);
        free(to);
        errno = error;
        if (bad) break; /* nothing is written over what has not moved */
    }
    return bad ? -1 : 0;
}

static void turn_over(struct log_file *f) {
    if (f->keep == 0 || f->size / (f->keep + 1) >= f->max) {
        /* what there was to be said of the names still is */
        if (ftruncate(f->fd, 0) != 0) {
            f->turn_error = errno;
        } else {
            f->size = 0;
            if (f->keep == 0) f->turn_error = 0;
        }
    } else if (mono_ms() >= f->next_turn) {
        f->turn_error = rename_all(f) != 0 ? errno : 0;
        if (f->turn_error)
            f->next_turn = mono_ms() + LOG_FILE_RETRY_MS;
        else
            log_file_reopen(f);
    }
}

int log_file_write(struct log_file *f, const char *line, size_t len) {
    if (f->size >= f->max && !f->moved) turn_over(f);

    ssize_t n = write(f->fd, line, len);

    f->write_error = 0;
    if (n == (ssize_t)len) {
        f->size += n;
        return 0;
    }
    f->write_error = n < 0 ? errno : ENOSPC;
    if (n > 0) {
        struct stat st;
        if (fstat(f->fd, &st) != 0 || ftruncate(f->fd, st.st_size - n) != 0)
            f->size += n; /* half of it stays */
    }
    return -1;
}

const char *log_file_error(const struct log_file *f, char *buf, size_t size) {
    if (f->dir == NULL) return NULL;
    if (f->open_error)
        snprintf(buf, size, "it cannot be opened: %s", strerror(f->open_error));
    else if (f->write_error)
        snprintf(buf, size, "%s", strerror(f->write_error));
    else if (f->turn_error)
        snprintf(buf, size, "it cannot be turned over: %s",
                 strerror(f->turn_error));
    else
        return NULL;
    return buf;
}
