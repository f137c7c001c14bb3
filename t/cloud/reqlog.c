#include "reqlog.h"

#include "../../ngx_ollama_module/core/sha256.h"

#include <stdlib.h>

#define RECORDS    2000
#define BODY_KEPT  ((size_t)256 * 1024)
#define BYTES_KEPT ((size_t)64 * 1024 * 1024)

/* What a record refers to lies behind it, in one piece of memory. */
struct record {
    size_t bytes;
    struct slice method, uri, key, model, body;
    struct header *headers;
    unsigned nheaders, minor, nth;
    uint64_t connection;
    size_t body_bytes;
    unsigned char
        sha256[OLLAMA_SHA256_LEN]; /* if not all of the body is here */
    int status;
};

static struct record *ring[RECORDS];
static uint64_t first = 1, next = 1; /* numbers of the oldest, of the coming */
static uint64_t base;                /* number before the first since a reset */
static size_t bytes;

static void drop_oldest(void) {
    struct record **r = &ring[first++ % RECORDS];

    bytes -= (*r)->bytes;
    free(*r);
    *r = NULL;
}

static void digest(struct slice body, unsigned char sha256[OLLAMA_SHA256_LEN]) {
    ollama_sha256_t sha;

    ollama_sha256_init(&sha);
    if (body.len) ollama_sha256_update(&sha, body.p, body.len);
    ollama_sha256_final(&sha, sha256);
}

static struct slice keep(char **to, struct slice s) {
    struct slice kept = {*to, s.len};

    if (s.len) memcpy(*to, s.p, s.len);
    *to += s.len;
    return kept;
}

uint64_t reqlog_add(const struct conn *c, struct slice key,
                    struct slice model) {
    const struct request *q = &c->request;
    struct slice body = {q->body.p,
                         q->body.len < BODY_KEPT ? q->body.len : BODY_KEPT};
    size_t size = sizeof(struct record) + q->nheaders * sizeof(struct header) +
                  q->head.len + key.len + model.len + body.len;
    struct record *r;
    unsigned i;
    char *to;

    while (first < next &&
           (next - first == RECORDS || bytes + size > BYTES_KEPT))
        drop_oldest();

    r = must(malloc(size));
    r->headers = (struct header *)(r + 1);
    to = (char *)(r->headers + q->nheaders);
    bytes += size;

    r->bytes = size;
    r->method = keep(&to, q->method);
    r->uri = keep(&to, q->uri);
    r->key = keep(&to, key);
    r->model = keep(&to, model);
    r->body = keep(&to, body);
    r->nheaders = q->nheaders;
    for (i = 0; i < q->nheaders; i++) {
        r->headers[i].name = keep(&to, q->headers[i].name);
        r->headers[i].value = keep(&to, q->headers[i].value);
    }
    r->minor = q->minor;
    r->nth = c->nrequests;
    r->connection = c->id;
    r->body_bytes = q->body.len;
    r->status = 0;

    if (q->body.len > BODY_KEPT)
        digest((struct slice){q->body.p, q->body.len}, r->sha256);

    ring[next % RECORDS] = r;
    return next++;
}

void reqlog_status(uint64_t record, int status) {
    if (record >= first && record < next)
        ring[record % RECORDS]->status = status;
}

static void write_member(struct buf *b, const char *name, struct slice value) {
    buf_str(b, name);
    buf_json(b, value.p, value.len);
}

static void write_record(struct buf *b, uint64_t n, struct record *r) {
    unsigned i;

    if (r->body.len == r->body_bytes) digest(r->body, r->sha256);

    buf_printf(b, "{\"n\":%llu", (unsigned long long)(n - base));
    write_member(b, ",\"method\":", r->method);
    write_member(b, ",\"uri\":", r->uri);
    buf_printf(b, ",\"http\":\"1.%u\",\"headers\":[", r->minor);
    for (i = 0; i < r->nheaders; i++) {
        write_member(b, i ? ",[" : "[", r->headers[i].name);
        write_member(b, ",", r->headers[i].value);
        buf_char(b, ']');
    }
    write_member(b, "],\"key\":", r->key);
    write_member(b, ",\"model\":", r->model);
    write_member(b, ",\"body\":", r->body);
    buf_printf(b, ",\"body_bytes\":%zu,\"body_sha256\":\"", r->body_bytes);
    for (i = 0; i < sizeof(r->sha256); i++) buf_printf(b, "%02x", r->sha256[i]);
    buf_printf(
        b, "\",\"status\":%d,\"connection\":%llu,\"request_on_connection\":%u}",
        r->status, (unsigned long long)r->connection, r->nth);
}

void reqlog_write(struct buf *b, size_t last) {
    uint64_t n = next - first > last ? next - last : first;
    bool more = false;

    buf_char(b, '[');
    for (; n < next; n++, more = true) {
        if (more) buf_char(b, ',');
        write_record(b, n, ring[n % RECORDS]);
    }
    buf_char(b, ']');
}

void reqlog_reset(void) {
    while (first < next) drop_oldest();
    base = next - 1;
}
