
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "path.h"


#define COUNT(a)  (sizeof(a) / sizeof((a)[0]))


typedef struct {
    const char  *in;
    const char  *out;
} pair_t;


/* exact buffers, so that a sanitizer sees every byte too much */

static ollama_path_e
normalize_n(const char *in, size_t len, char **out, size_t *out_len)
{
    ollama_path_e   rc;
    unsigned char  *raw, *room;

    raw = malloc(len ? len : 1);
    room = malloc(len + OLLAMA_PATH_ROOM);
    memcpy(raw, in, len);

    *out_len = 0;
    rc = ollama_path_normalize(raw, len, room, out_len);

    *out = calloc(1, *out_len + 1);
    memcpy(*out, room, *out_len);

    free(raw);
    free(room);

    return rc;
}


static void
expect(const char *in, ollama_path_e rc, const char *out)
{
    char    *got;
    size_t   n;

    if (normalize_n(in, strlen(in), &got, &n) != rc
        || strcmp(got, out) != 0)
    {
        fail_msg("\"%s\" became \"%s\"", in, got);
    }

    free(got);
}


static void
test_same(void **state)
{
    size_t  i;

    static const char  *same[] = {
        "/api/chat", "/api", "/api/", "/v1", "/v1/", "/v1/models",
        "/v1/models/gpt-oss:20b", "/v1/models/a%2fb", "/v1/models/a%2Fb/",
        "/v1/models/A%20b", "/api/unknown/", "/api/Chat",
        "/api/blobs/sha256:00", "/api/...",
        "/api/..x/.y", "/api/v1x", "/v1/apis/chat", "/api/chat/completions",
        "/v1/messages/count_tokens", "/api/experimental/other",
        "/api/ch%61t", "/v1/models/100%25", "/v1/models/%252", "/api/a\\b",
        "/v1/models/\xc3\xa4", "/v1/chat%2fcompletions", "/api/x%2fapi",
        "/v1/experimental/web_search"
    };

    (void) state;

    for (i = 0; i < COUNT(same); i++) {
        expect(same[i], OLLAMA_PATH_SAME, same[i]);
    }
}


static void
test_changed(void **state)
{
    size_t  i;

    static const pair_t  changed[] = {
        { "/api/api/chat", "/api/chat" },
        { "/v1/v1/x", "/v1/x" },
        { "/api/v1/x", "/v1/x" },
        { "/v1/api/chat", "/api/chat" },
        { "/api/v1/api/chat", "/api/chat" },
        { "/api/v1/api/api/v1/v1/models", "/v1/models" },
        { "/v1/v1/chat/completions", "/v1/chat/completions" },
        { "/api/v1/chat/completions", "/v1/chat/completions" },
        { "/api/v1", "/v1" },
        { "/api/v1/", "/v1/" },
        { "/api//", "/api/" },
        { "//api/chat", "/api/chat" },
        { "/api//chat", "/api/chat" },
        { "///v1///v1//models//x", "/v1/models/x" },
        { "/api/chat//x", "/api/chat/x" },
        { "/v1/chat//completions", "/v1/chat/completions" },
        { "/chat//completions", "/v1/chat/completions" },
        { "/v1//v1/models", "/v1/models" },
        { "/%61pi/chat", "/api/chat" },
        { "/api/%76%31/models/%41", "/v1/models/%41" },
        { "/api/chat/", "/api/chat" },
        { "/v1/models//", "/v1/models" },
        { "/api/api/Foo/", "/api/Foo/" },
        { "/api/experimental/web_search", "/api/web_search" },
        { "/api/experimental/web_fetch", "/api/web_fetch" },
        { "/v1/api/experimental/web_fetch/", "/api/web_fetch" },

        /* bare */
        { "/chat", "/api/chat" },
        { "/chat/", "/api/chat" },
        { "//chat", "/api/chat" },
        { "/ch%61t", "/api/ch%61t" },
        { "/generate", "/api/generate" },
        { "/embed", "/api/embed" },
        { "/embeddings", "/api/embeddings" },
        { "/tags", "/api/tags" },
        { "/show", "/api/show" },
        { "/ps", "/api/ps" },
        { "/me", "/api/me" },
        { "/version", "/api/version" },
        { "/status", "/api/status" },
        { "/web_search", "/api/web_search" },
        { "/web_fetch", "/api/web_fetch" },
        { "/pull", "/api/pull" },
        { "/push", "/api/push" },
        { "/create", "/api/create" },
        { "/copy", "/api/copy" },
        { "/delete", "/api/delete" },
        { "/blobs/sha256:ab", "/api/blobs/sha256:ab" },
        { "/chat/completions", "/v1/chat/completions" },
        { "/completions", "/v1/completions" },
        { "/responses", "/v1/responses" },
        { "/messages", "/v1/messages" },
        { "/messages/count_tokens", "/v1/messages/count_tokens" },
        { "/models", "/v1/models" },
        { "/models/", "/v1/models" },
        { "/models/gpt-oss%3A20b", "/v1/models/gpt-oss%3A20b" },
        { "/models/a%2fb", "/v1/models/a%2fb" }
    };

    (void) state;

    for (i = 0; i < COUNT(changed); i++) {
        expect(changed[i].in, OLLAMA_PATH_CHANGED, changed[i].out);
        expect(changed[i].out, OLLAMA_PATH_SAME, changed[i].out);
    }
}


