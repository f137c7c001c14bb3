#include "request_media.h"
#include "usage.h"

#include <string.h>


typedef struct {
    const char              *name;
    unsigned char            len;
    unsigned char            deep;
    ollama_request_media_e   kind;
    ollama_request_deep_e    child;
} media_name_t;


static void media_open(ollama_request_media_t *m, ollama_scan_t *scan,
    ollama_request_deep_e root, unsigned array, ollama_request_facts_t *facts);
static void media_close(ollama_request_media_t *m, ollama_scan_t *scan,
    ollama_request_facts_t *facts);
static void media_key(ollama_request_media_t *m, ollama_scan_t *scan,
    const unsigned char *name, size_t len);
static int media_listen(ollama_request_media_t *m, ollama_scan_t *scan,
    unsigned deep, const unsigned char *name, size_t len);
static void media_head(ollama_request_media_t *m, const ollama_scan_t *scan,
    ollama_scan_token_e token);
static void media_string(ollama_request_media_t *m, ollama_scan_t *scan,
    ollama_request_facts_t *facts);
static int media_same(const unsigned char *name, const char *lower,
    size_t len);
static int media_begins(const ollama_request_media_t *m, const char *lower);
static ollama_request_media_e media_type(const ollama_request_media_t *m,
    ollama_request_media_e other);
static ollama_request_media_e media_of(const ollama_request_media_t *m,
    ollama_request_media_e kind);
static int media_base64(const ollama_request_media_t *m);
static void media_add(ollama_request_facts_t *facts,
    ollama_request_media_e kind, uint64_t bytes);
static void media_source_end(ollama_request_media_t *m,
    ollama_request_facts_t *facts);


#define media_text(s)  (s), sizeof(s) - 1


static const media_name_t  media_names[] = {
    { media_text("url"),         deep_picture, media_picture, deep_other },
    { media_text("url"),         deep_video, media_document, deep_other },
    { media_text("url"),         deep_source, media_source, deep_other },
    { media_text("data"),        deep_source, media_source, deep_other },
    { media_text("data"),        deep_audio, media_audio, deep_other },
    { media_text("type"),        deep_source, media_source_type, deep_other },
    { media_text("file"),        deep_part, media_none, deep_file },
    { media_text("audio"),       deep_part, media_none, deep_audio },
    { media_text("images"),      deep_part, media_none, deep_images },
    { media_text("source"),      deep_part, media_none, deep_source },
    { media_text("output"),      deep_part, media_none, deep_part },
    { media_text("content"),     deep_part, media_none, deep_part },
    { media_text("content"),     deep_source, media_none, deep_part },
    { media_text("file_url"),    deep_part, media_document, deep_other },
    { media_text("file_data"),   deep_part, media_document, deep_other },
    { media_text("file_data"),   deep_file, media_document, deep_other },
    { media_text("image_url"),   deep_part, media_picture, deep_picture },
    { media_text("video_url"),   deep_part, media_document, deep_video },
    { media_text("media_type"),  deep_source, media_source_media_type,
      deep_other },
    { media_text("input_audio"), deep_part, media_none, deep_audio },
    { NULL, 0, 0, media_none, deep_other }
};


uint64_t
ollama_request_tokens(const ollama_request_facts_t *facts)
{
    return ollama_usage_estimate(facts->bytes - facts->media_bytes)
           + (uint64_t) facts->pictures * OLLAMA_USAGE_PICTURE
           + (uint64_t) facts->documents * OLLAMA_USAGE_DOCUMENT
           + (uint64_t) facts->audio * OLLAMA_USAGE_AUDIO;
}


void
ollama_request_media_look(ollama_request_media_t *m, ollama_scan_t *scan,
    ollama_request_session_t *session)
{
    m->session = session;

    scan->letters |= ollama_request_media_bit('r');
    scan->openers &= ~ollama_request_media_bit('c');
}


void
ollama_request_media_deafen(ollama_request_media_t *m, ollama_scan_t *scan,
    const ollama_request_facts_t *facts)
{
    if (m->session->looking) {
        m->session->looking = 0;
        (void) ollama_request_session_ends(m->session, facts->media_bytes);

        scan->letters = OLLAMA_REQUEST_MEDIA_LETTERS;
        scan->openers = OLLAMA_REQUEST_MEDIA_OPENERS;
    }

    m->session = NULL;
}


void
ollama_request_media_message(ollama_request_media_t *m, ollama_scan_t *scan,
    const ollama_request_facts_t *facts, const unsigned char *p,
    const unsigned char *end)
{
    if (m->session == NULL || !m->array[2]) {
        return;
    }

    if (ollama_request_session_ends(m->session, facts->media_bytes)) {
        m->session->looking = 0;
        m->session->more = 1;
        m->session = NULL;

        scan->letters = OLLAMA_REQUEST_MEDIA_LETTERS;
        scan->openers = OLLAMA_REQUEST_MEDIA_OPENERS;

    } else if (ollama_request_session_begins(m->session, p, end)) {
        scan->letters &= ~ollama_request_media_bit('r');

    } else {
        scan->letters |= ollama_request_media_bit('r');
    }
}


