
#include "ngx_http_ollama.h"


static ngx_int_t ngx_http_ollama_authorization_variable(
    ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_ollama_conf_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_ollama_ctx_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_ollama_attempts_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);

static ngx_int_t ngx_http_ollama_add_variables(ngx_conf_t *cf);
static ngx_int_t ngx_http_ollama_init(ngx_conf_t *cf);
static ngx_int_t ngx_http_ollama_check_upstreams(ngx_conf_t *cf);
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
static char *ngx_http_ollama_health(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


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
      NGX_HTTP_UPS_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE1,
      ngx_http_ollama_keys,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ollama_queue"),
      NGX_HTTP_UPS_CONF|NGX_CONF_TAKE12,
      ngx_http_ollama_queue,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
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


static ngx_http_variable_t  ngx_http_ollama_vars[] = {

    { ngx_string("ollama_authorization"), NULL,
      ngx_http_ollama_authorization_variable, 0,
      NGX_HTTP_VAR_NOCACHEABLE|NGX_HTTP_VAR_NOHASH, 0 },

    { ngx_string("ollama_upstream"), NULL, ngx_http_ollama_conf_variable,
      offsetof(ngx_http_ollama_loc_conf_t, upstream), 0, 0 },

    { ngx_string("ollama_host"), NULL, ngx_http_ollama_conf_variable,
      offsetof(ngx_http_ollama_loc_conf_t, host), 0, 0 },

    { ngx_string("ollama_key"), NULL, ngx_http_ollama_ctx_variable,
      offsetof(ngx_http_ollama_ctx_t, key_name),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ollama_model"), NULL, ngx_http_ollama_ctx_variable,
      offsetof(ngx_http_ollama_ctx_t, want)
      + offsetof(ngx_http_ollama_want_t, model),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ollama_attempts"), NULL, ngx_http_ollama_attempts_variable,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


static ngx_int_t
ngx_http_ollama_authorization_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_ollama_ctx_t  *ctx;

    ctx = ngx_http_ollama_get_ctx(r);

    if (ctx) {
        ctx->authorized = 1;
    }

    if (ctx == NULL || ctx->key == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->data = ctx->key->authorization.data;
    v->len = ctx->key->authorization.len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_ollama_conf_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t                   *s;
    ngx_http_ollama_loc_conf_t  *olcf;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_ollama_module);

    s = (ngx_str_t *) ((char *) olcf + data);

    v->data = s->data;
    v->len = s->len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_ollama_ctx_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t              *s;
    ngx_http_ollama_ctx_t  *ctx;

    ctx = ngx_http_ollama_get_ctx(r);

    if (ctx == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    s = (ngx_str_t *) ((char *) ctx + data);

    if (s->len == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->data = s->data;
    v->len = s->len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_ollama_attempts_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char                 *p;
    ngx_http_ollama_ctx_t  *ctx;

    ctx = ngx_http_ollama_get_ctx(r);

    if (ctx == NULL || ctx->nattempts == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    v->data = p;
    v->len = ngx_sprintf(p, "%ui", ctx->nattempts) - p;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_ollama_add_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_http_ollama_vars; v->name.len; v++) {
        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


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


/* a name that is no upstream would be looked for in the DNS, request by request */

static ngx_int_t
ngx_http_ollama_check_upstreams(ngx_conf_t *cf)
{
    ngx_str_t                       *name;
    ngx_uint_t                       i, j;
    ngx_http_ollama_main_conf_t     *omcf;
    ngx_http_upstream_srv_conf_t   **uscfp;
    ngx_http_upstream_main_conf_t   *umcf;

    omcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_ollama_module);

    if (omcf->upstreams == NULL) {
        return NGX_OK;
    }

    umcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_upstream_module);

    uscfp = umcf->upstreams.elts;
    name = omcf->upstreams->elts;

    for (i = 0; i < omcf->upstreams->nelts; i++) {

        for (j = 0; j < umcf->upstreams.nelts; j++) {
            if (uscfp[j]->host.len == name[i].len
                && ngx_strncasecmp(uscfp[j]->host.data, name[i].data,
                                   name[i].len)
                   == 0)
            {
                break;
            }
        }

        if (j == umcf->upstreams.nelts) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "there is no \"upstream %V { }\", which "
                          "\"ollama_upstream\" names", &name[i]);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void *
ngx_http_ollama_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_ollama_main_conf_t  *omcf;

    omcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_ollama_main_conf_t));
    if (omcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     omcf->shm_zone = NULL;
     *     omcf->keys = NULL;
     *     omcf->outbox = NULL;
     *     omcf->config = { 0, NULL };
     *     omcf->env_file = { 0, NULL };
     *     omcf->token = { 0, NULL };
     *     omcf->open = 0;
     *     omcf->origins = NULL;
     */

    omcf->queue = NGX_CONF_UNSET_UINT;
    omcf->queue_timeout = NGX_CONF_UNSET_MSEC;

    return omcf;
}


static char *
ngx_http_ollama_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_ollama_main_conf_t  *omcf = conf;

    ngx_conf_init_uint_value(omcf->queue, 512);
    ngx_conf_init_msec_value(omcf->queue_timeout, 60000);

    if (omcf->shm_zone == NULL && omcf->config.len == 0) {
        return NGX_CONF_OK;
    }

    if (omcf->shm_zone == NULL) {
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

    if (omcf->outbox) {
        omcf->outbox->keys = omcf->keys;
        omcf->keys->changed = ngx_http_ollama_outbox_penalty;
        omcf->keys->data = omcf->outbox;
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
     *     conf->upstream = { 0, NULL };
     *     conf->host = { 0, NULL };
     *     conf->version = { 0, NULL };
     */

    conf->enable = NGX_CONF_UNSET;
    conf->access = NGX_CONF_UNSET;
    conf->headers = NGX_CONF_UNSET;
    conf->no_log = NGX_CONF_UNSET;
    conf->bodies = NGX_CONF_UNSET_SIZE;

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

    if (conf->upstream.data == NULL) {
        conf->upstream = prev->upstream;
        conf->host = prev->host;
    }

    if (conf->upstream.data == NULL) {
        ngx_str_set(&conf->upstream, "https://ollama_cloud");
        ngx_str_set(&conf->host, "ollama.com");
    }

    if (conf->enable || conf->health || conf->access) {
        omcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_ollama_module);

        if (omcf->shm_zone == NULL) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"ollama\", \"ollama_access\" and "
                               "\"ollama_health\" need \"ollama_zone\" and "
                               "\"ollama_config\" on the http level");
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

    if (omcf && omcf->keys && omcf->keys->pool) {
        ngx_http_ollama_keys_commit(omcf->keys);
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

    if (omcf && omcf->keys && omcf->keys->pool) {
        ngx_http_ollama_keys_init_process(omcf->keys, cycle->log);
        ngx_http_ollama_queue_init_process(omcf->keys);

        if (omcf->outbox) {
            ngx_http_ollama_running_init_process(omcf->outbox->running,
                                                 cycle->log);
            ngx_http_ollama_sender_init_process(omcf->outbox, cycle);
        }
    }

    return NGX_OK;
}


static void
ngx_http_ollama_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_ollama_main_conf_t  *omcf;

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return;
    }

    omcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_ollama_module);

    if (omcf && omcf->keys && omcf->keys->pool) {
        ngx_http_ollama_running_exit_process();
        ngx_http_ollama_sender_exit_process();
        ngx_http_ollama_keys_exit_process(omcf->keys);
    }
}


static char *
ngx_http_ollama_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ollama_main_conf_t  *omcf = conf;

    ssize_t     size;
    ngx_str_t  *value;

    if (omcf->shm_zone) {
        return "is duplicate";
    }

    value = cf->args->elts;

    size = ngx_parse_size(&value[2]);

    if (size == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid zone size \"%V\"", &value[2]);
        return NGX_CONF_ERROR;
    }

    if (size < (ssize_t) (32 * ngx_pagesize)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "zone \"%V\" is too small, at least %uz bytes "
                           "are needed", &value[1],
                           (size_t) 32 * ngx_pagesize);
        return NGX_CONF_ERROR;
    }

    omcf->keys = ngx_pcalloc(cf->pool, sizeof(ngx_http_ollama_keys_t));
    if (omcf->keys == NULL) {
        return NGX_CONF_ERROR;
    }

    omcf->shm_zone = ngx_shared_memory_add(cf, &value[1], size,
                                           &ngx_http_ollama_module);
    if (omcf->shm_zone == NULL) {
        return NGX_CONF_ERROR;
    }

    omcf->shm_zone->init = ngx_http_ollama_keys_init_zone;
    omcf->shm_zone->data = omcf->keys;

    omcf->keys->shm_zone = omcf->shm_zone;
    omcf->keys->process = NGX_HTTP_OLLAMA_PROCESSES;

    return NGX_CONF_OK;
}


