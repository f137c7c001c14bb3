#include "bill.h"
#include "catalogue.h"
#include "clock.h"
#include "money.h"

#include <stdio.h>

#define HOUR 3600
#define DAY 86400

/* ---- ten questions a minute, and answers that are wrong on purpose ---- */

static bool asks_too_often(struct exchange *ex) {
    int seconds = account_may_ask(ex->account);

    if (seconds == 0) return false;
    error_preset(&ex->c->reply, &ex->about, PRESET_UNKNOWN_429);
    buf_printf(&ex->c->reply.extra, "retry-after: %d\r\n", seconds);
    return true;
}

static bool is_wrong(struct exchange *ex, int64_t how, const char *negative) {
    struct reply *r = &ex->c->reply;

    switch (how) {
    case 0: return false;
    case 1: ex->hangs = true; break;
    case 2: buf_lit(&r->body, "{\"included\":{\"balance_usd\":<html>"); break;
    case 3: buf_str(&r->body, negative); break;
    case 4: buf_lit(&r->body, "[{\"credits\":\"many\",\"included\":7}]"); break;
    case 5: error_reply(r, &ex->about, 404, "path not found"); break;
    }
    return true;
}

/* ---- usage ---- */

/* What the account's keys have used, or the one key that is of no account. */
static struct tally sum(const struct exchange *ex) {
    const struct account *a = ex->account;
    const struct ledger_key *key;
    struct tally total = {0};
    struct slice name;
    size_t i;

    for (i = 0; i < (a ? a->keys.n : 1); i++) {
        name = ex->key;
        if (a)
            name =
                (struct slice){a->keys.entries[i].key, a->keys.entries[i].len};
        key = ledger_find(name.p, name.len);
        if (key == NULL) continue;
        total.requests += key->tally.ok;
        total.tokens.prompt += key->tally.tokens.prompt;
        total.tokens.completion += key->tally.tokens.completion;
        total.tokens.cached += key->tally.tokens.cached;
    }
    return total;
}

/* A quota of a million tokens, unless the account is said to be at its end. */
static double used(const struct exchange *ex, enum quota window,
                   const struct tally *t) {
    double part = (double)(t->tokens.prompt + t->tokens.completion) / 1e6;

    if (ex->account && ex->account->quota == window) return 1;
    return part < 1 ? part : 1;
}

static void usage_1(struct exchange *ex) {
    struct buf *b = &ex->c->reply.body;
    struct tally t = sum(ex);
    time_t now = clock_now();

    buf_lit(
        b,
        "{\"activity\":{\"cost\":\"0.00000\",\"period\":{\"type\":\"last_4_weeks\","
        "\"starting_at\":\"");
    clock_rfc3339(b, now - 28 * 86400);
    buf_lit(b, "\",\"ending_at\":\"");
    clock_rfc3339(b, now);
    buf_printf(
        b,
        "\"},\"models\":[]},\"limits\":{\"session\":{\"usage\":%.3f,\"models\":[]},"
        "\"weekly\":{\"usage\":%.3f,\"models\":[]}}}",
        used(ex, QUOTA_SESSION, &t), used(ex, QUOTA_WEEKLY, &t));
}

static bool may_be(struct slice value, const char *const *values) {
    for (; *values; values++)
        if (slice_is(value, *values)) return true;
    return false;
}

/* Each parameter once, of the values that there are. */
static bool usage_parameters(struct slice query, bool may_group,
                             struct slice *range, bool *by_model) {
    static const char *const ranges[] = {"24h", "7d", "30d", NULL};
    static const char *const scopes[] = {"self", "team", NULL};
    static const char *const groups[] = {"model", NULL};
    const char *p = query.p, *end = p + query.len, *next, *eq;
    struct slice name, value;
    int seen[3] = {0};

    *range = (struct slice){"7d", 2};
    *by_model = false;
    for (; p < end; p = next + 1) {
        next = memchr(p, '&', end - p);
        if (next == NULL) next = end;
        eq = memchr(p, '=', next - p);
        if (eq == NULL) return false;
        name = (struct slice){p, eq - p};
        value = (struct slice){eq + 1, next - eq - 1};

        if (slice_is(name, "range")) {
            if (seen[0]++ || !may_be(value, ranges)) return false;
            *range = value;
        } else if (slice_is(name, "scope")) {
            if (seen[1]++ || !may_be(value, scopes)) return false;
        } else if (slice_is(name, "group_by")) {
            if (seen[2]++ || !may_group || !may_be(value, groups)) return false;
            *by_model = true;
        } else {
            return false;
        }
    }
    return true;
}

/* What all models took, or one. */
static struct bill used_between(const struct exchange *ex,
                                const struct bill_model *one, time_t from,
                                time_t until) {
    const struct table *models =
        bill_models(ex->account ? ex->account->name : NULL);
    struct bill sum = {0};
    size_t i;

    if (one) bill_between(&sum, one, from, until);
    for (i = 0; one == NULL && models && i < models->n; i++)
        bill_between(&sum, models->entries[i].value, from, until);
    return sum;
}

