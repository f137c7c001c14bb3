#include "usage_place.h"

#include <string.h>


static const ollama_usage_word_t  usage_keys[] = {
    ollama_usage_entry("done", key_done),
    ollama_usage_entry("text", key_text),
    ollama_usage_entry("type", key_type),
    ollama_usage_entry("code", key_code),
    ollama_usage_entry("model", key_model),
    ollama_usage_entry("delta", key_delta),
    ollama_usage_entry("error", key_error),
    ollama_usage_entry("usage", key_usage),
    ollama_usage_entry("input", key_input),
    ollama_usage_entry("output", key_output),
    ollama_usage_entry("status", key_status),
    ollama_usage_entry("message", key_message),
    ollama_usage_entry("content", key_content),
    ollama_usage_entry("choices", key_choices),
    ollama_usage_entry("refusal", key_refusal),
    ollama_usage_entry("response", key_response),
    ollama_usage_entry("thinking", key_thinking),
    ollama_usage_entry("reasoning", key_reasoning),
    ollama_usage_entry("arguments", key_arguments),
    ollama_usage_entry("eval_count", key_eval_count),
    ollama_usage_entry("done_reason", key_done_reason),
    ollama_usage_entry("input_tokens", key_input_tokens),
    ollama_usage_entry("partial_json", key_partial_json),
    ollama_usage_entry("finish_reason", key_finish_reason),
    ollama_usage_entry("prompt_tokens", key_prompt_tokens),
    ollama_usage_entry("output_tokens", key_output_tokens),
    ollama_usage_entry("cached_tokens", key_cached_tokens),
    ollama_usage_entry("reasoning_tokens", key_reasoning_tokens),
    ollama_usage_entry("reasoning_content", key_reasoning),
    ollama_usage_entry("completion_tokens", key_completion_tokens),
    ollama_usage_entry("prompt_eval_count", key_prompt_eval_count),
    ollama_usage_entry("input_tokens_details", key_prompt_details),
    ollama_usage_entry("prompt_tokens_details", key_prompt_details),
    ollama_usage_entry("output_tokens_details", key_completion_details),
    ollama_usage_entry("cache_read_input_tokens", key_cache_read_input_tokens),
    ollama_usage_entry("prompt_eval_cached_count",
                       key_prompt_eval_cached_count),
    ollama_usage_entry("completion_tokens_details", key_completion_details),
    ollama_usage_entry("cache_creation_input_tokens",
                       key_cache_creation_input_tokens),
    { NULL, 0, key_none }
};


ollama_usage_key_e
ollama_usage_key(const void *name, size_t len)
{
    return (ollama_usage_key_e) ollama_usage_word(usage_keys, name, len,
                                                  key_none);
}


ollama_usage_place_e
ollama_usage_enter(ollama_usage_family_e family, int sse,
    ollama_usage_place_e place, ollama_usage_key_e key)
{
    switch (place) {

    case place_root:

        switch (key) {

        case key_usage:
            if (family == OLLAMA_USAGE_FAMILY_NATIVE
                || (family == OLLAMA_USAGE_FAMILY_RESPONSES && sse))
            {
                return place_other;
            }

            return place_usage;

        case key_error:
            return place_error;

        case key_message:
            if (family == OLLAMA_USAGE_FAMILY_NATIVE) {
                return place_content;
            }

            if (family == OLLAMA_USAGE_FAMILY_ANTHROPIC && sse) {
                return place_message;
            }

            return place_other;

        case key_choices:
            return (family == OLLAMA_USAGE_FAMILY_OPENAI) ? place_choices
                                                          : place_other;

        case key_response:
            return (family == OLLAMA_USAGE_FAMILY_RESPONSES && sse)
                   ? place_response : place_other;

        case key_output:
            return (family == OLLAMA_USAGE_FAMILY_RESPONSES && !sse)
                   ? place_content : place_other;

        case key_delta:
        case key_content:
            return (family == OLLAMA_USAGE_FAMILY_ANTHROPIC)
                   ? place_content : place_other;

        default:
            return place_other;
        }

    case place_usage:

        switch (key) {

        case key_prompt_details:
            return place_prompt_details;

        case key_completion_details:
            return place_completion_details;

        default:
            return place_other;
        }

    case place_response:
    case place_message:

        switch (key) {

        case key_usage:
            return place_usage;

        case key_error:
            return place_error;

        default:
            return place_other;
        }

    case place_choices:
        return place_choice;

    case place_choice:

        switch (key) {

        case key_delta:
        case key_message:
            return place_content;

        default:
            return place_other;
        }

    case place_content:
        return (key == key_arguments || key == key_input)
               ? place_arguments : place_content;

    case place_arguments:
        return place_arguments;

    default:
        return place_other;
    }
}


int
ollama_usage_is_content(ollama_usage_family_e family,
    ollama_usage_place_e place, ollama_usage_key_e key)
{
    switch (place) {

    case place_arguments:
        return 1;

    case place_content:

        switch (key) {

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
        return key == key_text;

    case place_root:

        switch (family) {

        case OLLAMA_USAGE_FAMILY_NATIVE:
            return key == key_response || key == key_thinking;

        case OLLAMA_USAGE_FAMILY_RESPONSES:
            return key == key_delta;

        default:
            return 0;
        }

    default:
        return 0;
    }
}


unsigned
ollama_usage_word(const ollama_usage_word_t *words, const void *text,
    size_t len, unsigned other)
{
    for ( /* void */ ; words->text && words->len <= len; words++) {
        if (words->len == len && memcmp(words->text, text, len) == 0) {
            return words->id;
        }
    }

    return other;
}
