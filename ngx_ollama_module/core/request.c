#include "request.h"
#include "scan.h"

#include <stdlib.h>
#include <string.h>


#define REQUEST_NAME_MAX    31      /* longer names are none of ours */
#define REQUEST_SUFFIX      6       /* ":cloud", "-cloud" */

#define REQUEST_MEMBER      "\"stream_options\":{\"include_usage\":true}"
#define REQUEST_OBJECT      "{\"include_usage\":true}"
#define REQUEST_OPTION      "\"include_usage\":true"
#define REQUEST_TRUE        "true"

#define request_text(s)     (s), sizeof(s) - 1


typedef enum {
    member_other = 0,
    member_model,
    member_name,
    member_stream,
    member_stream_options,
    member_include_usage,
    member_prompt,
    member_messages,
    member_keep_alive
} request_member_e;


typedef struct {
    const char        *name;
    unsigned char      len;
    unsigned char      depth;
    request_member_e   member;
} request_name_t;


/* The last edits of a kind, in the order of the body. */

typedef struct {
    unsigned           n;           /* all that there were */
    ollama_edit_t      ring[OLLAMA_REQUEST_DUPLICATES];
} request_edits_t;


struct ollama_request_s {
    ollama_request_facts_t   facts;

    unsigned                 flags;
    unsigned                 invalid;
    unsigned                 model_seen;        /* by its own name */
    unsigned                 options_seen;      /* members, of any type */
    unsigned                 usage_seen;        /* within the open object */

    request_member_e         member;            /* whose value comes */
    uint64_t                 root;              /* behind the first brace */
    uint64_t                 options;           /* the open object, likewise */

    /* the string being collected: a name, or a value that matters */

    size_t                   len;               /* may exceed the room */
    unsigned                 high;              /* half a surrogate pair */
    uint64_t                 high_start;
    uint64_t                 tail[REQUEST_SUFFIX];
    unsigned char            text[OLLAMA_MODEL_MAX + 1];

    request_edits_t          model_edits;
    request_edits_t          usage_edits;

    ollama_scan_t            scan;
};


static void request_key(ollama_request_t *r);
static void request_string(ollama_request_t *r);
static void request_null(ollama_request_t *r);
static void request_bool(ollama_request_t *r, unsigned value);
static void request_other(ollama_request_t *r, ollama_scan_token_e token);
static void request_object(ollama_request_t *r);
static void request_object_end(ollama_request_t *r);
static void request_model(ollama_request_t *r);
static int request_zero_duration(const unsigned char *p, size_t n);
static void request_begin(ollama_request_t *r);
static void request_bytes(ollama_request_t *r, const unsigned char *p,
    size_t n);
static void request_unit(ollama_request_t *r, unsigned unit, uint64_t start);
static void request_code(ollama_request_t *r, unsigned code, uint64_t start);
static void request_byte(ollama_request_t *r, unsigned char c, uint64_t start);
static size_t request_fold(const unsigned char *p, size_t n, char *out);
static void request_edit(request_edits_t *edits, uint64_t offset,
    uint64_t remove, const char *insert, size_t insert_len);
static size_t request_put(const request_edits_t *edits, ollama_edit_t *out,
    size_t n, size_t max);


static const request_name_t  request_names[] = {
    { request_text("model"),          1, member_model },
    { request_text("name"),           1, member_name },
    { request_text("stream"),         1, member_stream },
    { request_text("stream_options"), 1, member_stream_options },
    { request_text("include_usage"),  2, member_include_usage },
    { request_text("prompt"),         1, member_prompt },
    { request_text("messages"),       1, member_messages },
    { request_text("keep_alive"),     1, member_keep_alive },
    { NULL, 0, 0, member_other }
};


ollama_request_t *
ollama_request_create(void)
{
    ollama_request_t  *r;

    r = malloc(sizeof(ollama_request_t));

    if (r) {
        ollama_request_reset(r, 0);
    }

    return r;
}


