
#include "zero_cut.h"
#include "scan_bytes.h"

#include <string.h>


static const unsigned char  zeros[] =
    ",\"usage\":{\"prompt_tokens\":0,\"completion_tokens\":0,"
    "\"total_tokens\":0}";

#define ZEROS  (sizeof(zeros) - 1)


void
ollama_zero_cut_reset(ollama_zero_cut_t *c)
{
    c->held = 0;
}


int
ollama_zero_cut_next(ollama_zero_cut_t *c, const unsigned char **pp,
    const unsigned char *end, ollama_sse_run_t *run)
{
    size_t                n;
    const unsigned char  *p, *q, *start;

    p = *pp;

    if (c->held) {

        while (p != end && c->held != ZEROS && *p == zeros[c->held]) {
            p++;
            c->held++;
        }

        *pp = p;

        if (c->held == ZEROS) {
            c->held = 0;

        } else if (p == end) {
            return 0;

        } else {
            return ollama_zero_cut_finish(c, run);
        }
    }

    start = p;

    for ( ;; ) {

        q = ollama_scan_pair(p, end, zeros[0], zeros[2]);

        if (q == end) {
            *pp = end;
            break;
        }

        n = end - q;

        if (n > ZEROS) {
            n = ZEROS;
        }

        if (memcmp(q, zeros, n) != 0) {
            p = q + 1;
            continue;
        }

        *pp = q + n;

        if (n < ZEROS) {
            c->held = n;
            break;
        }

        if (q != start) {
            break;
        }

        p = q + n;
        start = p;
    }

    run->data = start;
    run->len = q - start;
    run->held = 0;

    return q != start;
}


int
ollama_zero_cut_finish(ollama_zero_cut_t *c, ollama_sse_run_t *run)
{
    if (c->held == 0) {
        return 0;
    }

    run->data = zeros;
    run->len = c->held;
    run->held = 1;

    c->held = 0;

    return 1;
}
