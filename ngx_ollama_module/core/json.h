/*
 * Writing JSON into a buffer of the caller.
 *
 *     ollama_json_init(&j, buf, sizeof(buf));
 *     ollama_json_open(&j, '{');
 *     ollama_json_key(&j, "name");
 *     ollama_json_string(&j, name, len);
 *     ollama_json_key(&j, "usage_2h");
 *     ollama_json_uint(&j, tokens);
 *     ollama_json_close(&j, '}');
 *
 * Commas come by themselves: before a key or a value, unless the last byte
 * written is one of "{[:," or a line's end.
 *
 * Strings are any bytes.  What is not UTF-8 becomes U+FFFD, one for each byte
 * that cannot be part of a character; control bytes, quotes and backslashes are
 * escaped; the rest is passed.  A string grows to at most 6 times its length
 * and the two quotes.
 *
 * What does not fit is not written, and neither is anything after it: overflow
 * stays set, and the length is not to be used.
 */

#ifndef OLLAMA_JSON_H_INCLUDED
#define OLLAMA_JSON_H_INCLUDED

#include <stddef.h>
#include <stdint.h>


typedef struct {
    unsigned char  *start;
    unsigned char  *pos;
    unsigned char  *end;
    unsigned        overflow:1;
} ollama_json_t;


void ollama_json_init(ollama_json_t *j, void *buf, size_t size);
void ollama_json_open(ollama_json_t *j, char bracket);
void ollama_json_close(ollama_json_t *j, char bracket);
void ollama_json_key(ollama_json_t *j, const char *key);
void ollama_json_string(ollama_json_t *j, const void *data, size_t len);
void ollama_json_text(ollama_json_t *j, const char *text);  /* ends with NUL */
void ollama_json_int(ollama_json_t *j, int64_t n);
void ollama_json_uint(ollama_json_t *j, uint64_t n);
void ollama_json_bool(ollama_json_t *j, int value);
void ollama_json_null(ollama_json_t *j);

/* bytes as they are, without a comma before them */
void ollama_json_raw(ollama_json_t *j, const void *data, size_t len);

/* the bytes written */
size_t ollama_json_len(const ollama_json_t *j);


#endif /* OLLAMA_JSON_H_INCLUDED */
