/* The cutter: what passes, what is dropped, what is held back and how long. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pieces.h"
#include "sse_cut.h"


#define HEAD    "data: {\"id\":\"chatcmpl-730\",\"object\":"                   \
                "\"chat.completion.chunk\",\"created\":1788158498,"            \
                "\"model\":\"gpt-oss:20b\",\"system_fingerprint\":"            \
                "\"fp_ollama\",\"choices\":["
#define CHUNK   HEAD "{\"index\":0,\"delta\":{\"content\":\"Hello\"},"         \
                "\"finish_reason\":null}]}\n\n"
#define COUNTS  "{\"prompt_tokens\":73,\"completion_tokens\":78,"              \
                "\"total_tokens\":151}"
#define EXTRA   HEAD "],\"usage\":" COUNTS "}\n\n"
#define DONE    "data: [DONE]\n\n"

/* of /v1/completions: the choices before the model, a usage in every chunk */

#define TEXT    "data: {\"id\":\"cmpl-12\",\"object\":\"text_completion\","    \
                "\"choices\":[{\"text\":\"Hi\",\"index\":0}],\"model\":\"m\"," \
                "\"usage\":{\"prompt_tokens\":0}}\n\n"
#define TEXTRA  "data: {\"id\":\"cmpl-12\",\"object\":\"text_completion\","    \
                "\"choices\":[],\"model\":\"m\",\"usage\":" COUNTS "}\n\n"


typedef struct {
    const char  *name;
    const char  *in;
    const char  *out;               /* NULL: all of it */
} cut_case_t;


typedef struct {
    size_t  fed;
    size_t  len;
    char    out[65536];
} cut_sink_t;


static ollama_sse_cut_t  *c;
static cut_sink_t         sink;


/* Events end with \n: read also with CR LF and CR, see run_case(). */

