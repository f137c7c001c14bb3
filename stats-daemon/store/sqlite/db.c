#include "sqlite.h"

#include "names.h"

#include "../../base/clock.h"
#include "../../base/log.h"
#include "../../base/util.h"
#include "backup.h"
#include "batch.h"
#include "file.h"
#include "head.h"
#include "rollup.h"
#include "size.h"
#include "spread.h"
#include "used.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WAL_PAGES_MAX 8192
#define BUSY_MS       2000

/* A write-ahead log that does not become small again: another program keeps a
 * transaction open (a copy, sqlite3 on a terminal), and what it still looks
 * past is not written back.  No record is lost by that, so it is said. */
#define WAL_LARGE ((int64_t)256 << 20)

enum store_result sqlite_result_of(int code) {
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE: return STORE_OK;
    case SQLITE_FULL: return STORE_FULL;
    case SQLITE_READONLY:
    case SQLITE_PERM: return STORE_READONLY;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN: return STORE_IO;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return SQLITE_STORE_DAMAGED;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_INTERRUPT: return STORE_BUSY;
    default: return STORE_ERROR;
    }
}

enum store_result sqlite_failed(struct sqlite *s, int code) {
    snprintf(s->head.error, sizeof(s->head.error), "%s", sqlite3_errmsg(s->db));
    return sqlite_result_of(code);
}

enum store_result sqlite_run(struct sqlite *s, sqlite3_stmt *st) {
    int code = sqlite3_step(st);
    enum store_result r = STORE_OK;

    if (code != SQLITE_DONE && code != SQLITE_ROW) r = sqlite_failed(s, code);
    sqlite3_reset(st);
    return r;
}

enum store_result sqlite_exec(struct sqlite *s, const char *sql) {
    int code = sqlite3_exec(s->db, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? STORE_OK : sqlite_failed(s, code);
}

int64_t sqlite_number(sqlite3 *db, const char *sql, int *code) {
    sqlite3_stmt *st;
    int64_t v = 0;

    *code = sqlite3_prepare_v2(db, sql, -1, &st, NULL);
    if (*code != SQLITE_OK) return 0;
    *code = sqlite3_step(st);
    if (*code == SQLITE_ROW) {
        v = sqlite3_column_int64(st, 0);
        *code = SQLITE_OK;
    } else if (*code == SQLITE_DONE) {
        *code = SQLITE_OK;
    }
    sqlite3_finalize(st);
    return v;
}

static int on_wal(void *arg, sqlite3 *db, const char *name, int pages) {
    struct sqlite *s = arg;

    (void)db;
    (void)name;
    s->wal_pages = pages;
    return SQLITE_OK;
}

static void forget(struct sqlite *s) {
    map_clear(s->profiles);
    map_clear(s->allowed);
    s->keys_due = 1;
    map_clear(s->cells);
    map_clear(s->turns);
    map_clear(s->instances);
    map_clear(s->numbers);
    sqlite_spread_clear(s);
    sqlite_used_clear(s);
    s->time_written = 0;
    memset(&s->requests, 0, sizeof(s->requests));
    memset(&s->events, 0, sizeof(s->events));
}

void sqlite_close_writer(struct sqlite *s) {
    for (int i = 0; i < WRITE_STATEMENTS; i++) {
        sqlite3_finalize(s->write[i]);
        s->write[i] = NULL;
    }
    sqlite3_close(s->db);
    s->db = NULL;
    forget(s);
}

static enum store_result open_writer(struct sqlite *s, char *err, size_t len) {
    int code, flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
                      SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;

    code = sqlite3_open_v2(s->path, &s->db, flags, NULL);
    if (code == SQLITE_OK) {
        sqlite3_extended_result_codes(s->db, 1);
        sqlite3_busy_timeout(s->db, BUSY_MS);
        code =
            sqlite3_exec(s->db,
                         STORE_SHRINKS "PRAGMA journal_mode = WAL;"
                                       "PRAGMA synchronous = FULL;"
                                       "PRAGMA temp_store = MEMORY;"
                                       "PRAGMA cache_size = -16384;"
                                       "PRAGMA journal_size_limit = 67108864;",
                         NULL, NULL, NULL);
    }
    if (code != SQLITE_OK) {
        snprintf(err, len, "%s: %s", s->path, sqlite3_errmsg(s->db));
        enum store_result r = sqlite_result_of(code);
        sqlite_close_writer(s);
        return r;
    }

