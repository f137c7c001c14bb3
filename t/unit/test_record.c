/*
 * The wire format: what is encoded comes out again, and a stream of frames
 * survives being cut anywhere and damaged anywhere.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crc32.h"
#include "record.h"


#define TEXT(s)  { (const unsigned char *) s, sizeof(s) - 1 }


static void
text_is(const ollama_text_t *t, const char *s)
{
    assert_int_equal(t->len, strlen(s));
    assert_memory_equal(t->data, s, t->len);
}


static void
fill(ollama_record_request_t *r)
{
    unsigned int                   i;
    static ollama_record_request_t  full = {
        .id = 0x1122334455667788,
        .time = 1790000000123,
        .prompt = 1, .completion = 2, .cached = 3,
        .bytes_in = 0xffffffffffffffff, .bytes_out = 5,
        .key = 0xa1b2c3d4,
        .queue = 0, .connect = OLLAMA_RECORD_NO_TIME,
        .first_token = 70000, .total = 4000000000u,
        .status = 529,
        .certainty = OLLAMA_RECORD_ESTIMATED,
        .prompt_certainty = OLLAMA_RECORD_ESTIMATED,
        .completion_certainty = OLLAMA_RECORD_EXACT,
        .cost = 123456789012, .priced = 1, .affinity = OLLAMA_AFFINITY_MOVED,
        .cached_saves = 136,
        .end = OLLAMA_RECORD_STREAM_ERROR,
        .streamed = 1, .has_body = 1,
        .nattempts = OLLAMA_RECORD_ATTEMPTS,
        .client = TEXT("2001:db8::1"),
        .client_name = TEXT("alice"),
        .method = TEXT("POST"),
        .endpoint = TEXT("/v1/chat/completions"),
        .model = TEXT("gpt-oss:120b"),
        .model_answered = TEXT("gpt-oss:120b-x"),
        .upstream_id = TEXT("req-1"),
        .user_agent = TEXT("curl/8"),
        .reason = TEXT("caf\xc3\xa9"),
    };

    *r = full;

    for (i = 0; i < OLLAMA_RECORD_ATTEMPTS; i++) {
        r->attempts[i].key = 0xf0000000u + i;
        r->attempts[i].ms = 1000 * i;
        r->attempts[i].status = (uint16_t) (400 + i);
        r->attempts[i].cause = (uint8_t) (i % 6);
    }
}


/* the one frame in buf */

static ollama_frame_t
frame_of(const unsigned char *buf, size_t len)
{
    size_t          used;
    ollama_frame_t  f;

    assert_true(len > 0);
    assert_int_equal(ollama_frame_next(buf, len, &used, &f), OLLAMA_FRAME_GOT);
    assert_int_equal(used, len);
    assert_int_equal(ollama_frame_size(buf), len);

    return f;
}


static void
crc_is_the_usual_one(void **state)
{
    size_t         i;
    uint32_t       whole;
    unsigned char  data[100];

    (void) state;

    assert_int_equal(ollama_crc32(0, (const unsigned char *) "123456789", 9),
                     0xcbf43926);
    assert_int_equal(ollama_crc32(0, NULL, 0), 0);

    for (i = 0; i < sizeof(data); i++) {
        data[i] = (unsigned char) (i * 37);
    }

    whole = ollama_crc32(0, data, sizeof(data));

    for (i = 0; i <= sizeof(data); i++) {
        assert_int_equal(ollama_crc32(ollama_crc32(0, data, i), data + i,
                                      sizeof(data) - i),
                         whole);
    }
}


static void
request_comes_back(void **state)
{
    size_t                   n;
    unsigned int             i;
    unsigned char            buf[OLLAMA_RECORD_MAX];
    ollama_frame_t           f;
    ollama_record_request_t  r, s;

    (void) state;

    fill(&r);
    memset(&s, 0xee, sizeof(s));

    n = ollama_record_request_encode(buf, sizeof(buf), &r);
    ollama_frame_number(buf, 0xfedcba9876543210);
    f = frame_of(buf, n);

    assert_int_equal(f.type, OLLAMA_FRAME_REQUEST);
    assert_int_equal(f.seq, 0xfedcba9876543210);
    assert_int_equal(ollama_record_request_decode(&f, &s), 0);

    assert_int_equal(s.id, r.id);
    assert_int_equal(s.time, r.time);
    assert_int_equal(s.prompt, 1);
    assert_int_equal(s.completion, 2);
    assert_int_equal(s.cached, 3);
    assert_int_equal(s.bytes_in, r.bytes_in);
    assert_int_equal(s.bytes_out, 5);
    assert_int_equal(s.key, 0xa1b2c3d4);
    assert_int_equal(s.queue, 0);
    assert_int_equal(s.connect, OLLAMA_RECORD_NO_TIME);
    assert_int_equal(s.first_token, 70000);
    assert_int_equal(s.total, 4000000000u);
    assert_int_equal(s.status, 529);
    assert_int_equal(s.certainty, OLLAMA_RECORD_ESTIMATED);
    assert_int_equal(s.prompt_certainty, OLLAMA_RECORD_ESTIMATED);
    assert_int_equal(s.completion_certainty, OLLAMA_RECORD_EXACT);
    assert_int_equal(s.cost, 123456789012);
    assert_int_equal(s.priced, 1);
    assert_int_equal(s.affinity, OLLAMA_AFFINITY_MOVED);
    assert_int_equal(s.end, OLLAMA_RECORD_STREAM_ERROR);
    assert_int_equal(s.streamed, 1);
    assert_int_equal(s.has_body, 1);
    assert_int_equal(s.nattempts, OLLAMA_RECORD_ATTEMPTS);

    for (i = 0; i < OLLAMA_RECORD_ATTEMPTS; i++) {
        assert_int_equal(s.attempts[i].key, 0xf0000000u + i);
        assert_int_equal(s.attempts[i].ms, 1000 * i);
        assert_int_equal(s.attempts[i].status, 400 + i);
        assert_int_equal(s.attempts[i].cause, i % 6);
    }

    text_is(&s.client, "2001:db8::1");
    text_is(&s.client_name, "alice");
    text_is(&s.method, "POST");
    text_is(&s.endpoint, "/v1/chat/completions");
    text_is(&s.model, "gpt-oss:120b");
    text_is(&s.model_answered, "gpt-oss:120b-x");
    text_is(&s.upstream_id, "req-1");
    text_is(&s.user_agent, "curl/8");
    text_is(&s.reason, "caf\xc3\xa9");
}


