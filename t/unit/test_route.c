
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "route.h"


#define COUNT(a)  (sizeof(a) / sizeof((a)[0]))

#define NATIVE     OLLAMA_FAMILY_NATIVE
#define OPENAI     OLLAMA_FAMILY_OPENAI
#define ANTHROPIC  OLLAMA_FAMILY_ANTHROPIC

#define INFERENCE  OLLAMA_ROUTE_INFERENCE
#define FORWARD    OLLAMA_ROUTE_FORWARD
#define LOCAL      OLLAMA_ROUTE_LOCAL

#define BARE       OLLAMA_ROUTE_BARE
#define JUDGES     OLLAMA_ROUTE_JUDGES
#define PUBLIC     OLLAMA_ROUTE_PUBLIC
#define SCAN       OLLAMA_ROUTE_SCAN
#define STREAM     OLLAMA_ROUTE_STREAM
#define TURNS      OLLAMA_ROUTE_TURNS
#define UNDER      OLLAMA_ROUTE_UNDER
#define UNKNOWN    (OLLAMA_ROUTE_UNKNOWN|OLLAMA_ROUTE_PUBLIC)
#define USAGE      OLLAMA_ROUTE_USAGE


typedef struct {
    const char           *method;
    const char           *path;
    ollama_family_e       family;
    ollama_route_kind_e   kind;
    ollama_local_e        local;
    unsigned              flags;
} row_t;


static const ollama_route_t *
find(const char *method, const char *path)
{
    return ollama_route_find(method, strlen(method),
                             (const unsigned char *) path, strlen(path));
}


