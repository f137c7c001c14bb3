#include "usage.h"
#include "json_reader.h"

#include <stdlib.h>
#include <string.h>


#define USAGE_DONE       "[DONE]"
#define USAGE_COUNT_MAX  (1ULL << 53)


/* What has been read of the payload: of a line, of an event's data. */

typedef enum {
    payload_start = 0,              /* nothing but white space */
    payload_done,                   /* perhaps [DONE] */
    payload_object,
    payload_junk                    /* no JSON; up to the next boundary */
} usage_payload_e;


typedef enum {
    line_field = 0,                 /* the name of a field of an event */
    line_space,                     /* behind "data:" */
    line_data,
    line_other
} usage_line_e;


/* Where in the document an object or array is. */

typedef enum {
    place_other = 0,
    place_root,
    place_usage,
    place_prompt_details,
    place_completion_details,
    place_response,
    place_message,                  /* of Anthropic's message_start */
    place_error,
    place_choices,
    place_choice,
    place_content,
    place_arguments                 /* of a tool: all of it is content */
} usage_place_e;


typedef enum {
    key_none = 0,
    key_arguments,
    key_cache_creation_input_tokens,
    key_cache_read_input_tokens,
    key_cached_tokens,
    key_choices,
    key_code,
    key_completion_details,
    key_completion_tokens,
    key_content,
    key_delta,
    key_done,
    key_done_reason,
    key_error,
    key_eval_count,
    key_finish_reason,
    key_input,
    key_input_tokens,
    key_message,
    key_model,
    key_output,
    key_output_tokens,
    key_partial_json,
    key_prompt_details,
    key_prompt_eval_cached_count,
    key_prompt_eval_count,
    key_prompt_tokens,
    key_reasoning,
    key_reasoning_tokens,
    key_refusal,
    key_response,
    key_status,
    key_text,
    key_thinking,
    key_type,
    key_usage
} usage_key_e;


typedef enum {
    type_other = 0,
    type_error,
    type_message_delta,
    type_message_stop,
    type_response_end
} usage_type_e;


typedef struct {
    const char     *text;
    unsigned char   len;
    unsigned char   id;
} usage_word_t;


/* The numbers of one usage object, or of one native line. */

typedef struct {
    uint64_t  prompt;
    uint64_t  completion;
    uint64_t  cached;
    uint64_t  creation;
    uint64_t  reasoning;
    unsigned  has_prompt:1;
    unsigned  has_completion:1;
} usage_counts_t;


struct ollama_usage_s {
    ollama_usage_result_t   result;

    ollama_usage_format_e   format;
    ollama_usage_family_e   family;

    /* the stream */

    usage_line_e            line;
    unsigned                matched;    /* of "data", of "[DONE]" */
    unsigned                cr;         /* the last byte was one */
    unsigned                fresh;      /* no object yet in this event */
    usage_payload_e         payload;

    /* the document */

    usage_key_e             key;        /* whose value comes */
    usage_type_e            type;
    usage_counts_t          counts;
    unsigned                done;       /* native: 1 true, 2 false */
    unsigned                choices;    /* openai: 1 there, 2 not empty */
    unsigned                counted;    /* openai: with a usage not of zeros */
    unsigned                failed;     /* with an error */
    unsigned                status;     /* of the error */
    size_t                  text_len;   /* of a message that may be an error */
    char                    text[OLLAMA_USAGE_ERROR_MAX];

    /* the answer */

    unsigned                loaded;     /* native: done, but nothing to count */
    unsigned                finished;   /* openai: a finish_reason was given */
    unsigned                final;      /* the counts are the last ones */
    uint64_t                input;      /* anthropic: the prompt's parts */
    uint64_t                read;
    uint64_t                creation;

    unsigned char           places[OLLAMA_JSON_READER_DEPTH + 2];

    ollama_json_reader_t    reader;
};


static void usage_sse(ollama_usage_t *u, const unsigned char *p,
    const unsigned char *end);
static void usage_ndjson(ollama_usage_t *u, const unsigned char *p,
    const unsigned char *end);
static void usage_payload(ollama_usage_t *u, const unsigned char *p,
    const unsigned char *end);
