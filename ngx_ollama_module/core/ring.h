/*
 * ring.h - the outbox: frames that wait to be sent and acknowledged.
 *
 * A byte ring in shared memory.  Any worker puts frames in, one of them (the
 * sender) copies them out, and they stay until the daemon has acknowledged
 * their number.  Nothing here allocates or locks: the caller holds the
 * zone's mutex around every call, none of which takes longer than copying the
 * bytes.
 *
 *     ollama_ring_init(ring, size)             size: of ring and data
 *
 *     p = ollama_ring_reserve(ring, n, time, body);
 *     if (p) { write n bytes of a sealed frame; ollama_ring_commit(ring); }
 *
 *     n = ollama_ring_read(ring, buf, size);   whole frames, not yet sent
 *     ollama_ring_ack(ring, seq);              up to seq is safe, forget it
 *     ollama_ring_rewind(ring);                a new connection: send again
 *
 *     ollama_ring_commit_clear(ring, &word);   commit, and the word is 0
 *     ollama_ring_settle(ring);                .. also if its caller died
 *
 * Numbers begin with 1 and grow by one; a frame gets its number when it is
 * committed.
 *
 * When room is short, bodies go first: they are not taken once the ring is
 * half full.  Then the oldest frames are dropped, sent or not.  What was
 * dropped is counted; its number stays a gap.
 *
 * Reading notes where each OLLAMA_RING_STEP'th frame ends, for the numbers
 * last read.  An acknowledgement begins behind the one before its number
 * instead of looking at each frame in between; without a note it does that.
 *
 * A frame lies in one piece.  Before each there is a header of 16 bytes: its
 * length, whether it is a body, and the time (ms) from which its age is told.
 * What remains at the end of the ring and is too short is skipped: marked by
 * a length of 0, or by being shorter than a header.  head, tail and next are
 * bytes since the beginning, not positions, so that they only grow.
 */

#ifndef OLLAMA_RING_H_INCLUDED
#define OLLAMA_RING_H_INCLUDED

#include <stddef.h>
#include <stdint.h>


#define OLLAMA_RING_STEP   64       /* frames, a power of 2 */
#define OLLAMA_RING_NOTES  256


typedef struct {
    uint64_t   seq;
    uint64_t   end;                 /* of this frame */
} ollama_ring_note_t;


typedef struct {
    uint64_t   size;                /* bytes of data */
    uint64_t   head;                /* where the next frame goes */
    uint64_t   tail;                /* the oldest one */
    uint64_t   next;                /* the first one not sent */
    uint64_t   pending;             /* reserved bytes, 0: none */

    uint64_t   seq;                 /* last number given */
    uint64_t   acked;               /* last number acknowledged */

    uint64_t   dropped_records;
    uint64_t   dropped_bodies;
    uint64_t   resent;              /* frames */

    uint32_t  *clear;               /* at the commit that ends at clear_at */
    uint64_t   clear_at;

    ollama_ring_note_t  notes[OLLAMA_RING_NOTES];
} ollama_ring_t;


void ollama_ring_init(ollama_ring_t *ring, size_t size);

/*
 * Room for a frame of n bytes, or NULL: it is a body and the ring is half
 * full, or larger than the ring can hold.  A reservation not committed is void
 * with the next one (whoever made it has died).
 */

unsigned char *ollama_ring_reserve(ollama_ring_t *ring, size_t n,
    uint64_t time, int body);
void ollama_ring_commit(ollama_ring_t *ring);

/*
 * Commits, and sets a word in shared memory (at the same address for all) to
 * 0: say, the mark by which another place holds the same thing.  Both are done
 * or neither, even if the caller is killed in between: the next call finishes
 * what was begun.  settle does that alone, for who is about to read the words.
 */

void ollama_ring_commit_clear(ollama_ring_t *ring, uint32_t *word);
void ollama_ring_settle(ollama_ring_t *ring);

/*
 * Copies as many whole frames as fit.  If not even the first one does, nothing
 * is copied and *need is its size; else *need is 0.
 */

size_t ollama_ring_read(ollama_ring_t *ring, unsigned char *buf, size_t size,
    size_t *need);

void ollama_ring_ack(ollama_ring_t *ring, uint64_t seq);
void ollama_ring_rewind(ollama_ring_t *ring);

size_t ollama_ring_used(const ollama_ring_t *ring);
int ollama_ring_unsent(const ollama_ring_t *ring);

/* the time given with the oldest frame, 0 if there is none */

uint64_t ollama_ring_oldest(const ollama_ring_t *ring);


#endif /* OLLAMA_RING_H_INCLUDED */
