/*
 * What every store promises (stats-daemon/store/store.h), asked of each: SQLite
 * in a folder of its own, and the one in memory that others are compared with.
 */

#include "memory_store.h"

#include "../../stats-daemon/base/util.h"
#include "../../stats-daemon/store/sqlite/type.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>


#define MINUTE  INT64_C(60000)
#define HOUR    (60 * MINUTE)
#define DAY     (24 * HOUR)


/* the one that is asked, and, where two are compared, the one in memory */

static struct store  *s, *other;
static char           dir[64];
static int64_t        now;


static struct store *
store_of(const struct store_type *type)
{
    char           err[512], path[128];
    struct store  *store;

    snprintf(path, sizeof(path), "%s/ledger.db", dir);
    store = type->open(path, err, sizeof(err));

    if (store == NULL) {
        fail_msg("%s", err);
    }

    return store;
}


static int
setup(void **state)
{
    strcpy(dir, "/tmp/stores.XXXXXX");
    if (mkdtemp(dir) == NULL) {
        return -1;
    }

    now = now_ms() / DAY * DAY - DAY / 2;
    s = store_of(*state);
    other = store_of(&store_memory);

    return 0;
}


static int
teardown(void **state)
{
    char  command[128];

    (void) state;

    store_close(s);
    store_close(other);
    snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    return system(command);
}


/* ---- batches ---- */

typedef struct {
    struct ledger_entry       entries[256];
    ollama_record_request_t   requests[256];
    ollama_record_body_t      bodies[256];
    ollama_record_penalty_t   penalties[16];
    ollama_record_key_t       keys[16];
    ollama_text_t             names[16];
    struct body_ref           refs[256];
    int                       n, at, again;
    int                       nrequests, nbodies, npenalties, nkeys, nnames;
} batch_t;

static batch_t  b;


static ollama_text_t
text(const char *words)
{
    return (ollama_text_t) { (const unsigned char *) words, strlen(words) };
}


static int
next(void *arg, struct ledger_entry *e)
{
    (void) arg;

    if (b.at == b.n) {
        return 0;
    }

    *e = b.entries[b.at++];
    return 1;
}


static int
none_more(void *arg, struct ledger_entry *e)
{
    (void) arg;
    (void) e;

    return 0;
}


static void
done(void *arg, const struct ledger_entry *e, int again)
{
    (void) arg;
    (void) e;

    b.again += again;
}


static enum store_result
write_to(struct store *store)
{
    struct ledger_batch  batch = { now, now, next, done, NULL };

    b.at = b.again = 0;
    return store_write(store, &batch);
}


static void
begin(void)
{
    memset(&b, 0, sizeof(b));
}


static struct ledger_entry *
entry(enum ledger_entry_kind kind, uint64_t instance, uint64_t seq)
{
    struct ledger_entry  *e = &b.entries[b.n++];

    e->kind = kind;
    e->instance = instance;
    e->seq = seq;
    return e;
}


static ollama_record_request_t *
request(uint64_t instance, uint64_t seq, uint64_t id)
{
    ollama_record_request_t  *q = &b.requests[b.nrequests++];

    q->id = id;
    q->time = (uint64_t) now;
    q->key = 0xaa000001;
    q->status = 200;
    q->prompt = 10;
    q->completion = 5;
    q->certainty = q->prompt_certainty = q->completion_certainty
                 = OLLAMA_RECORD_EXACT;
    q->queue = q->connect = q->first_token = OLLAMA_RECORD_NO_TIME;
    q->total = 100;
    q->client = text("10.0.0.1");
    q->model = q->model_answered = text("gpt-oss:20b");
    q->method = text("POST");
    q->endpoint = text("/api/chat");
    entry(LEDGER_REQUEST, instance, seq)->of.request = q;
    return q;
}


static ollama_record_penalty_t *
penalty(uint64_t instance, uint32_t key, int64_t until)
{
    ollama_record_penalty_t  *p = &b.penalties[b.npenalties++];

    p->key = key;
    p->time = (uint64_t) now;
    p->until = (uint64_t) until;
    p->http = 429;
    p->status = text("paused");
    entry(LEDGER_PENALTY, instance, 0)->of.penalty = p;
    return p;
}