static void usage_boundary(ollama_usage_t *u);
static void usage_junk(ollama_usage_t *u);

static int usage_token(void *ctx, ollama_json_token_e token,
    const unsigned char *text, size_t len);
static usage_place_e usage_enter(ollama_usage_t *u, usage_place_e place);
static void usage_string(ollama_usage_t *u, usage_place_e place,
    const unsigned char *text, size_t len);
static void usage_number(ollama_usage_t *u, usage_place_e place, uint64_t n);
static int usage_is_content(const ollama_usage_t *u, usage_place_e place);

static void usage_begin(ollama_usage_t *u);
static void usage_end(ollama_usage_t *u);
static void usage_commit(ollama_usage_t *u, usage_place_e parent);
static void usage_commit_anthropic(ollama_usage_t *u, usage_place_e parent);
static void usage_error(ollama_usage_t *u, const void *text, size_t len);
static uint64_t usage_value(const unsigned char *text, size_t len);
static size_t usage_copy(char *dst, size_t max, const void *src, size_t len);
static unsigned usage_word(const usage_word_t *words, const void *text,
    size_t len);


#define usage_entry(text, id)  { text, sizeof(text) - 1, id }

static const usage_word_t  usage_keys[] = {
    usage_entry("done", key_done),
    usage_entry("text", key_text),
    usage_entry("type", key_type),
    usage_entry("code", key_code),
    usage_entry("model", key_model),
    usage_entry("delta", key_delta),
    usage_entry("error", key_error),
    usage_entry("usage", key_usage),
    usage_entry("input", key_input),
    usage_entry("output", key_output),
    usage_entry("status", key_status),
    usage_entry("message", key_message),
    usage_entry("content", key_content),
    usage_entry("choices", key_choices),
    usage_entry("refusal", key_refusal),
    usage_entry("response", key_response),
    usage_entry("thinking", key_thinking),
    usage_entry("reasoning", key_reasoning),
    usage_entry("arguments", key_arguments),
    usage_entry("eval_count", key_eval_count),
    usage_entry("done_reason", key_done_reason),
    usage_entry("input_tokens", key_input_tokens),
    usage_entry("partial_json", key_partial_json),
    usage_entry("finish_reason", key_finish_reason),
    usage_entry("prompt_tokens", key_prompt_tokens),
    usage_entry("output_tokens", key_output_tokens),
    usage_entry("cached_tokens", key_cached_tokens),
    usage_entry("reasoning_tokens", key_reasoning_tokens),
    usage_entry("reasoning_content", key_reasoning),
    usage_entry("completion_tokens", key_completion_tokens),
    usage_entry("prompt_eval_count", key_prompt_eval_count),
    usage_entry("input_tokens_details", key_prompt_details),
    usage_entry("prompt_tokens_details", key_prompt_details),
    usage_entry("output_tokens_details", key_completion_details),
    usage_entry("cache_read_input_tokens", key_cache_read_input_tokens),
    usage_entry("prompt_eval_cached_count", key_prompt_eval_cached_count),
    usage_entry("completion_tokens_details", key_completion_details),
    usage_entry("cache_creation_input_tokens",
                key_cache_creation_input_tokens),
    { NULL, 0, key_none }
};


static const usage_word_t  usage_types[] = {
    usage_entry("error", type_error),
    usage_entry("message_delta", type_message_delta),
    usage_entry("message_stop", type_message_stop),
    usage_entry("response.completed", type_response_end),
    usage_entry("response.incomplete", type_response_end),
    usage_entry("response.failed", type_response_end),
    { NULL, 0, type_other }
};


ollama_usage_t *
ollama_usage_create(void)
{
    ollama_usage_t  *u;

    u = malloc(sizeof(ollama_usage_t));

    if (u == NULL) {
        return NULL;
    }

    if (!ollama_json_reader_init(&u->reader, usage_token, u)) {
        free(u);
        return NULL;
    }

    u->payload = payload_start;

    ollama_usage_reset(u, OLLAMA_FORMAT_OTHER, OLLAMA_USAGE_FAMILY_NONE);

    return u;
}


