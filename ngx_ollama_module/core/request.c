#include "request.h"
#include "request_edit.h"
#include "request_media.h"
#include "request_member.h"
#include "request_text.h"
#include "scan.h"

#include <stdlib.h>
#include <string.h>


#define REQUEST_NAME_MAX    31      /* longer names are none of ours */

#define REQUEST_MEMBER      "\"stream_options\":{\"include_usage\":true}"
#define REQUEST_OBJECT      "{\"include_usage\":true}"
#define REQUEST_OPTION      "\"include_usage\":true"
#define REQUEST_TRUE        "true"

#define request_text(s)     (s), sizeof(s) - 1


struct ollama_request_s {
    ollama_request_facts_t   facts;

    unsigned                 flags;
    unsigned                 invalid;
    unsigned                 model_seen;        /* by its own name */
    unsigned                 options_seen;      /* members, of any type */
    unsigned                 usage_seen;        /* within the open object */

    ollama_request_member_e  member;            /* whose value comes */
    uint64_t                 root;              /* behind the first brace */
    uint64_t                 options;           /* the open object, likewise */

    ollama_request_text_t    text;      /* a name, or a value that matters */
    ollama_request_media_t   media;     /* what is deeper, if options is 0 */
    ollama_request_session_t session;

    ollama_request_edits_t   model_edits;
    ollama_request_edits_t   usage_edits;

    ollama_scan_t            scan;
};


static void request_key(ollama_request_t *r);
static void request_turns(ollama_request_t *r);
static void request_string(ollama_request_t *r);
static void request_null(ollama_request_t *r);
static void request_bool(ollama_request_t *r, unsigned value);
static void request_other(ollama_request_t *r, ollama_scan_token_e token);
static void request_object(ollama_request_t *r);
static void request_object_end(ollama_request_t *r);
static void request_model(ollama_request_t *r);


/* what there is in their values for request_media.h */

static const unsigned char  request_roots[] = {
    deep_other,                     /* member_other */
    deep_other,
    deep_other,
    deep_other,
    deep_other,
    deep_other,
    deep_other,
    deep_part,                      /* member_messages */
    deep_part,                      /* member_input */
    deep_images,                    /* member_images */
    deep_other,
    deep_system,                    /* member_system */
    deep_other,
    deep_metadata,                  /* member_metadata */
    deep_other,
    deep_other
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

    memset(&r->flags, 0, offsetof(ollama_request_t, text)
                         - offsetof(ollama_request_t, flags));
    r->flags = route_flags;

    ollama_request_text_begin(&r->text);
    ollama_request_media_begin(&r->media);
    ollama_request_session_begin(&r->session);

    r->model_edits.n = 0;
    r->usage_edits.n = 0;

    ollama_scan_init(&r->scan);
    r->scan.letters = OLLAMA_REQUEST_MEDIA_LETTERS;
    r->scan.openers = OLLAMA_REQUEST_MEDIA_OPENERS;
}


