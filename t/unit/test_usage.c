/* The token scanner: answers of every family, split in every way. */

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
#include "usage.h"


#define JSON       OLLAMA_FORMAT_JSON
#define NDJSON     OLLAMA_FORMAT_NDJSON
#define SSE        OLLAMA_FORMAT_SSE

#define NATIVE     OLLAMA_USAGE_FAMILY_NATIVE
#define OPENAI     OLLAMA_USAGE_FAMILY_OPENAI
#define RESPONSES  OLLAMA_USAGE_FAMILY_RESPONSES
#define ANTHROPIC  OLLAMA_USAGE_FAMILY_ANTHROPIC


/*
 * result: as describe() words it.  Lines of the answer end with \n; unless
 * there is a \r in it, it is also read with CR LF (and events with CR), and
 * without the last line ends: all that must make no difference.
 */

typedef struct {
    const char             *name;
    ollama_usage_format_e   format;
    ollama_usage_family_e   family;
    const char             *answer;
    const char             *result;
} usage_case_t;


static ollama_usage_t  *u;


/* What users' data may look like. */

#define SPOOF  "\"usage\":{\"prompt_tokens\":999999,"                          \
               "\"completion_tokens\":999999,"                                 \
               "\"input_tokens\":999999,\"output_tokens\":999999},"            \
               "\"prompt_eval_count\":999999,\"eval_count\":999999,"           \
               "\"prompt_eval_cached_count\":999999,\"done\":true,"            \
               "\"error\":\"spoof\",\"model\":\"spoof\",\"type\":"             \
               "\"response.completed\""

#define NAT(rest)  "{\"model\":\"gpt-oss:20b\",\"created_at\":\"2026-09-20T"   \
                   "10:00:00.2Z\"," rest "}\n"
#define SAYS(t)    NAT("\"message\":{\"role\":\"assistant\",\"content\":\"" t  \
                       "\"},\"done\":false")
#define LAST       NAT("\"message\":{\"role\":\"assistant\",\"content\":\"\"},"\
                       "\"done\":true,\"done_reason\":\"stop\","               \
                       "\"total_duration\":812345678,\"prompt_eval_count\":73,"\
                       "\"prompt_eval_cached_count\":64,\"eval_count\":78")

