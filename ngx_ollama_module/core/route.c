
#include "route.h"

#include <string.h>


#define ollama_route(s)  s, sizeof(s) - 1

#define OLLAMA_READ      (OLLAMA_METHOD_GET|OLLAMA_METHOD_HEAD)
#define OLLAMA_GET       OLLAMA_METHOD_GET
#define OLLAMA_HEAD      OLLAMA_METHOD_HEAD
#define OLLAMA_POST      OLLAMA_METHOD_POST
#define OLLAMA_ANY       0x3f

#define OLLAMA_NATIVE    OLLAMA_FAMILY_NATIVE
#define OLLAMA_OPENAI    OLLAMA_FAMILY_OPENAI
#define OLLAMA_ANTHROPIC OLLAMA_FAMILY_ANTHROPIC


static unsigned ollama_route_method(const char *method, size_t len);
static int ollama_route_match(const ollama_route_t *route, size_t skip,
    const unsigned char *path, size_t len);
static int ollama_route_ours(const unsigned char *path, size_t len);
static int ollama_route_begins(const unsigned char *path, size_t len,
    const char *top, size_t top_len);


static const ollama_route_t  ollama_routes[] = {

    { ollama_route("/api/chat"), OLLAMA_POST,
      OLLAMA_ROUTE_STREAM|OLLAMA_ROUTE_SCAN|OLLAMA_ROUTE_JUDGES
      |OLLAMA_ROUTE_BARE|OLLAMA_ROUTE_TURNS,
      OLLAMA_NATIVE, OLLAMA_ROUTE_INFERENCE, OLLAMA_LOCAL_NONE, "chat" },

    { ollama_route("/v1/chat/completions"), OLLAMA_POST,
      OLLAMA_ROUTE_USAGE|OLLAMA_ROUTE_SCAN|OLLAMA_ROUTE_JUDGES
      |OLLAMA_ROUTE_BARE|OLLAMA_ROUTE_TURNS,
      OLLAMA_OPENAI, OLLAMA_ROUTE_INFERENCE, OLLAMA_LOCAL_NONE,
      "chat_completions" },

    { ollama_route("/v1/messages"), OLLAMA_POST,
      OLLAMA_ROUTE_SCAN|OLLAMA_ROUTE_JUDGES|OLLAMA_ROUTE_BARE
      |OLLAMA_ROUTE_TURNS,
      OLLAMA_ANTHROPIC, OLLAMA_ROUTE_INFERENCE, OLLAMA_LOCAL_NONE,
      "messages" },

    { ollama_route("/v1/responses"), OLLAMA_POST,
      OLLAMA_ROUTE_SCAN|OLLAMA_ROUTE_JUDGES|OLLAMA_ROUTE_BARE
      |OLLAMA_ROUTE_TURNS,
      OLLAMA_OPENAI, OLLAMA_ROUTE_INFERENCE, OLLAMA_LOCAL_NONE,
      "responses" },

    { ollama_route("/api/generate"), OLLAMA_POST,
      OLLAMA_ROUTE_STREAM|OLLAMA_ROUTE_SCAN|OLLAMA_ROUTE_JUDGES
      |OLLAMA_ROUTE_BARE,
      OLLAMA_NATIVE, OLLAMA_ROUTE_INFERENCE, OLLAMA_LOCAL_NONE, "generate" },

    { ollama_route("/v1/completions"), OLLAMA_POST,
      OLLAMA_ROUTE_USAGE|OLLAMA_ROUTE_SCAN|OLLAMA_ROUTE_JUDGES
      |OLLAMA_ROUTE_BARE,
      OLLAMA_OPENAI, OLLAMA_ROUTE_INFERENCE, OLLAMA_LOCAL_NONE,
      "completions" },

    { ollama_route("/v1/responses/compact"), OLLAMA_POST,
      OLLAMA_ROUTE_SCAN|OLLAMA_ROUTE_BARE,
      OLLAMA_OPENAI, OLLAMA_ROUTE_INFERENCE, OLLAMA_LOCAL_NONE,
      "responses_compact" },

    { ollama_route("/api/embed"), OLLAMA_POST,
      OLLAMA_ROUTE_SCAN|OLLAMA_ROUTE_BARE,
      OLLAMA_NATIVE, OLLAMA_ROUTE_INFERENCE, OLLAMA_LOCAL_NONE, "embed" },

    /* the older form: its answer has no counts */
    { ollama_route("/api/embeddings"), OLLAMA_POST,
      OLLAMA_ROUTE_SCAN|OLLAMA_ROUTE_BARE,
      OLLAMA_NATIVE, OLLAMA_ROUTE_FORWARD, OLLAMA_LOCAL_NONE, "embeddings" },

    { ollama_route("/v1/embeddings"), OLLAMA_POST,
      OLLAMA_ROUTE_SCAN,
      OLLAMA_OPENAI, OLLAMA_ROUTE_INFERENCE, OLLAMA_LOCAL_NONE,
      "v1_embeddings" },

    { ollama_route("/v1/messages/count_tokens"), OLLAMA_POST,
      OLLAMA_ROUTE_SCAN|OLLAMA_ROUTE_BARE,
      OLLAMA_ANTHROPIC, OLLAMA_ROUTE_LOCAL, OLLAMA_LOCAL_COUNT_TOKENS,
      "count_tokens" },

    { ollama_route("/api/tags"), OLLAMA_GET,
      OLLAMA_ROUTE_PUBLIC|OLLAMA_ROUTE_BARE,
      OLLAMA_NATIVE, OLLAMA_ROUTE_FORWARD, OLLAMA_LOCAL_NONE, "tags" },

    { ollama_route("/api/tags"), OLLAMA_HEAD,
      OLLAMA_ROUTE_BARE,
      OLLAMA_NATIVE, OLLAMA_ROUTE_LOCAL, OLLAMA_LOCAL_TAGS, "tags" },

    { ollama_route("/api/show"), OLLAMA_POST,
      OLLAMA_ROUTE_SCAN|OLLAMA_ROUTE_PUBLIC|OLLAMA_ROUTE_BARE,
      OLLAMA_NATIVE, OLLAMA_ROUTE_FORWARD, OLLAMA_LOCAL_NONE, "show" },

    { ollama_route("/v1/models"), OLLAMA_READ,
      OLLAMA_ROUTE_PUBLIC|OLLAMA_ROUTE_BARE,
      OLLAMA_OPENAI, OLLAMA_ROUTE_FORWARD, OLLAMA_LOCAL_NONE, "models" },

    { ollama_route("/v1/models/"), OLLAMA_READ,
      OLLAMA_ROUTE_PUBLIC|OLLAMA_ROUTE_BARE|OLLAMA_ROUTE_UNDER
      |OLLAMA_ROUTE_MODEL,
      OLLAMA_OPENAI, OLLAMA_ROUTE_FORWARD, OLLAMA_LOCAL_NONE, "model" },

    { ollama_route("/api/web_search"), OLLAMA_POST,
      OLLAMA_ROUTE_JUDGES|OLLAMA_ROUTE_BARE,
      OLLAMA_NATIVE, OLLAMA_ROUTE_FORWARD, OLLAMA_LOCAL_NONE, "web_search" },

    { ollama_route("/api/web_fetch"), OLLAMA_POST,
      OLLAMA_ROUTE_JUDGES|OLLAMA_ROUTE_BARE,
      OLLAMA_NATIVE, OLLAMA_ROUTE_FORWARD, OLLAMA_LOCAL_NONE, "web_fetch" },

    { ollama_route("/"), OLLAMA_READ, 0,
      OLLAMA_NATIVE, OLLAMA_ROUTE_LOCAL, OLLAMA_LOCAL_ROOT, "root" },

    { ollama_route("/api/version"), OLLAMA_READ, OLLAMA_ROUTE_BARE,
      OLLAMA_NATIVE, OLLAMA_ROUTE_LOCAL, OLLAMA_LOCAL_VERSION, "version" },

    { ollama_route("/api/ps"), OLLAMA_READ, OLLAMA_ROUTE_BARE,
      OLLAMA_NATIVE, OLLAMA_ROUTE_LOCAL, OLLAMA_LOCAL_PS, "ps" },

    { ollama_route("/api/status"), OLLAMA_READ, OLLAMA_ROUTE_BARE,
      OLLAMA_NATIVE, OLLAMA_ROUTE_LOCAL, OLLAMA_LOCAL_STATUS, "status" },

    { ollama_route("/api/me"), OLLAMA_POST, OLLAMA_ROUTE_BARE,
      OLLAMA_NATIVE, OLLAMA_ROUTE_LOCAL, OLLAMA_LOCAL_ME, "me" },

    /* of one account, while the pool has many */
    { ollama_route("/api/balance"), OLLAMA_READ, 0,
      OLLAMA_NATIVE, OLLAMA_ROUTE_LOCAL, OLLAMA_LOCAL_ACCOUNT, "balance" },

    { ollama_route("/api/usage"), OLLAMA_READ, 0,
      OLLAMA_NATIVE, OLLAMA_ROUTE_LOCAL, OLLAMA_LOCAL_ACCOUNT, "usage" },

    { ollama_route("/api/pull"), OLLAMA_POST, OLLAMA_ROUTE_BARE,
      OLLAMA_NATIVE, OLLAMA_ROUTE_LOCAL, OLLAMA_LOCAL_PULL, "pull" },

    { ollama_route("/api/push"), OLLAMA_POST, OLLAMA_ROUTE_BARE,
      OLLAMA_NATIVE, OLLAMA_ROUTE_LOCAL, OLLAMA_LOCAL_UNSUPPORTED, "push" },

    { ollama_route("/api/create"), OLLAMA_POST, OLLAMA_ROUTE_BARE,
      OLLAMA_NATIVE, OLLAMA_ROUTE_LOCAL, OLLAMA_LOCAL_UNSUPPORTED, "create" },

    { ollama_route("/api/copy"), OLLAMA_POST, OLLAMA_ROUTE_BARE,
      OLLAMA_NATIVE, OLLAMA_ROUTE_LOCAL, OLLAMA_LOCAL_UNSUPPORTED, "copy" },

    { ollama_route("/api/delete"), OLLAMA_METHOD_DELETE|OLLAMA_POST,
      OLLAMA_ROUTE_BARE,
      OLLAMA_NATIVE, OLLAMA_ROUTE_LOCAL, OLLAMA_LOCAL_UNSUPPORTED, "delete" },

    { ollama_route("/api/blobs/"), OLLAMA_ANY,
      OLLAMA_ROUTE_BARE|OLLAMA_ROUTE_UNDER,
      OLLAMA_NATIVE, OLLAMA_ROUTE_LOCAL, OLLAMA_LOCAL_UNSUPPORTED, "blobs" },

    /*
     * What agents send to their own makers, wherever they are told their API
     * is: no business of the cloud's, nor of a key's.  Is it reachable, what
     * happened, who is signed in, which features are on for him?
     */

    { ollama_route("/api/hello"), OLLAMA_ANY, 0,
      OLLAMA_NATIVE, OLLAMA_ROUTE_LOCAL, OLLAMA_LOCAL_NOWHERE, "agent" },

    { ollama_route("/api/event_logging/"), OLLAMA_ANY, OLLAMA_ROUTE_UNDER,
      OLLAMA_NATIVE, OLLAMA_ROUTE_LOCAL, OLLAMA_LOCAL_NOWHERE, "agent" },

    /* claude_cli/, claude_code/ (settings, policies, memory), claude_code_* */
    { ollama_route("/api/claude_"), OLLAMA_ANY, OLLAMA_ROUTE_UNDER,
      OLLAMA_NATIVE, OLLAMA_ROUTE_LOCAL, OLLAMA_LOCAL_NOWHERE, "agent" },

    /* tokens, profile, plan, what is left of it */
    { ollama_route("/api/oauth/"), OLLAMA_ANY, OLLAMA_ROUTE_UNDER,
      OLLAMA_NATIVE, OLLAMA_ROUTE_LOCAL, OLLAMA_LOCAL_NOWHERE, "agent" },

    { ollama_route("/v1/oauth/"), OLLAMA_ANY, OLLAMA_ROUTE_UNDER,
      OLLAMA_OPENAI, OLLAMA_ROUTE_LOCAL, OLLAMA_LOCAL_NOWHERE, "agent" },

    { ollama_route("/api/auth/trusted_devices"), OLLAMA_ANY, 0,
      OLLAMA_NATIVE, OLLAMA_ROUTE_LOCAL, OLLAMA_LOCAL_NOWHERE, "agent" },

    { ollama_route("/api/organization"), OLLAMA_ANY, OLLAMA_ROUTE_UNDER,
      OLLAMA_NATIVE, OLLAMA_ROUTE_LOCAL, OLLAMA_LOCAL_NOWHERE, "agent" },

    /* experiments, with who it is that takes part */
    { ollama_route("/api/features/"), OLLAMA_ANY, OLLAMA_ROUTE_UNDER,
      OLLAMA_NATIVE, OLLAMA_ROUTE_LOCAL, OLLAMA_LOCAL_NOWHERE, "agent" },

    { ollama_route("/api/eval/"), OLLAMA_ANY, OLLAMA_ROUTE_UNDER,
      OLLAMA_NATIVE, OLLAMA_ROUTE_LOCAL, OLLAMA_LOCAL_NOWHERE, "agent" },

    /* connectors, pages, and sessions kept or run elsewhere */
    { ollama_route("/api/directory/"), OLLAMA_ANY, OLLAMA_ROUTE_UNDER,
      OLLAMA_NATIVE, OLLAMA_ROUTE_LOCAL, OLLAMA_LOCAL_NOWHERE, "agent" },

    { ollama_route("/api/frame/"), OLLAMA_ANY, OLLAMA_ROUTE_UNDER,
      OLLAMA_NATIVE, OLLAMA_ROUTE_LOCAL, OLLAMA_LOCAL_NOWHERE, "agent" },

    { ollama_route("/v1/code/"), OLLAMA_ANY, OLLAMA_ROUTE_UNDER,
      OLLAMA_OPENAI, OLLAMA_ROUTE_LOCAL, OLLAMA_LOCAL_NOWHERE, "agent" },

    { ollama_route("/v1/session_ingress/"), OLLAMA_ANY, OLLAMA_ROUTE_UNDER,
      OLLAMA_OPENAI, OLLAMA_ROUTE_LOCAL, OLLAMA_LOCAL_NOWHERE, "agent" },

    /* OpenTelemetry: prompts may be in it */
    { ollama_route("/v1/traces"), OLLAMA_ANY, 0,
      OLLAMA_OPENAI, OLLAMA_ROUTE_LOCAL, OLLAMA_LOCAL_NOWHERE, "agent" },

    { ollama_route("/v1/metrics"), OLLAMA_ANY, 0,
      OLLAMA_OPENAI, OLLAMA_ROUTE_LOCAL, OLLAMA_LOCAL_NOWHERE, "agent" },

    { ollama_route("/v1/logs"), OLLAMA_ANY, 0,
      OLLAMA_OPENAI, OLLAMA_ROUTE_LOCAL, OLLAMA_LOCAL_NOWHERE, "agent" },

    /* these would sign out, and more, whoever owns the key */
    { ollama_route("/api/signout"), OLLAMA_POST, 0,
      OLLAMA_NATIVE, OLLAMA_ROUTE_LOCAL, OLLAMA_LOCAL_UNSUPPORTED, "signout" },

    { ollama_route("/api/user/"), OLLAMA_ANY, OLLAMA_ROUTE_UNDER,
      OLLAMA_NATIVE, OLLAMA_ROUTE_LOCAL, OLLAMA_LOCAL_UNSUPPORTED, "user" }
};


