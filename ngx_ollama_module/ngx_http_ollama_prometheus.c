
#include "ngx_http_ollama_prometheus.h"
#include "ngx_http_ollama_text.h"


/* the longest line of a key, and a head */

#define NGX_HTTP_OLLAMA_LINE_SIZE  (1024 + 2 * OLLAMA_CONFIG_NAME_MAX)


typedef struct {
    const char                  *name;
    const char                  *help;
    uint64_t                   (*of)(ngx_http_ollama_snapshot_t *snap);
    ngx_uint_t                   usd;           /* it is nano-dollars */
} ngx_http_ollama_gauge_t;


typedef struct {
    ngx_http_ollama_pool_t      *pool;
    ngx_http_ollama_cursor_t     cursor;
    ngx_uint_t                   generation;    /* of the list, 0: any */
} ngx_http_ollama_walk_t;


static ngx_int_t ngx_http_ollama_write_keys(ngx_http_ollama_text_t *text,
    ngx_http_ollama_pool_t *pool);
static ngx_int_t ngx_http_ollama_write_gauge(ngx_http_ollama_text_t *text,
    ngx_http_ollama_walk_t *walk, ngx_http_ollama_gauge_t *gauge);
static ngx_int_t ngx_http_ollama_write_info(ngx_http_ollama_text_t *text,
    ngx_http_ollama_walk_t *walk);
static ngx_int_t ngx_http_ollama_walk_next(ngx_http_ollama_text_t *text,
    ngx_http_ollama_walk_t *walk, ngx_http_ollama_snapshot_t *snap);
static void ngx_http_ollama_write_label(ngx_http_ollama_text_t *text,
    ngx_http_ollama_snapshot_t *snap);

static uint64_t ngx_http_ollama_gauge_eligible(
    ngx_http_ollama_snapshot_t *snap);
static uint64_t ngx_http_ollama_gauge_in_flight(
    ngx_http_ollama_snapshot_t *snap);
static uint64_t ngx_http_ollama_gauge_slots(ngx_http_ollama_snapshot_t *snap);
static uint64_t ngx_http_ollama_gauge_usage(ngx_http_ollama_snapshot_t *snap);
static uint64_t ngx_http_ollama_gauge_cost(ngx_http_ollama_snapshot_t *snap);
static uint64_t ngx_http_ollama_gauge_reserved(
    ngx_http_ollama_snapshot_t *snap);
static uint64_t ngx_http_ollama_gauge_penalty(
    ngx_http_ollama_snapshot_t *snap);


/* as ollama-statsd names them */

static ngx_http_ollama_gauge_t  ngx_http_ollama_gauges[] = {

    { "ollama_proxy_key_eligible",
      "1 if the key may be chosen for the next request.",
      ngx_http_ollama_gauge_eligible, 0 },

    { "ollama_proxy_key_in_flight",
      "Requests in flight with the key.",
      ngx_http_ollama_gauge_in_flight, 0 },

    { "ollama_proxy_key_slots",
      "Requests the key may have in flight, 0 for any number.",
      ngx_http_ollama_gauge_slots, 0 },

    { "ollama_proxy_key_window_tokens",
      "Tokens used with the key in the last 2 h.",
      ngx_http_ollama_gauge_usage, 0 },

    { "ollama_proxy_key_window_cost_usd",
      "Cost of what the key has used in the last 2 h, without unpriced models.",
      ngx_http_ollama_gauge_cost, 1 },

    { "ollama_proxy_key_reserved_tokens",
      "Tokens reserved for requests in flight.",
      ngx_http_ollama_gauge_reserved, 0 },

    { "ollama_proxy_key_penalty_seconds",
      "Seconds until the key's penalty ends.",
      ngx_http_ollama_gauge_penalty, 0 },

    { NULL, NULL, NULL, 0 }
};