static void
test_foreign(void **state)
{
    size_t  i;

    static const char  *foreign[] = {
        "", "*", "api/chat", "/", "//", "/health", "/health/keys", "/stats",
        "/dashboard", "/API/chat", "/V1/models", "/apix/chat", "/v10/x",
        "/foo/api/chat", "/chat/x", "/blobs/", "/v2/models", "/chat%20room",
        "/docs/../index.html", "/docs/./x", "/a%00b", "/x%zz",
        "/%252e%252e/other", "/api.html", "/v1.2",
        "/\\api/chat", "/api\\chat", "/apix/../v1x", "/%2fapix",
        "/blobs\\..\\x"
    };

    (void) state;

    for (i = 0; i < COUNT(foreign); i++) {
        expect(foreign[i], OLLAMA_PATH_FOREIGN, "");
    }
}


static void
test_rejected(void **state)
{
    size_t  i;

    static const char  *rejected[] = {
        /* dot segments */
        "/api/..", "/api/.", "/api/../x", "/api/./chat", "/api/chat/..",
        "/v1/models/../../x", "/api/%2e%2e/x", "/api/.%2E/x",
        "/api/%252e%252e/x", "/api/..%2fx", "/api/x%2f..%2f..%2fy",
        "/api/..%252fx", "/api/x%252f..%252fy", "/api/..\\x", "/api\\..\\x",
        "/api/%5c..%5cx", "/v1/%2e", "/api/..;/x", "/api/..%3bx", "/api/.;",
         "/models/../x", "/models/..",
        "/blobs/../../etc/passwd",

        /* that would become ours */
        "/x/../api/chat", "/x/../chat", "/x/%2e%2e/v1/models",
        "/x%2f..%2fapi/chat", "/%252e/api/chat", "/./api/chat", "/../api",
        "/..\\api\\chat", "/x/..;/../../api",
        "/a\\b/../api/chat", "/a%20b/../api/chat", "/b/../api/..;/x",
        "/a%00/%2e%2e/v1",

        /* slashes of the prefix in escapes */
        "/api%2fchat", "/%2fapi/chat", "/api/%2fchat", "/api/api%2fchat",
        "/api/v1%2fmodels", "/%2F%2fv1%2fmodels",

        /* bytes */
        "/api/a%00b", "/api%00/x", "/api/a%2500b", "/api/a\x01", "/api/%0d%0a",
        "/api/%7f", "/api/a\x7f", "/api/%250a", "/api chat", "/api/a b",
        "/api/a#b", "/api#", "/api/a?b", "/chat%00", "/chat%0a",

        /* escapes */
        "/api/%", "/api/%4", "/api/%zz", "/api/%2", "/api/x%",

        /* overlong UTF-8 */
        "/api/%c0%ae%c0%ae/x", "/api/%c1%9c", "/api/%e0%80%ae",
        "/api/%f0%80%80%ae", "/api/%25c0%25ae", "/v1/\xc0\xaf"
    };

    (void) state;

    for (i = 0; i < COUNT(rejected); i++) {
        expect(rejected[i], OLLAMA_PATH_REJECTED, "");
    }
}


