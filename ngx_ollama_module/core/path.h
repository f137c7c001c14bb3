/*
 * Paths put right.
 *
 * Clients are given "http://host:11434", "http://host:11434/v1" or
 * "http://host:11434/api" as their base and then add one more prefix, or none.
 * ollama_path_normalize() takes the path of a request as it came (escaped,
 * without the query) and says what is to be sent instead:
 *
 *     /api/api/chat, /v1/api/chat, //api//chat, /chat   ->  /api/chat
 *     /api/v1/models, /v1/v1/models, /models            ->  /v1/models
 *     /api/experimental/web_search                      ->  /api/web_search
 *
 *  - A leading run of segments "api" and "v1" becomes the last of them, with
 *    one slash on either side, written plainly ("%61pi" becomes "api").
 *  - Without such a run, an endpoint that is known by itself gets its prefix;
 *    which those are is said by the flag OLLAMA_ROUTE_BARE of the route table.
 *  - Slashes that trail an exact, known endpoint are dropped ("/api/tags/").
 *    No endpoint means anything by one, the cloud would answer with a
 *    redirection of its own, and the request would miss its route here.
 *  - Slashes that follow one another are one.
 *  - Every other byte is kept: escaping, case, "%2f" inside a model's name.
 *
 * Results:
 *    SAME      ours, and right already; out is a copy
 *    CHANGED   ours, out differs
 *    REJECTED  to be answered with 400: see below; nothing is written
 *    FOREIGN   the top level is not ours, left alone; nothing is written
 *
 * A path is rejected if it is ours, or one of our names stands anywhere in it
 * (so that it might be ours once somebody resolves it), and it
 *  - has a segment "." or "..", as sent or after decoding once or twice, where
 *    "/", "\" and "%2f" separate segments, and ";" ends what is looked at;
 *  - holds NUL, a control byte or DEL, as sent or decoded once or twice;
 *  - holds a raw space, "#" or "?", a broken escape, or an overlong UTF-8 form;
 *  - hides a slash of the prefix in an escape ("/api%2fchat");
 *  - is longer than OLLAMA_PATH_MAX bytes (then nobody reads further: any path
 *    so long is rejected).
 * So nothing that is not under /api or /v1 is ever sent, and normalising twice
 * is the same as once.
 *
 * ollama_path_decode() decodes "%xx" once; broken escapes stay as they are.
 * out has room for len bytes and may be in.  The result is what the route
 * table is asked with.
 */

#ifndef OLLAMA_PATH_H_INCLUDED
#define OLLAMA_PATH_H_INCLUDED

#include <stddef.h>

#define OLLAMA_PATH_MAX   4096
#define OLLAMA_PATH_ROOM  8         /* out holds len + OLLAMA_PATH_ROOM bytes */


typedef enum {
    OLLAMA_PATH_SAME = 0,
    OLLAMA_PATH_CHANGED,
    OLLAMA_PATH_REJECTED,
    OLLAMA_PATH_FOREIGN
} ollama_path_e;


ollama_path_e ollama_path_normalize(const unsigned char *raw, size_t len,
    unsigned char *out, size_t *out_len);
size_t ollama_path_decode(const unsigned char *in, size_t len,
    unsigned char *out);

/* the length of raw without its last n characters, each escaped or not */
size_t ollama_path_shorten(const unsigned char *raw, size_t len, size_t n);


#endif /* OLLAMA_PATH_H_INCLUDED */
