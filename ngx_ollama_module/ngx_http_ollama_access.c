
#include "ngx_http_ollama_access.h"
#include "ngx_http_ollama_respond.h"


static ngx_uint_t ngx_http_ollama_access_open(ngx_http_request_t *r,
    ngx_http_ollama_ctx_t *ctx, ngx_http_ollama_loc_conf_t *olcf);
static ngx_int_t ngx_http_ollama_access_client(ngx_http_ollama_ctx_t *ctx);
static ngx_int_t ngx_http_ollama_access_token(ngx_http_request_t *r,
    ngx_http_ollama_ctx_t *ctx);
static ngx_int_t ngx_http_ollama_access_basic(ngx_http_request_t *r,
    ngx_http_ollama_ctx_t *ctx, ngx_str_t *value);
static ngx_int_t ngx_http_ollama_access_denied(ngx_http_request_t *r);
static ngx_uint_t ngx_http_ollama_access_known(ngx_http_request_t *r,
    ngx_http_ollama_ctx_t *ctx, u_char *data, size_t len);
static ngx_uint_t ngx_http_ollama_access_scheme(ngx_str_t *value,
    const char *scheme, ngx_str_t *rest);
static ngx_uint_t ngx_http_ollama_token_equal(ngx_str_t *token,
    u_char *data, size_t len);
static ngx_uint_t ngx_http_ollama_host_allowed(ngx_http_request_t *r);
static ngx_uint_t ngx_http_ollama_origin_same(ngx_http_request_t *r,
    ngx_str_t *origin);
static ngx_uint_t ngx_http_ollama_origin_match(ngx_str_t *pattern,
    ngx_str_t *origin);
static ngx_uint_t ngx_http_ollama_host_ends(ngx_str_t *host,
    const char *name);


/* where clients put a key, beside Authorization; none of them is passed on */

static ngx_str_t  ngx_http_ollama_key_headers[] = {
    ngx_string("x-api-key"),
    ngx_string("api-key"),
    ngx_string("x-goog-api-key"),
    ngx_null_string
};


static ngx_str_t  ngx_http_ollama_default_origins[] = {
    ngx_string("http://localhost"),
    ngx_string("https://localhost"),
    ngx_string("http://localhost:*"),
    ngx_string("https://localhost:*"),
    ngx_string("http://127.0.0.1"),
    ngx_string("https://127.0.0.1"),
    ngx_string("http://127.0.0.1:*"),
    ngx_string("https://127.0.0.1:*"),
    ngx_string("http://[::1]"),
    ngx_string("https://[::1]"),
    ngx_string("http://[::1]:*"),
    ngx_string("https://[::1]:*"),
    ngx_string("http://0.0.0.0"),
    ngx_string("https://0.0.0.0"),
    ngx_string("http://0.0.0.0:*"),
    ngx_string("https://0.0.0.0:*"),
    ngx_string("app://*"),
    ngx_string("file://*"),
    ngx_string("tauri://*"),
    ngx_string("vscode-webview://*"),
    ngx_string("vscode-file://*"),
    ngx_null_string
};


ngx_int_t
ngx_http_ollama_access_handler(ngx_http_request_t *r)
{
    ngx_int_t                    rc;
    ngx_str_t                   *origin;
    ngx_uint_t                   guarded;
    ngx_http_ollama_ctx_t       *ctx;
    ngx_http_ollama_loc_conf_t  *olcf;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_ollama_module);

    if (olcf->access == NGX_HTTP_OLLAMA_ACCESS_OFF) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_ollama_create_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    guarded = ngx_http_ollama_access_guarded(r);

    if (guarded) {
        rc = ngx_http_ollama_access_token(r, ctx);

        if (rc == NGX_OK) {
            ctx->token = 1;

            if (ngx_http_ollama_access_client(ctx) != NGX_OK) {
                return ngx_http_ollama_error(r, NGX_HTTP_UNAUTHORIZED, 0,
                           "unauthorized: the token of \"%s\" has expired",
                           ctx->who->name);
            }

        } else if (rc != NGX_DECLINED) {
            return rc;

        } else if (!ngx_http_ollama_access_open(r, ctx, olcf)) {
            return ngx_http_ollama_access_denied(r);
        }
    }

    if (!guarded && ctx->conf->nclients) {

        /* it need not say who it is, but may have */

        rc = ngx_http_ollama_access_token(r, ctx);

        if (rc != NGX_OK && rc != NGX_DECLINED) {
            return rc;
        }

        if (ngx_http_ollama_access_client(ctx) != NGX_OK) {
            ctx->who = NULL;
        }
    }

    if (!guarded && !ngx_http_ollama_host_allowed(r)) {
        return ngx_http_ollama_error(r, NGX_HTTP_FORBIDDEN, 0,
                   "this Host is not known here: without a token, the proxy "
                   "answers to \"localhost\", to addresses and to the "
                   "\"server_name\"");
    }

    /*
     * A token in a header was put there by somebody who knows it; what a
     * browser adds by itself proves nothing about the page that asks.
     */

    if (!guarded || ctx->basic) {

        origin = ngx_http_ollama_header_in(r, "origin");

        if (origin && !ngx_http_ollama_origin_allowed(r, origin)) {
            return ngx_http_ollama_error(r, NGX_HTTP_FORBIDDEN, 0,
                       "this origin may not use the proxy from a browser, "
                       "see \"ollama_origins\"");
        }
    }

    return NGX_OK;
}


