#include "run_list.h"

#include "util.h"

#include <stdlib.h>
#include <string.h>

void run_list_begin(struct run_list *r) {
    r->coming.len = 0;
    r->coming.n = 0;
}

void run_list_row(struct run_list *r, const ollama_frame_t *f) {
    struct run_frames *l = &r->coming;
    uint32_t len = (uint32_t)f->len;

    if (l->n >= RUN_LIST_ROWS || f->len > OLLAMA_RECORD_MAX) return;
    if (l->size - l->len < sizeof(len) + len) {
        l->size = l->size * 2 + OLLAMA_RECORD_MAX + sizeof(len);
        l->data = xrealloc(l->data, l->size);
    }
    memcpy(l->data + l->len, &len, sizeof(len));
    memcpy(l->data + l->len + sizeof(len), f->payload, len);
    l->len += sizeof(len) + len;
    l->n++;
}

void run_list_end(struct run_list *r, const ollama_frame_t *f) {
    struct run_frames old = r->now;
    ollama_record_running_end_t end;

    if (ollama_record_running_end_decode(f, &end) != 0) return;
    r->now = r->coming;
    r->coming = old;
    run_list_begin(r);
    r->total = end.total;
    r->waiting = end.waiting;
    r->told = mono_ms();
}

void run_list_free(struct run_list *r) {
    free(r->now.data);
    free(r->coming.data);
}

int run_list_next(const struct run_list *list, size_t *at,
                  ollama_record_request_t *r) {
    const struct run_frames *l = &list->now;

    while (*at < l->len) {
        ollama_frame_t f = {.type = OLLAMA_FRAME_RUNNING};
        uint32_t len;

        memcpy(&len, l->data + *at, sizeof(len));
        f.payload = l->data + *at + sizeof(len);
        f.len = len;
        *at += sizeof(len) + len;
        if (ollama_record_request_decode(&f, r) == 0) return 1;
    }
    return 0;
}
