
/*
 * Accounts that come back, and those who wait for it.
 */

#include "harness.h"


#define BIG    (4 * 1024 * 1024)
#define QUOTA  "{\"error\":\"you have reached your usage limit, upgrade\"}"


static void
t_exhaust(pool_t *p, lease_t *lease, time_t seconds)
{
    ollama_verdict_t  v;

    t_lease(lease, "m", 1);
    (void) t_take(p, lease);
    t_answer(p, lease, 429, QUOTA, seconds, &v);
    t_settle(p, lease, 0);
}


/* as many leases as there are to be had; how many of max */

static ngx_uint_t
t_all(pool_t *p, lease_t *leases, ngx_uint_t max)
{
    ngx_uint_t  n;

    for (n = 0; n < max; n++) {
        t_lease(&leases[n], "m", 1);

        if (t_take(p, &leases[n]) != NGX_OK) {
            break;
        }
    }

    return n;
}


static void
t_good(pool_t *p, lease_t *leases, ngx_uint_t n)
{
    ngx_uint_t        i;
    ollama_verdict_t  v;

    for (i = 0; i < n; i++) {
        t_answer(p, &leases[i], 200, "", -1, &v);
        t_settle(p, &leases[i], 0);
    }
}


static void
t_ramp(void)
{
    world_t            w;
    lease_t            a, l[100];
    pool_t            *p;
    ngx_uint_t         i, n;
    ollama_verdict_t   v;

    t_world(&w, "one", 0, BIG);
    p = t_worker(&w);

    t_exhaust(p, &a, 5);
    t_ok(t_all(p, l, 100) == 0, "used up");

    t_time(6, 0);

    for (i = 1; i <= 64; i *= 2) {
        n = t_all(p, l, 100);
        t_ok(n == i, "back: %lu at once", (unsigned long) i);
        t_right(&w, "a step");

        /* their answers come before they end, and then others may begin */

        t_answer(p, &l[0], 200, "", -1, &v);
        t_answer(p, &l[0], 200, "", -1, &v);
        t_ok(i == 1 || t_all(p, &l[i], 1) == 0, "one good answer counts once");
        t_good(p, l, n);
        t_right(&w, "good answers");
    }

    t_ok(t_all(p, l, 100) == 100, "and then all");
    t_good(p, l, 100);
    t_end(&w);

    /* up to its slots */

    t_world(&w, "one slots=3", 0, BIG);
    p = t_worker(&w);
    t_exhaust(p, &a, 5);
    t_time(6, 0);
    t_good(p, l, t_all(p, l, 9));
    n = t_all(p, l, 9);
    t_ok(n == 2, "of three slots two");
    t_good(p, l, n);
    n = t_all(p, l, 9);
    t_ok(n == 3, "then all three");
    t_good(p, l, n);
    t_end(&w);
}


/* streams that have begun well keep their places, and the next step comes */

static void
t_ramp_streams(void)
{
    world_t            w;
    lease_t            a, l[100];
    pool_t            *p;
    ngx_uint_t         i, n, next;
    ollama_verdict_t   v;

    t_world(&w, "one", 0, BIG);
    p = t_worker(&w);

    t_exhaust(p, &a, 5);
    t_time(6, 0);

    for (n = 0, next = 1; next <= 64; next *= 2) {
        n += t_all(p, &l[n], 100 - n);
        t_ok(n == next, "%lu streams at once", (unsigned long) next);

        for (i = 0; i < n; i++) {
            t_answer(p, &l[i], 200, "", -1, &v);
        }

        t_right(&w, "streams that go on");
    }

    n += t_all(p, &l[n], 100 - n);
    t_ok(n == 100, "and then all");
    t_good(p, l, n);
    t_right(&w, "streams have ended");
    t_end(&w);
}


/* used up again in the middle of it */

