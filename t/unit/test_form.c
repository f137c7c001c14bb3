/*
 * The form of an answer is what its first bytes say: whatever the Content-Type
 * is, and however the bytes are split, it is counted as it is.
 */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "form.h"
#include "pieces.h"


#define MARK       "\xef\xbb\xbf"
#define NATIVE     OLLAMA_USAGE_FAMILY_NATIVE
#define OPENAI     OLLAMA_USAGE_FAMILY_OPENAI
#define RESPONSES  OLLAMA_USAGE_FAMILY_RESPONSES
#define ANTHROPIC  OLLAMA_USAGE_FAMILY_ANTHROPIC
#define JSON       OLLAMA_FORMAT_JSON
#define NDJSON     OLLAMA_FORMAT_NDJSON
#define SSE        OLLAMA_FORMAT_SSE
#define OTHER      OLLAMA_FORMAT_OTHER

#define LINES      "{\"message\":{\"content\":\"Hello\"},\"done\":false}\n"
#define LAST       "{\"done\":true,\"prompt_eval_count\":73,\"eval_count\":78}"
#define EVENTS     "data: {\"choices\":[{\"delta\":{\"content\":\"Hello\"},"   \
                   "\"finish_reason\":\"stop\"}]}\n\ndata: {\"choices\":[],"   \
                   "\"usage\":{\"prompt_tokens\":73,"                          \
                   "\"completion_tokens\":78}}\n\n"
#define DONE       "data: [DONE]\n\n"


static ollama_usage_t  *u;
static ollama_form_t    form;


static int
setup(void **state)
{
    (void) state;

    u = ollama_usage_create();

    return u ? 0 : -1;
}


static int
teardown(void **state)
{
    (void) state;

    ollama_usage_destroy(u);

    return 0;
}


static void
feed(void *ctx, const unsigned char *p, size_t n)
{
    ollama_usage_feed(ctx, p, n);
}


static void
feed_form(void *ctx, const unsigned char *p, size_t n)
{
    int                   known, rc;
    const unsigned char  *end;

    end = p + n;
    known = form.known;
    rc = ollama_form_next(ctx, &p, end);

    assert_int_equal(rc, form.known);
    assert_true(rc || p == end);
    assert_true(rc || !known);
}


static void
test_first_bytes(void **state)
{
    size_t  i, n, way;

    static const struct {
        const char             *bytes;
        ollama_usage_format_e   format;
        int                     known;
    } cases[] = {
        { "{", JSON, 1 }, { " \n\t\r\n{\"a\":1}", JSON, 1 },
        { MARK "{", JSON, 1 }, { MARK " {", JSON, 1 },
        { "data: x", SSE, 1 }, { "data:", SSE, 1 }, { "data\n", SSE, 1 },
        { "event: error\n", SSE, 1 }, { "id: 1", SSE, 1 },
        { "retry:1", SSE, 1 }, { ": ping", SSE, 1 }, { ":", SSE, 1 },
        { "\n\ndata: x", SSE, 1 }, { MARK "data: x", SSE, 1 },
        { "[", OTHER, 1 }, { "<html>", OTHER, 1 }, { "\"x\"", OTHER, 1 },
        { "data {", OTHER, 1 }, { "date: x", OTHER, 1 },
        { "error: x", OTHER, 1 }, { "evident", OTHER, 1 },
        { "DATA: x", OTHER, 1 }, { "\xef\xbb{", OTHER, 1 },
        { " " MARK "{", OTHER, 1 }, { "\x1f\x8b\x08", OTHER, 1 },
        { "\x01", OTHER, 1 },
        { "", OTHER, 0 }, { " \r\n", OTHER, 0 }, { "dat", OTHER, 0 },
        { "data", OTHER, 0 }, { "\xef\xbb", OTHER, 0 }, { MARK, OTHER, 0 }
    };

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        n = strlen(cases[i].bytes);

        for (way = 0; way < pieces_ways(n); way++) {
            ollama_form_init(&form);
            pieces_feed(cases[i].bytes, n, way, feed_form, &form);

            if ((int) form.known != cases[i].known
                || form.format != cases[i].format)
            {
                print_error("\"%s\", way %zu\n", cases[i].bytes, way);
            }

            assert_int_equal(form.known, cases[i].known);
            assert_int_equal(form.format, cases[i].format);
        }
    }
}


