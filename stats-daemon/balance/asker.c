#include "asker.h"

#include "../base/log.h"
#include "../base/map.h"
#include "../base/problems.h"
#include "../base/trouble.h"
#include "../base/util.h"
#include "accounts.h"
#include "fetch.h"
#include "ours.h"
#include "spent.h"

#include "../../ngx_ollama_module/core/retry_after.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROBLEM_SHARED "account_shared"

struct asker {
    struct event_base *base;
    struct event *tick;
    struct state *state;
    struct ingest *in;
    struct accounts accounts;
    struct ours *ours;
    struct spent *spent;
    int64_t began; /* monotonic */
    int running;
};

static struct trouble refused = {.level = LOG_WARN, .quiet_ms = 600000};

/* ---- who asks, with which key ---- */

static int is_usable(const struct state_proxy *p) {
    return p->connections > 0 && p->balance > 0 && *p->private;
}

/* The interval of all proxies that ask, 0: none does. */
static int64_t interval_ms(const struct asker *k) {
    uint32_t least = 0;

    for (const struct state_proxy *p = k->state->proxies; p; p = p->next)
        if (is_usable(p) && (least == 0 || p->balance < least))
            least = p->balance;
    return (int64_t)least * 1000;
}

/* The one that has told the key, or else another one. */
static const struct state_proxy *proxy_of(const struct asker *k,
                                          const struct account *a,
                                          const struct state_key *key) {
    const struct state_proxy *found = NULL;

    for (const struct state_proxy *p = k->state->proxies; p; p = p->next) {
        if (!is_usable(p)) continue;
        if (found == NULL || found->instance == a->avoid ||
            (p->instance == key->teller && p->instance != a->avoid))
            found = p;
    }
    return found;
}

/* The place of the key to ask with: the one of the last time, unless it was
 * refused; if all were, the next one. */
static int choose_key(const struct asker *k, const struct account *a,
                      int64_t now) {
    int first = -1, last = -1, next = -1, good = -1;

    for (int i = 0; i < k->accounts.nkeys; i++) {
        const struct account_key *x = &k->accounts.keys[i];

        if (x->account != a || k->state->keys[i].index < 0) continue;
        if (first < 0) first = i;
        if (last >= 0 && next < 0) next = i;
        if (k->state->keys[i].key == a->key) last = i;
        if (x->refused == 0 || now - x->refused >= ASKER_REFUSED_MS) {
            if (k->state->keys[i].key == a->key) return i;
            if (good < 0) good = i;
        }
    }
    return good >= 0 ? good : next >= 0 ? next : first;
}

static int another_key(const struct asker *k, const struct account *a,
                       int64_t now) {
    int i = choose_key(k, a, now);

    return i >= 0 && (k->accounts.keys[i].refused == 0 ||
                      now - k->accounts.keys[i].refused >= ASKER_REFUSED_MS);
}

/* ---- what is told ---- */

static void frame(struct evbuffer *out, const ollama_record_balance_t *b,
                  uint32_t key) {
    unsigned char buf[OLLAMA_RECORD_MAX];
    ollama_record_balance_t of = *b;

    of.key = key;
    evbuffer_add(out, buf, ollama_record_balance_encode(buf, sizeof(buf), &of));
}

/* A proxy may have only some of the account's keys, so all are named. */
static void frames(const struct asker *k, const struct account *a,
                   struct evbuffer *out) {
    for (int i = 0; i < k->accounts.nkeys; i++)
        if (k->accounts.keys[i].account == a && k->state->keys[i].index >= 0)
            frame(out, &a->balance, k->state->keys[i].key);
}

static int64_t empty(const struct account *a) {
    const ollama_record_balance_t *b = &a->balance;

    if (b->kind != OLLAMA_BALANCE_MONEY) return 0;
    return spent_empty((int64_t)b->time, (int64_t)(b->included + b->purchased),
                       a->spent, (int64_t)b->until);
}

static void tell(struct asker *k, struct account *a) {
    struct evbuffer *out = evbuffer_new();
    int64_t end = empty(a);

    for (int i = 0; i < k->accounts.nkeys; i++) {
        if (k->accounts.keys[i].account != a) continue;
        k->state->keys[i].balance = a->balance;
        k->state->keys[i].empty = end;
    }
    frames(k, a, out);
    ingest_tell(k->in, out);
    evbuffer_free(out);
}

