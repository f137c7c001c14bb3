
#include "request_session.h"

#include <string.h>


enum {
    speaks_user = 1,
    speaks_system,
    speaks_other
};


enum {
    session_by_key = 1,
    session_by_user
};


void
ollama_request_session_begin(ollama_request_session_t *s)
{
    memset(s, 0, offsetof(ollama_request_session_t, mix));
}


void
ollama_request_session_list(ollama_request_session_t *s)
{
    s->looking = 1;
    s->began = 0;
    s->more = 0;
    s->speaks = 0;
    s->text = 0;
    s->said = 0;
    s->first = 0;
}


void
ollama_request_session_listen(ollama_request_session_t *s,
    ollama_scan_t *scan, ollama_request_tap_e tap)
{
    s->tap = tap;
    scan->want_end = 1;

    ollama_mix_begin(&s->mix);
}


void
ollama_request_session_heard(ollama_request_session_t *s,
    ollama_scan_t *scan, ollama_scan_token_e token,
    const unsigned char *from, const unsigned char *p)
{
    uint64_t              hash;
    ollama_request_tap_e  tap;

    tap = s->tap;

    if (token == OLLAMA_SCAN_MORE) {

        if (!scan->want_end || scan->key) {

            /* something else passes, or it has not begun */

            return;
        }

    } else {
        s->tap = session_nothing;

        if (token != OLLAMA_SCAN_STRING) {
            scan->want_end = 0;
            return;
        }
    }

    if (scan->offset - scan->start < (uint64_t) (p - from)) {
        from = p - (scan->offset - scan->start);
    }

    ollama_mix_add(&s->mix, from, p - from);

    if (token == OLLAMA_SCAN_MORE) {
        return;
    }

    hash = ollama_mix_end(&s->mix);

    switch (tap) {

    case session_text:
        s->text = ollama_mix(s->text, hash);
        break;

    case session_system:
        s->system = ollama_mix(s->system, hash);
        break;

    case session_first:
        s->began = 1;
        s->first = ollama_mix(0, hash);
        break;

    case session_user:
        s->user = (scan->end - scan->start == 2) ? 0 : hash;
        break;

    case session_key:
        s->key = (scan->end - scan->start == 2) ? 0 : hash;
        break;

    default:
        break;
    }
}


void
ollama_request_session_role(ollama_request_session_t *s, const char *role,
    size_t len)
{
    size_t  i;

    static const struct {
        const char  *role;
        size_t       len;
        unsigned     speaks;
    } roles[] = {
        { "user", 4, speaks_user },
        { "system", 6, speaks_system },
        { "developer", 9, speaks_system }
    };

    if (s->speaks) {
        return;
    }

    for (i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
        if (len == roles[i].len && memcmp(role, roles[i].role, len) == 0) {
            s->speaks = roles[i].speaks;
            return;
        }
    }

    s->speaks = speaks_other;
}


int
ollama_request_session_begins(ollama_request_session_t *s,
    const unsigned char *p, const unsigned char *end)
{
    const unsigned char  *role;

    if (end - p < 24 || memcmp(p, "\"role\":", 7) != 0) {
        return 0;
    }

    role = p + 7;
    role += (*role == ' ');

    if (*role++ != '"') {
        return 0;
    }

    if (memcmp(role, "user\"", 5) == 0) {
        s->speaks = speaks_user;
        return 1;
    }

    if (memcmp(role, "system\"", 7) == 0
        || memcmp(role, "developer\"", 10) == 0)
    {
        s->speaks = speaks_system;
        return 1;
    }

    return 0;
}


int
ollama_request_session_ends(ollama_request_session_t *s, uint64_t media)
{
    unsigned  speaks;

    speaks = s->speaks;
    s->speaks = 0;

    if (speaks == speaks_user) {
        s->began = 1;
        s->first = ollama_mix(s->text, media);
        return 1;
    }

    if (speaks == speaks_system) {
        s->said = ollama_mix(s->said, s->text);
    }

    s->text = 0;

    return 0;
}


uint64_t
ollama_request_session_end(ollama_request_session_t *s, uint64_t media,
    unsigned *named)
{
    uint64_t  hash;

    if (s->looking) {
        (void) ollama_request_session_ends(s, media);
    }

    *named = 1;

    if (s->key) {
        hash = ollama_mix(session_by_key, s->key);

    } else if (s->user) {
        hash = ollama_mix(session_by_user, s->user);

    } else if (s->began && !s->later) {
        *named = 0;

        hash = ollama_mix(s->system, s->said);
        hash = ollama_mix(hash, s->first);

    } else {
        return 0;
    }

    return hash ? hash : 1;
}
