#include "welcome.h"

#include "../base/log.h"
#include "../base/map.h"

#include "../../ngx_ollama_module/core/record.h"

static void on_usage(void *arg, uint32_t key,
                     const ollama_record_minute_t *minute) {
    int fresh;
    ollama_record_usage_t *u = map_put(arg, &key, sizeof(key), &fresh);

    u->key = key;
    if (minute->tokens == 0 || u->n == OLLAMA_RECORD_MINUTES) return;
    u->minutes[u->n++] = *minute;
}

static void put(struct json *j, const unsigned char *frame, size_t len) {
    json_raw(j, (const char *)frame, len);
}

static void on_penalty(void *arg, const ollama_record_penalty_t *p) {
    unsigned char buf[OLLAMA_RECORD_MAX];

    put(arg, buf, ollama_record_penalty_encode(buf, sizeof(buf), p));
}

static enum store_result read_all(struct store_reader *rd, const void *params,
                                  struct answer *a) {
    unsigned char buf[OLLAMA_RECORD_MAX];
    int64_t now = *(const int64_t *)params;
    uint32_t since = (uint32_t)(now / 60000) - OLLAMA_RECORD_MINUTES + 1;
    struct map *usage = map_new(sizeof(ollama_record_usage_t));

    enum store_result r = store_usage(rd, since, on_usage, usage);
    if (r == STORE_OK) {
        for (ollama_record_usage_t *u = NULL; (u = map_next(usage, u));)
            put(&a->j, buf, ollama_record_usage_encode(buf, sizeof(buf), u));
        r = store_penalties(rd, now, on_penalty, &a->j);
    }
    map_free(usage);
    if (r == STORE_OK)
        put(&a->j, buf, ollama_record_ready_encode(buf, sizeof(buf)));
    return r;
}

const struct question welcome_question = {
    .read = read_all, .first = 1, .alone = 1};

const void *welcome_frames(const struct answer *a, size_t *len) {
    static unsigned char ready[OLLAMA_RECORD_MAX];

    if (a->result == STORE_OK) {
        *len = a->j.len;
        return a->j.data;
    }
    log_msg(LOG_WARN, "usage of the last 2 h and penalties are not at hand: %s",
            a->error);
    *len = ollama_record_ready_encode(ready, sizeof(ready));
    return ready;
}
