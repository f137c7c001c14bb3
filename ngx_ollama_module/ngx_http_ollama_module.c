
#include "ngx_http_ollama_access.h"
#include "ngx_http_ollama_balancer.h"
#include "ngx_http_ollama_board.h"
#include "ngx_http_ollama_config.h"
#include "ngx_http_ollama_health.h"
#include "ngx_http_ollama_outbox.h"
#include "ngx_http_ollama_request.h"
#include "ngx_http_ollama_running.h"
#include "ngx_http_ollama_sender.h"
#include "ngx_http_ollama_status.h"
#include "ngx_http_ollama_uri.h"
#include "ngx_http_ollama_variables.h"
#include "ngx_http_ollama_wait.h"


static ngx_int_t ngx_http_ollama_init(ngx_conf_t *cf);
static ngx_int_t ngx_http_ollama_check_upstreams(ngx_conf_t *cf);
static void *ngx_http_ollama_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_ollama_init_main_conf(ngx_conf_t *cf, void *conf);
static ngx_int_t ngx_http_ollama_add_outbox(ngx_conf_t *cf,
    ngx_http_ollama_main_conf_t *omcf);
static void *ngx_http_ollama_create_srv_conf(ngx_conf_t *cf);
static char *ngx_http_ollama_merge_srv_conf(ngx_conf_t *cf, void *parent,
    void *child);
static void *ngx_http_ollama_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_ollama_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static ngx_int_t ngx_http_ollama_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_ollama_init_process(ngx_cycle_t *cycle);
static void ngx_http_ollama_exit_process(ngx_cycle_t *cycle);