/* what runs is told in the same fields, with another end */

static void
running_comes_back(void **state)
{
    int                          runs;
    size_t                       n;
    unsigned int                 end;
    unsigned char                buf[OLLAMA_RECORD_MAX];
    ollama_frame_t               f;
    ollama_record_request_t      r, s;
    ollama_record_running_end_t  e = { 1, 2, 3 }, e2;

    (void) state;

    for (end = 0; end <= OLLAMA_RECORD_WORKER_GONE + 1; end++) {
        fill(&r);
        r.end = (uint8_t) end;
        runs = end >= OLLAMA_RECORD_READING && end <= OLLAMA_RECORD_ANSWERING;

        n = ollama_record_running_encode(buf, sizeof(buf), &r);
        f = frame_of(buf, n);
        assert_int_equal(f.type, OLLAMA_FRAME_RUNNING);
        assert_int_equal(ollama_record_request_decode(&f, &s), runs ? 0 : -1);

        f.type = OLLAMA_FRAME_REQUEST;
        assert_int_equal(ollama_record_request_decode(&f, &s),
                         !runs && end <= OLLAMA_RECORD_WORKER_GONE ? 0 : -1);
    }

    assert_int_equal(s.id, r.id);
    text_is(&s.client_name, "alice");
    text_is(&s.model, "gpt-oss:120b");

    n = ollama_record_running_end_encode(buf, sizeof(buf), &e);
    f = frame_of(buf, n);
    assert_int_equal(f.type, OLLAMA_FRAME_RUNNING_END);
    assert_int_equal(ollama_record_running_end_decode(&f, &e2), 0);
    assert_int_equal(e2.time, 1);
    assert_int_equal(e2.total, 2);
    assert_int_equal(e2.waiting, 3);

    f.len--;
    assert_int_equal(ollama_record_running_end_decode(&f, &e2), -1);
}


/* a share of a row of frames: whole ones, as many as there is room for */

static void
frames_fit(void **state)
{
    size_t                   i, n, size, len, fit, want;
    size_t                   ends[9] = { 0 };
    unsigned char            buf[8 * OLLAMA_RECORD_MAX];
    ollama_record_request_t  r;

    (void) state;

    fill(&r);
    len = 0;

    for (i = 0; i < 8; i++) {
        r.nattempts = (uint8_t) i;
        n = ollama_record_running_encode(buf + len, sizeof(buf) - len, &r);
        assert_true(n > 0);
        len += n;
        ends[i + 1] = len;
    }

    for (size = 0; size <= len + 1; size++) {
        fit = ollama_frame_fit(buf, len, size);
        want = 0;

        for (i = 0; i <= 8; i++) {
            if (ends[i] <= size) {
                want = ends[i];
            }
        }

        assert_int_equal(fit, want);
    }

    assert_int_equal(ollama_frame_fit(buf, 0, 10), 0);
}


