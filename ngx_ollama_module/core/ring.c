
#include <string.h>

#include "frame.h"
#include "ring.h"


typedef struct {
    uint32_t   len;                 /* of the frame; 0: on to the start */
    uint32_t   body;
    uint64_t   time;
} ollama_ring_entry_t;


static unsigned char *ollama_ring_at(const ollama_ring_t *ring,
    uint64_t offset);
static uint64_t ollama_ring_align(size_t n);
static uint64_t ollama_ring_skip(const ollama_ring_t *ring, uint64_t offset);
static void ollama_ring_drop(ollama_ring_t *ring);
static uint64_t ollama_ring_number(const unsigned char *frame);
static void ollama_ring_note(ollama_ring_t *ring, const unsigned char *frame);


void
ollama_ring_init(ollama_ring_t *ring, size_t size)
{
    memset(ring, 0, sizeof(ollama_ring_t));

    ring->size = (size - sizeof(ollama_ring_t)) & ~(uint64_t) 15;
}


unsigned char *
ollama_ring_reserve(ollama_ring_t *ring, size_t n, uint64_t time, int body)
{
    uint64_t             need, room, end;
    ollama_ring_entry_t  entry;

    ollama_ring_settle(ring);

    need = sizeof(ollama_ring_entry_t) + ollama_ring_align(n);

    if (n == 0 || n > UINT32_MAX || need > ring->size / 4) {
        goto refused;
    }

    /* it must not go over the ring's end */

    end = ring->size - ring->head % ring->size;
    room = (need > end) ? end + need : need;

    if (body && ollama_ring_used(ring) + room > ring->size / 2) {
        goto refused;
    }

    while (ring->size - (ring->head - ring->tail) < room) {
        ollama_ring_drop(ring);
    }

    if (need > end) {

        if (end >= sizeof(ollama_ring_entry_t)) {
            memset(&entry, 0, sizeof(ollama_ring_entry_t));
            memcpy(ollama_ring_at(ring, ring->head), &entry,
                   sizeof(ollama_ring_entry_t));
        }

        ring->head += end;
    }

    entry.len = (uint32_t) n;
    entry.body = body ? 1 : 0;
    entry.time = time;

    memcpy(ollama_ring_at(ring, ring->head), &entry,
           sizeof(ollama_ring_entry_t));

    ring->pending = need;

    return ollama_ring_at(ring, ring->head) + sizeof(ollama_ring_entry_t);

refused:

    if (body) {
        ring->dropped_bodies++;

    } else {
        ring->dropped_records++;
    }

    return NULL;
}


void
ollama_ring_commit(ollama_ring_t *ring)
{
    unsigned char  *frame;

    if (ring->pending == 0) {
        return;
    }

    frame = ollama_ring_at(ring, ring->head) + sizeof(ollama_ring_entry_t);

    ollama_frame_number(frame, ++ring->seq);

    ring->head += ring->pending;
    ring->pending = 0;
}


/*
 * The frame is there from the moment on at which head has moved, in one store.
 * A caller that dies before it has changed nothing, and one that dies after it
 * has left what settle needs.  The fences keep the compiler to this order.
 */

void
ollama_ring_commit_clear(ollama_ring_t *ring, uint32_t *word)
{
    if (ring->pending == 0) {
        return;
    }

    ring->clear_at = ring->head + ring->pending;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);

    ring->clear = word;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);

    ollama_ring_commit(ring);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);

    ollama_ring_settle(ring);
}


void
ollama_ring_settle(ollama_ring_t *ring)
{
    if (ring->clear == NULL) {
        return;
    }

    if (ring->head >= ring->clear_at) {
        *ring->clear = 0;
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
    }

    ring->clear = NULL;
}


size_t
ollama_ring_read(ollama_ring_t *ring, unsigned char *buf, size_t size,
    size_t *need)
{
    size_t               n;
    unsigned char       *p;
    ollama_ring_entry_t  entry;

    n = 0;
    *need = 0;

    for ( ;; ) {
        ring->next = ollama_ring_skip(ring, ring->next);

        if (ring->next == ring->head) {
            return n;
        }

        p = ollama_ring_at(ring, ring->next);
        memcpy(&entry, p, sizeof(ollama_ring_entry_t));

        if (entry.len > size - n) {

            if (n == 0) {
                *need = entry.len;
            }

            return n;
        }

        memcpy(buf + n, p + sizeof(ollama_ring_entry_t), entry.len);

        ring->next += sizeof(ollama_ring_entry_t)
                      + ollama_ring_align(entry.len);

        ollama_ring_note(ring, buf + n);

        n += entry.len;
    }
}


