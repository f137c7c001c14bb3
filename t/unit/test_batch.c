/*
 * Frames become a batch: against the store in memory, with bodies in segments
 * in a folder of their own.
 */

#include "memory_store.h"

#include "../../stats-daemon/base/util.h"
#include "../../stats-daemon/ledger/batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>


static char           dir[64];
static struct batch   b;
static struct frames  q;
static int            requests, committed, rolled_back;


static void
on_request(void *arg, const ollama_record_request_t *r)
{
    (void) arg;
    (void) r;

    requests++;
}


static void
on_batch(void *arg, int ok, int64_t us)
{
    (void) arg;
    assert_true(us >= 0);

    committed += ok;
    rolled_back += !ok;
}


static int
setup(void **state)
{
    char  err[256];

    (void) state;

    strcpy(dir, "/tmp/batch.XXXXXX");
    if (mkdtemp(dir) == NULL) {
        return -1;
    }

    memset(&b, 0, sizeof(b));
    memset(&q, 0, sizeof(q));
    requests = committed = rolled_back = 0;
    b.store = store_memory.open("", err, sizeof(err));
    b.bodies = segments_open(dir, err, sizeof(err));
    b.now = b.wall = now_ms();
    b.observer = (struct writer_observer) { on_request, on_batch, NULL };

    return b.bodies == NULL;
}


static int
teardown(void **state)
{
    char  command[128];

    (void) state;

    batch_free(&b);
    frames_free(&q);
    segments_close(b.bodies);
    store_close(b.store);
    snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    return system(command);
}


static void
put(uint64_t instance, uint64_t seq, unsigned char *frame, size_t len)
{
    ollama_frame_t  f;
    size_t          used;

    assert_true(len > 0);
    ollama_frame_number(frame, seq);
    assert_int_equal(ollama_frame_next(frame, len, &used, &f),
                     OLLAMA_FRAME_GOT);
    frames_put(&q, instance, &f);
}


static void
request(uint64_t instance, uint64_t seq)
{
    unsigned char            buf[OLLAMA_RECORD_MAX];
    ollama_record_request_t  r;

    memset(&r, 0, sizeof(r));
    r.id = seq;
    r.time = (uint64_t) b.now;
    r.status = 200;
    r.prompt = 10;
    put(instance, seq, buf, ollama_record_request_encode(buf, sizeof(buf), &r));
}


static void
body(uint64_t instance, uint64_t seq, uint64_t id)
{
    unsigned char         buf[OLLAMA_RECORD_MAX];
    static const char     words[] = "{\"model\":\"gpt-oss:20b\"}";
    size_t                at;
    ollama_record_body_t  r;

    memset(&r, 0, sizeof(r));
    r.id = id;
    r.time = (uint64_t) b.now;
    r.size = r.data.len = sizeof(words) - 1;
    r.data.data = (const unsigned char *) words;

    at = ollama_record_body_begin(buf, sizeof(buf), &r);
    memcpy(buf + at, words, r.data.len);
    ollama_frame_seal(buf, OLLAMA_FRAME_BODY, at + r.data.len);
    put(instance, seq, buf, at + r.data.len);
}


static struct store_status
kept(void)
{
    struct store_status  status;

    store_status(b.store, &status);
    return status;
}


static void
on_row(void *arg, const struct store_row *row)
{
    (void) arg;

    assert_true(row->body_size > 0);
    assert_true(row->body.segment > 0);
}


static void
test_bodies_come_last(void **state)
{
    struct tally  t = { 0 };
    size_t        at = 0;

    (void) state;

    body(1, 1, 2);
    request(1, 2);
    body(1, 3, 4);
    request(1, 4);
    assert_int_equal(batch_write(&b, &q, &at, BATCH_FRAMES, &t), STORE_OK);

    assert_int_equal(at, q.len);
    assert_int_equal(t.frames, 4);
    assert_int_equal(t.requests, 2);
    assert_int_equal(t.bodies, 2);
    assert_int_equal(t.lost, 0);
    assert_int_equal(t.numbers.n, 1);
    assert_int_equal(t.numbers.list[0].seq, 4);
    assert_int_equal(requests, 2);
    assert_int_equal(committed, 1);
    assert_int_equal(kept().bodies, 2);
    assert_int_equal(store_rows(store_reader(b.store, 0),
                                &(struct store_query) { .limit = 10 }, on_row,
                                NULL), STORE_OK);
    free(t.numbers.list);
}


