
#include "bytes.h"
#include "record.h"


static size_t
ollama_record_request_write(unsigned char *buf, size_t size,
    const ollama_record_request_t *r, ollama_frame_type_e type)
{
    unsigned int     i;
    ollama_writer_t  w;

    if (ollama_write_begin(&w, buf, size) != 0
        || r->nattempts > OLLAMA_RECORD_ATTEMPTS)
    {
        return 0;
    }

    ollama_write_n(&w, r->id, 8);
    ollama_write_n(&w, r->time, 8);
    ollama_write_n(&w, r->prompt, 8);
    ollama_write_n(&w, r->completion, 8);
    ollama_write_n(&w, r->cached, 8);
    ollama_write_n(&w, r->bytes_in, 8);
    ollama_write_n(&w, r->bytes_out, 8);
    ollama_write_n(&w, r->key, 4);
    ollama_write_n(&w, r->queue, 4);
    ollama_write_n(&w, r->connect, 4);
    ollama_write_n(&w, r->first_token, 4);
    ollama_write_n(&w, r->total, 4);
    ollama_write_n(&w, r->status, 2);
    ollama_write_n(&w, r->certainty, 1);
    ollama_write_n(&w, r->end, 1);
    ollama_write_n(&w, r->streamed, 1);
    ollama_write_n(&w, r->has_body, 1);
    ollama_write_n(&w, r->nattempts, 1);

    for (i = 0; i < r->nattempts; i++) {
        ollama_write_n(&w, r->attempts[i].key, 4);
        ollama_write_n(&w, r->attempts[i].ms, 4);
        ollama_write_n(&w, r->attempts[i].status, 2);
        ollama_write_n(&w, r->attempts[i].cause, 1);
    }

    ollama_write_text(&w, &r->client, 64);
    ollama_write_text(&w, &r->client_name, 128);
    ollama_write_text(&w, &r->method, 16);
    ollama_write_text(&w, &r->endpoint, 256);
    ollama_write_text(&w, &r->model, 256);
    ollama_write_text(&w, &r->model_answered, 256);
    ollama_write_text(&w, &r->upstream_id, 128);
    ollama_write_text(&w, &r->user_agent, 256);
    ollama_write_text(&w, &r->reason, 256);

    return ollama_write_end(&w, buf, type);
}


size_t
ollama_record_request_encode(unsigned char *buf, size_t size,
    const ollama_record_request_t *r)
{
    return ollama_record_request_write(buf, size, r, OLLAMA_FRAME_REQUEST);
}


size_t
ollama_record_running_encode(unsigned char *buf, size_t size,
    const ollama_record_request_t *r)
{
    return ollama_record_request_write(buf, size, r, OLLAMA_FRAME_RUNNING);
}