static void
t_ramp_again(void)
{
    world_t            w;
    lease_t            a, l[9];
    pool_t            *p;
    ngx_uint_t         n;
    ollama_verdict_t   v;

    t_world(&w, "one", 0, BIG);
    p = t_worker(&w);

    t_exhaust(p, &a, 5);
    t_time(6, 0);
    t_good(p, l, t_all(p, l, 9));

    n = t_all(p, l, 9);
    t_answer(p, &l[0], 429, QUOTA, 5, &v);
    t_answer(p, &l[1], 429, QUOTA, 5, &v);
    t_ok(n == 2 && t_all(p, &l[2], 1) == 0, "used up again");

    /* these two are still on their way when it is back */

    t_time(6, 0);
    t_ok(t_all(p, &l[2], 9 - 2) == 1, "it begins anew, whoever is left");
    t_settle(p, &l[0], 0);
    t_settle(p, &l[1], 0);
    t_ok(t_all(p, &l[3], 1) == 0, "who ends makes no room");
    t_good(p, &l[2], 1);
    n = t_all(p, l, 9);
    t_ok(n == 2, "two after it");

    ngx_http_ollama_pool_reset(p, t_key(&w, 0)->number);
    t_ok(t_all(p, &l[n], 7) == 7, "a reset ends it");
    t_right(&w, "again");
    t_good(p, l, 9);
    t_end(&w);
}


/* streams from before are no part of it */

static void
t_ramp_old(void)
{
    world_t            w;
    lease_t            a, old[5], l[9];
    pool_t            *p;
    ngx_uint_t         n;

    t_world(&w, "one", 0, BIG);
    p = t_worker(&w);

    (void) t_all(p, old, 5);
    t_exhaust(p, &a, 5);
    t_time(6, 0);

    n = t_all(p, l, 9);
    t_ok(n == 1, "one is tried out beside five old streams");
    t_good(p, old, 4);
    t_ok(t_all(p, &l[1], 1) == 0, "their answers prove nothing");
    t_good(p, l, 1);
    n = t_all(p, l, 9);
    t_ok(n == 2, "its own does");
    t_settle(p, &old[4], 0);
    t_right(&w, "old");
    t_good(p, l, 2);
    t_end(&w);
}


/* an account of several keys is tried out once; one key's pause is its own */

static void
t_ramp_accounts(void)
{
    world_t            w;
    lease_t            a, l[9];
    pool_t            *p;
    ngx_uint_t         n;

    t_world(&w, "a1 account=a;a2 account=a;a3 account=a", 0, BIG);
    p = t_worker(&w);

    t_exhaust(p, &a, 5);
    t_time(6, 0);
    t_ok(t_all(p, l, 9) == 1, "one request for three keys of one account");
    t_good(p, l, 1);
    n = t_all(p, l, 9);
    t_ok(n == 2, "two for all three of them");

    ngx_http_ollama_pool_penalize(p, t_key(&w, 2)->number, 600);
    t_ok(t_all(p, &l[2], 7) == 0, "a pause of one key frees no other");
    t_right(&w, "a key paused in a ramp");
    t_good(p, l, n);

    ngx_http_ollama_pool_reset(p, t_key(&w, 0)->number);
    ngx_http_ollama_pool_reset(p, t_key(&w, 1)->number);
    ngx_http_ollama_pool_reset(p, t_key(&w, 2)->number);
    ngx_http_ollama_pool_penalize(p, t_key(&w, 0)->number, 5);
    t_time(6, 0);
    t_ok(t_all(p, l, 9) == 9, "an operator's pause makes no ramp");
    t_good(p, l, 9);
    t_end(&w);
}


/* a reload makes the account anew, while a stream of its last ramp goes on */

static void
t_ramp_reloaded(void)
{
    world_t            w;
    lease_t            a, b, c[2];
    pool_t            *p;
    ollama_verdict_t   v;

    t_world(&w, "one account=a;two account=a", 0, BIG);
    p = t_worker(&w);

    memset(&a, 0, sizeof(a));
    memset(&b, 0, sizeof(b));

    t_exhaust(p, &a, 10);
    t_time(11, 0);
    t_lease(&a, "m", 1);
    t_ok(t_take(p, &a) == NGX_OK, "a stream that begins in a ramp");
    t_answer(p, &a, 200, "", -1, &v);

    t_ok(t_reload(&w, "one account=a;two account=a", 0, 1) == NGX_OK,
         "goes on after a reload");
    t_as(&w, p);

    t_lease(&b, "m", 1);
    t_ok(t_take(p, &b) == NGX_OK, "so does the ramp: another one");
    t_lease(&c[0], "m", 1);
    t_lease(&c[1], "m", 1);
    t_ok(t_take(p, &c[0]) == NGX_OK && t_take(p, &c[1]) == NGX_AGAIN,
         "and no more than its step");
    t_right(&w, "a ramp after a reload");
    t_settle(p, &b, 0);
    t_settle(p, &c[0], 0);
    t_settle(p, &c[1], 0);

    t_exhaust(p, &b, 10);
    t_time(11, 0);
    t_lease(&b, "m", 1);
    t_ok(t_take(p, &b) == NGX_OK, "the next ramp");
    t_right(&w, "two ramps");
    t_settle(p, &b, 0);

    t_settle(p, &a, 0);
    t_lease(&b, "m", 1);
    t_ok(t_take(p, &b) == NGX_OK, "does not count the end of the stream");
    t_right(&w, "the stream is over");
    t_settle(p, &b, 0);
    t_end(&w);
}


