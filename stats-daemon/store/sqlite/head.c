#include "head.h"

#include "../../base/log.h"
#include "../../base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <zlib.h>

#define MAGIC     "olmahead"
#define PAGES_MAX 64
#define ROOM      (64LL * 1024 * 1024)

#define LEAF 13
#define NODE 5

struct pages {
    sqlite3_file *file;
    uint32_t size, n;
    uint32_t number[PAGES_MAX];
    unsigned char *data[PAGES_MAX];
};

static uint32_t u16(const unsigned char *p) {
    return (uint32_t)p[0] << 8 | p[1];
}

static uint32_t u32(const unsigned char *p) {
    return u16(p) << 16 | u16(p + 2);
}

/* A page of the schema's tree and those below it. */
static int collect(struct pages *p, uint32_t number, int depth) {
    if (p->n == PAGES_MAX || depth > 4 || number == 0) return -1;

    unsigned char *page = xmalloc(p->size);
    p->number[p->n] = number;
    p->data[p->n++] = page;
    if (p->file->pMethods->xRead(p->file, page, (int)p->size,
                                 (sqlite3_int64)(number - 1) * p->size) !=
        SQLITE_OK)
        return -1;

    const unsigned char *head = page + (number == 1 ? 100 : 0);
    if (head[0] == LEAF) return 0;
    if (head[0] != NODE) return -1;
    for (uint32_t i = 0, cells = u16(head + 3); i < cells; i++) {
        uint32_t at = 12 + 2 * i;
        if (head + at + 2 > page + p->size) return -1;
        at = u16(head + at);
        if (at + 4 > p->size || collect(p, u32(page + at), depth + 1) != 0)
            return -1;
    }
    return collect(p, u32(head + 8), depth + 1);
}

static void release(struct pages *p) {
    for (uint32_t i = 0; i < p->n; i++) free(p->data[i]);
}

static void *pack(const struct pages *p, size_t *len) {
    *len = 16 + p->n * (4 + (size_t)p->size) + 4;
    unsigned char *file = xmalloc(*len), *at = file + 16;

    memcpy(file, MAGIC, 8);
    memcpy(file + 8, &p->size, 4);
    memcpy(file + 12, &p->n, 4);
    for (uint32_t i = 0; i < p->n; i++) {
        memcpy(at, &p->number[i], 4);
        memcpy(at + 4, p->data[i], p->size);
        if (p->number[i] == 1) {
            /* what changes with each transaction: counters, size, free pages */
            memset(at + 4 + 24, 0, 16);
            memset(at + 4 + 92, 0, 4);
        }
        at += 4 + p->size;
    }
    uint32_t crc = (uint32_t)crc32(0, file, (uInt)(*len - 4));
    memcpy(at, &crc, 4);
    return file;
}

/* The file's bytes, or NULL. */
static unsigned char *slurp(const char *name, size_t *len) {
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    struct stat st;
    unsigned char *data = NULL;

    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size < 8 * 1024 * 1024) {
        *len = (size_t)st.st_size;
        data = xmalloc(*len + 1);
        if (read(fd, data, *len) != (ssize_t)*len) {
            free(data);
            data = NULL;
        }
    }
    if (fd >= 0) close(fd);
    return data;
}

static int write_file(const char *name, const void *data, size_t len) {
    char *tmp = xasprintf("%s.new", name);
    int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    int bad = fd < 0 || write(fd, data, len) != (ssize_t)len || fsync(fd) != 0;

    if (fd >= 0) close(fd);
    bad = bad || rename(tmp, name) != 0;
    if (bad) unlink(tmp);
    free(tmp);
    return bad ? -1 : 0;
}

void sqlite_head_save(sqlite3 *db, const char *path) {
    struct pages p = {0};
    char *name = xasprintf("%s.head", path);
    unsigned char head[100];

    if (sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &p.file) ==
            SQLITE_OK &&
        p.file && p.file->pMethods &&
        p.file->pMethods->xRead(p.file, head, 100, 0) == SQLITE_OK) {
        p.size = u16(head + 16) == 1 ? 65536 : u16(head + 16);
        if (p.size >= 512 && collect(&p, 1, 0) == 0) {
            size_t len, old_len = 0;
            void *now = pack(&p, &len), *old = slurp(name, &old_len);

            if (old == NULL || old_len != len || memcmp(old, now, len) != 0)
                if (write_file(name, now, len) != 0)
                    log_msg(LOG_WARN, "%s: %s", name, strerror(errno));
            free(now);
            free(old);
        }
    }
    release(&p);
    free(name);
}

static int copy_file(const char *from, const char *to) {
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    ssize_t n = in < 0 || out < 0 ? -1 : 1;
    static char buf[65536];

    while (n > 0) {
        n = read(in, buf, sizeof(buf));
        if (n > 0 && write(out, buf, (size_t)n) != n) n = -1;
    }
    if (in >= 0) close(in);
    if (out >= 0) close(out);
    return n < 0 ? -1 : 0;
}

static int put_pages(const unsigned char *head, size_t len, const char *copy) {
    int fd = open(copy, O_WRONLY | O_CLOEXEC), bad = fd < 0;
    uint32_t size, n, number;

    memcpy(&size, head + 8, 4);
    memcpy(&n, head + 12, 4);
    for (uint32_t i = 0; !bad && i < n; i++) {
        const unsigned char *at = head + 16 + i * (4 + (size_t)size);

        bad = at + 4 + size > head + len;
        if (bad) break;
        memcpy(&number, at, 4);
        bad = pwrite(fd, at + 4, size, (off_t)(number - 1) * size) !=
              (ssize_t)size;
    }
    if (fd >= 0) close(fd);
    return bad ? -1 : 0;
}

int sqlite_head_patch(const char *path, const char *copy) {
    char *name = xasprintf("%s.head", path), *wal = xasprintf("%s-wal", path);
    char *copy_wal = xasprintf("%s-wal", copy);
    struct statvfs v;
    struct stat st;
    size_t len = 0;
    unsigned char *head = slurp(name, &len);
    uint32_t crc = 0;
    int bad = head == NULL || len < 20 || memcmp(head, MAGIC, 8) != 0;

    if (!bad) memcpy(&crc, head + len - 4, 4);
    bad = bad || crc != (uint32_t)crc32(0, head, (uInt)(len - 4));
    /* twice: for the copy, and for what is saved of it */
    bad = bad || stat(path, &st) != 0 || statvfs(path, &v) != 0 ||
          (int64_t)v.f_bavail * (int64_t)v.f_frsize < 2 * st.st_size + ROOM;
    bad = bad || copy_file(path, copy) != 0 || put_pages(head, len, copy) != 0;
    if (!bad && stat(wal, &st) == 0 && st.st_size > 0)
        bad = copy_file(wal, copy_wal) != 0;
    if (bad) {
        unlink(copy);
        unlink(copy_wal);
    }
    free(head);
    free(name);
    free(wal);
    free(copy_wal);
    return bad ? -1 : 0;
}
