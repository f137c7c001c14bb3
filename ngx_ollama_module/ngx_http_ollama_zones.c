
#include "ngx_http_ollama_zones.h"
#include "ngx_http_ollama_board.h"
#include "ngx_http_ollama_outbox.h"


/* zones of its own, whose names are derived: none can be taken twice */

ngx_int_t
ngx_http_ollama_zones_add(ngx_conf_t *cf, ngx_http_ollama_main_conf_t *omcf)
{
    ngx_str_t  name;

    name.data = ngx_pnalloc(cf->pool, omcf->zone.len + sizeof("_running"));
    if (name.data == NULL) {
        return NGX_ERROR;
    }

    name.len = ngx_sprintf(name.data, "%V_outbox", &omcf->zone) - name.data;

    omcf->outbox = ngx_http_ollama_outbox_create(cf, &name,
                                                 omcf->outbox_size);
    if (omcf->outbox == NULL) {
        return NGX_ERROR;
    }

    name.data = ngx_pnalloc(cf->pool, omcf->zone.len + sizeof("_running"));
    if (name.data == NULL) {
        return NGX_ERROR;
    }

    name.len = ngx_sprintf(name.data, "%V_running", &omcf->zone) - name.data;

    omcf->running = ngx_http_ollama_board_create_zone(cf, &name);
    if (omcf->running == NULL) {
        return NGX_ERROR;
    }

    ngx_http_ollama_pool_set_changed(omcf->pool,
                                     ngx_http_ollama_outbox_penalty,
                                     omcf->outbox);
    return NGX_OK;
}
