
/* load in cost, tiers and floors */

#include "harness.h"


#define BIG   (4 * 1024 * 1024)
#define HOUR  3600
#define DAY   86400


void
t_prices(ngx_uint_t expiring)
{
    t_rules.usual = 600;
    t_rules.tokens = 0;
    t_rules.expiring = expiring;
    t_rules.interval = 300;
}


ngx_uint_t
t_one_request(world_t *w, pool_t *p, uint64_t tokens, uint64_t cost,
    uint64_t guess)
{
    lease_t     l;
    ngx_uint_t  i;

    t_lease(&l, "m", tokens);
    l.charge.cost = cost;
    l.charge.guess = guess;

    if (t_take(p, &l) != NGX_OK) {
        return 1000;
    }

    for (i = 0; t_key(w, i)->number != l.key; i++) { /* void */ }

    t_spend(p, &l, tokens, cost, guess);

    return i;
}


void
t_balance(world_t *w, pool_t *p, ngx_uint_t i, ollama_balance_e kind,
    uint64_t included, uint64_t purchased, time_t renews)
{
    ollama_record_balance_t  b;

    memset(&b, 0, sizeof(b));

    b.key = t_key(w, i)->number;
    b.kind = kind;
    b.time = (uint64_t) ngx_time() * 1000;
    b.included = included;
    b.allowance = 20 * USD;
    b.purchased = purchased;
    b.until = renews ? (uint64_t) (ngx_time() + renews) * 1000 : 0;
    b.session = OLLAMA_BALANCE_NO_SHARE;
    b.week = OLLAMA_BALANCE_NO_SHARE;

    if (kind == OLLAMA_BALANCE_WINDOWS) {
        b.session = (uint16_t) included;
        b.week = (uint16_t) purchased;
        b.session_resets = (uint64_t) (ngx_time() + renews) * 1000;
        b.included = 0;
        b.purchased = 0;
    }

    ngx_http_ollama_pool_balance(p, &b);
}


void
t_shown(pool_t *p, pkey_t *key, ngx_http_ollama_snapshot_t *s)
{
    memset(s, 0, sizeof(*s));
    (void) ngx_http_ollama_pool_key(p, key->number, s);
}


/* cached tokens are many and cheap: the sums of gpt-oss:120b */

static void
t_cost(void)
{
    world_t                     w;
    pool_t                     *p;
    ngx_uint_t                  i, turns[2];
    ngx_http_ollama_snapshot_t  s;

    t_prices(0);
    t_world(&w, "one;two", 0, BIG);
    p = t_worker(&w);

    t_ok(t_one_request(&w, p, 1000000, 14000000, 0) == 0
         && t_one_request(&w, p, 100000, 60000000, 0) == 1,
         "a million cached tokens, and 100,000 written ones");
    t_ok(t_one_request(&w, p, 1, 1, 0) == 0,
         "the cached ones weigh less: they cost a quarter");

    t_shown(p, t_key(&w, 0), &s);
    t_ok(s.usage == 1000001 && s.cost == 14000001,
         "tokens and cost are shown side by side");

    t_rules.tokens = 1;
    t_reload(&w, "one;two", 0, 1);
    t_ok(t_one_request(&w, p, 1, 1, 0) == 1, "load=tokens: the other one");
    t_right(&w, "tokens");

    t_prices(0);
    t_reload(&w, "one;two", 0, 1);
    t_right(&w, "cost again");

    /* what costs nothing */

    t_time(2 * HOUR, 0);
    for (i = 0; i < 60; i++) {
        t_time(1, 0);
        (void) t_one_request(&w, p, 0, 0, 0);
    }

    turns[0] = turns[1] = 0;
    for (i = 0; i < 20; i++) {
        turns[t_one_request(&w, p, 1000, 0, 0)]++;
    }

    t_ok(turns[0] == 10 && turns[1] == 10, "a free model takes turns, too");
    t_right(&w, "free");
    t_end(&w);
}


