
#include "record.h"

#include <string.h>


typedef struct {
    unsigned char         *p;
    unsigned char         *last;
    int                    full;
} ollama_writer_t;


typedef struct {
    const unsigned char   *p;
    const unsigned char   *last;
    int                    bad;
} ollama_reader_t;


static const unsigned char  ollama_frame_magic[4] = { 0xff, 'o', 'l', 'f' };

static uint32_t             ollama_crc32_table[8][256];


static void ollama_crc32_init(void) __attribute__((constructor));


/* eight tables, so that a body of a MiB costs a worker half a millisecond */

static void
ollama_crc32_init(void)
{
    uint32_t      c;
    unsigned int  n, k;

    for (n = 0; n < 256; n++) {
        c = n;

        for (k = 0; k < 8; k++) {
            c = (c & 1) ? 0xedb88320u ^ (c >> 1) : c >> 1;
        }

        ollama_crc32_table[0][n] = c;
    }

    for (n = 0; n < 256; n++) {
        c = ollama_crc32_table[0][n];

        for (k = 1; k < 8; k++) {
            c = ollama_crc32_table[0][c & 0xff] ^ (c >> 8);
            ollama_crc32_table[k][n] = c;
        }
    }
}


uint32_t
ollama_crc32(uint32_t crc, const unsigned char *data, size_t len)
{
    uint32_t  hi;

    crc = ~crc;

    while (len >= 8) {
        crc ^= (uint32_t) data[0] | (uint32_t) data[1] << 8
               | (uint32_t) data[2] << 16 | (uint32_t) data[3] << 24;
        hi = (uint32_t) data[4] | (uint32_t) data[5] << 8
             | (uint32_t) data[6] << 16 | (uint32_t) data[7] << 24;

        crc = ollama_crc32_table[7][crc & 0xff]
              ^ ollama_crc32_table[6][(crc >> 8) & 0xff]
              ^ ollama_crc32_table[5][(crc >> 16) & 0xff]
              ^ ollama_crc32_table[4][crc >> 24]
              ^ ollama_crc32_table[3][hi & 0xff]
              ^ ollama_crc32_table[2][(hi >> 8) & 0xff]
              ^ ollama_crc32_table[1][(hi >> 16) & 0xff]
              ^ ollama_crc32_table[0][hi >> 24];

        data += 8;
        len -= 8;
    }

    while (len--) {
        crc = ollama_crc32_table[0][(crc ^ *data++) & 0xff] ^ (crc >> 8);
    }

    return ~crc;
}


static void
ollama_put_n(unsigned char *p, uint64_t v, size_t n)
{
    while (n--) {
        *p++ = (unsigned char) v;
        v >>= 8;
    }
}


static uint64_t
ollama_get_n(const unsigned char *p, size_t n)
{
    uint64_t  v;

    v = 0;

    while (n--) {
        v = v << 8 | p[n];
    }

    return v;
}


static void
ollama_write_n(ollama_writer_t *w, uint64_t v, size_t n)
{
    if (w->full || (size_t) (w->last - w->p) < n) {
        w->full = 1;
        return;
    }

    ollama_put_n(w->p, v, n);
    w->p += n;
}


static void
ollama_write_text(ollama_writer_t *w, const ollama_text_t *t, size_t max)
{
    size_t  len, cut;

    len = t->len;

    if (len > max) {
        len = max;

        /* a UTF-8 character is left out rather than split */

        for (cut = 0; cut < 3 && (t->data[len] & 0xc0) == 0x80; cut++) {
            len--;
        }
    }

    ollama_write_n(w, len, 2);

    if (w->full || (size_t) (w->last - w->p) < len) {
        w->full = 1;
        return;
    }

    if (len) {
        memcpy(w->p, t->data, len);
        w->p += len;
    }
}


static uint64_t
ollama_read_n(ollama_reader_t *r, size_t n)
{
    uint64_t  v;

    if (r->bad || (size_t) (r->last - r->p) < n) {
        r->bad = 1;
        return 0;
    }

    v = ollama_get_n(r->p, n);
    r->p += n;

    return v;
}


static void
ollama_read_text(ollama_reader_t *r, ollama_text_t *t, size_t max)
{
    t->len = (size_t) ollama_read_n(r, 2);
    t->data = r->p;

    if (r->bad || t->len > max || (size_t) (r->last - r->p) < t->len) {
        r->bad = 1;
        t->len = 0;
        return;
    }

    r->p += t->len;
}


static int
ollama_write_begin(ollama_writer_t *w, unsigned char *buf, size_t size)
{
    if (size < OLLAMA_FRAME_HEADER) {
        return -1;
    }

    w->p = buf + OLLAMA_FRAME_HEADER;
    w->last = buf + size;
    w->full = 0;

    return 0;
}


