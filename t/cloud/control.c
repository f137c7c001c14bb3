#include "control.h"

#include "accounts.h"
#include "asked.h"
#include "bill.h"
#include "cache.h"
#include "clock.h"
#include "knobs.h"
#include "ledger.h"
#include "prices.h"
#include "reqlog.h"
#include "rules.h"
#include "tree.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define PREFIX "/_sim/"

typedef bool (*loader)(yajl_val document, struct buf *complaint);

static bool load(loader into, const char *text, size_t len,
                 struct buf *complaint) {
    yajl_val document = tree_parse(text, len, complaint);
    bool loaded = document && into(document, complaint);

    yajl_tree_free(document);
    return loaded;
}

static bool reset(yajl_val document, struct buf *complaint) {
    (void)document;
    (void)complaint;
    control_reset();
    return true;
}

static bool move_clock(yajl_val document, struct buf *complaint) {
    yajl_val pass = tree_get(document, "pass"), at = tree_get(document, "at");

    if ((pass && !YAJL_IS_INTEGER(pass)) || (at && !YAJL_IS_INTEGER(at))) {
        buf_lit(complaint, "wanted is {\"pass\": seconds} or {\"at\": seconds}");
        return false;
    }
    if (pass)
        clock_move(clock_moved() + YAJL_GET_INTEGER(pass) * 1000);
    else if (at)
        clock_move(clock_moved() + YAJL_GET_INTEGER(at) * 1000 -
                   clock_now_ms());
    else
        clock_move(0);
    return true;
}

static const struct {
    const char *page;
    loader into;
} documents[] = {
    {"reset", reset},
    {"accounts", accounts_load},
    {"rules", rules_load},
    {"knobs", knobs_load},
    {"prices", prices_load},
    {"clock", move_clock},
};

void control_reset(void) {
    ledger_reset();
    reqlog_reset();
    rules_reset();
    accounts_reset();
    bill_reset();
    asked_reset();
    cache_reset();
}

bool control_owns(struct slice path) {
    return path.len >= sizeof(PREFIX) - 1 &&
           memcmp(path.p, PREFIX, sizeof(PREFIX) - 1) == 0;
}

static void complain(struct reply *r, int status, const char *text,
                     size_t len) {
    r->status = status;
    r->body.len = 0;
    buf_lit(&r->body, "{\"error\":");
    buf_json(&r->body, text, len);
    buf_char(&r->body, '}');
}

static void post(struct conn *c, const char *page, size_t len) {
    struct buf *body = &c->request.body, complaint = {0};
    bool empty = body->len == 0;
    size_t i;

    for (i = 0; i < sizeof(documents) / sizeof(documents[0]); i++) {
        if (strlen(documents[i].page) != len ||
            memcmp(documents[i].page, page, len) != 0)
            continue;
        if (load(documents[i].into, empty ? "{}" : body->p,
                 empty ? 2 : body->len, &complaint)) {
            buf_lit(&c->reply.body, "{\"ok\":true}");
        } else {
            complain(&c->reply, 400, complaint.p, complaint.len);
        }
        buf_free(&complaint);
        return;
    }
    complain(&c->reply, 404, "no such page", 12);
}

static void get(struct conn *c, const char *page, size_t len) {
    struct slice name = {page, len}, last = request_arg(&c->request, "last");

    if (slice_is(name, "ledger")) {
        ledger_write(&c->reply.body);
    } else if (slice_is(name, "bill")) {
        bill_write(&c->reply.body);
    } else if (slice_is(name, "balances")) {
        accounts_write(&c->reply.body);
    } else if (slice_is(name, "asked")) {
        asked_write(&c->reply.body);
    } else if (slice_is(name, "clock")) {
        buf_printf(&c->reply.body, "{\"now\":%lld}",
                   (long long)clock_now_ms());
    } else if (slice_is(name, "requests")) {
        reqlog_write(&c->reply.body,
                     last.len ? strtoul(last.p, NULL, 10) : (size_t)-1);
    } else {
        complain(&c->reply, 404, "no such page", 12);
    }
}

void control_answer(struct conn *c) {
    const char *page = c->request.path.p + sizeof(PREFIX) - 1;
    size_t len = c->request.path.len - (sizeof(PREFIX) - 1);

    c->reply.status = 200;
    c->reply.type = "application/json";

    if (slice_is(c->request.method, "POST")) {
        post(c, page, len);
    } else if (slice_is(c->request.method, "GET")) {
        get(c, page, len);
    } else {
        complain(&c->reply, 405, "GET or POST", 11);
    }
}

bool control_load_accounts(const char *file) {
    struct buf text = {0}, complaint = {0};
    FILE *f = fopen(file, "r");
    bool loaded = false;
    size_t n;

    if (f == NULL) {
        fprintf(stderr, "cloud-sim: %s: %s\n", file, strerror(errno));
        return false;
    }
    do {
        buf_reserve(&text, 65536);
        n = fread(text.p + text.len, 1, 65536, f);
        text.len += n;
    } while (n);
    fclose(f);

    loaded = load(accounts_load, text.p, text.len, &complaint);
    if (!loaded)
        fprintf(stderr, "cloud-sim: %s: %.*s\n", file, (int)complaint.len,
                complaint.p);

    buf_free(&text);
    buf_free(&complaint);
    return loaded;
}