static char *
ngx_http_ollama_keys(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ollama_srv_conf_t  *oscf = conf;

    ngx_int_t                      n;
    ngx_str_t                     *value;
    ngx_http_upstream_srv_conf_t  *uscf;
    ngx_http_ollama_main_conf_t   *omcf;

    if (oscf->tries) {
        return "is duplicate";
    }

    omcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_ollama_module);

    if (omcf->shm_zone == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"ollama_keys\" needs \"ollama_zone\" before it, "
                           "on the http level");
        return NGX_CONF_ERROR;
    }

    oscf->tries = 4;

    value = cf->args->elts;

    if (cf->args->nelts == 2) {

        if (ngx_strncmp(value[1].data, "tries=", 6) != 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\", "
                               "expected \"tries=number\"", &value[1]);
            return NGX_CONF_ERROR;
        }

        n = ngx_atoi(value[1].data + 6, value[1].len - 6);

        if (n < 1 || n > NGX_HTTP_OLLAMA_MAX_TRIES) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid value \"%V\", it must be between "
                               "1 and %d", &value[1],
                               NGX_HTTP_OLLAMA_MAX_TRIES);
            return NGX_CONF_ERROR;
        }

        oscf->tries = n;
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
    ngx_http_ollama_main_conf_t  *omcf = conf;

    ngx_int_t   n;
    ngx_str_t  *value, s;

    if (omcf->queue != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    n = ngx_atoi(value[1].data, value[1].len);

    if (n == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid number of requests \"%V\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    omcf->queue = n;

    if (cf->args->nelts == 3) {

        if (ngx_strncmp(value[2].data, "timeout=", 8) != 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\", "
                               "expected \"timeout=time\"", &value[2]);
            return NGX_CONF_ERROR;
        }

        s.data = value[2].data + 8;
        s.len = value[2].len - 8;

        omcf->queue_timeout = ngx_parse_time(&s, 0);

        if (omcf->queue_timeout == (ngx_msec_t) NGX_ERROR) {
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
    ngx_str_t                    *value, *s;
    ngx_http_ollama_main_conf_t  *omcf;

    if (olcf->upstream.data) {
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

    olcf->upstream = value[1];

    olcf->host.data = p;
    olcf->host.len = last - p;

    omcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_ollama_module);

    if (omcf->upstreams == NULL) {
        omcf->upstreams = ngx_array_create(cf->pool, 4, sizeof(ngx_str_t));
        if (omcf->upstreams == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    s = ngx_array_push(omcf->upstreams);
    if (s == NULL) {
        return NGX_CONF_ERROR;
    }

    *s = olcf->host;

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    if (ngx_strncmp(value[2].data, "host=", 5) != 0 || value[2].len == 5) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\", expected \"host=name\"",
                           &value[2]);
        return NGX_CONF_ERROR;
    }

    olcf->host.data = value[2].data + 5;
    olcf->host.len = value[2].len - 5;

    return NGX_CONF_OK;
}


static char *
ngx_http_ollama_statsd(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ollama_main_conf_t  *omcf = conf;

    ssize_t                    size;
    ngx_str_t                 *value, name, s;
    ngx_url_t                  url;
    ngx_http_ollama_outbox_t  *outbox;

    if (omcf->outbox) {
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

    outbox = ngx_pcalloc(cf->pool, sizeof(ngx_http_ollama_outbox_t));
    if (outbox == NULL) {
        return NGX_CONF_ERROR;
    }

    outbox->addr = url.addrs[0];

    ngx_str_set(&name, "ollama_outbox");

    outbox->shm_zone = ngx_shared_memory_add(cf, &name, size,
                                             &ngx_http_ollama_module);
    if (outbox->shm_zone == NULL) {
        return NGX_CONF_ERROR;
    }

    outbox->shm_zone->init = ngx_http_ollama_outbox_init_zone;
    outbox->shm_zone->data = outbox;

    outbox->running = ngx_http_ollama_running_create(cf);
    if (outbox->running == NULL) {
        return NGX_CONF_ERROR;
    }

    omcf->outbox = outbox;

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
