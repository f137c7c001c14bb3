
#include "ngx_http_ollama_request.h"
#include "ngx_http_ollama_access.h"
#include "ngx_http_ollama_body.h"
#include "ngx_http_ollama_cost.h"
#include "ngx_http_ollama_hold.h"
#include "ngx_http_ollama_cut.h"
#include "ngx_http_ollama_keepalive.h"
#include "ngx_http_ollama_local.h"
#include "ngx_http_ollama_pass.h"
#include "ngx_http_ollama_private.h"
#include "ngx_http_ollama_record.h"
#include "ngx_http_ollama_respond.h"
#include "ngx_http_ollama_running.h"
#include "ngx_http_ollama_session.h"
#include "ngx_http_ollama_shed.h"
#include "ngx_http_ollama_trace.h"
#include "ngx_http_ollama_uri.h"
#include "ngx_http_ollama_usage.h"
#include "ngx_http_ollama_wait.h"


#define NGX_HTTP_OLLAMA_UPGRADE_REQUIRED  426


static ngx_int_t ngx_http_ollama_begin(ngx_http_request_t *r,
    ngx_http_ollama_ctx_t *ctx);
static ngx_int_t ngx_http_ollama_begin_read(ngx_http_request_t *r,
    ngx_http_ollama_ctx_t *ctx);
static ngx_uint_t ngx_http_ollama_wants_websocket(ngx_http_request_t *r);
static void ngx_http_ollama_body_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_ollama_read(ngx_http_request_t *r,
    ngx_http_ollama_ctx_t *ctx);
static ngx_int_t ngx_http_ollama_choose(ngx_http_request_t *r,
    ngx_http_ollama_ctx_t *ctx);
static ngx_int_t ngx_http_ollama_take(ngx_http_ollama_ctx_t *ctx,
    ngx_http_ollama_srv_conf_t *conf);
static ngx_int_t ngx_http_ollama_stay(ngx_http_request_t *r,
    ngx_http_ollama_ctx_t *ctx);
static void ngx_http_ollama_wake(ngx_http_ollama_ctx_t *ctx, ngx_int_t rc);
static void ngx_http_ollama_settle(void *data);
static void ngx_http_ollama_finish(void *data);


/*
 * An error's page would be asked for in the cloud; the filter makes one, and
 * the phases do not go on.
 */

#define ngx_http_ollama_is_page(r, olcf)                                      \
    ((olcf)->enable && (r)->err_status >= NGX_HTTP_BAD_REQUEST)


ngx_int_t
ngx_http_ollama_rewrite_handler(ngx_http_request_t *r)
{
    ngx_http_ollama_ctx_t       *ctx;
    ngx_http_ollama_loc_conf_t  *olcf;

    ctx = r->internal ? ngx_http_ollama_get_ctx(r) : NULL;

    if (ctx == NULL || ctx->refusal.status == 0) {
        return NGX_DECLINED;
    }

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_ollama_module);

    if (!ngx_http_ollama_is_page(r, olcf)) {
        ngx_http_ollama_forget(ctx);
    }

    return NGX_DECLINED;
}


