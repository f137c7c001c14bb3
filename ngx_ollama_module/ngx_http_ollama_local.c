
#include "ngx_http_ollama_local.h"
#include "ngx_http_ollama_access.h"
#include "ngx_http_ollama_respond.h"
#include "core/json.h"


static ngx_int_t ngx_http_ollama_root(ngx_http_request_t *r);
static ngx_uint_t ngx_http_ollama_navigates(ngx_http_request_t *r);
static ngx_int_t ngx_http_ollama_version(ngx_http_request_t *r);
static ngx_int_t ngx_http_ollama_preflight(ngx_http_request_t *r);
static ngx_int_t ngx_http_ollama_preflight_names(ngx_http_request_t *r,
    ngx_str_t *names);
static ngx_uint_t ngx_http_ollama_preflight_ours(u_char *name, size_t len);

static const char  ngx_http_ollama_json[] = "application/json; charset=utf-8";


#define ngx_http_ollama_send_literal(r, type, text)                           \
    ngx_http_ollama_send(r, NGX_HTTP_OK, type, (u_char *) text,               \
                         sizeof(text) - 1)


ngx_int_t
ngx_http_ollama_local(ngx_http_ollama_ctx_t *ctx)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = ctx->request;

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    switch (ctx->route->local) {

    case OLLAMA_LOCAL_ROOT:
        return ngx_http_ollama_root(r);

    case OLLAMA_LOCAL_VERSION:
        return ngx_http_ollama_version(r);

    case OLLAMA_LOCAL_PS:
        return ngx_http_ollama_send_literal(r, ngx_http_ollama_json,
                                            "{\"models\":[]}");

    case OLLAMA_LOCAL_STATUS:
        return ngx_http_ollama_send_literal(r, ngx_http_ollama_json,
                       "{\"cloud\":{\"disabled\":false,\"source\":\"none\"}}");

    case OLLAMA_LOCAL_ME:

        /* the pool has many accounts, and their names are nobody's business */

        return ngx_http_ollama_send_literal(r, ngx_http_ollama_json,
                       "{\"id\":\"00000000-0000-0000-0000-000000000001\","
                       "\"name\":\"proxy\",\"email\":\"\",\"plan\":\"max\"}");

    case OLLAMA_LOCAL_PULL:
        return ngx_http_ollama_send_literal(r, "application/x-ndjson",
                                            "{\"status\":\"success\"}\n");

    case OLLAMA_LOCAL_TAGS:
        return ngx_http_ollama_send(r, NGX_HTTP_OK, ngx_http_ollama_json,
                                    NULL, 0);

    case OLLAMA_LOCAL_NOWHERE:
        return ngx_http_ollama_error(r, NGX_HTTP_NOT_FOUND, 0,
                                     "path \"%V\" not found", &r->uri);

    case OLLAMA_LOCAL_ACCOUNT:
        return ngx_http_ollama_error(r, NGX_HTTP_NOT_IMPLEMENTED, 0,
                   "this proxy has several accounts and cannot add up what "
                   "the cloud says of each: see /stats and /health/keys");

    case OLLAMA_LOCAL_PREFLIGHT:
        return ngx_http_ollama_preflight(r);

    case OLLAMA_LOCAL_METHOD:
        return ngx_http_ollama_error(r, NGX_HTTP_NOT_ALLOWED, 0,
                                     "method not allowed");

    default: /* OLLAMA_LOCAL_UNSUPPORTED */
        return ngx_http_ollama_error(r, NGX_HTTP_NOT_IMPLEMENTED, 0,
                   "models live in the cloud: this proxy cannot change them");
    }
}


