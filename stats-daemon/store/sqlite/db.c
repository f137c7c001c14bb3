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

#define PROFILES_MAX  50000
#define WAL_PAGES_MAX 8192
#define BUSY_MS       2000
#define TIME_EVERY_MS 10000 /* with a batch */
#define TIME_IDLE_MS  300000

/* Migrations: script n brings a database from user_version n to n + 1. */
static const char *const migrations[STORE_SCHEMA] = {
    "CREATE TABLE instance("
    " id INTEGER PRIMARY KEY,"
    " value INTEGER NOT NULL UNIQUE,"
    " last_seq INTEGER NOT NULL,"
    " seen INTEGER NOT NULL);"

    "CREATE TABLE key("
    " id INTEGER PRIMARY KEY,"
    " fingerprint INTEGER NOT NULL UNIQUE,"
    " name TEXT NOT NULL,"
    " account TEXT NOT NULL,"
    " position INTEGER,"
    " round INTEGER NOT NULL);"
    "CREATE INDEX key_name ON key(name);"

    "CREATE TABLE model("
    " id INTEGER PRIMARY KEY,"
    " name TEXT NOT NULL UNIQUE);"

    "CREATE TABLE client("
    " id INTEGER PRIMARY KEY,"
    " address TEXT NOT NULL,"
    " name TEXT NOT NULL,"
    " UNIQUE(address, name));"

    "CREATE TABLE series("
    " id INTEGER PRIMARY KEY,"
    " client INTEGER NOT NULL,"
    " key INTEGER NOT NULL,"
    " model INTEGER NOT NULL,"
    " UNIQUE(client, key, model));"
    "CREATE INDEX series_key ON series(key);"
    "CREATE INDEX series_model ON series(model);"

    "CREATE TABLE combo("
    " id INTEGER PRIMARY KEY,"
    " series INTEGER NOT NULL,"
    " status INTEGER NOT NULL,"
    " last INTEGER NOT NULL," /* its newest request */
    " UNIQUE(series, status));"
    "CREATE INDEX combo_last ON combo(last);"

    "CREATE TABLE request("
    " id INTEGER PRIMARY KEY,"
    " time INTEGER NOT NULL,"
    " combo INTEGER NOT NULL,"
    " instance INTEGER NOT NULL,"
    " rid INTEGER NOT NULL,"
    " method TEXT NOT NULL,"
    " endpoint TEXT NOT NULL,"
    " prompt INTEGER NOT NULL,"
    " completion INTEGER NOT NULL,"
    " cached INTEGER NOT NULL,"
    " certainty INTEGER NOT NULL,"
    " ending INTEGER NOT NULL,"
    " streamed INTEGER NOT NULL,"
    " bytes_in INTEGER NOT NULL,"
    " bytes_out INTEGER NOT NULL,"
    " queue INTEGER,"
    " connect INTEGER,"
    " first_token INTEGER,"
    " total INTEGER,"
    " attempts TEXT NOT NULL," /* "fingerprint:status:ms:cause ..." */
    " model_answered TEXT,"    /* NULL: the one that was asked for */
    " upstream_id TEXT,"
    " user_agent TEXT,"
    " reason TEXT,"
    " model_other TEXT," /* the names that became "(other)" */
    " client_other TEXT);"
    "CREATE INDEX request_combo ON request(combo);"

    "CREATE TABLE usage_minute("
    " kind INTEGER NOT NULL," /* 0 all, 1 key, 2 model, 3 client */
    " minute INTEGER NOT NULL,"
    " ref INTEGER NOT NULL,"
    " requests INTEGER NOT NULL,"
    " errors INTEGER NOT NULL,"
    " prompt INTEGER NOT NULL,"
    " completion INTEGER NOT NULL,"
    " cached INTEGER NOT NULL,"
    " estimated INTEGER NOT NULL,"
    " PRIMARY KEY(kind, minute, ref)) WITHOUT ROWID;"

    "CREATE TABLE usage_hour("
    " hour INTEGER NOT NULL,"
    " series INTEGER NOT NULL,"
    " requests INTEGER NOT NULL,"
    " errors INTEGER NOT NULL,"
    " prompt INTEGER NOT NULL,"
    " completion INTEGER NOT NULL,"
    " cached INTEGER NOT NULL,"
    " estimated INTEGER NOT NULL,"
    " PRIMARY KEY(hour, series)) WITHOUT ROWID;"

    "CREATE TABLE total("
    " id INTEGER PRIMARY KEY,"
    " requests INTEGER NOT NULL,"
    " errors INTEGER NOT NULL,"
    " prompt INTEGER NOT NULL,"
    " completion INTEGER NOT NULL,"
    " cached INTEGER NOT NULL,"
    " estimated INTEGER NOT NULL);"
    "INSERT INTO total VALUES(1, 0, 0, 0, 0, 0, 0);"

    "CREATE TABLE body("
    " id INTEGER PRIMARY KEY,"
    " instance INTEGER NOT NULL,"
    " rid INTEGER NOT NULL,"
    " time INTEGER NOT NULL,"
    " size INTEGER NOT NULL,"
    " stored INTEGER NOT NULL,"
    " truncated INTEGER NOT NULL,"
    " UNIQUE(instance, rid));"

    "CREATE TABLE penalty("
    " key INTEGER NOT NULL," /* fingerprint */
    " model TEXT NOT NULL,"
    " time INTEGER NOT NULL,"
    " until INTEGER NOT NULL,"
    " extra INTEGER NOT NULL,"
    " max_concurrent INTEGER NOT NULL,"
    " http INTEGER NOT NULL,"
    " state INTEGER NOT NULL,"
    " level INTEGER NOT NULL,"
    " status TEXT NOT NULL,"
    " reason TEXT NOT NULL,"
    " PRIMARY KEY(key, model)) WITHOUT ROWID;"

    "CREATE TABLE key_event("
    " id INTEGER PRIMARY KEY,"
    " key INTEGER NOT NULL,"
    " model TEXT NOT NULL,"
    " time INTEGER NOT NULL,"
    " until INTEGER NOT NULL,"
    " extra INTEGER NOT NULL,"
    " max_concurrent INTEGER NOT NULL,"
    " http INTEGER NOT NULL,"
    " state INTEGER NOT NULL,"
    " level INTEGER NOT NULL,"
    " status TEXT NOT NULL,"
    " reason TEXT NOT NULL);",

    /* filter by a client's name */
    "CREATE INDEX IF NOT EXISTS client_name ON client(name);",

    /* how many attempts there were; a request is recorded once.  The rows
     * that are there already have NULL, so that nothing is made of them here:
     * there may be millions. */
    "ALTER TABLE request ADD COLUMN attempts_all INTEGER;"
    "CREATE UNIQUE INDEX request_rid ON request(instance, rid)"
    " WHERE attempts_all IS NOT NULL;",

    /* how sure each half of the tokens is; of the rows that are there already
     * both halves are as sure as the whole. */
    ("ALTER TABLE request ADD COLUMN prompt_certainty INTEGER;"
     "ALTER TABLE request ADD COLUMN completion_certainty INTEGER;"),

    /* bodies in segments; those with a file of their own have none */
    ("ALTER TABLE body ADD COLUMN segment INTEGER;"
     "ALTER TABLE body ADD COLUMN place INTEGER;"
     "CREATE TABLE segment("
     " id INTEGER PRIMARY KEY," /* as in segments.h */
     " bodies INTEGER NOT NULL,"
     " bytes INTEGER NOT NULL,"
     " ending INTEGER NOT NULL);" /* where the last of them ends */
     "CREATE TABLE clock("
     " id INTEGER PRIMARY KEY,"
     " time INTEGER NOT NULL);" /* the time of day that counts */
     "CREATE TABLE key_place("
     " key INTEGER NOT NULL," /* its fingerprint */
     " proxy TEXT NOT NULL,"  /* '?': not known, before there were names */
     " position INTEGER NOT NULL,"
     " round INTEGER NOT NULL,"
     " PRIMARY KEY(key, proxy)) WITHOUT ROWID;"
     "INSERT INTO key_place SELECT fingerprint, '?', position, 0 FROM key"
     " WHERE position IS NOT NULL;"

     /* the greatest id of a request that was given, when its row is gone */
     "CREATE TABLE given("
     " id INTEGER PRIMARY KEY,"
     " last INTEGER NOT NULL);"
     "INSERT INTO given SELECT 1, last FROM combo ORDER BY last DESC LIMIT 1;"
     "UPDATE combo SET last = coalesce((SELECT max(id) FROM request r"
     " WHERE r.combo = combo.id), 0);"

     /* .. of those that began in a minute; of all that are here already */
     "CREATE TABLE began("
     " minute INTEGER PRIMARY KEY,"
     " last INTEGER NOT NULL);"
     "INSERT INTO began SELECT 0, id FROM request ORDER BY id DESC LIMIT 1;"

     /* the client's name that became "(other)" */
     "ALTER TABLE request ADD COLUMN client_name_other TEXT;"
     "CREATE INDEX request_model_other ON request(model_other)"
     " WHERE model_other IS NOT NULL;"
     "CREATE INDEX request_client_other ON request(client_other)"
     " WHERE client_other IS NOT NULL;"
     "CREATE INDEX request_client_name_other ON request(client_name_other)"
     " WHERE client_name_other IS NOT NULL;"

     /* the last day of its sums by hour, 0: it has none */
     "ALTER TABLE series ADD COLUMN day INTEGER NOT NULL DEFAULT 0;"
     /* does it still tell of a key? */
     "CREATE INDEX key_event_key ON key_event(key);" STORE_LEARN_DAYS),
};

