
#include "harness.h"

#include <sys/wait.h>


#define BIG  (4 * 1024 * 1024)

#define SESSION  "{\"error\":\"you have reached your session usage limit\"}"
#define MANY     "{\"error\":\"too many concurrent requests\"}"
#define SLOW     "{\"error\":\"slow down\"}"
#define PLAN     "{\"error\":\"this model requires a subscription\"}"


void
t_right(world_t *w, const char *where)
{
    const char  *wrong;

    wrong = t_check(w);

    t_ok(wrong == NULL, "%s: all is counted%s%s", where, wrong ? ", but " : "",
         wrong ? wrong : "");
}


static void
t_least(void)
{
    world_t    w;
    lease_t    a, b, c, d;
    pool_t    *p;
    uint32_t   least, next;

    t_world(&w, "one;two;three weight=2;four off", 0, BIG);
    p = t_worker(&w);

    t_lease(&a, "m", 100);
    t_lease(&b, "m", 100);
    t_lease(&c, "m", 100);
    t_lease(&d, "m", 100);

    t_take(p, &a);
    t_take(p, &b);
    t_take(p, &c);

    t_ok(a.key != b.key && b.key != c.key && a.key != c.key,
         "equal keys take turns");

    t_take(p, &d);
    t_ok(t_named(&d, "three"), "a key of weight 2 gets twice as much");

    least = b.key;
    next = a.key;

    t_settle(p, &a, 1000);
    t_settle(p, &b, 10);
    t_settle(p, &c, 2000);
    t_settle(p, &d, 2000);

    memset(&c, 0, sizeof(c));
    t_lease(&c, "m", 0);
    t_take(p, &c);
    t_ok(c.key == least, "the least used is chosen");

    t_ok(c.authorization.len > 7
         && memcmp(c.authorization.data, "Bearer two", 10) == 0
         && t_named(&c, "two"),
         "with the authorization of this key");

    ngx_http_ollama_lease_skip(&c);
    t_take(p, &c);
    t_ok(c.key == next, "and the next when that one was tried");

    t_right(&w, "least used");
    t_settle(p, &c, 5);
    t_settle(p, &c, 5);
    t_right(&w, "settled twice");
    t_end(&w);
}


static void
t_fifo(void)
{
    world_t            w;
    lease_t            h[2], n[6], *l;
    pool_t            *p, *o;
    ngx_int_t          rc;
    ngx_uint_t         i;
    ollama_verdict_t   v;

    t_world(&w, "one slots=1;two slots=1", 0, BIG);
    p = t_worker(&w);
    o = t_worker(&w);

    /* "two" may not serve "x" */

    t_lease(&h[0], "x", 1);
    t_lease(&h[1], "x", 1);
    t_take(p, &h[0]);
    t_take(p, &h[1]);

    if (!t_named(&h[0], "one")) {
        lease_t  h2 = h[0];
        t_ok(1, "first key is two");
        t_answer(p, &h[0], 403, PLAN, -1, &v);
        (void) h2;

    } else {
        t_answer(p, &h[1], 403, PLAN, -1, &v);
    }

    t_ok(v.key == OLLAMA_KEY_MODEL_BLOCKED, "a key may not serve a model");

    t_lease(&n[0], "x", 1);
    t_lease(&n[1], "y", 1);
    t_lease(&n[2], "x", 1);
    t_lease(&n[3], "y", 1);
    t_lease(&n[4], "y", 1);
    t_lease(&n[5], "", 1);

    /* the third of "y" has tried "two" */

    t_lease(&n[4], "y", 1);
    n[4].tried[0] = t_key(&w, t_named(&h[0], "one") ? 1 : 0)->number;
    n[4].ntried = 1;

    for (i = 0; i < 6; i++) {
        rc = t_wait((i % 2) ? o : p, &n[i]);

        if (rc != NGX_AGAIN) {
            break;
        }
    }

    t_ok(i == 6, "with all slots taken everybody waits");
    t_ok(strcmp((char *) n[0].reason, "all slots are taken") == 0
         && n[0].status == 429 && n[0].retry == ngx_time() + 1,
         "and knows why");

    t_right(&w, "six wait");
    t_ok(t_served(p, &rc) == NULL && t_served(o, &rc) == NULL,
         "nobody has news");

    /* the key that may not serve "x" is free: for "y" */

    i = t_named(&h[0], "one") ? 1 : 0;
    t_settle(p, &h[i], 10);

    t_right(&w, "a slot is free");
    t_ok(t_served(p, &rc) == NULL, "the first, whom it may not serve, waits");

    l = t_served(o, &rc);
    t_ok(l == &n[1] && rc == NGX_OK && n[1].key, "the second has it");
    t_ok(t_served(o, &rc) == NULL, "and nobody else");

    t_settle(o, &n[1], 10);
    l = t_served(o, &rc);
    t_ok(l == &n[3], "then the fourth");

    t_settle(o, &n[3], 10);
    t_ok(t_served(p, &rc) == NULL, "one that has tried the key is passed");
    l = t_served(o, &rc);
    t_ok(l == &n[5], "the sixth, of no model, has it");

    /* now the other key: first come, first served */

    t_settle(p, &h[1 - i], 10);
    l = t_served(p, &rc);
    t_ok(l == &n[0], "the other key goes to the first");
    t_settle(p, &n[0], 10);
    l = t_served(p, &rc);
    t_ok(l == &n[2], "then to the third");
    t_settle(p, &n[2], 10);
    l = t_served(p, &rc);
    t_ok(l == &n[4], "then to the one that has tried");
    t_settle(p, &n[4], 10);
    t_settle(o, &n[5], 10);

    t_right(&w, "all served");
    t_ok(w.pool->sh->in_flight == 0 && w.pool->sh->nwaiting == 0,
         "nothing is left");

    t_end(&w);
}


