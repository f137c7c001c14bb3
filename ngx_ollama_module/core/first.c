
#include "first_json.h"

#include <string.h>


/* f->line */

enum {
    LINE_START = 0,                     /* nothing but white space has come */
    LINE_DOCUMENT,                      /* no lines: JSON */
    LINE_FIELD,
    LINE_NAME_SPACE,
    LINE_NAME,                          /* of the event */
    LINE_DATA_SPACE,
    LINE_DATA,
    LINE_TEXT,                          /* data that is no JSON */
    LINE_SKIP
};


static int first_usual(ollama_first_t *f, const unsigned char *p, size_t n);
static void first_begin(ollama_first_t *f);
static void first_field(ollama_first_t *f, unsigned char c);
static void first_event(ollama_first_t *f);
static void first_event_over(ollama_first_t *f);
static const unsigned char *first_data(ollama_first_t *f,
    const unsigned char *p, const unsigned char *end);
static const unsigned char *first_skip(ollama_first_t *f,
    const unsigned char *p, const unsigned char *end);
static void first_line_over(ollama_first_t *f);


#define first_eol(c)  ((c) == '\n' || (c) == '\r')


void
ollama_first_init(ollama_first_t *f)
{
    ollama_form_init(&f->form);

    f->what = OLLAMA_FIRST_UNKNOWN;
    f->line = LINE_START;
    f->cr = 0;
    f->nword = 0;
    f->target = TARGET_NONE;

    first_event_over(f);
}


ollama_first_e
ollama_first_feed(ollama_first_t *f, const unsigned char *p, size_t n)
{
    unsigned char         c;
    const unsigned char  *end;

    if (f->what == OLLAMA_FIRST_UNKNOWN && f->line == LINE_START
        && f->form.name == NULL && first_usual(f, p, n))
    {
        return f->what;
    }

    end = p + n;

    while (p < end && f->what == OLLAMA_FIRST_UNKNOWN) {

        c = *p;

        if (f->cr) {
            f->cr = 0;

            if (c == '\n') {
                p++;
                continue;
            }
        }

        switch (f->line) {

        case LINE_START:

            if (ollama_form_next(&f->form, &p, end)) {
                first_begin(f);
            }

            break;

        case LINE_DOCUMENT:
            p = ollama_first_json(f, p, end);
            break;

        case LINE_FIELD:
            first_field(f, c);
            p++;
            break;

        case LINE_NAME_SPACE:
        case LINE_DATA_SPACE:
            f->line++;
            p += (c == ' ');
            break;

        case LINE_NAME:

            if (first_eol(c)) {
                first_event(f);
                first_line_over(f);
                f->cr = (c == '\r');

            } else {
                ollama_first_add(f, &c, 1);
            }

            p++;
            break;

        case LINE_DATA:
            p = first_data(f, p, end);
            break;

        case LINE_TEXT:

            if (first_eol(c)) {
                ollama_first_decide(f);
                return f->what;
            }

            ollama_first_add(f, &c, 1);
            p++;
            break;

        default: /* LINE_SKIP */
            p = first_skip(f, p, end);
        }
    }

    return f->what;
}


ollama_first_e
ollama_first_finish(ollama_first_t *f)
{
    if (f->what != OLLAMA_FIRST_UNKNOWN) {
        return f->what;
    }

    if (f->json == JSON_STRING && !f->key) {

        /* as far as it has come */

        ollama_first_string_over(f);
    }

    f->form.known = 1;

    ollama_first_decide(f);

    return f->what;
}


/* what most answers begin with: the same as below, without a detour */

static int
first_usual(ollama_first_t *f, const unsigned char *p, size_t n)
{
    static const char  line[] = "{\"model\"";
    static const char  event[] = "data: {\"id\"";

    if (n >= sizeof(line) - 1 && memcmp(p, line, sizeof(line) - 1) == 0) {
        f->form.format = OLLAMA_FORMAT_JSON;

    } else if (n >= sizeof(event) - 1
               && memcmp(p, event, sizeof(event) - 1) == 0)
    {
        f->form.format = OLLAMA_FORMAT_SSE;

    } else {
        return 0;
    }

    f->form.known = 1;

    ollama_first_answer(f);

    return 1;
}


/* the first byte that says something; of a field's name there may be more */

