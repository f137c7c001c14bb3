/* The request scanner: facts and edits, the body split in every way. */

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
#include "request.h"


#define NATIVE   OLLAMA_REQUEST_NATIVE
#define NAME     OLLAMA_REQUEST_NAME
#define MODEL    OLLAMA_EDIT_MODEL
#define USAGE    OLLAMA_EDIT_INCLUDE_USAGE
#define BOTH     (MODEL|USAGE)

#define INCLUDE  "\"include_usage\":true"
#define OPTIONS  "\"stream_options\":{" INCLUDE "}"


/*
 * facts: "model <- sent" (or "model", or "-") and the words of describe().
 * result: the body after the edits; NULL: as it was.
 */

typedef struct {
    unsigned     flags;
    unsigned     want;
    const char  *body;
    const char  *facts;
    const char  *result;
} request_case_t;


static ollama_request_t  *r;


static const request_case_t  model_cases[] = {

    { 0, BOTH, "{\"model\":\"glm-4.7\"}", "glm-4.7 noprompt nomessages", NULL },

    { 0, BOTH, "{\"model\":\"glm-4.7:cloud\"}",
      "glm-4.7 <- glm-4.7:cloud noprompt nomessages",
      "{\"model\":\"glm-4.7\"}" },

    { 0, BOTH, "{\"model\":\"gpt-oss:20b-cloud\"}",
      "gpt-oss:20b <- gpt-oss:20b-cloud noprompt nomessages",
      "{\"model\":\"gpt-oss:20b\"}" },

    { 0, BOTH, "{\"model\":\"gpt-oss:20b:cloud\"}",
      "gpt-oss:20b <- gpt-oss:20b:cloud noprompt nomessages",
      "{\"model\":\"gpt-oss:20b\"}" },

    { 0, USAGE, "{\"model\":\"glm-4.7:cloud\"}",
      "glm-4.7 <- glm-4.7:cloud noprompt nomessages", NULL },

    /* upper case, a namespace, a tag that ends so but is none */

    { 0, BOTH, "{\"model\":\"a/b:20B-Cloud\"}",
      "a/b:20B <- a/b:20B-Cloud noprompt nomessages",
      "{\"model\":\"a/b:20B\"}" },

    { 0, BOTH, "{\"model\":\"my-cloud\"}",
      "my-cloud noprompt nomessages", NULL },

    { 0, BOTH, "{\"model\":\"host:1/my-cloud\"}",
      "host:1/my-cloud noprompt nomessages", NULL },

    { 0, BOTH, "{\"model\":\"host:1/my:cloud\"}",
      "host:1/my <- host:1/my:cloud noprompt nomessages",
      "{\"model\":\"host:1/my\"}" },

    { 0, BOTH, "{\"model\":\"x:cloudy\"}", "x:cloudy noprompt nomessages",
      NULL },

    { 0, BOTH, "{\"model\":\":cloud\"}", ":cloud noprompt nomessages", NULL },
    { 0, BOTH, "{\"model\":\"-cloud\"}", "-cloud noprompt nomessages", NULL },
    { 0, BOTH, "{\"model\":\"cloud\"}", "cloud noprompt nomessages", NULL },
    { 0, BOTH, "{\"model\":\"x:-cloud\"}", "x:-cloud noprompt nomessages",
      NULL },
    { 0, BOTH, "{\"model\":\"\"}", "- noprompt nomessages", NULL },

    /* once: a name with two suffixes is the cloud's to refuse */

    { 0, BOTH, "{\"model\":\"x:cloud:cloud\"}",
      "x:cloud <- x:cloud:cloud noprompt nomessages",
      "{\"model\":\"x:cloud\"}" },

    /* escapes: in the suffix, elsewhere, in the name of the member */

    { 0, BOTH, "{\"model\":\"a:b\\u002dcloud\"}",
      "a:b <- a:b-cloud noprompt nomessages", "{\"model\":\"a:b\"}" },

    { 0, BOTH, "{\"model\":\"a\\u003A\\u0063\\u006c\\u006F\\u0075\\u0064\"}",
      "a <- a:cloud noprompt nomessages", "{\"model\":\"a\"}" },

    { 0, BOTH, "{\"model\":\"a\\u003ab-c\\u006coud\"}",
      "a:b <- a:b-cloud noprompt nomessages", "{\"model\":\"a\\u003ab\"}" },

    { 0, BOTH, "{\"model\":\"\\ud83e\\udd99\\n\\\"\\/\\\\:cloud\"}",
      "\xf0\x9f\xa6\x99\n\"/\\ <- \xf0\x9f\xa6\x99\n\"/\\:cloud"
      " noprompt nomessages",
      "{\"model\":\"\\ud83e\\udd99\\n\\\"\\/\\\\\"}" },

    { 0, BOTH, "{\"model\":\"\\ud83e:cloud\"}",
      "\xef\xbf\xbd <- \xef\xbf\xbd:cloud noprompt nomessages",
      "{\"model\":\"\\ud83e\"}" },

    { 0, BOTH, "{\"model\":\"\\ude00\\ud83e\\u00e9\\u20ac\\ud83e\"}",
      "\xef\xbf\xbd\xef\xbf\xbd\xc3\xa9\xe2\x82\xac\xef\xbf\xbd"
      " noprompt nomessages", NULL },

    { 0, BOTH, "{\"\\u006dodel\":\"a:cloud\"}",
      "a <- a:cloud noprompt nomessages", "{\"\\u006dodel\":\"a\"}" },

    /* names match whatever their case; duplicates: all edited, last holds */

    { 0, BOTH, "{\"Model\":\"a:cloud\"}", "a <- a:cloud noprompt nomessages",
      "{\"Model\":\"a\"}" },

    { 0, BOTH, "{\"model\":\"a:cloud\",\"MODEL\":\"b\","
      "\"model\":\"c:d-cloud\"}",
      "c:d <- c:d-cloud noprompt nomessages",
      "{\"model\":\"a\",\"MODEL\":\"b\",\"model\":\"c:d\"}" },

    { 0, BOTH, "{\"model\":\"a:cloud\",\"model\":null,\"model\":[\"b:cloud\"]}",
      "a <- a:cloud noprompt nomessages",
      "{\"model\":\"a\",\"model\":null,\"model\":[\"b:cloud\"]}" },

    /* of very many duplicates the last ones */

    { 0, BOTH, "{\"model\":\"0:cloud\",\"model\":\"1:cloud\","
      "\"model\":\"2:cloud\",\"model\":\"3:cloud\",\"model\":\"4:cloud\","
      "\"model\":\"5:cloud\",\"model\":\"6:cloud\",\"model\":\"7:cloud\","
      "\"model\":\"8:cloud\",\"model\":\"9:cloud\"}",
      "9 <- 9:cloud noprompt nomessages",
      "{\"model\":\"0:cloud\",\"model\":\"1:cloud\","
      "\"model\":\"2\",\"model\":\"3\",\"model\":\"4\","
      "\"model\":\"5\",\"model\":\"6\",\"model\":\"7\","
      "\"model\":\"8\",\"model\":\"9\"}" },

    /* only at the top */

    { 0, BOTH, "{\"tools\":[{\"model\":\"a:cloud\"}],"
      "\"x\":{\"model\":\"b:cloud\","
      "\"y\":[[{\"model\":\"c:cloud\"}]]},\"model\":\"d:cloud\"}",
      "d <- d:cloud noprompt nomessages",
      "{\"tools\":[{\"model\":\"a:cloud\"}],\"x\":{\"model\":\"b:cloud\","
      "\"y\":[[{\"model\":\"c:cloud\"}]]},\"model\":\"d\"}" },

    { 0, BOTH, "{\"a\":\"\\\"model\\\":\\\"a:cloud\\\"\","
      "\"models\":\"b:cloud\","
      "\"mode\":\"c:cloud\",\"mode\\u0000\":\"d:cloud\"}",
      "- noprompt nomessages", NULL },

    /* every other byte stays */

    { 0, BOTH, "\r\n {\t\"model\" :\n \"a:cloud\" ,\"\" : 1e5 } \n",
      "a <- a:cloud noprompt nomessages",
      "\r\n {\t\"model\" :\n \"a\" ,\"\" : 1e5 } \n" },

    /* `name` is the older one's way, for /api/show */

    { 0, BOTH, "{\"name\":\"a:cloud\"}", "- noprompt nomessages", NULL },

    { NAME, BOTH, "{\"name\":\"a:cloud\"}", "a <- a:cloud noprompt nomessages",
      "{\"name\":\"a\"}" },

    { NAME, BOTH, "{\"model\":\"b:cloud\",\"name\":\"a:cloud\"}",
      "b <- b:cloud noprompt nomessages", "{\"model\":\"b\",\"name\":\"a\"}" },

    { NAME, BOTH, "{\"name\":\"a:cloud\",\"model\":\"b:cloud\"}",
      "b <- b:cloud noprompt nomessages", "{\"name\":\"a\",\"model\":\"b\"}" }
};


