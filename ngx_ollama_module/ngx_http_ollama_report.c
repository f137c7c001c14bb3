
#include "ngx_http_ollama_report.h"
#include "ngx_http_ollama_board.h"
#include "ngx_http_ollama_outbox.h"


#define NGX_HTTP_OLLAMA_SNAPSHOTS  32


static void ngx_http_ollama_report_account(ngx_http_ollama_main_conf_t *conf,
    uint32_t key, ollama_text_t *account);
static ngx_int_t ngx_http_ollama_report_keystate(
    ngx_http_ollama_report_t *report, ngx_http_ollama_snapshot_t *snap);


/* keys are copied out of the pool some at a time */

static ngx_http_ollama_snapshot_t
                       ngx_http_ollama_snapshots[NGX_HTTP_OLLAMA_SNAPSHOTS];

/* a daemon that has just come is told all of them */

static ngx_uint_t  ngx_http_ollama_report_all;


ngx_int_t
ngx_http_ollama_report_reserve(ngx_http_ollama_report_t *report, size_t size)
{
    u_char  *p;

    if (report->size >= size) {
        return NGX_OK;
    }

    size = ngx_max(size, NGX_HTTP_OLLAMA_REPORT_BATCH);
    size = ngx_max(size, 2 * report->size);

    p = ngx_alloc(size, ngx_cycle->log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    if (report->buf) {
        ngx_memcpy(p, report->buf, report->len);
        ngx_free(report->buf);
    }

    report->buf = p;
    report->size = size;

    return NGX_OK;
}


void
ngx_http_ollama_report_free(ngx_http_ollama_report_t *report)
{
    if (report->buf) {
        ngx_free(report->buf);
    }

    ngx_memzero(report, sizeof(ngx_http_ollama_report_t));
}


ngx_int_t
ngx_http_ollama_report_hello(ngx_http_ollama_report_t *report,
    ngx_http_ollama_main_conf_t *conf)
{
    ngx_uint_t                   i, n;
    ollama_record_key_t          rk;
    ollama_record_hello_t        hello;
    ngx_http_ollama_cursor_t     cursor;
    ngx_http_ollama_totals_t     totals;
    ngx_http_ollama_snapshot_t  *snap;

    ngx_memzero(&hello, sizeof(ollama_record_hello_t));

    ngx_http_ollama_outbox_hello(conf->outbox, &hello);
    ngx_http_ollama_pool_totals(conf->pool, &totals);

    hello.pid = ngx_pid;
    hello.keys = (uint32_t) totals.keys;
    hello.version.data = (u_char *) NGX_HTTP_OLLAMA_VERSION;
    hello.version.len = sizeof(NGX_HTTP_OLLAMA_VERSION) - 1;
    hello.server.data = (u_char *) NGINX_VER;
    hello.server.len = sizeof(NGINX_VER) - 1;
    hello.proxy.data = conf->proxy.data;
    hello.proxy.len = conf->proxy.len;
    hello.balance = (uint32_t) conf->balance_interval;
    hello.private.data = conf->private.data;
    hello.private.len = conf->private.len;

    report->len = 0;

    if (ngx_http_ollama_report_reserve(report, OLLAMA_RECORD_MAX) != NGX_OK) {
        return NGX_ERROR;
    }

    report->len = ollama_record_hello_encode(report->buf, report->size,
                                             &hello);

    ngx_memzero(&cursor, sizeof(ngx_http_ollama_cursor_t));

    for ( ;; ) {
        snap = ngx_http_ollama_snapshots;

        n = ngx_http_ollama_pool_list(conf->pool, &cursor, snap,
                                      NGX_HTTP_OLLAMA_SNAPSHOTS);
        if (n == 0) {
            break;
        }

        if (ngx_http_ollama_report_reserve(report, report->len
                                                   + n * OLLAMA_RECORD_MAX)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        for (i = 0; i < n; i++) {
            ngx_memzero(&rk, sizeof(ollama_record_key_t));

            rk.key = snap[i].number;
            rk.index = (uint32_t) snap[i].index;
            rk.max_concurrent = (uint32_t) snap[i].slots;
            rk.weight = (uint32_t) snap[i].weight;
            rk.enabled = snap[i].enabled;
            rk.name.data = snap[i].name;
            rk.name.len = snap[i].name_len;

            ngx_http_ollama_report_account(conf, rk.key, &rk.account);

            report->len += ollama_record_key_encode(report->buf + report->len,
                                                    report->size - report->len,
                                                    &rk);
        }
    }

    if (ngx_http_ollama_report_reserve(report, report->len
                                               + OLLAMA_RECORD_MAX)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    report->len += ollama_record_ready_encode(report->buf + report->len,
                                              report->size - report->len);
    return NGX_OK;
}


static void
ngx_http_ollama_report_account(ngx_http_ollama_main_conf_t *conf, uint32_t key,
    ollama_text_t *account)
{
    ngx_uint_t                low, high, i;
    ngx_http_ollama_named_t  *named;

    named = conf->accounts->elts;

    low = 0;
    high = conf->accounts->nelts;

    while (low < high) {
        i = (low + high) / 2;

        if (named[i].number == key) {
            account->data = named[i].account.data;
            account->len = named[i].account.len;
            return;
        }

        if (named[i].number < key) {
            low = i + 1;

        } else {
            high = i;
        }
    }
}


ngx_int_t
ngx_http_ollama_report_state(ngx_http_ollama_report_t *report,
    ngx_http_ollama_main_conf_t *conf)
{
    ngx_uint_t                   i, n, all;
    ollama_record_outbox_t       ro;
    ngx_http_ollama_cursor_t     cursor;
    ngx_http_ollama_totals_t     totals;
    ngx_http_ollama_snapshot_t  *snap;

    report->len = 0;

    if (ngx_http_ollama_report_reserve(report, OLLAMA_RECORD_MAX) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(&ro, sizeof(ollama_record_outbox_t));

    ngx_http_ollama_outbox_state(conf->outbox, &ro);
    ngx_http_ollama_pool_totals(conf->pool, &totals);

    ro.waiting = (uint32_t) totals.waiting;
    ro.running = (uint32_t) totals.in_flight;
    ro.workers = (uint32_t) totals.processes;

    report->len = ollama_record_outbox_encode(report->buf, report->size, &ro);

    ngx_memzero(&cursor, sizeof(ngx_http_ollama_cursor_t));

    snap = ngx_http_ollama_snapshots;
    all = ngx_http_ollama_report_all;

    for ( ;; ) {
        n = all ? ngx_http_ollama_pool_list(conf->pool, &cursor, snap,
                                            NGX_HTTP_OLLAMA_SNAPSHOTS)
                : ngx_http_ollama_pool_changes(conf->pool, snap,
                                               NGX_HTTP_OLLAMA_SNAPSHOTS);

        for (i = 0; i < n; i++) {
            if (ngx_http_ollama_report_keystate(report, &snap[i]) != NGX_OK) {
                return NGX_ERROR;
            }
        }

        /* the rest of what changes all the time can wait for the next one */

        if (n < NGX_HTTP_OLLAMA_SNAPSHOTS
            || (!all && report->len > NGX_HTTP_OLLAMA_REPORT_BATCH))
        {
            break;
        }
    }

    ngx_http_ollama_report_all = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_ollama_report_keystate(ngx_http_ollama_report_t *report,
    ngx_http_ollama_snapshot_t *snap)
{
    ollama_record_keystate_t  rk;

    if (ngx_http_ollama_report_reserve(report, report->len
                                               + OLLAMA_RECORD_MAX)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_memzero(&rk, sizeof(ollama_record_keystate_t));

    rk.key = snap->number;
    rk.in_flight = (uint32_t) snap->in_flight;
    rk.slots = (uint32_t) snap->slots;
    rk.usage = snap->usage;
    rk.reserved = snap->reserved;
    rk.until = (uint64_t) snap->until * 1000;
    rk.state = (uint8_t) snap->state;
    rk.eligible = snap->eligible;
    rk.status.data = (u_char *) snap->state_name;
    rk.status.len = ngx_strlen(snap->state_name);
    rk.reason.data = snap->reason;
    rk.reason.len = ngx_strlen(snap->reason);
    rk.cost = snap->cost;
    rk.tier = (uint8_t) snap->tier;

    report->len += ollama_record_keystate_encode(report->buf + report->len,
                                                 report->size - report->len,
                                                 &rk);
    return NGX_OK;
}


ngx_int_t
ngx_http_ollama_report_running(ngx_http_ollama_report_t *report,
    ngx_http_ollama_main_conf_t *conf, uint32_t *running)
{
    ngx_http_ollama_totals_t     totals;
    ollama_record_running_end_t  end;

    report->len = 0;

    if (ngx_http_ollama_report_reserve(report, NGX_HTTP_OLLAMA_REPORT_BATCH)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    report->len = ngx_http_ollama_board_collect(conf->running, report->buf,
                                                  report->size
                                                  - OLLAMA_RECORD_MAX,
                                                  &end.total);
    *running = end.total;

    ngx_http_ollama_pool_totals(conf->pool, &totals);

    end.time = ngx_http_ollama_now();
    end.waiting = (uint32_t) totals.waiting;

    report->len += ollama_record_running_end_encode(report->buf + report->len,
                                                    report->size - report->len,
                                                    &end);
    return NGX_OK;
}


ngx_int_t
ngx_http_ollama_report_frame(ngx_http_ollama_main_conf_t *conf,
    ollama_frame_t *frame)
{
    ollama_record_ack_t      ack;
    ollama_record_usage_t    usage;
    ollama_record_balance_t  balance;
    ollama_record_penalty_t  penalty;
    ollama_record_welcome_t  welcome;

    switch (frame->type) {

    case OLLAMA_FRAME_WELCOME:

        if (ollama_record_welcome_decode(frame, &welcome) != 0) {
            return NGX_ERROR;
        }

        if (welcome.frames < OLLAMA_FRAME_VERSION) {
            ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                          "ollama-statsd %*s is older than this module: "
                          "all is recorded, but not in every detail",
                          welcome.version.len, welcome.version.data);
        }

        ngx_http_ollama_outbox_welcome(conf->outbox, &welcome);

        return NGX_OK;

    case OLLAMA_FRAME_USAGE:

        if (ollama_record_usage_decode(frame, &usage) != 0) {
            return NGX_ERROR;
        }

        /* only a pool that knows nothing: afterwards it knows better */

        if (!ngx_http_ollama_pool_restored(conf->pool)) {
            ngx_http_ollama_pool_restore_usage(conf->pool, &usage);
        }

        return NGX_OK;

    case OLLAMA_FRAME_PENALTY:

        if (ollama_record_penalty_decode(frame, &penalty) != 0) {
            return NGX_ERROR;
        }

        if (!ngx_http_ollama_pool_restored(conf->pool)) {
            ngx_http_ollama_pool_restore_penalty(conf->pool, &penalty);
        }

        return NGX_OK;

    case OLLAMA_FRAME_BALANCE:

        if (ollama_record_balance_decode(frame, &balance) != 0) {
            return NGX_ERROR;
        }

        ngx_http_ollama_pool_balance(conf->pool, &balance);

        return NGX_OK;

    case OLLAMA_FRAME_READY:
        ngx_http_ollama_pool_restore_done(conf->pool);
        ngx_http_ollama_report_all = 1;

        return NGX_DONE;

    case OLLAMA_FRAME_ACK:

        if (ollama_record_ack_decode(frame, &ack) != 0) {
            return NGX_ERROR;
        }

        ngx_http_ollama_outbox_ack(conf->outbox, ack.seq);

        return NGX_OK;

    default:
        return NGX_OK;
    }
}