static void
t_accounts(void)
{
    world_t            w;
    lease_t            a, b, c, d;
    pool_t            *p;
    ngx_int_t          rc;
    ollama_verdict_t   v;

    t_world(&w, "a1 account=a slots=2;a2 account=a slots=3;b slots=1", 0, BIG);
    p = t_worker(&w);

    t_lease(&a, "m", 1);
    t_lease(&b, "m", 1);
    t_lease(&c, "m", 1);
    t_lease(&d, "m", 1);

    t_ok(t_take(p, &a) == NGX_OK && t_take(p, &b) == NGX_OK
         && t_take(p, &c) == NGX_OK, "three slots in two accounts");
    t_ok(t_take(p, &d) == NGX_AGAIN, "and no fourth");
    t_ok(t_wait(p, &d) == NGX_AGAIN, "it waits");

    t_settle(p, &a, 1);
    t_ok(t_served(p, &rc) == &d && rc == NGX_OK, "until one is free");
    t_right(&w, "accounts");

    /* the session is over for all keys of the account */

    if (t_named(&d, "b")) {
        lease_t  *x = t_named(&b, "b") ? &c : &b;
        t_answer(p, x, 429, SESSION, -1, &v);

    } else {
        t_answer(p, &d, 429, SESSION, -1, &v);
    }

    t_ok(t_key(&w, 0)->until && t_key(&w, 0)->until == t_key(&w, 1)->until
         && t_key(&w, 2)->until == 0, "an account's quota is that of its keys");

    t_right(&w, "quota");
    t_settle(p, &b, 1);
    t_settle(p, &c, 1);
    t_settle(p, &d, 1);
    t_end(&w);
}


static void
t_half_open(void)
{
    world_t            w;
    lease_t            a, b, c, *l;
    pool_t            *p;
    ngx_int_t          rc;
    ollama_verdict_t   v;

    t_world(&w, "one", 0, BIG);
    p = t_worker(&w);

    t_lease(&a, "m", 1);
    t_lease(&b, "m", 1);
    t_lease(&c, "m", 1);

    t_take(p, &a);
    t_answer(p, &a, 429, SLOW, 20, &v);
    t_ok(v.key == OLLAMA_KEY_PAUSED, "a key is paused");
    t_settle(p, &a, 0);

    rc = t_take(p, &b);
    t_ok(rc == NGX_DECLINED && b.status == 429
         && b.retry == ngx_time() + 20, "declined until it is back");
    t_ok(ngx_http_ollama_lease_when(p, &b) == ngx_time() + 20, "when: then");

    t_time(21, 0);

    t_ok(t_take(p, &b) == NGX_OK, "it is back, for one");
    t_ok(t_wait(p, &c) == NGX_AGAIN, "and for no other");
    t_right(&w, "half-open");
    t_ok(t_served(p, &rc) == NULL, "who waits");

    t_answer(p, &b, 200, "", -1, &v);

    l = t_served(p, &rc);
    t_ok(l == &c && rc == NGX_OK, "until it has proven");
    t_ok(t_key(&w, 0)->level == 0 && t_key(&w, 0)->half_open == 0,
         "all is forgiven");

    /* it fails again: one step up, and the waiters lose hope */

    t_settle(p, &c, 1);
    t_settle(p, &b, 1);
    t_right(&w, "proven");
    t_end(&w);
}


