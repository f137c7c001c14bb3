/*
 * /v1/responses (contract 2.6). In a stream the members of every object are
 * sorted, since the cloud makes them of Go's maps; the plain answer comes in
 * the order of its struct. Three events of a stream carry the whole response,
 * with the request's instructions, tools and metadata in it, however long they
 * are.
 */

#include "emit.h"

#include <stdio.h>

struct writer {
    struct answer *a;
    struct buf *b;
    int64_t number; /* of the next event */
    int index;      /* of the next output item */
    char id[16], message[16], reasoning[16], call[16], function[16];
};

enum status { IN_PROGRESS, COMPLETED, INCOMPLETE, FAILED };

static const char *const status_words[] = {"in_progress", "completed",
                                           "incomplete", "failed"};

static void number_id(char id[16], const char *prefix, unsigned n) {
    snprintf(id, 16, "%s%u", prefix, n % 1000000);
}

static void writer_begin(struct writer *w, struct answer *a) {
    static unsigned n = 123455;

    w->a = a;
    w->b = &a->r->body;
    w->number = 0;
    w->index = 0;
    n++;
    number_id(w->id, "resp_", n);
    number_id(w->message, "msg_", n);
    number_id(w->reasoning, "rs_", n);
    number_id(w->call, "call_", n);
    number_id(w->function, "fc_", n);
}

/* ---- values ---- */

/* JSON of the client without the white space between its tokens: a line end in
 * it would end the event. */
static void compact(struct buf *b, struct slice json) {
    bool in_string = false;
    size_t i;

    for (i = 0; i < json.len; i++) {
        if (!in_string && strchr(" \t\r\n", json.p[i])) continue;
        buf_char(b, json.p[i]);
        if (in_string && json.p[i] == '\\' && i + 1 < json.len) {
            buf_char(b, json.p[++i]);
        } else if (json.p[i] == '"') {
            in_string = !in_string;
        }
    }
}

static void instructions(struct writer *w) {
    const struct buf *own = &w->a->q->instructions;

    if (w->a->k->echo_bytes) {
        buf_char(w->b, '"');
        buf_fill(w->b, 'i', w->a->k->echo_bytes);
        buf_char(w->b, '"');
    } else if (own->len) {
        buf_json(w->b, own->p, own->len);
    } else {
        buf_lit(w->b, "null");
    }
}

static void tools(struct writer *w) {
    if (w->a->k->spoof) {
        buf_lit(
            w->b,
            "[{\"description\":\"\",\"name\":\"get_weather\",\"parameters\":");
        buf_str(w->b, emit_fake_usage);
        buf_lit(w->b, ",\"strict\":false,\"type\":\"function\"}]");
    } else if (w->a->q->tools.len) {
        compact(w->b, w->a->q->tools);
    } else {
        buf_lit(w->b, "[]");
    }
}

static void metadata(struct writer *w) {
    if (w->a->k->spoof) {
        buf_str(w->b, emit_fake_usage);
    } else if (w->a->q->metadata.len) {
        compact(w->b, w->a->q->metadata);
    } else {
        buf_lit(w->b, "{}");
    }
}

/* Without the cached tokens' object if a knob says so. */
static void usage(struct writer *w, bool sorted) {
    struct counts c = emit_report(w->a);
    bool details = w->a->k->cached_fields != 0;

    buf_lit(w->b, "{\"input_tokens\":");
    buf_int(w->b, c.prompt);
    if (sorted && details) {
        buf_lit(w->b, ",\"input_tokens_details\":{\"cached_tokens\":");
        buf_int(w->b, c.cached);
        buf_char(w->b, '}');
    }
    buf_lit(w->b, ",\"output_tokens\":");
    buf_int(w->b, c.completion);
    if (sorted)
        buf_lit(w->b, ",\"output_tokens_details\":{\"reasoning_tokens\":0}");
    buf_lit(w->b, ",\"total_tokens\":");
    buf_int(w->b, c.prompt + c.completion);
    if (!sorted && details) {
        buf_lit(w->b, ",\"input_tokens_details\":{\"cached_tokens\":");
        buf_int(w->b, c.cached);
        buf_char(w->b, '}');
    }
    if (!sorted)
        buf_lit(w->b, ",\"output_tokens_details\":{\"reasoning_tokens\":0}");
    buf_char(w->b, '}');
}

