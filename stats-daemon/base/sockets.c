#include "sockets.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static const char *const names[SOCKETS] = {"ingest", "http", "syslog"};
static char *made[SOCKETS];

/* Whether the first of the names is for one of ours; else it is a unit's. */
static int is_named(const char *list) {
    size_t n = list ? strcspn(list, ":") : 0;

    for (int i = 0; i < SOCKETS; i++)
        if (n == strlen(names[i]) && memcmp(list, names[i], n) == 0) return 1;
    return 0;
}

int socket_passed(enum socket_use use) {
    const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    const char *name = getenv("LISTEN_FDNAMES");
    int streams = 0;

    if (pid == NULL || count == NULL || atoi(pid) != getpid()) return -1;
    if (!is_named(name)) name = NULL;
    for (int fd = 3; fd < 3 + atoi(count) && fd < 64; fd++) {
        int type = 0, match;
        socklen_t len = sizeof(type);

        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) != 0) return -1;
        if (name) {
            size_t n = strcspn(name, ":");
            match = n == strlen(names[use]) && memcmp(name, names[use], n) == 0;
            name += n;
            name = *name ? name + 1 : NULL;
        } else if (type == SOCK_DGRAM) {
            match = use == SOCKET_SYSLOG;
        } else {
            match = streams++ == (use == SOCKET_HTTP) && use != SOCKET_SYSLOG;
        }
        if (match) {
            fcntl(fd, F_SETFD, FD_CLOEXEC);
            fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
            return fd;
        }
    }
    return -1;
}

/* Is anybody there? */
static int alive(const struct sockaddr_un *sa, int type) {
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    int r = connect(fd, (const struct sockaddr *)sa, sizeof(*sa));

    close(fd);
    return r == 0;
}

int socket_make(enum socket_use use, const char *path, uid_t uid, gid_t gid,
                char *err, size_t errlen) {
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int type = use == SOCKET_SYSLOG ? SOCK_DGRAM : SOCK_STREAM;
    struct stat st;

    if (strlen(path) >= sizeof(sa.sun_path)) {
        snprintf(err, errlen,
                 "%s: a socket's path has at most %zu bytes; give a shorter "
                 "one",
                 path, sizeof(sa.sun_path) - 1);
        return -1;
    }
    strcpy(sa.sun_path, path);
    if (lstat(path, &st) == 0) {
        if (!S_ISSOCK(st.st_mode)) {
            snprintf(err, errlen, "%s is there and is no socket", path);
            return -1;
        }
        if (alive(&sa, type)) {
            snprintf(err, errlen, "%s: another process listens there", path);
            return -1;
        }
        unlink(path);
    }

    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t mask = umask(0117);
    int bad = fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0 ||
              (type == SOCK_STREAM && listen(fd, 512) != 0);
    umask(mask);
    if (!bad && (uid != (uid_t)-1 || gid != (gid_t)-1))
        bad = chown(path, uid, gid) != 0;
    if (bad) {
        snprintf(err, errlen, "%s: %s", path, strerror(errno));
        if (fd >= 0) close(fd);
        return -1;
    }
    made[use] = xstrdup(path);
    return fd;
}

void sockets_remove(void) {
    for (int i = 0; i < SOCKETS; i++) {
        if (made[i]) unlink(made[i]);
        free(made[i]);
        made[i] = NULL;
    }
}
