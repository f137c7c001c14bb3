/*
 * The list of requests that a proxy runs now: RUNNING frames up to a
 * RUNNING_END.  A connection collects one, and when it is whole, it takes the
 * place of the one that its proxy told before.
 *
 * Rows stay in the form in which they came, at most RUN_LIST_MAX bytes of
 * them; what is not well formed is left out.  total counts all requests, told
 * or not.
 */

#ifndef STATSD_RUN_LIST_H
#define STATSD_RUN_LIST_H

#include "../../ngx_ollama_module/core/record.h"

#include <stddef.h>
#include <stdint.h>

#define RUN_LIST_MAX (512 * 1024)

/* All zero is an empty list. */
struct run_list {
    unsigned char *data; /* payloads, each behind its length */
    size_t len, size;
    int n;
    uint32_t total, waiting;
    uint64_t shape;    /* hash of which requests there are, and where */
    uint64_t progress; /* the same with their tokens */
    int64_t told;      /* when, monotonic; 0: never */
};

void run_list_row(struct run_list *l, const ollama_frame_t *f);

/* Makes a collected list the one that is told, and begins another. */
void run_list_end(struct run_list *told, struct run_list *l,
                  const ollama_frame_t *f);
void run_list_free(struct run_list *l);

/* The next row, from *at (0 to begin with) on; 0 at the end. */
int run_list_next(const struct run_list *l, size_t *at,
                  ollama_record_request_t *row);

#endif
