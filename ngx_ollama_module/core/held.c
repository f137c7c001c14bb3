
#include "held.h"

#include <string.h>


/* RFC 9113 */

#define H2_DATA         0
#define H2_HEADERS      1
#define H2_RST_STREAM   3
#define H2_CONTINUATION 9

#define H2_END_STREAM   0x01
#define H2_END_HEADERS  0x04
#define H2_PADDED       0x08


static const unsigned char *held_chunk(const unsigned char **from,
    const unsigned char *end, size_t *part, ollama_held_t *held);
static void held_trailer(const unsigned char *p, const unsigned char *end,
    ollama_held_t *held);
static const unsigned char *held_line(const unsigned char *p,
    const unsigned char *end);
static int held_size(const unsigned char *p, const unsigned char *end,
    uint64_t *size);
static void held_h2_frame(ollama_held_h2_t *h2);
static void held_h2_payload(ollama_held_h2_t *h2, const unsigned char *p,
    size_t n);


void
ollama_held_length(const unsigned char *p, size_t n, int64_t length,
    ollama_held_t *held)
{
    (void) p;

    memset(held, 0, sizeof(ollama_held_t));

    held->len = n;

    if (length < 0) {
        return;
    }

    if ((uint64_t) length <= n) {
        held->len = (size_t) length;
        held->complete = 1;
        held->exact = ((uint64_t) length == n);
    }
}


void
ollama_held_chunked(const unsigned char *p, size_t n, unsigned char *out,
    size_t size, ollama_held_t *held)
{
    size_t                part, room;
    const unsigned char  *end, *data;

    memset(held, 0, sizeof(ollama_held_t));

    end = p + n;

    while ((data = held_chunk(&p, end, &part, held)) != NULL) {

        room = (part < size - held->len) ? part : size - held->len;

        if (room) {
            memcpy(out + held->len, data, room);
            held->len += room;
        }
    }
}


/* most often the first bytes of the first chunk are all that is read */

void
ollama_held_first(const unsigned char *p, size_t n, ollama_first_t *first,
    ollama_held_t *held)
{
    size_t                part;
    const unsigned char  *end, *data;

    memset(held, 0, sizeof(ollama_held_t));

    end = p + n;

    while (first->what == OLLAMA_FIRST_UNKNOWN
           && (data = held_chunk(&p, end, &part, held)) != NULL)
    {
        (void) ollama_first_feed(first, data, part);
    }
}


/* bytes of the next chunk, as many as there are; NULL: no more for now */

static const unsigned char *
held_chunk(const unsigned char **from, const unsigned char *end, size_t *part,
    ollama_held_t *held)
{
    uint64_t              chunk;
    const unsigned char  *p, *data, *line;

    p = *from;

    if (p == NULL) {
        return NULL;
    }

    *from = NULL;

    line = held_line(p, end);

    if (line == NULL) {
        return NULL;
    }

    if (!held_size(p, line, &chunk)) {
        held->broken = 1;
        held->complete = 1;
        return NULL;
    }

    if (chunk == 0) {
        held_trailer(line, end, held);
        return NULL;
    }

    data = line;

    if (chunk > (uint64_t) (end - data)) {
        *part = end - data;
        return *part ? data : NULL;
    }

    *part = (size_t) chunk;

    p = data + *part;

    /* the end of its line, and nothing before it */

    if (p < end && *p == '\r') {
        p++;
    }

    if (p == end) {
        return data;
    }

    if (*p != '\n') {
        held->broken = 1;
        held->complete = 1;
        return data;
    }

    *from = p + 1;

    return data;
}


/* up to an empty line */

static void
held_trailer(const unsigned char *p, const unsigned char *end,
    ollama_held_t *held)
{
    const unsigned char  *line;

    for ( ;; ) {
        line = held_line(p, end);

        if (line == NULL) {
            return;
        }

        if (*p == '\n' || (*p == '\r' && line - p == 2)) {
            held->complete = 1;
            held->exact = (line == end);
            return;
        }

        p = line;
    }
}


/* behind the line's end; NULL if it has not come */

static const unsigned char *
held_line(const unsigned char *p, const unsigned char *end)
{
    const unsigned char  *lf;

    lf = (p < end) ? memchr(p, '\n', end - p) : NULL;

    return lf ? lf + 1 : NULL;
}


