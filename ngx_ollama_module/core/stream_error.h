/*
 * stream_error.h - an error inside a stream that has begun with 200, in the
 * API of whoever reads it:
 *
 *     native      {"error":"text","status":502}
 *     OpenAI      data: {"error":{"message":"text","type":T,"param":null,
 *                 "code":null}}
 *     responses   event: response.failed
 *                 data: {"response":{..,"error":{"code":C,"message":"text"},..
 *                 "status":"failed",..},"sequence_number":N,
 *                 "type":"response.failed"}
 *     Anthropic   event: error
 *                 data: {"type":"error","error":{"type":T,"message":"text"}}
 *
 * each with the end of its line or event.  T is ollama_error_type() of the
 * status, but for Anthropic's 502 and 504: a stream shows no status, and its
 * clients try again what was overloaded.  C is one of OpenAI's own:
 * server_error, rate_limit_exceeded (429), invalid_prompt (400).
 *
 * A line or event that was begun is ended first, with `broken` line feeds
 * (ollama_usage_broken() of the scanner knows how many; 0 between events).
 * The text may be any bytes.
 *
 * The length is returned, or 0 if it does not fit: OLLAMA_STREAM_ERROR_MAX
 * bytes always do.
 */

#ifndef OLLAMA_STREAM_ERROR_H_INCLUDED
#define OLLAMA_STREAM_ERROR_H_INCLUDED

#include <stddef.h>
#include <stdint.h>

#include "usage.h"


#define OLLAMA_STREAM_ID_MAX               64
#define OLLAMA_STREAM_ERROR_MAX(text_len)  (6 * (text_len) + 3072)


/* what a client of /v1/responses was told before; all zero if nothing was */

typedef struct {
    const char  *id;
    size_t       id_len;            /* more than OLLAMA_STREAM_ID_MAX: none */
    const char  *model;
    size_t       model_len;         /* up to OLLAMA_USAGE_MODEL_MAX */
    uint64_t     events;            /* the number of the next one */
    uint64_t     created;           /* time of day, s */
} ollama_stream_response_t;


size_t ollama_stream_error(ollama_usage_family_e family,
    const ollama_stream_response_t *response, unsigned status,
    const char *text, size_t text_len, unsigned broken, unsigned char *out,
    size_t size);


#endif /* OLLAMA_STREAM_ERROR_H_INCLUDED */
