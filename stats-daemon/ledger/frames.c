#include "frames.h"

#include "../base/util.h"

#include <stdlib.h>
#include <string.h>

struct entry {
    uint64_t instance, seq;
    uint32_t len;
    uint8_t type;
};

/* The payload begins at a multiple of 8. */
static size_t room(size_t len) {
    return sizeof(struct entry) + ((len + 7) & ~(size_t)7);
}

void frames_put(struct frames *q, uint64_t instance, const ollama_frame_t *f) {
    struct entry e = {instance, f->seq, (uint32_t)f->len, f->type};
    size_t need = room(f->len);

    if (q->size - q->len < need) {
        size_t size = q->size ? q->size : 65536;
        while (size - q->len < need) size *= 2;
        q->data = xrealloc(q->data, size);
        q->size = size;
    }
    memcpy(q->data + q->len, &e, sizeof(e));
    memcpy(q->data + q->len + sizeof(e), f->payload, f->len);
    q->len += need;
    q->n++;
}

size_t frames_at(const struct frames *q, size_t at, uint64_t *instance,
                 ollama_frame_t *f) {
    struct entry e;

    memcpy(&e, q->data + at, sizeof(e));
    *instance = e.instance;
    *f = (ollama_frame_t){OLLAMA_FRAME_VERSION, e.type, e.seq,
                          q->data + at + sizeof(e), e.len};
    return at + room(e.len);
}

void frames_free(struct frames *q) {
    free(q->data);
    memset(q, 0, sizeof(*q));
}