int
ollama_request_media_token(ollama_request_media_t *m, ollama_scan_t *scan,
    ollama_scan_token_e token, unsigned root,
    ollama_request_text_t *text, ollama_request_facts_t *facts)
{
    switch (token) {

    case OLLAMA_SCAN_MORE:
    case OLLAMA_SCAN_ERROR:
        return 0;

    case OLLAMA_SCAN_TEXT:
    case OLLAMA_SCAN_ESCAPE:
        if (scan->key) {
            return 0;
        }

        media_head(m, scan, token);
        return 1;

    case OLLAMA_SCAN_KEY:
        if (text->len == 0 && text->high == 0) {

            /* in one piece, and without escapes */

            media_key(m, scan, scan->text, scan->text_len);
            return 1;
        }

        if (scan->text_len) {
            ollama_request_text_add(text, scan->text, scan->text_len,
                                    scan->text_start);
        }

        ollama_request_text_end(text);
        media_key(m, scan, text->data, text->len);
        ollama_request_text_begin(text);
        return 1;

    case OLLAMA_SCAN_STRING:
        media_string(m, scan, facts);
        return 1;

    case OLLAMA_SCAN_OBJECT:
    case OLLAMA_SCAN_ARRAY:
        media_open(m, scan, (ollama_request_deep_e) root,
                   token == OLLAMA_SCAN_ARRAY, facts);
        return scan->depth > 2;

    case OLLAMA_SCAN_OBJECT_END:
        media_close(m, scan, facts);
        return 1;

    default:
        return 1;
    }
}


static void
media_open(ollama_request_media_t *m, ollama_scan_t *scan,
    ollama_request_deep_e root, unsigned array, ollama_request_facts_t *facts)
{
    unsigned               depth;
    ollama_request_deep_e  deep;

    depth = scan->depth;

    if (depth == 2) {
        deep = root;

    } else if (depth >= OLLAMA_REQUEST_DEEP) {
        deep = deep_other;

    } else if (m->array[depth - 1]) {
        deep = m->deep[depth - 1];

        if (deep != deep_part && deep != deep_system) {
            deep = deep_other;
        }

    } else {
        deep = scan->name_known ? m->child : deep_other;
    }

    if (deep == deep_other) {

        /* up to its end nothing is heard of it */

        scan->names = depth - 1;
        return;
    }

    m->deep[depth] = deep;
    m->array[depth] = array;
    m->kind = media_none;
    m->child = deep_other;
    m->head_len = 0;

    scan->names = depth;
    scan->want_text = (deep == deep_images && array);

    if (deep == deep_source && !array) {
        media_source_end(m, facts);

        m->source = depth;
        m->source_kind = media_none;
        m->source_said = media_source;
        m->source_text = 0;
        m->source_bytes = 0;

        scan->report = depth;
    }
}


static void
media_close(ollama_request_media_t *m, ollama_scan_t *scan,
    ollama_request_facts_t *facts)
{
    if (m->source && scan->depth == m->source - 1) {
        media_source_end(m, facts);
        scan->report = 1;
    }
}


static void
media_key(ollama_request_media_t *m, ollama_scan_t *scan,
    const unsigned char *name, size_t len)
{
    unsigned             deep;
    const media_name_t  *known;

    deep = m->deep[scan->depth];

    m->kind = media_none;
    m->child = deep_other;
    m->head_len = 0;

    if (m->session && media_listen(m, scan, deep, name, len)) {
        return;
    }

    for (known = media_names; known->name && known->len <= len; known++) {
        if (known->len == len && known->deep == deep
            && media_same(name, known->name, len))
        {
            m->kind = known->kind;
            m->child = known->child;
            break;
        }
    }

    scan->want_text = (m->kind != media_none);
}


/* a name that says something of the conversation, and nothing else */

static int
media_listen(ollama_request_media_t *m, ollama_scan_t *scan, unsigned deep,
    const unsigned char *name, size_t len)
{
    ollama_request_tap_e  tap;

    if (deep == deep_part) {

        if (!m->session->looking) {
            return 0;
        }

        if (len == 4 && scan->depth == 3 && m->array[2]
            && m->session->speaks == 0 && media_same(name, "role", 4))
        {
            m->kind = media_role;
            scan->want_text = 1;
            return 1;
        }

        if (len == 7 && (memcmp(name, "content", 7) == 0
                         || media_same(name, "content", 7)))
        {
            m->child = deep_part;

        } else if (len != 4 || !media_same(name, "text", 4)) {
            return 0;
        }

        tap = session_text;

    } else if (deep == deep_system && len == 4 && media_same(name, "text", 4)) {
        tap = session_system;

    } else if (deep == deep_metadata && len == 7
               && media_same(name, "user_id", 7))
    {
        tap = session_user;

    } else {
        return 0;
    }

    scan->want_text = 0;
    ollama_request_session_listen(m->session, scan, tap);

    return 1;
}


