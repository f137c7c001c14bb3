/*
 * The list of requests that one proxy runs now: RUNNING frames up to a
 * RUNNING_END are a list, which takes the place of the one before.
 *
 * Rows stay in the form in which they came, and are decoded by whoever looks:
 * mostly nobody does.  At most RUN_LIST_ROWS are kept; total counts all.
 */

#ifndef STATSD_RUN_LIST_H
#define STATSD_RUN_LIST_H

#include "../ngx_ollama_module/core/record.h"

#include <stddef.h>
#include <stdint.h>

#define RUN_LIST_ROWS 512

struct run_frames {
    unsigned char *data; /* payloads, each behind its length */
    size_t len, size;
    int n;
};

/* All zero is an empty list. */
struct run_list {
    struct run_frames now, coming;
    uint32_t total, waiting;
    int64_t told; /* when, monotonic; 0: never */
};

/* A connection begins: what the one before has left half told is nothing. */
void run_list_begin(struct run_list *r);
void run_list_row(struct run_list *r, const ollama_frame_t *f);
void run_list_end(struct run_list *r, const ollama_frame_t *f);
void run_list_free(struct run_list *r);

/* The next row, from *at (0 to begin with) on; 0 at the end. */
int run_list_next(const struct run_list *r, size_t *at,
                  ollama_record_request_t *row);

#endif
