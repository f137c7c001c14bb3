#include "run_list.h"

#include "../base/util.h"

#include <stdlib.h>
#include <string.h>

void run_list_row(struct run_list *l, const ollama_frame_t *f) {
    uint32_t len = (uint32_t)f->len;
    ollama_record_request_t r;

    if (l->len + sizeof(len) + f->len > RUN_LIST_MAX) return;
    if (ollama_record_request_decode(f, &r) != 0) return;
    if (l->size - l->len < sizeof(len) + len) {
        l->size = l->size * 2 + OLLAMA_RECORD_MAX + len;
        l->data = xrealloc(l->data, l->size);
    }
    memcpy(l->data + l->len, &len, sizeof(len));
    memcpy(l->data + l->len + sizeof(len), f->payload, len);
    l->len += sizeof(len) + len;
    l->n++;

    uint64_t shape[4] = {r.id, r.end, r.key, r.attempts_all};
    l->shape = l->shape * 31 + hash_bytes(shape, sizeof(shape));
    l->progress = (l->progress + r.completion) * 31 + l->shape;
}

void run_list_end(struct run_list *told, struct run_list *l,
                  const ollama_frame_t *f) {
    struct run_list old = *told;
    ollama_record_running_end_t end;

    if (ollama_record_running_end_decode(f, &end) != 0) return;
    *told = *l;
    told->total = end.total;
    told->waiting = end.waiting;
    told->shape = told->shape * 31 + end.total;
    told->shape = told->shape * 31 + end.waiting;
    told->progress = told->progress * 31 + told->shape;
    told->told = mono_ms();
    *l = (struct run_list){.data = old.data, .size = old.size};
}

void run_list_free(struct run_list *l) {
    free(l->data);
    *l = (struct run_list){0};
}

int run_list_next(const struct run_list *l, size_t *at,
                  ollama_record_request_t *row) {
    ollama_frame_t f = {.type = OLLAMA_FRAME_RUNNING};
    uint32_t len;

    if (*at == l->len) return 0;
    memcpy(&len, l->data + *at, sizeof(len));
    f.payload = l->data + *at + sizeof(len);
    f.len = len;
    *at += sizeof(len) + len;
    return ollama_record_request_decode(&f, row) == 0;
}
