#include "sqlite.h"

#include "../counted.h"
#include "rollup.h"
#include "spread.h"
#include "turns.h"
#include "used.h"

#include "../../base/util.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIME_EVERY_MS 10000 /* with a batch */
#define ROLL_PIECES   6     /* of ten minutes, with a batch */

#define KIND_SERIES -1 /* its hour */
#define KIND_BEGAN  -2 /* a minute that has no sums any more */

struct sum_key {
    int64_t time, kind, ref; /* as in usage_sum, or one of these */
};

static void bind_time(sqlite3_stmt *st, int n, uint32_t v) {
    if (v == OLLAMA_RECORD_NO_TIME)
        sqlite3_bind_null(st, n);
    else
        sqlite3_bind_int64(st, n, v);
}

static enum store_result instance_id(struct sqlite *s, uint64_t value,
                                     int64_t *id) {
    int fresh, added;
    int64_t *v = map_put(s->instances, &value, sizeof(value), &fresh);
    enum store_result r = STORE_OK;

    if (fresh) {
        sqlite3_bind_int64(s->write[FIND_INSTANCE], 1, (int64_t)value);
        sqlite3_bind_int64(s->write[ADD_INSTANCE], 1, (int64_t)value);
        sqlite3_bind_int64(s->write[ADD_INSTANCE], 2, s->now);
        r = sqlite_find_or_add(s, FIND_INSTANCE, ADD_INSTANCE, v, &added);
    }
    *id = *v;
    return r;
}

void sqlite_set_time(struct sqlite *s, int64_t now, int64_t wall) {
    s->now = now;
    s->behind = counted_behind(now, wall);
}

int64_t sqlite_time(struct sqlite *s) {
    sqlite3_stmt *st = s->write[FIND_TIME];
    int64_t time =
        sqlite3_step(st) == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;

    sqlite3_reset(st);
    return time;
}

enum store_result sqlite_write_time(struct sqlite *s, int64_t every) {
    if (llabs(s->now - s->time_written) < every) return STORE_OK;
    sqlite3_bind_int64(s->write[WRITE_TIME], 1, s->now);
    enum store_result r = sqlite_run(s, s->write[WRITE_TIME]);
    if (r == STORE_OK) s->time_written = s->now;
    return r;
}

/* The names that became "(other)". */
static enum store_result write_other(struct sqlite *s, const struct profile *p,
                                     const ollama_record_request_t *q) {
    sqlite3_stmt *st = s->write[WRITE_OTHER];

    sqlite3_bind_int64(st, 1, s->next_id);
    if (p->model_other)
        bind_text(st, 2, &q->model);
    else
        sqlite3_bind_null(st, 2);
    if (p->client_other)
        bind_text(st, 3, &q->client);
    else
        sqlite3_bind_null(st, 3);
    if (p->client_other)
        bind_maybe(st, 4, &q->client_name);
    else
        sqlite3_bind_null(st, 4);
    return sqlite_run(s, st);
}

