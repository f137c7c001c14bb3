
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
 *
 * When nginx starts, the daemon tells it once what the keys used in the last
 * two hours and what was held against them.
 */


#ifndef _NGX_HTTP_OLLAMA_OUTBOX_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_OUTBOX_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_ollama_keys.h"
#include "ngx_http_ollama_running.h"
#include "core/record.h"
#include "core/ring.h"


typedef struct {
    uint64_t                         instance;
    uint64_t                         started;       /* ms since 1970 */
    ngx_atomic_t                     requests;      /* ids given out */
    ngx_pid_t                        sender;        /* 0: nobody */
    ngx_uint_t                       connected;
    ollama_ring_t                    ring;          /* and its data */
} ngx_http_ollama_outbox_shm_t;


typedef struct {
    ngx_shm_zone_t                  *shm_zone;
    ngx_slab_pool_t                 *shpool;
    ngx_http_ollama_outbox_shm_t    *sh;
    ngx_http_ollama_keys_t          *keys;
    ngx_http_ollama_running_t       *running;
    ngx_addr_t                       addr;          /* of the daemon */
} ngx_http_ollama_outbox_t;


ngx_int_t ngx_http_ollama_outbox_init_zone(ngx_shm_zone_t *shm_zone,
    void *data);

/*
 * Puts a sealed frame in; time is that of its request, ms since 1970.  room()
 * says whether a body of that size would be taken now.
 */

ngx_int_t ngx_http_ollama_outbox_put(ngx_http_ollama_outbox_t *outbox,
    u_char *frame, size_t len, uint64_t time, ngx_uint_t body);
ngx_uint_t ngx_http_ollama_outbox_room(ngx_http_ollama_outbox_t *outbox,
    size_t len);
uint64_t ngx_http_ollama_outbox_id(ngx_http_ollama_outbox_t *outbox);

/* for keys->changed: what is held against a key now, or was until now */

void ngx_http_ollama_outbox_penalty(void *data, ngx_http_ollama_key_t *key,
    ngx_http_ollama_block_t *block);

/* the sender */

void ngx_http_ollama_sender_init_process(ngx_http_ollama_outbox_t *outbox,
    ngx_cycle_t *cycle);
void ngx_http_ollama_sender_exit_process(void);


#endif /* _NGX_HTTP_OLLAMA_OUTBOX_H_INCLUDED_ */