int
ollama_request_feed(ollama_request_t *r, const unsigned char *p, size_t n)
{
    const unsigned char  *end, *from;
    ollama_scan_token_e   token;

    r->facts.bytes += n;

    if (r->invalid) {
        return OLLAMA_REQUEST_INVALID;
    }

    if (r->scan.done) {
        return OLLAMA_REQUEST_OK;
    }

    end = p + n;

    for ( ;; ) {

        from = p;
        token = ollama_scan_next(&r->scan, &p, end);

        if (r->session.tap) {
            ollama_request_session_heard(&r->session, &r->scan, token, from, p);
        }

        if (r->scan.depth > 1 && r->options == 0
            && ollama_request_media_token(&r->media, &r->scan, token,
                                          request_roots[r->member], &r->text,
                                          &r->facts))
        {
            if (token == OLLAMA_SCAN_OBJECT && r->scan.depth == 3) {
                ollama_request_media_message(&r->media, &r->scan, &r->facts,
                                             p, end);
            }

            continue;
        }

        switch (token) {

        case OLLAMA_SCAN_MORE:
            return OLLAMA_REQUEST_OK;

        case OLLAMA_SCAN_ERROR:
            r->invalid = 1;
            return OLLAMA_REQUEST_INVALID;

        case OLLAMA_SCAN_TEXT:
            ollama_request_text_add(&r->text, r->scan.text, r->scan.text_len,
                                    r->scan.text_start);
            break;

        case OLLAMA_SCAN_ESCAPE:
            ollama_request_text_unit(&r->text, r->scan.unit,
                                     r->scan.text_start);
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

            if (r->scan.done) {

                /* the cloud's decoder has its value, and reads no further */

                return OLLAMA_REQUEST_OK;
            }

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

    r->facts.session = ollama_request_session_end(&r->session,
                                                  r->facts.media_bytes,
                                                  &r->facts.named);
    r->facts.begins = !r->facts.named
                      && ollama_request_session_first(&r->session);
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
    size_t                  n;
    ollama_request_edits_t  member;

    if (!r->facts.valid) {
        return 0;
    }

    n = 0;

    if (want & OLLAMA_EDIT_MODEL) {
        n = ollama_request_edits_put(&r->model_edits, out, n, max);
    }

    if ((want & OLLAMA_EDIT_INCLUDE_USAGE)
        && r->facts.stream_true && !r->facts.include_usage)
    {
        if (r->options_seen) {
            n = ollama_request_edits_put(&r->usage_edits, out, n, max);

        } else {
            member.n = 0;
            ollama_request_edits_add(&member, r->root, 0,
                                     request_text(REQUEST_MEMBER ","));
            n = ollama_request_edits_put(&member, out, n, max);
        }
    }

    ollama_request_edits_sort(out, n < max ? n : max);

    return n;
}


static void
request_key(ollama_request_t *r)
{
    char            folded[REQUEST_NAME_MAX];
    size_t          len;
    ollama_scan_t  *scan;

    scan = &r->scan;
    scan->want_text = 0;
    r->member = member_other;

    if (r->text.len == 0 && r->text.high == 0) {

        /* nearly always it is in one piece, and written as it is meant */

        r->member = ollama_request_member((const char *) scan->text,
                                          scan->text_len, scan->depth);

        if (r->member == member_other
            && !ollama_request_text_folds(scan->text, scan->text_len))
        {
            return;
        }
    }

    if (r->member == member_other) {

        if (scan->text_len) {
            ollama_request_text_add(&r->text, scan->text, scan->text_len,
                                    scan->text_start);
        }

        if (r->text.len <= REQUEST_NAME_MAX && r->text.high == 0) {
            len = ollama_request_text_fold(&r->text, folded);
            r->member = ollama_request_member(folded, len, scan->depth);
        }

        ollama_request_text_begin(&r->text);
    }

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

    if (r->media.session) {
        ollama_request_media_deafen(&r->media, scan, &r->facts);
    }

    if (r->flags & OLLAMA_REQUEST_TURNS) {
        request_turns(r);
    }
}


/* what is to be listened to in the value that comes */

static void
request_turns(ollama_request_t *r)
{
    switch (r->member) {

    case member_input:
        ollama_request_session_listen(&r->session, &r->scan, session_first);

        /* fall through */

    case member_messages:
        ollama_request_session_list(&r->session);
        ollama_request_media_look(&r->media, &r->scan, &r->session);
        break;

    case member_system:
        r->media.session = &r->session;

        /* fall through */

    case member_instructions:
        r->session.system = 0;
        ollama_request_session_listen(&r->session, &r->scan, session_system);
        break;

    case member_metadata:
        if (r->flags & OLLAMA_REQUEST_USER) {
            r->media.session = &r->session;
        }

        break;

    case member_cache_key:
        ollama_request_session_listen(&r->session, &r->scan, session_key);
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
        r->facts.keep_alive_zero = ollama_request_text_zero(&r->text);
        break;

    case member_previous:
        r->session.later = (r->scan.end - r->scan.start > 2);
        break;

    default:
        break;
    }

    ollama_request_text_begin(&r->text);
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
        ollama_request_edits_add(&r->usage_edits, r->scan.start,
                                 r->scan.end - r->scan.start,
                                 request_text(REQUEST_OBJECT));
        break;

    case member_include_usage:
        ollama_request_edits_add(&r->usage_edits, r->scan.start,
                                 r->scan.end - r->scan.start,
                                 request_text(REQUEST_TRUE));
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
            ollama_request_edits_add(&r->usage_edits, r->scan.start,
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
        r->scan.names = 2;
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
            ollama_request_edits_add(&r->usage_edits, r->options, 0,
                                     request_text(REQUEST_OPTION));
        } else {
            ollama_request_edits_add(&r->usage_edits, r->options, 0,
                                     request_text(REQUEST_OPTION ","));
        }
    }

    r->options = 0;
    r->member = member_other;
    r->scan.report = 1;
    r->scan.names = 1;
}


static void
request_model(ollama_request_t *r)
{
    size_t                   len;
    ollama_request_text_t   *text;
    ollama_request_facts_t  *facts;

    facts = &r->facts;
    text = &r->text;

    ollama_request_text_end(text);

    if (text->len > OLLAMA_MODEL_MAX) {
        len = OLLAMA_MODEL_MAX;

    } else {
        len = ollama_model_strip((char *) text->data, text->len);

        if (len != text->len) {
            ollama_request_edits_add(&r->model_edits, text->tail[0],
                                     r->scan.end - 1 - text->tail[0], NULL, 0);
        }
    }

    if (r->member == member_name && r->model_seen) {
        return;
    }

    if (r->member == member_model && text->len) {
        r->model_seen = 1;
    }

    facts->model_cut = (text->len > OLLAMA_MODEL_MAX);
    facts->model_sent_len = facts->model_cut ? len : text->len;
    facts->model_len = len;
    facts->model_stripped = (facts->model_sent_len != len);

    memcpy(facts->model_sent, text->data, facts->model_sent_len);
    facts->model_sent[facts->model_sent_len] = '\0';

    memcpy(facts->model, text->data, len);
    facts->model[len] = '\0';
}
