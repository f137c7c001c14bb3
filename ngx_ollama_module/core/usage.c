#include "form.h"
#include "usage_document.h"
#include "usage_shape.h"

#include <stdlib.h>
#include <string.h>


#define USAGE_DONE       "[DONE]"


/* What has been read of the payload: of a line, of an event's data. */

typedef enum {
    payload_start = 0,              /* nothing but white space */
    payload_done,                   /* perhaps [DONE] */
    payload_object,
    payload_junk                    /* no JSON; up to the next boundary */
} usage_payload_e;


typedef enum {
    line_field = 0,                 /* the name of a field of an event */
    line_space,                     /* behind "data:" */
    line_data,
    line_other
} usage_line_e;


struct ollama_usage_s {
    ollama_usage_answer_t     answer;

    ollama_form_t             form;     /* until it is known */

    usage_line_e              line;
    unsigned                  matched;  /* of "data", of "[DONE]" */
    unsigned                  cr;       /* the last byte was one */
    unsigned                  fresh;    /* no object yet in this event */
    usage_payload_e           payload;

    ollama_usage_document_t  *document; /* of payload_object */
    unsigned                  shape;    /* that was met last */
    uint64_t                  lost;     /* documents before what could not be
                                           read, + 1 */
    size_t                    text;     /* bytes of this feed's text events */
    unsigned                  only_text;
};


static void usage_form(ollama_usage_t *u, const unsigned char **p,
    const unsigned char *end);
static const unsigned char *usage_json(ollama_usage_t *u,
    const unsigned char *p, const unsigned char *end);
static const unsigned char *usage_sse(ollama_usage_t *u,
    const unsigned char *p, const unsigned char *end);
static const unsigned char *usage_event(ollama_usage_t *u,
    const unsigned char *p, const unsigned char *end);
static const unsigned char *usage_ndjson(ollama_usage_t *u,
    const unsigned char *p, const unsigned char *end);
static int usage_may_end(const unsigned char *p, const unsigned char *end,
    unsigned char last);
static const unsigned char *usage_payload(ollama_usage_t *u,
    const unsigned char *p, const unsigned char *end);
static void usage_object(ollama_usage_t *u);
static void usage_boundary(ollama_usage_t *u);
static void usage_drop(ollama_usage_t *u);
static void usage_junk(ollama_usage_t *u);
static void usage_lost(ollama_usage_t *u);


ollama_usage_t *
ollama_usage_create(void)
{
    ollama_usage_t  *u;

    u = malloc(sizeof(ollama_usage_t));

    if (u == NULL) {
        return NULL;
    }

    if (!ollama_usage_document_reserve()) {
        free(u);
        return NULL;
    }

    u->document = NULL;
    u->shape = 0;

    ollama_usage_reset(u, OLLAMA_FORMAT_OTHER, OLLAMA_USAGE_FAMILY_NONE);

    return u;
}


void
ollama_usage_destroy(ollama_usage_t *u)
{
    if (u) {
        usage_drop(u);
        free(u);
    }
}


void
ollama_usage_reset(ollama_usage_t *u, ollama_usage_format_e format,
    ollama_usage_family_e family)
{
    ollama_usage_answer_t  *a;

    a = &u->answer;

    memset(a, 0, offsetof(ollama_usage_answer_t, result.model));
    a->result.model[0] = '\0';
    a->result.error_text[0] = '\0';

    a->format = format;
    a->family = family;

    a->loaded = 0;
    a->finished = 0;
    a->final = 0;
    a->guessed = 0;
    a->input = 0;
    a->read = 0;
    a->creation = 0;

    usage_drop(u);

    ollama_form_init(&u->form);

    u->line = line_field;
    u->matched = 0;
    u->cr = 0;
    u->fresh = 1;
    u->payload = payload_start;
    u->lost = 0;
    u->only_text = 0;
}


void
ollama_usage_feed(ollama_usage_t *u, const unsigned char *p, size_t n)
{
    const unsigned char  *end;

    u->answer.result.bytes += n;
    u->text = 0;

    if (u->answer.family == OLLAMA_USAGE_FAMILY_NONE) {
        return;
    }

    end = p + n;

    if (!u->form.known) {
        usage_form(u, &p, end);
    }

    do {
        switch (u->answer.format) {

        case OLLAMA_FORMAT_SSE:
            p = usage_sse(u, p, end);
            break;

        case OLLAMA_FORMAT_NDJSON:
            p = usage_ndjson(u, p, end);
            break;

        case OLLAMA_FORMAT_JSON:
            p = usage_json(u, p, end);
            break;

        default:
            p = end;
            break;
        }

    } while (p != end);

    u->only_text = (u->text == n);
}


int
ollama_usage_only_text(const ollama_usage_t *u)
{
    return u->only_text;
}


