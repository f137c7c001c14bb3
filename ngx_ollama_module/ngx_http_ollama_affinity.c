
#include "ngx_http_ollama_affinity.h"
#include "ngx_http_ollama_config.h"


#define NGX_HTTP_OLLAMA_AFFINITY_TTL       3600
#define NGX_HTTP_OLLAMA_AFFINITY_PERCENT   25
#define NGX_HTTP_OLLAMA_AFFINITY_TOKENS    2000000
#define NGX_HTTP_OLLAMA_AFFINITY_SESSIONS  16000

#define NGX_HTTP_OLLAMA_SESSIONS_MIN       100
#define NGX_HTTP_OLLAMA_SESSIONS_MAX       10000000
#define NGX_HTTP_OLLAMA_SLACK_PERCENT      1000
#define NGX_HTTP_OLLAMA_SLACK_TOKENS       1000000000


static char *ngx_http_ollama_affinity_param(ngx_conf_t *cf,
    ngx_http_ollama_srv_conf_t *oscf, ngx_str_t *param);
static char *ngx_http_ollama_affinity_ttl(ngx_conf_t *cf,
    ngx_http_ollama_srv_conf_t *oscf, ngx_str_t *param, ngx_str_t *value);
static char *ngx_http_ollama_affinity_slack(ngx_conf_t *cf,
    ngx_http_ollama_srv_conf_t *oscf, ngx_str_t *param, ngx_str_t *value);
static char *ngx_http_ollama_affinity_sessions(ngx_conf_t *cf,
    ngx_str_t *param, ngx_str_t *value);
static ngx_int_t ngx_http_ollama_count(u_char *p, size_t len);


char *
ngx_http_ollama_set_affinity(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ollama_srv_conf_t  *oscf = conf;

    char        *rv;
    ngx_str_t   *value;
    ngx_uint_t   i;

    if (oscf->affinity != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        oscf->affinity = 0;

        if (cf->args->nelts > 2) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\": \"off\" takes none",
                               &value[2]);
            return NGX_CONF_ERROR;
        }

        return NGX_CONF_OK;
    }

    if (ngx_strcmp(value[1].data, "on") != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\", expected \"on\" or \"off\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    oscf->affinity = 1;

    for (i = 2; i < cf->args->nelts; i++) {
        rv = ngx_http_ollama_affinity_param(cf, oscf, &value[i]);

        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_ollama_affinity_param(ngx_conf_t *cf,
    ngx_http_ollama_srv_conf_t *oscf, ngx_str_t *param)
{
    u_char     *p;
    ngx_str_t   value;

    p = ngx_strlchr(param->data, param->data + param->len, '=');

    if (p) {
        value.data = p + 1;
        value.len = param->data + param->len - value.data;

        if (ngx_strncmp(param->data, "ttl=", 4) == 0) {
            return ngx_http_ollama_affinity_ttl(cf, oscf, param, &value);
        }

        if (ngx_strncmp(param->data, "slack=", 6) == 0) {
            return ngx_http_ollama_affinity_slack(cf, oscf, param, &value);
        }

        if (ngx_strncmp(param->data, "sessions=", 9) == 0) {
            return ngx_http_ollama_affinity_sessions(cf, param, &value);
        }
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\", expected \"ttl=time\", "
                       "\"slack=percent,tokens\" or \"sessions=number\"",
                       param);
    return NGX_CONF_ERROR;
}


static char *
ngx_http_ollama_affinity_ttl(ngx_conf_t *cf, ngx_http_ollama_srv_conf_t *oscf,
    ngx_str_t *param, ngx_str_t *value)
{
    ngx_int_t  ttl;

    ttl = ngx_parse_time(value, 1);

    if (ttl == NGX_ERROR || ttl == 0 || ttl > NGX_MAX_INT32_VALUE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\", expected a time, for example "
                           "\"ttl=1h\"", param);
        return NGX_CONF_ERROR;
    }

    oscf->stay.ttl = ttl;

    return NGX_CONF_OK;
}


static char *
ngx_http_ollama_affinity_slack(ngx_conf_t *cf,
    ngx_http_ollama_srv_conf_t *oscf, ngx_str_t *param, ngx_str_t *value)
{
    u_char     *p, *last;
    ngx_int_t   percent, tokens;

    last = value->data + value->len;
    percent = NGX_ERROR;
    tokens = NGX_ERROR;

    p = ngx_strlchr(value->data, last, '%');

    if (p && last - p > 1 && p[1] == ',') {
        percent = ngx_atoi(value->data, p - value->data);
        tokens = ngx_http_ollama_count(p + 2, last - p - 2);
    }

    if (percent == NGX_ERROR || percent > NGX_HTTP_OLLAMA_SLACK_PERCENT
        || tokens == NGX_ERROR || tokens > NGX_HTTP_OLLAMA_SLACK_TOKENS)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\", expected a share of the load "
                           "up to %d%% and input tokens up to %dm, for example "
                           "\"slack=25%%,2m\"", param,
                           NGX_HTTP_OLLAMA_SLACK_PERCENT,
                           NGX_HTTP_OLLAMA_SLACK_TOKENS / 1000000);
        return NGX_CONF_ERROR;
    }

    oscf->stay.percent = percent;
    oscf->stay.tokens = tokens;
    oscf->slack = 1;

    return NGX_CONF_OK;
}


