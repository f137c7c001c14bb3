#include "usage_shape.h"
#include "scan_bytes.h"

#include <string.h>


#define SHAPE_KEEP    32            /* bytes of a value that are remembered */
#define SHAPE_DIGITS  19


typedef enum {
    hole_unread = 0,                /* a string that means nothing */
    hole_content,
    hole_string,
    hole_number
} shape_hole_e;


/* From start up to the byte behind: the quote, or what follows a number. */

typedef struct {
    uint32_t              bit;      /* 0: no fact is told from it */
    unsigned short        start;
    unsigned short        end;
    unsigned              kind;
} shape_hole_t;


typedef struct {
    ollama_usage_note_t   note;
    unsigned char         hole;
} shape_op_t;


typedef struct {
    const unsigned char  *text;
    size_t                len;
} shape_value_t;


/*
 * The text keeps the values of the document that was learned (those of content
 * and long ones as empty strings): where the next one has the same, nothing
 * has to be looked at.
 */

typedef struct {
    unsigned              kind;     /* format and family; 0: none */
    unsigned              met;
    unsigned              len;
    unsigned              nholes;
    unsigned              nops;
    unsigned              text_only;
    unsigned              model;    /* it names one */
    uint32_t              told;     /* bits of holes, without the model's */
    shape_hole_t          holes[OLLAMA_USAGE_SHAPE_HOLES + 1];
    shape_op_t            ops[OLLAMA_USAGE_NOTES];
    unsigned char         text[OLLAMA_USAGE_SHAPE_BYTES];
} usage_shape_t;


/* A document that is being compared. */

typedef struct {
    uint32_t              changed;  /* bits of holes with other values */
    uint64_t              content;
    shape_value_t         values[OLLAMA_USAGE_SHAPE_HOLES];
} shape_match_t;


static const unsigned char *shape_compare(const usage_shape_t *s,
    shape_match_t *m, const unsigned char *p, const unsigned char *end);
static const unsigned char *shape_string(const unsigned char *p,
    const unsigned char *end, unsigned kind, uint64_t *content);
static const unsigned char *shape_number(const unsigned char *p,
    const unsigned char *end);
static void shape_tell(ollama_usage_answer_t *a, const usage_shape_t *s,
    const shape_match_t *m);

static int shape_draw(usage_shape_t *s, ollama_usage_family_e family,
    const ollama_usage_note_t *notes, size_t n, const unsigned char *p,
    const unsigned char *end);
static const unsigned char *shape_token(const unsigned char *p,
    const unsigned char *end, unsigned token);
static int shape_hole(usage_shape_t *s, ollama_usage_family_e family,
    const ollama_usage_note_t *note, const unsigned char *p,
    const unsigned char *end);
static int shape_text(usage_shape_t *s, const unsigned char *p,
    const unsigned char *end);
static int shape_op(usage_shape_t *s, const ollama_usage_note_t *note,
    unsigned hole);
static usage_shape_t *shape_room(void);


#define shape_kind(a)  ((a)->format << 4 | (a)->family)


static usage_shape_t  shapes[OLLAMA_USAGE_SHAPES];
static usage_shape_t  shape_draft;
static unsigned       shape_hand;


int
ollama_usage_shape_read(ollama_usage_answer_t *a, unsigned *last,
    const unsigned char **p, const unsigned char *end)
{
    unsigned              i, k, kind;
    usage_shape_t        *s;
    shape_match_t         m;
    const unsigned char  *q;

    kind = shape_kind(a);
    k = *last;
    s = NULL;
    q = NULL;

    for (i = 0; i < OLLAMA_USAGE_SHAPES; i++) {
        s = &shapes[k % OLLAMA_USAGE_SHAPES];

        if (s->kind == kind) {
            q = shape_compare(s, &m, *p, end);

            if (q) {
                break;
            }
        }

        k++;
    }

    if (i == OLLAMA_USAGE_SHAPES) {
        return OLLAMA_USAGE_SHAPE_NONE;
    }

    *last = k % OLLAMA_USAGE_SHAPES;
    *p = q;

    s->met = 1;
    a->result.content_bytes += m.content;

    if (s->text_only && (m.changed & s->told) == 0
        && (a->result.model_len || !s->model))
    {
        a->result.documents++;
        return OLLAMA_USAGE_SHAPE_TEXT_ONLY;
    }

    shape_tell(a, s, &m);

    return OLLAMA_USAGE_SHAPE_READ;
}


