/*
 * Which conversation a body goes on with: each API, members in any order,
 * pieces split anywhere; what makes another one, and what does not.
 */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mix.h"
#include "pieces.h"
#include "request.h"


#define TURNS  OLLAMA_REQUEST_TURNS
#define USER   (OLLAMA_REQUEST_TURNS|OLLAMA_REQUEST_USER)

#define SAYS(role, text)  "{\"role\":\"" role "\",\"content\":\"" text "\"}"
#define CHAT(messages)    "{\"model\":\"m\",\"messages\":[" messages "]}"
#define PIC               "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAf"


/* the first body has no conversation; or the other is of the same, or not */

enum { none, same, another };


static const struct {
    const char  *name;
    unsigned     flags;
    int          what;
    const char  *one;
    const char  *two;           /* or NULL */
} cases[] = {

    { "the next turn", TURNS, same,
      CHAT(SAYS("system", "be") "," SAYS("user", "hi")),
      CHAT(SAYS("system", "be") "," SAYS("user", "hi") ","
           SAYS("assistant", "ho") "," SAYS("user", "and?")) },
    { "another first message", TURNS, another,
      CHAT(SAYS("user", "hi")), CHAT(SAYS("user", "ho")) },
    { "another system", TURNS, another,
      CHAT(SAYS("system", "a") "," SAYS("user", "hi")),
      CHAT(SAYS("system", "b") "," SAYS("user", "hi")) },
    { "no system", TURNS, another,
      CHAT(SAYS("system", "") "," SAYS("user", "hi")),
      CHAT(SAYS("user", "hi")) },
    { "another model is for others to add", TURNS, same,
      CHAT(SAYS("user", "hi")),
      "{\"model\":\"n\",\"messages\":[" SAYS("user", "hi") "]}" },
    { "what is said after it", TURNS, same,
      CHAT(SAYS("user", "hi")),
      CHAT(SAYS("user", "hi") "," SAYS("system", "b")) },
    { "a developer", TURNS, another,
      CHAT(SAYS("developer", "a") "," SAYS("user", "hi")),
      CHAT(SAYS("developer", "b") "," SAYS("user", "hi")) },
    { "a greeting before it", TURNS, same,
      CHAT(SAYS("assistant", "a") "," SAYS("user", "hi")),
      CHAT(SAYS("assistant", "b") "," SAYS("user", "hi")) },
    { "two messages or one", TURNS, another,
      CHAT(SAYS("system", "a") "," SAYS("system", "b") "," SAYS("user", "hi")),
      CHAT(SAYS("system", "ab") "," SAYS("user", "hi")) },
    { "only a system", TURNS, none, CHAT(SAYS("system", "a")), NULL },
    { "no message", TURNS, none, CHAT(""), NULL },
    { "messages that are none", TURNS, none,
      "{\"messages\":[null,1,\"user\",[\"content\"],{}]}", NULL },
    { "not in turns", 0, none, CHAT(SAYS("user", "hi")), NULL },
    { "generate", 0, none,
      "{\"model\":\"m\",\"system\":\"a\",\"prompt\":\"b\",\"context\":[1,2]}",
      NULL },
    { "a body that ends too early", TURNS, none,
      "{\"messages\":[" SAYS("user", "hi") "]", NULL },

    /* members in any order */

    { "the role behind the content", TURNS, same,
      CHAT(SAYS("system", "be") "," SAYS("user", "hi")),
      CHAT("{\"content\":\"be\",\"role\":\"system\"},"
           "{\"content\" : \"hi\" , \"name\":\"x\",\"role\" : \"user\"}") },
    { "the model behind all", TURNS, same,
      CHAT(SAYS("user", "hi")),
      "{\"messages\":[" SAYS("user", "hi") "],\"model\":\"m\"}" },
    { "other members", TURNS, same,
      CHAT(SAYS("user", "hi")),
      "{\"stream\":true,\"options\":{\"a\":[1]},\"model\":\"m\","
      "\"stream_options\":{\"x\":1},\"messages\":[{\"id\":7,\"a\":{\"role\":"
      "\"system\",\"content\":\"x\"},\"role\":\"user\",\"content\":\"hi\","
      "\"cache_control\":{\"type\":\"ephemeral\"}}],\"tools\":[{\"content\":"
      "\"x\"}],\"stream_options\":{}}" },
    { "duplicates: the last one", TURNS, same,
      CHAT(SAYS("user", "hi")),
      "{\"messages\":[" SAYS("system", "a") "," SAYS("user", "b") "],"
      "\"model\":\"m\",\"messages\":[" SAYS("user", "hi") "]}" },
    { "and if it is none", TURNS, none,
      "{\"messages\":[" SAYS("user", "b") "],\"messages\":[]}", NULL },
    { "of two roles the first one", TURNS, same,
      CHAT("{\"role\":\"user\",\"content\":\"hi\",\"role\":\"system\"}"),
      CHAT(SAYS("user", "hi") "," SAYS("user", "ho")) },
    { "another role first", TURNS, none,
      CHAT("{\"role\":\"tool\",\"role\":\"user\",\"content\":\"hi\"}"), NULL },
    { "a list that is an object", TURNS, none,
      "{\"messages\":{\"content\":" SAYS("user", "hi") "}}", NULL },
    { "capitals in names", TURNS, same,
      CHAT(SAYS("user", "hi")),
      "{\"Model\":\"m\",\"MESSAGES\":[{\"Role\":\"user\","
      "\"Content\":\"hi\"}]}" },
    { "escapes in names and roles", TURNS, same,
      CHAT(SAYS("user", "hi")),
      "{\"model\":\"m\",\"messages\":[{\"r\\u006fle\":\"us\\u0065r\","
      "\"con\\u0074ent\":\"hi\"}]}" },
    { "other escapes are other bytes", TURNS, another,
      CHAT(SAYS("user", "hi\\n")), CHAT(SAYS("user", "hi\\u000a")) },
    { "a quote in it", TURNS, another,
      CHAT(SAYS("user", "a\\\"b")), CHAT(SAYS("user", "a\\\"c")) },
    { "a content that is none", TURNS, same,
      CHAT("{\"role\":\"user\",\"content\":null,\"a\":\"b\"}"),
      CHAT("{\"role\":\"user\",\"content\":5,\"a\":\"c\",\"d\":\"e\"}") },

    /* parts */

    { "a mark that wanders", TURNS, same,
      CHAT("{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\","
           "\"cache_control\":{\"type\":\"ephemeral\"}}]}"),
      CHAT("{\"role\":\"user\",\"content\":[{\"text\":\"a\",\"type\":\"text\""
           "}]}," SAYS("assistant", "b") "," SAYS("user", "c")) },
    { "another part", TURNS, another,
      CHAT("{\"role\":\"user\",\"content\":[{\"text\":\"a\"},{\"text\":\"b\"}"
           "]}"),
      CHAT("{\"role\":\"user\",\"content\":[{\"text\":\"a\"},{\"text\":\"c\"}"
           "]}") },
    { "the text of a result", TURNS, another,
      CHAT("{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\","
           "\"content\":[{\"text\":\"a\"}]}]}"),
      CHAT("{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\","
           "\"content\":[{\"text\":\"b\"}]}]}") },
    { "a role deeper inside is none", TURNS, same,
      CHAT("{\"role\":\"user\",\"content\":[{\"text\":\"a\",\"role\":\"x\"}]}"),
      CHAT("{\"role\":\"user\",\"content\":[{\"text\":\"a\"}]}") },
    { "another picture", TURNS, another,
      CHAT("{\"role\":\"user\",\"content\":\"a\",\"images\":[\"" PIC "\"]}"),
      CHAT("{\"role\":\"user\",\"content\":\"a\",\"images\":[\"" PIC PIC
           "\"]}") },
    { "a picture as a source, then text", TURNS, same,
      CHAT("{\"role\":\"user\",\"content\":[{\"source\":{\"type\":\"base64\","
           "\"media_type\":\"image/png\",\"data\":\"" PIC "\"}},{\"text\":"
           "\"a\"}]}"),
      CHAT("{\"content\":[{\"source\":{\"data\":\"" PIC "\",\"type\":"
           "\"base64\",\"media_type\":\"image/png\"}},{\"text\":\"a\"}],"
           "\"role\":\"user\"}," SAYS("user", "b")) },

    /* Responses */

    { "input that is a text", TURNS, another,
      "{\"model\":\"m\",\"input\":\"a\"}", "{\"model\":\"m\",\"input\":\"b\"}" },
    { "and its instructions", TURNS, another,
      "{\"input\":\"a\",\"instructions\":\"b\"}",
      "{\"input\":\"a\",\"instructions\":\"c\"}" },
    { "input that is a list", TURNS, same,
      "{\"instructions\":\"b\",\"input\":[" SAYS("developer", "d") ","
      "{\"type\":\"message\",\"role\":\"user\",\"content\":[{\"type\":"
      "\"input_text\",\"text\":\"a\"}]}]}",
      "{\"input\":[" SAYS("developer", "d") ",{\"role\":\"user\",\"content\":["
      "{\"text\":\"a\"}]},{\"type\":\"function_call\",\"arguments\":\"{}\"},"
      "{\"type\":\"function_call_output\",\"output\":\"x\"}],"
      "\"instructions\":\"b\"}" },
    { "one that goes on with another", TURNS, none,
      "{\"previous_response_id\":\"resp_1\",\"input\":\"a\"}", NULL },
    { "with none", TURNS, same,
      "{\"previous_response_id\":null,\"input\":\"a\"}", "{\"input\":\"a\"}" },
    { "prompt_cache_key", TURNS, same,
      "{\"model\":\"m\",\"prompt_cache_key\":\"k\",\"input\":\"a\"}",
      "{\"model\":\"n\",\"input\":\"b\",\"prompt_cache_key\":\"k\","
      "\"previous_response_id\":\"resp_1\"}" },
    { "another one", TURNS, another,
      "{\"prompt_cache_key\":\"k\"}", "{\"prompt_cache_key\":\"l\"}" },
    { "which is empty", TURNS, same,
      "{\"prompt_cache_key\":\"\",\"input\":\"a\"}", "{\"input\":\"a\"}" },
    { "which is null", TURNS, same,
      "{\"prompt_cache_key\":null,\"input\":\"a\"}", "{\"input\":\"a\"}" },
    { "which is an array", TURNS, same,
      "{\"prompt_cache_key\":[\"k\"],\"input\":\"a\"}", "{\"input\":\"a\"}" },
    { "deeper inside", TURNS, same,
      "{\"x\":{\"prompt_cache_key\":\"k\"},\"input\":\"a\"}",
      "{\"input\":\"a\"}" },

    /* Anthropic */

    { "system", USER, another,
      "{\"system\":\"a\",\"messages\":[" SAYS("user", "hi") "]}",
      "{\"system\":\"b\",\"messages\":[" SAYS("user", "hi") "]}" },
    { "system in blocks, behind", USER, another,
      "{\"messages\":[" SAYS("user", "hi") "],\"system\":[{\"type\":\"text\","
      "\"text\":\"a\"},{\"text\":\"b\"}]}",
      "{\"messages\":[" SAYS("user", "hi") "],\"system\":[{\"type\":\"text\","
      "\"text\":\"a\"},{\"text\":\"c\"}]}" },
    { "system before or behind", USER, same,
      "{\"messages\":[" SAYS("user", "hi") "],\"system\":[{\"type\":\"text\","
      "\"text\":\"a\"}]}",
      "{\"system\":[{\"text\":\"a\",\"cache_control\":{\"type\":\"ephemeral\"}"
      "}],\"messages\":[" SAYS("user", "hi") "]}" },
    { "user_id", USER, same,
      "{\"metadata\":{\"user_id\":\"u\"},\"messages\":[" SAYS("user", "a") "]}",
      "{\"messages\":[" SAYS("user", "b") "],\"metadata\":{\"x\":\"y\","
      "\"user_id\":\"u\"}}" },
    { "another user_id", USER, another,
      "{\"metadata\":{\"user_id\":\"u\"},\"messages\":[" SAYS("user", "a") "]}",
      "{\"metadata\":{\"user_id\":\"v\"},\"messages\":[" SAYS("user", "a")
      "]}" },
    { "of another API", TURNS, same,
      "{\"metadata\":{\"user_id\":\"u\"},\"messages\":[" SAYS("user", "a") "]}",
      "{\"metadata\":{\"user_id\":\"v\"},\"messages\":[" SAYS("user", "a")
      "]}" },
    { "prompt_cache_key goes before it", USER, same,
      "{\"metadata\":{\"user_id\":\"u\"},\"prompt_cache_key\":\"k\"}",
      "{\"prompt_cache_key\":\"k\"}" },
    { "a user_id is no prompt_cache_key", USER, another,
      "{\"metadata\":{\"user_id\":\"u\"}}", "{\"prompt_cache_key\":\"u\"}" },
};