static void
t_even(void)
{
    world_t                     w;
    pool_t                     *p;
    lease_t                     l[30];
    uint64_t                    cost, most, least, x;
    ngx_uint_t                  i, n[4];
    ngx_http_ollama_snapshot_t  s;

    t_prices(0);
    t_world(&w, "one;two;three weight=2", 0, BIG);
    p = t_worker(&w);

    /* from a tenth of a cent to thirty cents, whatever their tokens */

    for (i = 0, x = 1; i < 3000; i++) {
        x = x * 6364136223846793005ull + 1442695040888963407ull;
        (void) t_one_request(&w, p, 100000 - (x >> 50), 1000000 + (x >> 36), 0);
    }

    most = 0;
    least = (uint64_t) -1;

    for (i = 0; i < 3; i++) {
        t_shown(p, t_key(&w, i), &s);
        cost = s.cost / s.weight;
        most = ngx_max(most, cost);
        least = ngx_min(least, cost);
    }

    t_ok(most - least <= 300 * USD / 1000,
         "3000 requests cost each key as much by weight, within one request "
         "(%lu, %lu)", (unsigned long) least, (unsigned long) most);

    /* at once: by what they probably will cost */

    t_time(2 * HOUR + 60, 0);
    for (i = 0; i < 60; i++) {
        t_time(1, 0);
        t_book(p, 0, 0);
    }

    memset(n, 0, sizeof(n));

    for (i = 0; i < 28; i++) {
        t_lease(&l[i], "m", (i % 2) ? 1000000 : 1);
        l[i].charge.cost = 5000000;
        t_take(p, &l[i]);
        n[t_named(&l[i], "one") ? 0 : t_named(&l[i], "two") ? 1 : 2]++;
    }

    t_ok(n[0] == 7 && n[1] == 7 && n[2] == 14, "28 at once: 7, 7 and 14");
    t_right(&w, "at once");

    for (i = 0; i < 28; i++) {
        t_spend(p, &l[i], 1, 1, 0);
    }

    t_right(&w, "even");
    t_end(&w);
}


static void
t_guess(void)
{
    world_t                     w;
    pool_t                     *p;
    lease_t                     l;
    ngx_uint_t                  i, n;
    ngx_http_ollama_snapshot_t  s;

    t_prices(0);
    t_world(&w, "one;two", 0, BIG);
    p = t_worker(&w);

    t_ok(t_one_request(&w, p, 1000, 0, 600000) == 0
         && t_one_request(&w, p, 1000, 500000, 0) == 1
         && t_one_request(&w, p, 1, 1, 0) == 1,
         "a model without a price weighs as if it had the usual one");

    t_shown(p, t_key(&w, 0), &s);
    t_ok(s.cost == 0 && s.usage == 1000, "which is not shown as a cost");
    t_ok(t_key(&w, 0)->book->guess && t_key(&w, 1)->book->guess == NULL,
         "and takes memory where it is used alone");

    t_time(2 * HOUR + 60, 0);
    for (i = 0; i < 60; i++) {
        t_time(1, 0);
        t_book(p, 0, 0);
    }

    t_ok(t_key(&w, 0)->book->guess == NULL, "for two hours");
    t_right(&w, "guess");
    t_end(&w);

    /* not of the memory that leases need */

    t_world(&w, NULL, 60, 320 * 1024);
    p = t_worker(&w);

    for (i = 0, n = 0; i < 600; i++) {
        (void) t_one_request(&w, p, 1000, 0, 600000);
    }

    for (i = 0; i < 60; i++) {
        n += (t_key(&w, i)->book->guess != NULL);
    }

    t_ok(n < 60 && w.pool->sh->unguessed,
         "with memory for %lu of 60 keys it is left out of the others, "
         "which is counted", (unsigned long) n);

    t_lease(&l, "m", 1);
    t_ok(t_take(p, &l) == NGX_OK && w.pool->sh->in_flight == 1
         && w.pool->shpool->pfree >= 8, "and there is room for leases");
    t_settle(p, &l, 1);
    t_right(&w, "no memory");
    t_end(&w);
}


