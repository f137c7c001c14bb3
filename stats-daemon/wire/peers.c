#include "peers.h"

#include "../base/log.h"
#include "../base/trouble.h"
#include "../base/util.h"

#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* of Debian, of nginx.org and Red Hat, of Arch, of SUSE */
static const char *const usual[] = {"www-data", "nginx", "http", "wwwrun"};

static uid_t allowed[PEERS_MAX];
static int nallowed;
static long long refused;
static struct trouble trouble = {.level = LOG_ERROR, .quiet_ms = 600000};

static int add(uid_t uid) {
    if (nallowed == PEERS_MAX) return -1;
    allowed[nallowed++] = uid;
    return 0;
}

int peers_allow(const char *user) {
    const struct passwd *p = getpwnam(user);
    int64_t n;

    if (p) return add(p->pw_uid);
    /* the last one is what the kernel says of nobody it knows */
    if (parse_number(user, 0, UINT32_MAX - 1, &n) != 0) return -1;
    return add((uid_t)n);
}

void peers_start(void) {
    if (nallowed) return;
    for (size_t i = 0; i < sizeof(usual) / sizeof(*usual); i++) {
        const struct passwd *p = getpwnam(usual[i]);
        if (p) add(p->pw_uid);
    }
}

static int is_allowed(uid_t uid) {
    if (uid == 0 || uid == geteuid()) return 1;
    for (int i = 0; i < nallowed; i++)
        if (allowed[i] == uid) return 1;
    return 0;
}

int peers_allowed(int fd) {
    struct ucred peer = {.uid = (uid_t)-1};
    socklen_t len = sizeof(peer);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
        is_allowed(peer.uid))
        return 1;
    refused++;
    trouble_met(&trouble,
                "records of uid %u (process %d) are refused: if nginx's "
                "workers are this user, start with --allow-user %u",
                (unsigned)peer.uid, (int)peer.pid, (unsigned)peer.uid);
    return 0;
}

long long peers_refused(void) {
    return refused;
}
