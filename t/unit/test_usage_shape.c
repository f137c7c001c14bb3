/*
 * Documents of a shape that is known: what is read without yajl says what yajl
 * says, and what does not fit goes to yajl.
 */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pieces.h"
#include "usage.h"
#include "usage_shape.h"


#define JSON       OLLAMA_FORMAT_JSON
#define NDJSON     OLLAMA_FORMAT_NDJSON
#define SSE        OLLAMA_FORMAT_SSE

#define NATIVE     OLLAMA_USAGE_FAMILY_NATIVE
#define OPENAI     OLLAMA_USAGE_FAMILY_OPENAI
#define RESPONSES  OLLAMA_USAGE_FAMILY_RESPONSES
#define ANTHROPIC  OLLAMA_USAGE_FAMILY_ANTHROPIC


static ollama_usage_t  *u;


#define NLINE(rest)   "{\"model\":\"m\",\"created_at\":\"1\"," rest "}\n"
#define NAT(at, t)    "{\"model\":\"m\",\"created_at\":\"" at "\","            \
                      "\"message\":{\"role\":\"assistant\",\"content\":\"" t   \
                      "\"},\"done\":false}\n"
#define NTEXT(t)      NAT("1", t)
#define NMODEL(m)     "{\"model\":\"" m "\",\"response\":\"x\"}\n"
#define NEND(d, n)    NLINE("\"done\":" d ",\"eval_count\":" n)
#define OAI(rest)     "data: {\"id\":\"chatcmpl-730\",\"created\":1788158498," \
                      "\"model\":\"m\"," rest "}\n\n"
#define OTEXT(t)      OAI("\"choices\":[{\"index\":0,\"delta\":{"               \
                          "\"content\":\"" t "\"},\"finish_reason\":null}]")
#define OLAST(t, f)   OAI("\"choices\":[{\"index\":0,\"delta\":{"               \
                          "\"content\":\"" t "\"},\"finish_reason\":\"" f "\"}]")
#define OUSE(n)       OAI("\"choices\":[{\"text\":\"x\"}],\"usage\":{"         \
                          "\"prompt_tokens\":0,\"completion_tokens\":" n "}")
#define OEXTRA(n)     OAI("\"choices\":[],\"usage\":{\"prompt_tokens\":" n "}")
#define RTEXT(t, n)   "data: {\"delta\":\"" t "\",\"sequence_number\":" n      \
                      ",\"type\":\"response.output_text.delta\"}\n\n"
#define RTYPE(t)      "data: {\"delta\":\"x\",\"type\":\"" t "\"}\n\n"
#define ATYPE(t)      "event: x\ndata: {\"type\":\"" t "\",\"delta\":{"        \
                      "\"text\":\"x\"}}\n\n"
#define ASTART(n)     "data: {\"type\":\"message_start\",\"message\":{"        \
                      "\"usage\":{\"input_tokens\":" n "}}}\n\n"


/* `next`, behind `first`: whether it is known as a text */

typedef struct {
    ollama_usage_format_e   format;
    ollama_usage_family_e   family;
    int                     known;
    const char             *first;
    const char             *next;
} shape_case_t;