static const cut_case_t  cases[] = {

    { "chat", CHUNK CHUNK EXTRA DONE, CHUNK CHUNK DONE },
    { "completions", TEXT TEXT TEXTRA DONE, TEXT TEXT DONE },
    { "nothing to cut", CHUNK CHUNK DONE, NULL },
    { "nothing else", EXTRA, "" },
    { "first and last", EXTRA CHUNK EXTRA EXTRA, CHUNK },
    { "empty", "", NULL },

    { "usage before choices",
      CHUNK "data: {\"usage\":" COUNTS ",\"choices\":[]}\n\n" DONE,
      CHUNK DONE },

    { "white space",
      CHUNK "data:{ \"choices\" : [ ] , \"usage\" : { } }\n\n" DONE,
      CHUNK DONE },

    { "names in escapes",
      "data: {\"\\u0063hoices\":[],\"us\\u0061ge\":{}}\n\n" DONE, DONE },

    { "data over several lines",
      CHUNK "data: {\"choices\":\ndata: [],\ndata: \"usage\":\ndata: {}}\n\n"
      DONE, CHUNK DONE },

    { "brackets with white space or a line's end between",
      CHUNK "data: {\"choices\":[ ],\"usage\":{}}\n\n" CHUNK
      "data: {\"choices\":[\t],\"usage\":{}}\n\n"
      "data: {\"choices\":[\ndata: ],\"usage\":{}}\n\n" CHUNK
      "data: {\"choices\":[\ndata:],\"usage\":{}}\n\n" DONE,
      CHUNK CHUNK CHUNK DONE },

    { "brackets in a text",
      HEAD "{\"delta\":{\"content\":\"[] [ ] :] ]\"}}]}\n\n" EXTRA DONE,
      HEAD "{\"delta\":{\"content\":\"[] [ ] :] ]\"}}]}\n\n" DONE },

    { "with an event's name", "event: x\nid: 1\n" EXTRA DONE, DONE },

    { "a comment before it stays", ": ping\n\n: ping\n" EXTRA ": x\n" CHUNK,
      ": ping\n\n: ping\n: x\n" CHUNK },

    { "no usage", HEAD "],\"x\":1}\n\n" DONE, NULL },
    { "usage null", HEAD "],\"usage\":null}\n\n" DONE, NULL },
    { "usage of another type", HEAD "],\"usage\":[{}]}\n\n" DONE, NULL },
    { "choices null", "data: {\"choices\":null,\"usage\":{}}\n\n", NULL },
    { "choices absent", "data: {\"usage\":" COUNTS "}\n\n" DONE, NULL },
    { "choices an object", "data: {\"choices\":{},\"usage\":{}}\n\n", NULL },
    { "choices not empty, whatever is in it",
      "data: {\"choices\":[[]],\"usage\":{}}\n\n"
      "data: {\"choices\":[0],\"usage\":{}}\n\n"
      "data: {\"choices\":[\"\"],\"usage\":{}}\n\n"
      "data: {\"choices\":[null],\"usage\":{}}\n\n"
      "data: {\"choices\":[{}],\"usage\":{}}\n\n", NULL },
    { "longer and shorter names",
      "data: {\"choices2\":[],\"usage\":{}}\n\n"
      "data: {\"choice\":[],\"usage\":{}}\n\n"
      "data: {\"choicesx\":[],\"usage\":{}}\n\n"
      "data: {\"a long name choices\":[],\"usage\":{}}\n\n"
      "data: {\"choices\":[],\"usages\":{}}\n\n"
      "data: {\"choices\":[],\"x\\u0000usage\":{}}\n\n"
      "data: {\"choices\":[],\"usag\":{},\"e\":{}}\n\n", NULL },

    { "nested ones do not count",
      "data: {\"x\":{\"choices\":[],\"usage\":{}}}\n\n"
      "data: {\"choices\":[],\"x\":{\"usage\":{}}}\n\n"
      "data: {\"x\":{\"choices\":[]},\"usage\":{}}\n\n"
      "data: {\"x\":[{\"choices\":[],\"usage\":{}}],\"s\":\"\\\"choices\\\":[],"
      "\\\"usage\\\":{}\"}\n\n", NULL },

    { "errors and junk",
      "data: {\"error\":{\"message\":\"x\"}}\n\nhello\n\ndata\n\ndata:\n\n"
      "data: [1]\n\ndata: {]\n\ndataset: {\n\n\n\n\n<html>\n", NULL },

    { "a broken chunk passes",
      "data: {\"choices\":[} ],\"usage\":{}}\n\n" DONE, NULL },

    { "two events become one without a blank line",
      "data: {\"choices\":[]}\ndata: {\"usage\":{}}\n\n", NULL },

    { "broken off, it may be ours", CHUNK HEAD "]", CHUNK },
    { "broken off, it is ours", CHUNK HEAD "],\"usage\":{\"prom", CHUNK },
    { "broken off, who knows", CHUNK HEAD, NULL },
    { "broken off, not ours", CHUNK HEAD "{\"index\":", NULL },
    { "no blank line at the end", CHUNK HEAD "],\"usage\":" COUNTS "}", CHUNK }
};


static void
take(const ollama_sse_run_t *run)
{
    assert_in_range(run->len, 1, sizeof(sink.out) - sink.len);

    memcpy(sink.out + sink.len, run->data, run->len);
    sink.len += run->len;
}


static void
feed(void *ctx, const unsigned char *p, size_t n)
{
    ollama_sse_run_t      run;
    const unsigned char  *end;

    (void) ctx;

    end = p + n;

    while (ollama_sse_cut_next(c, &p, end, &run)) {
        if (!run.held) {
            assert_true(run.data + run.len <= end);
        }

        take(&run);
    }

    assert_ptr_equal(p, end);
    sink.fed += n;

    /* nothing is anywhere else */

    assert_int_equal(sink.fed, sink.len + ollama_sse_cut_held(c)
                               + ollama_sse_cut_dropped(c));
}


