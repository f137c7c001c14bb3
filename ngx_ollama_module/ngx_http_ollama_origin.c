
/*
 * Where a browser's request comes from.  A local Ollama lets pages of the own
 * machine and of desktop applications in, and refuses all others: without
 * that, any page somebody looks at could spend the pool's tokens.
 */

#include "ngx_http_ollama.h"


static ngx_uint_t ngx_http_ollama_origin_same(ngx_http_request_t *r,
    ngx_str_t *origin);
static ngx_uint_t ngx_http_ollama_origin_match(ngx_str_t *pattern,
    ngx_str_t *origin);
static ngx_uint_t ngx_http_ollama_host_ends(ngx_str_t *host,
    const char *name);


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


ngx_str_t *
ngx_http_ollama_find_header(ngx_http_request_t *r, const char *name,
    size_t len)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *header;

    part = &r->headers_in.headers.part;
    header = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                break;
            }

            part = part->next;
            header = part->elts;
            i = 0;
        }

        if (header[i].key.len == len
            && ngx_strncmp(header[i].lowcase_key, name, len) == 0)
        {
            return &header[i].value;
        }
    }

    return NULL;
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

ngx_uint_t
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


/* a browser says that another site's page has sent this */

ngx_uint_t
ngx_http_ollama_cross_site(ngx_http_request_t *r)
{
    ngx_str_t  *value;

    value = ngx_http_ollama_find_header(r, "sec-fetch-site",
                                        sizeof("sec-fetch-site") - 1);

    if (value
        && !(value->len == 11 && ngx_strncmp(value->data, "same-origin", 11)
                                 == 0)
        && !(value->len == 4 && ngx_strncmp(value->data, "none", 4) == 0))
    {
        return 1;
    }

    value = ngx_http_ollama_find_header(r, "origin", sizeof("origin") - 1);

    return value && !ngx_http_ollama_origin_same(r, value);
}