static void
t_hope(void)
{
    world_t            w;
    lease_t            a, b, c, d, *l;
    pool_t            *p, *o;
    ngx_int_t          rc;
    ollama_verdict_t   v;

    t_world(&w, "one slots=1;two slots=1 off", 0, BIG);
    p = t_worker(&w);
    o = t_worker(&w);

    t_lease(&a, "m", 1);
    t_lease(&b, "m", 1);
    t_lease(&c, "m", 1);
    t_lease(&d, "m", 1);

    t_take(p, &a);
    t_wait(o, &b);
    t_wait(o, &c);

    t_answer(p, &a, 429, SESSION, -1, &v);

    l = t_served(o, &rc);
    t_ok(l && rc == NGX_DECLINED && l->status == 429 && l->retry == v.until
         && strcmp((char *) l->reason, "session usage limit reached") == 0,
         "a waiter whom no key will serve is told why");

    t_settle(o, l, 0);

    t_ok(ngx_http_ollama_pool_reset(o, t_key(&w, 0)->number) == NGX_OK,
         "a reset");
    t_right(&w, "reset");

    l = t_served(o, &rc);
    t_ok(l == NULL, "leaves the slot to the one who has it");

    t_settle(p, &a, 0);
    l = t_served(o, &rc);
    t_ok(l && rc == NGX_OK, "and then it goes on");
    t_settle(o, l, 0);

    /* SLOTS is worth waiting for */

    t_lease(&a, "m", 1);
    t_take(p, &a);
    t_answer(p, &a, 429, MANY, 5, &v);
    t_settle(p, &a, 0);
    t_ok(t_wait(p, &d) == NGX_AGAIN && d.retry == ngx_time() + 5,
         "a key that is only too busy is waited for");
    t_time(5, 0);
    t_ok(ngx_http_ollama_pool_news(p), "its pause ends: somebody has to look");
    l = t_served(p, &rc);
    t_ok(l == &d && rc == NGX_OK, "and has the key");
    t_settle(p, &d, 0);
    t_right(&w, "hope");
    t_end(&w);
}


/* fault 1: a worker that is stopped keeps no key from the others */

static void
t_stalled(void)
{
    world_t   w;
    lease_t   h[2], a, a2, b, *l;
    pool_t   *p, *o;
    ngx_int_t rc;

    t_world(&w, "one slots=1;two slots=1", 0, BIG);
    p = t_worker(&w);       /* is stopped */
    o = t_worker(&w);

    t_lease(&h[0], "m", 1);
    t_lease(&h[1], "m", 1);
    t_take(o, &h[0]);
    t_take(o, &h[1]);

    t_lease(&a, "m", 1);
    t_lease(&a2, "m", 1);
    t_lease(&b, "m", 1);
    t_wait(p, &a);
    t_wait(p, &a2);
    t_wait(o, &b);

    t_settle(o, &h[0], 1);
    t_ok(w.workers[0].process->news == 1 && t_served(o, &rc) == NULL,
         "the first one is handed a key");

    t_time(0, 1000);
    t_ok(t_served(o, &rc) == NULL, "for a second");
    t_time(0, 2);
    t_ok(ngx_http_ollama_pool_news(o), "then somebody has to look");

    l = t_served(o, &rc);
    t_ok(l == &b && rc == NGX_OK, "and the key goes to one who runs");
    t_right(&w, "stalled");

    t_settle(o, &h[1], 1);
    t_ok(t_take(o, &h[1]) == NGX_OK,
         "a new request has the other: nobody waits for those who do not run");
    t_right(&w, "passed");

    t_settle(o, &h[1], 1);
    t_ok(w.workers[0].process->news == 0 && w.pool->sh->nwaiting == 2,
         "nothing is handed to it");

    /* it goes on: in order of arrival */

    l = t_served(p, &rc);
    t_ok(l == &a && rc == NGX_OK, "it runs again, and its first has a key");
    t_ok(t_served(p, &rc) == NULL, "one");
    t_settle(o, &b, 1);
    t_ok(t_served(p, &rc) == &a2, "and then the second");
    t_right(&w, "returned");

    t_settle(p, &a, 1);
    t_settle(p, &a2, 1);
    t_end(&w);
}


