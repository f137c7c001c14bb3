/*
 * Numbers that are no count: the half of the answer that they were to be is
 * estimated and marked, the other one stays as it is.
 */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "pieces.h"
#include "usage.h"


#define NATIVE     OLLAMA_USAGE_FAMILY_NATIVE
#define OPENAI     OLLAMA_USAGE_FAMILY_OPENAI
#define RESPONSES  OLLAMA_USAGE_FAMILY_RESPONSES
#define ANTHROPIC  OLLAMA_USAGE_FAMILY_ANTHROPIC


static ollama_usage_t  *u;


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


/* "73 exact 78 estimated": as booked, for a request of 1000 tokens */

static void
check(ollama_usage_family_e family, ollama_usage_format_e format,
    const char *answer, const char *expected)
{
    char                          result[128];
    size_t                        n, way;
    uint64_t                      prompt, completion;
    const ollama_usage_result_t  *res;

    n = strlen(answer);

    for (way = 0; way < pieces_ways(n); way++) {

        ollama_usage_reset(u, format, family);
        pieces_feed(answer, n, way, feed, u);
        ollama_usage_finish(u);

        res = ollama_usage_result(u);
        ollama_usage_tokens(res, 1000, &prompt, &completion);

        sprintf(result, "%ju %s %ju %s", (uintmax_t) prompt,
                ollama_certainty_name(res->prompt_certainty),
                (uintmax_t) completion,
                ollama_certainty_name(res->completion_certainty));

        if (strcmp(result, expected) != 0) {
            print_error("%s\n", answer);
        }

        assert_string_equal(result, expected);

        assert_int_equal(res->certainty,
                         res->prompt_certainty < res->completion_certainty
                         ? res->prompt_certainty : res->completion_certainty);
        assert_true(res->cached <= prompt);
    }
}


/* each number in the place of the prompt, then of the completion */

static void
test_numbers(void **state)
{
    char    answer[2048], expected[128];
    size_t  i, j;

    static const struct {
        const char  *number;
        unsigned     count;             /* 0: it is none */
    } numbers[] = {
        { "73", 73 }, { "73.0", 73 }, { "7.3e1", 73 }, { "730E-1", 73 },
        { "1", 1 }, { "100000000", 100000000 }, { "1e8", 100000000 },
        { "0", 0 }, { "-0", 0 }, { "0.0", 0 }, { "-1", 0 }, { "-73", 0 },
        { "-1e30", 0 }, { "0.5", 0 }, { "73.5", 0 }, { "1e-3", 0 },
        { "100000001", 0 }, { "100000000.5", 0 }, { "1e9", 0 }, { "1e18", 0 },
        { "1000000000000000000", 0 }, { "18446744073709551615", 0 },
        { "18446744073709551689", 0 }, { "1e30", 0 }, { "1e400", 0 },
        { "99999999999999999999999999999999999999999999999999999999999", 0 },
        { "\"73\"", 0 }, { "null", 0 }, { "true", 0 }, { "[73]", 0 },
        { "{\"a\":73}", 0 }
    };

    static const struct {
        ollama_usage_family_e  family;
        ollama_usage_format_e  format;
        const char            *before;
        const char            *between;
        const char            *after;
    } answers[] = {
        { NATIVE, OLLAMA_FORMAT_NDJSON,
          "{\"response\":\"12345678\",\"done\":false}\n"
          "{\"done\":true,\"prompt_eval_count\":", ",\"eval_count\":", "}\n" },
        { NATIVE, OLLAMA_FORMAT_JSON,
          "{\"message\":{\"content\":\"12345678\"},\"done\":true,"
          "\"prompt_eval_count\":", ",\"eval_count\":", "}" },
        { OPENAI, OLLAMA_FORMAT_JSON,
          "{\"choices\":[{\"message\":{\"content\":\"12345678\"},"
          "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":",
          ",\"completion_tokens\":", ",\"total_tokens\":5}}" },
        { OPENAI, OLLAMA_FORMAT_SSE,
          "data: {\"choices\":[{\"delta\":{\"content\":\"12345678\"},"
          "\"finish_reason\":\"stop\"}]}\n\n"
          "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":",
          ",\"completion_tokens\":", "}}\n\ndata: [DONE]\n\n" },
        { RESPONSES, OLLAMA_FORMAT_SSE,
          "event: response.output_text.delta\ndata: {\"delta\":\"12345678\","
          "\"type\":\"response.output_text.delta\"}\n\n"
          "event: response.completed\ndata: {\"response\":{\"usage\":{"
          "\"input_tokens\":", ",\"output_tokens\":",
          "}},\"type\":\"response.completed\"}\n\n" },
        { RESPONSES, OLLAMA_FORMAT_JSON,
          "{\"output\":[{\"content\":[{\"text\":\"12345678\"}]}],\"usage\":{"
          "\"input_tokens\":", ",\"output_tokens\":", "}}" },
        { ANTHROPIC, OLLAMA_FORMAT_JSON,
          "{\"content\":[{\"text\":\"12345678\"}],\"usage\":{"
          "\"input_tokens\":", ",\"output_tokens\":", "}}" },
        { ANTHROPIC, OLLAMA_FORMAT_SSE,
          "data: {\"type\":\"message_start\",\"message\":{\"usage\":{"
          "\"input_tokens\":0,\"output_tokens\":0}}}\n\n"
          "data: {\"type\":\"content_block_delta\",\"delta\":{\"text\":"
          "\"12345678\"}}\n\n"
          "data: {\"type\":\"message_delta\",\"usage\":{\"input_tokens\":",
          ",\"output_tokens\":", "}}\n\n"
          "data: {\"type\":\"message_stop\"}\n\n" }
    };

    (void) state;

    for (i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        for (j = 0; j < sizeof(numbers) / sizeof(numbers[0]); j++) {

            sprintf(answer, "%s%s%s78%s", answers[i].before, numbers[j].number,
                    answers[i].between, answers[i].after);
            sprintf(expected, "%u %s 78 exact",
                    numbers[j].count ? numbers[j].count : 1000,
                    numbers[j].count ? "exact" : "estimated");

            check(answers[i].family, answers[i].format, answer, expected);

            sprintf(answer, "%s73%s%s%s", answers[i].before,
                    answers[i].between, numbers[j].number, answers[i].after);
            sprintf(expected, "73 exact %u %s",
                    numbers[j].count ? numbers[j].count : 2,
                    numbers[j].count ? "exact" : "estimated");

            check(answers[i].family, answers[i].format, answer, expected);

            if (numbers[j].count == 0) {
                sprintf(answer, "%s%s%s%s%s", answers[i].before,
                        numbers[j].number, answers[i].between,
                        numbers[j].number, answers[i].after);

                check(answers[i].family, answers[i].format, answer,
                      "1000 estimated 2 estimated");
            }
        }
    }
}


