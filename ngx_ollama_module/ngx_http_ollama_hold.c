
#include "ngx_http_ollama_hold.h"
#include "ngx_http_ollama_respond.h"


#define NGX_HTTP_OLLAMA_HELD_MAX  65535


char *
ngx_http_ollama_set_hold(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ollama_srv_conf_t  *oscf = conf;

    ngx_int_t    n;
    ngx_str_t   *value;
    ngx_uint_t   i;

    if (oscf->hold != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0 && cf->args->nelts == 2) {
        oscf->hold = 0;
        return NGX_CONF_OK;
    }

    oscf->hold = ngx_parse_time(&value[1], 1);

    if (oscf->hold == (time_t) NGX_ERROR || oscf->hold == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid time \"%V\", expected such as \"10m\", or "
                           "\"off\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_strcmp(value[i].data, "header") == 0) {
            oscf->hold_header = 1;
            continue;
        }

        if (ngx_strncmp(value[i].data, "max=", 4) != 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\", "
                               "expected \"header\" or \"max=number\"",
                               &value[i]);
            return NGX_CONF_ERROR;
        }

        n = ngx_atoi(value[i].data + 4, value[i].len - 4);

        if (n == NGX_ERROR || n == 0 || n > NGX_HTTP_OLLAMA_HELD_MAX) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid number in \"%V\", expected 1 to %d",
                               &value[i], NGX_HTTP_OLLAMA_HELD_MAX);
            return NGX_CONF_ERROR;
        }

        oscf->hold_max = n;
    }

    return NGX_CONF_OK;
}


void
ngx_http_ollama_hold(ngx_http_ollama_ctx_t *ctx,
    ngx_http_ollama_srv_conf_t *conf)
{
    time_t      seconds;
    ngx_int_t   n;
    ngx_str_t  *value;

    if (conf->hold == 0 || conf->dry_run || ctx->lease.hold) {
        return;
    }

    seconds = conf->hold;

    value = ngx_http_ollama_header_in(ctx->request, "x-ollama-wait");
    n = value ? ngx_atoi(value->data, value->len) : NGX_ERROR;

    if (n != NGX_ERROR) {
        seconds = ngx_min(seconds, n);

    } else if (conf->hold_header) {
        return;
    }

    if (seconds) {
        ctx->lease.hold = ngx_time() + seconds;
        ctx->lease.held_max = conf->hold_max;
    }
}
