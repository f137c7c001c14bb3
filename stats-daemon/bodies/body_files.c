#include "body_files.h"

#include "../base/util.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_LIMIT (64 * 1024 * 1024)

static char *path_of(const char *dir, uint64_t instance, uint64_t id,
                     int64_t time) {
    char day[ISO_SIZE];

    return xasprintf("%s/requests/%s/%016" PRIx64 "-%" PRIx64 ".json.gz", dir,
                     iso_day(day, time), instance, id);
}

void *body_file_read(const char *dir, uint64_t instance, uint64_t id,
                     int64_t time, size_t *len) {
    char *path = path_of(dir, instance, id, time);
    struct stat st;
    unsigned char *data;
    size_t got = 0;

    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    free(path);
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

void body_file_remove(const char *dir, uint64_t instance, uint64_t id,
                      int64_t time) {
    char *path = path_of(dir, instance, id, time);

    unlink(path);
    free(path);
}

static int is_day(const char *name) {
    int64_t ms;

    return strlen(name) == 10 && parse_time(name, &ms) == 0;
}

/* "<16 hexadecimal digits>-<..>.json.gz" */
static int is_body(const char *name) {
    size_t len = strlen(name);

    return len > 25 && strspn(name, "0123456789abcdef") == 16 &&
           name[16] == '-' && strcmp(name + len - 8, ".json.gz") == 0;
}

static DIR *list(int at, const char *path) {
    int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);

    if (d == NULL && fd >= 0) close(fd);
    return d;
}

static int sweep_day(int at, const char *day, int n) {
    int removed = 0;
    DIR *d = list(at, day);

    if (d == NULL) return 0;
    for (struct dirent *e; removed < n && (e = readdir(d));)
        if (is_body(e->d_name) && unlinkat(dirfd(d), e->d_name, 0) == 0)
            removed++;
    closedir(d);
    if (removed < n) unlinkat(at, day, AT_REMOVEDIR);
    return removed;
}

int body_files_sweep(const char *dir, int64_t before, int n) {
    char limit[ISO_SIZE], *path = xasprintf("%s/requests", dir);
    int removed = 0;
    DIR *d = list(AT_FDCWD, path);

    free(path);
    if (d == NULL) return 0;
    iso_day(limit, before);
    for (struct dirent *e; removed < n && (e = readdir(d));)
        if (is_day(e->d_name) && strcmp(e->d_name, limit) < 0)
            removed += sweep_day(dirfd(d), e->d_name, n - removed);
    closedir(d);
    return removed;
}
