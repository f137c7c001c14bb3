
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "stream_error.h"
#include "usage.h"


#define COUNT(a)  (sizeof(a) / sizeof((a)[0]))

#define NATIVE     OLLAMA_USAGE_FAMILY_NATIVE
#define OPENAI     OLLAMA_USAGE_FAMILY_OPENAI
#define RESPONSES  OLLAMA_USAGE_FAMILY_RESPONSES
#define ANTHROPIC  OLLAMA_USAGE_FAMILY_ANTHROPIC

#define FAILED(created, error, id, model, n)                                  \
    "event: response.failed\ndata: {\"response\":{\"created_at\":" created ","\
    "\"error\":" error ",\"id\":\"" id "\",\"incomplete_details\":null,"      \
    "\"instructions\":null,\"metadata\":{},\"model\":\"" model "\","          \
    "\"object\":\"response\",\"output\":[],\"parallel_tool_calls\":true,"     \
    "\"status\":\"failed\",\"temperature\":1,\"tool_choice\":\"auto\","       \
    "\"tools\":[],\"top_p\":1,\"usage\":null},\"sequence_number\":" n ","     \
    "\"type\":\"response.failed\"}\n\n"


static const struct {
    ollama_usage_family_e   family;
    unsigned                status;
    unsigned                broken;
    const char             *text;
    const char             *want;
} errors[] = {

    { NATIVE, 502, 0, "gone", "{\"error\":\"gone\",\"status\":502}\n" },
    { NATIVE, 429, 1, "a\n\"b\"",
      "\n{\"error\":\"a\\n\\\"b\\\"\",\"status\":429}\n" },

    { OPENAI, 502, 0, "gone",
      "data: {\"error\":{\"message\":\"gone\",\"type\":\"api_error\","
      "\"param\":null,\"code\":null}}\n\n" },
    { OPENAI, 400, 2, "",
      "\n\ndata: {\"error\":{\"message\":\"\","
      "\"type\":\"invalid_request_error\",\"param\":null,\"code\":null}}\n\n" },

    { ANTHROPIC, 502, 1, "gone",
      "\nevent: error\ndata: {\"type\":\"error\",\"error\":"
      "{\"type\":\"overloaded_error\",\"message\":\"gone\"}}\n\n" },
    { ANTHROPIC, 504, 0, "late",
      "event: error\ndata: {\"type\":\"error\",\"error\":"
      "{\"type\":\"overloaded_error\",\"message\":\"late\"}}\n\n" },
    { ANTHROPIC, 429, 0, "\xff",
      "event: error\ndata: {\"type\":\"error\",\"error\":"
      "{\"type\":\"rate_limit_error\",\"message\":\"\xef\xbf\xbd\"}}\n\n" },
    { ANTHROPIC, 500, 0, "x",
      "event: error\ndata: {\"type\":\"error\",\"error\":"
      "{\"type\":\"api_error\",\"message\":\"x\"}}\n\n" },

    { RESPONSES, 502, 2, "gone",
      "\n\n" FAILED("0", "{\"code\":\"server_error\",\"message\":\"gone\"}",
                    "resp_0", "", "0") },
    { RESPONSES, 429, 0, "wait",
      FAILED("0", "{\"code\":\"rate_limit_exceeded\",\"message\":\"wait\"}",
             "resp_0", "", "0") },
    { RESPONSES, 400, 0, "no",
      FAILED("0", "{\"code\":\"invalid_prompt\",\"message\":\"no\"}",
             "resp_0", "", "0") }
};


static void
test_errors(void **state)
{
    size_t         i, len;
    unsigned char  out[OLLAMA_STREAM_ERROR_MAX(64) + 1];

    static const ollama_stream_response_t  nothing;

    (void) state;

    for (i = 0; i < COUNT(errors); i++) {
        len = ollama_stream_error(errors[i].family, &nothing, errors[i].status,
                                  errors[i].text, strlen(errors[i].text),
                                  errors[i].broken, out, sizeof(out) - 1);
        out[len] = '\0';

        assert_string_equal((char *) out, errors[i].want);
    }
}


static void
test_response(void **state)
{
    size_t                    len;
    unsigned char             out[OLLAMA_STREAM_ERROR_MAX(64) + 1];
    ollama_stream_response_t  response;

    (void) state;

    memset(&response, 0, sizeof(response));

    response.id = "resp_17";
    response.id_len = 7;
    response.model = "gpt-oss:20b and more";
    response.model_len = 11;
    response.events = 8;
    response.created = 80;

    len = ollama_stream_error(RESPONSES, &response, 502, "gone", 4, 0, out,
                              sizeof(out) - 1);
    out[len] = '\0';

    assert_string_equal((char *) out,
                        FAILED("80", "{\"code\":\"server_error\","
                               "\"message\":\"gone\"}",
                               "resp_17", "gpt-oss:20b", "8"));

    response.id_len = OLLAMA_STREAM_ID_MAX + 1;

    len = ollama_stream_error(RESPONSES, &response, 502, "gone", 4, 0, out,
                              sizeof(out) - 1);
    out[len] = '\0';

    assert_non_null(strstr((char *) out, "\"id\":\"resp_0\""));
}


/* nothing is written behind the end, and the largest one fits */

static void
test_room(void **state)
{
    char                      text[200], model[OLLAMA_USAGE_MODEL_MAX];
    size_t                    i, n, len;
    unsigned char            *out;
    ollama_stream_response_t  response;

    static const ollama_usage_family_e  families[] = {
        NATIVE, OPENAI, ANTHROPIC, RESPONSES
    };
    static const ollama_stream_response_t  nothing;

    (void) state;

    memset(text, 1, sizeof(text));
    memset(model, 2, sizeof(model));
    memset(&response, 0, sizeof(response));

    response.id = text;
    response.id_len = OLLAMA_STREAM_ID_MAX;
    response.model = model;
    response.model_len = sizeof(model);
    response.events = UINT64_MAX;
    response.created = UINT64_MAX;

    out = malloc(OLLAMA_STREAM_ERROR_MAX(sizeof(text)));
    assert_non_null(out);

    assert_true(ollama_stream_error(RESPONSES, &response, 599, text,
                                    sizeof(text), 3, out,
                                    OLLAMA_STREAM_ERROR_MAX(sizeof(text)))
                > 0);

    free(out);

    for (i = 0; i < COUNT(families); i++) {

        for (n = 0; n < 2048; n++) {
            out = malloc(n + 1);
            assert_non_null(out);

            len = ollama_stream_error(families[i], &nothing, 502, text,
                                      sizeof(text), 2, out, n);
            free(out);

            if (len) {
                assert_int_equal(len, n);
                break;
            }
        }

        assert_true(n < 2048);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_response),
        cmocka_unit_test(test_room)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