void
ollama_usage_destroy(ollama_usage_t *u)
{
    if (u) {
        ollama_json_reader_free(&u->reader);
        free(u);
    }
}


void
ollama_usage_reset(ollama_usage_t *u, ollama_usage_format_e format,
    ollama_usage_family_e family)
{
    memset(&u->result, 0, offsetof(ollama_usage_result_t, model));
    u->result.model[0] = '\0';
    u->result.error_text[0] = '\0';

    u->format = format;
    u->family = family;

    u->line = line_field;
    u->matched = 0;
    u->cr = 0;
    u->fresh = 1;

    if (u->payload == payload_object) {
        (void) ollama_json_reader_restart(&u->reader);
    }

    u->payload = payload_start;

    u->loaded = 0;
    u->finished = 0;
    u->final = 0;
    u->input = 0;
    u->read = 0;
    u->creation = 0;

    usage_begin(u);
}


void
ollama_usage_feed(ollama_usage_t *u, const unsigned char *p, size_t n)
{
    u->result.bytes += n;

    if (u->family == OLLAMA_USAGE_FAMILY_NONE) {
        return;
    }

    switch (u->format) {

    case OLLAMA_FORMAT_SSE:
        usage_sse(u, p, p + n);
        break;

    case OLLAMA_FORMAT_NDJSON:
        usage_ndjson(u, p, p + n);
        break;

    case OLLAMA_FORMAT_JSON:
        usage_payload(u, p, p + n);
        break;

    default:
        break;
    }
}


void
ollama_usage_finish(ollama_usage_t *u)
{
    ollama_usage_result_t  *res;

    res = &u->result;

    if (u->family == OLLAMA_USAGE_FAMILY_NONE
        || u->format == OLLAMA_FORMAT_OTHER)
    {
        res->certainty = OLLAMA_CERTAINTY_NONE;
        return;
    }

    if (u->payload == payload_object
        && usage_is_content(u, u->places[u->reader.depth]))
    {
        res->content_bytes += ollama_json_reader_open_string(&u->reader);
    }

    if (res->usage && u->final) {
        res->certainty = OLLAMA_CERTAINTY_EXACT;

    } else if (res->error) {
        res->certainty = (u->format == OLLAMA_FORMAT_JSON)
                         ? OLLAMA_CERTAINTY_NONE : OLLAMA_CERTAINTY_PARTIAL;

    } else if (res->terminal) {
        res->certainty = u->loaded ? OLLAMA_CERTAINTY_NONE
                                   : OLLAMA_CERTAINTY_ESTIMATED;

    } else if (res->unreadable && res->documents == 0) {
        res->certainty = OLLAMA_CERTAINTY_ESTIMATED;

    } else {
        res->certainty = OLLAMA_CERTAINTY_PARTIAL;
    }
}


const ollama_usage_result_t *
ollama_usage_result(const ollama_usage_t *u)
{
    return &u->result;
}


void
ollama_usage_tokens(const ollama_usage_result_t *res, uint64_t request_bytes,
    uint64_t *prompt, uint64_t *completion)
{
    if (res->certainty == OLLAMA_CERTAINTY_PARTIAL
        || res->certainty == OLLAMA_CERTAINTY_ESTIMATED)
    {
        ollama_usage_so_far(res, request_bytes, prompt, completion);
        return;
    }

    *prompt = res->prompt;
    *completion = res->completion;
}


void
ollama_usage_so_far(const ollama_usage_result_t *res, uint64_t request_bytes,
    uint64_t *prompt, uint64_t *completion)
{
    uint64_t  bytes, tokens;

    *prompt = res->prompt;
    *completion = res->completion;

    if (*prompt == 0) {
        *prompt = ollama_usage_estimate(request_bytes);
    }

    bytes = (res->unreadable && res->documents == 0) ? res->bytes
                                                     : res->content_bytes;

    tokens = ollama_usage_estimate(bytes);

    if (*completion < tokens) {
        *completion = tokens;
    }
}