static void
test_nul_in_raw(void **state)
{
    char    *got;
    size_t   n;

    (void) state;

    assert_int_equal(normalize_n("/api\0/x", 7, &got, &n),
                     OLLAMA_PATH_REJECTED);
    free(got);

    assert_int_equal(normalize_n("/api/x\0", 7, &got, &n),
                     OLLAMA_PATH_REJECTED);
    free(got);
}


static void
test_long(void **state)
{
    char    *got, path[OLLAMA_PATH_MAX + 2];
    size_t   n;

    (void) state;

    memset(path, 'a', sizeof(path));
    memcpy(path, "/api/", 5);

    assert_int_equal(normalize_n(path, OLLAMA_PATH_MAX, &got, &n),
                     OLLAMA_PATH_SAME);
    assert_int_equal(n, OLLAMA_PATH_MAX);
    free(got);

    assert_int_equal(normalize_n(path, OLLAMA_PATH_MAX + 1, &got, &n),
                     OLLAMA_PATH_REJECTED);
    free(got);

    /* too long only with the prefix that is missing */

    memcpy(path, "/models/", 8);

    assert_int_equal(normalize_n(path, OLLAMA_PATH_MAX - 3, &got, &n),
                     OLLAMA_PATH_CHANGED);
    assert_int_equal(n, OLLAMA_PATH_MAX);
    free(got);

    assert_int_equal(normalize_n(path, OLLAMA_PATH_MAX - 2, &got, &n),
                     OLLAMA_PATH_REJECTED);
    free(got);

    memset(path, '/', sizeof(path));

    assert_int_equal(normalize_n(path, OLLAMA_PATH_MAX, &got, &n),
                     OLLAMA_PATH_FOREIGN);
    free(got);
}


static void
test_decode(void **state)
{
    size_t         i, n;
    unsigned char  buf[64];

    static const pair_t  decoded[] = {
        { "", "" }, { "/a%20b", "/a b" }, { "%2F%2f", "//" },
        { "%252e", "%2e" }, { "%", "%" }, { "%4", "%4" }, { "%zz%41", "%zzA" },
        { "%%41", "%A" }, { "%C3%A4", "\xc3\xa4" }, { "a%4", "a%4" }
    };

    (void) state;

    for (i = 0; i < COUNT(decoded); i++) {
        n = strlen(decoded[i].in);
        memcpy(buf, decoded[i].in, n);

        n = ollama_path_decode(buf, n, buf);

        assert_int_equal(n, strlen(decoded[i].out));
        assert_memory_equal(buf, decoded[i].out, n);
    }

    assert_int_equal(ollama_path_decode((unsigned char *) "%00x", 4, buf), 2);
    assert_memory_equal(buf, "\0x", 2);
}


static void
test_shorten(void **state)
{
    size_t  i;

    static const struct {
        const char  *raw;
        size_t       n;
        size_t       len;
    } rows[] = {
        { "/a:cloud", 6, 2 }, { "/a%3Acloud", 6, 2 }, { "/a%3acl%6Fud", 6, 2 },
        { "/a%2D%63%6c%6f%75%64", 6, 2 }, { "/%41-cloud", 6, 4 }, { "ab", 6, 0 },
        { "%41", 1, 0 }, { "%4", 1, 1 }, { "x%zz", 1, 3 }, { "%%41", 1, 1 },
        { "", 1, 0 }, { "abc", 0, 3 }
    };

    (void) state;

    for (i = 0; i < COUNT(rows); i++) {
        assert_int_equal(ollama_path_shorten((const unsigned char *)
                                             rows[i].raw, strlen(rows[i].raw),
                                             rows[i].n), rows[i].len);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_same),
        cmocka_unit_test(test_changed),
        cmocka_unit_test(test_foreign),
        cmocka_unit_test(test_rejected),
        cmocka_unit_test(test_nul_in_raw),
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_decode),
        cmocka_unit_test(test_shorten)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