static void
t_processes(void)
{
    world_t      w;
    lease_t      l[300], x;
    pool_t      *p;
    ngx_int_t    rc;
    ngx_uint_t   i, n;

    t_world(&w, "one slots=300", 0, BIG);

    n = 0;

    for (i = 0; i < 300; i++) {
        p = t_worker(&w);
        t_lease(&l[i], "m", 10);
        n += (t_take(p, &l[i]) == NGX_OK && p->process != NULL);
    }

    t_ok(n == 300, "300 processes have their leases counted");
    t_right(&w, "300 processes");

    t_lease(&x, "m", 10);
    t_as(&w, &w.workers[0]);
    t_ok(t_wait(&w.workers[0], &x) == NGX_AGAIN, "all slots are taken");

    for (i = 100; i < 300; i++) {
        t_kill(&w, i);
    }

    for (i = 0; i < 20; i++) {
        t_time(1, 0);
        (void) ngx_http_ollama_lease_when(&w.workers[0], &x);
    }

    t_ok(w.pool->sh->nprocesses == 100 && w.pool->sh->in_flight == 101,
         "200 were killed: what they held is back (%lu, %lu)",
         (unsigned long) w.pool->sh->nprocesses,
         (unsigned long) w.pool->sh->in_flight);
    t_ok(t_served(&w.workers[0], &rc) == &x, "and one of these slots is used");
    t_right(&w, "reaped");

    ngx_http_ollama_pool_exit_process(&w.workers[1]);
    t_ok(w.pool->sh->nprocesses == 99 && w.pool->sh->in_flight == 100,
         "one that exits gives back, too");
    t_settle(&w.workers[1], &l[1], 100);
    t_ok(w.pool->sh->in_flight == 100 && t_key(&w, 0)->window.sum == 0,
         "once");
    t_right(&w, "exited");
    t_end(&w);
}


