#include "backup.h"

#include "sqlite.h"

#include "../../base/log.h"
#include "../../base/util.h"
#include "../store.h"
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define PAGES  2048 /* a step, between two looks at the signals */
#define ROOM   (64LL * 1024 * 1024)
#define SAY_MS 5000

static volatile sig_atomic_t stopped;

static void on_stop(int sig) {
    stopped = sig;
}

/* The folder of a file; free() it. */
static char *folder_of(const char *file) {
    const char *slash = strrchr(file, '/');

    if (slash == NULL) return xstrdup(".");
    return slash == file ? xstrdup("/")
                         : xasprintf("%.*s", (int)(slash - file), file);
}

static int sync_path(const char *path, int flags) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | flags);
    int bad = fd < 0 || fsync(fd) != 0;
    int error = errno;

    if (fd >= 0) close(fd);
    errno = error;
    return bad ? -1 : 0;
}

static int copy_pages(sqlite3 *from, sqlite3 *to, int say, char *err,
                      size_t len) {
    int64_t said = mono_ms();
    int code;

    /* one moment: what others write is not seen until its end */
    code = sqlite3_exec(from, "BEGIN; SELECT count(*) FROM sqlite_schema", NULL,
                        NULL, NULL);
    if (code != SQLITE_OK) {
        snprintf(err, len, "the ledger cannot be read: %s",
                 sqlite3_errmsg(from));
        return -1;
    }
    sqlite3_backup *b = sqlite3_backup_init(to, "main", from, "main");
    if (b == NULL) {
        snprintf(err, len, "%s", sqlite3_errmsg(to));
        return -1;
    }
    do {
        code = sqlite3_backup_step(b, PAGES);
        if (say && mono_ms() - said > SAY_MS) {
            int all = sqlite3_backup_pagecount(b);

            said = mono_ms();
            log_msg(LOG_NOTICE, "copying the ledger: %d %%",
                    all ? (int)(100 - 100LL * sqlite3_backup_remaining(b) / all)
                        : 0);
        }
    } while (!stopped && (code == SQLITE_OK || code == SQLITE_BUSY ||
                          code == SQLITE_LOCKED));
    if (sqlite3_backup_finish(b) != SQLITE_OK && code == SQLITE_DONE)
        code = SQLITE_ERROR;
    sqlite3_exec(from, "COMMIT", NULL, NULL, NULL);
    if (stopped) {
        snprintf(err, len, "interrupted");
        return -1;
    }
    if (code != SQLITE_DONE) {
        snprintf(err, len, "the copy cannot be made: %s", sqlite3_errstr(code));
        return -1;
    }
    return 0;
}

/* A copy that is damaged as its original is no backup. */
static int is_whole(sqlite3 *db, char *err, size_t len) {
    sqlite3_stmt *st = NULL;
    int whole = 0;

    if (sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &st, NULL) ==
            SQLITE_OK &&
        sqlite3_step(st) == SQLITE_ROW) {
        const char *said = (const char *)sqlite3_column_text(st, 0);
        whole = said && strcmp(said, "ok") == 0;
        if (!whole)
            snprintf(err, len, "the ledger is damaged: %.200s",
                     said ? said : "?");
    } else {
        snprintf(err, len, "the ledger is damaged: %s", sqlite3_errmsg(db));
    }
    sqlite3_finalize(st);
    return whole;
}