static void tell_invalid(struct asker *k, uint32_t key) {
    struct evbuffer *out = evbuffer_new();
    ollama_record_balance_t b = {.kind = OLLAMA_BALANCE_INVALID,
                                 .time = (uint64_t)now_ms()};

    frame(out, &b, key);
    ingest_tell(k->in, out);
    evbuffer_free(out);
}

/* The ledger's costs are here. */
static void on_spent(void *arg) {
    struct asker *k = arg;

    for (struct account *a = NULL; (a = map_next(k->accounts.map, a));)
        a->spent = 0;
    for (int i = 0; i < k->accounts.nkeys; i++)
        if (k->accounts.keys[i].account)
            k->accounts.keys[i].account->spent +=
                spent_of(k->spent, k->state->keys[i].key);
    for (int i = 0; i < k->accounts.nkeys; i++)
        if (k->accounts.keys[i].account)
            k->state->keys[i].empty = empty(k->accounts.keys[i].account);
}

static void on_greet(void *arg, struct evbuffer *out) {
    struct asker *k = arg;

    for (int i = 0; i < k->accounts.nkeys; i++) {
        const struct account *a = k->accounts.keys[i].account;

        if (a && a->balance.time && k->state->keys[i].index >= 0)
            frame(out, &a->balance, k->state->keys[i].key);
    }
}

/* ---- answers ---- */

static int64_t backoff(int64_t interval, int failures) {
    int64_t wait = interval;

    while (--failures > 0 && wait < ASKER_BACKOFF_MS) wait *= 2;
    return wait < ASKER_BACKOFF_MS ? wait : ASKER_BACKOFF_MS;
}

static void put_off(struct account *a, int64_t until) {
    int64_t *due = a->is_usage ? &a->usage_due : &a->due;

    *due = until;
}

static void failed(struct asker *k, struct account *a, const char *why,
                   int status) {
    if (!a->is_usage)
        a->due = a->asked + backoff(interval_ms(k), ++a->failures);
    if (a->failed) return;
    a->failed = 1;
    if (why)
        log_msg(LOG_NOTICE, "the %s of the account \"%s\" is not known: %s",
                a->is_usage ? "use" : "balance", account_name(a, k->state),
                why);
    else
        log_msg(LOG_NOTICE,
                "the %s of the account \"%s\" is not known: the answer is %d",
                a->is_usage ? "use" : "balance", account_name(a, k->state),
                status);
}

static void known(struct asker *k, struct account *a,
                  const ollama_record_balance_t *b) {
    a->balance = *b;
    a->balance.time = (uint64_t)now_ms();
    tell(k, a);
}

static void got_balance(struct asker *k, struct account *a,
                        const struct fetched *f) {
    ollama_record_balance_t b;

    told_balance(f->body, f->len, &b);
    if (b.kind == OLLAMA_BALANCE_UNKNOWN && !a->failed)
        log_msg(LOG_NOTICE,
                "the balance of the account \"%s\" has a shape that is not "
                "known here",
                account_name(a, k->state));
    a->failed = b.kind == OLLAMA_BALANCE_UNKNOWN;
    known(k, a, &b);
}

static int ours_of(void *arg, int64_t day, struct reconcile_sum *sum) {
    const struct account *a = arg;
    const struct asker *k = a->asker;

    *sum = (struct reconcile_sum){.usd = -1};
    for (int i = 0; i < k->accounts.nkeys; i++)
        if (k->accounts.keys[i].account == a)
            ours_add(k->ours, k->state->keys[i].key, day, sum);
    if (sum->requests == 0) sum->usd = 0;
    return sum->requests > 0;
}

static void compare(struct account *a) {
    const struct reconciled *d =
        reconcile(&a->days, ours_before(a->asker->ours), ours_of, a);
    char day[ISO_SIZE];

    if (d == NULL) return;
    problem_raise(PROBLEM_SHARED,
                  "somebody else uses the account \"%s\": of %s the cloud "
                  "counts %lld requests, this ledger %lld",
                  account_name(a, a->asker->state), iso_day(day, d->day),
                  (long long)d->theirs.requests, (long long)d->ours.requests);
}

