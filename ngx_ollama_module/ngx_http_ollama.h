
/*
 * What the files of the module share: its configuration, what it knows about
 * a request, and the one or two functions by which each file is entered.
 *
 * The way of a request through the files:
 *
 *     ngx_http_ollama_uri.c       server rewrite: the path is put right
 *     ngx_http_ollama_access.c    access: token, origin
 *     ngx_http_ollama_request.c   precontent: body, model, key
 *     ngx_http_ollama_local.c       or answered at once, as a local daemon
 *     ngx_http_ollama_queue.c       or kept waiting for a slot
 *     ngx_http_ollama_upstream.c  proxy_pass: key of each try, blame
 *     ngx_http_ollama_filter_module.c   answer: headers, tokens, errors
 *     ngx_http_ollama_request.c   cleanup: slot and reservation given back
 *     ngx_http_ollama_record.c      a record of it put into the outbox
 *     ngx_http_ollama_sender.c      and carried to the daemon
 *     ngx_http_ollama_running.c   while it runs: it is shown on the page
 *
 * The context lives in the request's pool and is found through the pool's
 * cleanups, since an internal redirect forgets the module's own pointer.
 */


#ifndef _NGX_HTTP_OLLAMA_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_ollama_keys.h"
#include "ngx_http_ollama_outbox.h"

#include "core/request.h"
#include "core/route.h"
#include "core/sse_cut.h"
#include "core/usage.h"
#include "core/zero_cut.h"


#define NGX_HTTP_OLLAMA_VERSION  "0.1.0"

#define NGX_HTTP_OLLAMA_MAX_ATTEMPTS  32


typedef struct {
    ngx_shm_zone_t                  *shm_zone;
    ngx_http_ollama_keys_t          *keys;
    ngx_http_ollama_outbox_t        *outbox;        /* or NULL: no daemon */

    ngx_str_t                        config;        /* path of config.yaml */
    ngx_str_t                        env_file;
    ngx_str_t                        token;
    ngx_uint_t                       open;          /* no token needed */

    ngx_uint_t                       queue;         /* requests that may wait */
    ngx_msec_t                       queue_timeout;

    ngx_array_t                     *origins;       /* of ngx_str_t */
    ngx_array_t                     *upstreams;     /* names in use, likewise */
} ngx_http_ollama_main_conf_t;


typedef struct {
    ngx_flag_t                       normalize_uri;     /* of a server{} */

    ngx_uint_t                       tries;             /* of an upstream{} */
    ngx_http_upstream_init_pt        original_init_upstream;
    ngx_http_upstream_init_peer_pt   original_init_peer;
} ngx_http_ollama_srv_conf_t;


typedef struct {
    ngx_flag_t                       enable;
    ngx_flag_t                       access;
    ngx_flag_t                       headers;
    ngx_flag_t                       health;
    ngx_flag_t                       no_log;        /* clients may ask so */
    size_t                           bodies;        /* bytes kept of each */
    ngx_str_t                        upstream;      /* URL for proxy_pass */
    ngx_str_t                        host;
    ngx_str_t                        details;       /* of /health: @name */
    ngx_str_t                        version;
} ngx_http_ollama_loc_conf_t;


typedef enum {
    NGX_HTTP_OLLAMA_INIT = 0,
    NGX_HTTP_OLLAMA_READING,        /* the body */
    NGX_HTTP_OLLAMA_READ,
    NGX_HTTP_OLLAMA_WAITING,        /* for a slot */
    NGX_HTTP_OLLAMA_GRANTED,        /* has a key, or needs none */
    NGX_HTTP_OLLAMA_REFUSED
} ngx_http_ollama_state_e;


/* one try: what became of it */

typedef struct {
    uint32_t                         key;           /* fingerprint */
    ngx_msec_t                       start;
    ngx_msec_t                       time;
    ngx_uint_t                       status;        /* 0: none came */
    ollama_failure_e                 failure;
} ngx_http_ollama_attempt_t;