uint64_t
ollama_usage_estimate(uint64_t bytes)
{
    return (bytes + OLLAMA_USAGE_BYTES_PER_TOKEN - 1)
           / OLLAMA_USAGE_BYTES_PER_TOKEN;
}


ollama_usage_format_e
ollama_usage_format(const char *content_type, size_t n)
{
    size_t    i;
    char      name[24];
    unsigned  id;

    static const usage_word_t  types[] = {
        usage_entry("application/json", OLLAMA_FORMAT_JSON),
        usage_entry("application/x-ndjson", OLLAMA_FORMAT_NDJSON),
        usage_entry("application/ndjson", OLLAMA_FORMAT_NDJSON),
        usage_entry("application/jsonl", OLLAMA_FORMAT_NDJSON),
        usage_entry("text/event-stream", OLLAMA_FORMAT_SSE),
        { NULL, 0, OLLAMA_FORMAT_OTHER }
    };

    for (i = 0; i < n && i < sizeof(name); i++) {
        if (content_type[i] == ';' || content_type[i] == ' '
            || content_type[i] == '\t')
        {
            break;
        }

        name[i] = content_type[i];

        if (name[i] >= 'A' && name[i] <= 'Z') {
            name[i] |= 0x20;
        }
    }

    id = usage_word(types, name, i);

    return (ollama_usage_format_e) id;
}


ollama_usage_family_e
ollama_usage_family(const unsigned char *path, size_t n)
{
    const char  *p = (const char *) path;

    if (n >= 5 && memcmp(p, "/api/", 5) == 0) {
        return OLLAMA_USAGE_FAMILY_NATIVE;
    }

    if (n < 4 || memcmp(p, "/v1/", 4) != 0) {
        return OLLAMA_USAGE_FAMILY_NONE;
    }

    p += 4;
    n -= 4;

    if (n >= 8 && memcmp(p, "messages", 8) == 0 && (n == 8 || p[8] == '/')) {
        return OLLAMA_USAGE_FAMILY_ANTHROPIC;
    }

    if (n >= 9 && memcmp(p, "responses", 9) == 0 && (n == 9 || p[9] == '/')) {
        return OLLAMA_USAGE_FAMILY_RESPONSES;
    }

    return OLLAMA_USAGE_FAMILY_OPENAI;
}


const char *
ollama_certainty_name(ollama_certainty_e certainty)
{
    switch (certainty) {

    case OLLAMA_CERTAINTY_EXACT:
        return "exact";

    case OLLAMA_CERTAINTY_PARTIAL:
        return "partial";

    case OLLAMA_CERTAINTY_ESTIMATED:
        return "estimated";

    default:
        return "none";
    }
}


/*
 * Lines end with CR LF, LF or CR.  The data of an event may be spread over
 * several fields, which a line feed joins: white space between JSON tokens.
 */

static void
usage_sse(ollama_usage_t *u, const unsigned char *p, const unsigned char *end)
{
    const unsigned char  *q, *cr;

    static const unsigned char  newline[] = "\n";

    while (p != end) {

        if (u->cr) {
            u->cr = 0;

            if (*p == '\n') {
                p++;
                continue;
            }
        }

        switch (u->line) {

        case line_field:
            if (*p == '\n' || *p == '\r') {
                if (u->matched == 0) {
                    usage_boundary(u);
                }

                break;
            }

            if (u->matched < 4 && *p == (unsigned char) "data"[u->matched]) {
                u->matched++;

            } else if (u->matched == 4 && *p == ':') {
                u->line = line_space;

            } else {
                u->line = line_other;
            }

            p++;
            continue;

        case line_space:
            u->line = line_data;

            if (*p == ' ') {
                p++;
                continue;
            }

            /* fall through */

        default:
            q = memchr(p, '\n', end - p);

            if (q == NULL) {
                q = end;
            }

            cr = memchr(p, '\r', q - p);

            if (cr) {
                q = cr;
            }

            if (u->line == line_data) {
                usage_payload(u, p, q);
            }

            p = q;

            if (p == end) {
                return;
            }

            if (u->line == line_data) {
                usage_payload(u, newline, newline + 1);
            }

            break;
        }

        u->cr = (*p == '\r');
        u->line = line_field;
        u->matched = 0;
        p++;
    }
}


