#include "memory_state.h"

#include "../../stats-daemon/base/util.h"
#include "../../stats-daemon/store/counted.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>


/* texts are given back with the last store */

static char   **texts;
static size_t   ntexts;
static int      stores;


/* adds one to an array; it has room for the next power of two */

#define add(list, n)                                                          \
    (list = ((n) & ((n) - 1)) ? list                                          \
            : xrealloc(list, ((n) ? 2 * (n) : 1) * sizeof(*list)),            \
     memset(&list[n], 0, sizeof(*list)), &list[(n)++])


static int
is_same(const ollama_text_t *a, const ollama_text_t *b)
{
    return a->len == b->len
           && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}


#define text_of(...)  (*add(texts, ntexts) = xasprintf(__VA_ARGS__))


static const char *
copied(const ollama_text_t *t)
{
    return t->len ? text_of("%.*s", (int) t->len, (const char *) t->data) : "";
}


static ollama_text_t
kept_text(const ollama_text_t *t)
{
    const char  *s = copied(t);

    return (ollama_text_t) { (const unsigned char *) s, strlen(s) };
}


static struct store *
memory_open(const char *where, char *err, size_t errlen)
{
    struct memory  *m = xcalloc(1, sizeof(*m));

    (void) where;
    (void) err;
    (void) errlen;

    stores++;
    m->head.type = &store_memory;

    for (int i = 0; i < STORE_READERS; i++) {
        m->readers[i].store = &m->head;
    }

    return &m->head;
}


void
memory_store_fail(struct store *s, enum store_result r)
{
    of(s)->fail = r;
}


/* ---- writing ---- */

static struct proxy *
proxy_of(struct state *st, uint64_t instance)
{
    for (size_t i = 0; i < st->nproxies; i++) {
        if (st->proxies[i].instance == instance) {
            return &st->proxies[i];
        }
    }

    struct proxy  *p = add(st->proxies, st->nproxies);
    p->instance = instance;
    return p;
}


static int
put_request(struct memory *m, struct state *st, uint64_t instance,
    const ollama_record_request_t *q)
{
    char  attempts[COUNTED_ATTEMPTS];

    for (size_t i = 0; i < st->nrequests; i++) {
        if (st->requests[i].row.instance == instance
            && st->requests[i].row.rid == q->id)
        {
            return 1;
        }
    }

    struct request    *r = add(st->requests, st->nrequests);
    struct store_row  *row = &r->row;
    int                same = is_same(&q->model, &q->model_answered);

    r->n = counted(q);
    r->kind = counted_kind(q);

    if (!counted_turn(q, &r->turn)) {
        r->turn.turns = 0;
    }

    row->id = (int64_t) st->nrequests;
    row->time = counted_time(q->time, m->behind);
    row->instance = instance;
    row->rid = q->id;
    row->client = copied(&q->client);
    row->client_name = copied(&q->client_name);
    row->model = copied(&q->model);
    row->model_answered = same ? NULL : copied(&q->model_answered);
    row->method = copied(&q->method);
    row->endpoint = copied(&q->endpoint);
    row->attempts = text_of("%.*s", counted_attempts(attempts, q), attempts);
    row->upstream_id = copied(&q->upstream_id);
    row->user_agent = copied(&q->user_agent);
    row->reason = copied(&q->reason);
    row->key = q->key;
    row->status = q->status;
    row->certainty = q->certainty;
    row->prompt_certainty = q->prompt_certainty;
    row->completion_certainty = q->completion_certainty;
    row->end = q->end;
    row->streamed = q->streamed != 0;
    row->attempts_all = q->attempts_all;
    row->prompt = r->n.prompt;
    row->completion = r->n.completion;
    row->cached = r->n.cached;
    row->cost = q->priced ? r->n.cost : -1;
    row->affinity = q->affinity;
    row->bytes_in = counted_bounded(q->bytes_in);
    row->bytes_out = counted_bounded(q->bytes_out);

#define ms(v)  ((v) == OLLAMA_RECORD_NO_TIME ? -1 : (int64_t) (v))
    row->queue = ms(q->queue);
    row->connect = ms(q->connect);
    row->first_token = ms(q->first_token);
    row->total = ms(q->total);
#undef ms

    return 0;
}


static void
put_body(struct state *st, uint64_t instance, const ollama_record_body_t *b,
    const struct body_ref *ref)
{
    for (size_t i = 0; i < st->nbodies; i++) {
        if (st->bodies[i].instance == instance && st->bodies[i].id == b->id) {
            return;
        }
    }

    *add(st->bodies, st->nbodies) = (struct body) {
        instance, b->id, (int64_t) b->time, counted_bounded(b->size),
        b->truncated != 0, *ref
    };
}