enum store_result sqlite_request(struct sqlite *s, uint64_t instance,
                                 const ollama_record_request_t *q) {
    struct profile *p;
    int64_t inst, time = counted_time(q->time, s->behind);
    char attempts[COUNTED_ATTEMPTS];
    enum cause cause = cause_of(q);
    sqlite3_stmt *st = s->write[WRITE_REQUEST];
    enum store_result r;
    int fresh;

    r = sqlite_profile_of(s, &p, q);
    if (r == STORE_OK) r = instance_id(s, instance, &inst);
    if (r != STORE_OK) return r;

    struct store_counts n = counted(q);

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
    sqlite3_bind_int64(st, 14, counted_bounded(q->bytes_in));
    sqlite3_bind_int64(st, 15, counted_bounded(q->bytes_out));
    bind_time(st, 16, q->queue);
    bind_time(st, 17, q->connect);
    bind_time(st, 18, q->first_token);
    bind_time(st, 19, q->total);
    sqlite3_bind_text(st, 20, attempts, counted_attempts(attempts, q),
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
    sqlite3_bind_int(st, 25, q->attempts_all);
    sqlite3_bind_int(st, 26, q->prompt_certainty);
    sqlite3_bind_int(st, 27, q->completion_certainty);
    if (q->priced)
        sqlite3_bind_int64(st, 28, n.cost);
    else
        sqlite3_bind_null(st, 28);
    if (q->affinity)
        sqlite3_bind_int(st, 29, q->affinity);
    else
        sqlite3_bind_null(st, 29);

    r = sqlite_run(s, st);
    if (r != STORE_OK) return r;

    if (sqlite3_changes(s->db) == 0) return SQLITE_STORE_AGAIN;

    if (p->model_other || p->client_other) r = write_other(s, p, q);
    if (r != STORE_OK) return r;
    p->last = s->next_id++;

    struct cell_key key;
    memset(&key, 0, sizeof(key));
    key.minute = time / 60000;
    key.profile = p;
    store_add(map_put(s->cells, &key, sizeof(key), &fresh), &n);
    store_add(&s->batch_total, &n);
    sqlite_spread_note(s, p, key.minute, q, cause, n.prompt + n.completion);
    sqlite_turns_note(s, p, key.minute, q);
    return STORE_OK;
}

enum store_result sqlite_body(struct sqlite *s, uint64_t instance,
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
    sqlite3_bind_int64(st, 4, counted_bounded(b->size));
    sqlite3_bind_int64(st, 5, ref->len);
    sqlite3_bind_int(st, 6, b->truncated != 0);
    sqlite3_bind_int64(st, 7, ref->segment);
    sqlite3_bind_int64(st, 8, ref->offset);
    r = sqlite_run(s, st);
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

enum store_result sqlite_penalty(struct sqlite *s, uint64_t instance,
                                 const ollama_record_penalty_t *p) {
    enum store_result r = STORE_OK;
    int which[2] = {WRITE_EVENT, WRITE_PENALTY};

    if (p->until == 0) {
        sqlite3_stmt *st = s->write[WRITE_PENALTY_GONE];
        sqlite3_bind_int64(st, 1, p->key);
        bind_text(st, 2, &p->model);
        r = sqlite_run(s, st);
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
        if (which[i] == WRITE_PENALTY)
            sqlite3_bind_int64(st, 12, (int64_t)instance);
        r = sqlite_run(s, st);
        if (r == STORE_OK && i == 0 && p->until)
            sqlite_used_note(s, p, sqlite3_last_insert_rowid(s->db));
    }
    return r;
}

/* One that has said no HELLO since the start is an old one. */
static struct proxy *proxy_of(struct sqlite *s, uint64_t instance) {
    int fresh;

    return map_put(s->proxies, &instance, sizeof(instance), &fresh);
}

enum store_result sqlite_proxy(struct sqlite *s, uint64_t instance,
                               const ollama_text_t *name) {
    struct proxy *p = proxy_of(s, instance);
    size_t len = name->len < sizeof(p->name) ? name->len : sizeof(p->name) - 1;

    if (len) memcpy(p->name, name->data, len);
    p->name[len] = '\0';
    p->round = 0;
    return STORE_OK;
}

enum store_result sqlite_key(struct sqlite *s, uint64_t instance,
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
    enum store_result r = sqlite_run(s, st);
    if (r != STORE_OK) return r;

    st = s->write[WRITE_PLACE];
    sqlite3_bind_int64(st, 1, k->key);
    sqlite3_bind_text(st, 2, p->name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(st, 3, k->index);
    sqlite3_bind_int64(st, 4, p->round);
    return sqlite_run(s, st);
}

enum store_result sqlite_keys(struct sqlite *s, uint64_t instance) {
    struct proxy *p = proxy_of(s, instance);
    sqlite3_stmt *st = s->write[TRIM_PLACES];

    sqlite3_bind_text(st, 1, p->name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(st, 2, p->round);
    enum store_result r = sqlite_run(s, st);
    if (r == STORE_OK) r = sqlite_run(s, s->write[WRITE_KEYS]);
    if (r == STORE_OK) p->round = 0;
    s->keys_due = 1;
    return r;
}

enum store_result sqlite_seq(struct sqlite *s, uint64_t instance,
                             uint64_t seq) {
    sqlite3_stmt *st = s->write[WRITE_SEQ];

    sqlite3_bind_int64(st, 1, (int64_t)instance);
    sqlite3_bind_int64(st, 2, (int64_t)seq);
    sqlite3_bind_int64(st, 3, s->now);
    return sqlite_run(s, st);
}

static void bind_counts(sqlite3_stmt *st, int n, const struct store_counts *c) {
    sqlite3_bind_int64(st, n, c->requests);
    sqlite3_bind_int64(st, n + 1, c->errors);
    sqlite3_bind_int64(st, n + 2, c->prompt);
    sqlite3_bind_int64(st, n + 3, c->completion);
    sqlite3_bind_int64(st, n + 4, c->cached);
    sqlite3_bind_int64(st, n + 5, c->estimated);
    sqlite3_bind_int64(st, n + 6, c->cost);
    sqlite3_bind_int64(st, n + 7, c->priced);
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
static enum store_result write_began(struct sqlite *s, int64_t minute) {
    sqlite3_bind_int64(s->write[WRITE_BEGAN], 1, minute);
    sqlite3_bind_int64(s->write[WRITE_BEGAN], 2, s->next_id - 1);
    return sqlite_run(s, s->write[WRITE_BEGAN]);
}

/* A minute's sums go to the minute; one that is late, to all levels.  What its
 * level has no longer is not begun anew. */
static void sum_levels(struct sqlite *s, struct map *sums, int64_t minute,
                       const struct profile *p, const struct store_counts *n) {
    int levels = minute < s->bounds.mark ? LEVELS : LEVEL_MINUTE + 1;

    for (int level = LEVEL_MINUTE; level < levels; level++) {
        int64_t unit = level_unit(level), time = minute / unit;

        if (time * unit < s->bounds.since[level]) {
            if (level == LEVEL_MINUTE) sum_up(sums, time, KIND_BEGAN, 0, n);
            continue;
        }
        sum_up(sums, time, 4 * level + STORE_ALL, 0, n);
        sum_up(sums, time, 4 * level + STORE_KEY, p->key, n);
        sum_up(sums, time, 4 * level + STORE_MODEL, p->model, n);
        sum_up(sums, time, 4 * level + STORE_CLIENT, p->client, n);
    }
    sum_up(sums, minute / 60, KIND_SERIES, p->series, n);
    if (minute > s->newest) s->newest = minute;
}

static enum store_result write_sum(struct sqlite *s, const struct sum_key *key,
                                   const struct store_counts *n) {
    sqlite3_stmt *st = s->write[key->kind == KIND_SERIES    ? WRITE_HOUR
                                : key->kind < 4 * LEVEL_TEN ? WRITE_MINUTE
                                                            : WRITE_SUM];
    int i = 1;

    if (key->kind != KIND_SERIES) sqlite3_bind_int64(st, i++, key->kind);
    sqlite3_bind_int64(st, i++, key->time);
    sqlite3_bind_int64(st, i++, key->ref);
    bind_counts(st, i, n);
    return sqlite_run(s, st);
}

/* The batch's sums go to the tables once, however many rows it has. */
static enum store_result write_sums(struct sqlite *s) {
    struct map *sums = map_new(sizeof(struct store_counts));
    enum store_result r = STORE_OK;
    size_t len;

    for (struct store_counts *n = NULL; (n = map_next(s->cells, n));) {
        const struct cell_key *key = map_key(n, &len);

        sum_levels(s, sums, key->minute, key->profile, n);
    }

    for (struct store_counts *n = NULL;
         r == STORE_OK && (n = map_next(sums, n));) {
        const struct sum_key *key = map_key(n, &len);

        if (key->kind != KIND_BEGAN) r = write_sum(s, key, n);
        if (r == STORE_OK &&
            (key->kind == STORE_ALL || key->kind == KIND_BEGAN))
            r = write_began(s, key->time);
    }
    map_free(sums);
    return r;
}

static enum store_result write_combos(struct sqlite *s) {
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
        r = sqlite_run(s, st);
    }
    return r;
}

static enum store_result write_segments(struct sqlite *s) {
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
        r = sqlite_run(s, st);
    }
    return r;
}

enum store_result sqlite_commit(struct sqlite *s) {
    enum store_result r = write_sums(s);
    int left;

    if (r == STORE_OK) r = sqlite_spread_write(s);
    if (r == STORE_OK) r = sqlite_used_write(s);
    if (r == STORE_OK) r = sqlite_turns_write(s);
    if (r == STORE_OK) r = sqlite_rollup(s, ROLL_PIECES, 0, &left);
    if (r == STORE_OK) r = write_combos(s);
    if (r == STORE_OK) r = sqlite_write_days(s);
    if (r == STORE_OK) r = write_segments(s);
    if (r == STORE_OK) r = sqlite_write_time(s, TIME_EVERY_MS);
    if (r == STORE_OK && s->batch_total.requests) {
        bind_counts(s->write[WRITE_TOTAL], 1, &s->batch_total);
        r = sqlite_run(s, s->write[WRITE_TOTAL]);
    }
    if (r == STORE_OK) r = sqlite_exec(s, "COMMIT");
    if (r != STORE_OK) return r;

    sqlite_rollup_end(s, 1);
    map_clear(s->cells);
    sqlite_spread_clear(s);
    sqlite_used_clear(s);
    map_clear(s->turns);
    s->names_kept = s->names;
    s->last_id = s->next_id - 1;
    s->body_bytes += s->batch_body_bytes;
    s->body_count += s->batch_body_count;
    store_add(&s->total, &s->batch_total);
    s->commits++;
    return STORE_OK;
}
