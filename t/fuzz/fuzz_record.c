/*
 * The frame reader and the decoders, fed with anything.
 *
 * The input is read as a stream in pieces of varying size, each in memory of
 * its own.  Whatever comes out as a frame must lie inside what was given, and
 * the framer must go on.
 *
 * Checksums would shield everything behind them, so the input is also sealed:
 * as a frame that is damaged in one place and followed by a good one, which
 * must come out; and as a payload of each type for the decoders.  What these
 * accept must come out the same when it is encoded and decoded again, also
 * by a daemon of version 1; a request that runs must become one that ended.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "record.h"


static void check_texts(const ollama_frame_t *f, const ollama_text_t *t,
    size_t n);
static void decode(const ollama_frame_t *f);
static void damage(const uint8_t *data, size_t size);
static uint64_t read_stream(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned int     type;
    unsigned char   *copy;
    ollama_frame_t   f;

    (void) read_stream(data, size);
    damage(data, size);

    copy = malloc(size ? size : 1);
    memcpy(copy, data, size);

    for (type = 0; type <= OLLAMA_FRAME_RUNNING_END; type++) {
        memset(&f, 0, sizeof(f));
        f.version = OLLAMA_FRAME_VERSION;
        f.type = (uint8_t) type;
        f.payload = copy;
        f.len = size;
        decode(&f);
    }

    free(copy);

    return 0;
}


static void
damage(const uint8_t *data, size_t size)
{
    size_t                n, at;
    unsigned char        *buf;
    ollama_record_ack_t   ack = { 1 };

    if (size < 4) {
        return;
    }

    buf = malloc(OLLAMA_FRAME_HEADER + size + OLLAMA_RECORD_MAX);
    memcpy(buf + OLLAMA_FRAME_HEADER, data, size);
    n = OLLAMA_FRAME_HEADER + size;
    ollama_frame_seal(buf, data[0] % 12, n);
    ollama_frame_number(buf, 1);

    at = (data[1] | data[2] << 8) % n;
    buf[at] ^= data[3] | 1;

    n += ollama_record_ack_encode(buf + n, OLLAMA_RECORD_MAX, &ack);
    ollama_frame_number(buf + OLLAMA_FRAME_HEADER + size, 2);

    if (read_stream(buf, n) != 2) {
        abort();
    }

    buf[at] ^= data[3] | 1;
    ollama_record_downgrade(buf, n);

    if (buf[4] != 1 || read_stream(buf, n) != 2) {
        abort();
    }

    free(buf);
}


/* gives the last number that came */

static uint64_t
read_stream(const uint8_t *data, size_t size)
{
    size_t                 pos, have, used, step, turns;
    uint64_t               last;
    unsigned char         *part;
    ollama_frame_t         f;
    ollama_frame_result_e  rc;

    pos = 0;
    have = 0;
    last = 0;
    step = size ? 1 + data[0] % 64 : 1;

    for (turns = 0; /* void */; turns++) {

        if (turns > 3 * size + 10) {
            abort();                /* it does not go on */
        }

        part = malloc(have - pos ? have - pos : 1);
        memcpy(part, data + pos, have - pos);

        rc = ollama_frame_next(part, have - pos, &used, &f);

        if (used > have - pos || (rc != OLLAMA_FRAME_AGAIN && used == 0)) {
            abort();
        }

        if (rc == OLLAMA_FRAME_GOT) {

            if (f.payload < part || f.payload + f.len != part + used
                || f.version == 0 || f.version > OLLAMA_FRAME_VERSION)
            {
                abort();
            }

            last = f.seq;
            decode(&f);
        }

        free(part);
        pos += used;

        if (rc == OLLAMA_FRAME_AGAIN) {

            if (have == size) {
                return last;
            }

            have = size - have < step ? size : have + step;
        }
    }
}


static void
check_texts(const ollama_frame_t *f, const ollama_text_t *t, size_t n)
{
    while (n--) {
        if (t->len > f->len
            || t->data < f->payload
            || t->data + t->len > f->payload + f->len)
        {
            abort();
        }

        t++;
    }
}


