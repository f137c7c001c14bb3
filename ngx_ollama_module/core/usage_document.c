#include "usage_document.h"
#include "usage_shape.h"

#include <stdlib.h>


struct ollama_usage_document_s {
    ollama_usage_answer_t    *answer;
    ollama_usage_document_t  *next;     /* of those that are kept */
    ollama_usage_facts_t      facts;
    ollama_usage_key_e        key;      /* whose value comes */
    unsigned                  fed;

    size_t                    nnotes;   /* one more than fit: no shape */
    ollama_usage_note_t       notes[OLLAMA_USAGE_NOTES];

    unsigned char             places[OLLAMA_JSON_READER_DEPTH + 2];

    ollama_json_reader_t      reader;
};


static ollama_usage_document_t *document_create(void);
static void document_keep(ollama_usage_document_t *d);
static int document_token(void *ctx, ollama_json_token_e token,
    const unsigned char *text, size_t len);
static void document_string(ollama_usage_document_t *d,
    ollama_usage_place_e place, const unsigned char *text, size_t len);
static void document_number(ollama_usage_document_t *d,
    ollama_usage_place_e place, const unsigned char *text, size_t len);
static void document_opened(ollama_usage_document_t *d);
static void document_closed(ollama_usage_document_t *d);
static void document_note(ollama_usage_document_t *d, unsigned token,
    unsigned place, unsigned key);


static ollama_usage_document_t  *document_spare;
static unsigned                  document_nspare;


int
ollama_usage_document_reserve(void)
{
    ollama_usage_document_t  *d;

    if (document_spare) {
        return 1;
    }

    d = document_create();

    if (d == NULL) {
        return 0;
    }

    document_keep(d);

    return 1;
}


ollama_usage_document_t *
ollama_usage_document_open(ollama_usage_answer_t *a)
{
    ollama_usage_document_t  *d;

    d = document_spare;

    if (d) {
        document_spare = d->next;
        document_nspare--;

    } else {
        d = document_create();

        if (d == NULL) {
            return NULL;
        }
    }

    d->answer = a;
    d->key = key_none;
    d->fed = 0;
    d->nnotes = 0;
    d->places[0] = place_other;

    ollama_usage_facts_begin(&d->facts);

    return d;
}


int
ollama_usage_document_feed(ollama_usage_document_t *d,
    const unsigned char **p, const unsigned char *end)
{
    int                   rc;
    unsigned              whole;
    const unsigned char  *start;

    start = *p;
    whole = !d->fed;
    d->fed = 1;

    rc = ollama_json_reader_feed(&d->reader, p, end);

    if (rc == OLLAMA_JSON_READER_MORE) {
        return rc;
    }

    if (rc == OLLAMA_JSON_READER_DONE) {
        ollama_usage_facts_end(d->answer, &d->facts);

        if (whole && d->nnotes <= OLLAMA_USAGE_NOTES) {
            ollama_usage_shape_learn(d->answer, &d->facts, d->notes,
                                     d->nnotes, start, *p);
        }
    }

    document_keep(d);

    return rc;
}


void
ollama_usage_document_close(ollama_usage_document_t *d)
{
    (void) ollama_json_reader_restart(&d->reader);

    document_keep(d);
}


uint64_t
ollama_usage_document_open_content(const ollama_usage_document_t *d)
{
    unsigned  place;

    place = d->places[d->reader.depth];

    if (!ollama_usage_is_content(d->answer->family,
                                 (ollama_usage_place_e) place, d->key))
    {
        return 0;
    }

    return ollama_json_reader_open_string(&d->reader);
}


static ollama_usage_document_t *
document_create(void)
{
    ollama_usage_document_t  *d;

    d = malloc(sizeof(ollama_usage_document_t));

    if (d == NULL) {
        return NULL;
    }

    if (!ollama_json_reader_init(&d->reader, document_token, d)) {
        free(d);
        return NULL;
    }

    return d;
}


static void
document_keep(ollama_usage_document_t *d)
{
    if (document_nspare == OLLAMA_USAGE_DOCUMENTS) {
        ollama_json_reader_free(&d->reader);
        free(d);
        return;
    }

    d->next = document_spare;
    document_spare = d;
    document_nspare++;
}


