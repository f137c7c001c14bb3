
#include "bytes.h"
#include "crc32.h"
#include "frame.h"


static const unsigned char  ollama_frame_magic[4] = { 0xff, 'o', 'l', 'f' };


static uint32_t ollama_frame_sum(const unsigned char *payload, size_t len,
    unsigned int version);
static void ollama_frame_write(unsigned char *frame, unsigned int version,
    unsigned int type, size_t size, uint64_t seq);


void
ollama_frame_seal(unsigned char *frame, ollama_frame_type_e type, size_t size)
{
    unsigned int  version;

    version = (type == OLLAMA_FRAME_BODY) ? 2 : 1;

    ollama_frame_write(frame, version, type, size, 0);
}


void
ollama_frame_downgrade(unsigned char *frame)
{
    ollama_frame_write(frame, 1, frame[5], ollama_frame_size(frame),
                       ollama_get_n(frame + 16, 8));
}


static void
ollama_frame_write(unsigned char *frame, unsigned int version,
    unsigned int type, size_t size, uint64_t seq)
{
    size_t  len;

    len = size - OLLAMA_FRAME_HEADER;

    memcpy(frame, ollama_frame_magic, 4);
    frame[4] = (unsigned char) version;
    frame[5] = (unsigned char) type;
    ollama_put_n(frame + 6, 0, 2);
    ollama_put_n(frame + 8, len, 4);
    ollama_put_n(frame + 12, ollama_frame_sum(frame + OLLAMA_FRAME_HEADER,
                                              len, version), 4);

    ollama_frame_number(frame, seq);
}


static uint32_t
ollama_frame_sum(const unsigned char *payload, size_t len,
    unsigned int version)
{
    if (version > 1 && len > OLLAMA_FRAME_SUMMED) {
        len = OLLAMA_FRAME_SUMMED;
    }

    return ollama_crc32(0, payload, len);
}


void
ollama_frame_number(unsigned char *frame, uint64_t seq)
{
    ollama_put_n(frame + 16, seq, 8);
    ollama_put_n(frame + 24, ollama_crc32(0, frame, 24), 4);
}


size_t
ollama_frame_size(const unsigned char *frame)
{
    return OLLAMA_FRAME_HEADER + (size_t) ollama_get_n(frame + 8, 4);
}


size_t
ollama_frame_fit(const unsigned char *frames, size_t len, size_t size)
{
    size_t  n, fit;

    if (len <= size) {
        return len;
    }

    for (fit = 0; /* void */ ; fit += n) {
        n = ollama_frame_size(frames + fit);

        if (fit + n > size) {
            return fit;
        }
    }
}


static int
ollama_frame_header_good(const unsigned char *p)
{
    return memcmp(p, ollama_frame_magic, 4) == 0
           && ollama_get_n(p + 24, 4) == ollama_crc32(0, p, 24)
           && ollama_get_n(p + 8, 4) <= OLLAMA_FRAME_MAX;
}


/* the first place from p on where a whole header stands or may yet stand */

static const unsigned char *
ollama_frame_find(const unsigned char *p, const unsigned char *last)
{
    size_t  left;

    for ( ;; ) {

        if (p == last) {
            return last;
        }

        p = memchr(p, ollama_frame_magic[0], (size_t) (last - p));

        if (p == NULL) {
            return last;
        }

        left = (size_t) (last - p);

        if (left < OLLAMA_FRAME_HEADER) {
            if (memcmp(p, ollama_frame_magic, left < 4 ? left : 4) == 0) {
                return p;
            }

        } else if (ollama_frame_header_good(p)) {
            return p;
        }

        p++;
    }
}


ollama_frame_result_e
ollama_frame_next(const unsigned char *buf, size_t len, size_t *used,
    ollama_frame_t *frame)
{
    size_t                size, left;
    const unsigned char  *p, *last, *next;

    last = buf + len;
    p = ollama_frame_find(buf, last);

    *used = (size_t) (p - buf);

    if (*used) {
        return OLLAMA_FRAME_DAMAGED;
    }

    if (len < OLLAMA_FRAME_HEADER) {
        return OLLAMA_FRAME_AGAIN;
    }

    size = ollama_frame_size(p);

    if (len < size) {
        return OLLAMA_FRAME_AGAIN;
    }

    frame->version = p[4];
    frame->type = p[5];
    frame->seq = ollama_get_n(p + 16, 8);
    frame->payload = p + OLLAMA_FRAME_HEADER;
    frame->len = size - OLLAMA_FRAME_HEADER;

    if (frame->version == 0 || frame->version > OLLAMA_FRAME_VERSION) {

        /* of what its checksum is nobody here knows */

        *used = size;
        return OLLAMA_FRAME_FOREIGN;
    }

    if (ollama_get_n(p + 12, 4)
        == ollama_frame_sum(frame->payload, frame->len, frame->version))
    {
        *used = size;
        return OLLAMA_FRAME_GOT;
    }

    next = p + size;
    left = (size_t) (last - next);

    if (left < OLLAMA_FRAME_HEADER
        && memcmp(next, ollama_frame_magic, left < 4 ? left : 4) == 0)
    {
        return OLLAMA_FRAME_AGAIN;
    }

    if (left < OLLAMA_FRAME_HEADER || !ollama_frame_header_good(next)) {
        next = ollama_frame_find(p + 1, last);
    }

    *used = (size_t) (next - buf);

    return OLLAMA_FRAME_DAMAGED;
}