static void
t_reloads(void)
{
    world_t      w;
    lease_t      a, b, x;
    pool_t      *p;
    ngx_int_t    rc;
    ngx_uint_t   i, free;
    uint32_t     two, key;
    ngx_str_t    text;

    t_world(&w, "one slots=1;two slots=1;three slots=1", 0, BIG);
    p = t_worker(&w);

    t_lease(&a, "m", 10);
    t_take(p, &a);
    t_settle(p, &a, 5000);
    two = t_key(&w, 1)->number;

    free = w.pool->shpool->pfree;

    for (i = 0; i < 20; i++) {
        if (t_reload(&w, NULL, 500 + i, 0) != NGX_OK) {
            break;
        }
    }

    t_ok(i == 20 && w.pool->shpool->pfree == free,
         "20 reloads that fail later leave nothing (%lu of %lu pages free)",
         (unsigned long) w.pool->shpool->pfree, (unsigned long) free);
    t_ok(w.pool->sh->nkeys == 3 && w.pool->sh->nlive == 3,
         "and their keys are not seen");

    t_ok(t_reload(&w, NULL, 20000, 1) == NGX_ERROR,
         "one with too many keys fails");
    t_ok(w.pool->shpool->pfree == free,
         "and leaves nothing (%lu of %lu pages free)",
         (unsigned long) w.pool->shpool->pfree, (unsigned long) free);
    t_right(&w, "refused");

    t_lease(&a, "m", 10);
    t_lease(&b, "m", 10);
    t_take(p, &a);
    t_take(p, &b);

    t_ok(t_reload(&w, "three slots=1;new slots=1;one slots=1;more", 0, 1)
         == NGX_OK, "a list with a key less and two more");
    t_right(&w, "reloaded");
    t_ok(w.pool->sh->nkeys == 4 && w.pool->sh->nlive == 5,
         "the key that left is known while it is of use");
    t_ok(ngx_http_ollama_pool_reset(p, two) == NGX_DECLINED,
         "but cannot be reset");

    t_settle(p, &a, 1);
    t_settle(p, &b, 1);
    t_right(&w, "settled afterwards");

    t_time(8000, 0);
    t_ok(t_reload(&w, "new;one", 0, 1) == NGX_OK && w.pool->sh->nlive == 2,
         "two hours later it is gone");
    t_right(&w, "forgotten");

    ngx_str_set(&text, "one");
    t_ok(ngx_http_ollama_pool_find(p, &text, &key) == NGX_OK
         && key == t_key(&w, 1)->number, "found by name");
    ngx_str_set(&text, "0");
    t_ok(ngx_http_ollama_pool_find(p, &text, &key) == NGX_OK
         && key == t_key(&w, 0)->number, "by position");

    text.data = (u_char *) malloc(9);
    text.len = 8;
    sprintf((char *) text.data, "%08x", t_key(&w, 1)->number);
    t_ok(ngx_http_ollama_pool_find(p, &text, &key) == NGX_OK
         && key == t_key(&w, 1)->number, "by fingerprint");
    ngx_str_set(&text, "nobody");
    t_ok(ngx_http_ollama_pool_find(p, &text, &key) == NGX_DECLINED,
         "or not");

    /* many reloads, growing and shrinking */

    for (i = 0; i < 50; i++) {
        t_time(10000, 0);

        if (t_reload(&w, NULL, (i % 2) ? 3 : 100 + i, 1) != NGX_OK) {
            break;
        }
    }

    t_ok(i == 50, "50 reloads");
    t_right(&w, "50 reloads");

    t_lease(&x, "m", 1);
    rc = t_take(p, &x);
    t_ok(rc == NGX_OK, "and it serves");
    t_settle(p, &x, 1);
    t_end(&w);
}


static void
t_behind(void)
{
    world_t            w;
    lease_t            a;
    pool_t            *p;
    ngx_uint_t         i, n;
    ollama_verdict_t   v;

    t_world(&w, "one;two;three", 0, BIG);
    p = t_worker(&w);

    t_lease(&a, "m", 1);
    t_take(p, &a);
    t_answer(p, &a, 0, "", -1, &v);
    t_ok(v.request == OLLAMA_REQUEST_OTHER_KEY_ONCE && t_named(&a, "one"),
         "a connection lost early: another key");
    t_settle(p, &a, 0);

    n = 0;

    for (i = 0; i < 30; i++) {
        t_lease(&a, "m", 1);
        t_take(p, &a);
        n += t_named(&a, "one");
        t_settle(p, &a, 0);
    }

    t_ok(n == 0, "this one is behind the others");
    t_ok(t_key(&w, 0)->is_ready && t_key(&w, 0)->until == 0, "but no worse");

    t_time(3, 0);

    for (i = 0; i < 3; i++) {
        t_lease(&a, "m", 1);
        t_take(p, &a);
        if (t_named(&a, "one")) {
            break;
        }
        t_settle(p, &a, 0);
    }

    t_ok(i < 3, "for a moment");
    t_answer(p, &a, 0, "", -1, &v);
    t_ok(t_key(&w, 0)->behind_until == ngx_time() + 3, "then for two seconds");
    t_answer(p, &a, 200, "", -1, &v);
    t_ok(t_key(&w, 0)->behind == 0 && t_key(&w, 0)->behind_until == 0,
         "and forgotten when it serves");
    t_right(&w, "behind");
    t_end(&w);
}


static ngx_uint_t           t_ntold;
static ngx_http_ollama_penalty_t  t_told[300];


static void
t_changed(void *data, ngx_http_ollama_penalty_t *penalty)
{
    if (t_ntold < 300) {
        t_told[t_ntold++] = *penalty;
    }
}


