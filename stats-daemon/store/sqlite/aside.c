#include "aside.h"

#include "../../base/util.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *aside_place(const char *path) {
    return xasprintf("%s.salvage", path);
}

static void sync_folder(const char *path) {
    char *dir = xstrdup(path), *slash = strrchr(dir, '/');

    if (slash) *slash = '\0';
    int fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    free(dir);
}

static void move_wal(const char *path, const char *aside) {
    char *from = xasprintf("%s-wal", path), *to = xasprintf("%s-wal", aside);

    rename(from, to);
    free(from);
    free(to);
    from = xasprintf("%s-shm", path);
    unlink(from);
    free(from);
}

int aside_swap(const char *path, char *aside, size_t len) {
    char day[ISO_SIZE], *built = aside_place(path);
    char *whole = xasprintf("%s.salvaged", path);
    struct stat st;

    iso_time(day, now_ms(), 0);
    for (int n = 0; n < 1000; n++) {
        if (n)
            snprintf(aside, len, "%s.damaged-%s.%d", path, day, n);
        else
            snprintf(aside, len, "%s.damaged-%s", path, day);
        if (lstat(aside, &st) != 0) break;
    }

    int fd = open(built, O_RDONLY | O_CLOEXEC);
    int bad = fd < 0 || fsync(fd) != 0;
    if (fd >= 0) close(fd);
    bad = bad || rename(built, whole) != 0;
    if (!bad) sync_folder(path);
    if (!bad && rename(path, aside) != 0) {
        int error = errno;
        unlink(whole);
        errno = error;
        bad = 1;
    }
    if (!bad) {
        move_wal(path, aside);
        bad = rename(whole, path) != 0;
        sync_folder(path);
    }
    free(built);
    free(whole);
    return bad ? -1 : 0;
}

/* The newest one that was moved aside. */
static char *newest_aside(const char *path) {
    const char *slash = strrchr(path, '/');
    char *dir =
        slash ? xasprintf("%.*s", (int)(slash - path), path) : xstrdup(".");
    char *begin = xasprintf("%s.damaged-", slash ? slash + 1 : path);
    char *found = NULL;
    int64_t when = -1;
    DIR *d = opendir(dir);

    for (struct dirent *e; d && (e = readdir(d));) {
        size_t len = strlen(e->d_name);
        struct stat st;

        if (strncmp(e->d_name, begin, strlen(begin)) != 0 ||
            (len > 4 && strcmp(e->d_name + len - 4, "-wal") == 0))
            continue;
        char *name = xasprintf("%s/%s", dir, e->d_name);
        /* a rename is a change of the inode */
        if (stat(name, &st) == 0 && (int64_t)st.st_ctime >= when) {
            when = (int64_t)st.st_ctime;
            free(found);
            found = name;
        } else {
            free(name);
        }
    }
    if (d) closedir(d);
    free(dir);
    free(begin);
    return found;
}

int aside_resume(const char *path) {
    char *built = aside_place(path);
    char *whole = xasprintf("%s.salvaged", path);
    struct stat st;
    int resumed = 0;

    unlink(built);
    if (lstat(whole, &st) == 0) {
        if (lstat(path, &st) == 0) {
            unlink(whole); /* the old one was not touched: again from there */
        } else {
            char *aside = newest_aside(path);
            if (aside) move_wal(path, aside);
            free(aside);
            resumed = rename(whole, path) == 0;
            sync_folder(path);
        }
    }
    free(built);
    free(whole);
    return resumed;
}
