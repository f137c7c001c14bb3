
/* conversations: which account their turns go to */

#include "harness.h"


#define BIG    (4 * 1024 * 1024)
#define GONE   "{\"error\":\"this model requires a subscription\"}"
#define WEEK   "{\"error\":\"you have reached your weekly usage limit\"}"


static ngx_http_ollama_stay_t  t_stay = { 3600, 25, 1000 };


void
t_stays(lease_t *l, uint64_t session)
{
    l->session = session;
    l->stay = &t_stay;
}


static void
t_turn(lease_t *l, uint64_t session)
{
    t_lease(l, "m", 0);
    t_stays(l, session);
}


/* a turn from beginning to end: by whom, and how it went */

static ollama_affinity_e  t_went;


static ngx_uint_t
t_by(world_t *w, pool_t *p, uint64_t session, uint64_t tokens)
{
    lease_t     l;
    ngx_uint_t  i;

    t_turn(&l, session);

    if (t_take(p, &l) != NGX_OK) {
        t_went = OLLAMA_AFFINITY_NONE;
        return 1000;
    }

    t_went = l.affinity;

    for (i = 0; t_key(w, i)->number != l.key; i++) { /* void */ }

    t_settle(p, &l, tokens);

    return i;
}


static ngx_uint_t
t_is(world_t *w, pool_t *p, uint64_t session, ngx_uint_t key,
    ollama_affinity_e affinity)
{
    ngx_uint_t  by;

    by = t_by(w, p, session, 0);

    if (by == key && t_went == affinity) {
        return 1;
    }

    t_note("conversation %lu: by key %lu, affinity %d",
           (unsigned long) session, (unsigned long) by, (int) t_went);

    return 0;
}


static void
t_begin_world(world_t *w, pool_t **p, const char *text)
{
    t_rules.sessions = 1000;
    t_rules.said = 1;

    t_world(w, text, 0, BIG);

    t_rules.sessions = 0;

    *p = t_worker(w);
}


/* key i has used so much */

static void
t_used(world_t *w, pool_t *p, ngx_uint_t i, uint64_t tokens)
{
    t_book(p, t_key(w, i)->number, tokens);
}


static void
t_kept(void)
{
    world_t     w;
    lease_t     l, m;
    pool_t     *p;
    uint32_t    by_begin[3];
    ngx_uint_t  i, by[3];

    t_begin_world(&w, &p, "a;b;c");

    for (i = 0; i < 3; i++) {
        by[i] = t_by(&w, p, i + 1, 300);

        t_ok(t_went == OLLAMA_AFFINITY_NEW, "the first turn is new");
    }

    t_ok(by[0] != by[1] && by[1] != by[2] && by[0] != by[2],
         "new conversations spread");

    t_used(&w, p, by[0], 400);

    for (i = 0; i < 3; i++) {
        t_ok(t_is(&w, p, i + 1, by[i], OLLAMA_AFFINITY_KEPT),
             "the next turn goes to the same key");
    }

    t_ok(t_by(&w, p, 0, 0) != by[0] && t_went == OLLAMA_AFFINITY_NONE,
         "no conversation, no preference");

    t_turn(&l, 1);
    l.stay = NULL;
    t_take(p, &l);
    t_ok(l.affinity == OLLAMA_AFFINITY_NONE
         && l.key != t_key(&w, by[0])->number,
         "nor where it is off");
    t_settle(p, &l, 0);

    /* many turns at once */

    t_turn(&l, 77);
    t_turn(&m, 77);
    l.charge.tokens = 50;
    t_take(p, &l);
    t_take(p, &m);
    t_ok(l.key == m.key && l.affinity == OLLAMA_AFFINITY_NEW
         && m.affinity == OLLAMA_AFFINITY_KEPT, "two turns at once");
    t_settle(p, &l, 0);
    t_settle(p, &m, 0);

    /* the same beginning, again and again */

    for (i = 0; i < 3; i++) {
        t_turn(&l, 78);
        l.begins = 1;
        t_take(p, &l);
        by_begin[i] = l.key;
        t_ok(l.affinity == OLLAMA_AFFINITY_NEW, "what begins is new");
        t_settle(p, &l, 100);
    }

    t_ok(by_begin[0] != by_begin[1] && by_begin[1] != by_begin[2],
         "and spreads");

    t_turn(&l, 78);
    t_take(p, &l);
    t_ok(l.key == by_begin[2] && l.affinity == OLLAMA_AFFINITY_KEPT,
         "what goes on stays with the last of them");
    t_settle(p, &l, 0);

    /* over reloads */

    t_rules.sessions = 1000;
    t_ok(t_reload(&w, "x;c;b;a", 0, 1) == NGX_OK
         && t_is(&w, p, 1, 3 - by[0], OLLAMA_AFFINITY_KEPT),
         "a reload keeps them, wherever the key stands in the list");

    t_ok(t_reload(&w, "b;c", 0, 0) == NGX_OK
         && t_is(&w, p, 2, 3 - by[1], OLLAMA_AFFINITY_KEPT),
         "so does one that fails");

    t_ok(t_reload(&w, by[2] == 0 ? "x;b;c" : by[2] == 1 ? "x;a;c" : "x;a;b",
                  0, 1) == NGX_OK
         && t_by(&w, p, 3, 0) != 1000 && t_went == OLLAMA_AFFINITY_MOVED,
         "they leave a key that has left the list");

    t_rules.sessions = 1001;
    t_ok(t_reload(&w, "x;a;b;c", 0, 1) == NGX_OK
         && t_by(&w, p, 1, 0) != 1000 && t_went == OLLAMA_AFFINITY_NEW,
         "another number of them begins anew");

    t_rules.sessions = 0;
    t_ok(t_reload(&w, "x;a;b;c", 0, 1) == NGX_OK
         && w.pool->sh->affinity == NULL
         && t_by(&w, p, 1, 0) != 1000 && t_went == OLLAMA_AFFINITY_NONE,
         "none are kept");

    t_right(&w, "conversations");
    t_end(&w);
}


