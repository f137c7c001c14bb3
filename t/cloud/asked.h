/*
 * How often an account was asked for something that is no answer of a model,
 * and when: GET /_sim/asked.
 *
 *   {"alice": {"/api/balance": {"count": 3, "at": [ms, ms, ms]}}}
 *
 * Counted is what comes in, whatever it is answered with; `at` holds the last
 * 1,000, in milliseconds since 1970 by the simulator's clock. Keys of no
 * account are together under "(none)".
 */

#ifndef CLOUD_ASKED_H
#define CLOUD_ASKED_H

#include "buf.h"

void asked(const char *account, struct slice path);
void asked_write(struct buf *b);
void asked_reset(void);

#endif