static void
other_records_come_back(void **state)
{
    size_t                    n;
    uint32_t                  i;
    unsigned char             buf[OLLAMA_RECORD_MAX];
    ollama_frame_t            f;
    ollama_record_ack_t       ack = { 77 }, ack2;
    ollama_record_key_t       key = { 1, 2, 3, 4, 1, TEXT("team-a"),
                                      TEXT("alice") }, key2;
    ollama_record_hello_t     hello = { 1, 2, 3, 4, TEXT("0.1"),
                                        TEXT("nginx/1.22.1"), 0,
                                        TEXT("front-1"), 300,
                                        TEXT("/run/p.sock") }, hello2;
    ollama_record_usage_t     usage, usage2;
    ollama_record_outbox_t    outbox = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,
                                         12 }, outbox2;
    ollama_record_penalty_t   pen = { 1, 2, 3, 4, 5, 429, 6, 7, TEXT("m"),
                                      TEXT("exhausted"), TEXT("why") }, pen2;
    ollama_record_welcome_t   welcome = { 1, 2, 3, TEXT("0.1"), 0 }, welcome2;
    ollama_record_keystate_t  ks = { 1, 2, 3, 4, 5, 6, 7, 1, TEXT("ok"),
                                     TEXT("r"), 8, 9 }, ks2;
    ollama_record_balance_t   bal = { 1, OLLAMA_BALANCE_MONEY, 2, 3, 4, 5, 6,
                                      7, 8, OLLAMA_BALANCE_NO_SHARE, 9, 10 },
                              bal2;

    (void) state;

    n = ollama_record_hello_encode(buf, sizeof(buf), &hello);
    f = frame_of(buf, n);
    assert_int_equal(f.type, OLLAMA_FRAME_HELLO);
    assert_int_equal(f.seq, 0);
    assert_int_equal(ollama_record_hello_decode(&f, &hello2), 0);
    assert_int_equal(hello2.instance, 1);
    assert_int_equal(hello2.started, 2);
    assert_int_equal(hello2.pid, 3);
    assert_int_equal(hello2.keys, 4);
    text_is(&hello2.version, "0.1");
    text_is(&hello2.server, "nginx/1.22.1");
    text_is(&hello2.proxy, "front-1");
    assert_int_equal(hello2.balance, 300);
    text_is(&hello2.private, "/run/p.sock");

    n = ollama_record_key_encode(buf, sizeof(buf), &key);
    f = frame_of(buf, n);
    assert_int_equal(f.type, OLLAMA_FRAME_KEY);
    assert_int_equal(ollama_record_key_decode(&f, &key2), 0);
    assert_int_equal(key2.key, 1);
    assert_int_equal(key2.index, 2);
    assert_int_equal(key2.max_concurrent, 3);
    assert_int_equal(key2.weight, 4);
    assert_int_equal(key2.enabled, 1);
    text_is(&key2.name, "team-a");
    text_is(&key2.account, "alice");

    n = ollama_record_ready_encode(buf, sizeof(buf));
    f = frame_of(buf, n);
    assert_int_equal(f.type, OLLAMA_FRAME_READY);
    assert_int_equal(f.len, 0);

    n = ollama_record_welcome_encode(buf, sizeof(buf), &welcome);
    f = frame_of(buf, n);
    assert_int_equal(f.type, OLLAMA_FRAME_WELCOME);
    assert_int_equal(ollama_record_welcome_decode(&f, &welcome2), 0);
    assert_int_equal(welcome2.instance, 1);
    assert_int_equal(welcome2.seq, 2);
    assert_int_equal(welcome2.time, 3);

    n = ollama_record_ack_encode(buf, sizeof(buf), &ack);
    f = frame_of(buf, n);
    assert_int_equal(f.type, OLLAMA_FRAME_ACK);
    assert_int_equal(ollama_record_ack_decode(&f, &ack2), 0);
    assert_int_equal(ack2.seq, 77);

    usage.key = 9;
    usage.n = OLLAMA_RECORD_MINUTES;

    for (i = 0; i < usage.n; i++) {
        usage.minutes[i].minute = 29000000 + i;
        usage.minutes[i].tokens = 1ull << (i % 64);
        usage.minutes[i].cost = 1ull << (63 - i % 64);
        usage.minutes[i].unpriced = i;
    }

    n = ollama_record_usage_encode(buf, sizeof(buf), &usage);
    f = frame_of(buf, n);
    assert_int_equal(f.type, OLLAMA_FRAME_USAGE);
    assert_int_equal(ollama_record_usage_decode(&f, &usage2), 0);
    assert_int_equal(usage2.key, 9);
    assert_int_equal(usage2.n, usage.n);

    for (i = 0; i < usage.n; i++) {
        assert_int_equal(usage2.minutes[i].minute, usage.minutes[i].minute);
        assert_int_equal(usage2.minutes[i].tokens, usage.minutes[i].tokens);
        assert_int_equal(usage2.minutes[i].cost, usage.minutes[i].cost);
        assert_int_equal(usage2.minutes[i].unpriced,
                         usage.minutes[i].unpriced);
    }

    /* as an older daemon tells it: nothing of it has a price */

    usage2.minutes[0].cost = 1;
    f.len = 8 + 12 * usage.n;
    assert_int_equal(ollama_record_usage_decode(&f, &usage2), 0);

    for (i = 0; i < usage.n; i++) {
        assert_int_equal(usage2.minutes[i].tokens, usage.minutes[i].tokens);
        assert_int_equal(usage2.minutes[i].cost, 0);
        assert_int_equal(usage2.minutes[i].unpriced,
                         usage.minutes[i].tokens);
    }

    n = ollama_record_balance_encode(buf, sizeof(buf), &bal);
    f = frame_of(buf, n);
    assert_int_equal(f.type, OLLAMA_FRAME_BALANCE);
    assert_int_equal(ollama_record_balance_decode(&f, &bal2), 0);
    assert_int_equal(bal2.key, 1);
    assert_int_equal(bal2.kind, OLLAMA_BALANCE_MONEY);
    assert_int_equal(bal2.time, 2);
    assert_int_equal(bal2.included, 3);
    assert_int_equal(bal2.allowance, 4);
    assert_int_equal(bal2.purchased, 5);
    assert_int_equal(bal2.from, 6);
    assert_int_equal(bal2.until, 7);
    assert_int_equal(bal2.session, 8);
    assert_int_equal(bal2.week, OLLAMA_BALANCE_NO_SHARE);
    assert_int_equal(bal2.session_resets, 9);
    assert_int_equal(bal2.week_resets, 10);

    f.len--;
    assert_int_equal(ollama_record_balance_decode(&f, &bal2), -1);

    n = ollama_record_penalty_encode(buf, sizeof(buf), &pen);
    f = frame_of(buf, n);
    assert_int_equal(f.type, OLLAMA_FRAME_PENALTY);
    assert_int_equal(ollama_record_penalty_decode(&f, &pen2), 0);
    assert_int_equal(pen2.key, 1);
    assert_int_equal(pen2.time, 2);
    assert_int_equal(pen2.until, 3);
    assert_int_equal(pen2.extra, 4);
    assert_int_equal(pen2.max_concurrent, 5);
    assert_int_equal(pen2.http, 429);
    assert_int_equal(pen2.state, 6);
    assert_int_equal(pen2.level, 7);
    text_is(&pen2.model, "m");
    text_is(&pen2.status, "exhausted");
    text_is(&pen2.reason, "why");

    n = ollama_record_outbox_encode(buf, sizeof(buf), &outbox);
    f = frame_of(buf, n);
    assert_int_equal(f.type, OLLAMA_FRAME_OUTBOX);
    assert_int_equal(ollama_record_outbox_decode(&f, &outbox2), 0);
    assert_memory_equal(&outbox2, &outbox, sizeof(outbox));

    n = ollama_record_keystate_encode(buf, sizeof(buf), &ks);
    f = frame_of(buf, n);
    assert_int_equal(f.type, OLLAMA_FRAME_KEYSTATE);
    assert_int_equal(ollama_record_keystate_decode(&f, &ks2), 0);
    assert_int_equal(ks2.key, 1);
    assert_int_equal(ks2.in_flight, 2);
    assert_int_equal(ks2.slots, 3);
    assert_int_equal(ks2.usage, 4);
    assert_int_equal(ks2.reserved, 5);
    assert_int_equal(ks2.until, 6);
    assert_int_equal(ks2.state, 7);
    assert_int_equal(ks2.eligible, 1);
    text_is(&ks2.status, "ok");
}