static void
t_slack(void)
{
    world_t   w;
    lease_t   l;
    pool_t   *p;

    t_begin_world(&w, &p, "a;b");

    t_ok(t_is(&w, p, 1, 0, OLLAMA_AFFINITY_NEW), "it begins with one of two");

    t_used(&w, p, 0, 1000);
    t_ok(t_is(&w, p, 1, 0, OLLAMA_AFFINITY_KEPT),
         "ahead by as many tokens as it may");

    t_used(&w, p, 0, 1);
    t_ok(t_is(&w, p, 1, 1, OLLAMA_AFFINITY_MOVED), "and by one more");
    t_ok(t_is(&w, p, 1, 1, OLLAMA_AFFINITY_KEPT), "there it stays");

    t_used(&w, p, 0, 98999);
    t_used(&w, p, 1, 100000);
    t_ok(t_is(&w, p, 2, 0, OLLAMA_AFFINITY_NEW), "another begins");

    t_used(&w, p, 0, 25000);
    t_ok(t_is(&w, p, 2, 0, OLLAMA_AFFINITY_KEPT), "a quarter ahead");

    t_used(&w, p, 0, 2000);
    t_ok(t_is(&w, p, 2, 1, OLLAMA_AFFINITY_MOVED), "and more");

    /* what is in flight counts, but not what it brings itself */

    t_turn(&l, 2);
    l.charge.tokens = 80000;
    t_take(p, &l);
    t_ok(l.affinity == OLLAMA_AFFINITY_KEPT, "a large turn does not move");
    t_ok(t_is(&w, p, 2, 0, OLLAMA_AFFINITY_MOVED), "the next one does");
    t_settle(p, &l, 0);
    t_end(&w);

    /* by weight */

    t_begin_world(&w, &p, "a weight=4;b");
    t_ok(t_is(&w, p, 1, 0, OLLAMA_AFFINITY_NEW), "a key of weight 4");
    t_used(&w, p, 0, 40000);
    t_used(&w, p, 1, 9750);
    t_ok(t_is(&w, p, 1, 0, OLLAMA_AFFINITY_KEPT),
         "is ahead by 1000 tokens of its own");
    t_used(&w, p, 0, 400000);
    t_used(&w, p, 1, 78250);
    t_ok(t_is(&w, p, 1, 0, OLLAMA_AFFINITY_KEPT), "or by a quarter");
    t_used(&w, p, 0, 20000);
    t_ok(t_is(&w, p, 1, 1, OLLAMA_AFFINITY_MOVED), "and by more");
    t_end(&w);

    /* in cost: so many input tokens at the usual price */

    t_prices(0);
    t_begin_world(&w, &p, "a;b");
    memset(&t_rules, 0, sizeof(t_rules));

    t_ok(t_is(&w, p, 1, 0, OLLAMA_AFFINITY_NEW), "with prices");

    t_turn(&l, 1);
    t_take(p, &l);
    t_spend(p, &l, 1, 600 * 1000, 0);
    t_ok(t_is(&w, p, 1, 0, OLLAMA_AFFINITY_KEPT), "what 1000 tokens cost");

    t_turn(&l, 1);
    t_take(p, &l);
    t_spend(p, &l, 1, 600, 0);
    t_ok(t_is(&w, p, 1, 1, OLLAMA_AFFINITY_MOVED), "and what one more costs");
    t_end(&w);
}


