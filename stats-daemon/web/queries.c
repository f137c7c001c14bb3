#include "queries.h"

#include "../bodies/body_files.h"
#include "../bodies/gunzip.h"

#include "../base/util.h"
#include "fields.h"
#include "http_ask.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct ask *asked(struct http_request *q) {
    return ((const struct api *)q->ctx)->ask;
}

static const char *const certainties[] = {"none", "estimated", "partial",
                                          "exact"};

/* "fingerprint:status:ms:cause ..." as it lies in the store; returns how many
 * there were in all, told or not. */
static int attempts(struct json *j, const char *s, int all) {
    unsigned key, status, ms, cause;
    int n, told = 0;

    json_member(j, "attempts");
    json_begin(j, '[');
    while (sscanf(s, "%8x:%5u:%10u:%3u%n", &key, &status, &ms, &cause, &n) ==
           4) {
        field_attempt(j, key, status, ms, cause);
        s += n;
        if (*s == ' ') s++;
        told++;
    }
    json_end(j, ']');
    return told > all ? told : all;
}

static void field_certainty(struct json *j, const char *name, int certainty) {
    field_text(j, name,
               certainty >= 0 && certainty < 4 ? certainties[certainty]
                                               : "unknown");
}

void queries_row(struct json *j, const struct store_row *r) {
    json_begin(j, '{');
    field_number(j, "id", r->id);
    json_member(j, "timestamp");
    json_time(j, r->time, 1);
    json_member(j, "client_ip");
    json_text(j, r->client);
    field_text(j, "client_name", r->client_name);
    json_member(j, "method");
    json_text(j, r->method);
    json_member(j, "endpoint");
    json_text(j, r->endpoint);
    field_text(j, "model", r->model);
    /* what is not noted is as asked for */
    field_text(j, "model_answered",
               r->model_answered ? r->model_answered : r->model);
    field_key(j, r->key, r->key_name);
    field_maybe(j, "key_index", r->key_index);
    field_number(j, "status", r->status);
    field_text(j, "end", field_end((unsigned)r->end));
    field_text(j, "reason", r->reason);
    field_number(j, "prompt_tokens", r->prompt);
    field_number(j, "completion_tokens", r->completion);
    field_number(j, "cached_tokens", r->cached);
    field_number(j, "total_tokens", r->prompt + r->completion);
    field_money(j, "cost_usd", r->cost);
    field_text(j, "affinity", field_affinity(r->affinity));
    field_certainty(j, "certainty", r->certainty);
    field_certainty(j, "prompt_certainty", r->prompt_certainty);
    field_certainty(j, "completion_certainty", r->completion_certainty);
    json_member(j, "streamed");
    json_bool(j, r->streamed);
    field_maybe(j, "queue_ms", r->queue);
    field_maybe(j, "connect_ms", r->connect);
    field_maybe(j, "first_token_ms", r->first_token);
    field_maybe(j, "total_ms", r->total);
    field_number(j, "bytes_in", r->bytes_in);
    field_number(j, "bytes_out", r->bytes_out);
    field_number(j, "attempts_total",
                 attempts(j, r->attempts ? r->attempts : "", r->attempts_all));
    field_text(j, "upstream_id", r->upstream_id);
    field_text(j, "user_agent", r->user_agent);
    json_member(j, "body");
    if (r->body_size < 0) {
        json_null(j);
    } else {
        json_begin(j, '{');
        field_number(j, "size", r->body_size);
        json_member(j, "truncated");
        json_bool(j, r->body_truncated);
        json_end(j, '}');
    }
    json_end(j, '}');
}

static void on_query(void *arg, const struct store_row *row) {
    queries_row(arg, row);
}

/* The kinds that have any of these bits. */
static int kinds_with(int bits) {
    int set = 0;

    for (int kind = 0; kind < 8; kind++)
        if (kind & bits) set |= 1 << kind;
    return set;
}

