#include "sqlite.h"

#include "names.h"

#include "../../base/clock.h"
#include "../../base/log.h"
#include "../../base/util.h"
#include "backup.h"
#include "file.h"
#include "head.h"
#include "size.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WAL_PAGES_MAX 8192
#define BUSY_MS       2000

enum store_result store_result_of(int code) {
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
    case SQLITE_NOTADB: return STORE_DAMAGED;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_INTERRUPT: return STORE_BUSY;
    default: return STORE_ERROR;
    }
}

const char *store_word(enum store_result r) {
    switch (r) {
    case STORE_OK: return "ok";
    case STORE_FULL: return "full";
    case STORE_READONLY: return "read-only";
    case STORE_IO: return "failing";
    case STORE_DAMAGED: return "damaged";
    case STORE_BUSY: return "busy";
    case STORE_NONE: return "none";
    case STORE_AGAIN: return "there already";
    case STORE_ERROR: break;
    }
    return "error";
}

const char *store_error(const struct store *s) {
    return s->error;
}

enum store_result store_failed(struct store *s, int code) {
    snprintf(s->error, sizeof(s->error), "%s", sqlite3_errmsg(s->db));
    return store_result_of(code);
}

enum store_result store_run(struct store *s, sqlite3_stmt *st) {
    int code = sqlite3_step(st);
    enum store_result r = STORE_OK;

    if (code != SQLITE_DONE && code != SQLITE_ROW) r = store_failed(s, code);
    sqlite3_reset(st);
    return r;
}

enum store_result store_exec(struct store *s, const char *sql) {
    int code = sqlite3_exec(s->db, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? STORE_OK : store_failed(s, code);
}

int64_t store_number(sqlite3 *db, const char *sql, int *code) {
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
    struct store *s = arg;

    (void)db;
    (void)name;
    s->wal_pages = pages;
    return SQLITE_OK;
}

static void forget(struct store *s) {
    map_clear(s->profiles);
    map_clear(s->allowed);
    s->keys_due = 1;
    map_clear(s->cells);
    map_clear(s->instances);
    s->time_written = 0;
    memset(&s->requests, 0, sizeof(s->requests));
    memset(&s->events, 0, sizeof(s->events));
}

void store_close_writer(struct store *s) {
    for (int i = 0; i < WRITE_STATEMENTS; i++) {
        sqlite3_finalize(s->write[i]);
        s->write[i] = NULL;
    }
    sqlite3_close(s->db);
    s->db = NULL;
    forget(s);
}

static enum store_result open_writer(struct store *s, char *err, size_t len) {
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
                                       "PRAGMA cache_size = -65536;"
                                       "PRAGMA journal_size_limit = 67108864;",
                         NULL, NULL, NULL);
    }
    if (code != SQLITE_OK) {
        snprintf(err, len, "%s: %s", s->path, sqlite3_errmsg(s->db));
        enum store_result r = store_result_of(code);
        store_close_writer(s);
        return r;
    }

    sqlite3_wal_autocheckpoint(s->db, 0);
    sqlite3_wal_hook(s->db, on_wal, s);
    /* an application id of somebody else means: not our file */
    int64_t id = store_number(s->db, "PRAGMA application_id", &code);
    if (code == SQLITE_OK && id != 0 && id != STORE_APPLICATION_ID) {
        snprintf(err, len, "%s belongs to another program", s->path);
        store_close_writer(s);
        return STORE_ERROR;
    }

    enum store_result r = store_migrate(s, err, len);
    if (r == STORE_OK) store_size_begin(s);
    if (r == STORE_OK && id != STORE_APPLICATION_ID) {
        char sql[64];
        snprintf(sql, sizeof(sql), "PRAGMA application_id = %d",
                 STORE_APPLICATION_ID);
        r = store_exec(s, sql);
    }
    for (int i = 0; r == STORE_OK && i < WRITE_STATEMENTS; i++) {
        code =
            sqlite3_prepare_v3(s->db, store_write_sql[i], -1,
                               SQLITE_PREPARE_PERSISTENT, &s->write[i], NULL);
        if (code != SQLITE_OK) r = store_failed(s, code);
    }
    if (r == STORE_OK) {
        int c[7];
        s->next_id =
            1 +
            store_number(s->db,
                         "SELECT max(coalesce((SELECT max(id) FROM request),"
                         " 0), coalesce((SELECT last FROM given), 0))",
                         c);
        /* nor when it is another file: live pages have heard of them */
        if (s->next_id <= s->last_id) s->next_id = s->last_id + 1;
        s->names.models =
            store_number(s->db, "SELECT count(*) FROM model", c + 1);
        s->names.clients =
            store_number(s->db, "SELECT count(*) FROM client", c + 2);
        s->names_kept = s->names;
        s->sweep = SWEEP_BEGIN;
        s->body_count =
            store_number(s->db, "SELECT sum(bodies) FROM segment", c + 3) +
            store_number(s->db,
                         "SELECT count(*) FROM body WHERE segment IS NULL",
                         c + 4);
        s->body_bytes =
            store_number(s->db, "SELECT sum(bytes) FROM segment", c + 5) +
            store_number(s->db,
                         "SELECT sum(stored) FROM body WHERE segment IS NULL",
                         c + 6);
        for (int i = 0; i < 7; i++)
            if (c[i] != SQLITE_OK) r = store_failed(s, c[i]);
        s->last_id = s->next_id - 1;
    }
    if (r != STORE_OK) {
        if (*err == '\0') snprintf(err, len, "%s: %s", s->path, s->error);
        store_close_writer(s);
    }
    return r;
}