#define OLLAMA_ROUTES  (sizeof(ollama_routes) / sizeof(ollama_routes[0]))


/* by family */

static const ollama_route_t  ollama_routes_other[] = {

    { ollama_route(""), OLLAMA_ANY,
      OLLAMA_ROUTE_PUBLIC|OLLAMA_ROUTE_UNKNOWN,
      OLLAMA_NATIVE, OLLAMA_ROUTE_FORWARD, OLLAMA_LOCAL_NONE, "other" },

    { ollama_route(""), OLLAMA_ANY,
      OLLAMA_ROUTE_PUBLIC|OLLAMA_ROUTE_UNKNOWN,
      OLLAMA_OPENAI, OLLAMA_ROUTE_FORWARD, OLLAMA_LOCAL_NONE, "other" },

    { ollama_route(""), OLLAMA_ANY,
      OLLAMA_ROUTE_PUBLIC|OLLAMA_ROUTE_UNKNOWN,
      OLLAMA_ANTHROPIC, OLLAMA_ROUTE_FORWARD, OLLAMA_LOCAL_NONE, "other" }
};


static const ollama_route_t  ollama_routes_nowhere[] = {

    { ollama_route(""), OLLAMA_ANY, 0,
      OLLAMA_NATIVE, OLLAMA_ROUTE_LOCAL, OLLAMA_LOCAL_NOWHERE, "nowhere" },

    { ollama_route(""), OLLAMA_ANY, 0,
      OLLAMA_OPENAI, OLLAMA_ROUTE_LOCAL, OLLAMA_LOCAL_NOWHERE, "nowhere" },

    { ollama_route(""), OLLAMA_ANY, 0,
      OLLAMA_ANTHROPIC, OLLAMA_ROUTE_LOCAL, OLLAMA_LOCAL_NOWHERE, "nowhere" }
};