/* "429", "4xx", "error", ..: 0, or -1. */
static int parse_status(const char *s, struct store_query *q) {
    int64_t v;

    if (strcmp(s, "error") == 0) {
        /* what the sums count as one */
        q->status_min = 400;
        q->status_max = 999;
        q->also = kinds_with(STORE_KIND_BROKEN);
        q->kinds =
            STORE_KINDS_ANY & ~kinds_with(STORE_KIND_BROKEN | STORE_KIND_GONE);
        return 0;
    }
    if (strlen(s) == 3 && s[0] >= '1' && s[0] <= '5' &&
        strcmp(s + 1, "xx") == 0) {
        q->status_min = (s[0] - '0') * 100;
        q->status_max = q->status_min + 99;
        return 0;
    }
    if (parse_number(s, 100, 999, &v) == 0) {
        q->status_min = q->status_max = (int)v;
        return 0;
    }

    q->status_min = q->status_max = 1000; /* none */
    if (strcmp(s, "broken") == 0)
        q->also = kinds_with(STORE_KIND_BROKEN);
    else if (strcmp(s, "client_gone") == 0)
        q->also = kinds_with(STORE_KIND_GONE);
    else if (strcmp(s, "retried") == 0)
        q->also = kinds_with(STORE_KIND_RETRIED);
    else
        return -1;
    return 0;
}

/* A store_query whose texts are in it. */
struct rows_params {
    struct store_query q; /* its pointers are set by the reader */
    char client[129], model[257], key[129];
};

static enum store_result read_rows(struct store_reader *rd, const void *params,
                                   struct answer *a) {
    const struct rows_params *p = params;
    struct store_query q = p->q;

    q.client = *p->client ? p->client : NULL;
    q.model = *p->model ? p->model : NULL;
    q.key = *p->key ? p->key : NULL;
    json_begin(&a->j, '[');
    enum store_result r = store_rows(rd, &q, on_query, &a->j);
    json_end(&a->j, ']');
    return r;
}

static void keep(char *to, size_t size, const char *s) {
    if (s) memcpy(to, s, strnlen(s, size - 1));
}

static void queries(struct http_request *q) {
    static const struct question kind = {.read = read_rows, .is_json = 1};
    struct rows_params p;
    const char *status, *ip, *client, *model, *key;
    int64_t limit, offset, until;

    memset(&p, 0, sizeof(p));
    if (http_int(q, "limit", 50, 1, 500, &limit) != 0 ||
        http_int(q, "offset", 0, 0, 10000, &offset) != 0 ||
        http_int(q, "before", 0, 1, INT64_MAX, &p.q.before.id) != 0 ||
        http_int(q, "after", 0, 0, INT64_MAX, &p.q.after.id) != 0 ||
        http_time(q, "until", -1, &until) != 0 ||
        http_text(q, "ip", 128, &ip) != 0 ||
        http_text(q, "client", 128, &client) != 0 ||
        http_text(q, "model", 256, &model) != 0 ||
        http_text(q, "key", 128, &key) != 0 ||
        http_text(q, "status", 16, &status) != 0)
        return;
    if (status && parse_status(status, &p.q) != 0) {
        http_error(q, 400,
                   "status must be a number from 100 to 999, a class like "
                   "4xx, or error, broken, client_gone, retried");
        return;
    }
    keep(p.client, sizeof(p.client), client ? client : ip);
    keep(p.model, sizeof(p.model), model);
    keep(p.key, sizeof(p.key), key);
    p.q.limit = (int)limit;
    p.q.offset = (int)offset;
    if (until == 0) p.q.before.id = 1; /* nothing had */
    if (until > 0) p.q.until = until;
    http_ask(q, asked(q), &kind, &p, sizeof(p), NULL);
}

/* ---- one request ---- */

static enum store_result read_row(struct store_reader *rd, const void *params,
                                  struct answer *a) {
    const int64_t *id = params;

    a->n[0] = *id;
    return store_row(rd, *id, on_query, &a->j);
}

static void send_row(struct http_request *q, const struct answer *a) {
    if (a->result == STORE_NONE)
        http_error(q, 404, "there is no request %" PRId64, a->n[0]);
    else
        http_answer(q, a);
}

/* ---- its body ---- */

struct body_params {
    const struct api *api;
    int64_t id;
    int gzip; /* the client takes it as it lies there */
};