void
ollama_usage_shape_learn(const ollama_usage_answer_t *a,
    const ollama_usage_facts_t *f, const ollama_usage_note_t *notes, size_t n,
    const unsigned char *p, const unsigned char *end)
{
    usage_shape_t  *s;

    /* not in its place yet: for what makes no shape none has to go */

    s = &shape_draft;

    s->met = 0;
    s->len = 0;
    s->nholes = 0;
    s->nops = 0;
    s->model = 0;
    s->told = 0;
    s->text_only = !f->spoke;
    s->kind = shape_kind(a);

    if (!shape_draw(s, a->family, notes, n, p, end)) {
        return;
    }

    /* behind the last one there is a hole that is never reached */

    s->holes[s->nholes].start = OLLAMA_USAGE_SHAPE_BYTES + 1;
    s->holes[s->nholes].end = OLLAMA_USAGE_SHAPE_BYTES + 1;

    *shape_room() = *s;
}


void
ollama_usage_shape_forget(void)
{
    unsigned  i;

    for (i = 0; i < OLLAMA_USAGE_SHAPES; i++) {
        shapes[i].kind = 0;
    }
}


/*
 * Up to where text and document differ they are the same tokens.  If that is
 * in a hole, its value is read from its beginning in the document, and both go
 * on behind it.
 */

static const unsigned char *
shape_compare(const usage_shape_t *s, shape_match_t *m,
    const unsigned char *p, const unsigned char *end)
{
    size_t                n, at;
    const shape_hole_t   *hole;
    const unsigned char  *q, *text, *last;

    m->changed = 0;
    m->content = 0;

    text = s->text;
    last = text + s->len;
    hole = s->holes;

    for ( ;; ) {

        n = (end - p < last - text) ? end - p : last - text;
        n = ollama_scan_same(p, text, n);
        p += n;
        text += n;

        if (text == last) {
            return p;
        }

        at = text - s->text;

        while (hole->end < at) {
            hole++;
        }

        if (at < hole->start) {
            return NULL;
        }

        p -= at - hole->start;

        q = (hole->kind == hole_number)
            ? shape_number(p, end)
            : shape_string(p, end, hole->kind, &m->content);

        if (q == NULL) {
            return NULL;
        }

        if (hole->bit) {
            m->changed |= hole->bit;
            m->values[hole - s->holes].text = p;
            m->values[hole - s->holes].len = q - p;
        }

        p = q;
        text = s->text + hole->end;
        hole++;
    }
}


/* Up to the quote that ends it; NULL if yajl has to see this. */