static void
test_answers(void **state)
{
    char                          result[128];
    size_t                        i, n, said, way;
    const ollama_usage_result_t  *res;

    static const ollama_usage_format_e  types[] = { OTHER, JSON, NDJSON, SSE };

    static const struct {
        ollama_usage_family_e   family;
        const char             *answer;
        const char             *result;
    } answers[] = {
        { NATIVE, LINES LINES LAST "\n", "73+78 exact exact 10 3" },
        { NATIVE, "\n" LINES LAST, "73+78 exact exact 5 2" },
        { NATIVE, MARK LINES LAST "\n", "73+78 exact exact 5 2" },
        { NATIVE, LAST, "73+78 exact exact 0 1" },
        { NATIVE, LAST "\n\n", "73+78 exact exact 0 1" },
        { NATIVE, "{\n  \"message\": {\n    \"content\": \"Hello\"\n  },\n"
          "  \"done\": true,\n  \"prompt_eval_count\": 73,\n"
          "  \"eval_count\": 78\n}\n", "73+78 exact exact 5 1" },
        { NATIVE, LINES, "0+0 partial partial 5 1" },
        { NATIVE, LINES LINES "{\"error\":\"x\"}\n",
          "0+0 partial partial 10 3" },
        { NATIVE, LINES "{\"a\":tru}\n" LINES LAST, "73+78 exact exact 10 3" },

        { OPENAI, EVENTS DONE, "73+78 exact exact 5 2" },
        { OPENAI, ": ping\n\n" EVENTS DONE, "73+78 exact exact 5 2" },
        { OPENAI, "\r\n" EVENTS DONE, "73+78 exact exact 5 2" },
        { OPENAI, MARK EVENTS, "73+78 exact exact 5 2" },
        { OPENAI, "{\"choices\":[{\"message\":{\"content\":\"Hello\"}}],"
          "\"usage\":{\"prompt_tokens\":73,\"completion_tokens\":78}}",
          "73+78 exact exact 5 1" },
        { OPENAI, "\n{\n\"choices\":[],\n\"usage\":{\"prompt_tokens\":73,"
          "\"completion_tokens\":78}}\n", "73+78 exact exact 0 1" },
        { OPENAI, "{\"error\":{\"message\":\"no\"}}", "0+0 none none 0 1" },

        { RESPONSES, "event: response.completed\ndata: {\"response\":{"
          "\"usage\":{\"input_tokens\":73,\"output_tokens\":78}},"
          "\"type\":\"response.completed\"}\n\n", "73+78 exact exact 0 1" },
        { RESPONSES, "id: 1\nevent: response.completed\ndata: {\"response\":{"
          "\"usage\":{\"input_tokens\":73,\"output_tokens\":78}},"
          "\"type\":\"response.completed\"}\n\n", "73+78 exact exact 0 1" },
        { RESPONSES, "{\"output\":[],\"usage\":{\"input_tokens\":73,"
          "\"output_tokens\":78}}", "73+78 exact exact 0 1" },

        { ANTHROPIC, "event: message_delta\ndata: {\"type\":\"message_delta\","
          "\"usage\":{\"input_tokens\":73,\"output_tokens\":78}}\n\n",
          "73+78 exact exact 0 1" },
        { ANTHROPIC, "retry: 5\nevent: message_delta\ndata: {\"type\":"
          "\"message_delta\",\"usage\":{\"input_tokens\":73,"
          "\"output_tokens\":78}}\n\n", "73+78 exact exact 0 1" },
        { ANTHROPIC, "{\"content\":[{\"text\":\"Hello\"}],\"usage\":{"
          "\"input_tokens\":73,\"output_tokens\":78}}", "73+78 exact exact 5 1" }
    };

    (void) state;

    for (i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        n = strlen(answers[i].answer);

        for (said = 0; said < 4; said++) {
            for (way = 0; way < pieces_ways(n); way++) {

                ollama_usage_reset(u, types[said], answers[i].family);
                pieces_feed(answers[i].answer, n, way, feed, u);
                ollama_usage_finish(u);

                res = ollama_usage_result(u);

                sprintf(result, "%ju+%ju %s %s %ju %ju",
                        (uintmax_t) res->prompt, (uintmax_t) res->completion,
                        ollama_certainty_name(res->prompt_certainty),
                        ollama_certainty_name(res->completion_certainty),
                        (uintmax_t) res->content_bytes,
                        (uintmax_t) res->documents);

                if (strcmp(result, answers[i].result) != 0) {
                    print_error("%s, said to be %u, way %zu\n",
                                answers[i].answer, types[said], way);
                }

                assert_string_equal(result, answers[i].result);
                assert_int_equal(res->bytes, n);
            }
        }
    }
}


/* what is neither is read as it is said to be, and unreadable */

static void
test_others(void **state)
{
    size_t                        n, way;
    const ollama_usage_result_t  *res;

    static const char  page[] = "dat <html>";

    (void) state;

    n = sizeof(page) - 1;

    for (way = 0; way < pieces_ways(n); way++) {

        ollama_usage_reset(u, JSON, NATIVE);
        pieces_feed(page, n, way, feed, u);
        ollama_usage_finish(u);

        res = ollama_usage_result(u);

        assert_int_equal(res->certainty, OLLAMA_CERTAINTY_ESTIMATED);
        assert_true(res->unreadable);

        ollama_usage_reset(u, OTHER, NATIVE);
        pieces_feed(page, n, way, feed, u);
        ollama_usage_finish(u);

        assert_int_equal(res->certainty, OLLAMA_CERTAINTY_NONE);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_first_bytes),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_others)
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
