
#include "ngx_http_ollama_pass.h"


typedef struct {
    ngx_http_handler_pt    content_handler;         /* of the location */
    ngx_int_t            (*create_request)(ngx_http_request_t *r);
    ngx_list_part_t        headers;                 /* if made */

    unsigned               made:1;
} ngx_http_ollama_pass_t;


static ngx_int_t ngx_http_ollama_pass_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_ollama_create_request(ngx_http_request_t *r);
static void ngx_http_ollama_pass_variables(ngx_http_request_t *r);
static ngx_int_t ngx_http_ollama_pass_headers(ngx_http_request_t *r,
    ngx_list_part_t *out);


/* the indices of $http_.., known when all of the configuration is */

ngx_int_t
ngx_http_ollama_pass_init(ngx_cycle_t *cycle,
    ngx_http_ollama_main_conf_t *omcf)
{
    ngx_uint_t                  i, *index;
    ngx_http_variable_t        *v;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_core_module);

    omcf->variables = ngx_array_create(cycle->pool, 4, sizeof(ngx_uint_t));
    if (omcf->variables == NULL) {
        return NGX_ERROR;
    }

    v = cmcf->variables.elts;

    for (i = 0; i < cmcf->variables.nelts; i++) {

        if (v[i].name.len < 5
            || ngx_strncmp(v[i].name.data, "http_", 5) != 0)
        {
            continue;
        }

        index = ngx_array_push(omcf->variables);
        if (index == NULL) {
            return NGX_ERROR;
        }

        *index = i;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_ollama_pass(ngx_http_ollama_ctx_t *ctx)
{
    ngx_http_request_t      *r;
    ngx_http_ollama_pass_t  *pass;

    r = ctx->request;

    if (r->content_handler == NULL
        || r->content_handler == ngx_http_ollama_pass_handler)
    {
        return NGX_DECLINED;
    }

    pass = ngx_palloc(r->pool, sizeof(ngx_http_ollama_pass_t));
    if (pass == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    pass->content_handler = r->content_handler;
    pass->create_request = NULL;
    pass->made = 0;

    ctx->pass = pass;

    r->content_handler = ngx_http_ollama_pass_handler;

    return NGX_DECLINED;
}


ngx_uint_t
ngx_http_ollama_passed(ngx_http_ollama_ctx_t *ctx)
{
    ngx_http_ollama_pass_t  *pass;

    pass = ctx->pass;

    return pass && pass->made;
}


/*
 * The location's handler makes an upstream, and at once the request to it.  The
 * latter waits for as long as r->aio is set, so that we come in between.
 */

static ngx_int_t
ngx_http_ollama_pass_handler(ngx_http_request_t *r)
{
    ngx_int_t                rc;
    ngx_http_upstream_t     *u;
    ngx_http_ollama_pass_t  *pass;

    pass = ngx_http_ollama_get_ctx(r)->pass;

    r->aio = 1;

    rc = pass->content_handler(r);

    r->aio = 0;

    u = r->upstream;

    if (rc != NGX_DONE
        || u == NULL
        || u->create_request == NULL
        || u->output.pool)
    {
        /* not an upstream's, or it has not waited */

        return rc;
    }

    pass->create_request = u->create_request;
    u->create_request = ngx_http_ollama_create_request;

    ngx_http_upstream_init(r);

    return NGX_DONE;
}


static ngx_int_t
ngx_http_ollama_create_request(ngx_http_request_t *r)
{
    ngx_int_t                rc;
    ngx_list_part_t          all;
    ngx_http_ollama_pass_t  *pass;

    pass = ngx_http_ollama_get_ctx(r)->pass;

    if (!pass->made) {
        ngx_http_ollama_pass_variables(r);

        if (ngx_http_ollama_pass_headers(r, &pass->headers) != NGX_OK) {
            return NGX_ERROR;
        }

        pass->made = 1;
    }

    all = r->headers_in.headers.part;

    r->headers_in.headers.part = pass->headers;

    rc = pass->create_request(r);

    r->headers_in.headers.part = all;

    return rc;
}


/* they are looked up in the list, once */

static void
ngx_http_ollama_pass_variables(ngx_http_request_t *r)
{
    ngx_uint_t                    i, *index;
    ngx_http_ollama_main_conf_t  *omcf;

    omcf = ngx_http_get_module_main_conf(r, ngx_http_ollama_module);

    index = omcf->variables->elts;

    for (i = 0; i < omcf->variables->nelts; i++) {
        (void) ngx_http_get_indexed_variable(r, index[i]);
    }
}


static ngx_int_t
ngx_http_ollama_pass_headers(ngx_http_request_t *r, ngx_list_part_t *out)
{
    ngx_uint_t                   i;
    ngx_list_part_t             *part, *last, *run;
    ngx_table_elt_t             *h;
    ngx_http_ollama_loc_conf_t  *olcf;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_ollama_module);

    out->elts = NULL;
    out->nelts = 0;
    out->next = NULL;

    last = NULL;

    for (part = &r->headers_in.headers.part; part; part = part->next) {

        h = part->elts;
        run = NULL;

        for (i = 0; i < part->nelts; i++) {

            if (!ollama_allow(olcf->pass, h[i].lowcase_key, h[i].key.len)) {
                ngx_log_debug1(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                               "ollama keeps header \"%V\"", &h[i].key);
                run = NULL;
                continue;
            }

            if (run) {
                run->nelts++;
                continue;
            }

            if (last == NULL) {
                run = out;

            } else {
                run = ngx_palloc(r->pool, sizeof(ngx_list_part_t));
                if (run == NULL) {
                    return NGX_ERROR;
                }

                last->next = run;
            }

            run->elts = &h[i];
            run->nelts = 1;
            run->next = NULL;

            last = run;
        }
    }

    return NGX_OK;
}