void
ollama_request_destroy(ollama_request_t *r)
{
    free(r);
}


void
ollama_request_reset(ollama_request_t *r, unsigned route_flags)
{
    memset(&r->facts, 0, offsetof(ollama_request_facts_t, model_sent));
    r->facts.model_sent[0] = '\0';
    r->facts.model[0] = '\0';
    r->facts.prompt_empty = 1;
    r->facts.messages_empty = 1;

    r->flags = route_flags;
    r->invalid = 0;
    r->model_seen = 0;
    r->options_seen = 0;
    r->usage_seen = 0;

    r->member = member_other;
    r->root = 0;
    r->options = 0;

    request_begin(r);

    r->model_edits.n = 0;
    r->usage_edits.n = 0;

    ollama_scan_init(&r->scan);
}


int
ollama_request_feed(ollama_request_t *r, const unsigned char *p, size_t n)
{
    const unsigned char  *end;
    ollama_scan_token_e   token;

    r->facts.bytes += n;

    if (r->invalid) {
        return OLLAMA_REQUEST_INVALID;
    }

    end = p + n;

    for ( ;; ) {

        token = ollama_scan_next(&r->scan, &p, end);

        switch (token) {

        case OLLAMA_SCAN_MORE:
            return OLLAMA_REQUEST_OK;

        case OLLAMA_SCAN_ERROR:
            r->invalid = 1;
            return OLLAMA_REQUEST_INVALID;

        case OLLAMA_SCAN_TEXT:
            request_bytes(r, r->scan.text, r->scan.text_len);
            break;

        case OLLAMA_SCAN_ESCAPE:
            request_unit(r, r->scan.unit, r->scan.text_start);
            break;

        case OLLAMA_SCAN_KEY:
            request_key(r);
            break;

        case OLLAMA_SCAN_STRING:
            request_string(r);
            break;

        case OLLAMA_SCAN_TRUE:
        case OLLAMA_SCAN_FALSE:
            request_bool(r, token == OLLAMA_SCAN_TRUE);
            break;

        case OLLAMA_SCAN_NULL:
            request_null(r);
            break;

        case OLLAMA_SCAN_OBJECT:
            request_object(r);
            break;

        case OLLAMA_SCAN_OBJECT_END:
            request_object_end(r);
            break;

        case OLLAMA_SCAN_NUMBER:
        case OLLAMA_SCAN_ARRAY:
        case OLLAMA_SCAN_ARRAY_END:
            request_other(r, token);
            break;
        }
    }
}


void
ollama_request_finish(ollama_request_t *r)
{
    uint64_t  bytes;

    if (r->invalid || !r->scan.done) {
        bytes = r->facts.bytes;
        ollama_request_reset(r, r->flags);
        r->facts.bytes = bytes;
        r->facts.prompt_empty = 0;
        r->facts.messages_empty = 0;
        r->invalid = 1;
        return;
    }

    r->facts.valid = 1;
    r->facts.streaming = r->facts.stream_present
                         ? r->facts.stream_true
                         : (r->flags & OLLAMA_REQUEST_NATIVE) != 0;
}


const ollama_request_facts_t *
ollama_request_facts(const ollama_request_t *r)
{
    return &r->facts;
}


size_t
ollama_request_edits(const ollama_request_t *r, unsigned want,
    ollama_edit_t *out, size_t max)
{
    size_t           n, i, j;
    ollama_edit_t    edit;
    request_edits_t  member;

    if (!r->facts.valid) {
        return 0;
    }

    n = 0;

    if (want & OLLAMA_EDIT_MODEL) {
        n = request_put(&r->model_edits, out, n, max);
    }

    if ((want & OLLAMA_EDIT_INCLUDE_USAGE)
        && r->facts.stream_true && !r->facts.include_usage)
    {
        if (r->options_seen) {
            n = request_put(&r->usage_edits, out, n, max);

        } else {
            member.n = 0;
            request_edit(&member, r->root, 0,
                         request_text(REQUEST_MEMBER ","));
            n = request_put(&member, out, n, max);
        }
    }

    for (i = 1; i < n && i < max; i++) {
        edit = out[i];

        for (j = i; j > 0 && out[j - 1].offset > edit.offset; j--) {
            out[j] = out[j - 1];
        }

        out[j] = edit;
    }

    return n;
}


