
#include "ngx_http_ollama_balancer.h"
#include "ngx_http_ollama_answer.h"
#include "ngx_http_ollama_late.h"
#include "ngx_http_ollama_park.h"
#include "ngx_http_ollama_pass.h"
#include "ngx_http_ollama_request.h"
#include "ngx_http_ollama_trace.h"


typedef struct {
    ngx_http_ollama_ctx_t               *ctx;
    ngx_http_ollama_srv_conf_t          *conf;
    ngx_http_upstream_srv_conf_t        *upstream;
    ngx_http_request_t                  *request;

    void                                *data;
    ngx_event_get_peer_pt                original_get_peer;
    ngx_event_free_peer_pt               original_free_peer;
    ngx_event_notify_peer_pt             original_notify;

#if (NGX_SSL || NGX_COMPAT)
    ngx_event_set_peer_session_pt        original_set_session;
    ngx_event_save_peer_session_pt       original_save_session;
#endif

    ngx_output_chain_filter_pt           output_filter;
    void                                *filter_ctx;

    ngx_chain_t                         *body;      /* of a try again */
    ngx_uint_t                           started;
    ngx_uint_t                           status;    /* of the last answer */
} ngx_http_ollama_peer_data_t;


static ngx_int_t ngx_http_ollama_init_peer(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *us);
static ngx_int_t ngx_http_ollama_check_request(ngx_http_request_t *r,
    ngx_http_ollama_ctx_t *ctx);
static ngx_int_t ngx_http_ollama_check_authorized(ngx_http_request_t *r,
    ngx_http_ollama_ctx_t *ctx);
static ngx_int_t ngx_http_ollama_get_peer(ngx_peer_connection_t *pc,
    void *data);
static void ngx_http_ollama_true_state(ngx_http_ollama_peer_data_t *pd);
static ngx_int_t ngx_http_ollama_get_server(ngx_peer_connection_t *pc,
    ngx_http_ollama_peer_data_t *pd);
static ngx_int_t ngx_http_ollama_render(ngx_http_ollama_peer_data_t *pd);
static ngx_int_t ngx_http_ollama_output_filter(void *data, ngx_chain_t *in);
static void ngx_http_ollama_free_peer(ngx_peer_connection_t *pc, void *data,
    ngx_uint_t state);
static void ngx_http_ollama_free_private(ngx_peer_connection_t *pc, void *data,
    ngx_uint_t state);
static void ngx_http_ollama_notify_peer(ngx_peer_connection_t *pc,
    void *data, ngx_uint_t type);

#if (NGX_SSL || NGX_COMPAT)
static ngx_int_t ngx_http_ollama_set_session(ngx_peer_connection_t *pc,
    void *data);
static void ngx_http_ollama_save_session(ngx_peer_connection_t *pc,
    void *data);
#endif


ngx_int_t
ngx_http_ollama_init_upstream(ngx_conf_t *cf, ngx_http_upstream_srv_conf_t *us)
{
    ngx_http_ollama_srv_conf_t  *oscf;

    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, cf->log, 0, "init ollama keys");

    oscf = ngx_http_conf_upstream_srv_conf(us, ngx_http_ollama_module);

    if (oscf->original_init_upstream(cf, us) != NGX_OK) {
        return NGX_ERROR;
    }

    oscf->original_init_peer = us->peer.init;

    us->peer.init = ngx_http_ollama_init_peer;

    return NGX_OK;
}