static ollama_request_t  *r;


static int
setup(void **state)
{
    (void) state;

    r = ollama_request_create();

    return r == NULL;
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
    ollama_request_feed(ctx, p, n);
}


/* split in every way, it is the same */

static uint64_t
session(const char *body, unsigned flags)
{
    size_t    i, len;
    uint64_t  first, hash;

    len = strlen(body);
    first = 0;

    for (i = 0; i < pieces_ways(len); i++) {
        ollama_request_reset(r, flags);
        pieces_feed(body, len, i, feed, r);
        ollama_request_finish(r);

        hash = ollama_request_facts(r)->session;

        if (i == 0) {
            first = hash;
        }

        if (hash != first) {
            fail_msg("%s, split in way %zu, is another one", body, i);
        }
    }

    return first;
}


static void
test_cases(void **state)
{
    size_t    i;
    uint64_t  one, two;

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {

        one = session(cases[i].one, cases[i].flags);

        if (cases[i].what == none) {
            if (one) {
                fail_msg("%s: there is one", cases[i].name);
            }

            continue;
        }

        two = session(cases[i].two, cases[i].flags);

        if (one == 0 || two == 0) {
            fail_msg("%s: there is none", cases[i].name);
        }

        if ((one == two) != (cases[i].what == same)) {
            fail_msg("%s", cases[i].name);
        }
    }
}


