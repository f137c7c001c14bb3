
#include "bytes.h"
#include "record.h"


size_t
ollama_record_hello_encode(unsigned char *buf, size_t size,
    const ollama_record_hello_t *r)
{
    ollama_writer_t  w;

    if (ollama_write_begin(&w, buf, size) != 0) {
        return 0;
    }

    ollama_write_n(&w, r->instance, 8);
    ollama_write_n(&w, r->started, 8);
    ollama_write_n(&w, r->pid, 4);
    ollama_write_n(&w, r->keys, 4);
    ollama_write_text(&w, &r->version, 64);
    ollama_write_text(&w, &r->server, 64);
    ollama_write_n(&w, OLLAMA_FRAME_VERSION, 1);
    ollama_write_text(&w, &r->proxy, 64);
    ollama_write_n(&w, r->balance, 4);
    ollama_write_text(&w, &r->private, 108);

    return ollama_write_end(&w, buf, OLLAMA_FRAME_HELLO);
}


int
ollama_record_hello_decode(const ollama_frame_t *f, ollama_record_hello_t *r)
{
    ollama_reader_t  in;

    ollama_read_begin(&in, f);

    r->instance = ollama_read_n(&in, 8);
    r->started = ollama_read_n(&in, 8);
    r->pid = (uint32_t) ollama_read_n(&in, 4);
    r->keys = (uint32_t) ollama_read_n(&in, 4);
    ollama_read_text(&in, &r->version, 64);
    ollama_read_text(&in, &r->server, 64);
    r->frames = (uint8_t) ollama_read_later(&in, 1, 1);
    ollama_read_text_later(&in, &r->proxy, 64);
    r->balance = (uint32_t) ollama_read_later(&in, 4, 0);
    ollama_read_text_later(&in, &r->private, 108);

    return in.bad ? -1 : 0;
}


size_t
ollama_record_key_encode(unsigned char *buf, size_t size,
    const ollama_record_key_t *r)
{
    ollama_writer_t  w;

    if (ollama_write_begin(&w, buf, size) != 0) {
        return 0;
    }

    ollama_write_n(&w, r->key, 4);
    ollama_write_n(&w, r->index, 4);
    ollama_write_n(&w, r->max_concurrent, 4);
    ollama_write_n(&w, r->weight, 4);
    ollama_write_n(&w, r->enabled, 1);
    ollama_write_text(&w, &r->name, 128);
    ollama_write_text(&w, &r->account, 128);

    return ollama_write_end(&w, buf, OLLAMA_FRAME_KEY);
}


int
ollama_record_key_decode(const ollama_frame_t *f, ollama_record_key_t *r)
{
    ollama_reader_t  in;

    ollama_read_begin(&in, f);

    r->key = (uint32_t) ollama_read_n(&in, 4);
    r->index = (uint32_t) ollama_read_n(&in, 4);
    r->max_concurrent = (uint32_t) ollama_read_n(&in, 4);
    r->weight = (uint32_t) ollama_read_n(&in, 4);
    r->enabled = (uint8_t) ollama_read_n(&in, 1);
    ollama_read_text(&in, &r->name, 128);
    ollama_read_text(&in, &r->account, 128);

    return in.bad ? -1 : 0;
}


size_t
ollama_record_ready_encode(unsigned char *buf, size_t size)
{
    ollama_writer_t  w;

    if (ollama_write_begin(&w, buf, size) != 0) {
        return 0;
    }

    return ollama_write_end(&w, buf, OLLAMA_FRAME_READY);
}


size_t
ollama_record_welcome_encode(unsigned char *buf, size_t size,
    const ollama_record_welcome_t *r)
{
    ollama_writer_t  w;

    if (ollama_write_begin(&w, buf, size) != 0) {
        return 0;
    }

    ollama_write_n(&w, r->instance, 8);
    ollama_write_n(&w, r->seq, 8);
    ollama_write_n(&w, r->time, 8);
    ollama_write_text(&w, &r->version, 64);
    ollama_write_n(&w, OLLAMA_FRAME_VERSION, 1);

    return ollama_write_end(&w, buf, OLLAMA_FRAME_WELCOME);
}


int
ollama_record_welcome_decode(const ollama_frame_t *f,
    ollama_record_welcome_t *r)
{
    ollama_reader_t  in;

    ollama_read_begin(&in, f);

    r->instance = ollama_read_n(&in, 8);
    r->seq = ollama_read_n(&in, 8);
    r->time = ollama_read_n(&in, 8);
    ollama_read_text(&in, &r->version, 64);
    r->frames = (uint8_t) ollama_read_later(&in, 1, 1);

    return in.bad ? -1 : 0;
}


size_t
ollama_record_ack_encode(unsigned char *buf, size_t size,
    const ollama_record_ack_t *r)
{
    ollama_writer_t  w;

    if (ollama_write_begin(&w, buf, size) != 0) {
        return 0;
    }

    ollama_write_n(&w, r->seq, 8);

    return ollama_write_end(&w, buf, OLLAMA_FRAME_ACK);
}


