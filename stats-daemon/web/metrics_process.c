#include "metrics_process.h"

#include "metrics_text.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* A short file of /proc as text: 0, or -1. */
static int slurp(const char *path, char *buf, size_t size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

    if (fd >= 0) close(fd);
    if (n <= 0) return -1;
    buf[n] = '\0';
    return 0;
}

static double clock_seconds(clockid_t id) {
    struct timespec ts;

    if (clock_gettime(id, &ts) != 0) return -1;
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double resident(void) {
    char buf[128];
    long long pages;

    if (slurp("/proc/self/statm", buf, sizeof(buf)) != 0 ||
        sscanf(buf, "%*d %lld", &pages) != 1)
        return -1;
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static double descriptors(void) {
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;

    if (dir == NULL) return -1;
    for (struct dirent *e; (e = readdir(dir));)
        if (e->d_name[0] != '.') n++;
    closedir(dir);
    return n - 1; /* this folder's own */
}

static double limit(void) {
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) != 0) return -1;
    return r.rlim_cur == RLIM_INFINITY ? 1e18 : (double)r.rlim_cur;
}

/* In ticks since the machine began; found out once, or a clock that is set
 * would look like another start. */
static double started(void) {
    static double at = -1;
    unsigned long long ticks;
    char buf[1024], *p;

    if (at >= 0 || slurp("/proc/self/stat", buf, sizeof(buf)) != 0) return at;
    /* the name, in brackets, may hold anything; the 22nd field is asked for */
    if ((p = strrchr(buf, ')')) == NULL) return at;
    for (int field = 2; field < 22 && p; field++) p = strchr(p + 1, ' ');
    if (p == NULL || sscanf(p, "%llu", &ticks) != 1) return at;
    at = clock_seconds(CLOCK_REALTIME) - clock_seconds(CLOCK_BOOTTIME) +
         (double)ticks / (double)sysconf(_SC_CLK_TCK);
    return at;
}

static void put(struct json *j, const char *name, const char *type,
                const char *help, double value) {
    if (value >= 0) metrics_one(j, name, type, help, value);
}

void metrics_process(struct json *j) {
    put(j, "process_resident_memory_bytes", "gauge",
        "Memory of the daemon, files that it has mapped included.", resident());
    put(j, "process_open_fds", "gauge", "Open descriptors of the daemon.",
        descriptors());
    put(j, "process_max_fds", "gauge", "Descriptors that the daemon may open.",
        limit());
    put(j, "process_cpu_seconds_total", "counter",
        "Processor time of the daemon, the kernel's for it included.",
        clock_seconds(CLOCK_PROCESS_CPUTIME_ID));
    put(j, "process_start_time_seconds", "gauge",
        "When the daemon's process was started.", started());
}