/* The ledger's sums are here. */
static void on_ours(void *arg) {
    struct asker *k = arg;

    for (struct account *a = NULL; (a = map_next(k->accounts.map, a));)
        if (a->days.ntold) compare(a);
}

static void got_usage(struct asker *k, struct account *a,
                      const struct fetched *f) {
    struct told_day days[TOLD_DAYS];
    int n = told_usage(f->body, f->len, days);

    if (n < 0) return; /* of an older shape, which has no days */
    reconcile_told(&a->days, days, n);
    ours_want(k->ours, a->usage_day * ASKER_DAY_MS, on_ours, k);
}

static void too_many(struct account *a, const struct fetched *f, int64_t now,
                     int64_t interval) {
    int64_t s = *f->retry_after
                    ? ollama_retry_after(f->retry_after, strlen(f->retry_after),
                                         now_ms() / 1000)
                    : -1;
    int64_t until = s >= 0 ? now + s * 1000 : a->asked + interval;

    /* it holds for whatever would be asked */
    a->regular = 0;
    if (a->due < until) a->due = until;
    if (a->usage_due < until) a->usage_due = until;
    if (a->is_usage) a->usage_day = 0;
}

/* nginx itself has answered. */
static void got_own(struct asker *k, struct account *a,
                    const struct fetched *f) {
    if (f->status == 403)
        trouble_met(&refused,
                    "nginx does not let this daemon ask for balances: its log "
                    "says which user ollama_private has to allow");
    if (f->status == 404) {
        const struct state_proxy *p = NULL;
        int i = choose_key(k, a, mono_ms());

        if (i >= 0) p = proxy_of(k, a, &k->state->keys[i]);
        a->avoid = p ? p->instance : 0;
    }
    failed(k, a, f->error, f->status);
}

static void got_401(struct asker *k, struct account *a, int64_t now,
                    int64_t interval) {
    for (int i = 0; i < k->accounts.nkeys; i++)
        if (k->state->keys[i].key == a->key && k->accounts.keys[i].account == a)
            k->accounts.keys[i].refused = now;
    tell_invalid(k, a->key);
    put_off(a, a->asked + (another_key(k, a, now) ? ASKER_GAP_MS : interval));
    if (a->is_usage) a->usage_day = 0;
}

static void on_answer(void *arg, const struct fetched *f) {
    struct account *a = arg;
    struct asker *k = a->asker;
    int64_t now = mono_ms(), interval = interval_ms(k);
    int failures = a->failures;

    a->fetch = NULL;
    k->running--;
    if (interval == 0) interval = ASKER_BACKOFF_MS;
    put_off(a, a->asked + (a->is_usage ? ASKER_BACKOFF_MS : interval));
    a->failures = 0;
    if (!a->is_usage) a->regular = 0;

    if (f->status == 0 || (!f->asked && f->status >= 400)) {
        a->failures = failures;
        got_own(k, a, f);
        if (a->is_usage) a->usage_day = 0;
        return;
    }
    switch (f->status) {
    case 200:
        if (a->is_usage)
            got_usage(k, a, f);
        else
            got_balance(k, a, f);
        if (!a->is_usage) a->regular = 1;
        return;
    case 401: got_401(k, a, now, interval); return;
    case 403:
        if (a->is_usage) return;
        known(k, a,
              &(ollama_record_balance_t){.kind = OLLAMA_BALANCE_SUSPENDED,
                                         .session = OLLAMA_BALANCE_NO_SHARE,
                                         .week = OLLAMA_BALANCE_NO_SHARE});
        a->regular = 1;
        return;
    case 429: too_many(a, f, now, interval); return;
    case 400:
    case 404: put_off(a, a->asked + ASKER_DAY_MS); return;
    default:
        a->failures = failures;
        failed(k, a, NULL, f->status);
        if (a->is_usage) a->usage_day = 0;
    }
}

/* ---- questions ---- */

static void question(struct asker *k, struct account *a, int64_t now,
                     int is_usage) {
    int i = choose_key(k, a, now);
    const struct state_proxy *p;

    if (i < 0 || (p = proxy_of(k, a, &k->state->keys[i])) == NULL) return;
    a->key = k->state->keys[i].key;
    a->asked = k->accounts.keys[i].asked = now;
    a->is_usage = is_usage;
    if (!is_usage) a->balance_asked = now;
    k->running++;
    a->fetch = fetch_start(k->base, p->private,
                           is_usage ? "/api/usage?range=7d" : "/api/balance",
                           a->key, on_answer, a);
}

