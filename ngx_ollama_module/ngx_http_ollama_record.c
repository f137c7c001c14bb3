
#include "ngx_http_ollama_record.h"
#include "ngx_http_ollama_access.h"
#include "ngx_http_ollama_cost.h"
#include "ngx_http_ollama_outbox.h"
#include "ngx_http_ollama_respond.h"
#include "ngx_http_ollama_trace.h"
#include "ngx_http_ollama_usage.h"


static void ngx_http_ollama_record_fill(ngx_http_ollama_ctx_t *ctx,
    ollama_record_request_t *record);
static void ngx_http_ollama_record_cost(ngx_http_ollama_ctx_t *ctx,
    ollama_record_request_t *record);
static void ngx_http_ollama_record_times(ngx_http_ollama_ctx_t *ctx,
    ollama_record_request_t *record);
static void ngx_http_ollama_record_attempts(ngx_http_ollama_ctx_t *ctx,
    ollama_record_request_t *record);
static void ngx_http_ollama_record_client(ngx_http_ollama_ctx_t *ctx,
    ollama_record_request_t *record);
static uint64_t ngx_http_ollama_record_id(ngx_http_ollama_ctx_t *ctx);
static uint64_t ngx_http_ollama_record_time(ngx_http_request_t *r);
static size_t ngx_http_ollama_record_keep(ngx_http_ollama_ctx_t *ctx);
static u_char *ngx_http_ollama_record_frame(ngx_http_ollama_ctx_t *ctx,
    size_t *size);
static ngx_int_t ngx_http_ollama_record_copy(ngx_http_ollama_ctx_t *ctx,
    u_char *p, size_t len);
static void ngx_http_ollama_text(ollama_text_t *text, ngx_str_t *s);


/* where a body's frame is put together, kept for the next one */

static u_char  *ngx_http_ollama_body_buf;
static size_t   ngx_http_ollama_body_size;


void
ngx_http_ollama_record(ngx_http_ollama_ctx_t *ctx, uint32_t *mark)
{
    u_char                     frame[OLLAMA_RECORD_MAX], *body;
    size_t                     len, size;
    ngx_str_t                  reason;
    ollama_record_request_t    record;
    ngx_http_ollama_outbox_t  *outbox;

    outbox = ctx->conf->outbox;

    if (outbox == NULL
        || ctx->state == NGX_HTTP_OLLAMA_INIT
        || ctx->route->kind == OLLAMA_ROUTE_LOCAL)
    {
        return;
    }

    ngx_http_ollama_record_fill(ctx, &record);

    record.prompt = ctx->answer.prompt;
    record.completion = ctx->answer.completion;

    ngx_http_ollama_record_cost(ctx, &record);

    record.end = (uint8_t) ngx_http_ollama_record_end(ctx, &reason);

    ngx_http_ollama_text(&record.reason, &reason);

    if (record.end == OLLAMA_RECORD_CLIENT_GONE && record.status == 0) {
        record.status = NGX_HTTP_CLIENT_CLOSED_REQUEST;
    }

    body = ngx_http_ollama_record_frame(ctx, &size);

    if (body) {
        record.has_body = 1;
    }

    len = ollama_record_request_encode(frame, sizeof(frame), &record);

    if (len) {
        (void) ngx_http_ollama_outbox_put_record(outbox, frame, len,
                                                 record.time, mark);
    }

    if (body) {
        (void) ngx_http_ollama_outbox_put(outbox, body, size, record.time, 1);
        ctx->body.recorded = 1;
    }
}


ngx_int_t
ngx_http_ollama_record_body(ngx_http_ollama_ctx_t *ctx)
{
    size_t   size;
    u_char  *frame;

    size = ngx_http_ollama_record_keep(ctx);

    if (size == 0) {
        return NGX_DECLINED;
    }

    if (!ngx_http_ollama_outbox_room(ctx->conf->outbox, size)) {
        return NGX_AGAIN;
    }

    frame = ngx_http_ollama_record_frame(ctx, &size);

    if (frame == NULL
        || ngx_http_ollama_outbox_put(ctx->conf->outbox, frame, size,
                                      ngx_http_ollama_record_time(ctx->request),
                                      1)
           != NGX_OK)
    {
        return NGX_AGAIN;
    }

    ctx->body.recorded = 1;

    return NGX_OK;
}


/* the same of a request that still runs: a whole RUNNING frame */

