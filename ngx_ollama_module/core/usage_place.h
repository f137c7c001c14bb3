/*
 * usage_place.h - where in a document of the cloud a value stands, and what its
 * member is called there.  For usage*.c; see usage.h for the places that count.
 *
 * An object or array gets its place when it opens, from the place around it and
 * the key it is the value of; what nobody asks for is place_other, with all
 * that is in it.  A value is known by the two together: the place, the key.
 */

#ifndef OLLAMA_USAGE_PLACE_H_INCLUDED
#define OLLAMA_USAGE_PLACE_H_INCLUDED

#include "usage.h"


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
} ollama_usage_place_e;


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
} ollama_usage_key_e;


/* A list of these is sorted by length, and ends with a text of NULL. */

typedef struct {
    const char     *text;
    unsigned char   len;
    unsigned char   id;
} ollama_usage_word_t;

#define ollama_usage_entry(text, id)  { text, sizeof(text) - 1, id }

unsigned ollama_usage_word(const ollama_usage_word_t *words, const void *text,
    size_t len, unsigned other);


ollama_usage_key_e ollama_usage_key(const void *name, size_t len);

/* What opens as the value of `key` in `place`. */
ollama_usage_place_e ollama_usage_enter(ollama_usage_family_e family, int sse,
    ollama_usage_place_e place, ollama_usage_key_e key);

/* Whether a string there is text of the answer. */
int ollama_usage_is_content(ollama_usage_family_e family,
    ollama_usage_place_e place, ollama_usage_key_e key);


#endif /* OLLAMA_USAGE_PLACE_H_INCLUDED */