static void
t_penalties(void)
{
    char                         model[300];
    world_t                      w;
    lease_t                      a, b;
    pool_t                      *p;
    ngx_uint_t                   i, n;
    uint32_t                     one;
    ollama_verdict_t             v;
    ngx_http_ollama_cursor_t     cursor;
    ngx_http_ollama_penalty_t    out[64];
    ngx_http_ollama_snapshot_t   s[8];

    t_world(&w, "one slots=5;two", 0, BIG);
    ngx_http_ollama_pool_set_changed(w.pool, t_changed, NULL);
    p = t_worker(&w);
    one = t_key(&w, 0)->number;

    for (i = 0; i < 100; i++) {
        sprintf(model, "model-%lu", (unsigned long) i);
        t_lease(&a, model, 1);
        a.tried[0] = t_key(&w, 1)->number;
        a.ntried = 1;
        t_take(p, &a);
        t_answer(p, &a, 403, PLAN, -1, &v);
        t_settle(p, &a, 0);
    }

    t_right(&w, "100 models");
    t_ok(t_ntold == 64, "64 notes are told (%lu)", (unsigned long) t_ntold);
    t_ok(t_told[0].until == ngx_time() + 60 && t_told[0].http == 403
         && t_told[0].model_len == 7 && strcmp(t_told[0].status,
                                                "model blocked") == 0,
         "each with model and end");
    t_ok(ngx_http_ollama_pool_blocks(p, one, 0, out, 40) == 40
         && ngx_http_ollama_pool_blocks(p, one, 40, out, 40) == 24,
         "they are shown in parts");

    t_lease(&b, "model-3", 1);
    t_take(p, &b);
    t_ok(t_named(&b, "two"), "the other key serves it");
    ngx_http_ollama_lease_skip(&b);
    t_ok(t_take(p, &b) == NGX_DECLINED && b.status == 503
         && b.retry == ngx_time() + 60 && t_named(&b, "two")
         && strcmp((char *) b.reason, "no key may use this model") == 0,
         "refused: the lease keeps the key it has");
    t_settle(p, &b, 0);

    t_ntold = 0;
    t_key(&w, 0)->account->learned = 1;
    ngx_http_ollama_pool_reset(p, one);
    t_ok(t_ntold == 65 && t_told[0].until == 0 && t_told[64].learned == 0,
         "a reset takes all back, the slots too (%lu)",
         (unsigned long) t_ntold);
    t_right(&w, "reset");

    t_ntold = 0;
    ngx_http_ollama_pool_penalize(p, one, 100);
    t_ok(t_ntold == 1 && t_told[0].until == ngx_time() + 100
         && strcmp(t_told[0].status, "penalized") == 0, "penalized");

    memset(&cursor, 0, sizeof(cursor));
    n = ngx_http_ollama_pool_list(p, &cursor, s, 8);
    t_ok(n == 2 && s[0].number == one && !s[0].eligible && s[1].eligible
         && s[0].slots == 5 && strcmp(s[0].state_name, "penalized") == 0
         && strcmp(s[0].status, "paused by an operator") == 0
         && ngx_http_ollama_pool_list(p, &cursor, s, 8) == 0, "the list");

    n = ngx_http_ollama_pool_changes(p, s, 8);
    t_ok(n == 2 && ngx_http_ollama_pool_changes(p, s, 8) == 0,
         "changes are given once (%lu)", (unsigned long) n);

    t_lease(&a, "m", 7);
    t_take(p, &a);
    a.used = 1;
    n = ngx_http_ollama_pool_changes(p, s, 8);
    t_ok(n == 1 && s[0].in_flight == 1 && s[0].reserved == 7
         && s[0].name_len == 3, "and again when there is something new");
    t_settle(p, &a, 33);
    n = ngx_http_ollama_pool_changes(p, s, 8);
    t_ok(n == 1 && s[0].usage == 33 && s[0].requests == 1, "usage");

    t_end(&w);
}


