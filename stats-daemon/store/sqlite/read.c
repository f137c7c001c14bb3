#include "spread.h"
#include "sqlite.h"

#include "../../base/util.h"
#include "turns.h"
#include "type.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNTS                                                             \
    "u.requests, u.errors, u.prompt, u.completion, u.cached, u.estimated," \
    " u.cost, u.priced"

#define ROW                                                                         \
    "SELECT r.id, r.time, i.value, r.rid,"                                          \
    " coalesce(x.client, c.address),"                                               \
    " coalesce(x.client_name, c.name), k.name,"                                     \
    " coalesce(x.model, m.name), r.model_answered,"                                 \
    " r.method, r.endpoint, r.attempts, r.upstream_id, r.user_agent,"               \
    " r.reason, k.fingerprint, k.position, o.status % 1000, r.certainty, r.ending," \
    " r.streamed, r.prompt, r.completion, r.cached, r.bytes_in, r.bytes_out,"       \
    " r.queue, r.connect, r.first_token, r.total, b.size, b.time,"                  \
    " b.truncated, r.attempts_all,"                                                 \
    " coalesce(r.prompt_certainty, r.certainty),"                                   \
    " coalesce(r.completion_certainty, r.certainty),"                               \
    " b.segment, b.place, b.stored, r.cost, r.affinity FROM request r"              \
    " CROSS JOIN combo o ON o.id = r.combo"                                         \
    " CROSS JOIN series s ON s.id = o.series"                                       \
    " CROSS JOIN model m ON m.id = s.model"                                         \
    " CROSS JOIN client c ON c.id = s.client"                                       \
    " LEFT JOIN key k ON k.id = s.key"                                              \
    " LEFT JOIN instance i ON i.id = r.instance"                                    \
    " LEFT JOIN body b ON b.instance = r.instance AND b.rid = r.rid"                \
    " LEFT JOIN other_name x ON x.id = r.id"

/* What a filter says of a request, of its series and of its combo; whoever has
 * a series asks for ids, which are looked up once. */
#define OF_MODEL \
    "(?2 IS NULL OR s.model = (SELECT id FROM model WHERE name = ?2))"
#define OF_CLIENT                                         \
    "(?1 IS NULL OR s.client IN (SELECT id FROM client"   \
    " WHERE address = ?1 UNION ALL SELECT id FROM client" \
    " WHERE name = ?1))"
#define IS_KEY \
    "s.key IN (SELECT id FROM key WHERE name = ?3 OR fingerprint = ?4)"
#define OF_KEY "(?3 IS NULL OR " IS_KEY ")"
#define OF_STATUS                                                        \
    "((o.status % 1000 BETWEEN ?5 AND ?6 AND ?9 >> o.status / 1000 & 1)" \
    " OR ?10 >> o.status / 1000 & 1)"
#define HAD_ENDED "(?11 IS NULL OR r.time + coalesce(r.total, 0) <= ?11)"

/* Requests with a name that became "(other)": few, found by the name itself.
 * ?11: no bound, or by when they had ended. */
#define OTHER                                                           \
    "SELECT x.id FROM other_name x CROSS JOIN request r ON r.id = x.id" \
    " CROSS JOIN combo o ON o.id = r.combo"                             \
    " CROSS JOIN series s ON s.id = o.series"                           \
    " CROSS JOIN model m ON m.id = s.model"                             \
    " CROSS JOIN client c ON c.id = s.client"
#define OTHER_REST                                \
    " AND " OF_KEY " AND " OF_STATUS              \
    " AND x.id > ?7 AND x.id < ?8 AND " HAD_ENDED \
    " ORDER BY x.id DESC LIMIT ?12"

