/*
 * What works and what does not, see api.h:
 *
 *     /health  /stats/health
 *
 * The context of http is a struct api.
 */

#ifndef STATSD_HEALTH_H
#define STATSD_HEALTH_H

#include "context.h"
#include "http.h"

void health_routes(struct http *h);

/* All of it, as it is known now; in the loop. */
void health_json(struct json *j, const struct api *api);

#endif
