
#include "ngx_http_ollama_text.h"
#include "core/price.h"


ngx_int_t
ngx_http_ollama_text_init(ngx_http_ollama_text_t *text, ngx_pool_t *pool)
{
    text->pool = pool;

    ollama_json_init(&text->json, NULL, 0);

    return ngx_http_ollama_text_room(text, 4096);
}


ngx_int_t
ngx_http_ollama_text_room(ngx_http_ollama_text_t *text, size_t size)
{
    size_t          len;
    u_char         *p;
    ollama_json_t  *json;

    json = &text->json;
    size += 16;

    if ((size_t) (json->end - json->pos) >= size) {
        return NGX_OK;
    }

    len = ollama_json_len(json);
    size = 2 * len + ngx_max(size, 16384);

    p = ngx_palloc(text->pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    if (len) {
        ngx_memcpy(p, json->start, len);
        (void) ngx_pfree(text->pool, json->start);
    }

    json->start = p;
    json->pos = p + len;
    json->end = p + size;

    return NGX_OK;
}


void ngx_cdecl
ngx_http_ollama_text_write(ngx_http_ollama_text_t *text, const char *fmt, ...)
{
    u_char   buf[1024], *p;
    va_list  args;

    va_start(args, fmt);
    p = ngx_vslprintf(buf, buf + sizeof(buf), fmt, args);
    va_end(args);

    ollama_json_raw(&text->json, buf, p - buf);
}


u_char *
ngx_http_ollama_usd(u_char *p, uint64_t cost)
{
    p = ngx_sprintf(p, "%uL.%09uL", cost / OLLAMA_PRICE_DOLLAR,
                    cost % OLLAMA_PRICE_DOLLAR);

    while (p[-1] == '0') {
        p--;
    }

    return (p[-1] == '.') ? p - 1 : p;
}


void
ngx_http_ollama_text_end(ngx_http_ollama_text_t *text, ngx_str_t *out)
{
    out->data = text->json.start;
    out->len = ollama_json_len(&text->json);
}