typedef struct ngx_http_ollama_ctx_s  ngx_http_ollama_ctx_t;

typedef void (*ngx_http_ollama_wake_pt)(ngx_http_ollama_ctx_t *ctx,
    ngx_int_t rc);


struct ngx_http_ollama_ctx_s {
    ngx_http_request_t              *request;
    ngx_http_ollama_main_conf_t     *conf;
    ngx_http_ollama_state_e          state;
    uint64_t                         id;            /* 0: not told yet */

    const ollama_route_t            *route;

    /* the body */
    ollama_request_t                *scanner;
    off_t                            scanned;
    off_t                            body;          /* bytes, as it came */
    ngx_chain_t                     *bufs;          /* as it came */
    ngx_str_t                        endpoint;      /* the path */
    ngx_str_t                        model_sent;

    /* the key */
    ngx_http_ollama_want_t           want;          /* its model: stripped */
    ngx_http_ollama_hold_t          *hold;
    ngx_http_ollama_key_t           *key;
    ngx_str_t                        key_name;      /* a copy */

    void                            *peer;          /* of the balancer */

    ngx_uint_t                       nattempts;
    ngx_http_ollama_attempt_t        attempts[NGX_HTTP_OLLAMA_MAX_ATTEMPTS];

    ngx_queue_t                      running;       /* of this worker */

    /* the queue */
    ngx_queue_t                      queue;
    ngx_msec_t                       wait_started;  /* the first time */
    ngx_msec_t                       wait_since;    /* this time */
    ngx_msec_t                       waited;
    ngx_http_ollama_wake_pt          wake;

    /* the client */
    ngx_str_t                        user;          /* of Basic */

    /* the answer */
    ollama_usage_t                  *usage;
    ollama_sse_cut_t                *cut;           /* of what we asked for */
    ollama_zero_cut_t                zero_cut;
    ngx_chain_t                     *held;          /* copies they have made */
    ngx_msec_t                       first_byte;    /* since start, + 1 */
    ngx_msec_t                       total;
    uint64_t                         bytes_out;     /* of the body */
    uint64_t                         prompt;        /* tokens, settled */
    uint64_t                         completion;
    ngx_str_t                        said;          /* by the cloud's error */
    ngx_str_t                        error;         /* for the client */
    ngx_str_t                        error_body;    /* the same, as JSON */
    ngx_uint_t                       error_status;
    ollama_family_e                  family;        /* of an error's shape */

    unsigned                         family_known:1;
    unsigned                         route_known:1;
    unsigned                         streaming:1;
    unsigned                         model_edited:1;
    unsigned                         prompt_empty:1;
    unsigned                         messages_empty:1;
    unsigned                         keep_alive_zero:1;
    unsigned                         body_valid:1;
    unsigned                         queued:1;      /* linked in queue */
    unsigned                         listed:1;      /* linked in running */
    unsigned                         token:1;       /* was shown */
    unsigned                         basic:1;       /* by ambient Basic */
    unsigned                         error_sent:1;
    unsigned                         settled:1;
    unsigned                         finished:1;
    unsigned                         include_usage:1;   /* we asked for it */
    unsigned                         answer_ended:1;
    unsigned                         authorized:1;  /* $ollama_authorization
                                                       has been asked for */
    unsigned                         zeros:1;       /* /v1/completions */
};


extern ngx_module_t  ngx_http_ollama_module;


/* the context; create makes one and registers the cleanup */

ngx_http_ollama_ctx_t *ngx_http_ollama_get_ctx(ngx_http_request_t *r);
ngx_http_ollama_ctx_t *ngx_http_ollama_create_ctx(ngx_http_request_t *r);
const ollama_route_t *ngx_http_ollama_route(ngx_http_ollama_ctx_t *ctx);

/* phases */