    sqlite3_wal_autocheckpoint(s->db, 0);
    sqlite3_wal_hook(s->db, on_wal, s);
    /* an application id of somebody else means: not our file */
    int64_t id = sqlite_number(s->db, "PRAGMA application_id", &code);
    if (code == SQLITE_OK && id != 0 && id != STORE_APPLICATION_ID) {
        snprintf(err, len, "%s belongs to another program", s->path);
        sqlite_close_writer(s);
        return STORE_ERROR;
    }

    code = sqlite_spread_functions(s->db);
    enum store_result r = code == SQLITE_OK ? sqlite_migrate(s, err, len)
                                            : sqlite_failed(s, code);
    if (r == STORE_OK) sqlite_size_begin(s);
    if (r == STORE_OK && id != STORE_APPLICATION_ID) {
        char sql[64];
        snprintf(sql, sizeof(sql), "PRAGMA application_id = %d",
                 STORE_APPLICATION_ID);
        r = sqlite_exec(s, sql);
    }
    for (int i = 0; r == STORE_OK && i < WRITE_STATEMENTS; i++) {
        code =
            sqlite3_prepare_v3(s->db, store_write_sql[i], -1,
                               SQLITE_PREPARE_PERSISTENT, &s->write[i], NULL);
        if (code != SQLITE_OK) r = sqlite_failed(s, code);
    }
    if (r == STORE_OK) {
        int c[7];
        s->next_id =
            1 +
            sqlite_number(s->db,
                          "SELECT max(coalesce((SELECT max(id) FROM request),"
                          " 0), coalesce((SELECT last FROM given), 0))",
                          c);
        /* nor when it is another file: live pages have heard of them */
        if (s->next_id <= s->last_id) s->next_id = s->last_id + 1;
        s->names.models =
            sqlite_number(s->db, "SELECT count(*) FROM model", c + 1);
        s->names.clients =
            sqlite_number(s->db, "SELECT count(*) FROM client", c + 2);
        s->names_kept = s->names;
        s->sweeping = SWEEP_SERIES;
        s->sweep = SWEEP_BEGIN;
        r = sqlite_rollup_begin(s);
        s->body_count =
            sqlite_number(s->db, "SELECT sum(bodies) FROM segment", c + 3) +
            sqlite_number(s->db,
                          "SELECT count(*) FROM body WHERE segment IS NULL",
                          c + 4);
        s->body_bytes =
            sqlite_number(s->db, "SELECT sum(bytes) FROM segment", c + 5) +
            sqlite_number(s->db,
                          "SELECT sum(stored) FROM body WHERE segment IS NULL",
                          c + 6);
        for (int i = 0; i < 7; i++)
            if (c[i] != SQLITE_OK) r = sqlite_failed(s, c[i]);
        s->last_id = s->next_id - 1;
    }
    if (r != STORE_OK) {
        if (*err == '\0') snprintf(err, len, "%s: %s", s->path, s->head.error);
        sqlite_close_writer(s);
    }
    return r;
}

/* The file's name lasts as well as what is in it. */
static enum store_result sync_folder(struct sqlite *s, char *err, size_t len) {
    const char *slash = strrchr(s->path, '/');
    char *dir = slash ? xasprintf("%.*s", (int)(slash - s->path), s->path)
                      : xstrdup(".");
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int bad = fd < 0 || fsync(fd) != 0;

    if (bad) snprintf(err, len, "%s: %s", dir, strerror(errno));
    free(dir);
    if (fd >= 0) close(fd);
    return bad ? STORE_IO : STORE_OK;
}

enum store_result sqlite_open_both(struct sqlite *s, char *err, size_t len) {
    err[0] = '\0';
    enum store_result r = open_writer(s, err, len);
    if (r == STORE_OK && (r = sync_folder(s, err, len)) != STORE_OK)
        sqlite_close_writer(s);
    if (r != STORE_OK) return r;