static size_t
ollama_write_end(ollama_writer_t *w, unsigned char *buf,
    ollama_frame_type_e type)
{
    size_t  size;

    if (w->full) {
        return 0;
    }

    size = (size_t) (w->p - buf);

    ollama_frame_seal(buf, type, size);

    return size;
}


static void
ollama_read_begin(ollama_reader_t *r, const ollama_frame_t *f)
{
    r->p = f->payload;
    r->last = f->payload + f->len;
    r->bad = 0;
}


void
ollama_frame_seal(unsigned char *frame, ollama_frame_type_e type, size_t size)
{
    size_t  len;

    len = size - OLLAMA_FRAME_HEADER;

    memcpy(frame, ollama_frame_magic, 4);
    frame[4] = OLLAMA_FRAME_VERSION;
    frame[5] = (unsigned char) type;
    ollama_put_n(frame + 6, 0, 2);
    ollama_put_n(frame + 8, len, 4);
    ollama_put_n(frame + 12, ollama_crc32(0, frame + OLLAMA_FRAME_HEADER, len),
                 4);

    ollama_frame_number(frame, 0);
}


void
ollama_frame_number(unsigned char *frame, uint64_t seq)
{
    ollama_put_n(frame + 16, seq, 8);
    ollama_put_n(frame + 24, ollama_crc32(0, frame, 24), 4);
}


size_t
ollama_frame_size(const unsigned char *frame)
{
    return OLLAMA_FRAME_HEADER + (size_t) ollama_get_n(frame + 8, 4);
}


size_t
ollama_frame_fit(const unsigned char *frames, size_t len, size_t size)
{
    size_t  n, fit;

    if (len <= size) {
        return len;
    }

    for (fit = 0; /* void */ ; fit += n) {
        n = ollama_frame_size(frames + fit);

        if (fit + n > size) {
            return fit;
        }
    }
}


static int
ollama_frame_header_good(const unsigned char *p)
{
    return memcmp(p, ollama_frame_magic, 4) == 0
           && ollama_get_n(p + 24, 4) == ollama_crc32(0, p, 24)
           && ollama_get_n(p + 8, 4) <= OLLAMA_FRAME_MAX;
}


/* the first place from p on where a whole header stands or may yet stand */

static const unsigned char *
ollama_frame_find(const unsigned char *p, const unsigned char *last)
{
    size_t  left;

    for ( ;; ) {

        if (p == last) {
            return last;
        }

        p = memchr(p, ollama_frame_magic[0], (size_t) (last - p));

        if (p == NULL) {
            return last;
        }

        left = (size_t) (last - p);

        if (left < OLLAMA_FRAME_HEADER) {
            if (memcmp(p, ollama_frame_magic, left < 4 ? left : 4) == 0) {
                return p;
            }

        } else if (ollama_frame_header_good(p)) {
            return p;
        }

        p++;
    }
}


ollama_frame_result_e
ollama_frame_next(const unsigned char *buf, size_t len, size_t *used,
    ollama_frame_t *frame)
{
    size_t                size, left;
    const unsigned char  *p, *last, *next;

    last = buf + len;
    p = ollama_frame_find(buf, last);

    *used = (size_t) (p - buf);

    if (*used) {
        return OLLAMA_FRAME_DAMAGED;
    }

    if (len < OLLAMA_FRAME_HEADER) {
        return OLLAMA_FRAME_AGAIN;
    }

    size = ollama_frame_size(p);

    if (len < size) {
        return OLLAMA_FRAME_AGAIN;
    }

    frame->version = p[4];
    frame->type = p[5];
    frame->seq = ollama_get_n(p + 16, 8);
    frame->payload = p + OLLAMA_FRAME_HEADER;
    frame->len = size - OLLAMA_FRAME_HEADER;

    if (ollama_get_n(p + 12, 4)
        == ollama_crc32(0, frame->payload, frame->len))
    {
        *used = size;

        return frame->version == OLLAMA_FRAME_VERSION ? OLLAMA_FRAME_GOT
                                                      : OLLAMA_FRAME_FOREIGN;
    }

    next = p + size;
    left = (size_t) (last - next);

    if (left < OLLAMA_FRAME_HEADER
        && memcmp(next, ollama_frame_magic, left < 4 ? left : 4) == 0)
    {
        return OLLAMA_FRAME_AGAIN;
    }

    if (left < OLLAMA_FRAME_HEADER || !ollama_frame_header_good(next)) {
        next = ollama_frame_find(p + 1, last);
    }

    *used = (size_t) (next - buf);

    return OLLAMA_FRAME_DAMAGED;
}


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

    return in.bad ? -1 : 0;
}


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

    return in.bad ? -1 : 0;
}
