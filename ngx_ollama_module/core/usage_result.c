#include "usage_place.h"

#include <string.h>


#define usage_guess(c)  ((c) == OLLAMA_CERTAINTY_PARTIAL                      \
                         || (c) == OLLAMA_CERTAINTY_ESTIMATED)


void
ollama_usage_tokens(const ollama_usage_result_t *res, uint64_t asked,
    uint64_t *prompt, uint64_t *completion)
{
    ollama_usage_so_far(res, asked, prompt, completion);

    if (!usage_guess(res->prompt_certainty)) {
        *prompt = res->prompt;
    }

    if (!usage_guess(res->completion_certainty)) {
        *completion = res->completion;
    }
}


void
ollama_usage_so_far(const ollama_usage_result_t *res, uint64_t asked,
    uint64_t *prompt, uint64_t *completion)
{
    uint64_t  bytes, tokens;

    *prompt = res->prompt;
    *completion = res->completion;

    if (*prompt == 0) {
        *prompt = (asked > res->cached) ? asked : res->cached;

    } else if (res->start && asked && *prompt > asked) {
        *prompt = asked;
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

    static const ollama_usage_word_t  types[] = {
        ollama_usage_entry("application/json", OLLAMA_FORMAT_JSON),
        ollama_usage_entry("application/jsonl", OLLAMA_FORMAT_NDJSON),
        ollama_usage_entry("text/event-stream", OLLAMA_FORMAT_SSE),
        ollama_usage_entry("application/ndjson", OLLAMA_FORMAT_NDJSON),
        ollama_usage_entry("application/x-ndjson", OLLAMA_FORMAT_NDJSON),
        { NULL, 0, OLLAMA_FORMAT_OTHER }
    };

    for (i = 0; i < n && i < sizeof(name); i++) {
        if (content_type[i] == ';' || content_type[i] == ' '
            || content_type[i] == '\t')
        {
            break;
        }
    }

    n = i;
    id = ollama_usage_word(types, content_type, n, OLLAMA_FORMAT_OTHER);

    if (id == OLLAMA_FORMAT_OTHER) {

        for (i = 0; i < n; i++) {
            name[i] = content_type[i];

            if (name[i] >= 'A' && name[i] <= 'Z') {
                name[i] |= 0x20;
            }
        }

        id = ollama_usage_word(types, name, n, OLLAMA_FORMAT_OTHER);
    }

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
