#include "sse_gap.h"


#define GAP_LINE  1                 /* a line has ended */
#define GAP_CR    4                 /* with this */

#define GAP_LOOK  4                 /* CR LF CR LF */


unsigned
ollama_sse_gap(unsigned gap, const unsigned char *p, size_t n)
{
    const unsigned char  *end;

    end = p + n;

    if (n >= GAP_LOOK) {
        p = end - GAP_LOOK;
        gap = 0;
    }

    for ( /* void */ ; p < end; p++) {

        if (*p == '\n' && (gap & GAP_CR)) {
            gap &= ~GAP_CR;
            continue;
        }

        if (*p != '\n' && *p != '\r') {
            gap = 0;
            continue;
        }

        gap = (gap & ~GAP_CR) ? OLLAMA_SSE_GAP : GAP_LINE;

        if (*p == '\r') {
            gap |= GAP_CR;
        }
    }

    return gap;
}