/* what begins, and what goes on */

static void
test_begins(void **state)
{
    size_t  i, k, len;

    static const struct {
        const char  *body;
        unsigned     begins;
    } turns[] = {
        { CHAT(SAYS("user", "hi")), 1 },
        { CHAT(SAYS("system", "be") "," SAYS("user", "hi")), 1 },
        { "{\"messages\":[" SAYS("user", "hi") "],\"tools\":[{\"a\":{}},{}]}", 1 },
        { CHAT(SAYS("user", "hi") "," SAYS("assistant", "ho")), 0 },
        { CHAT(SAYS("user", "hi") "," SAYS("assistant", "ho") ","
               SAYS("user", "hm")), 0 },
        { "{\"input\":\"hi\"}", 1 },
        { "{\"input\":[" SAYS("user", "hi") "]}", 1 },
        { "{\"input\":[" SAYS("user", "hi") ",{\"type\":\"reasoning\"}]}", 0 },
        { "{\"input\":\"hi\",\"prompt_cache_key\":\"k\"}", 0 },
        { "{\"messages\":[" SAYS("user", "a") "," SAYS("user", "b") "],"
          "\"messages\":[" SAYS("user", "a") "]}", 1 }
    };

    (void) state;

    for (i = 0; i < sizeof(turns) / sizeof(turns[0]); i++) {

        len = strlen(turns[i].body);

        for (k = 0; k < pieces_ways(len); k++) {
            ollama_request_reset(r, TURNS);
            pieces_feed(turns[i].body, len, k, feed, r);
            ollama_request_finish(r);

            assert_true(ollama_request_facts(r)->session != 0);
            assert_int_equal(ollama_request_facts(r)->begins, turns[i].begins);
        }
    }
}