static const ollama_route_t  ollama_routes_method[] = {

    { ollama_route(""), OLLAMA_ANY, 0,
      OLLAMA_NATIVE, OLLAMA_ROUTE_LOCAL, OLLAMA_LOCAL_METHOD, "method" },

    { ollama_route(""), OLLAMA_ANY, 0,
      OLLAMA_OPENAI, OLLAMA_ROUTE_LOCAL, OLLAMA_LOCAL_METHOD, "method" },

    { ollama_route(""), OLLAMA_ANY, 0,
      OLLAMA_ANTHROPIC, OLLAMA_ROUTE_LOCAL, OLLAMA_LOCAL_METHOD, "method" }
};


static const ollama_route_t  ollama_routes_preflight[] = {

    { ollama_route(""), OLLAMA_ANY, 0,
      OLLAMA_NATIVE, OLLAMA_ROUTE_LOCAL, OLLAMA_LOCAL_PREFLIGHT, "preflight" },

    { ollama_route(""), OLLAMA_ANY, 0,
      OLLAMA_OPENAI, OLLAMA_ROUTE_LOCAL, OLLAMA_LOCAL_PREFLIGHT, "preflight" },

    { ollama_route(""), OLLAMA_ANY, 0,
      OLLAMA_ANTHROPIC, OLLAMA_ROUTE_LOCAL, OLLAMA_LOCAL_PREFLIGHT,
      "preflight" }
};


