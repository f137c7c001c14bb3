#include "page.h"

#include "../base/log.h"
#include "../base/util.h"

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

static const char policy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' "
    "data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

static const struct {
    const char *ending, *type;
    int text;
} types[] = {
    {".html", "text/html; charset=utf-8", 1},
    {".css", "text/css; charset=utf-8", 1},
    {".js", "text/javascript; charset=utf-8", 1},
    {".mjs", "text/javascript; charset=utf-8", 1},
    {".json", "application/json", 1},
    {".svg", "image/svg+xml", 1},
    {".txt", "text/plain; charset=utf-8", 1},
    {".webmanifest", "application/manifest+json", 1},
    {".png", "image/png", 0},
    {".ico", "image/x-icon", 0},
    {".webp", "image/webp", 0},
    {".woff2", "font/woff2", 0},
};

struct file {
    char *name;
    const char *type;
    void *data, *gzip;
    size_t len, gzip_len;
    char etag[24];
};

struct table {
    struct file files[PAGE_FILES_MAX];
    int n;
    int users; /* answers under way that point into it, and the table's own */
};

static struct table *pages;

static void table_release(struct table *t) {
    if (t == NULL || --t->users) return;
    for (int i = 0; i < t->n; i++) {
        free(t->files[i].name);
        free(t->files[i].data);
        free(t->files[i].gzip);
    }
    free(t);
}

static void compress_file(struct file *f) {
    z_stream z;

    memset(&z, 0, sizeof(z));
    if (deflateInit2(&z, 9, Z_DEFLATED, 31, 9, Z_DEFAULT_STRATEGY) != Z_OK)
        return;
    size_t bound = deflateBound(&z, f->len);
    f->gzip = xmalloc(bound);
    z.next_in = f->data;
    z.avail_in = (unsigned)f->len;
    z.next_out = f->gzip;
    z.avail_out = (unsigned)bound;
    int r = deflate(&z, Z_FINISH);
    f->gzip_len = bound - z.avail_out;
    deflateEnd(&z);
    if (r != Z_STREAM_END || f->gzip_len >= f->len) {
        free(f->gzip);
        f->gzip = NULL;
    }
}

static void *slurp(int fd, size_t size) {
    char *data = xmalloc(size);
    size_t got = 0;

    while (got < size) {
        ssize_t n = read(fd, data + got, size - got);
        if (n <= 0) {
            free(data);
            return NULL;
        }
        got += (size_t)n;
    }
    return data;
}

/* The same bytes give the same tag in every process, unlike hash_bytes(). */
static uint64_t tag_of(const unsigned char *p, size_t len) {
    return (uint64_t)crc32(0, p, (unsigned)len) << 32 |
           adler32(1, p, (unsigned)len);
}

static void add(struct table *t, int dir, const char *entry, const char *name) {
    struct stat st;
    size_t len = strlen(entry);
    int kind;

    for (kind = 0; kind < (int)(sizeof(types) / sizeof(*types)); kind++) {
        size_t n = strlen(types[kind].ending);
        if (len > n && strcmp(entry + len - n, types[kind].ending) == 0) break;
    }
    if (kind == (int)(sizeof(types) / sizeof(*types)) || t->n == PAGE_FILES_MAX)
        return;

    int fd = openat(dir, entry, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
        st.st_size <= PAGE_FILE_MAX) {
        struct file *f = &t->files[t->n];
        f->len = (size_t)st.st_size;
        f->data = slurp(fd, f->len);
        if (f->data) {
            f->name = xstrdup(name);
            f->type = types[kind].type;
            snprintf(f->etag, sizeof(f->etag), "\"%016" PRIx64 "\"",
                     tag_of(f->data, f->len));
            if (types[kind].text && f->len > 256) compress_file(f);
            t->n++;
        }
    }
    close(fd);
}

static void read_folder(struct table *t, int fd, const char *prefix,
                        int depth) {
    DIR *d = fd < 0 ? NULL : fdopendir(fd);

    if (d == NULL) {
        if (fd >= 0) close(fd);
        return;
    }
    for (struct dirent *e; (e = readdir(d));) {
        const char *s = e->d_name;
        struct stat st;

        if (*s == '.' || s[strspn(s, "abcdefghijklmnopqrstuvwxyz"
                                     "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                     "0123456789.-_")])
            continue;
        char *name = xasprintf("%s%s", prefix, s);
        if (fstatat(fd, s, &st, 0) == 0 && S_ISDIR(st.st_mode)) {
            char *below = xasprintf("%s/", name);
            if (depth)
                read_folder(t,
                            openat(fd, s, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                            below, depth - 1);
            free(below);
        } else {
            add(t, fd, s, name);
        }
        free(name);
    }
    closedir(d);
}

static const struct file *find(const struct table *t, const char *name) {
    for (int i = 0; t && i < t->n; i++)
        if (strcmp(t->files[i].name, name) == 0) return &t->files[i];
    return NULL;
}

int page_load(const char *dir) {
    struct table *t = xcalloc(1, sizeof(*t));

    t->users = 1;
    read_folder(t, open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), "", 2);
    if (find(t, "index.html") == NULL) {
        table_release(t);
        log_msg(LOG_WARN, "there is no index.html in %s: no dashboard", dir);
        return -1;
    }
    table_release(pages);
    pages = t;
    return 0;
}

void page_free(void) {
    table_release(pages);
    pages = NULL;
}

static void on_sent(const void *data, size_t len, void *table) {
    (void)data;
    (void)len;
    table_release(table);
}

static void page(struct http_request *q) {
    const struct file *f = find(pages, *q->rest ? q->rest : "index.html");

    if (f == NULL) {
        if (pages)
            http_error(q, 404, "there is no such page");
        else
            http_error(q, 404,
                       "the dashboard's files are not installed; see "
                       "--page");
        return;
    }
    http_set(q, "Content-Security-Policy", policy);
    http_set(q, "Referrer-Policy", "no-referrer");
    http_set(q, "ETag", f->etag);
    http_set(q, "Cache-Control", "no-cache");
    http_set(q, "Vary", "Accept-Encoding");

    const char *known = http_header(q, "If-None-Match");
    if (known && strstr(known, f->etag)) {
        http_static(q, 304, NULL, NULL, 0, NULL, NULL);
        return;
    }
    const char *accept = http_header(q, "Accept-Encoding");
    int gzip = f->gzip && accept && strstr(accept, "gzip");
    if (gzip) http_set(q, "Content-Encoding", "gzip");
    pages->users++;
    http_static(q, 200, f->type, gzip ? f->gzip : f->data,
                gzip ? f->gzip_len : f->len, on_sent, pages);
}

void page_routes(struct http *h) {
    http_route(h, "/dashboard", page);
    http_route(h, "/dashboard/", page);
}