static const struct {
    const char *name, *sql;
} read_sql[READ_STATEMENTS] = {
    [READ_HOURS] = {"hours",
                    "SELECT u.hour, c.address, c.name, k.fingerprint, k.name,"
                    " k.position, m.name, " COUNTS " FROM usage_hour u"
                    " CROSS JOIN series s ON s.id = u.series"
                    " CROSS JOIN client c ON c.id = s.client"
                    " CROSS JOIN model m ON m.id = s.model"
                    " LEFT JOIN key k ON k.id = s.key"
                    " WHERE u.hour >= ?1 AND u.hour < ?2"
                    " ORDER BY u.hour DESC, u.series DESC LIMIT ?3"},
    [READ_MINUTES] = {"minutes",
                      "SELECT u.minute, u.ref, " COUNTS " FROM usage_minute u"
                      " WHERE u.kind = ?1 AND u.minute >= ?2 AND u.minute < ?3"
                      " ORDER BY u.minute, u.ref"},
    [READ_SUMS] = {"sums", "SELECT u.time, u.ref, " COUNTS " FROM usage_sum u"
                           " WHERE u.kind = ?1 AND u.time >= ?2 AND u.time < ?3"
                           " ORDER BY u.time, u.ref"},
    [READ_MINUTE_OF] = {"minute of a name",
                        "SELECT u.minute, u.ref, " COUNTS " FROM usage_minute u"
                        " WHERE u.kind = ?1 AND u.minute = ?2 AND u.ref = ?3"},
    [READ_SUM_OF] = {"sum of a name",
                     "SELECT u.time, u.ref, " COUNTS " FROM usage_sum u"
                     " WHERE u.kind = ?1 AND u.time = ?2 AND u.ref = ?3"},
    [READ_BOUNDS] = {"bounds of sums", "SELECT id, minute FROM usage_bound"},
    [READ_KEY_NAME] =
        {"key name",
         "SELECT name, fingerprint, position FROM key WHERE id = ?1"},
    [READ_MODEL_NAME] = {"model name", "SELECT name FROM model WHERE id = ?1"},
    [READ_CLIENT_NAME] = {"client name",
                          "SELECT address, name FROM client WHERE id = ?1"},
    [READ_ROWS] = {"newest requests",
                   ROW " WHERE r.id < ?1 AND r.id > ?2 AND (?5 IS NULL OR"
                       " r.time + coalesce(r.total, 0) <= ?5)"
                       " ORDER BY r.id DESC LIMIT ?3 OFFSET ?4"},
    [READ_ROW] = {"one request", ROW " WHERE r.id = ?1"},
    [READ_ENDED] = {"end of a request",
                    "SELECT id, time + coalesce(total, 0) FROM request"
                    " WHERE id >= ?1 AND time <= ?2 ORDER BY id LIMIT 1"},
    [READ_BEGAN] = {"begin of a request",
                    "SELECT max(CASE WHEN minute > 0 THEN last END),"
                    " max(CASE WHEN minute = 0 THEN last END)"
                    " FROM began WHERE minute <= ?1"},
    [READ_FITTING] =
        {"newest requests that fit",
         "SELECT r.id FROM request r CROSS JOIN combo o ON o.id = r.combo"
         " CROSS JOIN series s ON s.id = o.series"
         " WHERE r.id > ?7 AND r.id < ?8 AND " OF_STATUS " AND " OF_MODEL
         " AND " OF_KEY " AND " OF_CLIENT " AND " HAD_ENDED
         " ORDER BY r.id DESC LIMIT ?12"},
    [READ_ENDED_BEFORE] = {"newest request that had ended",
                           "SELECT id FROM request WHERE id < ?1 AND id > ?2"
                           " AND time + coalesce(total, 0) <= ?3"
                           " ORDER BY id DESC LIMIT 1"},
    [READ_COMBO_CLIENT] =
        {"combos of a client",
         "SELECT o.id, o.last FROM client c CROSS JOIN series s ON s.client = c.id"
         " CROSS JOIN combo o ON o.series = s.id"
         " WHERE (c.address = ?1 OR c.name = ?1) AND " OF_MODEL " AND " OF_KEY
         " AND " OF_STATUS " AND o.last > ?7"},
    [READ_COMBO_MODEL] =
        {"combos of a model",
         "SELECT o.id, o.last FROM model m CROSS JOIN series s ON s.model = m.id"
         " CROSS JOIN combo o ON o.series = s.id"
         " WHERE m.name = ?2 AND " OF_STATUS " AND o.last > ?7"},
    [READ_COMBO_MODEL_KEY] =
        {"combos of a model and a key",
         "SELECT o.id, o.last FROM model m CROSS JOIN series s ON s.model = m.id"
         " AND " IS_KEY " CROSS JOIN combo o ON o.series = s.id"
         " WHERE m.name = ?2 AND " OF_STATUS " AND o.last > ?7"},
    [READ_COMBO_KEY] =
        {"combos of a key",
         "SELECT o.id, o.last FROM key k CROSS JOIN series s ON s.key = k.id"
         " CROSS JOIN combo o ON o.series = s.id"
         " WHERE (k.name = ?3 OR k.fingerprint = ?4)"
         " AND " OF_STATUS " AND o.last > ?7"},
    [READ_COMBO_STATUS] =
        {"combos of a status",
         "SELECT o.id, o.last, " OF_MODEL " AND " OF_KEY " AND " OF_CLIENT
         " FROM combo o CROSS JOIN series s ON s.id = o.series"
         " WHERE o.status = ?5 AND o.last > ?7 ORDER BY o.last DESC"},
    [READ_STATUS] = {"next status", "SELECT status FROM combo WHERE status > ?1"
                                    " ORDER BY status LIMIT 1"},
    [READ_COMBO_ROWS] = {"requests of a combo",
                         "SELECT id FROM request WHERE combo = ?1 AND id < ?2"
                         " AND id > ?3 ORDER BY id DESC LIMIT ?4"},
    [READ_COMBO_ENDED] = {"requests of a combo that had ended",
                          "SELECT id FROM request WHERE combo = ?1 AND id < ?2"
                          " AND id > ?3 AND time + coalesce(total, 0) <= ?5"
                          " ORDER BY id DESC LIMIT ?4"},
    [READ_OTHER_MODEL] = {"requests of another model", OTHER
                          " WHERE x.model = ?2"
                          " AND (?1 IS NULL OR x.client = ?1 OR c.address = ?1"
                          " OR x.client_name = ?1 OR c.name = ?1)" OTHER_REST},
    [READ_OTHER_CLIENT] =
        {"requests of another client", OTHER
         " WHERE x.client = ?1 AND"
         " (?2 IS NULL OR (m.name = ?2 AND x.model IS NOT ?2))" OTHER_REST},
    [READ_OTHER_CLIENT_NAME] =
        {"requests of another client's name", OTHER
         " WHERE x.client_name = ?1 AND x.client <> ?1 AND"
         " (?2 IS NULL OR (m.name = ?2 AND x.model IS NOT ?2))" OTHER_REST},
    [READ_KEYS] = {"keys", "SELECT fingerprint, position, name, account"
                           " FROM key ORDER BY id"},
    [READ_USAGE] = {"usage of keys",
                    "SELECT k.fingerprint, u.minute, u.prompt + u.completion,"
                    " u.cost, u.priced"
                    " FROM usage_minute u CROSS JOIN key k ON k.id = u.ref"
                    " WHERE u.kind = 1 AND u.minute >= ?1"},
    [READ_PENALTIES] = {"penalties",
                        "SELECT key, model, time, until, extra,"
                        " max_concurrent, http, state, level, status, reason"
                        " FROM penalty WHERE until > ?1"},
    [READ_EVENTS] = {"key events",
                     "SELECT key, model, time, until, extra,"
                     " max_concurrent, http, state, level, status, reason,"
                     " used_from, used_tokens, used_requests"
                     " FROM key_event ORDER BY id DESC LIMIT ?1"},
    [READ_TOTALS] = {"totals", "SELECT " COUNTS " FROM total u WHERE id = 1"},
    [READ_SPREADS] = {"spreads", STORE_SPREAD_ROWS},
    [READ_SPREAD_FIRST] = {"first spread", STORE_SPREAD_FIRST},
    [READ_TURNS] = {"turns of conversations", STORE_TURNS_ROWS},
};