static const usage_case_t  native_cases[] = {

    { "chat", NDJSON, NATIVE,
      SAYS("Hello") SAYS(" world") LAST,
      "73+78 cached 64 exact terminal text 11 objects 3 of gpt-oss:20b" },

    { "thinking", NDJSON, NATIVE,
      NAT("\"message\":{\"role\":\"assistant\",\"content\":\"\",\"thinking\":"
          "\"User says\"},\"done\":false") LAST,
      "73+78 cached 64 exact terminal text 9 objects 2 of gpt-oss:20b" },

    { "tool call with fake counts", NDJSON, NATIVE,
      NAT("\"message\":{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":"
          "[{\"id\":\"call_1\",\"function\":{\"index\":0,\"name\":\"f\","
          "\"arguments\":{\"city\":\"Oslo\",\"n\":12,\"deep\":[{\"eval_count\":"
          "9},\"x\"]}}}]},\"done\":false") LAST,
      "73+78 cached 64 exact terminal text 27 objects 2 of gpt-oss:20b" },

    { "spoof in tool arguments only", NDJSON, NATIVE,
      NAT("\"message\":{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":"
          "[{\"function\":{\"arguments\":{" SPOOF "}}}]},\"done\":false"),
      "0+0 partial text 199 objects 1 of gpt-oss:20b" },

    { "spoof in message and elsewhere", NDJSON, NATIVE,
      NAT("\"message\":{" SPOOF "},\"options\":{" SPOOF "},\"usage\":{"
          "\"prompt_tokens\":5},\"x\":[{" SPOOF "}],\"done\":false") LAST,
      "73+78 cached 64 exact terminal text 0 objects 2 of gpt-oss:20b" },

    { "generate, long context", NDJSON, NATIVE,
      NAT("\"response\":\"Hel\",\"done\":false")
      NAT("\"response\":\"\",\"thinking\":\"hm\",\"done\":false")
      NAT("\"response\":\"\",\"done\":true,\"context\":[200006,17360,-1,2.5],"
          "\"prompt_eval_count\":68,\"eval_count\":12"),
      "68+12 exact terminal text 5 objects 3 of gpt-oss:20b" },

    { "counts on every line: the last holds", NDJSON, NATIVE,
      NAT("\"response\":\"a\",\"prompt_eval_count\":73,\"eval_count\":1,"
      "\"done\":"
          "false")
      NAT("\"response\":\"b\",\"prompt_eval_count\":73,\"eval_count\":2,"
      "\"done\":"
          "false")
      NAT("\"done\":true,\"prompt_eval_count\":0,\"eval_count\":3"),
      "73+3 exact terminal text 2 objects 3 of gpt-oss:20b" },

    { "zero is an absent key", NDJSON, NATIVE,
      SAYS("x") NAT("\"done\":true,\"eval_count\":1"),
      "0+1 estimated terminal text 1 objects 2 of gpt-oss:20b" },

    { "no counts at all", NDJSON, NATIVE,
      SAYS("12345") NAT("\"done\":true,\"done_reason\":\"stop\""),
      "0+0 estimated terminal text 5 objects 2 of gpt-oss:20b" },

    { "load", JSON, NATIVE,
      NAT("\"response\":\"\",\"done\":true,\"done_reason\":\"load\""),
      "0+0 none terminal text 0 objects 1 of gpt-oss:20b" },

    { "unload", NDJSON, NATIVE,
      NAT("\"done\":true,\"done_reason\":\"unload\""),
      "0+0 none terminal text 0 objects 1 of gpt-oss:20b" },

    { "broken off", NDJSON, NATIVE,
      SAYS("Hello") SAYS(" world"),
      "0+0 partial text 11 objects 2 of gpt-oss:20b" },

    { "broken off in the last line", NDJSON, NATIVE,
      SAYS("Hello") "{\"model\":\"x\",\"done\":true,\"prompt_eval_count\":73",
      "0+0 partial text 5 objects 1 of gpt-oss:20b" },

    { "broken off in a string", NDJSON, NATIVE,
      SAYS("Hello") "{\"message\":{\"content\":\" wor",
      "0+0 partial text 9 objects 1 of gpt-oss:20b" },

    { "broken off in a name", NDJSON, NATIVE,
      SAYS("Hello") "{\"message\":{\"content\":\"1\",\"thinkin",
      "0+0 partial text 6 objects 1 of gpt-oss:20b" },

    { "error line", NDJSON, NATIVE,
      SAYS("Hello") "{\"error\":\"an error was \\u003cencountered\\u003e\","
      "\"status\":503}\n",
      "0+0 partial error 503 (an error was <encountered>) text 5 objects 2"
      " of gpt-oss:20b" },

    { "error line only", NDJSON, NATIVE, "{\"error\":\"\"}\n",
      "0+0 partial error 0 () text 0 objects 1" },

    { "an error inside is none", NDJSON, NATIVE,
      NAT("\"message\":{\"error\":\"x\",\"content\":\"\"},\"status\":503,"
          "\"error\":null,\"done\":false") LAST,
      "73+78 cached 64 exact terminal text 0 objects 2 of gpt-oss:20b" },

    { "blank lines, spaces, junk between", NDJSON, NATIVE,
      "\n \t\n" SAYS("a") "junk\n{\"x\":tru}\n[1]\n{\"a\":1} x\n{\n}\n"
      "{\"b\":1\n"
      "\"eval_count\":5\n" SAYS("b") LAST,
      "73+78 cached 64 exact terminal unreadable text 2 objects 4"
      " of gpt-oss:20b" },

    { "a control byte in a string", NDJSON, NATIVE,
      "{\"response\":\"abc\",\"x\":\"\x01\",\"response\":\"d\"}\n" LAST,
      "73+78 cached 64 exact terminal unreadable text 3 objects 1"
      " of gpt-oss:20b" },

    { "two on a line", NDJSON, NATIVE,
      "{\"eval_count\":1}{\"eval_count\":2} {\"prompt_eval_count\":3,"
      "\"done\":true}\n",
      "3+2 exact terminal text 0 objects 3" },

    { "wrong types", NDJSON, NATIVE,
      "{\"model\":7,\"done\":\"true\",\"error\":[],\"prompt_eval_count\":\"5\","
      "\"eval_count\":null,\"message\":\"x\","
      "\"response\":{\"response\":\"y\"}}\n",
      "0+0 partial error 0 () text 0 objects 1" },

    { "odd numbers", NDJSON, NATIVE,
      "{\"prompt_eval_count\":1.2e2,\"eval_count\":99999999999999999999999,"
      "\"prompt_eval_cached_count\":-5,\"done\":true}\n",
      "120+0 exact terminal text 0 objects 1" },

    { "plain chat", JSON, NATIVE,
      "{\"model\":\"m\",\"message\":{\"role\":\"assistant\","
      "\"content\":\"Hello\","
      "\"thinking\":\"..\"},\"done\":true,\"done_reason\":\"stop\","
      "\"prompt_eval_count\":73,\"eval_count\":78}",
      "73+78 exact terminal text 7 objects 1 of m" },

    { "plain, printed over lines", JSON, NATIVE,
      "{\n  \"model\": \"m\",\n  \"done\": true,\n  \"eval_count\": 78\n}\n",
      "0+78 estimated terminal text 0 objects 1 of m" },

    { "plain, broken off", JSON, NATIVE,
      "{\"model\":\"m\",\"message\":{\"content\":\"Hello wor",
      "0+0 partial text 9 objects 0 of m" },

    { "plain error", JSON, NATIVE, "{\"error\":\"model 'x' not found\"}",
      "0+0 none terminal error 0 (model 'x' not found) text 0 objects 1" },

    { "embed", JSON, NATIVE,
      "{\"model\":\"e\",\"embeddings\":[[0.01,-2e-05],[1,2]],"
      "\"total_duration\":1,\"prompt_eval_count\":8}",
      "8+0 exact terminal text 0 objects 1 of e" },

    { "embeddings have no count", JSON, NATIVE, "{\"embedding\":[0.01,-0.02]}",
      "0+0 estimated terminal text 0 objects 1" },

    { "html", JSON, NATIVE, "<html>{\"eval_count\":5}</html>",
      "0+0 estimated unreadable text 0 objects 0" },

    { "html lines", NDJSON, NATIVE, "<html>\n<body>\n",
      "0+0 estimated unreadable text 0 objects 0" },

    { "gzip", NDJSON, NATIVE, "\x1f\x8b\x08\x01\x02{\"\r\x03",
      "0+0 estimated unreadable text 0 objects 0" },

    { "empty", NDJSON, NATIVE, "", "0+0 partial text 0 objects 0" },

    { "another Content-Type", OLLAMA_FORMAT_OTHER, NATIVE, LAST,
      "73+78 cached 64 exact terminal text 0 objects 1 of gpt-oss:20b" },

    { "another form", OLLAMA_FORMAT_OTHER, NATIVE, "<html>" LAST,
      "0+0 none text 0 objects 0" },

    { "no inference", JSON, OLLAMA_USAGE_FAMILY_NONE, LAST,
      "0+0 none text 0 objects 0" }
};


#define EV(rest)    "data: {\"id\":\"chatcmpl-730\",\"object\":"               \
                    "\"chat.completion.chunk\",\"created\":1788158498,"        \
                    "\"model\":\"gpt-oss:20b\",\"system_fingerprint\":"        \
                    "\"fp_ollama\"," rest "}\n\n"
#define DELTA(d)    EV("\"choices\":[{\"index\":0,\"delta\":{" d "},"          \
                       "\"finish_reason\":null}]")
#define STOP        EV("\"choices\":[{\"index\":0,\"delta\":{},"               \
                       "\"finish_reason\":\"stop\"}]")
#define COUNTS      "\"usage\":{\"prompt_tokens\":73,"                         \
                    "\"completion_tokens\":78,\"total_tokens\":999}"