static void
body_comes_back(void **state)
{
    size_t                at;
    unsigned char         buf[OLLAMA_RECORD_BODY_HEAD + 5];
    ollama_frame_t        f;
    ollama_record_body_t  b = { 1, 2, 1000, 1, { NULL, 5 } }, c;

    (void) state;

    at = ollama_record_body_begin(buf, sizeof(buf), &b);
    assert_true(at > OLLAMA_FRAME_HEADER && at <= OLLAMA_RECORD_BODY_HEAD);

    memcpy(buf + at, "{\"a\"}", 5);
    ollama_frame_seal(buf, OLLAMA_FRAME_BODY, at + 5);
    f = frame_of(buf, at + 5);

    assert_int_equal(ollama_record_body_decode(&f, &c), 0);
    assert_int_equal(c.id, 1);
    assert_int_equal(c.time, 2);
    assert_int_equal(c.size, 1000);
    assert_int_equal(c.truncated, 1);
    text_is(&c.data, "{\"a\"}");

    assert_int_equal(ollama_record_body_begin(buf, at + 4, &b), 0);
    b.data.len = OLLAMA_FRAME_MAX;
    assert_int_equal(ollama_record_body_begin(buf, (size_t) 1 << 40, &b), 0);
}


/* the longest texts fit into OLLAMA_RECORD_MAX; longer ones are cut */

static void
texts_are_bounded(void **state)
{
    size_t                   n;
    unsigned char            buf[OLLAMA_RECORD_MAX];
    unsigned char           *big;
    ollama_text_t            t;
    ollama_frame_t           f;
    ollama_record_request_t  r, s;

    (void) state;

    big = malloc(100000);
    memset(big, 'x', 100000);
    t.data = big;
    t.len = 100000;

    fill(&r);
    r.client = r.client_name = r.method = r.endpoint = r.model = t;
    r.model_answered = r.upstream_id = r.user_agent = r.reason = t;

    n = ollama_record_request_encode(buf, sizeof(buf), &r);
    f = frame_of(buf, n);
    assert_int_equal(ollama_record_request_decode(&f, &s), 0);
    assert_int_equal(s.client.len, 64);
    assert_int_equal(s.client_name.len, 128);
    assert_int_equal(s.method.len, 16);
    assert_int_equal(s.endpoint.len, 256);
    assert_int_equal(s.model.len, 256);
    assert_int_equal(s.model_answered.len, 256);
    assert_int_equal(s.upstream_id.len, 128);
    assert_int_equal(s.user_agent.len, 256);
    assert_int_equal(s.reason.len, 256);

    /* no character is cut in two: 255 bytes and one of three bytes */
    memcpy(big + 255, "\xe2\x82\xac", 3);
    n = ollama_record_request_encode(buf, sizeof(buf), &r);
    f = frame_of(buf, n);
    assert_int_equal(ollama_record_request_decode(&f, &s), 0);
    assert_int_equal(s.reason.len, 255);

    free(big);
}


static void
small_buffers_give_nothing(void **state)
{
    size_t                   n, size;
    unsigned char           *buf;
    ollama_record_request_t  r;

    (void) state;

    fill(&r);

    buf = malloc(OLLAMA_RECORD_MAX);
    n = ollama_record_request_encode(buf, OLLAMA_RECORD_MAX, &r);
    free(buf);

    /* of exactly that size each, so that a sanitizer sees a byte too many */
    for (size = 0; size < n; size++) {
        buf = malloc(size ? size : 1);
        assert_int_equal(ollama_record_request_encode(buf, size, &r), 0);
        free(buf);
    }

    buf = malloc(n);
    assert_int_equal(ollama_record_request_encode(buf, n, &r), n);
    free(buf);

    r.nattempts = OLLAMA_RECORD_ATTEMPTS + 1;
    buf = malloc(OLLAMA_RECORD_MAX);
    assert_int_equal(ollama_record_request_encode(buf, OLLAMA_RECORD_MAX, &r),
                     0);
    free(buf);
}


/*
 * A payload that ends early is refused; one with more behind it is not, nor
 * one without what came later: the number of all attempts.
 */

