/*
 * sse_cut.h - takes the usage chunk out of an OpenAI stream.
 *
 * When we asked for it (stream_options.include_usage put into the request, see
 * request.h) the stream of /v1/chat/completions and /v1/completions carries
 * one event more than the client expects: the one whose data has an empty
 * `choices` array and a `usage` object.  This filter drops that event, with
 * its blank line, and passes every other byte as it is.
 *
 *     c = ollama_sse_cut_create();              once, NULL: out of memory
 *     ollama_sse_cut_reset(c);                  before every answer
 *
 *     for each buffer [p, end) of the answer:
 *         while (ollama_sse_cut_next(c, &p, end, &run)) { send run }
 *
 *     if (ollama_sse_cut_finish(c, &run)) { send run }     at its end
 *     ollama_sse_cut_destroy(c);
 *
 * next() gives the runs of bytes to send, in order; 0 means that the buffer is
 * used up (p == end) and nothing is left of it to send.  Until then it must be
 * called with the same buffer, and with p as it was left.  A run either lies
 * inside the caller's buffer (held = 0: send it without a copy), or is what
 * had been held back of earlier buffers (held = 1: it is valid only until the
 * next call with this c, so copy it).
 *
 * Held back are the bytes of an event of which it is not yet clear whether it
 * is that chunk, and only across the end of a buffer: usually nothing.  An
 * ordinary chunk is known by the first byte inside `choices`, [DONE] and what
 * is no JSON object by the first byte of data, comments by their colon; from
 * there on it passes undelayed.  The chunk itself is known as soon as both
 * members have begun, and never held after that.  No more than
 * OLLAMA_SSE_CUT_HOLD bytes are held: an event that is still undecided then
 * passes.
 *
 * A cutter is 100 bytes; what an event needs that has to be read, 5.5 KB, it
 * has only up to the event's end.  A few of these are kept for the process, one
 * from create() on: another is allocated only when two streams stand in the
 * middle of such events at once, and without memory for it the event passes.
 *
 * Should the stream end inside an event, finish() gives what is held, unless
 * its empty `choices` have been seen: then only the chunk we asked for is lost.
 *
 * The `usage` of zeros in every other chunk of /v1/completions: see zero_cut.h.
 *
 * Read with scan.h, not with yajl: it says at which byte a chunk is known, and
 * can be left there; a yajl handle that is stopped has to be made anew.  Whole
 * events without an empty array are not read at all: some 100 instructions
 * for each, 3000 for the others.
 */

#ifndef OLLAMA_SSE_CUT_H_INCLUDED
#define OLLAMA_SSE_CUT_H_INCLUDED

#include <stddef.h>
#include <stdint.h>


#define OLLAMA_SSE_CUT_HOLD  4096


typedef struct ollama_sse_cut_s  ollama_sse_cut_t;


typedef struct {
    const unsigned char  *data;
    size_t                len;        /* never 0 */
    unsigned              held;
} ollama_sse_run_t;


ollama_sse_cut_t *ollama_sse_cut_create(void);
void ollama_sse_cut_destroy(ollama_sse_cut_t *c);
void ollama_sse_cut_reset(ollama_sse_cut_t *c);

int ollama_sse_cut_next(ollama_sse_cut_t *c, const unsigned char **p,
    const unsigned char *end, ollama_sse_run_t *run);
int ollama_sse_cut_finish(ollama_sse_cut_t *c, ollama_sse_run_t *run);

/*
 * Whether it stands between two events and holds nothing.  A buffer of which
 * ollama_usage_only_text() is true needs not be shown to it then: all of it is
 * to be passed, and afterwards it stands between two events again.
 */
int ollama_sse_cut_between(const ollama_sse_cut_t *c);

/* How many bytes are held back now, and how many were dropped so far. */
size_t ollama_sse_cut_held(const ollama_sse_cut_t *c);
uint64_t ollama_sse_cut_dropped(const ollama_sse_cut_t *c);


#endif /* OLLAMA_SSE_CUT_H_INCLUDED */
