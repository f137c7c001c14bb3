/*
 * Sums of the ledger in JSON, see api.h:
 *
 *     /stats  /stats/minute  /stats/24h
 *
 * The context of http is a struct api.
 */

#ifndef STATSD_SUMS_H
#define STATSD_SUMS_H

#include "context.h"
#include "http.h"

void sums_routes(struct http *h);

#endif
