
/*
 * The body of an error that is held back: complete or not, split anywhere.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "held.h"
#include "pieces.h"


static unsigned char  text[OLLAMA_HELD_TEXT];


static void
chunked_one(void *ctx, const unsigned char *p, size_t n)
{
    ollama_held_chunked(p, n, text, sizeof(text), ctx);
}


static ollama_held_t
chunked(const char *body, size_t n)
{
    ollama_held_t  held;

    memset(text, '#', sizeof(text));
    pieces_one(body, n, chunked_one, &held);

    return held;
}


/* complete with its last byte, and not one before */

static void
assert_chunked(const char *body, const char *says)
{
    size_t         i, n;
    ollama_held_t  held;

    n = strlen(body);

    for (i = 0; i < n; i++) {
        held = chunked(body, i);
        assert_false(held.complete);
        assert_false(held.exact);
        assert_in_range(held.len, 0, strlen(says));
        assert_memory_equal(text, says, held.len);
    }

    held = chunked(body, n);
    assert_true(held.complete);
    assert_true(held.exact);
    assert_false(held.broken);
    assert_int_equal(held.len, strlen(says));
    assert_memory_equal(text, says, held.len);
}


static void
test_length(void **state)
{
    ollama_held_t         held;
    const unsigned char  *p = (const unsigned char *) "{\"error\":\"x\"}HTTP";

    (void) state;

    ollama_held_length(p, 12, 13, &held);
    assert_false(held.complete);

    ollama_held_length(p, 13, 13, &held);
    assert_true(held.complete);
    assert_true(held.exact);

    ollama_held_length(p, 17, 13, &held);
    assert_true(held.complete);
    assert_false(held.exact);
    assert_int_equal(held.len, 13);

    ollama_held_length(p, 0, 0, &held);
    assert_true(held.complete);
    assert_true(held.exact);

    ollama_held_length(p, 17, -1, &held);
    assert_false(held.complete);
    assert_int_equal(held.len, 17);
}


static void
test_chunked(void **state)
{
    (void) state;

    assert_chunked("0\r\n\r\n", "");
    assert_chunked("5\r\nhello\r\n0\r\n\r\n", "hello");
    assert_chunked("9\r\nusage lim\r\n2\r\nit\r\n0\r\n\r\n", "usage limit");
    assert_chunked("00A;name=\"v\"\r\n0123456789\r\n0;x\r\n\r\n", "0123456789");
    assert_chunked("1\r\n\n\r\n0\r\nTrailer: a\r\nOther: b\r\n\r\n", "\n");
    assert_chunked("3\nabc\n0\n\n", "abc");
    assert_chunked("5\r\n0\r\n\r\n\r\n0\r\n\r\n", "0\r\n\r\n");
}


static void
test_chunked_more(void **state)
{
    size_t         i;
    char           body[3000];
    ollama_held_t  held;

    (void) state;

    /* something behind it */

    held = chunked("1\r\nx\r\n0\r\n\r\nHTTP", 15);
    assert_true(held.complete);
    assert_false(held.exact);

    /* more than there is room for, or none */

    memset(body, 'a', sizeof(body));
    memcpy(body, "7d0\r\n", 5);
    memcpy(body + 5 + 2000, "\r\n0\r\n\r\n", 7);

    held = chunked(body, 5 + 2000 + 7);
    assert_true(held.exact);
    assert_int_equal(held.len, sizeof(text));

    ollama_held_chunked((unsigned char *) body, 2012, NULL, 0, &held);
    assert_true(held.exact);
    assert_int_equal(held.len, 0);

    /* what is none */

    static const char  *broken[] = {
        "\r\n", "x\r\n", "-1\r\n", "1x\r\n", "1234567890abcdef0\r\n",
        "{\"error\":\"no chunk\"}\n", "1\r\nab\r\n0\r\n\r\n"
    };

    for (i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        held = chunked(broken[i], strlen(broken[i]));
        assert_true(held.broken);
        assert_true(held.complete);
        assert_false(held.exact);
    }
}


/* frames, written by hand */

static size_t
frame(unsigned char *p, unsigned type, unsigned flags, unsigned stream,
    const char *payload, size_t n)
{
    p[0] = 0;
    p[1] = (unsigned char) (n >> 8);
    p[2] = (unsigned char) n;
    p[3] = (unsigned char) type;
    p[4] = (unsigned char) flags;
    p[5] = 0;
    p[6] = 0;
    p[7] = 0;
    p[8] = (unsigned char) stream;

    memcpy(p + 9, payload, n);

    return 9 + n;
}


#define literal(s)  s, sizeof(s) - 1


typedef struct {
    ollama_held_h2_t  h2;
    ollama_held_t     held;
} side_t;


static void
feed(void *ctx, const unsigned char *p, size_t n)
{
    side_t  *side = ctx;

    assert_false(side->held.complete && n);

    ollama_held_h2_feed(&side->h2, p, n, &side->held);
}


/* complete with its last byte, in one piece and in many */