static void
proxy(uint64_t instance, const char *name)
{
    b.names[b.nnames] = text(name);
    entry(LEDGER_PROXY, instance, 0)->of.proxy = &b.names[b.nnames++];
}


static void
key(uint64_t instance, uint32_t number, uint32_t index, const char *name)
{
    ollama_record_key_t  *k = &b.keys[b.nkeys++];

    k->key = number;
    k->index = index;
    k->name = text(name);
    entry(LEDGER_KEY, instance, 0)->of.key = k;
}


static void
body(uint64_t instance, uint64_t seq, uint64_t id, int64_t segment,
    int64_t offset)
{
    ollama_record_body_t  *is = &b.bodies[b.nbodies];
    struct body_ref       *ref = &b.refs[b.nbodies++];
    struct ledger_entry   *e = entry(LEDGER_BODY, instance, seq);

    is->id = id;
    is->time = (uint64_t) now;
    is->size = 1000;
    *ref = (struct body_ref) { segment, offset, 100 };
    e->of.body.is = is;
    e->of.body.ref = ref;
}


/* ---- what is in it, as one text ---- */

static char   *dump_text;
static size_t  dump_len, dump_room;
static char   *dump_lines[65536];
static int     dump_n;

#define line(...)  (assert_true(dump_n < 65536),                              \
                    dump_lines[dump_n++] = xasprintf(__VA_ARGS__))
#define or(s)      ((s) ? (s) : "")
#define COUNTS     "%lld %lld %lld %lld %lld %lld %lld %lld"
#define counts(c)  (long long) (c).requests, (long long) (c).errors,          \
                   (long long) (c).prompt, (long long) (c).completion,        \
                   (long long) (c).cached, (long long) (c).estimated,         \
                   (long long) (c).cost, (long long) (c).priced


static int
compare(const void *a, const void *b)
{
    return strcmp(*(char *const *) a, *(char *const *) b);
}


/* the order of those that are of one time is nobody's business */

static void
flush(const char *head, int sorted)
{
    if (sorted) {
        qsort(dump_lines, (size_t) dump_n, sizeof(char *), compare);
    }

    for (int i = -1; i < dump_n; i++) {
        const char  *l = i < 0 ? head : dump_lines[i];
        size_t       len = strlen(l);

        if (dump_text == NULL || dump_room < dump_len + len + 2) {
            dump_room = 2 * (dump_len + len + 2);
            dump_text = xrealloc(dump_text, dump_room);
        }

        memcpy(dump_text + dump_len, l, len);
        dump_len += len;
        dump_text[dump_len++] = '\n';
        dump_text[dump_len] = '\0';

        if (i >= 0) {
            free(dump_lines[i]);
        }
    }

    dump_n = 0;
}


static void
drop_lines(void)
{
    while (dump_n) {
        free(dump_lines[--dump_n]);
    }
}


static void
on_hour(void *arg, const struct store_hour *h)
{
    (void) arg;
    line("%lld %s (%s) %08x %s %d %s " COUNTS, (long long) h->time, h->client,
         h->client_name, h->key, or(h->key_name), h->key_index, h->model,
         counts(h->n));
}


static void
on_minute(void *arg, const struct store_minute *m)
{
    (void) arg;
    line("%lld %s (%s) %08x %d " COUNTS, (long long) m->time, or(m->name),
         or(m->more), m->key, m->key_index, counts(m->n));
}


static void
on_row(void *arg, const struct store_row *r)
{
    (void) arg;
    line("%lld %lld %llx %llu %s (%s) %s %s>%s %s %s [%s] %s %s %s %08x %d"
         " %d %d %d %d %d %d %d, %lld %lld %lld %lld %lld, %lld %lld %lld %lld,"
         " %lld %lld %d %lld %lld %lld, %lld %d",
         (long long) r->id, (long long) r->time,
         (unsigned long long) r->instance, (unsigned long long) r->rid,
         r->client, or(r->client_name), or(r->key_name), r->model,
         or(r->model_answered), r->method, r->endpoint, r->attempts,
         or(r->upstream_id), or(r->user_agent), or(r->reason), r->key,
         r->key_index, r->status, r->certainty, r->end, r->streamed,
         r->prompt_certainty, r->completion_certainty, r->attempts_all,
         (long long) r->prompt, (long long) r->completion,
         (long long) r->cached, (long long) r->bytes_in,
         (long long) r->bytes_out, (long long) r->queue,
         (long long) r->connect, (long long) r->first_token,
         (long long) r->total, (long long) r->body_size,
         (long long) r->body_time, r->body_truncated,
         (long long) r->body.segment, (long long) r->body.offset,
         (long long) r->body.len, (long long) r->cost, r->affinity);
}


