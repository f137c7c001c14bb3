
#include "request_text.h"

#include <string.h>


static void text_code(ollama_request_text_t *t, unsigned code, uint64_t start);
static void text_byte(ollama_request_text_t *t, unsigned char c,
    uint64_t start);


void
ollama_request_text_add(ollama_request_text_t *t, const unsigned char *p,
    size_t n, uint64_t start)
{
    size_t  i, room;

    ollama_request_text_end(t);

    if (t->len < OLLAMA_MODEL_MAX) {
        room = OLLAMA_MODEL_MAX - t->len;
        memcpy(&t->data[t->len], p, n < room ? n : room);
    }

    t->len += n;

    if (n < OLLAMA_REQUEST_SUFFIX) {
        memmove(&t->tail[0], &t->tail[n],
                (OLLAMA_REQUEST_SUFFIX - n) * sizeof(t->tail[0]));

        for (i = 0; i < n; i++) {
            t->tail[OLLAMA_REQUEST_SUFFIX - n + i] = start + i;
        }

    } else {
        start += n - OLLAMA_REQUEST_SUFFIX;

        for (i = 0; i < OLLAMA_REQUEST_SUFFIX; i++) {
            t->tail[i] = start + i;
        }
    }
}


void
ollama_request_text_unit(ollama_request_text_t *t, unsigned unit,
    uint64_t start)
{
    unsigned  high;

    high = t->high;
    t->high = 0;

    if (high) {
        if (unit >= 0xdc00 && unit <= 0xdfff) {
            text_code(t, 0x10000 + ((high - 0xd800) << 10) + (unit - 0xdc00),
                      t->high_start);
            return;
        }

        text_code(t, 0xfffd, t->high_start);
    }

    if (unit >= 0xd800 && unit <= 0xdbff) {
        t->high = unit;
        t->high_start = start;
        return;
    }

    text_code(t, (unit >= 0xdc00 && unit <= 0xdfff) ? 0xfffd : unit, start);
}


void
ollama_request_text_end(ollama_request_text_t *t)
{
    if (t->high) {
        t->high = 0;
        text_code(t, 0xfffd, t->high_start);
    }
}


size_t
ollama_request_text_fold(const ollama_request_text_t *t, char *out)
{
    size_t                i, n, len;
    unsigned char         c;
    const unsigned char  *p;

    p = t->data;
    n = t->len;
    len = 0;

    for (i = 0; i < n; i++) {

        c = p[i];

        if (c >= 'A' && c <= 'Z') {
            c |= 0x20;

        } else if (c == 0xc5 && n - i >= 2 && p[i + 1] == 0xbf) {
            c = 's';
            i++;

        } else if (c == 0xe2 && n - i >= 3 && p[i + 1] == 0x84
                   && p[i + 2] == 0xaa)
        {
            c = 'k';
            i += 2;
        }

        out[len++] = c;
    }

    return len;
}


int
ollama_request_text_zero(const ollama_request_text_t *text)
{
    size_t    i;
    unsigned  zeros;

    zeros = 0;

    if (text->len > OLLAMA_MODEL_MAX) {
        return 0;
    }

    for (i = 0; i < text->len; i++) {

        if (text->data[i] == '0') {
            zeros = 1;

        } else if (text->data[i] >= '1' && text->data[i] <= '9') {
            return 0;
        }
    }

    return zeros;
}


size_t
ollama_model_strip(const char *name, size_t n)
{
    size_t  i;

    static const char  cloud[] = "cloud";

    if (n <= OLLAMA_REQUEST_SUFFIX) {
        return n;
    }

    for (i = 0; i < 5; i++) {
        if ((name[n - 5 + i] | 0x20) != cloud[i]) {
            return n;
        }
    }

    i = n - OLLAMA_REQUEST_SUFFIX;

    if (name[i] == ':') {
        return i;
    }

    if (name[i] != '-') {
        return n;
    }

    /* of the tag something must be left, or the name would end in a colon */

    if (name[i - 1] == ':') {
        return n;
    }

    while (i-- > 0 && name[i] != '/') {
        if (name[i] == ':') {
            return n - OLLAMA_REQUEST_SUFFIX;
        }
    }

    return n;
}


static void
text_code(ollama_request_text_t *t, unsigned code, uint64_t start)
{
    if (code < 0x80) {
        text_byte(t, code, start);
        return;
    }

    if (code < 0x800) {
        text_byte(t, 0xc0 | code >> 6, start);

    } else {
        if (code < 0x10000) {
            text_byte(t, 0xe0 | code >> 12, start);

        } else {
            text_byte(t, 0xf0 | code >> 18, start);
            text_byte(t, 0x80 | (code >> 12 & 0x3f), start);
        }

        text_byte(t, 0x80 | (code >> 6 & 0x3f), start);
    }

    text_byte(t, 0x80 | (code & 0x3f), start);
}


static void
text_byte(ollama_request_text_t *t, unsigned char c, uint64_t start)
{
    if (t->len < OLLAMA_MODEL_MAX) {
        t->data[t->len] = c;
    }

    t->len++;

    memmove(&t->tail[0], &t->tail[1],
            (OLLAMA_REQUEST_SUFFIX - 1) * sizeof(t->tail[0]));
    t->tail[OLLAMA_REQUEST_SUFFIX - 1] = start;
}
