
#include "harness.h"


#define LEASES  400
#define MODELS  80              /* more than there are entries for */


static uint64_t  t_seed = 88172645463325252ULL;


static ngx_uint_t
t_rand(ngx_uint_t n)
{
    t_seed ^= t_seed << 13;
    t_seed ^= t_seed >> 7;
    t_seed ^= t_seed << 17;

    return (t_seed >> 11) % n;
}


typedef struct {
    lease_t      lease;
    pool_t      *worker;
    ngx_uint_t   state;         /* 0: free, 1: has a key, 2: waits */
} slot_t;


static slot_t  t_slots[LEASES];


static void
t_list(char *text)
{
    char        *p;
    ngx_uint_t   i, n;

    p = text;
    n = 5 + t_rand(150);

    for (i = 0; i < n; i++) {
        p += sprintf(p, "%sk%lu", i ? ";" : "", (unsigned long) (i * 3
                                                         + t_rand(3)));

        if (t_rand(3)) {
            p += sprintf(p, " slots=%lu", (unsigned long) (1 + t_rand(3)));
        }

        if (t_rand(4) == 0) {
            p += sprintf(p, " account=a%lu", (unsigned long) t_rand(10));
        }

        if (t_rand(10) == 0) {
            p += sprintf(p, " off");
        }

        if (t_rand(4) == 0) {
            p += sprintf(p, " tier=%lu", (unsigned long) t_rand(3));
        }

        if (t_rand(6) == 0) {
            p += sprintf(p, t_rand(2) ? " floor=10%%" : " floor=5usd");
        }

        p += sprintf(p, " weight=%lu", (unsigned long) (1 + t_rand(3)));
    }
}


/* how keys are chosen, from the next list on */

static void
t_rule(void)
{
    t_rules.usual = t_rand(4) ? 600 : 0;
    t_rules.tokens = (t_rand(4) == 0);
    t_rules.expiring = t_rand(2);
    t_rules.interval = t_rand(4) ? 300 : 0;
    t_rules.sessions = t_rand(4) ? 100 + t_rand(2) : 0;
    t_rules.said = t_rand(2);
}


static void
t_charge(ngx_http_ollama_charge_t *charge, ngx_uint_t tokens)
{
    charge->tokens = tokens;
    charge->cost = t_rand(3) ? tokens * t_rand(2000000) : 0;
    charge->guess = charge->cost ? 0 : tokens * 600;
}


static void
t_news(world_t *w, pool_t *p)
{
    t_balance(w, p, t_rand(w->pool->sh->nkeys),
           t_rand(8) ? OLLAMA_BALANCE_MONEY : t_rand(5),
           t_rand(3) * t_rand(10 * USD), t_rand(2) * t_rand(10 * USD),
           t_rand(3) * t_rand(1000));
}


static void
t_gone(pool_t *worker)
{
    ngx_uint_t  i;

    for (i = 0; i < LEASES; i++) {
        if (t_slots[i].worker == worker) {
            t_slots[i].state = 0;
            t_slots[i].worker = NULL;
        }
    }
}


static void
t_model(char *model)
{
    model[0] = '\0';

    switch (t_rand(4)) {

    case 0:
        return;

    case 1:
        sprintf(model, "m%lu", (unsigned long) t_rand(MODELS));
        return;

    default:
        sprintf(model, "m%lu", (unsigned long) t_rand(3));
    }
}


static ngx_uint_t   t_running[16], t_nrunning, t_ahead;


/* nobody is handed a key for which one waits who came earlier */

static ngx_http_ollama_node_t  *t_handed[LEASES];
static uint64_t                 t_handed_arrival[LEASES];
static ngx_uint_t               t_nhanded, t_nlate;


static void
t_handed_before(world_t *w)
{
    ngx_queue_t  *q, *handed;

    handed = &w->pool->sh->handed;
    t_nhanded = 0;

    for (q = ngx_queue_head(handed);
         q != ngx_queue_sentinel(handed);
         q = ngx_queue_next(q))
    {
        t_handed[t_nhanded] = ngx_queue_data(q, ngx_http_ollama_node_t, wait);
        t_handed_arrival[t_nhanded] = t_handed[t_nhanded]->arrival;
        t_nhanded++;
    }
}