static const request_case_t  stream_cases[] = {

    { 0, BOTH, "{\"stream\":true}", "- stream streaming noprompt nomessages",
      "{" OPTIONS ",\"stream\":true}" },

    { 0, BOTH, "\n{ \"stream\":true}", "- stream streaming noprompt nomessages",
      "\n{" OPTIONS ", \"stream\":true}" },

    { 0, MODEL, "{\"stream\":true}", "- stream streaming noprompt nomessages",
      NULL },

    { 0, BOTH, "{}", "- noprompt nomessages", NULL },
    { NATIVE, MODEL, "{}", "- streaming noprompt nomessages", NULL },

    { 0, BOTH, "{\"stream\":false}", "- nostream noprompt nomessages", NULL },
    { 0, BOTH, "{\"stream\":\"true\"}", "- noprompt nomessages", NULL },

    /* null leaves a plain field alone; the native one is a pointer */

    { 0, BOTH, "{\"stream\":null}", "- noprompt nomessages", NULL },

    { 0, BOTH, "{\"stream\":true,\"stream\":null}",
      "- stream streaming noprompt nomessages",
      "{" OPTIONS ",\"stream\":true,\"stream\":null}" },

    { NATIVE, MODEL, "{\"stream\":false,\"stream\":null}",
      "- streaming noprompt nomessages", NULL },

    { NATIVE, BOTH, "{\"stream\":true,\"stream\":null}",
      "- streaming noprompt nomessages", NULL },

    { NATIVE, MODEL, "{\"stream\":false}", "- nostream noprompt nomessages",
      NULL },

    { 0, BOTH, "{\"stream\":true,\"Stream\":false}",
      "- nostream noprompt nomessages", NULL },

    { 0, BOTH, "{\"stream\":false,\"STREAM\":true}",
      "- stream streaming noprompt nomessages",
      "{" OPTIONS ",\"stream\":false,\"STREAM\":true}" },

    { 0, BOTH, "{\"\xc5\xbftream\":true}",
      "- stream streaming noprompt nomessages",
      "{" OPTIONS ",\"\xc5\xbftream\":true}" },

    { 0, BOTH, "{\"\\u017Ftream\":true}",
      "- stream streaming noprompt nomessages",
      "{" OPTIONS ",\"\\u017Ftream\":true}" },

    /* an object is there */

    { 0, BOTH, "{\"stream\":true,\"stream_options\":{\"include_usage\":true}}",
      "- stream streaming options usage noprompt nomessages", NULL },

    { 0, BOTH, "{\"stream\":true,\"stream_options\":{\"include_usage\":false}}",
      "- stream streaming options noprompt nomessages",
      "{\"stream\":true,\"stream_options\":{\"include_usage\":true}}" },

    { 0, BOTH, "{\"stream_options\":{\"include_usage\" : null },"
      "\"stream\":true}",
      "- stream streaming options noprompt nomessages",
      "{\"stream_options\":{\"include_usage\" : true },\"stream\":true}" },

    { 0, BOTH, "{\"stream\":true,\"stream_options\":{}}",
      "- stream streaming options noprompt nomessages",
      "{\"stream\":true," OPTIONS "}" },

    { 0, BOTH, "{\"stream\":true,\"stream_options\": { } }",
      "- stream streaming options noprompt nomessages",
      "{\"stream\":true,\"stream_options\": {" INCLUDE " } }" },

    { 0, BOTH, "{\"stream\":true,\"stream_options\":{\"a\":{\"include_usage\""
      ":true},\"b\":[{}]}}",
      "- stream streaming options noprompt nomessages",
      "{\"stream\":true,\"stream_options\":{" INCLUDE ","
      "\"a\":{\"include_usage\""
      ":true},\"b\":[{}]}}" },

    { 0, BOTH, "{\"stream\":true,\"stream_options\":null}",
      "- stream streaming noprompt nomessages",
      "{\"stream\":true,\"stream_options\":{" INCLUDE "}}" },

    { 0, BOTH, "{\"STREAM_OPTIONS\":{\"Include_Usage\":false},\"stream\":true}",
      "- stream streaming options noprompt nomessages",
      "{\"STREAM_OPTIONS\":{\"Include_Usage\":true},\"stream\":true}" },

    { 0, BOTH, "{\"\xc5\xbftream_option\xc5\xbf\":{"
      "\"INCLUDE_U\\u017fAGE\":true},\"stream\":true}",
      "- stream streaming options usage noprompt nomessages", NULL },

    /* duplicates, of the object and in it */

    { 0, BOTH, "{\"stream\":true,\"stream_options\":{\"include_usage\":false,"
      "\"include_usage\":true}}",
      "- stream streaming options usage noprompt nomessages", NULL },

    { 0, BOTH, "{\"stream\":true,\"stream_options\":{\"include_usage\":true,"
      "\"include_usage\":false,\"include_usage\":null}}",
      "- stream streaming options noprompt nomessages",
      "{\"stream\":true,\"stream_options\":{\"include_usage\":true,"
      "\"include_usage\":true,\"include_usage\":true}}" },

    { 0, BOTH, "{\"stream_options\":{\"include_usage\":true},\"stream\":true,"
      "\"stream_options\":{}}",
      "- stream streaming options usage noprompt nomessages", NULL },

    { 0, BOTH, "{\"stream_options\":{\"include_usage\":true},\"stream\":true,"
      "\"stream_options\":null}",
      "- stream streaming noprompt nomessages",
      "{\"stream_options\":{\"include_usage\":true},\"stream\":true,"
      "\"stream_options\":{\"include_usage\":true}}" },

    { 0, BOTH, "{\"stream_options\":null,\"stream\":true,"
      "\"stream_options\":{\"x\":1},\"stream_options\":{\"include_usage\":"
      "false}}",
      "- stream streaming options noprompt nomessages",
      "{\"stream_options\":{\"include_usage\":true},\"stream\":true,"
      "\"stream_options\":{\"include_usage\":true,\"x\":1},"
      "\"stream_options\":{\"include_usage\":true}}" },

    { 0, BOTH, "{\"stream_options\":{\"include_usage\":false},"
      "\"stream_options\":{\"x\":1},\"stream\":true}",
      "- stream streaming options noprompt nomessages",
      "{\"stream_options\":{\"include_usage\":true},"
      "\"stream_options\":{\"include_usage\":true,\"x\":1},\"stream\":true}" },

    { 0, BOTH, "{\"stream_options\":{},\"x\":{},\"y\":{\"a\":{}},"
      "\"stream\":true}",
      "- stream streaming options noprompt nomessages",
      "{" OPTIONS ",\"x\":{},\"y\":{\"a\":{}},\"stream\":true}" },

    /* wrong types are the cloud's to refuse */

    { 0, BOTH, "{\"stream\":true,\"stream_options\":\"x\"}",
      "- stream streaming noprompt nomessages", NULL },

    { 0, BOTH, "{\"stream\":true,"
      "\"stream_options\":[{\"include_usage\":false}]}",
      "- stream streaming noprompt nomessages", NULL },

    { 0, BOTH, "{\"stream\":true,\"stream_options\":{\"include_usage\":0}}",
      "- stream streaming options noprompt nomessages", NULL },

    /* elsewhere it is none */

    { 0, BOTH, "{\"include_usage\":true,\"stream\":true}",
      "- stream streaming noprompt nomessages",
      "{" OPTIONS ",\"include_usage\":true,\"stream\":true}" },

    { 0, BOTH, "{\"x\":{\"stream_options\":{}},\"stream\":true}",
      "- stream streaming noprompt nomessages",
      "{" OPTIONS ",\"x\":{\"stream_options\":{}},\"stream\":true}" },

    /* both kinds of edits, in the order of the body */

    { 0, BOTH, "{\"model\":\"a:cloud\",\"stream_options\":{},\"stream\":true,"
      "\"model\":\"b:c-cloud\",\"messages\":[{}]}",
      "b:c <- b:c-cloud stream streaming options noprompt",
      "{\"model\":\"a\"," OPTIONS ",\"stream\":true,"
      "\"model\":\"b:c\",\"messages\":[{}]}" },

    { 0, BOTH, "{\"model\":\"a:cloud\",\"stream\":true}",
      "a <- a:cloud stream streaming noprompt nomessages",
      "{" OPTIONS ",\"model\":\"a\",\"stream\":true}" }
};


