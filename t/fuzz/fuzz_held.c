
/*
 * Held bodies: frames of HTTP/2 say the same in one piece and in many; of a
 * chunked body, what is known of its beginning holds when more has come.
 */

#include "fuzz.h"
#include "held.h"


static void feed(void *ctx, const unsigned char *p, size_t n);
static void frames(const uint8_t *data, size_t size, unsigned seed);
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
    side_t  whole, parts;

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

        copy = malloc(n + 1);
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
