/*
 * Frames that wait for the writer, one behind the other in one piece of memory.
 */

#ifndef STATSD_FRAMES_H
#define STATSD_FRAMES_H

#include "../../ngx_ollama_module/core/frame.h"

#include <stddef.h>
#include <stdint.h>

struct frames {
    unsigned char *data;
    size_t len, size; /* bytes */
    int64_t n;
};

/* Takes a copy. */
void frames_put(struct frames *q, uint64_t instance, const ollama_frame_t *f);

/* The frame at a place, whose payload stays where it is; the next one's place.
 */
size_t frames_at(const struct frames *q, size_t at, uint64_t *instance,
                 ollama_frame_t *f);

void frames_free(struct frames *q);

#endif
