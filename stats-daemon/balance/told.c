#include "told.h"

#include "../base/util.h"
#include "money.h"

#include "../../ngx_ollama_module/core/json_reader.h"

#include <stdio.h>
#include <string.h>

#define NAMES 5 /* levels whose names are kept */
#define NAME  24

/* A document: where the reader is, and who hears of each value. */
struct document {
    ollama_json_reader_t rd;
    char name[NAMES][NAME]; /* of the member at each depth, "" in a list */
    void (*value)(struct document *d, ollama_json_token_e kind,
                  const char *text, size_t len);
    void (*end)(struct document *d); /* of an object, before it is closed */
    void *arg;
};

static int is_at(const struct document *d, const char *a, const char *b,
                 const char *c) {
    const char *names[] = {a, b, c};
    unsigned depth = 0;

    for (; depth < 3 && names[depth]; depth++)
        if (strcmp(d->name[depth], names[depth]) != 0) return 0;
    return d->rd.depth == depth;
}

static int on_token(void *ctx, ollama_json_token_e kind,
                    const unsigned char *text, size_t len) {
    struct document *d = ctx;
    unsigned depth = d->rd.depth; /* 1: in the object itself */

    switch (kind) {
    case OLLAMA_JSON_KEY:
        if (depth >= 1 && depth <= NAMES)
            snprintf(d->name[depth - 1], NAME, "%.*s", (int)len,
                     (const char *)text);
        break;
    case OLLAMA_JSON_OBJECT:
    case OLLAMA_JSON_ARRAY:
        if (depth >= 1 && depth <= NAMES) d->name[depth - 1][0] = '\0';
        break;
    case OLLAMA_JSON_OBJECT_END:
        if (d->end) d->end(d);
        break;
    case OLLAMA_JSON_ARRAY_END: break;
    default:
        if (depth <= NAMES) d->value(d, kind, (const char *)text, len);
    }
    return 1;
}

/* 0, or -1: it is no JSON object, or not only one. */
static int read_document(struct document *d, const char *body, size_t len) {
    const unsigned char *p = (const unsigned char *)body, *end = p + len;
    int rc = OLLAMA_JSON_READER_BROKEN;

    while (p < end && strchr(" \t\r\n", *p) && *p) p++;
    if (p == end || *p != '{') return -1;
    if (!ollama_json_reader_init(&d->rd, on_token, d)) return -1;
    rc = ollama_json_reader_feed(&d->rd, &p, end);
    ollama_json_reader_free(&d->rd);
    return rc == OLLAMA_JSON_READER_DONE ? 0 : -1;
}

/* A number, also as a string. */
static int number(ollama_json_token_e kind, const char *text, size_t len,
                  int64_t *nano) {
    return (kind == OLLAMA_JSON_NUMBER || kind == OLLAMA_JSON_STRING) &&
           money_read(text, len, nano) == 0;
}

static int64_t time_of(ollama_json_token_e kind, const char *text, size_t len) {
    char buf[64];
    int64_t ms;

    if (kind != OLLAMA_JSON_STRING || len >= sizeof(buf)) return 0;
    snprintf(buf, sizeof(buf), "%.*s", (int)len, text);
    return parse_time(buf, &ms) == 0 ? ms : 0;
}

/* ---- a balance ---- */

struct balance_in {
    ollama_record_balance_t *b;
    int money, windows, wrong;
};

/* Per cent in 1/1000 of the whole. */
static uint16_t share(int64_t nano) {
    int64_t v = (nano + MONEY_DOLLAR / 20) / (MONEY_DOLLAR / 10);

    return v > 1000 ? 1000 : (uint16_t)v;
}

static void on_balance(struct document *d, ollama_json_token_e kind,
                       const char *text, size_t len) {
    struct balance_in *in = d->arg;
    ollama_record_balance_t *b = in->b;
    int64_t n = 0;
    int is_number = number(kind, text, len, &n);

    if (is_at(d, "included", "period", "from")) {
        b->from = (uint64_t)time_of(kind, text, len);
    } else if (is_at(d, "included", "period", "until")) {
        b->until = (uint64_t)time_of(kind, text, len);
    } else if (is_at(d, "included", "session", "resets_at")) {
        b->session_resets = (uint64_t)time_of(kind, text, len);
    } else if (is_at(d, "included", "weekly", "resets_at")) {
        b->week_resets = (uint64_t)time_of(kind, text, len);
    } else if (!is_number) {
        return;
    } else if (is_at(d, "included", "balance_usd", NULL)) {
        b->included = (uint64_t)n;
        in->money = 1;
    } else if (is_at(d, "included", "allowance_usd", NULL)) {
        if (*text == '-') in->wrong = 1; /* and read as 0: money.h */
        b->allowance = (uint64_t)n;
    } else if (is_at(d, "purchased", "balance_usd", NULL)) {
        b->purchased = (uint64_t)n;
        in->money = 1;
    } else if (is_at(d, "included", "session", "remaining_percent")) {
        b->session = share(n);
        in->windows = 1;
    } else if (is_at(d, "included", "weekly", "remaining_percent")) {
        b->week = share(n);
        in->windows = 1;
    }
}

void told_balance(const char *body, size_t len, ollama_record_balance_t *b) {
    struct balance_in in = {.b = b};
    struct document d = {.value = on_balance, .arg = &in};

    memset(b, 0, sizeof(*b));
    b->session = b->week = OLLAMA_BALANCE_NO_SHARE;
    if (read_document(&d, body, len) != 0 || in.wrong)
        in.money = in.windows = 0;
    b->kind = in.windows ? OLLAMA_BALANCE_WINDOWS
              : in.money ? OLLAMA_BALANCE_MONEY
                         : OLLAMA_BALANCE_UNKNOWN;
}

/* ---- use ---- */

struct usage_in {
    struct told_day *days, day;
    int n, found;
};

static void on_usage(struct document *d, ollama_json_token_e kind,
                     const char *text, size_t len) {
    struct usage_in *in = d->arg;
    struct told_day *day = &in->day;
    int64_t n;

    /* an object in a list: two levels below the member that it is */
    if (d->rd.depth != 3 || strcmp(d->name[0], "buckets") != 0) return;

    const char *name = d->name[2];
    if (strcmp(name, "from") == 0) {
        day->from = time_of(kind, text, len);
    } else if (strcmp(name, "until") == 0) {
        day->until = time_of(kind, text, len);
    } else if (strcmp(name, "partial") == 0) {
        day->partial = kind == OLLAMA_JSON_TRUE;
    } else if (!number(kind, text, len, &n)) {
        return;
    } else if (strcmp(name, "request_count") == 0) {
        day->requests = n / MONEY_DOLLAR;
    } else if (strcmp(name, "usage_usd") == 0) {
        day->usd = n;
        day->has_usd = 1;
    }
}

static void on_usage_end(struct document *d) {
    struct usage_in *in = d->arg;

    if (d->rd.depth != 2 || strcmp(d->name[0], "buckets") != 0) return;
    if (in->day.from && in->n < TOLD_DAYS) in->days[in->n++] = in->day;
    memset(&in->day, 0, sizeof(in->day));
}

int told_usage(const char *body, size_t len, struct told_day days[TOLD_DAYS]) {
    struct usage_in in = {.days = days};
    struct document d = {.value = on_usage, .end = on_usage_end, .arg = &in};

    if (read_document(&d, body, len) != 0 || in.n == 0) return -1;
    return in.n;
}
