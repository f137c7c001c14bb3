#include "question.h"

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <strings.h>
#include <yajl/yajl_parse.h>

/* Members of the top level which matter. */
enum member {
    OTHER,
    MODEL,
    NAME,
    STREAM,
    STREAM_OPTIONS,
    PROMPT,
    INPUT,
    MESSAGES,
    INSTRUCTIONS,
    TOOLS,
    METADATA,
    SYSTEM,
    MAX_TOKENS,
    MAX_OUTPUT_TOKENS,
    SIM
};

static const struct {
    const char *name;
    enum member member;
} members[] = {
    {"model", MODEL},
    {"name", NAME},
    {"stream", STREAM},
    {"stream_options", STREAM_OPTIONS},
    {"prompt", PROMPT},
    {"input", INPUT},
    {"messages", MESSAGES},
    {"instructions", INSTRUCTIONS},
    {"tools", TOOLS},
    {"system", SYSTEM},
    {"metadata", METADATA},
    {"max_tokens", MAX_TOKENS},
    {"max_output_tokens", MAX_OUTPUT_TOKENS},
    {"_sim", SIM},
};

/* A key's bytes are not ours to keep, so they are judged when they come. */
struct reader {
    struct question *q;
    yajl_handle yajl;
    const char *body;
    int depth;              /* 1: inside the top level object */
    enum member member;     /* of the top level, the one we are in */
    bool is_text;           /* the last key was `content` or `text` */
    bool in_array;          /* depth 2 is an array */
    bool include_usage_key; /* the last key at depth 2 was that */
    bool named;             /* the model's name came as `name` */
    size_t start;           /* where tools or metadata begin */
    size_t element;         /* where a message does */
    char knob[32];
    size_t knob_len;
};

static bool same(const unsigned char *s, size_t len, const char *name) {
    return strlen(name) == len && strncasecmp((const char *)s, name, len) == 0;
}

uint64_t question_hash(uint64_t h, const void *data, size_t len) {
    const unsigned char *p = data;
    size_t i;

    for (i = 0; i < len; i++) h = (h ^ p[i]) * 1099511628211u;
    return h ^ h >> 29;
}

/* In whatever order the members of the body come. */
static void note_head(struct reader *r, const void *data, size_t len) {
    if (knobs_global.prompt_cache)
        r->q->head += question_hash(r->member, data, len);
}

static void note_message(struct reader *r, const void *data, size_t len) {
    struct question *q = r->q;

    if (!knobs_global.prompt_cache) return;
    if (q->nmessages == q->messages_cap) {
        q->messages_cap = q->messages_cap ? q->messages_cap * 2 : 16;
        q->messages = must(realloc(q->messages,
                                   q->messages_cap * sizeof(*q->messages)));
    }
    q->messages[q->nmessages].hash = question_hash(0, data, len);
    q->messages[q->nmessages++].end = q->prompt_bytes;
}

static int on_key(void *ctx, const unsigned char *s, size_t len) {
    struct reader *r = ctx;
    size_t i;

    if (r->depth == 1) {
        r->member = OTHER;
        for (i = 0; i < sizeof(members) / sizeof(members[0]); i++)
            if (same(s, len, members[i].name)) r->member = members[i].member;
        r->is_text = false;
        r->in_array = false;
        if (r->member == PROMPT || r->member == INPUT) r->q->inputs = 0;
        return 1;
    }

    r->is_text = same(s, len, "content") || same(s, len, "text");
    if (r->depth == 2) {
        r->include_usage_key = same(s, len, "include_usage");
        r->knob_len = len < sizeof(r->knob) ? len : sizeof(r->knob);
        memcpy(r->knob, s, r->knob_len);
    }
    return 1;
}

static int scalar(struct reader *r, int64_t value, bool is_number) {
    struct question *q = r->q;

    if (r->depth == 0) return 0;

    if (r->depth == 1) {
        if (r->member == STREAM && !is_number) q->stream = value != 0;
        if (r->member == MAX_TOKENS && is_number) q->max_tokens = value;
        if (r->member == MAX_OUTPUT_TOKENS && is_number)
            q->max_output_tokens = value;
    } else if (r->depth == 2 && !r->in_array) {
        if (r->member == STREAM_OPTIONS && r->include_usage_key)
            q->include_usage = value != 0;
        if (r->member == SIM &&
            !knobs_set(&q->knobs, r->knob, r->knob_len, value)) {
            q->complaint.len = 0;
            buf_printf(&q->complaint,
                       "_sim: no knob \"%.*s\", or its value is out of bounds",
                       (int)r->knob_len, r->knob);
        }
    }
    return 1;
}

static int on_string(void *ctx, const unsigned char *s, size_t len) {
    struct reader *r = ctx;
    struct question *q = r->q;
    bool direct = r->depth == 1 || (r->depth == 2 && r->in_array);

    if (r->depth == 0) return 0;

    switch (r->member) {
    case MODEL:
    case NAME:
        if (r->depth != 1 || (r->member == NAME && q->model.len && !r->named))
            break;
        r->named = r->member == NAME;
        q->model.len = 0;
        buf_add(&q->model, s, len);
        break;
    case INSTRUCTIONS:
        if (r->depth != 1) break;
        q->instructions.len = 0;
        buf_add(&q->instructions, s, len);
        note_head(r, s, len);
        break;
    case SYSTEM:
        if (r->depth == 1) note_head(r, s, len);
        break;
    case PROMPT:
    case INPUT:
    case MESSAGES:
        if (direct && r->member != MESSAGES) {
            q->inputs++;
            q->prompt_bytes += len;
            note_message(r, s, len);
        } else if (!direct && r->is_text) {
            q->prompt_bytes += len;
        }
        break;
    case SIM:
        if (r->depth == 2) return scalar(r, INT64_MIN, true);
        break;
    default: break;
    }
    return 1;
}

