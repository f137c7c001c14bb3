
#include "ngx_http_ollama_private.h"
#include "ngx_http_ollama_respond.h"

#include <sys/socket.h>
#include <sys/stat.h>


#define NGX_HTTP_OLLAMA_INTERVAL      300       /* s */
#define NGX_HTTP_OLLAMA_INTERVAL_MIN  60
#define NGX_HTTP_OLLAMA_INTERVAL_MAX  86400

#define NGX_HTTP_OLLAMA_FINGERPRINT   8         /* hex digits */


static ngx_int_t ngx_http_ollama_private_user(ngx_conf_t *cf,
    ngx_str_t *name, ngx_uid_t *uid);
static ngx_int_t ngx_http_ollama_check_listen(ngx_conf_t *cf,
    ngx_http_conf_ctx_t *ctx, ngx_str_t *path);
static void ngx_http_ollama_check_folder(ngx_conf_t *cf, ngx_str_t *path);
static void ngx_http_ollama_remove_stale(ngx_conf_t *cf, ngx_str_t *path);
static ngx_int_t ngx_http_ollama_private_peer(ngx_http_request_t *r,
    ngx_array_t *users);
static ngx_int_t ngx_http_ollama_private_key(ngx_http_request_t *r,
    uint32_t *number);
static void ngx_http_ollama_private_end(void *data);


static ngx_str_t  ngx_http_ollama_asked = ngx_string("asked");


