
#include "ngx_http_ollama_late.h"
#include "ngx_http_ollama_answer.h"
#include "ngx_http_ollama_trace.h"


#define NGX_HTTP_OLLAMA_LATE_AGAIN  1000            /* ms */


typedef struct {
    ngx_event_t        event;
    ngx_connection_t   dummy;       /* for the event's debug lines */
    ngx_msec_t         time;
} ngx_http_ollama_late_t;


static ngx_msec_t ngx_http_ollama_late_time(ngx_http_ollama_ctx_t *ctx);
static ngx_http_ollama_late_t *ngx_http_ollama_late_create(
    ngx_http_ollama_ctx_t *ctx);
static void ngx_http_ollama_late_handler(ngx_event_t *ev);
static ngx_int_t ngx_http_ollama_late_other_key(ngx_http_ollama_ctx_t *ctx);
static void ngx_http_ollama_late_cleanup(void *data);


void
ngx_http_ollama_late_begin(ngx_http_ollama_ctx_t *ctx)
{
    ngx_msec_t               time;
    ngx_http_ollama_late_t  *late;

    late = ctx->late;

    if (late == NULL) {
        time = ngx_http_ollama_late_time(ctx);

        if (time == 0) {
            return;
        }

        late = ngx_http_ollama_late_create(ctx);

        if (late == NULL) {

            /* it is served all the same */

            return;
        }

        late->time = time;
    }

    if (late->time) {
        ngx_add_timer(&late->event, late->time);
    }
}


void
ngx_http_ollama_late_end(ngx_http_ollama_ctx_t *ctx)
{
    if (ctx->late) {
        ngx_http_ollama_late_cleanup(ctx->late);
    }
}


static ngx_msec_t
ngx_http_ollama_late_time(ngx_http_ollama_ctx_t *ctx)
{
    ngx_str_t                     *model;
    ngx_http_ollama_loc_conf_t    *olcf;
    const ollama_config_model_t   *m;

    olcf = ngx_http_get_module_loc_conf(ctx->request, ngx_http_ollama_module);

    if (olcf->first_token == 0 && ctx->conf->models->nfirst_tokens == 0) {
        return 0;
    }

    if (ctx->route->kind != OLLAMA_ROUTE_INFERENCE || ctx->lease.key == 0) {
        return 0;
    }

    model = &ctx->body.model;

    if (model->len) {
        m = ollama_config_model(ctx->conf->models->first_tokens,
                                ctx->conf->models->nfirst_tokens,
                                (char *) model->data, model->len);
        if (m) {
            return m->ms;
        }
    }

    return olcf->first_token;
}


static ngx_http_ollama_late_t *
ngx_http_ollama_late_create(ngx_http_ollama_ctx_t *ctx)
{
    ngx_pool_cleanup_t      *cln;
    ngx_http_ollama_late_t  *late;

    cln = ngx_pool_cleanup_add(ctx->request->pool,
                               sizeof(ngx_http_ollama_late_t));
    if (cln == NULL) {
        return NULL;
    }

    late = cln->data;
    ngx_memzero(late, sizeof(ngx_http_ollama_late_t));

    cln->handler = ngx_http_ollama_late_cleanup;

    late->dummy.fd = (ngx_socket_t) -1;
    late->dummy.data = ctx;

    late->event.handler = ngx_http_ollama_late_handler;
    late->event.data = &late->dummy;
    late->event.log = ctx->request->connection->log;

    ctx->late = late;

    return late;
}


static void
ngx_http_ollama_late_handler(ngx_event_t *ev)
{
    ngx_int_t                    rc;
    ngx_event_t                 *rev;
    ngx_connection_t            *c;
    ngx_http_ollama_ctx_t       *ctx;
    ngx_http_ollama_late_t      *late;
    ngx_http_ollama_attempt_t   *attempt;

    c = ev->data;
    ctx = c->data;
    late = ctx->late;
    c = ctx->request->connection;

    ngx_http_set_log_request(c->log, ctx->request);

    rc = ngx_http_ollama_answer_waits(ctx)
         ? ngx_http_ollama_late_other_key(ctx) : NGX_ABORT;

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, c->log, 0,
                   "ollama first token is late: %i", rc);

    if (rc == NGX_DECLINED) {
        ngx_add_timer(ev, ngx_min(late->time, NGX_HTTP_OLLAMA_LATE_AGAIN));
        return;
    }

    if (rc != NGX_OK) {
        return;
    }

    attempt = ngx_http_ollama_trace_last(ctx);

    attempt->abandoned = 1;
    attempt->status = 0;

    ngx_log_error(NGX_LOG_NOTICE, c->log, 0,
                  "ollama: nothing came with key \"%V\" for %M ms, "
                  "key \"%V\" is asked instead", &attempt->name,
                  ngx_current_msec - attempt->start, &ctx->lease.name);

    late->time = 0;

    ngx_http_ollama_answer_leave(ctx);

    rev = ctx->request->upstream->peer.connection->read;

    rev->timedout = 1;
    rev->handler(rev);
}


/* it is taken before the one it has is given up */

static ngx_int_t
ngx_http_ollama_late_other_key(ngx_http_ollama_ctx_t *ctx)
{
    uint32_t                  key;
    ngx_uint_t                ntried;
    ngx_http_ollama_lease_t  *lease;

    lease = &ctx->lease;

    ntried = lease->ntried;
    ngx_http_ollama_lease_skip(lease);

    if (lease->ntried == ntried) {

        /* no more keys can be told from those that were tried */

        return NGX_ABORT;
    }

    ngx_http_ollama_trace_keep(ctx);

    key = lease->key;
    lease->dry = 0;

    if (ngx_http_ollama_lease_take(ctx->conf->pool, lease) == NGX_OK
        && lease->key != key)
    {
        return NGX_OK;
    }

    lease->ntried = ntried;

    return NGX_DECLINED;
}


static void
ngx_http_ollama_late_cleanup(void *data)
{
    ngx_http_ollama_late_t  *late = data;

    if (late->event.timer_set) {
        ngx_del_timer(&late->event);
    }
}
