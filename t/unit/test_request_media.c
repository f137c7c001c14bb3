/*
 * What a body carries that is no text is counted wherever the four APIs have
 * it, and nowhere else, however the body is split.
 */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "pieces.h"
#include "request.h"
#include "usage.h"


#define P40   "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAf"
#define B20   "JVBERi0xLjQKJ+/z/w=="
#define PNG   "data:image/png;base64,"                      /* 22 bytes */
#define PDF   "data:application/pdf;base64,"                /* 28 */
#define LONG  "data:application/vnd.openxmlformats-officedocument"            \
              ".wordprocessingml.document;base64,"          /* 84 */

#define USER(content)  "{\"model\":\"m\",\"messages\":[{\"role\":\"user\","   \
                       "\"content\":" content "}]}"
#define PART(part)     USER("[{\"type\":\"text\",\"text\":\"hi\"}," part "]")
#define INPUT(part)    "{\"input\":[{\"role\":\"user\",\"content\":[" part    \
                       "]}]}"
#define SOURCE(source) PART("{\"type\":\"x\",\"source\":{" source "}}")


static const struct {
    const char  *name;
    const char  *body;
    unsigned     bytes;
    unsigned     pictures;
    unsigned     documents;
    unsigned     audio;
} cases[] = {

    /* native */

    { "images of a message",
      "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\",\"images\":[\"" P40
      "\",\"" B20 "\"]},{\"role\":\"user\",\"images\":[\"" P40 "\"]}]}",
      100, 3, 0, 0 },
    { "of generate", "{\"prompt\":\"x\",\"images\":[\"" P40 "\"]}",
      40, 1, 0, 0 },
    { "names in any case",
      "{\"Messages\":[{\"IMAGES\":[\"" P40 "\"]}],\"Images\":[\"" P40 "\"]}",
      80, 2, 0, 0 },
    { "names with escapes",
      "{\"im\\u0061ges\":[\"" P40 "\"],\"messages\":[{\"image\\u0073\":[\""
      P40 "\"]}]}", 80, 2, 0, 0 },
    { "escaped slashes, lines", "{\"images\":[\"\\/9j\\/4A\\r\\nQ\\u0041\"]}",
      19, 1, 0, 0 },
    { "none", "{\"messages\":[{\"content\":\"" P40 "\",\"images\":[]},"
      "{\"images\":null},{\"images\":\"" P40 "\"}],\"images\":[]}",
      0, 0, 0, 0 },
    { "not base64", "{\"images\":[\"a picture of me\",\"\",7,[\"" P40 "\"],"
      "{\"url\":\"" P40 "\"},\"me.png\"]}", 0, 0, 0, 0 },
    { "one after what is none", "{\"images\":[[\"x\"],{\"a\":\"b\"},7,\"" P40
      "\"]}", 40, 1, 0, 0 },

    /* OpenAI */

    { "image_url",
      PART("{\"type\":\"image_url\",\"image_url\":{\"url\":\"" PNG P40
           "\",\"detail\":\"low\"}}"), 62, 1, 0, 0 },
    { "an address",
      PART("{\"type\":\"image_url\",\"image_url\":{\"url\":"
           "\"https://a.b/c.png\"}}"), 17, 1, 0, 0 },
    { "base64 alone",
      PART("{\"type\":\"image_url\",\"image_url\":{\"url\":\"" P40 "\"}}"),
      40, 1, 0, 0 },
    { "input_audio",
      PART("{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"" P40
           "\",\"format\":\"wav\"}}"), 40, 0, 0, 1 },
    { "file",
      PART("{\"type\":\"file\",\"file\":{\"filename\":\"a.pdf\","
           "\"file_data\":\"" PDF B20 "\"}}"), 48, 0, 1, 0 },
    { "a file of another type",
      PART("{\"file\":{\"file_data\":\"" LONG P40 "\"}}"), 124, 0, 1, 0 },
    { "a file that is a picture",
      PART("{\"file\":{\"file_data\":\"" PNG P40 "\"}}"), 62, 1, 0, 0 },
    { "a file of text",
      PART("{\"file\":{\"file_data\":\"data:text/plain;base64," P40 "\"}}"),
      0, 0, 0, 0 },
    { "video", PART("{\"video_url\":{\"url\":\"data:video/mp4;base64," P40
                    "\"}}"), 62, 0, 1, 0 },
    { "several",
      PART("{\"image_url\":{\"url\":\"" PNG P40 "\"}},"
           "{\"image_url\":{\"url\":\"" PNG P40 "\"}},"
           "{\"input_audio\":{\"data\":\"" P40 "\"}}"), 164, 2, 0, 1 },

    { "all in one part, in odd order",
      PART("{\"image_url\" : {\"detail\":1,\"url\" : \"" PNG P40 "\"},"
           "\"file\": {\"file_data\": \"" PDF B20 "\"},\"role\":{\"url\":"
           "\"" PNG P40 "\"},\"image_url\":5,\"text\":\"" PNG P40 "\","
           "\"x\":[\"" P40 "\"],\"input_audio\":{\"data\":\"" P40 "\"},"
           "\"content\": [{\"image_url\":\"" PNG P40 "\"}]}"),
      212, 2, 1, 1 },

    /* Responses */

    { "input_image",
      INPUT("{\"type\":\"input_image\",\"image_url\":\"" PNG P40 "\"}"),
      62, 1, 0, 0 },
    { "input_image, an address",
      INPUT("{\"type\":\"input_image\",\"image_url\":\"http://a/b\"}"),
      10, 1, 0, 0 },
    { "input_file",
      INPUT("{\"type\":\"input_file\",\"filename\":\"a\",\"file_data\":\"" PDF
            B20 "\"},{\"type\":\"input_file\",\"file_url\":\"https://a/b\"}"),
      59, 0, 2, 0 },
    { "input_audio there",
      INPUT("{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"" P40
            "\"}}"), 40, 0, 0, 1 },
    { "what a tool has put out",
      "{\"input\":[{\"type\":\"function_call_output\",\"output\":[{\"type\":"
      "\"input_image\",\"image_url\":\"" PNG P40 "\"}]}]}", 62, 1, 0, 0 },
    { "a screenshot",
      "{\"input\":[{\"output\":{\"image_url\":\"" PNG P40 "\"}}]}",
      62, 1, 0, 0 },
    { "text as input", "{\"input\":\"" PNG P40 "\"}", 0, 0, 0, 0 },
    { "texts as input", "{\"input\":[\"" PNG P40 "\",\"" P40 "\"]}",
      0, 0, 0, 0 },

    /* Anthropic */

    { "an image",
      SOURCE("\"type\":\"base64\",\"media_type\":\"image/png\",\"data\":\"" P40
             "\""), 40, 1, 0, 0 },
    { "its members in another order",
      SOURCE("\"data\":\"" P40 "\",\"media_type\":\"image/png\","
             "\"type\":\"base64\""), 40, 1, 0, 0 },
    { "a document",
      SOURCE("\"type\":\"base64\",\"media_type\":\"application/pdf\","
             "\"data\":\"" B20 "\""), 20, 0, 1, 0 },
    { "a document, in another order",
      SOURCE("\"data\":\"" B20 "\",\"media_type\":\"application/pdf\","
             "\"type\":\"base64\""), 20, 0, 1, 0 },
    { "an address of an image", SOURCE("\"type\":\"url\",\"url\":"
                                       "\"https://a/b.png\""), 15, 1, 0, 0 },
    { "a document of text",
      SOURCE("\"type\":\"text\",\"media_type\":\"text/plain\",\"data\":\"" P40
             "\""), 0, 0, 0, 0 },
    { "which says so behind it",
      SOURCE("\"data\":\"" P40 "\",\"type\":\"text\""), 0, 0, 0, 0 },
    { "and by its media type alone",
      SOURCE("\"data\":\"" P40 "\",\"media_type\":\"text/plain\""),
      0, 0, 0, 0 },
    { "in the result of a tool",
      USER("[{\"type\":\"tool_result\",\"content\":[{\"type\":\"image\","
           "\"source\":{\"type\":\"base64\",\"data\":\"" P40 "\"}}]}]"),
      40, 1, 0, 0 },
    { "in the content of a source",
      SOURCE("\"type\":\"content\",\"content\":[{\"type\":\"image\","
             "\"source\":{\"data\":\"" P40 "\",\"x\":null}}]"), 40, 1, 0, 0 },
    { "two",
      USER("[{\"source\":{\"data\":\"" P40 "\"}},{\"source\":{\"data\":\"" P40
           "\",\"y\":{\"z\":[1,true,null]}}}]"), 80, 2, 0, 0 },
    { "members of other types leave the facts alone",
      "{\"messages\":[{\"content\":[{\"source\":{\"data\":null,\"x\":[],"
      "\"y\":{},\"z\":0,\"t\":true,\"data\":\"" P40 "\"}}]}],"
      "\"stream\":true,\"stream_options\":{\"include_usage\":true}}",
      40, 1, 0, 0 },

    /* nowhere else */

    { "a text that begins like one", USER("\"" PNG P40 "\""), 0, 0, 0, 0 },
    { "a part that begins like one",
      PART("{\"type\":\"text\",\"text\":\"" PNG P40 "\"}"), 0, 0, 0, 0 },
    { "a call's arguments",
      "{\"messages\":[{\"tool_calls\":[{\"function\":{\"arguments\":{"
      "\"images\":[\"" P40 "\"],\"content\":[{\"image_url\":\"" PNG P40
      "\"}]}}}],\"content\":\"" P40 "\"}]}", 0, 0, 0, 0 },
    { "a call's input",
      USER("[{\"type\":\"tool_use\",\"input\":{\"source\":{\"data\":\"" P40
           "\"},\"images\":[\"" P40 "\"]}}]"), 0, 0, 0, 0 },
    { "tools, schemas, metadata",
      "{\"tools\":[{\"images\":[\"" P40 "\"],\"content\":[{\"image_url\":{"
      "\"url\":\"" PNG P40 "\"}}]}],\"metadata\":{\"images\":[\"" P40 "\"]},"
      "\"format\":{\"image_url\":\"" PNG P40 "\"}}", 0, 0, 0, 0 },
    { "after all of these, one", "{\"tools\":[{\"images\":[\"" P40 "\"]}],"
      "\"messages\":[{\"tool_calls\":[{\"images\":[\"" P40 "\"]}],"
      "\"images\":[\"" P40 "\"],\"thinking\":\"" P40 "\"}],\"x\":{\"images\":"
      "[\"" P40 "\"]},\"images\":[\"" P40 "\"]}", 80, 2, 0, 0 },
    { "system", "{\"system\":[{\"type\":\"text\",\"text\":\"" PNG P40 "\"}]}",
      0, 0, 0, 0 },

    /* what cannot be read is text */

    { "broken", "{\"images\":[\"" P40 "\"]", 0, 0, 0, 0 },
    { "no object", "[{\"images\":[\"" P40 "\"]}]", 0, 0, 0, 0 }
};