int
ollama_record_ack_decode(const ollama_frame_t *f, ollama_record_ack_t *r)
{
    ollama_reader_t  in;

    ollama_read_begin(&in, f);

    r->seq = ollama_read_n(&in, 8);

    return in.bad ? -1 : 0;
}


size_t
ollama_record_usage_encode(unsigned char *buf, size_t size,
    const ollama_record_usage_t *r)
{
    uint32_t         i;
    ollama_writer_t  w;

    if (ollama_write_begin(&w, buf, size) != 0
        || r->n > OLLAMA_RECORD_MINUTES)
    {
        return 0;
    }

    ollama_write_n(&w, r->key, 4);
    ollama_write_n(&w, r->n, 4);

    for (i = 0; i < r->n; i++) {
        ollama_write_n(&w, r->minutes[i].minute, 4);
        ollama_write_n(&w, r->minutes[i].tokens, 8);
    }

    /* what came later stands behind what all know */

    for (i = 0; i < r->n; i++) {
        ollama_write_n(&w, r->minutes[i].cost, 8);
        ollama_write_n(&w, r->minutes[i].unpriced, 8);
    }

    return ollama_write_end(&w, buf, OLLAMA_FRAME_USAGE);
}


int
ollama_record_usage_decode(const ollama_frame_t *f, ollama_record_usage_t *r)
{
    uint32_t         i;
    ollama_reader_t  in;

    ollama_read_begin(&in, f);

    r->key = (uint32_t) ollama_read_n(&in, 4);
    r->n = (uint32_t) ollama_read_n(&in, 4);

    if (in.bad || r->n > OLLAMA_RECORD_MINUTES) {
        return -1;
    }

    for (i = 0; i < r->n; i++) {
        r->minutes[i].minute = (uint32_t) ollama_read_n(&in, 4);
        r->minutes[i].tokens = ollama_read_n(&in, 8);
    }

    for (i = 0; i < r->n; i++) {
        r->minutes[i].cost = ollama_read_later(&in, 8, 0);
        r->minutes[i].unpriced = ollama_read_later(&in, 8,
                                                   r->minutes[i].tokens);
    }

    return in.bad ? -1 : 0;
}


size_t
ollama_record_penalty_encode(unsigned char *buf, size_t size,
    const ollama_record_penalty_t *r)
{
    ollama_writer_t  w;

    if (ollama_write_begin(&w, buf, size) != 0) {
        return 0;
    }

    ollama_write_n(&w, r->key, 4);
    ollama_write_n(&w, r->time, 8);
    ollama_write_n(&w, r->until, 8);
    ollama_write_n(&w, r->extra, 8);
    ollama_write_n(&w, r->max_concurrent, 4);
    ollama_write_n(&w, r->http, 2);
    ollama_write_n(&w, r->state, 1);
    ollama_write_n(&w, r->level, 1);
    ollama_write_text(&w, &r->model, 256);
    ollama_write_text(&w, &r->status, 64);
    ollama_write_text(&w, &r->reason, 256);

    return ollama_write_end(&w, buf, OLLAMA_FRAME_PENALTY);
}


int
ollama_record_penalty_decode(const ollama_frame_t *f,
    ollama_record_penalty_t *r)
{
    ollama_reader_t  in;

    ollama_read_begin(&in, f);

    r->key = (uint32_t) ollama_read_n(&in, 4);
    r->time = ollama_read_n(&in, 8);
    r->until = ollama_read_n(&in, 8);
    r->extra = ollama_read_n(&in, 8);
    r->max_concurrent = (uint32_t) ollama_read_n(&in, 4);
    r->http = (uint16_t) ollama_read_n(&in, 2);
    r->state = (uint8_t) ollama_read_n(&in, 1);
    r->level = (uint8_t) ollama_read_n(&in, 1);
    ollama_read_text(&in, &r->model, 256);
    ollama_read_text(&in, &r->status, 64);
    ollama_read_text(&in, &r->reason, 256);

    return in.bad ? -1 : 0;
}


size_t
ollama_record_outbox_encode(unsigned char *buf, size_t size,
    const ollama_record_outbox_t *r)
{
    ollama_writer_t  w;

    if (ollama_write_begin(&w, buf, size) != 0) {
        return 0;
    }

    ollama_write_n(&w, r->time, 8);
    ollama_write_n(&w, r->size, 8);
    ollama_write_n(&w, r->used, 8);
    ollama_write_n(&w, r->last_seq, 8);
    ollama_write_n(&w, r->acked, 8);
    ollama_write_n(&w, r->dropped_records, 8);
    ollama_write_n(&w, r->dropped_bodies, 8);
    ollama_write_n(&w, r->resent, 8);
    ollama_write_n(&w, r->lag, 4);
    ollama_write_n(&w, r->running, 4);
    ollama_write_n(&w, r->waiting, 4);
    ollama_write_n(&w, r->workers, 4);

    return ollama_write_end(&w, buf, OLLAMA_FRAME_OUTBOX);
}