size_t
ngx_http_ollama_record_running(ngx_http_ollama_ctx_t *ctx, u_char *buf,
    size_t size)
{
    ollama_record_request_t       record;
    ngx_http_ollama_attempt_t    *attempt;
    const ollama_usage_result_t  *usage;

    ngx_http_ollama_record_fill(ctx, &record);

    usage = ngx_http_ollama_usage(ctx);

    if (usage) {
        ollama_usage_so_far(usage, ctx->body.tokens, &record.prompt,
                            &record.completion);

    } else if (ctx->route->kind == OLLAMA_ROUTE_INFERENCE) {
        record.prompt = ctx->body.tokens;
    }

    ngx_http_ollama_record_cost(ctx, &record);

    record.certainty = OLLAMA_RECORD_ESTIMATED;
    record.prompt_certainty = OLLAMA_RECORD_ESTIMATED;
    record.completion_certainty = OLLAMA_RECORD_ESTIMATED;

    record.total = (uint32_t) ngx_http_ollama_elapsed(ctx->request);

    attempt = ngx_http_ollama_trace_last(ctx);

    if (ctx->trace.wait_since) {
        record.end = OLLAMA_RECORD_WAITING;
        record.queue += (uint32_t) (ngx_current_msec - ctx->trace.wait_since);

        /* an answer that is parked has no key any more */

        record.key = 0;

        if (attempt) {
            record.attempts[record.nattempts - 1].ms =
                          (uint32_t) (ctx->trace.wait_since - attempt->start);
        }

    } else {

        if (ctx->state == NGX_HTTP_OLLAMA_READING) {
            record.end = OLLAMA_RECORD_READING;

        } else {
            record.end = ctx->trace.first_byte ? OLLAMA_RECORD_ANSWERING
                                               : OLLAMA_RECORD_SENT;
        }

        /* the last one is under way, and none that has failed */

        if (attempt) {
            record.nattempts--;
            record.attempts_all--;
        }
    }

    return ollama_record_running_encode(buf, size, &record);
}


static void
ngx_http_ollama_record_fill(ngx_http_ollama_ctx_t *ctx,
    ollama_record_request_t *record)
{
    ngx_http_request_t           *r;
    ngx_http_ollama_attempt_t    *attempt;
    const ollama_usage_result_t  *usage;

    r = ctx->request;

    ngx_memzero(record, offsetof(ollama_record_request_t, attempts));
    ngx_memzero(&record->client, sizeof(ollama_record_request_t)
                                 - offsetof(ollama_record_request_t, client));

    record->id = ngx_http_ollama_record_id(ctx);
    record->time = ngx_http_ollama_record_time(r);

    record->bytes_in = ctx->body.size;
    record->bytes_out = ctx->answer.bytes;

    attempt = ngx_http_ollama_trace_last(ctx);

    record->key = (attempt && !ctx->keyless) ? attempt->key : 0;

    record->status = (uint16_t) (r->err_status ? r->err_status
                                               : r->headers_out.status);
    record->streamed = ctx->body.streaming;
    record->has_body = ctx->body.recorded;

    usage = ngx_http_ollama_usage(ctx);

    if (usage) {
        record->cached = usage->cached;
        record->certainty = (uint8_t) usage->certainty;
        record->prompt_certainty = (uint8_t) usage->prompt_certainty;
        record->completion_certainty = (uint8_t) usage->completion_certainty;

        record->model_answered.data = (u_char *) usage->model;
        record->model_answered.len = usage->model_len;
    }

    ngx_http_ollama_record_times(ctx, record);
    ngx_http_ollama_record_attempts(ctx, record);
    ngx_http_ollama_record_client(ctx, record);

    ngx_http_ollama_text(&record->method, &r->method_name);
    ngx_http_ollama_text(&record->endpoint, &ctx->endpoint);
    ngx_http_ollama_text(&record->model, &ctx->body.model);
}


static void
ngx_http_ollama_record_cost(ngx_http_ollama_ctx_t *ctx,
    ollama_record_request_t *record)
{
    ngx_http_ollama_charge_t  charge;

    ngx_http_ollama_charge(ctx, record->prompt, record->cached,
                           record->completion, &charge);

    record->priced = ctx->priced;
    record->cost = charge.cost;
    record->affinity = (uint8_t) ctx->lease.affinity;

    if (ctx->priced && ctx->price.input > ctx->price.cached) {
        record->cached_saves = ctx->price.input - ctx->price.cached;
    }
}


static uint64_t
ngx_http_ollama_record_id(ngx_http_ollama_ctx_t *ctx)
{
    if (ctx->id == 0) {
        ctx->id = ngx_http_ollama_outbox_id(ctx->conf->outbox);
    }

    return ctx->id;
}


static uint64_t
ngx_http_ollama_record_time(ngx_http_request_t *r)
{
    return (uint64_t) r->start_sec * 1000 + r->start_msec;
}