/* by its token it is known, whatever else it says */

static ngx_int_t
ngx_http_ollama_access_client(ngx_http_ollama_ctx_t *ctx)
{
    if (ctx->who == NULL) {
        return NGX_OK;
    }

    if (ctx->who->expires && ctx->who->expires <= ngx_time()) {
        return NGX_DECLINED;
    }

    ctx->client_known = 1;
    ctx->client.data = (u_char *) ctx->who->name;
    ctx->client.len = ngx_strlen(ctx->who->name);

    return NGX_OK;
}


/* what no page of a client's shows is an operator's, if there is one */

ngx_uint_t
ngx_http_ollama_access_guarded(ngx_http_request_t *r)
{
    ngx_http_ollama_loc_conf_t   *olcf;
    ngx_http_ollama_main_conf_t  *omcf;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_ollama_module);
    omcf = ngx_http_get_module_main_conf(r, ngx_http_ollama_module);

    return !omcf->open
           || (omcf->admin.len && olcf->access > NGX_HTTP_OLLAMA_ACCESS_ON);
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
    ngx_int_t   rc;
    ngx_str_t  *value, *name, token;

    if (r->headers_in.authorization) {

#if (nginx_version >= 1023000)
        if (r->headers_in.authorization->next) {
            return ngx_http_ollama_error(r, NGX_HTTP_BAD_REQUEST, 0,
                               "more than one Authorization header");
        }
#endif

        value = &r->headers_in.authorization->value;

        if (ngx_http_ollama_access_scheme(value, "Bearer ", &token)) {

            if (ngx_http_ollama_access_known(r, ctx, token.data, token.len)) {
                return NGX_OK;
            }

        } else {
            rc = ngx_http_ollama_access_basic(r, ctx, value);

            if (rc != NGX_DECLINED) {
                return rc;
            }
        }
    }

    for (name = ngx_http_ollama_key_headers; name->len; name++) {

        value = ngx_http_ollama_find_header(&r->headers_in.headers,
                                            (char *) name->data, name->len);

        if (value
            && ngx_http_ollama_access_known(r, ctx, value->data, value->len))
        {
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


/* one of those that are good here; each is looked at, whatever the others are */

static ngx_uint_t
ngx_http_ollama_access_known(ngx_http_request_t *r, ngx_http_ollama_ctx_t *ctx,
    u_char *data, size_t len)
{
    ngx_uint_t                    known;
    ngx_http_ollama_loc_conf_t   *olcf;
    ngx_http_ollama_main_conf_t  *omcf;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_ollama_module);
    omcf = ngx_http_get_module_main_conf(r, ngx_http_ollama_module);

    known = ngx_http_ollama_token_equal(&omcf->admin, data, len);

    if (omcf->admin.len == 0 || olcf->access == NGX_HTTP_OLLAMA_ACCESS_ON) {
        known |= ngx_http_ollama_token_equal(&omcf->token, data, len);
    }

    if (olcf->access == NGX_HTTP_OLLAMA_ACCESS_METRICS) {
        known |= ngx_http_ollama_token_equal(&omcf->metrics, data, len);
    }

    /* a client's is good for the API alone */

    if (!known && olcf->access == NGX_HTTP_OLLAMA_ACCESS_ON) {
        ctx->who = ollama_config_client(omcf->clients, omcf->nclients, data,
                                        len);
        known = (ctx->who != NULL);
    }

    return known;
}


/* "scheme" ends in a space; there may be more of them */

static ngx_uint_t
ngx_http_ollama_access_scheme(ngx_str_t *value, const char *scheme,
    ngx_str_t *rest)
{
    size_t  len;

    len = ngx_strlen(scheme);

    if (value->len < len
        || ngx_strncasecmp(value->data, (u_char *) scheme, len) != 0)
    {
        return 0;
    }

    while (len < value->len && value->data[len] == ' ') {
        len++;
    }

    rest->data = value->data + len;
    rest->len = value->len - len;

    return 1;
}


/* the token is the password, whatever the user, who may be empty */

static ngx_int_t
ngx_http_ollama_access_basic(ngx_http_request_t *r, ngx_http_ollama_ctx_t *ctx,
    ngx_str_t *value)
{
    u_char     *p, *last;
    ngx_int_t   rc;
    ngx_str_t   encoded, decoded;

    if (!ngx_http_ollama_access_scheme(value, "Basic ", &encoded)) {
        return NGX_DECLINED;
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

    if (p && ngx_http_ollama_access_known(r, ctx, p + 1, last - p - 1)) {
        ctx->basic = 1;
        ctx->user.data = decoded.data;
        ctx->user.len = p - decoded.data;
        rc = NGX_OK;
    }

    return rc;
}


static ngx_int_t
ngx_http_ollama_access_denied(ngx_http_request_t *r)
{
    ngx_str_t                    *accept, challenge;
    ngx_table_elt_t              *h;
    ngx_http_ollama_loc_conf_t   *olcf;
    ngx_http_ollama_main_conf_t  *omcf;

    /* a question to a person; a program would only stumble over it */

    accept = ngx_http_ollama_header_in(r, "accept");

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

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_ollama_module);
    omcf = ngx_http_get_module_main_conf(r, ngx_http_ollama_module);

    return ngx_http_ollama_error(r, NGX_HTTP_UNAUTHORIZED, 0,
                   "unauthorized: send the %s as "
                   "\"Authorization: Bearer\" or \"x-api-key\"",
                   (omcf->admin.len
                    && olcf->access > NGX_HTTP_OLLAMA_ACCESS_ON)
                   ? "operator's token (PROXY_ADMIN_TOKEN)"
                   : "proxy's token");
}


/* takes as long for a wrong token as for the right one */

static ngx_uint_t
ngx_http_ollama_token_equal(ngx_str_t *token, u_char *data, size_t len)
{
    u_char             *p;
    uint64_t            a, b;
    volatile uint64_t   diff;

    if (token->len == 0) {
        return 0;
    }

    /* one of another length takes its time with itself */

    diff = (len != token->len);
    p = diff ? data : token->data;

    for ( /* void */ ; len >= sizeof(uint64_t); len -= sizeof(uint64_t)) {
        ngx_memcpy(&a, data, sizeof(uint64_t));
        ngx_memcpy(&b, p, sizeof(uint64_t));

        diff |= a ^ b;
        data += sizeof(uint64_t);
        p += sizeof(uint64_t);
    }

    for ( /* void */ ; len; len--) {
        diff |= *data++ ^ *p++;
    }

    return diff == 0;
}


ngx_uint_t
ngx_http_ollama_origin_allowed(ngx_http_request_t *r, ngx_str_t *origin)
{
    ngx_str_t                    *allowed;
    ngx_uint_t                    i;
    ngx_http_ollama_main_conf_t  *omcf;

    if (ngx_http_ollama_origin_same(r, origin)) {
        return 1;
    }

    for (i = 0; ngx_http_ollama_default_origins[i].len; i++) {
        if (ngx_http_ollama_origin_match(&ngx_http_ollama_default_origins[i],
                                         origin))
        {
            return 1;
        }
    }

    omcf = ngx_http_get_module_main_conf(r, ngx_http_ollama_module);

    if (omcf->origins == NULL) {
        return 0;
    }

    allowed = omcf->origins->elts;

    for (i = 0; i < omcf->origins->nelts; i++) {
        if (ngx_http_ollama_origin_match(&allowed[i], origin)) {
            return 1;
        }
    }

    return 0;
}


/* "scheme://" and then the very Host the request was sent to */

static ngx_uint_t
ngx_http_ollama_origin_same(ngx_http_request_t *r, ngx_str_t *origin)
{
    u_char     *p, *last;
    ngx_str_t  *host;

    if (r->headers_in.host == NULL) {
        return 0;
    }

    host = &r->headers_in.host->value;
    last = origin->data + origin->len;

    p = ngx_strlcasestrn(origin->data, last, (u_char *) "://", 3 - 1);

    if (p == NULL) {
        return 0;
    }

    p += 3;

    return (size_t) (last - p) == host->len
           && ngx_strncasecmp(p, host->data, host->len) == 0;
}


/* one "*" in a pattern stands for anything, in a port's place for digits */

static ngx_uint_t
ngx_http_ollama_origin_match(ngx_str_t *pattern, ngx_str_t *origin)
{
    u_char  *star, *p, *last;
    size_t   before, after;

    star = ngx_strlchr(pattern->data, pattern->data + pattern->len, '*');

    if (star == NULL) {
        return origin->len == pattern->len
               && ngx_strncasecmp(origin->data, pattern->data, origin->len)
                  == 0;
    }

    before = star - pattern->data;
    after = pattern->len - before - 1;

    if (origin->len < before + after
        || ngx_strncasecmp(origin->data, pattern->data, before) != 0
        || ngx_strncasecmp(origin->data + origin->len - after, star + 1,
                           after)
           != 0)
    {
        return 0;
    }

    if (after || before == 0 || pattern->data[before - 1] != ':') {
        return 1;
    }

    p = origin->data + before;
    last = origin->data + origin->len;

    if (p == last) {
        return 0;
    }

    for ( /* void */ ; p < last; p++) {
        if (*p < '0' || *p > '9') {
            return 0;
        }
    }

    return 1;
}


/*
 * Without a token, a name that somebody's DNS lets point to this very machine
 * would make his page ours.  On the loopback address only names are believed
 * that cannot be his; elsewhere a server is known by many names.
 */

static ngx_uint_t
ngx_http_ollama_host_allowed(ngx_http_request_t *r)
{
    ngx_str_t                 *host;
    ngx_connection_t          *c;
    ngx_http_core_srv_conf_t  *cscf;

    host = &r->headers_in.server;

    if (host->len == 0
        || host->data[0] == '['
        || ngx_inet_addr(host->data, host->len) != INADDR_NONE
        || ngx_http_ollama_host_ends(host, "localhost")
        || ngx_http_ollama_host_ends(host, ".localhost")
        || ngx_http_ollama_host_ends(host, ".local")
        || ngx_http_ollama_host_ends(host, ".internal"))
    {
        return 1;
    }

    cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);

    if (cscf->server_name.len == host->len
        && ngx_strncasecmp(cscf->server_name.data, host->data, host->len)
           == 0)
    {
        return 1;
    }

    if (ngx_cycle->hostname.len == host->len
        && ngx_strncasecmp(ngx_cycle->hostname.data, host->data, host->len)
           == 0)
    {
        return 1;
    }

    c = r->connection;

    if (ngx_connection_local_sockaddr(c, NULL, 0) != NGX_OK) {
        return 0;
    }

    switch (c->local_sockaddr->sa_family) {

#if (NGX_HAVE_INET6)
    case AF_INET6:
        return !IN6_IS_ADDR_LOOPBACK(
                     &((struct sockaddr_in6 *) c->local_sockaddr)->sin6_addr);
#endif

    case AF_INET:
        return (ntohl(((struct sockaddr_in *) c->local_sockaddr)
                      ->sin_addr.s_addr) >> 24) != 127;

    default:
        return 1;
    }
}


