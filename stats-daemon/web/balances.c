#include "balances.h"

#include "../balance/asker.h"
#include "../base/map.h"
#include "../base/util.h"
#include "context.h"
#include "fields.h"
#include "pool_usage.h"

#include "../../ngx_ollama_module/core/price.h"

#include <string.h>

static const char *const kinds[] = {"unknown", "money", "windows", "suspended",
                                    "invalid"};

static void time_member(struct json *j, const char *name, uint64_t ms) {
    json_member(j, name);
    json_time(j, (int64_t)ms, 0);
}

static void put_share(struct json *j, const char *name, uint16_t share) {
    json_member(j, name);
    if (share == OLLAMA_BALANCE_NO_SHARE)
        json_null(j);
    else
        json_double(j, share / 1000.0);
}

void field_balance(struct json *j, const struct state_key *k) {
    const ollama_record_balance_t *b = &k->balance;
    int money = b->kind == OLLAMA_BALANCE_MONEY;
    int windows = b->kind == OLLAMA_BALANCE_WINDOWS;

    json_member(j, "balance");
    if (b->time == 0) {
        json_null(j);
        return;
    }
    json_begin(j, '{');
    field_text(j, "kind", kinds[b->kind]);
    field_money(j, "included_usd", money ? (int64_t)b->included : -1);
    field_money(j, "allowance_usd", money ? (int64_t)b->allowance : -1);
    field_money(j, "purchased_usd",
                money || (windows && b->purchased) ? (int64_t)b->purchased
                                                   : -1);
    time_member(j, "renews_at", b->until);
    if (windows) {
        put_share(j, "session_left", b->session);
        time_member(j, "session_resets_at", b->session_resets);
        put_share(j, "weekly_left", b->week);
        time_member(j, "weekly_resets_at", b->week_resets);
    }
    time_member(j, "seen_at", b->time);
    time_member(j, "empty_at", (uint64_t)k->empty);
    json_end(j, '}');
}

/* ---- the pool as one account ---- */

struct pool {
    int accounts, money;
    uint64_t included, allowance, purchased;
    uint64_t from, until; /* of the one that renews next */
    int sessions, weeks;
    uint32_t session, week; /* sums of shares */
    uint64_t session_resets, week_resets;
};

static void earliest(uint64_t *to, uint64_t t) {
    if (t && (*to == 0 || t < *to)) *to = t;
}

static void add(struct pool *p, const ollama_record_balance_t *b) {
    p->accounts++;
    p->purchased += b->purchased;
    if (b->kind == OLLAMA_BALANCE_MONEY) {
        p->money++;
        p->included += b->included;
        p->allowance += b->allowance;
        if (b->until && (p->until == 0 || b->until < p->until)) {
            p->until = b->until;
            p->from = b->from;
        }
    }
    if (b->kind != OLLAMA_BALANCE_WINDOWS) return;
    if (b->session != OLLAMA_BALANCE_NO_SHARE) {
        p->sessions++;
        p->session += b->session;
        earliest(&p->session_resets, b->session_resets);
    }
    if (b->week != OLLAMA_BALANCE_NO_SHARE) {
        p->weeks++;
        p->week += b->week;
        earliest(&p->week_resets, b->week_resets);
    }
}

/* Each account once, by whichever of its keys. */
static void sum(struct pool *p, const struct state *s) {
    struct map *seen = map_new(1);

    memset(p, 0, sizeof(*p));
    for (int i = 0; i < s->nkeys; i++) {
        const struct state_key *k = &s->keys[i];
        int fresh = 1;

        if (k->index < 0 || k->balance.time == 0 ||
            k->balance.kind == OLLAMA_BALANCE_UNKNOWN)
            continue;
        if (*k->account) map_put(seen, k->account, strlen(k->account), &fresh);
        if (fresh) add(p, &k->balance);
    }
    map_free(seen);
}

static void window(struct json *j, const char *name, uint32_t sum, int n,
                   uint64_t resets) {
    if (n == 0) return;
    json_member(j, name);
    json_begin(j, '{');
    json_member(j, "remaining_percent");
    json_double(j, (double)sum / n / 10);
    time_member(j, "resets_at", resets);
    json_end(j, '}');
}

static void balance(struct http_request *q) {
    const struct api *api = q->ctx;
    struct json j = {0};
    struct pool p;

    if (pool_parameters(q, NULL, 0) != 0) return;
    sum(&p, api->state);
    if (p.accounts == 0) {
        http_set(q, "Retry-After", "60");
        http_error(q, 503, "what the accounts have left is not known yet");
        return;
    }
    json_begin(&j, '{');
    json_member(&j, "included");
    json_begin(&j, '{');
    if (p.money || (p.sessions == 0 && p.weeks == 0)) {
        field_money(&j, "balance_usd", (int64_t)p.included);
        field_money(&j, "allowance_usd", (int64_t)p.allowance);
        if (p.until) {
            json_member(&j, "period");
            json_begin(&j, '{');
            time_member(&j, "from", p.from);
            time_member(&j, "until", p.until);
            json_end(&j, '}');
        }
    }
    window(&j, "session", p.session, p.sessions, p.session_resets);
    window(&j, "weekly", p.week, p.weeks, p.week_resets);
    json_end(&j, '}');
    if (p.money || p.purchased || (p.sessions == 0 && p.weeks == 0)) {
        json_member(&j, "purchased");
        json_begin(&j, '{');
        field_money(&j, "balance_usd", (int64_t)p.purchased);
        json_end(&j, '}');
    }
    json_end(&j, '}');
    http_json(q, &j);
}

/* ---- beside the ledger ---- */

static void side(struct json *j, const char *name,
                 const struct reconcile_sum *s) {
    json_member(j, name);
    json_begin(j, '{');
    field_number(j, "requests", s->requests);
    field_money(j, "usd", s->usd);
    json_end(j, '}');
}

static void signed_money(struct json *j, const char *name, int64_t nano) {
    char text[1 + OLLAMA_PRICE_TEXT] = "-";
    size_t len =
        ollama_price_text(text + 1, (uint64_t)(nano < 0 ? -nano : nano));

    json_member(j, name);
    if (nano < 0)
        json_number(j, text, len + 1);
    else
        json_number(j, text + 1, len);
}

static void on_day(void *arg, const char *account, const struct reconciled *d) {
    struct json *j = arg;
    char day[ISO_SIZE];

    json_begin(j, '{');
    field_text(j, "account", account);
    field_text(j, "day", iso_day(day, d->day));
    side(j, "theirs", &d->theirs);
    side(j, "ours", &d->ours);
    json_member(j, "difference");
    json_begin(j, '{');
    field_number(j, "requests", d->theirs.requests - d->ours.requests);
    if (d->theirs.usd >= 0 && d->ours.usd >= 0) {
        signed_money(j, "usd", d->theirs.usd - d->ours.usd);
    } else {
        json_member(j, "usd");
        json_null(j);
    }
    json_end(j, '}');
    json_member(j, "somebody_else");
    json_bool(j, d->foreign);
    json_end(j, '}');
}

static void reconciled(struct http_request *q) {
    struct json j = {0};

    json_begin(&j, '[');
    asker_days(((const struct api *)q->ctx)->asker, on_day, &j);
    json_end(&j, ']');
    http_json(q, &j);
}

void balances_routes(struct http *h) {
    http_route(h, "/api/balance", balance);
    http_route(h, "/api/usage", pool_usage);
    http_route(h, "/stats/reconcile", reconciled);
}