static char *ngx_http_ollama_zone(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_ollama_keys(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_ollama_queue(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_ollama_upstream(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_ollama_statsd(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_ollama_bodies(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_ollama_origins(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_ollama_client_variable(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_ollama_status(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_ollama_health(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_http_ollama_target_t *ngx_http_ollama_add_target(ngx_conf_t *cf,
    ngx_http_ollama_main_conf_t *omcf);


static ngx_conf_enum_t  ngx_http_ollama_log_levels[] = {
    { ngx_string("info"), NGX_LOG_INFO },
    { ngx_string("notice"), NGX_LOG_NOTICE },
    { ngx_string("warn"), NGX_LOG_WARN },
    { ngx_string("error"), NGX_LOG_ERR },
    { ngx_null_string, 0 }
};


static ngx_command_t  ngx_http_ollama_commands[] = {

    { ngx_string("ollama_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE2,
      ngx_http_ollama_zone,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ollama_config"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_ollama_main_conf_t, config),
      NULL },

    { ngx_string("ollama_env_file"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_ollama_main_conf_t, env_file),
      NULL },

    { ngx_string("ollama_statsd"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE12,
      ngx_http_ollama_statsd,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ollama_origins"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_ollama_origins,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ollama_keys"),
      NGX_HTTP_UPS_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE12,
      ngx_http_ollama_keys,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ollama_queue"),
      NGX_HTTP_UPS_CONF|NGX_CONF_TAKE12,
      ngx_http_ollama_queue,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ollama_dry_run"),
      NGX_HTTP_UPS_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_SRV_CONF_OFFSET,
      offsetof(ngx_http_ollama_srv_conf_t, dry_run),
      NULL },

    { ngx_string("ollama_normalize_uri"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_SRV_CONF_OFFSET,
      offsetof(ngx_http_ollama_srv_conf_t, normalize_uri),
      NULL },

    { ngx_string("ollama"),
      NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ollama_loc_conf_t, enable),
      NULL },

    { ngx_string("ollama_access"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ollama_loc_conf_t, access),
      NULL },

    { ngx_string("ollama_headers"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ollama_loc_conf_t, headers),
      NULL },

    { ngx_string("ollama_bodies"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ollama_bodies,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ollama_no_log"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ollama_loc_conf_t, no_log),
      NULL },

    { ngx_string("ollama_upstream"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_ollama_upstream,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ollama_version"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ollama_loc_conf_t, version),
      NULL },

    { ngx_string("ollama_client"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ollama_client_variable,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ollama_log_level"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ollama_loc_conf_t, log_level),
      &ngx_http_ollama_log_levels },

    { ngx_string("ollama_status"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE1,
      ngx_http_ollama_status,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ollama_health"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE1,
      ngx_http_ollama_health,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_ollama_module_ctx = {
    ngx_http_ollama_add_variables,         /* preconfiguration */
    ngx_http_ollama_init,                  /* postconfiguration */

    ngx_http_ollama_create_main_conf,      /* create main configuration */
    ngx_http_ollama_init_main_conf,        /* init main configuration */

    ngx_http_ollama_create_srv_conf,       /* create server configuration */
    ngx_http_ollama_merge_srv_conf,        /* merge server configuration */

    ngx_http_ollama_create_loc_conf,       /* create location configuration */
    ngx_http_ollama_merge_loc_conf         /* merge location configuration */
};


ngx_module_t  ngx_http_ollama_module = {
    NGX_MODULE_V1,
    &ngx_http_ollama_module_ctx,           /* module context */
    ngx_http_ollama_commands,              /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_http_ollama_init_module,           /* init module */
    ngx_http_ollama_init_process,          /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_ollama_exit_process,          /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
ngx_http_ollama_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    if (ngx_http_ollama_check_upstreams(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_SERVER_REWRITE_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_ollama_uri_handler;

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_REWRITE_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_ollama_rewrite_handler;

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_ACCESS_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_ollama_access_handler;

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_PRECONTENT_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_ollama_request_handler;

    return NGX_OK;
}


/*
 * Which upstreams have keys.  A name that is none would be looked for in the
 * DNS, request by request.
 */

static ngx_int_t
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
        ngx_conf_init_value(oscf->dry_run, 0);

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


static void *
ngx_http_ollama_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_ollama_target_t    **target;
    ngx_http_ollama_main_conf_t  *omcf;

    omcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_ollama_main_conf_t));
    if (omcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     omcf->pool = NULL;
     *     omcf->outbox = NULL;
     *     omcf->running = NULL;
     *     omcf->zone = { 0, NULL };
     *     omcf->config = { 0, NULL };
     *     omcf->env_file = { 0, NULL };
     *     omcf->token = { 0, NULL };
     *     omcf->statsd.sockaddr = NULL;
     *     omcf->open = 0;
     *     omcf->origins = NULL;
     *     omcf->queues = 0;
     */

    omcf->end = ngx_http_ollama_request_end;

    omcf->targets = ngx_array_create(cf->pool, 4,
                                     sizeof(ngx_http_ollama_target_t *));
    if (omcf->targets == NULL) {
        return NULL;
    }

    target = ngx_array_push(omcf->targets);
    if (target == NULL) {
        return NULL;
    }

    *target = &omcf->target;

    ngx_str_set(&omcf->target.url, "https://ollama_cloud");
    ngx_str_set(&omcf->target.name, "ollama_cloud");
    ngx_str_set(&omcf->target.host, "ollama.com");

    return omcf;
}


static char *
ngx_http_ollama_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_ollama_main_conf_t  *omcf = conf;

    if (omcf->pool == NULL && omcf->config.len == 0) {
        return NGX_CONF_OK;
    }

    if (omcf->pool == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"ollama_config\" needs \"ollama_zone\", "
                           "for example \"ollama_zone ollama 8m;\"");
        return NGX_CONF_ERROR;
    }

    if (omcf->config.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"ollama_zone\" needs \"ollama_config\", "
                           "the path of config.yaml");
        return NGX_CONF_ERROR;
    }

    if (omcf->statsd.sockaddr
        && ngx_http_ollama_add_outbox(cf, omcf) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_ollama_keep_environment(cf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return ngx_http_ollama_load_config(cf, omcf);
}


/* zones of its own, whose names are derived: none can be taken twice */

static ngx_int_t
ngx_http_ollama_add_outbox(ngx_conf_t *cf, ngx_http_ollama_main_conf_t *omcf)
{
    ngx_str_t  name;

    name.data = ngx_pnalloc(cf->pool, omcf->zone.len + sizeof("_running"));
    if (name.data == NULL) {
        return NGX_ERROR;
    }

    name.len = ngx_sprintf(name.data, "%V_outbox", &omcf->zone) - name.data;

    omcf->outbox = ngx_http_ollama_outbox_create(cf, &name,
                                                 omcf->outbox_size);
    if (omcf->outbox == NULL) {
        return NGX_ERROR;
    }

    name.data = ngx_pnalloc(cf->pool, omcf->zone.len + sizeof("_running"));
    if (name.data == NULL) {
        return NGX_ERROR;
    }

    name.len = ngx_sprintf(name.data, "%V_running", &omcf->zone) - name.data;

    omcf->running = ngx_http_ollama_board_create_zone(cf, &name);
    if (omcf->running == NULL) {
        return NGX_ERROR;
    }

    ngx_http_ollama_pool_set_changed(omcf->pool,
                                     ngx_http_ollama_outbox_penalty,
                                     omcf->outbox);
    return NGX_OK;
}


static void *
ngx_http_ollama_create_srv_conf(ngx_conf_t *cf)
{
    ngx_http_ollama_srv_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_ollama_srv_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    conf->normalize_uri = NGX_CONF_UNSET;
    conf->queue = NGX_CONF_UNSET_UINT;
    conf->queue_timeout = NGX_CONF_UNSET_MSEC;
    conf->dry_run = NGX_CONF_UNSET;

    return conf;
}


static char *
ngx_http_ollama_merge_srv_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_ollama_srv_conf_t  *prev = parent;
    ngx_http_ollama_srv_conf_t  *conf = child;

    ngx_conf_merge_value(conf->normalize_uri, prev->normalize_uri, 0);

    return NGX_CONF_OK;
}


static void *
ngx_http_ollama_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_ollama_loc_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_ollama_loc_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     conf->health = 0;
     *     conf->details = { 0, NULL };
     *     conf->status = 0;
     *     conf->target = NULL;
     *     conf->version = { 0, NULL };
     */

    conf->enable = NGX_CONF_UNSET;
    conf->access = NGX_CONF_UNSET;
    conf->headers = NGX_CONF_UNSET;
    conf->no_log = NGX_CONF_UNSET;
    conf->log_level = NGX_CONF_UNSET_UINT;
    conf->bodies = NGX_CONF_UNSET_SIZE;
    conf->client = NGX_CONF_UNSET;

    return conf;
}


static char *
ngx_http_ollama_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_ollama_loc_conf_t  *prev = parent;
    ngx_http_ollama_loc_conf_t  *conf = child;

    ngx_http_ollama_main_conf_t  *omcf;

    ngx_conf_merge_value(conf->enable, prev->enable, 0);
    ngx_conf_merge_value(conf->access, prev->access, 0);
    ngx_conf_merge_value(conf->headers, prev->headers, 1);
    ngx_conf_merge_value(conf->no_log, prev->no_log, 0);
    ngx_conf_merge_size_value(conf->bodies, prev->bodies, 1024 * 1024);
    ngx_conf_merge_str_value(conf->version, prev->version, "0.33.3");

    ngx_conf_merge_uint_value(conf->log_level, prev->log_level, NGX_LOG_WARN);
    ngx_conf_merge_value(conf->client, prev->client, NGX_CONF_UNSET);

    omcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_ollama_module);

    if (conf->target == NULL) {
        conf->target = prev->target ? prev->target : &omcf->target;
    }

    if (conf->enable || conf->health || conf->status || conf->access) {

        if (omcf->pool == NULL) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"ollama\", \"ollama_access\", "
                               "\"ollama_health\" and \"ollama_status\" "
                               "need \"ollama_zone\" and \"ollama_config\" "
                               "on the http level");
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_ollama_init_module(ngx_cycle_t *cycle)
{
    ngx_http_ollama_main_conf_t  *omcf;

    omcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_ollama_module);

    if (omcf && omcf->pool) {
        ngx_http_ollama_pool_commit(omcf->pool);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_ollama_init_process(ngx_cycle_t *cycle)
{
    ngx_http_ollama_main_conf_t  *omcf;

    /* the cache manager and loader come here as well */

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    omcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_ollama_module);

    if (omcf == NULL || omcf->pool == NULL) {
        return NGX_OK;
    }

    ngx_http_ollama_pool_init_process(omcf->pool, cycle->log);
    ngx_http_ollama_wait_init_process(omcf->pool);

    if (omcf->outbox) {
        ngx_http_ollama_running_init_process(omcf->running, cycle->log);
        ngx_http_ollama_sender_init_process(omcf, cycle);
    }

    return NGX_OK;
}


static void
ngx_http_ollama_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_ollama_ctx_t        *ctx;
    ngx_http_ollama_main_conf_t  *omcf;

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return;
    }

    omcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_ollama_module);

    if (omcf == NULL || omcf->pool == NULL) {
        return;
    }

    if (omcf->outbox) {

        /* a fast shutdown waits for nobody: what runs is put on record */

        for ( ;; ) {
            ctx = ngx_http_ollama_running_first();

            if (ctx == NULL) {
                break;
            }

            ngx_http_ollama_request_stop(ctx);
        }

        ngx_http_ollama_running_exit_process();
        ngx_http_ollama_sender_exit_process();
    }

    ngx_http_ollama_pool_exit_process(omcf->pool);
}


static char *
ngx_http_ollama_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ollama_main_conf_t  *omcf = conf;

    ssize_t     size;
    ngx_str_t  *value;

    if (omcf->pool) {
        return "is duplicate";
    }

    value = cf->args->elts;

    size = ngx_parse_size(&value[2]);

    if (size == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid zone size \"%V\"", &value[2]);
        return NGX_CONF_ERROR;
    }

    omcf->zone = value[1];

    omcf->pool = ngx_http_ollama_pool_create(cf, &value[1], size);
    if (omcf->pool == NULL) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_ollama_keys(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ollama_srv_conf_t  *oscf = conf;

    ngx_int_t                      n;
    ngx_str_t                     *value, time;
    ngx_uint_t                     i;
    ngx_http_upstream_srv_conf_t  *uscf;
    ngx_http_ollama_main_conf_t   *omcf;

    if (oscf->tries) {
        return "is duplicate";
    }

    omcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_ollama_module);

    if (omcf->pool == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"ollama_keys\" needs \"ollama_zone\" before it, "
                           "on the http level");
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "tries=", 6) == 0 && oscf->tries == 0) {
            n = ngx_atoi(value[i].data + 6, value[i].len - 6);

            if (n < 1 || n > NGX_HTTP_OLLAMA_MAX_TRIES) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "invalid value \"%V\", it must be between "
                                   "1 and %d", &value[i],
                                   NGX_HTTP_OLLAMA_MAX_TRIES);
                return NGX_CONF_ERROR;
            }

            oscf->tries = n;
            continue;
        }

        if (ngx_strncmp(value[i].data, "tries_time=", 11) == 0
            && oscf->tries_time == 0)
        {
            time.data = value[i].data + 11;
            time.len = value[i].len - 11;

            oscf->tries_time = ngx_parse_time(&time, 0);

            if (oscf->tries_time == (ngx_msec_t) NGX_ERROR
                || oscf->tries_time == 0)
            {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "invalid value \"%V\", expected a time, "
                                   "for example \"tries_time=15s\"",
                                   &value[i]);
                return NGX_CONF_ERROR;
            }

            continue;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\", expected "
                           "\"tries=number\" or \"tries_time=time\", once",
                           &value[i]);
        return NGX_CONF_ERROR;
    }

    if (oscf->tries == 0) {
        oscf->tries = 4;
    }

    if (oscf->tries_time == 0) {
        oscf->tries_time = 15000;
    }

    uscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_upstream_module);

    oscf->original_init_upstream = uscf->peer.init_upstream
                                          ? uscf->peer.init_upstream
                                          : ngx_http_upstream_init_round_robin;

    uscf->peer.init_upstream = ngx_http_ollama_init_upstream;

    return NGX_CONF_OK;
}


static char *
ngx_http_ollama_queue(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ollama_srv_conf_t  *oscf = conf;

    ngx_int_t   n;
    ngx_str_t  *value, s;

    if (oscf->queue != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    n = ngx_atoi(value[1].data, value[1].len);

    if (n == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid number of requests \"%V\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    oscf->queue = n;

    if (cf->args->nelts == 3) {

        if (ngx_strncmp(value[2].data, "timeout=", 8) != 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\", "
                               "expected \"timeout=time\"", &value[2]);
            return NGX_CONF_ERROR;
        }

        s.data = value[2].data + 8;
        s.len = value[2].len - 8;

        oscf->queue_timeout = ngx_parse_time(&s, 0);

        if (oscf->queue_timeout == (ngx_msec_t) NGX_ERROR) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid time \"%V\"", &s);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_ollama_upstream(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ollama_loc_conf_t  *olcf = conf;

    u_char                       *p, *last;
    ngx_str_t                    *value;
    ngx_http_ollama_target_t     *target;
    ngx_http_ollama_main_conf_t  *omcf;

    if (olcf->target) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strncmp(value[1].data, "http://", 7) == 0) {
        p = value[1].data + 7;

    } else if (ngx_strncmp(value[1].data, "https://", 8) == 0) {
        p = value[1].data + 8;

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid URL \"%V\", expected \"https://name\" "
                           "with the name of an upstream", &value[1]);
        return NGX_CONF_ERROR;
    }

    last = value[1].data + value[1].len;

    if (p == last || ngx_strlchr(p, last, '/') != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid URL \"%V\", it must end with the name "
                           "of an upstream", &value[1]);
        return NGX_CONF_ERROR;
    }

    omcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_ollama_module);

    target = ngx_http_ollama_add_target(cf, omcf);
    if (target == NULL) {
        return NGX_CONF_ERROR;
    }

    olcf->target = target;

    target->url = value[1];
    target->name.data = p;
    target->name.len = last - p;
    target->host = target->name;

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    if (ngx_strncmp(value[2].data, "host=", 5) != 0 || value[2].len == 5) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\", expected \"host=name\"",
                           &value[2]);
        return NGX_CONF_ERROR;
    }

    target->host.data = value[2].data + 5;
    target->host.len = value[2].len - 5;

    return NGX_CONF_OK;
}