/* what follows the first value is not read */

static const request_case_t  tail_cases[] = {

    { 0, BOTH, "{\"stream\":true}}", "- stream streaming noprompt nomessages",
      "{" OPTIONS ",\"stream\":true}}" },
    { 0, BOTH, "{\"model\":\"a:cloud\"}\n{\"model\":\"b\"}",
      "a <- a:cloud noprompt nomessages",
      "{\"model\":\"a\"}\n{\"model\":\"b\"}" },
    { 0, BOTH, "{\"model\":\"a\"} // end", "a noprompt nomessages", NULL },
    { 0, BOTH, "{\"model\":\"a\"}{", "a noprompt nomessages", NULL },
    { 0, BOTH, "{}\xff", "- noprompt nomessages", NULL }
};


static const request_case_t  preload_cases[] = {

    { NATIVE, MODEL, "{\"model\":\"a\",\"prompt\":\"\"}",
      "a streaming noprompt nomessages", NULL },
    { NATIVE, MODEL, "{\"prompt\":\"x\"}", "- streaming nomessages", NULL },
    { NATIVE, MODEL, "{\"prompt\":\"\\n\"}", "- streaming nomessages", NULL },
    { NATIVE, MODEL, "{\"prompt\":null}", "- streaming noprompt nomessages",
      NULL },
    { NATIVE, MODEL, "{\"prompt\":\"x\",\"prompt\":\"\"}",
      "- streaming noprompt nomessages", NULL },
    { NATIVE, MODEL, "{\"prompt\":[1]}", "- streaming nomessages", NULL },
    { NATIVE, MODEL, "{\"prompt\":7}", "- streaming nomessages", NULL },
    { NATIVE, MODEL, "{\"prompt\":{}}", "- streaming nomessages", NULL },

    { NATIVE, MODEL, "{\"messages\":[]}", "- streaming noprompt nomessages",
      NULL },
    { NATIVE, MODEL, "{\"messages\":[ \n ]}",
      "- streaming noprompt nomessages", NULL },
    { NATIVE, MODEL, "{\"messages\":[{}]}", "- streaming noprompt", NULL },
    { NATIVE, MODEL, "{\"messages\":[[]]}", "- streaming noprompt", NULL },
    { NATIVE, MODEL, "{\"messages\":[1],\"messages\":null}",
      "- streaming noprompt nomessages", NULL },
    { NATIVE, MODEL, "{\"messages\":[],\"messages\":[0]}",
      "- streaming noprompt", NULL },
    { NATIVE, MODEL, "{\"messages\":{}}", "- streaming noprompt", NULL },
    { NATIVE, MODEL, "{\"messages\":\"\"}", "- streaming noprompt", NULL },
    { NATIVE, MODEL, "{\"messages\":true}", "- streaming noprompt", NULL },

    { NATIVE, MODEL, "{\"keep_alive\":0}",
      "- streaming noprompt nomessages unload", NULL },
    { NATIVE, MODEL, "{\"keep_alive\":-0.00e7}",
      "- streaming noprompt nomessages unload", NULL },
    { NATIVE, MODEL, "{\"\xe2\x84\xaa" "eep_alive\":\"0\"}",
      "- streaming noprompt nomessages unload", NULL },
    { NATIVE, MODEL, "{\"keep_alive\":\"0s\"}",
      "- streaming noprompt nomessages unload", NULL },
    { NATIVE, MODEL, "{\"keep_alive\":\"0h0.0m\"}",
      "- streaming noprompt nomessages unload", NULL },
    { NATIVE, MODEL, "{\"keep_alive\":\"10s\"}",
      "- streaming noprompt nomessages", NULL },
    { NATIVE, MODEL, "{\"keep_alive\":\"s\"}",
      "- streaming noprompt nomessages", NULL },
    { NATIVE, MODEL, "{\"keep_alive\":10}", "- streaming noprompt nomessages",
      NULL },
    { NATIVE, MODEL, "{\"keep_alive\":0.5}", "- streaming noprompt nomessages",
      NULL },
    { NATIVE, MODEL, "{\"keep_alive\":-1}", "- streaming noprompt nomessages",
      NULL },
    { NATIVE, MODEL, "{\"keep_alive\":0,\"keep_alive\":null}",
      "- streaming noprompt nomessages", NULL },
    { NATIVE, MODEL, "{\"keep_alive\":0,\"keep_alive\":[]}",
      "- streaming noprompt nomessages", NULL },
    { NATIVE, MODEL, "{\"keep_alive\":0,\"keep_alive\":false}",
      "- streaming noprompt nomessages", NULL }
};


