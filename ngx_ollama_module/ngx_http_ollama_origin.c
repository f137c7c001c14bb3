
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


/* a pattern may end with "*", in a port's place with ":*" */

static ngx_uint_t
ngx_http_ollama_origin_match(ngx_str_t *pattern, ngx_str_t *origin)
{
    u_char  *p, *last;
    size_t   len;

    len = pattern->len;

    if (len == 0 || pattern->data[len - 1] != '*') {
        return origin->len == len
               && ngx_strncasecmp(origin->data, pattern->data, len) == 0;
    }

    len--;

    if (origin->len < len
        || ngx_strncasecmp(origin->data, pattern->data, len) != 0)
    {
        return 0;
    }

    if (len == 0 || pattern->data[len - 1] != ':') {
        return 1;
    }

    p = origin->data + len;
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