static int on_null(void *ctx) {
    struct reader *r = ctx;
    return r->depth > 0;
}

static int on_boolean(void *ctx, int value) {
    return scalar(ctx, value, false);
}

/* As text, since a number may be larger than any type of C's. */
static int on_number(void *ctx, const char *s, size_t len) {
    char text[32];
    double value;

    if (len >= sizeof(text)) return scalar(ctx, INT_MAX, true);
    memcpy(text, s, len);
    text[len] = '\0';

    value = strtod(text, NULL);
    if (value > INT_MAX) value = INT_MAX;
    if (value < INT_MIN) value = INT_MIN;
    return scalar(ctx, (int64_t)value, true);
}

static int on_open(struct reader *r, bool is_array) {
    if (r->depth == 0 && is_array) return 0;

    if (++r->depth == 2) {
        r->in_array = is_array;
        r->start = yajl_get_bytes_consumed(r->yajl) - 1;
    }
    if (r->depth == 3) r->element = yajl_get_bytes_consumed(r->yajl) - 1;
    return 1;
}

static int on_close(struct reader *r, bool is_array) {
    struct question *q = r->q;
    bool messages = r->member == MESSAGES || r->member == INPUT ||
                    r->member == PROMPT;
    struct slice whole;

    if (--r->depth == 2 && r->in_array && messages)
        note_message(r, r->body + r->element,
                     yajl_get_bytes_consumed(r->yajl) - r->element);

    if (r->depth == 1) {
        whole.p = r->body + r->start;
        whole.len = yajl_get_bytes_consumed(r->yajl) - r->start;
        if (r->member == TOOLS && is_array) q->tools = whole;
        if (r->member == METADATA && !is_array) q->metadata = whole;
        if (r->member == TOOLS || r->member == SYSTEM)
            note_head(r, whole.p, whole.len);
    }
    return 1;
}

static int on_map(void *ctx) {
    return on_open(ctx, false);
}

static int on_map_end(void *ctx) {
    return on_close(ctx, false);
}

static int on_array(void *ctx) {
    return on_open(ctx, true);
}

static int on_array_end(void *ctx) {
    return on_close(ctx, true);
}

static const yajl_callbacks callbacks = {
    on_null, on_boolean, NULL,       NULL,     on_number,    on_string,
    on_map,  on_key,     on_map_end, on_array, on_array_end,
};

/* In the words of Go's decoder, as far as one can without being it. */
static void complain(struct question *q, const char *body, size_t len) {
    size_t i = 0;

    while (i < len && isspace((unsigned char)body[i])) i++;

    if (i == len) {
        buf_lit(&q->complaint, "EOF");
    } else if (body[i] == '{') {
        buf_lit(&q->complaint, "unexpected EOF");
    } else if (body[i] == '[' || body[i] == '"' ||
               isdigit((unsigned char)body[i])) {
        buf_lit(
            &q->complaint,
            "json: cannot unmarshal value into Go value of type api.Request");
    } else if (isprint((unsigned char)body[i])) {
        buf_printf(&q->complaint,
                   "invalid character '%c' looking for beginning of value",
                   body[i]);
    } else {
        buf_printf(&q->complaint,
                   "invalid character '\\x%02x' looking for beginning of value",
                   (unsigned char)body[i]);
    }
}

void question_read(struct question *q, const char *body, size_t len) {
    struct reader r = {.q = q, .body = body};
    yajl_status status;

    q->model.len = 0;
    q->instructions.len = 0;
    q->complaint.len = 0;
    q->tools.len = 0;
    q->metadata.len = 0;
    q->prompt_bytes = 0;
    q->head = 0;
    q->nmessages = 0;
    q->inputs = 0;
    q->max_tokens = INT64_MIN;
    q->max_output_tokens = INT64_MIN;
    q->stream = -1;
    q->include_usage = false;
    q->valid = false;
    q->knobs = knobs_global;

    if (len) {
        r.yajl = must(yajl_alloc(&callbacks, NULL, &r));
        yajl_config(r.yajl, yajl_dont_validate_strings, 1);
        yajl_config(r.yajl, yajl_allow_trailing_garbage, 1);
        status = yajl_parse(r.yajl, (const unsigned char *)body, len);
        if (status == yajl_status_ok) status = yajl_complete_parse(r.yajl);
        yajl_free(r.yajl);
        q->valid = status == yajl_status_ok;
    }
    if (!q->valid && q->complaint.len == 0) complain(q, body, len);
}

void question_free(struct question *q) {
    buf_free(&q->model);
    buf_free(&q->instructions);
    buf_free(&q->complaint);
    free(q->messages);
}

int64_t question_prompt_tokens(const struct question *q) {
    return (q->prompt_bytes / 4 ? (int64_t)(q->prompt_bytes / 4) : 1) + 3;
}