static void
payloads_of_other_sizes(void **state)
{
    size_t                     n;
    unsigned char             *copy;
    unsigned char              buf[OLLAMA_RECORD_MAX];
    ollama_frame_t             f;
    ollama_record_hello_t      hello = { .instance = 1 };
    ollama_record_request_t    r;
    ollama_record_welcome_t    welcome = { .instance = 1 };

    (void) state;

    fill(&r);
    r.attempts_all = 30;
    n = ollama_record_request_encode(buf, sizeof(buf), &r)
        - OLLAMA_FRAME_HEADER;

    memset(&f, 0, sizeof(f));

    for (f.len = 0; f.len < n; f.len++) {

        if (f.len == n - 21 || (f.len > n - 18 && f.len < n - 10)
            || (f.len > n - 8 && f.len < n))
        {

            /* half a field */

            continue;
        }

        copy = malloc(f.len ? f.len : 1);
        memcpy(copy, buf + OLLAMA_FRAME_HEADER, f.len);
        f.payload = copy;
        assert_int_equal(ollama_record_request_decode(&f, &r),
                         f.len < n - 22 ? -1 : 0);

        /* of an older module, in which less follows the reason */

        if (f.len >= n - 22) {
            assert_int_equal(r.attempts_all, f.len < n - 20
                                             ? OLLAMA_RECORD_ATTEMPTS : 30);
            assert_int_equal(r.prompt_certainty, OLLAMA_RECORD_ESTIMATED);
            assert_int_equal(r.completion_certainty,
                             f.len < n - 18 ? OLLAMA_RECORD_ESTIMATED
                                            : OLLAMA_RECORD_EXACT);
            assert_int_equal(r.cost, f.len < n - 10 ? 0 : 123456789012);
            assert_int_equal(r.priced, f.len < n - 9 ? 0 : 1);
            assert_int_equal(r.affinity,
                             f.len < n - 8 ? OLLAMA_AFFINITY_NONE
                                           : OLLAMA_AFFINITY_MOVED);
            assert_int_equal(r.cached_saves, f.len < n ? 0 : 136);
        }

        free(copy);
    }

    f.payload = buf + OLLAMA_FRAME_HEADER;
    f.len = n + 10;
    assert_int_equal(ollama_record_request_decode(&f, &r), 0);
    assert_int_equal(r.attempts_all, 30);

    /* who does not say it reads version 1 */

    n = ollama_record_hello_encode(buf, sizeof(buf), &hello);
    f = frame_of(buf, n);
    assert_int_equal(ollama_record_hello_decode(&f, &hello), 0);
    assert_int_equal(hello.frames, OLLAMA_FRAME_VERSION);

    /* without balances, without half of the proxy's name, and without it */

    f.len -= 6;
    assert_int_equal(ollama_record_hello_decode(&f, &hello), 0);
    assert_int_equal(hello.balance, 0);
    assert_int_equal(hello.private.len, 0);
    f.len--;
    assert_int_equal(ollama_record_hello_decode(&f, &hello), -1);
    f.len--;
    assert_int_equal(ollama_record_hello_decode(&f, &hello), 0);
    assert_int_equal(hello.frames, OLLAMA_FRAME_VERSION);
    assert_int_equal(hello.proxy.len, 0);
    f.len--;
    assert_int_equal(ollama_record_hello_decode(&f, &hello), 0);
    assert_int_equal(hello.frames, 1);
    f.len--;
    assert_int_equal(ollama_record_hello_decode(&f, &hello), -1);

    n = ollama_record_welcome_encode(buf, sizeof(buf), &welcome);
    f = frame_of(buf, n);
    assert_int_equal(ollama_record_welcome_decode(&f, &welcome), 0);
    assert_int_equal(welcome.frames, OLLAMA_FRAME_VERSION);
    f.len--;
    assert_int_equal(ollama_record_welcome_decode(&f, &welcome), 0);
    assert_int_equal(welcome.frames, 1);
    f.len--;
    assert_int_equal(ollama_record_welcome_decode(&f, &welcome), -1);
}


/* the first and the last eight are kept, and all are counted */

static void
attempts_in_the_middle_go(void **state)
{
    size_t                   n;
    unsigned int             i;
    unsigned char            buf[OLLAMA_RECORD_MAX];
    ollama_frame_t           f;
    ollama_record_attempt_t  *attempt;
    ollama_record_request_t  r, s;

    (void) state;

    fill(&r);
    r.nattempts = 0;
    r.attempts_all = 0;

    for (i = 1; i <= 30; i++) {
        attempt = ollama_record_attempt_add(&r);
        memset(attempt, 0, sizeof(ollama_record_attempt_t));
        attempt->key = i;

        assert_int_equal(r.attempts_all, i);
        assert_int_equal(r.nattempts, i < 16 ? i : 16);

        n = ollama_record_request_encode(buf, sizeof(buf), &r);
        f = frame_of(buf, n);
        assert_int_equal(ollama_record_request_decode(&f, &s), 0);
        assert_int_equal(s.attempts_all, i);
        assert_int_equal(s.nattempts, r.nattempts);
        assert_int_equal(s.attempts[s.nattempts - 1].key, i);
    }

    for (i = 0; i < 16; i++) {
        assert_int_equal(s.attempts[i].key, i < 8 ? i + 1 : i + 15);
    }

    r.attempts_all = UINT16_MAX;
    (void) ollama_record_attempt_add(&r);
    assert_int_equal(r.attempts_all, UINT16_MAX);
}


/* what waits for a slot has waited no longer than it takes */

static void
total_is_not_less_than_queue(void **state)
{
    unsigned char            buf[OLLAMA_RECORD_MAX];
    ollama_frame_t           f;
    ollama_record_request_t  r, s;

    (void) state;

    fill(&r);
    r.total = 299;
    r.queue = 300;
    f = frame_of(buf, ollama_record_request_encode(buf, sizeof(buf), &r));
    assert_int_equal(ollama_record_request_decode(&f, &s), 0);
    assert_int_equal(s.total, 300);
    assert_int_equal(s.queue, 300);

    r.queue = OLLAMA_RECORD_NO_TIME;
    f = frame_of(buf, ollama_record_request_encode(buf, sizeof(buf), &r));
    assert_int_equal(ollama_record_request_decode(&f, &s), 0);
    assert_int_equal(s.total, 299);
}


/* a RUNNING frame of a worker that is gone becomes a record */