static void
first_begin(ollama_first_t *f)
{
    switch (f->form.format) {

    case OLLAMA_FORMAT_JSON:
        f->line = LINE_DOCUMENT;
        f->json = JSON_VALUE;
        break;

    case OLLAMA_FORMAT_SSE:
        first_line_over(f);

        if (f->form.name) {
            ollama_first_add(f, (const unsigned char *) f->form.name,
                             f->form.held);
        }

        break;

    default:
        ollama_first_answer(f);
    }
}


/* a field's name, up to its colon or the end of the line */

static void
first_field(ollama_first_t *f, unsigned char c)
{
    if (c != ':' && !first_eol(c)) {
        ollama_first_add(f, &c, 1);
        return;
    }

    f->line = LINE_SKIP;

    if (f->nword == 0) {

        if (c != ':') {
            first_event_over(f);
            first_line_over(f);
            f->cr = (c == '\r');
            return;
        }

    } else if (ollama_first_is(f, "data")) {
        f->line = LINE_DATA_SPACE;

    } else if (ollama_first_is(f, "event")) {
        f->line = LINE_NAME_SPACE;
    }

    f->nword = 0;

    if (first_eol(c)) {
        first_line_over(f);
        f->cr = (c == '\r');
    }
}


/* the name of an event has come; the spec's default says nothing */

static void
first_event(ollama_first_t *f)
{
    unsigned  failed;

    if (f->nword == 0 || ollama_first_is(f, "message")) {
        return;
    }

    if (!ollama_first_lookup(f, ollama_first_events, &failed)) {
        ollama_first_answer(f);
        return;
    }

    f->error = failed;
    f->neutral = !failed;
}


/* an empty line, or nothing has begun: what was read is forgotten */

static void
first_event_over(ollama_first_t *f)
{
    if (f->what == OLLAMA_FIRST_UNKNOWN
        && f->form.format == OLLAMA_FORMAT_SSE)
    {

        if (f->error || (f->json != JSON_NONE && f->json != JSON_OVER)) {
            ollama_first_decide(f);
            return;
        }
    }

    f->json = JSON_NONE;
    f->depth = 0;
    f->objects = 0;
    f->rank = 0;
    f->typed = 0;
    f->numbered = 0;
    f->status = 0;
    f->len = 0;
    f->text[0] = '\0';
    f->type[0] = '\0';
    f->escape = 0;
    f->key = 0;
    f->error = 0;
    f->neutral = 0;
}


static const unsigned char *
first_data(ollama_first_t *f, const unsigned char *p, const unsigned char *end)
{
    const unsigned char  *lf;

    if (f->json == JSON_NONE && !f->neutral) {

        if (*p == ' ' || *p == '\t') {
            return p + 1;
        }

        if (*p == '{') {
            f->json = JSON_VALUE;

        } else if (!first_eol(*p)) {

            if (!f->error) {
                ollama_first_answer(f);
                return p;
            }

            f->line = LINE_TEXT;
            f->target = TARGET_TEXT;
            f->rank = 3;
            f->len = 0;
            return p;
        }
    }

    if (f->json == JSON_NONE || f->json == JSON_OVER) {
        f->line = LINE_SKIP;
        return p;
    }

    lf = memchr(p, '\n', end - p);

    p = ollama_first_json(f, p, lf ? lf : end);

    if (f->json == JSON_OVER) {
        f->line = LINE_SKIP;
        return p;
    }

    if (p == lf) {

        if (f->json == JSON_STRING) {

            /* no string goes over lines */

            ollama_first_decide(f);
            return p;
        }

        if (f->json == JSON_WORD) {
            ollama_first_word_over(f);
        }

        first_line_over(f);
        p++;
    }

    return p;
}


static const unsigned char *
first_skip(ollama_first_t *f, const unsigned char *p, const unsigned char *end)
{
    const unsigned char  *lf, *cr;

    lf = memchr(p, '\n', end - p);
    cr = memchr(p, '\r', (lf ? lf : end) - p);

    if (cr == NULL && lf == NULL) {
        return end;
    }

    first_line_over(f);
    f->cr = (cr != NULL);

    return (cr ? cr : lf) + 1;
}


static void
first_line_over(ollama_first_t *f)
{
    f->line = LINE_FIELD;
    f->target = TARGET_WORD;
    f->nword = 0;
}
