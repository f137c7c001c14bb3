
/*
 * The balancer.  It wraps the one that chooses a server, as keepalive does,
 * and decides which key a try is made with, what its answer says about that
 * key, and whether there is another try.
 *
 * nginx asks two things before it goes on to a next try: that pc->tries is
 * not 0, and that "proxy_next_upstream" names what has happened.  Both
 * answers are given here.  pc->tries is set after each try to what has been
 * decided, and an answer which is to be tried again is presented as a 403:
 * one of the statuses nginx knows, and the one after which the connection may
 * be kept.  What really came is put back for the logs.
 *
 * For that the handler of the answer's header is wrapped.  It holds an error
 * back until its body has arrived as well (a few hundred bytes), since only
 * the text tells a spent quota from taken slots.  The next key is reserved
 * before the answer in hand is given up, so the last error always reaches the
 * client as it came.
 *
 * An answer that was refused for want of a slot, while every other key is
 * busy too, is parked: the last byte received is taken back, and delivered
 * again when the queue has decided.
 */

#include "ngx_http_ollama.h"

#include "core/error.h"


#define NGX_HTTP_OLLAMA_BODY_TIME  5000

#define NGX_HTTP_OLLAMA_SAID       256

#define NGX_HTTP_OLLAMA_NEEDED     (NGX_HTTP_UPSTREAM_FT_ERROR                \
                                    |NGX_HTTP_UPSTREAM_FT_TIMEOUT             \
                                    |NGX_HTTP_UPSTREAM_FT_HTTP_403            \
                                    |NGX_HTTP_UPSTREAM_FT_NON_IDEMPOTENT)


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

    ngx_int_t                          (*process_header)(
                                                   ngx_http_request_t *r);
    ngx_int_t                          (*reinit_request)(
                                                   ngx_http_request_t *r);
    ngx_output_chain_filter_pt           output_filter;
    void                                *filter_ctx;

    ngx_chain_t                         *body;      /* of a try again */
    ngx_http_ollama_attempt_t           *attempt;
    ngx_uint_t                           tries;     /* that are left */

    ngx_recv_pt                          recv;
    u_char                               byte;

    unsigned                             started:1;
    unsigned                             answered:1;    /* header complete */
    unsigned                             judged:1;
    unsigned                             retry:1;
    unsigned                             other_failed:1;
    unsigned                             parked:1;
    unsigned                             released:1;    /* no longer parked */
    unsigned                             granted:1;     /* and with a key */
} ngx_http_ollama_peer_data_t;


static ngx_int_t ngx_http_ollama_init_peer(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *us);
static ngx_int_t ngx_http_ollama_get_peer(ngx_peer_connection_t *pc,
    void *data);
static ngx_int_t ngx_http_ollama_get_server(ngx_peer_connection_t *pc,
    ngx_http_ollama_peer_data_t *pd);
static ngx_int_t ngx_http_ollama_render(ngx_http_ollama_peer_data_t *pd);
static void ngx_http_ollama_free_peer(ngx_peer_connection_t *pc, void *data,
    ngx_uint_t state);
static void ngx_http_ollama_notify_peer(ngx_peer_connection_t *pc,
    void *data, ngx_uint_t type);

#if (NGX_SSL || NGX_COMPAT)
static ngx_int_t ngx_http_ollama_set_session(ngx_peer_connection_t *pc,
    void *data);
static void ngx_http_ollama_save_session(ngx_peer_connection_t *pc,
    void *data);
#endif

static ngx_int_t ngx_http_ollama_output_filter(void *data, ngx_chain_t *in);
static ngx_int_t ngx_http_ollama_reinit_request(ngx_http_request_t *r);
static ngx_int_t ngx_http_ollama_process_header(ngx_http_request_t *r);
static ngx_int_t ngx_http_ollama_error_arrived(ngx_http_request_t *r);