static void
start(void)
{
    ollama_sse_cut_reset(c);
    sink.fed = 0;
    sink.len = 0;
}


static void
finish(void)
{
    ollama_sse_run_t  run;

    if (ollama_sse_cut_finish(c, &run)) {
        assert_int_equal(run.held, 1);
        take(&run);
    }

    assert_int_equal(ollama_sse_cut_held(c), 0);
    assert_int_equal(sink.fed, sink.len + ollama_sse_cut_dropped(c));
    sink.out[sink.len] = '\0';
}


static char *
with_ends(const char *in, const char *ends)
{
    char        *out, *p;
    const char  *e;

    out = malloc(2 * strlen(in) + 1);
    assert_non_null(out);

    p = out;

    for ( /* void */ ; *in; in++) {
        if (*in != '\n') {
            *p++ = *in;
            continue;
        }

        for (e = ends; *e; e++) {
            *p++ = *e;
        }
    }

    *p = '\0';

    return out;
}


static void
run_case(const cut_case_t *k, const char *ends)
{
    char    *in, *out;
    size_t   n, way, second;

    in = with_ends(k->in, ends);
    out = with_ends(k->out ? k->out : k->in, ends);
    n = strlen(in);

    for (way = 0; way < pieces_ways(n); way++) {
        start();
        pieces_feed(in, n, way, feed, NULL);
        finish();

        if (strcmp(sink.out, out) != 0) {
            print_error("case \"%s\", way %zu\n", k->name, way);
        }

        assert_string_equal(sink.out, out);
    }

    /* three pieces, the middle one short */

    for (way = 0; way < n; way++) {
        for (second = 1; second < 4 && way + second <= n; second++) {
            start();
            pieces_one(in, way, feed, NULL);
            pieces_one(in + way, second, feed, NULL);
            pieces_one(in + way + second, n - way - second, feed, NULL);
            finish();

            assert_string_equal(sink.out, out);
        }
    }

    free(in);
    free(out);
}


static void
test_cases(void **state)
{
    size_t  i;

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        run_case(&cases[i], "\n");
        run_case(&cases[i], "\r\n");
        run_case(&cases[i], "\r");
    }
}


/* Byte by byte: which bytes have gone out when this one has come? */

static void
test_delay(void **state)
{
    size_t       n, i, known;
    const char  *p;

    static const struct {
        const char  *event;
        const char  *known;         /* from behind this on nothing is held */
    } delays[] = {
        { CHUNK, "\"choices\":[{" },
        { TEXT, "\"choices\":[{" },
        { DONE, "data: [" },
        { ": a comment\n\n", ":" },
        { "data: hello\n\n", "data: h" },
        { "data: {\"error\":{}}\n\n", "data: {\"error\":{}}" },
        { HEAD "]}\n\n", "\"choices\":[]}" },
        { "\n", "\n" },
        { EXTRA, "\"usage\":{" }
    };

    (void) state;

    for (i = 0; i < sizeof(delays) / sizeof(delays[0]); i++) {

        start();
        pieces_one(CHUNK, sizeof(CHUNK) - 1, feed, NULL);
        assert_int_equal(ollama_sse_cut_held(c), 0);

        p = strstr(delays[i].event, delays[i].known);
        assert_non_null(p);
        known = p - delays[i].event + strlen(delays[i].known);

        for (n = 0; delays[i].event[n]; n++) {
            pieces_one(delays[i].event + n, 1, feed, NULL);

            if (n + 1 < known) {
                assert_int_equal(ollama_sse_cut_held(c), n + 1);

            } else {
                assert_int_equal(ollama_sse_cut_held(c), 0);
            }
        }
    }
}


/* What is in one buffer goes out as one run where nothing is cut. */