static void
running_is_finished(void **state)
{
    size_t                   n, len;
    unsigned int             end;
    unsigned char            running[OLLAMA_RECORD_MAX + 100];
    unsigned char            buf[OLLAMA_RECORD_MAX];
    ollama_frame_t           f;
    ollama_record_request_t  r, s, t;

    (void) state;

    for (end = OLLAMA_RECORD_READING; end <= OLLAMA_RECORD_ANSWERING; end++) {
        fill(&r);
        r.end = (uint8_t) end;
        r.certainty = OLLAMA_RECORD_ESTIMATED;
        r.nattempts = 2;
        r.attempts_all = 0;
        r.attempts[0].ms = 100;
        r.attempts[1].ms = 50;
        r.queue = 30;
        r.total = 1000;
        r.status = (end == OLLAMA_RECORD_ANSWERING) ? 200 : 0;
        r.reason.len = 0;

        len = ollama_record_running_encode(running, sizeof(running), &r);
        memset(running + len, 0x55, 100);

        n = ollama_record_running_finish(buf, sizeof(buf), running, len + 100,
                                         OLLAMA_RECORD_WORKER_GONE,
                                         "its worker was killed", &s);
        f = frame_of(buf, n);
        assert_int_equal(f.type, OLLAMA_FRAME_REQUEST);
        assert_int_equal(ollama_record_request_decode(&f, &t), 0);

        assert_int_equal(t.end, OLLAMA_RECORD_WORKER_GONE);
        assert_int_equal(t.id, r.id);
        assert_int_equal(t.time, r.time);
        assert_int_equal(t.key, r.key);
        assert_int_equal(t.bytes_in, r.bytes_in);
        assert_int_equal(t.total, 1000);
        text_is(&t.model, "gpt-oss:120b");
        text_is(&t.client_name, "alice");
        text_is(&t.reason, "its worker was killed");

        if (end == OLLAMA_RECORD_READING || end == OLLAMA_RECORD_WAITING) {
            assert_int_equal(t.certainty, OLLAMA_RECORD_NONE);
            assert_int_equal(t.prompt_certainty, OLLAMA_RECORD_NONE);
            assert_int_equal(t.completion_certainty, OLLAMA_RECORD_NONE);
            assert_int_equal(t.prompt + t.completion + t.cached, 0);
            assert_int_equal(t.nattempts, 2);
            assert_int_equal(t.attempts_all, 2);

        } else {
            assert_int_equal(t.certainty, OLLAMA_RECORD_PARTIAL);
            assert_int_equal(t.prompt_certainty, OLLAMA_RECORD_PARTIAL);
            assert_int_equal(t.completion_certainty, OLLAMA_RECORD_PARTIAL);
            assert_int_equal(t.prompt, 1);
            assert_int_equal(t.completion, 2);
            assert_int_equal(t.nattempts, 3);
            assert_int_equal(t.attempts_all, 3);
            assert_int_equal(t.attempts[2].key, r.key);
            assert_int_equal(t.attempts[2].ms, 1000 - 30 - 150);
            assert_int_equal(t.attempts[2].status, r.status);
            assert_int_equal(t.attempts[2].cause,
                             r.status ? OLLAMA_ATTEMPT_ANSWERED
                                      : OLLAMA_ATTEMPT_ABORTED);
        }

        /* what the caller books is what is recorded */

        assert_int_equal(s.key, t.key);
        assert_int_equal(s.prompt, t.prompt);
        assert_int_equal(s.completion, t.completion);
        text_is(&s.model, "gpt-oss:120b");
    }

    /* torn, cut, of another type, no room, nothing */

    n = ollama_record_running_finish(buf, n - 1, running, len,
                                     OLLAMA_RECORD_WORKER_GONE,
                                     "its worker was killed", &s);
    assert_int_equal(n, 0);

    for (n = 0; n < len; n++) {
        assert_int_equal(ollama_record_running_finish(buf, sizeof(buf),
                             running, n, OLLAMA_RECORD_WORKER_GONE, NULL, &s),
                         0);

        running[n] ^= 0x10;
        assert_int_equal(ollama_record_running_finish(buf, sizeof(buf),
                             running, len, OLLAMA_RECORD_WORKER_GONE, NULL,
                             &s),
                         0);
        running[n] ^= 0x10;
    }

    assert_true(ollama_record_running_finish(buf, sizeof(buf), running, len,
                    OLLAMA_RECORD_PROXY_STOPPED, NULL, &s) > 0);

    r.end = OLLAMA_RECORD_DONE;
    len = ollama_record_request_encode(running, sizeof(running), &r);
    assert_int_equal(ollama_record_running_finish(buf, sizeof(buf), running,
                         len, OLLAMA_RECORD_WORKER_GONE, NULL, &s), 0);
}


/* of a body its first bytes are summed up, the rest is believed */

static void
versions_of_frames(void **state)
{
    size_t                   at, i, n, used;
    unsigned char            buf[1024];
    ollama_frame_t           f;
    ollama_record_ack_t      ack = { 1 };
    ollama_record_body_t     body = { 1, 2, 40, 0, { NULL, 40 } };
    ollama_record_request_t  r;

    (void) state;

    n = ollama_record_ack_encode(buf, sizeof(buf), &ack);
    f = frame_of(buf, n);
    assert_int_equal(f.version, 1);

    fill(&r);
    n = ollama_record_request_encode(buf, sizeof(buf), &r);
    f = frame_of(buf, n);
    assert_int_equal(f.version, 1);

    at = ollama_record_body_begin(buf, sizeof(buf), &body);
    memset(buf + at, 'x', 40);
    n = at + 40;
    ollama_frame_seal(buf, OLLAMA_FRAME_BODY, n);
    ollama_frame_number(buf, 77);
    f = frame_of(buf, n);
    assert_int_equal(f.version, 2);

    for (i = 0; i < n; i++) {
        buf[i] ^= 1;
        assert_int_equal(ollama_frame_next(buf, n, &used, &f)
                         == OLLAMA_FRAME_GOT,
                         i >= OLLAMA_FRAME_HEADER + OLLAMA_FRAME_SUMMED);
        buf[i] ^= 1;
    }

    ollama_frame_downgrade(buf);
    f = frame_of(buf, n);
    assert_int_equal(f.version, 1);
    assert_int_equal(f.type, OLLAMA_FRAME_BODY);
    assert_int_equal(f.seq, 77);
    assert_int_equal(ollama_record_body_decode(&f, &body), 0);
    assert_int_equal(body.id, 1);

    for (i = 0; i < n; i++) {
        buf[i] ^= 1;
        assert_int_not_equal(ollama_frame_next(buf, n, &used, &f),
                             OLLAMA_FRAME_GOT);
        buf[i] ^= 1;
    }
}