/* ---- output items ---- */

static void reasoning_item(struct writer *w, bool full) {
    buf_printf(w->b, "{\"encrypted_content\":\"\",\"id\":\"%s\",\"summary\":[",
               w->reasoning);
    if (full) {
        buf_lit(w->b, "{\"text\":\"");
        emit_thought(w->a, 0, w->a->k->thinking);
        buf_lit(w->b, "\",\"type\":\"summary_text\"}");
    }
    buf_lit(w->b, "],\"type\":\"reasoning\"}");
}

static void text_part(struct writer *w, int64_t words) {
    buf_lit(w->b, "{\"annotations\":[],\"logprobs\":[],\"text\":\"");
    emit_words(w->a, 0, words);
    buf_lit(w->b, "\",\"type\":\"output_text\"}");
}

static void message_item(struct writer *w, bool full) {
    buf_lit(w->b, "{\"content\":[");
    if (full) text_part(w, w->a->k->words);
    buf_printf(
        w->b,
        "],\"id\":\"%s\",\"role\":\"assistant\",\"status\":\"%s\",\"type\":\"message\"}",
        w->message, full ? "completed" : "in_progress");
}

static void function_item(struct writer *w, bool full) {
    buf_lit(w->b, "{\"arguments\":");
    buf_json_str(w->b, full ? emit_arguments(w->a) : "");
    buf_printf(
        w->b,
        ",\"call_id\":\"%s\",\"id\":\"%s\",\"name\":\"get_weather\",\"status\":\"%s\","
        "\"type\":\"function_call\"}",
        w->call, w->function, full ? "completed" : "in_progress");
}

static void output(struct writer *w) {
    const struct knobs *k = w->a->k;

    buf_char(w->b, '[');
    if (k->thinking) {
        reasoning_item(w, true);
        buf_char(w->b, ',');
    }
    message_item(w, true);
    if (emit_calls_tool(w->a)) {
        buf_char(w->b, ',');
        function_item(w, true);
    }
    buf_char(w->b, ']');
}

/* ---- the response itself ---- */

static void error_of(struct writer *w, enum status status) {
    if (status == FAILED) {
        buf_lit(
            w->b,
            "{\"code\":\"server_error\",\"message\":\"an error was encountered while "
            "running the model\"}");
    } else {
        buf_lit(w->b, "null");
    }
}

static void completed_at(struct writer *w, enum status status) {
    if (status == COMPLETED) {
        buf_int(w->b, w->a->now.tv_sec);
    } else {
        buf_lit(w->b, "null");
    }
}

static void incomplete_details(struct writer *w, enum status status) {
    buf_str(w->b, status == INCOMPLETE ? "{\"reason\":\"max_output_tokens\"}"
                                       : "null");
}

static void sorted_response(struct writer *w, enum status status,
                            bool with_output, bool with_usage) {
    struct buf *b = w->b;

    buf_lit(b, "{\"background\":false,\"completed_at\":");
    completed_at(w, status);
    buf_printf(b,
               ",\"created_at\":%lld,\"error\":", (long long)w->a->now.tv_sec);
    error_of(w, status);
    buf_printf(b,
               ",\"frequency_penalty\":0,\"id\":\"%s\",\"incomplete_details\":",
               w->id);
    incomplete_details(w, status);
    buf_lit(b, ",\"instructions\":");
    instructions(w);
    buf_lit(
        b, ",\"max_output_tokens\":null,\"max_tool_calls\":null,\"metadata\":");
    metadata(w);
    buf_lit(b, ",\"model\":");
    emit_model(w->a);
    buf_lit(b, ",\"object\":\"response\",\"output\":");
    if (with_output) {
        output(w);
    } else {
        buf_lit(b, "[]");
    }
    buf_printf(
        b,
        ",\"parallel_tool_calls\":true,\"presence_penalty\":0,\"previous_response_id\":null,"
        "\"prompt_cache_key\":null,\"reasoning\":null,\"safety_identifier\":null,"
        "\"service_tier\":\"default\",\"status\":\"%s\",\"store\":false,\"temperature\":1,"
        "\"text\":{\"format\":{\"type\":\"text\"}},\"tool_choice\":\"auto\",\"tools\":",
        status_words[status]);
    tools(w);
    buf_lit(
        b,
        ",\"top_logprobs\":0,\"top_p\":1,\"truncation\":\"disabled\",\"usage\":");
    if (with_usage) {
        usage(w, true);
    } else {
        buf_lit(b, "null");
    }
    buf_char(b, '}');
}

