
#include "path.h"
#include "route.h"

#include <string.h>


typedef enum {
    OLLAMA_TOP_NONE = 0,
    OLLAMA_TOP_API,
    OLLAMA_TOP_V1
} ollama_top_e;


static int ollama_path_bad(const unsigned char *raw, size_t len,
    const unsigned char *once, size_t once_len, const unsigned char *twice,
    size_t twice_len);
static int ollama_path_bad_raw(const unsigned char *p, size_t len);
static int ollama_path_bad_bytes(const unsigned char *p, size_t len);
static int ollama_path_dots(const unsigned char *p, size_t len);
static int ollama_path_mentions(const unsigned char *p, size_t len);
static int ollama_path_ours(const unsigned char *p, size_t len);
static int ollama_path_separator(unsigned char c);
static int ollama_path_is(const unsigned char *p, size_t len, const char *s);
static ollama_top_e ollama_path_top(const unsigned char *segment, size_t len);
static size_t ollama_path_merge(const unsigned char *p, size_t len,
    unsigned char *out);
static int ollama_path_hex(unsigned char c);


ollama_path_e
ollama_path_normalize(const unsigned char *raw, size_t len, unsigned char *out,
    size_t *out_len)
{
    size_t                 once_len, twice_len, n;
    unsigned char          once[OLLAMA_PATH_MAX], twice[OLLAMA_PATH_MAX + 8];
    unsigned char          rest[OLLAMA_PATH_MAX];
    const unsigned char   *p, *end, *last, *slash;
    ollama_top_e           top, next;
    const ollama_route_t  *route;

    if (len == 0 || raw[0] != '/') {
        return OLLAMA_PATH_FOREIGN;
    }

    if (len > OLLAMA_PATH_MAX) {
        return OLLAMA_PATH_REJECTED;
    }

    /* an endpoint that is known, spelled as the table has it: most are */

    route = ollama_route_known(raw, len);

    if (route != NULL && len > 1 && !(route->flags & OLLAMA_ROUTE_UNDER)) {
        memcpy(out, raw, len);
        *out_len = len;

        return OLLAMA_PATH_SAME;
    }

    once_len = ollama_path_decode(raw, len, once);
    twice_len = ollama_path_decode(once, once_len, twice);

    if (ollama_path_bad(raw, len, once, once_len, twice, twice_len)) {

        if (ollama_path_mentions(raw, len)
            || ollama_path_mentions(once, once_len)
            || ollama_path_mentions(twice, twice_len))
        {
            return OLLAMA_PATH_REJECTED;
        }

        return OLLAMA_PATH_FOREIGN;
    }

    p = raw;
    end = raw + len;
    top = OLLAMA_TOP_NONE;

    for ( ;; ) {

        while (p < end && *p == '/') {
            p++;
        }

        slash = memchr(p, '/', end - p);
        last = slash ? slash : end;

        once_len = ollama_path_decode(p, last - p, once);
        next = ollama_path_top(once, once_len);

        if (next == OLLAMA_TOP_NONE) {
            break;
        }

        top = next;
        p = last;
    }

    /* once holds the decoded segment the run has ended at */

    if (top != OLLAMA_TOP_NONE) {
        slash = memchr(once, '/', once_len);

        if (slash != NULL
            && (slash == once
                || ollama_path_top(once, slash - once) != OLLAMA_TOP_NONE))
        {
            return OLLAMA_PATH_REJECTED;
        }
    }

    end = rest + ollama_path_merge(p, end - p, rest);
    p = rest;
    last = end;

    while (last > p && last[-1] == '/') {
        last--;
    }

    once_len = ollama_path_decode(p, last - p, once);

    if (top == OLLAMA_TOP_NONE) {
        route = ollama_route_bare(once, once_len);

        if (route == NULL) {
            once_len = ollama_path_decode(raw, len, once);

            return ollama_path_ours(once, once_len) ? OLLAMA_PATH_REJECTED
                                                    : OLLAMA_PATH_FOREIGN;
        }

        top = (route->family == OLLAMA_FAMILY_NATIVE) ? OLLAMA_TOP_API
                                                      : OLLAMA_TOP_V1;
    }

    /* twice becomes the decoded result, as the route table knows it */

    if (top == OLLAMA_TOP_API) {
        memcpy(twice, "/api/", 5);
        n = 5;

    } else {
        memcpy(twice, "/v1/", 4);
        n = 4;
    }

    memcpy(twice + n, once, once_len);

    route = ollama_route_known(twice, n + once_len);

    if (route != NULL && !(route->flags & OLLAMA_ROUTE_UNDER)) {
        end = last;
    }

    if (ollama_path_is(twice, n + once_len, "/api/experimental/web_search")
        || ollama_path_is(twice, n + once_len, "/api/experimental/web_fetch"))
    {
        p = once + sizeof("experimental/") - 1;
        end = once + once_len;
    }

    /* "/api" keeps being without a slash, "/api/" with one */

    if (p == end && raw[len - 1] != '/') {
        n--;
    }

    if (n + (end - p) > OLLAMA_PATH_MAX) {
        return OLLAMA_PATH_REJECTED;
    }

    memcpy(out, twice, n);
    memcpy(out + n, p, end - p);
    *out_len = n + (end - p);

    if (*out_len == len && memcmp(out, raw, len) == 0) {
        return OLLAMA_PATH_SAME;
    }

    return OLLAMA_PATH_CHANGED;
}


