
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "usage.h"


#define COUNT(a)  (sizeof(a) / sizeof((a)[0]))

#define JSON       OLLAMA_FORMAT_JSON
#define NDJSON     OLLAMA_FORMAT_NDJSON
#define SSE        OLLAMA_FORMAT_SSE
#define NATIVE     OLLAMA_USAGE_FAMILY_NATIVE
#define OPENAI     OLLAMA_USAGE_FAMILY_OPENAI
#define RESPONSES  OLLAMA_USAGE_FAMILY_RESPONSES
#define ANTHROPIC  OLLAMA_USAGE_FAMILY_ANTHROPIC
#define NONE       OLLAMA_STREAM_NONE
#define WHOLE      OLLAMA_STREAM_WHOLE
#define CUT        OLLAMA_STREAM_CUT


typedef struct {
    ollama_usage_format_e   format;
    ollama_usage_family_e   family;
    ollama_stream_e         stream;
    unsigned                broken;
    const char             *text;
} stream_case_t;


static const stream_case_t  cases[] = {

    /* native: a line with done:true, also without its line feed */

    { NDJSON, NATIVE, CUT, 0, "" },
    { NDJSON, NATIVE, CUT, 1, "{" },
    { NDJSON, NATIVE, CUT, 1, "{\"response\":\"\",\"done\":false}" },
    { NDJSON, NATIVE, CUT, 0, "{\"response\":\"\",\"done\":false}\n" },
    { NDJSON, NATIVE, CUT, 1, "{\"response\":\"\",\"done\":true" },
    { NDJSON, NATIVE, WHOLE, 1, "{\"response\":\"\",\"done\":true}" },
    { NDJSON, NATIVE, WHOLE, 0, "{\"response\":\"\",\"done\":true}\n" },
    { NDJSON, NATIVE, CUT, 1, "{\"message\":{\"done\":true}}" },
    { NDJSON, NATIVE, WHOLE, 0, "{\"error\":\"no\"}\n" },
    { NDJSON, NATIVE, CUT, 1, "{\"error\":\"no\"" },
    { NDJSON, NATIVE, CUT, 1, "{\"error\":\"no" },
    { JSON, NATIVE, NONE, 1, "{\"done\":tr" },

    /* what came last could not be read: nobody knows what it was */

    { NDJSON, NATIVE, NONE, 0, "{\"done\":false}\n<html>\n" },
    { NDJSON, NATIVE, NONE, 0, "{\"done\":false}\n{\"done\"\n" },
    { NDJSON, NATIVE, CUT, 0, "<html>\n{\"done\":false}\n" },
    { SSE, OPENAI, NONE, 2, "data: x" },
    { SSE, OPENAI, CUT, 0, "data: x\n\ndata: {}\n\n" },

    /* OpenAI: [DONE], and no finish_reason will do */

    { SSE, OPENAI, CUT, 0, "" },
    { SSE, OPENAI, CUT, 1, "d" },
    { SSE, OPENAI, CUT, 1, "data" },
    { SSE, OPENAI, CUT, 1, "data:" },
    { SSE, OPENAI, CUT, 1, "data: " },
    { SSE, OPENAI, CUT, 2, "data: {" },
    { SSE, OPENAI, CUT, 2, "data: {}" },
    { SSE, OPENAI, CUT, 1, "data: {}\n" },
    { SSE, OPENAI, CUT, 2, "data: {}\nda" },
    { SSE, OPENAI, CUT, 0, "data: {}\n\n" },
    { SSE, OPENAI, CUT, 0,
      "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n" },
    { SSE, OPENAI, CUT, 2, "data: [DON" },
    { SSE, OPENAI, WHOLE, 2, "data: [DONE]" },
    { SSE, OPENAI, WHOLE, 1, "data: [DONE]\n" },
    { SSE, OPENAI, WHOLE, 0, "data: [DONE]\n\n" },
    { SSE, OPENAI, WHOLE, 0, "data: {\"error\":{\"message\":\"no\"}}\n\n" },
    { SSE, OPENAI, CUT, 2, "data: {\"error\":{\"message\":\"no\"}" },
    { SSE, OPENAI, CUT, 0, ": ping\n\n" },
    { SSE, OPENAI, CUT, 1, ": pi" },
    { SSE, NATIVE, NONE, 0, "data: {}\n\n" },

    /* CR LF: the feed that is missing is one more */

    { SSE, OPENAI, CUT, 1, "data: {}\r\n\r" },
    { SSE, OPENAI, CUT, 0, "data: {}\r\n\r\n" },
    { SSE, OPENAI, CUT, 2, "data: {}\r" },
    { SSE, OPENAI, CUT, 1, "data: {}\r\n" },

    /* Anthropic, responses */

    { SSE, ANTHROPIC, CUT, 1, "event: mess" },
    { SSE, ANTHROPIC, CUT, 0, "event: message_stop\n" },
    { SSE, ANTHROPIC, CUT, 2,
      "event: message_stop\ndata: {\"type\":\"message_stop\"" },
    { SSE, ANTHROPIC, WHOLE, 2,
      "event: message_stop\ndata: {\"type\":\"message_stop\"}" },
    { SSE, ANTHROPIC, CUT, 0, "data: {\"type\":\"message_delta\",\"delta\":"
      "{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":2}}\n\n" },
    { SSE, ANTHROPIC, WHOLE, 0,
      "event: error\ndata: {\"type\":\"error\",\"error\":{}}\n\n" },
    { SSE, RESPONSES, CUT, 0,
      "data: {\"response\":{},\"type\":\"response.in_progress\"}\n\n" },
    { SSE, RESPONSES, WHOLE, 0,
      "data: {\"response\":{},\"type\":\"response.completed\"}\n\n" },
    { SSE, RESPONSES, WHOLE, 0,
      "data: {\"response\":{},\"type\":\"response.incomplete\"}\n\n" },
    { SSE, RESPONSES, WHOLE, 0,
      "data: {\"response\":{},\"type\":\"response.failed\"}\n\n" },
    { SSE, RESPONSES, WHOLE, 0, "data: {\"type\":\"error\"}\n\n" }
};


