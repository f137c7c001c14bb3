/*
 * Notes what a program asks of the disk, so that t/lib/PowerCut.pm can make the
 * folder that would be left if the power failed.
 *
 *     LD_PRELOAD=build/powercut.so POWERCUT_DIR=/x POWERCUT_JOURNAL=/y program
 *
 * Each operation on a file below POWERCUT_DIR, when it has succeeded, is
 * appended to the journal as one line and, for a write, its bytes:
 *
 *     open FD PATH          a file that was there
 *     create FD PATH        one that was not
 *     close FD
 *     write FD OFFSET LEN   and LEN bytes, a newline
 *     truncate FD LEN
 *     sync FD               of a file, its data
 *     syncdir PATH          of a folder, its names
 *     unlink PATH, rmdir PATH, mkdir PATH
 *     rename PATH PATH      (no blanks in paths)
 *
 * One lock is held over an operation and its line, so that the order is true.
 * What is mapped (SQLite's -shm) is not seen, and is taken for lost.
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>


#define FDS  4096


static atomic_flag    lock = ATOMIC_FLAG_INIT;
static int            journal = -1;
static char           root[PATH_MAX];
static size_t         root_len;
static unsigned char  known[FDS];     /* 1: a file, 2: a folder */


/* a sanitizer calls before there are mutexes */

static void
take(void)
{
    while (atomic_flag_test_and_set(&lock)) {
        sched_yield();
    }
}


static void
give(void)
{
    atomic_flag_clear(&lock);
}


__attribute__((constructor)) static void
begin(void)
{
    const char  *dir = getenv("POWERCUT_DIR");
    const char  *file = getenv("POWERCUT_JOURNAL");

    if (dir == NULL || file == NULL || realpath(dir, root) == NULL) {
        return;
    }

    root_len = strlen(root);
    journal = (int) syscall(SYS_openat, AT_FDCWD, file,
                            O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}


static void
note(const char *fmt, ...)
{
    char     line[2 * PATH_MAX + 64];
    int      n;
    va_list  ap;

    va_start(ap, fmt);
    n = vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);

    if (syscall(SYS_write, journal, line, n) != n) {
        abort();
    }
}


/* a path below the root, or NULL */

static const char *
below(int at, const char *path, char *buf)
{
    char     link[64];
    ssize_t  n;

    if (journal < 0 || path == NULL) {
        return NULL;
    }

    if (path[0] == '/') {
        snprintf(buf, PATH_MAX, "%s", path);

    } else if (at == AT_FDCWD) {
        if (getcwd(buf, PATH_MAX) == NULL) {
            return NULL;
        }
        strncat(buf, "/", PATH_MAX - strlen(buf) - 1);
        strncat(buf, path, PATH_MAX - strlen(buf) - 1);

    } else {
        snprintf(link, sizeof(link), "/proc/self/fd/%d", at);
        n = readlink(link, buf, PATH_MAX - 1);
        if (n < 0) {
            return NULL;
        }
        buf[n] = '\0';
        strncat(buf, "/", PATH_MAX - strlen(buf) - 1);
        strncat(buf, path, PATH_MAX - strlen(buf) - 1);
    }

    if (strncmp(buf, root, root_len) != 0
        || (buf[root_len] != '/' && buf[root_len] != '\0'))
    {
        return NULL;
    }

    return buf[root_len] ? buf + root_len + 1 : ".";
}


static int
open_at(int at, const char *path, int flags, mode_t mode)
{
    char         buf[PATH_MAX];
    int          fd, was;
    struct stat  st;

    const char  *name = below(at, path, buf);

    take();

    was = name && (flags & O_CREAT)
          && fstatat(at, path, &st, AT_SYMLINK_NOFOLLOW) == 0;

    fd = (int) syscall(SYS_openat, at, path, flags, mode);

    if (fd >= 0 && fd < FDS) {
        known[fd] = 0;

        if (name && fstat(fd, &st) == 0) {
            if (S_ISDIR(st.st_mode)) {
                known[fd] = 2;

            } else if (S_ISREG(st.st_mode)) {
                known[fd] = 1;
                note("%s %d %s\n", (flags & O_CREAT) && !was ? "create"
                                                              : "open",
                     fd, name);
                if ((flags & O_TRUNC) && was) {
                    note("truncate %d 0\n", fd);
                }
            }
        }
    }

    give();
    return fd;
}


static mode_t
mode_of(int flags, va_list ap)
{
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;
}


/* each under the name for large files, too */

#define OPEN(name)                                                            \
    int name(const char *path, int flags, ...)                                \
    {                                                                         \
        va_list  ap;                                                          \
                                                                              \
        va_start(ap, flags);                                                  \
        int  fd = open_at(AT_FDCWD, path, flags, mode_of(flags, ap));         \
        va_end(ap);                                                           \
        return fd;                                                            \
    }

