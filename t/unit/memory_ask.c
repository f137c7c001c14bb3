#include "memory_state.h"

#include "../../stats-daemon/base/map.h"
#include "../../stats-daemon/base/util.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>


/* what cannot be told apart is one sum: those of the last question */

struct sum {
    struct store_hour  hour;
};

static struct map   *sums;
static struct sum  **list;


void
memory_ask_free(void)
{
    if (sums) {
        map_free(sums);
        free(list);
    }

    sums = NULL;
}


static const struct place *
place_of(const struct state *st, uint32_t key)
{
    const struct place  *best = NULL;

    for (size_t i = 0; i < st->nplaces; i++) {
        const struct place  *p = &st->places[i];

        if (p->key == key
            && (best == NULL || (best->index < 0 && p->index >= 0)
                || (p->index >= 0 && p->round > best->round)))
        {
            best = p;
        }
    }

    return best;
}


static const char *
key_name(const struct state *st, uint32_t key)
{
    const struct place  *p = place_of(st, key);

    return key == 0 ? NULL : p ? p->name : "";
}


static int
key_index(const struct state *st, uint32_t key)
{
    const struct place  *p = place_of(st, key);

    return p ? p->index : -1;
}


static int
later_first(const void *a, const void *b)
{
    int64_t  x = (*(struct sum *const *) a)->hour.time;
    int64_t  y = (*(struct sum *const *) b)->hour.time;

    return x < y ? 1 : x > y ? -1 : 0;
}


/* by: which of client, key and model tell sums apart; newest first */

static void
sums_of(struct memory *m, int by_client, int by_key, int by_model,
    int64_t step, int64_t from, int64_t to, int64_t before, size_t *n)
{
    memory_ask_free();
    sums = map_new(sizeof(struct sum));

    for (size_t i = 0; i < m->kept.nrequests; i++) {
        struct request    *r = &m->kept.requests[i];
        struct store_row  *row = &r->row;
        int64_t            at = row->time / 60000 * 60000;
        int64_t            time = step ? row->time / step * step : 0;
        int                fresh;

        if (step == 3600000) {
            at = time;
        }

        if (at < from || at >= to || at < before) {
            continue;
        }

        char  *key = xasprintf("%lld|%s|%s|%08x|%s", (long long) time,
                               by_client ? row->client : "",
                               by_client ? row->client_name : "",
                               by_key ? row->key : 0,
                               by_model ? row->model : "");
        struct sum  *sum = map_put(sums, key, strlen(key), &fresh);

        free(key);
        sum->hour.time = time;
        sum->hour.client = row->client;
        sum->hour.client_name = row->client_name;
        sum->hour.key = row->key;
        sum->hour.key_name = key_name(&m->kept, row->key);
        sum->hour.key_index = key_index(&m->kept, row->key);
        sum->hour.model = row->model;
        store_add(&sum->hour.n, &r->n);
    }

    list = xcalloc(map_count(sums) + 1, sizeof(*list));

    *n = 0;
    for (struct sum *s = NULL; (s = map_next(sums, s)); ) {
        list[(*n)++] = s;
    }

    qsort(list, *n, sizeof(*list), later_first);
}


static int64_t
up(int64_t t, int64_t step)
{
    return t / step * step + (t % step ? step : 0);
}


static enum store_result
ask_hours(struct memory *m, const struct store_question *q)
{
    size_t  n;

    sums_of(m, 1, 1, 1, 3600000, q->of.hours.from / 3600000 * 3600000,
            up(q->of.hours.to, 3600000),
            m->hours_before / 3600000 * 3600000, &n);

    for (size_t i = 0; i < n && (int) i < q->of.hours.limit; i++) {
        q->of.hours.cb(q->arg, &list[i]->hour);
    }

    return STORE_OK;
}


static int64_t
ref_of(const struct store_hour *h, enum store_kind kind)
{
    char     *name = xasprintf("%s|%s|%08x|%s",
                               kind == STORE_CLIENT ? h->client : "",
                               kind == STORE_CLIENT ? h->client_name : "",
                               kind == STORE_KEY ? h->key : 0,
                               kind == STORE_MODEL ? h->model : "");
    int64_t   ref = (int64_t) (hash_bytes(name, strlen(name)) >> 1);

    free(name);
    return ref;
}