size_t
ollama_path_decode(const unsigned char *in, size_t len, unsigned char *out)
{
    int     hi, lo;
    size_t  i, n;

    n = 0;

    for (i = 0; i < len; i++) {

        if (in[i] == '%' && len - i > 2) {
            hi = ollama_path_hex(in[i + 1]);
            lo = ollama_path_hex(in[i + 2]);

            if (hi >= 0 && lo >= 0) {
                out[n++] = (unsigned char) (hi << 4 | lo);
                i += 2;
                continue;
            }
        }

        out[n++] = in[i];
    }

    return n;
}


/* a "%" is no digit, so that an escape is one from behind, too */

size_t
ollama_path_shorten(const unsigned char *raw, size_t len, size_t n)
{
    while (n-- && len) {

        if (len > 2 && raw[len - 3] == '%'
            && ollama_path_hex(raw[len - 2]) >= 0
            && ollama_path_hex(raw[len - 1]) >= 0)
        {
            len -= 3;
            continue;
        }

        len--;
    }

    return len;
}


static int
ollama_path_bad(const unsigned char *raw, size_t len,
    const unsigned char *once, size_t once_len, const unsigned char *twice,
    size_t twice_len)
{
    return ollama_path_bad_raw(raw, len)
           || ollama_path_bad_bytes(once, once_len)
           || ollama_path_bad_bytes(twice, twice_len)
           || ollama_path_dots(raw, len)
           || ollama_path_dots(once, once_len)
           || ollama_path_dots(twice, twice_len);
}


static int
ollama_path_bad_raw(const unsigned char *p, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {

        if (p[i] <= ' ' || p[i] == 0x7f || p[i] == '#' || p[i] == '?') {
            return 1;
        }

        if (p[i] == '%'
            && (len - i < 3
                || ollama_path_hex(p[i + 1]) < 0
                || ollama_path_hex(p[i + 2]) < 0))
        {
            return 1;
        }
    }

    return 0;
}


/* control bytes, and characters written longer than they need to be */

static int
ollama_path_bad_bytes(const unsigned char *p, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {

        if (p[i] < ' ' || p[i] == 0x7f || p[i] == 0xc0 || p[i] == 0xc1) {
            return 1;
        }

        if (len - i < 2) {
            break;
        }

        if ((p[i] == 0xe0 && p[i + 1] >= 0x80 && p[i + 1] < 0xa0)
            || (p[i] == 0xf0 && p[i + 1] >= 0x80 && p[i + 1] < 0x90))
        {
            return 1;
        }
    }

    return 0;
}


/* "..;x" too: there are servers to which it is ".." */

static int
ollama_path_dots(const unsigned char *p, size_t len)
{
    size_t                i, n, start;
    const unsigned char  *semicolon;

    start = 0;

    for (i = 0; i <= len; i++) {

        if (i < len && p[i] != '/' && p[i] != '\\') {
            continue;
        }

        semicolon = memchr(p + start, ';', i - start);
        n = semicolon ? (size_t) (semicolon - p) - start : i - start;

        if ((n == 1 && p[start] == '.')
            || (n == 2 && p[start] == '.' && p[start + 1] == '.'))
        {
            return 1;
        }

        start = i + 1;
    }

    return 0;
}


/*
 * Whether a bad path could be read as one of ours.  How somebody resolves it
 * is not worth a guess: it is enough that one of our names stands in it.
 */

static int
ollama_path_mentions(const unsigned char *p, size_t len)
{
    size_t  i, start;

    start = 0;

    for (i = 0; i <= len; i++) {

        if (i < len && !ollama_path_separator(p[i])) {
            continue;
        }

        if (ollama_path_top(p + start, i - start) != OLLAMA_TOP_NONE
            || ollama_route_bare(p + start, i - start) != NULL
            || ollama_route_bare(p + start, len - start) != NULL)
        {
            return 1;
        }

        start = i + 1;
    }

    return 0;
}


/* whether nginx, which decodes and merges slashes, takes the path for ours */

static int
ollama_path_ours(const unsigned char *p, size_t len)
{
    size_t  i, start;

    for (start = 0; start < len && p[start] == '/'; start++) { /* void */ }

    for (i = start; i < len && p[i] != '/'; i++) { /* void */ }

    return ollama_path_top(p + start, i - start) != OLLAMA_TOP_NONE;
}


/* of anything that may end a segment, a path or a string for anybody */

static int
ollama_path_separator(unsigned char c)
{
    return c <= ' ' || c == '/' || c == '\\' || c == '?' || c == '#'
           || c == ';' || c == 0x7f;
}


static int
ollama_path_is(const unsigned char *p, size_t len, const char *s)
{
    return len == strlen(s) && memcmp(p, s, len) == 0;
}


static ollama_top_e
ollama_path_top(const unsigned char *segment, size_t len)
{
    if (ollama_path_is(segment, len, "api")) {
        return OLLAMA_TOP_API;
    }

    if (ollama_path_is(segment, len, "v1")) {
        return OLLAMA_TOP_V1;
    }

    return OLLAMA_TOP_NONE;
}


/* slashes that follow one another are one, as they are to nginx */

static size_t
ollama_path_merge(const unsigned char *p, size_t len, unsigned char *out)
{
    size_t  i, n;

    n = 0;

    for (i = 0; i < len; i++) {
        if (p[i] != '/' || i == 0 || p[i - 1] != '/') {
            out[n++] = p[i];
        }
    }

    return n;
}


static int
ollama_path_hex(unsigned char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    c |= 0x20;

    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }

    return -1;
}
