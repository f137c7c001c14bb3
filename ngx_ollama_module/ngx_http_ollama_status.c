
#include "ngx_http_ollama_status.h"
#include "ngx_http_ollama_prometheus.h"
#include "ngx_http_ollama_respond.h"
#include "ngx_http_ollama_text.h"

#include "core/price.h"


#define NGX_HTTP_OLLAMA_SNAPSHOTS   32
#define NGX_HTTP_OLLAMA_BLOCKS      16
#define NGX_HTTP_OLLAMA_KEY_SIZE    (2048 + 6 * OLLAMA_CONFIG_NAME_MAX)
#define NGX_HTTP_OLLAMA_BLOCK_SIZE  (128 + 6 * NGX_HTTP_OLLAMA_MODEL_LEN)


typedef ngx_int_t (*ngx_http_ollama_write_key_pt)(
    ngx_http_ollama_text_t *text, ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_snapshot_t *snap);


static ngx_int_t ngx_http_ollama_status_list(ngx_http_request_t *r,
    ngx_http_ollama_pool_t *pool, ngx_str_t *out,
    ngx_http_ollama_write_key_pt write);
static ngx_int_t ngx_http_ollama_write_key(ngx_http_ollama_text_t *text,
    ngx_http_ollama_pool_t *pool, ngx_http_ollama_snapshot_t *snap);
static ngx_int_t ngx_http_ollama_write_blocks(ngx_http_ollama_text_t *text,
    ngx_http_ollama_pool_t *pool, ngx_http_ollama_snapshot_t *snap);
static void ngx_http_ollama_write_balance(ollama_json_t *json,
    ngx_http_ollama_snapshot_t *snap);
static void ngx_http_ollama_write_floor(ollama_json_t *json,
    ngx_http_ollama_snapshot_t *snap);
static void ngx_http_ollama_write_usd(ollama_json_t *json, const char *name,
    uint64_t cost);
static void ngx_http_ollama_write_share(ollama_json_t *json, const char *name,
    ngx_uint_t share);
static void ngx_http_ollama_write_time(ollama_json_t *json, const char *name,
    time_t time);
static ngx_int_t ngx_http_ollama_write_ratelimit(ngx_http_ollama_text_t *text,
    ngx_http_ollama_pool_t *pool, ngx_http_ollama_snapshot_t *snap);


static ngx_str_t  ngx_http_ollama_no_store = ngx_string("no-store");


ngx_int_t
ngx_http_ollama_status_handler(ngx_http_request_t *r)
{
    ngx_int_t                     rc;
    ngx_str_t                     out;
    const char                   *type;
    ngx_http_ollama_loc_conf_t   *olcf;
    ngx_http_ollama_main_conf_t  *omcf;

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return ngx_http_ollama_not_allowed(r, "GET, HEAD");
    }

    if (ngx_http_ollama_add_header(r, "Cache-Control",
                                   &ngx_http_ollama_no_store)
        == NULL)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_ollama_module);
    omcf = ngx_http_get_module_main_conf(r, ngx_http_ollama_module);

    if (olcf->status == NGX_HTTP_OLLAMA_STATUS_PROMETHEUS) {
        rc = ngx_http_ollama_prometheus(r, omcf->pool, &out);
        type = "text/plain; version=0.0.4; charset=utf-8";

    } else {
        rc = ngx_http_ollama_status_keys(r, omcf->pool, &out);
        type = "application/json";
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_ollama_send(r, NGX_HTTP_OK, type, out.data, out.len);
}


ngx_int_t
ngx_http_ollama_status_keys(ngx_http_request_t *r,
    ngx_http_ollama_pool_t *pool, ngx_str_t *out)
{
    return ngx_http_ollama_status_list(r, pool, out,
                                       ngx_http_ollama_write_key);
}


ngx_int_t
ngx_http_ollama_status_ratelimits(ngx_http_request_t *r,
    ngx_http_ollama_pool_t *pool, ngx_str_t *out)
{
    return ngx_http_ollama_status_list(r, pool, out,
                                       ngx_http_ollama_write_ratelimit);
}


