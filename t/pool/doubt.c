
/* what one answer proves, and what it does not */

#include "harness.h"


#define BIG      (4 * 1024 * 1024)

#define UNAUTH   "{\"error\":\"unauthorized\"}"
#define SESSION  "{\"error\":\"you have reached your session usage limit\"}"
#define PLAN     "{\"error\":\"this model requires a subscription\"}"
#define BROKE    "{\"error\":\"extra usage balance is empty\"}"
#define PAY      "{\"error\":\"payment required\"}"
#define SLOW     "{\"error\":\"slow down\"}"


/* one request: a key, an answer; 0 if it was refused */

static ngx_uint_t
t_request(pool_t *p, const char *model, ngx_uint_t status, const char *body,
    ollama_verdict_t *v)
{
    lease_t     lease;
    ngx_uint_t  key;

    t_lease(&lease, model, 1);

    if (t_take(p, &lease) != NGX_OK) {
        return 0;
    }

    key = lease.key;

    t_answer(p, &lease, status, body, -1, v);
    t_settle(p, &lease, 0);

    return key;
}


/* the same with this key */

static ngx_uint_t
t_with(pool_t *p, pkey_t *key, const char *model, ngx_uint_t status,
    const char *body, ollama_verdict_t *v)
{
    ngx_uint_t  i;
    lease_t     l[8];

    for (i = 0; i < 8; i++) {
        t_lease(&l[i], model, 1);

        if (t_take(p, &l[i]) != NGX_OK) {
            break;
        }

        if (l[i].key == key->number) {
            t_answer(p, &l[i], status, body, -1, v);
            t_settle(p, &l[i], 0);

            while (i--) {
                t_settle(p, &l[i], 0);
            }

            return 1;
        }

        l[i].charge.tokens = 1;
    }

    while (i--) {
        t_settle(p, &l[i], 0);
    }

    return 0;
}


static void
t_hiccup(void)
{
    world_t            w;
    lease_t            a, b;
    pool_t            *p;
    ngx_uint_t         i, n;
    ollama_verdict_t   v;

    t_world(&w, "one;two;three", 0, BIG);
    p = t_worker(&w);

    for (n = 0, i = 0; i < 3; i++) {
        n += t_with(p, t_key(&w, i), "m", 200, "", &v);
    }

    t_ok(n == 3 && t_key(&w, 0)->worked && t_key(&w, 2)->worked,
         "three keys have worked");

    for (n = 0, i = 0; i < 3; i++) {
        n += t_with(p, t_key(&w, i), "m", 401, UNAUTH, &v)
             && v.key == OLLAMA_KEY_PAUSED;
    }

    t_ok(n == 3 && t_key(&w, 0)->until == ngx_time() + 2,
         "all are refused: each is paused for two seconds");
    t_right(&w, "hiccup");

    t_lease(&a, "m", 1);
    t_ok(t_take(p, &a) == NGX_OK && a.forced, "one is tried all the same");

    t_lease(&b, "m", 1);
    t_ok(t_take(p, &b) == NGX_OK && b.forced, "and another time");
    t_answer(p, &a, 401, UNAUTH, -1, &v);
    t_ok(v.key == OLLAMA_KEY_PAUSED && t_key(&w, 0)->refused == 1,
         "within the same second that is no second refusal");

    t_answer(p, &b, 200, "", -1, &v);
    t_ok(t_key(&w, 0)->until == 0 || t_key(&w, 1)->until == 0
         || t_key(&w, 2)->until == 0, "one that works is well again");
    t_settle(p, &a, 0);
    t_settle(p, &b, 0);

    t_time(2, 0);

    for (n = 0, i = 0; i < 3; i++) {
        n += t_with(p, t_key(&w, i), "m", 200, "", &v);
    }

    t_ok(n == 3 && t_key(&w, 0)->refused == 0 && t_key(&w, 1)->refused == 0
         && t_key(&w, 2)->refused == 0, "two seconds later all are");
    t_right(&w, "over");

    /* while the first one after the pause is out, others may have the key */

    for (i = 0; i < 3; i++) {
        (void) t_with(p, t_key(&w, i), "m", 401, UNAUTH, &v);
    }

    t_time(3, 0);

    for (n = 0, i = 0; i < 6; i++) {
        t_lease(&a, "m", 1);
        n += (t_take(p, &a) == NGX_OK);
    }

    t_ok(n == 6, "nobody waits for the first to be answered");
    t_right(&w, "not closed");
    t_end(&w);

    /* twice, and only one has been seen working in between */

    t_world(&w, "one;two;three", 0, BIG);
    p = t_worker(&w);

    for (i = 0; i < 3; i++) {
        (void) t_with(p, t_key(&w, i), "m", 200, "", &v);
    }

    for (i = 0; i < 3; i++) {
        (void) t_with(p, t_key(&w, i), "m", 401, UNAUTH, &v);
    }

    t_time(3, 0);
    (void) t_with(p, t_key(&w, 0), "m", 200, "", &v);
    (void) t_with(p, t_key(&w, 1), "m", 401, UNAUTH, &v);
    t_ok(t_key(&w, 1)->state == NGX_HTTP_OLLAMA_KEY_INVALID,
         "a second hiccup seems to be one key's fault");
    (void) t_with(p, t_key(&w, 2), "m", 401, UNAUTH, &v);
    (void) t_with(p, t_key(&w, 0), "m", 401, UNAUTH, &v);
    t_ok(t_key(&w, 1)->state == NGX_HTTP_OLLAMA_KEY_PAUSED
         && t_key(&w, 1)->until == ngx_time() + 2, "but is not");
    t_right(&w, "twice");
    t_end(&w);
}


