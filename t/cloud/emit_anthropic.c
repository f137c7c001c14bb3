/*
 * /v1/messages (contract 2.7). Input tokens are those which were not cached;
 * the count in message_start is a guess, the one in message_delta is right.
 */

#include "emit.h"

static void id(struct answer *a) {
    buf_lit(&a->r->body, "{\"id\":\"msg_");
    write_hex(&a->r->body, 24);
    buf_lit(&a->r->body,
            "\",\"type\":\"message\",\"role\":\"assistant\",\"model\":");
    emit_model(a);
}

static void input(struct answer *a, struct counts c) {
    struct buf *b = &a->r->body;

    buf_lit(b, "\"input_tokens\":");
    buf_int(b, c.prompt - c.cached);
}

static void output(struct answer *a, struct counts c) {
    struct buf *b = &a->r->body;

    buf_lit(b, "\"output_tokens\":");
    buf_int(b, c.completion);
}

static void cached(struct answer *a, struct counts c) {
    struct buf *b = &a->r->body;

    if (!c.has_cached) return;
    buf_lit(b,
            ",\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":");
    buf_int(b, c.cached);
}

static void usage(struct answer *a, struct counts c) {
    buf_lit(&a->r->body, ",\"usage\":{");
    input(a, c);
    buf_char(&a->r->body, ',');
    output(a, c);
    cached(a, c);
    buf_char(&a->r->body, '}');
}

static void message_start(struct answer *a) {
    struct counts c = emit_counts(a), guess = {0};

    emit_event(a, "message_start");
    buf_lit(&a->r->body, "{\"type\":\"message_start\",\"message\":");
    id(a);
    buf_lit(&a->r->body, ",\"content\":[]");

    if (a->k->usage_only_in_start) {
        c.completion = 0;
        if (!a->k->no_usage) usage(a, c);
    } else if (!a->k->no_usage) {
        if (!a->k->zero_usage) guess.prompt = a->q->prompt_bytes / 4;
        usage(a, guess);
    }
    buf_lit(&a->r->body, "}}");
    emit_event_end(a);
}

static void block_event(struct answer *a, const char *type, int index) {
    emit_event(a, type);
    buf_lit(&a->r->body, "{\"type\":\"");
    buf_str(&a->r->body, type);
    buf_lit(&a->r->body, "\",\"index\":");
    buf_int(&a->r->body, index);
}

static void block_start(struct answer *a, int index, const char *block) {
    block_event(a, "content_block_start", index);
    buf_lit(&a->r->body, ",\"content_block\":");
    buf_str(&a->r->body, block);
    buf_char(&a->r->body, '}');
    emit_event_end(a);
}

static void block_stop(struct answer *a, int index) {
    block_event(a, "content_block_stop", index);
    buf_char(&a->r->body, '}');
    emit_event_end(a);
}

/* A block of words, of which as many are written as are due. */
static int64_t words_block(struct answer *a, int *index, bool thinking,
                           int64_t n, int64_t due) {
    int64_t i, written = n < due ? n : due;

    if (n == 0) return 0;

    block_start(a, *index,
                thinking ? "{\"type\":\"thinking\",\"thinking\":\"\"}"
                         : "{\"type\":\"text\",\"text\":\"\"}");
    for (i = 0; i < written; i++) {
        block_event(a, "content_block_delta", *index);
        buf_str(&a->r->body,
                thinking
                    ? ",\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\""
                    : ",\"delta\":{\"type\":\"text_delta\",\"text\":\"");
        thinking ? emit_thought(a, i, i + 1) : emit_words(a, i, i + 1);
        buf_lit(&a->r->body, "\"}}");
        emit_event_end(a);
    }
    if (written == n) block_stop(a, (*index)++);
    return written;
}

static void tool_block(struct answer *a, int index) {
    struct buf *b = &a->r->body;

    block_event(a, "content_block_start", index);
    buf_lit(b, ",\"content_block\":{\"type\":\"tool_use\",\"id\":\"call_");
    write_hex(b, 8);
    buf_lit(b, "\",\"name\":\"get_weather\",\"input\":{}}}");
    emit_event_end(a);

    block_event(a, "content_block_delta", index);
    buf_lit(b, ",\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":");
    buf_json_str(b, emit_arguments(a));
    buf_lit(b, "}}");
    emit_event_end(a);

    block_stop(a, index);
}

static const char *stop_reason(const struct answer *a) {
    return a->k->incomplete     ? "max_tokens"
           : emit_calls_tool(a) ? "tool_use"
                                : "end_turn";
}

static void message_end(struct answer *a) {
    struct buf *b = &a->r->body;
    struct counts c;

    emit_event(a, "message_delta");
    buf_lit(b, "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"");
    buf_str(b, stop_reason(a));
    buf_lit(b, "\"}");
    if (!a->k->no_usage) {
        c = emit_report(a);
        if (a->k->usage_only_in_start) {
            buf_lit(b, ",\"usage\":{");
            output(a, c);
            buf_char(b, '}');
        } else {
            usage(a, c);
        }
    }
    buf_char(b, '}');
    emit_event_end(a);

    if (a->k->no_done) return;
    emit_event(a, "message_stop");
    buf_lit(b, "{\"type\":\"message_stop\"}");
    emit_event_end(a);
}

static void stream(struct answer *a) {
    int64_t due = emit_words_due(a);
    int index = 0;

    a->r->type = "text/event-stream";
    a->r->stream = true;

    message_start(a);
    due -= words_block(a, &index, true, a->k->thinking, due);
    if (due || !emit_breaks(a)) words_block(a, &index, false, a->k->words, due);

    if (emit_breaks(a)) {
        emit_event(a, "error");
        buf_lit(
            &a->r->body,
            "{\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":"
            "\"an error was encountered while running the model\"}}");
        emit_event_end(a);
        a->complete = false;
        return;
    }
    if (emit_calls_tool(a)) tool_block(a, index);
    message_end(a);
}

static void plain(struct answer *a) {
    struct buf *b = &a->r->body;

    a->r->type = "application/json; charset=utf-8";
    id(a);
    buf_lit(b, ",\"content\":[");
    if (a->k->thinking) {
        buf_lit(b, "{\"type\":\"thinking\",\"thinking\":\"");
        emit_thought(a, 0, a->k->thinking);
        buf_lit(b, "\"},");
    }
    buf_lit(b, "{\"type\":\"text\",\"text\":\"");
    emit_words(a, 0, a->k->words);
    buf_lit(b, "\"}");
    if (emit_calls_tool(a)) {
        buf_lit(b, ",{\"type\":\"tool_use\",\"id\":\"call_");
        write_hex(b, 8);
        buf_lit(b, "\",\"name\":\"get_weather\",\"input\":");
        buf_str(b, emit_arguments(a));
        buf_char(b, '}');
    }
    buf_lit(b, "],\"stop_reason\":\"");
    buf_str(b, stop_reason(a));
    buf_char(b, '"');
    if (!a->k->no_usage) usage(a, emit_report(a));
    buf_char(b, '}');
}

void emit_messages(struct answer *a) {
    emit_is_stream(a, false) ? stream(a) : plain(a);
}
