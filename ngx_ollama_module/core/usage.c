#include "usage.h"
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

    usage_line_e              line;
    unsigned                  matched;  /* of "data", of "[DONE]" */
    unsigned                  cr;       /* the last byte was one */
    unsigned                  fresh;    /* no object yet in this event */
    usage_payload_e           payload;

    ollama_usage_document_t  *document; /* of payload_object */
    unsigned                  shape;    /* that was met last */
    size_t                    text;     /* bytes of this feed's text events */
    unsigned                  only_text;
};


static void usage_sse(ollama_usage_t *u, const unsigned char *p,
    const unsigned char *end);
static const unsigned char *usage_event(ollama_usage_t *u,
    const unsigned char *p, const unsigned char *end);
static void usage_ndjson(ollama_usage_t *u, const unsigned char *p,
    const unsigned char *end);
static int usage_may_end(const unsigned char *p, const unsigned char *end,
    unsigned char last);
static void usage_payload(ollama_usage_t *u, const unsigned char *p,
    const unsigned char *end);
static void usage_object(ollama_usage_t *u);
static void usage_boundary(ollama_usage_t *u);
static void usage_drop(ollama_usage_t *u);
static void usage_junk(ollama_usage_t *u);


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
    a->input = 0;
    a->read = 0;
    a->creation = 0;

    usage_drop(u);

    u->line = line_field;
    u->matched = 0;
    u->cr = 0;
    u->fresh = 1;
    u->payload = payload_start;
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

    switch (u->answer.format) {

    case OLLAMA_FORMAT_SSE:
        usage_sse(u, p, p + n);
        break;

    case OLLAMA_FORMAT_NDJSON:
        usage_ndjson(u, p, p + n);
        break;

    case OLLAMA_FORMAT_JSON:
        end = p + n;

        if (n && *p == '{' && u->payload == payload_start
            && usage_may_end(p, end, '}'))
        {
            (void) ollama_usage_shape_read(&u->answer, &u->shape, &p, end);
        }

        usage_payload(u, p, end);
        break;

    default:
        break;
    }

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
    ollama_usage_result_t  *res;

    a = &u->answer;
    res = &a->result;

    if (a->family == OLLAMA_USAGE_FAMILY_NONE
        || a->format == OLLAMA_FORMAT_OTHER)
    {
        res->certainty = OLLAMA_CERTAINTY_NONE;
        return;
    }

    if (u->payload == payload_object) {
        res->content_bytes += ollama_usage_document_open_content(u->document);
        usage_drop(u);
        u->payload = payload_junk;
    }

    if (res->usage && a->final) {
        res->certainty = OLLAMA_CERTAINTY_EXACT;

    } else if (res->error) {
        res->certainty = (a->format == OLLAMA_FORMAT_JSON)
                         ? OLLAMA_CERTAINTY_NONE : OLLAMA_CERTAINTY_PARTIAL;

    } else if (res->terminal) {
        res->certainty = a->loaded ? OLLAMA_CERTAINTY_NONE
                                   : OLLAMA_CERTAINTY_ESTIMATED;

    } else if (res->unreadable && res->documents == 0) {
        res->certainty = OLLAMA_CERTAINTY_ESTIMATED;

    } else {
        res->certainty = OLLAMA_CERTAINTY_PARTIAL;
    }
}


const ollama_usage_result_t *
ollama_usage_result(const ollama_usage_t *u)
{
    return &u->answer.result;
}


void
ollama_usage_tokens(const ollama_usage_result_t *res, uint64_t request_bytes,
    uint64_t *prompt, uint64_t *completion)
{
    if (res->certainty == OLLAMA_CERTAINTY_PARTIAL
        || res->certainty == OLLAMA_CERTAINTY_ESTIMATED)
    {
        ollama_usage_so_far(res, request_bytes, prompt, completion);
        return;
    }

    *prompt = res->prompt;
    *completion = res->completion;
}


void
ollama_usage_so_far(const ollama_usage_result_t *res, uint64_t request_bytes,
    uint64_t *prompt, uint64_t *completion)
{
    uint64_t  bytes, tokens;

    *prompt = res->prompt;
    *completion = res->completion;

    if (*prompt == 0) {
        *prompt = ollama_usage_estimate(request_bytes);
    }

    bytes = (res->unreadable && res->documents == 0) ? res->bytes
                                                     : res->content_bytes;

    tokens = ollama_usage_estimate(bytes);

    if (*completion < tokens) {
        *completion = tokens;
    }
}