static ngx_http_ollama_target_t *
ngx_http_ollama_add_target(ngx_conf_t *cf, ngx_http_ollama_main_conf_t *omcf)
{
    ngx_http_ollama_target_t  *target, **p;

    target = ngx_pcalloc(cf->pool, sizeof(ngx_http_ollama_target_t));
    if (target == NULL) {
        return NULL;
    }

    p = ngx_array_push(omcf->targets);
    if (p == NULL) {
        return NULL;
    }

    *p = target;

    return target;
}


static char *
ngx_http_ollama_statsd(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ollama_main_conf_t  *omcf = conf;

    ssize_t     size;
    ngx_str_t  *value, s;
    ngx_url_t   url;

    if (omcf->statsd.sockaddr) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strncmp(value[1].data, "unix:", 5) != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid address \"%V\", expected \"unix:\" and "
                           "the path of the daemon's socket", &value[1]);
        return NGX_CONF_ERROR;
    }

    ngx_memzero(&url, sizeof(ngx_url_t));

    url.url = value[1];

    if (ngx_parse_url(cf->pool, &url) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s in \"%V\"",
                           url.err ? url.err : "invalid address", &value[1]);
        return NGX_CONF_ERROR;
    }

    size = 32 * 1024 * 1024;

    if (cf->args->nelts == 3) {

        if (ngx_strncmp(value[2].data, "outbox=", 7) != 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\", "
                               "expected \"outbox=size\"", &value[2]);
            return NGX_CONF_ERROR;
        }

        s.data = value[2].data + 7;
        s.len = value[2].len - 7;

        size = ngx_parse_size(&s);

        if (size == NGX_ERROR || size < 256 * 1024) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid size \"%V\", at least 256k is needed",
                               &s);
            return NGX_CONF_ERROR;
        }
    }

    omcf->statsd = url.addrs[0];
    omcf->outbox_size = size;

    return NGX_CONF_OK;
}


