/*
 * The problems of problems.h in the answers:
 *
 *     /health     "to_acknowledge": name, since and text of each; the text is
 *                 among "problems", too
 *     /metrics    ollama_statsd_problem{name=".."} 1, and 0 when it is over
 *     POST /stats/problems/{name}/acknowledge
 *                 {"acknowledged": name}; 404 if there is none of this name
 */

#ifndef STATSD_PROBLEMS_API_H
#define STATSD_PROBLEMS_API_H

#include "http.h"

/* Their texts, as members of a list; how many there are. */
int problems_texts(struct json *list);
void problems_health(struct json *j);
void problems_metrics(struct json *j);
void problems_routes(struct http *h);

#endif
