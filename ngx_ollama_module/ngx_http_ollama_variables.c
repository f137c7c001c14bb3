
#include "ngx_http_ollama_variables.h"
#include "ngx_http_ollama_access.h"
#include "ngx_http_ollama_cost.h"
#include "ngx_http_ollama_record.h"
#include "ngx_http_ollama_session.h"
#include "ngx_http_ollama_trace.h"
#include "ngx_http_ollama_usage.h"


#define NGX_HTTP_OLLAMA_PROMPT_TOKENS      0
#define NGX_HTTP_OLLAMA_COMPLETION_TOKENS  1
#define NGX_HTTP_OLLAMA_CACHED_TOKENS      2

#define NGX_HTTP_OLLAMA_QUEUE_TIME         0
#define NGX_HTTP_OLLAMA_FIRST_TOKEN_TIME   1

#define NGX_HTTP_OLLAMA_KEYS_TRIED         0
#define NGX_HTTP_OLLAMA_STATUSES           1


static ngx_int_t ngx_http_ollama_authorization_variable(
    ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_ollama_target_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_ollama_key_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_ollama_affinity_variable(
    ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_ollama_model_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_ollama_client_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_ollama_attempts_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_ollama_list_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_ollama_tokens_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_ollama_cost_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_ollama_certainty_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_ollama_time_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_ollama_state_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_ollama_reason_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);

static ngx_http_ollama_ctx_t *ngx_http_ollama_served(ngx_http_request_t *r);
static ngx_int_t ngx_http_ollama_value(ngx_http_variable_value_t *v,
    u_char *data, size_t len);
static ngx_int_t ngx_http_ollama_number(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uint64_t n);


static ngx_http_variable_t  ngx_http_ollama_vars[] = {

    { ngx_string("ollama_authorization"), NULL,
      ngx_http_ollama_authorization_variable, 0,
      NGX_HTTP_VAR_NOCACHEABLE|NGX_HTTP_VAR_NOHASH, 0 },

    { ngx_string("ollama_upstream"), NULL, ngx_http_ollama_target_variable,
      offsetof(ngx_http_ollama_target_t, url), NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ollama_host"), NULL, ngx_http_ollama_target_variable,
      offsetof(ngx_http_ollama_target_t, host), NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ollama_key"), NULL, ngx_http_ollama_key_variable, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ollama_affinity"), NULL,
      ngx_http_ollama_affinity_variable, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ollama_model"), NULL, ngx_http_ollama_model_variable, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ollama_client"), NULL, ngx_http_ollama_client_variable, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ollama_attempts"), NULL, ngx_http_ollama_attempts_variable,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ollama_keys_tried"), NULL, ngx_http_ollama_list_variable,
      NGX_HTTP_OLLAMA_KEYS_TRIED, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ollama_statuses"), NULL, ngx_http_ollama_list_variable,
      NGX_HTTP_OLLAMA_STATUSES, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ollama_prompt_tokens"), NULL,
      ngx_http_ollama_tokens_variable,
      NGX_HTTP_OLLAMA_PROMPT_TOKENS, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ollama_completion_tokens"), NULL,
      ngx_http_ollama_tokens_variable,
      NGX_HTTP_OLLAMA_COMPLETION_TOKENS, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ollama_cached_tokens"), NULL,
      ngx_http_ollama_tokens_variable,
      NGX_HTTP_OLLAMA_CACHED_TOKENS, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ollama_cost"), NULL, ngx_http_ollama_cost_variable, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ollama_certainty"), NULL,
      ngx_http_ollama_certainty_variable,
      offsetof(ollama_usage_result_t, certainty),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ollama_prompt_certainty"), NULL,
      ngx_http_ollama_certainty_variable,
      offsetof(ollama_usage_result_t, prompt_certainty),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ollama_completion_certainty"), NULL,
      ngx_http_ollama_certainty_variable,
      offsetof(ollama_usage_result_t, completion_certainty),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ollama_queue_time"), NULL, ngx_http_ollama_time_variable,
      NGX_HTTP_OLLAMA_QUEUE_TIME, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ollama_first_token_time"), NULL,
      ngx_http_ollama_time_variable,
      NGX_HTTP_OLLAMA_FIRST_TOKEN_TIME, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ollama_state"), NULL, ngx_http_ollama_state_variable, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ollama_reason"), NULL, ngx_http_ollama_reason_variable, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


ngx_int_t
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
ngx_http_ollama_authorization_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_ollama_ctx_t       *ctx;
    ngx_http_ollama_loc_conf_t  *olcf;

    ctx = ngx_http_ollama_get_ctx(r);
    olcf = ngx_http_get_module_loc_conf(r, ngx_http_ollama_module);

    /* what a fallback inherits is not meant for its server */

    if (ctx == NULL
        || !(olcf->enable || (olcf->private && ctx->private))
        || olcf->target->keys == NULL)
    {
        v->not_found = 1;
        return NGX_OK;
    }

    ctx->authorized = 1;

    if (ctx->lease.key == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    return ngx_http_ollama_value(v, ctx->lease.authorization.data,
                                 ctx->lease.authorization.len);
}


