#include "salvage.h"

#include "../../base/log.h"
#include "../../base/util.h"
#include "file.h"
#include "salvage_sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define KEYS_MAX    3 /* leading integers of a primary key */
#define COLUMNS_MAX 64
#define SAY_MS      5000
#define ROOM        (4LL * 1024 * 1024)
#define CHECK_SIZE  (256LL * 1024 * 1024)

/* Those not named here come behind "penalty". */
static const char *const order[] = {
    "total",       "instance",     "key",          "model",      "client",
    "series",      "combo",        "usage_minute", "usage_hour", "usage_sum",
    "usage_bound", "usage_spread", "penalty",      "clock"};
static const char *const last[] = {"key_event", "segment", "request", "body"};

/* Each is a whole table, in another order. */
static const struct {
    const char *table, *columns, *more, *marks, *by;
} indexes[] = {
    {"instance", "id, value", ", last_seq, seen", "?, ?, 0, 0", "value"},
    {"key", "id, fingerprint", ", name, account, position, round",
     "?, ?, '', '', NULL, 0", "fingerprint"},
    {"model", "id, name", "", "?, ?", "name"},
    {"client", "id, address, name", "", "?, ?, ?", "address"},
    {"series", "id, client, key, model", "", "?, ?, ?, ?", "client"},
    {"combo", "id, series, status", ", last", "?, ?, ?, 0", "series"},
};

struct table {
    const char *name;
    sqlite3 *from, *to;
    char columns[1024];       /* that both have */
    char keys[KEYS_MAX * 64]; /* "a, b" */
    char *all;                /* the whole primary key */
    int ncolumns, nkeys;
    int at[KEYS_MAX]; /* where the keys are among the columns */
    unsigned char integer[COLUMNS_MAX], text[COLUMNS_MAX];
    sqlite3_stmt *read, *probe, *insert;
    int64_t rows, gap; /* gap: numbers that are missing in the holes */
    int holes, given_up;
};

static int is_damage(int code) {
    return code != SQLITE_ROW && code != SQLITE_DONE;
}

/* ---- one table ---- */

/* What a column of the new table is of, and which place it has in its key. */
struct column {
    char name[64];
    int key, integer, text;
};

static int columns_of(sqlite3 *db, const char *table, struct column *list) {
    sqlite3_stmt *st;
    int n = 0;

    if (sqlite3_prepare_v2(db,
                           "SELECT name, type, pk FROM pragma_table_info(?1)"
                           " ORDER BY cid",
                           -1, &st, NULL) != SQLITE_OK)
        return 0;
    sqlite3_bind_text(st, 1, table, -1, SQLITE_STATIC);
    while (n < COLUMNS_MAX && sqlite3_step(st) == SQLITE_ROW) {
        struct column *c = &list[n++];
        const char *type = (const char *)sqlite3_column_text(st, 1);

        snprintf(c->name, sizeof(c->name), "%s",
                 (const char *)sqlite3_column_text(st, 0));
        c->integer = type && strcmp(type, "INTEGER") == 0;
        c->text = type && strcmp(type, "TEXT") == 0;
        c->key = sqlite3_column_int(st, 2);
    }
    sqlite3_finalize(st);
    return n;
}

static void append(char *to, size_t size, const char *word) {
    size_t len = strlen(to), more = strlen(word);

    if (len + more + 3 > size) return;
    if (len) len += (size_t)sprintf(to + len, ", ");
    memcpy(to + len, word, more + 1);
}

