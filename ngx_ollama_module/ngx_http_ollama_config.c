
#include "ngx_http_ollama_config.h"
#include "core/envfile.h"
#include "core/fingerprint.h"


/* of a file that is read: it may be absent, it is nobody else's */

#define NGX_HTTP_OLLAMA_OPTIONAL  1
#define NGX_HTTP_OLLAMA_SECRET    2


static ngx_int_t ngx_http_ollama_read_file(ngx_conf_t *cf, ngx_str_t *name,
    size_t max, ngx_str_t *content, ngx_uint_t flags);
static ngx_int_t ngx_http_ollama_name_accounts(ngx_conf_t *cf,
    ngx_http_ollama_main_conf_t *omcf, ollama_config_t *config);
static int ngx_libc_cdecl ngx_http_ollama_named_cmp(const void *one,
    const void *two);
static void ngx_http_ollama_free_config(void *data);
static ngx_int_t ngx_http_ollama_load_prices(ngx_conf_t *cf,
    ngx_http_ollama_main_conf_t *omcf);
static void ngx_http_ollama_free_prices(void *data);
static ngx_int_t ngx_http_ollama_load_env(ngx_conf_t *cf,
    ngx_http_ollama_main_conf_t *omcf, ollama_envfile_t *env);
static ngx_int_t ngx_http_ollama_set_access(ngx_conf_t *cf,
    ngx_http_ollama_main_conf_t *omcf, ollama_config_t *config,
    ollama_envfile_t *env);
static ngx_int_t ngx_http_ollama_set_token(ngx_conf_t *cf, ngx_str_t *token,
    const char *name, const char *first, const char *second);
static ngx_uint_t ngx_http_ollama_same_token(ngx_str_t *a, ngx_str_t *b);
static ngx_uint_t ngx_http_ollama_clients_token(
    ngx_http_ollama_main_conf_t *omcf, ngx_str_t *token);
static const char *ngx_http_ollama_getenv(ollama_envfile_t *env,
    const char *name);


static ngx_str_t  ngx_http_ollama_environment[] = {
    ngx_string("PROXY_AUTH_TOKEN"),
    ngx_string("PROXY_ADMIN_TOKEN"),
    ngx_string("ALLOW_UNAUTHENTICATED_ACCESS"),
    ngx_null_string
};


