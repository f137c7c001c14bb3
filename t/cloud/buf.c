#include "buf.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

void *must(void *memory) {
    if (memory == NULL) {
        fputs("cloud-sim: out of memory\n", stderr);
        abort();
    }
    return memory;
}

void buf_reserve(struct buf *b, size_t more) {
    size_t cap = b->cap ? b->cap : 512;

    if (b->cap - b->len >= more) return;
    while (cap - b->len < more) cap *= 2;
    b->p = must(realloc(b->p, cap));
    b->cap = cap;
}

void buf_trim(struct buf *b, size_t keep) {
    b->len = 0;
    if (b->cap > keep) buf_free(b);
}

void buf_free(struct buf *b) {
    free(b->p);
    memset(b, 0, sizeof(*b));
}

void buf_str(struct buf *b, const char *s) {
    buf_add(b, s, strlen(s));
}

void buf_char(struct buf *b, char c) {
    buf_add(b, &c, 1);
}

void buf_fill(struct buf *b, char c, size_t n) {
    buf_reserve(b, n);
    if (n) memset(b->p + b->len, c, n);
    b->len += n;
}

void buf_int(struct buf *b, int64_t n) {
    char text[24], *p = text + sizeof(text);
    uint64_t u = n < 0 ? -(uint64_t)n : (uint64_t)n;

    do *--p = '0' + u % 10;
    while (u /= 10);
    if (n < 0) *--p = '-';
    buf_add(b, p, text + sizeof(text) - p);
}

void buf_printf(struct buf *b, const char *fmt, ...) {
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);

    buf_reserve(b, n + 1);

    va_start(ap, fmt);
    vsnprintf(b->p + b->len, n + 1, fmt, ap);
    va_end(ap);
    b->len += n;
}

/* The length of the UTF-8 character at s, 0 if there is none. */
static size_t utf8_len(const unsigned char *s, size_t len) {
    unsigned char c = s[0];
    size_t n, i;

    if (c < 0x80) return 1;
    if (c < 0xc2 || c > 0xf4) return 0;

    n = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    if (len < n) return 0;

    for (i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;

    if ((c == 0xe0 && s[1] < 0xa0) || (c == 0xed && s[1] > 0x9f) ||
        (c == 0xf0 && s[1] < 0x90) || (c == 0xf4 && s[1] > 0x8f))
        return 0;

    return n;
}

static bool is_plain(unsigned char c) {
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\' && c != '<' &&
           c != '>' && c != '&';
}

void buf_json_chars(struct buf *b, const char *text, size_t len) {
    static const char hex[] = "0123456789abcdef";
    const unsigned char *s = (const unsigned char *)text, *end, *from;
    char escape[6] = {'\\', 'u', '0', '0'};
    size_t n;

    if (len == 0) return; /* text may be NULL */
    end = s + len;

    while (s < end) {
        from = s;
        while (s < end && is_plain(*s)) s++;
        if (s > from) buf_add(b, from, s - from);
        if (s == end) break;

        if (*s >= 0x80) {
            n = utf8_len(s, end - s);
            if (n == 0) {
                buf_lit(b, "\\ufffd");
                s++;
            } else if (n == 3 && s[0] == 0xe2 && s[1] == 0x80 &&
                       (s[2] & 0xfe) == 0xa8) {
                buf_str(b, s[2] == 0xa8 ? "\\u2028" : "\\u2029");
                s += 3;
            } else {
                buf_add(b, s, n);
                s += n;
            }
            continue;
        }

        switch (*s) {
        case '"': buf_lit(b, "\\\""); break;
        case '\\': buf_lit(b, "\\\\"); break;
        case '\n': buf_lit(b, "\\n"); break;
        case '\r': buf_lit(b, "\\r"); break;
        case '\t': buf_lit(b, "\\t"); break;
        default:
            escape[4] = hex[*s >> 4];
            escape[5] = hex[*s & 15];
            buf_add(b, escape, 6);
        }
        s++;
    }
}

void buf_json(struct buf *b, const char *s, size_t len) {
    buf_char(b, '"');
    buf_json_chars(b, s, len);
    buf_char(b, '"');
}

void buf_json_str(struct buf *b, const char *s) {
    buf_json(b, s, strlen(s));
}