/* they are the pool's: no two upstreams may say different things of it */

static char *
ngx_http_ollama_affinity_sessions(ngx_conf_t *cf, ngx_str_t *param,
    ngx_str_t *value)
{
    ngx_int_t                     n;
    ngx_http_ollama_main_conf_t  *omcf;

    n = ngx_http_ollama_count(value->data, value->len);

    if (n < NGX_HTTP_OLLAMA_SESSIONS_MIN || n > NGX_HTTP_OLLAMA_SESSIONS_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\", expected a number between "
                           "%d and %dm, for example \"sessions=16k\"", param,
                           NGX_HTTP_OLLAMA_SESSIONS_MIN,
                           NGX_HTTP_OLLAMA_SESSIONS_MAX / 1000000);
        return NGX_CONF_ERROR;
    }

    omcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_ollama_module);

    if (omcf->sessions.value.len == 0) {
        omcf->sessions.value = *param;
        omcf->nsessions = n;

        return (ngx_http_ollama_where(cf, &omcf->sessions.at) == NGX_OK)
               ? NGX_CONF_OK : NGX_CONF_ERROR;
    }

    if (omcf->nsessions != (ngx_uint_t) n) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "conversations are kept in one place for all "
                           "upstreams, and \"%V\" is said in %V, but \"%V\"",
                           &omcf->sessions.value, &omcf->sessions.at, param);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* "100", "16k", "2m": thousands and millions */

static ngx_int_t
ngx_http_ollama_count(u_char *p, size_t len)
{
    ngx_int_t  n, scale;

    scale = 1;

    if (len) {

        switch (p[len - 1]) {

        case 'k':
        case 'K':
            scale = 1000;
            len--;
            break;

        case 'm':
        case 'M':
            scale = 1000000;
            len--;
            break;
        }
    }

    n = ngx_atoi(p, len);

    if (n == NGX_ERROR || n > NGX_MAX_INT32_VALUE / scale) {
        return NGX_ERROR;
    }

    return n * scale;
}


void
ngx_http_ollama_affinity_init(ngx_http_ollama_main_conf_t *omcf,
    ngx_http_ollama_srv_conf_t *oscf)
{
    ngx_conf_init_value(oscf->affinity, 1);

    if (oscf->stay.ttl == 0) {
        oscf->stay.ttl = NGX_HTTP_OLLAMA_AFFINITY_TTL;
    }

    if (!oscf->slack) {
        oscf->stay.percent = NGX_HTTP_OLLAMA_AFFINITY_PERCENT;
        oscf->stay.tokens = NGX_HTTP_OLLAMA_AFFINITY_TOKENS;
    }

    if (oscf->affinity) {
        ngx_http_ollama_pool_set_sessions(omcf->pool,
                                          omcf->nsessions ? omcf->nsessions
                                          : NGX_HTTP_OLLAMA_AFFINITY_SESSIONS,
                                          omcf->nsessions != 0);
    }
}
