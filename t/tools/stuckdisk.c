/*
 * A disk that does not answer: for t/statsd-stuck.t.
 *
 *     LD_PRELOAD=build/stuckdisk.so STUCKDISK=/x program
 *
 * As long as the file /x is there, no read from a place in a file ends.
 */

#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>


static void
wait_for_disk(void)
{
    static const char  *file;

    if (file == NULL) {
        file = getenv("STUCKDISK");
    }

    while (file && access(file, F_OK) == 0) {
        usleep(10000);
    }
}


ssize_t
pread(int fd, void *buf, size_t size, off_t offset)
{
    static ssize_t (*next)(int, void *, size_t, off_t);

    wait_for_disk();

    if (next == NULL) {
        next = (ssize_t (*)(int, void *, size_t, off_t)) dlsym(RTLD_NEXT,
                                                               "pread");
    }

    return next(fd, buf, size, offset);
}


ssize_t
pread64(int fd, void *buf, size_t size, off64_t offset)
{
    return pread(fd, buf, size, offset);
}
