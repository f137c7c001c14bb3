#include "file.h"

#include "../../base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD 100 /* bytes of a database's header */

/* Has this folder been a daemon's before? */
static int was_ours(const char *path) {
    static const char *const names[] = {"head", "damaged-*", "schema-*"};
    const char *slash = strrchr(path, '/');
    char *dir = slash ? xasprintf("%.*s/requests", (int)(slash - path), path)
                      : xstrdup("requests");
    struct stat st;
    int found = stat(dir, &st) == 0 && S_ISDIR(st.st_mode);

    free(dir);
    for (int i = 0; !found && i < 3; i++) {
        char *pattern = xasprintf("%s.%s", path, names[i]);
        glob_t g;

        found = glob(pattern, GLOB_NOSORT, NULL, &g) == 0;
        globfree(&g);
        free(pattern);
    }
    return found;
}

static int64_t ask(sqlite3 *db, const char *sql, int *code) {
    sqlite3_stmt *st = NULL;
    int64_t v = 0;

    *code = sqlite3_prepare_v2(db, sql, -1, &st, NULL);
    if (*code == SQLITE_OK) *code = sqlite3_step(st);
    if (*code == SQLITE_ROW) v = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return v;
}

sqlite3 *sqlite_file_open(const char *path, int *code) {
    char *wal = xasprintf("%s-wal", path);
    char *uri = xmalloc(strlen(path) * 3 + 32), *to = uri;
    sqlite3 *db = NULL;
    struct stat st;

    to += sprintf(to, "file:");
    for (const char *c = path; *c; c++)
        to +=
            sprintf(to, strchr("?#%", *c) ? "%%%02X" : "%c", (unsigned char)*c);
    /* nobody has it open, or all is written back: no file is made beside it,
     * which takes no right to write */
    if (stat(wal, &st) != 0) sprintf(to, "?immutable=1");
    *code = sqlite3_open_v2(
        uri, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX,
        NULL);
    if (*code == SQLITE_OK) sqlite3_busy_timeout(db, 2000);
    free(uri);
    free(wal);
    return db;
}

/* A database without an id: whose are the tables? */
static enum store_file look_inside(const char *path, char *err, size_t len) {
    enum store_file what = STORE_FILE_OURS;
    int code;
    sqlite3 *db = sqlite_file_open(path, &code);
    int64_t all = 0, ours = 0, id = 0;

    if (code == SQLITE_OK) id = ask(db, "PRAGMA application_id", &code);
    if (code == SQLITE_ROW)
        all = ask(db,
                  "SELECT count(*) FROM sqlite_schema WHERE name NOT LIKE"
                  " 'sqlite_%'",
                  &code);
    if (code == SQLITE_ROW)
        ours = ask(db,
                   "SELECT count(*) FROM sqlite_schema WHERE type = 'table'"
                   " AND name IN ('instance', 'request', 'usage_hour')",
                   &code);
    if (code == SQLITE_ROW) {
        if (id != STORE_APPLICATION_ID && all && ours < 3) {
            snprintf(err, len,
                     "%s belongs to another program: it is a database with "
                     "other tables; give another --data, or move it away",
                     path);
            what = STORE_FILE_FOREIGN;
        }
    } else if ((code & 0xff) == SQLITE_CORRUPT ||
               (code & 0xff) == SQLITE_NOTADB) {
        what = STORE_FILE_DAMAGED;
        if (!was_ours(path)) {
            snprintf(err, len,
                     "%s is a damaged database, and nothing says that it is "
                     "this program's; give another --data, or move it away",
                     path);
            what = STORE_FILE_FOREIGN;
        }
    }
    /* anything else is an error that opening it will find, too */
    sqlite3_close(db);
    return what;
}

enum store_file sqlite_file_look(const char *path, char *err, size_t len) {
    unsigned char head[HEAD];
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0) {
        if (errno == ENOENT) return STORE_FILE_NONE;
        return STORE_FILE_OURS; /* opening it will say what is wrong */
    }
    if (fstat(fd, &st) == 0 && !S_ISREG(st.st_mode)) {
        close(fd);
        snprintf(err, len, "%s is no file", path);
        return STORE_FILE_FOREIGN;
    }
    ssize_t n = pread(fd, head, sizeof(head), 0);
    close(fd);
    if (n == 0) return STORE_FILE_NONE;
    if (n < 0) return STORE_FILE_OURS;

    if (n < HEAD || memcmp(head, "SQLite format 3", 16) != 0) {
        if (was_ours(path)) return STORE_FILE_DAMAGED;
        snprintf(err, len,
                 "%s is no database: it belongs to somebody else, and is left "
                 "as it is; give another --data, or move it away",
                 path);
        return STORE_FILE_FOREIGN;
    }

    long id = (long)head[68] << 24 | head[69] << 16 | head[70] << 8 | head[71];
    if (id == STORE_APPLICATION_ID) return STORE_FILE_OURS;
    if (id == 0) return look_inside(path, err, len);
    snprintf(err, len,
             "%s belongs to another program: its application id is %ld, a "
             "ledger's is %d; give another --data, or move it away",
             path, id, STORE_APPLICATION_ID);
    return STORE_FILE_FOREIGN;
}