/* -1: the old one has no such table, or it cannot be told. */
static int table_open(struct table *t) {
    struct column now[COLUMNS_MAX], old[COLUMNS_MAX];
    char marks[KEYS_MAX * 8] = "", values[COLUMNS_MAX * 8] = "", all[512] = "";
    int n = columns_of(t->to, t->name, now);
    int m = columns_of(t->from, t->name, old);

    for (int i = 0; i < n; i++) {
        int there = 0;
        for (int k = 0; k < m && !there; k++)
            there = strcmp(now[i].name, old[k].name) == 0;
        if (!there) continue;
        t->integer[t->ncolumns] = (unsigned char)now[i].integer;
        t->text[t->ncolumns] = (unsigned char)now[i].text;
        for (int k = 0; k < KEYS_MAX; k++)
            if (now[i].key == k + 1) t->at[k] = t->ncolumns;
        t->ncolumns++;
        append(t->columns, sizeof(t->columns), now[i].name);
        append(values, sizeof(values), "?");
    }
    for (int place = 1, more = 1; more && t->ncolumns; place++) {
        more = 0;
        for (int i = 0; i < n; i++) {
            if (now[i].key != place) continue;
            more = 1;
            append(all, sizeof(all), now[i].name);
            if (!now[i].integer || t->nkeys != place - 1 ||
                t->nkeys == KEYS_MAX)
                continue;
            append(t->keys, sizeof(t->keys), now[i].name);
            append(marks, sizeof(marks), "?");
            t->nkeys++;
        }
    }
    if (t->nkeys == 0) return -1;
    t->all = xstrdup(all);

    char *sql = xasprintf("SELECT %s FROM \"%s\" NOT INDEXED"
                          " WHERE (%s) >= (%s) ORDER BY %s",
                          t->columns, t->name, t->keys, marks, t->all);
    int bad =
        sqlite3_prepare_v2(t->from, sql, -1, &t->read, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(t->from, sql, -1, &t->probe, NULL) != SQLITE_OK;
    free(sql);
    sql = xasprintf("INSERT OR IGNORE INTO \"%s\"(%s) VALUES(%s)", t->name,
                    t->columns, values);
    bad = bad ||
          sqlite3_prepare_v2(t->to, sql, -1, &t->insert, NULL) != SQLITE_OK;
    free(sql);
    return bad ? -1 : 0;
}

static void table_close(struct table *t) {
    sqlite3_finalize(t->read);
    sqlite3_finalize(t->probe);
    sqlite3_finalize(t->insert);
    free(t->all);
}

/* A page of garbage may look like rows: those of another form are none. */
static int is_sound(const struct table *t, sqlite3_stmt *row) {
    for (int i = 0; i < t->ncolumns; i++) {
        int type = sqlite3_column_type(row, i);

        if (type == SQLITE_NULL) continue;
        if (t->integer[i] && type != SQLITE_INTEGER) return 0;
        if (t->text[i] && type != SQLITE_TEXT) return 0;
    }
    return 1;
}

/* 0, or -1 when the new one cannot be written. */
static int put_row(struct table *t, sqlite3_stmt *row) {
    for (int i = 0; i < t->ncolumns; i++)
        sqlite3_bind_value(t->insert, i + 1, sqlite3_column_value(row, i));
    int code = sqlite3_step(t->insert);
    sqlite3_reset(t->insert);
    if (code == SQLITE_DONE) {
        t->rows += sqlite3_changes(t->to);
        return 0;
    }
    return (code & 0xff) == SQLITE_CONSTRAINT ? 0 : -1;
}

static void bind_key(const struct table *t, sqlite3_stmt *st,
                     const int64_t *key) {
    sqlite3_reset(st);
    for (int i = 0; i < t->nkeys; i++) sqlite3_bind_int64(st, i + 1, key[i]);
}

/* Can the first row from a key on be read? */
static int readable(struct table *t, const int64_t *key) {
    bind_key(t, t->probe, key);
    int code = sqlite3_step(t->probe);
    sqlite3_reset(t->probe);
    return !is_damage(code);
}

/* The key at a distance in one of its places; the places behind it begin. */
static void key_at(const struct table *t, int64_t *key, const int64_t *from,
                   int place, int64_t distance) {
    for (int i = 0; i < t->nkeys; i++)
        key[i] = i < place ? from[i] : i > place ? -1 : from[i];
    key[place] =
        from[place] > INT64_MAX - distance ? INT64_MAX : from[place] + distance;
}

/* The least distance that can be read, between one that cannot and one that
 * can. */
static int64_t halve(struct table *t, const int64_t *from, int place,
                     int64_t bad, int64_t good) {
    int64_t key[KEYS_MAX];

    while (good - bad > 1) {
        int64_t middle = bad + (good - bad) / 2;
        key_at(t, key, from, place, middle);
        if (readable(t, key))
            good = middle;
        else
            bad = middle;
    }
    return good;
}

/* From the last key that was read to the next one that can be: -1 if there is
 * none. */
static int step_over(struct table *t, int64_t *key) {
    int64_t next[KEYS_MAX], base[KEYS_MAX];

    for (int place = t->nkeys - 1; place >= 0; place--) {
        int64_t distance = 1, bad = 0;

        for (; distance < INT64_MAX / 4; bad = distance, distance *= 2) {
            key_at(t, next, key, place, distance);
            if (readable(t, next)) break;
        }
        if (distance >= INT64_MAX / 4) continue;

        distance = halve(t, key, place, bad, distance);
        key_at(t, next, key, place, distance);
        /* the end of what is before it may be good already */
        for (; distance > 1 && place + 1 < t->nkeys; place++) {
            key_at(t, base, key, place, distance - 1);
            memcpy(key, base, sizeof(base));
            distance = halve(t, key, place + 1, 0, INT64_MAX / 4);
            key_at(t, next, key, place + 1, distance);
            if (distance == INT64_MAX / 4) break;
        }
        memcpy(key, next, sizeof(next));
        return 0;
    }
    return -1;
}

/* Greater than the last one?  So that garbage cannot lead back. */
static int next_key(const struct table *t, int64_t *key) {
    int64_t next[KEYS_MAX];
    int greater = 0;

    for (int i = 0; i < t->nkeys; i++) {
        next[i] = sqlite3_column_int64(t->read, t->at[i]);
        if (!greater && next[i] < key[i]) return 0;
        if (next[i] > key[i]) greater = 1;
    }
    memcpy(key, next, sizeof(*key) * (size_t)t->nkeys);
    return 1; /* the same ones again: a key of which they are a part */
}

static int table_copy(struct table *t) {
    int64_t key[KEYS_MAX], said = mono_ms();
    int64_t hole = -1; /* the last number before the hole at hand */

    for (int i = 0; i < KEYS_MAX; i++) key[i] = -1;
    for (;;) {
        int code, got = 0;

        bind_key(t, t->read, key);
        while ((code = sqlite3_step(t->read)) == SQLITE_ROW) {
            if (!is_sound(t, t->read) || !next_key(t, key)) continue;
            got = 1;
            if (hole >= 0 && t->nkeys == 1) t->gap += key[0] - hole - 1;
            hole = -1;
            if (put_row(t, t->read) != 0) {
                sqlite3_reset(t->read);
                return -1;
            }
            if ((t->rows & 8191) == 0 && mono_ms() - said > SAY_MS) {
                said = mono_ms();
                log_msg(LOG_NOTICE, "saving the ledger: %lld rows of %s so far",
                        (long long)t->rows, t->name);
            }
        }
        sqlite3_reset(t->read);
        if (!is_damage(code)) return 0;
        if (got || t->holes == 0) t->holes++;
        if (hole < 0) hole = key[0] < 0 ? 0 : key[0];
        if (step_over(t, key) != 0) {
            t->given_up = 1;
            return 0;
        }
    }
}

/* ---- what is in an index, too ---- */

static int index_copy(struct table *t, int which) {
    for (int down = 0; down < 2; down++) {
        /* the least index that has it all is taken by itself */
        char *sql = xasprintf("SELECT %s FROM \"%s\" ORDER BY %s %s",
                              indexes[which].columns, t->name,
                              indexes[which].by, down ? "DESC" : "");
        char *insert = xasprintf(
            "INSERT OR IGNORE INTO \"%s\"(%s%s) VALUES(%s)", t->name,
            indexes[which].columns, indexes[which].more, indexes[which].marks);
        sqlite3_stmt *from = NULL, *to = NULL;
        int failed = 0;

        if (sqlite3_prepare_v2(t->from, sql, -1, &from, NULL) == SQLITE_OK &&
            sqlite3_prepare_v2(t->to, insert, -1, &to, NULL) == SQLITE_OK) {
            while (!failed && sqlite3_step(from) == SQLITE_ROW) {
                for (int i = 0; i < sqlite3_column_count(from); i++)
                    sqlite3_bind_value(to, i + 1,
                                       sqlite3_column_value(from, i));
                int code = sqlite3_step(to);
                sqlite3_reset(to);
                if (code == SQLITE_DONE)
                    t->rows += sqlite3_changes(t->to);
                else
                    failed = (code & 0xff) != SQLITE_CONSTRAINT;
            }
        }
        sqlite3_finalize(from);
        sqlite3_finalize(to);
        free(sql);
        free(insert);
        if (failed) return -1;
    }
    return 0;
}

/* ---- all of them ---- */

static int exec(sqlite3 *db, const char *sql) {
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : -1;
}

/* Of help, not of need: what fails is said and left out. */
static void after(sqlite3 *db, const char *const *list) {
    for (; *list; list++)
        if (exec(db, *list) != 0)
            log_msg(LOG_ERROR, "saving the ledger: %s: %s", sqlite3_errmsg(db),
                    *list);
}

static int is_one_of(const char *name, const char *const *list, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(name, list[i]) == 0) return 1;
    return 0;
}

