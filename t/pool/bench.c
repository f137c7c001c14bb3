
#include "harness.h"


#define CHAT  "{\"error\":\"too many concurrent requests\"}"


static uint64_t  t_begun;


uint64_t
t_ns(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000000 + ts.tv_nsec;
}


static void
t_begin(void)
{
    t_begun = t_ns();
}


static void
t_took(const char *what, ngx_uint_t n)
{
    printf("%8.0f ns  %s\n", (double) (t_ns() - t_begun) / n, what);
}


void
t_bench(void)
{
    char                         name[32], *env;
    world_t                     *w;
    lease_t                     *l, a, *served;
    pool_t                      *p, *o;
    uint64_t                     begun;
    uint64_t                     most;
    ngx_int_t                    rc;
    ngx_uint_t                   i, n, nkeys, kept;
    ngx_http_ollama_key_t       *key;
    ngx_http_ollama_want_t       want;
    ollama_verdict_t             v;
    ollama_record_usage_t        usage;
    ngx_http_ollama_cursor_t     cursor;
    ngx_http_ollama_snapshot_t   s[64];

    env = getenv("POOL_KEYS");
    nkeys = env ? (ngx_uint_t) atol(env) : 10000;
    kept = 0;

    w = calloc(1, sizeof(world_t));
    l = calloc(20000, sizeof(lease_t));

    printf("%lu keys\n", (unsigned long) nkeys);

    t_prices(getenv("POOL_EXPIRING") != NULL);
    t_rules.sessions = 100000;
    t_rules.said = 1;

    t_begin();
    t_world(w, NULL, nkeys, 64 * 1024 * 1024);
    t_took("start: prepare and commit, all keys", 1);

    t_begin();
    t_reload(w, NULL, nkeys, 1);
    t_took("reload of the same list", 1);
    printf("%8.0f ns  ... its commit, under the lock\n",
           (double) t_commit_ns);

    p = t_worker(w);
    o = t_worker(w);

    for (i = 0; i < nkeys; i++) {
        t_book(p, t_key(w, i)->number, i * 7919 % 100000);

        if (t_rules.expiring) {
            t_balance(w, p, i, OLLAMA_BALANCE_MONEY, (1 + i % 60) * USD, 0,
                      (1 + i % 30) * 86400);
        }
    }

    t_lease(&a, "model", 1000);

    t_begin();
    for (i = 0; i < 200000; i++) {
        t_take(p, &a);
        t_settle(p, &a, 500);
    }
    t_took("take and settle", 200000);

    t_begin();
    for (i = 0; i < 200000; i++) {
        t_stays(&a, ollama_mix(1, i % 100000));
        t_take(p, &a);
        t_settle(p, &a, 500);
        a.affinity = OLLAMA_AFFINITY_NONE;
    }
    t_took("the same, 100,000 conversations in turn", 200000);

    t_begin();
    for (i = 0; i < 200000; i++) {
        t_stays(&a, ollama_mix(1, ollama_mix(2, i) % 100000));
        t_take(p, &a);
        t_settle(p, &a, 500);
        a.affinity = OLLAMA_AFFINITY_NONE;
    }
    t_took("the same, in no order", 200000);

    /* choosing alone, and what is noted of it */

    for (n = 0; n < 2; n++) {
        t_begin();
        for (i = 0; i < 200000; i++) {
            t_stays(&a, n ? ollama_mix(1, ollama_mix(2, i) % 100000) : 0);
            a.affinity = OLLAMA_AFFINITY_NONE;

            ngx_http_ollama_want(p->sh, &a, &want);
            key = ngx_http_ollama_affinity_select(p, &a, &want);
            ngx_http_ollama_affinity_note(p, &a, key);
            kept += (a.affinity == OLLAMA_AFFINITY_KEPT);
        }
        t_took(n ? "choosing alone, 100,000 conversations in no order"
                 : "choosing alone, no conversation", 200000);
    }

    printf("          (%lu were kept)\n", (unsigned long) kept);

    a.session = 0;

    for (n = 0; n < 300; n++) {
        t_lease(&l[n], "model", 1000);
        t_take(p, &l[n]);
    }

    t_begin();
    for (i = 0; i < 200000; i++) {
        t_take(p, &a);
        t_settle(p, &a, 500);
    }
    t_took("the same with 300 in flight", 200000);

    for (n = 0; n < 300; n++) {
        t_settle(p, &l[n], 10);
    }

    /* a model that the last key alone may serve */

    for (i = 0; i + 1 < nkeys; i++) {
        ngx_str_t  model = ngx_string("rare");

        ngx_shmtx_lock(&p->shpool->mutex);
        (void) ngx_http_ollama_note_add(p->sh, t_key(w, i), &model,
                                        ngx_time() + 3600, 403, 1);
        ngx_shmtx_unlock(&p->shpool->mutex);
    }

    t_lease(&a, "rare", 1000);

    t_begin();
    for (i = 0; i < 20000; i++) {
        t_take(p, &a);
        t_settle(p, &a, 500);
    }
    t_took("a model that one key may serve", 20000);

    ngx_http_ollama_pool_penalize(p, t_key(w, nkeys - 1)->number, 100);

    t_begin();
    for (i = 0; i < 20000; i++) {
        t_take(p, &a);
    }
    t_took("its refusal", 20000);

    for (i = 0; i + 1 < nkeys; i++) {
        ngx_http_ollama_pool_penalize(p, t_key(w, i)->number, 100 + i % 1000);
    }

    t_lease(&a, "model", 1000);
    for (i = 0; i < ngx_min(nkeys, 16); i++) {
        a.tried[i] = t_key(w, i)->number;
    }
    a.ntried = i;

    t_begin();
    for (i = 0; i < 20000; i++) {
        t_take(p, &a);
    }
    t_took("a refusal, all paused, 16 tried", 20000);

    for (i = 0; i < nkeys; i++) {
        ngx_http_ollama_pool_reset(p, t_key(w, i)->number);
    }

    memset(&usage, 0, sizeof(usage));
    usage.n = OLLAMA_RECORD_MINUTES;

    for (i = 0; i < usage.n; i++) {
        usage.minutes[i].minute = ngx_time() / 60 - i;
        usage.minutes[i].tokens = 1000 + i;
    }

    t_begin();
    for (i = 0; i < nkeys; i++) {
        usage.key = t_key(w, i)->number;
        ngx_http_ollama_pool_restore_usage(p, &usage);
    }
    t_took("restore of a key, 121 minutes", nkeys);

    t_lease(&a, "model", 1000);

    most = 0;
    t_begin();
    for (i = 0; i < 60; i++) {
        t_time(1, 0);
        begun = t_ns();
        t_take(p, &a);
        t_settle(p, &a, 1);
        most = ngx_max(most, t_ns() - begun);
    }
    t_took("take and settle, first in a second: sweep", 60);
    printf("%8.0f ns  ... the longest of them\n", (double) most);

    n = 0;
    memset(&cursor, 0, sizeof(cursor));

    t_begin();
    while (ngx_http_ollama_pool_list(p, &cursor, s, 64)) {
        n++;
    }
    t_took("list, 64 keys at a time", n);

    n = 0;
    t_begin();
    while (ngx_http_ollama_pool_changes(p, s, 64)) {
        n++;
    }
    t_took("changes, 64 keys at a time", n);

    t_begin();
    for (i = 0; i < 100000; i++) {
        (void) ngx_http_ollama_pool_changes(p, s, 64);
    }
    t_took("changes, when there are none", 100000);

    /* every key busy, 512 wait, 16 models: one slot comes back */

    for (i = 0; i < nkeys; i++) {
        t_key(w, i)->account->max_concurrent = 1;
    }

    for (i = 0; i < nkeys; i++) {
        t_lease(&l[i], "model", 10);
        if (t_take(p, &l[i]) != NGX_OK) {
            printf("busy\n");
            return;
        }
    }

    {
        lease_t  *wait = calloc(512, sizeof(lease_t));

        for (i = 0; i < 512; i++) {
            sprintf(name, "model%lu", (unsigned long) i % 16);
            t_lease(&wait[i], strdup(name), 10);
            rc = t_wait((i % 2) ? p : o, &wait[i]);

            if (rc != NGX_AGAIN) {
                printf("does not wait: %ld\n", (long) rc);
                return;
            }
        }

        n = 0;

        t_begin();
        for (i = 0; i < 200000; i++) {
            n += ngx_http_ollama_pool_news(o);
        }
        t_took("a poll without news, with 512 waiters", 200000);

        most = 0;
        t_begin();
        for (i = 0; i < 400 && i < nkeys; i++) {
            begun = t_ns();
            t_settle(p, &l[i], 10);
            most = ngx_max(most, t_ns() - begun);
        }
        t_took("one slot given back with 512 waiters", i);
        printf("%8.0f ns  ... the longest of them\n", (double) most);

        n = 0;
        t_begin();
        while ((served = t_served(p, &rc)) != NULL
               || (served = t_served(o, &rc)) != NULL)
        {
            n++;
        }
        t_took("one lease noticed", n);
        printf("          (%lu)\n", (unsigned long) n);
    }

    t_answer(p, &l[500 % nkeys], 429, CHAT, 3, &v);
}


/* the size that "too small" names has to be enough, and not much too much */

void
t_zone(void)
{
    world_t      w;
    ngx_uint_t   nkeys, size;
    lease_t      a;
    pool_t      *p;

    nkeys = (ngx_uint_t) atol(getenv("POOL_KEYS"));
    size = (ngx_uint_t) atol(getenv("POOL_SIZE"));

    t_world(&w, NULL, nkeys, size);

    if (w.pool == NULL) {
        printf("too small\n");
        return;
    }

    p = t_worker(&w);
    t_lease(&a, "m", 1);

    printf("start ok, reload %s, lease %s, %lu pages free\n",
           t_reload(&w, NULL, nkeys, 1) == NGX_OK ? "ok" : "fails",
           p->process && t_take(p, &a) == NGX_OK ? "ok" : "fails",
           (unsigned long) w.pool->shpool->pfree);

    t_end(&w);
}
