
#include "ngx_http_ollama_directives.h"
#include "ngx_http_ollama_balancer.h"
#include "ngx_http_ollama_config.h"
#include "ngx_http_ollama_health.h"
#include "ngx_http_ollama_status.h"


#define NGX_HTTP_OLLAMA_PROXY_MAX  64          /* bytes, as in record.h */


static ngx_http_ollama_target_t *ngx_http_ollama_add_target(ngx_conf_t *cf,
    ngx_http_ollama_main_conf_t *omcf);
static ngx_int_t ngx_http_ollama_rule(ngx_conf_t *cf, ngx_str_t *param,
    ngx_http_ollama_rule_t *rule, const char *usual, const char *other);


char *
ngx_http_ollama_set_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
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


char *
ngx_http_ollama_set_keys(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ollama_srv_conf_t  *oscf = conf;

    ngx_int_t                      n;
    ngx_str_t                     *value, time;
    ngx_uint_t                     i, load, strategy;
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
    load = 0;
    strategy = 0;

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

        if (ngx_strncmp(value[i].data, "load=", 5) == 0 && !load) {
            load = 1;

            if (ngx_http_ollama_rule(cf, &value[i], &omcf->load, "load=cost",
                                     "load=tokens")
                != NGX_OK)
            {
                return NGX_CONF_ERROR;
            }

            continue;
        }

        if (ngx_strncmp(value[i].data, "strategy=", 9) == 0 && !strategy) {
            strategy = 1;

            if (ngx_http_ollama_rule(cf, &value[i], &omcf->strategy,
                                     "strategy=least", "strategy=expiring")
                != NGX_OK)
            {
                return NGX_CONF_ERROR;
            }

            continue;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\", expected "
                           "\"tries=number\", \"tries_time=time\", "
                           "\"load=cost|tokens\" or "
                           "\"strategy=least|expiring\", once", &value[i]);
        return NGX_CONF_ERROR;
    }

    if (oscf->tries == 0) {
        oscf->tries = 4;
    }

    if (oscf->tries_time == 0) {
        oscf->tries_time = 15000;
    }

    ngx_http_ollama_pool_set_tokens(omcf->pool, omcf->load.other);
    ngx_http_ollama_pool_set_expiring(omcf->pool, omcf->strategy.other);

    uscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_upstream_module);

    oscf->original_init_upstream = uscf->peer.init_upstream
                                          ? uscf->peer.init_upstream
                                          : ngx_http_upstream_init_round_robin;

    uscf->peer.init_upstream = ngx_http_ollama_init_upstream;

    return NGX_CONF_OK;
}


char *
ngx_http_ollama_set_queue(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
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


char *
ngx_http_ollama_set_upstream(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
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


char *
ngx_http_ollama_set_statsd(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ollama_main_conf_t  *omcf = conf;

    ssize_t      size;
    ngx_str_t   *value, s, proxy;
    ngx_url_t    url;
    ngx_uint_t   i;

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
    proxy = cf->cycle->hostname;

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "outbox=", 7) == 0) {
            s.data = value[i].data + 7;
            s.len = value[i].len - 7;

            size = ngx_parse_size(&s);

            if (size == NGX_ERROR || size < 256 * 1024) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "invalid size \"%V\", at least 256k is "
                                   "needed", &s);
                return NGX_CONF_ERROR;
            }

            continue;
        }

        if (ngx_strncmp(value[i].data, "proxy=", 6) == 0) {
            proxy.data = value[i].data + 6;
            proxy.len = value[i].len - 6;

            if (proxy.len == 0 || proxy.len > NGX_HTTP_OLLAMA_PROXY_MAX) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "invalid name \"%V\", expected 1 to %d "
                                   "bytes", &proxy, NGX_HTTP_OLLAMA_PROXY_MAX);
                return NGX_CONF_ERROR;
            }

            continue;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\", expected "
                           "\"outbox=size\" or \"proxy=name\"", &value[i]);
        return NGX_CONF_ERROR;
    }

    omcf->statsd = url.addrs[0];
    omcf->proxy = proxy;
    omcf->outbox_size = size;

    return NGX_CONF_OK;
}


char *
ngx_http_ollama_set_bodies(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
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


char *
ngx_http_ollama_set_time(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t   *value;
    ngx_msec_t  *time;

    time = (ngx_msec_t *) ((u_char *) conf + cmd->offset);

    if (*time != NGX_CONF_UNSET_MSEC) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        *time = 0;
        return NGX_CONF_OK;
    }

    *time = ngx_parse_time(&value[1], 0);

    if (*time == (ngx_msec_t) NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid time \"%V\", expected one like \"20s\", "
                           "or \"off\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_ollama_set_origins(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
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


char *
ngx_http_ollama_set_client(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
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


char *
ngx_http_ollama_set_enable(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ollama_loc_conf_t  *olcf = conf;

    if (ngx_http_ollama_where(cf, &olcf->enable_at) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return ngx_conf_set_flag_slot(cf, cmd, conf);
}


char *
ngx_http_ollama_set_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
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


char *
ngx_http_ollama_set_health(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
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

        if (ngx_http_ollama_where(cf, &olcf->details_at) != NGX_OK) {
            return NGX_CONF_ERROR;
        }

        olcf->details = value[1];
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_ollama_health_handler;

    return NGX_CONF_OK;
}


/* the keys are one pool: no two upstreams may say different things of it */

static ngx_int_t
ngx_http_ollama_rule(ngx_conf_t *cf, ngx_str_t *param,
    ngx_http_ollama_rule_t *rule, const char *usual, const char *other)
{
    if (ngx_strcmp(param->data, usual) != 0
        && ngx_strcmp(param->data, other) != 0)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\", expected \"%s\" or \"%s\"",
                           param, usual, other);
        return NGX_ERROR;
    }

    if (rule->value.len == 0) {
        rule->value = *param;
        rule->other = (ngx_strcmp(param->data, other) == 0);

        return ngx_http_ollama_where(cf, &rule->at);
    }

    if (ngx_strcmp(rule->value.data, param->data) != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the keys are one pool for all upstreams, and "
                           "\"%V\" is said in %V, but \"%V\"",
                           &rule->value, &rule->at, param);
        return NGX_ERROR;
    }

    return NGX_OK;
}