static void
on_key(void *arg, const struct store_key_name *k)
{
    (void) arg;

    if (k->index >= 0) {
        line("%08x %d %s (%s)", k->key, k->index, or(k->name), or(k->account));
    }
}


static void
on_usage(void *arg, uint32_t number, const ollama_record_minute_t *m)
{
    (void) arg;
    line("%08x %u %llu %llu %llu", number, m->minute,
         (unsigned long long) m->tokens, (unsigned long long) m->cost,
         (unsigned long long) m->unpriced);
}


static void
on_turns(void *arg, const struct store_turns *t)
{
    (void) arg;
    line("%s %d %lld %lld %lld %lld %lld %lld %lld", t->model, t->affinity,
         (long long) t->turns, (long long) t->prompt, (long long) t->cached,
         (long long) t->shares, (long long) t->squares, (long long) t->could,
         (long long) t->saved);
}


static void
on_penalty(void *arg, const ollama_record_penalty_t *p)
{
    (void) arg;
    line("%08x %.*s %llu %llu %d %.*s", p->key, (int) p->model.len,
         (const char *) p->model.data, (unsigned long long) p->time,
         (unsigned long long) p->until, p->http, (int) p->status.len,
         (const char *) p->status.data);
}


static void
on_event(void *arg, const struct store_event *e)
{
    on_penalty(arg, &e->penalty);
}


static void
on_pair(void *arg, uint64_t a, uint64_t z)
{
    (void) arg;
    line("%llx %llu", (unsigned long long) a, (unsigned long long) z);
}


static void
on_segment(void *arg, int64_t a, int64_t z)
{
    (void) arg;
    line("%lld %lld", (long long) a, (long long) z);
}


static void
dump_rows(struct store *store, const struct store_query *q, const char *head)
{
    assert_int_equal(store_rows(store_reader(store, 1), q, on_row, NULL),
                     STORE_OK);
    flush(head, 0);
}


/* sums of some names only, by the numbers that they were told with */

static int64_t  named[64];
static int      nnamed;


static void
on_named(void *arg, const struct store_minute *m)
{
    if (nnamed < 64 && strcmp(arg, or(m->name)) == 0) {
        named[nnamed++] = m->ref;
    }
}


static void
dump_named(struct store_reader *rd, int64_t from)
{
    static char  first[] = "gpt-oss:20b", second[] = "10.0.0.2";

    nnamed = 0;
    assert_int_equal(store_minutes(rd, STORE_MODEL, from, now + DAY, 0,
                                   on_named, first), STORE_OK);
    if (nnamed) {
        assert_int_equal(store_minutes_of(rd, STORE_MODEL, from, now + DAY, 20,
                                          named, nnamed, on_minute, NULL),
                         STORE_OK);
    }
    flush("of a model", 1);

    nnamed = 0;
    assert_int_equal(store_minutes(rd, STORE_CLIENT, from, now + DAY, 0,
                                   on_named, second), STORE_OK);
    if (nnamed) {
        assert_int_equal(store_minutes_of(rd, STORE_CLIENT, from, now + DAY, 1,
                                          named, nnamed, on_minute, NULL),
                         STORE_OK);
    }
    flush("of a client", 1);
}


/* everything that can be asked; the caller's to free */