static void
t_confirmed(void)
{
    world_t            w;
    pkey_t            *one;
    pool_t            *p;
    ollama_verdict_t   v;

    t_world(&w, "one;two", 0, BIG);
    p = t_worker(&w);
    one = t_key(&w, 0);

    (void) t_with(p, one, "m", 200, "", &v);
    (void) t_with(p, t_key(&w, 1), "m", 200, "", &v);

    (void) t_with(p, one, "m", 401, UNAUTH, &v);
    t_ok(one->state == NGX_HTTP_OLLAMA_KEY_PAUSED, "refused once: paused");
    (void) t_with(p, t_key(&w, 1), "m", 200, "", &v);

    t_time(3, 0);
    (void) t_with(p, one, "m", 401, UNAUTH, &v);
    t_ok(one->state == NGX_HTTP_OLLAMA_KEY_INVALID
         && one->until == ngx_time() + 3600 && !one->soft,
         "refused again, while another one works: invalid");

    t_time(3601, 0);
    (void) t_with(p, t_key(&w, 1), "m", 200, "", &v);
    t_ok(strcmp(ngx_http_ollama_state_name(one), "invalid") == 0,
         "it still says so when it may be tried again");
    (void) t_with(p, one, "m", 401, UNAUTH, &v);
    t_ok(one->until == ngx_time() + 3600, "and is, for another hour");
    t_time(3601, 0);
    (void) t_with(p, one, "m", 200, "", &v);
    t_ok(one->refused == 0 && one->state == NGX_HTTP_OLLAMA_KEY_HEALTHY,
         "until it works");
    t_right(&w, "confirmed");

    /* nobody has worked in between */

    t_time(60, 0);
    (void) t_with(p, one, "m", 401, UNAUTH, &v);
    (void) t_with(p, t_key(&w, 1), "m", 401, UNAUTH, &v);
    t_time(3, 0);
    (void) t_with(p, one, "m", 401, UNAUTH, &v);
    t_ok(v.key == OLLAMA_KEY_PAUSED && one->until == ngx_time() + 4,
         "without that it is paused for longer");
    t_end(&w);
}


