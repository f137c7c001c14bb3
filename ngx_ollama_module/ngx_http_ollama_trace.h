
/*
 * What happened to a request, and when: its attempts, the times of its first
 * byte and of its end, how long it waited.
 *
 * All attempts are counted; the first and the last few are noted, so that a
 * request that went through a thousand keys takes no more room than another.
 * Durations are ms, first_byte and total since the request's first byte came
 * in, by nginx's own clock of the time of day; the others by the steady one.
 */


#ifndef _NGX_HTTP_OLLAMA_TRACE_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_TRACE_H_INCLUDED_


#include "ngx_http_ollama.h"


/* it looks for a key, perhaps again */

void ngx_http_ollama_trace_begin(ngx_http_ollama_ctx_t *ctx);

/* a try begins, with the lease's key; its answer, or its failure; its end */

void ngx_http_ollama_trace_attempt(ngx_http_ollama_ctx_t *ctx);
void ngx_http_ollama_trace_status(ngx_http_ollama_ctx_t *ctx,
    ngx_uint_t status);
void ngx_http_ollama_trace_failure(ngx_http_ollama_ctx_t *ctx,
    ollama_failure_e failure);
void ngx_http_ollama_trace_attempt_end(ngx_http_ollama_ctx_t *ctx);

/* before the lease moves: the name it had is copied */

void ngx_http_ollama_trace_keep(ngx_http_ollama_ctx_t *ctx);

/* a stale connection was no attempt */

void ngx_http_ollama_trace_undo(ngx_http_ollama_ctx_t *ctx);

/* what the cloud's error says; len 0: nothing */

void ngx_http_ollama_trace_said(ngx_http_ollama_ctx_t *ctx, const char *text,
    size_t len);

void ngx_http_ollama_trace_first_byte(ngx_http_ollama_ctx_t *ctx);
void ngx_http_ollama_trace_wait(ngx_http_ollama_ctx_t *ctx);
void ngx_http_ollama_trace_waited(ngx_http_ollama_ctx_t *ctx);
void ngx_http_ollama_trace_end(ngx_http_ollama_ctx_t *ctx);

/* the last attempt, NULL if there was none; those noted, in order */

ngx_http_ollama_attempt_t *ngx_http_ollama_trace_last(
    ngx_http_ollama_ctx_t *ctx);
ngx_uint_t ngx_http_ollama_trace_noted(ngx_http_ollama_ctx_t *ctx);
ngx_http_ollama_attempt_t *ngx_http_ollama_trace_nth(
    ngx_http_ollama_ctx_t *ctx, ngx_uint_t n);

ngx_msec_t ngx_http_ollama_elapsed(ngx_http_request_t *r);


#endif /* _NGX_HTTP_OLLAMA_TRACE_H_INCLUDED_ */
