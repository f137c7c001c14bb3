/*
 * An HTTP request that is answered when the ledger has been asked (ask.h).
 *
 * The handler returns, and send() is called later, with a request of which only
 * ev and ctx are set.  The answer's bytes are sent as they are, not copied:
 * answer_hold() until they are gone (http_answer() does it).
 *
 * A client that hangs up meanwhile takes its question back.  One that only says
 * that it will send no more gets its answer.
 */

#ifndef STATSD_HTTP_ASK_H
#define STATSD_HTTP_ASK_H

#include "../ledger/ask.h"
#include "http.h"

typedef void http_asked(struct http_request *q, const struct answer *a);

/* send NULL: http_answer() */
void http_ask(struct http_request *q, struct ask *k,
              const struct question *kind, const void *params, size_t len,
              http_asked *send);

/* The answer as JSON, or 503 and why there is none. */
void http_answer(struct http_request *q, const struct answer *a);
void http_no_answer(struct http_request *q, const struct answer *a);

/* Bytes of an answer, which is held until they are sent. */
void http_held(struct http_request *q, const struct answer *a, const void *data,
               size_t len);

int http_takes_gzip(struct http_request *q);

#endif