char *
ngx_http_ollama_set_private(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ollama_loc_conf_t  *olcf = conf;

    ngx_str_t   *value, name;
    ngx_uid_t   *uid;
    ngx_uint_t   i;

    if (olcf->private) {
        return "is duplicate";
    }

    olcf->private = ngx_array_create(cf->pool, 4, sizeof(ngx_uid_t));
    if (olcf->private == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "allow_user=", 11) != 0
            || value[i].len == 11)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\", expected "
                               "\"allow_user=name\"", &value[i]);
            return NGX_CONF_ERROR;
        }

        name.data = value[i].data + 11;
        name.len = value[i].len - 11;

        uid = ngx_array_push(olcf->private);
        if (uid == NULL) {
            return NGX_CONF_ERROR;
        }

        if (ngx_http_ollama_private_user(cf, &name, uid) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


/* a name, or the number of a user without one */

static ngx_int_t
ngx_http_ollama_private_user(ngx_conf_t *cf, ngx_str_t *name, ngx_uid_t *uid)
{
    ngx_int_t       n;
    struct passwd  *pwd;

    /* values of a configuration end with a NUL */

    ngx_set_errno(0);
    pwd = getpwnam((const char *) name->data);

    if (pwd) {
        *uid = pwd->pw_uid;
        return NGX_OK;
    }

    n = ngx_atoi(name->data, name->len);

    if (n != NGX_ERROR) {
        *uid = (ngx_uid_t) n;
        return NGX_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                       "there is no user \"%V\", expected the one that "
                       "ollama-statsd runs as", name);
    return NGX_ERROR;
}


char *
ngx_http_ollama_set_balance(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ollama_main_conf_t  *omcf = conf;

    ngx_str_t  *value, time;

    if (omcf->balance != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "on") == 0) {
        omcf->balance = 1;

    } else if (ngx_strcmp(value[1].data, "off") == 0) {
        omcf->balance = 0;

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\", expected \"on\" or \"off\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    omcf->balance_line = cf->conf_file->line;
    omcf->balance_file = cf->conf_file->file.name;

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    if (omcf->balance == 0
        || ngx_strncmp(value[2].data, "interval=", 9) != 0)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\", expected "
                           "\"on interval=time\" or \"off\"", &value[2]);
        return NGX_CONF_ERROR;
    }

    time.data = value[2].data + 9;
    time.len = value[2].len - 9;

    omcf->balance_interval = ngx_parse_time(&time, 1);

    if (omcf->balance_interval == (time_t) NGX_ERROR
        || omcf->balance_interval < NGX_HTTP_OLLAMA_INTERVAL_MIN
        || omcf->balance_interval > NGX_HTTP_OLLAMA_INTERVAL_MAX)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid time \"%V\", it must be between 1m and "
                           "1d, for example \"interval=5m\"", &time);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_ollama_check_private(ngx_conf_t *cf)
{
    ngx_str_t                     path;
    ngx_uint_t                    i;
    ngx_http_conf_ctx_t          *ctx;
    ngx_http_ollama_main_conf_t  *omcf;

    omcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_ollama_module);

    ctx = omcf->privates->elts;

    for (i = 0; i < omcf->privates->nelts; i++) {

        if (ngx_http_ollama_check_listen(cf, &ctx[i], &path) != NGX_OK) {
            return NGX_ERROR;
        }

        if (omcf->private.len == 0) {
            omcf->private = path;

            ngx_http_ollama_check_folder(cf, &path);
            ngx_http_ollama_remove_stale(cf, &path);
        }
    }

    if (omcf->balance == 1 && omcf->private.len == 0) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"ollama_balance on\" needs a location with "
                      "\"ollama_private\", for example "
                      "\"include ollama_private;\" on the http level, "
                      "in %V:%ui", &omcf->balance_file, omcf->balance_line);
        return NGX_ERROR;
    }

    if (omcf->balance == 0 || omcf->private.len == 0) {
        omcf->balance_interval = 0;

    } else if (omcf->balance_interval == 0) {
        omcf->balance_interval = NGX_HTTP_OLLAMA_INTERVAL;
    }

    if (omcf->pool) {
        ngx_http_ollama_pool_set_interval(omcf->pool, omcf->balance_interval);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_ollama_check_listen(ngx_conf_t *cf, ngx_http_conf_ctx_t *ctx,
    ngx_str_t *path)
{
    ngx_uint_t                    i, j, k, other;
    struct sockaddr_un           *saun;
    ngx_http_conf_addr_t         *addr;
    ngx_http_conf_port_t         *port;
    ngx_http_core_loc_conf_t     *clcf;
    ngx_http_core_srv_conf_t     *cscf, **cscfp;
    ngx_http_core_main_conf_t    *cmcf;
    ngx_http_ollama_loc_conf_t   *olcf;

    cmcf = ctx->main_conf[ngx_http_core_module.ctx_index];
    cscf = ctx->srv_conf[ngx_http_core_module.ctx_index];
    clcf = ctx->loc_conf[ngx_http_core_module.ctx_index];
    olcf = ctx->loc_conf[ngx_http_ollama_module.ctx_index];

    if (olcf->enable || clcf->handler == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"ollama_private\" in location \"%V\" needs "
                      "\"proxy_pass $ollama_upstream;\" and no \"ollama on\"",
                      &clcf->name);
        return NGX_ERROR;
    }

    path->len = 0;
    other = 0;

    port = cmcf->ports ? cmcf->ports->elts : NULL;

    for (i = 0; port && i < cmcf->ports->nelts; i++) {
        addr = port[i].addrs.elts;

        for (j = 0; j < port[i].addrs.nelts; j++) {
            cscfp = addr[j].servers.elts;

            for (k = 0; k < addr[j].servers.nelts; k++) {

                if (cscfp[k] != cscf) {
                    continue;
                }

                if (addr[j].opt.sockaddr->sa_family != AF_UNIX) {
                    other = 1;
                    continue;
                }

                saun = (struct sockaddr_un *) addr[j].opt.sockaddr;

                path->data = (u_char *) saun->sun_path;
                path->len = ngx_strlen(saun->sun_path);
            }
        }
    }

    if (other || path->len == 0) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"ollama_private\" in location \"%V\": its server must "
                      "listen on a unix socket and on nothing else, for "
                      "example \"listen unix:/run/ollama-proxy/private.sock;\"",
                      &clcf->name);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* nginx lets everybody connect to its sockets who can get there */

static void
ngx_http_ollama_check_folder(ngx_conf_t *cf, ngx_str_t *path)
{
    u_char       name[NGX_UNIX_ADDRSTRLEN];
    size_t       len;
    struct stat  st;

    for (len = path->len; len > 1 && path->data[len - 1] != '/'; len--) {
        /* void */
    }

    if (len == 0) {
        return;
    }

    ngx_cpystrn(name, path->data, ngx_min(len + 1, sizeof(name)));

    if (stat((const char *) name, &st) == 0 && (st.st_mode & S_IRWXO)) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "the folder \"%s\" of a private socket is open to "
                      "everybody, use \"chmod 750\" on it", name);
    }
}


/* nobody answers there: nginx could not bind to it */