static ngx_int_t
ngx_http_ollama_init_peer(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *us)
{
    ngx_uint_t                    peers;
    ngx_http_upstream_t          *u;
    ngx_http_ollama_ctx_t        *ctx;
    ngx_http_ollama_peer_data_t  *pd;

    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "init ollama peer");

    ctx = ngx_http_ollama_get_ctx(r);

    if (ngx_http_ollama_check_request(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    pd = ngx_pcalloc(r->pool, sizeof(ngx_http_ollama_peer_data_t));
    if (pd == NULL) {
        return NGX_ERROR;
    }

    pd->ctx = ctx;
    pd->conf = ngx_http_conf_upstream_srv_conf(us, ngx_http_ollama_module);
    pd->upstream = us;
    pd->request = r;

    if (pd->conf->original_init_peer(r, us) != NGX_OK) {
        return NGX_ERROR;
    }

    u = r->upstream;

    pd->data = u->peer.data;
    pd->original_get_peer = u->peer.get;
    pd->original_free_peer = u->peer.free;
    pd->original_notify = u->peer.notify;

    u->peer.data = pd;

    if (ctx->private) {
        u->peer.free = ngx_http_ollama_free_private;

    } else {
        u->peer.free = ngx_http_ollama_free_peer;
    }

    u->peer.get = ngx_http_ollama_get_peer;

    if (u->peer.notify) {
        u->peer.notify = ngx_http_ollama_notify_peer;
    }

#if (NGX_SSL || NGX_COMPAT)
    pd->original_set_session = u->peer.set_session;
    pd->original_save_session = u->peer.save_session;

    if (u->peer.set_session) {
        u->peer.set_session = ngx_http_ollama_set_session;
        u->peer.save_session = ngx_http_ollama_save_session;
    }
#endif

    if (ctx->private) {
        return NGX_OK;
    }

    peers = u->peer.tries;
    u->peer.tries = 1;

    pd->output_filter = u->output.output_filter;
    pd->filter_ctx = u->output.filter_ctx;
    u->output.output_filter = ngx_http_ollama_output_filter;
    u->output.filter_ctx = pd;

    return ngx_http_ollama_answer_init(ctx, pd->conf, peers);
}


static ngx_int_t
ngx_http_ollama_check_request(ngx_http_request_t *r,
    ngx_http_ollama_ctx_t *ctx)
{
    if (r != r->main) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "a subrequest to \"%V\" was refused: it would need a key "
                      "of its own", &r->uri);
        return NGX_ERROR;
    }

    if (ctx && ctx->private) {
        return ngx_http_ollama_check_authorized(r, ctx);
    }

    if (ctx == NULL || ctx->state != NGX_HTTP_OLLAMA_GRANTED) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "an upstream with \"ollama_keys\" was used by "
                      "a location without \"ollama on\"");
        return NGX_ERROR;
    }

    if (ctx->lease.key == 0 && !(ctx->route->flags & OLLAMA_ROUTE_PUBLIC)) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "an upstream with \"ollama_keys\" was used by a location "
                      "whose \"ollama_upstream\" names one without: "
                      "use \"proxy_pass $ollama_upstream\"");
        return NGX_ERROR;
    }

    if (!ngx_http_ollama_passed(ctx)) {
        ngx_log_error(NGX_LOG_ALERT, r->connection->log, 0,
                      "a request was made with all headers of the client");
        return NGX_ERROR;
    }

    return ngx_http_ollama_check_authorized(r, ctx);
}


/* the request is rendered by now, and would carry the client's token */

