
#include "ngx_http_ollama_access.h"
#include "ngx_http_ollama_affinity.h"
#include "ngx_http_ollama_check.h"
#include "ngx_http_ollama_config.h"
#include "ngx_http_ollama_directives.h"
#include "ngx_http_ollama_hold.h"
#include "ngx_http_ollama_late.h"
#include "ngx_http_ollama_lists.h"
#include "ngx_http_ollama_pass.h"
#include "ngx_http_ollama_private.h"
#include "ngx_http_ollama_request.h"
#include "ngx_http_ollama_running.h"
#include "ngx_http_ollama_sender.h"
#include "ngx_http_ollama_shed.h"
#include "ngx_http_ollama_uri.h"
#include "ngx_http_ollama_variables.h"
#include "ngx_http_ollama_wait.h"
#include "ngx_http_ollama_zones.h"


static ngx_int_t ngx_http_ollama_init(ngx_conf_t *cf);
static void *ngx_http_ollama_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_ollama_init_main_conf(ngx_conf_t *cf, void *conf);
static void *ngx_http_ollama_create_srv_conf(ngx_conf_t *cf);
static char *ngx_http_ollama_merge_srv_conf(ngx_conf_t *cf, void *parent,
    void *child);
static void *ngx_http_ollama_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_ollama_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static ngx_int_t ngx_http_ollama_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_ollama_init_process(ngx_cycle_t *cycle);
static void ngx_http_ollama_exit_process(ngx_cycle_t *cycle);


static ngx_conf_enum_t  ngx_http_ollama_log_levels[] = {
    { ngx_string("info"), NGX_LOG_INFO },
    { ngx_string("notice"), NGX_LOG_NOTICE },
    { ngx_string("warn"), NGX_LOG_WARN },
    { ngx_string("error"), NGX_LOG_ERR },
    { ngx_null_string, 0 }
};


static ngx_conf_enum_t  ngx_http_ollama_accesses[] = {
    { ngx_string("off"), NGX_HTTP_OLLAMA_ACCESS_OFF },
    { ngx_string("on"), NGX_HTTP_OLLAMA_ACCESS_ON },
    { ngx_string("admin"), NGX_HTTP_OLLAMA_ACCESS_ADMIN },
    { ngx_string("metrics"), NGX_HTTP_OLLAMA_ACCESS_METRICS },
    { ngx_null_string, 0 }
};


static ngx_conf_enum_t  ngx_http_ollama_unknown_paths[] = {
    { ngx_string("pass"), 0 },
    { ngx_string("refuse"), 1 },
    { ngx_null_string, 0 }
};