static const unsigned char *
shape_string(const unsigned char *p, const unsigned char *end, unsigned kind,
    uint64_t *content)
{
    int                   digit;
    unsigned              i, unit;
    uint64_t              spare;
    const unsigned char  *start;

    start = p;
    spare = 0;                      /* bytes of escapes that are no text */

    for ( ;; ) {

        p = ollama_scan_plain(p, end);

        if (p == end) {
            return NULL;
        }

        if (*p == '"') {
            break;
        }

        if (*p != '\\' || kind == hole_string || end - p < 6) {
            return NULL;
        }

        switch (p[1]) {

        case '"':
        case '\\':
        case '/':
        case 'b':
        case 'f':
        case 'n':
        case 'r':
        case 't':
            p += 2;
            spare++;
            continue;

        case 'u':
            break;

        default:
            return NULL;
        }

        unit = 0;

        for (i = 2; i < 6; i++) {
            digit = ollama_scan_hex_digit(p[i]);

            if (digit < 0) {
                return NULL;
            }

            unit = unit << 4 | digit;
        }

        if (unit >= 0xd800 && unit <= 0xdfff) {
            return NULL;
        }

        spare += (p - start >= OLLAMA_JSON_READER_STRING || unit < 0x80) ? 5
                 : (unit < 0x800) ? 4 : 3;
        p += 6;
    }

    if (kind == hole_content) {
        *content += p - start - spare;

    } else if (kind == hole_string
               && p - start > OLLAMA_JSON_READER_STRING)
    {
        return NULL;
    }

    return p;
}


static const unsigned char *
shape_number(const unsigned char *p, const unsigned char *end)
{
    const unsigned char  *start;

    start = p;

    while (p != end && *p >= '0' && *p <= '9') {
        p++;
    }

    if (p == start || p - start > SHAPE_DIGITS
        || (*start == '0' && p - start > 1))
    {
        return NULL;
    }

    return p;
}


/* The facts of the document, as usage_document.c would tell them. */

static void
shape_tell(ollama_usage_answer_t *a, const usage_shape_t *s,
    const shape_match_t *m)
{
    size_t                      len;
    unsigned                    i;
    const shape_op_t           *op;
    const shape_hole_t         *hole;
    ollama_usage_key_e          key;
    const unsigned char        *text;
    ollama_usage_place_e        place;
    ollama_usage_facts_t        f;

    ollama_usage_facts_begin(&f);

    for (i = 0; i < s->nops; i++) {
        op = &s->ops[i];
        place = (ollama_usage_place_e) op->note.place;
        key = (ollama_usage_key_e) op->note.key;

        text = NULL;
        len = 0;

        if (op->hole < s->nholes) {

            hole = &s->holes[op->hole];

            if (m->changed & hole->bit) {
                text = m->values[op->hole].text;
                len = m->values[op->hole].len;

            } else {
                text = s->text + hole->start;
                len = hole->end - hole->start;
            }
        }

        switch (op->note.token) {

        case OLLAMA_JSON_STRING:
            ollama_usage_facts_string(a, &f, place, key, text, len);
            break;

        case OLLAMA_JSON_NUMBER:
            ollama_usage_facts_number(a, &f, place, key, text, len);
            break;

        case OLLAMA_JSON_TRUE:
        case OLLAMA_JSON_FALSE:
            ollama_usage_facts_bool(&f, place, key,
                                    op->note.token == OLLAMA_JSON_TRUE);
            break;

        case OLLAMA_JSON_OBJECT:
        case OLLAMA_JSON_ARRAY:
            ollama_usage_facts_open(a, &f, place);
            break;

        default:
            ollama_usage_facts_close(a, &f, place, (ollama_usage_place_e) key);
            break;
        }
    }

    ollama_usage_facts_end(a, &f);
}


/*
 * The document is one that yajl took: only where strings and numbers begin and
 * end has to be found, and what each is, is the next note.
 */