/* what a daemon of version 1 is sent: it knows five ends, and sums up all */

static void
downgraded_for_an_old_daemon(void **state)
{
    size_t                   at, len, n, pos;
    uint32_t                 crc;
    unsigned int             end, frames;
    unsigned char            buf[16384];
    ollama_frame_t           f;
    ollama_record_body_t     body = { 1, 2, 100, 0, { NULL, 100 } };
    ollama_record_request_t  r, s;
    ollama_record_penalty_t  pen = { .key = 5 };

    (void) state;

    fill(&r);
    len = 0;

    for (end = 0; end <= OLLAMA_RECORD_WORKER_GONE; end++) {
        r.end = (uint8_t) end;
        n = ollama_record_request_encode(buf + len, sizeof(buf) - len, &r);
        ollama_frame_number(buf + len, 100 + end);
        len += n;
    }

    n = ollama_record_penalty_encode(buf + len, sizeof(buf) - len, &pen);
    ollama_frame_number(buf + len, 200);
    len += n;

    at = ollama_record_body_begin(buf + len, sizeof(buf) - len, &body);
    memset(buf + len + at, 'x', 100);
    ollama_frame_seal(buf + len, OLLAMA_FRAME_BODY, at + 100);
    ollama_frame_number(buf + len, 201);
    len += at + 100;

    ollama_record_downgrade(buf, len);
    ollama_record_downgrade(buf, len);              /* once is enough */

    frames = 0;

    for (pos = 0; pos < len; pos += n) {
        n = ollama_frame_size(buf + pos);
        f = frame_of(buf + pos, n);
        frames++;

        crc = ollama_crc32(0, f.payload, f.len);
        assert_int_equal(f.version, 1);
        assert_int_equal(buf[pos + 12], crc & 0xff);
        assert_int_equal(buf[pos + 15], crc >> 24);

        if (f.type != OLLAMA_FRAME_REQUEST) {
            continue;
        }

        end = (unsigned int) f.seq - 100;

        assert_int_equal(ollama_record_request_decode(&f, &s), 0);
        assert_int_equal(s.end, end <= OLLAMA_RECORD_STREAM_ERROR
                                ? end : OLLAMA_RECORD_UPSTREAM_GONE);
        text_is(&s.reason, "caf\xc3\xa9");
    }

    assert_int_equal(frames, OLLAMA_RECORD_WORKER_GONE + 3);

    ollama_record_downgrade(buf, 0);
}


#define FRAMES  5

/* five frames in a row, all of them summed up whole, their ends in ends[] */

static size_t
stream(unsigned char *buf, size_t size, size_t *ends)
{
    size_t               n, i, at;
    ollama_record_ack_t  ack;
    ollama_record_body_t body = { 1, 1, 40, 0, { NULL, 40 } };

    n = 0;

    for (i = 0; i < FRAMES; i++) {

        if (i == 2) {
            at = ollama_record_body_begin(buf + n, size - n, &body);
            memset(buf + n + at, 0xff, 40);
            ollama_frame_seal(buf + n, OLLAMA_FRAME_BODY, at + 40);
            ollama_frame_downgrade(buf + n);
            at += 40;

        } else {
            ack.seq = i;
            at = ollama_record_ack_encode(buf + n, size - n, &ack);
        }

        ollama_frame_number(buf + n, i + 1);
        n += at;
        ends[i] = n;
    }

    return n;
}


/* the numbers of all frames in buf, given to the framer in steps of bytes */

static unsigned int
numbers(const unsigned char *buf, size_t len, size_t step, uint64_t *seqs,
    unsigned int *damaged)
{
    size_t                 have, used, pos;
    unsigned int           n;
    unsigned char         *part;
    ollama_frame_t         f;
    ollama_frame_result_e  rc;

    n = 0;
    pos = 0;
    have = 0;
    *damaged = 0;

    for ( ;; ) {

        part = malloc(have - pos ? have - pos : 1);
        memcpy(part, buf + pos, have - pos);

        rc = ollama_frame_next(part, have - pos, &used, &f);

        if (rc == OLLAMA_FRAME_GOT) {
            assert_true(n < FRAMES + 1);
            seqs[n++] = f.seq;

        } else if (rc != OLLAMA_FRAME_AGAIN) {
            assert_true(used > 0);
            ++*damaged;
        }

        free(part);
        pos += used;
        assert_true(pos <= have);

        if (rc == OLLAMA_FRAME_AGAIN) {

            if (have == len) {
                return n;
            }

            have = len - have < step ? len : have + step;
        }
    }
}


static void
stream_in_pieces(void **state)
{
    size_t         len, step, ends[FRAMES];
    uint64_t       seqs[FRAMES + 1];
    unsigned int   i, n, damaged;
    unsigned char  buf[1024];

    (void) state;

    len = stream(buf, sizeof(buf), ends);

    for (step = 1; step <= len; step++) {
        n = numbers(buf, len, step, seqs, &damaged);
        assert_int_equal(n, FRAMES);
        assert_int_equal(damaged, 0);

        for (i = 0; i < n; i++) {
            assert_int_equal(seqs[i], i + 1);
        }
    }
}


/* every byte in turn is changed: one frame is lost, and no other */

