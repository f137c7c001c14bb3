#include "exchange.h"

#include "asked.h"
#include "bill.h"
#include "cache.h"
#include "catalogue.h"
#include "clock.h"
#include "control.h"
#include "reqlog.h"
#include "routes.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define OUTPUT_TOKENS_MAX 65536

static struct exchange *owner(struct ticket *t) {
    return (struct exchange *)((char *)t - offsetof(struct exchange, ticket));
}

/* ---- replies ---- */

static void add_cloud_headers(struct buf *b) {
    buf_lit(b, "server: Google Frontend\r\n"
               "via: 1.1 google\r\n"
               "alt-svc: h3=\":443\"; ma=2592000\r\n"
               "x-frame-options: DENY\r\n"
               "x-build-commit: 5f0c1a9e6b7d4c3f8a2b1d0e9c8f7a6b5d4e3f2a\r\n"
               "x-build-time: 2026-09-20T10:00:00Z\r\n"
               "set-cookie: aid=");
    write_uuid(b);
    buf_lit(b, "; Path=/; HttpOnly; Secure; SameSite=Lax\r\nx-request-id: ");
    write_hex(b, 32);
    buf_lit(b, "\r\ntraceparent: 00-");
    write_hex(b, 32);
    buf_char(b, '-');
    write_hex(b, 16);
    buf_lit(b, "-01\r\nx-cloud-trace-context: ");
    write_hex(b, 32);
    buf_lit(b, "/1\r\n");
}

void exchange_send(struct exchange *ex) {
    const struct knobs *k = &ex->question.knobs;
    struct reply *r = &ex->c->reply;

    add_cloud_headers(&r->extra);
    r->piece = k->chunk_bytes;
    if (k->content_length >= 0)
        r->framing = k->content_length ? FRAMING_LENGTH : FRAMING_CHUNKED;
    if (k->http10_close) {
        r->framing = FRAMING_CLOSE;
        r->http10 = true;
    }
    if (ex->record) reqlog_status(ex->record, r->status);
    conn_send(ex->c);
}

void exchange_error(struct exchange *ex, int status, const char *text) {
    error_reply(&ex->c->reply, &ex->about, status, text);
    exchange_send(ex);
}

void exchange_preset(struct exchange *ex, enum preset preset) {
    error_preset(&ex->c->reply, &ex->about, preset);
    exchange_send(ex);
}

/* ---- the model's answer ---- */

static void send_answer(struct conn *c) {
    exchange_send(c->app);
}

static void run(struct conn *c) {
    struct exchange *ex = c->app;
    const struct knobs *k = &ex->question.knobs;
    struct answer *a = &ex->answer;
    struct reply *r = &c->reply;
    int64_t cached = 0;

    ex->running = true;
    ledger_run(ex->entry.key);

    if (k->prompt_cache && !ex->route->embeds)
        cached = cache_use(&ex->question, ex->about.account);
    emit_begin(a, &ex->question, r, cached);
    ex->route->emit(a);
    if (a->k->error_after >= 0 && !r->stream) {
        error_preset(r, &ex->about, PRESET_INTERNAL_500);
        a->complete = false;
    } else {
        emit_finish(a);
    }

    r->delay_ms = k->delay_ms;
    if (k->reset_after_bytes >= 0) {
        r->cut = CUT_RESET;
        r->cut_at = k->reset_after_bytes;
    } else if (k->close_after_bytes >= 0) {
        r->cut = CUT_CLOSE;
        r->cut_at = k->close_after_bytes;
    }

    if (k->first_delay_ms) {
        conn_later(c, k->first_delay_ms, send_answer);
    } else {
        send_answer(c);
    }
}

static void wait_over(struct conn *c) {
    struct exchange *ex = c->app;

    accounts_leave(&ex->ticket);
    exchange_preset(ex, PRESET_QUEUE_TIMEOUT);
}

/* Not at once, since the one who made room is still busy with itself. */
static void wake(struct ticket *t) {
    conn_later(owner(t)->c, 0, run);
}

static void enter(struct exchange *ex) {
    struct account *a = ex->account;

    ex->ticket.wake = wake;
    accounts_enter(&ex->ticket, a);

    switch (ex->ticket.state) {
    case TICKET_RUNS: run(ex->c); break;
    case TICKET_WAITS: conn_later(ex->c, a->queue_timeout_ms, wait_over); break;
    case TICKET_NONE:
        ex->about.active = a->running;
        ex->about.max = a->max_concurrent;
        ex->about.queued = a->queued;
        ex->about.queue_limit = a->queue_limit;
        exchange_preset(ex, PRESET_CONCURRENT);
    }
}

/* ---- checks ---- */

