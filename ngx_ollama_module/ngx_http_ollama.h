
/*
 * What the files of the module share: its configuration, and what it knows
 * about a request, by who writes it.
 *
 * The files.  Arrows go down only: a file calls those below it, and is called
 * back through a pointer.  Each has a header, which says what it is for.
 *
 *     _module.c         directives, configuration, hooks
 *     _directives.c       what they take
 *     _lists.c            lines that change a list
 *     _check.c            what only the whole configuration shows
 *     _affinity.c         conversations: how they stay
 *     _config.c           config.yaml and .env
 *     _zones.c            what else is in shared memory
 *     _variables.c      for include files, log_format and map
 *     _health.c         content: the keys, and what can be done with them
 *     _status.c         content: the pool as JSON
 *     _prometheus.c       and for Prometheus
 *     _text.c             in memory that grows
 *     _filter_module.c  filters: bytes of the request's body and the answer
 *     _balancer.c       proxy_pass: the key of each try
 *     _late.c             with another one, if nothing comes of it
 *     _answer.c           its answer: judged, tried again
 *     _first.c            an error inside of a 200
 *     _held.c             a body, before anybody has read it
 *     _interim.c          and what came before
 *     _said.c             words and numbers of an error
 *     _park.c             or kept until a key is free
 *     _request.c        rewrite, precontent: states of a request, and its end
 *     _uri.c            server rewrite: the path is put right
 *     _pass.c             which headers go to the cloud
 *     _private.c          or ask it for the daemon, on a socket of its own
 *     _body.c             its body: read, scanned, edited
 *     _unpack.c             unpacked
 *     _session.c            which conversation it goes on with
 *     _local.c            or answered at once, as a local daemon would
 *     _wait.c             or kept waiting for a slot
 *     _hold.c             or for a key that returns
 *     _shed.c           a long body goes as soon as nobody needs it
 *     _tail.c           an answer that broke off is told so
 *     _keepalive.c      pings, as long as nothing else is sent
 *     _cut.c            what only came because we asked is taken out again
 *     _sender.c         a worker carries records to the daemon
 *     _report.c           and what else it is told
 *     _running.c        while a request runs: it is shown on the page
 *     _board.c            from shared memory, which outlives its worker
 *     _record.c         a record of it
 *     _cost.c             what its tokens cost
 *     _outbox.c           is put into the outbox
 *     _usage.c          tokens of the answer
 *     _early.c          refused by nginx before it had a location
 *     _access.c         access: token, origin, host
 *     _respond.c        our own words: refusals, errors, headers
 *     _trace.c          what happened to a request, and when
 *     _ctx.c            the context
 *     pool/             keys: leases and snapshots are all that is seen
 *     core/             plain C
 *
 * The context lives in the request's pool and is found through the pool's
 * cleanups, since an internal redirect forgets the module's own pointer.
 */


#ifndef _NGX_HTTP_OLLAMA_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "pool/pool.h"

#include "core/allow.h"
#include "core/config_models.h"
#include "core/price.h"
#include "core/request.h"
#include "core/route.h"
#include "core/sse_cut.h"
#include "core/usage.h"
#include "core/zero_cut.h"


#define NGX_HTTP_OLLAMA_VERSION   "0.2.0"

#define NGX_HTTP_OLLAMA_FIRST     8         /* attempts that are noted */
#define NGX_HTTP_OLLAMA_LAST      8


typedef struct ngx_http_ollama_ctx_s     ngx_http_ollama_ctx_t;
typedef struct ngx_http_ollama_outbox_s  ngx_http_ollama_outbox_t;
typedef struct ngx_http_ollama_running_s  ngx_http_ollama_running_t;
typedef struct ngx_http_ollama_keepalive_s  ngx_http_ollama_keepalive_t;


/* who is let in: "ollama_access" */

typedef enum {
    NGX_HTTP_OLLAMA_ACCESS_OFF = 0,     /* everybody */
    NGX_HTTP_OLLAMA_ACCESS_ON,          /* any token but the one for metrics */
    NGX_HTTP_OLLAMA_ACCESS_ADMIN,       /* an operator, if these are apart */
    NGX_HTTP_OLLAMA_ACCESS_METRICS      /* the same, or who reads them */
} ngx_http_ollama_access_e;


/* of an upstream{} with "ollama_keys"; the first ones are of a server{} */