ngx_int_t
ngx_http_ollama_prometheus(ngx_http_request_t *r,
    ngx_http_ollama_pool_t *pool, ngx_str_t *out)
{
    ngx_int_t                  rc;
    ngx_http_ollama_text_t     text;
    ngx_http_ollama_totals_t   totals;

    if (ngx_http_ollama_text_init(&text, r->pool) != NGX_OK) {
        return NGX_ERROR;
    }

    /* of two lists a key might be told twice, which no reader takes */

    do {
        text.json.pos = text.json.start;
        rc = ngx_http_ollama_write_keys(&text, pool);
    } while (rc == NGX_AGAIN);

    if (rc != NGX_OK || ngx_http_ollama_text_room(&text, 1024) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_ollama_pool_totals(pool, &totals);

    ngx_http_ollama_text_write(&text,
                   "# HELP ollama_proxy_requests_in_flight "
                   "Requests in flight at the cloud.\n"
                   "# TYPE ollama_proxy_requests_in_flight gauge\n"
                   "ollama_proxy_requests_in_flight %ui\n"
                   "# HELP ollama_proxy_requests_waiting "
                   "Requests that wait for a key's slot.\n"
                   "# TYPE ollama_proxy_requests_waiting gauge\n"
                   "ollama_proxy_requests_waiting %ui\n",
                   totals.in_flight, totals.waiting);

    ngx_http_ollama_text_end(&text, out);

    return NGX_OK;
}


/* NGX_AGAIN: the list was replaced meanwhile */

static ngx_int_t
ngx_http_ollama_write_keys(ngx_http_ollama_text_t *text,
    ngx_http_ollama_pool_t *pool)
{
    ngx_int_t                 rc;
    ngx_http_ollama_walk_t    walk;
    ngx_http_ollama_gauge_t  *gauge;

    walk.pool = pool;
    walk.generation = 0;

    for (gauge = ngx_http_ollama_gauges; gauge->name; gauge++) {
        rc = ngx_http_ollama_write_gauge(text, &walk, gauge);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return ngx_http_ollama_write_info(text, &walk);
}


static ngx_int_t
ngx_http_ollama_write_gauge(ngx_http_ollama_text_t *text,
    ngx_http_ollama_walk_t *walk, ngx_http_ollama_gauge_t *gauge)
{
    u_char                     *p, value[NGX_HTTP_OLLAMA_USD_LEN];
    ngx_int_t                   rc;
    ngx_http_ollama_snapshot_t  snap;

    if (ngx_http_ollama_text_room(text, NGX_HTTP_OLLAMA_LINE_SIZE) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_ollama_text_write(text, "# HELP %s %s\n# TYPE %s gauge\n",
                          gauge->name, gauge->help, gauge->name);

    ngx_memzero(&walk->cursor, sizeof(ngx_http_ollama_cursor_t));

    for ( ;; ) {
        rc = ngx_http_ollama_walk_next(text, walk, &snap);

        if (rc != NGX_OK) {
            return (rc == NGX_DONE) ? NGX_OK : rc;
        }

        ngx_http_ollama_text_write(text, "%s{", gauge->name);
        ngx_http_ollama_write_label(text, &snap);

        p = gauge->usd ? ngx_http_ollama_usd(value, gauge->of(&snap))
                       : ngx_sprintf(value, "%uL", gauge->of(&snap));

        ngx_http_ollama_text_write(text, "} %*s\n", (size_t) (p - value),
                                   value);
    }
}


static ngx_int_t
ngx_http_ollama_write_info(ngx_http_ollama_text_t *text,
    ngx_http_ollama_walk_t *walk)
{
    ngx_int_t                   rc;
    ngx_http_ollama_snapshot_t  snap;

    if (ngx_http_ollama_text_room(text, NGX_HTTP_OLLAMA_LINE_SIZE) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_ollama_text_write(text,
                          "# HELP ollama_proxy_key_info "
                          "1, with the state of a key in words.\n"
                          "# TYPE ollama_proxy_key_info gauge\n");

    ngx_memzero(&walk->cursor, sizeof(ngx_http_ollama_cursor_t));

    for ( ;; ) {
        rc = ngx_http_ollama_walk_next(text, walk, &snap);

        if (rc != NGX_OK) {
            return (rc == NGX_DONE) ? NGX_OK : rc;
        }

        ngx_http_ollama_text_write(text, "ollama_proxy_key_info{");
        ngx_http_ollama_write_label(text, &snap);
        ngx_http_ollama_text_write(text, ",fingerprint=\"%*s\",status=\"%s\"} 1\n",
                              sizeof(snap.fingerprint), snap.fingerprint,
                              snap.state_name);
    }
}


/* the next key, and room for its line; NGX_DONE: there was none left */

static ngx_int_t
ngx_http_ollama_walk_next(ngx_http_ollama_text_t *text,
    ngx_http_ollama_walk_t *walk, ngx_http_ollama_snapshot_t *snap)
{
    ngx_uint_t  n;

    n = ngx_http_ollama_pool_list(walk->pool, &walk->cursor, snap, 1);

    if (walk->generation == 0) {
        walk->generation = walk->cursor.generation;
    }

    if (walk->generation != walk->cursor.generation) {
        return NGX_AGAIN;
    }

    if (n == 0) {
        return NGX_DONE;
    }

    return ngx_http_ollama_text_room(text, NGX_HTTP_OLLAMA_LINE_SIZE);
}


/* a name holds nothing that had to be escaped, see config_key.c */

static void
ngx_http_ollama_write_label(ngx_http_ollama_text_t *text,
    ngx_http_ollama_snapshot_t *snap)
{
    ollama_json_raw(&text->json, "key=\"", 5);
    ollama_json_raw(&text->json, snap->name, snap->name_len);
    ollama_json_raw(&text->json, "\"", 1);
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
ngx_http_ollama_gauge_cost(ngx_http_ollama_snapshot_t *snap)
{
    return snap->cost;
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