#define GOOD  "\"model\":\"a:cloud\",\"stream\":true"

static const char  *invalid_bodies[] = {
    "", " ", "{", "}", "[]", "null", "1", "\"" GOOD "\"", "model=a:cloud",
    "\xef\xbb\xbf{" GOOD "}",
    "{" GOOD, "{" GOOD ",", "{" GOOD ",}", "{" GOOD "]", "{," GOOD "}", "{" GOOD ",,\"a\":1}",
    "{" GOOD ",\"a\"}", "{" GOOD ",\"a\":}", "{" GOOD ",\"a\" 1}",
    "{" GOOD ",a:1}", "{" GOOD ",'a':1}", "{" GOOD " \"a\":1}",
    "{" GOOD ",\"a\":[1,]}", "{" GOOD ",\"a\":[,1]}", "{" GOOD ",\"a\":[1 2]}",
    "{" GOOD ",\"a\":[1}]", "{" GOOD ",\"a\":{\"b\":1]}",
    "{" GOOD ",\"a\":{\"b\":[{]}}",
    "{" GOOD ",\"a\":01}", "{" GOOD ",\"a\":-}", "{" GOOD ",\"a\":+1}",
    "{" GOOD ",\"a\":1.}", "{" GOOD ",\"a\":.5}", "{" GOOD ",\"a\":1e}",
    "{" GOOD ",\"a\":1e+}", "{" GOOD ",\"a\":1e5.}", "{" GOOD ",\"a\":-a}",
    "{" GOOD ",\"a\":0x1}", "{" GOOD ",\"a\":1.2.3}", "{" GOOD ",\"a\":NaN}",
    "{" GOOD ",\"a\":tru}", "{" GOOD ",\"a\":truE}", "{" GOOD ",\"a\":nul}",
    "{" GOOD ",\"a\":falsee}", "{" GOOD ",\"a\":True}",
    "{" GOOD ",\"a\":\"}", "{" GOOD ",\"a\":\"\n\"}", "{" GOOD ",\"a\":\"\t\"}",
    "{" GOOD ",\"a\":\"\\x\"}", "{" GOOD ",\"a\":\"\\u12g4\"}",
    "{" GOOD ",\"a\":\"\\u123\"}", "{" GOOD ",\"a\":\"\\",
    "{" GOOD ",\"a\":1 /* */}",
    "\x1f\x8b\x08\x00\x01\x02", "\x28\xb5\x2f\xfd"
};