typedef struct {
    ngx_flag_t                       normalize_uri;
    ngx_uint_t                       ours;          /* has "ollama on" */
    ngx_msec_t                       told;          /* _check.c: ms */

    ngx_uint_t                       tries;         /* 0: no "ollama_keys" */
    ngx_msec_t                       tries_time;
    ngx_uint_t                       queue;         /* which may wait */
    ngx_msec_t                       queue_timeout;
    time_t                           hold;          /* 0: none: _hold.c */
    ngx_uint_t                       hold_max;
    ngx_uint_t                       hold_header;   /* whoever asks for it */
    ngx_uint_t                       index;         /* of the queue */
    ngx_flag_t                       dry_run;
    ngx_flag_t                       affinity;      /* _affinity.c */
    ngx_uint_t                       slack;         /*   is said */
    ngx_http_ollama_stay_t           stay;

    ngx_http_upstream_init_pt        original_init_upstream;
    ngx_http_upstream_init_peer_pt   original_init_peer;
} ngx_http_ollama_srv_conf_t;


/* where "ollama_upstream" sends requests to */

typedef struct {
    ngx_str_t                        url;           /* for proxy_pass */
    ngx_str_t                        name;          /* of the upstream{} */
    ngx_str_t                        host;
    ngx_http_ollama_srv_conf_t      *keys;          /* NULL: needs no key */
} ngx_http_ollama_target_t;


/* of all upstreams, as one of them has said it: _directives.c */

typedef struct {
    ngx_str_t                        value;         /* empty: nobody has */
    ngx_str_t                        at;            /* file:line */
    ngx_uint_t                       other;         /* not what is usual */
} ngx_http_ollama_rule_t;


/* a key whose account has a name; sorted by number */

typedef struct {
    uint32_t                         number;
    ngx_str_t                        account;
} ngx_http_ollama_named_t;


typedef struct {
    ngx_http_ollama_pool_t          *pool;
    ngx_str_t                        zone;          /* its name */
    ngx_http_ollama_rule_t           load;          /* of "ollama_keys" */
    ngx_http_ollama_rule_t           strategy;      /* likewise */
    ngx_http_ollama_rule_t           sessions;      /* of "ollama_affinity", */
    ngx_uint_t                       nsessions;     /*   0: nobody has */

    ngx_addr_t                       statsd;        /* if sockaddr: daemon's */
    ngx_str_t                        proxy;         /* its name for it */
    size_t                           outbox_size;
    ngx_http_ollama_outbox_t        *outbox;        /* or NULL: no daemon */
    ngx_http_ollama_running_t       *running;       /* likewise */

    ngx_str_t                        config;        /* path of config.yaml */
    ngx_str_t                        env_file;
    ngx_str_t                        token;         /* of who uses the API */
    ngx_str_t                        admin;         /* of who looks after it, */
    ngx_str_t                        metrics;       /*   if len */
    ngx_uint_t                       open;          /* no token needed */
    ollama_config_client_t          *clients;       /* with tokens of their */
    size_t                           nclients;      /*   own, by these */

    ngx_array_t                     *origins;       /* of ngx_str_t */
    ollama_config_models_t          *models;        /* of config.yaml */

    ngx_str_t                        prices_file;   /* if len */
    ollama_prices_t                 *own_prices;    /* of config.yaml */
    ollama_prices_t                 *prices;        /* of the file; or NULL */
    ollama_price_t                   usual_price;   /* for loads: _cost.c */

    ngx_array_t                     *targets;       /* of pointers */
    ngx_array_t                     *locations;     /* of ngx_http_conf_ctx_t */
    ngx_http_ollama_target_t         target;        /* where none is said */
    ngx_array_t                     *variables;     /* _pass.c: $http_.. */
    ngx_uint_t                       queues;        /* upstreams with keys */

    ngx_array_t                     *accounts;      /* of .._named_t */
    ngx_array_t                     *privates;      /* of ngx_http_conf_ctx_t */
    ngx_str_t                        private;       /* its socket's path */
    ngx_flag_t                       balance;
    time_t                           balance_interval;  /* s; 0: off */
    ngx_str_t                        balance_file;
    ngx_uint_t                       balance_line;

    void                           (*end)(ngx_http_ollama_ctx_t *ctx);
} ngx_http_ollama_main_conf_t;


