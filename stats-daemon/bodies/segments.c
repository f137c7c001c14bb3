#include "segments.h"

#include "../util.h"

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

#define HOUR       3600000
#define READ_LIMIT (64 * 1024 * 1024)
#define KEEP_BYTES (4 * 1024 * 1024) /* of the batch's memory */
#define PIECE      65536

struct end {
    int64_t segment, end;
};

struct segments {
    char *path; /* DIR/requests */
    int dir;

    /* where every segment ends that was told of or written to */
    struct end *ends;
    size_t nends, ends_size;

    /* the one that is appended to */
    int64_t current; /* 0: none */
    int fd;
    int64_t size;
    int64_t before; /* its size before the last flush, -1: nothing to undo */

    /* the batch */
    z_stream z;
    unsigned char *batch;
    size_t len, allocated;
};

const char *segment_name(char *buf, int64_t segment) {
    char day[ISO_SIZE];
    int64_t hour = segment / SEGMENT_PER_HOUR;
    int n = (int)(segment % SEGMENT_PER_HOUR);

    iso_day(day, hour * HOUR);
    if (n <= 1)
        snprintf(buf, SEGMENT_NAME, "%s/%02d.gz", day, (int)(hour % 24));
    else
        snprintf(buf, SEGMENT_NAME, "%s/%02d.%d.gz", day, (int)(hour % 24), n);
    return buf;
}

int64_t segment_number(const char *day, const char *name) {
    char again[SEGMENT_NAME], whole[SEGMENT_NAME];
    int hour, n = 1;
    int64_t ms;

    if (strlen(day) != 10 || parse_time(day, &ms) != 0) return -1;
    if (sscanf(name, "%2d.%3d.gz", &hour, &n) != 2) {
        n = 1;
        if (sscanf(name, "%2d.gz", &hour) != 1) return -1;
    }
    if (hour < 0 || hour > 23 || n < 1) return -1;

    /* and is spelled as we spell it */
    int64_t segment = (ms / HOUR + hour) * SEGMENT_PER_HOUR + n;
    snprintf(whole, sizeof(whole), "%s/%.20s", day, name);
    return strcmp(segment_name(again, segment), whole) == 0 ? segment : -1;
}

/* ---- folders and files ---- */

static int open_dir(struct segments *s) {
    if (s->dir >= 0) close(s->dir);
    s->dir = -1;
    if (mkdir(s->path, 0750) == 0 || errno == EEXIST)
        s->dir = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return s->dir < 0 ? -1 : 0;
}

struct segments *segments_open(const char *dir, char *err, size_t errlen) {
    struct segments *s = xcalloc(1, sizeof(*s));

    s->path = xasprintf("%s/requests", dir);
    s->dir = -1;
    s->fd = -1;
    s->before = -1;
    if (open_dir(s) != 0) {
        snprintf(err, errlen, "%s: %s", s->path, strerror(errno));
        free(s->path);
        free(s);
        return NULL;
    }

    /* 31: with a gzip header; level 1, because the bytes are kept a week; less
     * memory than usual, since it has to be cleared for each of them */
    if (deflateInit2(&s->z, 1, Z_DEFLATED, 31, 6, Z_DEFAULT_STRATEGY) != Z_OK) {
        snprintf(err, errlen, "zlib does not start");
        close(s->dir);
        free(s->path);
        free(s);
        return NULL;
    }
    return s;
}

void segments_close(struct segments *s) {
    if (s == NULL) return;
    deflateEnd(&s->z);
    if (s->fd >= 0) close(s->fd);
    if (s->dir >= 0) close(s->dir);
    free(s->ends);
    free(s->batch);
    free(s->path);
    free(s);
}

static struct end *find_end(const struct segments *s, int64_t segment) {
    for (size_t i = s->nends; i-- > 0;)
        if (s->ends[i].segment == segment) return &s->ends[i];
    return NULL;
}

void segments_end(struct segments *s, int64_t segment, int64_t end) {
    struct end *e = find_end(s, segment);

    if (e == NULL) {
        if (s->nends == s->ends_size) {
            s->ends_size = s->ends_size ? s->ends_size * 2 : 16;
            s->ends = xrealloc(s->ends, s->ends_size * sizeof(*s->ends));
        }
        e = &s->ends[s->nends++];
        e->segment = segment;
    }
    e->end = end;
}

