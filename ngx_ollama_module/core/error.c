
#include "error.h"
#include "json.h"

#include <string.h>


typedef struct {
    const unsigned char  *p;
    const unsigned char  *end;
} ollama_error_reader_t;


static int ollama_error_member(ollama_error_reader_t *rd, const char *name);
static int ollama_error_skip(ollama_error_reader_t *rd);
static int ollama_error_space(ollama_error_reader_t *rd);
static size_t ollama_error_string(ollama_error_reader_t *rd, char *out,
    size_t size);
static size_t ollama_error_chars(ollama_error_reader_t *rd, char *out,
    size_t size);
static uint32_t ollama_error_unicode(ollama_error_reader_t *rd);
static size_t ollama_error_utf8(uint32_t c, char *out);


const char *
ollama_error_type(ollama_family_e family, unsigned status)
{
    if (family == OLLAMA_FAMILY_ANTHROPIC) {

        switch (status) {
        case 400:
            return "invalid_request_error";
        case 401:
            return "authentication_error";
        case 403:
            return "permission_error";
        case 404:
            return "not_found_error";
        case 429:
            return "rate_limit_error";
        case 503:
        case 529:
            return "overloaded_error";
        default:
            return "api_error";
        }
    }

    switch (status) {
    case 400:
        return "invalid_request_error";
    case 404:
        return "not_found_error";
    default:
        return "api_error";
    }
}


size_t
ollama_error_body(ollama_family_e family, unsigned status, const void *text,
    size_t text_len, void *out, size_t out_size)
{
    ollama_json_t  j;

    ollama_json_init(&j, out, out_size);
    ollama_json_open(&j, '{');

    switch (family) {

    case OLLAMA_FAMILY_OPENAI:
        ollama_json_key(&j, "error");
        ollama_json_open(&j, '{');
        ollama_json_key(&j, "message");
        ollama_json_string(&j, text, text_len);
        ollama_json_key(&j, "type");
        ollama_json_text(&j, ollama_error_type(family, status));
        ollama_json_key(&j, "param");
        ollama_json_null(&j);
        ollama_json_key(&j, "code");
        ollama_json_null(&j);
        ollama_json_close(&j, '}');
        break;

    case OLLAMA_FAMILY_ANTHROPIC:
        ollama_json_key(&j, "type");
        ollama_json_text(&j, "error");
        ollama_json_key(&j, "error");
        ollama_json_open(&j, '{');
        ollama_json_key(&j, "type");
        ollama_json_text(&j, ollama_error_type(family, status));
        ollama_json_key(&j, "message");
        ollama_json_string(&j, text, text_len);
        ollama_json_close(&j, '}');
        break;

    default: /* OLLAMA_FAMILY_NATIVE */
        ollama_json_key(&j, "error");
        ollama_json_string(&j, text, text_len);
        break;
    }

    ollama_json_close(&j, '}');

    return j.overflow ? 0 : ollama_json_len(&j);
}


size_t
ollama_error_text(const unsigned char *body, size_t len, char *out,
    size_t out_size)
{
    size_t                 i, n;
    ollama_error_reader_t  rd;

    if (out_size == 0) {
        return 0;
    }

    rd.p = body;
    rd.end = body + len;

    if (ollama_error_member(&rd, "error")) {

        if (*rd.p == '"') {
            return ollama_error_string(&rd, out, out_size);
        }

        if (ollama_error_member(&rd, "message") && *rd.p == '"') {
            return ollama_error_string(&rd, out, out_size);
        }
    }

    n = (len < out_size - 1) ? len : out_size - 1;

    for (i = 0; i < n; i++) {
        out[i] = (body[i] == '\0') ? ' ' : (char) body[i];
    }

    out[n] = '\0';

    return n;
}


size_t
ollama_error_unescape(const unsigned char *raw, size_t len, char *out,
    size_t out_size)
{
    ollama_error_reader_t  rd;

    rd.p = raw;
    rd.end = raw + len;

    return ollama_error_chars(&rd, out, out_size);
}


/*
 * From an object's brace to the first byte of the member's value; 0 if there is
 * no such member, or the body ends before it.
 */

static int
ollama_error_member(ollama_error_reader_t *rd, const char *name)
{
    char    key[16];
    size_t  len;

    if (!ollama_error_space(rd) || *rd->p != '{') {
        return 0;
    }

    rd->p++;

    for ( ;; ) {

        if (!ollama_error_space(rd) || *rd->p != '"') {
            return 0;
        }

        len = ollama_error_string(rd, key, sizeof(key));

        if (!ollama_error_space(rd) || *rd->p != ':') {
            return 0;
        }

        rd->p++;

        if (!ollama_error_space(rd)) {
            return 0;
        }

        if (len == strlen(name) && memcmp(key, name, len) == 0) {
            return 1;
        }

        if (!ollama_error_skip(rd)
            || !ollama_error_space(rd) || *rd->p != ',')
        {
            return 0;
        }

        rd->p++;
    }
}