struct run {
    sqlite3 *from, *to;
    struct salvage *s;
    int total_lost, no_room;
    int minutes_torn, hours_torn, sums_torn; /* .. or lost */
    char lost[SALVAGE_TEXT / 2];
    int64_t cut; /* requests that are missing, nearly */
};

static void note_loss(struct run *r, const struct table *t) {
    char words[128];

    if (strcmp(t->name, "request") == 0 && t->gap > 0)
        snprintf(words, sizeof(words), "about %lld requests",
                 (long long)t->gap);
    else if (t->rows == 0)
        snprintf(words, sizeof(words), "%s", t->name);
    else
        snprintf(words, sizeof(words), "a part of %s", t->name);
    append(r->lost, sizeof(r->lost), words);
    r->s->torn++;
}

static int one_table(struct run *r, const char *name) {
    struct table t = {.name = name, .from = r->from, .to = r->to};
    int failed = 0, known = table_open(&t) == 0;

    if (exec(r->to, "BEGIN") != 0) known = 0, failed = 1;
    /* the script that made the new one has put a row into it */
    if (!failed && strcmp(name, "total") == 0)
        failed = exec(r->to, "DELETE FROM total") != 0;
    if (!failed && strcmp(name, "usage_bound") == 0)
        failed = exec(r->to, "DELETE FROM usage_bound") != 0;
    if (!failed && known) failed = table_copy(&t) != 0;
    for (size_t i = 0; i < sizeof(indexes) / sizeof(*indexes); i++)
        if (!failed && t.holes && strcmp(indexes[i].table, name) == 0)
            failed = index_copy(&t, (int)i) != 0;
    if (!failed) failed = exec(r->to, "COMMIT") != 0;
    if (failed) {
        snprintf(r->s->text, sizeof(r->s->text), "%s", sqlite3_errmsg(r->to));
        exec(r->to, "ROLLBACK");
    }
    if (known) {
        r->s->tables++;
        r->s->rows += t.rows;
        if (t.holes) note_loss(r, &t);
        if (strcmp(name, "request") == 0) r->s->requests = t.rows;
        if (strcmp(name, "instance") == 0) r->s->instances = t.rows;
        if (strcmp(name, "total") == 0) r->total_lost = t.rows == 0;
    }
    if (strcmp(name, "usage_minute") == 0) r->minutes_torn = !known || t.holes;
    if (strcmp(name, "usage_hour") == 0) r->hours_torn = !known || t.holes;
    if (strcmp(name, "usage_sum") == 0) r->sums_torn = !known || t.holes;
    table_close(&t);
    return failed ? -1 : 0;
}