static const shape_case_t  cases[] = {

    /* what fits */

    { NDJSON, NATIVE, 1, NTEXT("Hello"), NTEXT("Hello") },
    { NDJSON, NATIVE, 1, NTEXT("Hello"), NTEXT("") },
    { NDJSON, NATIVE, 1, NTEXT(""), NAT("21", "x") },
    { NDJSON, NATIVE, 1, NAT("12", "a"), NAT("1", "abcdefghijklmnopqrst") },
    { NDJSON, NATIVE, 1, NTEXT("a"), NTEXT("\\n\\t\\b\\f\\r\\\"\\\\\\/") },
    { NDJSON, NATIVE, 1, NTEXT("a"),
      NTEXT("\\u0000\\u003c\\u007f\\u0080\\u07ff\\u0800\\uFFFF") },
    { NDJSON, NATIVE, 1, NTEXT("a"), NTEXT("\xe2\x82\xac\xff\x7f") },
    { NDJSON, NATIVE, 1, NTEXT("a"),
      NTEXT("\\\"done\\\":true,\\\"eval_count\\\":9}") },
    { NDJSON, NATIVE, 1, NTEXT("a\\\"b"), NTEXT("a\\n") },
    { NDJSON, NATIVE, 1, NTEXT("a"), NAT("1\\n\\u20ac", "a") },
    { NDJSON, NATIVE, 1, NAT("1\\n", "a"), NTEXT("a") },
    { NDJSON, NATIVE, 1, NMODEL("m"), NMODEL("other") },
    { SSE, OPENAI, 1, OTEXT("a"), OTEXT("\\\"usage\\\":{}") },
    { SSE, OPENAI, 1, OUSE("0"), OUSE("0") },
    { SSE, RESPONSES, 1, RTEXT("a", "9"), RTEXT("b", "10") },
    { SSE, RESPONSES, 1, RTEXT("a", "10"), RTEXT("b", "1") },
    { SSE, RESPONSES, 1, RTEXT("a", "1.5"), RTEXT("b", "0") },
    { SSE, RESPONSES, 1, RTEXT("a", "-1e5"), RTEXT("b", "-1e5") },
    { SSE, RESPONSES, 1, RTYPE("a"), RTYPE("a") },

    /* what yajl has to see */

    { NDJSON, NATIVE, 0, NTEXT("a"), NTEXT("\\ud83d\\ude00") },
    { NDJSON, NATIVE, 0, NTEXT("a"), NTEXT("\\ud83d") },
    { NDJSON, NATIVE, 0, NTEXT("a"), NTEXT("\\ude00x") },
    { NDJSON, NATIVE, 0, NTEXT("a"), NTEXT("\\u12g4") },
    { NDJSON, NATIVE, 0, NTEXT("a"), NTEXT("\\x") },
    { NDJSON, NATIVE, 0, NTEXT("a"), NTEXT("b\x01") },
    { NDJSON, NATIVE, 0, NTEXT("a"), NTEXT("b\",\"x\":\"") },
    { NDJSON, NATIVE, 0, NTEXT("a"), NTEXT("b\t") },
    { NDJSON, NATIVE, 0, NTEXT("a"), NAT("\\ud83d", "a") },
    { NDJSON, NATIVE, 0, NTEXT("a"), NLINE("\"done\":false") },
    { NDJSON, NATIVE, 0, NTEXT("a"), "{\"error\":\"x\"}\n" },
    { NDJSON, NATIVE, 0, NTEXT("a"), "junk\n" },
    { NDJSON, NATIVE, 0, NTEXT("a"), NTEXT("b") " " },
    { NDJSON, NATIVE, 0, NMODEL("m"), NMODEL("\\n") },
    { SSE, RESPONSES, 0, RTEXT("a", "10"), RTEXT("b", "01") },
    { SSE, RESPONSES, 0, RTEXT("a", "0"), RTEXT("b", "00") },
    { SSE, RESPONSES, 0, RTEXT("a", "10"), RTEXT("b", "10.5") },
    { SSE, RESPONSES, 0, RTEXT("a", "10"), RTEXT("b", "-10") },
    { SSE, RESPONSES, 0, RTEXT("a", "10"), RTEXT("b", "") },
    { SSE, RESPONSES, 0, RTEXT("a", "10"), RTEXT("b", "null") },
    { SSE, RESPONSES, 0, RTEXT("a", "1"), RTEXT("b", "12345678901234567890") },

    /* of a known shape, but not text alone */

    { NDJSON, NATIVE, 0, NEND("false", "0"), NEND("false", "7") },
    { NDJSON, NATIVE, 0, NEND("true", "5"), NEND("true", "7") },
    { NDJSON, NATIVE, 0, NEND("true", "5"), NEND("true", "0") },
    { NDJSON, NATIVE, 0, NLINE("\"done\":true"), NLINE("\"done\":true") },
    { NDJSON, NATIVE, 0, NLINE("\"error\":\"\\n\""),
      NLINE("\"error\":\"\\n\"") },
    { NDJSON, NATIVE, 0, NLINE("\"done_reason\":\"stop\""),
      NLINE("\"done_reason\":\"load\"") },
    { NDJSON, NATIVE, 0, NLINE("\"error\":\"x\",\"status\":500"),
      NLINE("\"error\":\"y\",\"status\":429") },
    { NDJSON, NATIVE, 0, NLINE("\"error\":\"x\""),
      NLINE("\"error\":\"y\\n\"") },
    { SSE, OPENAI, 0, OTEXT("a"), OLAST("a", "stop") },
    { SSE, OPENAI, 0, OLAST("a", "stop"), OLAST("b", "length") },
    { SSE, OPENAI, 0, OUSE("0"), OUSE("7") },
    { SSE, OPENAI, 0, OUSE("7"), OUSE("0") },
    { SSE, OPENAI, 0, OEXTRA("0"), OEXTRA("0") },
    { SSE, OPENAI, 0, OEXTRA("7"), OEXTRA("8") },
    { SSE, RESPONSES, 0, RTYPE("a"), RTYPE("response.completed") },
    { SSE, RESPONSES, 0, RTYPE("response.completed"), RTYPE("a") },
    { SSE, RESPONSES, 0, RTYPE("error"), RTYPE("error") },
    { SSE, ANTHROPIC, 0, ATYPE("a"), ATYPE("message_stop") },
    { SSE, ANTHROPIC, 0, ASTART("18"), ASTART("19") },
    { SSE, ANTHROPIC, 0, ASTART("18"), ASTART("0") }
};