static void
t_alone(void)
{
    world_t            w;
    lease_t            a, b;
    pkey_t            *one;
    pool_t            *p;
    ngx_int_t          rc;
    ngx_uint_t         i, n;
    ollama_verdict_t   v;

    /* never seen working */

    t_world(&w, "one slots=1", 0, BIG);
    p = t_worker(&w);
    one = t_key(&w, 0);

    (void) t_request(p, "m", 401, "{\"error\":\"Unauthorized, friend\"}", &v);
    t_ok(one->state == NGX_HTTP_OLLAMA_KEY_INVALID
         && one->until == ngx_time() + 10, "invalid at once, for 10 s");

    t_lease(&a, "m", 1);
    rc = t_take(p, &a);
    t_ok(rc == NGX_DECLINED && a.status == 401
         && strcmp((char *) a.reason, "Unauthorized, friend") == 0,
         "the next hears the cloud's words");

    t_time(1, 0);
    t_ok(t_request(p, "m", 401, UNAUTH, &v), "one tries again, soon");
    t_time(1, 0);

    for (n = 0, i = 0; i < 30; i++) {
        n += (t_request(p, "m", 401, UNAUTH, &v) != 0);
        t_time(1, 0);
    }

    t_ok(n == 3, "then one each 10 s (%lu)", (unsigned long) n);
    t_right(&w, "alone");

    t_time(10, 0);
    t_lease(&a, "m", 1);
    t_lease(&b, "m", 1);
    t_ok(t_take(p, &a) == NGX_OK && t_take(p, &b) == NGX_AGAIN
         && t_wait(p, &b) == NGX_AGAIN, "others wait for what it hears");
    t_answer(p, &a, 401, UNAUTH, -1, &v);
    t_settle(p, &a, 0);
    t_ok(t_served(p, &rc) == &b && rc == NGX_DECLINED && b.status == 401,
         "and hear the same");
    t_settle(p, &b, 0);

    t_time(10, 0);
    t_ok(t_request(p, "m", 200, "", &v) && one->until == 0 && one->worked,
         "it works: well");

    /* it has worked, and is refused for a minute */

    for (n = 0, i = 0; i < 62 && one->state != NGX_HTTP_OLLAMA_KEY_INVALID;
         i++)
    {
        n += (t_request(p, "m", 401, UNAUTH, &v) != 0);
        t_time(1, 0);
    }

    t_ok(i == 61 && n == 61 && one->until == ngx_time() + 9,
         "each request is tried for a minute, then it is invalid (%lu, %lu)",
         (unsigned long) i, (unsigned long) n);
    t_right(&w, "a minute");
    t_end(&w);

    /* with others that fail otherwise it is only paused */

    t_world(&w, "one;two", 0, BIG);
    p = t_worker(&w);
    one = t_key(&w, 0);

    (void) t_with(p, one, "m", 200, "", &v);
    (void) t_with(p, t_key(&w, 1), "m", 200, "", &v);

    for (i = 0; i < 8; i++) {
        (void) t_with(p, one, "m", 401, UNAUTH, &v);
        (void) t_with(p, t_key(&w, 1), "m", 503, "{}", &v);
        t_time(11, 0);
    }

    t_ok(one->state == NGX_HTTP_OLLAMA_KEY_PAUSED && one->refused == 8
         && one->until <= ngx_time(),
         "the cloud tells keys apart: paused for 10 s each time");
    t_end(&w);
}


static void
t_plan(void)
{
    world_t            w;
    lease_t            a, b;
    pkey_t            *one;
    pool_t            *p;
    ngx_int_t          rc;
    ollama_verdict_t   v;

    t_world(&w, "one slots=1;two slots=1", 0, BIG);
    p = t_worker(&w);
    one = t_key(&w, 0);

    (void) t_with(p, one, "m", 403, PLAN, &v);
    (void) t_with(p, t_key(&w, 1), "m", 403, PLAN, &v);
    t_ok(v.until == ngx_time() + 60 && one->nnotes == 1, "for a minute");

    t_time(5, 0);
    t_lease(&a, "m", 1);
    t_lease(&b, "m", 1);
    t_ok(t_take(p, &a) == NGX_OK && a.forced, "both: one is tried");
    t_answer(p, &a, 403, PLAN, -1, &v);
    t_ok(v.until == ngx_time() + 60, "for a minute still");
    a.used = 1;
    ngx_http_ollama_lease_skip(&a);
    t_ok(t_take(p, &a) == NGX_DECLINED, "and no other for this request");
    t_settle(p, &a, 0);

    t_lease(&a, "m", 1);
    t_ok(t_take(p, &a) == NGX_OK && a.forced, "another request tries again");
    t_answer(p, &a, 200, "", -1, &v);
    t_settle(p, &a, 0);
    t_ok(one->nnotes == 0 && t_key(&w, 1)->nnotes == 0,
         "it works: the notes are gone");
    t_right(&w, "plan");

    /* it comes again, after it had ended */

    t_time(120, 0);
    (void) t_with(p, one, "n", 403, PLAN, &v);
    t_time(61, 0);
    (void) t_request(p, "x", 200, "", &v);
    t_ok(one->nnotes == one->nover && one->nover >= 1, "it ends");
    (void) t_with(p, one, "n", 403, PLAN, &v);
    t_ok(v.until == ngx_time() + 3600, "the second time an hour");
    t_right(&w, "an hour");
    t_time(3601, 0);
    (void) t_with(p, one, "n", 200, "", &v);
    t_ok(one->nnotes == one->nover && one->nover == 0, "until it works");
    (void) t_with(p, one, "n", 403, PLAN, &v);
    t_ok(v.until == ngx_time() + 60, "then a minute again");
    t_right(&w, "a minute");
    t_end(&w);

    /* all slots are taken: it waits for one */

    t_world(&w, "one slots=1", 0, BIG);
    p = t_worker(&w);
    (void) t_request(p, "m", 403, PLAN, &v);
    t_lease(&a, "other", 1);
    t_take(p, &a);
    t_lease(&b, "m", 1);
    t_ok(t_wait(p, &b) == NGX_AGAIN, "the only one is busy: it waits");
    t_right(&w, "busy");
    t_settle(p, &a, 0);
    t_ok(t_served(p, &rc) == &b && rc == NGX_OK && b.forced,
         "and is tried then");
    t_settle(p, &b, 0);
    t_right(&w, "served");
    t_end(&w);
}


