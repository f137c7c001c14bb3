
/*
 * Held bodies: frames of HTTP/2 say the same in one piece and in many, and what
 * a reader of whole frames makes of them; of a chunked body, what is known of
 * its beginning holds when more has come.
 */

#include "fuzz.h"
#include "held.h"


static void feed(void *ctx, const unsigned char *p, size_t n);
static void frames(const uint8_t *data, size_t size, unsigned seed);
static int whole_frames(const uint8_t *p, size_t size, unsigned char *text,
    size_t *len);
static void chunks(const uint8_t *data, size_t size);


typedef struct {
    ollama_held_h2_t  h2;
    ollama_held_t     held;
} side_t;


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }

    if (data[0] & 1) {
        frames(data + 2, size - 2, data[1]);

    } else {
        chunks(data + 2, size - 2);
    }

    return 0;
}


static void
feed(void *ctx, const unsigned char *p, size_t n)
{
    int      complete;
    side_t  *side = ctx;

    complete = side->held.complete;

    ollama_held_h2_feed(&side->h2, p, n, &side->held);

    fuzz_check(!complete || side->held.complete);
    fuzz_check(!side->held.exact || side->held.complete);
    fuzz_check(side->held.len <= OLLAMA_HELD_TEXT);
}


static void
frames(const uint8_t *data, size_t size, unsigned seed)
{
    int            complete;
    size_t         len;
    side_t         whole, parts;
    unsigned char  text[4096];

    memset(&whole, 0, sizeof(whole));
    memset(&parts, 0, sizeof(parts));

    ollama_held_h2_init(&whole.h2);
    ollama_held_h2_init(&parts.h2);

    fuzz_pieces(data, size, 0, feed, &whole);
    fuzz_pieces(data, size, seed, feed, &parts);

    fuzz_check(whole.held.complete == parts.held.complete);
    fuzz_check(whole.held.exact == parts.held.exact);
    fuzz_check(whole.held.broken == parts.held.broken);
    fuzz_check(whole.held.len == parts.held.len);
    fuzz_check(memcmp(whole.h2.text, parts.h2.text, whole.held.len) == 0);

    if (whole.held.broken || size > sizeof(text)) {
        return;
    }

    complete = whole_frames(data, size, text, &len);

    if (complete != -1) {
        fuzz_check(whole.held.complete == complete);
        fuzz_check(whole.held.len
                   == (len < OLLAMA_HELD_TEXT ? len : OLLAMA_HELD_TEXT));
        fuzz_check(memcmp(whole.h2.text, text, whole.held.len) == 0);
    }
}


/* 1: the stream's end is among them, 0: it is not, -1: the last is cut off */

static int
whole_frames(const uint8_t *p, size_t size, unsigned char *text, size_t *len)
{
    int       complete, last;
    size_t    n, from, to;
    uint32_t  stream, ours;

    complete = 0;
    last = 0;
    ours = 0;
    *len = 0;

    for ( /* void */ ; size; p += 9 + n, size -= 9 + n) {

        n = (size >= 9) ? (size_t) p[0] << 16 | p[1] << 8 | p[2] : size;

        if (size < 9 || size - 9 < n) {
            return -1;
        }

        stream = (uint32_t) (p[5] & 127) << 24 | p[6] << 16 | p[7] << 8 | p[8];

        if (ours == 0 && p[3] == 1) {
            ours = stream;
        }

        if (ours == 0 || stream != ours) {
            continue;
        }

        if (p[3] == 1) {
            last = p[4] & 1;
        }

        if ((p[3] == 1 || p[3] == 9) && (p[4] & 4) && last) {
            complete = 1;
        }

        if (p[3] == 3) {
            complete = 1;
        }

        if (p[3] != 0) {
            continue;
        }

        from = (p[4] & 8) ? 1 : 0;
        to = n - (from ? p[9] : 0);

        memcpy(text + *len, p + 9 + from, to - from);
        *len += to - from;

        if (p[4] & 1) {
            complete = 1;
        }
    }

    return complete;
}


static void
chunks(const uint8_t *data, size_t size)
{
    size_t          n, len;
    unsigned char  *copy, text[OLLAMA_HELD_TEXT], last[OLLAMA_HELD_TEXT];
    ollama_held_t   held, before;

    memset(&before, 0, sizeof(before));
    len = 0;

    if (size > 300) {
        size = 300;
    }

    for (n = 0; n <= size; n++) {

        copy = malloc(n ? n : 1);
        fuzz_check(copy != NULL);
        memcpy(copy, data, n);

        ollama_held_chunked(copy, n, text, sizeof(text), &held);

        fuzz_check(held.len <= sizeof(text));
        fuzz_check(held.len >= len);
        fuzz_check(memcmp(text, last, len) == 0);
        fuzz_check(!before.complete || held.complete);
        fuzz_check(!before.broken || held.broken);

        if (held.complete && !before.complete && !held.broken) {
            fuzz_check(held.exact);
        }

        before = held;
        len = held.len;
        memcpy(last, text, len);

        free(copy);
    }
}
