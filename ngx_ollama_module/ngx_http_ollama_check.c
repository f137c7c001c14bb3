
#include "ngx_http_ollama_check.h"
#include "ngx_http_ollama_affinity.h"


#define NGX_HTTP_OLLAMA_SILENCE  300000     /* ms, which models may need */


static void ngx_http_ollama_check_server(ngx_http_conf_ctx_t *ctx);
static void ngx_http_ollama_check_proxy(ngx_conf_t *cf,
    ngx_http_conf_ctx_t *ctx, ngx_module_t *proxy);
static void ngx_http_ollama_check_details(ngx_conf_t *cf,
    ngx_http_conf_ctx_t *ctx);
static ngx_module_t *ngx_http_ollama_find_module(ngx_cycle_t *cycle,
    const char *name);


char *
ngx_http_ollama_check_location(ngx_conf_t *cf,
    ngx_http_ollama_main_conf_t *omcf, ngx_http_ollama_loc_conf_t *conf)
{
    ngx_http_conf_ctx_t  *ctx;

    if (conf->enable || conf->health || conf->status || conf->access
        || conf->private)
    {

        if (omcf->pool == NULL) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"ollama\", \"ollama_access\", "
                               "\"ollama_health\", \"ollama_status\" and "
                               "\"ollama_private\" "
                               "need \"ollama_zone\" and \"ollama_config\" "
                               "on the http level");
            return NGX_CONF_ERROR;
        }
    }

    if (conf->enable || conf->details.len) {
        ctx = ngx_array_push(omcf->locations);
        if (ctx == NULL) {
            return NGX_CONF_ERROR;
        }

        /* cf->ctx is that of the location which is merged */

        *ctx = *(ngx_http_conf_ctx_t *) cf->ctx;
    }

    if (conf->private) {

        /* who may ask is known by the socket, and has no token */

        conf->access = NGX_HTTP_OLLAMA_ACCESS_OFF;

        ctx = ngx_array_push(omcf->privates);
        if (ctx == NULL) {
            return NGX_CONF_ERROR;
        }

        *ctx = *(ngx_http_conf_ctx_t *) cf->ctx;
    }

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_ollama_check_upstreams(ngx_conf_t *cf)
{
    ngx_uint_t                       i, j;
    ngx_http_ollama_target_t       **target;
    ngx_http_ollama_srv_conf_t      *oscf, *keys;
    ngx_http_ollama_main_conf_t     *omcf;
    ngx_http_upstream_srv_conf_t   **uscfp;
    ngx_http_upstream_main_conf_t   *umcf;

    omcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_ollama_module);
    umcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_upstream_module);

    uscfp = umcf->upstreams.elts;
    target = omcf->targets->elts;
    keys = NULL;

    for (j = 0; j < umcf->upstreams.nelts; j++) {

        if (uscfp[j]->srv_conf == NULL) {
            continue;
        }

        oscf = ngx_http_conf_upstream_srv_conf(uscfp[j],
                                               ngx_http_ollama_module);

        if (oscf->tries == 0) {
            continue;
        }

        ngx_conf_init_uint_value(oscf->queue, 512);
        ngx_conf_init_msec_value(oscf->queue_timeout, 60000);
        ngx_conf_init_value(oscf->hold, 0);
        ngx_conf_init_uint_value(oscf->hold_max, 512);
        ngx_conf_init_value(oscf->dry_run, 0);

        ngx_http_ollama_affinity_init(omcf, oscf);

        oscf->index = omcf->queues++ % NGX_HTTP_OLLAMA_QUEUES;

        if (keys == NULL) {
            keys = oscf;
        }
    }

    for (i = 0; i < omcf->targets->nelts; i++) {

        for (j = 0; j < umcf->upstreams.nelts; j++) {
            if (uscfp[j]->host.len == target[i]->name.len
                && ngx_strncasecmp(uscfp[j]->host.data, target[i]->name.data,
                                   target[i]->name.len)
                   == 0)
            {
                break;
            }
        }

        if (j < umcf->upstreams.nelts) {

            if (uscfp[j]->srv_conf) {
                oscf = ngx_http_conf_upstream_srv_conf(uscfp[j],
                                                      ngx_http_ollama_module);
                target[i]->keys = oscf->tries ? oscf : NULL;
            }

            continue;
        }

        if (target[i] == &omcf->target) {

            /* nobody has asked for it: proxy_pass names another one */

            target[i]->keys = keys;
            continue;
        }

        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "there is no \"upstream %V { }\", which "
                      "\"ollama_upstream\" names", &target[i]->name);
        return NGX_ERROR;
    }

    return NGX_OK;
}


void
ngx_http_ollama_check_locations(ngx_conf_t *cf)
{
    ngx_uint_t                    i;
    ngx_module_t                 *proxy;
    ngx_http_conf_ctx_t          *ctx;
    ngx_http_ollama_main_conf_t  *omcf;

    omcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_ollama_module);

    /* an nginx may have been built without it: not by its symbol */

    proxy = ngx_http_ollama_find_module(cf->cycle, "ngx_http_proxy_module");

    ctx = omcf->locations->elts;

    for (i = 0; i < omcf->locations->nelts; i++) {
        ngx_http_ollama_check_server(&ctx[i]);
        ngx_http_ollama_check_proxy(cf, &ctx[i], proxy);
        ngx_http_ollama_check_details(cf, &ctx[i]);
    }
}