static void
usage_ndjson(ollama_usage_t *u, const unsigned char *p,
    const unsigned char *end)
{
    const unsigned char  *q;

    while (p != end) {

        q = memchr(p, '\n', end - p);

        if (q == NULL) {
            usage_payload(u, p, end);
            return;
        }

        usage_payload(u, p, q);
        usage_boundary(u);

        p = q + 1;
    }
}


static void
usage_payload(ollama_usage_t *u, const unsigned char *p,
    const unsigned char *end)
{
    while (p != end) {

        switch (u->payload) {

        case payload_start:
            if (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r') {
                p++;

            } else if (*p == '{') {
                u->payload = payload_object;
                usage_begin(u);

            } else if (u->fresh && u->format == OLLAMA_FORMAT_SSE
                       && *p == '[')
            {
                u->payload = payload_done;
                u->matched = 0;

            } else {
                usage_junk(u);
            }

            u->fresh &= (u->payload == payload_start);
            break;

        case payload_done:
            if (*p != (unsigned char) USAGE_DONE[u->matched]) {
                usage_junk(u);
                break;
            }

            p++;
            u->matched++;

            if (u->matched == sizeof(USAGE_DONE) - 1) {
                u->result.terminal = 1;
                u->final = 1;
                u->payload = payload_junk;
            }

            break;

        case payload_object:

            switch (ollama_json_reader_feed(&u->reader, &p, end)) {

            case OLLAMA_JSON_READER_DONE:
                u->payload = payload_start;
                usage_end(u);
                break;

            case OLLAMA_JSON_READER_BROKEN:
                usage_junk(u);
                break;

            default:
                break;
            }

            break;

        default:
            return;
        }
    }
}


/* The payload ends here, finished or not. */

static void
usage_boundary(ollama_usage_t *u)
{
    if (u->payload == payload_object) {
        u->result.unreadable = 1;
        (void) ollama_json_reader_restart(&u->reader);
    }

    u->payload = payload_start;
    u->fresh = 1;
}


static void
usage_junk(ollama_usage_t *u)
{
    u->payload = payload_junk;
    u->result.unreadable = 1;
}


static int
usage_token(void *ctx, ollama_json_token_e token, const unsigned char *text,
    size_t len)
{
    unsigned         depth;
    usage_place_e    place;
    ollama_usage_t  *u = ctx;

    depth = u->reader.depth;
    place = u->places[depth];

    switch (token) {

    case OLLAMA_JSON_KEY:
        if (place == place_other) {
            return 1;
        }

        if (place == place_arguments) {
            u->result.content_bytes += len + u->reader.dropped;
            return 1;
        }

        u->key = u->reader.dropped ? key_none
                                   : usage_word(usage_keys, text, len);
        return 1;

    case OLLAMA_JSON_OBJECT:
    case OLLAMA_JSON_ARRAY:
        place = (depth == 1) ? place_root
                             : usage_enter(u, u->places[depth - 1]);
        u->places[depth] = place;

        switch (place) {

        case place_usage:
            memset(&u->counts, 0, sizeof(usage_counts_t));
            break;

        case place_choices:
            u->choices = 1;
            break;

        case place_choice:
            u->choices = 2;
            break;

        default:
            break;
        }

        break;

    case OLLAMA_JSON_OBJECT_END:
    case OLLAMA_JSON_ARRAY_END:
        if (u->places[depth + 1] == place_usage) {
            usage_commit(u, place);
        }

        break;

    case OLLAMA_JSON_STRING:
        if (place != place_other) {
            usage_string(u, place, text, len);
        }

        break;

    case OLLAMA_JSON_NUMBER:
        if (place != place_other) {
            if (place == place_arguments) {
                u->result.content_bytes += len;

            } else if (u->key != key_none) {
                usage_number(u, place, usage_value(text, len));
            }
        }

        break;

    case OLLAMA_JSON_TRUE:
    case OLLAMA_JSON_FALSE:
        if (place == place_root && u->key == key_done) {
            u->done = (token == OLLAMA_JSON_TRUE) ? 1 : 2;
        }

        break;

    case OLLAMA_JSON_NULL:
        break;
    }

    u->key = key_none;

    return 1;
}


