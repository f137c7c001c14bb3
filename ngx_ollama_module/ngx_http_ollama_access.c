
#include "ngx_http_ollama.h"


static ngx_uint_t ngx_http_ollama_access_open(ngx_http_request_t *r,
    ngx_http_ollama_ctx_t *ctx, ngx_http_ollama_loc_conf_t *olcf);
static ngx_int_t ngx_http_ollama_access_token(ngx_http_request_t *r,
    ngx_http_ollama_ctx_t *ctx);
static ngx_int_t ngx_http_ollama_access_basic(ngx_http_request_t *r,
    ngx_http_ollama_ctx_t *ctx, ngx_str_t *value, ngx_str_t *token);
static ngx_int_t ngx_http_ollama_access_denied(ngx_http_request_t *r,
    const char *text);
static ngx_uint_t ngx_http_ollama_token_equal(ngx_str_t *token,
    u_char *data, size_t len);


ngx_int_t
ngx_http_ollama_access_handler(ngx_http_request_t *r)
{
    ngx_int_t                     rc;
    ngx_str_t                    *origin;
    ngx_http_ollama_ctx_t        *ctx;
    ngx_http_ollama_loc_conf_t   *olcf;
    ngx_http_ollama_main_conf_t  *omcf;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_ollama_module);

    if (!olcf->access) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_ollama_create_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    omcf = ngx_http_get_module_main_conf(r, ngx_http_ollama_module);

    if (!omcf->open) {
        rc = ngx_http_ollama_access_token(r, ctx);

        if (rc == NGX_OK) {
            ctx->token = 1;

        } else if (rc != NGX_DECLINED) {
            return rc;

        } else if (!ngx_http_ollama_access_open(r, ctx, olcf)) {
            return ngx_http_ollama_access_denied(r,
                       "unauthorized: send the proxy's token as "
                       "\"Authorization: Bearer\" or \"x-api-key\"");
        }
    }

    if (omcf->open && !ngx_http_ollama_host_allowed(r)) {
        return ngx_http_ollama_error(r, NGX_HTTP_FORBIDDEN, 0,
                   "this Host is not known here: without a token, the proxy "
                   "answers to \"localhost\", to addresses and to the "
                   "\"server_name\"");
    }

    /*
     * A token in a header was put there by somebody who knows it; what a
     * browser adds by itself proves nothing about the page that asks.
     */

    if (omcf->open || ctx->basic) {

        origin = ngx_http_ollama_find_header(r, "origin",
                                             sizeof("origin") - 1);

        if (origin && !ngx_http_ollama_origin_allowed(r, origin)) {
            return ngx_http_ollama_error(r, NGX_HTTP_FORBIDDEN, 0,
                       "this origin may not use the proxy from a browser, "
                       "see \"ollama_origins\"");
        }
    }

    return NGX_OK;
}


/* what needs no token: "/", /api/version, a bare /health, preflights */

static ngx_uint_t
ngx_http_ollama_access_open(ngx_http_request_t *r, ngx_http_ollama_ctx_t *ctx,
    ngx_http_ollama_loc_conf_t *olcf)
{
    const ollama_route_t  *route;

    if (olcf->health) {
        return r->uri.len == 7 && ngx_strncmp(r->uri.data, "/health", 7) == 0;
    }

    if (!olcf->enable) {
        return 0;
    }

    route = ngx_http_ollama_route(ctx);

    return route
           && (route->local == OLLAMA_LOCAL_ROOT
               || route->local == OLLAMA_LOCAL_VERSION
               || route->local == OLLAMA_LOCAL_PREFLIGHT);
}