static void
ngx_http_ollama_remove_stale(ngx_conf_t *cf, ngx_str_t *path)
{
    ngx_err_t           err;
    ngx_socket_t        s;
    struct sockaddr_un  saun;

    if (ngx_test_config || ngx_process == NGX_PROCESS_SIGNALLER) {
        return;
    }

    ngx_memzero(&saun, sizeof(struct sockaddr_un));

    saun.sun_family = AF_UNIX;
    ngx_cpystrn((u_char *) saun.sun_path, path->data,
                sizeof(saun.sun_path));

    s = ngx_socket(AF_UNIX, SOCK_STREAM, 0);

    if (s == (ngx_socket_t) -1) {
        return;
    }

    err = 0;

    if (ngx_nonblocking(s) == -1
        || connect(s, (struct sockaddr *) &saun, sizeof(struct sockaddr_un))
           == -1)
    {
        err = ngx_socket_errno;
    }

    (void) ngx_close_socket(s);

    if (err == NGX_ECONNREFUSED
        && ngx_delete_file(saun.sun_path) != NGX_FILE_ERROR)
    {
        ngx_log_error(NGX_LOG_NOTICE, cf->log, 0,
                      "the socket \"%V\" of an nginx that was killed is "
                      "removed", path);
    }
}


ngx_int_t
ngx_http_ollama_private_handler(ngx_http_request_t *r)
{
    uint32_t                     number;
    ngx_int_t                    rc;
    ngx_pool_cleanup_t          *cln;
    ngx_http_ollama_ctx_t       *ctx;
    ngx_http_ollama_loc_conf_t  *olcf;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_ollama_module);

    if (r != r->main || r->internal) {
        return NGX_HTTP_FORBIDDEN;
    }

    ctx = ngx_http_ollama_create_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* no record is made of it */

    ctx->finished = 1;

    if (ngx_http_ollama_private_peer(r, olcf->private) != NGX_OK) {
        return ngx_http_ollama_error(r, NGX_HTTP_FORBIDDEN, 0,
                                     "this is for ollama-statsd alone");
    }

    if (r->method != NGX_HTTP_GET) {
        return ngx_http_ollama_not_allowed(r, "GET");
    }

    if (ngx_http_ollama_private_key(r, &number) != NGX_OK) {
        return ngx_http_ollama_error(r, NGX_HTTP_BAD_REQUEST, 0,
                                     "X-Ollama-Key must be the fingerprint of "
                                     "a key, 8 hex digits");
    }

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_ollama_lease_certain(ctx->conf->pool, &ctx->lease, number);

    if (rc == NGX_DECLINED) {
        return ngx_http_ollama_error(r, NGX_HTTP_NOT_FOUND, 0,
                                     "there is no such key");
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_http_ollama_private_end;
    cln->data = ctx;

    ctx->private = 1;

    if (ngx_http_ollama_add_header(r, "X-Ollama-Private",
                                   &ngx_http_ollama_asked)
        == NULL)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_ollama_private_peer(ngx_http_request_t *r, ngx_array_t *users)
{
    socklen_t      len;
    ngx_uid_t     *uid;
    ngx_uint_t     i;
    struct ucred   peer;

    len = sizeof(struct ucred);

    if (getsockopt(r->connection->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len)
        == -1)
    {
        ngx_log_error(NGX_LOG_ALERT, r->connection->log, ngx_socket_errno,
                      "getsockopt(SO_PEERCRED) failed");
        return NGX_ERROR;
    }

    if (peer.uid == 0 || peer.uid == geteuid()) {
        return NGX_OK;
    }

    uid = users->elts;

    for (i = 0; i < users->nelts; i++) {
        if (peer.uid == uid[i]) {
            return NGX_OK;
        }
    }

    ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                  "ollama: a process of user %ui (pid %P) was refused at a "
                  "private location; if that is ollama-statsd, add "
                  "\"allow_user=\" with its name to \"ollama_private\"",
                  (ngx_uint_t) peer.uid, peer.pid);

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_ollama_private_key(ngx_http_request_t *r, uint32_t *number)
{
    ngx_int_t   n;
    ngx_str_t  *value;

    value = ngx_http_ollama_header_in(r, "x-ollama-key");

    if (value == NULL || value->len != NGX_HTTP_OLLAMA_FINGERPRINT) {
        return NGX_DECLINED;
    }

    n = ngx_hextoi(value->data, value->len);

    if (n == NGX_ERROR) {
        return NGX_DECLINED;
    }

    *number = (uint32_t) n;

    return NGX_OK;
}


static void
ngx_http_ollama_private_end(void *data)
{
    ngx_http_ollama_ctx_t  *ctx = data;

    ngx_http_ollama_charge_t  nothing;

    ngx_memzero(&nothing, sizeof(ngx_http_ollama_charge_t));

    ngx_http_ollama_lease_settle(ctx->conf->pool, &ctx->lease, &nothing, 0);
}
