
#include "ngx_http_ollama_answer.h"
#include "ngx_http_ollama_first.h"
#include "ngx_http_ollama_held.h"
#include "ngx_http_ollama_interim.h"
#include "ngx_http_ollama_park.h"
#include "ngx_http_ollama_said.h"
#include "ngx_http_ollama_trace.h"
#include "ngx_http_ollama_usage.h"


#define NGX_HTTP_OLLAMA_BODY_TIME  5000

#define NGX_HTTP_OLLAMA_NEEDED     (NGX_HTTP_UPSTREAM_FT_ERROR                \
                                    |NGX_HTTP_UPSTREAM_FT_TIMEOUT             \
                                    |NGX_HTTP_UPSTREAM_FT_HTTP_403            \
                                    |NGX_HTTP_UPSTREAM_FT_NON_IDEMPOTENT)


typedef struct {
    ngx_http_ollama_srv_conf_t    *conf;

    ngx_int_t                    (*process_header)(ngx_http_request_t *r);
    ngx_int_t                    (*reinit_request)(ngx_http_request_t *r);

    ngx_http_ollama_held_t         held;

    ngx_uint_t                     tries;       /* doubtful ones, left */
    ngx_uint_t                     attempts;    /* made */
    ngx_uint_t                     peers;       /* addresses */
    ngx_uint_t                     unreached;   /* of these, in a row */
    ngx_msec_t                     start;

    unsigned                       answered:1;  /* header complete */
    unsigned                       invalid:1;   /* no header, or too big */
    unsigned                       opening:1;   /* .. the first event not */
    unsigned                       inside:1;    /* which is an error */
    unsigned                       judged:1;
    unsigned                       retry:1;
    unsigned                       reached:1;   /* since it last was over */
    unsigned                       other_failed:1;
    unsigned                       late:1;      /* an error after bytes */
} ngx_http_ollama_judge_t;


static ngx_int_t ngx_http_ollama_reinit_request(ngx_http_request_t *r);
static ngx_int_t ngx_http_ollama_process_header(ngx_http_request_t *r);

static void ngx_http_ollama_judge_answer(ngx_http_ollama_ctx_t *ctx);
static void ngx_http_ollama_judge_failure(ngx_http_ollama_ctx_t *ctx,
    ngx_peer_connection_t *pc);
static void ngx_http_ollama_judge(ngx_http_ollama_ctx_t *ctx,
    ollama_answer_t *answer);
static void ngx_http_ollama_judge_key(ngx_http_ollama_ctx_t *ctx,
    ollama_answer_t *answer, ollama_verdict_t *verdict);
static void ngx_http_ollama_blame(ngx_http_ollama_ctx_t *ctx,
    ollama_answer_t *answer, ollama_verdict_t *verdict);
static ngx_uint_t ngx_http_ollama_may_retry(ngx_http_ollama_ctx_t *ctx);
static ngx_int_t ngx_http_ollama_next_key(ngx_http_ollama_ctx_t *ctx,
    ollama_answer_t *answer);