static int
is_asked(const struct store_question *q, int64_t ref)
{
    for (int i = 0; i < q->of.minutes.nrefs; i++) {
        if (q->of.minutes.refs[i] == ref) {
            return 1;
        }
    }

    return 0;
}


static enum store_result
ask_minutes(struct memory *m, const struct store_question *q)
{
    size_t           n;
    enum store_kind  kind = q->of.minutes.kind;

    sums_of(m, kind == STORE_CLIENT, kind == STORE_KEY, kind == STORE_MODEL,
            q->of.minutes.step * INT64_C(60000),
            q->of.minutes.from / 60000 * 60000, up(q->of.minutes.to, 60000),
            m->minutes_before / 60000 * 60000, &n);

    while (n--) {
        struct store_hour    *h = &list[n]->hour;
        struct store_minute   row = { .time = h->time, .key_index = -1,
                                      .n = h->n };

        row.ref = ref_of(h, kind);
        if (q->of.minutes.nrefs && !is_asked(q, row.ref)) {
            continue;
        }

        if (kind == STORE_KEY) {
            row.name = h->key_name;
            row.key = h->key;
            row.key_index = h->key_index;

        } else if (kind == STORE_MODEL) {
            row.name = h->model;

        } else if (kind == STORE_CLIENT) {
            row.name = h->client;
            row.more = h->client_name;
        }

        q->of.minutes.cb(q->arg, &row);
    }

    return STORE_OK;
}


static void
give(struct memory *m, const struct request *r, store_row_cb *cb, void *arg)
{
    struct store_row  row = r->row;

    row.key_name = key_name(&m->kept, row.key);
    row.key_index = key_index(&m->kept, row.key);
    row.body_size = row.body_time = -1;

    for (size_t i = 0; i < m->kept.nbodies; i++) {
        struct body  *b = &m->kept.bodies[i];

        if (b->instance == row.instance && b->id == row.rid) {
            row.body_size = b->size;
            row.body_time = b->time;
            row.body_truncated = b->truncated;
            row.body = b->ref;
        }
    }

    cb(arg, &row);
}


static int
matches(struct memory *m, const struct store_query *q, const struct request *r)
{
    char                     print[16];
    const struct store_row  *row = &r->row;
    int                      max = q->status_max ? q->status_max : 999;
    int                      kinds = q->kinds ? q->kinds : STORE_KINDS_ANY;

    snprintf(print, sizeof(print), "%08x", row->key);

    return (q->client == NULL || strcmp(q->client, row->client) == 0
            || strcmp(q->client, row->client_name) == 0)
           && (q->model == NULL || strcmp(q->model, row->model) == 0)
           && (q->key == NULL
               || (row->key
                   && (strcmp(q->key, key_name(&m->kept, row->key)) == 0
                       || strcmp(q->key, print) == 0)))
           && ((row->status >= q->status_min && row->status <= max
                && kinds >> r->kind & 1)
               || q->also >> r->kind & 1)
           && (q->before.id == 0 || row->id < q->before.id)
           && row->id > q->after.id
           && (q->upto.id == 0 || row->id <= q->upto.id)
           && (q->until == 0
               || row->time + (row->total < 0 ? 0 : row->total) <= q->until);
}


static enum store_result
ask_rows(struct memory *m, const struct store_question *q)
{
    const struct store_query  *query = q->of.rows.query;
    int                        n = 0;

    for (size_t i = m->kept.nrequests; i-- && n < query->offset + query->limit; ) {
        struct request  *r = &m->kept.requests[i];

        if (!r->gone && matches(m, query, r) && n++ >= query->offset) {
            give(m, r, q->of.rows.cb, q->arg);
        }
    }

    return STORE_OK;
}


static enum store_result
ask_row(struct memory *m, const struct store_question *q)
{
    int64_t  id = q->of.row.id;

    if (id < 1 || id > (int64_t) m->kept.nrequests
        || m->kept.requests[id - 1].gone)
    {
        return STORE_NONE;
    }

    give(m, &m->kept.requests[id - 1], q->of.row.cb, q->arg);
    return STORE_OK;
}


static enum store_result
ask_keys(struct memory *m, const struct store_question *q)
{
    for (size_t i = 0; i < m->kept.nplaces; i++) {
        const struct place  *p = &m->kept.places[i];

        if (place_of(&m->kept, p->key) == p) {
            q->of.keys.cb(q->arg, &(struct store_key_name) {
                              p->key, p->index, p->name, p->account });
        }
    }

    return STORE_OK;
}


