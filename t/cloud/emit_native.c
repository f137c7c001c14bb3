/*
 * /api/chat, /api/generate: NDJSON (contract 2.1, 2.2), and the embeddings of a
 * local daemon (2.3). Members come in the order of Ollama's structs; counts of
 * 0 are absent.
 */

#include "emit.h"

static void count(struct answer *a, const char *name, int64_t n,
                  bool even_zero) {
    struct buf *b = &a->r->body;

    if (n == 0 && !even_zero) return;
    buf_lit(b, ",\"");
    buf_str(b, name);
    buf_lit(b, "\":");
    buf_int(b, n);
}

static void metrics(struct answer *a, struct counts c) {
    count(a, "prompt_eval_count", c.prompt, false);
    count(a, "prompt_eval_cached_count", c.cached,
          c.has_cached && a->k->cached_fields == 1);
    count(a, "eval_count", c.completion, false);
}

static void line_begin(struct answer *a) {
    struct buf *b = &a->r->body;

    buf_lit(b, "{\"model\":");
    emit_model(a);
    buf_lit(b, ",\"created_at\":");
    emit_stamp(a);
}

/* The end of a line that is not the last; written is what counts so far. */
static void line_end(struct answer *a, int64_t written) {
    struct counts c;

    buf_lit(&a->r->body, ",\"done\":false");
    if (a->k->metrics_on_all && !a->k->no_usage) {
        c = emit_counts(a);
        if (c.completion) c.completion = written;
        metrics(a, c);
    }
    buf_char(&a->r->body, '}');
    emit_newline(a);
    reply_mark(a->r);
}

static void last_line_end(struct answer *a, bool context) {
    struct buf *b = &a->r->body;
    int64_t i;

    buf_lit(b, ",\"done\":true,\"done_reason\":");
    buf_str(b, a->k->incomplete ? "\"length\"" : "\"stop\"");
    if (context) {
        buf_lit(b, ",\"context\":[200006");
        for (i = 6; i + 7 <= a->k->echo_bytes; i += 7) buf_lit(b, ",173601");
        buf_char(b, ']');
    }
    buf_lit(b, ",\"total_duration\":812345678");
    if (!a->k->no_usage) metrics(a, emit_report(a));
    buf_char(b, '}');
}

static void tool_calls(struct answer *a) {
    struct buf *b = &a->r->body;

    buf_lit(b, ",\"tool_calls\":[{\"id\":\"call_");
    write_hex(b, 8);
    buf_lit(
        b,
        "\",\"function\":{\"index\":0,\"name\":\"get_weather\",\"arguments\":");
    buf_str(b, emit_arguments(a));
    buf_lit(b, "}}]");
}

/* What differs between the two: the members that carry text. */
struct shape {
    void (*open)(struct answer *a);  /* up to the text of the answer */
    void (*close)(struct answer *a); /* after the tool call */
    bool context;
};

static void chat_open(struct answer *a) {
    buf_lit(&a->r->body, ",\"message\":{\"role\":\"assistant\",\"content\":\"");
}

static void chat_close(struct answer *a) {
    buf_char(&a->r->body, '}');
}

static void generate_open(struct answer *a) {
    buf_lit(&a->r->body, ",\"response\":\"");
}

static void generate_close(struct answer *a) {
    (void)a;
}

static const struct shape chat = {chat_open, chat_close, false};
static const struct shape generate = {generate_open, generate_close, true};

static void text(struct answer *a, const struct shape *s, int64_t thought,
                 int64_t thought_end, int64_t word, int64_t word_end,
                 bool tool) {
    struct buf *b = &a->r->body;

    s->open(a);
    emit_words(a, word, word_end);
    buf_char(b, '"');
    if (thought_end > thought) {
        buf_lit(b, ",\"thinking\":\"");
        emit_thought(a, thought, thought_end);
        buf_char(b, '"');
    }
    if (tool) tool_calls(a);
    s->close(a);
}

static void stream(struct answer *a, const struct shape *s) {
    int64_t i, due = emit_words_due(a), thinking = a->k->thinking;

    a->r->type = "application/x-ndjson";
    a->r->stream = true;

    for (i = 0; i < due; i++) {
        line_begin(a);
        if (i < thinking) {
            text(a, s, i, i + 1, 0, 0, false);
        } else {
            text(a, s, 0, 0, i - thinking, i - thinking + 1, false);
        }
        line_end(a, i + 1);
    }

    if (emit_breaks(a)) {
        buf_lit(
            &a->r->body,
            "{\"error\":\"an error was encountered while running the model\"}");
        emit_newline(a);
        reply_mark(a->r);
        a->complete = false;
        return;
    }
    if (emit_calls_tool(a)) {
        line_begin(a);
        text(a, s, 0, 0, 0, 0, true);
        line_end(a, i);
    }
    if (a->k->no_done) {
        a->complete = false;
        return;
    }
    line_begin(a);
    text(a, s, 0, 0, 0, 0, false);
    last_line_end(a, s->context);
    emit_newline(a);
    reply_mark(a->r);
}

static void plain(struct answer *a, const struct shape *s) {
    a->r->type = "application/json; charset=utf-8";
    line_begin(a);
    text(a, s, 0, a->k->thinking, 0, a->k->words, emit_calls_tool(a));
    last_line_end(a, s->context);
}

void emit_chat(struct answer *a) {
    emit_is_stream(a, true) ? stream(a, &chat) : plain(a, &chat);
}

void emit_generate(struct answer *a) {
    emit_is_stream(a, true) ? stream(a, &generate) : plain(a, &generate);
}

void emit_embed(struct answer *a) {
    struct buf *b = &a->r->body;
    size_t i;

    a->r->type = "application/json; charset=utf-8";
    a->tokens.completion = 0;
    buf_lit(b, "{\"model\":");
    emit_model(a);
    buf_lit(b, ",\"embeddings\":[");
    for (i = 0; i < a->q->inputs; i++) {
        if (i) buf_char(b, ',');
        emit_embedding(a, i);
    }
    buf_lit(b, "],\"total_duration\":14143917,\"load_duration\":1019500");
    if (!a->k->no_usage)
        count(a, "prompt_eval_count", emit_report(a).prompt, false);
    buf_char(b, '}');
}

/* The old one names no tokens. */
void emit_embeddings(struct answer *a) {
    a->r->type = "application/json; charset=utf-8";
    a->tokens.completion = 0;
    buf_lit(&a->r->body, "{\"embedding\":");
    emit_embedding(a, 1);
    buf_char(&a->r->body, '}');
}