static char *
dump(struct store *store, int64_t from)
{
    struct store_reader  *rd = store_reader(store, 0);
    struct store_status   status;
    int                   steps[] = { 1, 7, 60, 1440, 0 };

    dump_text = NULL;
    dump_len = 0;

    assert_int_equal(store_hours(rd, from, now + DAY, 100000, on_hour, NULL),
                     STORE_OK);
    flush("hours", 1);

    for (int kind = STORE_ALL; kind <= STORE_CLIENT; kind++) {
        for (int i = 0; i < 5; i++) {
            assert_int_equal(store_minutes(rd, (enum store_kind) kind, from,
                                           now + DAY, steps[i], on_minute,
                                           NULL), STORE_OK);
            flush("minutes", 1);
        }
    }

    dump_named(rd, from);
    dump_rows(store, &(struct store_query) { .limit = 10000 }, "rows");

    assert_int_equal(store_key_names(rd, on_key, NULL), STORE_OK);
    flush("keys", 1);
    assert_int_equal(store_usage(rd, (uint32_t) (from / MINUTE), on_usage,
                                 NULL), STORE_OK);
    flush("usage", 1);
    assert_int_equal(store_turns(rd, from, now + DAY, on_turns, NULL),
                     STORE_OK);
    flush("turns", 0);
    assert_int_equal(store_penalties(rd, now, on_penalty, NULL), STORE_OK);
    flush("penalties", 1);
    assert_int_equal(store_events(rd, 1000, on_event, NULL), STORE_OK);
    flush("events", 0);
    assert_int_equal(store_instances(store, on_pair, NULL), STORE_OK);
    flush("instances", 1);
    assert_int_equal(store_segments(store, on_segment, NULL), STORE_OK);
    flush("segments", 1);

    store_status(store, &status);
    line(COUNTS ", %lld of %lld", counts(status.total),
         (long long) status.bodies, (long long) status.body_bytes);
    flush("status", 0);

    return dump_text;
}


static void
assert_texts(char *a, char *z)
{
    if (strcmp(a, z) != 0) {
        char  *x = a, *y = z;

        while (*x && *x == *y) {
            x++, y++;
        }
        while (x > a && x[-1] != '\n') {
            x--, y--;
        }

        fail_msg("the first difference:\n  %.*s\n  %.*s",
                 (int) strcspn(x, "\n"), x, (int) strcspn(y, "\n"), y);
    }

    free(a);
    free(z);
}


/* both say the same */

static void
assert_same(int64_t from)
{
    char  *a = dump(s, from);

    assert_texts(a, dump(other, from));
}


static void
write_both(void)
{
    assert_int_equal(write_to(s), STORE_OK);
    int  again = b.again;
    assert_int_equal(write_to(other), STORE_OK);
    assert_int_equal(again, b.again);
}


static struct store_counts
totals(struct store *store)
{
    struct store_status  status;

    store_status(store, &status);
    return status.total;
}


/* ---- the promises ---- */

static void
test_all_or_nothing(void **state)
{
    struct rlimit  old, none = { 4096, 4096 };

    begin();
    request(1, 1, 1);
    assert_int_equal(write_to(s), STORE_OK);
    uint64_t  commits = store_commits(s);
    char     *before = dump(s, now - DAY);

    begin();
    for (uint64_t i = 2; i < 200; i++) {
        request(1, i, i)->model = text("another");
    }
    penalty(1, 0xaa000001, now + HOUR);
    body(1, 300, 2, 1000, 0);

    if (*state == &store_memory) {
        memory_store_fail(s, STORE_IO);
        assert_int_equal(write_to(s), STORE_IO);

    } else {
        signal(SIGXFSZ, SIG_IGN);
        getrlimit(RLIMIT_FSIZE, &old);
        none.rlim_max = old.rlim_max;
        setrlimit(RLIMIT_FSIZE, &none);
        enum store_result  r = write_to(s);
        setrlimit(RLIMIT_FSIZE, &old);
        assert_true(r == STORE_FULL || r == STORE_IO);
    }

    assert_true(s->error[0] != '\0');
    assert_int_equal(store_commits(s), commits);
    assert_int_equal(store_horizon(s).id, 1);
    assert_int_equal(store_rows(store_reader(s, 1),
                                &(struct store_query) { .limit = 10 }, on_row,
                                NULL), STORE_OK);
    assert_int_equal(dump_n, 1);
    drop_lines();

    /* it mends itself */

    enum store_result    r = STORE_IO;
    struct ledger_batch  nothing = { now, now, none_more, NULL, NULL };

    for (int i = 0; i < 3 && r != STORE_OK; i++) {
        r = store_write(s, &nothing);
    }
    assert_int_equal(r, STORE_OK);
    assert_texts(before, dump(s, now - DAY));

    /* the same batch again: all of it, once */

    while ((r = write_to(s)) == STORE_RETRY) { }
    assert_int_equal(r, STORE_OK);
    assert_int_equal(b.again, 0);
    assert_int_equal(totals(s).requests, 199);
    assert_int_equal(store_horizon(s).id, 199);
    assert_true(store_commits(s) > commits);
}