#define ADD_COUNTS                                           \
    "DO UPDATE SET requests = requests + excluded.requests," \
    " errors = errors + excluded.errors,"                    \
    " prompt = prompt + excluded.prompt,"                    \
    " completion = completion + excluded.completion,"        \
    " cached = cached + excluded.cached,"                    \
    " estimated = estimated + excluded.estimated"

static const char *const write_sql[WRITE_STATEMENTS] = {
    [WRITE_REQUEST] =
        "INSERT INTO request VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,"
        "?13,?14,?15,?16,?17,?18,?19,?20,?21,?22,?23,?24,?25,?26,?27,?28,?29,?30)"
        " ON CONFLICT(instance, rid) WHERE attempts_all IS NOT NULL DO NOTHING",
    [WRITE_BODY] =
        "INSERT INTO body(instance, rid, time, size, stored, truncated,"
        " segment, place) VALUES(?1,?2,?3,?4,?5,?6,?7,?8)"
        " ON CONFLICT(instance, rid) DO NOTHING",
    [WRITE_SEGMENT] = "INSERT INTO segment VALUES(?1,?2,?3,?4)"
                      " ON CONFLICT(id) DO UPDATE SET"
                      " bodies = bodies + excluded.bodies,"
                      " bytes = bytes + excluded.bytes,"
                      " ending = max(ending, excluded.ending)",
    [WRITE_PENALTY] =
        "INSERT OR REPLACE INTO penalty(key, model, time, until, extra,"
        " max_concurrent, http, state, level, status, reason)"
        " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11)",
    [WRITE_PENALTY_GONE] = "DELETE FROM penalty WHERE key = ?1 AND model = ?2",
    [WRITE_EVENT] = "INSERT INTO key_event(key, model, time, until, extra,"
                    " max_concurrent, http, state, level, status, reason)"
                    " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11)",
    [WRITE_KEY] =
        "INSERT INTO key(fingerprint, name, account, position, round)"
        " VALUES(?1,?2,?3,?4,?5) ON CONFLICT(fingerprint) DO UPDATE SET"
        " name = excluded.name, account = excluded.account,"
        " position = excluded.position, round = excluded.round",
    [WRITE_PLACE] = "INSERT INTO key_place VALUES(?1,?2,?3,?4)"
                    " ON CONFLICT(key, proxy) DO UPDATE SET"
                    " position = excluded.position, round = excluded.round",
    [TRIM_PLACES] = "DELETE FROM key_place WHERE proxy = '?'"
                    " OR (proxy = ?1 AND round <> ?2)",
    [WRITE_KEYS] =
        "UPDATE key SET position = (SELECT position FROM key_place p"
        " WHERE p.key = key.fingerprint ORDER BY round DESC LIMIT 1)",
    [WRITE_SEQ] =
        "INSERT INTO instance(value, last_seq, seen) VALUES(?1,?2,?3)"
        " ON CONFLICT(value) DO UPDATE SET last_seq = excluded.last_seq,"
        " seen = excluded.seen",
    [WRITE_MINUTE] = "INSERT INTO usage_minute VALUES(?1,?2,?3,?4,?5,?6,?7,?8,"
                     "?9) ON CONFLICT(kind, minute, ref) " ADD_COUNTS,
    [WRITE_HOUR] = "INSERT INTO usage_hour VALUES(?1,?2,?3,?4,?5,?6,?7,?8)"
                   " ON CONFLICT(hour, series) " ADD_COUNTS,
    [WRITE_TOTAL] =
        "UPDATE total SET requests = requests + ?1, errors = errors + ?2,"
        " prompt = prompt + ?3, completion = completion + ?4,"
        " cached = cached + ?5, estimated = estimated + ?6 WHERE id = 1",
    [WRITE_COMBO_LAST] = "UPDATE combo SET last = ?2 WHERE id = ?1",
    [FIND_INSTANCE] = "SELECT id FROM instance WHERE value = ?1",
    [ADD_INSTANCE] =
        "INSERT INTO instance(value, last_seq, seen) VALUES(?1, 0, ?2)",
    [FIND_KEY] = "SELECT id FROM key WHERE fingerprint = ?1",
    [ADD_KEY] = "INSERT INTO key(fingerprint, name, account, position, round)"
                " VALUES(?1, '', '', NULL, 0)",
    [FIND_MODEL] = "SELECT id FROM model WHERE name = ?1",
    [ADD_MODEL] = "INSERT INTO model(name) VALUES(?1)",
    [FIND_CLIENT] = "SELECT id FROM client WHERE address = ?1 AND name = ?2",
    [ADD_CLIENT] = "INSERT INTO client(address, name) VALUES(?1, ?2)",
    [FIND_SERIES] =
        "SELECT id FROM series WHERE client = ?1 AND key = ?2 AND model = ?3",
    [ADD_SERIES] = "INSERT INTO series(client, key, model) VALUES(?1, ?2, ?3)",
    [FIND_COMBO] = "SELECT id FROM combo WHERE series = ?1 AND status = ?2",
    [ADD_COMBO] = "INSERT INTO combo(series, status, last) VALUES(?1, ?2, 0)",
    [WRITE_DAY] = "UPDATE series SET day = ?2 WHERE id = ?1 AND day < ?2",
    /* no row of a combo has a greater id than its last */
    [OLD_COMBOS] =
        "SELECT id, series FROM combo c WHERE last <"
        " coalesce((SELECT min(id) FROM request), ?1)"
        " AND NOT EXISTS (SELECT 1 FROM request r WHERE r.combo = c.id)"
        " ORDER BY last LIMIT ?2",
    [TRIM_COMBO] = "DELETE FROM combo WHERE id = ?1",
    [SOME_SERIES] = "SELECT id FROM series WHERE id > ?1 ORDER BY id LIMIT ?2",
    [ONE_SERIES] = "SELECT client, model, day,"
                   " EXISTS (SELECT 1 FROM combo WHERE series = s.id)"
                   " FROM series s WHERE id = ?1",
    [ONE_HOUR] = "SELECT 1 FROM usage_hour WHERE hour = ?1 AND series = ?2",
    [TRIM_SERIES] = "DELETE FROM series WHERE id = ?1",
    [TRIM_CLIENT] = "DELETE FROM client WHERE id = ?1 AND NOT EXISTS"
                    " (SELECT 1 FROM series WHERE client = ?1)",
    [TRIM_MODEL] = "DELETE FROM model WHERE id = ?1 AND NOT EXISTS"
                   " (SELECT 1 FROM series WHERE model = ?1)",
    [TRIM_KEYS] =
        "DELETE FROM key WHERE position IS NULL"
        " AND NOT EXISTS (SELECT 1 FROM series s WHERE s.key = key.id)"
        " AND NOT EXISTS (SELECT 1 FROM penalty p WHERE"
        " p.key = key.fingerprint)"
        " AND NOT EXISTS (SELECT 1 FROM key_event e WHERE"
        " e.key = key.fingerprint)",
    /* the last of a piece, the last old one in it, and how many are of now */
    [OLD_REQUESTS] =
        "SELECT max(id), max(CASE WHEN time < ?1 THEN id END),"
        " sum(time <= ?3), count(*) FROM (SELECT id, time FROM request"
        " WHERE id > ?4 ORDER BY id LIMIT ?2)",
    [OLD_EVENTS] =
        "SELECT max(id), max(CASE WHEN time < ?1 THEN id END),"
        " sum(time <= ?3), count(*) FROM (SELECT id, time FROM key_event"
        " WHERE id > ?4 ORDER BY id LIMIT ?2)",
    /* from the lowest ids on, so that no index on time is needed */
    [TRIM_REQUESTS] =
        "DELETE FROM request WHERE id IN (SELECT id FROM request ORDER BY id"
        " LIMIT ?2) AND (time < ?1 OR (time > ?3 AND id < ?4))",
    [TRIM_MINUTES] =
        "DELETE FROM usage_minute WHERE (kind, minute, ref) IN (SELECT kind,"
        " minute, ref FROM usage_minute WHERE kind = ?3 AND minute < ?1"
        " LIMIT ?2)",
    [OLD_HOURS] = "SELECT series FROM usage_hour WHERE hour < ?1"
                  " ORDER BY hour, series LIMIT ?2",
    [TRIM_HOURS] =
        "DELETE FROM usage_hour WHERE (hour, series) IN (SELECT hour, series"
        " FROM usage_hour WHERE hour < ?1 ORDER BY hour, series LIMIT ?2)",
    [TRIM_EVENTS] =
        "DELETE FROM key_event WHERE id IN (SELECT id FROM key_event ORDER BY"
        " id LIMIT ?2) AND (time < ?1 OR (time > ?3 AND id < ?4))",
    [TRIM_PENALTIES] = "DELETE FROM penalty WHERE until < ?1",
    /* the greatest id stays, so that none is given twice */
    [TRIM_INSTANCES] = "DELETE FROM instance WHERE seen < ?1"
                       " AND id < (SELECT max(id) FROM instance)",
    [TRIM_BODY_FIND] =
        "SELECT b.id, i.value, b.rid, b.time, b.stored, b.segment"
        " FROM body b LEFT JOIN instance i ON i.id = b.instance"
        " ORDER BY b.id LIMIT ?1",
    [TRIM_BODY] = "DELETE FROM body WHERE id = ?1",
    [TRIM_SEGMENT_FIND] = "SELECT id, bodies, bytes FROM segment ORDER BY id"
                          " LIMIT 1",
    /* they are the lowest ids, or nearly so */
    [TRIM_SEGMENT_ROWS] =
        "DELETE FROM body WHERE id IN (SELECT id FROM body WHERE segment = ?1"
        " ORDER BY id LIMIT ?2)",
    [TRIM_SEGMENT_LESS] =
        "UPDATE segment SET bodies = bodies - ?2 WHERE id = ?1",
    [TRIM_SEGMENT] = "DELETE FROM segment WHERE id = ?1",
    [WRITE_GIVEN] = "INSERT INTO given VALUES(1, ?1)"
                    " ON CONFLICT(id) DO UPDATE SET last = excluded.last",
    [WRITE_BEGAN] = "INSERT INTO began VALUES(?1, ?2)"
                    " ON CONFLICT(minute) DO UPDATE SET last = excluded.last",
    [TRIM_BEGAN] = "DELETE FROM began WHERE minute IN (SELECT minute FROM began"
                   " ORDER BY minute LIMIT ?2)"
                   " AND last < coalesce((SELECT min(id) FROM request), ?1)",
    [FIND_TIME] = "SELECT max(time) FROM (SELECT time FROM clock"
                  " UNION ALL SELECT time FROM request WHERE NOT EXISTS"
                  " (SELECT 1 FROM clock) AND id ="
                  " (SELECT max(id) FROM request))",
    [WRITE_TIME] = "INSERT INTO clock VALUES(1, ?1)"
                   " ON CONFLICT(id) DO UPDATE SET time = excluded.time",
};

