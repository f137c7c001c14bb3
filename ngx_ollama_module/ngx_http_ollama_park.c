
#include "ngx_http_ollama_park.h"
#include "ngx_http_ollama_request.h"
#include "ngx_http_ollama_wait.h"


typedef struct {
    ngx_recv_pt                 recv;
    u_char                      byte;       /* that was taken back */

    unsigned                    parked:1;
    unsigned                    released:1; /* it may come again */
    unsigned                    granted:1;  /* and there is a key */
} ngx_http_ollama_park_t;


static void ngx_http_ollama_unpark(ngx_http_ollama_ctx_t *ctx, ngx_int_t rc);
static ssize_t ngx_http_ollama_parked_recv(ngx_connection_t *c, u_char *buf,
    size_t size);


ngx_int_t
ngx_http_ollama_park(ngx_http_ollama_ctx_t *ctx,
    ngx_http_ollama_srv_conf_t *conf)
{
    ngx_int_t                rc;
    ngx_connection_t        *c;
    ngx_http_upstream_t     *u;
    ngx_http_ollama_park_t  *park;

    park = ctx->park;

    if (park == NULL) {
        park = ngx_palloc(ctx->request->pool, sizeof(ngx_http_ollama_park_t));
        if (park == NULL) {
            return NGX_ERROR;
        }

        ctx->park = park;
    }

    park->parked = 0;

    rc = ngx_http_ollama_wait(ctx, conf, ngx_http_ollama_unpark);

    if (rc != NGX_AGAIN) {
        return rc;
    }

    u = ctx->request->upstream;
    c = u->peer.connection;

    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, c->log, 0, "ollama answer is parked");

    if (c->read->timer_set) {
        ngx_del_timer(c->read);
    }

    u->buffer.last--;
    u->state->bytes_received--;

    park->byte = *u->buffer.last;
    park->recv = c->recv;
    c->recv = ngx_http_ollama_parked_recv;

    park->parked = 1;
    park->released = 0;
    park->granted = 0;

    return NGX_AGAIN;
}


ngx_int_t
ngx_http_ollama_park_resume(ngx_http_ollama_ctx_t *ctx)
{
    ngx_http_ollama_park_t  *park;

    park = ctx->park;

    if (park == NULL || !park->parked) {
        return NGX_DECLINED;
    }

    park->parked = 0;

    return park->granted ? NGX_OK : NGX_ABORT;
}


ngx_uint_t
ngx_http_ollama_park_abandon(ngx_http_ollama_ctx_t *ctx, ngx_connection_t *c)
{
    ngx_http_ollama_park_t  *park;

    park = ctx->park;

    if (park == NULL || !park->parked) {
        return 0;
    }

    park->parked = 0;

    if (c) {
        c->recv = park->recv;
    }

    return 1;
}


static void
ngx_http_ollama_unpark(ngx_http_ollama_ctx_t *ctx, ngx_int_t rc)
{
    ngx_connection_t        *c;
    ngx_http_ollama_park_t  *park;

    park = ctx->park;
    c = ctx->request->upstream->peer.connection;

    park->released = 1;

    if (rc == NGX_OK) {
        park->granted = 1;

    } else {
        ngx_http_ollama_request_settle(ctx);
    }

    ngx_post_event(c->read, &ngx_posted_events);
}


static ssize_t
ngx_http_ollama_parked_recv(ngx_connection_t *c, u_char *buf, size_t size)
{
    ngx_http_request_t      *r;
    ngx_http_ollama_park_t  *park;

    r = c->data;
    park = ngx_http_ollama_get_ctx(r)->park;

    if (!park->released) {
        return NGX_AGAIN;
    }

    c->recv = park->recv;

    *buf = park->byte;

    return 1;
}
