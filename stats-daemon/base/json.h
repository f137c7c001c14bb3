/*
 * Writing JSON into a growing buffer.
 *
 * The writer puts the commas.  Strings may hold any bytes: what is not UTF-8
 * becomes U+FFFD, control characters are escaped, and so are '<', '>' and '&',
 * so that no answer reads as markup wherever it ends up.
 *
 *     struct json j = {0};
 *     json_begin(&j, '[');
 *     json_begin(&j, '{');
 *     json_member(&j, "model");  json_string(&j, s, len);
 *     json_member(&j, "tokens"); json_int(&j, 12);
 *     json_end(&j, '}');
 *     json_end(&j, ']');
 *     ... j.data, j.len ...
 *     json_free(&j);
 */

#ifndef STATSD_JSON_H
#define STATSD_JSON_H

#include <stddef.h>
#include <stdint.h>

struct json {
    char *data;
    size_t len, size;
    int comma; /* one is due before the next value */
};

void json_free(struct json *j);

void json_begin(struct json *j, char bracket);
void json_end(struct json *j, char bracket);
void json_member(struct json *j, const char *name);

void json_string(struct json *j, const void *s, size_t len);
void json_text(struct json *j, const char *s); /* NULL gives null */
void json_int(struct json *j, int64_t v);
void json_number(struct json *j, const char *digits, size_t len);
void json_double(struct json *j, double v);
void json_bool(struct json *j, int v);
void json_null(struct json *j);
void json_time(struct json *j, int64_t ms, int with_ms); /* 0 gives null */

/* The length of the UTF-8 character at p (left is not 0), or 0 for none. */
size_t json_utf8(const unsigned char *p, size_t left);

/* Bytes as they are. */
void json_raw(struct json *j, const char *s, size_t len);
void json_newline(struct json *j);

#endif
