/*
 * sse_gap.h - whether what has been sent of a stream of events ends between
 * two of them, where a comment or an event of our own may be put in.
 *
 * Only the last bytes of each piece are looked at, however long it is.  Lines
 * end with LF, CR LF or CR; behind a CR the gap is not open yet, for its LF may
 * be about to come.  A stream begins with a gap:  gap = OLLAMA_SSE_GAP;
 */

#ifndef OLLAMA_SSE_GAP_H_INCLUDED
#define OLLAMA_SSE_GAP_H_INCLUDED

#include <stddef.h>


#define OLLAMA_SSE_GAP  2


/* the state behind n bytes more */
unsigned ollama_sse_gap(unsigned gap, const unsigned char *p, size_t n);

#define ollama_sse_gap_open(gap)  ((gap) == OLLAMA_SSE_GAP)


#endif /* OLLAMA_SSE_GAP_H_INCLUDED */