int
ollama_record_outbox_decode(const ollama_frame_t *f, ollama_record_outbox_t *r)
{
    ollama_reader_t  in;

    ollama_read_begin(&in, f);

    r->time = ollama_read_n(&in, 8);
    r->size = ollama_read_n(&in, 8);
    r->used = ollama_read_n(&in, 8);
    r->last_seq = ollama_read_n(&in, 8);
    r->acked = ollama_read_n(&in, 8);
    r->dropped_records = ollama_read_n(&in, 8);
    r->dropped_bodies = ollama_read_n(&in, 8);
    r->resent = ollama_read_n(&in, 8);
    r->lag = (uint32_t) ollama_read_n(&in, 4);
    r->running = (uint32_t) ollama_read_n(&in, 4);
    r->waiting = (uint32_t) ollama_read_n(&in, 4);
    r->workers = (uint32_t) ollama_read_n(&in, 4);

    return in.bad ? -1 : 0;
}


size_t
ollama_record_keystate_encode(unsigned char *buf, size_t size,
    const ollama_record_keystate_t *r)
{
    ollama_writer_t  w;

    if (ollama_write_begin(&w, buf, size) != 0) {
        return 0;
    }

    ollama_write_n(&w, r->key, 4);
    ollama_write_n(&w, r->in_flight, 4);
    ollama_write_n(&w, r->slots, 4);
    ollama_write_n(&w, r->usage, 8);
    ollama_write_n(&w, r->reserved, 8);
    ollama_write_n(&w, r->until, 8);
    ollama_write_n(&w, r->state, 1);
    ollama_write_n(&w, r->eligible, 1);
    ollama_write_text(&w, &r->status, 64);
    ollama_write_text(&w, &r->reason, 256);
    ollama_write_n(&w, r->cost, 8);
    ollama_write_n(&w, r->tier, 1);

    return ollama_write_end(&w, buf, OLLAMA_FRAME_KEYSTATE);
}


int
ollama_record_keystate_decode(const ollama_frame_t *f,
    ollama_record_keystate_t *r)
{
    ollama_reader_t  in;

    ollama_read_begin(&in, f);

    r->key = (uint32_t) ollama_read_n(&in, 4);
    r->in_flight = (uint32_t) ollama_read_n(&in, 4);
    r->slots = (uint32_t) ollama_read_n(&in, 4);
    r->usage = ollama_read_n(&in, 8);
    r->reserved = ollama_read_n(&in, 8);
    r->until = ollama_read_n(&in, 8);
    r->state = (uint8_t) ollama_read_n(&in, 1);
    r->eligible = (uint8_t) ollama_read_n(&in, 1);
    ollama_read_text(&in, &r->status, 64);
    ollama_read_text(&in, &r->reason, 256);
    r->cost = ollama_read_later(&in, 8, 0);
    r->tier = (uint8_t) ollama_read_later(&in, 1, 0);

    return in.bad ? -1 : 0;
}


size_t
ollama_record_balance_encode(unsigned char *buf, size_t size,
    const ollama_record_balance_t *r)
{
    ollama_writer_t  w;

    if (ollama_write_begin(&w, buf, size) != 0) {
        return 0;
    }

    ollama_write_n(&w, r->key, 4);
    ollama_write_n(&w, r->kind, 1);
    ollama_write_n(&w, r->time, 8);
    ollama_write_n(&w, r->included, 8);
    ollama_write_n(&w, r->allowance, 8);
    ollama_write_n(&w, r->purchased, 8);
    ollama_write_n(&w, r->from, 8);
    ollama_write_n(&w, r->until, 8);
    ollama_write_n(&w, r->session, 2);
    ollama_write_n(&w, r->week, 2);
    ollama_write_n(&w, r->session_resets, 8);
    ollama_write_n(&w, r->week_resets, 8);

    return ollama_write_end(&w, buf, OLLAMA_FRAME_BALANCE);
}


int
ollama_record_balance_decode(const ollama_frame_t *f,
    ollama_record_balance_t *r)
{
    ollama_reader_t  in;

    ollama_read_begin(&in, f);

    r->key = (uint32_t) ollama_read_n(&in, 4);
    r->kind = (uint8_t) ollama_read_n(&in, 1);
    r->time = ollama_read_n(&in, 8);
    r->included = ollama_read_n(&in, 8);
    r->allowance = ollama_read_n(&in, 8);
    r->purchased = ollama_read_n(&in, 8);
    r->from = ollama_read_n(&in, 8);
    r->until = ollama_read_n(&in, 8);
    r->session = (uint16_t) ollama_read_n(&in, 2);
    r->week = (uint16_t) ollama_read_n(&in, 2);
    r->session_resets = ollama_read_n(&in, 8);
    r->week_resets = ollama_read_n(&in, 8);

    return (in.bad || r->kind > OLLAMA_BALANCE_INVALID) ? -1 : 0;
}