static const char *
t_handed_after(world_t *w)
{
    ngx_uint_t               i, j;
    ngx_queue_t             *q, *handed;
    uint64_t                *blocked;
    ngx_http_ollama_node_t  *node, *waiter;

    handed = &w->pool->sh->handed;

    for (q = ngx_queue_head(handed);
         q != ngx_queue_sentinel(handed);
         q = ngx_queue_next(q))
    {
        node = ngx_queue_data(q, ngx_http_ollama_node_t, wait);

        for (i = 0; i < t_nhanded; i++) {
            if (t_handed[i] == node && t_handed_arrival[i] == node->arrival) {
                break;
            }
        }

        if (i < t_nhanded) {
            continue;
        }

        for (i = 0; i < LEASES; i++) {

            waiter = (t_slots[i].state == 2) ? t_slots[i].lease.node : NULL;

            if (waiter == NULL || !waiter->waiting || waiter->aside
                || waiter->arrival > node->arrival)
            {
                continue;
            }

            blocked = ngx_http_ollama_model_blocked(w->pool->sh, waiter->model,
                                                    waiter->hash);

            if (blocked && ngx_http_ollama_bit_test(blocked, node->key->slot)) {
                continue;
            }

            for (j = 0; j < waiter->ntried; j++) {
                if (waiter->tried[j] == node->key->number) {
                    break;
                }
            }

            if (j == waiter->ntried) {
                return "somebody was passed";
            }

            t_nlate++;
        }
    }

    return NULL;
}


static void
t_one(world_t *w, slot_t *s)
{
    char               model[32];
    ngx_int_t          rc;
    ngx_uint_t         i;
    lease_t           *l;
    pool_t            *p;
    slot_t            *o;
    ollama_verdict_t   v;

    ngx_http_ollama_charge_t  charge;

    static const char  *bodies[] = {
        "{\"error\":\"you have reached your session usage limit\"}",
        "{\"error\":\"too many concurrent requests\"}",
        "{\"error\":\"slow down\"}",
        "{\"error\":\"this model requires a subscription\"}",
        "{\"error\":\"extra usage balance is empty\"}",
        "{\"error\":\"payment required\"}",
        "{}"
    };

    if (s->state == 0) {
        i = t_running[t_rand(t_nrunning)];
        s->worker = &w->workers[i];
    }

    p = s->worker;
    t_as(w, p);

    switch (s->state) {

    case 0:
        t_model(model);
        t_lease(&s->lease, strdup(model), 0);

        if (t_rand(3)) {
            t_stays(&s->lease, t_rand(200));
        }

        t_charge(&s->lease.charge, t_rand(1000));
        s->lease.dry = (t_rand(50) == 0);

        if (t_rand(20) == 0) {
            ngx_http_ollama_lease_any(p, &s->lease);
            s->state = 1;
            break;
        }

        rc = t_rand(3) ? t_wait(p, &s->lease) : t_take(p, &s->lease);

        s->state = (rc == NGX_OK) ? 1 : (s->lease.node) ? 2 : 0;
        break;

    case 1:

        switch (t_rand(12)) {

        case 0:
            t_answer(p, &s->lease, 429, bodies[t_rand(3)],
                     (ngx_int_t) t_rand(30) - 5, &v);
            break;

        case 1:
            t_answer(p, &s->lease, 401 + t_rand(3), bodies[3 + t_rand(4)], -1,
                     &v);
            break;

        case 2:
            t_answer(p, &s->lease, 0, "", -1, &v);
            break;

        case 3:
        case 4:
            t_answer(p, &s->lease, 200, "", -1, &v);
            return;

        default:
            t_charge(&charge, t_rand(2000));
            t_spend(p, &s->lease, charge.tokens, charge.cost, charge.guess);
            s->state = 0;
            return;
        }

        /* tried again */

        if (t_rand(2)) {
            ngx_http_ollama_lease_skip(&s->lease);
        }

        rc = t_rand(2) ? t_wait(p, &s->lease) : t_take(p, &s->lease);

        if (rc == NGX_AGAIN && s->lease.key == 0) {
            s->state = 2;

        } else if (rc != NGX_OK) {
            t_settle(p, &s->lease, 0);
            s->state = 0;
        }

        break;

    default:

        if (t_rand(30) == 0) {

            /* the client has gone */

            t_settle(p, &s->lease, 0);
            s->state = 0;
            break;
        }

        l = t_served(p, &rc);

        if (l == NULL) {
            break;
        }

        o = (slot_t *) l;

        if (rc == NGX_OK) {
            o->state = 1;

        } else {
            t_settle(p, l, 0);
            o->state = 0;
        }
    }
}