#define DONE        "data: [DONE]\n\n"
#define ZERO        "\"usage\":{\"prompt_tokens\":0,\"completion_tokens\":0,"  \
                    "\"total_tokens\":0}"

static const usage_case_t  openai_cases[] = {

    { "chat", SSE, OPENAI,
      DELTA("\"role\":\"assistant\",\"content\":\"\",\"reasoning\":\"User\"")
      DELTA("\"content\":\"Hello\"") STOP EV("\"choices\":[]," COUNTS) DONE,
      "73+78 exact terminal text 9 objects 4 of gpt-oss:20b" },

    { "cached and reasoning", SSE, OPENAI,
      DELTA("\"content\":\"Hello\"") STOP
      EV("\"choices\":[],\"usage\":{\"prompt_tokens\":73,"
         "\"prompt_tokens_details\":{\"cached_tokens\":64,\"x\":{"
         "\"cached_tokens\":9}},\"completion_tokens_details\":"
         "{\"reasoning_tokens\":7},\"completion_tokens\":78}") DONE,
      "73+78 cached 64 reasoning 7 exact terminal text 5 objects 3"
      " of gpt-oss:20b" },

    { "no usage", SSE, OPENAI, DELTA("\"content\":\"Hello\"") STOP DONE,
      "0+0 estimated terminal text 5 objects 2 of gpt-oss:20b" },

    { "no [DONE]", SSE, OPENAI,
      DELTA("\"content\":\"Hello\"") STOP EV("\"choices\":[]," COUNTS),
      "73+78 exact text 5 objects 3 of gpt-oss:20b" },

    { "neither", SSE, OPENAI, DELTA("\"content\":\"Hello\"") STOP,
      "0+0 partial text 5 objects 2 of gpt-oss:20b" },

    { "counts before the choices", SSE, OPENAI,
      "data: {" COUNTS ",\"choices\":[ ]}\n\n",
      "73+78 exact text 0 objects 1" },

    { "counts with the finish", SSE, OPENAI,
      EV("\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]," COUNTS),
      "73+78 exact text 0 objects 1 of gpt-oss:20b" },

    { "counts on the way are not final", SSE, OPENAI,
      EV("\"choices\":[{\"delta\":{\"content\":\"x\"}}]," COUNTS),
      "73+78 partial text 1 objects 1 of gpt-oss:20b" },

    { "completions: zeros in every chunk", SSE, OPENAI,
      EV("\"choices\":[{\"text\":\"Hi\",\"index\":0}]," ZERO)
      EV("\"choices\":[{\"text\":\"\",\"finish_reason\":\"stop\"}]," ZERO)
      EV("\"choices\":[]," COUNTS) DONE,
      "73+78 exact terminal text 2 objects 3 of gpt-oss:20b" },

    { "completions, broken off", SSE, OPENAI,
      EV("\"choices\":[{\"text\":\"Hi\",\"index\":0}]," ZERO)
      EV("\"choices\":[{\"text\":\"\",\"finish_reason\":\"stop\"}]," ZERO),
      "0+0 partial text 2 objects 2 of gpt-oss:20b" },

    { "zeros only", SSE, OPENAI,
      DELTA("\"content\":\"Hi\"") EV("\"choices\":[]," ZERO) DONE,
      "0+0 estimated terminal text 2 objects 2 of gpt-oss:20b" },

    { "tool call", SSE, OPENAI,
      DELTA("\"tool_calls\":[{\"id\":\"call_1\",\"index\":0,\"type\":"
            "\"function\",\"function\":{\"name\":\"f\",\"arguments\":"
            "\"{\\\"usage\\\":{\\\"prompt_tokens\\\":999999}}\"}}]")
      EV("\"choices\":[]," COUNTS) DONE,
      "73+78 exact terminal text 34 objects 2 of gpt-oss:20b" },

    { "spoof", SSE, OPENAI,
      DELTA(SPOOF) EV("\"choices\":[{" SPOOF "}]") EV("\"tools\":[{" SPOOF "}]")
      EV("\"metadata\":{" SPOOF "}") EV("\"response\":{" SPOOF "}")
      EV("\"message\":{" SPOOF "}") EV("\"choices\":[{\"logprobs\":{\"delta\":{"
      "\"content\":\"x\"}}}]") DONE,
      "0+0 estimated terminal text 0 objects 7 of gpt-oss:20b" },

    { "usage null", SSE, OPENAI,
      EV("\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":null")
      EV("\"choices\":[]," COUNTS) DONE,
      "73+78 exact terminal text 1 objects 2 of gpt-oss:20b" },

    { "comments, other fields, no space", SSE, OPENAI,
      ": ping\n\nevent: x\nid: 1\nretry: 5\ndata\ndataset: {\ndat: {\n"
      "data:{\"choices\":[]," COUNTS "}\n\n:\n\ndata:[DONE]\n\n",
      "73+78 exact terminal text 0 objects 1" },

    { "data over several lines", SSE, OPENAI,
      "data: {\"choices\":\ndata: [],\ndata: \"usage\":{\"prompt_tokens\":\n"
      ": in between\ndata:7,\"completion_tokens\"\ndata: :8}\ndata:}\n\n",
      "7+8 exact text 0 objects 1" },

    { "an event that ends too early", SSE, OPENAI,
      "data: {\"usage\":{\"prompt_tokens\":9,\n\ndata: \"completion_tokens\":"
      "9}}\n\n" EV("\"choices\":[]," COUNTS) DONE,
      "73+78 exact terminal unreadable text 0 objects 1 of gpt-oss:20b" },

    { "junk", SSE, OPENAI,
      "data: [DON]\n\ndata: hello\n\ndata: [DONE\ndata: ]\n\n"
      "data: {} [DONE]\n\ndata\n\n{\"usage\":{}}\n\n",
      "0+0 partial unreadable text 0 objects 1" },

    { "error event", SSE, OPENAI,
      DELTA("\"content\":\"Hello\"")
      "data: {\"error\":{\"message\":\"overloaded\",\"type\":\"api_error\","
      "\"param\":null,\"code\":503}}\n\n",
      "0+0 partial error 503 (overloaded) text 5 objects 2 of gpt-oss:20b" },

    { "an error after the counts", SSE, OPENAI,
      EV("\"choices\":[]," COUNTS) "data: {\"error\":\"x\"}\n\n",
      "73+78 exact error 0 (x) text 0 objects 2 of gpt-oss:20b" },

    { "plain", JSON, OPENAI,
      "{\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{"
      "\"role\":\"assistant\",\"content\":\"Hello\",\"reasoning\":\"User\","
      "\"tool_calls\":[{\"function\":{\"arguments\":\"{}\"}}]},"
      "\"finish_reason\":\"stop\"}]," COUNTS "}",
      "73+78 exact terminal text 11 objects 1 of m" },

    { "plain completion", JSON, OPENAI,
      "{\"model\":\"m\",\"choices\":[{\"text\":\"Hi\","
      "\"index\":0}]," COUNTS "}",
      "73+78 exact terminal text 2 objects 1 of m" },

    { "plain, no usage", JSON, OPENAI,
      "{\"choices\":[{\"message\":{\"content\":\"Hello\"}}]}",
      "0+0 estimated terminal text 5 objects 1" },

    { "embeddings", JSON, OPENAI,
      "{\"object\":\"list\",\"data\":[{\"embedding\":[1,2]}],\"model\":\"e\","
      "\"usage\":{\"prompt_tokens\":8,\"total_tokens\":8}}",
      "8+0 exact terminal text 0 objects 1 of e" },

    { "plain error", JSON, OPENAI,
      "{\"error\":{\"message\":\"slow down\",\"code\":429}}",
      "0+0 none terminal error 429 (slow down) text 0 objects 1" },

    { "error status out of range", JSON, OPENAI,
      "{\"error\":{\"message\":\"x\",\"code\":99999}}",
      "0+0 none terminal error 0 (x) text 0 objects 1" }
};


#define RESP(status, usage)                                                    \
    "\"response\":{\"error\":null,\"id\":\"resp_1\",\"instructions\":\"{" "\\" \
    "\"usage\\\":{}}\",\"metadata\":{" SPOOF "},\"model\":\"gpt-oss:20b\","    \
    "\"output\":[{\"content\":[{\"text\":\"Hello\"," SPOOF "}]}],"             \
    "\"status\":\"" status "\",\"text\":{\"format\":{\"schema\":{" SPOOF "}}},"\
    "\"tools\":[{\"parameters\":{" SPOOF "}}],\"usage\":" usage "}"
#define REV(type, rest)                                                        \
    "event: " type "\ndata: {" rest ",\"sequence_number\":4,\"type\":\"" type  \
    "\"}\n\n"
#define RCOUNT                                                                 \
    "{\"input_tokens\":73,\"input_tokens_details\":{\"cached_tokens\":64},"    \
    "\"output_tokens\":78,\"output_tokens_details\":{\"reasoning_tokens\":9}," \
    "\"total_tokens\":151}"
#define RSTART                                                                 \
    REV("response.created", RESP("in_progress", "null"))                       \
    REV("response.in_progress", RESP("in_progress", "null"))
#define RDELTA                                                                 \
    REV("response.output_text.delta", "\"content_index\":0,\"delta\":"         \
        "\"Hello\",\"item_id\":\"msg_1\",\"logprobs\":[]")                     \
    REV("response.output_text.done", "\"text\":\"Hello\"")                     \
    REV("response.output_item.done", "\"item\":{\"content\":[{\"text\":"       \
        "\"Hello\"}]," SPOOF "}")

static const usage_case_t  responses_cases[] = {

    { "completed", SSE, RESPONSES,
      RSTART RDELTA REV("response.completed", RESP("completed", RCOUNT)),
      "73+78 cached 64 reasoning 9 exact terminal text 5 objects 6"
      " of gpt-oss:20b" },

    { "incomplete", SSE, RESPONSES,
      RSTART RDELTA REV("response.incomplete", RESP("incomplete", RCOUNT)),
      "73+78 cached 64 reasoning 9 exact terminal text 5 objects 6"
      " of gpt-oss:20b" },

    { "failed, with counts", SSE, RESPONSES,
      RSTART REV("response.failed", "\"response\":{\"error\":{\"code\":"
      "\"server_error\",\"message\":\"it broke\"},\"usage\":" RCOUNT "}"),
      "73+78 cached 64 reasoning 9 exact terminal error 0 (it broke) text 0"
      " objects 3 of gpt-oss:20b" },

    { "failed", SSE, RESPONSES,
      RSTART RDELTA REV("response.failed", "\"response\":{\"error\":{"
      "\"message\":\"it broke\"},\"usage\":null}"),
      "0+0 partial terminal error 0 (it broke) text 5 objects 6"
      " of gpt-oss:20b" },

    { "completed without counts", SSE, RESPONSES,
      RDELTA REV("response.completed", RESP("completed", "null")),
      "0+0 estimated terminal text 5 objects 4 of gpt-oss:20b" },

    { "broken off", SSE, RESPONSES, RSTART RDELTA,
      "0+0 partial text 5 objects 5 of gpt-oss:20b" },

    { "arguments", SSE, RESPONSES,
      REV("response.function_call_arguments.delta",
          "\"delta\":\"{\\\"a\\\"}\""),
      "0+0 partial text 5 objects 1" },

    { "error event, the type behind", SSE, RESPONSES,
      RDELTA REV("error", "\"code\":\"500\",\"message\":\"oh no\""),
      "0+0 partial error 0 (oh no) text 5 objects 4" },

    { "a depth-1 usage is none in a stream", SSE, RESPONSES,
      REV("response.completed", "\"usage\":" RCOUNT),
      "0+0 estimated terminal text 0 objects 1" },

    { "plain", JSON, RESPONSES,
      "{\"id\":\"resp_1\",\"model\":\"m\",\"instructions\":\"x\",\"metadata\":{"
      SPOOF "},\"tools\":[{" SPOOF "}],\"output\":[{\"content\":[{\"text\":"
      "\"Hello\",\"annotations\":[{" SPOOF "}]}]},{\"type\":\"function_call\","
      "\"arguments\":\"{}\"}],\"usage\":" RCOUNT ",\"max_output_tokens\":5}",
      "73+78 cached 64 reasoning 9 exact terminal text 7 objects 1 of m" },

    { "plain error", JSON, RESPONSES,
      "{\"error\":{\"message\":\"no\",\"type\":\"invalid_request_error\"}}",
      "0+0 none terminal error 0 (no) text 0 objects 1" }
};


#define AEV(type, rest)                                                        \
    "event: " type "\ndata: {\"type\":\"" type "\"" rest "}\n\n"
#define ASTART(usage)                                                          \
    AEV("message_start", ",\"message\":{\"id\":\"msg_1\","                     \
        "\"type\":\"message\","                                                \
        "\"model\":\"gpt-oss:20b\",\"content\":[],\"usage\":{" usage "}}")
#define ATEXT                                                                  \
    AEV("content_block_start", ",\"index\":0,\"content_block\":{\"type\":"     \
        "\"text\",\"text\":\"\"}")                                             \
    AEV("content_block_delta", ",\"index\":0,\"delta\":{\"type\":"             \
        "\"thinking_delta\",\"thinking\":\"hm\"}")                             \
    AEV("content_block_delta", ",\"index\":0,\"delta\":{\"type\":"             \
        "\"text_delta\",\"text\":\"Hello\"}")                                  \
    AEV("content_block_delta", ",\"index\":0,\"delta\":{\"type\":"             \
        "\"input_json_delta\",\"partial_json\":\"{\\\"usage\\\":1}\"}")
#define ADELTA(usage)                                                          \
    AEV("message_delta", ",\"delta\":{\"stop_reason\":\"end_turn\"}" usage)
#define ASTOP  AEV("message_stop", "")

static const usage_case_t  anthropic_cases[] = {

    { "message", SSE, ANTHROPIC,
      ASTART("\"input_tokens\":18,\"output_tokens\":0") ATEXT
      AEV("ping", "")
      ADELTA(",\"usage\":{\"input_tokens\":73,\"output_tokens\":78}") ASTOP,
      "73+78 exact terminal text 18 objects 8 of gpt-oss:20b" },

    { "cached tokens are added", SSE, ANTHROPIC,
      ASTART("\"input_tokens\":18,\"output_tokens\":0") ATEXT
      ADELTA(",\"usage\":{\"input_tokens\":5,\"cache_read_input_tokens\":64,"
             "\"cache_creation_input_tokens\":4,\"output_tokens\":78}") ASTOP,
      "73+78 cached 64 exact terminal text 18 objects 7 of gpt-oss:20b" },

    { "all of it cached: the estimate is gone", SSE, ANTHROPIC,
      ASTART("\"input_tokens\":18,\"output_tokens\":0") ATEXT
      ADELTA(",\"usage\":{\"input_tokens\":0,\"cache_read_input_tokens\":73,"
             "\"output_tokens\":78}") ASTOP,
      "73+78 cached 73 exact terminal text 18 objects 7 of gpt-oss:20b" },

    { "older: the prompt at the start only", SSE, ANTHROPIC,
      ASTART("\"input_tokens\":9,\"cache_read_input_tokens\":64,"
             "\"output_tokens\":1") ATEXT
      ADELTA(",\"usage\":{\"output_tokens\":78}") ASTOP,
      "73+78 cached 64 exact terminal text 18 objects 7 of gpt-oss:20b" },

    { "the prompt at the start, the cached ones at the end", SSE, ANTHROPIC,
      ASTART("\"input_tokens\":9,\"output_tokens\":1") ATEXT
      ADELTA(",\"usage\":{\"cache_read_input_tokens\":64,"
             "\"output_tokens\":78}") ASTOP,
      "73+78 cached 64 exact terminal text 18 objects 7 of gpt-oss:20b" },

    { "counts in message_start only", SSE, ANTHROPIC,
      ASTART("\"input_tokens\":18,\"output_tokens\":0") ATEXT ADELTA("") ASTOP,
      "18+0 estimated terminal text 18 objects 7 of gpt-oss:20b" },

    { "no message_stop", SSE, ANTHROPIC,
      ASTART("\"input_tokens\":18,\"output_tokens\":0") ATEXT
      ADELTA(",\"usage\":{\"input_tokens\":73,\"output_tokens\":78}"),
      "73+78 exact text 18 objects 6 of gpt-oss:20b" },

    { "broken off", SSE, ANTHROPIC,
      ASTART("\"input_tokens\":18,\"output_tokens\":0") ATEXT,
      "18+0 partial text 18 objects 5 of gpt-oss:20b" },

    { "error event", SSE, ANTHROPIC,
      ASTART("\"input_tokens\":18,\"output_tokens\":0")
      AEV("error", ",\"error\":{\"type\":\"overloaded_error\",\"message\":"
          "\"busy\"}"),
      "18+0 partial error 0 (busy) text 0 objects 2 of gpt-oss:20b" },

    { "spoof", SSE, ANTHROPIC,
      AEV("message_start", ",\"message\":{\"content\":[{" SPOOF "}],"
          "\"metadata\":{" SPOOF "}}")
      AEV("content_block_start", ",\"content_block\":{\"input\":{" SPOOF "}}")
      AEV("content_block_delta", ",\"delta\":{\"x\":{" SPOOF "}}")
      AEV("message_delta", ",\"delta\":{" SPOOF "}")
      AEV("x", ",\"response\":{" SPOOF "},\"choices\":[{" SPOOF "}]") ASTOP,
      "0+0 estimated terminal text 0 objects 6" },

    { "plain", JSON, ANTHROPIC,
      "{\"id\":\"msg_1\",\"type\":\"message\",\"model\":\"m\",\"content\":[{"
      "\"type\":\"thinking\",\"thinking\":\"hm\"},{\"type\":\"text\",\"text\":"
      "\"Hello\"}],\"usage\":{\"input_tokens\":9,"
      "\"cache_read_input_tokens\":64,"
      "\"output_tokens\":78}}",
      "73+78 cached 64 exact terminal text 7 objects 1 of m" },

    { "plain, tool use with fake counts", JSON, ANTHROPIC,
      "{\"model\":\"m\",\"content\":[{\"type\":\"tool_use\",\"input\":{" SPOOF
      "}}],\"usage\":{\"input_tokens\":73,\"output_tokens\":78}}",
      "73+78 exact terminal text 199 objects 1 of m" },

    { "plain error", JSON, ANTHROPIC,
      "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\","
      "\"message\":\"slow\"},\"request_id\":\"req_1\"}",
      "0+0 none terminal error 0 (slow) text 0 objects 1" }
};


static void
feed(void *ctx, const unsigned char *p, size_t n)
{
    ollama_usage_feed(ctx, p, n);
}


static void
describe(char *out, size_t size)
{
    char                          error[OLLAMA_USAGE_ERROR_MAX + 32];
    char                          cached[32], reasoning[32];
    const ollama_usage_result_t  *res;

    res = ollama_usage_result(u);

    assert_int_equal(strlen(res->model), res->model_len);
    assert_int_equal(strlen(res->error_text), res->error_len);
    assert_int_equal(res->usage, res->prompt || res->completion);

    cached[0] = '\0';
    reasoning[0] = '\0';
    error[0] = '\0';

    if (res->cached) {
        snprintf(cached, sizeof(cached), " cached %ju",
                 (uintmax_t) res->cached);
    }

    if (res->reasoning) {
        snprintf(reasoning, sizeof(reasoning), " reasoning %ju",
                 (uintmax_t) res->reasoning);
    }

    if (res->error) {
        snprintf(error, sizeof(error), " error %u (%s)", res->error_status,
                 res->error_text);
    }

    snprintf(out, size, "%ju+%ju%s%s %s%s%s%s text %ju objects %ju%s%s",
             (uintmax_t) res->prompt, (uintmax_t) res->completion,
             cached, reasoning, ollama_certainty_name(res->certainty),
             res->terminal ? " terminal" : "", error,
             res->unreadable ? " unreadable" : "",
             (uintmax_t) res->content_bytes, (uintmax_t) res->documents,
             res->model_len ? " of " : "", res->model);
}


static void
run_answer(const usage_case_t *c, const char *variant, const char *answer)
{
    char    result[1024];
    size_t  n, way;

    n = strlen(answer);

    for (way = 0; way < pieces_ways(n); way++) {

        ollama_usage_reset(u, c->format, c->family);
        pieces_feed(answer, n, way, feed, u);
        ollama_usage_finish(u);

        describe(result, sizeof(result));

        if (strcmp(result, c->result) != 0) {
            print_error("case \"%s\", %s, way %zu\n", c->name, variant, way);
        }

        assert_string_equal(result, c->result);
        assert_int_equal(ollama_usage_result(u)->bytes, n);
    }
}


static char *
with_ends(const char *answer, const char *ends)
{
    char        *out, *p;
    const char  *e;

    out = malloc(2 * strlen(answer) + 1);
    assert_non_null(out);

    p = out;

    for ( /* void */ ; *answer; answer++) {
        if (*answer != '\n') {
            *p++ = *answer;
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
run_case(const usage_case_t *c)
{
    char    *answer;
    size_t   n;

    run_answer(c, "as it is", c->answer);

    if (c->format == OLLAMA_FORMAT_JSON || strchr(c->answer, '\r')) {
        return;
    }

    answer = with_ends(c->answer, "\r\n");
    run_answer(c, "CR LF", answer);
    free(answer);

    if (c->format == OLLAMA_FORMAT_SSE) {
        answer = with_ends(c->answer, "\r");
        run_answer(c, "CR", answer);
        free(answer);
    }

    answer = with_ends(c->answer, "\n");
    n = strlen(answer);

    while (n && answer[n - 1] == '\n') {
        answer[--n] = '\0';
    }

    run_answer(c, "no newline at the end", answer);
    free(answer);
}


#define run_cases(cases)                                                      \
    for (size_t  i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {          \
        run_case(&cases[i]);                                                  \
    }


static void
test_native(void **state)
{
    (void) state;

    run_cases(native_cases);
}


static void
test_openai(void **state)
{
    (void) state;

    run_cases(openai_cases);
}


static void
test_responses(void **state)
{
    (void) state;

    run_cases(responses_cases);
}


static void
test_anthropic(void **state)
{
    (void) state;

    run_cases(anthropic_cases);
}


/* Lines of 300 KB, with strings cut short on the way: what is dropped counts */

static void
test_long_lines(void **state)
{
    char    *answer, *p, result[1024];
    size_t   i, k, n, used, piece;

    static const size_t  pieces[] = { 1, 2, 3, 7, 512, 513, 4096, 1 << 20 };

    (void) state;

    answer = malloc(2 << 20);
    assert_non_null(answer);

    p = answer;

    for (i = 0; i < 3; i++) {

        p += sprintf(p, "event: x\ndata: {\"response\":{\"instructions\":\"");

        for (k = 0; k < 15000; k++) {
            p += sprintf(p, "\\\"usage\\\": %zu\\u003c\\\\ ", k % 10);
        }

        p += sprintf(p, "\",\"model\":\"m\",\"tools\":[");

        for (k = 0; k < 1000; k++) {
            p += sprintf(p, "%s{\"usage\":{\"input_tokens\":%zu}}",
                         k ? "," : "", k);
        }

        p += sprintf(p, "],\"usage\":%s},\"type\":\"%s\"}\n\n",
                     i == 2 ? RCOUNT : "null",
                     i == 2 ? "response.completed" : "response.created");

        p += sprintf(p, "data: {\"delta\":\"");

        for (k = 0; k < 20000; k++) {
            p += sprintf(p, "%s", k % 4 ? "abcd" : "\\n\\\"\\\\d");
        }

        p += sprintf(p, "\",\"type\":\"response.output_text.delta\"}\n\n");
    }

    n = p - answer;

    for (i = 0; i < sizeof(pieces) / sizeof(size_t); i++) {

        ollama_usage_reset(u, SSE, RESPONSES);

        used = mallinfo2().uordblks;

        for (k = 0; k < n; k += piece) {
            piece = (n - k < pieces[i]) ? n - k : pieces[i];
            ollama_usage_feed(u, (unsigned char *) answer + k, piece);
        }

        assert_int_equal(mallinfo2().uordblks, used);

        ollama_usage_finish(u);
        describe(result, sizeof(result));

        assert_string_equal(result, "73+78 cached 64 reasoning 9 exact terminal"
                                    " text 240000 objects 6 of m");
    }

    free(answer);
}


/* A string cut short, whose end never comes, is text that was streamed. */

static void
test_long_string_open(void **state)
{
    char    answer[2048];
    size_t  n, way;

    (void) state;

    n = sprintf(answer, "{\"response\":\"");
    memset(answer + n, 'x', 1500);
    n += 1500;

    for (way = 0; way < pieces_ways(n); way++) {
        ollama_usage_reset(u, NDJSON, NATIVE);
        pieces_feed(answer, n, way, feed, u);
        ollama_usage_finish(u);

        assert_int_equal(ollama_usage_result(u)->content_bytes, 1500);
    }
}


/* A string that ends, in escapes or not, around the length that is kept */

static void
test_string_limit(void **state)
{
    char    answer[2048], result[512], expected[512];
    size_t  len, n, kind, way;

    static const struct {
        const char  *text;
        size_t       len;
    } kinds[] = {
        { "\\n", 1 }, { "\\u0041", 1 }, { "a", 1 }, { "\\\"", 1 }
    };

    (void) state;

    for (kind = 0; kind < sizeof(kinds) / sizeof(kinds[0]); kind++) {
        for (len = 498; len < 526; len++) {

            n = sprintf(answer, "{\"message\":{\"content\":\"");
            memset(answer + n, 'x', len);
            n += len;
            n += sprintf(answer + n, "%s%s%s\"},\"eval_count\":7,\"done\":"
                         "true}\n", kinds[kind].text, kinds[kind].text,
                         kinds[kind].text);

            sprintf(expected, "0+7 estimated terminal text %zu objects 1",
                    len + 3 * kinds[kind].len);

            for (way = 0; way < pieces_ways(n); way++) {
                ollama_usage_reset(u, NDJSON, NATIVE);
                pieces_feed(answer, n, way, feed, u);
                ollama_usage_finish(u);
                describe(result, sizeof(result));

                if (strcmp(result, expected) != 0) {
                    print_error("%zu and three %s, way %zu\n", len,
                                kinds[kind].text, way);
                }

                assert_string_equal(result, expected);
            }
        }
    }
}


static void
test_long_texts(void **state)
{
    char                          answer[2048];
    size_t                        n, len, way;
    const ollama_usage_result_t  *res;

    (void) state;

    for (len = 196; len < 203; len++) {

        /* a character of three bytes around the end of the room */

        n = sprintf(answer, "{\"model\":\"");
        memset(answer + n, 'm', len + 60);
        n += len + 60;
        n += sprintf(answer + n, "\",\"error\":\"");
        memset(answer + n, 'e', len);
        n += len;
        n += sprintf(answer + n, "\xe2\x82\xac\"}\n");

        for (way = 0; way < pieces_ways(n); way++) {
            ollama_usage_reset(u, NDJSON, NATIVE);
            pieces_feed(answer, n, way, feed, u);
            ollama_usage_finish(u);

            res = ollama_usage_result(u);

            assert_int_equal(res->model_len, len + 60 > 255 ? 255 : len + 60);
            assert_int_equal(strlen(res->model), res->model_len);
            assert_int_equal(res->error_len, len > 200 ? 200
                                             : len > 197 ? len : len + 3);
            assert_int_equal(strlen(res->error_text), res->error_len);
        }
    }
}


/* What is nested too deep is not read, the lines after it are */

static void
test_depth(void **state)
{
    char    answer[4096], result[512];
    size_t  depth, n, way;

    (void) state;

    for (depth = 490; depth < 510; depth++) {

        n = sprintf(answer, "{\"a\":");
        memset(answer + n, '[', depth);
        n += depth;
        memset(answer + n, ']', depth);
        n += depth;
        n += sprintf(answer + n, "}\n{\"eval_count\":7,\"done\":true}\n");

        for (way = 0; way < pieces_ways(n); way++) {
            ollama_usage_reset(u, NDJSON, NATIVE);
            pieces_feed(answer, n, way, feed, u);
            ollama_usage_finish(u);
            describe(result, sizeof(result));

            assert_string_equal(result, depth < 500
                        ? "0+7 estimated terminal text 0 objects 2"
                        : "0+7 estimated terminal unreadable text 0 objects 1");
        }
    }
}


static void
test_words(void **state)
{
    char    answer[512], result[512];
    size_t  len, n, way;

    (void) state;

    for (len = 60; len < 70; len++) {

        n = sprintf(answer, "{\"eval_count\":1,\"x\":[-");
        memset(answer + n, '1', len - 1);
        n += len - 1;
        n += sprintf(answer + n, "],\"done\":true}\n");

        for (way = 0; way < pieces_ways(n); way++) {
            ollama_usage_reset(u, NDJSON, NATIVE);
            pieces_feed(answer, n, way, feed, u);
            ollama_usage_finish(u);
            describe(result, sizeof(result));

            assert_string_equal(result, len <= 64
                        ? "0+1 estimated terminal text 0 objects 1"
                        : "0+0 estimated unreadable text 0 objects 0");
        }
    }
}


/* An object that serves many answers: nothing of one is left in the next */

static void
test_reuse(void **state)
{
    char    result[512];
    size_t  i, used;

    static const char  cut[] = "data: {\"choices\":[{\"delta\":{"
                               "\"content\":\"x";
    static const char  bad[] = "data: {\"choices\":[}\r";

    (void) state;

    used = mallinfo2().uordblks;

    for (i = 0; i < 1000; i++) {
        ollama_usage_reset(u, SSE, OPENAI);
        ollama_usage_feed(u, (unsigned char *) cut, i % sizeof(cut));

        ollama_usage_reset(u, SSE, OPENAI);
        ollama_usage_feed(u, (unsigned char *) bad, sizeof(bad) - 1);

        ollama_usage_reset(u, NDJSON, NATIVE);
        ollama_usage_feed(u, (unsigned char *) "\n", 1);
        ollama_usage_feed(u, (unsigned char *) LAST, sizeof(LAST) - 1);
        ollama_usage_finish(u);
        describe(result, sizeof(result));

        assert_string_equal(result, "73+78 cached 64 exact terminal text 0"
                                    " objects 1 of gpt-oss:20b");
    }

    assert_int_equal(mallinfo2().uordblks, used);
}


/* What an answer takes: next to nothing, but while a document has begun */

static void
test_memory(void **state)
{
    size_t           used, i;
    ollama_usage_t  *many[10];

    (void) state;

    used = mallinfo2().uordblks;

    for (i = 0; i < 10; i++) {
        many[i] = ollama_usage_create();
        assert_non_null(many[i]);
        ollama_usage_reset(many[i], NDJSON, NATIVE);
        ollama_usage_feed(many[i], (const unsigned char *) SAYS("x") "\n",
                          sizeof(SAYS("x")));
    }

    assert_in_range(mallinfo2().uordblks - used, 0, 10 * 1024);

    for (i = 0; i < 10; i++) {
        ollama_usage_feed(many[i], (const unsigned char *) "{\"a", 3);
    }

    assert_in_range(mallinfo2().uordblks - used, 0, 10 * 10240);

    for (i = 0; i < 10; i++) {
        ollama_usage_finish(many[i]);
        ollama_usage_destroy(many[i]);
    }

    /* a few are kept for the next answers */

    assert_in_range(mallinfo2().uordblks - used, 0, 8 * 10240);
}


static void
test_tokens(void **state)
{
    size_t    i;
    uint64_t  prompt, completion;

    static const struct {
        const char  *answer;
        uint64_t     prompt;
        uint64_t     completion;
    } cases[] = {
        { LAST, 73, 78 },
        { SAYS("Hello"), 250, 2 },
        { SAYS("Hello") SAYS(" you"), 250, 3 },
        { NAT("\"response\":\"123456789\",\"prompt_eval_count\":73,"
              "\"eval_count\":2"), 73, 3 },
        { NAT("\"response\":\"1\",\"prompt_eval_count\":73,\"eval_count\":2"),
          73, 2 },
        { NAT("\"done\":true,\"done_reason\":\"load\""), 0, 0 },
        { "", 250, 0 },
        { "\x1f\x8b 345678", 250, 3 }
    };

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ollama_usage_reset(u, NDJSON, NATIVE);
        ollama_usage_feed(u, (const unsigned char *) cases[i].answer,
                          strlen(cases[i].answer));
        ollama_usage_finish(u);
        ollama_usage_tokens(ollama_usage_result(u), 250, &prompt, &completion);

        assert_int_equal(prompt, cases[i].prompt);
        assert_int_equal(completion, cases[i].completion);
    }
}


/* while it streams: what has come so far, until the cloud says better */

static void
test_so_far(void **state)
{
    size_t    i;
    uint64_t  prompt, completion;

    static const struct {
        const char  *piece;
        uint64_t     prompt;
        uint64_t     completion;
    } steps[] = {
        { "", 250, 0 },
        { SAYS("Hello"), 250, 2 },
        { SAYS(" my dear"), 250, 4 },
        { SAYS(" you"), 250, 5 },
        { LAST, 73, 78 }
    };

    (void) state;

    ollama_usage_reset(u, NDJSON, NATIVE);

    for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        ollama_usage_feed(u, (const unsigned char *) steps[i].piece,
                          strlen(steps[i].piece));
        ollama_usage_so_far(ollama_usage_result(u), 250, &prompt, &completion);

        assert_int_equal(prompt, steps[i].prompt);
        assert_int_equal(completion, steps[i].completion);
    }
}


static void
test_format(void **state)
{
    size_t  i;

    static const struct {
        const char             *type;
        ollama_usage_format_e   format;
    } cases[] = {
        { "application/json", JSON },
        { "application/json; charset=utf-8", JSON },
        { "Application/JSON ;charset=utf-8", JSON },
        { "application/x-ndjson", NDJSON },
        { "application/x-ndjson;charset=utf-8", NDJSON },
        { "text/event-stream", SSE },
        { "text/event-stream;charset=UTF-8", SSE },
        { "text/html", OLLAMA_FORMAT_OTHER },
        { "application/jso", OLLAMA_FORMAT_OTHER },
        { "application/json2", OLLAMA_FORMAT_OTHER },
        { "application/json-and-what-not-else", OLLAMA_FORMAT_OTHER },
        { "", OLLAMA_FORMAT_OTHER }
    };

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(ollama_usage_format(cases[i].type,
                                             strlen(cases[i].type)),
                         cases[i].format);
    }
}


static void
test_family(void **state)
{
    size_t  i;

    static const struct {
        const char             *path;
        ollama_usage_family_e   family;
    } cases[] = {
        { "/api/chat", NATIVE },
        { "/api/generate", NATIVE },
        { "/v1/chat/completions", OPENAI },
        { "/v1/completions", OPENAI },
        { "/v1/responses", RESPONSES },
        { "/v1/responses/compact", RESPONSES },
        { "/v1/messages", ANTHROPIC },
        { "/v1/messagesx", OPENAI },
        { "/v1", OLLAMA_USAGE_FAMILY_NONE },
        { "/", OLLAMA_USAGE_FAMILY_NONE }
    };

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(ollama_usage_family(
                             (const unsigned char *) cases[i].path,
                             strlen(cases[i].path)),
                         cases[i].family);
    }
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
        cmocka_unit_test(test_native),
        cmocka_unit_test(test_openai),
        cmocka_unit_test(test_responses),
        cmocka_unit_test(test_anthropic),
        cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_long_string_open),
        cmocka_unit_test(test_string_limit),
        cmocka_unit_test(test_long_texts),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_reuse),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_so_far),
        cmocka_unit_test(test_format),
        cmocka_unit_test(test_family)
    };

    return cmocka_run_group_tests_name("usage", tests, setup, teardown);
}