static void
test_doubling(void **state)
{
    (void) state;

    begin();
    request(1, 1, 11);
    request(1, 2, 12);
    request(2, 1, 11);
    body(1, 3, 11, 1000, 0);
    assert_int_equal(write_to(s), STORE_OK);
    assert_int_equal(b.again, 0);
    char  *once = dump(s, now - DAY);

    /* the same batch, whose answer got lost */

    assert_int_equal(write_to(s), STORE_OK);
    assert_int_equal(b.again, 4);
    assert_texts(once, dump(s, now - DAY));

    /* a number that was, with something else behind it; a request that was,
     * under another number; a body's number may be less than those before it */

    begin();
    request(1, 2, 99);
    request(1, 4, 12);
    request(1, 6, 13);
    body(1, 5, 13, 1000, 100);
    assert_int_equal(write_to(s), STORE_OK);
    assert_int_equal(b.again, 2);
    assert_int_equal(totals(s).requests, 4);

    struct store_status  status;
    store_status(s, &status);
    assert_int_equal(status.bodies, 2);

    /* what is dealt with, by its number alone */

    begin();
    entry(LEDGER_NOTHING, 1, 7);
    assert_int_equal(write_to(s), STORE_OK);
    begin();
    request(1, 7, 14);
    assert_int_equal(write_to(s), STORE_OK);
    assert_int_equal(b.again, 1);
}


static void
test_penalties(void **state)
{
    (void) state;

    static const struct {
        uint64_t  instance;
        int64_t   until, stands;
    } told[] = {
        { 1, 10, 10 },
        { 2,  5, 10 },      /* another proxy: the later end */
        { 2, 20, 20 },
        { 1, 15, 20 },
        { 2,  8,  8 },      /* its own */
        { 1, 30, 30 },
        { 2,  0,  0 },      /* it works again */
        { 2,  7,  7 },
    };

    for (size_t i = 0; i < sizeof(told) / sizeof(*told); i++) {
        begin();
        penalty(told[i].instance, 0xaa000001,
                told[i].until ? now + told[i].until * MINUTE : 0);
        penalty(told[i].instance, 0xaa000001, now + 50 * MINUTE)->model
            = text("another");
        write_both();

        assert_int_equal(store_penalties(store_reader(s, 0), now, on_penalty,
                                         NULL), STORE_OK);
        char  *want = told[i].stands
            ? xasprintf("aa000001  %lld %lld 429 paused", (long long) now,
                        (long long) (now + told[i].stands * MINUTE)) : NULL;
        int    found = 0;

        for (int k = 0; k < dump_n; k++) {
            found += want && strcmp(dump_lines[k], want) == 0;
        }
        assert_int_equal(found, want != NULL);
        assert_int_equal(dump_n, 1 + (want != NULL));
        drop_lines();
        free(want);
        assert_same(now - DAY);
    }

    assert_int_equal(store_penalties(store_reader(s, 0), now + 8 * MINUTE,
                                     on_penalty, NULL), STORE_OK);
    assert_int_equal(dump_n, 1);
    drop_lines();
}


static void
test_keys(void **state)
{
    (void) state;

    begin();
    proxy(1, "east");
    key(1, 0xaa000001, 0, "a");
    key(1, 0xaa000002, 1, "b");
    entry(LEDGER_KEYS, 1, 0);
    proxy(2, "west");
    key(2, 0xaa000003, 0, "c");
    key(2, 0xaa000002, 1, "b");
    entry(LEDGER_KEYS, 2, 0);
    request(1, 1, 1)->key = 0xaa000002;
    write_both();
    assert_same(now - DAY);

    /* one leaves the east, another is there for the first time; a reload of the
     * west takes its one away, and a new life of it is the same proxy */

    begin();
    proxy(1, "east");
    key(1, 0xaa000004, 0, "d");
    key(1, 0xaa000001, 1, "a, renamed");
    entry(LEDGER_KEYS, 1, 0);
    write_both();
    assert_same(now - DAY);

    begin();
    proxy(3, "west");
    key(3, 0xaa000003, 0, "c");
    entry(LEDGER_KEYS, 3, 0);
    write_both();
    assert_same(now - DAY);

    assert_int_equal(store_key_names(store_reader(s, 0), on_key, NULL),
                     STORE_OK);
    assert_int_equal(dump_n, 3);
    drop_lines();

    /* a name stays where something tells of it */

    dump_text = NULL;
    dump_len = 0;
    dump_rows(s, &(struct store_query) { .key = "b", .limit = 10 }, "");
    assert_non_null(strstr(dump_text, " b gpt-oss:20b>"));
    free(dump_text);
}