/* What the object or array is that opens as the value of u->key in place. */

static usage_place_e
usage_enter(ollama_usage_t *u, usage_place_e place)
{
    int  sse;

    sse = (u->format == OLLAMA_FORMAT_SSE);

    switch (place) {

    case place_root:

        switch (u->key) {

        case key_usage:
            if (u->family == OLLAMA_USAGE_FAMILY_NATIVE
                || (u->family == OLLAMA_USAGE_FAMILY_RESPONSES && sse))
            {
                return place_other;
            }

            return place_usage;

        case key_error:
            u->failed = 1;
            u->result.error = 1;
            return place_error;

        case key_message:
            if (u->family == OLLAMA_USAGE_FAMILY_NATIVE) {
                return place_content;
            }

            if (u->family == OLLAMA_USAGE_FAMILY_ANTHROPIC && sse) {
                return place_message;
            }

            return place_other;

        case key_choices:
            return (u->family == OLLAMA_USAGE_FAMILY_OPENAI) ? place_choices
                                                             : place_other;

        case key_response:
            return (u->family == OLLAMA_USAGE_FAMILY_RESPONSES && sse)
                   ? place_response : place_other;

        case key_output:
            return (u->family == OLLAMA_USAGE_FAMILY_RESPONSES && !sse)
                   ? place_content : place_other;

        case key_delta:
        case key_content:
            return (u->family == OLLAMA_USAGE_FAMILY_ANTHROPIC)
                   ? place_content : place_other;

        default:
            return place_other;
        }

    case place_usage:

        switch (u->key) {

        case key_prompt_details:
            return place_prompt_details;

        case key_completion_details:
            return place_completion_details;

        default:
            return place_other;
        }

    case place_response:
    case place_message:

        switch (u->key) {

        case key_usage:
            return place_usage;

        case key_error:
            u->failed = 1;
            u->result.error = 1;
            return place_error;

        default:
            return place_other;
        }

    case place_choices:
        return place_choice;

    case place_choice:

        switch (u->key) {

        case key_delta:
        case key_message:
            return place_content;

        default:
            return place_other;
        }

    case place_content:
        return (u->key == key_arguments || u->key == key_input)
               ? place_arguments : place_content;

    case place_arguments:
        return place_arguments;

    default:
        return place_other;
    }
}


static void
usage_string(ollama_usage_t *u, usage_place_e place, const unsigned char *text,
    size_t len)
{
    ollama_usage_result_t  *res;

    res = &u->result;

    if (usage_is_content(u, place)) {
        res->content_bytes += len + u->reader.dropped;
        return;
    }

    switch (u->key) {

    case key_model:
        if (res->model_len == 0
            && (place == place_root || place == place_response
                || place == place_message))
        {
            res->model_len = usage_copy(res->model, OLLAMA_USAGE_MODEL_MAX,
                                        text, len);
        }

        break;

    case key_type:
        if (place == place_root) {
            u->type = usage_word(usage_types, text, len);
        }

        break;

    case key_done_reason:
        if (place == place_root && u->family == OLLAMA_USAGE_FAMILY_NATIVE) {
            u->loaded = (len == 4 && memcmp(text, "load", 4) == 0)
                        || (len == 6 && memcmp(text, "unload", 6) == 0);
        }

        break;

    case key_finish_reason:
        if (place == place_choice) {
            u->finished = 1;
        }

        break;

    case key_error:
        if (place == place_root) {
            u->failed = 1;
            res->error = 1;
            usage_error(u, text, len);
        }

        break;

    case key_message:
        if (place == place_error) {
            usage_error(u, text, len);

        } else if (place == place_root) {

            /* the error event of /v1/responses; its type may come behind */

            u->text_len = (len < OLLAMA_USAGE_ERROR_MAX)
                          ? len : OLLAMA_USAGE_ERROR_MAX;
            memcpy(u->text, text, u->text_len);
        }

        break;

    default:
        break;
    }
}


