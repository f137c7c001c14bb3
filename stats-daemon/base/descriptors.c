#include "descriptors.h"

#include "log.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/resource.h>

#define OPEN_GUESSED 32 /* where there is no /proc */

static int limit(void) {
    struct rlimit l;

    if (getrlimit(RLIMIT_NOFILE, &l) != 0) return 1024;
    return l.rlim_cur > INT_MAX ? INT_MAX : (int)l.rlim_cur;
}

void descriptors_raise(void) {
    struct rlimit l;

    if (getrlimit(RLIMIT_NOFILE, &l) != 0 || l.rlim_cur >= l.rlim_max) return;
    l.rlim_cur = l.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &l) != 0)
        log_msg(LOG_WARN, "the limit of descriptors cannot be raised: %s",
                strerror(errno));
}

static int count_open(void) {
    DIR *dir = opendir("/proc/self/fd");
    int n = -1; /* the folder's own */

    if (dir == NULL) return OPEN_GUESSED;
    for (const struct dirent *e; (e = readdir(dir));) n += *e->d_name != '.';
    closedir(dir);
    return n;
}

static int bounded(int n, int max) {
    if (n > max) return max;
    return n < DESCRIPTORS_MIN ? DESCRIPTORS_MIN : n;
}

void descriptors_share(struct descriptors *d, int ingest, int http,
                       int refusals) {
    d->limit = limit();
    d->open = count_open();

    int left = d->limit - d->open, spare = DESCRIPTORS_SPARE;

    if (spare > left / 3) spare = left / 3;
    left -= spare;
    d->refusals = bounded(left / 4, refusals);
    d->ingest = bounded(left / 4, ingest);
    d->http = bounded(left - d->ingest - d->refusals, http);

    if (left < d->ingest + d->http + d->refusals)
        log_msg(LOG_WARN,
                "%d descriptors are too few: %d are open, and nothing is left "
                "over for bodies and the log; LimitNOFILE, or ulimit -n",
                d->limit, d->open);
    else if (d->http < http || d->ingest < ingest)
        log_msg(LOG_NOTICE,
                "%d descriptors: at most %d connections of proxies, %d of "
                "readers",
                d->limit, d->ingest, d->http);
}
