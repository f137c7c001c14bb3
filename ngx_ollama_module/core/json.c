
#include "json.h"

#include <stdio.h>
#include <string.h>


static void ollama_json_separate(ollama_json_t *j);
static size_t ollama_json_utf8(const unsigned char *p, size_t len);


static const char  ollama_json_hex[] = "0123456789abcdef";


void
ollama_json_init(ollama_json_t *j, void *buf, size_t size)
{
    j->start = buf;
    j->pos = buf;
    j->end = j->start + size;
    j->overflow = 0;
}


void
ollama_json_open(ollama_json_t *j, char bracket)
{
    ollama_json_separate(j);
    ollama_json_raw(j, &bracket, 1);
}


void
ollama_json_close(ollama_json_t *j, char bracket)
{
    ollama_json_raw(j, &bracket, 1);
}


void
ollama_json_key(ollama_json_t *j, const char *key)
{
    ollama_json_text(j, key);
    ollama_json_raw(j, ":", 1);
}


void
ollama_json_text(ollama_json_t *j, const char *text)
{
    ollama_json_string(j, text, strlen(text));
}


void
ollama_json_string(ollama_json_t *j, const void *data, size_t len)
{
    char                  escape[6];
    size_t                i, n, from;
    const unsigned char  *p;

    p = data;

    ollama_json_separate(j);
    ollama_json_raw(j, "\"", 1);

    from = 0;

    for (i = 0; i < len && !j->overflow; i += n) {

        n = 1;

        if (p[i] >= 0x80) {
            n = ollama_json_utf8(p + i, len - i);

            if (n > 0) {
                continue;
            }

            n = 1;

        } else if (p[i] >= ' ' && p[i] != '"' && p[i] != '\\') {
            continue;
        }

        ollama_json_raw(j, p + from, i - from);
        from = i + 1;

        switch (p[i]) {

        case '"':
            ollama_json_raw(j, "\\\"", 2);
            break;

        case '\\':
            ollama_json_raw(j, "\\\\", 2);
            break;

        case '\n':
            ollama_json_raw(j, "\\n", 2);
            break;

        case '\r':
            ollama_json_raw(j, "\\r", 2);
            break;

        case '\t':
            ollama_json_raw(j, "\\t", 2);
            break;

        default:

            if (p[i] >= 0x80) {
                ollama_json_raw(j, "\xef\xbf\xbd", 3);
                break;
            }

            memcpy(escape, "\\u00", 4);
            escape[4] = ollama_json_hex[p[i] >> 4];
            escape[5] = ollama_json_hex[p[i] & 0x0f];

            ollama_json_raw(j, escape, 6);
        }
    }

    if (len > from) {
        ollama_json_raw(j, p + from, len - from);
    }

    ollama_json_raw(j, "\"", 1);
}


void
ollama_json_int(ollama_json_t *j, int64_t n)
{
    int   len;
    char  digits[24];

    len = snprintf(digits, sizeof(digits), "%lld", (long long) n);

    ollama_json_separate(j);
    ollama_json_raw(j, digits, len);
}


void
ollama_json_uint(ollama_json_t *j, uint64_t n)
{
    int   len;
    char  digits[24];

    len = snprintf(digits, sizeof(digits), "%llu", (unsigned long long) n);

    ollama_json_separate(j);
    ollama_json_raw(j, digits, len);
}


void
ollama_json_bool(ollama_json_t *j, int value)
{
    ollama_json_separate(j);

    if (value) {
        ollama_json_raw(j, "true", 4);

    } else {
        ollama_json_raw(j, "false", 5);
    }
}


void
ollama_json_null(ollama_json_t *j)
{
    ollama_json_separate(j);
    ollama_json_raw(j, "null", 4);
}


void
ollama_json_raw(ollama_json_t *j, const void *data, size_t len)
{
    if (j->overflow || (size_t) (j->end - j->pos) < len) {
        j->overflow = 1;
        return;
    }

    if (len > 0) {
        memcpy(j->pos, data, len);
        j->pos += len;
    }
}


size_t
ollama_json_len(const ollama_json_t *j)
{
    return j->pos - j->start;
}


static void
ollama_json_separate(ollama_json_t *j)
{
    if (j->pos == j->start) {
        return;
    }

    switch (j->pos[-1]) {

    case '{':
    case '[':
    case ':':
    case ',':
    case '\n':
        return;
    }

    ollama_json_raw(j, ",", 1);
}


/* the length of the character at p, 0 if there is none (RFC 3629) */

static size_t
ollama_json_utf8(const unsigned char *p, size_t len)
{
    size_t         i, n;
    unsigned char  low, high;

    low = 0x80;
    high = 0xbf;

    if (p[0] >= 0xc2 && p[0] <= 0xdf) {
        n = 2;

    } else if (p[0] >= 0xe0 && p[0] <= 0xef) {
        n = 3;
        low = (p[0] == 0xe0) ? 0xa0 : 0x80;
        high = (p[0] == 0xed) ? 0x9f : 0xbf;

    } else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        n = 4;
        low = (p[0] == 0xf0) ? 0x90 : 0x80;
        high = (p[0] == 0xf4) ? 0x8f : 0xbf;

    } else {
        return 0;
    }

    if (len < n || p[1] < low || p[1] > high) {
        return 0;
    }

    for (i = 2; i < n; i++) {
        if (p[i] < 0x80 || p[i] > 0xbf) {
            return 0;
        }
    }

    return n;
}