/* Tables of the new one that the lists do not name. */
static int other_tables(struct run *r) {
    sqlite3_stmt *st;
    int failed = 0;

    if (sqlite3_prepare_v2(r->to,
                           "SELECT name FROM sqlite_schema WHERE type = 'table'"
                           " AND name NOT LIKE 'sqlite_%'",
                           -1, &st, NULL) != SQLITE_OK)
        return -1;
    char *names[128];
    int n = 0;
    while (n < 128 && sqlite3_step(st) == SQLITE_ROW)
        names[n++] = xstrdup((const char *)sqlite3_column_text(st, 0));
    sqlite3_finalize(st);
    for (int i = 0; i < n; i++) {
        if (!failed &&
            !is_one_of(names[i], order, sizeof(order) / sizeof(*order)) &&
            !is_one_of(names[i], last, sizeof(last) / sizeof(*last)))
            failed = one_table(r, names[i]);
        free(names[i]);
    }
    return failed;
}

static int has_room(const char *path) {
    struct statvfs v;
    struct stat st, wal;
    char *w = xasprintf("%s-wal", path);
    int64_t need = ROOM;

    if (stat(path, &st) == 0) need += st.st_size;
    if (stat(w, &wal) == 0) need += wal.st_size;
    free(w);
    return statvfs(path, &v) != 0 ||
           (int64_t)v.f_bavail * (int64_t)v.f_frsize > need + need / 8;
}

static sqlite3 *open_old(const char *path) {
    int code;
    sqlite3 *db = sqlite_file_open(path, &code);

    if (code != SQLITE_OK ||
        exec(db, "PRAGMA cell_size_check = ON; PRAGMA query_only = ON;"
                 "PRAGMA cache_size = -16384") != 0) {
        sqlite3_close(db);
        return NULL;
    }
    return db;
}

/* Sums by minute, or those made of them, have holes: of those by hour of each
 * series, if these have none, they are made anew. */
static void mend_sums(struct run *r) {
    int torn = r->minutes_torn || r->sums_torn;

    int code;

    if (!torn || r->hours_torn ||
        sqlite_number(r->to,
                      "SELECT count(*) FROM (SELECT 1 FROM usage_hour"
                      " LIMIT 1)",
                      &code) == 0) {
        after(r->to, after_bounds);
        return;
    }
    after(r->to, after_hours);
    after(r->to, r->minutes_torn ? no_minutes : after_minutes);
}