static ngx_int_t
ngx_http_ollama_root(ngx_http_request_t *r)
{
    ngx_str_t         location;
    ngx_table_elt_t  *h;

    if (ngx_http_ollama_navigates(r)) {
        ngx_http_clear_location(r);

        ngx_str_set(&location, "/dashboard");

        h = ngx_http_ollama_add_header(r, "Location", &location);
        if (h == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return ngx_http_ollama_send(r, NGX_HTTP_MOVED_TEMPORARILY,
                                    "text/plain; charset=utf-8",
                                    (u_char *) "/dashboard", 10);
    }

    return ngx_http_ollama_send_literal(r, "text/plain; charset=utf-8",
                                        "Ollama is running");
}


/*
 * Somebody who typed the address.  Scripts of pages, and monitors that look for
 * the words and send a browser's Accept, want what a local Ollama says.
 */

static ngx_uint_t
ngx_http_ollama_navigates(ngx_http_request_t *r)
{
    ngx_str_t  *value;

    value = ngx_http_ollama_header_in(r, "sec-fetch-mode");

    if (value) {
        return value->len == 8
               && ngx_strncmp(value->data, "navigate", 8) == 0;
    }

    value = ngx_http_ollama_header_in(r, "accept");

    if (value == NULL
        || ngx_strlcasestrn(value->data, value->data + value->len,
                            (u_char *) "text/html", 9 - 1)
           == NULL)
    {
        return 0;
    }

    value = ngx_http_ollama_header_in(r, "user-agent");

    return value
           && value->len > 8
           && ngx_strncmp(value->data, "Mozilla/", 8) == 0;
}


static ngx_int_t
ngx_http_ollama_version(ngx_http_request_t *r)
{
    u_char                      *p;
    size_t                       size;
    ollama_json_t                json;
    ngx_http_ollama_loc_conf_t  *olcf;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_ollama_module);

    size = 6 * olcf->version.len + 32;

    p = ngx_pnalloc(r->pool, size);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ollama_json_init(&json, p, size);
    ollama_json_open(&json, '{');
    ollama_json_key(&json, "version");
    ollama_json_string(&json, olcf->version.data, olcf->version.len);
    ollama_json_close(&json, '}');

    return ngx_http_ollama_send(r, NGX_HTTP_OK, ngx_http_ollama_json, p,
                                ollama_json_len(&json));
}


/*
 * "ollama run" sends an empty prompt to have the model loaded, and keep_alive
 * 0 to have it unloaded.  In the cloud there is nothing to load.
 */

ngx_int_t
ngx_http_ollama_preload(ngx_http_ollama_ctx_t *ctx)
{
    u_char              *p, stamp[sizeof("1970-01-01T00:00:00.000000000Z")];
    size_t               size;
    ngx_tm_t             tm;
    ngx_time_t          *tp;
    ngx_uint_t           chat;
    ollama_json_t        json;
    ngx_http_request_t  *r;

    r = ctx->request;

    if (ctx->route->kind != OLLAMA_ROUTE_INFERENCE
        || ctx->route->family != OLLAMA_FAMILY_NATIVE
        || !ctx->body.valid
        || ctx->body.model_sent.len == 0)
    {
        return NGX_DECLINED;
    }

    if (ngx_strcmp(ctx->route->name, "chat") == 0) {
        chat = 1;

        if (!ctx->body.messages_empty) {
            return NGX_DECLINED;
        }

    } else if (ngx_strcmp(ctx->route->name, "generate") == 0) {
        chat = 0;

        if (!ctx->body.prompt_empty) {
            return NGX_DECLINED;
        }

    } else {
        return NGX_DECLINED;
    }

    size = 6 * ctx->body.model_sent.len + 256;

    p = ngx_pnalloc(r->pool, size);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    tp = ngx_timeofday();
    ngx_gmtime(tp->sec, &tm);

    (void) ngx_sprintf(stamp, "%4d-%02d-%02dT%02d:%02d:%02d.%03M000000Z%Z",
                       tm.ngx_tm_year, tm.ngx_tm_mon, tm.ngx_tm_mday,
                       tm.ngx_tm_hour, tm.ngx_tm_min, tm.ngx_tm_sec,
                       tp->msec);

    ollama_json_init(&json, p, size);
    ollama_json_open(&json, '{');
    ollama_json_key(&json, "model");
    ollama_json_string(&json, ctx->body.model_sent.data,
                       ctx->body.model_sent.len);
    ollama_json_key(&json, "created_at");
    ollama_json_text(&json, (char *) stamp);

    if (chat) {
        ollama_json_key(&json, "message");
        ollama_json_open(&json, '{');
        ollama_json_key(&json, "role");
        ollama_json_text(&json, "assistant");
        ollama_json_key(&json, "content");
        ollama_json_text(&json, "");
        ollama_json_close(&json, '}');

    } else {
        ollama_json_key(&json, "response");
        ollama_json_text(&json, "");
    }

    ollama_json_key(&json, "done");
    ollama_json_bool(&json, 1);
    ollama_json_key(&json, "done_reason");
    ollama_json_text(&json, ctx->body.keep_alive_zero ? "unload" : "load");
    ollama_json_close(&json, '}');

    if (ctx->body.streaming) {
        ollama_json_raw(&json, "\n", 1);
    }

    return ngx_http_ollama_send(r, NGX_HTTP_OK,
                                ctx->body.streaming ? "application/x-ndjson"
                                               : ngx_http_ollama_json,
                                p, ollama_json_len(&json));
}


/* optional for clients: what the pool reserves for such a request, too */

