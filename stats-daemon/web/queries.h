/*
 * Requests of the ledger in JSON, and their bodies, see api.h:
 *
 *     /queries  /queries/{id}  /queries/{id}/body
 *
 * The context of http is a struct api.
 */

#ifndef STATSD_QUERIES_H
#define STATSD_QUERIES_H

#include "context.h"
#include "http.h"

void queries_routes(struct http *h);

/* One request, for whoever tells of requests as well, on any thread. */
void queries_row(struct json *j, const struct store_row *row);

#endif
