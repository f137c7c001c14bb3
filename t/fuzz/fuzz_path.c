
/*
 * Paths: whatever comes in, what goes out is under /api or /v1 and stays there
 * however it is decoded, is normal itself, and what is left alone is not taken
 * by nginx for one of ours.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "path.h"
#include "route.h"


static int ours(const unsigned char *p, size_t len);
static int leaves(const unsigned char *p, size_t len);
static size_t nginx(const unsigned char *p, size_t len, unsigned char *out);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t          i, len, again_len, n;
    unsigned char  *raw, *out, *again, *plain;
    ollama_path_e   rc;

    raw = malloc(size ? size : 1);
    out = malloc(size + OLLAMA_PATH_ROOM);
    again = malloc(size + 2 * OLLAMA_PATH_ROOM);
    plain = malloc(size + OLLAMA_PATH_ROOM);

    memcpy(raw, data, size);

    rc = ollama_path_normalize(raw, size, out, &len);

    if (rc == OLLAMA_PATH_FOREIGN) {
        n = nginx(raw, size, plain);

        if (size > 0 && raw[0] == '/' && ours(plain, n)) {
            abort();
        }
    }

    if (rc == OLLAMA_PATH_SAME || rc == OLLAMA_PATH_CHANGED) {

        if (len > size + OLLAMA_PATH_ROOM || len > OLLAMA_PATH_MAX
            || !ours(out, len))
        {
            abort();
        }

        if ((rc == OLLAMA_PATH_SAME)
            != (len == size && memcmp(out, raw, len) == 0))
        {
            abort();
        }

        if (ollama_path_normalize(out, len, again, &again_len)
            != OLLAMA_PATH_SAME
            || again_len != len || memcmp(again, out, len) != 0)
        {
            abort();
        }

        if (leaves(out, len)) {
            abort();
        }

        /* decoded by one, by two, by three servers on the way */

        memcpy(plain, out, len);
        n = len;

        for (i = 0; i < 2; i++) {
            n = ollama_path_decode(plain, n, plain);

            if (leaves(plain, n) || memchr(plain, '\0', n) != NULL
                || !ours(plain, n))
            {
                abort();
            }
        }

        /* as its location is chosen by nginx, so it is routed here */

        n = ollama_path_decode(out, len, plain);

        if (ollama_route_find("POST", 4, plain, n) == NULL) {
            abort();
        }
    }

    free(raw);
    free(out);
    free(again);
    free(plain);

    return 0;
}


static int
ours(const unsigned char *p, size_t len)
{
    return (len >= 4 && memcmp(p, "/api", 4) == 0 && (len == 4 || p[4] == '/'))
           || (len >= 3 && memcmp(p, "/v1", 3) == 0
               && (len == 3 || p[3] == '/'));
}


static int
leaves(const unsigned char *p, size_t len)
{
    size_t  i, n;

    for (i = 0; i < len; i++) {

        if (p[i] != '/' && p[i] != '\\') {
            continue;
        }

        for (n = 0; i + 1 + n < len && p[i + 1 + n] == '.'; n++) { /* void */ }

        if ((n == 1 || n == 2)
            && (i + 1 + n == len || p[i + 1 + n] == '/'
                || p[i + 1 + n] == '\\' || p[i + 1 + n] == ';'))
        {
            return 1;
        }
    }

    return 0;
}


/* the URI that nginx looks for a location with */

static size_t
nginx(const unsigned char *p, size_t len, unsigned char *out)
{
    size_t                i, n, start;
    unsigned char        *once;
    const unsigned char  *end;

    end = memchr(p, '#', len);
    if (end != NULL) {
        len = end - p;
    }

    end = memchr(p, '?', len);
    if (end != NULL) {
        len = end - p;
    }

    once = malloc(len + 1);
    len = ollama_path_decode(p, len, once);

    n = 0;
    out[n++] = '/';

    for (i = 0; i < len; /* void */ ) {

        if (once[i] == '/') {
            i++;
            continue;
        }

        for (start = i; i < len && once[i] != '/'; i++) { /* void */ }

        if (i - start == 1 && once[start] == '.') {
            continue;
        }

        if (i - start == 2 && once[start] == '.' && once[start + 1] == '.') {

            if (n > 1) {
                for (n--; out[n - 1] != '/'; n--) { /* void */ }
            }

            continue;
        }

        memcpy(out + n, once + start, i - start);
        n += i - start;

        if (i < len) {
            out[n++] = '/';
        }
    }

    free(once);

    return n;
}