static void
decode(const ollama_frame_t *f)
{
    size_t                    n, used;
    unsigned char             buf[OLLAMA_RECORD_MAX];
    unsigned char             again_buf[OLLAMA_RECORD_MAX];
    ollama_frame_t            again;
    ollama_record_key_t       key;
    ollama_record_ack_t       ack;
    ollama_record_body_t      body;
    ollama_record_hello_t     hello;
    ollama_record_usage_t     usage;
    ollama_record_outbox_t    outbox;
    ollama_record_request_t   request, request2;
    ollama_record_welcome_t   welcome;
    ollama_record_penalty_t   penalty, penalty2;
    ollama_record_keystate_t  keystate;

    ollama_record_running_end_t  running_end;

    size_t  (*encode)(unsigned char *buf, size_t size,
                      const ollama_record_request_t *r);

    switch (f->type) {

    case OLLAMA_FRAME_HELLO:
        if (ollama_record_hello_decode(f, &hello) == 0) {
            check_texts(f, &hello.version, 2);
            check_texts(f, &hello.proxy, 1);
        }
        break;

    case OLLAMA_FRAME_KEY:
        if (ollama_record_key_decode(f, &key) == 0) {
            check_texts(f, &key.name, 2);
        }
        break;

    case OLLAMA_FRAME_WELCOME:
        if (ollama_record_welcome_decode(f, &welcome) == 0) {
            check_texts(f, &welcome.version, 1);
        }
        break;

    case OLLAMA_FRAME_ACK:
        (void) ollama_record_ack_decode(f, &ack);
        break;

    case OLLAMA_FRAME_USAGE:
        if (ollama_record_usage_decode(f, &usage) == 0
            && usage.n > OLLAMA_RECORD_MINUTES)
        {
            abort();
        }
        break;

    case OLLAMA_FRAME_BODY:
        if (ollama_record_body_decode(f, &body) == 0) {
            check_texts(f, &body.data, 1);
        }
        break;

    case OLLAMA_FRAME_OUTBOX:
        (void) ollama_record_outbox_decode(f, &outbox);
        break;

    case OLLAMA_FRAME_KEYSTATE:
        if (ollama_record_keystate_decode(f, &keystate) == 0) {
            check_texts(f, &keystate.status, 2);
        }
        break;

    case OLLAMA_FRAME_PENALTY:
        if (ollama_record_penalty_decode(f, &penalty) != 0) {
            break;
        }

        check_texts(f, &penalty.model, 3);

        n = ollama_record_penalty_encode(buf, sizeof(buf), &penalty);

        if (n == 0
            || ollama_frame_next(buf, n, &used, &again) != OLLAMA_FRAME_GOT
            || ollama_record_penalty_decode(&again, &penalty2) != 0
            || ollama_record_penalty_encode(again_buf, sizeof(again_buf),
                                            &penalty2) != n
            || memcmp(buf, again_buf, n) != 0)
        {
            abort();
        }
        break;

    case OLLAMA_FRAME_RUNNING_END:
        (void) ollama_record_running_end_decode(f, &running_end);
        break;

    case OLLAMA_FRAME_REQUEST:
    case OLLAMA_FRAME_RUNNING:
        if (ollama_record_request_decode(f, &request) != 0) {
            break;
        }

        if (request.nattempts > OLLAMA_RECORD_ATTEMPTS) {
            abort();
        }

        check_texts(f, &request.client, 9);

        encode = f->type == OLLAMA_FRAME_REQUEST ? ollama_record_request_encode
                                                 : ollama_record_running_encode;

        n = encode(buf, sizeof(buf), &request);

        if (n == 0
            || ollama_frame_next(buf, n, &used, &again) != OLLAMA_FRAME_GOT
            || ollama_record_request_decode(&again, &request2) != 0
            || encode(again_buf, sizeof(again_buf), &request2) != n
            || memcmp(buf, again_buf, n) != 0)
        {
            abort();
        }

        if (f->type == OLLAMA_FRAME_RUNNING) {
            n = ollama_record_running_finish(again_buf, sizeof(again_buf),
                                             buf, n, OLLAMA_RECORD_WORKER_GONE,
                                             "gone", &request2);

            if (n == 0 || request2.end != OLLAMA_RECORD_WORKER_GONE) {
                abort();
            }

            memcpy(buf, again_buf, n);
        }

        ollama_record_downgrade(buf, n);

        if (ollama_frame_next(buf, n, &used, &again) != OLLAMA_FRAME_GOT
            || again.version != 1
            || ollama_record_request_decode(&again, &request2) != 0
            || request2.end > OLLAMA_RECORD_STREAM_ERROR)
        {
            abort();
        }
        break;
    }
}