    sqlite_readers_close(s);
    if (sqlite_settle(s)) sqlite_head_save(s->db, s->path);
    r = sqlite_readers_open(s, err, len);
    if (r == STORE_OK) r = sqlite_read_total(&s->readers[0], &s->total);
    if (r != STORE_OK) sqlite_close_writer(s);
    return r;
}

struct sqlite *sqlite_open(const struct store_type *type, const char *path,
                           char *err, size_t errlen) {
    struct sqlite *s = xcalloc(1, sizeof(*s));

    s->head.type = type;
    s->path = xstrdup(path);
    s->now = now_ms();
    s->profiles = map_new(sizeof(struct profile));
    s->allowed = map_new(sizeof(struct allowance));
    s->cells = map_new(sizeof(struct store_counts));
    s->turns = map_new(sizeof(struct store_turns));
    s->instances = map_new(sizeof(int64_t));
    s->numbers = sqlite_numbers_new();
    s->segments = map_new(sizeof(struct segment_sum));
    s->proxies = map_new(sizeof(struct proxy));
    s->spreads = sqlite_spread_new();
    s->used = sqlite_used_new();
    sqlite_readers_init(s);

    enum store_result r = sqlite_open_first(s, err, errlen);
    if (r != STORE_OK) {
        sqlite_close(s);
        return NULL;
    }
    s->time_then = sqlite_time(s);
    return s;
}

void sqlite_close(struct sqlite *s) {
    if (s == NULL) return;
    sqlite_readers_close(s);
    sqlite_readers_go_on(s);
    if (s->db) sqlite_close_writer(s);
    sqlite_readers_free(s);
    map_free(s->profiles);
    map_free(s->allowed);
    map_free(s->cells);
    map_free(s->turns);
    map_free(s->instances);
    map_free(s->numbers);
    map_free(s->segments);
    map_free(s->proxies);
    sqlite_spread_free(s->spreads);
    sqlite_used_free(s->used);
    free(s->path);
    free(s);
}

static int has_moved(struct sqlite *s) {
    int moved = 0;

    return sqlite3_file_control(s->db, "main", SQLITE_FCNTL_HAS_MOVED,
                                &moved) == SQLITE_OK &&
           moved;
}

enum store_result sqlite_repair(struct sqlite *s, enum store_result reason) {
    char err[256] = "";
    int gone = s->db == NULL || has_moved(s);
    enum store_result r;

    if (reason == SQLITE_STORE_DAMAGED || s->damaged) {
        r = sqlite_mend(s);
        if (r != SQLITE_STORE_AGAIN) return r;
        s->damaged = 0;
        gone = 1;
    } else if (!gone && reason != STORE_IO && reason != STORE_READONLY) {
        return STORE_OK;
    }

    /* a reader that still works is left alone */
    if (s->db) sqlite_close_writer(s);
    r = gone ? sqlite_open_both(s, err, sizeof(err))
             : open_writer(s, err, sizeof(err));
    if (r != STORE_OK)
        snprintf(s->head.error, sizeof(s->head.error), "%s", err);
    return r;
}

static enum store_result not_open(struct sqlite *s) {
    snprintf(s->head.error, sizeof(s->head.error), "%s is not open", s->path);
    return STORE_IO;
}

enum store_result sqlite_begin(struct sqlite *s) {
    if (s->db == NULL) return not_open(s);
    if (s->damaged) {
        snprintf(s->head.error, sizeof(s->head.error), "%s is damaged",
                 s->path);
        return SQLITE_STORE_DAMAGED;
    }
    if (has_moved(s)) {
        snprintf(s->head.error, sizeof(s->head.error),
                 "%s was moved or deleted", s->path);
        return STORE_IO;
    }