static int
shape_draw(usage_shape_t *s, ollama_usage_family_e family,
    const ollama_usage_note_t *notes, size_t n, const unsigned char *p,
    const unsigned char *end)
{
    size_t                i;
    const unsigned char  *from;

    i = 0;
    from = p;

    for ( ;; ) {

        while (p != end && *p != '"' && *p != '-' && (*p < '0' || *p > '9')) {
            p++;
        }

        while (i < n && notes[i].token != OLLAMA_JSON_KEY
               && notes[i].token != OLLAMA_JSON_STRING
               && notes[i].token != OLLAMA_JSON_NUMBER)
        {
            if (!shape_op(s, &notes[i++], OLLAMA_USAGE_SHAPE_HOLES)) {
                return 0;
            }
        }

        if (p == end) {
            return i == n && shape_text(s, from, end);
        }

        if (i == n || (*p == '"') == (notes[i].token == OLLAMA_JSON_NUMBER)) {
            return 0;
        }

        if (*p == '"') {
            p++;
        }

        if (notes[i].token == OLLAMA_JSON_KEY) {
            p = shape_token(p, end, notes[i].token);

        } else {
            if (!shape_text(s, from, p)) {
                return 0;
            }

            from = p;
            p = shape_token(p, end, notes[i].token);

            if (!shape_hole(s, family, &notes[i], from, p)) {
                return 0;
            }

            from = p;
        }

        if (notes[i].token != OLLAMA_JSON_NUMBER) {
            p++;
        }

        i++;
    }
}


/* The end of a string or name, at its quote, or of a number. */

static const unsigned char *
shape_token(const unsigned char *p, const unsigned char *end, unsigned token)
{
    if (token == OLLAMA_JSON_NUMBER) {

        while (p != end && memchr("+-.0123456789Ee", *p, 15)) {
            p++;
        }

        return p;
    }

    p = ollama_scan_plain(p, end);

    while (*p == '\\') {
        p = ollama_scan_plain(p + 2, end);
    }

    return p;
}


static int
shape_hole(usage_shape_t *s, ollama_usage_family_e family,
    const ollama_usage_note_t *note, const unsigned char *p,
    const unsigned char *end)
{
    unsigned              told;
    shape_hole_t         *hole;
    ollama_usage_key_e    key;
    ollama_usage_place_e  place;

    if (s->nholes == OLLAMA_USAGE_SHAPE_HOLES) {
        return 0;
    }

    place = (ollama_usage_place_e) note->place;
    key = (ollama_usage_key_e) note->key;

    hole = &s->holes[s->nholes];
    hole->start = s->len;

    if (note->token == OLLAMA_JSON_NUMBER) {
        hole->kind = hole_number;
        told = ollama_usage_facts_of_number(place, key);

        if (!shape_text(s, p, end)) {
            return 0;
        }

    } else if (ollama_usage_is_content(family, place, key)) {
        hole->kind = hole_content;
        told = 0;

    } else {
        told = ollama_usage_facts_of_string(place, key);
        hole->kind = told ? hole_string : hole_unread;

        if (end - p <= SHAPE_KEEP && memchr(p, '\\', end - p) == NULL
            && !shape_text(s, p, end))
        {
            return 0;
        }
    }

    hole->end = s->len;
    hole->bit = 0;

    if (told) {
        hole->bit = (uint32_t) 1 << s->nholes;

        if (key == key_model) {
            s->model = 1;

        } else {
            s->told |= hole->bit;
        }

        if (!shape_op(s, note, s->nholes)) {
            return 0;
        }
    }

    s->nholes++;

    return 1;
}


static int
shape_text(usage_shape_t *s, const unsigned char *p, const unsigned char *end)
{
    size_t  n;

    n = end - p;

    if (n > OLLAMA_USAGE_SHAPE_BYTES - s->len) {
        return 0;
    }

    memcpy(s->text + s->len, p, n);
    s->len += n;

    return 1;
}


static int
shape_op(usage_shape_t *s, const ollama_usage_note_t *note, unsigned hole)
{
    shape_op_t  *op;

    if (s->nops == OLLAMA_USAGE_NOTES) {
        return 0;
    }

    op = &s->ops[s->nops++];
    op->note = *note;
    op->hole = hole;

    return 1;
}


/* The clock's hand passes those that were met since it last came by. */

static usage_shape_t *
shape_room(void)
{
    usage_shape_t  *s;

    for ( ;; ) {
        s = &shapes[shape_hand++ % OLLAMA_USAGE_SHAPES];

        if (s->kind == 0 || !s->met) {
            return s;
        }

        s->met = 0;
    }
}