static void
test_again(void **state)
{
    struct tally  t = { 0 };
    size_t        at = 0;

    (void) state;

    request(1, 1);
    request(1, 2);
    body(1, 3, 2);
    memory_store_fail(b.store, STORE_IO);
    assert_int_equal(batch_write(&b, &q, &at, BATCH_FRAMES, &t), STORE_IO);
    assert_int_equal(at, 0);
    assert_int_equal(rolled_back, 1);
    assert_int_equal(kept().total.requests, 0);
    free(t.numbers.list);

    memset(&t, 0, sizeof(t));
    assert_int_equal(batch_write(&b, &q, &at, BATCH_FRAMES, &t), STORE_OK);
    assert_int_equal(at, q.len);
    assert_int_equal(kept().total.requests, 2);
    assert_int_equal(kept().bodies, 1);
    assert_int_equal(t.repeated, 0);
    free(t.numbers.list);

    /* what the proxy sends again, because the answer got lost */

    memset(&t, 0, sizeof(t));
    at = 0;
    assert_int_equal(batch_write(&b, &q, &at, BATCH_FRAMES, &t), STORE_OK);
    assert_int_equal(t.repeated, 2);
    assert_int_equal(t.requests, 0);
    assert_int_equal(kept().total.requests, 2);
    assert_int_equal(kept().bodies, 1);
    free(t.numbers.list);
}


static void
test_pieces(void **state)
{
    size_t  at = 0;
    int     turns = 0;

    (void) state;

    for (uint64_t i = 1; i <= 10; i++) {
        request(1 + i % 2, i);
    }

    while (at < q.len) {
        struct tally  t = { 0 };

        assert_int_equal(batch_write(&b, &q, &at, 3, &t), STORE_OK);
        assert_true(t.frames <= 3);
        turns++;
        free(t.numbers.list);
    }

    assert_int_equal(turns, 4);
    assert_int_equal(kept().total.requests, 10);
}


static void
test_malformed(void **state)
{
    struct tally  t = { 0 };
    size_t        at = 0;

    (void) state;

    /* a frame whose sum is right, and which holds nothing of what it should */

    ollama_frame_t  f = { OLLAMA_FRAME_VERSION, OLLAMA_FRAME_REQUEST, 2,
                          (const unsigned char *) "", 0 };

    request(1, 1);
    frames_put(&q, 1, &f);
    request(1, 3);

    assert_int_equal(batch_write(&b, &q, &at, BATCH_FRAMES, &t), STORE_OK);
    assert_int_equal(t.malformed, 1);
    assert_int_equal(t.requests, 2);
    assert_int_equal(t.numbers.list[0].seq, 3);
    free(t.numbers.list);

    /* one that the store refused: its number is dealt with */

    assert_int_equal(batch_skip(&b, 1, 4), STORE_OK);
    memset(&t, 0, sizeof(t));
    at = 0;
    frames_free(&q);
    request(1, 4);
    assert_int_equal(batch_write(&b, &q, &at, BATCH_FRAMES, &t), STORE_OK);
    assert_int_equal(t.repeated, 1);
    free(t.numbers.list);
}


static void
test_bodies_cannot_be_written(void **state)
{
    char          folder[256];
    struct tally  t = { 0 };
    size_t        at = 0;

    (void) state;

    /* a file is where the folder of bodies should be */

    snprintf(folder, sizeof(folder), "rm -rf '%s/requests' && touch"
             " '%s/requests'", dir, dir);
    assert_int_equal(system(folder), 0);

    request(1, 1);
    body(1, 2, 1);
    request(1, 3);
    assert_int_equal(batch_write(&b, &q, &at, BATCH_FRAMES, &t), STORE_OK);
    assert_int_equal(t.requests, 2);
    assert_int_equal(t.bodies, 0);
    assert_int_equal(t.lost, 1);
    assert_true(t.body_errno != 0);
    assert_int_equal(kept().total.requests, 2);
    assert_int_equal(t.numbers.list[0].seq, 3);
    free(t.numbers.list);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test_setup_teardown(test_bodies_come_last, setup, teardown),
        cmocka_unit_test_setup_teardown(test_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pieces, setup, teardown),
        cmocka_unit_test_setup_teardown(test_malformed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bodies_cannot_be_written, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