static ngx_command_t  ngx_http_ollama_commands[] = {

    { ngx_string("ollama_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE2,
      ngx_http_ollama_set_zone,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ollama_config"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_ollama_main_conf_t, config),
      NULL },

    { ngx_string("ollama_prices"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_ollama_main_conf_t, prices_file),
      NULL },

    { ngx_string("ollama_env_file"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_ollama_main_conf_t, env_file),
      NULL },

    { ngx_string("ollama_statsd"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE123,
      ngx_http_ollama_set_statsd,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ollama_balance"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE12,
      ngx_http_ollama_set_balance,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ollama_origins"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_ollama_set_origins,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ollama_keys"),
      NGX_HTTP_UPS_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE1234,
      ngx_http_ollama_set_keys,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ollama_queue"),
      NGX_HTTP_UPS_CONF|NGX_CONF_TAKE12,
      ngx_http_ollama_set_queue,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ollama_hold"),
      NGX_HTTP_UPS_CONF|NGX_CONF_TAKE123,
      ngx_http_ollama_set_hold,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ollama_affinity"),
      NGX_HTTP_UPS_CONF|NGX_CONF_TAKE1234,
      ngx_http_ollama_set_affinity,
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
      ngx_http_ollama_set_enable,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ollama_loc_conf_t, enable),
      NULL },

    { ngx_string("ollama_access"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ollama_loc_conf_t, access),
      &ngx_http_ollama_accesses },

    { ngx_string("ollama_headers"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ollama_loc_conf_t, headers),
      NULL },

    { ngx_string("ollama_bodies"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ollama_set_bodies,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ollama_no_log"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ollama_loc_conf_t, no_log),
      NULL },

    { ngx_string("ollama_keepalive"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ollama_set_time,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ollama_loc_conf_t, keepalive),
      NULL },

    { ngx_string("ollama_upstream"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_ollama_set_upstream,
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
      ngx_http_ollama_set_client,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ollama_pass_header"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_ollama_set_pass_header,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ollama_path"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE3,
      ngx_http_ollama_set_path,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ollama_unknown_paths"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ollama_loc_conf_t, refuse_unknown),
      &ngx_http_ollama_unknown_paths },

    { ngx_string("ollama_log_level"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ollama_loc_conf_t, log_level),
      &ngx_http_ollama_log_levels },

    { ngx_string("ollama_first_token"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_ollama_set_time,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_ollama_loc_conf_t, first_token),
      NULL },

    { ngx_string("ollama_status"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE1,
      ngx_http_ollama_set_status,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ollama_health"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE1,
      ngx_http_ollama_set_health,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ollama_private"),
      NGX_HTTP_LOC_CONF|NGX_CONF_ANY,
      ngx_http_ollama_set_private,
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

    ngx_http_ollama_check_locations(cf);

    if (ngx_http_ollama_check_private(cf) != NGX_OK) {
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
     *     omcf->prices_file = { 0, NULL };
     *     omcf->prices = NULL;
     *     omcf->token = { 0, NULL };
     *     omcf->statsd.sockaddr = NULL;
     *     omcf->origins = NULL;
     *     omcf->accounts = NULL;
     *     omcf->private = { 0, NULL };
     *     omcf->balance_interval = 0;
     */

    omcf->balance = NGX_CONF_UNSET;

    omcf->end = ngx_http_ollama_request_end;

    omcf->locations = ngx_array_create(cf->pool, 4,
                                       sizeof(ngx_http_conf_ctx_t));
    if (omcf->locations == NULL) {
        return NULL;
    }

    omcf->privates = ngx_array_create(cf->pool, 2,
                                      sizeof(ngx_http_conf_ctx_t));
    if (omcf->privates == NULL) {
        return NULL;
    }

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
        && ngx_http_ollama_zones_add(cf, omcf) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_ollama_keep_environment(cf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return ngx_http_ollama_load_config(cf, omcf);
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
    conf->hold = NGX_CONF_UNSET;
    conf->hold_max = NGX_CONF_UNSET_UINT;
    conf->dry_run = NGX_CONF_UNSET;
    conf->affinity = NGX_CONF_UNSET;

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
     *     conf->pass_lines = NULL;
     *     conf->pass = NULL;
     *     conf->paths = NULL;
     *     conf->private = NULL;
     */

    conf->enable = NGX_CONF_UNSET;
    conf->access = NGX_CONF_UNSET_UINT;
    conf->headers = NGX_CONF_UNSET;
    conf->no_log = NGX_CONF_UNSET;
    conf->log_level = NGX_CONF_UNSET_UINT;
    conf->bodies = NGX_CONF_UNSET_SIZE;
    conf->keepalive = NGX_CONF_UNSET_MSEC;
    conf->first_token = NGX_CONF_UNSET_MSEC;
    conf->client = NGX_CONF_UNSET;
    conf->refuse_unknown = NGX_CONF_UNSET_UINT;

    return conf;
}


static char *
ngx_http_ollama_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_ollama_loc_conf_t  *prev = parent;
    ngx_http_ollama_loc_conf_t  *conf = child;

    ngx_http_ollama_main_conf_t  *omcf;

    if (conf->enable == NGX_CONF_UNSET) {
        conf->enable_at = prev->enable_at;
    }

    ngx_conf_merge_value(conf->enable, prev->enable, 0);
    ngx_conf_merge_uint_value(conf->access, prev->access,
                              NGX_HTTP_OLLAMA_ACCESS_OFF);
    ngx_conf_merge_value(conf->headers, prev->headers, 1);
    ngx_conf_merge_value(conf->no_log, prev->no_log, 0);
    ngx_conf_merge_size_value(conf->bodies, prev->bodies, 1024 * 1024);
    ngx_conf_merge_msec_value(conf->keepalive, prev->keepalive, 0);
    ngx_conf_merge_msec_value(conf->first_token, prev->first_token, 0);
    ngx_conf_merge_str_value(conf->version, prev->version, "0.40.12");

    ngx_conf_merge_uint_value(conf->log_level, prev->log_level, NGX_LOG_WARN);
    ngx_conf_merge_value(conf->client, prev->client, NGX_CONF_UNSET);
    ngx_conf_merge_uint_value(conf->refuse_unknown, prev->refuse_unknown, 0);

    if (ngx_http_ollama_merge_lists(cf, prev, conf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    omcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_ollama_module);

    if (conf->target == NULL) {
        conf->target = prev->target ? prev->target : &omcf->target;
    }

    return ngx_http_ollama_check_location(cf, omcf, conf);
}


static ngx_int_t
ngx_http_ollama_init_module(ngx_cycle_t *cycle)
{
    ngx_http_ollama_main_conf_t  *omcf;

    omcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_ollama_module);

    if (omcf && omcf->pool) {

        if (ngx_http_ollama_pass_init(cycle, omcf) != NGX_OK) {
            return NGX_ERROR;
        }

        ngx_http_ollama_check_process(cycle, omcf);

        if (omcf->prices == NULL && omcf->own_prices == NULL) {
            ngx_http_ollama_pool_set_tokens(omcf->pool, 1);
        }

        ngx_http_ollama_pool_set_usual(omcf->pool, omcf->usual_price.input);
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
    ngx_http_ollama_shed_init_process(cycle->log);

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
