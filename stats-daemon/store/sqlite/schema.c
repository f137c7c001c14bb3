#include "sqlite.h"

#include "backup.h"
#include "rollup.h"
#include "spread.h"
#include "turns.h"
#include "used.h"

#include <stdio.h>

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
    " model_other TEXT," /* of old rows: as in other_name, below */
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
     "DROP INDEX combo_last;"
     "UPDATE combo SET last = coalesce((SELECT max(id) FROM request r"
     " WHERE r.combo = combo.id), 0);"
     "CREATE INDEX combo_status ON combo(status, last);"
     "DROP INDEX series_model;"
     "CREATE INDEX series_model ON series(model, key);"

     /* .. of those that began in a minute; of all that are here already */
     "CREATE TABLE began("
     " minute INTEGER PRIMARY KEY,"
     " last INTEGER NOT NULL);"
     "INSERT INTO began SELECT 0, id FROM request ORDER BY id DESC LIMIT 1;"

     /* the names that became "(other)", of a request: few, and an index of
      * request costs each row something even if it is not in it */
     "CREATE TABLE other_name("
     " id INTEGER PRIMARY KEY,"
     " model TEXT,"
     " client TEXT,"
     " client_name TEXT);" STORE_LEARN_OTHERS
     "CREATE INDEX other_model ON other_name(model) WHERE model IS NOT NULL;"
     "CREATE INDEX other_client ON other_name(client)"
     " WHERE client IS NOT NULL;"
     "CREATE INDEX other_client_name ON other_name(client_name)"
     " WHERE client_name IS NOT NULL;"

     /* the last day of its sums by hour, 0: it has none */
     "ALTER TABLE series ADD COLUMN day INTEGER NOT NULL DEFAULT 0;"
     /* does it still tell of a key? */
     "CREATE INDEX key_event_key ON key_event(key);"
     /* who told it: another proxy does not make it shorter */
     "ALTER TABLE penalty ADD COLUMN instance INTEGER NOT NULL"
     " DEFAULT 0;" STORE_LEARN_DAYS STORE_ROLLUP_SCHEMA STORE_SPREAD_SCHEMA
         STORE_USED_SCHEMA),

    /* what tokens cost; nothing that is here already has a price */
    ("ALTER TABLE request ADD COLUMN cost INTEGER;"
     "ALTER TABLE request ADD COLUMN affinity INTEGER;" /* NULL: none */
     "ALTER TABLE usage_minute ADD COLUMN cost INTEGER NOT NULL DEFAULT 0;"
     "ALTER TABLE usage_minute ADD COLUMN priced INTEGER NOT NULL DEFAULT 0;"
     "ALTER TABLE usage_hour ADD COLUMN cost INTEGER NOT NULL DEFAULT 0;"
     "ALTER TABLE usage_hour ADD COLUMN priced INTEGER NOT NULL DEFAULT 0;"
     "ALTER TABLE usage_sum ADD COLUMN cost INTEGER NOT NULL DEFAULT 0;"
     "ALTER TABLE usage_sum ADD COLUMN priced INTEGER NOT NULL DEFAULT 0;"
     "ALTER TABLE total ADD COLUMN cost INTEGER NOT NULL DEFAULT 0;"
     "ALTER TABLE total ADD COLUMN priced INTEGER NOT NULL DEFAULT 0;" STORE_TURNS_SCHEMA),
};

enum store_result sqlite_migrate(struct sqlite *s, char *err, size_t len) {
    int code;
    int64_t version = sqlite_number(s->db, "PRAGMA user_version", &code);

    if (code != SQLITE_OK) {
        snprintf(err, len, "%s: %s", s->path, sqlite3_errmsg(s->db));
        return sqlite_result_of(code);
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
        sqlite_keep(s->db, s->path, (int)version);
    for (; version < STORE_SCHEMA; version++) {
        char end[64];

        snprintf(end, sizeof(end), "PRAGMA user_version = %lld; COMMIT",
                 (long long)version + 1);
        enum store_result r = sqlite_exec(s, "BEGIN IMMEDIATE");
        if (r == STORE_OK) r = sqlite_exec(s, migrations[version]);
        if (r == STORE_OK) r = sqlite_exec(s, end);
        if (r != STORE_OK) {
            snprintf(err, len, "%s: %s", s->path, s->head.error);
            sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
            return r;
        }
    }
    return STORE_OK;
}