static ngx_int_t
ngx_http_ollama_check_authorized(ngx_http_request_t *r,
    ngx_http_ollama_ctx_t *ctx)
{
    if (!ctx->authorized) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "\"proxy_set_header Authorization "
                      "$ollama_authorization\" is missing here: a location "
                      "with a proxy_set_header of its own inherits none "
                      "(see ollama_params)");
        return NGX_ERROR;
    }

    /* an error page's location may render another one */

    ctx->authorized = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_ollama_get_peer(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_ollama_peer_data_t  *pd = data;

    ngx_int_t               rc;
    ngx_http_ollama_ctx_t  *ctx;

    ctx = pd->ctx;

    if (ctx->private) {
        return pd->original_get_peer(pc, pd->data);
    }

    if (pd->started) {
        ngx_http_ollama_true_state(pd);

        if (ngx_http_ollama_render(pd) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    ctx->lease.used = 1;

    ngx_http_ollama_answer_begin(ctx);

    rc = ngx_http_ollama_get_server(pc, pd);

    pd->started = 1;

    if (rc != NGX_BUSY && rc != NGX_ERROR) {
        ngx_http_ollama_late_begin(ctx);
    }

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, pc->log, 0,
                   "get ollama peer, attempt %ui with \"%V\": %i",
                   ctx->trace.nattempts, &ctx->lease.name, rc);

    return rc;
}


/* nginx has noted the 403 it was shown */

static void
ngx_http_ollama_true_state(ngx_http_ollama_peer_data_t *pd)
{
    ngx_array_t                *states;
    ngx_http_upstream_state_t  *state;

    states = pd->request->upstream_states;

    if (pd->status && states->nelts > 1) {
        state = states->elts;
        state[states->nelts - 2].status = pd->status;
    }
}


static ngx_int_t
ngx_http_ollama_get_server(ngx_peer_connection_t *pc,
    ngx_http_ollama_peer_data_t *pd)
{
    ngx_int_t              rc;
    ngx_uint_t             tries;
    ngx_peer_connection_t  outer;

    tries = pc->tries;

    rc = pd->original_get_peer(pc, pd->data);

    if (rc == NGX_BUSY && pd->started) {

        /*
         * Every server has been tried, with another key: the balancer starts
         * over, while what others have wrapped around us stays in its place.
         */

        ngx_http_ollama_answer_over(pd->ctx);

        outer = *pc;

        /* what is there, round robin would take for its own */

        pc->data = NULL;

        if (pd->conf->original_init_peer(pd->request, pd->upstream)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        pd->data = pc->data;
        pd->original_get_peer = pc->get;
        pd->original_free_peer = pc->free;
        pd->original_notify = pc->notify;

#if (NGX_SSL || NGX_COMPAT)
        pd->original_set_session = pc->set_session;
        pd->original_save_session = pc->save_session;
        pc->set_session = outer.set_session;
        pc->save_session = outer.save_session;
#endif

        pc->data = outer.data;
        pc->get = outer.get;
        pc->free = outer.free;
        pc->notify = outer.notify;

        rc = pd->original_get_peer(pc, pd->data);
    }

    pc->tries = tries;

    return rc;
}


/*
 * The request for the next try is made anew, with another Authorization.  Its
 * body is handed to the output filter apart, since nginx rewinds the buffers
 * of u->request_bufs in a way which knows one stretch of one file only.
 */

static ngx_int_t
ngx_http_ollama_render(ngx_http_ollama_peer_data_t *pd)
{
    ngx_http_request_t   *r;
    ngx_http_upstream_t  *u;

    r = pd->request;
    u = r->upstream;

    u->request_bufs = r->request_body ? r->request_body->bufs : NULL;

    if (u->create_request(r) != NGX_OK) {
        return NGX_ERROR;
    }

    if (u->output.output_filter != ngx_http_ollama_output_filter) {

        /* HTTP/2 sets its own each time */

        pd->output_filter = u->output.output_filter;
        pd->filter_ctx = u->output.filter_ctx;
        u->output.output_filter = ngx_http_ollama_output_filter;
        u->output.filter_ctx = pd;
    }

    pd->body = u->request_bufs;
    u->request_bufs = NULL;

    return NGX_OK;
}


static ngx_int_t
ngx_http_ollama_output_filter(void *data, ngx_chain_t *in)
{
    ngx_http_ollama_peer_data_t  *pd = data;

    ngx_chain_t               *body;
    ngx_connection_t          *c;
    ngx_http_upstream_t       *u;
    ngx_http_core_loc_conf_t  *clcf;

    u = pd->request->upstream;

    if (pd->body) {
        body = pd->body;
        pd->body = NULL;

        return ngx_output_chain(&u->output, body);
    }

    c = u->peer.connection;

    if (c->tcp_nodelay == NGX_TCP_NODELAY_UNSET
        && u->peer.sockaddr
        && u->peer.sockaddr->sa_family != AF_UNIX)
    {
        clcf = ngx_http_get_module_loc_conf(pd->request,
                                            ngx_http_core_module);

        if (clcf->tcp_nodelay && ngx_tcp_nodelay(c) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return pd->output_filter(pd->filter_ctx, in);
}


static void
ngx_http_ollama_free_peer(ngx_peer_connection_t *pc, void *data,
    ngx_uint_t state)
{
    ngx_http_ollama_peer_data_t  *pd = data;

    ngx_uint_t                  timedout, retry;
    ngx_http_ollama_ctx_t      *ctx;
    ngx_http_ollama_attempt_t  *attempt;

    ctx = pd->ctx;

    ngx_http_ollama_late_end(ctx);
    ngx_http_ollama_trace_attempt_end(ctx);

    timedout = pc->connection && (pc->connection->read->timedout
                                  || pc->connection->write->timedout);

    if (ngx_http_ollama_park_abandon(ctx, pc->connection)) {

        /* the client or the cloud has gone meanwhile */

        ngx_http_ollama_request_settle(ctx);
    }

    if (state == 0) {

        /*
         * The end: the key is done with.  The request itself may stay for
         * seconds, until the client has closed its connection.
         */

        ngx_http_ollama_answer_late(ctx);
        ngx_http_ollama_request_settle(ctx);

    } else {

        /* nginx goes to the next try */

        ngx_http_ollama_answer_end(ctx, pc);
    }

    attempt = ngx_http_ollama_trace_last(ctx);

    /*
     * a server that answers is a good one, whatever it says of the key; one
     * that was given up may be
     */

    if (ngx_http_ollama_answer_came(ctx) || attempt->abandoned) {
        state &= ~NGX_PEER_FAILED;
    }

    pd->original_free_peer(pc, pd->data, state);

    retry = ngx_http_ollama_answer_retry(ctx);

    pd->status = attempt->status;

    /* nginx adds one for a stale connection by itself */

    if (attempt->failure == OLLAMA_FAIL_STALE && retry) {
        ngx_http_ollama_trace_undo(ctx);
        pc->tries = 0;
        return;
    }

    if (!timedout) {
        pc->cached = 0;
    }

    pc->tries = retry;
}


/* a question that may have arrived is not asked again: it is counted there */

static void
ngx_http_ollama_free_private(ngx_peer_connection_t *pc, void *data,
    ngx_uint_t state)
{
    ngx_http_ollama_peer_data_t  *pd = data;

    ngx_uint_t  sent;

    sent = pd->request->upstream->request_sent && !pc->cached;

    pd->original_free_peer(pc, pd->data, state);

    if (sent) {
        pc->tries = 0;
    }
}


static void
ngx_http_ollama_notify_peer(ngx_peer_connection_t *pc, void *data,
    ngx_uint_t type)
{
    ngx_http_ollama_peer_data_t  *pd = data;

    if (pd->original_notify) {
        pd->original_notify(pc, pd->data, type);
    }
}


#if (NGX_SSL || NGX_COMPAT)

static ngx_int_t
ngx_http_ollama_set_session(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_ollama_peer_data_t  *pd = data;

    return pd->original_set_session(pc, pd->data);
}


static void
ngx_http_ollama_save_session(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_ollama_peer_data_t  *pd = data;

    pd->original_save_session(pc, pd->data);
}

#endif