static void
feed(void *ctx, const unsigned char *p, size_t n)
{
    (void) ctx;

    ollama_usage_feed(u, p, n);
}


static void
read_in(const shape_case_t *c, const char *answer, size_t way)
{
    ollama_usage_reset(u, c->format, c->family);
    pieces_feed(answer, strlen(answer), way, feed, NULL);
    ollama_usage_finish(u);
}


/* Byte by byte: yajl reads all of it. */

static void
read_slowly(const shape_case_t *c, const char *answer,
    ollama_usage_result_t *result)
{
    read_in(c, answer, 1);
    *result = *ollama_usage_result(u);
}


static void
assert_same(const ollama_usage_result_t *expected)
{
    const ollama_usage_result_t  *res;

    res = ollama_usage_result(u);

    assert_int_equal(res->prompt, expected->prompt);
    assert_int_equal(res->completion, expected->completion);
    assert_int_equal(res->cached, expected->cached);
    assert_int_equal(res->reasoning, expected->reasoning);
    assert_int_equal(res->bytes, expected->bytes);
    assert_int_equal(res->content_bytes, expected->content_bytes);
    assert_int_equal(res->documents, expected->documents);
    assert_int_equal(res->certainty, expected->certainty);
    assert_int_equal(res->usage, expected->usage);
    assert_int_equal(res->terminal, expected->terminal);
    assert_int_equal(res->error, expected->error);
    assert_int_equal(res->unreadable, expected->unreadable);
    assert_int_equal(res->error_status, expected->error_status);
    assert_string_equal(res->model, expected->model);
    assert_string_equal(res->error_text, expected->error_text);
}