ngx_int_t ngx_http_ollama_uri_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_ollama_access_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_ollama_request_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_ollama_health_handler(ngx_http_request_t *r);

/* the body, seen by the request body filter as it arrives */

void ngx_http_ollama_request_scan(ngx_http_ollama_ctx_t *ctx,
    ngx_chain_t *in);

/* answers of a local daemon: NGX_DECLINED if the request goes to the cloud */

ngx_int_t ngx_http_ollama_local(ngx_http_ollama_ctx_t *ctx);

/* sends the whole answer and returns what finalizes the request */

ngx_int_t ngx_http_ollama_send(ngx_http_request_t *r, ngx_uint_t status,
    const char *type, u_char *data, size_t len);

/*
 * Notes what the client is to be told, and returns the status for the phase
 * engine; the filter turns nginx's page into JSON of the API's shape.
 * retry: epoch seconds for Retry-After, or 0.
 */

ngx_int_t ngx_http_ollama_error(ngx_http_request_t *r, ngx_uint_t status,
    time_t retry, const char *fmt, ...);
ngx_int_t ngx_http_ollama_refuse(ngx_http_ollama_ctx_t *ctx);
ngx_int_t ngx_http_ollama_error_body(ngx_http_request_t *r,
    ngx_http_ollama_ctx_t *ctx, ngx_uint_t status);
ngx_table_elt_t *ngx_http_ollama_add_header(ngx_http_request_t *r,
    const char *name, ngx_str_t *value);
ngx_int_t ngx_http_ollama_add_retry_after(ngx_http_request_t *r,
    time_t retry);

/* where a browser's request comes from */

ngx_uint_t ngx_http_ollama_origin_allowed(ngx_http_request_t *r,
    ngx_str_t *origin);
ngx_uint_t ngx_http_ollama_cross_site(ngx_http_request_t *r);
ngx_uint_t ngx_http_ollama_host_allowed(ngx_http_request_t *r);
ngx_str_t *ngx_http_ollama_find_header(ngx_http_request_t *r,
    const char *name, size_t len);

/* the queue of this worker */

void ngx_http_ollama_queue_init_process(ngx_http_ollama_keys_t *keys);
void ngx_http_ollama_queue_add(ngx_http_ollama_ctx_t *ctx,
    ngx_http_ollama_wake_pt wake);
void ngx_http_ollama_queue_remove(ngx_http_ollama_ctx_t *ctx);
void ngx_http_ollama_queue_kick(void);

/* the balancer */

ngx_int_t ngx_http_ollama_init_upstream(ngx_conf_t *cf,
    ngx_http_upstream_srv_conf_t *us);
void ngx_http_ollama_set_key(ngx_http_ollama_ctx_t *ctx,
    ngx_http_ollama_key_t *key);

/* the requests of this worker that run now */

void ngx_http_ollama_running_add(ngx_http_ollama_ctx_t *ctx);
void ngx_http_ollama_running_remove(ngx_http_ollama_ctx_t *ctx);

/* tokens of the answer */

ngx_int_t ngx_http_ollama_usage_start(ngx_http_ollama_ctx_t *ctx);
void ngx_http_ollama_usage_settle(ngx_http_ollama_ctx_t *ctx);
void ngx_http_ollama_usage_done(ngx_http_ollama_ctx_t *ctx);

/* one record for each request */

void ngx_http_ollama_record(ngx_http_ollama_ctx_t *ctx);
size_t ngx_http_ollama_record_running(ngx_http_ollama_ctx_t *ctx, u_char *buf,
    size_t size);
ngx_msec_t ngx_http_ollama_elapsed(ngx_http_request_t *r);

/* config.yaml and .env */

char *ngx_http_ollama_load_config(ngx_conf_t *cf,
    ngx_http_ollama_main_conf_t *omcf);


#endif /* _NGX_HTTP_OLLAMA_H_INCLUDED_ */