static void
put_penalty(struct state *st, uint64_t instance,
    const ollama_record_penalty_t *p)
{
    struct penalty  *old = NULL;

    for (size_t i = 0; i < st->npenalties; i++) {
        if (st->penalties[i].is.key == p->key
            && is_same(&st->penalties[i].is.model, &p->model))
        {
            old = &st->penalties[i];
        }
    }

    struct penalty  now = { instance, *p };
    now.is.model = kept_text(&p->model);
    now.is.status = kept_text(&p->status);
    now.is.reason = kept_text(&p->reason);

    *add(st->events, st->nevents) = now;

    if (p->until == 0) {
        if (old) {
            *old = st->penalties[--st->npenalties];
        }
        return;
    }

    if (old == NULL) {
        *add(st->penalties, st->npenalties) = now;

    } else if (p->until >= old->is.until || old->instance == instance) {
        *old = now;
    }
}


static void
put_key(struct state *st, uint64_t instance, const ollama_record_key_t *k)
{
    struct proxy  *p = proxy_of(st, instance);
    struct place  *place = NULL;

    if (p->round == 0) {
        p->round = ++st->rounds;
    }

    for (size_t i = 0; i < st->nplaces; i++) {
        struct place  *old = &st->places[i];

        if (old->key == k->key) {
            snprintf(old->name, sizeof(old->name), "%s", copied(&k->name));
            snprintf(old->account, sizeof(old->account), "%s",
                     copied(&k->account));

            if (strcmp(old->proxy, p->name) == 0) {
                place = old;
            }
        }
    }

    if (place == NULL) {
        place = add(st->places, st->nplaces);
    }

    place->key = k->key;
    place->index = (int) k->index;
    place->round = p->round;
    strcpy(place->proxy, p->name);
    snprintf(place->name, sizeof(place->name), "%s", copied(&k->name));
    snprintf(place->account, sizeof(place->account), "%s",
             copied(&k->account));
}


/* the round of a proxy is over: what was not in it has no place there */

static void
end_round(struct state *st, uint64_t instance)
{
    struct proxy  *p = proxy_of(st, instance);

    for (size_t i = 0; i < st->nplaces; i++) {
        if (strcmp(st->places[i].proxy, p->name) == 0
            && st->places[i].round != p->round)
        {
            st->places[i].index = -1;
        }
    }

    p->round = 0;
}


static int
put(struct memory *m, struct state *st, const struct ledger_entry *e)
{
    switch (e->kind) {

    case LEDGER_REQUEST:
        return put_request(m, st, e->instance, e->of.request);

    case LEDGER_BODY:
        put_body(st, e->instance, e->of.body.is, e->of.body.ref);
        break;

    case LEDGER_PENALTY:
        put_penalty(st, e->instance, e->of.penalty);
        break;

    case LEDGER_PROXY:
        snprintf(proxy_of(st, e->instance)->name, 65, "%s",
                 copied(e->of.proxy));
        proxy_of(st, e->instance)->round = 0;
        break;

    case LEDGER_KEY:
        put_key(st, e->instance, e->of.key);
        break;

    case LEDGER_KEYS:
        end_round(st, e->instance);
        break;

    case LEDGER_NOTHING:
        break;
    }

    return 0;
}


static void *
copy_list(const void *list, size_t n, size_t size)
{
    size_t  room = 1;

    while (room < n) {
        room *= 2;
    }

    void  *copy = xmalloc(room * size);

    if (n) {
        memcpy(copy, list, n * size);
    }

    return copy;
}


static struct state
copy_state(const struct state *st)
{
    struct state  c = *st;

    c.requests = copy_list(st->requests, st->nrequests, sizeof(*st->requests));
    c.bodies = copy_list(st->bodies, st->nbodies, sizeof(*st->bodies));
    c.penalties = copy_list(st->penalties, st->npenalties, sizeof(*st->penalties));
    c.events = copy_list(st->events, st->nevents, sizeof(*st->events));
    c.places = copy_list(st->places, st->nplaces, sizeof(*st->places));
    c.proxies = copy_list(st->proxies, st->nproxies, sizeof(*st->proxies));

    return c;
}


static void
free_state(struct state *st)
{
    free(st->requests);
    free(st->bodies);
    free(st->penalties);
    free(st->events);
    free(st->places);
    free(st->proxies);
}


static void
memory_close(struct store *s)
{
    free_state(&of(s)->kept);
    free(of(s));
    memory_ask_free();

    if (--stores == 0) {
        while (ntexts) {
            free(texts[--ntexts]);
        }

        free(texts);
        texts = NULL;
    }
}