typedef struct {
    ngx_flag_t                       enable;
    ngx_uint_t                       access;        /* _access.c */
    ngx_flag_t                       headers;
    ngx_flag_t                       health;
    ngx_flag_t                       no_log;        /* clients may ask so */
    ngx_uint_t                       log_level;     /* of lines of blame */
    ngx_uint_t                       status;        /* its format, 0: none */
    size_t                           bodies;        /* bytes kept of each */
    ngx_msec_t                       keepalive;     /* 0: no pings */
    ngx_msec_t                       first_token;   /* 0: off */
    ngx_int_t                        client;        /* variable's index */
    ngx_http_ollama_target_t        *target;
    ngx_str_t                        details;       /* of /health: @name */
    ngx_str_t                        version;
    ngx_array_t                     *pass_lines;    /* _lists.c */
    ollama_allow_t                  *pass;          /*   and what is built in */
    ngx_array_t                     *paths;         /* of ollama_route_rule_t */
    ngx_uint_t                       refuse_unknown;
    ngx_array_t                     *private;       /* of ngx_uid_t, or NULL */

    ngx_str_t                        enable_at;     /* file:line, for _check */
    ngx_str_t                        details_at;
} ngx_http_ollama_loc_conf_t;


typedef enum {
    NGX_HTTP_OLLAMA_INIT = 0,
    NGX_HTTP_OLLAMA_READING,        /* the body */
    NGX_HTTP_OLLAMA_READ,           /* a key has to be chosen */
    NGX_HTTP_OLLAMA_WAITING,        /* for a slot */
    NGX_HTTP_OLLAMA_GRANTED,        /* has a key, or needs none */
    NGX_HTTP_OLLAMA_REFUSED         /* waited in vain */
} ngx_http_ollama_state_e;


/* the body: _body.c */

typedef struct {
    ollama_request_t                *scanner;
    off_t                            scanned;
    off_t                            size;          /* bytes, as it came */
    uint64_t                         tokens;        /* that it is likely to be */
    uint64_t                         session;       /* as it says, or 0 */
    ngx_str_t                       *session_name;  /* of a header, or NULL */
    ngx_chain_t                     *bufs;          /* as it came */
    ngx_str_t                        model;         /* without "-cloud" */
    ngx_str_t                        model_sent;

    unsigned                         valid:1;
    unsigned                         streaming:1;
    unsigned                         prompt_empty:1;
    unsigned                         messages_empty:1;
    unsigned                         keep_alive_zero:1;
    unsigned                         include_usage:1;   /* we asked for it */
    unsigned                         named:1;       /* the session is, or */
    unsigned                         begins:1;      /*   it is its first turn */
    unsigned                         recorded:1;    /* _record.c: it is out */
    unsigned                         shed:1;        /* _shed.c: it is gone, */
    unsigned                         shedding:1;    /*   or waits to go: */
    ngx_queue_t                      queue;
} ngx_http_ollama_body_t;


/* what happened to it, and when: _trace.c; ms */

typedef struct {
    uint32_t                         key;
    ngx_str_t                        name;
    ngx_msec_t                       start;
    ngx_msec_t                       time;
    ngx_uint_t                       status;        /* 0: none came */
    ollama_failure_e                 failure;
    unsigned                         ended:1;
    unsigned                         abandoned:1;   /* _late.c */
} ngx_http_ollama_attempt_t;


typedef struct {
    ngx_uint_t                       nattempts;     /* all of them */
    ngx_str_t                        said;          /* by the cloud's error */

    ngx_msec_t                       first_byte;    /* since start, + 1 */
    ngx_msec_t                       total;         /* 0: still runs */
    ngx_msec_t                       wait_started;  /* the first time */
    ngx_msec_t                       wait_since;    /* this time, 0: not now */
    ngx_msec_t                       waited;

    /* cleared as they are made */

    ngx_http_ollama_attempt_t        attempts[NGX_HTTP_OLLAMA_FIRST
                                              + NGX_HTTP_OLLAMA_LAST];
} ngx_http_ollama_trace_t;


/* the answer: _usage.c */

typedef struct {
    ollama_usage_t                  *usage;
    uint64_t                         prompt;        /* tokens, settled */
    uint64_t                         completion;
    uint64_t                         bytes;         /* of the body, passed */

    unsigned                         settled:1;
    unsigned                         ended:1;       /* with its last byte */
    unsigned                         unread:1;      /* it came too late */
} ngx_http_ollama_answer_t;


/* how the answer ends: _tail.c */

