#include "bodies.h"

#include "util.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define BLOCK      4096
#define NAME_SIZE  96
#define READ_LIMIT (64 * 1024 * 1024)

struct bodies {
    int dir;             /* DIR/requests */
    char made[ISO_SIZE]; /* the day whose folder is known to be there */
    z_stream z;
    unsigned char *out;
    size_t out_size;
};

struct bodies *bodies_open(const char *dir, char *err, size_t errlen) {
    struct bodies *b = xcalloc(1, sizeof(*b));
    char *path = xasprintf("%s/requests", dir);

    b->dir = -1;
    if (mkdir(path, 0750) == 0 || errno == EEXIST)
        b->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (b->dir < 0) {
        snprintf(err, errlen, "%s: %s", path, strerror(errno));
        free(path);
        free(b);
        return NULL;
    }
    free(path);

    /* 31: with a gzip header; level 1, because the bytes are kept a week */
    if (deflateInit2(&b->z, 1, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        snprintf(err, errlen, "zlib does not start");
        close(b->dir);
        free(b);
        return NULL;
    }
    return b;
}

void bodies_close(struct bodies *b) {
    if (b == NULL) return;
    deflateEnd(&b->z);
    close(b->dir);
    free(b->out);
    free(b);
}

static void name_of(char *name, uint64_t instance, uint64_t id, int64_t time) {
    char day[ISO_SIZE];

    snprintf(name, NAME_SIZE, "%.10s/%016" PRIx64 "-%" PRIx64 ".json.gz",
             iso_day(day, time), instance, id);
}

static int write_all(int fd, const unsigned char *p, size_t len) {
    while (len) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            if (n == 0) errno = ENOSPC;
            return -1;
        }
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

int64_t bodies_write(struct bodies *b, uint64_t instance, uint64_t id,
                     int64_t time, const void *data, size_t len) {
    char name[NAME_SIZE], day[ISO_SIZE];

    deflateReset(&b->z);
    size_t bound = deflateBound(&b->z, len);
    if (b->out_size < bound) {
        b->out = xrealloc(b->out, bound);
        b->out_size = bound;
    }
    b->z.next_in = (unsigned char *)(uintptr_t)data;
    b->z.avail_in = (unsigned)len;
    b->z.next_out = b->out;
    b->z.avail_out = (unsigned)b->out_size;
    if (deflate(&b->z, Z_FINISH) != Z_STREAM_END) {
        errno = EINVAL;
        return -1;
    }
    size_t size = b->out_size - b->z.avail_out;

    name_of(name, instance, id, time);
    iso_day(day, time);
    if (strcmp(day, b->made) != 0) {
        if (mkdirat(b->dir, day, 0750) != 0 && errno != EEXIST) return -1;
        strcpy(b->made, day);
    }

    int flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW;
    int fd = openat(b->dir, name, flags, 0640);
    if (fd < 0 && errno == ENOENT) { /* somebody removed the day's folder */
        if (mkdirat(b->dir, day, 0750) != 0) return -1;
        fd = openat(b->dir, name, flags, 0640);
    }
    if (fd < 0) return -1;

    int bad = write_all(fd, b->out, size) != 0, why = errno;
    if (close(fd) != 0 && !bad) {
        bad = 1;
        why = errno;
    }
    if (bad) {
        unlinkat(b->dir, name, 0);
        errno = why;
        return -1;
    }
    return (int64_t)((size + BLOCK - 1) / BLOCK * BLOCK);
}

void bodies_remove(struct bodies *b, uint64_t instance, uint64_t id,
                   int64_t time) {
    char name[NAME_SIZE];

    name_of(name, instance, id, time);
    unlinkat(b->dir, name, 0);
}

void *bodies_read(const struct bodies *b, uint64_t instance, uint64_t id,
                  int64_t time, size_t *len) {
    char name[NAME_SIZE];
    struct stat st;
    unsigned char *data;
    size_t got = 0;

    name_of(name, instance, id, time);
    int fd = openat(b->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return NULL;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) ||
        st.st_size > READ_LIMIT) {
        close(fd);
        return NULL;
    }
    data = xmalloc((size_t)st.st_size);
    while (got < (size_t)st.st_size) {
        ssize_t n = read(fd, data + got, (size_t)st.st_size - got);
        if (n <= 0) break;
        got += (size_t)n;
    }
    close(fd);
    *len = got;
    return data;
}

void *bodies_inflate(const void *data, size_t len, size_t max, size_t *out) {
    z_stream z;
    size_t size = len * 4 + 1024, used = 0;
    int r = Z_OK;

    memset(&z, 0, sizeof(z));
    if (inflateInit2(&z, 31) != Z_OK) return NULL;
    if (size > max) size = max;
    unsigned char *buf = xmalloc(size);

    z.next_in = (unsigned char *)(uintptr_t)data;
    z.avail_in = (unsigned)len;
    while (r == Z_OK) {
        if (used == size) {
            if (size == max) break;
            size = size * 2 > max ? max : size * 2;
            buf = xrealloc(buf, size);
        }
        z.next_out = buf + used;
        z.avail_out = (unsigned)(size - used);
        r = inflate(&z, Z_NO_FLUSH);
        used = size - z.avail_out;
    }
    inflateEnd(&z);
    if (r != Z_STREAM_END) {
        free(buf);
        return NULL;
    }
    *out = used;
    return buf;
}

static int is_day(const char *name) {
    static const char form[] = "dddd-dd-dd";

    for (int i = 0; i < 10; i++) {
        if (form[i] == 'd' ? name[i] < '0' || name[i] > '9' : name[i] != '-')
            return 0;
    }
    return name[10] == '\0';
}

static int sweep_day(struct bodies *b, const char *day, int n) {
    int removed = 0;
    int fd = openat(b->dir, day, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);

    if (d == NULL) {
        if (fd >= 0) close(fd);
        return 0;
    }
    for (struct dirent *e; removed < n && (e = readdir(d));) {
        if (e->d_name[0] != '.' && unlinkat(fd, e->d_name, 0) == 0) removed++;
    }
    closedir(d);
    if (removed < n) unlinkat(b->dir, day, AT_REMOVEDIR);
    return removed;
}

int bodies_sweep(struct bodies *b, int64_t before, int n) {
    char limit[ISO_SIZE];
    int removed = 0;
    int fd = openat(b->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);

    if (d == NULL) {
        if (fd >= 0) close(fd);
        return 0;
    }
    iso_day(limit, before);
    for (struct dirent *e; removed < n && (e = readdir(d));) {
        if (is_day(e->d_name) && strcmp(e->d_name, limit) < 0)
            removed += sweep_day(b, e->d_name, n - removed);
    }
    closedir(d);
    b->made[0] = '\0';
    return removed;
}