static ngx_int_t
ngx_http_ollama_access_token(ngx_http_request_t *r,
    ngx_http_ollama_ctx_t *ctx)
{
    ngx_int_t                     rc;
    ngx_str_t                    *value;
    ngx_http_ollama_main_conf_t  *omcf;

    omcf = ngx_http_get_module_main_conf(r, ngx_http_ollama_module);

    if (r->headers_in.authorization) {

#if (nginx_version >= 1023000)
        if (r->headers_in.authorization->next) {
            return ngx_http_ollama_error(r, NGX_HTTP_BAD_REQUEST, 0,
                               "more than one Authorization header");
        }
#endif

        value = &r->headers_in.authorization->value;

        if (value->len > 7
            && ngx_strncasecmp(value->data, (u_char *) "Bearer ", 7) == 0)
        {
            if (ngx_http_ollama_token_equal(&omcf->token, value->data + 7,
                                            value->len - 7))
            {
                return NGX_OK;
            }

        } else {
            rc = ngx_http_ollama_access_basic(r, ctx, value, &omcf->token);

            if (rc != NGX_DECLINED) {
                return rc;
            }
        }
    }

    value = ngx_http_ollama_find_header(r, "x-api-key",
                                        sizeof("x-api-key") - 1);

    if (value
        && ngx_http_ollama_token_equal(&omcf->token, value->data, value->len))
    {
        return NGX_OK;
    }

    return NGX_DECLINED;
}


/* the token is the password, whatever the user, who may be empty */

static ngx_int_t
ngx_http_ollama_access_basic(ngx_http_request_t *r, ngx_http_ollama_ctx_t *ctx,
    ngx_str_t *value, ngx_str_t *token)
{
    u_char     *p, *last;
    ngx_int_t   rc;
    ngx_str_t   encoded, decoded;

    if (value->len < 6
        || ngx_strncasecmp(value->data, (u_char *) "Basic ", 6) != 0)
    {
        return NGX_DECLINED;
    }

    encoded.data = value->data + 6;
    encoded.len = value->len - 6;

    while (encoded.len && *encoded.data == ' ') {
        encoded.data++;
        encoded.len--;
    }

    decoded.data = ngx_pnalloc(r->pool,
                               ngx_base64_decoded_length(encoded.len) + 1);
    if (decoded.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_decode_base64(&decoded, &encoded) != NGX_OK) {
        return NGX_DECLINED;
    }

    last = decoded.data + decoded.len;
    p = ngx_strlchr(decoded.data, last, ':');

    rc = NGX_DECLINED;

    if (p && ngx_http_ollama_token_equal(token, p + 1, last - p - 1)) {
        ctx->basic = 1;
        ctx->user.data = decoded.data;
        ctx->user.len = p - decoded.data;
        rc = NGX_OK;
    }

    return rc;
}


static ngx_int_t
ngx_http_ollama_access_denied(ngx_http_request_t *r, const char *text)
{
    ngx_str_t        *accept, challenge;
    ngx_table_elt_t  *h;

    /* a question to a person; a program would only stumble over it */

    accept = ngx_http_ollama_find_header(r, "accept", sizeof("accept") - 1);

    if (accept && ngx_strlcasestrn(accept->data, accept->data + accept->len,
                                   (u_char *) "text/html", 9 - 1))
    {
        ngx_str_set(&challenge, "Basic realm=\"Ollama proxy\", "
                                "charset=\"UTF-8\"");

        h = ngx_http_ollama_add_header(r, "WWW-Authenticate", &challenge);
        if (h == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        r->headers_out.www_authenticate = h;
    }

    return ngx_http_ollama_error(r, NGX_HTTP_UNAUTHORIZED, 0, "%s", text);
}


/* takes as long for a wrong token as for the right one */

static ngx_uint_t
ngx_http_ollama_token_equal(ngx_str_t *token, u_char *data, size_t len)
{
    size_t           i;
    volatile u_char  diff;

    if (token->len == 0) {
        return 0;
    }

    diff = (len != token->len);

    for (i = 0; i < len; i++) {
        diff |= data[i] ^ token->data[i % token->len];
    }

    return diff == 0;
}
