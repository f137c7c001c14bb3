#include "sse_cut.h"
#include "scan.h"

#include <stdlib.h>
#include <string.h>


#define CUT_SPARE     8
#define CUT_NAME_MAX  8             /* of "choices" and "usage", and one more */


typedef enum {
    cut_open = 0,                   /* not yet known */
    cut_pass,
    cut_drop
} cut_verdict_e;


typedef enum {
    line_field = 0,
    line_space,
    line_data,
    line_other,
    line_comment
} cut_line_e;


typedef enum {
    name_other = 0,
    name_choices,
    name_usage
} cut_name_e;


/* What is needed for an event that has to be read. */

typedef struct cut_work_s  cut_work_t;

struct cut_work_s {
    cut_work_t     *next;           /* of those that are kept */
    unsigned char   hold[OLLAMA_SSE_CUT_HOLD];
    ollama_scan_t   scan;
};


struct ollama_sse_cut_s {
    cut_verdict_e   verdict;        /* of the current event */
    unsigned        ended;          /* it has just ended */
    size_t          ahead;          /* bytes behind *p that have been read */

    cut_line_e      line;
    unsigned        matched;        /* of "data" */
    unsigned        cr;             /* the last byte was one */
    unsigned        lines;          /* the event has begun */

    cut_name_e      name;           /* whose value comes */
    unsigned        empty;          /* "choices":[] was seen */
    unsigned        usage;          /* "usage":{ was seen */
    size_t          len;            /* may exceed the room */
    char            text[CUT_NAME_MAX];

    uint64_t        dropped;
    size_t          held;
    cut_work_t     *work;           /* of the current event, or NULL */
};


static void cut_event(ollama_sse_cut_t *c);
static int cut_work(ollama_sse_cut_t *c);
static void cut_idle(ollama_sse_cut_t *c);
static int cut_ordinary(const unsigned char *p, const unsigned char *end);
static const unsigned char *cut_read(ollama_sse_cut_t *c,
    const unsigned char *p, const unsigned char *end);
static void cut_text(ollama_sse_cut_t *c, const ollama_scan_t *s);
static void cut_data(ollama_sse_cut_t *c, const unsigned char *p,
    const unsigned char *end);
static int cut_release(ollama_sse_cut_t *c, ollama_sse_run_t *run);
static int cut_run(ollama_sse_run_t *run, const unsigned char *p,
    const unsigned char *end);


static cut_work_t  *cut_spare;
static unsigned     cut_nspare;


ollama_sse_cut_t *
ollama_sse_cut_create(void)
{
    ollama_sse_cut_t  *c;

    c = malloc(sizeof(ollama_sse_cut_t));

    if (c == NULL) {
        return NULL;
    }

    c->work = NULL;

    if (!cut_work(c)) {
        free(c);
        return NULL;
    }

    ollama_sse_cut_reset(c);

    return c;
}


void
ollama_sse_cut_destroy(ollama_sse_cut_t *c)
{
    if (c) {
        cut_idle(c);
        free(c);
    }
}


void
ollama_sse_cut_reset(ollama_sse_cut_t *c)
{
    c->ahead = 0;
    c->cr = 0;
    c->dropped = 0;
    c->held = 0;

    cut_event(c);
}