static void
ngx_http_ollama_record_times(ngx_http_ollama_ctx_t *ctx,
    ollama_record_request_t *record)
{
    ngx_http_request_t         *r;
    ngx_http_upstream_state_t  *state;

    r = ctx->request;

    record->total = (uint32_t) ctx->trace.total;
    record->queue = (uint32_t) ctx->trace.waited;
    record->connect = OLLAMA_RECORD_NO_TIME;
    record->first_token = OLLAMA_RECORD_NO_TIME;

    if (r->upstream_states && r->upstream_states->nelts) {
        state = r->upstream_states->elts;
        state += r->upstream_states->nelts - 1;

        if (state->connect_time != (ngx_msec_t) -1) {
            record->connect = (uint32_t) state->connect_time;
        }
    }

    if (ctx->trace.first_byte) {
        record->first_token = (uint32_t) ctx->trace.first_byte - 1;
    }
}


static void
ngx_http_ollama_record_attempts(ngx_http_ollama_ctx_t *ctx,
    ollama_record_request_t *record)
{
    ngx_uint_t                  i;
    ngx_http_ollama_attempt_t  *attempt;

    static const uint8_t  causes[] = {
        OLLAMA_ATTEMPT_ANSWERED,        /* OLLAMA_FAIL_NONE */
        OLLAMA_ATTEMPT_CONNECT,         /* OLLAMA_FAIL_CONNECT */
        OLLAMA_ATTEMPT_TIMEOUT,         /* OLLAMA_FAIL_TIMEOUT_FIRST_BYTE */
        OLLAMA_ATTEMPT_STALE,           /* OLLAMA_FAIL_STALE */
        OLLAMA_ATTEMPT_CLOSED           /* OLLAMA_FAIL_ABORTED_EARLY */
    };

    record->nattempts = (uint8_t) ngx_http_ollama_trace_noted(ctx);
    record->attempts_all = (uint16_t) ngx_min(ctx->trace.nattempts, 0xffff);

    for (i = 0; i < record->nattempts; i++) {
        attempt = ngx_http_ollama_trace_nth(ctx, i);

        record->attempts[i].key = attempt->key;
        record->attempts[i].ms = (uint32_t) attempt->time;
        record->attempts[i].status = (uint16_t) attempt->status;
        record->attempts[i].cause = causes[attempt->failure];

        if (attempt->status == 0 && attempt->failure == OLLAMA_FAIL_NONE) {
            record->attempts[i].cause = attempt->abandoned
                                        ? OLLAMA_ATTEMPT_ABANDONED
                                        : OLLAMA_ATTEMPT_ABORTED;
        }
    }
}


ollama_record_end_e
ngx_http_ollama_record_end(ngx_http_ollama_ctx_t *ctx, ngx_str_t *reason)
{
    ngx_http_request_t           *r;
    const ollama_usage_result_t  *usage;

    r = ctx->request;
    usage = ngx_http_ollama_usage(ctx);

    *reason = ctx->trace.said;

    if (ctx->refusal.sent) {
        *reason = ctx->refusal.text;
        return OLLAMA_RECORD_LOCAL;
    }

    if (usage && usage->error) {
        reason->data = (u_char *) usage->error_text;
        reason->len = usage->error_len;
        return OLLAMA_RECORD_STREAM_ERROR;
    }

    if (usage && usage->terminal) {
        return OLLAMA_RECORD_DONE;
    }

    /* a worker that shuts down closes what has taken too long */

    if (ctx->stopped || (ngx_exiting && r->connection->close)) {
        return OLLAMA_RECORD_PROXY_STOPPED;
    }

    if (r->connection->error || r->connection->timedout
        || r->headers_out.status == NGX_HTTP_CLIENT_CLOSED_REQUEST
        || r->err_status == NGX_HTTP_CLIENT_CLOSED_REQUEST)
    {
        return OLLAMA_RECORD_CLIENT_GONE;
    }

    if (ctx->answer.ended) {
        return OLLAMA_RECORD_DONE;
    }

    return OLLAMA_RECORD_UPSTREAM_GONE;
}


const char *
ngx_http_ollama_record_end_name(ollama_record_end_e end)
{
    switch (end) {

    case OLLAMA_RECORD_DONE:
        return "done";

    case OLLAMA_RECORD_LOCAL:
        return "local";

    case OLLAMA_RECORD_CLIENT_GONE:
        return "client_gone";

    case OLLAMA_RECORD_UPSTREAM_GONE:
        return "upstream_gone";

    case OLLAMA_RECORD_STREAM_ERROR:
        return "stream_error";

    case OLLAMA_RECORD_PROXY_STOPPED:
        return "proxy_stopped";

    default: /* OLLAMA_RECORD_WORKER_GONE: nobody is there to say it */
        return "worker_gone";
    }
}


