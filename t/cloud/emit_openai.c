/*
 * /v1/chat/completions and /v1/completions (contract 2.4, 2.5), /v1/embeddings.
 * A stream names its tokens only if the request asked for it, in one chunk more
 * than it would have had.
 */

#include "emit.h"

#define BROKEN "an error was encountered while running the model"

static void usage(struct answer *a, struct counts c) {
    struct buf *b = &a->r->body;

    buf_lit(b, "\"usage\":{\"prompt_tokens\":");
    buf_int(b, c.prompt);
    buf_lit(b, ",\"completion_tokens\":");
    buf_int(b, c.completion);
    buf_lit(b, ",\"total_tokens\":");
    buf_int(b, c.prompt + c.completion);
    if (c.has_cached) {
        buf_lit(b, ",\"prompt_tokens_details\":{\"cached_tokens\":");
        buf_int(b, c.cached);
        buf_char(b, '}');
    }
    buf_char(b, '}');
}

static void id(struct answer *a, const char *prefix) {
    static unsigned n;

    buf_lit(&a->r->body, "{\"id\":\"");
    buf_str(&a->r->body, prefix);
    buf_int(&a->r->body, n++ % 1000);
    buf_char(&a->r->body, '"');
}

static void created(struct answer *a, const char *object) {
    buf_lit(&a->r->body, ",\"object\":\"");
    buf_str(&a->r->body, object);
    buf_lit(&a->r->body, "\",\"created\":");
    buf_int(&a->r->body, a->now.tv_sec);
}

static void model(struct answer *a) {
    buf_lit(&a->r->body, ",\"model\":");
    emit_model(a);
    buf_lit(&a->r->body, ",\"system_fingerprint\":\"fp_ollama\"");
}

/* Ids are of a stream, so they have to come out the same in each chunk. */
struct stream {
    struct buf head; /* a chunk up to `choices` */
    struct buf tail; /* text completions: what stands behind them */
    bool asked;      /* for usage */
};

static void chunk_begin(struct answer *a, const struct stream *s) {
    emit_event(a, NULL);
    buf_add(&a->r->body, s->head.p, s->head.len);
    buf_lit(&a->r->body, ",\"choices\":[");
}

/* Each chunk but the extra one. */
static void chunk_end(struct answer *a, const struct stream *s, bool zeros,
                      int64_t written) {
    struct counts c = {0};

    buf_char(&a->r->body, ']');
    buf_add(&a->r->body, s->tail.p, s->tail.len);
    if (s->asked && (zeros || a->k->metrics_on_all)) {
        if (a->k->metrics_on_all) {
            c = emit_counts(a);
            if (c.completion) c.completion = written;
        }
        buf_char(&a->r->body, ',');
        usage(a, c);
    }
    buf_char(&a->r->body, '}');
    emit_event_end(a);
}

static void stream_end(struct answer *a, const struct stream *s) {
    if (s->asked) {
        chunk_begin(a, s);
        buf_char(&a->r->body, ']');
        buf_add(&a->r->body, s->tail.p, s->tail.len);
        buf_char(&a->r->body, ',');
        usage(a, emit_report(a));
        buf_char(&a->r->body, '}');
        emit_event_end(a);
    }
    if (!a->k->no_done) {
        emit_event(a, NULL);
        buf_lit(&a->r->body, "[DONE]");
        emit_event_end(a);
    }
}

static void stream_broken(struct answer *a) {
    emit_event(a, NULL);
    error_write(&a->r->body, FAMILY_OPENAI, false, 500, BROKEN);
    emit_event_end(a);
    a->complete = false;
}

static const char *finish_reason(const struct answer *a) {
    return a->k->incomplete     ? "length"
           : emit_calls_tool(a) ? "tool_calls"
                                : "stop";
}

static void stream_begin(struct answer *a, struct stream *s) {
    a->r->type = "text/event-stream";
    a->r->stream = true;
    s->asked = a->q->include_usage && !a->k->no_usage;
}

/* Takes what was written behind mark out of the body. */
static void cut_out(struct answer *a, size_t mark, struct buf *to) {
    struct buf *b = &a->r->body;

    buf_add(to, b->p + mark, b->len - mark);
    b->len = mark;
}

static void tool_calls(struct answer *a) {
    struct buf *b = &a->r->body;

    buf_lit(b, "\"tool_calls\":[{\"id\":\"call_");
    write_hex(b, 8);
    buf_lit(
        b,
        "\",\"index\":0,\"type\":\"function\",\"function\":{\"name\":\"get_weather\","
        "\"arguments\":");
    buf_json_str(b, emit_arguments(a));
    buf_lit(b, "}}]");
}

static void chat_stream(struct answer *a) {
    struct buf *b = &a->r->body;
    struct stream s = {0};
    int64_t i, due = emit_words_due(a), thinking = a->k->thinking;

    stream_begin(a, &s);
    id(a, "chatcmpl-");
    created(a, "chat.completion.chunk");
    model(a);
    cut_out(a, 0, &s.head);

    for (i = 0; i < due; i++) {
        chunk_begin(a, &s);
        buf_lit(b, "{\"index\":0,\"delta\":{");
        if (i == 0) buf_lit(b, "\"role\":\"assistant\",");
        buf_lit(b, "\"content\":\"");
        if (i >= thinking) emit_words(a, i - thinking, i - thinking + 1);
        buf_char(b, '"');
        if (i < thinking) {
            buf_lit(b, ",\"reasoning\":\"");
            emit_thought(a, i, i + 1);
            buf_char(b, '"');
        }
        buf_lit(b, "},\"finish_reason\":null}");
        chunk_end(a, &s, false, i + 1);
    }

    if (emit_breaks(a)) {
        stream_broken(a);
    } else {
        if (emit_calls_tool(a)) {
            chunk_begin(a, &s);
            buf_lit(b, "{\"index\":0,\"delta\":{");
            tool_calls(a);
            buf_lit(b, "},\"finish_reason\":null}");
            chunk_end(a, &s, false, i);
        }
        chunk_begin(a, &s);
        buf_lit(b, "{\"index\":0,\"delta\":{},\"finish_reason\":\"");
        buf_str(b, finish_reason(a));
        buf_lit(b, "\"}");
        chunk_end(a, &s, false, i);
        stream_end(a, &s);
    }
    buf_free(&s.head);
}