/* The day whose figures have had time to settle, not of all accounts at once.
 * The day itself has not ended, those before it have. */
static int64_t usage_day(const struct account *a, int64_t wall) {
    int64_t late = ASKER_LATE_MS + (int64_t)a->first % ASKER_LATE_MS;

    return (wall - late) / ASKER_DAY_MS;
}

static int64_t gap_ends(const struct asker *k, const struct account *a) {
    int64_t last = a->asked > a->key_asked ? a->asked : a->key_asked;

    return (last ? last : k->began) + ASKER_GAP_MS;
}

static int64_t next_balance(const struct account *a, int64_t interval) {
    return a->regular ? a->balance_asked + interval : a->due;
}

/* Those that are new one after the other. */
static void spread(struct asker *k, int64_t now, int64_t interval) {
    int64_t gap = interval / (k->accounts.listed ? k->accounts.listed : 1);
    int64_t at = 0;

    if (gap > ASKER_SPREAD_MS) gap = ASKER_SPREAD_MS;
    for (struct account *a = NULL; (a = map_next(k->accounts.map, a));) {
        if (a->due || a->listed == 0) continue;
        a->asker = k;
        a->due = gap_ends(k, a);
        if (a->due < now) a->due = now;
        a->due += at;
        a->usage_due = a->due + ASKER_GAP_MS;
        at += gap;
    }
}

static void on_tick(evutil_socket_t fd, short what, void *arg) {
    struct asker *k = arg;
    int64_t now = mono_ms(), wall = now_ms(), interval = interval_ms(k);

    (void)fd;
    (void)what;
    if (interval == 0) return;
    accounts_look(&k->accounts, k->state);
    spread(k, now, interval);
    spent_look(k->spent, now);

    for (struct account *a = NULL;
         k->running < ASKER_AT_ONCE && (a = map_next(k->accounts.map, a));) {
        if (a->listed == 0 || a->fetch || now < gap_ends(k, a)) continue;

        /* once a day, and before a balance: with an interval of one minute
         * that is always due as soon as anything may be asked */
        if (now >= a->usage_due && a->usage_day != usage_day(a, wall)) {
            a->usage_day = usage_day(a, wall);
            question(k, a, now, 1);
        } else if (now >= next_balance(a, interval)) {
            question(k, a, now, 0);
        }
    }
}

struct asker *asker_start(struct event_base *base, struct state *state,
                          struct ingest *in, struct ask *ask) {
    static const struct timeval second = {1, 0};
    struct asker *k = xcalloc(1, sizeof(*k));

    k->base = base;
    k->state = state;
    k->in = in;
    k->began = mono_ms();
    k->ours = ours_start(ask);
    k->spent = spent_start(ask, on_spent, k);
    accounts_start(&k->accounts);
    k->tick = event_new(base, -1, EV_PERSIST, on_tick, k);
    event_add(k->tick, &second);
    ingest_greet(in, on_greet, k);
    return k;
}

void asker_stop(struct asker *k) {
    event_del(k->tick);
    for (struct account *a = NULL; (a = map_next(k->accounts.map, a));) {
        if (a->fetch) fetch_leave(a->fetch);
        a->fetch = NULL;
    }
    ours_stop(k->ours);
    spent_stop(k->spent);
}

void asker_free(struct asker *k) {
    event_free(k->tick);
    ours_free(k->ours);
    spent_free(k->spent);
    accounts_free(&k->accounts);
    free(k);
}

void asker_days(const struct asker *k, asker_day_cb *cb, void *arg) {
    for (struct account *a = NULL; (a = map_next(k->accounts.map, a));)
        for (int i = 0; a->listed && i < a->days.n; i++)
            cb(arg, account_name(a, k->state), &a->days.days[i]);
}

void asker_count(const struct asker *k, struct asker_count *n) {
    memset(n, 0, sizeof(*n));
    for (struct account *a = NULL; (a = map_next(k->accounts.map, a));) {
        if (a->listed == 0) continue;
        n->accounts++;
        n->known += a->balance.time != 0;
        n->failing += a->failures > 0;
    }
    n->asking = k->running;
}
