#include "error.h"

#include <stdlib.h>

#define UPGRADE  "https://ollama.com/upgrade"
#define SETTINGS "https://ollama.com/settings"

/* %a the account's name, %m the model's, %r a reference. */
static const struct {
    const char *name;
    int status;
    const char *type, *text;
} presets[] = {
    [PRESET_NONE] = {"", 0, NULL, NULL},
#define QUOTA(window)                                   \
    "you (%a) have reached your " window                \
    " usage limit, upgrade for higher limits: " UPGRADE \
    " or add usage credits: " SETTINGS " (ref: %r)"
    [PRESET_QUOTA_SESSION] = {"quota_session", 429, NULL, QUOTA("session")},
    [PRESET_QUOTA_WEEKLY] = {"quota_weekly", 429, NULL, QUOTA("weekly")},
    [PRESET_QUOTA_HOURLY] = {"quota_hourly", 429, NULL, QUOTA("hourly")},
    [PRESET_QUOTA_MONTHLY] = {"quota_monthly", 429, NULL, QUOTA("monthly")},
#undef QUOTA
    [PRESET_CONCURRENT] = {"concurrent", 429, NULL,
                           "too many concurrent requests"},
    [PRESET_QUEUE_TIMEOUT] =
        {"queue_timeout", 429, NULL,
         "timed out waiting for a concurrent request slot"},
    [PRESET_UNKNOWN_429] = {"unknown_429", 429, NULL,
                            "rate limit exceeded, please slow down"},
    [PRESET_UNAUTHORIZED] = {"unauthorized", 401, NULL, "unauthorized"},
    [PRESET_MODEL_402] =
        {"model_402", 402, NULL,
         "this model requires a subscription or extra usage, upgrade for access "
         "at " UPGRADE " or add extra usage at " SETTINGS " (ref: %r)"},
    [PRESET_MODEL_403] =
        {"model_403", 403, NULL,
         "this model requires a subscription, upgrade for access: " UPGRADE},
    [PRESET_BALANCE_402] =
        {"balance_402", 402, NULL,
         "extra usage balance is empty, add extra usage at " SETTINGS
         " (ref: %r)"},
    [PRESET_SUSPENDED_403] = {"suspended_403", 403, NULL,
                              "this account is suspended"},
    [PRESET_OVERLOADED_503] =
        {"overloaded_503", 503, NULL,
         "Server overloaded, please retry shortly (ref: %r)"},
    [PRESET_INTERNAL_500] = {"internal_500", 500, NULL,
                             "Internal Server Error (ref: %r)"},
    [PRESET_BAD_GATEWAY_HTML_502] =
        {"bad_gateway_html_502", 502, "text/html; charset=UTF-8",
         "<html><head><title>502 Server Error</title></head>\n"
         "<body><h1>Error: Server Error</h1>\n"
         "<h2>The server encountered a temporary error and could not "
         "complete your request.<p>Please try again in 30 "
         "seconds.</h2></body></html>\n"},
    [PRESET_GATEWAY_TIMEOUT_524] =
        {"gateway_timeout_524", 524, "text/html; charset=UTF-8",
         "<!DOCTYPE html>\n<html><head><title>524: A timeout "
         "occurred</title></head>\n<body><h1>A timeout "
         "occurred</h1></body></html>\n"},
    [PRESET_GATEWAY_504] = {"gateway_504", 504, "text/plain",
                            "upstream request timeout"},
    [PRESET_BAD_REQUEST_400] = {"bad_request_400", 400, NULL,
                                "invalid request body"},
    [PRESET_NOT_FOUND_404] = {"not_found_404", 404, NULL,
                              "model '%m' not found"},
    [PRESET_GONE_410] =
        {"gone_410", 410, NULL,
         "model '%m' was retired and is no longer available (ref: %r)"},
    [PRESET_TOO_LARGE_413] = {"too_large_413", 413, NULL,
                              "request body too large"},
};

void write_hex(struct buf *b, int n) {
    static const char hex[] = "0123456789abcdef";
    static uint64_t counter = 0x9e3779b97f4a7c15u;
    uint64_t x = 0;
    char text[64];
    int i;

    for (i = 0; i < n; i++, x >>= 4) {
        if (i % 16 == 0) { /* splitmix64 */
            x = counter += 0x9e3779b97f4a7c15u;
            x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
            x = (x ^ x >> 27) * 0x94d049bb133111ebu;
            x ^= x >> 31;
        }
        text[i] = hex[x & 15];
    }
    buf_add(b, text, n);
}