static void
test_runs(void **state)
{
    ollama_sse_run_t      run;
    const unsigned char  *p, *start_of, *end;

    static const char  in[] = CHUNK CHUNK EXTRA CHUNK DONE;

    (void) state;

    ollama_sse_cut_reset(c);

    start_of = (const unsigned char *) in;
    p = start_of;
    end = p + sizeof(in) - 1;

    assert_int_equal(ollama_sse_cut_next(c, &p, end, &run), 1);
    assert_ptr_equal(run.data, start_of);
    assert_int_equal(run.len, 2 * (sizeof(CHUNK) - 1));
    assert_int_equal(run.held, 0);

    assert_int_equal(ollama_sse_cut_next(c, &p, end, &run), 1);
    assert_ptr_equal(run.data, start_of + sizeof(CHUNK CHUNK EXTRA) - 1);
    assert_int_equal(run.len, sizeof(CHUNK DONE) - 1);
    assert_int_equal(run.held, 0);

    assert_int_equal(ollama_sse_cut_next(c, &p, end, &run), 0);
    assert_ptr_equal(p, end);
    assert_int_equal(ollama_sse_cut_next(c, &p, end, &run), 0);

    assert_int_equal(ollama_sse_cut_dropped(c), sizeof(EXTRA) - 1);
    assert_int_equal(ollama_sse_cut_finish(c, &run), 0);
}


/* Where a buffer of nothing but text need not be shown to it */

static void
test_between(void **state)
{
    size_t  i;

    static const struct {
        const char  *in;
        int          between;
    } steps[] = {
        { "", 1 },
        { CHUNK, 1 },
        { CHUNK CHUNK, 1 },
        { CHUNK "d", 0 },
        { CHUNK HEAD, 0 },
        { CHUNK HEAD "{}]}\n", 0 },
        { CHUNK HEAD "{}]}\n\n", 1 },
        { CHUNK HEAD "{}]}\r\n\r", 0 },
        { CHUNK HEAD "{}]}\r\n\r\n", 1 },
        { CHUNK HEAD "]", 0 },
        { EXTRA, 1 },
        { CHUNK EXTRA, 1 },
        { ": x\n", 1 },
        { ": x", 0 }
    };

    (void) state;

    for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        start();
        pieces_one(steps[i].in, strlen(steps[i].in), feed, NULL);
        assert_int_equal(ollama_sse_cut_between(c), steps[i].between);
    }
}


static void
test_bound(void **state)
{
    char    in[20000];
    size_t  n, piece, i, used;

    static const size_t  pieces[] = { 1, 7, 100, 4096, 4097 };

    (void) state;

    for (i = 0; i < sizeof(pieces) / sizeof(size_t); i++) {

        /* an event that keeps us waiting longer than we hold */

        n = sprintf(in, "data: {\"a\":\"");
        memset(in + n, 'x', 9000);
        n += 9000;
        n += sprintf(in + n, "\",\"choices\":[],\"usage\":{}}\n\n" EXTRA DONE);

        start();
        used = mallinfo2().uordblks;

        for (piece = 0; piece < n; piece += pieces[i]) {
            feed(NULL, (unsigned char *) in + piece,
                 n - piece < pieces[i] ? n - piece : pieces[i]);
            assert_in_range(ollama_sse_cut_held(c), 0, OLLAMA_SSE_CUT_HOLD);
        }

        assert_int_equal(mallinfo2().uordblks, used);
        finish();

        assert_int_equal(sink.len, n - (sizeof(EXTRA) - 1));
        assert_memory_equal(sink.out, in, sink.len - (sizeof(DONE) - 1));
    }
}


static int
setup(void **state)
{
    (void) state;

    c = ollama_sse_cut_create();

    return c == NULL;
}


static int
teardown(void **state)
{
    (void) state;

    ollama_sse_cut_destroy(c);

    return 0;
}


int
main(void)
{
    static const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_delay),
        cmocka_unit_test(test_runs),
        cmocka_unit_test(test_between),
        cmocka_unit_test(test_bound)
    };

    return cmocka_run_group_tests_name("sse_cut", tests, setup, teardown);
}