static void
test_cursors(void **state)
{
    struct ledger_cursor  seen = { 0, 0 };
    uint64_t              seq = 0;
    int                   told = 0;

    (void) state;

    for (int i = 1; i < 20; i++) {
        begin();
        for (int k = 0; k < i; k++) {
            seq++;
            request(1, seq, seq);
        }
        assert_int_equal(write_to(s), STORE_OK);

        struct ledger_cursor  horizon = store_horizon(s);
        assert_int_equal(store_changes(store_reader(s, 0), seen, 1000, on_row,
                                       NULL), STORE_OK);
        assert_int_equal(dump_n, i);
        told += dump_n;
        drop_lines();
        seen = horizon;
    }

    assert_int_equal(told, (int) seq);
    assert_int_equal(store_changes(store_reader(s, 0), seen, 1000, on_row,
                                   NULL), STORE_OK);
    assert_int_equal(dump_n, 0);
}


static void
test_interrupt(void **state)
{
    struct store_reader  *rd = store_reader(s, 0);

    (void) state;

    begin();
    for (uint64_t i = 1; i < 200; i++) {
        static char  clients[200][16];

        snprintf(clients[i], sizeof(clients[i]), "10.0.0.%d", (int) i);
        request(1, i, i)->client = text(clients[i]);
    }
    write_both();

    store_interrupt(rd, 1);
    struct store_query  q = { .status_min = 100, .status_max = 500,
                              .limit = 100 };
    enum store_result  r = STORE_OK;

    for (int i = 0; r == STORE_OK && i < 1000; i++) {
        r = store_rows(rd, &q, on_row, NULL);
        drop_lines();
    }
    assert_int_equal(r, STORE_BUSY);
    assert_true(rd->error[0] != '\0');

    /* the other one goes on */

    assert_int_equal(store_rows(store_reader(s, 1), &q, on_row, NULL),
                     STORE_OK);
    drop_lines();
    store_interrupt(rd, 0);
    assert_int_equal(store_rows(rd, &q, on_row, NULL), STORE_OK);
    drop_lines();
    assert_same(now - DAY);
}


static void
on_gone(void *arg, const struct store_gone *g)
{
    *(int64_t *) arg += g->segment;
}


/* whatever is written, asked and trimmed: both say the same */

static uint32_t
dice(uint32_t n)
{
    static uint32_t  seed = 1;

    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % n;
}


static const char *
one_of(const char *const *list, uint32_t n)
{
    return list[dice(n)];
}


/* many: 30 clients, and now and then what is rare, or was there only at first;
 * so that some of what is asked for is found among the newest, some far away */