ngx_int_t
ngx_http_ollama_count_tokens(ngx_http_ollama_ctx_t *ctx)
{
    u_char              *p;
    ngx_http_request_t  *r;

    r = ctx->request;

    p = ngx_pnalloc(r->pool, sizeof("{\"input_tokens\":}") + NGX_INT64_LEN);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_ollama_send(r, NGX_HTTP_OK, ngx_http_ollama_json, p,
                                ngx_sprintf(p, "{\"input_tokens\":%uL}",
                                            ctx->body.tokens)
                                - p);
}


static ngx_int_t
ngx_http_ollama_preflight(ngx_http_request_t *r)
{
    ngx_str_t  *origin, value;

    origin = ngx_http_ollama_header_in(r, "origin");

    if (origin && !ngx_http_ollama_origin_allowed(r, origin)) {
        return ngx_http_ollama_error(r, NGX_HTTP_FORBIDDEN, 0,
                   "this origin may not use the proxy from a browser, "
                   "see \"ollama_origins\"");
    }

    if (origin) {
        ngx_str_set(&value, "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS");

        if (ngx_http_ollama_add_header(r, "Access-Control-Allow-Methods",
                                       &value)
            == NULL)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        if (ngx_http_ollama_preflight_names(r, &value) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        if (ngx_http_ollama_add_header(r, "Access-Control-Allow-Headers",
                                       &value)
            == NULL)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        /* a page from the internet and an address of this house */

        if (ngx_http_ollama_header_in(r,
                                      "access-control-request-private-network"))
        {
            ngx_str_set(&value, "true");

            if (ngx_http_ollama_add_header(r,
                                   "Access-Control-Allow-Private-Network",
                                   &value)
                == NULL)
            {
                return NGX_HTTP_INTERNAL_SERVER_ERROR;
            }
        }

        ngx_str_set(&value, "43200");

        if (ngx_http_ollama_add_header(r, "Access-Control-Max-Age", &value)
            == NULL)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    return ngx_http_ollama_send(r, NGX_HTTP_NO_CONTENT, NULL, NULL, 0);
}


/*
 * A list cannot say "X-Ollama-*": of those families each name is allowed that
 * is asked for.
 */

static ngx_int_t
ngx_http_ollama_preflight_names(ngx_http_request_t *r, ngx_str_t *names)
{
    u_char     *p, *pos, *end, *last;
    ngx_str_t  *asked;

    static ngx_str_t  always = ngx_string(
        "Authorization,Content-Type,User-Agent,Accept,X-Requested-With,"
        "X-Api-Key,Api-Key,X-Goog-Api-Key,Anthropic-Version,Anthropic-Beta,"
        "Anthropic-Dangerous-Direct-Browser-Access,OpenAI-Beta,"
        "OpenAI-Organization,OpenAI-Project,x-stainless-arch,"
        "x-stainless-async,x-stainless-custom-poll-interval,"
        "x-stainless-helper,x-stainless-helper-method,x-stainless-lang,"
        "x-stainless-os,x-stainless-package-version,x-stainless-poll-helper,"
        "x-stainless-retry-count,x-stainless-runtime,"
        "x-stainless-runtime-version,x-stainless-timeout,X-Ollama-Client,"
        "X-Ollama-No-Log");

    asked = ngx_http_ollama_header_in(r, "access-control-request-headers");

    if (asked == NULL) {
        *names = always;
        return NGX_OK;
    }

    names->data = ngx_pnalloc(r->pool, always.len + 1 + asked->len);
    if (names->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(names->data, always.data, always.len);
    last = asked->data + asked->len;

    for (pos = asked->data; pos < last; pos = end + 1) {

        while (pos < last && *pos == ' ') {
            pos++;
        }

        for (end = pos; end < last && *end != ','; end++) { /* void */ }

        if (ngx_http_ollama_preflight_ours(pos, end - pos)) {
            *p++ = ',';
            p = ngx_cpymem(p, pos, end - pos);
        }
    }

    names->len = p - names->data;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_ollama_preflight_ours(u_char *name, size_t len)
{
    size_t  i;

    if ((len < 9 || ngx_strncasecmp(name, (u_char *) "x-ollama-", 9) != 0)
        && (len < 12
            || ngx_strncasecmp(name, (u_char *) "x-stainless-", 12) != 0))
    {
        return 0;
    }

    for (i = 0; i < len; i++) {
        if (!((name[i] >= 'a' && name[i] <= 'z')
              || (name[i] >= 'A' && name[i] <= 'Z')
              || (name[i] >= '0' && name[i] <= '9')
              || name[i] == '-'))
        {
            return 0;
        }
    }

    return 1;
}