#define OPENAT(name)                                                          \
    int name(int at, const char *path, int flags, ...)                        \
    {                                                                         \
        va_list  ap;                                                          \
                                                                              \
        va_start(ap, flags);                                                  \
        int  fd = open_at(at, path, flags, mode_of(flags, ap));               \
        va_end(ap);                                                           \
        return fd;                                                            \
    }

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)


int
close(int fd)
{
    int  rc;

    take();

    if (fd >= 0 && fd < FDS) {
        if (known[fd] == 1) {
            note("close %d\n", fd);
        }
        known[fd] = 0;
    }

    rc = (int) syscall(SYS_close, fd);

    give();
    return rc;
}


static ssize_t
write_at(int fd, const void *data, size_t len, off_t offset, int has_offset)
{
    ssize_t  n;
    int      note_it = fd >= 0 && fd < FDS && known[fd] == 1;

    if (!note_it) {
        return has_offset ? syscall(SYS_pwrite64, fd, data, len, offset)
                          : syscall(SYS_write, fd, data, len);
    }

    take();

    if (!has_offset) {
        struct stat  st;

        offset = (fcntl(fd, F_GETFL) & O_APPEND) && fstat(fd, &st) == 0
                 ? st.st_size : lseek(fd, 0, SEEK_CUR);
        n = syscall(SYS_write, fd, data, len);

    } else {
        n = syscall(SYS_pwrite64, fd, data, len, offset);
    }

    if (n > 0) {
        note("write %d %lld %zd\n", fd, (long long) offset, n);
        if (syscall(SYS_write, journal, data, n) != n
            || syscall(SYS_write, journal, "\n", 1) != 1)
        {
            abort();
        }
    }

    give();
    return n;
}


ssize_t
write(int fd, const void *data, size_t len)
{
    return write_at(fd, data, len, 0, 0);
}


ssize_t
pwrite(int fd, const void *data, size_t len, off_t offset)
{
    return write_at(fd, data, len, offset, 1);
}


ssize_t
pwrite64(int fd, const void *data, size_t len, off64_t offset)
{
    return write_at(fd, data, len, offset, 1);
}


int
ftruncate(int fd, off_t len)
{
    int  rc;

    take();

    rc = (int) syscall(SYS_ftruncate, fd, len);
    if (rc == 0 && fd < FDS && known[fd] == 1) {
        note("truncate %d %lld\n", fd, (long long) len);
    }

    give();
    return rc;
}


int
ftruncate64(int fd, off64_t len)
{
    return ftruncate(fd, len);
}


static int
synced(int fd, int rc)
{
    char     link[64], buf[PATH_MAX];
    ssize_t  n;

    if (rc != 0 || fd < 0 || fd >= FDS || known[fd] == 0) {
        return rc;
    }

    if (known[fd] == 1) {
        note("sync %d\n", fd);
        return rc;
    }

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, buf, sizeof(buf) - 1);

    if (n > 0) {
        buf[n] = '\0';
        note("syncdir %s\n", buf[root_len] ? buf + root_len + 1 : ".");
    }

    return rc;
}


int
fsync(int fd)
{
    int  rc;

    take();
    rc = synced(fd, (int) syscall(SYS_fsync, fd));
    give();
    return rc;
}


int
fdatasync(int fd)
{
    int  rc;

    take();
    rc = synced(fd, (int) syscall(SYS_fdatasync, fd));
    give();
    return rc;
}


int
unlinkat(int at, const char *path, int flags)
{
    int   rc;
    char  buf[PATH_MAX];

    const char  *name = below(at, path, buf);

    take();
    rc = (int) syscall(SYS_unlinkat, at, path, flags);
    if (rc == 0 && name) {
        note("%s %s\n", flags & AT_REMOVEDIR ? "rmdir" : "unlink", name);
    }
    give();
    return rc;
}


int
unlink(const char *path)
{
    return unlinkat(AT_FDCWD, path, 0);
}


int
rmdir(const char *path)
{
    return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}


int
mkdirat(int at, const char *path, mode_t mode)
{
    int   rc;
    char  buf[PATH_MAX];

    const char  *name = below(at, path, buf);

    take();
    rc = (int) syscall(SYS_mkdirat, at, path, mode);
    if (rc == 0 && name) {
        note("mkdir %s\n", name);
    }
    give();
    return rc;
}


int
mkdir(const char *path, mode_t mode)
{
    return mkdirat(AT_FDCWD, path, mode);
}


int
rename(const char *from, const char *to)
{
    int   rc;
    char  a[PATH_MAX], b[PATH_MAX];

    const char  *old = below(AT_FDCWD, from, a);
    const char  *new = below(AT_FDCWD, to, b);

    take();
    rc = (int) syscall(SYS_rename, from, to);
    if (rc == 0 && old && new) {
        note("rename %s %s\n", old, new);
    }
    give();
    return rc;
}
