/*
 * Clocks that are wrong, for t/lib/Clocks.pm.
 *
 *     LD_PRELOAD=build/wrongclock.so WRONGCLOCK=/x program
 *
 * /x holds two numbers, in milliseconds, as int64_t: what is added to the time
 * of day, and what is added to the clocks that run evenly.  It is mapped, so
 * what is written to it holds at once.  Waits on a condition are taken for
 * waits by an even clock.
 */

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>


static volatile int64_t  *wrong;


__attribute__((constructor)) static void
begin(void)
{
    int          fd;
    void        *p;
    const char  *file = getenv("WRONGCLOCK");

    if (file == NULL || (fd = open(file, O_RDONLY | O_CLOEXEC)) < 0) {
        return;
    }

    p = mmap(NULL, 2 * sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
    close(fd);

    if (p != MAP_FAILED) {
        wrong = p;
    }
}


static void
add(struct timespec *ts, int64_t ms)
{
    ts->tv_sec += ms / 1000;
    ts->tv_nsec += ms % 1000 * 1000000;

    if (ts->tv_nsec >= 1000000000) {
        ts->tv_nsec -= 1000000000;
        ts->tv_sec++;

    } else if (ts->tv_nsec < 0) {
        ts->tv_nsec += 1000000000;
        ts->tv_sec--;
    }
}


int
clock_gettime(clockid_t id, struct timespec *ts)
{
    int  rc;

    rc = (int) syscall(SYS_clock_gettime, id, ts);

    if (rc != 0 || wrong == NULL) {
        return rc;
    }

    switch (id) {

    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
        add(ts, wrong[0]);
        break;

    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_BOOTTIME:
        add(ts, wrong[1]);
        break;
    }

    return 0;
}


int
pthread_cond_timedwait(pthread_cond_t *restrict cond,
    pthread_mutex_t *restrict lock, const struct timespec *restrict until)
{
    struct timespec  ts;

    static int  (*real)(pthread_cond_t *, pthread_mutex_t *,
                        const struct timespec *);

    if (real == NULL) {
        *(void **) &real = dlsym(RTLD_NEXT, "pthread_cond_timedwait");
    }

    ts = *until;

    if (wrong) {
        add(&ts, -wrong[1]);
    }

    return real(cond, lock, &ts);
}


int
gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
    struct timespec  ts;

    (void) zone;

    clock_gettime(CLOCK_REALTIME, &ts);
    tv->tv_sec = ts.tv_sec;
    tv->tv_usec = ts.tv_nsec / 1000;

    return 0;
}


time_t
time(time_t *to)
{
    struct timespec  ts;

    clock_gettime(CLOCK_REALTIME, &ts);

    if (to) {
        *to = ts.tv_sec;
    }

    return ts.tv_sec;
}
