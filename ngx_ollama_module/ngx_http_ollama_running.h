
/*
 * The requests that run now: for the page, and for the record, should their
 * worker die.
 *
 * A worker has a list of its requests, oldest first: linked in when one
 * reaches the proxy, taken out when it has been recorded.  That is all that a
 * request pays.  Four times a second, as long as there are any, the worker
 * writes the list to its board (_board.h), new ones sooner; the sender collects
 * the boards and carries them to the daemon.
 */


#ifndef _NGX_HTTP_OLLAMA_RUNNING_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_RUNNING_H_INCLUDED_


#include "ngx_http_ollama.h"


#define NGX_HTTP_OLLAMA_RUNNING  250        /* ms between two lists */


void ngx_http_ollama_running_init_process(
    ngx_http_ollama_running_t *running, ngx_log_t *log);
void ngx_http_ollama_running_exit_process(void);

void ngx_http_ollama_running_add(ngx_http_ollama_ctx_t *ctx);
void ngx_http_ollama_running_answered(ngx_http_ollama_ctx_t *ctx);
void ngx_http_ollama_running_remove(ngx_http_ollama_ctx_t *ctx);

/* its mark on the board, NULL if it is not there */

uint32_t *ngx_http_ollama_running_mark(ngx_http_ollama_ctx_t *ctx);

/* the oldest of this worker, NULL if there is none */

ngx_http_ollama_ctx_t *ngx_http_ollama_running_first(void);

/* what dead workers have left on their boards is recorded and booked */

void ngx_http_ollama_running_bury(ngx_http_ollama_main_conf_t *omcf);


#endif /* _NGX_HTTP_OLLAMA_RUNNING_H_INCLUDED_ */
