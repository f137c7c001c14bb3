#include "stream_error.h"
#include "error.h"
#include "json.h"


#define stream_raw(j, text)  ollama_json_raw(j, text, sizeof(text) - 1)


static void stream_object(ollama_json_t *j, ollama_family_e family,
    unsigned status, const char *text, size_t text_len);
static void stream_native(ollama_json_t *j, unsigned status, const char *text,
    size_t text_len);
static void stream_response(ollama_json_t *j,
    const ollama_stream_response_t *response, unsigned status,
    const char *text, size_t text_len);
static const char *stream_code(unsigned status);


size_t
ollama_stream_error(ollama_usage_family_e family,
    const ollama_stream_response_t *response, unsigned status,
    const char *text, size_t text_len, unsigned broken, unsigned char *out,
    size_t size)
{
    ollama_json_t  j;

    ollama_json_init(&j, out, size);

    while (broken--) {
        stream_raw(&j, "\n");
    }

    switch (family) {

    case OLLAMA_USAGE_FAMILY_OPENAI:
        stream_raw(&j, "data: ");
        stream_object(&j, OLLAMA_FAMILY_OPENAI, status, text, text_len);
        stream_raw(&j, "\n\n");
        break;

    case OLLAMA_USAGE_FAMILY_RESPONSES:
        stream_raw(&j, "event: response.failed\ndata: ");
        stream_response(&j, response, status, text, text_len);
        stream_raw(&j, "\n\n");
        break;

    case OLLAMA_USAGE_FAMILY_ANTHROPIC:

        if (status == 502 || status == 504) {
            status = 529;
        }

        stream_raw(&j, "event: error\ndata: ");
        stream_object(&j, OLLAMA_FAMILY_ANTHROPIC, status, text, text_len);
        stream_raw(&j, "\n\n");
        break;

    default:
        stream_native(&j, status, text, text_len);
        stream_raw(&j, "\n");
        break;
    }

    return j.overflow ? 0 : ollama_json_len(&j);
}


/* as it would be the body of an answer */

static void
stream_object(ollama_json_t *j, ollama_family_e family, unsigned status,
    const char *text, size_t text_len)
{
    size_t  len;

    if (j->overflow) {
        return;
    }

    len = ollama_error_body(family, status, text, text_len, j->pos,
                            j->end - j->pos);

    j->pos += len;
    j->overflow = (len == 0);
}


static void
stream_native(ollama_json_t *j, unsigned status, const char *text,
    size_t text_len)
{
    stream_raw(j, "{\"error\":");
    ollama_json_string(j, text, text_len);
    ollama_json_key(j, "status");
    ollama_json_uint(j, status);
    ollama_json_close(j, '}');
}


/* the members that OpenAI's libraries take for granted, sorted as by Go */

static void
stream_response(ollama_json_t *j, const ollama_stream_response_t *response,
    unsigned status, const char *text, size_t text_len)
{
    stream_raw(j, "{\"response\":{");

    ollama_json_key(j, "created_at");
    ollama_json_uint(j, response->created);

    ollama_json_key(j, "error");
    stream_raw(j, "{\"code\":");
    ollama_json_text(j, stream_code(status));
    ollama_json_key(j, "message");
    ollama_json_string(j, text, text_len);
    ollama_json_close(j, '}');

    ollama_json_key(j, "id");

    if (response->id_len && response->id_len <= OLLAMA_STREAM_ID_MAX) {
        ollama_json_string(j, response->id, response->id_len);

    } else {
        ollama_json_text(j, "resp_0");
    }

    ollama_json_key(j, "incomplete_details");
    ollama_json_null(j);
    ollama_json_key(j, "instructions");
    ollama_json_null(j);
    ollama_json_key(j, "metadata");
    stream_raw(j, "{}");

    ollama_json_key(j, "model");
    ollama_json_string(j, response->model, response->model_len);

    ollama_json_key(j, "object");
    ollama_json_text(j, "response");
    ollama_json_key(j, "output");
    stream_raw(j, "[]");
    ollama_json_key(j, "parallel_tool_calls");
    ollama_json_bool(j, 1);
    ollama_json_key(j, "status");
    ollama_json_text(j, "failed");
    ollama_json_key(j, "temperature");
    ollama_json_uint(j, 1);
    ollama_json_key(j, "tool_choice");
    ollama_json_text(j, "auto");
    ollama_json_key(j, "tools");
    stream_raw(j, "[]");
    ollama_json_key(j, "top_p");
    ollama_json_uint(j, 1);
    ollama_json_key(j, "usage");
    ollama_json_null(j);
    ollama_json_close(j, '}');

    ollama_json_key(j, "sequence_number");
    ollama_json_uint(j, response->events);
    ollama_json_key(j, "type");
    ollama_json_text(j, "response.failed");
    ollama_json_close(j, '}');
}


static const char *
stream_code(unsigned status)
{
    switch (status) {

    case 400:
        return "invalid_prompt";

    case 429:
        return "rate_limit_exceeded";

    default:
        return "server_error";
    }
}
