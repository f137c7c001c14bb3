
#include "ngx_http_ollama_interim.h"


ngx_int_t
ngx_http_ollama_interim(ngx_http_request_t *r,
    ngx_int_t (*reinit)(ngx_http_request_t *r))
{
    ngx_http_upstream_t             *u;
    ngx_http_upstream_headers_in_t  *headers;

    u = r->upstream;
    headers = &u->headers_in;

    if (headers->status_n == 0
        || headers->status_n >= NGX_HTTP_OK
        || headers->status_n == NGX_HTTP_SWITCHING_PROTOCOLS)
    {
        return NGX_DECLINED;
    }

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "ollama interim answer %ui is skipped", headers->status_n);

    if (reinit(r) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(headers, sizeof(ngx_http_upstream_headers_in_t));

    headers->content_length_n = -1;
    headers->last_modified_time = -1;

    u->keepalive = 0;
    u->upgrade = 0;

    if (u->state) {
        u->state->status = 0;
    }

    if (ngx_list_init(&headers->headers, r->pool, 8, sizeof(ngx_table_elt_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_list_init(&headers->trailers, r->pool, 2,
                         sizeof(ngx_table_elt_t));
}
