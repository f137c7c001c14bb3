
#include "ngx_http_ollama_status.h"
#include "ngx_http_ollama_respond.h"
#include "core/json.h"


#define NGX_HTTP_OLLAMA_SNAPSHOTS   32
#define NGX_HTTP_OLLAMA_BLOCKS      16
#define NGX_HTTP_OLLAMA_KEY_SIZE    (2048 + 6 * OLLAMA_CONFIG_NAME_MAX)
#define NGX_HTTP_OLLAMA_BLOCK_SIZE  (128 + 6 * NGX_HTTP_OLLAMA_MODEL_LEN)


/* what is written, in memory that grows */

typedef struct {
    ngx_pool_t                  *pool;
    ollama_json_t                json;
} ngx_http_ollama_text_t;


typedef struct {
    const char                  *name;
    const char                  *help;
    uint64_t                   (*of)(ngx_http_ollama_snapshot_t *snap);
} ngx_http_ollama_gauge_t;


typedef ngx_int_t (*ngx_http_ollama_write_key_pt)(
    ngx_http_ollama_text_t *text, ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_snapshot_t *snap);


static ngx_int_t ngx_http_ollama_status_prometheus(ngx_http_request_t *r,
    ngx_http_ollama_pool_t *pool, ngx_str_t *out);
static ngx_int_t ngx_http_ollama_status_list(ngx_http_request_t *r,
    ngx_http_ollama_pool_t *pool, ngx_str_t *out,
    ngx_http_ollama_write_key_pt write);
static ngx_int_t ngx_http_ollama_write_key(ngx_http_ollama_text_t *text,
    ngx_http_ollama_pool_t *pool, ngx_http_ollama_snapshot_t *snap);
static ngx_int_t ngx_http_ollama_write_blocks(ngx_http_ollama_text_t *text,
    ngx_http_ollama_pool_t *pool, ngx_http_ollama_snapshot_t *snap);
static ngx_int_t ngx_http_ollama_write_ratelimit(ngx_http_ollama_text_t *text,
    ngx_http_ollama_pool_t *pool, ngx_http_ollama_snapshot_t *snap);
static ngx_int_t ngx_http_ollama_write_gauge(ngx_http_ollama_text_t *text,
    ngx_http_ollama_pool_t *pool, ngx_http_ollama_gauge_t *gauge);
static ngx_int_t ngx_http_ollama_write_info(ngx_http_ollama_text_t *text,
    ngx_http_ollama_pool_t *pool);
static void ngx_http_ollama_write_label(ngx_http_ollama_text_t *text,
    ngx_http_ollama_snapshot_t *snap);
static void ngx_cdecl ngx_http_ollama_write(ngx_http_ollama_text_t *text,
    const char *fmt, ...);
static ngx_int_t ngx_http_ollama_text_init(ngx_http_ollama_text_t *text,
    ngx_pool_t *pool);
static ngx_int_t ngx_http_ollama_text_room(ngx_http_ollama_text_t *text,
    size_t size);

static uint64_t ngx_http_ollama_gauge_eligible(
    ngx_http_ollama_snapshot_t *snap);
static uint64_t ngx_http_ollama_gauge_in_flight(
    ngx_http_ollama_snapshot_t *snap);
static uint64_t ngx_http_ollama_gauge_slots(ngx_http_ollama_snapshot_t *snap);
static uint64_t ngx_http_ollama_gauge_usage(ngx_http_ollama_snapshot_t *snap);
static uint64_t ngx_http_ollama_gauge_reserved(
    ngx_http_ollama_snapshot_t *snap);
static uint64_t ngx_http_ollama_gauge_penalty(
    ngx_http_ollama_snapshot_t *snap);


static ngx_str_t  ngx_http_ollama_no_store = ngx_string("no-store");


/* as ollama-statsd names them */