/* hex digits, and perhaps an extension; p to end is a line */

static int
held_size(const unsigned char *p, const unsigned char *end, uint64_t *size)
{
    int       digits;
    unsigned  c;

    digits = 0;
    *size = 0;

    for ( /* void */ ; p < end; p++) {
        c = *p | 0x20;

        if (c >= '0' && c <= '9') {
            c -= '0';

        } else if (c >= 'a' && c <= 'f') {
            c -= 'a' - 10;

        } else {
            break;
        }

        if (++digits > 15) {
            return 0;
        }

        *size = *size << 4 | c;
    }

    return digits && p < end
           && (*p == ';' || *p == '\r' || *p == '\n' || *p == ' '
               || *p == '\t');
}


void
ollama_held_h2_init(ollama_held_h2_t *h2)
{
    memset(h2, 0, offsetof(ollama_held_h2_t, first));

    ollama_first_init(&h2->first);
}


void
ollama_held_h2_feed(ollama_held_h2_t *h2, const unsigned char *p, size_t n,
    ollama_held_t *held)
{
    size_t  part;

    while (n && !h2->broken) {

        if (h2->nhead < sizeof(h2->head)) {

            h2->head[h2->nhead++] = *p++;
            n--;

            if (h2->nhead == sizeof(h2->head)) {
                held_h2_frame(h2);
            }

        } else if (h2->padded) {

            h2->padded = 0;
            h2->pad = *p++;
            h2->rest--;
            n--;

            if (h2->pad > h2->rest) {
                h2->broken = 1;
            }

        } else {
            part = (h2->rest < n) ? h2->rest : n;

            held_h2_payload(h2, p, part);

            h2->rest -= (uint32_t) part;
            p += part;
            n -= part;
        }

        if (h2->nhead == sizeof(h2->head) && h2->rest == 0) {
            h2->nhead = 0;

            if (h2->ended) {
                h2->over = 1;
            }
        }
    }

    memset(held, 0, sizeof(ollama_held_t));

    held->len = h2->len;
    held->broken = h2->broken;
    held->complete = h2->over || h2->broken;
    held->exact = h2->over && h2->nhead == 0 && !h2->broken;
}


static void
held_h2_frame(ollama_held_h2_t *h2)
{
    uint32_t              stream;
    unsigned char         flags;
    const unsigned char  *head;

    head = h2->head;

    h2->rest = (uint32_t) head[0] << 16 | (uint32_t) head[1] << 8 | head[2];
    flags = head[4];
    stream = (uint32_t) (head[5] & 0x7f) << 24 | (uint32_t) head[6] << 16
             | (uint32_t) head[7] << 8 | head[8];

    h2->pad = 0;
    h2->padded = 0;
    h2->data = 0;
    h2->ended = 0;

    /* the answer is of the stream whose header came first */

    if (h2->stream == 0 && head[3] == H2_HEADERS) {
        h2->stream = stream;
    }

    if (h2->stream == 0 || stream != h2->stream) {
        return;
    }

    switch (head[3]) {

    case H2_DATA:
        h2->data = 1;
        h2->ended = (flags & H2_END_STREAM) ? 1 : 0;
        h2->padded = (flags & H2_PADDED) ? 1 : 0;

        if (h2->padded && h2->rest == 0) {
            h2->broken = 1;
        }

        break;

    case H2_HEADERS:
        h2->ending = (flags & H2_END_STREAM) ? 1 : 0;

        /* fall through */

    case H2_CONTINUATION:
        h2->ended = (flags & H2_END_HEADERS) ? h2->ending : 0;
        break;

    case H2_RST_STREAM:
        h2->ended = 1;
        break;

    default:
        break;
    }
}


static void
held_h2_payload(ollama_held_h2_t *h2, const unsigned char *p, size_t n)
{
    /* padding is the last of it */

    if (!h2->data || h2->rest <= h2->pad) {
        return;
    }

    if (n > h2->rest - h2->pad) {
        n = h2->rest - h2->pad;
    }

    h2->body += n;

    (void) ollama_first_feed(&h2->first, p, n);

    if (n > sizeof(h2->text) - h2->len) {
        n = sizeof(h2->text) - h2->len;
    }

    memcpy(h2->text + h2->len, p, n);
    h2->len += n;
}