static ollama_request_t  *r;


static int
setup(void **state)
{
    (void) state;

    r = ollama_request_create();

    return r ? 0 : -1;
}


static int
teardown(void **state)
{
    (void) state;

    ollama_request_destroy(r);

    return 0;
}


static void
feed(void *ctx, const unsigned char *p, size_t n)
{
    (void) ollama_request_feed(ctx, p, n);
}


static void
test_places(void **state)
{
    char                           got[128], expected[128];
    size_t                         i, n, way;
    const ollama_request_facts_t  *facts;

    (void) state;

    facts = ollama_request_facts(r);

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {

        n = strlen(cases[i].body);

        sprintf(expected, "%u bytes, %u %u %u", cases[i].bytes,
                cases[i].pictures, cases[i].documents, cases[i].audio);

        for (way = 0; way < pieces_ways(n); way++) {
            ollama_request_reset(r, 0);
            pieces_feed(cases[i].body, n, way, feed, r);
            ollama_request_finish(r);

            sprintf(got, "%ju bytes, %u %u %u", (uintmax_t) facts->media_bytes,
                    facts->pictures, facts->documents, facts->audio);

            if (strcmp(got, expected) != 0) {
                print_error("%s, way %zu\n", cases[i].name, way);
            }

            assert_string_equal(got, expected);

            assert_int_equal(ollama_request_tokens(facts),
                             (n - cases[i].bytes + 3) / 4
                             + 1600 * cases[i].pictures
                             + 8000 * cases[i].documents
                             + 1600 * cases[i].audio);
        }
    }
}