static enum store_result
memory_write(struct store *s, const struct ledger_batch *b)
{
    struct memory        *m = of(s);
    struct state          st = copy_state(&m->kept);
    struct ledger_entry   e = { 0 };
    enum store_result     fail = m->fail;

    m->behind = counted_behind(b->now, b->wall);
    m->fail = STORE_OK;

    while (b->next(b->arg, &e)) {
        struct proxy  *p = proxy_of(&st, e.instance);
        int            again = e.seq && e.seq <= p->seq;

        if (e.seq > p->next) {
            p->next = e.seq;
        }

        if (!again) {
            again = put(m, &st, &e);
        }

        if (b->done) {
            b->done(b->arg, &e, again);
        }
    }

    if (fail != STORE_OK) {
        snprintf(s->error, sizeof(s->error), "told to fail");
        free_state(&st);
        return fail;
    }

    for (size_t i = 0; i < st.nproxies; i++) {
        if (st.proxies[i].next > st.proxies[i].seq) {
            st.proxies[i].seq = st.proxies[i].next;
        }
    }

    for (size_t i = m->kept.nrequests; i < st.nrequests; i++) {
        store_add(&m->total, &st.requests[i].n);
    }

    free_state(&m->kept);
    m->kept = st;
    m->commits++;

    return STORE_OK;
}


static enum store_result
memory_trim(struct store *s, const struct store_limits *l, int n, int *left,
    store_gone_cb *cb, void *arg)
{
    struct memory  *m = of(s);
    size_t          kept = 0;

    (void) n;
    *left = 0;

    for (size_t i = 0; i < m->kept.nrequests; i++) {
        if (m->kept.requests[i].row.time < l->rows_before) {
            m->kept.requests[i].gone = 1;
        }
    }

    for (size_t i = 0; i < m->kept.nevents; i++) {
        if ((int64_t) m->kept.events[i].is.time >= l->rows_before) {
            m->kept.events[kept++] = m->kept.events[i];
        }
    }

    m->kept.nevents = kept;
    m->minutes_before = l->minutes_before;
    m->hours_before = l->cube_before;
    m->turns_before = l->hours_before;

    for (;;) {
        struct store_gone  g = { 0 };
        int64_t            bytes = 0;

        for (size_t i = 0; i < m->kept.nbodies; i++) {
            int64_t  segment = m->kept.bodies[i].ref.segment;

            bytes += m->kept.bodies[i].ref.len;
            if (g.segment == 0 || segment < g.segment) {
                g.segment = segment;
            }
        }

        int64_t  over = (g.segment / SEGMENT_PER_HOUR + 1) * 3600000;

        if (g.segment == 0
            || (over > l->bodies_before && bytes <= l->body_bytes
                && g.segment > l->segment))
        {
            break;
        }

        kept = 0;
        for (size_t i = 0; i < m->kept.nbodies; i++) {
            if (m->kept.bodies[i].ref.segment != g.segment) {
                m->kept.bodies[kept++] = m->kept.bodies[i];
            }
        }

        m->kept.nbodies = kept;
        cb(arg, &g);
    }

    m->commits++;
    return STORE_OK;
}


static void
memory_tick(struct store *s, int64_t idle)
{
    (void) s;
    (void) idle;
}


static void
memory_status(struct store *s, struct store_status *status)
{
    struct memory  *m = of(s);

    memset(status, 0, sizeof(*status));
    status->total = m->total;
    status->bodies = (int64_t) m->kept.nbodies;

    for (size_t i = 0; i < m->kept.nbodies; i++) {
        status->body_bytes += m->kept.bodies[i].ref.len;
    }
}


static enum store_result
memory_instances(struct store *s, store_instance_cb *cb, void *arg)
{
    struct state  *st = &of(s)->kept;

    for (size_t i = 0; i < st->nproxies; i++) {
        if (st->proxies[i].seq) {
            cb(arg, st->proxies[i].instance, st->proxies[i].seq);
        }
    }

    return STORE_OK;
}


static enum store_result
memory_segments(struct store *s, store_segment_cb *cb, void *arg)
{
    struct state  *st = &of(s)->kept;

    for (size_t i = 0; i < st->nbodies; i++) {
        struct body_ref  *ref = &st->bodies[i].ref;
        int64_t           end = 0;

        for (size_t k = 0; k < st->nbodies; k++) {
            struct body_ref  *r = &st->bodies[k].ref;

            if (r->segment == ref->segment && r->offset + r->len > end) {
                end = r->offset + r->len;
            }
        }

        if (ref->offset + ref->len == end) {
            cb(arg, ref->segment, end);
        }
    }

    return STORE_OK;
}


static struct store_reader *
memory_reader(struct store *s, int n)
{
    return &of(s)->readers[n];
}


static void
memory_interrupt(struct store_reader *rd, int stop)
{
    struct memory  *m = of(rd->store);

    m->stopped[rd - m->readers] = stop;
}


static uint64_t
memory_commits(struct store *s)
{
    return of(s)->commits;
}


static struct ledger_cursor
memory_horizon(struct store *s)
{
    return (struct ledger_cursor) { 0, (int64_t) of(s)->kept.nrequests };
}


const struct store_type  store_memory = {
    .scheme = "memory",
    .open = memory_open,
    .close = memory_close,
    .write = memory_write,
    .trim = memory_trim,
    .tick = memory_tick,
    .status = memory_status,
    .instances = memory_instances,
    .segments = memory_segments,
    .reader = memory_reader,
    .ask = memory_ask,
    .interrupt = memory_interrupt,
    .commits = memory_commits,
    .horizon = memory_horizon,
};