/* Of a legacy plan only requests are told. */
static void write_sum(struct exchange *ex, const struct bill *s) {
    struct buf *b = &ex->c->reply.body;

    buf_printf(b, "\"request_count\":%lld", (long long)s->requests);
    if (s->requests && ex->account && ex->account->purse.kind == PURSE_WINDOWS)
        return;
    buf_lit(b, ",\"usage_usd\":");
    money_write(b, s->nano_usd);
    buf_printf(b,
               ",\"input_tokens\":%lld,\"cached_input_tokens\":%lld,"
               "\"output_tokens\":%lld",
               (long long)s->prompt, (long long)s->cached,
               (long long)s->completion);
}

static void write_span(struct buf *b, time_t from, time_t until) {
    buf_lit(b, "\"from\":\"");
    clock_rfc3339(b, from);
    buf_lit(b, "\",\"until\":\"");
    clock_rfc3339(b, until);
    buf_lit(b, "\",");
}

/* How the cloud writes it is not known. */
static void write_models(struct exchange *ex, time_t from, time_t until) {
    const struct table *models =
        bill_models(ex->account ? ex->account->name : NULL);
    struct buf *b = &ex->c->reply.body;
    struct bill sum;
    size_t i;

    buf_lit(b, ",\"models\":[");
    for (i = 0; models && i < models->n; i++) {
        sum = used_between(ex, models->entries[i].value, from, until);
        buf_str(b, i ? ",{\"name\":" : "{\"name\":");
        buf_json(b, models->entries[i].key, models->entries[i].len);
        buf_char(b, ',');
        write_sum(ex, &sum);
        buf_char(b, '}');
    }
    buf_char(b, ']');
}

static void usage_2(struct exchange *ex) {
    struct buf *b = &ex->c->reply.body;
    time_t now = clock_now(), from, at, step;
    struct slice range;
    struct bill sum;
    bool by_model;
    int n;

    if (!usage_parameters(ex->c->request.query, ex->question.knobs.group_by,
                          &range, &by_model)) {
        error_reply(&ex->c->reply, &ex->about, 400, "invalid query parameter");
        return;
    }

    step = slice_is(range, "24h") ? HOUR : DAY;
    n = step == HOUR ? 24 : slice_is(range, "7d") ? 7 : 30;
    from = now - now % step - n * step;

    buf_printf(b,
               "{\"range\":\"%.*s\",\"scope\":\"self\",\"granularity\":\"%s\",",
               (int)range.len, range.p, step == HOUR ? "hour" : "day");
    write_span(b, from, now);
    buf_lit(b, "\"totals\":{");
    sum = used_between(ex, NULL, from, now + 1);
    write_sum(ex, &sum);
    buf_lit(b, "},\"buckets\":[");
    for (at = from; at <= now; at += step) {
        if (at > from) buf_char(b, ',');
        buf_char(b, '{');
        write_span(b, at, at + step <= now ? at + step : now);
        if (at + step > now) buf_lit(b, "\"partial\":true,");
        sum = used_between(ex, NULL, at, at + step);
        write_sum(ex, &sum);
        buf_char(b, '}');
    }
    buf_char(b, ']');
    if (by_model) write_models(ex, from, now + 1);
    buf_char(b, '}');
}

void page_usage(struct exchange *ex) {
    if (asks_too_often(ex)) return;
    if (is_wrong(ex, ex->question.knobs.usage_wrong,
                 "{\"totals\":{\"request_count\":-3,\"usage_usd\":-1.5},"
                 "\"buckets\":[{\"from\":\"x\",\"until\":-1,"
                 "\"request_count\":-3,\"usage_usd\":-1.5}]}"))
        return;
    ex->question.knobs.usage_api == 1 ? usage_1(ex) : usage_2(ex);
}

/* ---- balance ---- */

void page_balance(struct exchange *ex) {
    struct buf *b = &ex->c->reply.body;
    struct account *a = ex->account;
    struct tally t;

    if (asks_too_often(ex)) return;
    if (ex->c->request.query.len) {
        error_reply(&ex->c->reply, &ex->about, 400, "invalid query parameter");
        return;
    }
    if (is_wrong(ex, ex->question.knobs.balance_wrong,
                 "{\"included\":{\"balance_usd\":-72.5,\"allowance_usd\":-100,"
                 "\"period\":{\"from\":\"never\",\"until\":-1}},"
                 "\"purchased\":{\"balance_usd\":-25}}"))
        return;
    if (a && a->purse.kind) {
        purse_write(&a->purse, b);
        return;
    }

    t = sum(ex);
    buf_printf(
        b,
        "{\"included\":{\"balance_usd\":%.2f,\"allowance_usd\":100,\"period\":{",
        100 * (1 - used(ex, QUOTA_MONTHLY, &t)));
    buf_lit(b, "\"from\":\"");
    clock_rfc3339(b, clock_now() - 15 * DAY);
    buf_lit(b, "\",\"until\":\"");
    clock_rfc3339(b, clock_now() + 15 * DAY);
    buf_lit(b, "\"}},\"purchased\":{\"balance_usd\":25}}");
}