const ollama_route_t *
ollama_route_find(const char *method, size_t method_len,
    const unsigned char *path, size_t len)
{
    size_t           i;
    unsigned         bit, local, forward;
    ollama_family_e  family;

    if (!ollama_route_ours(path, len)) {
        return NULL;
    }

    family = ollama_route_family(path, len);

    if (method_len == 7 && memcmp(method, "OPTIONS", 7) == 0) {
        return &ollama_routes_preflight[family];
    }

    bit = ollama_route_method(method, method_len);
    local = 0;
    forward = 0;

    for (i = 0; i < OLLAMA_ROUTES; i++) {

        if (!ollama_route_match(&ollama_routes[i], 0, path, len)) {
            continue;
        }

        if (ollama_routes[i].methods & bit) {
            return &ollama_routes[i];
        }

        if (ollama_routes[i].kind == OLLAMA_ROUTE_LOCAL) {
            local = 1;

        } else {
            forward = 1;
        }
    }

    if (local && !forward) {
        return &ollama_routes_method[family];
    }

    return &ollama_routes_other[family];
}


const ollama_route_t *
ollama_route_known(const unsigned char *path, size_t len)
{
    size_t  i;

    for (i = 0; i < OLLAMA_ROUTES; i++) {
        if (ollama_route_match(&ollama_routes[i], 0, path, len)) {
            return &ollama_routes[i];
        }
    }

    return NULL;
}


