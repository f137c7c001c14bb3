/*
 * The outbox's ring: what goes in comes out, in order, until it is
 * acknowledged; bodies give way first, then the oldest.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "record.h"
#include "ring.h"


#define SIZE  (sizeof(ollama_ring_t) + 4096)


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

    assert_false(put(ring, 4096 / 4, 1, 0));

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


/* a word goes with its frame: neither or both, in whatever order one looks */

static void
test_clear(void **state)
{
    uint32_t        word;
    size_t          need;
    unsigned char   buf[SIZE], *p;
    ollama_ring_t  *ring = make();

    (void) state;

    word = 5;
    ollama_ring_settle(ring);
    ollama_ring_commit_clear(ring, &word);          /* nothing is reserved */
    assert_int_equal(word, 5);
    assert_int_equal(ring->seq, 0);

    p = ollama_ring_reserve(ring, OLLAMA_FRAME_HEADER, 1, 0);
    ollama_frame_seal(p, OLLAMA_FRAME_REQUEST, OLLAMA_FRAME_HEADER);
    ollama_ring_commit_clear(ring, &word);
    assert_int_equal(word, 0);
    assert_int_equal(ring->seq, 1);

    /* as if it had died before the commit, and then the ring is emptied */

    word = 6;
    (void) ollama_ring_read(ring, buf, sizeof(buf), &need);
    p = ollama_ring_reserve(ring, OLLAMA_FRAME_HEADER, 1, 0);
    ring->clear_at = ring->head + ring->pending;
    ring->clear = &word;
    ollama_ring_ack(ring, 1);
    assert_int_equal(ollama_ring_used(ring), 0);
    ollama_ring_settle(ring);
    assert_int_equal(word, 6);

    /* the same, and others go on */

    p = ollama_ring_reserve(ring, OLLAMA_FRAME_HEADER, 1, 0);
    ring->clear_at = ring->head + ring->pending;
    ring->clear = &word;
    put(ring, 500, 1, 0);
    ollama_ring_settle(ring);
    assert_int_equal(word, 6);

    /* after the commit, before the word */

    p = ollama_ring_reserve(ring, OLLAMA_FRAME_HEADER, 1, 0);
    ollama_frame_seal(p, OLLAMA_FRAME_REQUEST, OLLAMA_FRAME_HEADER);
    ring->clear_at = ring->head + ring->pending;
    ring->clear = &word;
    ollama_ring_commit(ring);
    assert_int_equal(word, 6);
    put(ring, 500, 1, 0);
    assert_int_equal(word, 0);

    free(ring);
}


#define WORDS  100000

/* killed at any moment: what has no word is in the ring, what has is not */

static void
test_killed(void **state)
{
    int             round, status;
    pid_t           pid;
    size_t          len, need, size;
    uint32_t        i, *words;
    unsigned char  *p, *buf;
    ollama_frame_t  f;
    ollama_ring_t  *ring;

    (void) state;

    size = sizeof(ollama_ring_t) + WORDS * 64;
    buf = malloc(size);
    ring = mmap(NULL, size + WORDS * sizeof(uint32_t), PROT_READ|PROT_WRITE,
                MAP_SHARED|MAP_ANONYMOUS, -1, 0);
    assert_true(ring != MAP_FAILED);
    words = (uint32_t *) ((char *) ring + size);

    for (round = 0; round < 300; round++) {
        ollama_ring_init(ring, size);

        for (i = 0; i < WORDS; i++) {
            words[i] = 1;
        }

        pid = fork();
        assert_true(pid != -1);

        if (pid == 0) {
            for (i = 0; i < WORDS; i++) {
                p = ollama_ring_reserve(ring, OLLAMA_FRAME_HEADER + 4, 1, 0);
                memcpy(p + OLLAMA_FRAME_HEADER, &i, 4);
                ollama_frame_seal(p, OLLAMA_FRAME_REQUEST,
                                  OLLAMA_FRAME_HEADER + 4);
                ollama_ring_commit_clear(ring, &words[i]);
            }

            _exit(0);
        }

        /* somewhere in the middle, as far as a clock can tell */

        while (__atomic_load_n(&words[round * 10], __ATOMIC_RELAXED)
               && waitpid(pid, &status, WNOHANG) == 0)
        {
            /* void */
        }

        kill(pid, SIGKILL);
        (void) waitpid(pid, &status, 0);

        ollama_ring_settle(ring);
        assert_null(ring->clear);

        len = ollama_ring_read(ring, buf, size, &need);
        p = buf;

        for (i = 0; len; i++) {
            assert_int_equal(ollama_frame_next(p, len, &need, &f),
                             OLLAMA_FRAME_GOT);
            assert_memory_equal(f.payload, &i, 4);
            assert_int_equal(words[i], 0);
            p += need;
            len -= need;
        }

        for ( /* void */ ; i < WORDS; i++) {
            assert_int_equal(words[i], 1);
        }
    }

    munmap(ring, size + WORDS * sizeof(uint32_t));
    free(buf);
}


/* acknowledged by notes and without them: the same */

static void
test_notes(void **state)
{
    int             round;
    size_t          len, need, n, size;
    uint64_t        seq, jumps;
    unsigned        r;
    unsigned char  *buf, *buf2;
    ollama_ring_t  *ring, *walk;

    (void) state;

    size = sizeof(ollama_ring_t) + 200000;
    ring = calloc(1, size);
    walk = calloc(1, size);
    buf = malloc(size);
    buf2 = malloc(size);
    ollama_ring_init(ring, size);
    ollama_ring_init(walk, size);

    srand(2);
    jumps = 0;

    for (round = 0; round < 300000; round++) {
        r = (unsigned) rand();

        switch (r / 8 % 8) {

        case 0:
            n = r / 1024 % 200000;
            len = ollama_ring_read(ring, buf, n, &need);
            assert_int_equal(ollama_ring_read(walk, buf2, n, &need), len);
            assert_memory_equal(buf, buf2, len);
            break;

        case 1:
            /* for a while nobody does, and the oldest are dropped */

            if (round / 10000 % 3 == 0 || r / 64 % 4) {
                break;
            }

            /* any number, also of frames that were dropped or not yet sent */

            seq = ring->acked + r / 1024 % 400;

            if (r / 256 % 16 == 0) {
                seq = ring->seq - r / 1024 % 3;
            }

            jumps += seq <= ring->seq
                     && ring->notes[seq / OLLAMA_RING_STEP
                                    % OLLAMA_RING_NOTES].end > ring->tail;

            ollama_ring_ack(ring, seq);

            memset(walk->notes, 0, sizeof(walk->notes));
            ollama_ring_ack(walk, seq);
            break;

        case 2:
            if (r / 64 % 256 == 0) {
                ollama_ring_rewind(ring);
                ollama_ring_rewind(walk);
            }
            break;

        default:
            n = r / 1024 % 300;
            assert_int_equal(put(ring, n + 1, 1, r / 64 % 8 == 0),
                             put(walk, n + 1, 1, r / 64 % 8 == 0));
        }

        assert_memory_equal(ring, walk, offsetof(ollama_ring_t, clear));
    }

    assert_true(jumps > 1000);
    assert_true(ring->dropped_records > 1000);
    assert_true(ring->head > 100 * ring->size);

    free(ring);
    free(walk);
    free(buf);
    free(buf2);
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
        cmocka_unit_test(test_clear),
        cmocka_unit_test(test_killed),
        cmocka_unit_test(test_notes),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
