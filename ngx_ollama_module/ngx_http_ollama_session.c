
#include "ngx_http_ollama_session.h"
#include "ngx_http_ollama_access.h"
#include "core/mix.h"


#define NGX_HTTP_OLLAMA_SESSION_HEADERS  5

/* the lengths of their names */

#define NGX_HTTP_OLLAMA_SESSION_LENGTHS                                       \
    (1 << 10 | 1 << 12 | 1 << 16 | 1 << 18 | 1 << 24)


static ngx_str_t *ngx_http_ollama_session_header(ngx_http_request_t *r);
static uint64_t ngx_http_ollama_mix_address(ngx_connection_t *c);
static uint64_t ngx_http_ollama_mix_text(uint64_t hash, u_char *data,
    size_t len);


/* the first of these that is there */

static ngx_str_t  ngx_http_ollama_session_headers[] = {
    ngx_string("x-ollama-session"),
    ngx_string("x-claude-code-session-id"),
    ngx_string("session-id"),
    ngx_string("x-session-id"),
    ngx_string("x-opencode-session")
};


static ngx_str_t  ngx_http_ollama_affinities[] = {
    ngx_null_string,                    /* OLLAMA_AFFINITY_NONE */
    ngx_string("new"),
    ngx_string("kept"),
    ngx_string("moved")
};


ngx_uint_t
ngx_http_ollama_session_asks(ngx_http_ollama_ctx_t *ctx)
{
    if (ctx->route->kind != OLLAMA_ROUTE_INFERENCE) {
        return 0;
    }

    ctx->body.session_name = ngx_http_ollama_session_header(ctx->request);

    return ctx->body.session_name == NULL
           && (ctx->route->flags & OLLAMA_ROUTE_TURNS);
}


void
ngx_http_ollama_session_want(ngx_http_ollama_ctx_t *ctx,
    ngx_http_ollama_srv_conf_t *conf)
{
    uint64_t                  hash;
    ngx_str_t                *client, *name;
    ngx_http_ollama_lease_t  *lease;

    lease = &ctx->lease;
    name = ctx->body.session_name;

    lease->session = 0;
    lease->begins = 0;
    lease->stay = conf->affinity ? &conf->stay : NULL;

    if (!conf->affinity || (name == NULL && ctx->body.session == 0)) {
        return;
    }

    /* nobody follows another: by token, or by address */

    if (ctx->who) {
        hash = ngx_http_ollama_mix_text(1, (u_char *) ctx->who->name,
                                        ngx_strlen(ctx->who->name));

    } else {
        hash = ngx_http_ollama_mix_address(ctx->request->connection);
    }

    client = ngx_http_ollama_client(ctx);

    if (client->len) {
        hash = ngx_http_ollama_mix_text(hash, client->data, client->len);
    }

    if (name) {
        hash = ngx_http_ollama_mix_text(hash, name->data, name->len);

    } else {
        hash = ollama_mix(hash, ctx->body.session);

        if (!ctx->body.named) {
            hash = ollama_mix(hash, lease->hash);
            lease->begins = ctx->body.begins;
        }
    }

    lease->session = hash ? hash : 1;
}


static ngx_str_t *
ngx_http_ollama_session_header(ngx_http_request_t *r)
{
    size_t            len;
    u_char            c;
    ngx_str_t        *name, *found;
    ngx_uint_t        i, j, first;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    found = NULL;
    first = NGX_HTTP_OLLAMA_SESSION_HEADERS;

    part = &r->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {

            if (part->next == NULL) {
                return found;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        len = h[i].key.len;

        if (len > 24 || (NGX_HTTP_OLLAMA_SESSION_LENGTHS >> len & 1) == 0) {
            continue;
        }

        c = h[i].lowcase_key[0];

        if ((c != 'x' && c != 's') || h[i].value.len == 0) {
            continue;
        }

        for (j = 0; j < first; j++) {
            name = &ngx_http_ollama_session_headers[j];

            if (len == name->len
                && ngx_memcmp(h[i].lowcase_key, name->data, len) == 0)
            {
                found = &h[i].value;
                first = j;
            }
        }
    }
}


static uint64_t
ngx_http_ollama_mix_address(ngx_connection_t *c)
{
    struct sockaddr_in  *sin;

    if (c->sockaddr->sa_family == AF_INET) {
        sin = (struct sockaddr_in *) c->sockaddr;
        return ollama_mix(2, sin->sin_addr.s_addr);
    }

    return ngx_http_ollama_mix_text(3, c->addr_text.data, c->addr_text.len);
}


static uint64_t
ngx_http_ollama_mix_text(uint64_t hash, u_char *data, size_t len)
{
    ollama_mix_t  m;

    ollama_mix_begin(&m);
    ollama_mix_add(&m, data, len);

    return ollama_mix(hash, ollama_mix_end(&m));
}


ngx_str_t *
ngx_http_ollama_session_affinity(ngx_http_ollama_ctx_t *ctx)
{
    if (ctx->lease.affinity == OLLAMA_AFFINITY_NONE) {
        return NULL;
    }

    return &ngx_http_ollama_affinities[ctx->lease.affinity];
}
