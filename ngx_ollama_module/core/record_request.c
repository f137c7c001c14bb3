
#include "bytes.h"
#include "record.h"


/* where the end is in a frame of a request */

#define OLLAMA_RECORD_END_AT  (OLLAMA_FRAME_HEADER + 79)


static size_t ollama_record_request_write(unsigned char *buf, size_t size,
    const ollama_record_request_t *r, ollama_frame_type_e type);
static int ollama_record_end_runs(unsigned int end);


static size_t
ollama_record_request_write(unsigned char *buf, size_t size,
    const ollama_record_request_t *r, ollama_frame_type_e type)
{
    unsigned int     i, all;
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

    all = r->attempts_all;

    if (all < r->nattempts) {
        all = r->nattempts;
    }

    ollama_write_n(&w, all, 2);
    ollama_write_n(&w, r->prompt_certainty, 1);
    ollama_write_n(&w, r->completion_certainty, 1);
    ollama_write_n(&w, r->cost, 8);
    ollama_write_n(&w, r->priced, 1);
    ollama_write_n(&w, r->affinity, 1);
    ollama_write_n(&w, r->cached_saves, 8);

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
        || r->end > OLLAMA_RECORD_WORKER_GONE
        || ollama_record_end_runs(r->end) != (f->type == OLLAMA_FRAME_RUNNING))
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

    r->attempts_all = (uint16_t) ollama_read_later(&in, 2, r->nattempts);

    if (r->attempts_all < r->nattempts) {
        r->attempts_all = r->nattempts;
    }

    r->prompt_certainty = (uint8_t) ollama_read_later(&in, 1, r->certainty);
    r->completion_certainty = (uint8_t) ollama_read_later(&in, 1,
                                                          r->certainty);
    r->cost = ollama_read_later(&in, 8, 0);
    r->priced = (uint8_t) ollama_read_later(&in, 1, 0);
    r->affinity = (uint8_t) ollama_read_later(&in, 1, OLLAMA_AFFINITY_NONE);
    r->cached_saves = ollama_read_later(&in, 8, 0);

    if (r->prompt_certainty > OLLAMA_RECORD_EXACT
        || r->completion_certainty > OLLAMA_RECORD_EXACT)
    {
        return -1;
    }

    /* two clocks, each of them rounded */

    if (r->queue != OLLAMA_RECORD_NO_TIME && r->total < r->queue) {
        r->total = r->queue;
    }

    return in.bad ? -1 : 0;
}


static int
ollama_record_end_runs(unsigned int end)
{
    return end >= OLLAMA_RECORD_READING && end <= OLLAMA_RECORD_ANSWERING;
}


ollama_record_attempt_t *
ollama_record_attempt_add(ollama_record_request_t *r)
{
    ollama_record_attempt_t  *half;

    if (r->attempts_all < r->nattempts) {
        r->attempts_all = r->nattempts;
    }

    if (r->attempts_all < UINT16_MAX) {
        r->attempts_all++;
    }

    if (r->nattempts < OLLAMA_RECORD_ATTEMPTS) {
        return &r->attempts[r->nattempts++];
    }

    half = &r->attempts[OLLAMA_RECORD_ATTEMPTS / 2];

    memmove(half, half + 1, (OLLAMA_RECORD_ATTEMPTS / 2 - 1)
                            * sizeof(ollama_record_attempt_t));

    return &r->attempts[OLLAMA_RECORD_ATTEMPTS - 1];
}


size_t
ollama_record_running_finish(unsigned char *buf, size_t size,
    const unsigned char *running, size_t len, ollama_record_end_e end,
    const char *reason, ollama_record_request_t *r)
{
    size_t                    used;
    uint64_t                  before;
    unsigned int              i;
    ollama_frame_t            f;
    ollama_record_attempt_t  *attempt;

    if (ollama_frame_next(running, len, &used, &f) != OLLAMA_FRAME_GOT
        || f.type != OLLAMA_FRAME_RUNNING
        || ollama_record_request_decode(&f, r) != 0)
    {
        return 0;
    }

    if (r->end == OLLAMA_RECORD_SENT || r->end == OLLAMA_RECORD_ANSWERING) {

        before = (r->queue == OLLAMA_RECORD_NO_TIME) ? 0 : r->queue;

        for (i = 0; i < r->nattempts; i++) {
            before += r->attempts[i].ms;
        }

        attempt = ollama_record_attempt_add(r);

        attempt->key = r->key;
        attempt->ms = (r->total > before) ? (uint32_t) (r->total - before) : 0;
        attempt->status = r->status;
        attempt->cause = r->status ? OLLAMA_ATTEMPT_ANSWERED
                                   : OLLAMA_ATTEMPT_ABORTED;

    } else {
        r->prompt = 0;
        r->completion = 0;
        r->cached = 0;
        r->cost = 0;
    }

    r->certainty = (r->prompt || r->completion) ? OLLAMA_RECORD_PARTIAL
                                                : OLLAMA_RECORD_NONE;
    r->prompt_certainty = r->certainty;
    r->completion_certainty = r->certainty;
    r->end = (uint8_t) end;

    r->reason.data = (const unsigned char *) reason;
    r->reason.len = reason ? strlen(reason) : 0;

    return ollama_record_request_encode(buf, size, r);
}


void
ollama_record_downgrade(unsigned char *frames, size_t len)
{
    size_t          n;
    unsigned char  *p, *last;

    last = frames + len;

    for (p = frames; p < last; p += n) {
        n = ollama_frame_size(p);

        if (p[5] == OLLAMA_FRAME_REQUEST
            && n > OLLAMA_RECORD_END_AT
            && p[OLLAMA_RECORD_END_AT] > OLLAMA_RECORD_STREAM_ERROR)
        {
            p[OLLAMA_RECORD_END_AT] = OLLAMA_RECORD_UPSTREAM_GONE;

        } else if (p[4] == 1) {
            continue;
        }

        ollama_frame_downgrade(p);
    }
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
