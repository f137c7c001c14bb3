
#include "ngx_http_ollama_session.h"
#include "ngx_http_ollama_access.h"
#include "core/mix.h"


#define NGX_HTTP_OLLAMA_SESSION_HEADERS  5


static ngx_str_t *ngx_http_ollama_session_header(ngx_http_request_t *r);
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


void
ngx_http_ollama_session_want(ngx_http_ollama_ctx_t *ctx,
    ngx_http_ollama_srv_conf_t *conf)
{
    uint64_t             hash;
    ngx_str_t           *client, *header;
    ngx_connection_t    *c;

    ctx->lease.session = 0;
    ctx->lease.stay = conf->affinity ? &conf->stay : NULL;

    if (!conf->affinity || ctx->route->kind != OLLAMA_ROUTE_INFERENCE) {
        return;
    }

    header = ngx_http_ollama_session_header(ctx->request);

    if (header == NULL && ctx->body.session == 0) {
        return;
    }

    /* nobody follows another: by token, or by address */

    if (ctx->who) {
        hash = ngx_http_ollama_mix_text(1, (u_char *) ctx->who->name,
                                        ngx_strlen(ctx->who->name));

    } else {
        c = ctx->request->connection;
        hash = ngx_http_ollama_mix_text(0, c->addr_text.data,
                                        c->addr_text.len);
    }

    client = ngx_http_ollama_client(ctx);

    if (client->len) {
        hash = ngx_http_ollama_mix_text(hash, client->data, client->len);
    }

    if (header) {
        hash = ngx_http_ollama_mix_text(hash, header->data, header->len);

    } else {
        hash = ollama_mix(hash, ctx->body.session);
    }

    ctx->lease.session = hash ? hash : 1;
}


static ngx_str_t *
ngx_http_ollama_session_header(ngx_http_request_t *r)
{
    size_t            len;
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

        /* "session-id", "x-session-id", and nothing else that is so short */

        if (len < 10 || (h[i].lowcase_key[0] != 'x'
                         && h[i].lowcase_key[0] != 's')
            || h[i].value.len == 0)
        {
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