struct body {
    struct body_ref ref;
    uint64_t instance, rid;
    int64_t time, size;
    int truncated;
};

enum { BODY_ID, BODY_SIZE, BODY_TRUNCATED, BODY_GZIP, BODY_DAMAGED };

static void on_body(void *arg, const struct store_row *row) {
    struct body *b = arg;

    b->ref = row->body;
    b->instance = row->instance;
    b->rid = row->rid;
    b->time = row->body_time;
    b->size = row->body_size;
    b->truncated = row->body_truncated;
}

static enum store_result read_body(struct store_reader *rd, const void *params,
                                   struct answer *a) {
    const struct body_params *p = params;
    struct body b;
    size_t len = 0;
    void *data = NULL;

    a->n[BODY_ID] = p->id;
    a->n[BODY_SIZE] = -1;
    enum store_result r = store_row(rd, p->id, on_body, &b);
    if (r != STORE_OK) return r;
    if (b.size >= 0 && b.ref.segment) {
        data = segments_read(p->api->bodies, &b.ref);
        len = (size_t)b.ref.len;
    } else if (b.size >= 0) {
        data = body_file_read(p->api->dir, b.instance, b.rid, b.time, &len);
    }
    if (data == NULL) return STORE_OK;

    a->n[BODY_SIZE] = b.size;
    a->n[BODY_TRUNCATED] = b.truncated;
    a->n[BODY_GZIP] = p->gzip;
    if (!p->gzip) {
        void *plain = gunzip(data, len, OLLAMA_FRAME_MAX, &len);

        free(data);
        data = plain;
        if (data == NULL) a->n[BODY_DAMAGED] = 1;
    }
    a->j.data = data;
    a->j.len = data ? len : 0;
    return STORE_OK;
}

static void send_body(struct http_request *q, const struct answer *a) {
    char size[24];

    if (a->result == STORE_NONE) {
        http_error(q, 404, "there is no request %" PRId64, a->n[BODY_ID]);
    } else if (a->result != STORE_OK) {
        http_no_answer(q, a);
    } else if (a->n[BODY_SIZE] < 0) {
        http_error(q, 404, "the body of request %" PRId64 " is not kept",
                   a->n[BODY_ID]);
    } else if (a->n[BODY_DAMAGED]) {
        http_error(q, 500, "the file of this body is damaged");
    } else {
        snprintf(size, sizeof(size), "%" PRId64, a->n[BODY_SIZE]);
        http_set(q, "X-Ollama-Body-Size", size);
        http_set(q, "X-Ollama-Body-Truncated",
                 a->n[BODY_TRUNCATED] ? "1" : "0");
        http_set(q, "Vary", "Accept-Encoding");
        if (a->n[BODY_GZIP]) http_set(q, "Content-Encoding", "gzip");
        http_held(q, a, a->j.data, a->j.len);
    }
}

static void query(struct http_request *q) {
    static const struct question row = {.read = read_row, .is_json = 1},
                                 body = {.read = read_body, .alone = 1};
    struct body_params p;
    char digits[24];
    size_t n = strspn(q->rest, "0123456789");

    memset(&p, 0, sizeof(p));
    if (n == 0) {
        http_error(q, 404, "there is no such page");
        return;
    }
    snprintf(digits, sizeof(digits), "%.*s", n > 20 ? 20 : (int)n, q->rest);
    if (parse_number(digits, 1, INT64_MAX, &p.id) != 0) {
        http_error(q, 400, "an id is a whole number from 1 to %" PRId64,
                   INT64_MAX);
        return;
    }
    if (q->rest[n] == '\0') {
        http_ask(q, asked(q), &row, &p.id, sizeof(p.id), send_row);
    } else if (strcmp(q->rest + n, "/body") == 0) {
        p.api = q->ctx;
        p.gzip = http_takes_gzip(q);
        http_ask(q, asked(q), &body, &p, sizeof(p), send_body);
    } else {
        http_error(q, 404, "there is no such page");
    }
}

void queries_routes(struct http *h) {
    http_route(h, "/queries", queries);
    http_route(h, "/queries/", query);
}
