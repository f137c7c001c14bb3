#include "purse.h"

#include "clock.h"
#include "money.h"
#include "tree.h"

#define SESSION 18000
#define WEEK 604800
#define MONDAY 345600 /* the first one since 1970 */

static time_t next_session(time_t now) {
    return (now / SESSION + 1) * SESSION;
}

static time_t next_monday(time_t now) {
    return MONDAY + ((now - MONDAY) / WEEK + 1) * WEEK;
}

static void renew(struct purse *p) {
    time_t now = clock_now(), length = p->until - p->from, periods;

    if (p->kind == PURSE_MONEY && now >= p->until) {
        periods = (now - p->until) / length + 1;
        p->from += periods * length;
        p->until += periods * length;
        p->included = p->allowance;
    }
    if (p->kind == PURSE_WINDOWS && now >= p->session_until) {
        p->session_until = next_session(now);
        p->session_used = 0;
    }
    if (p->kind == PURSE_WINDOWS && now >= p->weekly_until) {
        p->weekly_until = next_monday(now);
        p->weekly_used = 0;
    }
}

static bool amount(yajl_val v, const char *name, int64_t *nano) {
    return tree_get(v, name) == NULL || money_read(tree_get(v, name), nano);
}

static bool load_balance(struct purse *p, yajl_val v) {
    static const char *const names[] = {"included_usd",
                                        "allowance_usd",
                                        "purchased_usd",
                                        "from",
                                        "until",
                                        "empty",
                                        NULL};
    int64_t empty = tree_int(v, "empty", 429);

    if (!YAJL_IS_OBJECT(v) || tree_unknown(v, names)) return false;
    if (!amount(v, "included_usd", &p->included)) return false;
    p->allowance = p->included;
    if (!amount(v, "allowance_usd", &p->allowance)) return false;
    if (!amount(v, "purchased_usd", &p->purchased)) return false;

    p->kind = PURSE_MONEY;
    p->from = tree_int(v, "from", clock_now() - 15 * 86400);
    p->until = tree_int(v, "until", p->from + 30 * 86400);
    p->empty = empty == 402 ? PRESET_BALANCE_402 : PRESET_QUOTA_MONTHLY;
    return p->until > p->from && (empty == 402 || empty == 429);
}

static bool load_windows(struct purse *p, yajl_val v) {
    static const char *const names[] = {"session_usd", "session_used_usd",
                                        "weekly_usd", "weekly_used_usd", NULL};

    if (!YAJL_IS_OBJECT(v) || tree_unknown(v, names)) return false;
    if (!amount(v, "session_usd", &p->session)) return false;
    if (!amount(v, "session_used_usd", &p->session_used)) return false;
    if (!amount(v, "weekly_usd", &p->weekly)) return false;
    if (!amount(v, "weekly_used_usd", &p->weekly_used)) return false;

    p->kind = PURSE_WINDOWS;
    p->session_until = next_session(clock_now());
    p->weekly_until = next_monday(clock_now());
    return p->session > 0 && p->weekly > 0;
}

bool purse_load(struct purse *p, yajl_val account, struct buf *complaint) {
    yajl_val balance = tree_get(account, "balance"),
             windows = tree_get(account, "windows");

    if (balance && windows) {
        buf_lit(complaint, "balance or windows, not both");
        return false;
    }
    if (balance && !load_balance(p, balance)) {
        buf_lit(complaint, "balance: see t/cloud/purse.h");
        return false;
    }
    if (windows && !load_windows(p, windows)) {
        buf_lit(complaint, "windows: see t/cloud/purse.h");
        return false;
    }
    return true;
}

enum preset purse_refusal(struct purse *p) {
    renew(p);
    if (p->kind == PURSE_MONEY && p->included + p->purchased <= 0)
        return p->empty;
    if (p->kind == PURSE_WINDOWS && p->weekly_used >= p->weekly)
        return PRESET_QUOTA_WEEKLY;
    if (p->kind == PURSE_WINDOWS && p->session_used >= p->session)
        return PRESET_QUOTA_SESSION;
    return PRESET_NONE;
}

static int64_t less(int64_t *left, int64_t nano) {
    int64_t part = nano < *left ? nano : *left;

    if (part > 0) *left -= part;
    return part > 0 ? nano - part : nano;
}

void purse_spend(struct purse *p, int64_t nano) {
    renew(p);
    less(&p->purchased, less(&p->included, nano));
    p->session_used += nano;
    p->weekly_used += nano;
}

static void window(struct buf *b, const char *name, int64_t all, int64_t used,
                   time_t until) {
    int64_t left = used < all ? (all - used) * 100 : 0;

    buf_printf(b, "\"%s\":{\"remaining_percent\":%.2f,\"resets_at\":\"", name,
               (double)left / (double)all);
    clock_rfc3339(b, until);
    buf_lit(b, "\"}");
}

void purse_write(struct purse *p, struct buf *b) {
    renew(p);

    if (p->kind == PURSE_WINDOWS) {
        buf_lit(b, "{\"included\":{");
        window(b, "session", p->session, p->session_used, p->session_until);
        buf_char(b, ',');
        window(b, "weekly", p->weekly, p->weekly_used, p->weekly_until);
        buf_lit(b, "}}");
        return;
    }
    buf_lit(b, "{\"included\":{\"balance_usd\":");
    money_write(b, p->included);
    buf_lit(b, ",\"allowance_usd\":");
    money_write(b, p->allowance);
    buf_lit(b, ",\"period\":{\"from\":\"");
    clock_rfc3339(b, p->from);
    buf_lit(b, "\",\"until\":\"");
    clock_rfc3339(b, p->until);
    buf_lit(b, "\"}},\"purchased\":{\"balance_usd\":");
    money_write(b, p->purchased);
    buf_lit(b, "}}");
}
