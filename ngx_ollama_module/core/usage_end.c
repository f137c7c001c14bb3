#include "usage_facts.h"


static ollama_certainty_e usage_certainty(const ollama_usage_answer_t *a);


void
ollama_usage_answer_settle(ollama_usage_answer_t *a)
{
    ollama_certainty_e      certainty;
    ollama_usage_result_t  *res;

    res = &a->result;

    certainty = usage_certainty(a);

    res->prompt_certainty = certainty;
    res->completion_certainty = certainty;

    if (certainty == OLLAMA_CERTAINTY_EXACT) {

        if (res->prompt == 0 || a->guessed) {
            res->prompt_certainty = OLLAMA_CERTAINTY_ESTIMATED;

        } else if (res->cached > res->prompt) {
            res->cached = res->prompt;
        }

        if (res->completion == 0 && res->content_bytes) {
            res->completion_certainty = OLLAMA_CERTAINTY_ESTIMATED;
        }
    }

    res->certainty = (res->prompt_certainty < res->completion_certainty)
                     ? res->prompt_certainty : res->completion_certainty;
}


/* Of the answer as a whole, with both halves taken together. */

static ollama_certainty_e
usage_certainty(const ollama_usage_answer_t *a)
{
    const ollama_usage_result_t  *res;

    res = &a->result;

    if (res->usage && a->final) {
        return OLLAMA_CERTAINTY_EXACT;
    }

    if (res->error) {
        return (a->format == OLLAMA_FORMAT_JSON) ? OLLAMA_CERTAINTY_NONE
                                                 : OLLAMA_CERTAINTY_PARTIAL;
    }

    if (res->terminal) {
        return a->loaded ? OLLAMA_CERTAINTY_NONE : OLLAMA_CERTAINTY_ESTIMATED;
    }

    if (res->unreadable && res->documents == 0) {
        return OLLAMA_CERTAINTY_ESTIMATED;
    }

    return OLLAMA_CERTAINTY_PARTIAL;
}


ollama_stream_e
ollama_usage_answer_stream(const ollama_usage_answer_t *a, uint64_t lost)
{
    const ollama_usage_result_t  *res;

    res = &a->result;

    switch (a->format) {

    case OLLAMA_FORMAT_NDJSON:
        if (a->family != OLLAMA_USAGE_FAMILY_NATIVE) {
            return OLLAMA_STREAM_NONE;
        }

        break;

    case OLLAMA_FORMAT_SSE:
        if (a->family <= OLLAMA_USAGE_FAMILY_NATIVE) {
            return OLLAMA_STREAM_NONE;
        }

        break;

    default:
        return OLLAMA_STREAM_NONE;
    }

    if (res->terminal || res->told) {
        return OLLAMA_STREAM_WHOLE;
    }

    return (lost == res->documents + 1) ? OLLAMA_STREAM_NONE
                                           : OLLAMA_STREAM_CUT;
}