static void ngx_http_ollama_judge_answer(ngx_http_ollama_peer_data_t *pd);
static void ngx_http_ollama_read_error(ngx_http_ollama_peer_data_t *pd,
    ollama_answer_t *answer);
static void ngx_http_ollama_judge_failure(ngx_http_ollama_peer_data_t *pd,
    ngx_peer_connection_t *pc);
static void ngx_http_ollama_judge(ngx_http_ollama_peer_data_t *pd,
    ollama_answer_t *answer);
static ngx_uint_t ngx_http_ollama_may_retry(ngx_http_ollama_peer_data_t *pd);
static ngx_int_t ngx_http_ollama_next_key(ngx_http_ollama_peer_data_t *pd,
    ngx_uint_t network);
static void ngx_http_ollama_read_ratelimit(ngx_http_ollama_peer_data_t *pd,
    ollama_answer_t *answer);

static void ngx_http_ollama_park(ngx_http_ollama_peer_data_t *pd);
static void ngx_http_ollama_unpark(ngx_http_ollama_ctx_t *ctx, ngx_int_t rc);
static ssize_t ngx_http_ollama_parked_recv(ngx_connection_t *c, u_char *buf,
    size_t size);


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
    ngx_http_upstream_t          *u;
    ngx_http_ollama_ctx_t        *ctx;
    ngx_http_ollama_peer_data_t  *pd;

    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "init ollama peer");

    ctx = ngx_http_ollama_get_ctx(r);

    if (ctx == NULL || ctx->state != NGX_HTTP_OLLAMA_GRANTED) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "an upstream with \"ollama_keys\" was used by "
                      "a location without \"ollama on\"");
        return NGX_ERROR;
    }

    /* the request is rendered by now, and would carry the client's token */

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

    pd = ngx_pcalloc(r->pool, sizeof(ngx_http_ollama_peer_data_t));
    if (pd == NULL) {
        return NGX_ERROR;
    }

    pd->ctx = ctx;
    pd->conf = ngx_http_conf_upstream_srv_conf(us, ngx_http_ollama_module);
    pd->upstream = us;
    pd->request = r;
    pd->tries = pd->conf->tries;

    if (pd->conf->original_init_peer(r, us) != NGX_OK) {
        return NGX_ERROR;
    }

    ctx->peer = pd;

    u = r->upstream;

    pd->data = u->peer.data;
    pd->original_get_peer = u->peer.get;
    pd->original_free_peer = u->peer.free;
    pd->original_notify = u->peer.notify;

    u->peer.data = pd;
    u->peer.get = ngx_http_ollama_get_peer;
    u->peer.free = ngx_http_ollama_free_peer;

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

    u->peer.tries = 1;

    pd->process_header = u->process_header;
    u->process_header = ngx_http_ollama_process_header;

    pd->reinit_request = u->reinit_request;
    u->reinit_request = ngx_http_ollama_reinit_request;

    pd->output_filter = u->output.output_filter;
    pd->filter_ctx = u->output.filter_ctx;
    u->output.output_filter = ngx_http_ollama_output_filter;
    u->output.filter_ctx = pd;

    if ((u->conf->next_upstream & NGX_HTTP_OLLAMA_NEEDED)
        != NGX_HTTP_OLLAMA_NEEDED)
    {
        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "no other key will be tried: \"proxy_next_upstream\" "
                      "must name error, timeout, http_403 and "
                      "non_idempotent (see ollama_params)");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_ollama_get_peer(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_ollama_peer_data_t  *pd = data;

    ngx_int_t                   rc;
    ngx_http_ollama_ctx_t      *ctx;
    ngx_http_ollama_attempt_t  *attempt;
    ngx_http_upstream_state_t  *state;

    ctx = pd->ctx;

    if (pd->started) {

        /* nginx has noted the 403 it was shown */

        if (pd->attempt && pd->attempt->status
            && pd->request->upstream_states->nelts > 1)
        {
            state = pd->request->upstream_states->elts;
            state[pd->request->upstream_states->nelts - 2].status =
                                                        pd->attempt->status;
        }

        if (ngx_http_ollama_render(pd) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    pd->answered = 0;
    pd->judged = 0;
    pd->retry = 0;

    if (ctx->nattempts < NGX_HTTP_OLLAMA_MAX_ATTEMPTS) {
        ctx->nattempts++;
    }

    attempt = &ctx->attempts[ctx->nattempts - 1];

    ngx_memzero(attempt, sizeof(ngx_http_ollama_attempt_t));

    attempt->start = ngx_current_msec;

    if (ctx->key) {
        attempt->key = ngx_http_ollama_key_number(ctx->key);
    }

    pd->attempt = attempt;

    rc = ngx_http_ollama_get_server(pc, pd);

    pd->started = 1;

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, pc->log, 0,
                   "get ollama peer, attempt %ui with \"%V\": %i",
                   ctx->nattempts, &ctx->key_name, rc);

    return rc;
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


static ngx_int_t
ngx_http_ollama_reinit_request(ngx_http_request_t *r)
{
    ngx_int_t                     rc;
    ngx_http_upstream_t          *u;
    ngx_http_ollama_peer_data_t  *pd;

    pd = ngx_http_ollama_get_ctx(r)->peer;
    u = r->upstream;

    rc = pd->reinit_request(r);

    /* a new try begins with the handler of the status line */

    if (u->process_header != ngx_http_ollama_process_header) {
        pd->process_header = u->process_header;
        u->process_header = ngx_http_ollama_process_header;
    }

    return rc;
}


static ngx_int_t
ngx_http_ollama_process_header(ngx_http_request_t *r)
{
    ngx_int_t                     rc;
    ngx_uint_t                    status;
    ngx_connection_t             *c;
    ngx_http_upstream_t          *u;
    ngx_http_ollama_peer_data_t  *pd;

    pd = ngx_http_ollama_get_ctx(r)->peer;
    u = r->upstream;

    if (pd->parked) {

        /* the byte that was held back has come again */

        pd->parked = 0;
        pd->retry = pd->granted && ngx_http_ollama_may_retry(pd);

        goto done;
    }

    if (!pd->answered) {
        rc = pd->process_header(r);

        if (u->process_header != ngx_http_ollama_process_header) {
            pd->process_header = u->process_header;
            u->process_header = ngx_http_ollama_process_header;
        }

        if (rc != NGX_OK) {
            return rc;
        }

        pd->answered = 1;
    }

    status = u->headers_in.status_n;

    pd->attempt->status = status;

    if (status >= NGX_HTTP_BAD_REQUEST
        && r->method != NGX_HTTP_HEAD
        && ngx_http_ollama_error_arrived(r) == NGX_AGAIN
        && u->buffer.last + 1 < u->buffer.end)
    {
        c = u->peer.connection;

        ngx_add_timer(c->read, ngx_min(u->conf->read_timeout,
                                       NGX_HTTP_OLLAMA_BODY_TIME));
        return NGX_AGAIN;
    }

    ngx_http_ollama_judge_answer(pd);

    if (pd->parked) {
        return NGX_AGAIN;
    }

done:

    if (pd->retry) {
        u->headers_in.status_n = NGX_HTTP_FORBIDDEN;
        u->peer.tries = 2;

        if (ngx_http_ollama_error_arrived(r) == NGX_OK && !pd->released) {
            u->keepalive = !u->headers_in.connection_close;
        }

    } else {
        u->peer.tries = 1;
    }

    pd->released = 0;

    return NGX_OK;
}


/* the whole body of an error is in the buffer, behind its header */

static ngx_int_t
ngx_http_ollama_error_arrived(ngx_http_request_t *r)
{
    size_t                len;
    ngx_http_upstream_t  *u;

    u = r->upstream;
    len = u->buffer.last - u->buffer.pos;

    if (u->headers_in.chunked) {
        return (len >= 5
                && ngx_memcmp(u->buffer.last - 5, "0" CRLF CRLF, 5) == 0)
               ? NGX_OK : NGX_AGAIN;
    }

    if (u->headers_in.content_length_n >= 0) {
        return ((off_t) len >= u->headers_in.content_length_n) ? NGX_OK
                                                               : NGX_AGAIN;
    }

    /* up to the end of the connection: what is there has to do */

    return len ? NGX_DECLINED : NGX_AGAIN;
}


static void
ngx_http_ollama_judge_answer(ngx_http_ollama_peer_data_t *pd)
{
    ngx_str_t             type;
    ollama_answer_t       answer;
    ngx_http_upstream_t  *u;

    u = pd->request->upstream;

    ngx_memzero(&answer, sizeof(ollama_answer_t));

    answer.failure = OLLAMA_FAIL_NONE;
    answer.status = pd->attempt->status;
    answer.body = u->buffer.pos;
    answer.body_len = u->buffer.last - u->buffer.pos;

    if (u->headers_in.chunked) {

        /* past the size of the first chunk */

        while (answer.body_len
               && *answer.body != '{' && *answer.body != '<')
        {
            answer.body++;
            answer.body_len--;
        }

        if (answer.body_len == 0) {
            answer.body = u->buffer.pos;
        }
    }

    if (u->headers_in.content_type) {
        type = u->headers_in.content_type->value;

        answer.is_html = type.len >= 9
                         && ngx_strncasecmp(type.data, (u_char *) "text/html",
                                            9) == 0;
    }

    ngx_http_ollama_read_ratelimit(pd, &answer);
    ngx_http_ollama_read_error(pd, &answer);

    ngx_http_ollama_judge(pd, &answer);
}


/* what an error says, for the record: that of the last one is the reason */

static void
ngx_http_ollama_read_error(ngx_http_ollama_peer_data_t *pd,
    ollama_answer_t *answer)
{
    char                    text[NGX_HTTP_OLLAMA_SAID];
    size_t                  len;
    ngx_str_t              *key;
    ngx_http_ollama_ctx_t  *ctx;

    ctx = pd->ctx;

    ngx_str_null(&ctx->said);

    if (answer->status < NGX_HTTP_BAD_REQUEST || answer->body_len == 0) {
        return;
    }

    if (answer->is_html) {
        ngx_str_set(&ctx->said, "a page of HTML came instead of JSON");
        return;
    }

    len = ollama_error_text(answer->body, answer->body_len, text,
                            sizeof(text));

    /* a record holds no key, whatever the cloud repeats of what it was sent */

    key = ctx->key ? &ctx->key->authorization : NULL;

    if (key
        && memmem(text, len, key->data + sizeof("Bearer ") - 1,
                  key->len - (sizeof("Bearer ") - 1)))
    {
        return;
    }

    ctx->said.data = ngx_pnalloc(pd->request->pool, len);

    if (ctx->said.data) {
        ngx_memcpy(ctx->said.data, text, len);
        ctx->said.len = len;
    }
}


static void
ngx_http_ollama_judge_failure(ngx_http_ollama_peer_data_t *pd,
    ngx_peer_connection_t *pc)
{
    ngx_connection_t     *c;
    ollama_answer_t       answer;
    ngx_http_upstream_t  *u;

    u = pd->request->upstream;
    c = pc->connection;

    ngx_memzero(&answer, sizeof(ollama_answer_t));

    answer.retry_after = -1;
    answer.max_concurrent = -1;

    if (c && (c->read->timedout || c->write->timedout)) {
        answer.failure = (u->state->connect_time == (ngx_msec_t) -1)
                         ? OLLAMA_FAIL_CONNECT
                         : OLLAMA_FAIL_TIMEOUT_FIRST_BYTE;

    } else if (pc->cached && u->state->bytes_received == 0) {
        answer.failure = OLLAMA_FAIL_STALE;

    } else if (c == NULL || u->state->connect_time == (ngx_msec_t) -1) {
        answer.failure = OLLAMA_FAIL_CONNECT;

    } else {
        answer.failure = OLLAMA_FAIL_ABORTED_EARLY;
    }

    pd->attempt->failure = answer.failure;

    ngx_str_null(&pd->ctx->said);

    ngx_http_ollama_judge(pd, &answer);
}


static void
ngx_http_ollama_judge(ngx_http_ollama_peer_data_t *pd,
    ollama_answer_t *answer)
{
    ngx_int_t               rc;
    ollama_verdict_t        verdict;
    ngx_http_ollama_ctx_t  *ctx;
    ngx_http_ollama_key_t  *key;

    ctx = pd->ctx;
    key = ctx->hold ? ctx->hold->key : NULL;

    pd->judged = 1;

    answer->now = ngx_time();
    answer->judges = (ctx->route->flags & OLLAMA_ROUTE_JUDGES) ? 1 : 0;
    answer->has_model = ctx->want.model.len ? 1 : 0;
    answer->other_failed = pd->other_failed;

    /*
     * Several requests may meet the same refusal at once: only the first one
     * climbs the ladder.
     */

    if (key) {
        answer->level = (key->level && key->until > answer->now)
                        ? key->level - 1 : key->level;
    }

    ollama_verdict(answer, &verdict);

    ngx_log_debug5(NGX_LOG_DEBUG_HTTP, pd->request->connection->log, 0,
                   "ollama verdict: status %ud, failure %d: key %d, "
                   "request %d, %s", answer->status, answer->failure,
                   verdict.key, verdict.request, verdict.reason);

    if (key) {

        if (verdict.proves) {
            ngx_http_ollama_keys_success(ctx->conf->keys, ctx->hold);
        }

        if (verdict.key != OLLAMA_KEY_NONE) {
            ngx_log_error(NGX_LOG_WARN, pd->request->connection->log, 0,
                          "ollama: key \"%V\" (%*s) answered %ud: %s",
                          &ctx->key_name, sizeof(key->fingerprint),
                          key->fingerprint, answer->status, verdict.reason);

            ngx_http_ollama_keys_blame(ctx->conf->keys, key, &verdict,
                                       &ctx->want.model, answer->status);
        }
    }

    if (verdict.request == OLLAMA_REQUEST_RETURN
        || !ngx_http_ollama_may_retry(pd))
    {
        return;
    }

    if (verdict.request == OLLAMA_REQUEST_SAME_KEY) {
        pd->retry = 1;
        return;
    }

    if (pd->tries <= 1) {
        return;
    }

    if (verdict.request == OLLAMA_REQUEST_OTHER_KEY_ONCE) {
        pd->other_failed = 1;
    }

    if (verdict.key != OLLAMA_KEY_SLOTS && key
        && ctx->want.ntried < NGX_HTTP_OLLAMA_MAX_TRIES)
    {
        ctx->want.tried[ctx->want.ntried++] = key;
    }

    rc = ngx_http_ollama_next_key(pd, answer->failure == OLLAMA_FAIL_CONNECT);

    if (rc == NGX_OK) {
        pd->tries--;
        pd->retry = 1;
        return;
    }

    if (rc == NGX_AGAIN
        && answer->status
        && verdict.request == OLLAMA_REQUEST_NEXT_KEY
        && ngx_http_ollama_error_arrived(pd->request) == NGX_OK
        && ngx_http_ollama_keys_wait(ctx->conf->keys, &ctx->hold,
                                     ctx->conf->queue)
           == NGX_OK)
    {
        ngx_http_ollama_park(pd);
    }
}


static ngx_uint_t
ngx_http_ollama_may_retry(ngx_http_ollama_peer_data_t *pd)
{
    ngx_http_request_t   *r;
    ngx_http_upstream_t  *u;

    r = pd->request;
    u = r->upstream;

    return (u->conf->next_upstream & NGX_HTTP_OLLAMA_NEEDED)
           == NGX_HTTP_OLLAMA_NEEDED
           && !r->request_body_no_buffering
           && pd->ctx->nattempts < NGX_HTTP_OLLAMA_MAX_ATTEMPTS
           && !(u->conf->next_upstream_timeout
                && ngx_current_msec - u->peer.start_time
                   >= u->conf->next_upstream_timeout);
}


static ngx_int_t
ngx_http_ollama_next_key(ngx_http_ollama_peer_data_t *pd, ngx_uint_t network)
{
    ngx_int_t               rc;
    ngx_http_ollama_ctx_t  *ctx;

    ctx = pd->ctx;

    if (ctx->hold == NULL) {

        /* public: any key will do, also the same */

        ngx_http_ollama_set_key(ctx, ngx_http_ollama_keys_any(
                                                          ctx->conf->keys));
        return NGX_OK;
    }

    rc = ngx_http_ollama_keys_reserve(ctx->conf->keys, &ctx->want,
                                      &ctx->hold);

    if (rc == NGX_OK) {
        ngx_http_ollama_set_key(ctx, ctx->hold->key);
        return NGX_OK;
    }

    /* no connection: another server may be reached with the same key */

    if (network && ctx->hold->key) {
        return NGX_OK;
    }

    return rc;
}


void
ngx_http_ollama_set_key(ngx_http_ollama_ctx_t *ctx, ngx_http_ollama_key_t *key)
{
    ctx->key = key;
    ctx->authorized = 0;

    if (key == NULL) {
        ngx_str_null(&ctx->key_name);
        return;
    }

    if (ctx->key_name.len == key->name.len
        && ngx_memcmp(ctx->key_name.data, key->name.data, key->name.len) == 0)
    {
        return;
    }

    ctx->key_name.data = ngx_pstrdup(ctx->request->pool, &key->name);
    ctx->key_name.len = ctx->key_name.data ? key->name.len : 0;
}


static void
ngx_http_ollama_read_ratelimit(ngx_http_ollama_peer_data_t *pd,
    ollama_answer_t *answer)
{
    size_t                        len;
    int32_t                      *field;
    u_char                       *name;
    ngx_int_t                     n;
    ngx_uint_t                    i, seen;
    ngx_list_part_t              *part;
    ngx_table_elt_t              *h;
    ngx_http_ollama_ratelimit_t   rl;

    answer->retry_after = -1;
    answer->max_concurrent = -1;

    rl.seen = ngx_time();
    rl.max_concurrent = -1;
    rl.active = -1;
    rl.queue_limit = -1;
    rl.queued = -1;
    rl.retry_after = -1;

    seen = 0;

    part = &pd->request->upstream->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                break;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        name = h[i].lowcase_key;
        len = h[i].key.len;

        if (len == 11 && ngx_strncmp(name, "retry-after", 11) == 0) {
            answer->retry_after = ollama_retry_after((char *) h[i].value.data,
                                                     h[i].value.len,
                                                     ngx_time());
            rl.retry_after = (int32_t) answer->retry_after;
            seen = 1;
            continue;
        }

        if (len < 12 || ngx_strncmp(name, "x-ratelimit-", 12) != 0) {
            continue;
        }

        name += 12;
        len -= 12;

        if (len == 14 && ngx_strncmp(name, "max-concurrent", 14) == 0) {
            field = &rl.max_concurrent;

        } else if (len == 6 && ngx_strncmp(name, "active", 6) == 0) {
            field = &rl.active;

        } else if (len == 11 && ngx_strncmp(name, "queue-limit", 11) == 0) {
            field = &rl.queue_limit;

        } else if (len == 6 && ngx_strncmp(name, "queued", 6) == 0) {
            field = &rl.queued;

        } else {
            continue;
        }

        n = ngx_atoi(h[i].value.data, h[i].value.len);

        if (n >= 0 && n <= 1000000) {
            *field = (int32_t) n;
            seen = 1;
        }
    }

    answer->max_concurrent = rl.max_concurrent;

    if (seen && pd->ctx->key) {
        ngx_http_ollama_keys_ratelimit(pd->ctx->conf->keys, pd->ctx->key, &rl);
    }
}


static void
ngx_http_ollama_park(ngx_http_ollama_peer_data_t *pd)
{
    ngx_connection_t     *c;
    ngx_http_upstream_t  *u;

    u = pd->request->upstream;
    c = u->peer.connection;

    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, c->log, 0, "ollama answer is parked");

    if (c->read->timer_set) {
        ngx_del_timer(c->read);
    }

    u->buffer.last--;
    u->state->bytes_received--;

    pd->byte = *u->buffer.last;
    pd->recv = c->recv;
    c->recv = ngx_http_ollama_parked_recv;

    pd->parked = 1;
    pd->released = 0;
    pd->granted = 0;

    ngx_http_ollama_queue_add(pd->ctx, ngx_http_ollama_unpark);
}