static char *
ngx_http_ollama_bodies(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ollama_loc_conf_t  *olcf = conf;

    ngx_str_t  *value;

    value = cf->args->elts;

    if (olcf->bodies != NGX_CONF_UNSET_SIZE) {
        return "is duplicate";
    }

    if (ngx_strcmp(value[1].data, "off") == 0) {
        olcf->bodies = 0;
        return NGX_CONF_OK;
    }

    olcf->bodies = ngx_parse_size(&value[1]);

    if (olcf->bodies == (size_t) NGX_ERROR
        || olcf->bodies > OLLAMA_FRAME_MAX - OLLAMA_RECORD_BODY_HEAD)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid size \"%V\", expected \"off\" or "
                           "up to 15m", &value[1]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_ollama_origins(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ollama_main_conf_t  *omcf = conf;

    ngx_str_t   *value, *s;
    ngx_uint_t   i;

    if (omcf->origins == NULL) {
        omcf->origins = ngx_array_create(cf->pool, 4, sizeof(ngx_str_t));
        if (omcf->origins == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {
        s = ngx_array_push(omcf->origins);
        if (s == NULL) {
            return NGX_CONF_ERROR;
        }

        *s = value[i];
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_ollama_client_variable(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ollama_loc_conf_t  *olcf = conf;

    ngx_str_t  *value;

    if (olcf->client != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (value[1].len < 2 || value[1].data[0] != '$') {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid variable \"%V\", expected its name with "
                           "a \"$\", for example \"$remote_user\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    value[1].data++;
    value[1].len--;

    olcf->client = ngx_http_get_variable_index(cf, &value[1]);

    return (olcf->client == NGX_ERROR) ? NGX_CONF_ERROR : NGX_CONF_OK;
}


static char *
ngx_http_ollama_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ollama_loc_conf_t  *olcf = conf;

    ngx_str_t                 *value;
    ngx_http_core_loc_conf_t  *clcf;

    if (olcf->status) {
        return "is duplicate";
    }

    olcf->status = NGX_HTTP_OLLAMA_STATUS_JSON;

    value = cf->args->elts;

    if (cf->args->nelts == 2) {

        if (ngx_strcmp(value[1].data, "format=prometheus") == 0) {
            olcf->status = NGX_HTTP_OLLAMA_STATUS_PROMETHEUS;

        } else if (ngx_strcmp(value[1].data, "format=json") != 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\", expected "
                               "\"format=json\" or \"format=prometheus\"",
                               &value[1]);
            return NGX_CONF_ERROR;
        }
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_ollama_status_handler;

    return NGX_CONF_OK;
}


static char *
ngx_http_ollama_health(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ollama_loc_conf_t  *olcf = conf;

    ngx_str_t                 *value;
    ngx_http_core_loc_conf_t  *clcf;

    if (olcf->health) {
        return "is duplicate";
    }

    olcf->health = 1;

    if (cf->args->nelts == 2) {
        value = cf->args->elts;

        if (value[1].data[0] != '@') {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\", expected the name "
                               "of a named location", &value[1]);
            return NGX_CONF_ERROR;
        }

        olcf->details = value[1];
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_ollama_health_handler;

    return NGX_CONF_OK;
}