static ngx_http_ollama_gauge_t  ngx_http_ollama_gauges[] = {

    { "ollama_proxy_key_eligible",
      "1 if the key may be chosen for the next request.",
      ngx_http_ollama_gauge_eligible },

    { "ollama_proxy_key_in_flight",
      "Requests in flight with the key.",
      ngx_http_ollama_gauge_in_flight },

    { "ollama_proxy_key_slots",
      "Requests the key may have in flight, 0 for any number.",
      ngx_http_ollama_gauge_slots },

    { "ollama_proxy_key_window_tokens",
      "Tokens used with the key in the last 2 h.",
      ngx_http_ollama_gauge_usage },

    { "ollama_proxy_key_reserved_tokens",
      "Tokens reserved for requests in flight.",
      ngx_http_ollama_gauge_reserved },

    { "ollama_proxy_key_penalty_seconds",
      "Seconds until the key's penalty ends.",
      ngx_http_ollama_gauge_penalty },

    { NULL, NULL, NULL }
};


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
        rc = ngx_http_ollama_status_prometheus(r, omcf->pool, &out);
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

    out->data = text.json.start;
    out->len = ollama_json_len(&text.json);

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

    out->data = text.json.start;
    out->len = ollama_json_len(&text.json);

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
    ollama_json_key(json, "reserved");
    ollama_json_uint(json, snap->reserved);
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
    u_char                        stamp[sizeof("1970-01-01T00:00:00Z")];
    int32_t                       values[5];
    ngx_tm_t                      tm;
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
    ollama_json_key(json, "seen");

    if (rl->seen == 0) {
        ollama_json_null(json);
        ollama_json_close(json, '}');

        return NGX_OK;
    }

    ngx_gmtime(rl->seen, &tm);

    *ngx_sprintf(stamp, "%4d-%02d-%02dT%02d:%02d:%02dZ", tm.ngx_tm_year,
                 tm.ngx_tm_mon, tm.ngx_tm_mday, tm.ngx_tm_hour,
                 tm.ngx_tm_min, tm.ngx_tm_sec) = '\0';

    ollama_json_text(json, (char *) stamp);

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


