#include "segments.h"

#include "../base/util.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
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
#define PARTS      16 /* of all that may be kept, at least */

struct end {
    int64_t segment, end;
};

struct segments {
    char *path; /* DIR/requests */
    int dir;
    int64_t limit; /* a segment of that size is full */

    /* where every segment ends that was told of or written to */
    struct end *ends;
    size_t nends, ends_size;

    /* the one that is appended to */
    int64_t current; /* 0: none */
    int fd;
    int64_t size;

    /* the batch */
    int in_batch, failed; /* failed: errno of what cannot be mended */
    struct end *begun;    /* where segments ended before it */
    size_t nbegun, begun_size;
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

static int sync_dir(int at, const char *path) {
    int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int bad = fd < 0 || fsync(fd) != 0, why = errno;

    if (fd >= 0) close(fd);
    errno = why;
    return bad ? -1 : 0;
}

/* Also when it has been removed; its own name has to last, too. */
static int open_dir(struct segments *s) {
    if (s->dir >= 0) close(s->dir);
    s->dir = -1;
    if (mkdir(s->path, 0750) != 0 && errno != EEXIST) return -1;
    s->dir = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return s->dir < 0 ? -1 : sync_dir(s->dir, "..");
}

struct segments *segments_open(const char *dir, char *err, size_t errlen) {
    struct segments *s = xcalloc(1, sizeof(*s));

    s->path = xasprintf("%s/requests", dir);
    s->dir = -1;
    s->fd = -1;
    s->limit = SEGMENT_BYTES;
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
    free(s->begun);
    free(s->batch);
    free(s->path);
    free(s);
}

void segments_limit(struct segments *s, int64_t all) {
    s->limit = all / PARTS < SEGMENT_BYTES ? all / PARTS : SEGMENT_BYTES;
    if (s->limit < 1) s->limit = 1;
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
        int made = mkdirat(s->dir, day, 0750);
        if (made != 0 && errno == ENOENT && open_dir(s) == 0)
            made = mkdirat(s->dir, day, 0750);
        if (made != 0 && errno != EEXIST) return -1;
        fd = openat(s->dir, name, flags, 0640);
    }
    if (fd < 0 || fstat(fd, &st) != 0) goto failed;

    end = st.st_size;
    if (e && e->end <= end)
        end = e->end;
    else if (e == NULL && end && (end = whole_members(fd)) < 0)
        goto failed;

    if ((e && e->end > end) || end >= s->limit) {
        close(fd);
        return 0;
    }
    if (end < st.st_size && ftruncate(fd, end) != 0) goto failed;

    /* the names of file and folder last as well as the bytes do */
    if (st.st_size == 0) {
        if (sync_dir(s->dir, day) != 0 || fsync(s->dir) != 0) goto failed;
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
        if (fstat(s->fd, &st) == 0 && st.st_nlink && s->size < s->limit)
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

/* What the batch has for the segment at hand goes there. */
static int write_out(struct segments *s) {
    const unsigned char *p = s->batch;
    int64_t at = s->size;
    size_t len = s->len;

    s->len = 0;
    if (len == 0) return 0;

    if (s->nbegun == s->begun_size) {
        s->begun_size = s->begun_size ? s->begun_size * 2 : 8;
        s->begun = xrealloc(s->begun, s->begun_size * sizeof(*s->begun));
    }
    s->begun[s->nbegun++] = (struct end){s->current, s->size};

    while (len) {
        ssize_t n = pwrite(s->fd, p, len, at);
        if (n < 0 && errno == EINTR) continue;
        if (n == 0) errno = ENOSPC;
        if (n <= 0) return -1;
        p += n;
        at += n;
        len -= (size_t)n;
    }
    if (fdatasync(s->fd) != 0) return -1;
    s->size = at;
    segments_end(s, s->current, at);
    return 0;
}

int segments_put(struct segments *s, int64_t now, const void *data, size_t len,
                 struct body_ref *ref) {
    if (!s->in_batch) {
        s->in_batch = 1;
        s->failed = 0;
        s->nbegun = 0;
        s->len = 0;
    }
    if (s->failed == 0 &&
        (s->len == 0 || s->size + (int64_t)s->len >= s->limit) &&
        (write_out(s) != 0 || choose(s, now) != 0))
        s->failed = errno;
    if (s->failed) {
        errno = s->failed;
        return -1;
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

/* If it cannot be cut off now, it is when the segment is opened again. */
static void cut(struct segments *s, int64_t segment, int64_t end) {
    char name[SEGMENT_NAME];

    segments_end(s, segment, end);
    if (s->current == segment) {
        s->size = end;
        if (ftruncate(s->fd, end) != 0) leave(s);
        return;
    }
    segment_name(name, segment);
    int fd = openat(s->dir, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return;
    if (ftruncate(fd, end) != 0) errno = 0;
    close(fd);
}

void segments_undo(struct segments *s) {
    s->in_batch = 0;
    s->len = 0;
    while (s->nbegun) {
        struct end *e = &s->begun[--s->nbegun];
        cut(s, e->segment, e->end);
    }
}

int segments_flush(struct segments *s) {
    if (!s->in_batch) return 0;
    if (s->failed == 0 && write_out(s) != 0) s->failed = errno;
    s->in_batch = 0;

    if (s->allocated > KEEP_BYTES) {
        free(s->batch);
        s->batch = NULL;
        s->allocated = 0;
    }
    if (s->failed == 0) return 0;
    segments_undo(s);
    errno = s->failed;
    return -1;
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

/* Segments before a limit, at most n of them, are given to fn. */
static int each(const struct segments *s, int64_t limit, int n,
                void (*fn)(void *arg, int64_t segment), void *arg) {
    DIR *days = list(s->dir, ".");
    int found = 0;

    if (days == NULL) return 0;
    for (struct dirent *e; found < n && (e = readdir(days));) {
        DIR *d = strlen(e->d_name) == 10 ? list(s->dir, e->d_name) : NULL;
        if (d == NULL) continue;
        for (struct dirent *f; found < n && (f = readdir(d));) {
            int64_t segment = segment_number(e->d_name, f->d_name);
            if (segment < 0 || segment >= limit) continue;
            fn(arg, segment);
            found++;
        }
        closedir(d);
    }
    closedir(days);
    return found;
}

static void drop(void *arg, int64_t segment) {
    segments_drop(arg, segment);
}

static void older(void *arg, int64_t segment) {
    int64_t *oldest = arg;

    if (*oldest == 0 || segment < *oldest) *oldest = segment;
}

int64_t segments_oldest(const struct segments *s) {
    int64_t oldest = 0;

    each(s, INT64_MAX, INT_MAX, older, &oldest);
    return oldest;
}

int segments_sweep(struct segments *s, int64_t before, int n) {
    return each(s, before / HOUR * SEGMENT_PER_HOUR, n, drop, s);
}