const ollama_route_t *
ollama_route_bare(const unsigned char *path, size_t len)
{
    size_t  i, skip;

    for (i = 0; i < OLLAMA_ROUTES; i++) {

        if (!(ollama_routes[i].flags & OLLAMA_ROUTE_BARE)) {
            continue;
        }

        skip = (ollama_routes[i].family == OLLAMA_FAMILY_NATIVE)
               ? sizeof("/api/") - 1 : sizeof("/v1/") - 1;

        if (ollama_route_match(&ollama_routes[i], skip, path, len)) {
            return &ollama_routes[i];
        }
    }

    return NULL;
}


const ollama_route_t *
ollama_route_unknown(ollama_family_e family)
{
    return &ollama_routes_other[family];
}


const ollama_route_t *
ollama_route_nowhere(ollama_family_e family)
{
    return &ollama_routes_nowhere[family];
}


const ollama_route_t *
ollama_route_not_allowed(ollama_family_e family)
{
    return &ollama_routes_method[family];
}


ollama_family_e
ollama_route_family(const unsigned char *path, size_t len)
{
    if (ollama_route_begins(path, len, ollama_route("/v1/messages"))) {
        return OLLAMA_FAMILY_ANTHROPIC;
    }

    if (ollama_route_begins(path, len, ollama_route("/v1"))) {
        return OLLAMA_FAMILY_OPENAI;
    }

    return OLLAMA_FAMILY_NATIVE;
}


