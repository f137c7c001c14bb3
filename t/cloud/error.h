/*
 * Errors as the cloud words and shapes them (contract, 4.1 and 4.2).
 *
 * The shape follows from the path: {"error":"text"} on /api, OpenAI's object on
 * /v1, Anthropic's on /v1/messages. With plain, /v1 gets the first shape too.
 */

#ifndef CLOUD_ERROR_H
#define CLOUD_ERROR_H

#include "http.h"

enum family { FAMILY_NATIVE, FAMILY_OPENAI, FAMILY_ANTHROPIC };

enum preset {
    PRESET_NONE,
    PRESET_QUOTA_SESSION,
    PRESET_QUOTA_WEEKLY,
    PRESET_QUOTA_HOURLY,
    PRESET_QUOTA_MONTHLY,
    PRESET_CONCURRENT,
    PRESET_QUEUE_TIMEOUT,
    PRESET_UNKNOWN_429,
    PRESET_UNAUTHORIZED,
    PRESET_MODEL_402,
    PRESET_MODEL_403,
    PRESET_BALANCE_402,
    PRESET_SUSPENDED_403,
    PRESET_OVERLOADED_503,
    PRESET_INTERNAL_500,
    PRESET_BAD_GATEWAY_HTML_502,
    PRESET_GATEWAY_TIMEOUT_524,
    PRESET_GATEWAY_504,
    PRESET_BAD_REQUEST_400,
    PRESET_NOT_FOUND_404,
    PRESET_GONE_410,
    PRESET_TOO_LARGE_413,
};

/* Whom and what an error is about; zeros are right where nothing is known. */
struct error_about {
    enum family family;
    bool plain;
    const char *account; /* its name */
    struct slice model;
    int64_t active, max, queued, queue_limit; /* for PRESET_CONCURRENT */
};

enum family family_of(struct slice path);

/* The JSON of an error, as a line of its own or part of a stream. */
void error_write(struct buf *b, enum family family, bool plain, int status,
                 const char *text);

/* Status, type, headers and body of the reply. */
void error_reply(struct reply *r, const struct error_about *about, int status,
                 const char *text);
void error_preset(struct reply *r, const struct error_about *about,
                  enum preset preset);

enum preset preset_by_name(const char *name); /* PRESET_NONE: there is none */

/* Something like 3f0c0c52-1f0f-4d2a-9a53-0d4d1c1c9a11, another at each call. */
void write_uuid(struct buf *b);

/* n hex digits (at most 64), others at each call. */
void write_hex(struct buf *b, int n);

#endif