char *
ngx_http_ollama_load_config(ngx_conf_t *cf, ngx_http_ollama_main_conf_t *omcf)
{
    char                 err[OLLAMA_CONFIG_ERROR_MAX];
    ngx_int_t            rc;
    ngx_str_t            content;
    ollama_config_t     *config;
    ollama_envfile_t     env;
    ngx_pool_cleanup_t  *cln;

    if (ngx_conf_full_name(cf->cycle, &omcf->config, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    cln = ngx_pool_cleanup_add(cf->pool, sizeof(ollama_config_t));
    if (cln == NULL) {
        return NGX_CONF_ERROR;
    }

    config = cln->data;
    ngx_memzero(config, sizeof(ollama_config_t));

    if (ngx_http_ollama_read_file(cf, &omcf->config, OLLAMA_CONFIG_BYTES_MAX,
                                  &content, NGX_HTTP_OLLAMA_SECRET)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    rc = ollama_config_parse(config, content.data, content.len, err,
                             sizeof(err));

    ngx_explicit_memzero(content.data, content.len);
    ngx_free(content.data);

    if (rc != 0) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0, "%V: %s", &omcf->config, err);
        return NGX_CONF_ERROR;
    }

    cln->handler = ngx_http_ollama_free_config;

    ngx_http_ollama_pool_set_list(omcf->pool, config);

    if (ngx_http_ollama_name_accounts(cf, omcf, config) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    /* config lives as long as the cycle's pool */

    omcf->models = &config->models;
    omcf->clients = config->clients;
    omcf->nclients = config->nclients;
    omcf->own_prices = config->prices;

    if (ngx_http_ollama_load_prices(cf, omcf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(&env, sizeof(ollama_envfile_t));

    if (omcf->env_file.len
        && ngx_http_ollama_load_env(cf, omcf, &env) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    rc = ngx_http_ollama_set_access(cf, omcf, config, &env);

    ollama_envfile_free(&env);

    return (rc == NGX_OK) ? NGX_CONF_OK : NGX_CONF_ERROR;
}


/* for the daemon, which sees keys as numbers */

static ngx_int_t
ngx_http_ollama_name_accounts(ngx_conf_t *cf,
    ngx_http_ollama_main_conf_t *omcf, ollama_config_t *config)
{
    char                      print[OLLAMA_FINGERPRINT_LEN + 1];
    size_t                    i;
    ollama_config_key_t      *ck;
    ngx_http_ollama_named_t  *named;

    omcf->accounts = ngx_array_create(cf->pool, 4,
                                      sizeof(ngx_http_ollama_named_t));
    if (omcf->accounts == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < config->nkeys; i++) {
        ck = &config->keys[i];

        if (ck->account == NULL) {
            continue;
        }

        named = ngx_array_push(omcf->accounts);
        if (named == NULL) {
            return NGX_ERROR;
        }

        ollama_fingerprint(ck->key, ck->key_len, print);

        named->number = (uint32_t) ngx_hextoi((u_char *) print,
                                              OLLAMA_FINGERPRINT_LEN);
        named->account.data = (u_char *) ck->account;
        named->account.len = ngx_strlen(ck->account);
    }

    ngx_qsort(omcf->accounts->elts, omcf->accounts->nelts,
              sizeof(ngx_http_ollama_named_t), ngx_http_ollama_named_cmp);

    return NGX_OK;
}


static int ngx_libc_cdecl
ngx_http_ollama_named_cmp(const void *one, const void *two)
{
    const ngx_http_ollama_named_t  *first = one;
    const ngx_http_ollama_named_t  *second = two;

    return (first->number > second->number) - (first->number < second->number);
}


static void
ngx_http_ollama_free_config(void *data)
{
    ollama_config_free(data);
}


static ngx_int_t
ngx_http_ollama_load_prices(ngx_conf_t *cf, ngx_http_ollama_main_conf_t *omcf)
{
    char                 err[OLLAMA_CONFIG_ERROR_MAX];
    ngx_str_t            content;
    ngx_pool_cleanup_t  *cln;

    if (omcf->prices_file.len) {

        cln = ngx_pool_cleanup_add(cf->pool, 0);
        if (cln == NULL) {
            return NGX_ERROR;
        }

        if (ngx_conf_full_name(cf->cycle, &omcf->prices_file, 1) != NGX_OK
            || ngx_http_ollama_read_file(cf, &omcf->prices_file,
                                         OLLAMA_PRICE_BYTES_MAX, &content, 0)
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        omcf->prices = ollama_prices_read(content.data, content.len, err,
                                          sizeof(err));
        ngx_free(content.data);

        if (omcf->prices == NULL) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0, "%V: %s",
                          &omcf->prices_file, err);
            return NGX_ERROR;
        }

        cln->handler = ngx_http_ollama_free_prices;
        cln->data = omcf->prices;
    }

    ollama_prices_usual(omcf->own_prices, omcf->prices, ngx_time(),
                        &omcf->usual_price);

    return NGX_OK;
}


static void
ngx_http_ollama_free_prices(void *data)
{
    ollama_prices_free(data);
}


static ngx_int_t
ngx_http_ollama_read_file(ngx_conf_t *cf, ngx_str_t *name, size_t max,
    ngx_str_t *content, ngx_uint_t flags)
{
    ssize_t          n;
    ngx_file_t       file;
    ngx_file_info_t  fi;

    ngx_memzero(&file, sizeof(ngx_file_t));

    file.name = *name;
    file.log = cf->log;

    file.fd = ngx_open_file(name->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (file.fd == NGX_INVALID_FILE) {

        if ((flags & NGX_HTTP_OLLAMA_OPTIONAL) && ngx_errno == NGX_ENOENT) {
            return NGX_DECLINED;
        }

        ngx_log_error(NGX_LOG_EMERG, cf->log, ngx_errno,
                      ngx_open_file_n " \"%V\" failed", name);
        return NGX_ERROR;
    }

    if (ngx_fd_info(file.fd, &fi) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, ngx_errno,
                      ngx_fd_info_n " \"%V\" failed", name);
        goto failed;
    }

    if (!ngx_is_file(&fi)) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"%V\" is not a regular file", name);
        goto failed;
    }

    if ((flags & NGX_HTTP_OLLAMA_SECRET) && (fi.st_mode & S_IROTH)) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "\"%V\" holds secrets and is readable by everybody, "
                      "use \"chmod 600\" on it", name);
    }

    if (ngx_file_size(&fi) > (off_t) max) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"%V\" is larger than %uz bytes", name, max);
        goto failed;
    }

    content->len = ngx_file_size(&fi);
    content->data = ngx_alloc(content->len + 1, cf->log);

    if (content->data == NULL) {
        goto failed;
    }

    n = ngx_read_file(&file, content->data, content->len, 0);

    if (n != (ssize_t) content->len) {

        if (n != NGX_ERROR) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "\"%V\" has changed while it was read", name);
        }

        ngx_free(content->data);
        goto failed;
    }

    if (ngx_close_file(file.fd) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_ALERT, cf->log, ngx_errno,
                      ngx_close_file_n " \"%V\" failed", name);
    }

    return NGX_OK;