static unsigned
ollama_route_method(const char *method, size_t len)
{
    switch (len) {

    case 3:
        if (memcmp(method, "GET", 3) == 0) {
            return OLLAMA_METHOD_GET;
        }

        if (memcmp(method, "PUT", 3) == 0) {
            return OLLAMA_METHOD_PUT;
        }

        break;

    case 4:
        if (memcmp(method, "POST", 4) == 0) {
            return OLLAMA_METHOD_POST;
        }

        if (memcmp(method, "HEAD", 4) == 0) {
            return OLLAMA_METHOD_HEAD;
        }

        break;

    case 6:
        if (memcmp(method, "DELETE", 6) == 0) {
            return OLLAMA_METHOD_DELETE;
        }

        break;
    }

    return OLLAMA_METHOD_OTHER;
}


/* with the row's path from "skip" on */

static int
ollama_route_match(const ollama_route_t *route, size_t skip,
    const unsigned char *path, size_t len)
{
    size_t  n;

    n = route->len - skip;

    if (route->flags & OLLAMA_ROUTE_UNDER) {
        return len > n && memcmp(path, route->path + skip, n) == 0;
    }

    return len == n && memcmp(path, route->path + skip, n) == 0;
}


static int
ollama_route_ours(const unsigned char *path, size_t len)
{
    return (len == 1 && path[0] == '/')
           || ollama_route_begins(path, len, ollama_route("/api"))
           || ollama_route_begins(path, len, ollama_route("/v1"));
}


static int
ollama_route_begins(const unsigned char *path, size_t len, const char *top,
    size_t top_len)
{
    return len >= top_len && memcmp(path, top, top_len) == 0
           && (len == top_len || path[top_len] == '/');
}