static enum store_result
ask_usage(struct memory *m, const struct store_question *q)
{
    size_t  n;

    sums_of(m, 0, 1, 0, 60000, q->of.usage.since * INT64_C(60000), INT64_MAX,
            m->minutes_before / 60000 * 60000, &n);

    while (n--) {
        struct store_hour  *h = &list[n]->hour;

        if (h->key) {
            q->of.usage.cb(q->arg, h->key, &(ollama_record_minute_t) {
                .minute = (uint32_t) (h->time / 60000),
                .tokens = (uint64_t) (h->n.prompt + h->n.completion),
                .cost = (uint64_t) h->n.cost,
                .unpriced = (uint64_t) store_unpriced(&h->n)
            });
        }
    }

    return STORE_OK;
}


static int
by_model(const void *a, const void *b)
{
    const struct store_turns  *x = a, *y = b;
    int                        rc = strcmp(x->model, y->model);

    return rc ? rc : x->affinity - y->affinity;
}


static enum store_result
ask_turns(struct memory *m, const struct store_question *q)
{
    size_t               n = 0;
    int64_t              from = q->of.turns.from / 3600000 * 3600000;
    int64_t              to = up(q->of.turns.to, 3600000);
    struct store_turns  *all = xcalloc(m->kept.nrequests + 1, sizeof(*all));

    for (size_t i = 0; i < m->kept.nrequests; i++) {
        const struct request  *r = &m->kept.requests[i];
        int64_t                hour = r->row.time / 3600000 * 3600000;
        struct store_turns    *sum = NULL;

        if (r->turn.turns == 0 || hour < from || hour >= to
            || hour < m->turns_before / 3600000 * 3600000)
        {
            continue;
        }

        for (size_t k = 0; k < n; k++) {
            if (strcmp(all[k].model, r->row.model) == 0
                && all[k].affinity == r->turn.affinity)
            {
                sum = &all[k];
            }
        }

        if (sum == NULL) {
            sum = &all[n++];
            sum->model = r->row.model;
            sum->affinity = r->turn.affinity;
        }

        sum->turns += r->turn.turns;
        sum->prompt += r->turn.prompt;
        sum->cached += r->turn.cached;
        sum->shares += r->turn.shares;
        sum->squares += r->turn.squares;
        sum->could += r->turn.could;
        sum->saved += r->turn.saved;
    }

    qsort(all, n, sizeof(*all), by_model);

    for (size_t k = 0; k < n; k++) {
        q->of.turns.cb(q->arg, &all[k]);
    }

    free(all);
    return STORE_OK;
}


enum store_result
memory_ask(struct store_reader *rd, const struct store_question *q)
{
    struct memory  *m = of(rd->store);

    if (m->stopped[rd - m->readers]) {
        snprintf(rd->error, sizeof(rd->error), "interrupted");
        return STORE_BUSY;
    }

    switch (q->kind) {

    case STORE_ASK_HOURS:
        return ask_hours(m, q);

    case STORE_ASK_MINUTES:
        return ask_minutes(m, q);

    case STORE_ASK_ROWS:
        return ask_rows(m, q);

    case STORE_ASK_ROW:
        return ask_row(m, q);

    case STORE_ASK_KEYS:
        return ask_keys(m, q);

    case STORE_ASK_USAGE:
        return ask_usage(m, q);

    case STORE_ASK_PENALTIES:
        for (size_t i = 0; i < m->kept.npenalties; i++) {
            if ((int64_t) m->kept.penalties[i].is.until > q->of.penalties.now) {
                q->of.penalties.cb(q->arg, &m->kept.penalties[i].is);
            }
        }
        break;

    case STORE_ASK_EVENTS:
        for (size_t i = m->kept.nevents, n = 0;
             i-- && (int) n < q->of.events.limit; n++)
        {
            q->of.events.cb(q->arg, &(struct store_event) {
                                m->kept.events[i].is, -1, -1, -1 });
        }
        break;

    case STORE_ASK_TURNS:
        return ask_turns(m, q);

    case STORE_ASK_SPREADS:
    case STORE_ASK_NOTHING:
        break;
    }

    return STORE_OK;
}