static void
test_cases(void **state)
{
    char                   answer[2048];
    size_t                 i, way;
    const shape_case_t    *c;
    ollama_usage_result_t  expected;

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {

        c = &cases[i];
        snprintf(answer, sizeof(answer), "%s%s%s", c->first, c->next, c->first);

        ollama_usage_shape_forget();
        read_slowly(c, answer, &expected);

        /* each in a buffer of its own, as a stream comes */

        ollama_usage_reset(u, c->format, c->family);
        pieces_one(c->first, strlen(c->first), feed, NULL);
        assert_false(ollama_usage_only_text(u));
        pieces_one(c->next, strlen(c->next), feed, NULL);

        if (ollama_usage_only_text(u) != c->known) {
            print_error("case %zu: %s", i, c->next);
        }

        assert_int_equal(ollama_usage_only_text(u), c->known);

        pieces_one(c->first, strlen(c->first), feed, NULL);
        ollama_usage_finish(u);
        assert_same(&expected);

        for (way = 0; way < pieces_ways(strlen(answer)); way++) {
            read_in(c, answer, way);
            assert_same(&expected);
        }
    }
}


/*
 * Each case's `next` as the beginning, its shape being known: the model's name
 * is taken from it, and nothing of another answer.
 */

static void
test_first(void **state)
{
    size_t                 i;
    ollama_usage_result_t  expected;

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ollama_usage_shape_forget();
        read_slowly(&cases[i], cases[i].next, &expected);
        read_in(&cases[i], cases[i].first, 0);
        read_in(&cases[i], cases[i].next, 0);
        assert_same(&expected);
    }
}


/* A line of data with another end, or with more data behind it */

static void
test_line_ends(void **state)
{
    char                   answer[1024];
    size_t                 i, way;
    ollama_usage_result_t  expected;

    static const shape_case_t  sse = { SSE, RESPONSES, 0, NULL, NULL };

    static const char  *ends[] = {
        "\n\n", "\r\n\r\n", "\r\r", "\n", "", " \n\n", "x\n\n", "[DONE]\n\n",
        "{\"delta\":\"b\"}\n\n", "\ndata: {\"delta\":\"b\"}\n\n",
        "\ndata: [DONE]\n\n", "\r\ndata: x\r\n\r\n", "\nevent: x\n\n"
    };

    (void) state;

    for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {

        snprintf(answer, sizeof(answer), "data: {\"delta\":\"a\"}\n\n"
                 "data: {\"delta\":\"bc\"}%sdata: {\"delta\":\"d\"}\n\n"
                 "data: [DONE]\n\n", ends[i]);

        read_slowly(&sse, answer, &expected);

        for (way = 0; way < pieces_ways(strlen(answer)); way++) {
            read_in(&sse, answer, way);
            assert_same(&expected);
        }
    }
}


/* The same document means another thing in every format and family. */

static void
test_kinds(void **state)
{
    size_t                 i, format, family;
    shape_case_t           c;
    ollama_usage_result_t  expected;

    static const char  document[] =
        "{\"response\":\"a\",\"delta\":\"bc\",\"usage\":{\"input_tokens\":1,"
        "\"prompt_tokens\":2},\"prompt_eval_count\":3}";

    static const char  event[] =
        "data: {\"response\":\"a\",\"delta\":\"bc\",\"usage\":{"
        "\"input_tokens\":1,\"prompt_tokens\":2},\"prompt_eval_count\":3}\n\n";

    (void) state;

    for (i = 0; i < 2; i++) {
        for (format = JSON; format <= SSE; format++) {
            for (family = NATIVE; family <= ANTHROPIC; family++) {

                c.format = (ollama_usage_format_e) format;
                c.family = (ollama_usage_family_e) family;

                read_slowly(&c, (format == SSE) ? event : document, &expected);
                read_in(&c, (format == SSE) ? event : document, 0);
                assert_same(&expected);
            }
        }
    }
}


/* More shapes than are kept */