void
ollama_usage_finish(ollama_usage_t *u)
{
    ollama_usage_answer_t  *a;

    a = &u->answer;

    if (a->family == OLLAMA_USAGE_FAMILY_NONE
        || a->format == OLLAMA_FORMAT_OTHER)
    {
        return;
    }

    if (u->payload == payload_object) {
        a->result.content_bytes +=
                             ollama_usage_document_open_content(u->document);
        usage_drop(u);
        u->payload = payload_junk;
    }

    ollama_usage_answer_settle(a);
}


ollama_stream_e
ollama_usage_stream(const ollama_usage_t *u)
{
    return ollama_usage_answer_stream(&u->answer, u->lost);
}


unsigned
ollama_usage_broken(const ollama_usage_t *u)
{
    unsigned  data, line, held;

    data = (u->payload != payload_start || !u->fresh);

    /* until the form is known, so is not what has begun */

    held = (!u->form.known && u->form.held);

    if (u->answer.format != OLLAMA_FORMAT_SSE) {
        return data | held;
    }

    line = (u->line != line_field || u->matched || held);

    /* behind a CR the first line feed may be its own */

    return data + line + u->cr;
}


const ollama_usage_result_t *
ollama_usage_result(const ollama_usage_t *u)
{
    return &u->answer.result;
}


/* What it passes over is not needed, but for the name of a field. */

static void
usage_form(ollama_usage_t *u, const unsigned char **p,
    const unsigned char *end)
{
    ollama_form_t          *f;
    const unsigned char    *start;
    ollama_usage_answer_t  *a;

    a = &u->answer;
    f = &u->form;
    start = *p;

    if (!ollama_form_next(f, p, end)) {
        return;
    }

    if (f->format == OLLAMA_FORMAT_SSE) {
        a->format = OLLAMA_FORMAT_SSE;

    } else if (f->format == OLLAMA_FORMAT_JSON
               && (a->format != OLLAMA_FORMAT_NDJSON
                   || a->family != OLLAMA_USAGE_FAMILY_NATIVE))
    {
        a->format = OLLAMA_FORMAT_JSON;
    }

    if ((size_t) (*p - start) >= f->held) {
        *p -= f->held;
        return;
    }

    /* the name's beginning came before, and is no JSON */

    if (a->format == OLLAMA_FORMAT_SSE) {

        if (*f->name == 'd') {
            u->matched = f->held;

        } else {
            u->line = line_other;
        }

    } else if (a->format != OLLAMA_FORMAT_OTHER) {
        usage_junk(u);
    }
}


static const unsigned char *
usage_json(ollama_usage_t *u, const unsigned char *p,
    const unsigned char *end)
{
    ollama_usage_answer_t  *a;

    a = &u->answer;

    if (p != end && *p == '{' && u->payload == payload_start
        && a->result.documents == 0 && usage_may_end(p, end, '}'))
    {
        (void) ollama_usage_shape_read(a, &u->shape, &p, end);
    }

    while (p != end) {

        if (u->payload == payload_start && *p == '{'
            && a->result.documents && a->family == OLLAMA_USAGE_FAMILY_NATIVE)
        {
            a->format = OLLAMA_FORMAT_NDJSON;
            return p;
        }

        p = usage_payload(u, p, end);
    }

    return end;
}


/*
 * Lines end with CR LF, LF or CR.  The data of an event may be spread over
 * several fields, which a line feed joins: white space between JSON tokens.
 */

static const unsigned char *
usage_sse(ollama_usage_t *u, const unsigned char *p, const unsigned char *end)
{
    const unsigned char  *q, *cr;

    static const unsigned char  newline[] = "\n";

    while (p != end) {

        if (u->cr) {
            u->cr = 0;

            if (*p == '\n') {
                p++;
                continue;
            }
        }

        switch (u->line) {

        case line_field:
            if (u->matched == 0 && u->payload == payload_start
                && end - p > 7 && memcmp(p, "data: {", 7) == 0
                && usage_may_end(p, end, '\n'))
            {
                p = usage_event(u, p, end);
                continue;
            }

            if (*p == '\n' || *p == '\r') {
                if (u->matched == 0) {
                    usage_boundary(u);
                }

                break;
            }

            if (u->matched < 4 && *p == (unsigned char) "data"[u->matched]) {
                u->matched++;

            } else if (u->matched == 4 && *p == ':') {
                u->line = line_space;

            } else {
                u->line = line_other;
            }

            p++;
            continue;

        case line_space:
            u->line = line_data;

            if (*p == ' ') {
                p++;
                continue;
            }

            /* fall through */

        default:
            q = memchr(p, '\n', end - p);

            if (q == NULL) {
                q = end;
            }

            cr = memchr(p, '\r', q - p);

            if (cr) {
                q = cr;
            }

            if (u->line == line_data) {
                (void) usage_payload(u, p, q);
            }

            p = q;

            if (p == end) {
                return end;
            }

            if (u->line == line_data) {
                (void) usage_payload(u, newline, newline + 1);
            }

            break;
        }

        u->cr = (*p == '\r');
        u->line = line_field;
        u->matched = 0;
        p++;
    }

    return end;
}