/* The file's name lasts as well as what is in it. */
static enum store_result sync_folder(struct store *s, char *err, size_t len) {
    int fd = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int bad = fd < 0 || fsync(fd) != 0;

    if (bad) snprintf(err, len, "%s: %s", s->dir, strerror(errno));
    if (fd >= 0) close(fd);
    return bad ? STORE_IO : STORE_OK;
}

enum store_result store_open_both(struct store *s, char *err, size_t len) {
    err[0] = '\0';
    enum store_result r = open_writer(s, err, len);
    if (r == STORE_OK && (r = sync_folder(s, err, len)) != STORE_OK)
        store_close_writer(s);
    if (r != STORE_OK) return r;

    store_readers_close(s);
    if (store_settle(s)) store_head_save(s->db, s->path);
    r = store_readers_open(s, err, len);
    if (r == STORE_OK) r = store_read_total(&s->readers[0], &s->total);
    if (r != STORE_OK) store_close_writer(s);
    return r;
}

struct store *store_open(const char *dir, char *err, size_t errlen) {
    struct store *s = xcalloc(1, sizeof(*s));

    s->dir = xstrdup(dir);
    s->path = xasprintf("%s/" STORE_FILE, dir);
    s->now = now_ms();
    s->profiles = map_new(sizeof(struct profile));
    s->allowed = map_new(sizeof(struct allowance));
    s->cells = map_new(sizeof(struct store_counts));
    s->instances = map_new(sizeof(int64_t));
    s->segments = map_new(sizeof(struct segment_sum));
    s->proxies = map_new(sizeof(struct proxy));
    store_readers_init(s);

    enum store_result r = store_open_first(s, err, errlen);
    if (r != STORE_OK) {
        store_close(s);
        return NULL;
    }
    return s;
}

void store_close(struct store *s) {
    if (s == NULL) return;
    store_readers_close(s);
    store_readers_go_on(s);
    if (s->db) store_close_writer(s);
    store_readers_free(s);
    map_free(s->profiles);
    map_free(s->allowed);
    map_free(s->cells);
    map_free(s->instances);
    map_free(s->segments);
    map_free(s->proxies);
    free(s->dir);
    free(s->path);
    free(s);
}

static int has_moved(struct store *s) {
    int moved = 0;

    return sqlite3_file_control(s->db, "main", SQLITE_FCNTL_HAS_MOVED,
                                &moved) == SQLITE_OK &&
           moved;
}

enum store_result store_repair(struct store *s, enum store_result reason) {
    char err[256] = "";
    int gone = s->db == NULL || has_moved(s);
    enum store_result r;

