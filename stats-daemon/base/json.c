#include "json.h"

#include "util.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *room(struct json *j, size_t n) {
    if (j->size - j->len < n) {
        size_t size = j->size ? j->size : 1024;
        while (size - j->len < n) size *= 2;
        j->data = xrealloc(j->data, size);
        j->size = size;
    }
    return j->data + j->len;
}

void json_free(struct json *j) {
    free(j->data);
    memset(j, 0, sizeof(*j));
}

void json_raw(struct json *j, const char *s, size_t len) {
    memcpy(room(j, len), s, len);
    j->len += len;
}

static void put(struct json *j, char c) {
    *room(j, 1) = c;
    j->len++;
}

static void value(struct json *j) {
    if (j->comma) put(j, ',');
    j->comma = 1;
}

void json_begin(struct json *j, char bracket) {
    value(j);
    put(j, bracket);
    j->comma = 0;
}

void json_end(struct json *j, char bracket) {
    put(j, bracket);
    j->comma = 1;
}

void json_newline(struct json *j) {
    put(j, '\n');
}

void json_member(struct json *j, const char *name) {
    value(j);
    put(j, '"');
    json_raw(j, name, strlen(name));
    json_raw(j, "\":", 2);
    j->comma = 0;
}

size_t json_utf8(const unsigned char *p, size_t left) {
    if (p[0] < 0x80) return 1;
    if (p[0] >= 0xc2 && p[0] <= 0xdf && left >= 2 && (p[1] & 0xc0) == 0x80)
        return 2;
    if ((p[0] & 0xf0) == 0xe0 && left >= 3 && (p[1] & 0xc0) == 0x80 &&
        (p[2] & 0xc0) == 0x80) {
        if (p[0] == 0xe0 && p[1] < 0xa0) return 0;
        if (p[0] == 0xed && p[1] > 0x9f) return 0; /* surrogates */
        return 3;
    }
    if (p[0] >= 0xf0 && p[0] <= 0xf4 && left >= 4 && (p[1] & 0xc0) == 0x80 &&
        (p[2] & 0xc0) == 0x80 && (p[3] & 0xc0) == 0x80) {
        if (p[0] == 0xf0 && p[1] < 0x90) return 0;
        if (p[0] == 0xf4 && p[1] > 0x8f) return 0;
        return 4;
    }
    return 0;
}

void json_string(struct json *j, const void *data, size_t len) {
    const unsigned char *p = data, *end = p + len;

    value(j);
    put(j, '"');
    while (p < end) {
        const unsigned char *plain = p;
        size_t n;

        while (p < end && *p >= 0x20 && *p < 0x7f && *p != '"' && *p != '\\' &&
               *p != '<' && *p != '>' && *p != '&')
            p++;
        if (p > plain) json_raw(j, (const char *)plain, (size_t)(p - plain));
        if (p == end) break;

        n = json_utf8(p, (size_t)(end - p));
        if (n > 1) {
            json_raw(j, (const char *)p, n);
        } else if (n == 0) {
            json_raw(j, "\xef\xbf\xbd", 3);
            n = 1;
        } else if (*p == '"' || *p == '\\') {
            put(j, '\\');
            put(j, (char)*p);
        } else if (*p == '\n') {
            json_raw(j, "\\n", 2);
        } else {
            j->len += (size_t)snprintf(room(j, 8), 8, "\\u%04x", *p);
        }
        p += n;
    }
    put(j, '"');
}

void json_text(struct json *j, const char *s) {
    if (s)
        json_string(j, s, strlen(s));
    else
        json_null(j);
}

void json_int(struct json *j, int64_t v) {
    char digits[24], *p = digits + sizeof(digits);
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

    value(j);
    do {
        *--p = (char)('0' + u % 10);
        u /= 10;
    } while (u);
    if (v < 0) *--p = '-';
    json_raw(j, p, (size_t)(digits + sizeof(digits) - p));
}

/* written by somebody else, who knows what a number is */
void json_number(struct json *j, const char *digits, size_t len) {
    value(j);
    json_raw(j, digits, len);
}

void json_double(struct json *j, double v) {
    if (!isfinite(v)) {
        json_null(j);
        return;
    }
    value(j);
    j->len += (size_t)snprintf(room(j, 40), 40, "%.6g", v);
}

void json_bool(struct json *j, int v) {
    value(j);
    json_raw(j, v ? "true" : "false", v ? 4 : 5);
}

void json_null(struct json *j) {
    value(j);
    json_raw(j, "null", 4);
}

void json_time(struct json *j, int64_t ms, int with_ms) {
    char buf[ISO_SIZE];

    if (ms <= 0)
        json_null(j);
    else
        json_text(j, iso_time(buf, ms, with_ms));
}