/* names of any length, in one piece or not */

static void
test_names(void **state)
{
    char                           body[2048];
    size_t                         n, len, way;
    const ollama_request_facts_t  *facts;

    (void) state;

    facts = ollama_request_facts(r);

    for (len = 0; len < 600; len++) {

        n = sprintf(body, "{\"messages\":[{\"");
        memset(body + n, 'c', len);
        n += len;
        n += sprintf(body + n, "\":[\"" P40 "\"],\"images\":[\"" P40
                     "\"]}]}");

        for (way = 0; way < 2; way++) {
            ollama_request_reset(r, 0);
            pieces_feed(body, n, way, feed, r);
            ollama_request_finish(r);

            assert_true(facts->valid);
            assert_int_equal(facts->pictures, 1);
        }
    }
}


/* deeper than is looked at it is text, and nothing else goes wrong */

static void
test_depth(void **state)
{
    char                           body[65536];
    size_t                         i, n, depth;
    const ollama_request_facts_t  *facts;

    (void) state;

    facts = ollama_request_facts(r);

    for (depth = 1; depth < 200; depth++) {

        n = sprintf(body, "{\"messages\":[");

        for (i = 0; i < depth; i++) {
            n += sprintf(body + n, "{\"content\":[");
        }

        n += sprintf(body + n, "{\"images\":[\"" P40 "\"]}");

        for (i = 0; i < depth; i++) {
            n += sprintf(body + n, "]}");
        }

        n += sprintf(body + n, "],\"images\":[\"" P40 "\"],\"stream\":true}");

        ollama_request_reset(r, 0);
        pieces_feed(body, n, depth % 2, feed, r);
        ollama_request_finish(r);

        assert_true(facts->valid && facts->stream_true);
        assert_int_equal(facts->pictures, depth < 10 ? 2 : 1);
    }
}


/* a picture of some size, with a model's name behind it */

static void
test_large(void **state)
{
    size_t                         i;
    const ollama_request_facts_t  *facts;

    static const char  start[] = "{\"messages\":[{\"images\":[\"";
    static const char  end[] = "\"]}],\"model\":\"a:b-cloud\"}";
    static char        piece[65536];

    (void) state;

    facts = ollama_request_facts(r);
    memset(piece, 'A', sizeof(piece));

    ollama_request_reset(r, 0);
    feed(r, (const unsigned char *) start, sizeof(start) - 1);

    for (i = 0; i < 160; i++) {
        feed(r, (const unsigned char *) piece, sizeof(piece));
    }

    feed(r, (const unsigned char *) end, sizeof(end) - 1);
    ollama_request_finish(r);

    assert_int_equal(facts->pictures, 1);
    assert_int_equal(facts->media_bytes, 160 * sizeof(piece));
    assert_string_equal(facts->model, "a:b");
    assert_true(ollama_request_tokens(facts) < 1620);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_large)
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