size_t
ollama_model_strip(const char *name, size_t n)
{
    size_t  i;

    static const char  cloud[] = "cloud";

    if (n <= REQUEST_SUFFIX) {
        return n;
    }

    for (i = 0; i < 5; i++) {
        if ((name[n - 5 + i] | 0x20) != cloud[i]) {
            return n;
        }
    }

    i = n - REQUEST_SUFFIX;

    if (name[i] == ':') {
        return i;
    }

    if (name[i] != '-') {
        return n;
    }

    /* of the tag something must be left, or the name would end in a colon */

    if (name[i - 1] == ':') {
        return n;
    }

    while (i-- > 0 && name[i] != '/') {
        if (name[i] == ':') {
            return n - REQUEST_SUFFIX;
        }
    }

    return n;
}


static void
request_key(ollama_request_t *r)
{
    char                   folded[REQUEST_NAME_MAX];
    size_t                 len;
    const request_name_t  *name;

    r->member = member_other;

    if (r->len && r->len <= REQUEST_NAME_MAX && r->high == 0) {
        len = request_fold(r->text, r->len, folded);

        for (name = request_names; name->name; name++) {
            if (len == name->len && r->scan.depth == name->depth
                && memcmp(folded, name->name, len) == 0)
            {
                r->member = name->member;
                break;
            }
        }
    }

    request_begin(r);

    switch (r->member) {

    case member_name:
        if (!(r->flags & OLLAMA_REQUEST_NAME)) {
            r->member = member_other;
            break;
        }

        /* fall through */

    case member_model:
    case member_keep_alive:
        r->scan.want_text = 1;
        break;

    case member_stream_options:
        r->options_seen = 1;
        break;

    case member_include_usage:
        r->usage_seen = 1;
        break;

    default:
        break;
    }
}


static void
request_string(ollama_request_t *r)
{
    switch (r->member) {

    case member_model:
    case member_name:
        request_model(r);
        break;

    case member_prompt:
        r->facts.prompt_empty = (r->scan.end - r->scan.start == 2);
        break;

    case member_messages:
        r->facts.messages_empty = 0;
        break;

    case member_keep_alive:
        r->facts.keep_alive_zero = request_zero_duration(r->text, r->len);
        break;

    default:
        break;
    }

    request_begin(r);
}


static void
request_null(ollama_request_t *r)
{
    switch (r->member) {

    case member_stream:

        /* the native API tells absent and false apart, so null unsets there */

        if (r->flags & OLLAMA_REQUEST_NATIVE) {
            r->facts.stream_present = 0;
            r->facts.stream_true = 0;
        }

        break;

    case member_stream_options:
        r->facts.stream_options = 0;
        r->facts.include_usage = 0;
        request_edit(&r->usage_edits, r->scan.start,
                     r->scan.end - r->scan.start,
                     request_text(REQUEST_OBJECT));
        break;

    case member_include_usage:
        request_edit(&r->usage_edits, r->scan.start,
                     r->scan.end - r->scan.start, request_text(REQUEST_TRUE));
        break;

    case member_messages:
        r->facts.messages_empty = 1;
        break;

    case member_keep_alive:
        r->facts.keep_alive_zero = 0;
        break;

    default:
        break;
    }
}