static void
t_restored_cost(void)
{
    world_t                     w;
    pool_t                     *p;
    ollama_record_usage_t       usage;
    ngx_http_ollama_snapshot_t  s;

    t_prices(0);
    t_world(&w, "one;two;three", 0, BIG);
    p = t_worker(&w);

    memset(&usage, 0, sizeof(usage));
    usage.n = 2;
    usage.minutes[0].minute = ngx_time() / 60 - 3;
    usage.minutes[0].tokens = 5000;
    usage.minutes[0].cost = 3 * USD;
    usage.minutes[1].minute = ngx_time() / 60 - 4;
    usage.minutes[1].tokens = 1000;
    usage.minutes[1].cost = 2 * USD;
    usage.minutes[1].unpriced = 400;

    usage.key = t_key(&w, 0)->number;
    ngx_http_ollama_pool_restore_usage(p, &usage);

    t_shown(p, t_key(&w, 0), &s);
    t_ok(s.usage == 6000 && s.cost == 5 * USD, "costs are restored");
    t_ok(t_key(&w, 0)->book->guess->sum == 400 * 600,
         "and unpriced tokens, at the usual price");

    usage.key = t_key(&w, 1)->number;
    usage.minutes[0].tokens = 5000000;
    usage.minutes[0].cost = USD;
    ngx_http_ollama_pool_restore_usage(p, &usage);

    usage.key = t_key(&w, 2)->number;
    usage.minutes[0].cost = 9 * USD;
    ngx_http_ollama_pool_restore_usage(p, &usage);

    t_ok(t_one_request(&w, p, 1, 1, 0) == 1,
         "the least cost of them is chosen");
    t_right(&w, "restored");
    t_end(&w);
}


static void
t_tiers(void)
{
    char                list[4096];
    world_t             w;
    pool_t             *p;
    lease_t             l, m;
    ngx_uint_t          i, k, n;
    ollama_verdict_t    v;
    static ngx_str_t    rare = ngx_string("rare");

    t_prices(0);
    t_world(&w, "spare tier=1;one slots=2;two slots=2;last tier=9", 0, BIG);
    p = t_worker(&w);

    for (i = 0, n = 0; i < 1000; i++) {
        t_lease(&l, "m", 1);
        t_take(p, &l);
        k = t_one_request(&w, p, 100, 1000000, 0);
        n += (k != 1 && k != 2) || t_named(&l, "spare") || t_named(&l, "last");
        t_spend(p, &l, 100, 1000000, 0);
    }

    t_ok(n == 0 && t_key(&w, 0)->window.sum == 0
         && t_key(&w, 3)->window.sum == 0,
         "tier 1 is untouched by 2000 requests while tier 0 can serve");

    /* it serves whom no lower one can */

    t_lease(&l, "m", 1);
    t_take(p, &l);
    t_answer(p, &l, 403, "{\"error\":\"this model requires a subscription\"}",
             -1, &v);
    ngx_http_ollama_lease_skip(&l);
    t_take(p, &l);
    t_answer(p, &l, 403, "{\"error\":\"this model requires a subscription\"}",
             -1, &v);
    t_settle(p, &l, 0);

    t_lease(&l, "m", 1);
    t_lease(&m, "other", 1);
    t_take(p, &l);
    t_take(p, &m);
    t_ok(t_named(&l, "spare") && !t_named(&m, "spare"),
         "it has requests of a model that no lower one may serve, no others");
    t_settle(p, &l, 1);
    t_settle(p, &m, 1);
    t_right(&w, "tiers");

    t_reload(&w, "spare;one tier=1;two tier=1;last tier=9", 0, 1);
    t_ok(t_one_request(&w, p, 1, 1, 0) == 0, "a reload gives other tiers");
    t_right(&w, "other tiers");
    t_end(&w);

    /* the one of tier 0 is far behind those that may not serve it */

    for (i = 0, list[0] = '\0'; i < 100; i++) {
        sprintf(list + strlen(list), "u%lu tier=1;", (unsigned long) i);
    }

    for (i = 0; i < 150; i++) {
        sprintf(list + strlen(list), "k%lu;", (unsigned long) i);
    }

    strcat(list, "good");

    t_world(&w, list, 0, BIG);
    p = t_worker(&w);

    ngx_shmtx_lock(&p->shpool->mutex);

    for (i = 100; i < 250; i++) {
        (void) ngx_http_ollama_note_add(p->sh, t_key(&w, i), &rare,
                                        ngx_time() + HOUR, 403, 1);
    }

    ngx_shmtx_unlock(&p->shpool->mutex);

    for (i = 0, n = 0; i < 100; i++) {
        t_lease(&l, "rare", 1);
        t_take(p, &l);
        n += t_named(&l, "good");
        t_spend(p, &l, 100, USD, 0);
    }

    t_ok(n == 100, "nor is it used where few of a lower one are left (%lu)",
         (unsigned long) n);
    t_right(&w, "few");
    t_end(&w);
}


