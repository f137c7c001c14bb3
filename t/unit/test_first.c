
/*
 * The first event of an answer: whether it is an error, known as early as the
 * bytes allow, and split anywhere.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "first.h"
#include "pieces.h"


#define QUOTA  "you (a) have reached your session usage limit"


typedef struct {
    const char  *body;
    unsigned     status;
    const char  *text;
    const char  *type;
} failure_t;


static const failure_t  failures[] = {

    /* native */

    { "{\"error\":\"" QUOTA "\",\"status\":429}\n", 429, QUOTA, "" },
    { "{\"status\":429,\"error\":\"" QUOTA "\"}\n", 429, QUOTA, "" },
    { "{\"error\":\"" QUOTA "\"}", 0, QUOTA, "" },
    { " \r\n{ \"error\" : \"a \\\"b\\\" \\u00fc\" }\n", 0, "a \"b\" \xc3\xbc",
      "" },
    { "\xef\xbb\xbf{\"error\":\"x\"}", 0, "x", "" },
    { "{\"error\":\"x\",\"code\":\"503\"}", 503, "x", "" },
    { "{\"error\":true,\"message\":\"m\",\"statusCode\":502}", 502, "m", "" },
    { "{\"signin_url\":\"u\",\"error\":\"unauthorized\"}", 0, "unauthorized",
      "" },
    { "{\"message\":\"slow down\",\"status\":429}", 429, "slow down", "" },

    /* OpenAI */

    { "{\"error\":{\"message\":\"m\",\"type\":\"api_error\",\"param\":null,"
      "\"code\":null}}", 0, "m", "api_error" },
    { "{\"error\":{\"code\":429,\"message\":\"m\"}}", 429, "m", "" },
    { "{\"object\":\"error\",\"message\":\"m\",\"code\":400}", 400, "m", "" },
    { "data: {\"error\":{\"message\":\"m\",\"type\":\"rate_limit_error\"}}\n\n",
      429, "m", "rate_limit_error" },
    { "data:{\"error\":\"m\"}\n\ndata: [DONE]\n\n", 0, "m", "" },
    { ": a comment\r\n\r\n: another\n\nretry: 3\nid: 7\n"
      "data: {\"error\":{\"message\":\"m\",\"code\":\"insufficient_quota\"}}\n",
      429, "m", "insufficient_quota" },
    { "data: {\ndata: \"error\":\ndata: {\"message\":\"m\"}\ndata: }\n\n", 0,
      "m", "" },
    { "event: error\ndata: it went wrong\n\n", 0, "it went wrong", "" },
    { "event: error\n\n", 0, "", "" },
    { "event:error\ndata: {\"a\":1}\n\n", 0, "", "" },

    /* Responses */

    { "event: response.created\ndata: {\"response\":{\"error\":null,\"status\":"
      "\"in_progress\"},\"type\":\"response.created\"}\n\n"
      "event: response.in_progress\ndata: {\"x\":[{\"error\":1}]}\n\n"
      "event: response.failed\ndata: {\"response\":{\"error\":{\"code\":"
      "\"rate_limit_exceeded\",\"message\":\"m\"},\"status\":\"failed\"},"
      "\"type\":\"response.failed\"}\n\n", 429, "m", "rate_limit_exceeded" },
    { "data: {\"response\":{\"error\":null},\"sequence_number\":0,\"type\":"
      "\"response.created\"}\n\n"
      "data: {\"response\":{\"error\":{\"message\":\"m\"}},\"type\":"
      "\"response.failed\"}\n\n", 0, "m", "" },
    { "data: {\"type\":\"response.created\",\"response\":{}}\r\n\r\n"
      "data: {\"type\":\"error\",\"code\":\"server_error\",\"message\":\"m\"}"
      "\r\n\r\n", 0, "m", "" },
    { "{\"background\":false,\"error\":{\"code\":\"server_error\",\"message\":"
      "\"m\"},\"id\":\"r\",\"status\":\"failed\"}", 0, "m", "server_error" },
    { "{\"id\":\"r\",\"object\":\"response\",\"status\":\"failed\",\"error\":"
      "{\"message\":\"m\"}}", 0, "m", "" },

    /* Anthropic */

    { "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":"
      "\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n", 503,
      "Overloaded", "overloaded_error" },
    { "event: ping\ndata: {\"type\":\"ping\"}\n\n"
      "event: error\ndata: {\"error\":{\"message\":\"m\"},\"type\":\"error\"}"
      "\n\n", 0, "m", "" },
    { "{\"type\":\"error\",\"error\":{\"type\":\"authentication_error\","
      "\"message\":\"m\"},\"request_id\":\"q\"}", 401, "m",
      "authentication_error" },
    { "{\"request_id\":\"q\",\"type\":\"error\",\"error\":{\"message\":\"m\"}}",
      0, "m", "" }
};


/* up to the byte at which each is known to be an answer */

