#include "fitting.h"
#include "sqlite.h"

#include "../../base/clock.h"
#include "../../base/util.h"

#include <stdlib.h>

static void give_row(sqlite3_stmt *st, store_row_cb *cb, void *arg) {
    struct store_row row = {
        .id = number(st, 0),
        .time = number(st, 1),
        .instance = (uint64_t)number(st, 2),
        .rid = (uint64_t)number(st, 3),
        .client = text(st, 4),
        .client_name = text(st, 5),
        .key_name = text(st, 6),
        .model = text(st, 7),
        .model_answered = text(st, 8),
        .method = text(st, 9),
        .endpoint = text(st, 10),
        .attempts = text(st, 11),
        .upstream_id = text(st, 12),
        .user_agent = text(st, 13),
        .reason = text(st, 14),
        .key = (uint32_t)number(st, 15),
        .key_index = (int)or_minus(st, 16),
        .status = (int)number(st, 17),
        .certainty = (int)number(st, 18),
        .end = (int)number(st, 19),
        .streamed = (int)number(st, 20),
        .prompt = number(st, 21),
        .completion = number(st, 22),
        .cached = number(st, 23),
        .bytes_in = number(st, 24),
        .bytes_out = number(st, 25),
        .queue = or_minus(st, 26),
        .connect = or_minus(st, 27),
        .first_token = or_minus(st, 28),
        .total = or_minus(st, 29),
        .body_size = or_minus(st, 30),
        .body_time = or_minus(st, 31),
        .body_truncated = (int)number(st, 32),
        .attempts_all = (int)number(st, 33),
        .prompt_certainty = (int)number(st, 34),
        .completion_certainty = (int)number(st, 35),
        .body = {number(st, 36), number(st, 37), number(st, 38)},
        .cost = or_minus(st, 39),
        .affinity = (int)number(st, 40),
    };
    cb(arg, &row);
}

static enum store_result one_row(struct sqlite_reader *rd, int64_t id,
                                 store_row_cb *cb, void *arg) {
    sqlite3_stmt *st = rd->st[READ_ROW];
    enum store_result found = STORE_NONE;

    sqlite3_bind_int64(st, 1, id);
    int code = sqlite3_step(st);
    if (code == SQLITE_ROW) {
        give_row(st, cb, arg);
        found = STORE_OK;
    }
    enum store_result r = sqlite_read_done(rd, st, code);
    return r == STORE_OK ? found : r;
}

enum store_result sqlite_row(struct sqlite_reader *rd, int64_t id,
                             store_row_cb *cb, void *arg) {
    return one_row(rd, id, cb, arg);
}

static enum store_result newest_rows(struct sqlite_reader *rd,
                                     const struct store_query *q,
                                     store_row_cb *cb, void *arg) {
    sqlite3_stmt *st = rd->st[READ_ROWS];
    int code;

    sqlite3_bind_int64(st, 1, q->before.id ? q->before.id : INT64_MAX);
    sqlite3_bind_int64(st, 2, q->after.id);
    sqlite3_bind_int(st, 3, q->limit);
    sqlite3_bind_int(st, 4, q->offset);
    if (q->until) sqlite3_bind_int64(st, 5, q->until);
    while ((code = sqlite3_step(st)) == SQLITE_ROW) give_row(st, cb, arg);
    return sqlite_read_done(rd, st, code);
}

/* Of requests of an older version: ids were given in the order in which they
 * ended, but for what came late, so it is looked for by halves. */
static enum store_result ended_of_old(struct sqlite_reader *rd, int64_t time,
                                      int64_t last, int64_t *id) {
    sqlite3_stmt *st = rd->st[READ_ENDED];
    int64_t low = 1, high = last + 1, future = now_ms() + CLOCK_JUMP;
    enum store_result r = STORE_OK;

    while (r == STORE_OK && low < high) {
        int64_t middle = low + (high - low) / 2;

        sqlite3_bind_int64(st, 1, middle);
        sqlite3_bind_int64(st, 2, future);
        int code = sqlite3_step(st);
        if (code != SQLITE_ROW || number(st, 1) > time)
            high = middle;
        else
            low = number(st, 0) + 1;
        r = sqlite_read_done(rd, st, code);
    }
    *id = low - 1;
    return r;
}

/* No request with a greater id had ended by that time: none had begun. */
static enum store_result ended_by(struct sqlite_reader *rd, int64_t time,
                                  int64_t *id) {
    sqlite3_stmt *st = rd->st[READ_BEGAN];
    int64_t old = 0;

    sqlite3_bind_int64(st, 1, time / 60000);
    int code = sqlite3_step(st);
    *id = code == SQLITE_ROW ? number(st, 0) : 0;
    if (code == SQLITE_ROW && number(st, 1) > *id) old = number(st, 1);
    enum store_result r = sqlite_read_done(rd, st, code);

    if (r == STORE_OK && old) {
        int64_t last;
        r = ended_of_old(rd, time, old, &last);
        if (last > *id) *id = last;
    }
    return r;
}

static enum store_result filtered_rows(struct sqlite_reader *rd,
                                       const struct store_query *q,
                                       store_row_cb *cb, void *arg) {
    int64_t *ids = xcalloc((size_t)(q->limit + q->offset), sizeof(*ids));
    int n;
    enum store_result r = sqlite_fitting(rd, q, ids, &n);

    for (int i = q->offset; r == STORE_OK && i < n; i++) {
        r = one_row(rd, ids[i], cb, arg);
        if (r == STORE_NONE) r = STORE_OK; /* retention was quicker */
    }
    free(ids);
    return r;
}

static void end_before(struct store_query *q, int64_t id) {
    if (q->before.id == 0 || q->before.id > id) q->before.id = id;
}

enum store_result sqlite_rows(struct sqlite_reader *rd,
                              const struct store_query *query, store_row_cb *cb,
                              void *arg) {
    struct store_query q = *query;
    enum store_result r = STORE_OK;
    int64_t last;

    if (q.upto.id) end_before(&q, q.upto.id + 1);
    if (q.until) {
        r = ended_by(rd, q.until, &last);
        end_before(&q, last + 1);
    }
    if (r == STORE_OK)
        r = q.client || q.model || q.key || q.status_max || q.kinds || q.also
                ? filtered_rows(rd, &q, cb, arg)
                : newest_rows(rd, &q, cb, arg);
    return r;
}