static void
feed(void *ctx, const unsigned char *p, size_t n)
{
    ollama_request_feed(ctx, p, n);
}


static void
describe(char *out, size_t size)
{
    const ollama_request_facts_t  *f;

    f = ollama_request_facts(r);

    if (!f->valid) {
        snprintf(out, size, "invalid");
        return;
    }

    assert_int_equal(f->model_stripped, f->model_len != f->model_sent_len);
    assert_int_equal(strlen(f->model), f->model_len);
    assert_int_equal(strlen(f->model_sent), f->model_sent_len);

    snprintf(out, size, "%s%s%s%s%s%s%s%s%s%s",
             f->model_len ? f->model : "-",
             f->model_stripped ? " <- " : "",
             f->model_stripped ? f->model_sent : "",
             !f->stream_present ? "" : f->stream_true ? " stream" : " nostream",
             f->streaming ? " streaming" : "",
             f->stream_options ? " options" : "",
             f->include_usage ? " usage" : "",
             f->prompt_empty ? " noprompt" : "",
             f->messages_empty ? " nomessages" : "",
             f->keep_alive_zero ? " unload" : "");
}


static void
apply(const char *body, size_t n, unsigned want, char *out)
{
    size_t         i, count;
    uint64_t       from;
    ollama_edit_t  edits[OLLAMA_REQUEST_MAX_EDITS];

    count = ollama_request_edits(r, want, edits, OLLAMA_REQUEST_MAX_EDITS);
    assert_in_range(count, 0, OLLAMA_REQUEST_MAX_EDITS);

    from = 0;

    for (i = 0; i < count; i++) {
        assert_in_range(edits[i].offset, from, n);
        assert_in_range(edits[i].remove, 0, n - edits[i].offset);

        memcpy(out, body + from, edits[i].offset - from);
        out += edits[i].offset - from;

        if (edits[i].insert_len) {
            memcpy(out, edits[i].insert, edits[i].insert_len);
            out += edits[i].insert_len;
        }

        from = edits[i].offset + edits[i].remove;
    }

    memcpy(out, body + from, n - from);
    out[n - from] = '\0';
}