static const row_t  rows[] = {

    { "POST", "/api/chat", NATIVE, INFERENCE, 0,
      STREAM|SCAN|JUDGES|BARE|TURNS },
    { "POST", "/api/generate", NATIVE, INFERENCE, 0,
      STREAM|SCAN|JUDGES|BARE },
    { "POST", "/v1/chat/completions", OPENAI, INFERENCE, 0,
      USAGE|SCAN|JUDGES|BARE|TURNS },
    { "POST", "/v1/completions", OPENAI, INFERENCE, 0,
      USAGE|SCAN|JUDGES|BARE },
    { "POST", "/v1/responses", OPENAI, INFERENCE, 0,
      SCAN|JUDGES|BARE|TURNS },
    { "POST", "/v1/messages", ANTHROPIC, INFERENCE, 0,
      SCAN|JUDGES|BARE|TURNS },

    /* the cloud answers 401 or 404 there, whatever the key */
    { "POST", "/api/embed", NATIVE, INFERENCE, 0, SCAN|BARE },
    { "POST", "/api/embeddings", NATIVE, FORWARD, 0, SCAN|BARE },
    { "POST", "/v1/embeddings", OPENAI, INFERENCE, 0, SCAN },
    { "POST", "/v1/responses/compact", OPENAI, INFERENCE, 0, SCAN|BARE },

    { "GET", "/api/tags", NATIVE, FORWARD, 0, PUBLIC|BARE },
    { "POST", "/api/show", NATIVE, FORWARD, 0, SCAN|PUBLIC|BARE },
    { "GET", "/v1/models", OPENAI, FORWARD, 0, PUBLIC|BARE },
    { "HEAD", "/v1/models", OPENAI, FORWARD, 0, PUBLIC|BARE },
    { "GET", "/v1/models/a/b", OPENAI, FORWARD, 0,
      PUBLIC|BARE|UNDER|OLLAMA_ROUTE_MODEL },
    { "POST", "/api/web_search", NATIVE, FORWARD, 0, JUDGES|BARE },
    { "POST", "/api/web_fetch", NATIVE, FORWARD, 0, JUDGES|BARE },

    { "GET", "/", NATIVE, LOCAL, OLLAMA_LOCAL_ROOT, 0 },
    { "HEAD", "/", NATIVE, LOCAL, OLLAMA_LOCAL_ROOT, 0 },
    { "HEAD", "/api/tags", NATIVE, LOCAL, OLLAMA_LOCAL_TAGS, BARE },
    { "GET", "/api/version", NATIVE, LOCAL, OLLAMA_LOCAL_VERSION, BARE },
    { "HEAD", "/api/version", NATIVE, LOCAL, OLLAMA_LOCAL_VERSION, BARE },
    { "GET", "/api/ps", NATIVE, LOCAL, OLLAMA_LOCAL_PS, BARE },
    { "GET", "/api/status", NATIVE, LOCAL, OLLAMA_LOCAL_STATUS, BARE },
    { "POST", "/api/me", NATIVE, LOCAL, OLLAMA_LOCAL_ME, BARE },
    { "POST", "/api/pull", NATIVE, LOCAL, OLLAMA_LOCAL_PULL, BARE },
    { "POST", "/api/push", NATIVE, LOCAL, OLLAMA_LOCAL_UNSUPPORTED, BARE },
    { "POST", "/api/create", NATIVE, LOCAL, OLLAMA_LOCAL_UNSUPPORTED, BARE },
    { "POST", "/api/copy", NATIVE, LOCAL, OLLAMA_LOCAL_UNSUPPORTED, BARE },
    { "DELETE", "/api/delete", NATIVE, LOCAL, OLLAMA_LOCAL_UNSUPPORTED, BARE },
    { "HEAD", "/api/blobs/sha256:1", NATIVE, LOCAL, OLLAMA_LOCAL_UNSUPPORTED,
      BARE|UNDER },
    { "PUT", "/api/blobs/sha256:1", NATIVE, LOCAL, OLLAMA_LOCAL_UNSUPPORTED,
      BARE|UNDER },
    { "POST", "/api/signout", NATIVE, LOCAL, OLLAMA_LOCAL_UNSUPPORTED, 0 },
    { "DELETE", "/api/user/keys/a1b2", NATIVE, LOCAL, OLLAMA_LOCAL_UNSUPPORTED,
      UNDER },
    { "POST", "/v1/messages/count_tokens", ANTHROPIC, LOCAL,
      OLLAMA_LOCAL_COUNT_TOKENS, SCAN|BARE },

    /* another method */
    { "POST", "/", NATIVE, LOCAL, OLLAMA_LOCAL_METHOD, 0 },
    { "GET", "/api/me", NATIVE, LOCAL, OLLAMA_LOCAL_METHOD, 0 },
    { "GET", "/api/pull", NATIVE, LOCAL, OLLAMA_LOCAL_METHOD, 0 },
    { "POST", "/api/version", NATIVE, LOCAL, OLLAMA_LOCAL_METHOD, 0 },
    { "GET", "/v1/messages/count_tokens", ANTHROPIC, LOCAL,
      OLLAMA_LOCAL_METHOD, 0 },
    { "HEAD", "/api/hello", NATIVE, LOCAL, OLLAMA_LOCAL_NOWHERE, 0 },
    { "POST", "/api/event_logging/batch", NATIVE, LOCAL, OLLAMA_LOCAL_NOWHERE,
      OLLAMA_ROUTE_UNDER },
    { "GET", "/api/claude_cli/bootstrap", NATIVE, LOCAL, OLLAMA_LOCAL_NOWHERE,
      OLLAMA_ROUTE_UNDER },
    { "GET", "/api/claude_code_grove", NATIVE, LOCAL, OLLAMA_LOCAL_NOWHERE,
      OLLAMA_ROUTE_UNDER },
    { "POST", "/v1/oauth/token", OPENAI, LOCAL, OLLAMA_LOCAL_NOWHERE,
      OLLAMA_ROUTE_UNDER },
    { "POST", "/v1/traces", OPENAI, LOCAL, OLLAMA_LOCAL_NOWHERE, 0 },
    { "POST", "/api/claude", NATIVE, FORWARD, 0, UNKNOWN },
    { "GET", "/api/usage", NATIVE, LOCAL, OLLAMA_LOCAL_ACCOUNT, 0 },
    { "GET", "/api/balance", NATIVE, LOCAL, OLLAMA_LOCAL_ACCOUNT, 0 },
    { "POST", "/api/balance", NATIVE, LOCAL, OLLAMA_LOCAL_METHOD, 0 },
    { "GET", "/api/chat", NATIVE, FORWARD, 0, UNKNOWN },
    { "post", "/api/chat", NATIVE, FORWARD, 0, UNKNOWN },
    { "POST", "/api/tags", NATIVE, FORWARD, 0, UNKNOWN },
    { "GET", "/v1/messages", ANTHROPIC, FORWARD, 0, UNKNOWN },
    { "PROPFIND", "/v1/models", OPENAI, FORWARD, 0, UNKNOWN },

    { "OPTIONS", "/api/chat", NATIVE, LOCAL, OLLAMA_LOCAL_PREFLIGHT, 0 },
    { "OPTIONS", "/v1/x", OPENAI, LOCAL, OLLAMA_LOCAL_PREFLIGHT, 0 },
    { "OPTIONS", "/", NATIVE, LOCAL, OLLAMA_LOCAL_PREFLIGHT, 0 },

    /* unknown */
    { "GET", "/api", NATIVE, FORWARD, 0, UNKNOWN },
    { "GET", "/api/limits", NATIVE, FORWARD, 0, UNKNOWN },
    { "POST", "/api/chat/", NATIVE, FORWARD, 0, UNKNOWN },
    { "POST", "/api/Chat", NATIVE, FORWARD, 0, UNKNOWN },
    { "GET", "/api/blobs/", NATIVE, FORWARD, 0, UNKNOWN },
    { "POST", "/v1/audio/transcriptions", OPENAI, FORWARD, 0, UNKNOWN },
    { "POST", "/v1/messages/batches", ANTHROPIC, FORWARD, 0, UNKNOWN },
    { "POST", "/v1/messagesx", OPENAI, FORWARD, 0, UNKNOWN },
    { "GET", "/v1", OPENAI, FORWARD, 0, UNKNOWN }
};