/* 60 MB in the first message, in system, in a picture: all of it counts */

static void
test_large(void **state)
{
    size_t    i, k, n;
    uint64_t  hash[3][2];
    char     *piece;

    static const char  *start[] = {
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"",
        "{\"model\":\"m\",\"system\":\"",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"images\":[\""
    };
    static const char  *end[] = {
        "\"}]}", "\",\"messages\":[" SAYS("user", "hi") "]}", "\"]}]}"
    };

    (void) state;

    n = 1 << 20;
    piece = malloc(n);
    assert_non_null(piece);

    for (k = 0; k < 6; k++) {
        memset(piece, 'A', n);
        ollama_request_reset(r, USER);
        feed(r, (const unsigned char *) start[k / 2], strlen(start[k / 2]));

        for (i = 0; i < 60; i++) {
            piece[n / 2] = (k % 2 && i == 59) ? 'B' : 'A';
            feed(r, (unsigned char *) piece, n);
        }

        feed(r, (const unsigned char *) end[k / 2], strlen(end[k / 2]));
        ollama_request_finish(r);

        hash[k / 2][k % 2] = ollama_request_facts(r)->session;
        assert_true(hash[k / 2][k % 2] != 0);
    }

    assert_true(hash[0][0] != hash[0][1]);
    assert_true(hash[1][0] != hash[1][1]);
    assert_true(hash[2][0] == hash[2][1]);

    free(piece);
}


static void
test_mix(void **state)
{
    size_t         i, k, n;
    uint64_t       hash[2], all[2000];
    ollama_mix_t   m;
    unsigned char  data[100];

    (void) state;

    for (i = 0; i < sizeof(data); i++) {
        data[i] = (unsigned char) (i * 7);
    }

    /* split anywhere, of any length, the same; no two lengths or bits alike */

    n = 0;

    for (i = 0; i < sizeof(data); i++) {

        for (k = 0; k <= i; k++) {
            ollama_mix_begin(&m);
            ollama_mix_add(&m, data, k);
            ollama_mix_add(&m, data + k, i - k);
            hash[k != 0] = ollama_mix_end(&m);

            assert_true(k == 0 || hash[0] == hash[1]);
        }

        all[n++] = hash[0];

        for (k = 0; k < 8 && i; k++) {
            data[i - 1] ^= 1 << k;
            ollama_mix_begin(&m);
            ollama_mix_add(&m, data, i);
            all[n++] = ollama_mix_end(&m);
            data[i - 1] ^= 1 << k;
        }
    }

    for (i = 0; i < n; i++) {
        for (k = 0; k < i; k++) {
            assert_true(all[i] != all[k]);
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_begins),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_mix)
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
