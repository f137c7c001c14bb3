
#include "request_member.h"

#include <stdint.h>
#include <string.h>


#define member_text(s)  (s), sizeof(s) - 1

#define MEMBER_DEPTH  2                     /* of the deepest one known */


typedef struct {
    const char               *name;
    unsigned char             len;
    unsigned char             depth;
    ollama_request_member_e   member;
} member_name_t;


static int member_same(const char *name, const char *known, size_t len);


/* by length */

static const member_name_t  member_names[] = {
    { member_text("name"),           1, member_name },
    { member_text("model"),          1, member_model },
    { member_text("input"),          1, member_input },
    { member_text("stream"),         1, member_stream },
    { member_text("system"),         1, member_system },
    { member_text("prompt"),         1, member_prompt },
    { member_text("images"),         1, member_images },
    { member_text("messages"),       1, member_messages },
    { member_text("metadata"),       1, member_metadata },
    { member_text("keep_alive"),     1, member_keep_alive },
    { member_text("instructions"),   1, member_instructions },
    { member_text("include_usage"),  2, member_include_usage },
    { member_text("stream_options"), 1, member_stream_options },
    { member_text("prompt_cache_key"), 1, member_cache_key },
    { member_text("previous_response_id"), 1, member_previous },
    { NULL, 0, 0, member_other }
};


/* which is the first of each length */

static const unsigned char  member_first[] = {
    15, 15, 15, 15, 0, 1, 3, 15, 7, 15, 9, 15, 10, 11, 12, 15, 13, 15, 15, 15,
    14
};


ollama_request_member_e
ollama_request_member(const char *name, size_t len, unsigned depth)
{
    const member_name_t  *known;

    if (depth > MEMBER_DEPTH || len < 4 || len >= sizeof(member_first)) {
        return member_other;
    }

    for (known = &member_names[member_first[len]]; known->len == len; known++) {
        if (known->depth == depth && member_same(name, known->name, len)) {
            return known->member;
        }
    }

    return member_other;
}


/* of at least 4 bytes, as all known ones have: most without a call */

static int
member_same(const char *name, const char *known, size_t len)
{
    uint32_t  a, b, c, d;
    uint64_t  x, y, z, w;

    if (len < 8) {
        memcpy(&a, name, 4);
        memcpy(&b, known, 4);
        memcpy(&c, name + len - 4, 4);
        memcpy(&d, known + len - 4, 4);

        return ((a ^ b) | (c ^ d)) == 0;
    }

    if (len > 16) {
        return memcmp(name, known, len) == 0;
    }

    memcpy(&x, name, 8);
    memcpy(&y, known, 8);
    memcpy(&z, name + len - 8, 8);
    memcpy(&w, known + len - 8, 8);

    return ((x ^ y) | (z ^ w)) == 0;
}
