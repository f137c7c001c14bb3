/*
 * Rules: answers given out of turn, whatever the account would have got.
 *
 *   {"rules": [{"match": {"key": .., "model": .., "path": .., "method": ..},
 *               "times": 1,             -1: for ever
 *               "preset": "overloaded_503",     status, headers and body
 *               "status": 503,          these replace the preset's
 *               "headers": {"retry-after": "7"},
 *               "body": "..",
 *               "chunks": ["..", ".."], the body in these: each a chunk and,
 *               "chunk_ms": 0,            with a pause, a write of its own
 *               "body_ms": 0,           the body so long after the headers
 *               "trailers": {"x-took": "7"},    after the last chunk
 *               "framing": "length" | "chunked" | "close",
 *               "gzip": true,           packed, or "deflate": true
 *               "interim": [100, 103],  answers that come before it
 *               "delay_ms": 0,
 *               "close": "before_headers" | "after_headers" |
 * "reset_before_headers", "hold": true}]}         no answer for as long as the
 * client waits
 *
 * What match does not name matches anything; path is without the query. Rules
 * are asked in the order in which they came, before the route, the key and the
 * account are looked at; the first that matches and has times left answers. One
 * with nothing but delay_ms delays the ordinary answer.
 *
 * Presets are listed in error.h, in lower case. Without one the status is 200,
 * the type application/json, the body empty. A Content-Length among the headers
 * replaces the right one, and the connection is closed after the body.
 */

#ifndef CLOUD_RULES_H
#define CLOUD_RULES_H

#include "error.h"

#include <yajl/yajl_tree.h>

enum rule_close {
    CLOSE_NOT,
    CLOSE_BEFORE_HEADERS,
    CLOSE_AFTER_HEADERS,
    CLOSE_RESET
};

struct rule {
    char *key, *model, *path, *method; /* NULL: any */
    int64_t times;
    enum preset preset;
    int status; /* 0: not given */
    char *type; /* Content-Type among the headers */
    struct buf headers;
    bool has_length;
    char *body;
    size_t body_len;
    size_t *ends; /* of the chunks; NULL: one */
    size_t nends;
    int64_t chunk_ms, body_ms;
    struct buf trailers, interim;
    enum framing framing;
    bool gzip, deflate;
    int64_t delay_ms;
    enum rule_close close;
    bool hold, answers; /* not only a delay */

    struct rule *next;
    int refs;
};

bool rules_load(yajl_val document, struct buf *complaint);

/* The rule whose turn it is, its times counted down; the caller gives it back
 * with rule_unref(). */
struct rule *rules_take(struct slice key, struct slice model, struct slice path,
                        struct slice method);
void rule_unref(struct rule *rule);

void rule_reply(const struct rule *rule, struct reply *r,
                const struct error_about *about);

void rules_reset(void);

#endif
