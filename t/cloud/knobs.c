#include "knobs.h"

#include "tree.h"

#define MS_MAX 3600000

static const struct knob {
    const char *name;
    size_t offset;
    int64_t min, max;
} table[] = {
#define KNOB(name, min, max) \
    { #name, offsetof(struct knobs, name), min, max }
    KNOB(words, 0, 100000),
    KNOB(thinking, 0, 100000),
    KNOB(tool_call, 0, 1),
    KNOB(spoof, 0, 1),
    KNOB(pad_bytes, 0, 16 << 20),
    KNOB(echo_bytes, 0, 16 << 20),
    KNOB(cached, 0, 1),
    KNOB(cached_fields, -1, 1),
    KNOB(zero_usage, 0, 3),
    KNOB(no_usage, 0, 1),
    KNOB(metrics_on_all, 0, 1),
    KNOB(usage_only_in_start, 0, 1),
    KNOB(incomplete, 0, 1),
    KNOB(failed, 0, 1),
    KNOB(first_delay_ms, 0, MS_MAX),
    KNOB(delay_ms, 0, MS_MAX),
    KNOB(chunk_bytes, 0, 1 << 30),
    KNOB(error_after, -1, 1 << 30),
    KNOB(reset_after_bytes, -1, 1 << 30),
    KNOB(close_after_bytes, -1, 1 << 30),
    KNOB(no_done, 0, 1),
    KNOB(no_final_newline, 0, 1),
    KNOB(crlf, 0, 1),
    KNOB(content_length, -1, 1),
    KNOB(http10_close, 0, 1),
    KNOB(gzip, 0, 1),
    KNOB(type, 0, 7),
    KNOB(embeddings, 0, 1),
    KNOB(plain_string_on_v1, 0, 1),
    KNOB(usage_api, 1, 2),
    KNOB(log_requests, 0, 1),
    KNOB(group_by, 0, 1),
    KNOB(balance_wrong, 0, 5),
    KNOB(usage_wrong, 0, 5),
    KNOB(prompt_cache, 0, 2),
    KNOB(prompt_cache_ttl, 0, 1 << 30),
#undef KNOB
};

#define DEFAULTS                                                \
    {                                                           \
        .words = 8, .cached_fields = -1, .error_after = -1,     \
        .reset_after_bytes = -1, .close_after_bytes = -1,       \
        .content_length = -1, .usage_api = 2, .log_requests = 1, \
        .group_by = 1, .prompt_cache_ttl = 3600                 \
    }

struct knobs knobs_global = DEFAULTS;

bool knobs_set(struct knobs *k, const char *name, size_t len, int64_t value) {
    size_t i;

    for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (strlen(table[i].name) != len) continue;
        if (memcmp(table[i].name, name, len) != 0) continue;
        if (value < table[i].min || value > table[i].max) return false;
        *(int64_t *)((char *)k + table[i].offset) = value;
        return true;
    }
    return false;
}

bool knobs_load(yajl_val document, struct buf *complaint) {
    struct knobs k = DEFAULTS;
    const char *name;
    int64_t value;
    size_t i;

    for (i = 0; i < document->u.object.len; i++) {
        name = document->u.object.keys[i];
        value = tree_int(document, name, INT64_MIN);
        if (!knobs_set(&k, name, strlen(name), value)) {
            buf_printf(complaint,
                       "no knob \"%s\", or its value is out of bounds", name);
            return false;
        }
    }

    knobs_global = k;
    return true;
}