static void
check(ollama_usage_t *u, const stream_case_t *c)
{
    if (ollama_usage_stream(u) != c->stream
        || ollama_usage_broken(u) != c->broken)
    {
        fail_msg("%s: %d, %u", c->text, ollama_usage_stream(u),
                 ollama_usage_broken(u));
    }
}


static void
test_cases(void **state)
{
    size_t                i, n, len;
    ollama_usage_t       *u;
    const unsigned char  *p;

    (void) state;

    u = ollama_usage_create();
    assert_non_null(u);

    for (i = 0; i < COUNT(cases); i++) {
        p = (const unsigned char *) cases[i].text;
        len = strlen(cases[i].text);

        /* at once, twice, since the second may be of a shape that is known */

        for (n = 0; n < 2; n++) {
            ollama_usage_reset(u, cases[i].format, cases[i].family);
            ollama_usage_feed(u, p, len);
            check(u, &cases[i]);

            ollama_usage_finish(u);
            check(u, &cases[i]);
        }

        ollama_usage_reset(u, cases[i].format, cases[i].family);

        for (n = 0; n < len; n++) {
            ollama_usage_feed(u, p + n, 1);
        }

        check(u, &cases[i]);
    }

    ollama_usage_destroy(u);
}


/* what is added ends what was begun, and nothing else */

static void
test_feeds(void **state)
{
    size_t           i, n;
    unsigned         broken;
    ollama_usage_t  *u;

    (void) state;

    u = ollama_usage_create();
    assert_non_null(u);

    for (i = 0; i < COUNT(cases); i++) {

        if (cases[i].stream == NONE) {

            /* nothing is told there */

            continue;
        }

        for (n = 0; n <= strlen(cases[i].text); n++) {
            ollama_usage_reset(u, cases[i].format, cases[i].family);
            ollama_usage_feed(u, (const unsigned char *) cases[i].text, n);

            broken = ollama_usage_broken(u);

            if (cases[i].format == NDJSON
                && ollama_usage_result(u)->documents == 0)
            {
                /* with a line feed in it, it is a document, and no line */

                continue;
            }

            ollama_usage_feed(u, (const unsigned char *) "\n\n\n", broken);
            assert_int_equal(ollama_usage_broken(u), 0);
        }
    }

    ollama_usage_destroy(u);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_feeds)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