static void
some_requests(uint64_t instance, uint64_t *seq, uint32_t many)
{
    static const char *const  models[] = { "gpt-oss:20b", "gpt-oss:120b", "",
                                           "deepseek-v3.1:671b", "\xe6\xa8\xa1" };
    static const char *const  clients[] = { "10.0.0.1", "10.0.0.2", "::1",
                                            "fd00::1" };
    static const char *const  names[] = { "", "alice", "bob", "10.0.0.1" };
    static const int          statuses[] = { 200, 200, 200, 404, 429, 500, 503 };
    static char               more[30][16];

    for (uint32_t i = dice(many); i; i--) {
        ollama_record_request_t  *q = request(instance, *seq + 1, *seq + 1);
        (*seq)++;

        q->time = (uint64_t) (now - (int64_t) dice(3 * DAY / 1000) * 1000);
        q->key = dice(5) ? 0xaa000000 + dice(4) : 0;
        q->status = (uint16_t) statuses[dice(7)];
        q->prompt = dice(1000);
        q->completion = dice(4) ? dice(1000) : 0;
        q->cached = dice(3) ? 0 : q->prompt / (1 + dice(4));
        q->priced = (uint8_t) (dice(3) != 0);
        q->cost = q->priced ? dice(1000000) * (uint64_t) 1001 : 0;
        q->affinity = (uint8_t) dice(4);
        q->cached_saves = q->priced ? dice(3000) : 0;
        q->prompt_certainty = (uint8_t) dice(4);
        q->completion_certainty = (uint8_t) dice(4);
        q->certainty = (uint8_t) dice(4);
        q->end = (uint8_t) dice(5);
        q->streamed = (uint8_t) dice(2);
        q->first_token = dice(2) ? dice(1000) : OLLAMA_RECORD_NO_TIME;
        q->total = dice(9) ? dice(5000) : OLLAMA_RECORD_NO_TIME;
        q->client = text(one_of(clients, 4));
        q->client_name = text(one_of(names, 4));
        q->model = text(one_of(models, 5));

        if (many > 60 && dice(3)) {
            uint32_t  n = dice(30);

            snprintf(more[n], sizeof(more[n]), "10.1.0.%u", n);
            q->client = text(more[n]);
        }
        if (many > 60 && (*seq < 600 || dice(700) == 0)) {
            q->model = text("retired");
        }
        if (many > 60 && dice(400) == 0) {
            q->status = 418;
        }

        q->model_answered = dice(2) ? q->model : text("other");
        q->reason = text(dice(3) ? "" : "quota");
        q->nattempts = (uint8_t) dice(4);

        for (int k = 0; k < q->nattempts; k++) {
            q->attempts[k] = (ollama_record_attempt_t) {
                0xaa000000 + dice(4), dice(9999), (uint16_t) statuses[dice(7)],
                (uint8_t) dice(7)
            };
        }
    }
}


static void
some_bodies(uint64_t instance, uint64_t *seq, int64_t *offset)
{
    int64_t  hour = (now - (int64_t) dice(2 * DAY / 1000) * 1000) / HOUR;

    for (uint32_t i = dice(10); i && *seq; i--) {
        uint64_t  id = 1 + dice((uint32_t) *seq);

        body(instance, 0, id, hour * SEGMENT_PER_HOUR + dice(2), *offset);
        *offset += 100;
    }
}


static void
ask_both(void)
{
    static const char *const  words[] = { NULL, NULL, NULL, "10.0.0.1",
                                          "alice", "::1", "10.1.0.7" };
    static const char *const  models[] = { NULL, NULL, "gpt-oss:20b",
                                           "retired", "nobody" };
    static const char *const  keys[] = { NULL, NULL, "a", "aa000002",
                                         "aa000009" };
    static const int          statuses[][2] = { { 400, 599 }, { 200, 299 },
                                                { 418, 418 }, { 300, 399 } };
    const int          *status = statuses[dice(4)];
    uint32_t            last = (uint32_t) store_horizon(s).id;
    struct store_query  q = {
        .client = one_of(words, 7),
        .model = one_of(models, 5),
        .key = one_of(keys, 5),
        .kinds = dice(3) ? 0 : (int) dice(256),
        .also = dice(5) ? 0 : (int) dice(256),
        .before.id = dice(3) ? 0 : dice(last + 100),
        .after.id = dice(3) ? 0 : dice(last / 2 + 1),
        .until = dice(3) ? 0 : now - (int64_t) dice(4 * DAY / 1000) * 1000,
        .limit = 1 + (int) dice(dice(9) ? 100 : 2000),
        .offset = dice(3) ? 0 : (int) dice(50),
    };
    char  *text_of[2];

    if (dice(2)) {
        q.status_min = status[0];
        q.status_max = status[1];
    }

    if (dice(9)) {
        q.upto = store_horizon(s);
    }

    for (int i = 0; i < 2; i++) {
        dump_text = NULL;
        dump_len = 0;
        dump_rows(i ? other : s, &q, "");
        text_of[i] = dump_text;
    }

    if (strcmp(text_of[0], text_of[1]) != 0) {
        printf("client %s model %s key %s status %d-%d kinds %x also %x"
               " before %lld after %lld until %lld limit %d offset %d\n",
               or(q.client), or(q.model), or(q.key), q.status_min,
               q.status_max, q.kinds, q.also, (long long) q.before.id,
               (long long) q.after.id, (long long) q.until, q.limit, q.offset);
    }
    assert_texts(text_of[0], text_of[1]);
}