static void
t_floor(void)
{
    world_t     w;
    pool_t     *p;
    lease_t     l[2];
    ngx_uint_t  i, n[3];

    t_prices(0);
    t_world(&w, "one floor=2usd;two tier=1 slots=1;three floor=10% off", 0,
            BIG);
    p = t_worker(&w);

    t_balance(&w, p, 0, OLLAMA_BALANCE_MONEY, 3 * USD, 0, 10 * DAY);

    memset(n, 0, sizeof(n));

    for (i = 0; i < 20; i++) {
        n[t_one_request(&w, p, 10, USD / 10, 0)]++;
    }

    t_ok(n[0] == 10 && n[1] == 10,
         "an account is used down to its floor, and then a higher tier "
         "(%lu, %lu)", (unsigned long) n[0], (unsigned long) n[1]);

    t_lease(&l[0], "m", 1);
    t_lease(&l[1], "m", 1);
    t_take(p, &l[0]);
    t_take(p, &l[1]);
    t_ok(t_named(&l[0], "two") && t_named(&l[1], "one"),
         "it serves when no other can");
    t_settle(p, &l[0], 1);
    t_settle(p, &l[1], 1);
    t_right(&w, "floor");

    /* what is reserved counts */

    t_balance(&w, p, 0, OLLAMA_BALANCE_MONEY, 2 * USD, USD, 10 * DAY);
    t_lease(&l[0], "m", 1);
    l[0].charge.cost = USD;
    t_take(p, &l[0]);
    t_ok(t_named(&l[0], "one") && t_one_request(&w, p, 1, 1, 0) == 1,
         "so does what requests in flight probably cost");
    t_spend(p, &l[0], 1, 1000, 0);
    t_ok(t_one_request(&w, p, 1, 1, 0) == 0, "as long as they run");
    t_right(&w, "reserved");

    /* nobody has told it for two intervals */

    t_balance(&w, p, 0, OLLAMA_BALANCE_MONEY, USD, 0, 10 * DAY);
    t_ok(t_one_request(&w, p, 1, 1, 0) == 1, "below it");
    for (i = 0; i < 660; i++) {
        t_time(1, 0);
        t_book(p, 0, 0);
    }
    t_ok(t_one_request(&w, p, 1, 1, 0) == 0, "an old balance tells nothing");
    t_right(&w, "old");
    t_end(&w);
}


void
t_costs(void)
{
    t_cost();
    t_even();
    t_guess();
    t_restored_cost();
    t_tiers();
    t_floor();

    memset(&t_rules, 0, sizeof(t_rules));
}