ngx_int_t
ngx_http_ollama_request_handler(ngx_http_request_t *r)
{
    ngx_http_ollama_ctx_t       *ctx;
    ngx_http_ollama_loc_conf_t  *olcf;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_ollama_module);
    ctx = ngx_http_ollama_get_ctx(r);

    if (ngx_http_ollama_is_page(r, olcf)) {
        return r->err_status;
    }

    if (ctx) {

        /* whatever has been refused, somebody else has let it in */

        ngx_http_ollama_forget(ctx);
    }

    if (olcf->private) {
        return ngx_http_ollama_private_handler(r);
    }

    if (!olcf->enable) {
        return NGX_DECLINED;
    }

    if (r != r->main) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "a subrequest to \"%V\", where \"ollama\" is on, "
                      "was refused: it would need a key of its own", &r->uri);
        return NGX_HTTP_NOT_IMPLEMENTED;
    }

    ctx = ngx_http_ollama_create_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "ollama request, state: %d", ctx->state);

    switch (ctx->state) {

    case NGX_HTTP_OLLAMA_INIT:
        return ngx_http_ollama_begin(r, ctx);

    case NGX_HTTP_OLLAMA_READ:
        return ngx_http_ollama_read(r, ctx);

    case NGX_HTTP_OLLAMA_GRANTED:

        if (ctx->keyless == (olcf->target->keys == NULL)) {
            return ngx_http_ollama_pass(ctx);
        }

        /* try_files has led from one upstream to another */

        ngx_http_ollama_request_settle(ctx);

        return ngx_http_ollama_read(r, ctx);

    case NGX_HTTP_OLLAMA_REFUSED:
        ctx->state = NGX_HTTP_OLLAMA_READ;
        return ngx_http_ollama_refuse(ctx);

    case NGX_HTTP_OLLAMA_READING:

        /* an error_page has led here: the body never came, nor will it */

        return ngx_http_ollama_error(r, NGX_HTTP_BAD_REQUEST, 0,
                                     "the body of the request is not here");

    default: /* NGX_HTTP_OLLAMA_WAITING */
        return NGX_AGAIN;
    }
}