int
ollama_sse_cut_next(ollama_sse_cut_t *c, const unsigned char **pp,
    const unsigned char *end, ollama_sse_run_t *run)
{
    unsigned              looked;
    const unsigned char  *p, *sent, *event;

    sent = *pp;
    event = sent;
    p = sent + c->ahead;
    c->ahead = 0;
    looked = 0;

    if (p == end && ollama_sse_cut_between(c)) {
        return 0;
    }

    for ( ;; ) {

        if (!looked && ollama_sse_cut_between(c)) {

            looked = 1;

            if (cut_ordinary(p, end)) {
                *pp = end;
                return cut_run(run, sent, end);
            }
        }

        if (!c->ended) {
            p = cut_read(c, p, end);
        }

        switch (c->verdict) {

        case cut_open:
            if (p == end && !c->ended
                && (event == end
                    || ((size_t) (end - event) <= OLLAMA_SSE_CUT_HOLD - c->held
                        && cut_work(c))))
            {
                if (event != end) {
                    memcpy(c->work->hold + c->held, event, end - event);
                    c->held += end - event;
                }

                *pp = end;
                return cut_run(run, sent, event);
            }

            c->verdict = cut_pass;

            /* fall through */

        case cut_pass:
            if (c->held) {
                *pp = sent;
                c->ahead = p - sent;
                return cut_release(c, run);
            }

            if (!c->ended) {
                *pp = end;
                return cut_run(run, sent, end);
            }

            break;

        case cut_drop:
            if (event != sent) {
                *pp = event;
                c->ahead = p - event;
                return cut_run(run, sent, event);
            }

            if (c->ended && c->cr) {

                /* a line feed that goes with it may be still to come */

                if (p == end) {
                    c->dropped += c->held + (p - sent);
                    c->held = 0;
                    *pp = end;
                    return 0;
                }

                if (*p == '\n') {
                    p++;
                }

                c->cr = 0;
            }

            c->dropped += c->held + (p - sent);
            c->held = 0;
            sent = p;

            if (!c->ended) {
                *pp = end;
                return 0;
            }

            break;
        }

        cut_event(c);
        event = p;
    }
}


int
ollama_sse_cut_finish(ollama_sse_cut_t *c, ollama_sse_run_t *run)
{
    if (c->held == 0) {
        return 0;
    }

    if (c->empty) {
        c->dropped += c->held;
        c->held = 0;
        return 0;
    }

    return cut_release(c, run);
}


size_t
ollama_sse_cut_held(const ollama_sse_cut_t *c)
{
    return c->held;
}


uint64_t
ollama_sse_cut_dropped(const ollama_sse_cut_t *c)
{
    return c->dropped;
}


int
ollama_sse_cut_between(const ollama_sse_cut_t *c)
{
    return !c->lines && !c->ended && !c->cr && c->held == 0;
}


static void
cut_event(ollama_sse_cut_t *c)
{
    c->verdict = cut_open;
    c->ended = 0;
    c->line = line_field;
    c->matched = 0;
    c->lines = 0;
    c->name = name_other;
    c->empty = 0;
    c->usage = 0;
    c->len = 0;

    cut_idle(c);
}


/* One of those that are kept: create() has seen to it that there is one. */

static int
cut_work(ollama_sse_cut_t *c)
{
    cut_work_t  *w;

    if (c->work) {
        return 1;
    }

    w = cut_spare;

    if (w) {
        cut_spare = w->next;
        cut_nspare--;

    } else {
        w = malloc(sizeof(cut_work_t));

        if (w == NULL) {
            return 0;
        }
    }

    ollama_scan_init(&w->scan);
    c->work = w;

    return 1;
}


static void
cut_idle(ollama_sse_cut_t *c)
{
    if (c->work == NULL) {
        return;
    }

    if (cut_nspare == CUT_SPARE) {
        free(c->work);

    } else {
        c->work->next = cut_spare;
        cut_spare = c->work;
        cut_nspare++;
    }

    c->work = NULL;
}


/*
 * Whole events, none of which has an empty array in it: between its brackets
 * could be only white space, or the next line's "data:".  What is an event's
 * end and what is in a string does not matter then.
 */

static int
cut_ordinary(const unsigned char *p, const unsigned char *end)
{
    const unsigned char  *q;

    if (end - p < 2 || end[-1] != '\n' || end[-2] != '\n') {
        return 0;
    }

    for (q = p + 1; (q = memchr(q, ']', end - q)) != NULL; q++) {

        switch (q[-1]) {

        case '[':
        case ':':
        case ' ':
        case '\t':
        case '\n':
        case '\r':
            return 0;
        }
    }

    return 1;
}


/* Reads up to the event's end, or to where an open verdict is settled. */