static void
test_many(void **state)
{
    char                   answer[4096], *p;
    size_t                 i, k, format, family;
    const char            *end;
    shape_case_t           c;
    ollama_usage_result_t  expected;

    (void) state;

    for (format = JSON; format <= SSE; format++) {
        for (family = NATIVE; family <= ANTHROPIC; family++) {

            end = (format == SSE) ? "\n\n" : (format == NDJSON) ? "\n" : "";
            p = answer;

            for (i = 0; i < 3; i++) {
                for (k = 0; k < OLLAMA_USAGE_SHAPES + 4; k++) {
                    p += sprintf(p, "%s{\"%.*s\":%zu,\"response\":\"x\","
                                 "\"delta\":\"yz\"}%s",
                                 (format == SSE) ? "data: " : "", (int) k,
                                 "aaaaaaaaaaaaaaaaaaaa", k, end);
                }
            }

            c.format = (ollama_usage_format_e) format;
            c.family = (ollama_usage_family_e) family;

            read_slowly(&c, answer, &expected);
            read_in(&c, answer, 0);
            assert_same(&expected);
        }
    }
}


/* Escapes around the length that yajl is shown, where each is one byte then */

static void
test_limit(void **state)
{
    char                   answer[2048], xs[600];
    size_t                 len;
    ollama_usage_result_t  expected;

    (void) state;

    memset(xs, 'x', sizeof(xs));

    for (len = 490; len < 520; len++) {

        snprintf(answer, sizeof(answer), NTEXT("%.*s\\u20ac\\n\\u00e9\\u20acy"),
                 (int) len, xs);

        read_slowly(&cases[0], answer, &expected);

        ollama_usage_shape_forget();
        read_in(&cases[0], NTEXT("a"), 0);

        ollama_usage_reset(u, NDJSON, NATIVE);
        pieces_one(NTEXT("a"), strlen(NTEXT("a")), feed, NULL);
        pieces_one(answer, strlen(answer), feed, NULL);
        assert_true(ollama_usage_only_text(u));
        assert_int_equal(ollama_usage_result(u)->content_bytes,
                         expected.content_bytes + 1);
    }
}


/* Of what is too large or too much for a shape none is made */

static void
test_too_large(void **state)
{
    char                   answer[8192], *p;
    size_t                 i, n;
    ollama_usage_result_t  expected;

    (void) state;

    for (n = 20; n < 120; n++) {

        p = answer;
        p += sprintf(p, "{\"response\":\"x\",\"prompt_eval_count\":7,\"a\":[");

        for (i = 0; i < n; i++) {
            p += sprintf(p, "%s\"%zu\",{}", i ? "," : "", i);
        }

        sprintf(p, "],\"done\":true}\n");

        read_slowly(&cases[0], answer, &expected);

        for (i = 0; i < 3; i++) {
            read_in(&cases[0], answer, 0);
            assert_same(&expected);
        }
    }
}


/* nor does one have to go for it */

static void
test_too_large_keeps(void **state)
{
    char    answer[4096], *p;
    size_t  i;

    (void) state;

    p = answer;
    p += sprintf(p, "{\"a\":[\"\"");

    for (i = 0; i < OLLAMA_USAGE_SHAPE_HOLES; i++) {
        p += sprintf(p, ",\"%zu\"", i);
    }

    sprintf(p, "]}\n");

    ollama_usage_reset(u, NDJSON, NATIVE);
    pieces_one(NTEXT("a"), strlen(NTEXT("a")), feed, NULL);

    for (i = 0; i < 3 * OLLAMA_USAGE_SHAPES; i++) {
        pieces_one(answer, strlen(answer), feed, NULL);
        assert_false(ollama_usage_only_text(u));
    }

    pieces_one(NTEXT("b"), strlen(NTEXT("b")), feed, NULL);
    assert_true(ollama_usage_only_text(u));
}


static int
setup(void **state)
{
    (void) state;

    u = ollama_usage_create();

    return u == NULL;
}


static int
teardown(void **state)
{
    (void) state;

    ollama_usage_destroy(u);

    return 0;
}


int
main(void)
{
    static const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_first),
        cmocka_unit_test(test_line_ends),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_too_large_keeps)
    };

    return cmocka_run_group_tests_name("usage_shape", tests, setup, teardown);
}
