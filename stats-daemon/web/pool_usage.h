/*
 * GET /api/usage as the cloud would answer it for all accounts together, from
 * the ledger: see balances.h.
 */

#ifndef STATSD_POOL_USAGE_H
#define STATSD_POOL_USAGE_H

#include "http.h"

/* Only these parameters, each once; else 400 is the answer, and -1. */
int pool_parameters(struct http_request *q, const char *const *names, int n);

void pool_usage(struct http_request *q);

#endif
