#include "scan.h"

#include <string.h>


enum {
    scan_start = 0,
    scan_value,
    scan_first_value,
    scan_name,
    scan_first_name,
    scan_colon,
    scan_after,
    scan_string,
    scan_escape,
    scan_hex,
    scan_literal,
    scan_minus,
    scan_zero,
    scan_int,
    scan_point,
    scan_fraction,
    scan_e,
    scan_sign,
    scan_exponent,
    scan_done,
    scan_broken
};


#define scan_space(c)  ((c) == ' ' || (c) == '\n' || (c) == '\r' || (c) == '\t')
#define scan_digit(c)  ((unsigned) ((c) - '0') < 10)


static unsigned scan_matters(ollama_scan_t *s, const unsigned char *p,
    const unsigned char *end);


void
ollama_scan_init(ollama_scan_t *s)
{
    /* the stack needs no clearing: a level is written before it is read */

    memset(s, 0, offsetof(ollama_scan_t, stack));
    s->report = 1;
    s->names = 1;
}


ollama_scan_token_e
ollama_scan_next(ollama_scan_t *s, const unsigned char **pp,
    const unsigned char *end)
{
    int                   digit;
    unsigned              c, state, reported, named;
    const unsigned char  *p, *q, *from;
    ollama_scan_token_e   token;

    from = *pp;
    p = from;
    state = s->state;
    reported = s->depth <= s->report;
    named = s->depth <= s->names;
    token = OLLAMA_SCAN_MORE;

    while (p != end) {

        c = *p;

        switch (state) {

        case scan_start:
            p++;

            if (scan_space(c)) {
                continue;
            }

            if (c != '{') {
                goto broken;
            }

            s->object = 1;
            s->start = s->offset + (p - from) - 1;
            s->end = s->start + 1;
            s->depth = 1;
            state = scan_first_name;
            token = OLLAMA_SCAN_OBJECT;
            goto done;

        case scan_first_value:
            if (c == ']') {
                goto close;
            }

            /* fall through */

        case scan_value:

            switch (c) {

            case '"':
                s->start = s->offset + (p - from);
                s->key = 0;
                state = scan_string;
                p++;
                continue;

            case '{':
            case '[':
                if (s->depth == OLLAMA_SCAN_DEPTH) {
                    goto broken;
                }

                s->start = s->offset + (p - from);
                s->end = s->start + 1;

                if (s->object) {
                    s->stack[s->depth / 64] |= 1ULL << s->depth % 64;
                } else {
                    s->stack[s->depth / 64] &= ~(1ULL << s->depth % 64);
                }

                s->depth++;
                s->object = (c == '{');
                state = (c == '{') ? scan_first_name : scan_first_value;
                p++;

                if (named) {
                    token = (c == '{') ? OLLAMA_SCAN_OBJECT : OLLAMA_SCAN_ARRAY;
                    goto done;
                }

                continue;

            case 't':
                s->literal = "rue";
                s->literal_token = OLLAMA_SCAN_TRUE;
                break;

            case 'f':
                s->literal = "alse";
                s->literal_token = OLLAMA_SCAN_FALSE;
                break;

            case 'n':
                s->literal = "ull";
                s->literal_token = OLLAMA_SCAN_NULL;
                break;

            case '-':
                s->start = s->offset + (p - from);
                s->zero = 1;
                state = scan_minus;
                p++;
                continue;

            case ' ':
            case '\n':
            case '\r':
            case '\t':
                p++;
                continue;

            default:
                if (!scan_digit(c)) {
                    goto broken;
                }

                s->start = s->offset + (p - from);
                s->zero = (c == '0');
                state = (c == '0') ? scan_zero : scan_int;
                p++;
                continue;
            }

            s->start = s->offset + (p - from);
            state = scan_literal;
            p++;
            continue;

        case scan_first_name:
            if (c == '}') {
                goto close;
            }

            /* fall through */

        case scan_name:
            if (c == '"') {
                s->start = s->offset + (p - from);
                s->key = 1;
                s->split = 0;
                state = scan_string;

            } else if (!scan_space(c)) {
                goto broken;
            }

            p++;
            continue;

        case scan_colon:
            if (c == ':') {
                state = scan_value;

            } else if (!scan_space(c)) {
                goto broken;
            }

            p++;
            continue;

        case scan_after:
            if (c == ',') {
                state = s->object ? scan_name : scan_value;
                p++;
                continue;
            }

            if (c == (s->object ? '}' : ']')) {
                goto close;
            }

            if (!scan_space(c)) {
                goto broken;
            }

            p++;
            continue;

        case scan_string:
            q = ollama_scan_plain(p, end);

            if (named && (s->key || s->want_text)) {
                s->text = p;
                s->text_len = q - p;
                s->text_start = s->offset + (p - from);

                /* what a name ends with comes with it */

                if (q != p && !(s->key && q != end && *q == '"')) {
                    s->split = 1;
                    p = q;
                    token = OLLAMA_SCAN_TEXT;
                    goto done;
                }
            }

            p = q;

            if (p == end) {
                goto done;
            }

            if (*p == '"') {
                p++;
                state = s->key ? scan_colon : scan_after;

                if (named
                    && (reported
                        || (s->key ? scan_matters(s, p, end)
                                   : s->want_text | s->want_end)))
                {
                    s->end = s->offset + (p - from);
                    s->want_text = 0;
                    s->want_end = 0;
                    token = s->key ? OLLAMA_SCAN_KEY : OLLAMA_SCAN_STRING;
                    goto done;
                }

                continue;
            }

            if (*p != '\\') {
                goto broken;
            }

            s->text_start = s->offset + (p - from);
            state = scan_escape;
            p++;
            continue;

        case scan_escape:
            p++;
            state = scan_string;

            switch (c) {
            case '"':
            case '\\':
            case '/':
                s->unit = c;
                break;
            case 'b':
                s->unit = '\b';
                break;
            case 'f':
                s->unit = '\f';
                break;
            case 'n':
                s->unit = '\n';
                break;
            case 'r':
                s->unit = '\r';
                break;
            case 't':
                s->unit = '\t';
                break;
            case 'u':
                s->unit = 0;
                s->hex = 4;
                state = scan_hex;
                continue;
            default:
                goto broken;
            }

            goto escape;

        case scan_hex:
            digit = ollama_scan_hex_digit(c);

            if (digit < 0) {
                goto broken;
            }

            p++;
            s->unit = s->unit << 4 | digit;

            if (--s->hex) {
                continue;
            }

            state = scan_string;

        escape:

            if (named && (s->key || s->want_text)) {
                s->split = 1;
                token = OLLAMA_SCAN_ESCAPE;
                goto done;
            }

            continue;

        case scan_literal:
            if (c != (unsigned char) *s->literal) {
                goto broken;
            }

            p++;
            s->literal++;

            if (*s->literal) {
                continue;
            }

            state = scan_after;

            if (reported) {
                s->end = s->offset + (p - from);
                token = s->literal_token;
                goto done;
            }

            continue;

        case scan_minus:
            if (!scan_digit(c)) {
                goto broken;
            }

            state = (c == '0') ? scan_zero : scan_int;
            s->zero = (c == '0');
            p++;
            continue;

        case scan_int:
            if (scan_digit(c)) {
                do {
                    p++;
                } while (p != end && scan_digit(*p));

                continue;
            }

            /* fall through */

        case scan_zero:
            if (c == '.') {
                state = scan_point;
                p++;
                continue;
            }

            if (c == 'e' || c == 'E') {
                state = scan_e;
                p++;
                continue;
            }

            goto number;

        case scan_point:
            if (!scan_digit(c)) {
                goto broken;
            }

            state = scan_fraction;

            /* fall through */

        case scan_fraction:
            if (scan_digit(c)) {
                do {
                    s->zero &= (*p++ == '0');
                } while (p != end && scan_digit(*p));

                continue;
            }

            if (c == 'e' || c == 'E') {
                state = scan_e;
                p++;
                continue;
            }

            goto number;

        case scan_e:
            if (c == '+' || c == '-') {
                state = scan_sign;
                p++;
                continue;
            }

            /* fall through */

        case scan_sign:
            if (!scan_digit(c)) {
                goto broken;
            }

            state = scan_exponent;

            /* fall through */

        case scan_exponent:
            if (scan_digit(c)) {
                p++;
                continue;
            }

        number:

            /* the byte that ends a number is read again as what it is */

            state = scan_after;

            if (reported) {
                s->end = s->offset + (p - from);
                token = OLLAMA_SCAN_NUMBER;
                goto done;
            }

            continue;

        case scan_done:
            if (!scan_space(c)) {
                goto broken;
            }

            p++;
            continue;

        default:
            goto broken;
        }

    close:

        p++;
        s->empty = (state != scan_after);
        s->depth--;
        reported = s->depth <= s->report;
        named = s->depth <= s->names;
        s->end = s->offset + (p - from);
        token = s->object ? OLLAMA_SCAN_OBJECT_END : OLLAMA_SCAN_ARRAY_END;

        if (s->depth == 0) {
            s->done = 1;
            state = scan_done;

        } else {
            s->object = s->stack[s->depth / 64] >> s->depth % 64 & 1;
            state = scan_after;
        }

        if (reported) {
            goto done;
        }

        token = OLLAMA_SCAN_MORE;
    }

    goto done;

broken:

    state = scan_broken;
    s->done = 0;
    token = OLLAMA_SCAN_ERROR;

done:

    s->state = state;
    s->offset += p - from;
    *pp = p;

    if (token == OLLAMA_SCAN_MORE && state == scan_broken) {
        return OLLAMA_SCAN_ERROR;
    }

    return token;
}


/* A name has ended before p that is only reported if it may matter. */

static unsigned
scan_matters(ollama_scan_t *s, const unsigned char *p,
    const unsigned char *end)
{
    uint32_t  bit;

    s->name_known = 1;

    if (s->split || s->text_len == 0) {
        return 1;
    }

    bit = 1u << (s->text[0] & 31);

    if ((s->letters & bit)
        && !((s->openers & bit) && end - p > 2 && p[0] == ':'
             && (p[1] == '"' || (p[1] == ' ' && p[2] == '"'))))
    {
        return 1;
    }

    s->name_known = 0;
    s->want_text = 0;
    s->want_end = 0;

    return 0;
}