static void
test_table(void **state)
{
    size_t                 i;
    const ollama_route_t  *r;

    (void) state;

    for (i = 0; i < COUNT(rows); i++) {
        r = find(rows[i].method, rows[i].path);

        if (r == NULL || r->family != rows[i].family
            || r->kind != rows[i].kind || r->local != rows[i].local
            || r->flags != rows[i].flags || r->name[0] == '\0')
        {
            fail_msg("%s %s", rows[i].method, rows[i].path);
        }
    }
}


static void
test_not_ours(void **state)
{
    size_t  i;

    static const char  *paths[] = {
        "", "//", "/health", "/apix", "/v10", "/chat", "/v1x/api", "api/chat",
        "/ap", "/API/chat"
    };

    (void) state;

    for (i = 0; i < COUNT(paths); i++) {
        assert_null(find("GET", paths[i]));
        assert_null(find("OPTIONS", paths[i]));
    }
}


static void
test_bare(void **state)
{
    const ollama_route_t  *r;

    (void) state;

    r = ollama_route_bare((const unsigned char *) "chat", 4);
    assert_non_null(r);
    assert_string_equal(r->path, "/api/chat");

    r = ollama_route_bare((const unsigned char *) "chat/completions", 16);
    assert_non_null(r);
    assert_string_equal(r->path, "/v1/chat/completions");

    r = ollama_route_bare((const unsigned char *) "models/x", 8);
    assert_non_null(r);
    assert_string_equal(r->path, "/v1/models/");

    assert_null(ollama_route_bare((const unsigned char *) "models/", 7));
    assert_null(ollama_route_bare((const unsigned char *) "signout", 7));
    assert_null(ollama_route_bare((const unsigned char *) "", 0));

    assert_null(ollama_route_known((const unsigned char *) "/api/x", 6));
    r = ollama_route_known((const unsigned char *) "/api/tags", 9);
    assert_non_null(r);
    assert_string_equal(r->name, "tags");
}


static void
test_family(void **state)
{
    (void) state;

    assert_int_equal(ollama_route_family((const unsigned char *) "/x", 2),
                     NATIVE);
    assert_int_equal(ollama_route_family((const unsigned char *) "/v1/x", 5),
                     OPENAI);
    assert_int_equal(ollama_route_family((const unsigned char *)
                                         "/v1/messages", 12), ANTHROPIC);
    assert_int_equal(ollama_route_family(NULL, 0), NATIVE);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_not_ours),
        cmocka_unit_test(test_bare),
        cmocka_unit_test(test_family)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
