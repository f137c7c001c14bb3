/*
 * Errors as JSON, written and read.
 *
 * ollama_error_body() writes what a client of the family expects:
 *
 *    native      {"error":"text"}
 *    OpenAI      {"error":{"message":"text","type":T,"param":null,"code":null}}
 *    Anthropic   {"type":"error","error":{"type":T,"message":"text"}}
 *
 * and returns its length, or 0 if it does not fit (OLLAMA_ERROR_BODY_MAX bytes
 * always do).  The text may be any bytes.  T is ollama_error_type() of the
 * status, as the local daemon and the cloud say it.
 *
 * ollama_error_text() finds the text of an error answer: the member "error" at
 * the top if it is a string, else its member "message", else all of the body.
 * The body may be cut anywhere, be any text or bytes.  Escapes are decoded, the
 * result is cut at out's size and holds no NUL inside; its length is returned
 * and a NUL put behind it.
 */

#ifndef OLLAMA_ERROR_H_INCLUDED
#define OLLAMA_ERROR_H_INCLUDED

#include <stddef.h>

#include "route.h"

#define OLLAMA_ERROR_BODY_MAX(text_len)  (6 * (text_len) + 128)


const char *ollama_error_type(ollama_family_e family, unsigned status);
size_t ollama_error_body(ollama_family_e family, unsigned status,
    const void *text, size_t text_len, void *out, size_t out_size);
size_t ollama_error_text(const unsigned char *body, size_t len, char *out,
    size_t out_size);

/* what stands between the quotes of a string, as above */
size_t ollama_error_unescape(const unsigned char *raw, size_t len, char *out,
    size_t out_size);


#endif /* OLLAMA_ERROR_H_INCLUDED */
