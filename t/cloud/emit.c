#include "emit.h"

#include "clock.h"

#include <stdlib.h>
#include <zlib.h>

#define STAMP_STEP        1234567
#define EMBEDDING_NUMBERS 64

/* Already escaped. Some are of more than one byte a character, some need an
 * escape, so that a scanner which cuts them apart is noticed. */
static const char *const words[] = {
    "Hello ",
    "from ",
    "the ",
    "cloud, ",
    "gr\xc3\xbc\xc3\x9f ",
    "dich ",
    "and ",
    "\xe4\xbd\xa0\xe5\xa5\xbd ",
    "\\u003cb\\u003e ",
    "\\\"quoted\\\" ",
    "back\\\\slash ",
    "\xf0\x9f\x98\x80 ",
    "line\\nbreak ",
    "done:true ",
    "usage ",
    "end. ",
};

#define NWORDS ((int64_t)(sizeof(words) / sizeof(words[0])))

const char emit_fake_usage[] =
    "{\"usage\":{\"prompt_tokens\":999999,\"completion_tokens\":999999,\"total_tokens\":1999998,"
    "\"input_tokens\":999999,\"output_tokens\":999999,\"cache_read_input_tokens\":999999},"
    "\"prompt_eval_count\":999999,\"eval_count\":999999,\"prompt_eval_cached_count\":999999,"
    "\"response\":{\"usage\":{\"input_tokens\":999999,\"output_tokens\":999999}},"
    "\"message\":{\"usage\":{\"input_tokens\":999999,\"output_tokens\":999999}},\"done\":true}";

void emit_begin(struct answer *a, const struct question *q, struct reply *r,
                int64_t cached) {
    struct tokens *t = &a->tokens;

    a->q = q;
    a->k = &q->knobs;
    a->r = r;
    a->complete = true;
    memset(t, 0, sizeof(*t));
    t->prompt = question_prompt_tokens(q);
    t->completion = a->k->words + a->k->thinking;
    t->cached = a->k->cached ? t->prompt / 2 : cached;
    clock_gettime(CLOCK_REALTIME, &a->now);
    a->now.tv_sec += clock_moved() / 1000;
    r->status = 200;
}

static void drop_final_newline(struct reply *r) {
    while (r->body.len && strchr("\r\n", r->body.p[r->body.len - 1]))
        r->body.len--;
    while (r->nends && r->ends[r->nends - 1] > r->body.len) r->nends--;
}

void emit_pack(struct reply *r, bool gzip) {
    struct buf packed = {0};
    z_stream z = {0};
    size_t i, from = 0, end;
    int last;

    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED,
                     gzip ? 15 + 16 : 15, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        abort();

    for (i = 0; i <= r->nends; i++) {
        last = i == r->nends;
        end = last ? r->body.len : r->ends[i];
        z.next_in = (unsigned char *)r->body.p + from;
        z.avail_in = end - from;
        do {
            buf_reserve(&packed, 4096);
            z.next_out = (unsigned char *)packed.p + packed.len;
            z.avail_out = 4096;
            deflate(&z, last ? Z_FINISH : Z_SYNC_FLUSH);
            packed.len += 4096 - z.avail_out;
        } while (z.avail_out == 0);
        if (!last) r->ends[i] = packed.len;
        from = end;
    }
    deflateEnd(&z);

    buf_free(&r->body);
    r->body = packed;
    if (gzip)
        buf_lit(&r->extra, "content-encoding: gzip\r\n");
    else
        buf_lit(&r->extra, "content-encoding: deflate\r\n");
}

static const char *const types[] = {
    NULL,
    NULL,
    "text/plain; charset=utf-8",
    "application/json",
    "text/event-stream",
    "application/x-ndjson",
    "application/octet-stream",
    "text/json",
};

void emit_finish(struct answer *a) {
    if (a->k->no_final_newline) drop_final_newline(a->r);
    if (a->k->gzip) emit_pack(a->r, true);
    if (a->k->type) a->r->type = types[a->k->type];
}

bool emit_breaks(const struct answer *a) {
    return a->k->error_after >= 0;
}

int64_t emit_words_due(const struct answer *a) {
    int64_t n = a->k->words + a->k->thinking;
    return emit_breaks(a) && a->k->error_after < n ? a->k->error_after : n;
}

void emit_thought(struct answer *a, int64_t from, int64_t to) {
    for (; from < to; from++) buf_str(&a->r->body, words[(from + 5) % NWORDS]);
}

void emit_words(struct answer *a, int64_t from, int64_t to) {
    struct buf *b = &a->r->body;

    if (from == 0 && to > 0) buf_fill(b, 'x', a->k->pad_bytes);
    for (; from < to; from++) buf_str(b, words[from % NWORDS]);
}

struct counts emit_counts(const struct answer *a) {
    const struct tokens *t = &a->tokens;
    bool caches = a->k->cached || a->k->prompt_cache;
    struct counts c = {.has_cached = a->k->cached_fields == 1 ||
                                     (a->k->cached_fields && caches)};

    if (a->k->zero_usage == 1) return c;
    if (a->k->zero_usage != 2) {
        c.prompt = t->prompt;
        c.cached = c.has_cached ? t->cached : 0;
    }
    if (a->k->zero_usage != 3) c.completion = t->completion;
    return c;
}

struct counts emit_report(struct answer *a) {
    struct counts c = emit_counts(a);

    a->tokens.reported_prompt = c.prompt;
    a->tokens.reported_completion = c.completion;
    a->tokens.reported_cached = c.cached;
    return c;
}

void emit_model(struct answer *a) {
    buf_json(&a->r->body, a->q->model.p, a->q->model.len);
}

void emit_stamp(struct answer *a) {
    struct buf *b = &a->r->body;

    buf_char(b, '"');
    clock_rfc3339_nano(b, a->now.tv_sec, a->now.tv_nsec);
    buf_char(b, '"');

    a->now.tv_nsec += STAMP_STEP;
    if (a->now.tv_nsec >= 1000000000) {
        a->now.tv_nsec -= 1000000000;
        a->now.tv_sec++;
    }
}

void emit_newline(struct answer *a) {
    if (a->k->crlf) buf_char(&a->r->body, '\r');
    buf_char(&a->r->body, '\n');
}

void emit_embedding(struct answer *a, size_t seed) {
    struct buf *b = &a->r->body;
    int i;

    buf_char(b, '[');
    for (i = 0; i < EMBEDDING_NUMBERS; i++)
        buf_printf(b, "%s%s0.%05zu", i ? "," : "", i % 3 ? "" : "-",
                   (seed * 7919 + i * 104729 + 1) % 100000);
    buf_char(b, ']');
}

bool emit_calls_tool(const struct answer *a) {
    return a->k->tool_call || a->k->spoof;
}

const char *emit_arguments(const struct answer *a) {
    return a->k->spoof ? emit_fake_usage : "{\"city\":\"Oslo\"}";
}

bool emit_is_stream(const struct answer *a, bool by_default) {
    return a->q->stream < 0 ? by_default : a->q->stream;
}

void emit_event(struct answer *a, const char *name) {
    struct buf *b = &a->r->body;

    if (name) {
        buf_lit(b, "event: ");
        buf_str(b, name);
        emit_newline(a);
    }
    buf_lit(b, "data: ");
}

void emit_event_end(struct answer *a) {
    emit_newline(a);
    emit_newline(a);
    reply_mark(a->r);
}