static void
t_held(void)
{
    world_t            w;
    lease_t            a, l[6], *s;
    pool_t            *p;
    ngx_int_t          rc;
    ngx_uint_t         i;

    t_world(&w, "one", 0, BIG);
    p = t_worker(&w);
    t_exhaust(p, &a, 60);

    for (i = 0; i < 6; i++) {
        t_lease(&l[i], "m", 1);
        l[i].hold = ngx_time() + (i == 0 ? 30 : 120);
        l[i].held_max = 4;
    }

    t_ok(t_wait(p, &l[0]) == NGX_DECLINED && l[0].retry == ngx_time() + 60,
         "it returns too late to wait for it");

    for (i = 1; i < 5; i++) {
        t_ok(t_wait(p, &l[i]) == NGX_AGAIN, "one that waits, %lu", (unsigned long) i);
    }

    t_ok(t_wait(p, &l[5]) == NGX_DECLINED, "there are enough");
    t_settle(p, &l[4], 0);
    t_ok(t_wait(p, &l[5]) == NGX_AGAIN, "one has gone, and another has come");
    t_ok(t_served(p, &rc) == NULL, "nobody has lost hope");
    t_ok(!ngx_http_ollama_lease_hopes(p, &l[1]), "nor has any");
    t_right(&w, "held");

    t_time(61, 0);
    t_ok(ngx_http_ollama_lease_hopes(p, &l[2]), "it is back");
    s = t_served(p, &rc);
    t_ok(s == &l[1] && rc == NGX_OK && t_served(p, &rc) == NULL,
         "the first one tries it out");
    t_good(p, s, 1);
    s = t_served(p, &rc);
    t_ok(s == &l[2] && t_served(p, &rc) == &l[3]
         && t_served(p, &rc) == NULL, "two follow");
    t_right(&w, "let go");
    t_good(p, &l[2], 2);
    t_ok(t_served(p, &rc) == &l[5] && rc == NGX_OK, "and the last one");
    t_good(p, &l[5], 1);
    t_right(&w, "all of them");
    t_end(&w);
}


/* it comes back, and is used up again: for longer than some would wait */

static void
t_held_again(void)
{
    world_t            w;
    lease_t            a, l[3], *s;
    pool_t            *p;
    ngx_int_t          rc;
    ngx_uint_t         i;
    ollama_verdict_t   v;

    t_world(&w, "one", 0, BIG);
    p = t_worker(&w);
    t_exhaust(p, &a, 10);

    for (i = 0; i < 3; i++) {
        t_lease(&l[i], "m", 1);
        l[i].hold = ngx_time() + (i == 2 ? 15 : 60);
        l[i].held_max = 9;
        t_ok(t_wait(p, &l[i]) == NGX_AGAIN, "it waits, %lu", (unsigned long) i);
    }

    t_time(11, 0);
    s = t_served(p, &rc);
    t_ok(s == &l[0] && rc == NGX_OK, "one tries it out");
    t_answer(p, s, 429, QUOTA, 20, &v);
    t_ok(t_wait(p, s) == NGX_AGAIN, "in vain, and waits again");

    s = t_served(p, &rc);
    t_ok(s == &l[2] && rc == NGX_DECLINED && s->status == 429
         && s->retry == ngx_time() + 20, "who would not wait so long is told");
    t_settle(p, s, 0);
    t_ok(t_served(p, &rc) == NULL, "the others wait on");

    t_time(21, 0);
    s = t_served(p, &rc);
    t_ok(s == &l[1] && rc == NGX_OK, "the next one tries it out");
    t_good(p, s, 1);
    t_ok(t_served(p, &rc) == &l[0], "then the first");
    t_good(p, &l[0], 1);
    t_right(&w, "held again");
    t_end(&w);
}


void
t_ramps(void)
{
    t_ramp();
    t_ramp_streams();
    t_ramp_again();
    t_ramp_old();
    t_ramp_accounts();
    t_ramp_reloaded();
    t_held();
    t_held_again();
}