static void
ngx_http_ollama_record_client(ngx_http_ollama_ctx_t *ctx,
    ollama_record_request_t *record)
{
    ngx_str_t           *value;
    ngx_http_request_t  *r;

    r = ctx->request;

    ngx_http_ollama_text(&record->client, &r->connection->addr_text);
    ngx_http_ollama_text(&record->client_name, ngx_http_ollama_client(ctx));

    if (r->headers_in.user_agent) {
        ngx_http_ollama_text(&record->user_agent,
                             &r->headers_in.user_agent->value);
    }

    if (r->upstream == NULL || r->upstream->headers_in.status_n == 0) {
        return;
    }

    value = ngx_http_ollama_find_header(&r->upstream->headers_in.headers,
                                        "x-request-id", 12);
    if (value) {
        ngx_http_ollama_text(&record->upstream_id, value);
    }
}


/* the size of a BODY frame, or 0 when there is none to be kept */

static size_t
ngx_http_ollama_record_keep(ngx_http_ollama_ctx_t *ctx)
{
    ngx_str_t                   *value;
    ngx_http_request_t          *r;
    ngx_http_ollama_loc_conf_t  *olcf;

    r = ctx->request;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_ollama_module);

    if (ctx->conf->outbox == NULL
        || ctx->body.recorded
        || ctx->body.size == 0
        || ctx->body.bufs == NULL
        || olcf->bodies == 0
        || (ctx->who && ctx->who->no_bodies))
    {
        return 0;
    }

    if (olcf->no_log) {
        value = ngx_http_ollama_header_in(r, "x-ollama-no-log");

        if (value && value->len == 1 && value->data[0] == '1') {
            return 0;
        }
    }

    return OLLAMA_RECORD_BODY_HEAD + (size_t) ngx_min(ctx->body.size,
                                                      (off_t) olcf->bodies);
}


/* a whole BODY frame, or NULL */

static u_char *
ngx_http_ollama_record_frame(ngx_http_ollama_ctx_t *ctx, size_t *size)
{
    size_t                len, offset;
    u_char               *p;
    ngx_http_request_t   *r;
    ollama_record_body_t  rb;

    r = ctx->request;

    *size = ngx_http_ollama_record_keep(ctx);

    if (*size == 0 || !ngx_http_ollama_outbox_room(ctx->conf->outbox, *size)) {
        return NULL;
    }

    if (ngx_http_ollama_body_size < *size) {
        p = ngx_alloc(*size, r->connection->log);
        if (p == NULL) {
            return NULL;
        }

        if (ngx_http_ollama_body_buf) {
            ngx_free(ngx_http_ollama_body_buf);
        }

        ngx_http_ollama_body_buf = p;
        ngx_http_ollama_body_size = *size;
    }

    len = *size - OLLAMA_RECORD_BODY_HEAD;

    ngx_memzero(&rb, sizeof(ollama_record_body_t));

    rb.id = ngx_http_ollama_record_id(ctx);
    rb.time = ngx_http_ollama_record_time(r);
    rb.size = ctx->body.size;
    rb.truncated = (off_t) len < ctx->body.size;
    rb.data.len = len;

    p = ngx_http_ollama_body_buf;

    offset = ollama_record_body_begin(p, *size, &rb);

    if (offset == 0
        || ngx_http_ollama_record_copy(ctx, p + offset, len) != NGX_OK)
    {
        return NULL;
    }

    *size = offset + len;

    ollama_frame_seal(p, OLLAMA_FRAME_BODY, *size);

    return p;
}


/* the body as it came: from memory, or from where nginx has put it */

static ngx_int_t
ngx_http_ollama_record_copy(ngx_http_ollama_ctx_t *ctx, u_char *p, size_t len)
{
    size_t        n;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    for (cl = ctx->body.bufs; cl && len; cl = cl->next) {
        b = cl->buf;

        if (ngx_buf_in_memory(b)) {
            n = ngx_min((size_t) (b->last - b->pos), len);
            ngx_memcpy(p, b->pos, n);

        } else {
            n = (size_t) ngx_min(b->file_last - b->file_pos, (off_t) len);

            if (ngx_read_file(b->file, p, n, b->file_pos) != (ssize_t) n) {
                return NGX_ERROR;
            }
        }

        p += n;
        len -= n;
    }

    return len ? NGX_ERROR : NGX_OK;
}


static void
ngx_http_ollama_text(ollama_text_t *text, ngx_str_t *s)
{
    text->data = s->data;
    text->len = s->len;
}
