
#include "ngx_http_ollama_early.h"
#include "core/path.h"


#define NGX_HTTP_OLLAMA_EARLY_PATH  512     /* enough to know the API */


static void ngx_http_ollama_early_path(ngx_http_request_t *r, ngx_str_t *path);


ngx_uint_t
ngx_http_ollama_early(ngx_http_request_t *r, ollama_family_e *family)
{
    size_t                       len;
    u_char                       right[NGX_HTTP_OLLAMA_EARLY_PATH
                                       + OLLAMA_PATH_ROOM];
    ngx_str_t                    path;
    ollama_path_e                rc;
    ngx_http_ollama_srv_conf_t  *oscf;

    oscf = ngx_http_get_module_srv_conf(r, ngx_http_ollama_module);

    /* it is run_phases() as soon as phases run */

    if (!oscf->ours
        || r->write_event_handler
        || r->headers_out.status < NGX_HTTP_BAD_REQUEST)
    {
        return 0;
    }

    ngx_http_ollama_early_path(r, &path);

    *family = OLLAMA_FAMILY_NATIVE;

    if (path.len == 0) {
        return 1;
    }

    if (oscf->normalize_uri) {
        rc = ollama_path_normalize(path.data, path.len, right, &len);

        if (rc == OLLAMA_PATH_SAME || rc == OLLAMA_PATH_CHANGED) {
            path.data = right;
            path.len = len;
        }
    }

    *family = ollama_route_family(path.data, path.len);

    return oscf->normalize_uri
           || ollama_route_find("GET", 3, path.data, path.len) != NULL;
}


/* of a line that may be broken off, or worse */

static void
ngx_http_ollama_early_path(ngx_http_request_t *r, ngx_str_t *path)
{
    u_char  *p, *last;

    if (r->uri.len) {
        *path = r->uri;
        path->len = ngx_min(path->len, NGX_HTTP_OLLAMA_EARLY_PATH);
        return;
    }

    path->len = 0;
    path->data = NULL;

    if (r->request_start == NULL || r->header_in == NULL) {
        return;
    }

    p = r->request_start;
    last = r->header_in->last;

    if (p < r->header_in->start || p > last) {
        return;
    }

    /* the method, and what else is before the path: "POST http://host/v1" */

    while (p < last && *p != ' ' && *p != LF) {
        p++;
    }

    while (p < last && *p == ' ') {
        p++;
    }

    if (last - p > 8 && (ngx_strncasecmp(p, (u_char *) "http://", 7) == 0
                         || ngx_strncasecmp(p, (u_char *) "https://", 8) == 0))
    {
        p += 8;

        while (p < last && *p > ' ' && *p != '/') {
            p++;
        }
    }

    if (p == last || *p != '/') {
        return;
    }

    last = ngx_min(last, p + NGX_HTTP_OLLAMA_EARLY_PATH);

    path->data = p;

    while (p < last && *p > ' ' && *p != '?' && *p != '#') {
        p++;
    }

    path->len = p - path->data;
}