static ngx_uint_t
ngx_http_ollama_host_ends(ngx_str_t *host, const char *name)
{
    size_t  len;

    len = ngx_strlen(name);

    if (host->len < len
        || ngx_strncasecmp(host->data + host->len - len, (u_char *) name, len)
           != 0)
    {
        return 0;
    }

    return name[0] == '.' || host->len == len;
}


ngx_uint_t
ngx_http_ollama_cross_site(ngx_http_request_t *r)
{
    ngx_str_t  *value;

    value = ngx_http_ollama_header_in(r, "sec-fetch-site");

    if (value
        && !(value->len == 11 && ngx_strncmp(value->data, "same-origin", 11)
                                 == 0)
        && !(value->len == 4 && ngx_strncmp(value->data, "none", 4) == 0))
    {
        return 1;
    }

    value = ngx_http_ollama_header_in(r, "origin");

    return value && !ngx_http_ollama_origin_same(r, value);
}


ngx_str_t *
ngx_http_ollama_client(ngx_http_ollama_ctx_t *ctx)
{
    ngx_str_t                   *value;
    ngx_http_request_t          *r;
    ngx_http_variable_value_t   *v;
    ngx_http_ollama_loc_conf_t  *olcf;

    if (ctx->client_known) {
        return &ctx->client;
    }

    ctx->client_known = 1;

    r = ctx->request;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_ollama_module);

    if (olcf->client != NGX_CONF_UNSET) {

        v = ngx_http_get_indexed_variable(r, olcf->client);

        if (v && !v->not_found) {
            ctx->client.data = v->data;
            ctx->client.len = v->len;
        }

        return &ctx->client;
    }

    value = ngx_http_ollama_header_in(r, "x-ollama-client");

    if (value) {
        ctx->client = *value;

    } else if (ctx->basic) {
        ctx->client = ctx->user;
    }

    return &ctx->client;
}
