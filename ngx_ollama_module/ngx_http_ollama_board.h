
/*
 * Boards: pieces of shared memory on which workers write what they do, and
 * which hold when a worker dies.
 *
 * There is one for each process.  An entry is a whole RUNNING frame with a mark
 * before it, which says what it is good for: RUNS for a request that runs,
 * ANSWERED for one whose client has its answer, RECORDED for one that is on
 * record; the last is written in one step with the record (_outbox.h).  So what
 * a dead worker has left on its board, others turn into records, and into no
 * second ones.
 *
 * A board has two sides, and a new list is written to the one that is not in
 * use: if the worker is killed meanwhile, the other one holds.  Sides grow as
 * needed; what does not fit into the zone is counted and not shown.
 */


#ifndef _NGX_HTTP_OLLAMA_BOARD_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_BOARD_H_INCLUDED_


#include "ngx_http_ollama.h"


typedef enum {
    NGX_HTTP_OLLAMA_BOARD_RECORDED = 0,
    NGX_HTTP_OLLAMA_BOARD_RUNS,
    NGX_HTTP_OLLAMA_BOARD_ANSWERED
} ngx_http_ollama_board_mark_e;


/* an entry that its worker cannot turn into a record any more */

typedef void (*ngx_http_ollama_board_left_pt)(
    ngx_http_ollama_main_conf_t *omcf, u_char *frame, size_t len,
    uint32_t *mark);


ngx_http_ollama_running_t *ngx_http_ollama_board_create_zone(ngx_conf_t *cf,
    ngx_str_t *name);

/* this process's board; without memory for it, it has none */

ngx_int_t ngx_http_ollama_board_open(ngx_http_ollama_running_t *running,
    ngx_log_t *log);
void ngx_http_ollama_board_close(void);

/*
 * begin: a new list is written; append: the present one goes on, as far as
 * there is room.  Then room for a frame of OLLAMA_RECORD_MAX bytes, or NULL,
 * and add, which returns its place (never 0).  show: it is to be seen; total is
 * the number of requests that run.
 */

void ngx_http_ollama_board_begin(void);
void ngx_http_ollama_board_append(void);
u_char *ngx_http_ollama_board_room(void);
uint32_t ngx_http_ollama_board_add(size_t len,
    ngx_http_ollama_board_mark_e mark);
void ngx_http_ollama_board_show(uint32_t total);

uint32_t *ngx_http_ollama_board_mark(uint32_t place);

/* grows with each list of any worker */

ngx_atomic_uint_t ngx_http_ollama_board_version(
    ngx_http_ollama_running_t *running);

/*
 * The frames of all boards, as far as they fit into size bytes; returns how
 * many bytes they are, and in total how many requests there are.
 */

size_t ngx_http_ollama_board_collect(ngx_http_ollama_running_t *running,
    u_char *buf, size_t size, uint32_t *total);

/*
 * Boards of the dead: what was left on them goes to left.  Whoever is the
 * sender looks once a second.
 */

void ngx_http_ollama_board_bury(ngx_http_ollama_main_conf_t *omcf,
    ngx_http_ollama_board_left_pt left);


#endif /* _NGX_HTTP_OLLAMA_BOARD_H_INCLUDED_ */