void
ollama_ring_ack(ollama_ring_t *ring, uint64_t seq)
{
    uint64_t             step;
    unsigned char       *p;
    ollama_ring_note_t  *note;
    ollama_ring_entry_t  entry;

    /* a number that was never given out is somebody else's mistake */

    if (seq > ring->seq || seq <= ring->acked) {
        return;
    }

    ollama_ring_settle(ring);               /* while head says what it says */

    ring->acked = seq;

    step = seq / OLLAMA_RING_STEP;
    note = &ring->notes[step % OLLAMA_RING_NOTES];

    if (note->seq == step * OLLAMA_RING_STEP && note->end > ring->tail) {
        ring->tail = note->end;
    }

    for ( ;; ) {
        ring->tail = ollama_ring_skip(ring, ring->tail);

        if (ring->tail == ring->head) {
            break;
        }

        p = ollama_ring_at(ring, ring->tail);
        memcpy(&entry, p, sizeof(ollama_ring_entry_t));

        if (ollama_ring_number(p + sizeof(ollama_ring_entry_t)) > seq) {
            break;
        }

        ring->tail += sizeof(ollama_ring_entry_t)
                      + ollama_ring_align(entry.len);
    }

    if (ring->tail == ring->head) {

        /* empty: from the start again, so that it uses no more than it needs */

        ring->head = (ring->head + ring->size - 1) / ring->size * ring->size;
        ring->tail = ring->head;
    }

    if (ring->next < ring->tail) {
        ring->next = ring->tail;
    }
}


void
ollama_ring_rewind(ollama_ring_t *ring)
{
    uint64_t             offset;
    ollama_ring_entry_t  entry;

    offset = ollama_ring_skip(ring, ring->tail);

    while (offset < ring->next) {
        memcpy(&entry, ollama_ring_at(ring, offset),
               sizeof(ollama_ring_entry_t));

        offset += sizeof(ollama_ring_entry_t) + ollama_ring_align(entry.len);
        offset = ollama_ring_skip(ring, offset);

        ring->resent++;
    }

    ring->next = ring->tail;
}


size_t
ollama_ring_used(const ollama_ring_t *ring)
{
    return (size_t) (ring->head - ring->tail);
}


int
ollama_ring_unsent(const ollama_ring_t *ring)
{
    return ollama_ring_skip(ring, ring->next) != ring->head;
}


uint64_t
ollama_ring_oldest(const ollama_ring_t *ring)
{
    uint64_t             offset;
    ollama_ring_entry_t  entry;

    offset = ollama_ring_skip(ring, ring->tail);

    if (offset == ring->head) {
        return 0;
    }

    memcpy(&entry, ollama_ring_at(ring, offset), sizeof(ollama_ring_entry_t));

    return entry.time;
}


static unsigned char *
ollama_ring_at(const ollama_ring_t *ring, uint64_t offset)
{
    return (unsigned char *) (ring + 1) + offset % ring->size;
}


static uint64_t
ollama_ring_align(size_t n)
{
    return ((uint64_t) n + 15) & ~(uint64_t) 15;
}


/* from a mark at the ring's end to the frame at its start */

static uint64_t
ollama_ring_skip(const ollama_ring_t *ring, uint64_t offset)
{
    uint64_t             end;
    ollama_ring_entry_t  entry;

    if (offset >= ring->head) {
        return ring->head;
    }

    end = ring->size - offset % ring->size;

    if (end < sizeof(ollama_ring_entry_t)) {
        return offset + end;
    }

    memcpy(&entry, ollama_ring_at(ring, offset), sizeof(ollama_ring_entry_t));

    return entry.len ? offset : offset + end;
}


static void
ollama_ring_drop(ollama_ring_t *ring)
{
    ollama_ring_entry_t  entry;

    ring->tail = ollama_ring_skip(ring, ring->tail);

    if (ring->tail < ring->head) {
        memcpy(&entry, ollama_ring_at(ring, ring->tail),
               sizeof(ollama_ring_entry_t));

        ring->tail += sizeof(ollama_ring_entry_t)
                      + ollama_ring_align(entry.len);

        if (entry.body) {
            ring->dropped_bodies++;

        } else {
            ring->dropped_records++;
        }
    }

    if (ring->next < ring->tail) {
        ring->next = ring->tail;
    }
}


/* little endian, at 16 of the frame's header: see frame.h */

static uint64_t
ollama_ring_number(const unsigned char *frame)
{
    int       i;
    uint64_t  seq;

    seq = 0;

    for (i = 7; i >= 0; i--) {
        seq = seq << 8 | frame[16 + i];
    }

    return seq;
}


/* the low byte tells which frames these are */

static void
ollama_ring_note(ollama_ring_t *ring, const unsigned char *frame)
{
    uint64_t             seq;
    ollama_ring_note_t  *note;

    if (frame[16] % OLLAMA_RING_STEP) {
        return;
    }

    seq = ollama_ring_number(frame);
    note = &ring->notes[seq / OLLAMA_RING_STEP % OLLAMA_RING_NOTES];

    note->seq = seq;
    note->end = ring->next;
}