static void
t_money(void)
{
    world_t            w;
    lease_t            a, b;
    pool_t            *p;
    ollama_verdict_t   v;

    t_world(&w, "a1 account=a;a2 account=a;b", 0, BIG);
    p = t_worker(&w);

    (void) t_with(p, t_key(&w, 0), "m", 402, BROKE, &v);
    t_ok(v.unpaid && t_key(&w, 0)->state == NGX_HTTP_OLLAMA_KEY_EXHAUSTED
         && t_key(&w, 1)->until == ngx_time() + 900
         && t_key(&w, 2)->until == 0, "an account without money: all its keys");
    t_ok(strcmp((char *) t_key(&w, 1)->reason, "the account is out of credits")
         == 0, "for a reason of its own");
    ngx_http_ollama_pool_reset(p, t_key(&w, 1)->number);
    t_ok(t_key(&w, 0)->until == 0 && t_key(&w, 1)->until == 0,
         "a reset of one is for all of them");

    /* two models within ten minutes */

    (void) t_with(p, t_key(&w, 0), "m", 402, PAY, &v);
    t_ok(v.key == OLLAMA_KEY_MODEL_BLOCKED && t_key(&w, 1)->nnotes == 1,
         "one model that is not paid for");
    t_time(599, 0);
    (void) t_with(p, t_key(&w, 1), "n", 402, PAY, &v);
    t_ok(v.unpaid && t_key(&w, 0)->until == ngx_time() + 900
         && t_key(&w, 0)->nnotes == 0 && t_key(&w, 1)->nnotes == 0,
         "a second one: it is the account, and nothing else");
    t_right(&w, "two models");

    t_time(901, 0);
    t_ok((t_with(p, t_key(&w, 1), "x", 200, "", &v)
          || t_with(p, t_key(&w, 0), "x", 200, "", &v))
         && t_key(&w, 0)->half_open == 0 && t_key(&w, 0)->level == 0
         && t_key(&w, 1)->half_open == 0 && t_key(&w, 1)->level == 0,
         "one success is for all of them");

    (void) t_with(p, t_key(&w, 0), "m", 402, PAY, &v);
    t_time(601, 0);
    (void) t_with(p, t_key(&w, 1), "n", 402, PAY, &v);
    t_ok(v.key == OLLAMA_KEY_MODEL_BLOCKED, "eleven minutes later: one model");
    t_time(70, 0);

    /* one from before, too */

    t_lease(&a, "x", 1);
    t_lease(&b, "x", 1);
    t_take(p, &a);

    if (t_named(&a, "b")) {
        t_take(p, &b);

    } else {
        b = a;
        t_lease(&a, "x", 1);
    }

    (void) t_with(p, t_key(&w, 0), "y", 402, BROKE, &v);
    t_ok(t_key(&w, 0)->unpaid && t_key(&w, 1)->unpaid, "no money again");
    t_answer(p, &b, 200, "", -1, &v);
    t_ok(!t_named(&b, "b") && t_key(&w, 0)->until == 0
         && t_key(&w, 1)->until == 0, "any success of it");
    t_right(&w, "money");
    t_end(&w);
}


