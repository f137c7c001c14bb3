
/*
 * The requests that run now, for the page.
 *
 * A worker has a list of its requests, oldest first: linked in when one
 * reaches the proxy, taken out when its answer has ended.  That is all that a
 * request pays.  Four times a second, as long as there are any, the worker
 * writes the list to its board, a piece of shared memory, as whole RUNNING
 * frames; the sender collects the boards and carries them to the daemon.
 *
 * A board holds what fits into it: the oldest, some 70 requests.  If there are
 * many boards, each gets an equal share of what is carried.  All requests are
 * counted.  What a killed worker has left on its board is not collected any
 * more after a few seconds, and rubbed out by whoever takes it over.
 *
 * A board is taken, not computed: old and new workers overlap during a reload,
 * which may have made the pool of keys anew, but not this zone.  There is one
 * for every possible process; memory that nobody has written to yet is none.
 */


#ifndef _NGX_HTTP_OLLAMA_RUNNING_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_RUNNING_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_ollama_keys.h"


#define NGX_HTTP_OLLAMA_RUNNING      250        /* ms between two lists */
#define NGX_HTTP_OLLAMA_BOARD_SIZE   16384


typedef struct {
    ngx_pid_t                        pid;       /* 0: free */
    uint64_t                         time;      /* written, ms since 1970 */
    uint32_t                         total;     /* requests */
    uint32_t                         len;       /* bytes of frames */
} ngx_http_ollama_board_t;


/* apart: all boards are looked at, the frames of a few are touched */

typedef struct {
    ngx_atomic_t                     version;   /* grows with each list */
    ngx_http_ollama_board_t          boards[NGX_HTTP_OLLAMA_PROCESSES];
    u_char                           frames[NGX_HTTP_OLLAMA_PROCESSES]
                                           [NGX_HTTP_OLLAMA_BOARD_SIZE];
} ngx_http_ollama_running_shm_t;


typedef struct {
    ngx_shm_zone_t                  *shm_zone;
    ngx_slab_pool_t                 *shpool;
    ngx_http_ollama_running_shm_t   *sh;
} ngx_http_ollama_running_t;


ngx_http_ollama_running_t *ngx_http_ollama_running_create(ngx_conf_t *cf);

void ngx_http_ollama_running_init_process(ngx_http_ollama_running_t *running,
    ngx_log_t *log);
void ngx_http_ollama_running_exit_process(void);

/*
 * The frames of all boards, as far as they fit into size bytes; returns how
 * many bytes they are, and in total how many requests there are.
 */

size_t ngx_http_ollama_running_collect(ngx_http_ollama_running_t *running,
    u_char *buf, size_t size, uint32_t *total);


#endif /* _NGX_HTTP_OLLAMA_RUNNING_H_INCLUDED_ */
