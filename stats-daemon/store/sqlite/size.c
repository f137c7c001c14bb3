#include "size.h"

#include "../../base/log.h"
#include "../../base/util.h"
#include "head.h"

#define PIECE 256 /* pages */
#define SETTLE_MS \
    10000              /* the -wal is written back for this, at most so often */
#define FREE_PART   10 /* one in so many pages may be free */
#define INCREMENTAL 2

static int64_t ask(struct sqlite *s, const char *pragma) {
    sqlite3_stmt *st;
    int64_t n = 0;

    if (sqlite3_prepare_v2(s->db, pragma, -1, &st, NULL) == SQLITE_OK &&
        sqlite3_step(st) == SQLITE_ROW)
        n = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return n;
}

static int64_t page_size(struct sqlite *s) {
    if (s->page_size == 0) s->page_size = ask(s, "PRAGMA page_size");
    return s->page_size;
}

void sqlite_size_begin(struct sqlite *s) {
    s->page_size = 0;
    s->shrinks = ask(s, "PRAGMA auto_vacuum") == INCREMENTAL;
    if (s->shrinks ||
        ask(s, "PRAGMA page_count") * page_size(s) > STORE_VACUUM_MAX)
        return;
    /* not in memory: it is as large as the ledger */
    if (sqlite_exec(s, "PRAGMA temp_store = FILE;" STORE_SHRINKS "VACUUM") !=
        STORE_OK)
        log_msg(LOG_WARN, "the ledger cannot be made one that shrinks: %s",
                s->head.error);
    sqlite_exec(s, "PRAGMA temp_store = MEMORY");
    s->shrinks = ask(s, "PRAGMA auto_vacuum") == INCREMENTAL;
}

int sqlite_size_over(struct sqlite *s, int64_t bytes) {
    if (bytes == 0) return 0;
    int64_t used =
        ask(s, "PRAGMA page_count") - ask(s, "PRAGMA freelist_count");
    return used * page_size(s) > bytes;
}

enum store_result sqlite_size_shrink(struct sqlite *s, int64_t bytes,
                                     int *left) {
    enum store_result r = STORE_OK;

    if (!s->shrinks) return STORE_OK;
    int64_t pages = ask(s, "PRAGMA page_count");
    int64_t some = ask(s, "PRAGMA freelist_count");
    int due = some > PIECE + pages / FREE_PART ||
              (bytes && some && pages * page_size(s) > bytes);
    if (due) {
        r = sqlite_exec(s, "PRAGMA incremental_vacuum(256)" /* PIECE */);
        s->shrunk = 1;
        if (r == STORE_OK && some > PIECE) *left = 1;
        if (r != STORE_OK || *left) return r;
    }
    /* the file ends earlier once this is through */
    if (s->shrunk && mono_ms() - s->settled >= SETTLE_MS) {
        s->settled = mono_ms();
        if (sqlite_settle(s)) {
            /* a page of the schema may have moved, too */
            sqlite_head_save(s->db, s->path);
            s->shrunk = 0;
        }
    }
    return r;
}