/* The line of data that nearly every event is; an object begins in it. */

static const unsigned char *
usage_event(ollama_usage_t *u, const unsigned char *p,
    const unsigned char *end)
{
    int                   rc;
    const unsigned char  *start;

    start = p;
    p += 6;

    rc = ollama_usage_shape_read(&u->answer, &u->shape, &p, end);

    if (rc == OLLAMA_USAGE_SHAPE_NONE) {
        u->line = line_data;
        return p;
    }

    if (end - p < 2 || p[0] != '\n' || p[1] != '\n') {
        u->line = line_data;
        u->fresh = 0;
        return p;
    }

    u->fresh = 1;
    p += 2;

    if (rc == OLLAMA_USAGE_SHAPE_TEXT_ONLY) {
        u->text += p - start;
    }

    return p;
}


static const unsigned char *
usage_ndjson(ollama_usage_t *u, const unsigned char *p,
    const unsigned char *end)
{
    int                   rc;
    const unsigned char  *q;

    while (p != end) {

        if (*p == '{' && u->payload == payload_start
            && usage_may_end(p, end, '\n'))
        {
            q = p;
            rc = ollama_usage_shape_read(&u->answer, &u->shape, &p, end);

            if (rc != OLLAMA_USAGE_SHAPE_NONE && p != end && *p == '\n') {
                p++;

                if (rc == OLLAMA_USAGE_SHAPE_TEXT_ONLY) {
                    u->text += p - q;
                }

                continue;
            }
        }

        q = memchr(p, '\n', end - p);

        if (q == NULL) {
            return usage_payload(u, p, end);
        }

        (void) usage_payload(u, p, q);

        if (u->payload == payload_object && u->answer.result.documents == 0
            && !u->answer.result.unreadable)
        {
            u->answer.format = OLLAMA_FORMAT_JSON;
            return q;
        }

        usage_boundary(u);

        p = q + 1;
    }

    return end;
}


/* Not for long texts that go on in the next buffer: yajl reads them anyway. */

static int
usage_may_end(const unsigned char *p, const unsigned char *end,
    unsigned char last)
{
    return end[-1] == last || memchr(p, last, end - p) != NULL;
}


/* Stops at `end`, or behind a plain document. */

static const unsigned char *
usage_payload(ollama_usage_t *u, const unsigned char *p,
    const unsigned char *end)
{
    while (p != end) {

        switch (u->payload) {

        case payload_start:
            if (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r') {
                p++;

                if (u->answer.format == OLLAMA_FORMAT_JSON) {
                    return p;
                }

            } else if (*p == '{') {
                usage_object(u);

            } else if (u->fresh && u->answer.format == OLLAMA_FORMAT_SSE
                       && *p == '[')
            {
                u->payload = payload_done;
                u->matched = 0;

            } else {
                usage_junk(u);
            }

            u->fresh &= (u->payload == payload_start);
            break;

        case payload_done:
            if (*p != (unsigned char) USAGE_DONE[u->matched]) {
                usage_junk(u);
                break;
            }

            p++;
            u->matched++;

            if (u->matched == sizeof(USAGE_DONE) - 1) {
                u->answer.result.terminal = 1;
                u->answer.final = 1;
                u->payload = payload_junk;
            }

            break;

        case payload_object:

            switch (ollama_usage_document_feed(u->document, &p, end)) {

            case OLLAMA_JSON_READER_DONE:
                u->document = NULL;
                u->payload = payload_start;

                if (u->answer.format == OLLAMA_FORMAT_JSON) {
                    return p;
                }

                break;

            case OLLAMA_JSON_READER_BROKEN:
                u->document = NULL;
                usage_junk(u);
                break;

            default:
                break;
            }

            break;

        default:
            return end;
        }
    }

    return p;
}


static void
usage_object(ollama_usage_t *u)
{
    u->document = ollama_usage_document_open(&u->answer);

    if (u->document == NULL) {

        /* out of memory: less is known of the answer, and it says so */

        usage_junk(u);
        return;
    }

    u->payload = payload_object;
}


/* The payload ends here, finished or not. */

static void
usage_boundary(ollama_usage_t *u)
{
    if (u->payload == payload_object) {
        usage_lost(u);
        usage_drop(u);
    }

    u->payload = payload_start;
    u->fresh = 1;
}


static void
usage_drop(ollama_usage_t *u)
{
    if (u->document) {
        ollama_usage_document_close(u->document);
        u->document = NULL;
    }
}


static void
usage_junk(ollama_usage_t *u)
{
    u->payload = payload_junk;
    usage_lost(u);
}


static void
usage_lost(ollama_usage_t *u)
{
    u->answer.result.unreadable = 1;
    u->lost = u->answer.result.documents + 1;
}