struct sum_key {
    int64_t time, kind, ref; /* kind -1: hour */
};

/* What a batch adds to a segment. */
struct segment_sum {
    int64_t bodies, bytes, end;
};

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

static int64_t pragma_int(sqlite3 *db, const char *sql, int *code) {
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

enum store_result store_migrate(struct store *s, char *err, size_t len) {
    int code;
    int64_t version = pragma_int(s->db, "PRAGMA user_version", &code);

    if (code != SQLITE_OK) {
        snprintf(err, len, "%s: %s", s->path, sqlite3_errmsg(s->db));
        return store_result_of(code);
    }
    if (version > STORE_SCHEMA) {
        snprintf(
            err, len,
            "%s has schema %lld, this ollama-statsd knows up to %d: it was "
            "written by a newer version; install that one, or give "
            "another --data",
            s->path, (long long)version, STORE_SCHEMA);
        return STORE_ERROR;
    }
    if (version > 0 && version < STORE_SCHEMA)
        store_keep(s->db, s->path, (int)version);
    for (; version < STORE_SCHEMA; version++) {
        char end[64];

        snprintf(end, sizeof(end), "PRAGMA user_version = %lld; COMMIT",
                 (long long)version + 1);
        enum store_result r = store_exec(s, "BEGIN IMMEDIATE");
        if (r == STORE_OK) r = store_exec(s, migrations[version]);
        if (r == STORE_OK) r = store_exec(s, end);
        if (r != STORE_OK) {
            snprintf(err, len, "%s: %s", s->path, s->error);
            sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
            return r;
        }
    }
    return STORE_OK;
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
    int64_t id = pragma_int(s->db, "PRAGMA application_id", &code);
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
            sqlite3_prepare_v3(s->db, write_sql[i], -1,
                               SQLITE_PREPARE_PERSISTENT, &s->write[i], NULL);
        if (code != SQLITE_OK) r = store_failed(s, code);
    }
    if (r == STORE_OK) {
        int c[7];
        s->next_id =
            1 + pragma_int(s->db,
                           "SELECT max(coalesce((SELECT max(id) FROM request),"
                           " 0), coalesce((SELECT last FROM given), 0))",
                           c);
        /* nor when it is another file: live pages have heard of them */
        if (s->next_id <= s->last_id) s->next_id = s->last_id + 1;
        s->names.models =
            pragma_int(s->db, "SELECT count(*) FROM model", c + 1);
        s->names.clients =
            pragma_int(s->db, "SELECT count(*) FROM client", c + 2);
        s->names_kept = s->names;
        s->sweep = SWEEP_BEGIN;
        s->body_count =
            pragma_int(s->db, "SELECT sum(bodies) FROM segment", c + 3) +
            pragma_int(s->db, "SELECT count(*) FROM body WHERE segment IS NULL",
                       c + 4);
        s->body_bytes =
            pragma_int(s->db, "SELECT sum(bytes) FROM segment", c + 5) +
            pragma_int(s->db,
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

static void bind_time(sqlite3_stmt *st, int n, uint32_t v) {
    if (v == OLLAMA_RECORD_NO_TIME)
        sqlite3_bind_null(st, n);
    else
        sqlite3_bind_int64(st, n, v);
}

static int is_error(const ollama_record_request_t *q) {
    if (q->end == OLLAMA_RECORD_CLIENT_GONE) return 0;
    return q->status >= 400 || store_is_broken(q);
}

static enum store_result instance_id(struct store *s, uint64_t value,
                                     int64_t *id) {
    int fresh, added;
    int64_t *v = map_put(s->instances, &value, sizeof(value), &fresh);
    enum store_result r = STORE_OK;

    if (fresh) {
        sqlite3_bind_int64(s->write[FIND_INSTANCE], 1, (int64_t)value);
        sqlite3_bind_int64(s->write[ADD_INSTANCE], 1, (int64_t)value);
        sqlite3_bind_int64(s->write[ADD_INSTANCE], 2, s->now);
        r = store_find_or_add(s, FIND_INSTANCE, ADD_INSTANCE, v, &added);
    }
    *id = *v;
    return r;
}

/* "fingerprint:status:ms:cause", a space between two */
static int print_attempts(char *buf, const ollama_record_request_t *q) {
    static const char hex[] = "0123456789abcdef";
    char *p = buf;

    for (int i = 0; i < q->nattempts; i++) {
        const ollama_record_attempt_t *a = &q->attempts[i];
        uint32_t numbers[3] = {a->status, a->ms, a->cause};

        if (i) *p++ = ' ';
        for (int shift = 28; shift >= 0; shift -= 4)
            *p++ = hex[a->key >> shift & 15];
        for (int n = 0; n < 3; n++) {
            char digits[10];
            int len = 0;
            uint32_t v = numbers[n];

            do digits[len++] = (char)('0' + v % 10);
            while (v /= 10);
            *p++ = ':';
            while (len) *p++ = digits[--len];
        }
    }
    return (int)(p - buf);
}

/* Numbers of the wire have 64 bits without a sign; sums must not overflow. */
static int64_t bounded(uint64_t v) {
    return v > 1000000000000LL ? 1000000000000LL : (int64_t)v;
}

static int is_estimate(int certainty) {
    return certainty == OLLAMA_RECORD_ESTIMATED ||
           certainty == OLLAMA_RECORD_PARTIAL;
}

void store_set_time(struct store *s, int64_t now, int64_t wall) {
    s->now = now;
    s->behind = now - wall > CLOCK_JUMP ? now - wall : 0;
}

int64_t store_time(struct store *s) {
    sqlite3_stmt *st = s->write[FIND_TIME];
    int64_t time =
        sqlite3_step(st) == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;

    sqlite3_reset(st);
    return time;
}

enum store_result store_write_time(struct store *s, int64_t every) {
    if (llabs(s->now - s->time_written) < every) return STORE_OK;
    sqlite3_bind_int64(s->write[WRITE_TIME], 1, s->now);
    enum store_result r = store_run(s, s->write[WRITE_TIME]);
    if (r == STORE_OK) s->time_written = s->now;
    return r;
}

/* The proxy's clock is ours, or nearly so. */
static int64_t time_of(const struct store *s, uint64_t told) {
    int64_t time = (int64_t)told, now = now_ms();

    if (time < 0) return now + s->behind;
    /* what is behind would be deleted at once */
    if (s->behind && llabs(time - now) < CLOCK_JUMP) return time + s->behind;
    return time > now + s->behind + 60000 ? now + s->behind : time;
}

enum store_result store_request(struct store *s, uint64_t instance,
                                const ollama_record_request_t *q) {
    struct profile *p;
    int64_t inst, time = time_of(s, q->time);
    char attempts[OLLAMA_RECORD_ATTEMPTS * 40];
    sqlite3_stmt *st = s->write[WRITE_REQUEST];
    enum store_result r;
    int fresh;

    r = store_profile_of(s, &p, q);
    if (r == STORE_OK) r = instance_id(s, instance, &inst);
    if (r != STORE_OK) return r;

    struct store_counts n = {
        .requests = 1,
        .errors = is_error(q),
        .prompt = bounded(q->prompt),
        .completion = bounded(q->completion),
        .cached = bounded(q->cached),
    };
    if (is_estimate(q->prompt_certainty)) n.estimated += n.prompt;
    if (is_estimate(q->completion_certainty)) n.estimated += n.completion;

    sqlite3_bind_int64(st, 1, s->next_id);
    sqlite3_bind_int64(st, 2, time);
    sqlite3_bind_int64(st, 3, p->combo);
    sqlite3_bind_int64(st, 4, inst);
    sqlite3_bind_int64(st, 5, (int64_t)q->id);
    bind_text(st, 6, &q->method);
    bind_text(st, 7, &q->endpoint);
    sqlite3_bind_int64(st, 8, n.prompt);
    sqlite3_bind_int64(st, 9, n.completion);
    sqlite3_bind_int64(st, 10, n.cached);
    sqlite3_bind_int(st, 11, q->certainty);
    sqlite3_bind_int(st, 12, q->end);
    sqlite3_bind_int(st, 13, q->streamed != 0);
    sqlite3_bind_int64(st, 14, bounded(q->bytes_in));
    sqlite3_bind_int64(st, 15, bounded(q->bytes_out));
    bind_time(st, 16, q->queue);
    bind_time(st, 17, q->connect);
    bind_time(st, 18, q->first_token);
    bind_time(st, 19, q->total);
    sqlite3_bind_text(st, 20, attempts, print_attempts(attempts, q),
                      SQLITE_STATIC);
    if (q->model_answered.len == q->model.len &&
        (q->model.len == 0 ||
         memcmp(q->model.data, q->model_answered.data, q->model.len) == 0))
        sqlite3_bind_null(st, 21);
    else
        bind_text(st, 21, &q->model_answered);
    bind_maybe(st, 22, &q->upstream_id);
    bind_maybe(st, 23, &q->user_agent);
    bind_maybe(st, 24, &q->reason);
    if (p->model_other)
        bind_text(st, 25, &q->model);
    else
        sqlite3_bind_null(st, 25);
    if (p->client_other)
        bind_text(st, 26, &q->client);
    else
        sqlite3_bind_null(st, 26);
    if (p->client_other)
        bind_maybe(st, 30, &q->client_name);
    else
        sqlite3_bind_null(st, 30);
    sqlite3_bind_int(st, 27, q->attempts_all);
    sqlite3_bind_int(st, 28, q->prompt_certainty);
    sqlite3_bind_int(st, 29, q->completion_certainty);

    r = store_run(s, st);
    if (r != STORE_OK) return r;

    if (sqlite3_changes(s->db) == 0) return STORE_AGAIN;

    p->last = s->next_id++;

    struct cell_key key;
    memset(&key, 0, sizeof(key));
    key.minute = time / 60000;
    key.profile = p;
    store_add(map_put(s->cells, &key, sizeof(key), &fresh), &n);
    store_add(&s->batch_total, &n);
    return STORE_OK;
}

enum store_result store_body(struct store *s, uint64_t instance,
                             const ollama_record_body_t *b,
                             const struct body_ref *ref) {
    sqlite3_stmt *st = s->write[WRITE_BODY];
    int64_t inst;
    int fresh;
    enum store_result r = instance_id(s, instance, &inst);

    if (r != STORE_OK) return r;
    sqlite3_bind_int64(st, 1, inst);
    sqlite3_bind_int64(st, 2, (int64_t)b->id);
    sqlite3_bind_int64(st, 3, (int64_t)b->time);
    sqlite3_bind_int64(st, 4, bounded(b->size));
    sqlite3_bind_int64(st, 5, ref->len);
    sqlite3_bind_int(st, 6, b->truncated != 0);
    sqlite3_bind_int64(st, 7, ref->segment);
    sqlite3_bind_int64(st, 8, ref->offset);
    r = store_run(s, st);
    if (r == STORE_OK && sqlite3_changes(s->db)) {
        struct segment_sum *sum =
            map_put(s->segments, &ref->segment, sizeof(ref->segment), &fresh);

        sum->bodies++;
        sum->bytes += ref->len;
        sum->end = ref->offset + ref->len;
        s->batch_body_bytes += ref->len;
        s->batch_body_count++;
    }
    return r;
}

enum store_result store_penalty(struct store *s,
                                const ollama_record_penalty_t *p) {
    enum store_result r = STORE_OK;
    int which[2] = {WRITE_EVENT, WRITE_PENALTY};

    if (p->until == 0) {
        sqlite3_stmt *st = s->write[WRITE_PENALTY_GONE];
        sqlite3_bind_int64(st, 1, p->key);
        bind_text(st, 2, &p->model);
        r = store_run(s, st);
    }
    for (int i = 0; r == STORE_OK && i < (p->until ? 2 : 1); i++) {
        sqlite3_stmt *st = s->write[which[i]];
        sqlite3_bind_int64(st, 1, p->key);
        bind_text(st, 2, &p->model);
        sqlite3_bind_int64(st, 3, (int64_t)p->time);
        sqlite3_bind_int64(st, 4, (int64_t)p->until);
        sqlite3_bind_int64(st, 5, (int64_t)p->extra);
        sqlite3_bind_int64(st, 6, p->max_concurrent);
        sqlite3_bind_int(st, 7, p->http);
        sqlite3_bind_int(st, 8, p->state);
        sqlite3_bind_int(st, 9, p->level);
        bind_text(st, 10, &p->status);
        bind_text(st, 11, &p->reason);
        r = store_run(s, st);
    }
    return r;
}

/* One that has said no HELLO since the start is an old one. */
static struct proxy *proxy_of(struct store *s, uint64_t instance) {
    int fresh;

    return map_put(s->proxies, &instance, sizeof(instance), &fresh);
}

enum store_result store_proxy(struct store *s, uint64_t instance,
                              const ollama_text_t *name) {
    struct proxy *p = proxy_of(s, instance);
    size_t len = name->len < sizeof(p->name) ? name->len : sizeof(p->name) - 1;

    if (len) memcpy(p->name, name->data, len);
    p->name[len] = '\0';
    p->round = 0;
    return STORE_OK;
}

enum store_result store_key(struct store *s, uint64_t instance,
                            const ollama_record_key_t *k) {
    struct proxy *p = proxy_of(s, instance);
    sqlite3_stmt *st = s->write[WRITE_KEY];
    int64_t now = now_ms();

    if (p->round == 0)
        p->round = s->last_round =
            now > s->last_round ? now : s->last_round + 1;
    sqlite3_bind_int64(st, 1, k->key);
    bind_text(st, 2, &k->name);
    bind_text(st, 3, &k->account);
    sqlite3_bind_int64(st, 4, k->index);
    sqlite3_bind_int64(st, 5, p->round);
    enum store_result r = store_run(s, st);
    if (r != STORE_OK) return r;

    st = s->write[WRITE_PLACE];
    sqlite3_bind_int64(st, 1, k->key);
    sqlite3_bind_text(st, 2, p->name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(st, 3, k->index);
    sqlite3_bind_int64(st, 4, p->round);
    return store_run(s, st);
}

enum store_result store_keys(struct store *s, uint64_t instance) {
    struct proxy *p = proxy_of(s, instance);
    sqlite3_stmt *st = s->write[TRIM_PLACES];

    sqlite3_bind_text(st, 1, p->name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(st, 2, p->round);
    enum store_result r = store_run(s, st);
    if (r == STORE_OK) r = store_run(s, s->write[WRITE_KEYS]);
    if (r == STORE_OK) p->round = 0;
    s->keys_due = 1;
    return r;
}

enum store_result store_seq(struct store *s, uint64_t instance, uint64_t seq) {
    sqlite3_stmt *st = s->write[WRITE_SEQ];

    sqlite3_bind_int64(st, 1, (int64_t)instance);
    sqlite3_bind_int64(st, 2, (int64_t)seq);
    sqlite3_bind_int64(st, 3, s->now);
    return store_run(s, st);
}

static void bind_counts(sqlite3_stmt *st, int n, const struct store_counts *c) {
    sqlite3_bind_int64(st, n, c->requests);
    sqlite3_bind_int64(st, n + 1, c->errors);
    sqlite3_bind_int64(st, n + 2, c->prompt);
    sqlite3_bind_int64(st, n + 3, c->completion);
    sqlite3_bind_int64(st, n + 4, c->cached);
    sqlite3_bind_int64(st, n + 5, c->estimated);
}

static void sum_up(struct map *sums, int64_t time, int64_t kind, int64_t ref,
                   const struct store_counts *n) {
    struct sum_key key;
    int fresh;

    memset(&key, 0, sizeof(key));
    key.time = time;
    key.kind = kind;
    key.ref = ref;
    store_add(map_put(sums, &key, sizeof(key), &fresh), n);
}

/* By this /queries?until= knows where to begin. */
static enum store_result write_began(struct store *s, int64_t minute) {
    sqlite3_bind_int64(s->write[WRITE_BEGAN], 1, minute);
    sqlite3_bind_int64(s->write[WRITE_BEGAN], 2, s->next_id - 1);
    return store_run(s, s->write[WRITE_BEGAN]);
}

/* The batch's sums go to the tables once, however many rows it has. */
static enum store_result write_sums(struct store *s) {
    struct map *sums = map_new(sizeof(struct store_counts));
    enum store_result r = STORE_OK;
    size_t len;

    for (struct store_counts *n = NULL; (n = map_next(s->cells, n));) {
        const struct cell_key *key = map_key(n, &len);
        const struct profile *p = key->profile;

        sum_up(sums, key->minute, STORE_ALL, 0, n);
        sum_up(sums, key->minute, STORE_KEY, p->key, n);
        sum_up(sums, key->minute, STORE_MODEL, p->model, n);
        sum_up(sums, key->minute, STORE_CLIENT, p->client, n);
        sum_up(sums, key->minute / 60, -1, p->series, n);
    }

    for (struct store_counts *n = NULL;
         r == STORE_OK && (n = map_next(sums, n));) {
        const struct sum_key *key = map_key(n, &len);
        sqlite3_stmt *st;

        if (key->kind < 0) {
            st = s->write[WRITE_HOUR];
            sqlite3_bind_int64(st, 1, key->time);
            sqlite3_bind_int64(st, 2, key->ref);
            bind_counts(st, 3, n);
        } else {
            st = s->write[WRITE_MINUTE];
            sqlite3_bind_int64(st, 1, key->kind);
            sqlite3_bind_int64(st, 2, key->time);
            sqlite3_bind_int64(st, 3, key->ref);
            bind_counts(st, 4, n);
        }
        r = store_run(s, st);
        if (r == STORE_OK && key->kind == STORE_ALL)
            r = write_began(s, key->time);
    }
    map_free(sums);
    return r;
}

static enum store_result write_combos(struct store *s) {
    sqlite3_stmt *st = s->write[WRITE_COMBO_LAST];
    enum store_result r = STORE_OK;
    size_t len;

    for (struct store_counts *n = NULL;
         r == STORE_OK && (n = map_next(s->cells, n));) {
        const struct cell_key *key = map_key(n, &len);
        struct profile *p = key->profile;

        if (p->last == 0) continue; /* done with another minute's cell */
        sqlite3_bind_int64(st, 1, p->combo);
        sqlite3_bind_int64(st, 2, p->last);
        p->last = 0;
        r = store_run(s, st);
    }
    return r;
}

static enum store_result write_segments(struct store *s) {
    sqlite3_stmt *st = s->write[WRITE_SEGMENT];
    enum store_result r = STORE_OK;
    size_t len;

    for (struct segment_sum *sum = NULL;
         r == STORE_OK && (sum = map_next(s->segments, sum));) {
        const int64_t *segment = map_key(sum, &len);

        sqlite3_bind_int64(st, 1, *segment);
        sqlite3_bind_int64(st, 2, sum->bodies);
        sqlite3_bind_int64(st, 3, sum->bytes);
        sqlite3_bind_int64(st, 4, sum->end);
        r = store_run(s, st);
    }
    return r;
}

enum store_result store_commit(struct store *s) {
    enum store_result r = write_sums(s);

    if (r == STORE_OK) r = write_combos(s);
    if (r == STORE_OK) r = store_write_days(s);
    if (r == STORE_OK) r = write_segments(s);
    if (r == STORE_OK) r = store_write_time(s, TIME_EVERY_MS);
    if (r == STORE_OK && s->batch_total.requests) {
        bind_counts(s->write[WRITE_TOTAL], 1, &s->batch_total);
        r = store_run(s, s->write[WRITE_TOTAL]);
    }
    if (r == STORE_OK) r = store_exec(s, "COMMIT");
    if (r != STORE_OK) return r;

    map_clear(s->cells);
    s->names_kept = s->names;
    s->last_id = s->next_id - 1;
    s->body_bytes += s->batch_body_bytes;
    s->body_count += s->batch_body_count;
    store_add(&s->total, &s->batch_total);
    s->commits++;
    return STORE_OK;
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