/* never a wait, never a refusal */

static void
t_moved(void)
{
    world_t            w;
    lease_t            l, m;
    pool_t            *p;
    ollama_verdict_t   v;

    t_begin_world(&w, &p, "a slots=1;b slots=1;c");

    t_ok(t_is(&w, p, 1, 0, OLLAMA_AFFINITY_NEW), "it begins");

    t_turn(&l, 1);
    t_turn(&m, 1);
    t_take(p, &l);
    t_ok(l.affinity == OLLAMA_AFFINITY_KEPT && t_named(&l, "a"),
         "its slot is taken");
    t_ok(t_take(p, &m) == NGX_OK && m.affinity == OLLAMA_AFFINITY_MOVED
         && !t_named(&m, "a"), "another turn moves at once");
    t_settle(p, &l, 0);
    t_settle(p, &m, 0);
    t_ok(t_by(&w, p, 1, 0) != 0 && t_went == OLLAMA_AFFINITY_KEPT,
         "and goes on from there");

    /* a refusal, and what a retry is told */

    t_turn(&l, 5);
    t_take(p, &l);
    l.used = 1;
    t_answer(p, &l, 429, WEEK, -1, &v);
    ngx_http_ollama_lease_skip(&l);
    m.key = l.key;
    t_ok(t_take(p, &l) == NGX_OK && l.key != m.key
         && l.affinity == OLLAMA_AFFINITY_NEW,
         "what begins with a retry is new");
    m.key = l.key;
    t_settle(p, &l, 0);

    t_turn(&l, 5);
    t_take(p, &l);
    t_ok(l.key == m.key && l.affinity == OLLAMA_AFFINITY_KEPT,
         "and stays with who has answered");
    l.used = 1;
    t_answer(p, &l, 429, WEEK, -1, &v);
    ngx_http_ollama_lease_skip(&l);
    t_ok(t_take(p, &l) == NGX_OK && l.key != m.key
         && l.affinity == OLLAMA_AFFINITY_MOVED,
         "a turn that was kept, but answered by another, has moved");
    m.key = l.key;
    t_settle(p, &l, 0);

    t_turn(&l, 5);
    t_take(p, &l);
    t_ok(l.key == m.key && l.affinity == OLLAMA_AFFINITY_KEPT,
         "so does the next one");

    ngx_http_ollama_pool_penalize(p, m.key, 100);
    t_settle(p, &l, 0);

    t_turn(&l, 5);
    t_ok(t_take(p, &l) != NGX_OK && l.affinity == OLLAMA_AFFINITY_NONE,
         "one that is refused has none");
    t_end(&w);

    /* a model, a tier */

    t_begin_world(&w, &p, "a;b tier=1;c tier=1");

    t_ok(t_is(&w, p, 1, 0, OLLAMA_AFFINITY_NEW), "in the first tier");
    ngx_http_ollama_pool_penalize(p, t_key(&w, 0)->number, 100);
    t_ok(t_is(&w, p, 1, 1, OLLAMA_AFFINITY_MOVED)
         && t_is(&w, p, 1, 1, OLLAMA_AFFINITY_KEPT),
         "another one serves, and is stayed with");
    ngx_http_ollama_pool_reset(p, t_key(&w, 0)->number);
    t_ok(t_is(&w, p, 1, 0, OLLAMA_AFFINITY_MOVED),
         "until the first can again");

    t_turn(&l, 1);
    t_take(p, &l);
    t_answer(p, &l, 403, GONE, -1, &v);
    t_settle(p, &l, 0);
    t_ok(v.key == OLLAMA_KEY_MODEL_BLOCKED
         && t_by(&w, p, 1, 0) != 0 && t_went == OLLAMA_AFFINITY_MOVED,
         "not to a key that may not serve the model");

    t_right(&w, "moved");
    t_end(&w);
}