static void
one_wrong_byte(void **state)
{
    size_t         len, at, hit, i, ends[FRAMES];
    uint64_t       seqs[FRAMES + 1];
    unsigned int   n, damaged, k;
    unsigned char  buf[1024];

    (void) state;

    len = stream(buf, sizeof(buf), ends);

    for (at = 0; at < ends[FRAMES - 2]; at++) {
        buf[at] ^= 0x5a;

        for (hit = 0; at >= ends[hit]; hit++) { /* void */ }

        for (k = 0; k < 3; k++) {
            n = numbers(buf, len, k == 0 ? 1 : k == 1 ? 7 : len, seqs,
                        &damaged);
            assert_int_equal(n, FRAMES - 1);
            assert_true(damaged > 0);

            for (i = 0; i < n; i++) {
                assert_int_equal(seqs[i], i < hit ? i + 1 : i + 2);
            }
        }

        buf[at] ^= 0x5a;
    }
}


/* bytes are missing, or too many: the same */

static void
bytes_lost_or_added(void **state)
{
    size_t         len, at, hit, i, ends[FRAMES];
    uint64_t       seqs[FRAMES + 1];
    unsigned int   n, damaged;
    unsigned char  buf[1024], bad[1100];

    (void) state;

    len = stream(buf, sizeof(buf), ends);

    for (at = 0; at < ends[FRAMES - 2] - 3; at++) {

        for (hit = 0; at >= ends[hit]; hit++) { /* void */ }

        if (at + 3 > ends[hit]) {
            continue;               /* that would be two frames */
        }

        memcpy(bad, buf, at);
        memcpy(bad + at, buf + at + 3, len - at - 3);

        n = numbers(bad, len - 3, 5, seqs, &damaged);
        assert_int_equal(n, FRAMES - 1);

        for (i = 0; i < n; i++) {
            assert_int_equal(seqs[i], i < hit ? i + 1 : i + 2);
        }

        memcpy(bad, buf, at);
        memset(bad + at, 0xff, 9);
        memcpy(bad + at + 9, buf + at, len - at);

        n = numbers(bad, len + 9, 5, seqs, &damaged);
        assert_true(damaged > 0);
        assert_true(n >= FRAMES - 1);
        assert_int_equal(seqs[n - 1], FRAMES);
    }
}


/* a frame inside a body is not taken for one when the body is damaged */

static void
frame_inside_a_body(void **state)
{
    size_t                at, n, len;
    uint64_t              seqs[FRAMES + 1];
    unsigned int          damaged;
    unsigned char         buf[1024], inner[64];
    ollama_record_ack_t   ack = { 1 };
    ollama_record_body_t  body = { 1, 1, 0, 0, { NULL, 0 } };

    (void) state;

    n = ollama_record_ack_encode(inner, sizeof(inner), &ack);
    ollama_frame_number(inner, 666);

    body.data.len = n + 10;
    at = ollama_record_body_begin(buf, sizeof(buf), &body);
    memset(buf + at, 'x', n + 10);
    memcpy(buf + at + 5, inner, n);
    ollama_frame_seal(buf, OLLAMA_FRAME_BODY, at + n + 10);
    ollama_frame_number(buf, 1);
    len = at + n + 10;
    buf[at] ^= 1;

    len += ollama_record_ack_encode(buf + len, sizeof(buf) - len, &ack);
    ollama_frame_number(buf + at + n + 10, 2);

    assert_int_equal(numbers(buf, len, 3, seqs, &damaged), 1);
    assert_int_equal(seqs[0], 2);
    assert_int_equal(damaged, 1);
}


static void
foreign_and_oversized(void **state)
{
    size_t               n, used;
    uint32_t             crc;
    unsigned char        buf[1024];
    ollama_frame_t       f;
    ollama_record_ack_t  ack = { 1 };

    (void) state;

    n = ollama_record_ack_encode(buf, sizeof(buf), &ack);
    buf[4] = OLLAMA_FRAME_VERSION + 1;
    ollama_frame_number(buf, 1);

    assert_int_equal(ollama_frame_next(buf, n, &used, &f),
                     OLLAMA_FRAME_FOREIGN);
    assert_int_equal(used, n);
    assert_int_equal(f.version, OLLAMA_FRAME_VERSION + 1);

    /* a length beyond the bound, with a header that is otherwise right */

    n = ollama_record_ack_encode(buf, sizeof(buf), &ack);
    buf[8] = 1;
    buf[9] = buf[10] = 0;
    buf[11] = 1;
    crc = ollama_crc32(0, buf, 24);
    buf[24] = (unsigned char) crc;
    buf[25] = (unsigned char) (crc >> 8);
    buf[26] = (unsigned char) (crc >> 16);
    buf[27] = (unsigned char) (crc >> 24);

    assert_int_equal(ollama_frame_next(buf, n, &used, &f),
                     OLLAMA_FRAME_DAMAGED);
    assert_int_equal(used, n);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(crc_is_the_usual_one),
        cmocka_unit_test(request_comes_back),
        cmocka_unit_test(running_comes_back),
        cmocka_unit_test(frames_fit),
        cmocka_unit_test(other_records_come_back),
        cmocka_unit_test(body_comes_back),
        cmocka_unit_test(texts_are_bounded),
        cmocka_unit_test(small_buffers_give_nothing),
        cmocka_unit_test(payloads_of_other_sizes),
        cmocka_unit_test(attempts_in_the_middle_go),
        cmocka_unit_test(total_is_not_less_than_queue),
        cmocka_unit_test(running_is_finished),
        cmocka_unit_test(versions_of_frames),
        cmocka_unit_test(downgraded_for_an_old_daemon),
        cmocka_unit_test(stream_in_pieces),
        cmocka_unit_test(one_wrong_byte),
        cmocka_unit_test(bytes_lost_or_added),
        cmocka_unit_test(frame_inside_a_body),
        cmocka_unit_test(foreign_and_oversized),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