static void
usage_number(ollama_usage_t *u, usage_place_e place, uint64_t n)
{
    usage_counts_t  *counts;

    counts = &u->counts;

    switch (place) {

    case place_root:

        switch (u->key) {

        case key_prompt_eval_count:
            counts->prompt = n;
            break;

        case key_eval_count:
            counts->completion = n;
            break;

        case key_prompt_eval_cached_count:
            counts->cached = n;
            break;

        case key_status:
        case key_code:
            goto status;

        default:
            break;
        }

        break;

    case place_usage:

        switch (u->key) {

        case key_prompt_tokens:
            if (u->family == OLLAMA_USAGE_FAMILY_OPENAI) {
                counts->prompt = n;
            }

            break;

        case key_completion_tokens:
            if (u->family == OLLAMA_USAGE_FAMILY_OPENAI) {
                counts->completion = n;
            }

            break;

        case key_input_tokens:
            if (u->family != OLLAMA_USAGE_FAMILY_OPENAI) {
                counts->prompt = n;
                counts->has_prompt = 1;
            }

            break;

        case key_output_tokens:
            if (u->family != OLLAMA_USAGE_FAMILY_OPENAI) {
                counts->completion = n;
                counts->has_completion = 1;
            }

            break;

        case key_cache_read_input_tokens:
            if (u->family == OLLAMA_USAGE_FAMILY_ANTHROPIC) {
                counts->cached = n;
            }

            break;

        case key_cache_creation_input_tokens:
            counts->creation = n;
            break;

        default:
            break;
        }

        break;

    case place_prompt_details:
        if (u->key == key_cached_tokens
            && u->family != OLLAMA_USAGE_FAMILY_ANTHROPIC)
        {
            counts->cached = n;
        }

        break;

    case place_completion_details:
        if (u->key == key_reasoning_tokens) {
            counts->reasoning = n;
        }

        break;

    case place_error:
        if (u->key == key_status || u->key == key_code) {
            goto status;
        }

        break;

    default:
        break;
    }

    return;

status:

    if (n >= 100 && n <= 599) {
        u->status = n;
    }
}


static int
usage_is_content(const ollama_usage_t *u, usage_place_e place)
{
    switch (place) {

    case place_arguments:
        return 1;

    case place_content:

        switch (u->key) {

        case key_content:
        case key_thinking:
        case key_reasoning:
        case key_text:
        case key_refusal:
        case key_arguments:
        case key_partial_json:
            return 1;

        default:
            return 0;
        }

    case place_choice:
        return u->key == key_text;

    case place_root:

        switch (u->family) {

        case OLLAMA_USAGE_FAMILY_NATIVE:
            return u->key == key_response || u->key == key_thinking;

        case OLLAMA_USAGE_FAMILY_RESPONSES:
            return u->key == key_delta;

        default:
            return 0;
        }

    default:
        return 0;
    }
}


static void
usage_begin(ollama_usage_t *u)
{
    u->places[0] = place_other;
    u->key = key_none;
    u->type = type_other;
    u->done = 0;
    u->choices = 0;
    u->counted = 0;
    u->failed = 0;
    u->status = 0;
    u->text_len = 0;

    memset(&u->counts, 0, sizeof(usage_counts_t));
}


/* A whole object has been read. */

static void
usage_end(ollama_usage_t *u)
{
    ollama_usage_result_t  *res;

    res = &u->result;
    res->documents++;

    switch (u->family) {

    case OLLAMA_USAGE_FAMILY_NATIVE:
        usage_commit(u, place_root);

        if (u->done == 1
            || (u->format == OLLAMA_FORMAT_JSON && u->done == 0))
        {
            res->terminal = 1;
            u->final = 1;
        }

        break;

    case OLLAMA_USAGE_FAMILY_OPENAI:

        /* the counts in the extra chunk, or with or behind a finish_reason */

        if (u->counted && (u->choices == 1 || u->finished)) {
            u->final = 1;
        }

        break;

    case OLLAMA_USAGE_FAMILY_RESPONSES:
        if (u->type == type_response_end) {
            res->terminal = 1;
            u->final = 1;
        }

        /* fall through */

    case OLLAMA_USAGE_FAMILY_ANTHROPIC:
        if (u->type == type_error) {
            u->failed = 1;
            res->error = 1;

            if (res->error_len == 0) {
                usage_error(u, u->text, u->text_len);
            }
        }

        if (u->type == type_message_stop) {
            res->terminal = 1;
        }

        break;

    default:
        break;
    }

    if (u->format == OLLAMA_FORMAT_JSON
        && u->family != OLLAMA_USAGE_FAMILY_NATIVE)
    {
        res->terminal = 1;
        u->final = 1;
    }

    if (u->failed) {
        res->error_status = u->status;
    }
}