ngx_int_t
ngx_http_ollama_status_key(ngx_http_request_t *r,
    ngx_http_ollama_pool_t *pool, uint32_t key, ngx_str_t *out)
{
    ngx_http_ollama_text_t      text;
    ngx_http_ollama_snapshot_t  snap;

    if (ngx_http_ollama_pool_key(pool, key, &snap) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (ngx_http_ollama_text_init(&text, r->pool) != NGX_OK
        || ngx_http_ollama_write_key(&text, pool, &snap) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_ollama_text_end(&text, out);

    return NGX_OK;
}


/* {"key_0":{..},"key_1":{..}} */

static ngx_int_t
ngx_http_ollama_status_list(ngx_http_request_t *r,
    ngx_http_ollama_pool_t *pool, ngx_str_t *out,
    ngx_http_ollama_write_key_pt write)
{
    char                         name[sizeof("key_") + NGX_INT_T_LEN];
    ngx_uint_t                   i, n;
    ngx_http_ollama_text_t       text;
    ngx_http_ollama_cursor_t     cursor;
    ngx_http_ollama_snapshot_t  *snap;

    snap = ngx_palloc(r->pool, NGX_HTTP_OLLAMA_SNAPSHOTS
                               * sizeof(ngx_http_ollama_snapshot_t));

    if (snap == NULL || ngx_http_ollama_text_init(&text, r->pool) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(&cursor, sizeof(ngx_http_ollama_cursor_t));

    ollama_json_open(&text.json, '{');

    for ( ;; ) {
        n = ngx_http_ollama_pool_list(pool, &cursor, snap,
                                      NGX_HTTP_OLLAMA_SNAPSHOTS);
        if (n == 0) {
            break;
        }

        for (i = 0; i < n; i++) {
            *ngx_sprintf((u_char *) name, "key_%ui", snap[i].index) = '\0';

            if (ngx_http_ollama_text_room(&text, sizeof(name) + 4) != NGX_OK) {
                return NGX_ERROR;
            }

            ollama_json_key(&text.json, name);

            if (write(&text, pool, &snap[i]) != NGX_OK) {
                return NGX_ERROR;
            }
        }
    }

    ollama_json_close(&text.json, '}');

    ngx_http_ollama_text_end(&text, out);

    return NGX_OK;
}


static ngx_int_t
ngx_http_ollama_write_key(ngx_http_ollama_text_t *text,
    ngx_http_ollama_pool_t *pool, ngx_http_ollama_snapshot_t *snap)
{
    time_t          left;
    ollama_json_t  *json;

    if (ngx_http_ollama_text_room(text, NGX_HTTP_OLLAMA_KEY_SIZE) != NGX_OK) {
        return NGX_ERROR;
    }

    json = &text->json;
    left = snap->until - ngx_time();

    ollama_json_open(json, '{');

    ollama_json_key(json, "name");
    ollama_json_string(json, snap->name, snap->name_len);
    ollama_json_key(json, "fingerprint");
    ollama_json_string(json, snap->fingerprint, sizeof(snap->fingerprint));

    ollama_json_key(json, "status");
    ollama_json_text(json, snap->status);
    ollama_json_key(json, "state");
    ollama_json_text(json, snap->state_name);
    ollama_json_key(json, "reason");

    if (snap->reason[0]) {
        ollama_json_text(json, (char *) snap->reason);

    } else {
        ollama_json_null(json);
    }

    ollama_json_key(json, "penalty_active");
    ollama_json_bool(json, left > 0);
    ollama_json_key(json, "expires_in");
    ollama_json_int(json, ngx_max(left, 0));
    ollama_json_key(json, "backoff_level");
    ollama_json_uint(json, snap->level);

    ollama_json_key(json, "usage_2h");
    ollama_json_uint(json, snap->usage);
    ngx_http_ollama_write_usd(json, "cost_2h", snap->cost);
    ollama_json_key(json, "reserved");
    ollama_json_uint(json, snap->reserved);
    ngx_http_ollama_write_usd(json, "reserved_cost", snap->reserved_cost);
    ollama_json_key(json, "load");
    ollama_json_uint(json, snap->load);
    ollama_json_key(json, "requests");
    ollama_json_uint(json, snap->requests);

    ollama_json_key(json, "in_flight");
    ollama_json_uint(json, snap->in_flight);
    ollama_json_key(json, "max_concurrent");

    if (snap->slots) {
        ollama_json_uint(json, snap->slots);

    } else {
        ollama_json_null(json);
    }

    ollama_json_key(json, "weight");
    ollama_json_uint(json, snap->weight);
    ollama_json_key(json, "tier");
    ollama_json_uint(json, snap->tier);

    ngx_http_ollama_write_floor(json, snap);
    ngx_http_ollama_write_balance(json, snap);

    ollama_json_key(json, "balance_trusted");
    ollama_json_bool(json, snap->trusted);
    ollama_json_key(json, "enabled");
    ollama_json_bool(json, snap->enabled);

    if (ngx_http_ollama_write_blocks(text, pool, snap) != NGX_OK) {
        return NGX_ERROR;
    }

    ollama_json_key(json, "eligible");
    ollama_json_bool(json, snap->eligible);

    ollama_json_close(json, '}');

    return NGX_OK;
}


/* as in config.yaml: "10%", "5usd", or both of an account's keys */

static void
ngx_http_ollama_write_floor(ollama_json_t *json,
    ngx_http_ollama_snapshot_t *snap)
{
    u_char  *p, buf[NGX_INT_T_LEN + 2 + NGX_HTTP_OLLAMA_USD_LEN + 4];

    p = buf;

    if (snap->floor_percent) {
        p = ngx_sprintf(p, "%ui%%", snap->floor_percent);
    }

    if (snap->floor_cost) {

        if (p != buf) {
            *p++ = ' ';
        }

        p = ngx_http_ollama_usd(p, snap->floor_cost);
        p = ngx_cpymem(p, "usd", 3);
    }

    ollama_json_key(json, "floor");

    if (p == buf) {
        ollama_json_null(json);

    } else {
        ollama_json_string(json, buf, p - buf);
    }
}


static void
ngx_http_ollama_write_balance(ollama_json_t *json,
    ngx_http_ollama_snapshot_t *snap)
{
    ngx_http_ollama_balance_t  *balance;

    balance = &snap->balance;

    ollama_json_key(json, "balance");

    if (balance->seen == 0) {
        ollama_json_null(json);
        return;
    }

    ollama_json_open(json, '{');

    if (balance->kind == OLLAMA_BALANCE_MONEY) {
        ngx_http_ollama_write_usd(json, "included_usd", balance->included);
        ngx_http_ollama_write_usd(json, "allowance_usd", balance->allowance);
        ngx_http_ollama_write_usd(json, "purchased_usd", balance->purchased);
        ngx_http_ollama_write_time(json, "renews_at", balance->renews);

    } else {
        ngx_http_ollama_write_share(json, "session_left", balance->session);
        ngx_http_ollama_write_time(json, "session_resets_at",
                                   balance->session_resets);
        ngx_http_ollama_write_share(json, "weekly_left", balance->week);
        ngx_http_ollama_write_time(json, "weekly_resets_at",
                                   balance->week_resets);
    }

    ngx_http_ollama_write_time(json, "seen_at", balance->seen);

    ollama_json_close(json, '}');
}


static void
ngx_http_ollama_write_usd(ollama_json_t *json, const char *name, uint64_t cost)
{
    u_char  *p, buf[NGX_HTTP_OLLAMA_USD_LEN];

    p = ngx_http_ollama_usd(buf, cost);

    ollama_json_key(json, name);
    ollama_json_raw(json, buf, p - buf);
}


/* of 1 */

static void
ngx_http_ollama_write_share(ollama_json_t *json, const char *name,
    ngx_uint_t share)
{
    if (share == OLLAMA_BALANCE_NO_SHARE) {
        ollama_json_key(json, name);
        ollama_json_null(json);
        return;
    }

    ngx_http_ollama_write_usd(json, name,
                              share * (uint64_t) (OLLAMA_PRICE_DOLLAR / 1000));
}


static void
ngx_http_ollama_write_time(ollama_json_t *json, const char *name, time_t time)
{
    u_char    stamp[sizeof("1970-01-01T00:00:00Z") + NGX_TIME_T_LEN];
    ngx_tm_t  tm;

    ollama_json_key(json, name);

    if (time == 0) {
        ollama_json_null(json);
        return;
    }

    ngx_gmtime(time, &tm);

    *ngx_sprintf(stamp, "%4d-%02d-%02dT%02d:%02d:%02dZ", tm.ngx_tm_year,
                 tm.ngx_tm_mon, tm.ngx_tm_mday, tm.ngx_tm_hour,
                 tm.ngx_tm_min, tm.ngx_tm_sec) = '\0';

    ollama_json_text(json, (char *) stamp);
}


static ngx_int_t
ngx_http_ollama_write_blocks(ngx_http_ollama_text_t *text,
    ngx_http_ollama_pool_t *pool, ngx_http_ollama_snapshot_t *snap)
{
    time_t                      left;
    ngx_uint_t                  i, n, from;
    ollama_json_t              *json;
    ngx_http_ollama_penalty_t  *blocks;

    json = &text->json;

    ollama_json_key(json, "blocked_models");
    ollama_json_open(json, '[');

    blocks = NULL;

    if (snap->nblocks) {
        blocks = ngx_palloc(text->pool, NGX_HTTP_OLLAMA_BLOCKS
                                        * sizeof(ngx_http_ollama_penalty_t));
        if (blocks == NULL) {
            return NGX_ERROR;
        }
    }

    for (from = 0; from < snap->nblocks; from += n) {

        n = ngx_http_ollama_pool_blocks(pool, snap->number, from, blocks,
                                        NGX_HTTP_OLLAMA_BLOCKS);
        if (n == 0) {
            break;
        }

        for (i = 0; i < n; i++) {
            left = blocks[i].until - ngx_time();

            if (left <= 0) {
                continue;
            }

            if (ngx_http_ollama_text_room(text, NGX_HTTP_OLLAMA_BLOCK_SIZE)
                != NGX_OK)
            {
                return NGX_ERROR;
            }

            ollama_json_open(json, '{');
            ollama_json_key(json, "model");
            ollama_json_string(json, blocks[i].model, blocks[i].model_len);
            ollama_json_key(json, "status");
            ollama_json_uint(json, blocks[i].http);
            ollama_json_key(json, "expires_in");
            ollama_json_int(json, left);
            ollama_json_close(json, '}');
        }
    }

    if (blocks) {
        (void) ngx_pfree(text->pool, blocks);
    }

    ollama_json_close(json, ']');

    /* what follows the list */

    return ngx_http_ollama_text_room(text, 64);
}


static ngx_int_t
ngx_http_ollama_write_ratelimit(ngx_http_ollama_text_t *text,
    ngx_http_ollama_pool_t *pool, ngx_http_ollama_snapshot_t *snap)
{
    int32_t                       values[5];
    ngx_uint_t                    i;
    ollama_json_t                *json;
    ngx_http_ollama_ratelimit_t  *rl;

    static const char  *names[] = { "max_concurrent", "active", "queue_limit",
                                    "queued", "retry_after" };

    if (ngx_http_ollama_text_room(text, NGX_HTTP_OLLAMA_KEY_SIZE) != NGX_OK) {
        return NGX_ERROR;
    }

    json = &text->json;
    rl = &snap->ratelimit;

    ollama_json_open(json, '{');
    ollama_json_key(json, "name");
    ollama_json_string(json, snap->name, snap->name_len);
    ollama_json_key(json, "fingerprint");
    ollama_json_string(json, snap->fingerprint, sizeof(snap->fingerprint));
    ngx_http_ollama_write_time(json, "seen", rl->seen);

    if (rl->seen == 0) {
        ollama_json_close(json, '}');

        return NGX_OK;
    }

    values[0] = rl->max_concurrent;
    values[1] = rl->active;
    values[2] = rl->queue_limit;
    values[3] = rl->queued;
    values[4] = rl->retry_after;

    for (i = 0; i < 5; i++) {
        ollama_json_key(json, names[i]);

        if (values[i] >= 0) {
            ollama_json_int(json, values[i]);

        } else {
            ollama_json_null(json);
        }
    }

    ollama_json_close(json, '}');

    return NGX_OK;
}