static void
ngx_http_ollama_unpark(ngx_http_ollama_ctx_t *ctx, ngx_int_t rc)
{
    ngx_connection_t             *c;
    ngx_http_ollama_peer_data_t  *pd;

    pd = ctx->peer;
    c = ctx->request->upstream->peer.connection;

    pd->released = 1;

    if (rc == NGX_OK) {
        pd->granted = 1;
        ngx_http_ollama_set_key(ctx, ctx->hold->key);

    } else {
        ngx_http_ollama_usage_settle(ctx);
    }

    ngx_post_event(c->read, &ngx_posted_events);
}


static ssize_t
ngx_http_ollama_parked_recv(ngx_connection_t *c, u_char *buf, size_t size)
{
    ngx_http_request_t           *r;
    ngx_http_ollama_peer_data_t  *pd;

    r = c->data;
    pd = ngx_http_ollama_get_ctx(r)->peer;

    if (!pd->released) {
        return NGX_AGAIN;
    }

    c->recv = pd->recv;

    *buf = pd->byte;

    return 1;
}


static void
ngx_http_ollama_free_peer(ngx_peer_connection_t *pc, void *data,
    ngx_uint_t state)
{
    ngx_http_ollama_peer_data_t  *pd = data;

    ngx_uint_t  timedout;

    pd->attempt->time = ngx_current_msec - pd->attempt->start;

    timedout = pc->connection && (pc->connection->read->timedout
                                  || pc->connection->write->timedout);

    if (pd->parked) {

        /* the client or the cloud has gone meanwhile */

        ngx_http_ollama_queue_remove(pd->ctx);
        ngx_http_ollama_usage_settle(pd->ctx);
        pd->parked = 0;

        if (pc->connection) {
            pc->connection->recv = pd->recv;
        }
    }

    if (state == 0) {

        /*
         * The end: the key is done with.  The request itself may stay for
         * seconds, until the client has closed its connection.
         */

        ngx_http_ollama_usage_settle(pd->ctx);

    } else if (!pd->judged) {

        /* nginx goes to the next try, and there is no answer to judge */

        if (pd->answered) {
            ngx_http_ollama_judge_answer(pd);

        } else {
            ngx_http_ollama_judge_failure(pd, pc);
        }
    }

    /* a server that answers is a good one, whatever it says of the key */

    if (pd->answered) {
        state &= ~NGX_PEER_FAILED;
    }

    pd->original_free_peer(pc, pd->data, state);

    /* nginx adds one for a stale connection by itself */

    if (pd->attempt->failure == OLLAMA_FAIL_STALE && pd->retry) {
        pd->ctx->nattempts--;
        pc->tries = 0;
        return;
    }

    if (!timedout) {
        pc->cached = 0;
    }

    pc->tries = pd->retry;
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
