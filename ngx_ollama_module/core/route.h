/*
 * Which endpoint a request is for, and what is to be done with it.
 *
 * One table in route.c; ollama_route_find() looks up the method's name as sent
 * ("POST") and the path, normalised and decoded (path.h).  The result points
 * to static memory.  It is NULL for what is neither "/" nor under /api or /v1:
 * 404, never forwarded.
 *
 * kind
 *    INFERENCE  forwarded with a key of the pool, tokens are expected
 *    FORWARD    forwarded with a key, no tokens (tags, show, web_search, and
 *               whatever is unknown under /api and /v1: OLLAMA_ROUTE_UNKNOWN)
 *    LOCAL      answered here, "local" says how
 *
 * A known path with another method is unknown (the cloud answers 405), or, if
 * the path is answered here, OLLAMA_LOCAL_METHOD.  OPTIONS is always
 * OLLAMA_LOCAL_PREFLIGHT.
 *
 * Where this comes from: the local daemon's routes, and what the cloud has been
 * seen to answer.  Two facts about the cloud matter to the verdict:
 *
 *  - It answers 401 to a good key on endpoints it does not serve (embed,
 *    embeddings, anything unknown).  Only where OLLAMA_ROUTE_JUDGES is set does
 *    a 401 say something about the key, and a 200 that the key is good.
 *  - tags, show and models are public: a revoked key gets 200 there.
 *
 * Of an unknown path nobody knows what it costs, nor for how long it is silent:
 * it has a key, but neither waits for a slot nor takes one, and whatever is
 * answered there is no key's fault.
 */

#ifndef OLLAMA_ROUTE_H_INCLUDED
#define OLLAMA_ROUTE_H_INCLUDED

#include <stddef.h>


typedef enum {
    OLLAMA_FAMILY_NATIVE = 0,       /* /api */
    OLLAMA_FAMILY_OPENAI,           /* /v1 */
    OLLAMA_FAMILY_ANTHROPIC         /* /v1/messages */
} ollama_family_e;


typedef enum {
    OLLAMA_ROUTE_INFERENCE = 0,
    OLLAMA_ROUTE_FORWARD,
    OLLAMA_ROUTE_LOCAL
} ollama_route_kind_e;


typedef enum {
    OLLAMA_LOCAL_NONE = 0,
    OLLAMA_LOCAL_ROOT,              /* "Ollama is running", 302 for browsers */
    OLLAMA_LOCAL_VERSION,           /* {"version":".."} */
    OLLAMA_LOCAL_PS,                /* {"models":[]} */
    OLLAMA_LOCAL_STATUS,            /* {"cloud":{"disabled":false,..}} */
    OLLAMA_LOCAL_ME,                /* an invented account, nobody's e-mail */
    OLLAMA_LOCAL_PULL,              /* {"status":"success"}, as a line or not */
    OLLAMA_LOCAL_TAGS,              /* HEAD /api/tags: 200 */
    OLLAMA_LOCAL_COUNT_TOKENS,      /* an estimate: {"input_tokens":N} */
    OLLAMA_LOCAL_ACCOUNT,           /* 501: one account's money is not it */
    OLLAMA_LOCAL_NOWHERE,           /* 404: what agents tell their makers */
    OLLAMA_LOCAL_UNSUPPORTED,       /* 501, push create copy delete blobs.. */
    OLLAMA_LOCAL_METHOD,            /* 405 */
    OLLAMA_LOCAL_PREFLIGHT          /* OPTIONS: CORS */
} ollama_local_e;


/* flags */
#define OLLAMA_ROUTE_STREAM  0x01   /* "stream" absent means true */
#define OLLAMA_ROUTE_USAGE   0x02   /* stream_options.include_usage exists */
#define OLLAMA_ROUTE_SCAN    0x04   /* the body names a model: look into it */
#define OLLAMA_ROUTE_JUDGES  0x08   /* an answer here tells about the key */
#define OLLAMA_ROUTE_PUBLIC  0x10   /* any key will do, and takes no slot */
#define OLLAMA_ROUTE_BARE    0x20   /* also known without its prefix */
#define OLLAMA_ROUTE_UNDER   0x40   /* all that begins with the path */
#define OLLAMA_ROUTE_UNKNOWN 0x80   /* in no table: waits for nobody */
#define OLLAMA_ROUTE_TURNS   0x200  /* a body is a conversation's turn */
#define OLLAMA_ROUTE_MODEL   0x100  /* the rest of the path is a model's name */


typedef struct {
    const char           *path;
    size_t                len;
    unsigned              methods;  /* of route.c, OLLAMA_METHOD_* */
    unsigned              flags;
    ollama_family_e       family;
    ollama_route_kind_e   kind;
    ollama_local_e        local;
    const char           *name;     /* short, for records and metrics */
} ollama_route_t;


#define OLLAMA_METHOD_GET     0x01
#define OLLAMA_METHOD_HEAD    0x02
#define OLLAMA_METHOD_POST    0x04
#define OLLAMA_METHOD_PUT     0x08
#define OLLAMA_METHOD_DELETE  0x10
#define OLLAMA_METHOD_OTHER   0x20


const ollama_route_t *ollama_route_find(const char *method, size_t method_len,
    const unsigned char *path, size_t len);

/* the table's row for a path, whatever the method; NULL if there is none */
const ollama_route_t *ollama_route_known(const unsigned char *path, size_t len);

/* the row that "chat", "models/x" .., without a prefix, stand for, or NULL */
const ollama_route_t *ollama_route_bare(const unsigned char *path, size_t len);

/* not in the table: forwarded as it is, 404, 405 */
const ollama_route_t *ollama_route_unknown(ollama_family_e family);
const ollama_route_t *ollama_route_nowhere(ollama_family_e family);
const ollama_route_t *ollama_route_not_allowed(ollama_family_e family);

/* the shape of errors for any path: those not under /v1 are native */
ollama_family_e ollama_route_family(const unsigned char *path, size_t len);


#endif /* OLLAMA_ROUTE_H_INCLUDED */