    if (reason == STORE_DAMAGED || s->damaged) {
        r = store_mend(s);
        if (r != STORE_AGAIN) return r;
        s->damaged = 0;
        gone = 1;
    } else if (!gone && reason != STORE_IO && reason != STORE_READONLY) {
        return STORE_OK;
    }

    /* a reader that still works is left alone */
    if (s->db) store_close_writer(s);
    r = gone ? store_open_both(s, err, sizeof(err))
             : open_writer(s, err, sizeof(err));
    if (r != STORE_OK) snprintf(s->error, sizeof(s->error), "%s", err);
    return r;
}

enum store_result store_begin(struct store *s) {
    if (s->db == NULL) {
        snprintf(s->error, sizeof(s->error), "%s is not open", s->path);
        return STORE_IO;
    }
    if (s->damaged) {
        snprintf(s->error, sizeof(s->error), "%s is damaged", s->path);
        return STORE_DAMAGED;
    }
    if (has_moved(s)) {
        snprintf(s->error, sizeof(s->error), "%s was moved or deleted",
                 s->path);
        return STORE_IO;
    }

    store_names_begin(s);
    map_clear(s->cells);
    memset(&s->batch_total, 0, sizeof(s->batch_total));
    s->batch_body_bytes = s->batch_body_count = 0;
    map_clear(s->segments);
    return store_exec(s, "BEGIN IMMEDIATE");
}

void store_rollback(struct store *s) {
    if (s->db == NULL) return;
    if (!sqlite3_get_autocommit(s->db))
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    /* what was looked up may have been added by the batch that is gone */
    forget(s);
    s->names = s->names_kept;
    s->next_id = s->last_id + 1;
}

void store_totals(const struct store *s, struct store_counts *n) {
    *n = s->total;
}

int64_t store_last_id(struct store *s) {
    return s->last_id;
}

uint64_t store_commits(struct store *s) {
    return s->commits;
}

void store_checkpoint(struct store *s, int force) {
    int code;

    if (s->db == NULL || s->wal_pages == 0) return;
    if (!force && s->wal_pages < WAL_PAGES_MAX) return;

    code = sqlite3_wal_checkpoint_v2(s->db, NULL,
                                     force ? SQLITE_CHECKPOINT_TRUNCATE
                                           : SQLITE_CHECKPOINT_PASSIVE,
                                     NULL, NULL);
    if (code == SQLITE_OK)
        s->wal_pages = 0;
    else if (store_result_of(code) == STORE_DAMAGED)
        s->damaged = 1;
}

int store_settle(struct store *s) {
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
    if (store_result_of(code) == STORE_DAMAGED) s->damaged = 1;
    return code == SQLITE_OK;
}

enum store_result store_instances(struct store *s, store_instance_cb *cb,
                                  void *arg) {
    sqlite3_stmt *st;
    int code = sqlite3_prepare_v2(s->db, "SELECT value, last_seq FROM instance",
                                  -1, &st, NULL);

    if (code != SQLITE_OK) return store_failed(s, code);
    while ((code = sqlite3_step(st)) == SQLITE_ROW)
        cb(arg, (uint64_t)sqlite3_column_int64(st, 0),
           (uint64_t)sqlite3_column_int64(st, 1));
    enum store_result r =
        code == SQLITE_DONE ? STORE_OK : store_failed(s, code);
    sqlite3_finalize(st);
    return r;
}

enum store_result store_segments(struct store *s, store_segment_cb *cb,
                                 void *arg) {
    sqlite3_stmt *st;
    int code = sqlite3_prepare_v2(s->db, "SELECT id, ending FROM segment", -1,
                                  &st, NULL);

    if (code != SQLITE_OK) return store_failed(s, code);
    while ((code = sqlite3_step(st)) == SQLITE_ROW)
        cb(arg, sqlite3_column_int64(st, 0), sqlite3_column_int64(st, 1));
    enum store_result r =
        code == SQLITE_DONE ? STORE_OK : store_failed(s, code);
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

void store_sizes(struct store *s, struct store_sizes *z) {
    z->file = file_size(s->path, "");
    z->wal = file_size(s->path, "-wal");
    z->bodies = s->body_bytes;
    z->body_count = s->body_count;
}