/* a value of any kind; brackets are counted, not matched */

static int
ollama_error_skip(ollama_error_reader_t *rd)
{
    size_t         depth;
    unsigned char  c;

    depth = 0;

    while (rd->p < rd->end) {

        c = *rd->p;

        if (depth == 0 && (c == ',' || c == '}' || c == ']')) {
            return 1;
        }

        if (c == '"') {
            (void) ollama_error_string(rd, NULL, 0);
            continue;
        }

        if (c == '{' || c == '[') {
            depth++;

        } else if (c == '}' || c == ']') {
            depth--;
        }

        rd->p++;
    }

    return 0;
}


/* 0 if there is nothing but space */

static int
ollama_error_space(ollama_error_reader_t *rd)
{
    while (rd->p < rd->end
           && (*rd->p == ' ' || *rd->p == '\t' || *rd->p == '\r'
               || *rd->p == '\n'))
    {
        rd->p++;
    }

    return rd->p < rd->end;
}


/* from quote to behind quote, or to the end; what does not fit is skipped */

static size_t
ollama_error_string(ollama_error_reader_t *rd, char *out, size_t size)
{
    rd->p++;

    return ollama_error_chars(rd, out, size);
}


static size_t
ollama_error_chars(ollama_error_reader_t *rd, char *out, size_t size)
{
    char           buf[4];
    size_t         n, used;
    unsigned char  c;

    used = 0;

    while (rd->p < rd->end) {

        c = *rd->p++;

        if (c == '"') {
            break;
        }

        n = 1;
        buf[0] = (char) c;

        if (c == '\\') {

            if (rd->p == rd->end) {
                break;
            }

            c = *rd->p++;

            switch (c) {

            case 'n':
                buf[0] = '\n';
                break;

            case 't':
                buf[0] = '\t';
                break;

            case 'r':
                buf[0] = '\r';
                break;

            case 'b':
            case 'f':
                buf[0] = ' ';
                break;

            case 'u':
                n = ollama_error_utf8(ollama_error_unicode(rd), buf);
                break;

            default:
                buf[0] = (char) c;
            }
        }

        if (buf[0] == '\0') {
            buf[0] = ' ';
        }

        if (used + n < size) {
            memcpy(out + used, buf, n);
            used += n;

        } else {
            size = used + 1;
        }
    }

    if (out != NULL) {
        out[used] = '\0';
    }

    return used;
}


/* the digits behind "\u", and those of a pair's second half */

static uint32_t
ollama_error_unicode(ollama_error_reader_t *rd)
{
    size_t         i;
    uint32_t       c[2];
    unsigned       half, digit;
    unsigned char  ch;

    for (half = 0; half < 2; half++) {

        c[half] = 0;

        for (i = 0; i < 4; i++) {

            if (rd->p == rd->end) {
                return 0xfffd;
            }

            ch = *rd->p;

            if (ch >= '0' && ch <= '9') {
                digit = ch - '0';

            } else if ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'f') {
                digit = (ch | 0x20) - 'a' + 10;

            } else {
                return 0xfffd;
            }

            c[half] = c[half] << 4 | digit;
            rd->p++;
        }

        if (half == 1 || c[0] < 0xd800 || c[0] > 0xdbff
            || rd->end - rd->p < 2 || rd->p[0] != '\\' || rd->p[1] != 'u')
        {
            break;
        }

        rd->p += 2;
    }

    if (half == 1) {

        if (c[1] < 0xdc00 || c[1] > 0xdfff) {
            return 0xfffd;
        }

        return 0x10000 + ((c[0] - 0xd800) << 10) + (c[1] - 0xdc00);
    }

    return (c[0] >= 0xd800 && c[0] <= 0xdfff) ? 0xfffd : c[0];
}


static size_t
ollama_error_utf8(uint32_t c, char *out)
{
    if (c < 0x80) {
        out[0] = (char) c;
        return 1;
    }

    if (c < 0x800) {
        out[0] = (char) (0xc0 | c >> 6);
        out[1] = (char) (0x80 | (c & 0x3f));
        return 2;
    }

    if (c < 0x10000) {
        out[0] = (char) (0xe0 | c >> 12);
        out[1] = (char) (0x80 | (c >> 6 & 0x3f));
        out[2] = (char) (0x80 | (c & 0x3f));
        return 3;
    }

    out[0] = (char) (0xf0 | c >> 18);
    out[1] = (char) (0x80 | (c >> 12 & 0x3f));
    out[2] = (char) (0x80 | (c >> 6 & 0x3f));
    out[3] = (char) (0x80 | (c & 0x3f));
    return 4;
}