/* from into a new file of that name, and to the disk. */
static int copy_to(sqlite3 *from, const char *file, int say, int check,
                   char *err, size_t len) {
    sqlite3 *to = NULL;
    int fd = open(file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);

    if (fd < 0) {
        snprintf(err, len, "%s: %s", file, strerror(errno));
        return -1;
    }
    close(fd);

    int code = sqlite3_open_v2(
        file, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    int bad = code != SQLITE_OK;
    if (bad) snprintf(err, len, "%s: %s", file, sqlite3_errmsg(to));
    if (!bad)
        sqlite3_exec(to, "PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF",
                     NULL, NULL, NULL);
    if (!bad) bad = copy_pages(from, to, say, err, len) != 0;
    if (!bad && check) bad = !is_whole(to, err, len);
    /* by itself: whoever opens it needs no other file */
    if (!bad && sqlite3_exec(to, "PRAGMA journal_mode = DELETE", NULL, NULL,
                             NULL) != SQLITE_OK) {
        snprintf(err, len, "%s: %s", file, sqlite3_errmsg(to));
        bad = 1;
    }
    sqlite3_close(to);
    if (!bad && sync_path(file, 0) != 0) {
        snprintf(err, len, "%s: %s", file, strerror(errno));
        bad = 1;
    }
    if (bad) unlink(file);
    return bad ? -1 : 0;
}

/* ---- --backup ---- */

/* May this name be taken?  Nothing else is there, or an older backup. */
static int may_replace(const char *file, const char *ledger, char *err,
                       size_t len) {
    char why[512] = "", *wal = xasprintf("%s-wal", file);
    struct stat st, own;
    int is_there = lstat(file, &st) == 0, ok = 1;

    if (is_there && stat(file, &own) == 0) {
        struct stat l;
        if (stat(ledger, &l) == 0 && l.st_dev == own.st_dev &&
            l.st_ino == own.st_ino) {
            snprintf(err, len, "%s is the ledger itself", file);
            ok = 0;
        }
    }
    if (ok && is_there && !S_ISREG(st.st_mode)) {
        snprintf(err, len, "%s is there already, and is no file", file);
        ok = 0;
    }
    if (ok && is_there && st.st_size > 0) {
        enum store_file what = sqlite_file_look(file, why, sizeof(why));
        if (what != STORE_FILE_OURS || access(file, R_OK) != 0) {
            snprintf(err, len,
                     "%s is there already, and is no backup of a ledger: it is "
                     "not replaced",
                     file);
            ok = 0;
        }
    }
    if (ok && lstat(wal, &st) == 0) {
        snprintf(err, len,
                 "%s is there: some program works on that file; give another "
                 "name",
                 wal);
        ok = 0;
    }
    free(wal);
    return ok;
}

static int is_same(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
           a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Without a -wal nobody had the ledger open, and it was read without a lock: if
 * somebody has opened it since, the copy counts for nothing. */
static int copy_quietly(const char *path, const char *tmp, char *err,
                        size_t len) {
    char *wal = xasprintf("%s-wal", path);
    int bad = 1;

    for (int tries = 0; tries < 3; tries++) {
        struct stat before, after, w;
        int code, quiet = stat(wal, &w) != 0;

        if (stat(path, &before) != 0) {
            snprintf(err, len, "%s: %s", path, strerror(errno));
            break;
        }
        sqlite3 *from = sqlite_file_open(path, &code);
        if (code != SQLITE_OK) {
            snprintf(err, len, "%s: %s", path, sqlite3_errmsg(from));
            sqlite3_close(from);
            break;
        }
        bad = copy_to(from, tmp, 0, 1, err, len) != 0;
        sqlite3_close(from);
        if (!quiet || stopped) break;
        if (stat(path, &after) == 0 && is_same(&before, &after) &&
            stat(wal, &w) != 0)
            break;
        if (!bad) unlink(tmp);
        snprintf(err, len, "%s changes while it is read", path);
        bad = 1;
    }
    free(wal);
    return bad ? -1 : 0;
}

int sqlite_backup(const char *path, const char *file, char *err, size_t len) {
    char *tmp = xasprintf("%s.partial-%d", file, (int)getpid());
    char *folder = folder_of(file);
    struct sigaction sa = {.sa_handler = on_stop};
    struct stat st;
    int bad = 1;

    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGHUP, &sa, NULL);
    err[0] = '\0';

    if (*file == '\0' || file[strlen(file) - 1] == '/') {
        snprintf(err, len, "--backup needs the name of a file");
    } else if (stat(path, &st) != 0) {
        snprintf(err, len,
                 errno == ENOENT ? "there is no ledger: %s: %s" : "%s: %s",
                 path, strerror(errno));
    } else if (access(path, R_OK) != 0) {
        snprintf(err, len, "%s: %s", path, strerror(errno));
    } else if (st.st_size == 0) {
        snprintf(err, len, "there is no ledger: %s is empty", path);
    } else {
        enum store_file what = sqlite_file_look(path, err, len);

        if (what == STORE_FILE_DAMAGED)
            snprintf(err, len, "%s is damaged: it is no database", path);
        else if (what == STORE_FILE_OURS && may_replace(file, path, err, len))
            bad = copy_quietly(path, tmp, err, len) != 0;
    }
    if (!bad && rename(tmp, file) != 0) {
        snprintf(err, len, "%s: %s", file, strerror(errno));
        unlink(tmp);
        bad = 1;
    }
    if (!bad && sync_path(folder, O_DIRECTORY) != 0) {
        snprintf(err, len, "%s: %s", folder, strerror(errno));
        bad = 1;
    }
    free(tmp);
    free(folder);
    return bad ? -1 : 0;
}

/* ---- before a migration ---- */

static int schema_of(const char *name) {
    const char *dash = strrchr(name, '-');
    int64_t n;

    return dash && parse_number(dash + 1, 0, 100000, &n) == 0 ? (int)n : -1;
}

/* Those with the lowest numbers go, but keep of them. */
static void remove_old(const char *path, int keep) {
    char *pattern = xasprintf("%s.schema-*", path);
    glob_t g;

    if (glob(pattern, 0, NULL, &g) == 0) {
        for (;;) {
            int n = 0, oldest = -1;

            for (size_t i = 0; i < g.gl_pathc; i++) {
                int schema = schema_of(g.gl_pathv[i]);
                if (schema < 0) continue;
                n++;
                if (oldest < 0 || schema < schema_of(g.gl_pathv[oldest]))
                    oldest = (int)i;
            }
            if (n <= keep || oldest < 0) break;
            log_msg(LOG_NOTICE, "%s, an older copy of the ledger, is removed",
                    g.gl_pathv[oldest]);
            if (unlink(g.gl_pathv[oldest]) != 0) break;
            *strrchr(g.gl_pathv[oldest], '-') = '\0';
        }
    }
    globfree(&g);
    free(pattern);
}

void sqlite_keep(sqlite3 *db, const char *path, int schema) {
    char *file = xasprintf("%s.schema-%d", path, schema);
    char *tmp = xasprintf("%s.partial", file), *folder = folder_of(path);
    char err[512] = "";
    struct statvfs v;
    sqlite3_stmt *st = NULL;
    int64_t size = 0, began = mono_ms();

    unlink(tmp);
    if (sqlite3_prepare_v2(db,
                           "SELECT page_count * page_size FROM"
                           " pragma_page_count, pragma_page_size",
                           -1, &st, NULL) == SQLITE_OK &&
        sqlite3_step(st) == SQLITE_ROW)
        size = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);

    if (statvfs(folder, &v) == 0 &&
        (int64_t)v.f_bavail * (int64_t)v.f_frsize < 2 * size + ROOM) {
        log_msg(LOG_WARN,
                "the ledger is brought from schema %d to %d without a copy of "
                "how it was: %lld MiB free are too little for %lld MiB",
                schema, STORE_SCHEMA,
                (long long)v.f_bavail * (long long)v.f_frsize / 1048576,
                (long long)size / 1048576);
    } else {
        log_msg(LOG_NOTICE,
                "the ledger is brought from schema %d to %d; first it is "
                "copied to %s (%lld MiB)",
                schema, STORE_SCHEMA, file, (long long)size / 1048576);
        if (copy_to(db, tmp, 1, 0, err, sizeof(err)) != 0) {
            log_msg(LOG_WARN, "no copy is kept of the ledger as it was: %s",
                    err);
        } else if (rename(tmp, file) != 0 ||
                   sync_path(folder, O_DIRECTORY) != 0) {
            log_msg(LOG_WARN, "no copy is kept of the ledger as it was: %s: %s",
                    file, strerror(errno));
            unlink(tmp);
        } else {
            log_msg(LOG_NOTICE, "copied in %lld s",
                    (long long)(mono_ms() - began + 999) / 1000);
            remove_old(path, STORE_KEPT);
        }
    }
    free(file);
    free(tmp);
    free(folder);
}