failed:

    if (ngx_close_file(file.fd) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_ALERT, cf->log, ngx_errno,
                      ngx_close_file_n " \"%V\" failed", name);
    }

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_ollama_load_env(ngx_conf_t *cf, ngx_http_ollama_main_conf_t *omcf,
    ollama_envfile_t *env)
{
    int        rc;
    char       err[OLLAMA_CONFIG_ERROR_MAX];
    ngx_int_t  n;
    ngx_str_t  content;

    if (ngx_conf_full_name(cf->cycle, &omcf->env_file, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    n = ngx_http_ollama_read_file(cf, &omcf->env_file,
                                  OLLAMA_ENVFILE_BYTES_MAX, &content,
                                  NGX_HTTP_OLLAMA_OPTIONAL
                                  |NGX_HTTP_OLLAMA_SECRET);

    if (n == NGX_DECLINED) {
        return NGX_OK;
    }

    if (n != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ollama_envfile_parse(env, content.data, content.len, err,
                              sizeof(err));

    ngx_explicit_memzero(content.data, content.len);
    ngx_free(content.data);

    if (rc != 0) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0, "%V: %s",
                      &omcf->env_file, err);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* the environment goes before .env, .env before config.yaml */

static ngx_int_t
ngx_http_ollama_set_access(ngx_conf_t *cf, ngx_http_ollama_main_conf_t *omcf,
    ollama_config_t *config, ollama_envfile_t *env)
{
    int          open;
    const char  *value;

    open = config->allow_unauthenticated;

    value = ngx_http_ollama_getenv(env, "ALLOW_UNAUTHENTICATED_ACCESS");

    if (value) {
        open = ollama_config_bool(value, ngx_strlen(value));

        if (open == -1) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "ALLOW_UNAUTHENTICATED_ACCESS must be "
                          "\"true\" or \"false\"");
            return NGX_ERROR;
        }
    }

    if (ngx_http_ollama_set_token(cf, &omcf->token, "PROXY_AUTH_TOKEN",
               ngx_http_ollama_getenv(env, "PROXY_AUTH_TOKEN"),
               config->auth_token)
        != NGX_OK
        || ngx_http_ollama_set_token(cf, &omcf->admin, "PROXY_ADMIN_TOKEN",
               ngx_http_ollama_getenv(env, "PROXY_ADMIN_TOKEN"),
               config->admin_token)
           != NGX_OK
        || ngx_http_ollama_set_token(cf, &omcf->metrics, "metrics_token",
                                     NULL, config->metrics_token)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_ollama_clients_token(omcf, &omcf->token)
        || ngx_http_ollama_clients_token(omcf, &omcf->admin))
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "PROXY_AUTH_TOKEN or PROXY_ADMIN_TOKEN is the token of "
                      "a client in %V, too", &omcf->config);
        return NGX_ERROR;
    }

    if (ngx_http_ollama_same_token(&omcf->admin, &omcf->token)
        || ngx_http_ollama_same_token(&omcf->metrics, &omcf->admin)
        || ngx_http_ollama_same_token(&omcf->metrics, &omcf->token))
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "two of PROXY_AUTH_TOKEN, PROXY_ADMIN_TOKEN and "
                      "\"metrics_token\" are the same: who has one would "
                      "have the other");
        return NGX_ERROR;
    }

    omcf->open = (open == 1);

    if (omcf->token.len == 0 && omcf->nclients == 0 && !omcf->open) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "nobody may use the proxy: set PROXY_AUTH_TOKEN in the "
                      "environment or in .env, or \"auth_token\" or "
                      "\"clients\" in %V, "
                      "or let everybody in with "
                      "ALLOW_UNAUTHENTICATED_ACCESS=true",
                      &omcf->config);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* "first" goes before "second" */