/* ---- the connection ---- */

/* Called every few thousand steps: a read that takes too long, or that nobody
 * waits for any more, is given up. */
static int on_progress(void *arg) {
    struct sqlite_reader *rd = arg;
    return rd->stopped || mono_ms() > rd->deadline;
}

static int open_reader(struct sqlite_reader *rd) {
    int code = sqlite3_open_v2(rd->store->path, &rd->db,
                               SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
                                   SQLITE_OPEN_PRIVATECACHE,
                               NULL);

    if (code == SQLITE_OK) {
        sqlite3_extended_result_codes(rd->db, 1);
        sqlite3_busy_timeout(rd->db, 200);
        sqlite3_wal_autocheckpoint(rd->db, 0);
        code = sqlite3_exec(rd->db,
                            "PRAGMA query_only = ON;"
                            "PRAGMA temp_store = MEMORY;"
                            "PRAGMA cache_size = -8192;",
                            NULL, NULL, NULL);
    }
    for (int i = 0; code == SQLITE_OK && i < READ_STATEMENTS; i++)
        code = sqlite3_prepare_v3(rd->db, read_sql[i].sql, -1,
                                  SQLITE_PREPARE_PERSISTENT, &rd->st[i], NULL);
    if (code == SQLITE_OK)
        sqlite3_progress_handler(rd->db, 4096, on_progress, rd);
    return code;
}

