
/*
 * The outbox: what the daemon is to know, on its way there.
 *
 * A request's end puts one record, and apart from it the request's body, into
 * a ring in shared memory (core/ring.h); a change of what is held against a
 * key puts a record as well.  One worker, the sender, carries them to the
 * daemon's unix socket in batches, and takes them out when the daemon has
 * said that they are safe.  Nothing here waits: without a daemon the ring
 * fills, and then drops its oldest.
 *
 * The role of the sender is a pid in shared memory.  A worker that exits, or
 * shuts down gracefully, gives it up; one that was killed is found dead by the
 * others, within a second.
 */


#ifndef _NGX_HTTP_OLLAMA_OUTBOX_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_OUTBOX_H_INCLUDED_


#include "ngx_http_ollama.h"


ngx_http_ollama_outbox_t *ngx_http_ollama_outbox_create(ngx_conf_t *cf,
    ngx_str_t *zone, size_t size);

/*
 * Puts a sealed frame in; time is that of its request, ms since 1970.  With a
 * record, the mark of its request on a board (_board.h) is wiped out in the
 * same step; NULL if it has none.
 */

ngx_int_t ngx_http_ollama_outbox_put(ngx_http_ollama_outbox_t *outbox,
    u_char *frame, size_t len, uint64_t time, ngx_uint_t body);
ngx_int_t ngx_http_ollama_outbox_put_record(ngx_http_ollama_outbox_t *outbox,
    u_char *frame, size_t len, uint64_t time, uint32_t *mark);

/* marks of dead workers are about to be read */

void ngx_http_ollama_outbox_settle(ngx_http_ollama_outbox_t *outbox);

/* whether a body of that size would be taken now */

ngx_uint_t ngx_http_ollama_outbox_room(ngx_http_ollama_outbox_t *outbox,
    size_t len);

/* a number for a request */

uint64_t ngx_http_ollama_outbox_id(ngx_http_ollama_outbox_t *outbox);

/* for the pool: what is held against a key now, or was until now */

void ngx_http_ollama_outbox_penalty(void *data,
    ngx_http_ollama_penalty_t *penalty);


/* the sender's side: the role, frames out of it, and those that are safe */

ngx_uint_t ngx_http_ollama_outbox_take(ngx_http_ollama_outbox_t *outbox);
void ngx_http_ollama_outbox_give_up(ngx_http_ollama_outbox_t *outbox);

size_t ngx_http_ollama_outbox_read(ngx_http_ollama_outbox_t *outbox,
    u_char *buf, size_t size, size_t *need);
void ngx_http_ollama_outbox_ack(ngx_http_ollama_outbox_t *outbox,
    uint64_t seq);
void ngx_http_ollama_outbox_rewind(ngx_http_ollama_outbox_t *outbox);

/* a daemon says what it has and what it reads: the rest is sent again */

void ngx_http_ollama_outbox_welcome(ngx_http_ollama_outbox_t *outbox,
    ollama_record_welcome_t *welcome);

ngx_uint_t ngx_http_ollama_outbox_empty(ngx_http_ollama_outbox_t *outbox);
ngx_uint_t ngx_http_ollama_outbox_unsent(ngx_http_ollama_outbox_t *outbox);

/* what it is, for HELLO; how it is, for OUTBOX */

void ngx_http_ollama_outbox_hello(ngx_http_ollama_outbox_t *outbox,
    ollama_record_hello_t *hello);
void ngx_http_ollama_outbox_state(ngx_http_ollama_outbox_t *outbox,
    ollama_record_outbox_t *state);


#endif /* _NGX_HTTP_OLLAMA_OUTBOX_H_INCLUDED_ */
