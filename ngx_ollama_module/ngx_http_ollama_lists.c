
#include "ngx_http_ollama_lists.h"
#include "core/route_rule.h"


static void *ngx_http_ollama_push_line(ngx_conf_t *cf, ngx_array_t **lines,
    size_t size);
static ngx_int_t ngx_http_ollama_merge_lines(ngx_conf_t *cf, ngx_array_t *prev,
    ngx_array_t **conf);
static ollama_allow_t *ngx_http_ollama_make_pass(ngx_conf_t *cf,
    ngx_array_t *lines);


char *
ngx_http_ollama_set_pass_header(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ollama_loc_conf_t  *olcf = conf;

    const char           *wrong;
    ngx_str_t            *value;
    ngx_uint_t            off;
    ollama_allow_rule_t  *rule;

    value = cf->args->elts;
    off = 0;

    if (cf->args->nelts == 3) {

        if (ngx_strcmp(value[2].data, "off") != 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\", expected \"off\" "
                               "or nothing", &value[2]);
            return NGX_CONF_ERROR;
        }

        off = 1;
    }

    rule = ngx_http_ollama_push_line(cf, &olcf->pass_lines,
                                     sizeof(ollama_allow_rule_t));
    if (rule == NULL) {
        return NGX_CONF_ERROR;
    }

    wrong = ollama_allow_parse(value[1].data, value[1].len, off, rule);

    if (wrong) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid header \"%V\": %s",
                           &value[1], wrong);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_ollama_set_path(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ollama_loc_conf_t  *olcf = conf;

    const char           *wrong;
    ngx_str_t            *value;
    ollama_route_rule_t  *rule;

    value = cf->args->elts;

    rule = ngx_http_ollama_push_line(cf, &olcf->paths,
                                     sizeof(ollama_route_rule_t));
    if (rule == NULL) {
        return NGX_CONF_ERROR;
    }

    wrong = ollama_route_rule_parse(value[1].data, value[1].len,
                                    value[2].data, value[2].len,
                                    value[3].data, value[3].len, rule);

    if (wrong) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value in \"ollama_path %V %V %V\": %s",
                           &value[1], &value[2], &value[3], wrong);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static void *
ngx_http_ollama_push_line(ngx_conf_t *cf, ngx_array_t **lines, size_t size)
{
    if (*lines == NULL) {
        *lines = ngx_array_create(cf->pool, 4, size);
        if (*lines == NULL) {
            return NULL;
        }
    }

    return ngx_array_push(*lines);
}


ngx_int_t
ngx_http_ollama_merge_lists(ngx_conf_t *cf, ngx_http_ollama_loc_conf_t *prev,
    ngx_http_ollama_loc_conf_t *conf)
{
    if (ngx_http_ollama_merge_lines(cf, prev->paths, &conf->paths) != NGX_OK) {
        return NGX_ERROR;
    }

    if (conf->pass_lines == NULL) {

        /* most have the list of what is around them */

        conf->pass_lines = prev->pass_lines;

        if (prev->pass == NULL) {
            prev->pass = ngx_http_ollama_make_pass(cf, prev->pass_lines);
        }

        conf->pass = prev->pass;

    } else {
        if (ngx_http_ollama_merge_lines(cf, prev->pass_lines,
                                        &conf->pass_lines)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        conf->pass = ngx_http_ollama_make_pass(cf, conf->pass_lines);
    }

    return conf->pass ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_ollama_merge_lines(ngx_conf_t *cf, ngx_array_t *prev,
    ngx_array_t **conf)
{
    void         *p;
    ngx_array_t  *lines;

    if (prev == NULL) {
        return NGX_OK;
    }

    if (*conf == NULL) {
        *conf = prev;
        return NGX_OK;
    }

    lines = ngx_array_create(cf->pool, prev->nelts + (*conf)->nelts,
                             prev->size);
    if (lines == NULL) {
        return NGX_ERROR;
    }

    p = ngx_array_push_n(lines, prev->nelts);
    ngx_memcpy(p, prev->elts, prev->nelts * prev->size);

    p = ngx_array_push_n(lines, (*conf)->nelts);
    ngx_memcpy(p, (*conf)->elts, (*conf)->nelts * prev->size);

    *conf = lines;

    return NGX_OK;
}


static ollama_allow_t *
ngx_http_ollama_make_pass(ngx_conf_t *cf, ngx_array_t *lines)
{
    size_t                      nown, nnever, nlines;
    ollama_allow_t             *allow;
    ollama_allow_rule_t        *rules;
    const ollama_allow_rule_t  *own, *never;

    nown = ollama_allow_own(&own);
    nnever = ollama_allow_never(&never);
    nlines = lines ? lines->nelts : 0;

    allow = ngx_palloc(cf->pool, sizeof(ollama_allow_t));
    if (allow == NULL) {
        return NULL;
    }

    rules = ngx_palloc(cf->pool, (nown + nlines + nnever)
                                 * sizeof(ollama_allow_rule_t));
    if (rules == NULL) {
        return NULL;
    }

    ngx_memcpy(rules, own, nown * sizeof(ollama_allow_rule_t));

    if (nlines) {
        ngx_memcpy(rules + nown, lines->elts,
                   nlines * sizeof(ollama_allow_rule_t));
    }

    ngx_memcpy(rules + nown + nlines, never,
               nnever * sizeof(ollama_allow_rule_t));

    ollama_allow_index(allow, rules, nown + nlines + nnever);

    return allow;
}