static void plain_response(struct writer *w, enum status status) {
    struct buf *b = w->b;

    buf_printf(
        b,
        "{\"id\":\"%s\",\"object\":\"response\",\"created_at\":%lld,\"completed_at\":",
        w->id, (long long)w->a->now.tv_sec);
    completed_at(w, status);
    buf_printf(
        b, ",\"status\":\"%s\",\"incomplete_details\":", status_words[status]);
    incomplete_details(w, status);
    buf_lit(b, ",\"model\":");
    emit_model(w->a);
    buf_lit(b, ",\"previous_response_id\":null,\"instructions\":");
    instructions(w);
    buf_lit(b, ",\"output\":");
    output(w);
    buf_lit(b, ",\"error\":");
    error_of(w, status);
    buf_lit(b, ",\"tools\":");
    tools(w);
    buf_lit(
        b,
        ",\"tool_choice\":\"auto\",\"truncation\":\"disabled\",\"parallel_tool_calls\":true,"
        "\"text\":{\"format\":{\"type\":\"text\"}},\"top_p\":1,\"presence_penalty\":0,"
        "\"frequency_penalty\":0,\"top_logprobs\":0,\"temperature\":1,\"reasoning\":null,"
        "\"usage\":");
    if (w->a->k->no_usage) {
        buf_lit(b, "null");
    } else {
        usage(w, false);
    }
    buf_lit(
        b,
        ",\"max_output_tokens\":null,\"max_tool_calls\":null,\"store\":false,"
        "\"background\":false,\"service_tier\":\"default\",\"metadata\":");
    metadata(w);
    buf_lit(b, ",\"safety_identifier\":null,\"prompt_cache_key\":null}");
}

/* ---- events ---- */

static void sequence(struct writer *w) {
    buf_lit(w->b, ",\"sequence_number\":");
    buf_int(w->b, w->number++);
}

static void type_end(struct writer *w, const char *type) {
    buf_lit(w->b, ",\"type\":\"");
    buf_str(w->b, type);
    buf_lit(w->b, "\"}");
    emit_event_end(w->a);
}

static void event_end(struct writer *w, const char *type) {
    sequence(w);
    type_end(w, type);
}

static void response_event(struct writer *w, const char *type,
                           enum status status, bool is_last, bool with_usage) {
    emit_event(w->a, type);
    buf_lit(w->b, "{\"response\":");
    sorted_response(w, status, is_last, with_usage);
    event_end(w, type);
}

static void item_event(struct writer *w, const char *type,
                       void (*item)(struct writer *, bool), bool full) {
    emit_event(w->a, type);
    buf_lit(w->b, "{\"item\":");
    item(w, full);
    buf_printf(w->b, ",\"output_index\":%d", w->index);
    event_end(w, type);
}

static int64_t reasoning(struct writer *w, int64_t due) {
    static const char delta[] = "response.reasoning_summary_text.delta";
    static const char done[] = "response.reasoning_summary_text.done";
    int64_t i, n = w->a->k->thinking, written = n < due ? n : due;

    if (n == 0) return 0;

    item_event(w, "response.output_item.added", reasoning_item, false);
    for (i = 0; i < written; i++) {
        emit_event(w->a, delta);
        buf_lit(w->b, "{\"delta\":\"");
        emit_thought(w->a, i, i + 1);
        buf_printf(w->b, "\",\"item_id\":\"%s\",\"output_index\":%d",
                   w->reasoning, w->index);
        sequence(w);
        buf_lit(w->b, ",\"summary_index\":0");
        type_end(w, delta);
    }
    if (written < n) return written;

    emit_event(w->a, done);
    buf_printf(w->b, "{\"item_id\":\"%s\",\"output_index\":%d", w->reasoning,
               w->index);
    sequence(w);
    buf_lit(w->b, ",\"summary_index\":0,\"text\":\"");
    emit_thought(w->a, 0, n);
    buf_char(w->b, '"');
    type_end(w, done);
    item_event(w, "response.output_item.done", reasoning_item, true);
    w->index++;
    return written;
}