static void
assert_h2(const unsigned char *p, size_t n, const char *says)
{
    size_t  way;
    side_t  side;

    for (way = 0; way < pieces_ways(n); way++) {

        ollama_held_h2_init(&side.h2);
        memset(&side.held, 0, sizeof(ollama_held_t));

        pieces_feed(p, n, way, feed, &side);

        assert_true(side.held.complete);
        assert_true(side.held.exact);
        assert_false(side.held.broken);
        assert_int_equal(side.held.len, strlen(says));
        assert_memory_equal(side.h2.text, says, side.held.len);
    }
}


static void
test_h2(void **state)
{
    size_t         n;
    unsigned char  p[1000];

    (void) state;

    /* nothing but a header */

    n = frame(p, 4, 0, 0, literal("\0\3\0\0\0\144"));
    n += frame(p + n, 1, 0x05, 1, literal("headers"));
    assert_h2(p, n, "");

    /* data, an empty one last */

    n = frame(p, 1, 0x04, 1, literal("headers"));
    n += frame(p + n, 0, 0, 1, literal("{\"error\":\"usage "));
    n += frame(p + n, 8, 0, 0, literal("\0\0\1\0"));
    n += frame(p + n, 0, 0, 1, literal("limit\"}"));
    n += frame(p + n, 0, 0x01, 1, literal(""));
    assert_h2(p, n, "{\"error\":\"usage limit\"}");

    /* padding, and a trailer */

    n = frame(p, 1, 0x0c, 3, literal("\2headers\0\0"));
    n += frame(p + n, 0, 0x08, 3, literal("\4said\0\0\0\0"));
    n += frame(p + n, 0, 0x08, 3, literal("\0more"));
    n += frame(p + n, 1, 0x05, 3, literal("trailer"));
    assert_h2(p, n, "saidmore");

    /* headers and trailers that go on in another frame */

    n = frame(p, 1, 0, 1, literal("head"));
    n += frame(p + n, 9, 0, 1, literal("er"));
    n += frame(p + n, 9, 0x04, 1, literal("s"));
    n += frame(p + n, 0, 0, 1, literal("said"));
    n += frame(p + n, 1, 0x01, 1, literal("trai"));
    n += frame(p + n, 9, 0x04, 1, literal("ler"));
    assert_h2(p, n, "said");

    n = frame(p, 1, 0x01, 1, literal("head"));
    n += frame(p + n, 9, 0x04, 1, literal("ers"));
    assert_h2(p, n, "");

    /* a header before the header: 103 */

    n = frame(p, 1, 0x04, 1, literal("hints"));
    n += frame(p + n, 1, 0x05, 1, literal("headers"));
    assert_h2(p, n, "");

    /* what has nothing to do with it: settings, a ping, other streams */

    n = frame(p, 4, 0, 0, literal(""));
    n += frame(p + n, 3, 0, 1, literal("\0\0\0\0"));
    n += frame(p + n, 1, 0x04, 3, literal("headers"));
    n += frame(p + n, 6, 0x01, 0, literal("\0\0\0\0\0\0\0\1"));
    n += frame(p + n, 0, 0, 3, literal("sa"));
    n += frame(p + n, 0, 0x01, 1, literal("other"));
    n += frame(p + n, 1, 0x05, 5, literal("other"));
    n += frame(p + n, 3, 0, 1, literal("\0\0\0\0"));
    n += frame(p + n, 77, 0xff, 3, literal("unknown"));
    n += frame(p + n, 0, 0x01, 3, literal("id"));
    assert_h2(p, n, "said");

    /* given up by the other side */

    n = frame(p, 1, 0x04, 1, literal("headers"));
    n += frame(p + n, 0, 0, 1, literal("half"));
    n += frame(p + n, 3, 0, 1, literal("\0\0\0\2"));
    assert_h2(p, n, "half");
}


static void
test_h2_broken(void **state)
{
    size_t            n;
    ollama_held_t     held;
    unsigned char     p[9 + 2000 + 100];
    char              much[2000];
    ollama_held_h2_t  h2;

    (void) state;

    /* padding longer than the frame */

    n = frame(p, 1, 0x04, 1, literal("headers"));
    n += frame(p + n, 0, 0x09, 1, literal("\11said"));
    ollama_held_h2_init(&h2);
    ollama_held_h2_feed(&h2, p, n, &held);
    assert_true(held.broken);
    assert_true(held.complete);
    assert_false(held.exact);

    n = frame(p, 1, 0x04, 1, literal("headers"));
    n += frame(p + n, 0, 0x09, 1, literal(""));
    ollama_held_h2_init(&h2);
    ollama_held_h2_feed(&h2, p, n, &held);
    assert_true(held.broken);

    /* more than there is room for; and something behind the end */

    memset(much, 'a', sizeof(much));

    n = frame(p, 1, 0x04, 1, literal("headers"));
    n += frame(p + n, 0, 0x01, 1, much, sizeof(much));
    ollama_held_h2_init(&h2);
    ollama_held_h2_feed(&h2, p, n, &held);
    assert_true(held.exact);
    assert_int_equal(held.len, OLLAMA_HELD_TEXT);

    ollama_held_h2_feed(&h2, p, 3, &held);
    assert_true(held.complete);
    assert_false(held.exact);
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_length),
        cmocka_unit_test(test_chunked),
        cmocka_unit_test(test_chunked_more),
        cmocka_unit_test(test_h2),
        cmocka_unit_test(test_h2_broken)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
