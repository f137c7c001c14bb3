#include "sqlite.h"

#include "../../base/log.h"
#include "../../base/problems.h"
#include "../../base/util.h"
#include "aside.h"
#include "file.h"
#include "head.h"
#include "salvage.h"
#include "size.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECK_MS    1000 /* of a start, for looking at all of the file */
#define CHECK_AGAIN 600000

/* A ledger as new as this program, empty, for salvage_copy(). */
static enum store_result make_new(const char *file, sqlite3 **db, char *err,
                                  size_t len) {
    struct sqlite n = {.path = (char *)(uintptr_t)file};
    char sql[256];

    unlink(file);
    int fd = open(file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    if (fd >= 0) close(fd);
    int code = sqlite3_open_v2(
        file, &n.db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    enum store_result r = sqlite_result_of(code);

    /* nobody needs a half of it: what is not whole is begun again */
    snprintf(sql, sizeof(sql),
             STORE_SHRINKS
             "PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF;"
             "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -65536;"
             "PRAGMA application_id = %d",
             STORE_APPLICATION_ID);
    if (r == STORE_OK)
        r = sqlite_result_of(sqlite3_exec(n.db, sql, NULL, NULL, NULL));
    if (r != STORE_OK)
        snprintf(err, len, "%s: %s", file, sqlite3_errmsg(n.db));
    else
        r = sqlite_migrate(&n, err, len);
    if (r != STORE_OK) {
        sqlite3_close(n.db);
        n.db = NULL;
    }
    *db = n.db;
    return r;
}

/* From the old one as it is, or, where no table can be found in it, from a copy
 * that has the pages which tell. */
static int save_into(sqlite3 *db, const char *path, struct salvage *saved) {
    static const char *const left[] = {"", "-wal", "-shm"};
    int bad = salvage_copy(path, db, saved);

    if (bad || saved->rows) return bad;
    char *copy = xasprintf("%s.patched", path);
    if (sqlite_head_patch(path, copy) == 0) bad = salvage_copy(copy, db, saved);
    for (int i = 0; i < 3; i++) {
        char *name = xasprintf("%s%s", copy, left[i]);
        unlink(name);
        free(name);
    }
    free(copy);
    return bad;
}

/* What can be read of a damaged ledger goes into a new one; the old one stays
 * beside it, under another name, for mending by hand. */
static enum store_result replace(struct sqlite *s, const char *why) {
    char err[512] = "", aside[4096];
    char *place = aside_place(s->path);
    struct salvage saved;
    sqlite3 *db;

    log_msg(LOG_CRIT,
            "the ledger is damaged (%s): what can be read of it is saved into "
            "a new one",
            why);
    /* said now: it may take a while, and the power may fail meanwhile */
    problem_raise(PROBLEM_LEDGER,
                  "the ledger is damaged (%.200s): what can be read of it is "
                  "being saved into a new one",
                  why);
    enum store_result r = make_new(place, &db, err, sizeof(err));
    if (r == STORE_OK) {
        if (save_into(db, s->path, &saved) != 0) {
            r = sqlite_result_of(sqlite3_errcode(db));
            if (r == STORE_OK || r == SQLITE_STORE_DAMAGED) r = STORE_IO;
            snprintf(err, sizeof(err), "%.128s: %.256s", place, saved.text);
        }
        sqlite3_close(db);
    }
    if (r == STORE_OK) {
        sqlite_readers_close(s);
        sqlite_close_writer(s);
        if (aside_swap(s->path, aside, sizeof(aside)) != 0) {
            snprintf(err, sizeof(err), "cannot rename %s: %s", s->path,
                     strerror(errno));
            r = STORE_IO;
        }
        sqlite_readers_go_on(s);
    }
    if (r == STORE_OK) {
        s->damaged = 0;
        const char *name = strrchr(aside, '/');
        log_msg(LOG_CRIT, "the ledger was damaged: moved to %s; %s", aside,
                saved.text);
        problem_raise(
            PROBLEM_LEDGER,
            "the ledger was damaged (%.200s) and is kept as %s; a new "
            "one goes on; %s",
            why, name ? name + 1 : aside, saved.text);
    } else {
        unlink(place);
        snprintf(s->head.error, sizeof(s->head.error), "%.255s", err);
    }
    free(place);
    return r;
}

/* Is it really?  An error of the moment is none of the file, and is not found a
 * second time; one that comes again soon is, even if a look at each page finds
 * nothing. */
static int is_damaged(struct sqlite *s, char *why, size_t len) {
    int64_t now = mono_ms();
    int whole = salvage_check(s->path, 0, why, len);

    if (whole == 0) return 1;
    int again = s->checked && now - s->checked < CHECK_AGAIN;
    s->checked = now;
    if (again) {
        snprintf(why, len, "%.200s",
                 s->head.error[0] ? s->head.error : "a page that was read");
        return 1;
    }
    log_msg(LOG_ERROR,
            "an error of the ledger is not found again (%s): it is opened "
            "anew, and goes on",
            whole < 0 ? why : "all of it can be read");
    return 0;
}

/* Nothing is done to a file before it is known whose it is, and nothing else is
 * made of a damaged one before what is in it is saved. */
enum store_result sqlite_open_first(struct sqlite *s, char *err, size_t len) {
    char why[256] = "it is no database any more";

    if (aside_resume(s->path)) {
        log_msg(LOG_NOTICE, "the new ledger takes the damaged one's place");
        problem_raise(PROBLEM_LEDGER,
                      "the ledger was damaged and is kept as %s.damaged-..; a "
                      "new one, with what could be read, goes on",
                      strrchr(s->path, '/') ? strrchr(s->path, '/') + 1
                                            : s->path);
    }

    enum store_file what = sqlite_file_look(s->path, err, len);
    if (what == STORE_FILE_FOREIGN) return STORE_ERROR;

    int damaged = what == STORE_FILE_DAMAGED;
    if (what == STORE_FILE_OURS)
        damaged = salvage_check(s->path, CHECK_MS, why, sizeof(why)) == 0;

    enum store_result r =
        damaged ? SQLITE_STORE_DAMAGED : sqlite_open_both(s, err, len);
    if (r != SQLITE_STORE_DAMAGED) return r;
    if (!damaged) snprintf(why, sizeof(why), "%.255s", err);
    r = replace(s, why);
    if (r == STORE_OK) return sqlite_open_both(s, err, len);
    snprintf(err, len, "%s is damaged, and a new one cannot be made: %s",
             s->path, s->head.error);
    return r;
}

enum store_result sqlite_mend(struct sqlite *s) {
    char why[256], err[256] = "";
    enum store_result r;

    if (!is_damaged(s, why, sizeof(why))) return SQLITE_STORE_AGAIN;
    if ((r = replace(s, why)) != STORE_OK) return r;
    if (sqlite_open_both(s, err, sizeof(err)) != STORE_OK) {
        snprintf(s->head.error, sizeof(s->head.error), "%s", err);
        return STORE_IO;
    }
    return STORE_OK;
}