static void
t_clocks(void)
{
    world_t                  w;
    lease_t                  a;
    pkey_t                  *one;
    pool_t                  *p;
    ollama_verdict_t         v;
    ollama_record_penalty_t  penalty;

    t_world(&w, "one;two;three", 0, BIG);
    p = t_worker(&w);
    one = t_key(&w, 0);

    t_clock(2 * 86400);
    (void) t_with(p, one, "m", 429, SESSION, &v);
    (void) t_with(p, t_key(&w, 1), "m", 403, PLAN, &v);
    t_ok(v.until == ngx_time() + 60, "said two days ahead");
    t_clock(-2 * 86400);
    (void) t_request(p, "x", 200, "", &v);
    t_ok(one->until > ngx_time() && one->until <= ngx_time() + 18000,
         "the clock is set right: five hours at most");
    t_right(&w, "set back");
    t_time(3601, 0);
    (void) t_request(p, "x", 200, "", &v);
    t_ok(t_key(&w, 1)->nnotes == t_key(&w, 1)->nover, "and an hour for notes");

    ngx_http_ollama_pool_penalize(p, t_key(&w, 2)->number, 600);
    t_clock(-1000);
    (void) t_request(p, "x", 200, "", &v);
    t_ok(t_key(&w, 2)->until == ngx_time() + 600, "by an operator, too");
    t_end(&w);

    /* what the daemon gives back */

    t_world(&w, "one;two;three", 0, BIG);
    p = t_worker(&w);

    memset(&penalty, 0, sizeof(penalty));
    penalty.key = t_key(&w, 0)->number;
    penalty.time = (uint64_t) (ngx_time() + 2 * 86400) * 1000;
    penalty.until = penalty.time + 15000 * 1000;
    penalty.state = NGX_HTTP_OLLAMA_KEY_EXHAUSTED;
    penalty.http = 429;
    penalty.reason.data = (u_char *) "session usage limit reached";
    penalty.reason.len = 27;
    ngx_http_ollama_pool_restore_penalty(p, &penalty);
    t_ok(t_key(&w, 0)->until == ngx_time() + 18000, "restored: five hours");

    penalty.key = t_key(&w, 1)->number;
    penalty.time = (uint64_t) (ngx_time() - 20000) * 1000;
    ngx_http_ollama_pool_restore_penalty(p, &penalty);
    t_ok(t_key(&w, 1)->until == 0, "since it was said");

    t_lease(&a, "m", 1);
    t_ok(t_take(p, &a) == NGX_OK && !t_named(&a, "one"), "and is held");
    t_end(&w);
}


/* a request that tried a key out before its next penalty is not the next one */

static void
t_probes(void)
{
    world_t            w;
    lease_t            a, b, c, d;
    pool_t            *p;
    ollama_verdict_t   v;

    t_world(&w, "one", 0, BIG);
    p = t_worker(&w);

    t_lease(&a, "m", 1);
    t_take(p, &a);
    t_answer(p, &a, 429, SLOW, 5, &v);
    t_settle(p, &a, 0);

    t_time(6, 0);
    t_lease(&b, "m", 1);
    t_take(p, &b);
    ngx_http_ollama_pool_penalize(p, t_key(&w, 0)->number, 5);
    t_time(6, 0);

    t_lease(&c, "m", 1);
    t_lease(&d, "m", 1);
    t_ok(t_take(p, &c) == NGX_OK && t_take(p, &d) == NGX_AGAIN,
         "one tries the key out");
    t_settle(p, &b, 0);
    t_ok(t_take(p, &d) == NGX_AGAIN,
         "one from before that ends lets no second one in");
    t_right(&w, "probes");
    t_settle(p, &c, 0);
    t_ok(t_take(p, &d) == NGX_OK, "the one itself does");
    t_settle(p, &d, 0);

    /* what is told once is not told again */

    t_world(&w, "one slots=1", 0, BIG);
    p = t_worker(&w);
    t_lease(&a, "m", 1);
    t_take(p, &a);
    t_lease(&b, "m", 1);
    b.dry = 1;
    t_take(p, &b);
    t_ok(b.would_refuse, "a dry run that would refuse");
    b.used = 1;
    t_settle(p, &a, 0);
    t_settle(p, &b, 0);
    b.dry = 0;
    t_ok(t_take(p, &b) == NGX_OK && !b.would_refuse && !b.used,
         "the next upstream's does not");
    t_settle(p, &b, 0);
    t_end(&w);
}


void
t_doubt(void)
{
    t_hiccup();
    t_confirmed();
    t_alone();
    t_plan();
    t_money();
    t_clocks();
    t_probes();
}