/* pages of a filter, of a ledger with many rows */

static void
test_filters(void **state)
{
    uint64_t  seq[2] = { 0, 0 };

    (void) state;

    for (int round = 0; round < 60; round++) {
        begin();

        if (round % 20 == 0) {
            proxy(1, "east");
            for (uint32_t i = 0; i < 3; i++) {
                key(1, 0xaa000000 + dice(2) + i, i, (const char *[]) { "a", "b",
                    "c" }[i]);
            }
            entry(LEDGER_KEYS, 1, 0);
        }

        some_requests(1 + dice(2), &seq[0], 200);
        some_requests(3, &seq[1], 50);
        write_both();

        for (int i = 0; i < round; i++) {
            ask_both();
        }
    }

    assert_true(store_horizon(s).id > 5000);
}


static void
test_same(void **state)
{
    uint64_t  seq[2] = { 0, 0 };
    int64_t   offset = 0, gone[2] = { 0, 0 }, from = now - 4 * DAY;

    for (int round = 0; round < 40; round++) {
        int  left;

        begin();

        if (round % 5 == 0) {
            uint32_t  first = dice(3);

            proxy(1, "east");
            for (uint32_t i = 0; i < 3; i++) {
                key(1, 0xaa000000 + first + i, i, (const char *[]) { "a", "b",
                    "c" }[i]);
            }
            entry(LEDGER_KEYS, 1, 0);
        }

        some_requests(1 + dice(2), &seq[0], 60);
        some_requests(3, &seq[1], 60);
        some_bodies(3, &seq[1], &offset);
        if (dice(2)) {
            penalty(1 + dice(2), 0xaa000000 + dice(3),
                    dice(3) ? now + (int64_t) dice(100) * MINUTE : 0);
        }
        write_both();

        if (round % 4 == 3) {
            assert_same(from);
        }
        for (int i = 0; i < 20; i++) {
            ask_both();
        }

        if (round % 10 == 9) {
            struct store_limits  l = {
                .now = now, .wall = now,
                .rows_before = now - 2 * DAY,
                .minutes_before = now - 2 * DAY,
                .tens_before = now - 2 * DAY,
                .hours_before = now - 2 * DAY,
                .days_before = INT64_MIN,
                .cube_before = now - 2 * DAY,
                .bodies_before = now - DAY,
                .body_bytes = 5000,
            };

            do {
                assert_int_equal(store_trim(s, &l, 100000, &left, on_gone,
                                            &gone[0]), STORE_OK);
            } while (left);
            assert_int_equal(store_trim(other, &l, 100000, &left, on_gone,
                                        &gone[1]), STORE_OK);
            assert_int_equal(gone[0], gone[1]);
            from = now - 2 * DAY + HOUR;
            assert_same(from);
        }
    }

    assert_true(gone[0] > 0);
    store_tick(s, 0);

    /* and behind a new start */

    if (*state != &store_memory) {
        store_tick(s, STORE_ENDS);
        store_close(s);
        s = store_of(*state);
        assert_same(from);

        begin();
        request(3, seq[1], 1);
        request(3, seq[1] + 1, seq[1] + 1);
        write_both();
        assert_int_equal(b.again, 1);
        assert_same(from);
    }
}


#define promise(name, type)                                                   \
    { #name " (" #type ")", test_##name, setup, teardown,                     \
      (void *) (uintptr_t) &store_##type }

int
main(void)
{
    const struct CMUnitTest  tests[] = {
        promise(all_or_nothing, memory), promise(all_or_nothing, sqlite),
        promise(doubling, memory), promise(doubling, sqlite),
        promise(penalties, memory), promise(penalties, sqlite),
        promise(keys, memory), promise(keys, sqlite),
        promise(cursors, memory), promise(cursors, sqlite),
        promise(interrupt, memory), promise(interrupt, sqlite),
        promise(filters, memory), promise(filters, sqlite),
        promise(same, memory), promise(same, sqlite),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
