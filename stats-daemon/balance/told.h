/*
 * What the cloud answers, read: GET /api/balance and GET /api/usage?range=7d.
 *
 * Both shapes of a balance are known; of any other, and of one that is not
 * JSON, the kind is OLLAMA_BALANCE_UNKNOWN.  Members that are not known are
 * passed over, those that are missing are 0.
 */

#ifndef STATSD_TOLD_H
#define STATSD_TOLD_H

#include "../../ngx_ollama_module/core/record.h"

#include <stddef.h>
#include <stdint.h>

#define TOLD_DAYS 40

/* All but key and time. */
void told_balance(const char *body, size_t len, ollama_record_balance_t *b);

/* A whole day, or an hour, of a cloud's account. */
struct told_day {
    int64_t from, until;
    int partial, has_usd; /* legacy plans tell no money */
    int64_t requests;
    int64_t usd; /* nano-dollars */
};

/* How many there are in it, the oldest first; -1: it is not of that shape. */
int told_usage(const char *body, size_t len, struct told_day days[TOLD_DAYS]);

#endif