static int copy_all(struct run *r, const char *path) {
    int failed = 0;

    for (size_t i = 0; !failed && i < sizeof(order) / sizeof(*order); i++)
        failed = one_table(r, order[i]);
    if (!failed) failed = other_tables(r);
    if (failed) return -1;
    after(r->to, after_names);
    mend_sums(r);
    if (r->total_lost) after(r->to, after_sums);
    r->no_room = !has_room(path);
    for (size_t i = 0; !failed && i < sizeof(last) / sizeof(*last); i++)
        if (!r->no_room || i < 2) failed = one_table(r, last[i]);
    if (failed) return -1;
    after(r->to, after_rows);
    return 0;
}

int salvage_copy(const char *path, sqlite3 *to, struct salvage *s) {
    struct run r = {.to = to, .s = s, .total_lost = 1};

    memset(s, 0, sizeof(*s));
    r.from = open_old(path);
    int failed = r.from ? copy_all(&r, path) : 0;
    sqlite3_close(r.from);
    if (failed) return -1;

    if (s->rows == 0) {
        snprintf(s->text, sizeof(s->text), "nothing of it can be read");
        return 0;
    }
    snprintf(s->text, sizeof(s->text),
             "saved: %lld rows of %d tables, %lld of them requests%s; lost: "
             "%s%s",
             (long long)s->rows, s->tables, (long long)s->requests,
             r.total_lost ? ", the total is added up anew from the sums by day"
                          : "",
             r.lost[0]   ? r.lost
             : r.no_room ? "requests and bodies, for which the disk has no room"
                         : "nothing",
             r.lost[0] && r.no_room
                 ? "; requests and bodies, for which the disk has no room"
                 : "");
    return 0;
}

/* ---- is it whole? ---- */

static int on_progress(void *arg) {
    return mono_ms() > *(int64_t *)arg;
}

/* What a look at all pages costs too much for: a second's worth of the tables
 * that are small and needed most. */
static const char small_tables[] =
    "SELECT (SELECT count(*) FROM total NOT INDEXED),"
    " (SELECT count(*) FROM instance NOT INDEXED),"
    " (SELECT count(*) FROM key NOT INDEXED),"
    " (SELECT count(*) FROM penalty), (SELECT count(*) FROM segment),"
    " (SELECT count(*) FROM model NOT INDEXED),"
    " (SELECT count(*) FROM series NOT INDEXED),"
    " (SELECT count(*) FROM combo NOT INDEXED),"
    " (SELECT count(*) FROM client NOT INDEXED),"
    " (SELECT max(id) FROM request), (SELECT max(id) FROM body)";

int salvage_check(const char *path, int64_t ms, char *err, size_t len) {
    sqlite3 *db = open_old(path);
    sqlite3_stmt *st = NULL;
    int64_t until = mono_ms() + ms;
    struct stat size;
    int whole = 0;
    /* the pragma is one step, which no handler ends */
    int large = ms && stat(path, &size) == 0 && size.st_size > CHECK_SIZE;

    err[0] = '\0';
    if (db == NULL) {
        snprintf(err, len, "it cannot be opened");
        return 0;
    }
    if (ms) sqlite3_progress_handler(db, 1000, on_progress, &until);
    int code = sqlite3_prepare_v2(
        db, large ? small_tables : "PRAGMA quick_check(1)", -1, &st, NULL);
    if (code == SQLITE_OK) code = sqlite3_step(st);
    if (code == SQLITE_ROW && large) {
        whole = -1;
    } else if (code == SQLITE_ROW) {
        const char *said = (const char *)sqlite3_column_text(st, 0);

        whole = said && strcmp(said, "ok") == 0;
        /* "*** in database main *** Page 41: .." */
        const char *page = said ? strstr(said, "Page ") : NULL;
        if (!whole) snprintf(err, len, "%s", page ? page : said ? said : "?");
        for (char *c = err; *c; c++)
            if (*c == '\n') *c = ' ';
    } else if ((code & 0xff) == SQLITE_CORRUPT ||
               (code & 0xff) == SQLITE_NOTADB) {
        snprintf(err, len, "%s", sqlite3_errmsg(db));
    } else {
        whole = -1;
        snprintf(err, len, "%s", sqlite3_errmsg(db));
    }
    sqlite3_finalize(st);
    sqlite3_close(db);
    return whole;
}