void write_uuid(struct buf *b) {
    static const int groups[] = {8, 4, 3, 3, 12};

    write_hex(b, groups[0]);
    buf_char(b, '-');
    write_hex(b, groups[1]);
    buf_lit(b, "-4");
    write_hex(b, groups[2]);
    buf_lit(b, "-a");
    write_hex(b, groups[3]);
    buf_char(b, '-');
    write_hex(b, groups[4]);
}

static bool starts(struct slice s, const char *with) {
    return s.p && s.len >= strlen(with) && memcmp(s.p, with, strlen(with)) == 0;
}

enum family family_of(struct slice path) {
    if (slice_is(path, "/v1/messages") || starts(path, "/v1/messages/"))
        return FAMILY_ANTHROPIC;
    return starts(path, "/v1/") ? FAMILY_OPENAI : FAMILY_NATIVE;
}

static const char *anthropic_type(int status) {
    switch (status) {
    case 400: return "invalid_request_error";
    case 401: return "authentication_error";
    case 403: return "permission_error";
    case 404: return "not_found_error";
    case 429: return "rate_limit_error";
    case 503:
    case 529: return "overloaded_error";
    default: return "api_error";
    }
}

static const char *openai_type(int status) {
    switch (status) {
    case 400: return "invalid_request_error";
    case 404: return "not_found_error";
    default: return "api_error";
    }
}

void error_write(struct buf *b, enum family family, bool plain, int status,
                 const char *text) {
    if (plain) family = FAMILY_NATIVE;

    switch (family) {
    case FAMILY_NATIVE:
        buf_lit(b, "{\"error\":");
        buf_json_str(b, text);
        buf_char(b, '}');
        break;
    case FAMILY_OPENAI:
        buf_lit(b, "{\"error\":{\"message\":");
        buf_json_str(b, text);
        buf_printf(b, ",\"type\":\"%s\",\"param\":null,\"code\":null}}",
                   openai_type(status));
        break;
    case FAMILY_ANTHROPIC:
        buf_printf(
            b, "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":",
            anthropic_type(status));
        buf_json_str(b, text);
        buf_lit(b, "},\"request_id\":\"req_");
        write_hex(b, 24);
        buf_lit(b, "\"}");
        break;
    }
}

void error_reply(struct reply *r, const struct error_about *about, int status,
                 const char *text) {
    r->status = status;
    r->type = "application/json";
    r->stream = false;
    r->body.len = 0;
    r->nends = 0;
    error_write(&r->body, about->family, about->plain, status, text);
}

static void fill_in(struct buf *b, const char *text,
                    const struct error_about *about) {
    for (; *text; text++) {
        if (*text != '%') {
            buf_char(b, *text);
            continue;
        }
        switch (*++text) {
        case 'a': buf_str(b, about->account ? about->account : "user"); break;
        case 'm': buf_add(b, about->model.p, about->model.len); break;
        case 'r': write_uuid(b); break;
        }
    }
    buf_char(b, '\0');
}

void error_preset(struct reply *r, const struct error_about *about,
                  enum preset preset) {
    struct buf text = {0};

    fill_in(&text, presets[preset].text, about);
    error_reply(r, about, presets[preset].status, text.p);

    if (presets[preset].type) {
        r->type = presets[preset].type;
        r->body.len = 0;
        buf_str(&r->body, text.p);
    }
    if (preset == PRESET_CONCURRENT) {
        buf_char(&r->body, '\n');
        buf_printf(
            &r->extra,
            "retry-after: 10\r\nx-ratelimit-active: %lld\r\n"
            "x-ratelimit-max-concurrent: %lld\r\nx-ratelimit-queue-limit: %lld\r\n"
            "x-ratelimit-queued: %lld\r\n",
            (long long)about->active, (long long)about->max,
            (long long)about->queue_limit, (long long)about->queued);
    }
    buf_free(&text);
}

enum preset preset_by_name(const char *name) {
    size_t i;

    for (i = 1; i < sizeof(presets) / sizeof(presets[0]); i++)
        if (strcmp(presets[i].name, name) == 0) return i;
    return PRESET_NONE;
}