static void
t_dry(void)
{
    world_t            w;
    lease_t            a, b;
    pool_t            *p;
    ollama_verdict_t   v;

    t_world(&w, "one slots=1;two", 0, BIG);
    p = t_worker(&w);

    t_lease(&a, "m", 1);
    a.tried[0] = t_key(&w, 0)->number;
    a.ntried = 1;
    t_take(p, &a);
    t_answer(p, &a, 401, "{}", -1, &v);
    t_settle(p, &a, 0);

    t_lease(&a, "m", 1);
    t_take(p, &a);
    t_ok(t_named(&a, "one") && !a.would_refuse, "one slot");

    t_lease(&b, "m", 1);
    b.dry = 1;
    t_ok(t_take(p, &b) == NGX_OK && b.would_refuse && t_named(&b, "one")
         && b.status == 429, "a dry run refuses nothing: a busy key");
    t_right(&w, "dry");

    t_answer(p, &a, 429, SESSION, -1, &v);
    t_settle(p, &b, 0);
    t_lease(&b, "m", 1);
    b.dry = 1;
    t_ok(t_wait(p, &b) == NGX_OK && t_named(&b, "one"),
         "rather an exhausted one than an invalid one");
    t_settle(p, &a, 0);
    t_settle(p, &b, 0);
    t_right(&w, "dry");

    t_lease(&a, "", 0);
    ngx_http_ollama_lease_any(p, &a);
    t_ok(t_named(&a, "one") && t_key(&w, 0)->pins == 1
         && t_key(&w, 0)->in_flight == 0, "any key: without a slot");
    t_right(&w, "any");
    t_settle(p, &a, 0);
    t_right(&w, "any");
    t_end(&w);
}


static void
t_nodeless(void)
{
    world_t      w;
    lease_t      a, b, *many;
    pool_t      *p;
    pool_t       lost;
    ngx_uint_t   i, n;

    t_world(&w, "one", 0, 200 * 1024);
    p = t_worker(&w);

    many = calloc(20000, sizeof(lease_t));
    n = 0;

    for (i = 0; i < 20000; i++) {
        t_lease(&many[i], "m", 10);
        n += (t_take(p, &many[i]) == NGX_OK);
    }

    t_ok(n == 20000 && w.pool->sh->in_flight < n,
         "20000 requests have a key, %lu of them are counted",
         (unsigned long) w.pool->sh->in_flight);
    t_right(&w, "full");

    t_lease(&a, "m", 10);
    t_take(p, &a);
    t_settle(p, &a, 77);
    t_settle(p, &a, 77);
    t_ok(t_key(&w, 0)->window.sum == 77, "tokens are, once");

    for (i = 0; i < 20000; i++) {
        t_settle(p, &many[i], 0);
    }

    t_ok(w.pool->sh->in_flight == 0, "and all comes back");
    t_right(&w, "empty");
    free(many);

    /* a process without a node */

    lost = *w.pool;
    lost.process = NULL;
    t_lease(&a, "m", 10);
    t_lease(&b, "m", 10);
    t_ok(t_take(&lost, &a) == NGX_OK && t_named(&a, "one")
         && t_wait(&lost, &b) == NGX_OK
         && !ngx_http_ollama_pool_news(&lost),
         "a process without memory serves all the same");
    t_settle(&lost, &a, 0);
    t_settle(&lost, &b, 0);
    ngx_http_ollama_lease_any(&lost, &a);
    t_ok(t_named(&a, "one"), "with any key, too");
    t_settle(&lost, &a, 0);
    t_right(&w, "lost");
    t_end(&w);
}