static bool body_is_wrong(struct exchange *ex) {
    const struct question *q = &ex->question;
    const char *wrong = NULL;

    if (q->complaint.len) {
        buf_char(&ex->question.complaint, '\0');
        wrong = q->complaint.p;
    } else if (q->model.len == 0) {
        wrong = "model is required";
    } else if (ex->about.family == FAMILY_ANTHROPIC && q->max_tokens <= 0) {
        wrong = "max_tokens is required and must be positive";
    }
    if (wrong) exchange_error(ex, 400, wrong);
    return wrong != NULL;
}

static bool is_money(struct slice path) {
    return slice_is(path, "/api/usage") || slice_is(path, "/api/balance");
}

static bool key_is_wrong(struct exchange *ex) {
    enum standing standing;

    if (ex->many_keys) {
        exchange_error(ex, 400, "more than one Authorization header");
        return true;
    }
    standing = accounts_find(ex->key.p, ex->key.len, &ex->account);
    if (standing == KEY_GOOD) {
        if (ex->account) ex->about.account = ex->account->name;
        return false;
    }
    if (is_money(ex->c->request.path)) {
        if (standing == KEY_SUSPENDED)
            exchange_preset(ex, PRESET_SUSPENDED_403);
        else
            exchange_error(ex, 401, "invalid credentials");
    } else {
        exchange_preset(ex, PRESET_UNAUTHORIZED);
    }
    return true;
}

static void ask_model(struct exchange *ex) {
    static const enum preset quotas[] = {
        [QUOTA_HOURLY] = PRESET_QUOTA_HOURLY,
        [QUOTA_SESSION] = PRESET_QUOTA_SESSION,
        [QUOTA_WEEKLY] = PRESET_QUOTA_WEEKLY,
        [QUOTA_MONTHLY] = PRESET_QUOTA_MONTHLY,
    };
    const struct question *q = &ex->question;
    struct account *a;
    enum preset empty;
    char text[128];
    int denied;

    if (body_is_wrong(ex) || key_is_wrong(ex)) return;

    if (!catalogue_has(ex->about.model, ex->about.family)) {
        exchange_preset(ex, PRESET_NOT_FOUND_404);
        return;
    }
    if (q->max_output_tokens > OUTPUT_TOKENS_MAX) {
        snprintf(text, sizeof(text),
                 "max_tokens (%lld) exceeds model's maximum output tokens (%d)",
                 (long long)q->max_output_tokens, OUTPUT_TOKENS_MAX);
        exchange_error(ex, 400, text);
        return;
    }

    a = ex->account;
    denied = a ? account_denies(a, q->model.p, q->model.len) : 0;
    empty = a ? purse_refusal(&a->purse) : PRESET_NONE;
    if (denied) {
        exchange_preset(ex,
                        denied == 402 ? PRESET_MODEL_402 : PRESET_MODEL_403);
    } else if (a && a->quota) {
        exchange_preset(ex, quotas[a->quota]);
    } else if (empty) {
        exchange_preset(ex, empty);
    } else {
        enter(ex);
    }
}

static void not_found(struct exchange *ex) {
    struct slice path = ex->c->request.path;
    struct reply *r = &ex->c->reply;

    r->status = 404;
    r->type = "application/json";
    buf_lit(&r->body, "{\"error\":\"path \\\"");
    buf_json_chars(&r->body, path.p, path.len);
    buf_lit(&r->body, "\\\" not found\"}");
    exchange_send(ex);
}

static void serve(struct conn *c) {
    struct exchange *ex = c->app;
    const struct route *route = ex->route;
    int status = 0;

    if (route == NULL) route_find(c->request.path, c->request.method, &status);

    if (status == 405) {
        exchange_error(ex, 405, "method not allowed");
    } else if (route == NULL) {
        not_found(ex);
    } else if (route->embeds && !ex->question.knobs.embeddings) {
        if (ex->about.family == FAMILY_NATIVE)
            exchange_preset(ex, PRESET_UNAUTHORIZED);
        else
            not_found(ex);
    } else if (route->kind == ROUTE_MODEL) {
        ask_model(ex);
    } else if (route->kind == ROUTE_PUBLIC || !key_is_wrong(ex)) {
        c->reply.status = 200;
        c->reply.type = "application/json";
        route->page(ex);
        if (!ex->hangs) exchange_send(ex);
    }
}