/* what message_start says of the prompt is an estimate of the cloud's */

static void
test_start(void **state)
{
    char    answer[1024], expected[128];
    size_t  i;

    static const struct {
        const char  *usage;
        const char  *expected;
    } deltas[] = {
        { "\"output_tokens\":78", "18 exact" },
        { "\"input_tokens\":null,\"output_tokens\":78", "18 exact" },
        { "\"input_tokens\":73,\"output_tokens\":78", "73 exact" },
        { "\"input_tokens\":0,\"output_tokens\":78", "18 estimated" },
        { "\"input_tokens\":-1,\"output_tokens\":78", "18 estimated" },
        { "\"input_tokens\":1e30,\"output_tokens\":78", "18 estimated" },
        { "\"input_tokens\":\"73\",\"output_tokens\":78", "18 estimated" },
        { "\"output_tokens\":78,\"input_tokens\":\"73\"", "18 estimated" },
        { "\"input_tokens\":0,\"cache_read_input_tokens\":64,"
          "\"output_tokens\":78", "64 exact" },
        { "\"input_tokens\":-1,\"cache_read_input_tokens\":64,"
          "\"output_tokens\":78", "82 estimated" }
    };

    (void) state;

    for (i = 0; i < sizeof(deltas) / sizeof(deltas[0]); i++) {
        sprintf(answer,
                "data: {\"type\":\"message_start\",\"message\":{\"usage\":{"
                "\"input_tokens\":18,\"output_tokens\":0}}}\n\n"
                "data: {\"type\":\"message_delta\",\"usage\":{%s}}\n\n"
                "data: {\"type\":\"message_stop\"}\n\n", deltas[i].usage);
        sprintf(expected, "%s 78 exact", deltas[i].expected);

        check(ANTHROPIC, OLLAMA_FORMAT_SSE, answer, expected);
    }
}


/* no text, no tokens: that is a count; and what is cached is of the prompt */

static void
test_edges(void **state)
{
    (void) state;

    check(NATIVE, OLLAMA_FORMAT_JSON,
          "{\"embeddings\":[[0.1]],\"prompt_eval_count\":8}",
          "8 exact 0 exact");
    check(NATIVE, OLLAMA_FORMAT_NDJSON,
          "{\"response\":\"\",\"done\":true,\"prompt_eval_count\":8,"
          "\"eval_count\":0}\n", "8 exact 0 exact");
    check(OPENAI, OLLAMA_FORMAT_JSON,
          "{\"choices\":[{\"message\":{\"content\":\"\"}}],\"usage\":{"
          "\"prompt_tokens\":8,\"completion_tokens\":-1}}", "8 exact 0 exact");
    check(OPENAI, OLLAMA_FORMAT_JSON,
          "{\"choices\":[],\"usage\":{\"prompt_tokens\":8,"
          "\"completion_tokens\":1,\"prompt_tokens_details\":"
          "{\"cached_tokens\":99}}}", "8 exact 1 exact");
    check(OPENAI, OLLAMA_FORMAT_JSON,
          "{\"choices\":[],\"usage\":{\"prompt_tokens\":0,"
          "\"completion_tokens\":1,\"prompt_tokens_details\":"
          "{\"cached_tokens\":5000}}}", "5000 estimated 1 exact");

    /* broken off: nothing is final */

    check(NATIVE, OLLAMA_FORMAT_NDJSON,
          "{\"response\":\"12345678\",\"prompt_eval_count\":8,"
          "\"eval_count\":1}\n", "8 partial 2 partial");

    check(NATIVE, OLLAMA_FORMAT_JSON,
          "{\"done\":true,\"done_reason\":\"load\"}", "0 none 0 none");
    check(NATIVE, OLLAMA_FORMAT_JSON, "{\"error\":\"no\"}", "0 none 0 none");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_start),
        cmocka_unit_test(test_edges)
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