static void
run_case(const request_case_t *c)
{
    char    facts[1024], result[2048];
    size_t  n, way;

    n = strlen(c->body);

    for (way = 0; way < pieces_ways(n); way++) {

        ollama_request_reset(r, c->flags);
        pieces_feed(c->body, n, way, feed, r);
        ollama_request_finish(r);

        describe(facts, sizeof(facts));
        apply(c->body, n, c->want, result);

        if (strcmp(facts, c->facts) != 0
            || strcmp(result, c->result ? c->result : c->body) != 0
            || ollama_request_facts(r)->bytes != n)
        {
            print_error("way %zu of: %s\n", way, c->body);
        }

        assert_string_equal(facts, c->facts);
        assert_string_equal(result, c->result ? c->result : c->body);
        assert_int_equal(ollama_request_facts(r)->bytes, n);
    }
}


#define run_cases(cases)                                                      \
    for (size_t  i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {          \
        run_case(&cases[i]);                                                  \
    }


static void
test_model(void **state)
{
    (void) state;

    run_cases(model_cases);
}


static void
test_stream(void **state)
{
    (void) state;

    run_cases(stream_cases);
}


static void
test_preload(void **state)
{
    (void) state;

    run_cases(preload_cases);
}


static void
test_tail(void **state)
{
    (void) state;

    run_cases(tail_cases);

    /* a NUL */

    ollama_request_reset(r, 0);
    assert_int_equal(ollama_request_feed(r, (unsigned char *)
                                         "{\"model\":\"a\"}\0", 14),
                     OLLAMA_REQUEST_OK);
    ollama_request_finish(r);
    assert_int_equal(ollama_request_facts(r)->valid, 1);
    assert_int_equal(ollama_request_facts(r)->bytes, 14);
}


static void
test_invalid(void **state)
{
    size_t          i;
    request_case_t  c;

    (void) state;

    for (i = 0; i < sizeof(invalid_bodies) / sizeof(char *); i++) {
        c.flags = 0;
        c.want = BOTH;
        c.body = invalid_bodies[i];
        c.facts = "invalid";
        c.result = NULL;

        run_case(&c);
    }
}


static void
test_invalid_is_told(void **state)
{
    (void) state;

    ollama_request_reset(r, 0);

    assert_int_equal(ollama_request_feed(r, (unsigned char *) "{\"a\"", 4),
                     OLLAMA_REQUEST_OK);
    assert_int_equal(ollama_request_feed(r, (unsigned char *) ":x", 2),
                     OLLAMA_REQUEST_INVALID);
    assert_int_equal(ollama_request_feed(r, (unsigned char *) ":1}", 3),
                     OLLAMA_REQUEST_INVALID);

    ollama_request_finish(r);

    assert_int_equal(ollama_request_facts(r)->valid, 0);
    assert_int_equal(ollama_request_facts(r)->bytes, 9);
    assert_int_equal(ollama_request_facts(r)->prompt_empty, 0);
    assert_int_equal(ollama_request_facts(r)->messages_empty, 0);
}


static void
test_nul_bytes(void **state)
{
    size_t  way;

    static const char  body[] = "{\"model\":\"a\0b\"}";

    (void) state;

    for (way = 0; way < pieces_ways(sizeof(body) - 1); way++) {
        ollama_request_reset(r, 0);
        pieces_feed(body, sizeof(body) - 1, way, feed, r);
        ollama_request_finish(r);

        assert_int_equal(ollama_request_facts(r)->valid, 0);
    }
}


static void
test_long_model(void **state)
{
    char    body[1024], name[600];
    size_t  n, len, cut;

    (void) state;

    for (len = 240; len < 270; len++) {

        memset(name, 'm', len);
        memcpy(name + len - 6, ":cloud", 7);
        n = snprintf(body, sizeof(body), "{\"model\":\"%s\"}", name);

        for (cut = 0; cut <= n; cut++) {
            ollama_request_reset(r, 0);
            ollama_request_feed(r, (unsigned char *) body, cut);
            ollama_request_feed(r, (unsigned char *) body + cut, n - cut);
            ollama_request_finish(r);

            assert_int_equal(ollama_request_facts(r)->valid, 1);

            if (len <= OLLAMA_MODEL_MAX) {
                assert_int_equal(ollama_request_facts(r)->model_cut, 0);
                assert_int_equal(ollama_request_facts(r)->model_len, len - 6);
                assert_int_equal(ollama_request_facts(r)->model_sent_len, len);
                assert_string_equal(ollama_request_facts(r)->model_sent, name);
                assert_int_equal(ollama_request_edits(r, BOTH, NULL, 0), 1);

            } else {
                assert_int_equal(ollama_request_facts(r)->model_cut, 1);
                assert_int_equal(ollama_request_facts(r)->model_len,
                                 OLLAMA_MODEL_MAX);
                assert_memory_equal(ollama_request_facts(r)->model, name,
                                    OLLAMA_MODEL_MAX);
                assert_int_equal(ollama_request_edits(r, BOTH, NULL, 0), 0);
            }
        }
    }
}


static void
test_depth(void **state)
{
    char    *body;
    size_t   depth, n;

    (void) state;

    body = malloc(2 * 10010 + 64);
    assert_non_null(body);

    for (depth = 9998; depth <= 10001; depth++) {

        n = sprintf(body, "{\"model\":\"a:cloud\",\"x\":");
        memset(body + n, '[', depth - 1);
        n += depth - 1;
        memset(body + n, ']', depth - 1);
        n += depth - 1;
        body[n++] = '}';

        ollama_request_reset(r, 0);
        ollama_request_feed(r, (unsigned char *) body, n);
        ollama_request_finish(r);

        assert_int_equal(ollama_request_facts(r)->valid, depth <= 10000);
        assert_int_equal(ollama_request_edits(r, BOTH, NULL, 0),
                         depth <= 10000);
    }

    free(body);
}


static void
test_edits_count(void **state)
{
    ollama_edit_t  edits[2];

    static const char  body[] = "{\"model\":\"a:cloud\",\"model\":\"b:cloud\","
                                "\"model\":\"c:cloud\"}";

    (void) state;

    ollama_request_reset(r, 0);
    ollama_request_feed(r, (unsigned char *) body, sizeof(body) - 1);

    assert_int_equal(ollama_request_edits(r, BOTH, edits, 2), 0);

    ollama_request_finish(r);

    assert_int_equal(ollama_request_edits(r, BOTH, edits, 2), 3);
    assert_int_equal(edits[0].offset, 11);
    assert_int_equal(edits[0].remove, 6);
    assert_int_equal(edits[1].offset, 29);
    assert_int_equal(ollama_request_edits(r, 0, edits, 2), 0);
}


/* 60 MB before the members that matter: the offsets, and no allocation */

static void
test_large(void **state)
{
    size_t            used, i, n;
    unsigned char    *block;
    ollama_edit_t     edits[OLLAMA_REQUEST_MAX_EDITS];

    static const char  head[] = "{\"messages\":[{\"images\":[\"";
    static const char  tail[] = "\"]}],\"stream_options\":{},\"stream\":true,"
                                "\"model\":\"gpt-oss:20b-cloud\"}";

    (void) state;

    n = 65521;
    block = malloc(n);
    assert_non_null(block);
    memset(block, 'A', n);

    ollama_request_reset(r, 0);

    used = mallinfo2().uordblks;

    ollama_request_feed(r, (unsigned char *) head, sizeof(head) - 1);

    for (i = 0; i < 1000; i++) {
        ollama_request_feed(r, block, n);
    }

    ollama_request_feed(r, (unsigned char *) tail, sizeof(tail) - 1);
    ollama_request_finish(r);

    assert_int_equal(mallinfo2().uordblks, used);

    assert_int_equal(ollama_request_facts(r)->valid, 1);
    assert_string_equal(ollama_request_facts(r)->model, "gpt-oss:20b");
    assert_int_equal(ollama_request_edits(r, BOTH, edits, 16), 2);

    n = 65521 * 1000 + sizeof(head) - 1;

    assert_int_equal(edits[0].offset, n + 23);
    assert_int_equal(edits[0].remove, 0);
    assert_int_equal(edits[1].offset, n + sizeof(tail) - 1 - 8);
    assert_int_equal(edits[1].remove, 6);

    free(block);
}


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


int
main(void)
{
    static const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_stream),
        cmocka_unit_test(test_preload),
        cmocka_unit_test(test_tail),
        cmocka_unit_test(test_invalid),
        cmocka_unit_test(test_invalid_is_told),
        cmocka_unit_test(test_nul_bytes),
        cmocka_unit_test(test_long_model),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_edits_count),
        cmocka_unit_test(test_large)
    };

    return cmocka_run_group_tests_name("request", tests, setup, teardown);
}