uint64_t
ollama_usage_estimate(uint64_t bytes)
{
    return (bytes + OLLAMA_USAGE_BYTES_PER_TOKEN - 1)
           / OLLAMA_USAGE_BYTES_PER_TOKEN;
}


ollama_usage_format_e
ollama_usage_format(const char *content_type, size_t n)
{
    size_t    i;
    char      name[24];
    unsigned  id;

    static const ollama_usage_word_t  types[] = {
        ollama_usage_entry("application/json", OLLAMA_FORMAT_JSON),
        ollama_usage_entry("application/jsonl", OLLAMA_FORMAT_NDJSON),
        ollama_usage_entry("text/event-stream", OLLAMA_FORMAT_SSE),
        ollama_usage_entry("application/ndjson", OLLAMA_FORMAT_NDJSON),
        ollama_usage_entry("application/x-ndjson", OLLAMA_FORMAT_NDJSON),
        { NULL, 0, OLLAMA_FORMAT_OTHER }
    };

    for (i = 0; i < n && i < sizeof(name); i++) {
        if (content_type[i] == ';' || content_type[i] == ' '
            || content_type[i] == '\t')
        {
            break;
        }
    }

    n = i;
    id = ollama_usage_word(types, content_type, n, OLLAMA_FORMAT_OTHER);

    if (id == OLLAMA_FORMAT_OTHER) {

        for (i = 0; i < n; i++) {
            name[i] = content_type[i];

            if (name[i] >= 'A' && name[i] <= 'Z') {
                name[i] |= 0x20;
            }
        }

        id = ollama_usage_word(types, name, n, OLLAMA_FORMAT_OTHER);
    }

    return (ollama_usage_format_e) id;
}


ollama_usage_family_e
ollama_usage_family(const unsigned char *path, size_t n)
{
    const char  *p = (const char *) path;

    if (n >= 5 && memcmp(p, "/api/", 5) == 0) {
        return OLLAMA_USAGE_FAMILY_NATIVE;
    }

    if (n < 4 || memcmp(p, "/v1/", 4) != 0) {
        return OLLAMA_USAGE_FAMILY_NONE;
    }

    p += 4;
    n -= 4;

    if (n >= 8 && memcmp(p, "messages", 8) == 0 && (n == 8 || p[8] == '/')) {
        return OLLAMA_USAGE_FAMILY_ANTHROPIC;
    }

    if (n >= 9 && memcmp(p, "responses", 9) == 0 && (n == 9 || p[9] == '/')) {
        return OLLAMA_USAGE_FAMILY_RESPONSES;
    }

    return OLLAMA_USAGE_FAMILY_OPENAI;
}


const char *
ollama_certainty_name(ollama_certainty_e certainty)
{
    switch (certainty) {

    case OLLAMA_CERTAINTY_EXACT:
        return "exact";

    case OLLAMA_CERTAINTY_PARTIAL:
        return "partial";

    case OLLAMA_CERTAINTY_ESTIMATED:
        return "estimated";

    default:
        return "none";
    }
}


/*
 * Lines end with CR LF, LF or CR.  The data of an event may be spread over
 * several fields, which a line feed joins: white space between JSON tokens.
 */

static void
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
                usage_payload(u, p, q);
            }

            p = q;

            if (p == end) {
                return;
            }

            if (u->line == line_data) {
                usage_payload(u, newline, newline + 1);
            }

            break;
        }

        u->cr = (*p == '\r');
        u->line = line_field;
        u->matched = 0;
        p++;
    }
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


static void
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
            usage_payload(u, p, end);
            return;
        }

        usage_payload(u, p, q);
        usage_boundary(u);

        p = q + 1;
    }
}


/* Not for long texts that go on in the next buffer: yajl reads them anyway. */

static int
usage_may_end(const unsigned char *p, const unsigned char *end,
    unsigned char last)
{
    return end[-1] == last || memchr(p, last, end - p) != NULL;
}


static void
usage_payload(ollama_usage_t *u, const unsigned char *p,
    const unsigned char *end)
{
    while (p != end) {

        switch (u->payload) {

        case payload_start:
            if (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r') {
                p++;

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
            return;
        }
    }
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
        u->answer.result.unreadable = 1;
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
    u->answer.result.unreadable = 1;
}