/* errors of nginx before there is a location have our shape: _early.c */

static void
ngx_http_ollama_check_server(ngx_http_conf_ctx_t *ctx)
{
    ngx_http_ollama_loc_conf_t  *olcf;
    ngx_http_ollama_srv_conf_t  *oscf;

    olcf = ctx->loc_conf[ngx_http_ollama_module.ctx_index];
    oscf = ctx->srv_conf[ngx_http_ollama_module.ctx_index];

    oscf->ours |= (olcf->enable == 1);
}


static void
ngx_http_ollama_check_proxy(ngx_conf_t *cf, ngx_http_conf_ctx_t *ctx,
    ngx_module_t *proxy)
{
    const ollama_route_t        *route;
    ngx_http_core_loc_conf_t    *clcf;
    ngx_http_upstream_conf_t    *ucf;
    ngx_http_ollama_loc_conf_t  *olcf;
    ngx_http_ollama_srv_conf_t  *oscf;

    clcf = ctx->loc_conf[ngx_http_core_module.ctx_index];
    olcf = ctx->loc_conf[ngx_http_ollama_module.ctx_index];
    oscf = ctx->srv_conf[ngx_http_ollama_module.ctx_index];

    /* "if" and "limit_except" have what is around them */

    if (!olcf->enable || clcf->noname) {
        return;
    }

    if (clcf->handler == NULL) {

        /* "location = /api/version" needs none */

        route = clcf->exact_match ? ollama_route_known(clcf->name.data,
                                                       clcf->name.len)
                                  : NULL;

        if (route && route->kind == OLLAMA_ROUTE_LOCAL) {
            return;
        }

        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "\"ollama on\" without \"proxy_pass\" in location "
                      "\"%V\": requests will not reach the cloud, "
                      "add \"proxy_pass $ollama_upstream;\", in %V",
                      &clcf->name, &olcf->enable_at);
        return;
    }

    if (proxy == NULL) {
        return;
    }

    /* the first member of proxy's configuration, which is private */

    ucf = ctx->loc_conf[proxy->ctx_index];

    /* what several locations of a server inherit is told once */

    if (ucf->read_timeout < NGX_HTTP_OLLAMA_SILENCE
        && ucf->read_timeout != oscf->told)
    {
        oscf->told = ucf->read_timeout;

        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "\"proxy_read_timeout\" is %M ms in location \"%V\": "
                      "models are silent for minutes while they think, "
                      "set \"proxy_read_timeout 1800s;\", "
                      "\"ollama on\" is in %V",
                      ucf->read_timeout, &clcf->name, &olcf->enable_at);
    }
}


static void
ngx_http_ollama_check_details(ngx_conf_t *cf, ngx_http_conf_ctx_t *ctx)
{
    ngx_http_core_srv_conf_t     *cscf;
    ngx_http_core_loc_conf_t    **clcfp;
    ngx_http_ollama_loc_conf_t   *olcf;

    cscf = ctx->srv_conf[ngx_http_core_module.ctx_index];
    olcf = ctx->loc_conf[ngx_http_ollama_module.ctx_index];

    if (olcf->details.len == 0) {
        return;
    }

    for (clcfp = cscf->named_locations; clcfp && *clcfp; clcfp++) {

        if ((*clcfp)->name.len == olcf->details.len
            && ngx_strncmp((*clcfp)->name.data, olcf->details.data,
                           olcf->details.len)
               == 0)
        {
            return;
        }
    }

    ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                  "\"ollama_health %V\" without \"location %V\" in the same "
                  "server: /health will fail for who shows the token, "
                  "add that location or leave the name out, in %V",
                  &olcf->details, &olcf->details, &olcf->details_at);
}


static ngx_module_t *
ngx_http_ollama_find_module(ngx_cycle_t *cycle, const char *name)
{
    ngx_uint_t  i;

    for (i = 0; cycle->modules[i]; i++) {

        if (ngx_strcmp(cycle->modules[i]->name, name) == 0) {
            return cycle->modules[i];
        }
    }

    return NULL;
}


void
ngx_http_ollama_check_process(ngx_cycle_t *cycle,
    ngx_http_ollama_main_conf_t *omcf)
{
    ngx_core_conf_t  *ccf;

    if (omcf->locations->nelts == 0) {
        return;
    }

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    if (ccf->shutdown_timeout == 0) {
        ngx_log_error(NGX_LOG_WARN, cycle->log, 0,
                      "no \"worker_shutdown_timeout\": after a reload a worker "
                      "stays for as long as its last client does, "
                      "add \"worker_shutdown_timeout 1800s;\" outside of "
                      "\"http { }\"");
    }
}
