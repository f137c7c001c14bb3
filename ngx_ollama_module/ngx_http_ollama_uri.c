
#include "ngx_http_ollama_uri.h"
#include "ngx_http_ollama_respond.h"
#include "core/path.h"


/*
 * Works on the path as the client has sent it, so that its escaping reaches
 * the cloud unchanged: proxy_pass without a URI part sends r->unparsed_uri.
 */

ngx_int_t
ngx_http_ollama_uri_handler(ngx_http_request_t *r)
{
    u_char                      *p, *last, *path;
    size_t                       len, args;
    ngx_http_ollama_ctx_t       *ctx;
    ngx_http_ollama_srv_conf_t  *oscf;

    oscf = ngx_http_get_module_srv_conf(r, ngx_http_ollama_module);

    if (!oscf->normalize_uri || r != r->main || r->internal
        || r->unparsed_uri.len == 0)
    {
        return NGX_DECLINED;
    }

    last = r->unparsed_uri.data + r->unparsed_uri.len;

    p = ngx_strlchr(r->unparsed_uri.data, last, '?');
    if (p == NULL) {
        p = last;
    }

    len = p - r->unparsed_uri.data;
    args = last - p;

    path = ngx_pnalloc(r->pool, len + OLLAMA_PATH_ROOM + args);
    if (path == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    switch (ollama_path_normalize(r->unparsed_uri.data, len, path, &len)) {

    case OLLAMA_PATH_REJECTED:

        /* nginx has resolved it to something else already */

        ctx = ngx_http_ollama_create_ctx(r);
        if (ctx == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        ctx->refusal.family = ollama_route_family(r->unparsed_uri.data, len);
        ctx->refusal.family_known = 1;

        return ngx_http_ollama_error(r, NGX_HTTP_BAD_REQUEST, 0,
                                     "the path of the request is not valid");

    case OLLAMA_PATH_FOREIGN:
        return NGX_DECLINED;

    case OLLAMA_PATH_SAME:

        if (len == r->uri.len && ngx_memcmp(path, r->uri.data, len) == 0) {
            r->valid_unparsed_uri = 1;
            return NGX_DECLINED;
        }

        break;

    default: /* OLLAMA_PATH_CHANGED */
        break;
    }

    ngx_memcpy(path + len, p, args);

    r->unparsed_uri.data = path;
    r->unparsed_uri.len = len + args;

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->uri.data = p;
    r->uri.len = ollama_path_decode(path, len, p);

    r->valid_unparsed_uri = 1;

    ngx_http_set_exten(r);

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "ollama uri: \"%V\"", &r->uri);

    return NGX_DECLINED;
}


ngx_int_t
ngx_http_ollama_uri_model(ngx_http_ollama_ctx_t *ctx)
{
    u_char              *p, *last, *uri;
    size_t               skip, len, left, raw;
    ngx_http_request_t  *r;

    if (!(ctx->route->flags & OLLAMA_ROUTE_MODEL)) {
        return NGX_OK;
    }

    r = ctx->request;

    skip = ctx->route->len;
    len = r->uri.len - skip;

    left = ollama_model_strip((char *) r->uri.data + skip, len);

    if (left == len) {
        return NGX_OK;
    }

    r->uri.len = skip + left;

    ngx_http_set_exten(r);

    if (!r->valid_unparsed_uri) {
        return NGX_OK;
    }

    /* what is sent: the same without as many characters, escaped or not */

    last = r->unparsed_uri.data + r->unparsed_uri.len;

    p = ngx_strlchr(r->unparsed_uri.data, last, '?');
    if (p == NULL) {
        p = last;
    }

    raw = ollama_path_shorten(r->unparsed_uri.data,
                              p - r->unparsed_uri.data, len - left);

    uri = ngx_pnalloc(r->pool, raw + (last - p));
    if (uri == NULL) {
        return NGX_ERROR;
    }

    r->unparsed_uri.len = raw + (last - p);

    ngx_memcpy(uri, r->unparsed_uri.data, raw);
    ngx_memcpy(uri + raw, p, last - p);

    r->unparsed_uri.data = uri;

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "ollama model: \"%V\"", &r->unparsed_uri);

    return NGX_OK;
}