static ngx_int_t
ngx_http_ollama_status_prometheus(ngx_http_request_t *r,
    ngx_http_ollama_pool_t *pool, ngx_str_t *out)
{
    ngx_http_ollama_text_t     text;
    ngx_http_ollama_gauge_t   *gauge;
    ngx_http_ollama_totals_t   totals;

    if (ngx_http_ollama_text_init(&text, r->pool) != NGX_OK) {
        return NGX_ERROR;
    }

    for (gauge = ngx_http_ollama_gauges; gauge->name; gauge++) {
        if (ngx_http_ollama_write_gauge(&text, pool, gauge) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (ngx_http_ollama_write_info(&text, pool) != NGX_OK
        || ngx_http_ollama_text_room(&text, 1024) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_ollama_pool_totals(pool, &totals);

    ngx_http_ollama_write(&text,
                   "# HELP ollama_proxy_requests_in_flight "
                   "Requests in flight at the cloud.\n"
                   "# TYPE ollama_proxy_requests_in_flight gauge\n"
                   "ollama_proxy_requests_in_flight %ui\n"
                   "# HELP ollama_proxy_requests_waiting "
                   "Requests that wait for a key's slot.\n"
                   "# TYPE ollama_proxy_requests_waiting gauge\n"
                   "ollama_proxy_requests_waiting %ui\n",
                   totals.in_flight, totals.waiting);

    out->data = text.json.start;
    out->len = ollama_json_len(&text.json);

    return NGX_OK;
}


static ngx_int_t
ngx_http_ollama_write_gauge(ngx_http_ollama_text_t *text,
    ngx_http_ollama_pool_t *pool, ngx_http_ollama_gauge_t *gauge)
{
    ngx_uint_t                  n;
    ngx_http_ollama_cursor_t    cursor;
    ngx_http_ollama_snapshot_t  snap;

    if (ngx_http_ollama_text_room(text, NGX_HTTP_OLLAMA_KEY_SIZE) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_ollama_write(text, "# HELP %s %s\n# TYPE %s gauge\n",
                          gauge->name, gauge->help, gauge->name);

    ngx_memzero(&cursor, sizeof(ngx_http_ollama_cursor_t));

    for ( ;; ) {
        n = ngx_http_ollama_pool_list(pool, &cursor, &snap, 1);

        if (n == 0) {
            return NGX_OK;
        }

        if (ngx_http_ollama_text_room(text, NGX_HTTP_OLLAMA_KEY_SIZE)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        ngx_http_ollama_write(text, "%s{", gauge->name);
        ngx_http_ollama_write_label(text, &snap);
        ngx_http_ollama_write(text, "} %uL\n", gauge->of(&snap));
    }
}


static ngx_int_t
ngx_http_ollama_write_info(ngx_http_ollama_text_t *text,
    ngx_http_ollama_pool_t *pool)
{
    ngx_uint_t                  n;
    ngx_http_ollama_cursor_t    cursor;
    ngx_http_ollama_snapshot_t  snap;

    if (ngx_http_ollama_text_room(text, NGX_HTTP_OLLAMA_KEY_SIZE) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_ollama_write(text,
                          "# HELP ollama_proxy_key_info "
                          "1, with the state of a key in words.\n"
                          "# TYPE ollama_proxy_key_info gauge\n");

    ngx_memzero(&cursor, sizeof(ngx_http_ollama_cursor_t));

    for ( ;; ) {
        n = ngx_http_ollama_pool_list(pool, &cursor, &snap, 1);

        if (n == 0) {
            return NGX_OK;
        }

        if (ngx_http_ollama_text_room(text, NGX_HTTP_OLLAMA_KEY_SIZE)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        ngx_http_ollama_write(text, "ollama_proxy_key_info{");
        ngx_http_ollama_write_label(text, &snap);
        ngx_http_ollama_write(text, ",fingerprint=\"%*s\",status=\"%s\"} 1\n",
                              sizeof(snap.fingerprint), snap.fingerprint,
                              snap.state_name);
    }
}


/* what is not printable ASCII might not be UTF-8 either */

static void
ngx_http_ollama_write_label(ngx_http_ollama_text_t *text,
    ngx_http_ollama_snapshot_t *snap)
{
    u_char      ch;
    ngx_uint_t  i;

    ollama_json_raw(&text->json, "key=\"", 5);

    for (i = 0; i < snap->name_len; i++) {
        ch = snap->name[i];

        if (ch == '\\' || ch == '"') {
            ollama_json_raw(&text->json, "\\", 1);
        }

        if (ch < 0x20 || ch > 0x7e) {
            ch = '?';
        }

        ollama_json_raw(&text->json, &ch, 1);
    }

    ollama_json_raw(&text->json, "\"", 1);
}


static void ngx_cdecl
ngx_http_ollama_write(ngx_http_ollama_text_t *text, const char *fmt, ...)
{
    u_char   buf[1024], *p;
    va_list  args;

    va_start(args, fmt);
    p = ngx_vslprintf(buf, buf + sizeof(buf), fmt, args);
    va_end(args);

    ollama_json_raw(&text->json, buf, p - buf);
}


static ngx_int_t
ngx_http_ollama_text_init(ngx_http_ollama_text_t *text, ngx_pool_t *pool)
{
    text->pool = pool;

    ollama_json_init(&text->json, NULL, 0);

    return ngx_http_ollama_text_room(text, 4096);
}


/* the next so many bytes fit, and those that close what is open */

static ngx_int_t
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


static uint64_t
ngx_http_ollama_gauge_eligible(ngx_http_ollama_snapshot_t *snap)
{
    return snap->eligible;
}


static uint64_t
ngx_http_ollama_gauge_in_flight(ngx_http_ollama_snapshot_t *snap)
{
    return snap->in_flight;
}


static uint64_t
ngx_http_ollama_gauge_slots(ngx_http_ollama_snapshot_t *snap)
{
    return snap->slots;
}


static uint64_t
ngx_http_ollama_gauge_usage(ngx_http_ollama_snapshot_t *snap)
{
    return snap->usage;
}


static uint64_t
ngx_http_ollama_gauge_reserved(ngx_http_ollama_snapshot_t *snap)
{
    return snap->reserved;
}


static uint64_t
ngx_http_ollama_gauge_penalty(ngx_http_ollama_snapshot_t *snap)
{
    time_t  left;

    left = snap->until - ngx_time();

    return ngx_max(left, 0);
}