    sqlite_names_begin(s);
    map_clear(s->cells);
    map_clear(s->turns);
    sqlite_spread_clear(s);
    sqlite_used_clear(s);
    memset(&s->batch_total, 0, sizeof(s->batch_total));
    s->batch_body_bytes = s->batch_body_count = 0;
    map_clear(s->segments);
    return sqlite_exec(s, "BEGIN IMMEDIATE");
}

void sqlite_rollback(struct sqlite *s) {
    if (s->db == NULL) return;
    if (!sqlite3_get_autocommit(s->db))
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    /* what was looked up may have been added by the batch that is gone */
    forget(s);
    s->names = s->names_kept;
    sqlite_rollup_end(s, 0);
    s->next_id = s->last_id + 1;
}

void sqlite_checkpoint(struct sqlite *s, int force) {
    int code;

    if (s->db == NULL || s->wal_pages == 0) return;
    if (!force && s->wal_pages < WAL_PAGES_MAX) return;

    code = sqlite3_wal_checkpoint_v2(s->db, NULL,
                                     force ? SQLITE_CHECKPOINT_TRUNCATE
                                           : SQLITE_CHECKPOINT_PASSIVE,
                                     NULL, NULL);
    if (code == SQLITE_OK)
        s->wal_pages = 0;
    else if (sqlite_result_of(code) == SQLITE_STORE_DAMAGED)
        s->damaged = 1;
}

int sqlite_settle(struct sqlite *s) {
    struct stat st;
    char *wal = xasprintf("%s-wal", s->path);
    int left = s->db && stat(wal, &st) == 0 && st.st_size > 0;

    free(wal);
    if (!left) return 1;
    /* whoever reads is not waited for: what they do not need is written */
    sqlite3_busy_timeout(s->db, 0);
    int code = sqlite3_wal_checkpoint_v2(
        s->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    sqlite3_busy_timeout(s->db, BUSY_MS);
    if (code == SQLITE_OK) s->wal_pages = 0;
    if (sqlite_result_of(code) == SQLITE_STORE_DAMAGED) s->damaged = 1;
    return code == SQLITE_OK;
}

enum store_result sqlite_instances(struct sqlite *s, store_instance_cb *cb,
                                   void *arg) {
    if (s->db == NULL) return not_open(s);

    sqlite3_stmt *st;
    int code = sqlite3_prepare_v2(s->db, "SELECT value, last_seq FROM instance",
                                  -1, &st, NULL);

    if (code != SQLITE_OK) return sqlite_failed(s, code);
    while ((code = sqlite3_step(st)) == SQLITE_ROW)
        cb(arg, (uint64_t)sqlite3_column_int64(st, 0),
           (uint64_t)sqlite3_column_int64(st, 1));
    enum store_result r =
        code == SQLITE_DONE ? STORE_OK : sqlite_failed(s, code);
    sqlite3_finalize(st);
    return r;
}

enum store_result sqlite_segments(struct sqlite *s, store_segment_cb *cb,
                                  void *arg) {
    if (s->db == NULL) return not_open(s);

    sqlite3_stmt *st;
    int code = sqlite3_prepare_v2(s->db, "SELECT id, ending FROM segment", -1,
                                  &st, NULL);

    if (code != SQLITE_OK) return sqlite_failed(s, code);
    while ((code = sqlite3_step(st)) == SQLITE_ROW)
        cb(arg, sqlite3_column_int64(st, 0), sqlite3_column_int64(st, 1));
    enum store_result r =
        code == SQLITE_DONE ? STORE_OK : sqlite_failed(s, code);
    sqlite3_finalize(st);
    return r;
}

static int64_t file_size(const char *path, const char *suffix) {
    struct stat st;
    char *p = xasprintf("%s%s", path, suffix);
    int64_t size = stat(p, &st) == 0 ? (int64_t)st.st_size : 0;

    free(p);
    return size;
}

void sqlite_status(struct sqlite *s, struct store_status *status) {
    int64_t wal = file_size(s->path, "-wal");

    memset(status, 0, sizeof(*status));
    status->total = s->total;
    status->time = s->time_then;
    status->bytes = file_size(s->path, "") + wal;
    status->unsettled = wal;
    status->bodies = s->body_count;
    status->body_bytes = s->body_bytes;

    const char *slash = strrchr(s->path, '/');
    const char *name = slash ? slash + 1 : s->path;
    if (wal > WAL_LARGE) {
        snprintf(status->trouble, sizeof(status->trouble),
                 "%s-wal has grown to %lld MiB: it cannot be written back into "
                 "%s while somebody keeps the ledger open and reads",
                 name, (long long)wal / 1048576, name);
    } else if (s->wal_large) {
        log_msg(LOG_NOTICE, "%s-wal is small again: %lld MiB", name,
                (long long)wal / 1048576);
    }
    s->wal_large = wal > WAL_LARGE;
}