static void
t_restore(void)
{
    world_t                  w;
    pool_t                  *p;
    ollama_record_usage_t    usage;
    ollama_record_penalty_t  penalty;

    t_world(&w, "one;two", 0, BIG);
    p = t_worker(&w);

    memset(&usage, 0, sizeof(usage));
    usage.key = t_key(&w, 1)->number;
    usage.n = 1;
    usage.minutes[0].minute = ngx_time() / 60 - 3;
    usage.minutes[0].tokens = 1234;

    memset(&penalty, 0, sizeof(penalty));
    penalty.key = t_key(&w, 0)->number;
    penalty.until = (uint64_t) (ngx_time() + 50) * 1000;
    penalty.state = NGX_HTTP_OLLAMA_KEY_EXHAUSTED;
    penalty.level = 2;
    penalty.max_concurrent = 3;
    penalty.reason.data = (u_char *) "because";
    penalty.reason.len = 7;

    ngx_http_ollama_pool_restore_usage(p, &usage);
    ngx_http_ollama_pool_restore_penalty(p, &penalty);

    t_ok(t_key(&w, 1)->window.sum == 1234, "usage is restored");
    t_ok(t_key(&w, 0)->until == ngx_time() + 50
         && t_key(&w, 0)->level == 2 && t_key(&w, 0)->account->learned == 3,
         "and a penalty");

    penalty.model.data = (u_char *) "m";
    penalty.model.len = 1;
    penalty.key = t_key(&w, 1)->number;
    ngx_http_ollama_pool_restore_penalty(p, &penalty);
    t_ok(t_key(&w, 1)->nnotes == 1, "and a note");
    t_right(&w, "restored");

    ngx_http_ollama_pool_restore_done(p);
    usage.minutes[0].tokens = 9999;
    ngx_http_ollama_pool_restore_usage(p, &usage);
    t_ok(ngx_http_ollama_pool_restored(p) && t_key(&w, 1)->window.sum == 1234,
         "but not after the pool knows better");

    t_time(51, 0);
    t_book(p, t_key(&w, 1)->number, 6);
    t_ok(t_key(&w, 1)->window.sum == 1240
         && t_key(&w, 1)->nnotes == t_key(&w, 1)->nover
         && t_key(&w, 0)->until == 0, "it ends, to the second");
    t_right(&w, "over");

    /* two hours later, minute by minute */

    t_time(7300, 0);
    t_book(p, t_key(&w, 1)->number, 0);
    t_time(1, 0);
    t_book(p, t_key(&w, 1)->number, 0);
    t_ok(t_key(&w, 1)->window.sum == 0, "and the tokens have left");
    t_end(&w);
}


/* a burst: one key without limits comes back, 1000 wait for it */

static void
t_burst(void)
{
    world_t            w;
    lease_t           *many, a;
    pool_t            *p, *o;
    ngx_int_t          rc;
    ngx_uint_t         i, n, news, order;
    lease_t           *l;
    ollama_verdict_t   v;

    t_world(&w, "one", 0, BIG);
    p = t_worker(&w);
    o = t_worker(&w);

    t_lease(&a, "m", 1);
    t_take(p, &a);
    t_answer(p, &a, 429, MANY, 3, &v);
    t_settle(p, &a, 0);

    many = calloc(1000, sizeof(lease_t));

    for (i = 0; i < 1000; i++) {
        t_lease(&many[i], "m", 1);
        t_wait((i % 2) ? p : o, &many[i]);
    }

    t_ok(w.pool->sh->nwaiting == 1000, "1000 wait");

    t_time(3, 0);
    l = t_served((w.pool->sh->nwaiting % 2) ? p : o, &rc);
    t_ok(l == &many[0] && rc == NGX_OK, "one tries it out");
    t_right(&w, "tried out");
    t_answer(o, l, 200, "", -1, &v);
    t_right(&w, "proven");

    n = 1;
    order = 1;

    for (i = 0; i < 100 && n < 1000; i++) {
        news = n;

        while ((l = t_served(o, &rc)) != NULL) {
            n++;
        }

        while ((l = t_served(p, &rc)) != NULL) {
            n++;
        }

        order &= (n > news);
    }

    t_ok(n == 1000 && order, "and all have it, in %lu looks",
         (unsigned long) i);
    t_right(&w, "burst");

    for (i = 0; i < 1000; i++) {
        t_settle((i % 2) ? p : o, &many[i], 1);
    }

    t_ok(w.pool->sh->in_flight == 0, "nothing is left");
    free(many);
    t_end(&w);
}


void
t_cases(void)
{
    t_ok(sizeof(ngx_http_ollama_key_t) <= 1024, "a key takes %lu bytes",
         (unsigned long) sizeof(ngx_http_ollama_key_t));
    t_ok(sizeof(ngx_http_ollama_book_t) <= 1024, "and its book %lu",
         (unsigned long) sizeof(ngx_http_ollama_book_t));
    t_note("node %lu, note %lu, shared %lu",
           (unsigned long) sizeof(ngx_http_ollama_node_t),
           (unsigned long) sizeof(ngx_http_ollama_note_t),
           (unsigned long) sizeof(ngx_http_ollama_shared_t));

    t_least();
    t_fifo();
    t_accounts();
    t_half_open();
    t_hope();
    t_stalled();
    t_processes();
    t_reloads();
    t_behind();
    t_penalties();
    t_dry();
    t_nodeless();
    t_restore();
    t_burst();
    t_doubt();
    t_costs();
    t_balances();
    t_ramps();
    t_turns();
}