static void part_event(struct writer *w, const char *type, int64_t words) {
    emit_event(w->a, type);
    buf_printf(
        w->b,
        "{\"content_index\":0,\"item_id\":\"%s\",\"output_index\":%d,\"part\":",
        w->message, w->index);
    text_part(w, words);
    event_end(w, type);
}

static void message(struct writer *w, int64_t due) {
    static const char delta[] = "response.output_text.delta",
                      done[] = "response.output_text.done";
    int64_t i, n = w->a->k->words, written = n < due ? n : due;

    item_event(w, "response.output_item.added", message_item, false);
    part_event(w, "response.content_part.added", 0);
    for (i = 0; i < written; i++) {
        emit_event(w->a, delta);
        buf_lit(w->b, "{\"content_index\":0,\"delta\":\"");
        emit_words(w->a, i, i + 1);
        buf_printf(w->b,
                   "\",\"item_id\":\"%s\",\"logprobs\":[],\"output_index\":%d",
                   w->message, w->index);
        event_end(w, delta);
    }
    if (written < n) return;

    emit_event(w->a, done);
    buf_printf(
        w->b,
        "{\"content_index\":0,\"item_id\":\"%s\",\"logprobs\":[],\"output_index\":%d",
        w->message, w->index);
    sequence(w);
    buf_lit(w->b, ",\"text\":\"");
    emit_words(w->a, 0, n);
    buf_char(w->b, '"');
    type_end(w, done);
    part_event(w, "response.content_part.done", n);
    item_event(w, "response.output_item.done", message_item, true);
    w->index++;
}

static void function_call(struct writer *w) {
    static const char delta[] = "response.function_call_arguments.delta";
    static const char done[] = "response.function_call_arguments.done";

    item_event(w, "response.output_item.added", function_item, false);

    emit_event(w->a, delta);
    buf_lit(w->b, "{\"delta\":");
    buf_json_str(w->b, emit_arguments(w->a));
    buf_printf(w->b, ",\"item_id\":\"%s\",\"output_index\":%d", w->function,
               w->index);
    event_end(w, delta);

    emit_event(w->a, done);
    buf_lit(w->b, "{\"arguments\":");
    buf_json_str(w->b, emit_arguments(w->a));
    buf_printf(w->b, ",\"item_id\":\"%s\",\"output_index\":%d", w->function,
               w->index);
    event_end(w, done);

    item_event(w, "response.output_item.done", function_item, true);
}

static void stream(struct writer *w) {
    struct answer *a = w->a;
    int64_t due = emit_words_due(a);
    bool told = !a->k->no_usage;

    a->r->type = "text/event-stream";
    a->r->stream = true;

    response_event(w, "response.created", IN_PROGRESS, false, false);
    response_event(w, "response.in_progress", IN_PROGRESS, false, false);
    due -= reasoning(w, due);
    if (due || !emit_breaks(a)) message(w, due);

    if (emit_breaks(a)) {
        response_event(w, "response.failed", FAILED, false, false);
        a->complete = false;
        return;
    }
    if (emit_calls_tool(a)) function_call(w);

    if (a->k->no_done) {
        a->complete = false;
    } else if (a->k->failed) {
        response_event(w, "response.failed", FAILED, true, told);
    } else if (a->k->incomplete) {
        response_event(w, "response.incomplete", INCOMPLETE, true, told);
    } else {
        response_event(w, "response.completed", COMPLETED, true, told);
    }
}

void emit_responses(struct answer *a) {
    struct writer w;

    writer_begin(&w, a);
    if (emit_is_stream(a, false)) {
        stream(&w);
    } else {
        a->r->type = "application/json; charset=utf-8";
        plain_response(&w, a->k->failed       ? FAILED
                           : a->k->incomplete ? INCOMPLETE
                                              : COMPLETED);
    }
}