void
t_random(void)
{
    char         text[16384], *env;
    world_t     *w;
    const char  *wrong;
    ngx_uint_t   i, n, k, kind, max[4], reloads;

    w = calloc(1, sizeof(world_t));
    env = getenv("POOL_STEPS");
    n = env ? (ngx_uint_t) atol(env) : 20000;

    env = getenv("POOL_SEED");
    if (env) {
        t_seed ^= (uint64_t) atol(env) * 2654435761ULL;
    }

    memset(max, 0, sizeof(max));
    reloads = 0;

    t_list(text);
    t_rule();
    t_world(w, text, 0, 8 * 1024 * 1024);

    for (i = 0; i < 4; i++) {
        (void) t_worker(w);
        t_running[t_nrunning++] = i;
    }

    wrong = NULL;

    for (i = 0; i < n && wrong == NULL; i++) {

        kind = t_rand(1000);

        t_handed_before(w);

        if (kind < 940) {
            t_one(w, &t_slots[t_rand(LEASES)]);

        } else if (kind < 955) {
            k = t_running[t_rand(t_nrunning)];
            t_as(w, &w->workers[k]);
            t_news(w, &w->workers[k]);

        } else if (kind < 970) {
            t_time(0, t_rand(700));

        } else if (kind < 979) {
            t_time(t_rand(40), 0);

        } else if (kind < 980) {

            /* the clock, far ahead for a while */

            t_clock((t_ahead = !t_ahead) ? 200000 : -200000);

        } else if (kind < 985) {
            t_as(w, &w->workers[t_running[0]]);
            (void) ngx_http_ollama_pool_reset(&w->workers[t_running[0]],
                         t_key(w, t_rand(w->pool->sh->nkeys))->number);

        } else if (kind < 990) {
            t_as(w, &w->workers[t_running[0]]);
            (void) ngx_http_ollama_pool_penalize(&w->workers[t_running[0]],
                         t_key(w, t_rand(w->pool->sh->nkeys))->number,
                         1 + t_rand(100));

        } else if (kind < 995) {
            t_list(text);
            t_rule();
            reloads++;

            if (t_reload(w, text, 0, t_rand(2)) != NGX_OK) {
                wrong = "a reload failed";
                break;
            }

        } else if (kind < 997 && w->nworkers < WORKERS) {

            /* one dies, another one comes */

            k = t_rand(t_nrunning);
            t_kill(w, t_running[k]);
            t_gone(&w->workers[t_running[k]]);
            t_running[k] = w->nworkers;
            (void) t_worker(w);

        } else if (kind < 999) {

            /* one is not scheduled: it is not asked for a while */

            t_time(1, 100);
        }

        wrong = t_check(w);

        if (wrong == NULL) {
            wrong = t_handed_after(w);
        }

        max[0] = ngx_max(max[0], w->pool->sh->nwaiting);
        max[1] = ngx_max(max[1], w->pool->sh->in_flight);
        max[2] = ngx_max(max[2], w->pool->sh->nkeys);
    }

    t_ok(wrong == NULL, "%lu steps: %s", (unsigned long) i,
         wrong ? wrong : "everything is counted after each of them");
    t_note("at most %lu waiting, %lu in flight, %lu keys; %lu reloads, "
           "%lu processes", (unsigned long) max[0], (unsigned long) max[1],
           (unsigned long) max[2], (unsigned long) reloads,
           (unsigned long) w->nworkers);

    /* all end well */

    for (i = 0; i < LEASES && wrong == NULL; i++) {
        if (t_slots[i].worker) {
            t_as(w, t_slots[i].worker);
            t_settle(t_slots[i].worker, &t_slots[i].lease, 1);
        }
    }

    wrong = wrong ? wrong : t_check(w);

    t_ok(wrong == NULL && w->pool->sh->in_flight == 0
         && w->pool->sh->nwaiting == 0, "and nothing is left");

    t_end(w);
}