static void
t_account(void)
{
    world_t   w;
    lease_t   l, m, n, *served;
    pool_t   *p;
    ngx_int_t rc;

    t_begin_world(&w, &p, "a account=x slots=2;b account=x;c slots=1");

    t_ok(t_is(&w, p, 1, 0, OLLAMA_AFFINITY_NEW), "one key of an account");
    t_ok(t_is(&w, p, 1, 0, OLLAMA_AFFINITY_KEPT), "the same key goes first");

    ngx_http_ollama_pool_penalize(p, t_key(&w, 0)->number, 100);
    t_ok(t_is(&w, p, 1, 1, OLLAMA_AFFINITY_KEPT),
         "another key of the account is none that it has to move to");
    ngx_http_ollama_pool_reset(p, t_key(&w, 0)->number);

    /* one that waits is handed what is free */

    t_lease(&l, "m", 0);
    t_lease(&m, "m", 0);
    t_lease(&n, "m", 0);
    t_take(p, &l);
    t_take(p, &m);
    t_take(p, &n);

    t_turn(&l, 1);
    t_ok(t_wait(p, &l) == NGX_AGAIN && l.affinity == OLLAMA_AFFINITY_NONE,
         "none is free");

    t_settle(p, t_named(&m, "c") ? &n : &m, 0);
    served = t_served(p, &rc);
    t_ok(served == &l && l.affinity == (t_named(&l, "c")
                                        ? OLLAMA_AFFINITY_MOVED
                                        : OLLAMA_AFFINITY_KEPT),
         "a waiter is told whether it happens to be its account");
    t_settle(p, &l, 0);
    t_end(&w);
}


/* in order, each at its place, and no other */

static void
t_old(void)
{
    world_t     w;
    pool_t     *p, *o;
    lease_t     l;
    ngx_uint_t  i, n;

    t_begin_world(&w, &p, "a;b;c");

    t_by(&w, p, 1, 0);
    t_time(3600, 0);
    t_ok(t_by(&w, p, 1, 0) != 1000 && t_went == OLLAMA_AFFINITY_KEPT,
         "an hour after its last turn");
    t_time(3601, 0);
    t_ok(t_by(&w, p, 1, 0) != 1000 && t_went == OLLAMA_AFFINITY_NEW,
         "and later");
    t_clock(-7200);
    t_ok(t_by(&w, p, 1, 0) != 1000 && t_went == OLLAMA_AFFINITY_KEPT,
         "the clock is set back");
    t_clock(7200);

    for (i = 2; i <= 1000; i++) {
        t_by(&w, p, i, 0);
    }

    t_by(&w, p, 1, 0);
    t_by(&w, p, 5000, 0);

    t_ok(t_by(&w, p, 1, 0) != 1000 && t_went == OLLAMA_AFFINITY_KEPT,
         "1001 of 1000: one that was used again stays");
    t_ok(t_by(&w, p, 5000, 0) != 1000 && t_went == OLLAMA_AFFINITY_KEPT,
         "so does the newest");
    t_ok(t_by(&w, p, 3, 0) != 1000 && t_went == OLLAMA_AFFINITY_KEPT,
         "so does the one that is the oldest now");
    t_ok(t_by(&w, p, 2, 0) != 1000 && t_went == OLLAMA_AFFINITY_NEW,
         "the least recently used is gone");
    t_right(&w, "the oldest goes");

    /* a worker dies, between two turns and in the middle of one */

    o = t_worker(&w);
    t_turn(&l, 1);
    t_as(&w, o);
    t_take(o, &l);
    i = l.key;
    t_as(&w, p);
    t_kill(&w, 1);
    t_time(10, 0);

    t_turn(&l, 1);
    t_take(p, &l);
    t_ok(l.key == i && l.affinity == OLLAMA_AFFINITY_KEPT,
         "its worker has died: the conversation stays");
    t_settle(p, &l, 0);

    memset(w.pool->sh->affinity->places, 0, 64);

    for (n = 0; n < 1500; n++) {
        t_by(&w, p, 10000 + n, 0);
    }

    t_by(&w, p, 11499, 0);
    t_ok(t_went == OLLAMA_AFFINITY_KEPT, "what was left half done is cleared");
    t_right(&w, "after half of it");
    t_end(&w);
}


