#include "notify.h"

#include "log.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void notify(const char *state) {
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    const char *path = getenv("NOTIFY_SOCKET");
    size_t len = path ? strlen(path) : 0;

    if (len == 0) return;
    if (len >= sizeof(sa.sun_path)) {
        log_msg(LOG_WARN, "NOTIFY_SOCKET: %s is too long", path);
        return;
    }
    memcpy(sa.sun_path, path, len);
    if (*path == '@') sa.sun_path[0] = '\0'; /* an abstract one */

    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    if (fd < 0 || sendto(fd, state, strlen(state), MSG_NOSIGNAL,
                         (struct sockaddr *)&sa, size) < 0)
        log_msg(LOG_WARN, "NOTIFY_SOCKET: %s: %s", path, strerror(errno));
    if (fd >= 0) close(fd);
}