static void close_reader(struct sqlite_reader *rd) {
    for (int i = 0; i < READ_STATEMENTS; i++) {
        sqlite3_finalize(rd->st[i]);
        rd->st[i] = NULL;
    }
    sqlite3_close(rd->db);
    rd->db = NULL;
}

void sqlite_readers_init(struct sqlite *s) {
    for (int i = 0; i < STORE_READERS; i++) {
        s->readers[i].store = s;
        s->readers[i].head.store = &s->head;
        pthread_mutex_init(&s->readers[i].lock, NULL);
    }
}

void sqlite_readers_free(struct sqlite *s) {
    for (int i = 0; i < STORE_READERS; i++)
        pthread_mutex_destroy(&s->readers[i].lock);
}

void sqlite_readers_close(struct sqlite *s) {
    for (int i = 0; i < STORE_READERS; i++) {
        pthread_mutex_lock(&s->readers[i].lock);
        close_reader(&s->readers[i]);
    }
}

enum store_result sqlite_readers_open(struct sqlite *s, char *err, size_t len) {
    int code = SQLITE_OK;

    for (int i = 0; i < STORE_READERS && code == SQLITE_OK; i++) {
        code = open_reader(&s->readers[i]);
        if (code != SQLITE_OK)
            snprintf(err, len, "%s: %s", s->path,
                     sqlite3_errmsg(s->readers[i].db));
    }
    for (int i = 0; i < STORE_READERS && code != SQLITE_OK; i++)
        close_reader(&s->readers[i]);
    sqlite_readers_go_on(s);
    return sqlite_result_of(code);
}

void sqlite_readers_go_on(struct sqlite *s) {
    for (int i = 0; i < STORE_READERS; i++)
        pthread_mutex_unlock(&s->readers[i].lock);
}

const char *sqlite_statement(int n, const char **name) {
    if (n < 0 || n >= READ_STATEMENTS) return NULL;
    *name = read_sql[n].name;
    return read_sql[n].sql;
}

/* A read is between these two, with the lock held. */
static enum store_result read_begin(struct sqlite_reader *rd) {
    pthread_mutex_lock(&rd->lock);
    if (rd->db == NULL) {
        snprintf(rd->head.error, sizeof(rd->head.error), "%s is not open",
                 rd->store->path);
        pthread_mutex_unlock(&rd->lock);
        return STORE_IO;
    }
    rd->deadline = mono_ms() + STORE_READ_MAX;
    return STORE_OK;
}

static enum store_result read_end(struct sqlite_reader *rd,
                                  enum store_result r) {
    if (r == SQLITE_STORE_DAMAGED) rd->store->damaged = 1;
    pthread_mutex_unlock(&rd->lock);
    return r;
}

enum store_result sqlite_read_done(struct sqlite_reader *rd, sqlite3_stmt *st,
                                   int code) {
    enum store_result r = STORE_OK;

    if (code != SQLITE_DONE && code != SQLITE_ROW) {
        r = sqlite_result_of(code);
        snprintf(rd->head.error, sizeof(rd->head.error), "%s",
                 r == STORE_BUSY ? "the query took too long"
                                 : sqlite3_errmsg(rd->db));
    }
    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
    return r;
}

/* ---- keys ---- */

static enum store_result read_key_names(struct sqlite_reader *rd,
                                        store_key_cb *cb, void *arg) {
    int code;

    sqlite3_stmt *st = rd->st[READ_KEYS];
    while ((code = sqlite3_step(st)) == SQLITE_ROW) {
        struct store_key_name k = {(uint32_t)number(st, 0),
                                   (int)or_minus(st, 1), text(st, 2),
                                   text(st, 3)};
        cb(arg, &k);
    }
    return sqlite_read_done(rd, st, code);
}

static enum store_result read_usage(struct sqlite_reader *rd, uint32_t since,
                                    store_usage_cb *cb, void *arg) {
    int code;

    sqlite3_stmt *st = rd->st[READ_USAGE];
    sqlite3_bind_int64(st, 1, since);
    while ((code = sqlite3_step(st)) == SQLITE_ROW)
        cb(arg, (uint32_t)number(st, 0),
           &(ollama_record_minute_t){
               .minute = (uint32_t)number(st, 1),
               .tokens = (uint64_t)number(st, 2),
               .cost = (uint64_t)number(st, 3),
               .unpriced = (uint64_t)(number(st, 2) - number(st, 4))});
    return sqlite_read_done(rd, st, code);
}