static const char  *answers[] = {
    "{\"model\"",
    "{\"error\":null,",
    "{\"error\":\"\",\"model\"",
    "{\"created_at\":\"x\",\"message\":{",
    "{\"response\":\"error\",\"done\"",
    "{\"id\":\"c\",\"object\":\"chat.completion\"",
    "{\"object\":\"list\"",
    "{\"id\":\"m\",\"type\":\"message\"",
    "{\"embedding\"",
    "{\"background\":false,\"completed_at\":null,\"error\":null,",
    "{\"metadata\":{\"error\":\"x\",\"status\":500},\"model\"",
    "{}",
    "{\"id\":\"r\",\"object\":\"response\",\"status\":\"failed\",\"error\":{"
    "\"message\":\"m\"},\"usage\":{",
    "{x",
    "[",
    "<",
    "\x1f",
    "u",
    "datas",
    "retri",
    "data: {\"id\"",
    "data: [",
    "data: x",
    ": hello\n\ndata: {\"choices\"",
    "event: content_block_start\n",
    "event: response.output_item.added\n",
    "event: message_start\n",
    "event: ping\ndata: {}\n\nevent: message_delta\r",
    "data: {\"type\":\"content_block_start\"",
    "event: response.created\ndata: {\"response\":{\"error\":{}}}\n\n"
    "event: response.completed\n",
    "data: {\"type\":\"ping\"}\n\ndata: {\"type\":\"response.output_text\""
};


#define count(a)  (sizeof(a) / sizeof((a)[0]))


static void
feed(void *ctx, const unsigned char *p, size_t n)
{
    ollama_first_e   before, what;
    ollama_first_t  *f = ctx;

    before = f->what;

    what = ollama_first_feed(f, p, n);

    assert_int_equal(what, f->what);

    if (before != OLLAMA_FIRST_UNKNOWN) {
        assert_int_equal(f->what, before);
    }
}


static void
test_failures(void **state)
{
    size_t            i, way, n;
    ollama_first_t    f;
    const failure_t  *one;

    (void) state;

    for (i = 0; i < count(failures); i++) {
        one = &failures[i];
        n = strlen(one->body);

        for (way = 0; way < pieces_ways(n); way++) {
            memset(&f, 0xff, sizeof(f));
            ollama_first_init(&f);
            pieces_feed(one->body, n, way, feed, &f);

            if (f.what != OLLAMA_FIRST_ERROR) {
                print_error("%s\n", one->body);
            }

            assert_int_equal(f.what, OLLAMA_FIRST_ERROR);
            assert_string_equal(f.text, one->text);
            assert_int_equal(f.len, strlen(one->text));
            assert_string_equal(f.type, one->type);
            assert_int_equal(f.status, one->status);
        }
    }
}


static void
test_answers(void **state)
{
    size_t          i, k, n;
    ollama_first_t  f;

    (void) state;

    for (i = 0; i < count(answers); i++) {
        n = strlen(answers[i]);

        ollama_first_init(&f);

        for (k = 0; k < n; k++) {

            if (f.what != OLLAMA_FIRST_UNKNOWN) {
                print_error("%s: too early, at %zu\n", answers[i], k);
            }

            assert_int_equal(f.what, OLLAMA_FIRST_UNKNOWN);
            pieces_one(answers[i] + k, 1, feed, &f);
        }

        if (f.what != OLLAMA_FIRST_ANSWER) {
            print_error("%s: too late\n", answers[i]);
        }

        assert_int_equal(f.what, OLLAMA_FIRST_ANSWER);
    }
}


static void
test_forms(void **state)
{
    size_t          i;
    ollama_first_t  f;

    static const struct {
        const char             *body;
        unsigned                known;
        ollama_usage_format_e   format;
    } forms[] = {
        { "", 0, OLLAMA_FORMAT_OTHER },
        { " \r\n\t", 0, OLLAMA_FORMAT_OTHER },
        { "dat", 0, OLLAMA_FORMAT_OTHER },
        { "{", 1, OLLAMA_FORMAT_JSON },
        { "\n{", 1, OLLAMA_FORMAT_JSON },
        { ":", 1, OLLAMA_FORMAT_SSE },
        { "data:", 1, OLLAMA_FORMAT_SSE },
        { "event\n", 1, OLLAMA_FORMAT_SSE },
        { "id:", 1, OLLAMA_FORMAT_SSE },
        { "retry:", 1, OLLAMA_FORMAT_SSE },
        { "datas:", 1, OLLAMA_FORMAT_OTHER },
        { "error:", 1, OLLAMA_FORMAT_OTHER },
        { "<html>", 1, OLLAMA_FORMAT_OTHER },
        { "[1]", 1, OLLAMA_FORMAT_OTHER },
        { "upstream request timeout", 1, OLLAMA_FORMAT_OTHER }
    };

    (void) state;

    for (i = 0; i < count(forms); i++) {
        ollama_first_init(&f);
        ollama_first_feed(&f, (const unsigned char *) forms[i].body,
                          strlen(forms[i].body));
        assert_int_equal(f.form.known, forms[i].known);
        assert_int_equal(f.form.format, forms[i].format);
    }
}


/* the buffer is full, or the body is over */

static void
test_finish(void **state)
{
    ollama_first_t  f;

    (void) state;

    ollama_first_init(&f);
    assert_int_equal(ollama_first_finish(&f), OLLAMA_FIRST_ANSWER);

    ollama_first_init(&f);
    ollama_first_feed(&f, (const unsigned char *) "{\"error\":\"you have", 18);
    assert_int_equal(f.what, OLLAMA_FIRST_UNKNOWN);
    assert_int_equal(ollama_first_finish(&f), OLLAMA_FIRST_ERROR);
    assert_string_equal(f.text, "you have");

    ollama_first_init(&f);
    ollama_first_feed(&f, (const unsigned char *) ": ping\n\n", 8);
    assert_int_equal(ollama_first_finish(&f), OLLAMA_FIRST_ANSWER);
    assert_int_equal(f.form.format, OLLAMA_FORMAT_SSE);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_finish)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