static void
t_many(void)
{
    world_t     w;
    pool_t     *p;
    uint64_t    session;
    ngx_uint_t  i, kept;

    t_rules.sessions = 100000;
    t_rules.said = 1;
    t_world(&w, "a;b;c", 0, 3 * 1024 * 1024);
    t_ok(w.pool == NULL, "100,000 do not fit into 3 MB");

    t_world(&w, "a;b;c", 0, BIG);
    t_ok(w.pool != NULL && ngx_http_ollama_affinity_size(100000)
                           <= 100000 * 40 + 4096,
         "but into 4, at most 40 bytes each");
    p = t_worker(&w);

    for (i = 0; i < 100000; i++) {
        session = ollama_mix(7, i);
        t_by(&w, p, session, 0);
    }

    kept = 0;

    for (i = 0; i < 100000; i++) {
        session = ollama_mix(7, i);
        t_by(&w, p, session, 0);
        kept += (t_went == OLLAMA_AFFINITY_KEPT);
    }

    t_ok(kept == 100000, "100,000 conversations are kept: %lu",
         (unsigned long) kept);
    t_right(&w, "100,000");
    t_end(&w);

    /* unsaid, it is a matter of the zone */

    t_rules.sessions = 16000;
    t_rules.said = 0;
    t_world(&w, "a;b;c", 0, 8 * 1024 * 1024);
    t_ok(w.pool->sh->affinity->size == 16000, "16,000 in 8 MB");
    t_reload(&w, "a;b;c;d", 0, 1);
    t_ok(w.pool->sh->affinity->size == 16000, "which a reload keeps");
    t_end(&w);

    t_world(&w, "a;b;c", 0, NGX_HTTP_OLLAMA_POOL_MIN);
    t_ok(w.pool != NULL, "the smallest zone is large enough: for %lu",
         (unsigned long) (w.pool->sh->affinity ? w.pool->sh->affinity->size
                                               : 0));
    p = t_worker(&w);
    t_by(&w, p, 1, 0);
    t_ok(t_reload(&w, "a;b;c;d", 0, 1) == NGX_OK, "and for a reload");
    t_by(&w, p, 1, 0);
    t_ok(w.pool->sh->affinity == NULL || t_went == OLLAMA_AFFINITY_KEPT,
         "which keeps as many");
    t_end(&w);

    memset(&t_rules, 0, sizeof(t_rules));
}


/* none is more than a hundredth of the load: they end evenly */

static void
t_even(void)
{
    world_t     w;
    pool_t     *p;
    uint64_t    all, least, most, used, seed;
    ngx_uint_t  i, n, by, turn;

    t_begin_world(&w, &p, "a;b;c");

    seed = 12345;
    t_stay.tokens = 0;

    for (i = 0; i < 1000; i++) {

        /* its length differs, and its turns come between those of others */

        t_by(&w, p, i + 1, 100);

        for (n = 0; n < 20; n++) {
            seed = ollama_mix(seed, i * 20 + n);
            turn = 1 + seed % (i + 1);

            if (seed % 1000 < turn % 7 * 150) {
                t_by(&w, p, turn, 200 + seed % 900);
            }
        }
    }

    all = 0;
    most = 0;
    least = (uint64_t) -1;

    for (by = 0; by < 3; by++) {
        used = t_key(&w, by)->window.sum;
        all += used;
        most = ngx_max(most, used);
        least = ngx_min(least, used);
    }

    t_ok(most * 3 <= all * 1.1 && least * 3 >= all * 0.9,
         "1000 conversations end within 10 %% of even: %lu to %lu of %lu",
         (unsigned long) least, (unsigned long) most, (unsigned long) all);

    t_stay.tokens = 1000;
    t_end(&w);
}


void
t_turns(void)
{
    memset(&t_rules, 0, sizeof(t_rules));

    t_kept();
    t_slack();
    t_moved();
    t_account();
    t_old();
    t_many();
    t_even();
}
