#include "ledger.h"

#include <stdlib.h>

static struct tally total;
static struct table keys;      /* of struct ledger_key */
static struct table endpoints; /* of struct tally */
static int64_t running;
static unsigned epoch;

static void *get(struct table *t, struct slice name, size_t size) {
    void **place;

    if (name.len == 0) name = (struct slice){"(none)", 6};
    place = table_put(t, name.p, name.len);
    if (*place == NULL) *place = must(calloc(1, size));
    return *place;
}

void ledger_request(struct entry *e, struct slice key, struct slice model,
                    struct slice endpoint) {
    e->key = get(&keys, key, sizeof(struct ledger_key));
    e->model = get(&e->key->models, model, sizeof(struct tally));
    e->endpoint = get(&endpoints, endpoint, sizeof(struct tally));
    e->epoch = epoch;

    total.requests++;
    e->key->tally.requests++;
    e->model->requests++;
    e->endpoint->requests++;
}

static void add(struct tally *to, const struct tokens *t) {
    to->ok++;
    to->tokens.prompt += t->prompt;
    to->tokens.completion += t->completion;
    to->tokens.cached += t->cached;
    to->tokens.reported_prompt += t->reported_prompt;
    to->tokens.reported_completion += t->reported_completion;
    to->tokens.reported_cached += t->reported_cached;
    to->tokens.nano_usd += t->nano_usd;
    to->tokens.unpriced += t->unpriced;
}

bool ledger_ok(const struct entry *e, const struct tokens *t) {
    if (e->epoch != epoch) return false;

    add(&total, t);
    add(&e->key->tally, t);
    add(e->model, t);
    add(e->endpoint, t);
    return true;
}

void ledger_run(struct ledger_key *key) {
    running++;
    if (++key->running > key->peak) key->peak = key->running;
}

void ledger_rest(struct ledger_key *key) {
    running--;
    key->running--;
}

const struct ledger_key *ledger_find(const char *key, size_t len) {
    return table_get(&keys, key, len);
}

void ledger_reset(void) {
    struct ledger_key *key;
    size_t i, j;

    epoch++;
    memset(&total, 0, sizeof(total));

    for (i = 0; i < endpoints.n; i++)
        memset(endpoints.entries[i].value, 0, sizeof(struct tally));

    for (i = 0; i < keys.n; i++) {
        key = keys.entries[i].value;
        memset(&key->tally, 0, sizeof(key->tally));
        key->peak = key->running;
        for (j = 0; j < key->models.n; j++)
            memset(key->models.entries[j].value, 0, sizeof(struct tally));
    }
}

static void write_tally(struct buf *b, const struct tally *t) {
    const struct tokens *k = &t->tokens;

    buf_printf(
        b,
        "\"requests\":%lld,\"ok\":%lld,\"prompt\":%lld,\"completion\":%lld,\"cached\":%lld,"
        "\"reported_prompt\":%lld,\"reported_completion\":%lld,\"reported_cached\":%lld,"
        "\"nano_usd\":%lld,\"unpriced\":%lld",
        (long long)t->requests, (long long)t->ok, (long long)k->prompt,
        (long long)k->completion, (long long)k->cached,
        (long long)k->reported_prompt, (long long)k->reported_completion,
        (long long)k->reported_cached, (long long)k->nano_usd,
        (long long)k->unpriced);
}

static void write_name(struct buf *b, const struct table_entry *e) {
    if (b->p[b->len - 1] != '{') buf_char(b, ',');
    buf_json(b, e->key, e->len);
    buf_char(b, ':');
}

static void write_tallies(struct buf *b, const struct table *t) {
    const struct tally *tally;
    size_t i;

    buf_char(b, '{');
    for (i = 0; i < t->n; i++) {
        tally = t->entries[i].value;
        if (tally->requests == 0) continue;
        write_name(b, &t->entries[i]);
        buf_char(b, '{');
        write_tally(b, tally);
        buf_char(b, '}');
    }
    buf_char(b, '}');
}

void ledger_write(struct buf *b) {
    const struct ledger_key *key;
    size_t i;

    buf_lit(b, "{\"total\":{");
    write_tally(b, &total);

    buf_lit(b, "},\"endpoints\":");
    write_tallies(b, &endpoints);

    buf_lit(b, ",\"keys\":{");
    for (i = 0; i < keys.n; i++) {
        key = keys.entries[i].value;
        if (key->tally.requests == 0) continue;
        write_name(b, &keys.entries[i]);
        buf_char(b, '{');
        write_tally(b, &key->tally);
        buf_lit(b, ",\"models\":");
        write_tallies(b, &key->models);
        buf_char(b, '}');
    }

    buf_lit(b, "},\"running\":");
    buf_int(b, running);

    buf_lit(b, ",\"peak_running\":{");
    for (i = 0; i < keys.n; i++) {
        key = keys.entries[i].value;
        if (key->peak == 0) continue;
        write_name(b, &keys.entries[i]);
        buf_int(b, key->peak);
    }
    buf_lit(b, "}}");
}

static void drop_key(void *value) {
    struct ledger_key *key = value;

    table_free(&key->models, free);
    free(key);
}

void ledger_free(void) {
    table_free(&keys, drop_key);
    table_free(&endpoints, free);
}