static ngx_int_t
ngx_http_ollama_target_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t                   *s;
    ngx_http_ollama_loc_conf_t  *olcf;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_ollama_module);

    s = (ngx_str_t *) ((char *) olcf->target + data);

    return ngx_http_ollama_value(v, s->data, s->len);
}


static ngx_int_t
ngx_http_ollama_key_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_ollama_ctx_t      *ctx;
    ngx_http_ollama_attempt_t  *attempt;

    ctx = ngx_http_ollama_served(r);

    if (ctx == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    attempt = ngx_http_ollama_trace_last(ctx);

    if (attempt == NULL || ctx->keyless) {
        v->not_found = 1;
        return NGX_OK;
    }

    return ngx_http_ollama_value(v, attempt->name.data, attempt->name.len);
}


static ngx_int_t
ngx_http_ollama_model_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_ollama_ctx_t  *ctx;

    ctx = ngx_http_ollama_get_ctx(r);

    if (ctx == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    return ngx_http_ollama_value(v, ctx->body.model.data, ctx->body.model.len);
}


static ngx_int_t
ngx_http_ollama_affinity_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t              *affinity;
    ngx_http_ollama_ctx_t  *ctx;

    ctx = ngx_http_ollama_get_ctx(r);
    affinity = ctx ? ngx_http_ollama_session_affinity(ctx) : NULL;

    if (affinity == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    return ngx_http_ollama_value(v, affinity->data, affinity->len);
}


static ngx_int_t
ngx_http_ollama_client_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t              *client;
    ngx_http_ollama_ctx_t  *ctx;

    ctx = ngx_http_ollama_get_ctx(r);

    if (ctx == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    client = ngx_http_ollama_client(ctx);

    return ngx_http_ollama_value(v, client->data, client->len);
}


static ngx_int_t
ngx_http_ollama_attempts_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_ollama_ctx_t  *ctx;

    ctx = ngx_http_ollama_get_ctx(r);

    if (ctx == NULL || ctx->trace.nattempts == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    return ngx_http_ollama_number(r, v, ctx->trace.nattempts);
}


/* of each attempt that is noted, as $upstream_status has it */

static ngx_int_t
ngx_http_ollama_list_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    size_t                      size;
    u_char                     *p, *start;
    ngx_uint_t                  i, n;
    ngx_http_ollama_ctx_t      *ctx;
    ngx_http_ollama_attempt_t  *attempt;

    ctx = ngx_http_ollama_get_ctx(r);

    if (ctx == NULL || ctx->trace.nattempts == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    n = ngx_http_ollama_trace_noted(ctx);
    size = sizeof(", ...") - 1;

    for (i = 0; i < n; i++) {
        size += ngx_http_ollama_trace_nth(ctx, i)->name.len + 8;
    }

    start = ngx_pnalloc(r->pool, size);
    if (start == NULL) {
        return NGX_ERROR;
    }

    p = start;

    for (i = 0; i < n; i++) {
        attempt = ngx_http_ollama_trace_nth(ctx, i);

        if (i == NGX_HTTP_OLLAMA_FIRST && n < ctx->trace.nattempts) {
            p = ngx_cpymem(p, ", ...", 5);
        }

        if (i) {
            *p++ = ',';
            *p++ = ' ';
        }

        if (data == NGX_HTTP_OLLAMA_KEYS_TRIED && attempt->name.len) {
            p = ngx_cpymem(p, attempt->name.data, attempt->name.len);

        } else if (data == NGX_HTTP_OLLAMA_STATUSES && attempt->status) {
            p = ngx_sprintf(p, "%ui", attempt->status);

        } else {
            *p++ = '-';
        }
    }

    return ngx_http_ollama_value(v, start, p - start);
}


static ngx_int_t
ngx_http_ollama_tokens_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_ollama_ctx_t        *ctx;
    const ollama_usage_result_t  *usage;

    ctx = ngx_http_ollama_get_ctx(r);
    usage = ctx ? ngx_http_ollama_usage(ctx) : NULL;

    if (usage == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    switch (data) {

    case NGX_HTTP_OLLAMA_PROMPT_TOKENS:
        return ngx_http_ollama_number(r, v, ctx->answer.settled
                                            ? ctx->answer.prompt
                                            : usage->prompt);

    case NGX_HTTP_OLLAMA_COMPLETION_TOKENS:
        return ngx_http_ollama_number(r, v, ctx->answer.settled
                                            ? ctx->answer.completion
                                            : usage->completion);

    default: /* NGX_HTTP_OLLAMA_CACHED_TOKENS */
        return ngx_http_ollama_number(r, v, usage->cached);
    }
}