static void column(sqlite3_stmt *st, int n, ollama_text_t *t) {
    t->data = sqlite3_column_text(st, n);
    t->len = (size_t)sqlite3_column_bytes(st, n);
}

static void penalty(sqlite3_stmt *st, ollama_record_penalty_t *p) {
    *p = (ollama_record_penalty_t){
        .key = (uint32_t)number(st, 0),
        .time = (uint64_t)number(st, 2),
        .until = (uint64_t)number(st, 3),
        .extra = (uint64_t)number(st, 4),
        .max_concurrent = (uint32_t)number(st, 5),
        .http = (uint16_t)number(st, 6),
        .state = (uint8_t)number(st, 7),
        .level = (uint8_t)number(st, 8),
    };
    column(st, 1, &p->model);
    column(st, 9, &p->status);
    column(st, 10, &p->reason);
}

static enum store_result read_penalties(struct sqlite_reader *rd, int64_t now,
                                        store_penalty_cb *cb, void *arg) {
    int code;

    sqlite3_stmt *st = rd->st[READ_PENALTIES];
    sqlite3_bind_int64(st, 1, now);
    while ((code = sqlite3_step(st)) == SQLITE_ROW) {
        ollama_record_penalty_t p;

        penalty(st, &p);
        cb(arg, &p);
    }
    return sqlite_read_done(rd, st, code);
}

static enum store_result read_events(struct sqlite_reader *rd, int limit,
                                     store_event_cb *cb, void *arg) {
    int code;

    sqlite3_stmt *st = rd->st[READ_EVENTS];
    sqlite3_bind_int64(st, 1, limit);
    while ((code = sqlite3_step(st)) == SQLITE_ROW) {
        struct store_event e;

        penalty(st, &e.penalty);
        e.used_from = or_minus(st, 11);
        e.used_tokens = or_minus(st, 12);
        e.used_requests = or_minus(st, 13);
        cb(arg, &e);
    }
    return sqlite_read_done(rd, st, code);
}

static enum store_result read_total(struct sqlite_reader *rd,
                                    struct store_counts *n) {
    memset(n, 0, sizeof(*n));
    sqlite3_stmt *st = rd->st[READ_TOTALS];
    int code = sqlite3_step(st);
    if (code == SQLITE_ROW) sqlite_counts_of(st, 0, n);
    return sqlite_read_done(rd, st, code);
}

enum store_result sqlite_read_total(struct sqlite_reader *rd,
                                    struct store_counts *n) {
    enum store_result r = read_begin(rd);

    return r == STORE_OK ? read_end(rd, read_total(rd, n)) : r;
}

/* ---- which question ---- */

static enum store_result answer(struct sqlite_reader *rd,
                                const struct store_question *q) {
    struct store_counts n;

    switch (q->kind) {
    case STORE_ASK_HOURS:
        return sqlite_hours(rd, q->of.hours.from, q->of.hours.to,
                            q->of.hours.limit, q->of.hours.cb, q->arg);
    case STORE_ASK_MINUTES: return sqlite_minutes(rd, q);
    case STORE_ASK_ROWS:
        return sqlite_rows(rd, q->of.rows.query, q->of.rows.cb, q->arg);
    case STORE_ASK_ROW:
        return sqlite_row(rd, q->of.row.id, q->of.row.cb, q->arg);
    case STORE_ASK_KEYS: return read_key_names(rd, q->of.keys.cb, q->arg);
    case STORE_ASK_USAGE:
        return read_usage(rd, q->of.usage.since, q->of.usage.cb, q->arg);
    case STORE_ASK_PENALTIES:
        return read_penalties(rd, q->of.penalties.now, q->of.penalties.cb,
                              q->arg);
    case STORE_ASK_EVENTS:
        return read_events(rd, q->of.events.limit, q->of.events.cb, q->arg);
    case STORE_ASK_SPREADS:
        return sqlite_spreads(rd, q->of.spreads.kind, q->of.spreads.from,
                              q->of.spreads.to, q->of.spreads.step,
                              q->of.spreads.cb, q->arg);
    case STORE_ASK_TURNS:
        return sqlite_turns(rd, q->of.turns.from, q->of.turns.to,
                            q->of.turns.cb, q->arg);
    case STORE_ASK_NOTHING: break;
    }
    return read_total(rd, &n); /* the smallest read there is */
}

enum store_result sqlite_ask(struct sqlite_reader *rd,
                             const struct store_question *q) {
    enum store_result r = read_begin(rd);

    return r == STORE_OK ? read_end(rd, answer(rd, q)) : r;
}