static void follow_rule(struct conn *c) {
    struct exchange *ex = c->app;
    const struct rule *rule = ex->rule;

    if (!rule->answers) {
        serve(c);
    } else if (rule->hold) {
        return;
    } else if (rule->close == CLOSE_BEFORE_HEADERS ||
               rule->close == CLOSE_RESET) {
        conn_drop(c, rule->close == CLOSE_RESET);
    } else {
        /* the name of a key's account, whether or not it could come in */
        accounts_find(ex->key.p, ex->key.len, &ex->account);
        if (ex->account) ex->about.account = ex->account->name;
        ex->about.active = ex->about.max =
            ex->account ? ex->account->max_concurrent : 1;
        ex->about.queued = ex->about.queue_limit =
            ex->account ? ex->account->queue_limit : 5;
        rule_reply(rule, &c->reply, &ex->about);
        exchange_send(ex);
    }
}

/* ---- what http.c calls ---- */

static struct slice bearer(const struct request *r, bool *many) {
    struct slice none = {"", 0}, v;
    unsigned n;

    v = request_header(r, "authorization", &n);
    *many = n > 1;
    if (n == 0 || v.len < 7 || strncasecmp(v.p, "Bearer ", 7) != 0) return none;
    for (v.p += 7, v.len -= 7; v.len && *v.p == ' '; v.p++, v.len--) {
    }
    return v;
}

static void clear(struct exchange *ex, struct conn *c) {
    struct reply *r = &c->reply;

    ex->c = c;
    ex->account = NULL;
    ex->rule = NULL;
    ex->ticket.state = TICKET_NONE;
    ex->counted = false;
    ex->running = false;
    ex->hangs = false;
    ex->record = 0;
    ex->answer.complete = false;
    memset(&ex->about, 0, sizeof(ex->about));

    r->type = NULL;
    r->extra.len = 0;
    r->own_length = false;
    r->body.len = 0;
    r->nends = 0;
    r->stream = false;
    r->framing = FRAMING_AUTO;
    r->http10 = false;
    r->delay_ms = 0;
    r->body_ms = 0;
    r->trailers.len = 0;
    r->interim.len = 0;
    r->piece = 0;
    r->cut = CUT_NONE;
}

void server_request(struct conn *c) {
    struct exchange *ex = c->app;
    struct request *q = &c->request;
    int status;

    if (ex == NULL) ex = c->app = must(calloc(1, sizeof(*ex)));
    clear(ex, c);

    if (control_owns(q->path)) {
        control_answer(c);
        conn_send(c);
        return;
    }

    ex->key = bearer(q, &ex->many_keys);
    question_read(&ex->question, q->body.p, q->body.len);
    ex->about.family = family_of(q->path);
    ex->about.plain = ex->question.knobs.plain_string_on_v1 != 0;
    ex->about.model =
        (struct slice){ex->question.model.len ? ex->question.model.p : "",
                       ex->question.model.len};
    ex->route = route_find(q->path, q->method, &status);

    if (ex->route && ex->route->kind == ROUTE_MODEL) {
        ledger_request(&ex->entry, ex->key, ex->about.model, q->path);
        ex->counted = true;
        ex->at = clock_now();
        ex->priced = prices_find(ex->about.model, ex->at, &ex->price);
    } else if (ex->route && ex->route->kind == ROUTE_KEYED) {
        accounts_find(ex->key.p, ex->key.len, &ex->account);
        asked(ex->account ? ex->account->name : NULL, q->path);
    }
    if (knobs_global.log_requests)
        ex->record = reqlog_add(c, ex->key, ex->about.model);

    ex->rule = rules_take(ex->key, ex->about.model, q->path, q->method);
    if (ex->rule == NULL) {
        serve(c);
    } else if (ex->rule->delay_ms) {
        conn_later(c, ex->rule->delay_ms, follow_rule);
    } else {
        follow_rule(c);
    }
}

/* The account is that which gave the slot, whatever it has become. */
static void charge(struct exchange *ex) {
    struct account *a = ex->ticket.account;
    struct tokens *t = &ex->answer.tokens;

    if (ex->priced)
        t->nano_usd = price_of(&ex->price, t);
    else
        t->unpriced = t->prompt + t->completion;

    if (!ledger_ok(&ex->entry, t)) return;
    bill_add(a ? a->name : NULL, ex->about.model, ex->at, t,
             ex->priced ? t->nano_usd : -1);
    if (a) purse_spend(&a->purse, t->nano_usd);
}

void server_done(struct conn *c, bool sent) {
    struct exchange *ex = c->app;

    if (ex->running) ledger_rest(ex->entry.key);
    if (ex->running && sent && ex->answer.complete) charge(ex);
    accounts_leave(&ex->ticket);
    if (ex->rule) rule_unref(ex->rule);
    ex->rule = NULL;
    buf_trim(&ex->question.instructions, 64 * 1024);
}

void server_forget(struct conn *c) {
    struct exchange *ex = c->app;

    if (ex == NULL) return;
    question_free(&ex->question);
    free(ex);
    c->app = NULL;
}
