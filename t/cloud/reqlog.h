/*
 * The last 2,000 requests as they came in, for GET /_sim/requests: bytes of the
 * head as received, the body up to 256 KB, its whole length and SHA-256.
 *
 * At most 64 MB of them are held: large bodies push out old records before the
 * 2,000 are reached. Off with the knob log_requests.
 */

#ifndef CLOUD_REQLOG_H
#define CLOUD_REQLOG_H

#include "http.h"

#include <stdint.h>

/* A number by which the record is found again, never 0. */
uint64_t reqlog_add(const struct conn *c, struct slice key, struct slice model);

/* What it was answered with; 0 is no record, and one may be gone already. */
void reqlog_status(uint64_t record, int status);

void reqlog_write(struct buf *b, size_t last);
void reqlog_reset(void);

#endif
