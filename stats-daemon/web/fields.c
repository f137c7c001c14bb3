#include "fields.h"

#include "../wire/key_names.h"

#include "../../ngx_ollama_module/core/price.h"
#include "../../ngx_ollama_module/core/record.h"

#include <inttypes.h>
#include <stdio.h>

void field_text(struct json *j, const char *name, const char *value) {
    json_member(j, name);
    json_text(j, value && *value ? value : NULL);
}

void field_number(struct json *j, const char *name, int64_t value) {
    json_member(j, name);
    json_int(j, value);
}

void field_maybe(struct json *j, const char *name, int64_t value) {
    json_member(j, name);
    if (value < 0)
        json_null(j);
    else
        json_int(j, value);
}

void field_money(struct json *j, const char *name, int64_t nano) {
    char text[OLLAMA_PRICE_TEXT];

    json_member(j, name);
    if (nano < 0)
        json_null(j);
    else
        json_number(j, text, ollama_price_text(text, (uint64_t)nano));
}

void field_key(struct json *j, uint32_t key, const char *name) {
    char hex[9];

    snprintf(hex, sizeof(hex), "%08" PRIx32, key);
    field_text(j, "key", name && *name ? name : key ? hex : NULL);
    field_text(j, "key_fingerprint", key ? hex : NULL);
}

const char *field_cause(unsigned cause) {
    static const char *const causes[] = {"answered", "connect", "timeout",
                                         "closed",   "stale",   "aborted",
                                         "abandoned"};

    return cause < sizeof(causes) / sizeof(*causes) ? causes[cause] : "unknown";
}

const char *field_affinity(int affinity) {
    switch (affinity) {
    case OLLAMA_AFFINITY_NEW: return "new";
    case OLLAMA_AFFINITY_KEPT: return "kept";
    case OLLAMA_AFFINITY_MOVED: return "moved";
    default: return NULL;
    }
}

const char *field_end(unsigned end) {
    switch (end) {
    case OLLAMA_RECORD_DONE: return "done";
    case OLLAMA_RECORD_LOCAL: return "local";
    case OLLAMA_RECORD_CLIENT_GONE: return "client_gone";
    case OLLAMA_RECORD_UPSTREAM_GONE: return "upstream_gone";
    case OLLAMA_RECORD_STREAM_ERROR: return "stream_error";
    case OLLAMA_RECORD_PROXY_STOPPED: return "proxy_stopped";
    case OLLAMA_RECORD_WORKER_GONE: return "worker_gone";
    default: return "unknown";
    }
}

void field_attempt(struct json *j, uint32_t key, unsigned status, unsigned ms,
                   unsigned cause) {
    char name[KEY_NAME_SIZE];

    key_names_get(key, name);
    json_begin(j, '{');
    field_key(j, key, name);
    field_maybe(j, "status", status ? (int64_t)status : -1);
    field_number(j, "ms", ms);
    field_text(j, "cause", field_cause(cause));
    json_end(j, '}');
}

void field_counts(struct json *j, const struct store_counts *n) {
    field_number(j, "requests", n->requests);
    field_number(j, "prompt_tokens", n->prompt);
    field_number(j, "completion_tokens", n->completion);
    field_number(j, "cached_tokens", n->cached);
    field_number(j, "estimated_tokens", n->estimated);
    field_money(j, "cost_usd", n->cost);
    field_number(j, "unpriced_tokens", store_unpriced(n));
    field_number(j, "errors", n->errors);
}