ngx_int_t
ngx_http_ollama_answer_init(ngx_http_ollama_ctx_t *ctx,
    ngx_http_ollama_srv_conf_t *conf, ngx_uint_t peers)
{
    ngx_http_request_t       *r;
    ngx_http_upstream_t      *u;
    ngx_http_ollama_judge_t  *j;

    r = ctx->request;
    u = r->upstream;

    j = ngx_pcalloc(r->pool, sizeof(ngx_http_ollama_judge_t));
    if (j == NULL) {
        return NGX_ERROR;
    }

    ctx->judge = j;

    j->conf = conf;
    j->tries = conf->tries;
    j->peers = peers;
    j->start = ngx_current_msec - ctx->trace.waited;

    j->process_header = u->process_header;
    u->process_header = ngx_http_ollama_process_header;

    j->reinit_request = u->reinit_request;
    u->reinit_request = ngx_http_ollama_reinit_request;

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


void
ngx_http_ollama_answer_over(ngx_http_ollama_ctx_t *ctx)
{
    ngx_http_ollama_judge_t  *j;

    j = ctx->judge;

    /* one that was reached with another key may be the only one there is */

    if (j->reached) {
        j->reached = 0;
        j->unreached = 0;
    }
}


void
ngx_http_ollama_answer_begin(ngx_http_ollama_ctx_t *ctx)
{
    ngx_http_ollama_judge_t  *j;

    j = ctx->judge;

    j->attempts++;
    j->answered = 0;
    j->invalid = 0;
    j->opening = 0;
    j->inside = 0;
    j->judged = 0;
    j->retry = 0;

    ngx_http_ollama_held_begin(&j->held);

    ngx_http_ollama_trace_attempt(ctx);
}


void
ngx_http_ollama_answer_end(ngx_http_ollama_ctx_t *ctx,
    ngx_peer_connection_t *pc)
{
    ngx_http_ollama_judge_t  *j;

    j = ctx->judge;

    if (j->judged) {
        return;
    }

    if (j->answered && !j->opening) {
        ngx_http_ollama_judge_answer(ctx);

    } else {
        ngx_http_ollama_judge_failure(ctx, pc);
    }
}


/*
 * An error came when bytes had gone out already: there is no other try for the
 * request, but the key is blamed as for any other answer.
 */

void
ngx_http_ollama_answer_late(ngx_http_ollama_ctx_t *ctx)
{
    ollama_answer_t               answer;
    ollama_verdict_t              verdict;
    ngx_http_ollama_judge_t      *j;
    const ollama_usage_result_t  *usage;

    j = ctx->judge;
    usage = ngx_http_ollama_usage(ctx);

    if (usage == NULL || !j->answered || j->late) {
        return;
    }

    /* the last line may have no end */

    ngx_http_ollama_usage_settle(ctx);

    if (!usage->error) {
        return;
    }

    j->late = 1;

    ngx_memzero(&answer, sizeof(ollama_answer_t));

    answer.inside = 1;
    answer.status = usage->error_status;
    answer.body = (u_char *) usage->error_text;
    answer.body_len = usage->error_len;
    answer.retry_after = -1;
    answer.max_concurrent = -1;

    answer.status = ollama_verdict_status(&answer);

    ngx_http_ollama_judge_key(ctx, &answer, &verdict);
}


ngx_uint_t
ngx_http_ollama_answer_waits(ngx_http_ollama_ctx_t *ctx)
{
    ngx_uint_t                may;
    ngx_msec_t                start;
    ngx_http_upstream_t      *u;
    ngx_http_ollama_judge_t  *j;

    j = ctx->judge;
    u = ctx->request->upstream;

    /* there may be a header, but nothing of the body */

    if (j->judged || u->header_sent || u->peer.connection == NULL
        || (j->answered
            && (!j->opening || u->buffer.pos != u->buffer.last)))
    {
        return 0;
    }

    start = j->start;

    j->start = ngx_current_msec - ctx->trace.waited;
    may = ngx_http_ollama_may_retry(ctx);
    j->start = start;

    return may;
}


void
ngx_http_ollama_answer_leave(ngx_http_ollama_ctx_t *ctx)
{
    ngx_http_ollama_judge_t  *j;

    j = ctx->judge;

    j->judged = 1;
    j->retry = 1;
    j->start = ngx_current_msec - ctx->trace.waited;
}


ngx_uint_t
ngx_http_ollama_answer_came(ngx_http_ollama_ctx_t *ctx)
{
    return ((ngx_http_ollama_judge_t *) ctx->judge)->answered;
}


ngx_uint_t
ngx_http_ollama_answer_retry(ngx_http_ollama_ctx_t *ctx)
{
    return ((ngx_http_ollama_judge_t *) ctx->judge)->retry;
}


static ngx_int_t
ngx_http_ollama_reinit_request(ngx_http_request_t *r)
{
    ngx_int_t                 rc;
    ngx_http_upstream_t      *u;
    ngx_http_ollama_judge_t  *j;

    j = ngx_http_ollama_get_ctx(r)->judge;
    u = r->upstream;

    rc = j->reinit_request(r);

    /* a new try begins with the handler of the status line */

    if (u->process_header != ngx_http_ollama_process_header) {
        j->process_header = u->process_header;
        u->process_header = ngx_http_ollama_process_header;
    }

    return rc;
}


static ngx_int_t
ngx_http_ollama_process_header(ngx_http_request_t *r)
{
    ngx_int_t                 rc, parked;
    ngx_uint_t                status;
    ollama_held_t             held;
    ngx_http_upstream_t      *u;
    ngx_http_ollama_ctx_t    *ctx;
    ngx_http_ollama_judge_t  *j;

    ctx = ngx_http_ollama_get_ctx(r);
    j = ctx->judge;
    u = r->upstream;

#if (NGX_HTTP_CACHE)

    if (r->cached) {

        /* a stale answer in place of an error: no key has given it */

        ngx_log_debug0(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                       "ollama answer from the cache");

        return j->process_header(r);
    }

#endif

    parked = ngx_http_ollama_park_resume(ctx);

    if (parked != NGX_DECLINED) {
        j->retry = (parked == NGX_OK) && ngx_http_ollama_may_retry(ctx);
        goto done;
    }

    if (ngx_http_ollama_held_watch(&j->held, r) != NGX_OK) {
        return NGX_ERROR;
    }

    while (!j->answered) {
        rc = j->process_header(r);

        ngx_http_ollama_held_called(&j->held, r);

        if (u->process_header != ngx_http_ollama_process_header) {
            j->process_header = u->process_header;
            u->process_header = ngx_http_ollama_process_header;
        }

        if (rc != NGX_OK) {

            /* what nginx may decline to try again, takes no other key */

            j->invalid = (rc == NGX_HTTP_UPSTREAM_INVALID_HEADER
                          || (rc == NGX_AGAIN
                              && u->buffer.last == u->buffer.end));
            return rc;
        }

        rc = ngx_http_ollama_interim(r, j->reinit_request);

        if (rc == NGX_OK) {
            j->process_header = u->process_header;
            u->process_header = ngx_http_ollama_process_header;
            continue;
        }

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        j->answered = 1;
        j->reached = 1;
        j->opening = ngx_http_ollama_first_wanted(ctx);
    }

    if (j->opening) {
        rc = ngx_http_ollama_first(ctx, &j->held);

        if (rc == NGX_AGAIN) {
            return NGX_AGAIN;
        }

        j->opening = 0;
        j->inside = (rc == NGX_DECLINED);
    }

    status = u->headers_in.status_n;

    ngx_http_ollama_trace_status(ctx, status);

    held.exact = 0;

    if (status >= NGX_HTTP_BAD_REQUEST && r->method != NGX_HTTP_HEAD) {

        (void) ngx_http_ollama_held_body(&j->held, r, NULL, &held);

        if (!held.complete && u->buffer.last + 1 < u->buffer.end) {
            ngx_add_timer(u->peer.connection->read,
                          ngx_min(u->conf->read_timeout,
                                  NGX_HTTP_OLLAMA_BODY_TIME));
            return NGX_AGAIN;
        }
    }

    ngx_http_ollama_judge_answer(ctx);

    if (ctx->wake) {
        return NGX_AGAIN;
    }

done:

    if (j->retry) {
        u->headers_in.status_n = NGX_HTTP_FORBIDDEN;
        u->peer.tries = 2;

        /* of HTTP/2 its own module knows whether it may be kept */

        if (parked == NGX_DECLINED && j->held.h2 == NULL && held.exact) {
            u->keepalive = !u->headers_in.connection_close;
        }

    } else {
        u->peer.tries = 1;

        if (j->inside) {
            return ngx_http_ollama_first_rewrite(ctx, &j->held);
        }
    }

    return NGX_OK;
}


static void
ngx_http_ollama_judge_answer(ngx_http_ollama_ctx_t *ctx)
{
    u_char                    text[OLLAMA_HELD_TEXT];
    ollama_held_t             held;
    ollama_first_t            room, *first;
    ollama_answer_t           answer;
    ngx_http_ollama_judge_t  *j;

    j = ctx->judge;

    ngx_memzero(&answer, sizeof(ollama_answer_t));

    answer.failure = OLLAMA_FAIL_NONE;
    answer.status = ngx_http_ollama_trace_last(ctx)->status;

    if (j->inside) {
        first = ngx_http_ollama_held_first(&j->held, ctx->request, &room,
                                           &held);
        (void) ollama_first_finish(first);

        answer.inside = 1;
        answer.status = first->status;
        answer.body = (u_char *) first->text;
        answer.body_len = first->len;

        answer.status = ollama_verdict_status(&answer);

        ngx_http_ollama_trace_status(ctx, answer.status);

    } else if (answer.status >= NGX_HTTP_BAD_REQUEST) {
        answer.body = ngx_http_ollama_held_body(&j->held, ctx->request, text,
                                                &held);
        answer.body_len = held.len;
    }

    answer.is_html = ngx_http_ollama_said_html(ctx);

    ngx_http_ollama_said_ratelimit(ctx, &answer);
    ngx_http_ollama_said_error(ctx, &answer);

    ngx_http_ollama_judge(ctx, &answer);
}


static void
ngx_http_ollama_judge_failure(ngx_http_ollama_ctx_t *ctx,
    ngx_peer_connection_t *pc)
{
    ngx_connection_t         *c;
    ollama_answer_t           answer;
    ngx_http_upstream_t      *u;
    ngx_http_ollama_judge_t  *j;

    j = ctx->judge;
    u = ctx->request->upstream;
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

    ngx_http_ollama_trace_failure(ctx, answer.failure);

    if (answer.failure == OLLAMA_FAIL_CONNECT && j->peers > 1) {

        if (++j->unreached < j->peers && ngx_http_ollama_may_retry(ctx)) {
            j->judged = 1;
            j->retry = 1;
            ngx_http_ollama_trace_keep(ctx);
            return;
        }

        /* nor would another key reach them */

        j->other_failed = 1;
    }

    ngx_http_ollama_judge(ctx, &answer);
}


static void
ngx_http_ollama_judge(ngx_http_ollama_ctx_t *ctx, ollama_answer_t *answer)
{
    ngx_int_t                 rc;
    ollama_held_t             held;
    ollama_verdict_t          verdict;
    ngx_http_ollama_judge_t  *j;

    j = ctx->judge;
    j->judged = 1;

    ngx_http_ollama_judge_key(ctx, answer, &verdict);

    if (verdict.request == OLLAMA_REQUEST_RETURN
        || !ngx_http_ollama_may_retry(ctx))
    {
        return;
    }

    if (verdict.request == OLLAMA_REQUEST_SAME_KEY) {
        j->retry = 1;
        return;
    }

    if (!verdict.certain || (ctx->route->flags & OLLAMA_ROUTE_PUBLIC)) {

        /* what is certain is held against the key: it is not chosen again */

        if (j->tries <= 1) {
            return;
        }

        j->tries--;

        ngx_http_ollama_lease_skip(&ctx->lease);
    }

    if (verdict.request == OLLAMA_REQUEST_OTHER_KEY_ONCE) {
        j->other_failed = 1;
    }

    ngx_http_ollama_trace_keep(ctx);

    rc = ngx_http_ollama_next_key(ctx, answer);

    if ((rc == NGX_AGAIN || (rc == NGX_DECLINED && ctx->lease.hold))
        && answer->status
        && verdict.request == OLLAMA_REQUEST_NEXT_KEY
        && !j->conf->dry_run)
    {
        (void) ngx_http_ollama_held_body(&j->held, ctx->request, NULL, &held);

        if (held.complete && !held.broken) {
            rc = ngx_http_ollama_park(ctx, j->conf);
        }
    }

    j->retry = (rc == NGX_OK);
}


static void
ngx_http_ollama_judge_key(ngx_http_ollama_ctx_t *ctx, ollama_answer_t *answer,
    ollama_verdict_t *verdict)
{
    ngx_http_ollama_judge_t  *j;

    j = ctx->judge;

    answer->now = ngx_time();
    answer->judges = (ctx->route->flags & OLLAMA_ROUTE_JUDGES) ? 1 : 0;
    answer->has_model = ctx->body.model.len ? 1 : 0;
    answer->other_failed = j->other_failed;

    ngx_http_ollama_lease_judge(ctx->conf->pool, &ctx->lease, answer, verdict);

    ngx_http_ollama_blame(ctx, answer, verdict);
}


static void
ngx_http_ollama_blame(ngx_http_ollama_ctx_t *ctx, ollama_answer_t *answer,
    ollama_verdict_t *verdict)
{
    ngx_log_t                   *log;
    ngx_http_ollama_loc_conf_t  *olcf;

    log = ctx->request->connection->log;

    ngx_log_debug5(NGX_LOG_DEBUG_HTTP, log, 0,
                   "ollama verdict: status %ud, failure %d: key %d, "
                   "request %d, %s", answer->status, answer->failure,
                   verdict->key, verdict->request, verdict->reason);

    if (verdict->key == OLLAMA_KEY_NONE || ctx->lease.key == 0) {
        return;
    }

    olcf = ngx_http_get_module_loc_conf(ctx->request, ngx_http_ollama_module);

    if (answer->status) {
        ngx_log_error(olcf->log_level, log, 0,
                      "ollama: key \"%V\" (%08xD) answered %ud: %s",
                      &ctx->lease.name, ctx->lease.key, answer->status,
                      verdict->reason);

    } else {
        ngx_log_error(olcf->log_level, log, 0,
                      "ollama: key \"%V\" (%08xD): %s",
                      &ctx->lease.name, ctx->lease.key, verdict->reason);
    }
}


static ngx_uint_t
ngx_http_ollama_may_retry(ngx_http_ollama_ctx_t *ctx)
{
    ngx_msec_t                   elapsed;
    ngx_http_request_t          *r;
    ngx_http_upstream_t         *u;
    ngx_http_ollama_judge_t     *j;
    ngx_http_upstream_conf_t    *conf;

    j = ctx->judge;
    r = ctx->request;
    u = r->upstream;
    conf = u->conf;

    /* the queue has a time of its own */

    elapsed = ngx_current_msec - j->start - ctx->trace.waited;

    return (conf->next_upstream & NGX_HTTP_OLLAMA_NEEDED)
           == NGX_HTTP_OLLAMA_NEEDED
           && (!j->invalid
               || (conf->next_upstream & NGX_HTTP_UPSTREAM_FT_INVALID_HEADER))
           && !r->request_body_no_buffering
           && elapsed < j->conf->tries_time
           && (conf->next_upstream_tries == 0
               || j->attempts < conf->next_upstream_tries)
           && (conf->next_upstream_timeout == 0
               || ngx_current_msec - u->peer.start_time
                  < conf->next_upstream_timeout);
}


static ngx_int_t
ngx_http_ollama_next_key(ngx_http_ollama_ctx_t *ctx, ollama_answer_t *answer)
{
    ngx_int_t  rc;

    if (ctx->route->flags & OLLAMA_ROUTE_PUBLIC) {

        /* any key will do, also the same */

        ngx_http_ollama_lease_any(ctx->conf->pool, &ctx->lease);
        return NGX_OK;
    }

    ctx->lease.dry = 0;

    rc = ngx_http_ollama_lease_take(ctx->conf->pool, &ctx->lease);

    /* no connection: another server may be reached with the same key */

    if (rc != NGX_OK && ctx->lease.key
        && answer->failure == OLLAMA_FAIL_CONNECT)
    {
        return NGX_OK;
    }

    return rc;
}