static void
usage_commit(ollama_usage_t *u, usage_place_e parent)
{
    usage_counts_t         *counts;
    ollama_usage_result_t  *res;

    res = &u->result;
    counts = &u->counts;

    if (u->family == OLLAMA_USAGE_FAMILY_ANTHROPIC) {
        usage_commit_anthropic(u, parent);
        return;
    }

    if (counts->prompt) {
        res->prompt = counts->prompt;
    }

    if (counts->completion) {
        res->completion = counts->completion;
    }

    if (counts->cached) {
        res->cached = counts->cached;
    }

    if (counts->reasoning) {
        res->reasoning = counts->reasoning;
    }

    if (counts->prompt || counts->completion) {
        res->usage = 1;
        u->counted = 1;
    }
}


static void
usage_commit_anthropic(ollama_usage_t *u, usage_place_e parent)
{
    usage_counts_t         *counts;
    ollama_usage_result_t  *res;

    res = &u->result;
    counts = &u->counts;

    if (counts->has_prompt
        && (counts->prompt || counts->cached || counts->creation))
    {
        u->input = counts->prompt;
        u->read = counts->cached;
        u->creation = counts->creation;

    } else {
        if (counts->cached) {
            u->read = counts->cached;
        }

        if (counts->creation) {
            u->creation = counts->creation;
        }
    }

    if (counts->completion) {
        res->completion = counts->completion;
    }

    res->prompt = u->input + u->read + u->creation;
    res->cached = u->read;

    if (res->prompt || res->completion) {
        res->usage = 1;
    }

    /* message_start gives an estimate of the prompt, and nothing else */

    if (parent == place_root && counts->has_completion
        && (counts->prompt || counts->completion))
    {
        u->final = 1;
    }
}


static void
usage_error(ollama_usage_t *u, const void *text, size_t len)
{
    u->result.error_len = usage_copy(u->result.error_text,
                                     OLLAMA_USAGE_ERROR_MAX, text, len);
}


/* Not below 0, no fractions, and nothing that could overflow a sum. */

static uint64_t
usage_value(const unsigned char *text, size_t len)
{
    size_t    i;
    double    d;
    uint64_t  n;
    char      buf[OLLAMA_JSON_READER_WORD + 1];

    n = 0;

    for (i = 0; i < len && text[i] >= '0' && text[i] <= '9'; i++) {
        n = n * 10 + (text[i] - '0');

        if (n > USAGE_COUNT_MAX) {
            n = USAGE_COUNT_MAX;
        }
    }

    if (i == len) {
        return n;
    }

    if (text[0] == '-' || len >= sizeof(buf)) {
        return 0;
    }

    memcpy(buf, text, len);
    buf[len] = '\0';

    d = strtod(buf, NULL);

    return (d < (double) USAGE_COUNT_MAX) ? (uint64_t) d : USAGE_COUNT_MAX;
}


/* Cut at a character's start. */

static size_t
usage_copy(char *dst, size_t max, const void *src, size_t len)
{
    const unsigned char  *p = src;

    if (len > max) {
        len = max;

        while (len && (p[len] & 0xc0) == 0x80) {
            len--;
        }
    }

    memcpy(dst, src, len);
    dst[len] = '\0';

    return len;
}


static unsigned
usage_word(const usage_word_t *words, const void *text, size_t len)
{
    for ( /* void */ ; words->text; words++) {
        if (words->len == len && memcmp(words->text, text, len) == 0) {
            break;
        }
    }

    return words->id;
}