static void
request_bool(ollama_request_t *r, unsigned value)
{
    switch (r->member) {

    case member_stream:
        r->facts.stream_present = 1;
        r->facts.stream_true = value;
        break;

    case member_include_usage:
        r->facts.include_usage = value;

        if (!value) {
            request_edit(&r->usage_edits, r->scan.start,
                         r->scan.end - r->scan.start,
                         request_text(REQUEST_TRUE));
        }

        break;

    default:
        request_other(r, OLLAMA_SCAN_TRUE);
    }
}


static void
request_other(ollama_request_t *r, ollama_scan_token_e token)
{
    switch (r->member) {

    case member_prompt:
        r->facts.prompt_empty = 0;
        break;

    case member_messages:
        r->facts.messages_empty = (token == OLLAMA_SCAN_ARRAY_END
                                   && r->scan.empty);
        break;

    case member_keep_alive:
        r->facts.keep_alive_zero = (token == OLLAMA_SCAN_NUMBER
                                    && r->scan.zero);
        break;

    default:
        break;
    }
}


static void
request_object(ollama_request_t *r)
{
    if (r->root == 0) {
        r->root = r->scan.end;
        return;
    }

    if (r->member == member_stream_options) {
        r->facts.stream_options = 1;
        r->options = r->scan.end;
        r->usage_seen = 0;
        r->scan.report = 2;
        return;
    }

    request_other(r, OLLAMA_SCAN_OBJECT);
}


static void
request_object_end(ollama_request_t *r)
{
    if (r->scan.depth != 1 || r->options == 0) {
        return;
    }

    if (!r->usage_seen) {
        if (r->scan.empty) {
            request_edit(&r->usage_edits, r->options, 0,
                         request_text(REQUEST_OPTION));
        } else {
            request_edit(&r->usage_edits, r->options, 0,
                         request_text(REQUEST_OPTION ","));
        }
    }

    r->options = 0;
    r->member = member_other;
    r->scan.report = 1;
}


static void
request_model(ollama_request_t *r)
{
    size_t                   len;
    ollama_request_facts_t  *facts;

    facts = &r->facts;

    if (r->high) {
        request_code(r, 0xfffd, r->high_start);
        r->high = 0;
    }

    if (r->len > OLLAMA_MODEL_MAX) {
        len = OLLAMA_MODEL_MAX;

    } else {
        len = ollama_model_strip((char *) r->text, r->len);

        if (len != r->len) {
            request_edit(&r->model_edits, r->tail[0],
                         r->scan.end - 1 - r->tail[0], NULL, 0);
        }
    }

    if (r->member == member_name && r->model_seen) {
        return;
    }

    if (r->member == member_model && r->len) {
        r->model_seen = 1;
    }

    facts->model_cut = (r->len > OLLAMA_MODEL_MAX);
    facts->model_sent_len = facts->model_cut ? len : r->len;
    facts->model_len = len;
    facts->model_stripped = (facts->model_sent_len != len);

    memcpy(facts->model_sent, r->text, facts->model_sent_len);
    facts->model_sent[facts->model_sent_len] = '\0';

    memcpy(facts->model, r->text, len);
    facts->model[len] = '\0';
}


/* "0", "0s", "-0h0.0m": as Go's ParseDuration reads it, nothing but zeros */

static int
request_zero_duration(const unsigned char *p, size_t n)
{
    size_t    i;
    unsigned  zeros;

    zeros = 0;

    if (n > OLLAMA_MODEL_MAX) {
        return 0;
    }

    for (i = 0; i < n; i++) {

        if (p[i] == '0') {
            zeros = 1;

        } else if (p[i] >= '1' && p[i] <= '9') {
            return 0;
        }
    }

    return zeros;
}


static void
request_begin(ollama_request_t *r)
{
    r->len = 0;
    r->high = 0;
}