static void forget_end(struct segments *s, int64_t segment) {
    struct end *e = find_end(s, segment);

    if (e) *e = s->ends[--s->nends];
}

static void leave(struct segments *s) {
    if (s->fd >= 0) close(s->fd);
    s->fd = -1;
    s->current = 0;
    s->before = -1;
}

/* The end of the last whole member: the ledger does not know the file, so that
 * it has to be read.  -1 with errno. */
static int64_t whole_members(int fd) {
    unsigned char in[PIECE], out[PIECE];
    int64_t at = 0, whole = 0;
    z_stream z;
    int r = Z_OK;

    memset(&z, 0, sizeof(z));
    if (inflateInit2(&z, 31) != Z_OK) {
        errno = ENOMEM;
        return -1;
    }
    while (r == Z_OK) {
        ssize_t n = pread(fd, in, sizeof(in), at);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            if (n < 0) whole = -1;
            break;
        }
        z.next_in = in;
        z.avail_in = (unsigned)n;
        at += n;
        while (r == Z_OK && z.avail_in) {
            z.next_out = out;
            z.avail_out = sizeof(out);
            r = inflate(&z, Z_NO_FLUSH);
            if (r == Z_BUF_ERROR) r = Z_OK;
            if (r == Z_STREAM_END) {
                whole = at - z.avail_in;
                r = inflateReset(&z);
            }
        }
    }
    int why = errno;
    inflateEnd(&z);
    errno = why;
    return whole;
}

/* Opens a segment to append to it: 1, or 0 if it cannot be gone on with, or -1
 * with errno. */
