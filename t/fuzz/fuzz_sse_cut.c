/*
 * The cutter.  Of any stream (of no event longer than what may be held):
 *
 *  - split or whole, the same bytes come out;
 *  - what comes out is the stream without some of its events, whole ones; of
 *    an event that yajl can read, it is known whether it has to go.
 *
 * First byte: how to split.
 */

#include "fuzz.h"
#include "sse_cut.h"


typedef struct {
    ollama_sse_cut_t  *cut;
    size_t             fed;
    size_t             len;
    char               out[OLLAMA_SSE_CUT_HOLD];
} fuzz_sink_t;


static fuzz_sink_t  whole, split, alone;


static void fuzz_run(fuzz_sink_t *sink, const uint8_t *data, size_t n,
    unsigned seed);
static void fuzz_feed(void *ctx, const unsigned char *p, size_t n);
static void fuzz_take(fuzz_sink_t *sink, const ollama_sse_run_t *run);
static size_t fuzz_event(const uint8_t *p, size_t n, char *data, size_t *len,
    int *ended);
static int fuzz_verdict(const char *data, size_t len);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int         ended, drop;
    char        text[OLLAMA_SSE_CUT_HOLD + 1];
    size_t      n, len, pos;
    unsigned    seed;

    if (size < 1 || size - 1 > OLLAMA_SSE_CUT_HOLD) {
        return 0;
    }

    if (whole.cut == NULL) {
        whole.cut = ollama_sse_cut_create();
        split.cut = ollama_sse_cut_create();
        alone.cut = ollama_sse_cut_create();
        fuzz_check(whole.cut && split.cut && alone.cut);
    }

    seed = data[0];
    data++;
    size--;

    fuzz_run(&whole, data, size, 0);
    fuzz_run(&split, data, size, seed);

    fuzz_check(whole.len == split.len);
    fuzz_check(memcmp(whole.out, split.out, whole.len) == 0);

    fuzz_run(&split, data, size, 1);

    fuzz_check(whole.len == split.len);
    fuzz_check(memcmp(whole.out, split.out, whole.len) == 0);

    pos = 0;

    while (size) {
        n = fuzz_event(data, size, text, &len, &ended);
        drop = ended ? fuzz_verdict(text, len) : -1;

        if (drop == -1) {

            /* broken off or no JSON: as the cutter says of it alone */

            fuzz_run(&alone, data, n, 0);
            fuzz_check(alone.len == n || alone.len == 0);
            drop = (alone.len == 0);
        }

        if (!drop) {
            fuzz_check(whole.len - pos >= n);
            fuzz_check(memcmp(whole.out + pos, data, n) == 0);
            pos += n;
        }

        data += n;
        size -= n;
    }

    fuzz_check(pos == whole.len);

    return 0;
}


/* The length of the first event; its data, the lines joined. */

static size_t
fuzz_event(const uint8_t *p, size_t n, char *data, size_t *len, int *ended)
{
    size_t  i, start, end, lines;

    *len = 0;
    *ended = 0;
    lines = 0;
    i = 0;

    while (i < n) {

        start = i;

        while (i < n && p[i] != '\n' && p[i] != '\r') {
            i++;
        }

        end = i;

        if (i < n) {
            i += (p[i] == '\r' && i + 1 < n && p[i + 1] == '\n') ? 2 : 1;

        } else {

            /* the last line has no end; a comment alone needs none */

            return i;
        }

        if (start == end || (lines == 0 && p[start] == ':')) {
            *ended = 1;
            return i;
        }

        lines++;

        if (end - start < 5 || memcmp(p + start, "data:", 5) != 0) {
            continue;
        }

        start += 5;

        if (start < end && p[start] == ' ') {
            start++;
        }

        memcpy(data + *len, p + start, end - start);
        *len += end - start;
        data[(*len)++] = '\n';
    }

    return i;
}


/* 1: has to go, 0: has to pass, -1: cannot be told */

static int
fuzz_verdict(const char *data, size_t len)
{
    int                 choices, usage, empty, object;
    const fuzz_node_t  *node;
    fuzz_node_t        *root;

    if (memchr(data, '\v', len) || memchr(data, '\f', len)) {
        return -1;
    }

    root = fuzz_parse(data, len);

    if (root == NULL) {
        return -1;
    }

    choices = 0;
    usage = 0;
    empty = 0;
    object = 0;

    for (node = root->type == node_object ? root->first : NULL; node;
         node = node->next)
    {
        if (node->key_len == 7 && memcmp(node->key, "choices", 7) == 0) {
            choices++;
            empty = node->type == node_array && node->first == NULL;
        }

        if (node->key_len == 5 && memcmp(node->key, "usage", 5) == 0) {
            usage++;
            object = node->type == node_object;
        }
    }

    fuzz_free(root);

    if (choices > 1 || usage > 1) {
        return -1;
    }

    return empty && object;
}


static void
fuzz_run(fuzz_sink_t *sink, const uint8_t *data, size_t n, unsigned seed)
{
    ollama_sse_run_t  run;

    sink->fed = 0;
    sink->len = 0;

    ollama_sse_cut_reset(sink->cut);
    fuzz_pieces(data, n, seed, fuzz_feed, sink);

    if (ollama_sse_cut_finish(sink->cut, &run)) {
        fuzz_take(sink, &run);
    }

    fuzz_check(sink->len + ollama_sse_cut_dropped(sink->cut) == n);
}


static void
fuzz_feed(void *ctx, const unsigned char *p, size_t n)
{
    fuzz_sink_t          *sink = ctx;
    ollama_sse_run_t      run;
    const unsigned char  *start, *end;

    start = p;
    end = p + n;

    while (ollama_sse_cut_next(sink->cut, &p, end, &run)) {
        fuzz_check(run.held || (run.data >= start
                                && run.data + run.len <= end));
        fuzz_take(sink, &run);
    }

    fuzz_check(p == end);

    sink->fed += n;

    fuzz_check(sink->fed == sink->len + ollama_sse_cut_held(sink->cut)
                            + ollama_sse_cut_dropped(sink->cut));
}


static void
fuzz_take(fuzz_sink_t *sink, const ollama_sse_run_t *run)
{
    fuzz_check(run->len != 0);
    fuzz_check(run->len <= sizeof(sink->out) - sink->len);

    memcpy(sink->out + sink->len, run->data, run->len);
    sink->len += run->len;
}