static void
request_bytes(ollama_request_t *r, const unsigned char *p, size_t n)
{
    size_t    i, room;
    uint64_t  start;

    if (r->high) {
        request_code(r, 0xfffd, r->high_start);
        r->high = 0;
    }

    start = r->scan.text_start;

    if (n > REQUEST_SUFFIX) {
        room = n - REQUEST_SUFFIX;

        if (r->len < OLLAMA_MODEL_MAX) {
            i = OLLAMA_MODEL_MAX - r->len;
            memcpy(&r->text[r->len], p, room < i ? room : i);
        }

        r->len += room;
        start += room;
        p += room;
        n = REQUEST_SUFFIX;
    }

    for (i = 0; i < n; i++) {
        request_byte(r, p[i], start + i);
    }
}


static void
request_unit(ollama_request_t *r, unsigned unit, uint64_t start)
{
    unsigned  high;

    high = r->high;
    r->high = 0;

    if (high) {
        if (unit >= 0xdc00 && unit <= 0xdfff) {
            request_code(r, 0x10000 + ((high - 0xd800) << 10)
                            + (unit - 0xdc00), r->high_start);
            return;
        }

        request_code(r, 0xfffd, r->high_start);
    }

    if (unit >= 0xd800 && unit <= 0xdbff) {
        r->high = unit;
        r->high_start = start;
        return;
    }

    request_code(r, (unit >= 0xdc00 && unit <= 0xdfff) ? 0xfffd : unit, start);
}


static void
request_code(ollama_request_t *r, unsigned code, uint64_t start)
{
    if (code < 0x80) {
        request_byte(r, code, start);
        return;
    }

    if (code < 0x800) {
        request_byte(r, 0xc0 | code >> 6, start);

    } else {
        if (code < 0x10000) {
            request_byte(r, 0xe0 | code >> 12, start);

        } else {
            request_byte(r, 0xf0 | code >> 18, start);
            request_byte(r, 0x80 | (code >> 12 & 0x3f), start);
        }

        request_byte(r, 0x80 | (code >> 6 & 0x3f), start);
    }

    request_byte(r, 0x80 | (code & 0x3f), start);
}


static void
request_byte(ollama_request_t *r, unsigned char c, uint64_t start)
{
    if (r->len < OLLAMA_MODEL_MAX) {
        r->text[r->len] = c;
    }

    r->len++;

    memmove(&r->tail[0], &r->tail[1],
            (REQUEST_SUFFIX - 1) * sizeof(r->tail[0]));
    r->tail[REQUEST_SUFFIX - 1] = start;
}


/* Go's fold of names: also U+017F is an s, and U+212A a k */

static size_t
request_fold(const unsigned char *p, size_t n, char *out)
{
    size_t  i, len;

    len = 0;

    for (i = 0; i < n; i++) {

        if (p[i] >= 'A' && p[i] <= 'Z') {
            out[len++] = p[i] | 0x20;

        } else if (n - i >= 2 && p[i] == 0xc5 && p[i + 1] == 0xbf) {
            out[len++] = 's';
            i++;

        } else if (n - i >= 3 && p[i] == 0xe2 && p[i + 1] == 0x84
                   && p[i + 2] == 0xaa)
        {
            out[len++] = 'k';
            i += 2;

        } else {
            out[len++] = p[i];
        }
    }

    return len;
}


static void
request_edit(request_edits_t *edits, uint64_t offset, uint64_t remove,
    const char *insert, size_t insert_len)
{
    ollama_edit_t  *edit;

    edit = &edits->ring[edits->n++ % OLLAMA_REQUEST_DUPLICATES];

    edit->offset = offset;
    edit->remove = remove;
    edit->insert = insert;
    edit->insert_len = insert_len;
}


static size_t
request_put(const request_edits_t *edits, ollama_edit_t *out, size_t n,
    size_t max)
{
    unsigned  i;

    i = edits->n > OLLAMA_REQUEST_DUPLICATES
        ? edits->n - OLLAMA_REQUEST_DUPLICATES : 0;

    for ( /* void */ ; i < edits->n; i++, n++) {
        if (n < max) {
            out[n] = edits->ring[i % OLLAMA_REQUEST_DUPLICATES];
        }
    }

    return n;
}