typedef struct {
    void                           (*finalize_request)(ngx_http_request_t *r,
                                                       ngx_int_t rc);
    ngx_int_t                      (*input_filter_init)(void *data);
    ngx_int_t                      (*input_filter)(void *data, ssize_t bytes);
    ngx_event_pipe_input_filter_pt   pipe_filter;
    ngx_buf_t                       *buf;           /* what is added */
    ngx_str_t                        id;            /* of /v1/responses */

    unsigned                         look:1;        /*   still wanted */
    unsigned                         keepalive:1;   /* before it ended */
    unsigned                         passed:1;
    unsigned                         cut:1;         /* no last chunk */
} ngx_http_ollama_tail_t;


/* our own words: _respond.c */

typedef struct {
    ngx_uint_t                       status;        /* 0: nothing refused */
    time_t                           retry;         /* 0: not known */
    ngx_str_t                        text;
    ngx_str_t                        page;          /* the same, as JSON */
    ollama_family_e                  family;        /* if family_known */

    unsigned                         family_known:1;
    unsigned                         sent:1;        /* the client is told it */
    unsigned                         page_sent:1;
} ngx_http_ollama_refusal_t;


typedef void (*ngx_http_ollama_wake_pt)(ngx_http_ollama_ctx_t *ctx,
    ngx_int_t rc);


struct ngx_http_ollama_ctx_s {
    ngx_http_request_t              *request;
    ngx_http_ollama_main_conf_t     *conf;
    ngx_http_ollama_state_e          state;         /* _request.c */
    const ollama_route_t            *route;         /* if route_known */
    ngx_str_t                        endpoint;      /* the path */
    ngx_str_t                        user;          /* of Basic: _access.c */
    ngx_str_t                        client;        /*   if client_known */
    const ollama_config_client_t    *who;           /* by its token; or NULL */

    ngx_http_ollama_body_t           body;
    ollama_price_t                   price;         /* if priced: _cost.c */
    ngx_http_ollama_lease_t          lease;         /* pool/ */
    ngx_http_ollama_answer_t         answer;
    ngx_http_ollama_tail_t           tail;
    ngx_http_ollama_refusal_t        refusal;

    ngx_http_ollama_keepalive_t     *keepalive;     /* NULL: no pings */
    void                            *judge;         /* _answer.c's */
    void                            *park;          /* _park.c's */
    void                            *late;          /* _late.c's, or NULL */
    void                            *cut;           /* _cut.c's */
    void                            *pass;          /* _pass.c's */
    void                            *unpack;        /* _unpack.c's */

    ngx_http_ollama_wake_pt          wake;          /* _wait.c, not NULL */
    ngx_queue_t                      wait;          /*   while it waits, */
    ngx_msec_t                       wait_end;      /*   until, */
    ngx_msec_t                       wait_more;     /*   and once more */

    ngx_queue_t                      running;       /* _running.c, if listed */
    uint32_t                         board;         /* place on it, + 1 */
    uint64_t                         id;            /* of its record */

    unsigned                         route_known:1;
    unsigned                         client_known:1;
    unsigned                         token:1;       /* was shown: _access.c */
    unsigned                         basic:1;       /*   by ambient Basic */
    unsigned                         authorized:1;  /* $ollama_authorization
                                                       has been asked for */
    unsigned                         private:1;     /* _private.c */
    unsigned                         listed:1;      /* _running.c */
    unsigned                         unlisted:1;    /*   but not as running */
    unsigned                         have_body:1;   /* _request.c */
    unsigned                         priced:1;
    unsigned                         keyless:1;     /*   its upstream is */
    unsigned                         stopped:1;     /*   by the worker's end */
    unsigned                         finished:1;

    ngx_http_ollama_trace_t          trace;         /* the last, see there */
};


extern ngx_module_t  ngx_http_ollama_module;
extern ngx_module_t  ngx_http_ollama_filter_module;


/* the time of day, in ms since 1970 */

static ngx_inline uint64_t
ngx_http_ollama_now(void)
{
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    return (uint64_t) tp->sec * 1000 + tp->msec;
}


/* _ctx.c: the context; create makes one and registers the cleanup */

ngx_http_ollama_ctx_t *ngx_http_ollama_get_ctx(ngx_http_request_t *r);
ngx_http_ollama_ctx_t *ngx_http_ollama_create_ctx(ngx_http_request_t *r);
const ollama_route_t *ngx_http_ollama_route(ngx_http_ollama_ctx_t *ctx);


#endif /* _NGX_HTTP_OLLAMA_H_INCLUDED_ */
