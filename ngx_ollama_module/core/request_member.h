/*
 * request_member.h - the members of a request body that matter, by their names.
 * For request.c.
 */

#ifndef OLLAMA_REQUEST_MEMBER_H_INCLUDED
#define OLLAMA_REQUEST_MEMBER_H_INCLUDED

#include <stddef.h>


typedef enum {
    member_other = 0,
    member_model,
    member_name,
    member_stream,
    member_stream_options,
    member_include_usage,
    member_prompt,
    member_messages,
    member_input,
    member_images,
    member_keep_alive,
    member_system,
    member_instructions,
    member_metadata,
    member_cache_key,
    member_previous
} ollama_request_member_e;


/* of a name in lower case, at this depth */
ollama_request_member_e ollama_request_member(const char *name, size_t len,
    unsigned depth);


#endif /* OLLAMA_REQUEST_MEMBER_H_INCLUDED */