int
ollama_record_request_decode(const ollama_frame_t *f,
    ollama_record_request_t *r)
{
    unsigned int     i;
    ollama_reader_t  in;

    ollama_read_begin(&in, f);

    r->id = ollama_read_n(&in, 8);
    r->time = ollama_read_n(&in, 8);
    r->prompt = ollama_read_n(&in, 8);
    r->completion = ollama_read_n(&in, 8);
    r->cached = ollama_read_n(&in, 8);
    r->bytes_in = ollama_read_n(&in, 8);
    r->bytes_out = ollama_read_n(&in, 8);
    r->key = (uint32_t) ollama_read_n(&in, 4);
    r->queue = (uint32_t) ollama_read_n(&in, 4);
    r->connect = (uint32_t) ollama_read_n(&in, 4);
    r->first_token = (uint32_t) ollama_read_n(&in, 4);
    r->total = (uint32_t) ollama_read_n(&in, 4);
    r->status = (uint16_t) ollama_read_n(&in, 2);
    r->certainty = (uint8_t) ollama_read_n(&in, 1);
    r->end = (uint8_t) ollama_read_n(&in, 1);
    r->streamed = (uint8_t) ollama_read_n(&in, 1);
    r->has_body = (uint8_t) ollama_read_n(&in, 1);
    r->nattempts = (uint8_t) ollama_read_n(&in, 1);

    if (in.bad
        || r->nattempts > OLLAMA_RECORD_ATTEMPTS
        || r->certainty > OLLAMA_RECORD_EXACT
        || r->end > OLLAMA_RECORD_ANSWERING
        || (r->end > OLLAMA_RECORD_STREAM_ERROR)
           != (f->type == OLLAMA_FRAME_RUNNING))
    {
        return -1;
    }

    for (i = 0; i < r->nattempts; i++) {
        r->attempts[i].key = (uint32_t) ollama_read_n(&in, 4);
        r->attempts[i].ms = (uint32_t) ollama_read_n(&in, 4);
        r->attempts[i].status = (uint16_t) ollama_read_n(&in, 2);
        r->attempts[i].cause = (uint8_t) ollama_read_n(&in, 1);
    }

    ollama_read_text(&in, &r->client, 64);
    ollama_read_text(&in, &r->client_name, 128);
    ollama_read_text(&in, &r->method, 16);
    ollama_read_text(&in, &r->endpoint, 256);
    ollama_read_text(&in, &r->model, 256);
    ollama_read_text(&in, &r->model_answered, 256);
    ollama_read_text(&in, &r->upstream_id, 128);
    ollama_read_text(&in, &r->user_agent, 256);
    ollama_read_text(&in, &r->reason, 256);

    return in.bad ? -1 : 0;
}


size_t
ollama_record_running_end_encode(unsigned char *buf, size_t size,
    const ollama_record_running_end_t *r)
{
    ollama_writer_t  w;

    if (ollama_write_begin(&w, buf, size) != 0) {
        return 0;
    }

    ollama_write_n(&w, r->time, 8);
    ollama_write_n(&w, r->total, 4);
    ollama_write_n(&w, r->waiting, 4);

    return ollama_write_end(&w, buf, OLLAMA_FRAME_RUNNING_END);
}


int
ollama_record_running_end_decode(const ollama_frame_t *f,
    ollama_record_running_end_t *r)
{
    ollama_reader_t  in;

    ollama_read_begin(&in, f);

    r->time = ollama_read_n(&in, 8);
    r->total = (uint32_t) ollama_read_n(&in, 4);
    r->waiting = (uint32_t) ollama_read_n(&in, 4);

    return in.bad ? -1 : 0;
}


size_t
ollama_record_body_begin(unsigned char *buf, size_t size,
    const ollama_record_body_t *r)
{
    size_t           head;
    ollama_writer_t  w;

    if (ollama_write_begin(&w, buf, size) != 0) {
        return 0;
    }

    ollama_write_n(&w, r->id, 8);
    ollama_write_n(&w, r->time, 8);
    ollama_write_n(&w, r->size, 8);
    ollama_write_n(&w, r->truncated, 1);
    ollama_write_n(&w, r->data.len, 4);

    head = (size_t) (w.p - buf);

    if (w.full
        || size - head < r->data.len
        || head - OLLAMA_FRAME_HEADER + r->data.len > OLLAMA_FRAME_MAX)
    {
        return 0;
    }

    return head;
}


int
ollama_record_body_decode(const ollama_frame_t *f, ollama_record_body_t *r)
{
    ollama_reader_t  in;

    ollama_read_begin(&in, f);

    r->id = ollama_read_n(&in, 8);
    r->time = ollama_read_n(&in, 8);
    r->size = ollama_read_n(&in, 8);
    r->truncated = (uint8_t) ollama_read_n(&in, 1);
    r->data.len = (size_t) ollama_read_n(&in, 4);
    r->data.data = in.p;

    if (in.bad || (size_t) (in.last - in.p) < r->data.len) {
        return -1;
    }

    return 0;
}