static ngx_int_t
ngx_http_ollama_begin(ngx_http_request_t *r, ngx_http_ollama_ctx_t *ctx)
{
    if (ngx_http_ollama_route(ctx) == NULL) {
        return ngx_http_ollama_error(r, NGX_HTTP_NOT_FOUND, 0,
                                     "path \"%V\" not found",
                                     &r->unparsed_uri);
    }

    if (ctx->route->local == OLLAMA_LOCAL_COUNT_TOKENS) {
        return ngx_http_ollama_begin_read(r, ctx);
    }

    if (ctx->route->kind == OLLAMA_ROUTE_LOCAL) {
        return ngx_http_ollama_local(ctx);
    }

    if (ngx_http_ollama_wants_websocket(r)) {
        return ngx_http_ollama_error(r, NGX_HTTP_OLLAMA_UPGRADE_REQUIRED,
                                     0, "no WebSocket here: the answer is a "
                                     "stream of events over HTTP");
    }

    if (ngx_http_ollama_uri_model(ctx) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->endpoint = r->uri;

    (void) ngx_http_ollama_client(ctx);

    ngx_http_ollama_running_add(ctx);

    return ngx_http_ollama_begin_read(r, ctx);
}


static ngx_int_t
ngx_http_ollama_begin_read(ngx_http_request_t *r, ngx_http_ollama_ctx_t *ctx)
{
    ngx_int_t  rc;

    ctx->state = NGX_HTTP_OLLAMA_READING;

    rc = ngx_http_ollama_body_read(ctx, ngx_http_ollama_body_handler);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    ngx_http_finalize_request(r, NGX_DONE);
    return NGX_DONE;
}


/* clients that hear 426 go on over HTTP; any other answer is tried again */

static ngx_uint_t
ngx_http_ollama_wants_websocket(ngx_http_request_t *r)
{
    ngx_table_elt_t  *h;

    h = r->headers_in.upgrade;

    return h
           && r->method == NGX_HTTP_GET
           && h->value.len == 9
           && ngx_strncasecmp(h->value.data, (u_char *) "websocket", 9) == 0;
}


static void
ngx_http_ollama_body_handler(ngx_http_request_t *r)
{
    ngx_http_ollama_ctx_t  *ctx;

    ctx = ngx_http_ollama_get_ctx(r);

    ctx->state = NGX_HTTP_OLLAMA_READ;

    r->write_event_handler = ngx_http_core_run_phases;
    ngx_http_core_run_phases(r);
}


static ngx_int_t
ngx_http_ollama_read(ngx_http_request_t *r, ngx_http_ollama_ctx_t *ctx)
{
    ngx_int_t             rc;
    ngx_pool_cleanup_t   *cln;
    ngx_http_cleanup_t   *hcln;

    if (ctx->route->kind == OLLAMA_ROUTE_LOCAL) {

        ctx->state = NGX_HTTP_OLLAMA_INIT;

        if (ngx_http_ollama_body_done(ctx) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return ngx_http_ollama_count_tokens(ctx);
    }

    if (ctx->have_body) {
        return ngx_http_ollama_choose(r, ctx);
    }

    ctx->have_body = 1;

    /*
     * Once more: cleanups run in reverse order, and in this one the body's
     * temporary file is still open.
     */

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_http_ollama_finish;
    cln->data = ctx;

    /* and before the log phase, which is to see all numbers */

    hcln = ngx_http_cleanup_add(r, 0);
    if (hcln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    hcln->handler = ngx_http_ollama_settle;
    hcln->data = ctx;

    if (ngx_http_ollama_body_done(ctx) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ctx->route->kind == OLLAMA_ROUTE_INFERENCE
        && !ollama_config_served(ctx->conf->models,
                                 (char *) ctx->body.model.data,
                                 ctx->body.model.len))
    {
        return ngx_http_ollama_error(r, NGX_HTTP_FORBIDDEN, 0,
                                     "model \"%V\" is not served here",
                                     &ctx->body.model);
    }

    if (ctx->who && ctx->route->kind == OLLAMA_ROUTE_INFERENCE
        && !ollama_config_client_may(ctx->who, (char *) ctx->body.model.data,
                                     ctx->body.model.len))
    {
        return ngx_http_ollama_error(r, NGX_HTTP_FORBIDDEN, 0,
                   "model \"%V\" is not among those that client \"%s\" may "
                   "use", &ctx->body.model, ctx->who->name);
    }

    ngx_http_ollama_cost_begin(ctx);

    rc = ngx_http_ollama_preload(ctx);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    return ngx_http_ollama_choose(r, ctx);
}


static ngx_int_t
ngx_http_ollama_choose(ngx_http_request_t *r, ngx_http_ollama_ctx_t *ctx)
{
    ngx_int_t                    rc;
    ngx_http_ollama_loc_conf_t  *olcf;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_ollama_module);

    ngx_http_ollama_trace_begin(ctx);
    ngx_http_ollama_running_add(ctx);

    if (ngx_http_ollama_keepalive_start(ctx) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->keyless = (olcf->target->keys == NULL);

    rc = ctx->keyless ? NGX_OK
                      : ngx_http_ollama_take(ctx, olcf->target->keys);

    switch (rc) {

    case NGX_OK:
        ctx->state = NGX_HTTP_OLLAMA_GRANTED;
        return ngx_http_ollama_pass(ctx);

    case NGX_AGAIN:
        return ngx_http_ollama_stay(r, ctx);

    default: /* NGX_DECLINED, NGX_BUSY */
        ngx_http_ollama_request_settle(ctx);
        return ngx_http_ollama_refuse(ctx);
    }
}


static ngx_int_t
ngx_http_ollama_take(ngx_http_ollama_ctx_t *ctx,
    ngx_http_ollama_srv_conf_t *conf)
{
    ngx_int_t                 rc;
    ngx_http_ollama_pool_t   *pool;
    ngx_http_ollama_lease_t  *lease;

    pool = ctx->conf->pool;
    lease = &ctx->lease;

    ngx_http_ollama_lease_want(lease, &ctx->body.model);

    if (ctx->route->flags & OLLAMA_ROUTE_PUBLIC) {

        /* costs no slot, and is served without a key if need be */

        ngx_http_ollama_lease_any(pool, lease);
        return NGX_OK;
    }

    if (ctx->route->kind == OLLAMA_ROUTE_INFERENCE) {
        ngx_http_ollama_charge(ctx, ctx->body.tokens, 0,
                               ngx_http_ollama_pool_usual(pool, lease),
                               &lease->charge);
    }

    ngx_http_ollama_session_want(ctx, conf);

    lease->dry = conf->dry_run;

    ngx_http_ollama_hold(ctx, conf);

    rc = ngx_http_ollama_lease_take(pool, lease);

    if (rc == NGX_AGAIN || (rc == NGX_DECLINED && lease->hold)) {
        rc = ngx_http_ollama_wait(ctx, conf, ngx_http_ollama_wake);
    }

    if (rc == NGX_OK && lease->would_refuse) {
        ngx_log_error(NGX_LOG_WARN, ctx->request->connection->log, 0,
                      "ollama: dry run: would have been refused or kept "
                      "waiting: %s", lease->reason);
    }

    return rc;
}


static ngx_int_t
ngx_http_ollama_stay(ngx_http_request_t *r, ngx_http_ollama_ctx_t *ctx)
{
    if (r->connection->read->ready) {
        ngx_post_event(r->connection->read, &ngx_posted_events);

    } else if (ngx_handle_read_event(r->connection->read, 0) != NGX_OK) {
        ngx_http_ollama_request_settle(ctx);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    ctx->state = NGX_HTTP_OLLAMA_WAITING;

    return NGX_AGAIN;
}


/* called by the queue; goes on with the phases in an event of its own */

static void
ngx_http_ollama_wake(ngx_http_ollama_ctx_t *ctx, ngx_int_t rc)
{
    ngx_http_request_t  *r;

    r = ctx->request;

    if (rc == NGX_OK) {
        ctx->state = NGX_HTTP_OLLAMA_GRANTED;

    } else {

        /* out of the queue now: those behind shall not wait for us */

        ngx_http_ollama_request_settle(ctx);

        ctx->state = NGX_HTTP_OLLAMA_REFUSED;
    }

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_core_run_phases;

    ngx_post_event(r->connection->write, &ngx_posted_events);
}


void
ngx_http_ollama_request_settle(ngx_http_ollama_ctx_t *ctx)
{
    uint64_t                      answered;
    ngx_http_ollama_charge_t      charge;
    const ollama_usage_result_t  *usage;

    ngx_http_ollama_wait_end(ctx);
    ngx_http_ollama_running_answered(ctx);
    ngx_http_ollama_trace_end(ctx);
    ngx_http_ollama_usage_settle(ctx);

    usage = ngx_http_ollama_usage(ctx);

    answered = (usage
                && usage->completion_certainty == OLLAMA_CERTAINTY_EXACT)
               ? ctx->answer.completion : 0;

    ngx_http_ollama_charge(ctx, ctx->answer.prompt, usage ? usage->cached : 0,
                           ctx->answer.completion, &charge);

    ngx_http_ollama_lease_settle(ctx->conf->pool, &ctx->lease, &charge,
                                 answered);

    if (ctx->state == NGX_HTTP_OLLAMA_GRANTED
        || ctx->state == NGX_HTTP_OLLAMA_WAITING)
    {
        ctx->state = NGX_HTTP_OLLAMA_READ;
    }

    ngx_http_ollama_wait_kick();
}


void
ngx_http_ollama_request_answered(ngx_http_ollama_ctx_t *ctx)
{
    ngx_http_ollama_running_answered(ctx);
}


void
ngx_http_ollama_request_end(ngx_http_ollama_ctx_t *ctx)
{
    ngx_http_ollama_finish(ctx);

    ngx_http_ollama_body_free(ctx);
    ngx_http_ollama_cut_free(ctx);
    ngx_http_ollama_usage_free(ctx);
}


void
ngx_http_ollama_request_stop(ngx_http_ollama_ctx_t *ctx)
{
    ctx->stopped = 1;

    ngx_http_ollama_finish(ctx);
}


static void
ngx_http_ollama_settle(void *data)
{
    ngx_http_ollama_request_settle(data);
}


static void
ngx_http_ollama_finish(void *data)
{
    ngx_http_ollama_ctx_t  *ctx = data;

    if (ctx->finished) {
        return;
    }

    ctx->finished = 1;

    ngx_http_ollama_shed_end(ctx);
    ngx_http_ollama_request_settle(ctx);
    ngx_http_ollama_record(ctx, ngx_http_ollama_running_mark(ctx));
    ngx_http_ollama_running_remove(ctx);
}