static void
media_head(ollama_request_media_t *m, const ollama_scan_t *scan,
    ollama_scan_token_e token)
{
    size_t  n;

    if (token == OLLAMA_SCAN_TEXT) {

        n = OLLAMA_REQUEST_HEAD - m->head_len;

        if (n > scan->text_len) {
            n = scan->text_len;
        }

        memcpy(&m->head[m->head_len], scan->text, n);
        m->head_len += n;
        return;
    }

    /* base64 may be broken into lines */

    if (m->head_len < OLLAMA_REQUEST_HEAD
        && scan->unit != '\n' && scan->unit != '\r')
    {
        m->head[m->head_len++] = (scan->unit < 0x80) ? (char) scan->unit : ' ';
    }
}


static void
media_string(ollama_request_media_t *m, ollama_scan_t *scan,
    ollama_request_facts_t *facts)
{
    uint64_t                bytes;
    ollama_request_media_e  kind;

    bytes = scan->end - scan->start - 2;
    kind = m->kind;

    if (m->array[scan->depth]) {
        kind = (m->deep[scan->depth] == deep_images) ? media_picture
                                                     : media_none;
        scan->want_text = (kind != media_none);
    }

    switch (kind) {

    case media_none:
        break;

    case media_source:
        kind = media_of(m, media_source);

        if (kind != media_none) {
            m->source_kind = kind;
            m->source_bytes += bytes;
        }

        break;

    case media_source_type:
        m->source_text = (m->head_len == 4 && media_begins(m, "text"));
        break;

    case media_role:
        if (m->session) {
            ollama_request_session_role(m->session, m->head, m->head_len);
        }

        break;

    case media_source_media_type:
        m->source_said = media_type(m, media_document);
        break;

    default:
        kind = media_of(m, kind);

        if (kind != media_none) {
            media_add(facts, kind, bytes);
        }
    }

    m->head_len = 0;
}


static int
media_same(const unsigned char *name, const char *lower, size_t len)
{
    size_t         i;
    unsigned char  c;

    for (i = 0; i < len; i++) {
        c = name[i];

        if (c >= 'A' && c <= 'Z') {
            c |= 0x20;
        }

        if (c != (unsigned char) lower[i]) {
            return 0;
        }
    }

    return 1;
}


static int
media_begins(const ollama_request_media_t *m, const char *lower)
{
    size_t  len;

    len = strlen(lower);

    return m->head_len >= len
           && media_same((const unsigned char *) m->head, lower, len);
}


/* what the media type says that the head begins with */

static ollama_request_media_e
media_type(const ollama_request_media_t *m, ollama_request_media_e other)
{
    size_t      i;
    const char *data = "";

    static const struct {
        const char              *type;
        ollama_request_media_e   kind;
    } types[] = {
        { "image/",       media_picture },
        { "audio/",       media_audio },
        { "text/",        media_none },
        { "application/", media_document },
        { "video/",       media_document }
    };

    if (media_begins(m, "data:")) {
        data = "data:";
    }

    for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (m->head_len >= strlen(data) + strlen(types[i].type)
            && media_same((const unsigned char *) m->head + strlen(data),
                          types[i].type, strlen(types[i].type)))
        {
            return types[i].kind;
        }
    }

    return other;
}


static ollama_request_media_e
media_of(const ollama_request_media_t *m, ollama_request_media_e kind)
{
    if (media_begins(m, "data:")) {
        return media_type(m, kind);
    }

    if (media_begins(m, "http:") || media_begins(m, "https:")) {
        return kind;
    }

    return media_base64(m) ? kind : media_none;
}


static int
media_base64(const ollama_request_media_t *m)
{
    char    c;
    size_t  i;

    for (i = 0; i < m->head_len; i++) {
        c = m->head[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
              || (c >= '0' && c <= '9') || c == '+' || c == '/' || c == '='
              || c == '-' || c == '_'))
        {
            return 0;
        }
    }

    return m->head_len != 0;
}


static void
media_add(ollama_request_facts_t *facts, ollama_request_media_e kind,
    uint64_t bytes)
{
    facts->media_bytes += bytes;

    switch (kind) {

    case media_document:
        facts->documents++;
        break;

    case media_audio:
        facts->audio++;
        break;

    default:
        facts->pictures++;
    }
}


static void
media_source_end(ollama_request_media_t *m, ollama_request_facts_t *facts)
{
    ollama_request_media_e  kind;

    if (m->source == 0) {
        return;
    }

    m->source = 0;

    if (m->source_kind == media_none || m->source_text
        || m->source_said == media_none)
    {
        return;
    }

    /* what it says itself, then what was seen of it */

    kind = (m->source_said == media_source) ? m->source_kind : m->source_said;

    media_add(facts, kind, m->source_bytes);
}
