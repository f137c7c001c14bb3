#include "turns.h"

#include "../../base/util.h"
#include "../counted.h"

#include <stdlib.h>
#include <string.h>

#define HOUR 3600000

struct turn_key {
    int64_t hour, model, affinity;
};

void sqlite_turns_note(struct sqlite *s, const struct profile *p,
                       int64_t minute, const ollama_record_request_t *q) {
    struct store_turns one, *sum;
    struct turn_key key;
    int fresh;

    if (!counted_turn(q, &one)) return;
    memset(&key, 0, sizeof(key));
    key.hour = minute / 60;
    key.model = p->model;
    key.affinity = one.affinity;
    sum = map_put(s->turns, &key, sizeof(key), &fresh);
    sum->turns += one.turns;
    sum->prompt += one.prompt;
    sum->cached += one.cached;
    sum->shares += one.shares;
    sum->squares += one.squares;
    sum->could += one.could;
    sum->saved += one.saved;
}

enum store_result sqlite_turns_write(struct sqlite *s) {
    sqlite3_stmt *st = s->write[WRITE_TURN];
    enum store_result r = STORE_OK;
    size_t len;

    for (struct store_turns *t = NULL;
         r == STORE_OK && (t = map_next(s->turns, t));) {
        const struct turn_key *key = map_key(t, &len);

        sqlite3_bind_int64(st, 1, key->hour);
        sqlite3_bind_int64(st, 2, key->model);
        sqlite3_bind_int64(st, 3, key->affinity);
        sqlite3_bind_int64(st, 4, t->turns);
        sqlite3_bind_int64(st, 5, t->prompt);
        sqlite3_bind_int64(st, 6, t->cached);
        sqlite3_bind_int64(st, 7, t->shares);
        sqlite3_bind_int64(st, 8, t->squares);
        sqlite3_bind_int64(st, 9, t->could);
        sqlite3_bind_int64(st, 10, t->saved);
        r = sqlite_run(s, st);
    }
    return r;
}

static int by_model(const void *one, const void *two) {
    const struct store_turns *a = *(struct store_turns *const *)one;
    const struct store_turns *b = *(struct store_turns *const *)two;
    int rc = strcmp(a->model, b->model);

    return rc ? rc : a->affinity - b->affinity;
}

/* The sums of all hours, in their order. */
static void give(struct map *sums, store_turns_cb *cb, void *arg) {
    struct store_turns **list = xcalloc(map_count(sums) + 1, sizeof(*list));
    size_t n = 0, len;

    for (struct store_turns *t = NULL; (t = map_next(sums, t)); n++) {
        const char *key = map_key(t, &len);

        t->model = key + 1; /* behind the affinity, with its end */
        list[n] = t;
    }
    qsort(list, n, sizeof(*list), by_model);
    for (size_t i = 0; i < n; i++) cb(arg, list[i]);
    free(list);
}

static void add_row(struct map *sums, sqlite3_stmt *st) {
    const char *name = text(st, 0) ? text(st, 0) : "(other)";
    int64_t affinity = number(st, 1);
    int fresh;

    if (affinity < OLLAMA_AFFINITY_NEW || affinity > OLLAMA_AFFINITY_MOVED)
        return; /* nobody wrote it so */

    char *key = xasprintf("%c%s", (int)('0' + affinity), name);
    struct store_turns *sum = map_put(sums, key, strlen(key) + 1, &fresh);

    free(key);
    sum->affinity = (int)affinity;
    sum->turns += number(st, 2);
    sum->prompt += number(st, 3);
    sum->cached += number(st, 4);
    sum->shares += number(st, 5);
    sum->squares += number(st, 6);
    sum->could += number(st, 7);
    sum->saved += number(st, 8);
}

enum store_result sqlite_turns(struct sqlite_reader *rd, int64_t from,
                               int64_t to, store_turns_cb *cb, void *arg) {
    sqlite3_stmt *st = rd->st[READ_TURNS];
    struct map *sums = map_new(sizeof(struct store_turns));
    int code;

    sqlite3_bind_int64(st, 1, from / HOUR);
    sqlite3_bind_int64(st, 2, to / HOUR + (to % HOUR != 0));
    while ((code = sqlite3_step(st)) == SQLITE_ROW) add_row(sums, st);
    enum store_result r = sqlite_read_done(rd, st, code);
    if (r == STORE_OK) give(sums, cb, arg);
    map_free(sums);
    return r;
}