static ngx_int_t
ngx_http_ollama_set_token(ngx_conf_t *cf, ngx_str_t *token, const char *name,
    const char *first, const char *second)
{
    size_t       len;
    const char  *value;

    value = first ? first : second;

    if (value == NULL) {
        return NGX_OK;
    }

    len = ngx_strlen(value);

    if (!ollama_config_token(value, len)) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "%s must consist of printable characters without "
                      "spaces, %d at most", name, OLLAMA_CONFIG_TOKEN_MAX);
        return NGX_ERROR;
    }

    token->data = ngx_pnalloc(cf->pool, len);
    if (token->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(token->data, value, len);
    token->len = len;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_ollama_same_token(ngx_str_t *a, ngx_str_t *b)
{
    return a->len && a->len == b->len
           && ngx_memcmp(a->data, b->data, a->len) == 0;
}


static ngx_uint_t
ngx_http_ollama_clients_token(ngx_http_ollama_main_conf_t *omcf,
    ngx_str_t *token)
{
    return token->len
           && ollama_config_client(omcf->clients, omcf->nclients, token->data,
                                   token->len) != NULL;
}


static const char *
ngx_http_ollama_getenv(ollama_envfile_t *env, const char *name)
{
    const char  *value;

    value = getenv(name);

    if (value && value[0]) {
        return value;
    }

    value = ollama_envfile_get(env, name);

    return (value && value[0]) ? value : NULL;
}


/*
 * nginx gives its workers, and the binary that takes over, the variables that
 * "env" names and no others.  Without these a new master would find no token,
 * or that of .env instead of the one that was in force.
 */

ngx_int_t
ngx_http_ollama_keep_environment(ngx_conf_t *cf)
{
    ngx_str_t        *name, *var;
    ngx_uint_t        i;
    ngx_core_conf_t  *ccf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(cf->cycle->conf_ctx,
                                           ngx_core_module);

    for (name = ngx_http_ollama_environment; name->len; name++) {

        var = ccf->env.elts;

        for (i = 0; i < ccf->env.nelts; i++) {
            if (var[i].len >= name->len
                && ngx_strncmp(var[i].data, name->data, name->len) == 0
                && (var[i].data[name->len] == '='
                    || var[i].data[name->len] == '\0'))
            {
                break;
            }
        }

        if (i < ccf->env.nelts) {
            continue;
        }

        var = ngx_array_push(&ccf->env);
        if (var == NULL) {
            return NGX_ERROR;
        }

        *var = *name;
    }

    return NGX_OK;
}


/* the line that is being read, for what turns out to be wrong later */

ngx_int_t
ngx_http_ollama_where(ngx_conf_t *cf, ngx_str_t *at)
{
    ngx_str_t  *name;

    name = &cf->conf_file->file.name;

    at->data = ngx_pnalloc(cf->pool, name->len + 1 + NGX_INT_T_LEN);
    if (at->data == NULL) {
        return NGX_ERROR;
    }

    at->len = ngx_sprintf(at->data, "%V:%ui", name, cf->conf_file->line)
              - at->data;

    return NGX_OK;
}
