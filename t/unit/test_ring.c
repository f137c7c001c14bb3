/*
 * The outbox's ring: what goes in comes out, in order, until it is
 * acknowledged; bodies give way first, then the oldest.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "record.h"
#include "ring.h"


#define SIZE  4096


static ollama_ring_t *
make(void)
{
    ollama_ring_t  *ring;

    ring = calloc(1, SIZE);
    assert_non_null(ring);
    ollama_ring_init(ring, SIZE);

    return ring;
}


/* a frame of n payload bytes which all hold c */

static int
put(ollama_ring_t *ring, size_t n, int c, int body)
{
    unsigned char  *p;

    p = ollama_ring_reserve(ring, OLLAMA_FRAME_HEADER + n, 1000 + c, body);

    if (p == NULL) {
        return 0;
    }

    memset(p + OLLAMA_FRAME_HEADER, c, n);
    ollama_frame_seal(p, body ? OLLAMA_FRAME_BODY : OLLAMA_FRAME_REQUEST,
                      OLLAMA_FRAME_HEADER + n);
    ollama_ring_commit(ring);

    return 1;
}


/* the next frame in buf: its number, and its payload's byte in *c */

static uint64_t
take(unsigned char **p, size_t *len, int *c)
{
    size_t          used;
    ollama_frame_t  frame;

    assert_int_equal(ollama_frame_next(*p, *len, &used, &frame),
                     OLLAMA_FRAME_GOT);
    *p += used;
    *len -= used;
    *c = frame.len ? frame.payload[frame.len - 1] : -1;

    return frame.seq;
}


static void
test_in_and_out(void **state)
{
    int             c, i;
    size_t          len, need;
    unsigned char   buf[SIZE], *p;
    ollama_ring_t  *ring = make();

    (void) state;

    assert_false(ollama_ring_unsent(ring));
    assert_int_equal(ollama_ring_oldest(ring), 0);

    for (i = 1; i <= 5; i++) {
        assert_true(put(ring, 10 * i, i, 0));
    }

    assert_true(ollama_ring_unsent(ring));
    assert_int_equal(ollama_ring_oldest(ring), 1001);

    len = ollama_ring_read(ring, buf, sizeof(buf), &need);
    assert_int_equal(need, 0);
    p = buf;

    for (i = 1; i <= 5; i++) {
        assert_int_equal(take(&p, &len, &c), i);
        assert_int_equal(c, i);
    }

    assert_int_equal(len, 0);
    assert_false(ollama_ring_unsent(ring));

    ollama_ring_ack(ring, 3);
    assert_int_equal(ollama_ring_oldest(ring), 1004);

    ollama_ring_rewind(ring);
    assert_int_equal(ring->resent, 2);

    len = ollama_ring_read(ring, buf, sizeof(buf), &need);
    p = buf;
    assert_int_equal(take(&p, &len, &c), 4);
    assert_int_equal(take(&p, &len, &c), 5);

    ollama_ring_ack(ring, 99);
    assert_int_equal(ring->acked, 3);

    ollama_ring_ack(ring, 5);
    assert_int_equal(ollama_ring_used(ring), 0);

    free(ring);
}


static void
test_whole_frames_only(void **state)
{
    int             c;
    size_t          len, need;
    unsigned char   buf[SIZE], *p;
    ollama_ring_t  *ring = make();

    (void) state;

    put(ring, 100, 1, 0);
    put(ring, 100, 2, 0);

    assert_int_equal(ollama_ring_read(ring, buf, 64, &need), 0);
    assert_int_equal(need, OLLAMA_FRAME_HEADER + 100);

    len = ollama_ring_read(ring, buf, OLLAMA_FRAME_HEADER + 150, &need);
    assert_int_equal(len, OLLAMA_FRAME_HEADER + 100);
    p = buf;
    assert_int_equal(take(&p, &len, &c), 1);

    free(ring);
}


static void
test_full(void **state)
{
    int             c, i;
    size_t          len, need;
    unsigned char   buf[SIZE], *p;
    ollama_ring_t  *ring = make();

    (void) state;

    /* bodies stop at the half */

    for (i = 0; put(ring, 200, i, 1); i++) { /* void */ }

    assert_in_range(i, 6, 10);
    assert_int_equal(ring->dropped_bodies, 1);
    assert_int_equal(ring->dropped_records, 0);

    /* records go on, first at the cost of what is oldest */

    for (i = 100; i < 140; i++) {
        assert_true(put(ring, 200, i, 0));
    }

    assert_true(ring->dropped_records > 0);

    len = ollama_ring_read(ring, buf, sizeof(buf), &need);
    p = buf;
    i = 0;

    while (len) {
        assert_int_equal(take(&p, &len, &c), ring->seq
                         - (40 - ring->dropped_records) + 1 + i);
        i++;
    }

    assert_int_equal(c, 139);
    assert_int_equal(i, 40 - ring->dropped_records);

    /* nothing larger than a quarter */

    assert_false(put(ring, SIZE / 4, 1, 0));

    free(ring);
}


/* a writer that died between reserving and committing */

static void
test_abandoned(void **state)
{
    int             c;
    size_t          len, need;
    unsigned char   buf[SIZE], *p;
    ollama_ring_t  *ring = make();

    (void) state;

    assert_non_null(ollama_ring_reserve(ring, 100, 1, 0));
    put(ring, 50, 7, 0);

    len = ollama_ring_read(ring, buf, sizeof(buf), &need);
    p = buf;
    assert_int_equal(take(&p, &len, &c), 1);
    assert_int_equal(c, 7);
    assert_int_equal(len, 0);

    free(ring);
}


/* at random, against the obvious model: numbers in order, bytes right */

static void
test_random(void **state)
{
    int             c, round;
    size_t          len, need, n;
    uint64_t        seq, seen, sent;
    unsigned        r;
    unsigned char   buf[SIZE], *p;
    ollama_ring_t  *ring = make();

    (void) state;

    srand(1);
    seen = 0;
    sent = 0;

    for (round = 0; round < 200000; round++) {
        r = (unsigned) rand();

        switch (r % 4) {

        case 0:
        case 1:
            n = r / 4 % 300;
            (void) put(ring, n + 1, (int) ((ring->seq + 1) & 0xff),
                       r / 1024 % 8 == 0);
            break;

        case 2:
            len = ollama_ring_read(ring, buf, r / 4 % SIZE, &need);
            p = buf;

            while (len) {
                seq = take(&p, &len, &c);
                assert_true(seq > seen);
                assert_int_equal(c, seq & 0xff);
                seen = seq;
            }

            if (seen > sent) {
                sent = seen;
            }

            break;

        default:
            if (r / 4 % 16 == 0) {
                ollama_ring_rewind(ring);
                seen = ring->acked;

            } else if (sent > ring->acked) {
                ollama_ring_ack(ring, ring->acked + 1
                                      + r / 4 % (sent - ring->acked));
            }
        }

        assert_true(ollama_ring_used(ring) <= ring->size);
        assert_true(ring->tail <= ring->next && ring->next <= ring->head);
    }

    free(ring);
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_and_out),
        cmocka_unit_test(test_whole_frames_only),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_abandoned),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
