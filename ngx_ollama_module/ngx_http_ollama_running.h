
/*
 * The requests that run now: for the page, and for the record, should their
 * worker die.
 *
 * A worker has a list of its requests, oldest first: linked in when one
 * reaches the proxy, taken out when it has been recorded.  That is all that a
 * request pays.  Some times a second, as long as there are any, the worker
 * writes the list to its board, a piece of shared memory, as whole RUNNING
 * frames; the sender collects the boards and carries them to the daemon.
 *
 * A mark before each frame says what it is good for: for a request that runs,
 * for one whose client has its answer, or, 0, for one that is on record; that
 * is written in one step with the record.  So what a dead worker has left on
 * its board, others turn into records, and into no second ones.
 *
 * A board has two sides, and the worker writes to the one that is not in use:
 * if it is killed meanwhile, the other one holds.  Sides grow as needed; what
 * does not fit into the zone is counted and not shown.
 */


#ifndef _NGX_HTTP_OLLAMA_RUNNING_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_RUNNING_H_INCLUDED_


#include "ngx_http_ollama.h"


#define NGX_HTTP_OLLAMA_RUNNING  250        /* ms between two lists */


ngx_http_ollama_running_t *ngx_http_ollama_running_create(ngx_conf_t *cf,
    ngx_str_t *zone);

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

/* grows with each list of any worker */

ngx_atomic_uint_t ngx_http_ollama_running_version(
    ngx_http_ollama_running_t *running);

/*
 * The frames of all boards, as far as they fit into size bytes; returns how
 * many bytes they are, and in total how many requests there are.
 */

size_t ngx_http_ollama_running_collect(ngx_http_ollama_running_t *running,
    u_char *buf, size_t size, uint32_t *total);

/*
 * Boards of the dead: what was on them is recorded and booked.  Whoever is the
 * sender looks once a second.
 */

void ngx_http_ollama_running_bury(ngx_http_ollama_main_conf_t *omcf);


#endif /* _NGX_HTTP_OLLAMA_RUNNING_H_INCLUDED_ */