static int
document_token(void *ctx, ollama_json_token_e token, const unsigned char *text,
    size_t len)
{
    ollama_usage_place_e      place;
    ollama_usage_document_t  *d = ctx;

    place = (ollama_usage_place_e) d->places[d->reader.depth];

    switch (token) {

    case OLLAMA_JSON_KEY:
        document_note(d, token, place_other, key_none);

        if (place == place_arguments) {
            d->answer->result.content_bytes += len + d->reader.dropped;

        } else if (place != place_other && d->reader.dropped == 0) {
            d->key = ollama_usage_key(text, len);
        }

        return 1;

    case OLLAMA_JSON_OBJECT:
    case OLLAMA_JSON_ARRAY:
        document_opened(d);
        break;

    case OLLAMA_JSON_OBJECT_END:
    case OLLAMA_JSON_ARRAY_END:
        document_closed(d);
        break;

    case OLLAMA_JSON_STRING:
        document_note(d, token, place, d->key);
        document_string(d, place, text, len);
        break;

    case OLLAMA_JSON_NUMBER:
        document_note(d, token, place, d->key);
        document_number(d, place, text, len);
        break;

    case OLLAMA_JSON_TRUE:
    case OLLAMA_JSON_FALSE:
        if (place == place_root && d->key == key_done) {
            document_note(d, token, place, d->key);
            ollama_usage_facts_bool(&d->facts, place, d->key,
                                    token == OLLAMA_JSON_TRUE);
        }

        break;

    case OLLAMA_JSON_NULL:
        break;
    }

    d->key = key_none;

    return 1;
}


static void
document_string(ollama_usage_document_t *d, ollama_usage_place_e place,
    const unsigned char *text, size_t len)
{
    if (place == place_other) {
        return;
    }

    if (ollama_usage_is_content(d->answer->family, place, d->key)) {
        d->answer->result.content_bytes += len + d->reader.dropped;
        return;
    }

    if (ollama_usage_facts_of_string(place, d->key)) {
        ollama_usage_facts_string(d->answer, &d->facts, place, d->key, text,
                                  len);
    }
}


static void
document_number(ollama_usage_document_t *d, ollama_usage_place_e place,
    const unsigned char *text, size_t len)
{
    if (place == place_arguments) {
        d->answer->result.content_bytes += len;
        return;
    }

    if (ollama_usage_facts_of_number(place, d->key)) {
        ollama_usage_facts_number(d->answer, &d->facts, place, d->key, text,
                                  len);
    }
}


static void
document_opened(ollama_usage_document_t *d)
{
    unsigned                depth;
    ollama_usage_place_e    place;
    ollama_usage_answer_t  *a;

    a = d->answer;
    depth = d->reader.depth;

    place = (depth == 1)
            ? place_root
            : ollama_usage_enter(a->family, a->format == OLLAMA_FORMAT_SSE,
                           (ollama_usage_place_e) d->places[depth - 1],
                           d->key);

    d->places[depth] = place;

    switch (place) {

    case place_usage:
    case place_error:
    case place_choices:
    case place_choice:
        document_note(d, OLLAMA_JSON_OBJECT, place, key_none);
        ollama_usage_facts_open(a, &d->facts, place);
        break;

    case place_arguments:

        /* names and numbers are content, too, and never twice the same */

        d->nnotes = OLLAMA_USAGE_NOTES + 1;
        break;

    default:
        break;
    }
}


static void
document_closed(ollama_usage_document_t *d)
{
    unsigned              depth;
    ollama_usage_place_e  place, around;

    depth = d->reader.depth;
    around = (ollama_usage_place_e) d->places[depth];
    place = (ollama_usage_place_e) d->places[depth + 1];

    if (place == place_usage || place == place_choices) {
        document_note(d, OLLAMA_JSON_OBJECT_END, place, around);
        ollama_usage_facts_close(d->answer, &d->facts, place, around);
    }
}


static void
document_note(ollama_usage_document_t *d, unsigned token, unsigned place,
    unsigned key)
{
    ollama_usage_note_t  *note;

    if (d->nnotes >= OLLAMA_USAGE_NOTES) {
        d->nnotes = OLLAMA_USAGE_NOTES + 1;
        return;
    }

    note = &d->notes[d->nnotes++];
    note->token = token;
    note->place = place;
    note->key = key;
}