static int enter(struct segments *s, int64_t segment) {
    int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW;
    const struct end *e = find_end(s, segment);
    char name[SEGMENT_NAME], day[SEGMENT_NAME];
    struct stat st;
    int64_t end;

    segment_name(name, segment);
    snprintf(day, sizeof(day), "%.10s", name);
    leave(s);

    int fd = openat(s->dir, name, flags, 0640);
    if (fd < 0 && errno == ENOENT) {
        /* the first one of its day, or somebody has removed the folders */
        if (mkdirat(s->dir, day, 0750) != 0 && errno == ENOENT &&
            (open_dir(s) != 0 || mkdirat(s->dir, day, 0750) != 0))
            return -1;
        fd = openat(s->dir, name, flags, 0640);
    }
    if (fd < 0 || fstat(fd, &st) != 0) goto failed;

    end = st.st_size;
    if (e && e->end <= end)
        end = e->end;
    else if (e == NULL && end && (end = whole_members(fd)) < 0)
        goto failed;

    if ((e && e->end > end) || end >= SEGMENT_BYTES) {
        close(fd);
        return 0;
    }
    if (end < st.st_size && ftruncate(fd, end) != 0) goto failed;

    /* the names of file and folder last as well as the bytes do */
    if (st.st_size == 0) {
        int folder = openat(s->dir, day, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (folder < 0) goto failed;
        int bad = fsync(folder) != 0 || fsync(s->dir) != 0;
        close(folder);
        if (bad) goto failed;
    }

    s->current = segment;
    s->fd = fd;
    s->size = end;
    segments_end(s, segment, end);
    return 1;

failed:;
    int why = errno;
    if (fd >= 0) close(fd);
    errno = why;
    return -1;
}

/* The segment for a batch that begins now. */
static int choose(struct segments *s, int64_t now) {
    int64_t hour = now / HOUR, n = 1;
    struct stat st;

    if (s->current && s->current / SEGMENT_PER_HOUR == hour) {
        n = s->current % SEGMENT_PER_HOUR;
        if (fstat(s->fd, &st) == 0 && st.st_nlink && s->size < SEGMENT_BYTES)
            return 0;
        n++;
    }
    for (; n < SEGMENT_PER_HOUR; n++) {
        int r = enter(s, hour * SEGMENT_PER_HOUR + n);
        if (r) return r > 0 ? 0 : -1;
    }
    errno = EFBIG;
    return -1;
}

/* ---- the writer's side ---- */

int segments_put(struct segments *s, int64_t now, const void *data, size_t len,
                 struct body_ref *ref) {
    if (s->len == 0) {
        s->before = -1;
        if (choose(s, now) != 0) return -1;
    }

    deflateReset(&s->z);
    size_t bound = deflateBound(&s->z, len);
    if (s->allocated - s->len < bound) {
        s->allocated = s->len + bound + s->allocated / 2;
        s->batch = xrealloc(s->batch, s->allocated);
    }
    s->z.next_in = (unsigned char *)(uintptr_t)data;
    s->z.avail_in = (unsigned)len;
    s->z.next_out = s->batch + s->len;
    s->z.avail_out = (unsigned)bound;
    if (deflate(&s->z, Z_FINISH) != Z_STREAM_END) {
        errno = EINVAL;
        return -1;
    }
    ref->segment = s->current;
    ref->offset = s->size + (int64_t)s->len;
    ref->len = (int64_t)(bound - s->z.avail_out);
    s->len += (size_t)ref->len;
    return 0;
}

static int write_at(int fd, const unsigned char *p, size_t len, int64_t at) {
    while (len) {
        ssize_t n = pwrite(fd, p, len, at);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            if (n == 0) errno = ENOSPC;
            return -1;
        }
        p += n;
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

int segments_flush(struct segments *s) {
    size_t len = s->len;

    s->len = 0;
    if (len == 0) return 0;

    int bad =
        write_at(s->fd, s->batch, len, s->size) != 0 || fdatasync(s->fd) != 0;
    if (bad) {
        int why = errno;
        if (ftruncate(s->fd, s->size) != 0) leave(s);
        errno = why;
    } else {
        s->before = s->size;
        s->size += (int64_t)len;
        segments_end(s, s->current, s->size);
    }
    if (s->allocated > KEEP_BYTES) {
        free(s->batch);
        s->batch = NULL;
        s->allocated = 0;
    }
    return bad ? -1 : 0;
}

void segments_undo(struct segments *s) {
    s->len = 0;
    if (s->before < 0 || s->fd < 0) return;
    s->size = s->before;
    s->before = -1;
    segments_end(s, s->current, s->size);

    /* if it cannot be cut off now, it is when the file is opened again */
    if (ftruncate(s->fd, s->size) != 0) leave(s);
}

/* ---- reading ---- */

void *segments_read(const struct segments *s, const struct body_ref *ref) {
    char name[SEGMENT_NAME];
    unsigned char *data;
    int64_t got = 0;

    if (ref->len <= 0 || ref->len > READ_LIMIT || ref->offset < 0) return NULL;

    /* by its path: the folder may have been made anew */
    char *path = xasprintf("%s/%s", s->path, segment_name(name, ref->segment));
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    free(path);
    if (fd < 0) return NULL;

    data = xmalloc((size_t)ref->len);
    while (got < ref->len) {
        ssize_t n =
            pread(fd, data + got, (size_t)(ref->len - got), ref->offset + got);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        got += n;
    }
    close(fd);
    if (got < ref->len || data[0] != 0x1f || data[1] != 0x8b) {
        free(data);
        return NULL;
    }
    return data;
}

/* ---- the end of segments ---- */

void segments_drop(struct segments *s, int64_t segment) {
    char name[SEGMENT_NAME];

    if (s->current == segment) leave(s);
    segment_name(name, segment);
    unlinkat(s->dir, name, 0);
    name[10] = '\0';
    unlinkat(s->dir, name, AT_REMOVEDIR);
    forget_end(s, segment);
}

static DIR *list(int dir, const char *name) {
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);

    if (d == NULL && fd >= 0) close(fd);
    return d;
}

int segments_sweep(struct segments *s, int64_t before, int n) {
    int64_t limit = before / HOUR * SEGMENT_PER_HOUR, segment;
    int removed = 0;
    DIR *days = list(s->dir, ".");

    if (days == NULL) return 0;
    for (struct dirent *e; removed < n && (e = readdir(days));) {
        int64_t day;
        if (strlen(e->d_name) != 10 || parse_time(e->d_name, &day) != 0 ||
            day >= before)
            continue;

        DIR *d = list(s->dir, e->d_name);
        if (d == NULL) continue;
        for (struct dirent *f; removed < n && (f = readdir(d));) {
            segment = segment_number(e->d_name, f->d_name);
            if (segment < 0 || segment >= limit) continue;
            segments_drop(s, segment);
            removed++;
        }
        closedir(d);
    }
    closedir(days);
    return removed;
}