static ngx_int_t
ngx_http_ollama_cost_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    size_t                        len;
    u_char                       *p;
    ngx_http_ollama_ctx_t        *ctx;
    ngx_http_ollama_charge_t      charge;
    const ollama_usage_result_t  *usage;

    ctx = ngx_http_ollama_get_ctx(r);
    usage = ctx ? ngx_http_ollama_usage(ctx) : NULL;

    if (ctx == NULL || !ctx->priced || (usage && !ctx->answer.settled)) {
        v->not_found = 1;
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, OLLAMA_PRICE_TEXT);
    if (p == NULL) {
        return NGX_ERROR;
    }

    /* what has no usage, as an error, has no tokens */

    ngx_http_ollama_charge(ctx, ctx->answer.prompt, usage ? usage->cached : 0,
                           ctx->answer.completion, &charge);

    len = ollama_price_text((char *) p, charge.cost);

    return ngx_http_ollama_value(v, p, len);
}


static ngx_int_t
ngx_http_ollama_certainty_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    const char                   *name;
    ollama_certainty_e            certainty;
    ngx_http_ollama_ctx_t        *ctx;
    const ollama_usage_result_t  *usage;

    ctx = ngx_http_ollama_served(r);

    if (ctx == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    usage = ngx_http_ollama_usage(ctx);

    certainty = OLLAMA_CERTAINTY_NONE;

    if (usage) {
        certainty = *(ollama_certainty_e *) ((u_char *) usage + data);
    }

    name = ollama_certainty_name(certainty);

    return ngx_http_ollama_value(v, (u_char *) name, ngx_strlen(name));
}


static ngx_int_t
ngx_http_ollama_time_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char                 *p;
    ngx_msec_t              ms;
    ngx_http_ollama_ctx_t  *ctx;

    ctx = ngx_http_ollama_served(r);

    if (ctx == NULL
        || (data == NGX_HTTP_OLLAMA_FIRST_TOKEN_TIME
            && ctx->trace.first_byte == 0))
    {
        v->not_found = 1;
        return NGX_OK;
    }

    ms = (data == NGX_HTTP_OLLAMA_FIRST_TOKEN_TIME)
         ? ctx->trace.first_byte - 1 : ctx->trace.waited;

    p = ngx_pnalloc(r->pool, NGX_TIME_T_LEN + 4);
    if (p == NULL) {
        return NGX_ERROR;
    }

    return ngx_http_ollama_value(v, p, ngx_sprintf(p, "%T.%03M",
                                                   (time_t) ms / 1000,
                                                   ms % 1000) - p);
}


static ngx_int_t
ngx_http_ollama_state_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t               reason;
    const char             *name;
    ngx_http_ollama_ctx_t  *ctx;

    ctx = ngx_http_ollama_get_ctx(r);

    if (ctx == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    if (ctx->state == NGX_HTTP_OLLAMA_INIT) {

        if (!ctx->refusal.sent
            && (ctx->route == NULL
                || ctx->route->kind != OLLAMA_ROUTE_LOCAL))
        {
            v->not_found = 1;
            return NGX_OK;
        }

        name = "local";

    } else {
        name = ngx_http_ollama_record_end_name(
                                    ngx_http_ollama_record_end(ctx, &reason));
    }

    return ngx_http_ollama_value(v, (u_char *) name, ngx_strlen(name));
}


static ngx_int_t
ngx_http_ollama_reason_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t               reason;
    ngx_http_ollama_ctx_t  *ctx;

    ctx = ngx_http_ollama_get_ctx(r);

    if (ctx == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    (void) ngx_http_ollama_record_end(ctx, &reason);

    return ngx_http_ollama_value(v, reason.data, reason.len);
}


/* the context of a request that was to be passed on */

static ngx_http_ollama_ctx_t *
ngx_http_ollama_served(ngx_http_request_t *r)
{
    ngx_http_ollama_ctx_t  *ctx;

    ctx = ngx_http_ollama_get_ctx(r);

    return (ctx && ctx->state != NGX_HTTP_OLLAMA_INIT) ? ctx : NULL;
}


static ngx_int_t
ngx_http_ollama_value(ngx_http_variable_value_t *v, u_char *data, size_t len)
{
    if (len == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->data = data;
    v->len = len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_ollama_number(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uint64_t n)
{
    u_char  *p;

    p = ngx_pnalloc(r->pool, NGX_INT64_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    return ngx_http_ollama_value(v, p, ngx_sprintf(p, "%uL", n) - p);
}