static void chat_plain(struct answer *a) {
    struct buf *b = &a->r->body;

    a->r->type = "application/json; charset=utf-8";
    id(a, "chatcmpl-");
    created(a, "chat.completion");
    model(a);
    buf_lit(
        b,
        ",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"");
    emit_words(a, 0, a->k->words);
    buf_char(b, '"');
    if (a->k->thinking) {
        buf_lit(b, ",\"reasoning\":\"");
        emit_thought(a, 0, a->k->thinking);
        buf_char(b, '"');
    }
    if (emit_calls_tool(a)) {
        buf_char(b, ',');
        tool_calls(a);
    }
    buf_lit(b, "},\"finish_reason\":\"");
    buf_str(b, finish_reason(a));
    buf_lit(b, "\"}]");
    if (!a->k->no_usage) {
        buf_char(b, ',');
        usage(a, emit_report(a));
    }
    buf_char(b, '}');
}

void emit_chat_completions(struct answer *a) {
    emit_is_stream(a, false) ? chat_stream(a) : chat_plain(a);
}

/* Text completions know no thinking of their own: it is part of the text. And
 * no tools: the spoof is text too. */

static void text(struct answer *a, int64_t i, int64_t end) {
    int64_t thinking = a->k->thinking;

    for (; i < end; i++) {
        if (i < thinking) emit_thought(a, i, i + 1);
        if (i >= thinking) emit_words(a, i - thinking, i - thinking + 1);
    }
}

static void text_tool(struct answer *a) {
    if (emit_calls_tool(a))
        buf_json_chars(&a->r->body, emit_arguments(a),
                       strlen(emit_arguments(a)));
}

static const char *text_finish_reason(const struct answer *a) {
    return a->k->incomplete ? "length" : "stop";
}

static void text_stream(struct answer *a) {
    struct buf *b = &a->r->body;
    struct stream s = {0};
    int64_t i, due = emit_words_due(a);

    stream_begin(a, &s);
    id(a, "cmpl-");
    created(a, "text_completion");
    cut_out(a, 0, &s.head);
    model(a);
    cut_out(a, 0, &s.tail);

    for (i = 0; i < due; i++) {
        chunk_begin(a, &s);
        buf_lit(b, "{\"text\":\"");
        text(a, i, i + 1);
        buf_lit(b, "\",\"index\":0,\"finish_reason\":null}");
        chunk_end(a, &s, true, i + 1);
    }

    if (emit_breaks(a)) {
        stream_broken(a);
    } else {
        chunk_begin(a, &s);
        buf_lit(b, "{\"text\":\"");
        text_tool(a);
        buf_lit(b, "\",\"index\":0,\"finish_reason\":\"");
        buf_str(b, text_finish_reason(a));
        buf_lit(b, "\"}");
        chunk_end(a, &s, true, i);
        stream_end(a, &s);
    }
    buf_free(&s.head);
    buf_free(&s.tail);
}

static void text_plain(struct answer *a) {
    struct buf *b = &a->r->body;

    a->r->type = "application/json; charset=utf-8";
    id(a, "cmpl-");
    created(a, "text_completion");
    model(a);
    buf_lit(b, ",\"choices\":[{\"text\":\"");
    text(a, 0, a->k->thinking + a->k->words);
    text_tool(a);
    buf_lit(b, "\",\"index\":0,\"finish_reason\":\"");
    buf_str(b, text_finish_reason(a));
    buf_lit(b, "\"}]");
    if (!a->k->no_usage) {
        buf_char(b, ',');
        usage(a, emit_report(a));
    }
    buf_char(b, '}');
}

void emit_completions(struct answer *a) {
    emit_is_stream(a, false) ? text_stream(a) : text_plain(a);
}

void emit_v1_embeddings(struct answer *a) {
    struct buf *b = &a->r->body;
    struct counts c;
    size_t i;

    a->r->type = "application/json; charset=utf-8";
    a->tokens.completion = 0;
    buf_lit(b, "{\"object\":\"list\",\"data\":[");
    for (i = 0; i < a->q->inputs; i++) {
        buf_str(b, i ? ",{" : "{");
        buf_lit(b, "\"object\":\"embedding\",\"embedding\":");
        emit_embedding(a, i);
        buf_lit(b, ",\"index\":");
        buf_int(b, i);
        buf_char(b, '}');
    }
    buf_lit(b, "],\"model\":");
    emit_model(a);
    if (!a->k->no_usage) {
        c = emit_report(a);
        buf_lit(b, ",\"usage\":{\"prompt_tokens\":");
        buf_int(b, c.prompt);
        buf_lit(b, ",\"total_tokens\":");
        buf_int(b, c.prompt);
        buf_char(b, '}');
    }
    buf_char(b, '}');
}