static const unsigned char *
cut_read(ollama_sse_cut_t *c, const unsigned char *p, const unsigned char *end)
{
    const unsigned char  *q, *cr;

    static const unsigned char  newline[] = "\n";

    while (p != end) {

        if (c->cr) {
            c->cr = 0;

            if (*p == '\n') {
                p++;

                /* of a line that has passed already */

                if (!c->lines) {
                    c->ended = 1;
                    return p;
                }

                continue;
            }
        }

        switch (c->line) {

        case line_field:
            if (*p == '\n' || *p == '\r') {
                if (c->matched) {
                    break;
                }

                c->cr = (*p == '\r');
                c->ended = 1;
                return p + 1;
            }

            if (*p == ':' && !c->lines) {
                c->line = line_comment;
                c->verdict = cut_pass;

            } else if (c->matched < 4
                       && *p == (unsigned char) "data"[c->matched])
            {
                c->matched++;

            } else if (*p == ':' && c->matched == 4) {
                c->line = line_space;

            } else {
                c->line = line_other;
            }

            c->lines = 1;
            p++;
            continue;

        case line_space:
            c->line = line_data;

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

            if (c->line == line_data && c->verdict == cut_open) {
                cut_data(c, p, q);
            }

            if (q == end) {
                return end;
            }

            p = q;

            if (c->line == line_comment) {
                c->cr = (*p == '\r');
                c->ended = 1;
                return p + 1;
            }

            if (c->line == line_data && c->verdict == cut_open) {
                cut_data(c, newline, newline + 1);
            }

            break;
        }

        c->cr = (*p == '\r');
        c->line = line_field;
        c->matched = 0;
        p++;
    }

    return p;
}


static void
cut_text(ollama_sse_cut_t *c, const ollama_scan_t *s)
{
    if (s->text_len == 0) {
        return;
    }

    if (s->text_len <= CUT_NAME_MAX - c->len) {
        memcpy(c->text + c->len, s->text, s->text_len);
        c->len += s->text_len;

    } else {
        c->len = CUT_NAME_MAX;
    }
}


static void
cut_data(ollama_sse_cut_t *c, const unsigned char *p, const unsigned char *end)
{
    ollama_scan_t        *s;
    ollama_scan_token_e   token;

    if (!cut_work(c)) {
        c->verdict = cut_pass;
        return;
    }

    s = &c->work->scan;

    while (c->verdict == cut_open) {

        token = ollama_scan_next(s, &p, end);

        switch (token) {

        case OLLAMA_SCAN_MORE:
            return;

        case OLLAMA_SCAN_ERROR:
            c->verdict = cut_pass;
            return;

        case OLLAMA_SCAN_TEXT:
            cut_text(c, s);
            continue;

        case OLLAMA_SCAN_ESCAPE:
            if (c->len < CUT_NAME_MAX) {
                c->text[c->len++] = (s->unit < 0x80) ? s->unit : 0;
            }

            continue;

        case OLLAMA_SCAN_KEY:
            cut_text(c, s);

            if (c->len == 7 && memcmp(c->text, "choices", 7) == 0) {
                c->name = name_choices;

            } else if (c->len == 5 && memcmp(c->text, "usage", 5) == 0) {
                c->name = name_usage;

            } else {
                c->name = name_other;
            }

            c->len = 0;
            continue;

        case OLLAMA_SCAN_ARRAY:
            if (s->depth == 2 && c->name == name_choices) {
                s->report = 2;
                s->names = 2;
                continue;
            }

            break;

        case OLLAMA_SCAN_ARRAY_END:
            if (s->report == 2) {
                c->empty = 1;
                s->report = 1;
                s->names = 1;
            }

            break;

        case OLLAMA_SCAN_OBJECT:
            if (s->depth == 2 && c->name == name_usage) {
                c->usage = 1;
            }

            break;

        default:
            break;
        }

        if (s->report == 2 || s->done) {
            c->verdict = cut_pass;

        } else if (c->empty && c->usage) {
            c->verdict = cut_drop;
        }
    }
}


static int
cut_release(ollama_sse_cut_t *c, ollama_sse_run_t *run)
{
    run->data = c->work->hold;
    run->len = c->held;
    run->held = 1;

    c->held = 0;

    return 1;
}


static int
cut_run(ollama_sse_run_t *run, const unsigned char *p,
    const unsigned char *end)
{
    run->data = p;
    run->len = end - p;
    run->held = 0;

    return p != end;
}
