
#include "first_json.h"
#include "error.h"
#include "scan_bytes.h"

#include <string.h>


/* f->keys: what a member's name means, at any of the places */

enum {
    KEY_OTHER = 0,
    KEY_ERROR,
    KEY_MESSAGE,
    KEY_TYPE,
    KEY_OBJECT,
    KEY_STATUS,
    KEY_NUMBER,
    KEY_CODE,
    KEY_RESPONSE,
    KEY_ID,
    KEY_USAGE,
    KEY_ANSWER
};


/* where a member stands */

enum {
    PLACE_NONE = 0,
    PLACE_TOP,
    PLACE_ERROR,
    PLACE_RESPONSE
};


static void first_punctuation(ollama_first_t *f, unsigned char c);
static void first_open(ollama_first_t *f, unsigned char c);
static const unsigned char *first_string(ollama_first_t *f,
    const unsigned char *p, const unsigned char *end);
static void first_string_begin(ollama_first_t *f);
static void first_name_over(ollama_first_t *f);
static void first_text_over(ollama_first_t *f);
static void first_type(ollama_first_t *f);
static void first_status(ollama_first_t *f, unsigned key, unsigned number);
static unsigned first_place(const ollama_first_t *f);
static unsigned first_number(const ollama_first_t *f);


#define first_space(c)                                                       \
    ((c) == ' ' || (c) == '\t' || (c) == '\n' || (c) == '\r')


static const ollama_first_name_t  ollama_first_keys[] = {
    { "model", KEY_ANSWER },
    { "id", KEY_ID },
    { "type", KEY_TYPE },
    { "error", KEY_ERROR },
    { "message", KEY_MESSAGE },
    { "object", KEY_OBJECT },
    { "status", KEY_STATUS },
    { "status_code", KEY_NUMBER },
    { "statusCode", KEY_NUMBER },
    { "http_status", KEY_NUMBER },
    { "code", KEY_CODE },
    { "response", KEY_RESPONSE },
    { "usage", KEY_USAGE },
    { "choices", KEY_ANSWER },
    { "content", KEY_ANSWER },
    { "delta", KEY_ANSWER },
    { "done", KEY_ANSWER },
    { "embedding", KEY_ANSWER },
    { "embeddings", KEY_ANSWER },
    { "output", KEY_ANSWER },
    { NULL, 0 }
};


const ollama_first_name_t  ollama_first_events[] = {
    { "error", 1 },
    { "response.failed", 1 },
    { "response.error", 1 },
    { "ping", 0 },
    { "keepalive", 0 },
    { "response.created", 0 },
    { "response.queued", 0 },
    { "response.in_progress", 0 },
    { NULL, 0 }
};


static const ollama_first_name_t  ollama_first_statuses[] = {
    { "invalid_request_error", 400 },
    { "authentication_error", 401 },
    { "invalid_api_key", 401 },
    { "billing_error", 402 },
    { "permission_error", 403 },
    { "not_found_error", 404 },
    { "request_too_large", 413 },
    { "rate_limit_error", 429 },
    { "rate_limit_exceeded", 429 },
    { "insufficient_quota", 429 },
    { "overloaded_error", 503 },
    { NULL, 0 }
};


const unsigned char *
ollama_first_json(ollama_first_t *f, const unsigned char *p,
    const unsigned char *end)
{
    while (p < end && f->what == OLLAMA_FIRST_UNKNOWN) {

        switch (f->json) {

        case JSON_STRING:
            p = first_string(f, p, end);
            break;

        case JSON_WORD:

            if (first_space(*p) || *p == ',' || *p == '}' || *p == ']') {
                ollama_first_word_over(f);

            } else {
                ollama_first_add(f, p++, 1);
            }

            break;

        case JSON_OVER:
            return p;

        default:

            if (!first_space(*p)) {
                first_punctuation(f, *p);
            }

            p++;
        }
    }

    return p;
}


static void
first_punctuation(ollama_first_t *f, unsigned char c)
{
    switch (c) {

    case '"':
        first_string_begin(f);
        return;

    case '{':
    case '[':
        first_open(f, c);
        return;

    case '}':
    case ']':

        if (f->depth > 1) {
            f->depth--;
            f->json = JSON_VALUE;
            return;
        }

        f->json = JSON_OVER;

        if (f->status && f->rank) {
            f->error = 1;
        }

        if (f->error || !f->neutral) {
            ollama_first_decide(f);
        }

        return;

    case ',':

        /* deeper than 31 names are not known from values: nobody asks */

        f->json = (f->depth < 32 && (f->objects >> f->depth & 1))
                  ? JSON_NAME : JSON_VALUE;
        return;

    case ':':
        f->json = JSON_VALUE;
        return;
    }

    if (f->json == JSON_NAME) {
        ollama_first_decide(f);
        return;
    }

    f->json = JSON_WORD;
    f->target = TARGET_WORD;
    f->nword = 0;

    ollama_first_add(f, &c, 1);
}


static void
first_open(ollama_first_t *f, unsigned char c)
{
    if (first_place(f) == PLACE_TOP) {

        if (f->keys[1] == KEY_ERROR) {
            f->error = 1;
        }

        if (f->keys[1] == KEY_USAGE && f->form.format == OLLAMA_FORMAT_JSON) {

            /* tokens were used: nobody shall pay for it twice */

            ollama_first_answer(f);
            return;
        }

        if (f->keys[1] == KEY_MESSAGE && f->form.format == OLLAMA_FORMAT_JSON
            && !f->error)
        {
            ollama_first_answer(f);
            return;
        }
    }

    f->depth++;

    f->json = (c == '{' && f->depth < 32) ? JSON_NAME : JSON_VALUE;

    if (f->depth < 32) {
        f->objects &= ~((uint32_t) 1 << f->depth);
        f->objects |= (uint32_t) (c == '{') << f->depth;
    }

    if (f->depth < 4) {
        f->keys[f->depth] = KEY_OTHER;
    }
}


static const unsigned char *
first_string(ollama_first_t *f, const unsigned char *p,
    const unsigned char *end)
{
    const unsigned char  *last;

    if (f->escape) {
        f->escape = 0;
        ollama_first_add(f, p, 1);
        return p + 1;
    }

    last = ollama_scan_plain(p, end);

    ollama_first_add(f, p, last - p);

    if (last == end) {
        return end;
    }

    if (*last == '"') {
        ollama_first_string_over(f);
        return last + 1;
    }

    f->escape = (*last == '\\');

    ollama_first_add(f, last, 1);

    return last + 1;
}


static void
first_string_begin(ollama_first_t *f)
{
    unsigned  key, place, rank;

    f->key = (f->json == JSON_NAME);
    f->json = JSON_STRING;
    f->escape = 0;
    f->target = TARGET_NONE;
    f->nword = 0;

    place = first_place(f);

    if (place == PLACE_NONE) {
        return;
    }

    if (f->key) {
        f->target = TARGET_WORD;
        return;
    }

    key = f->keys[f->depth];

    if (key == KEY_ERROR || key == KEY_MESSAGE) {

        if (place == PLACE_RESPONSE) {
            return;
        }

        rank = (place == PLACE_ERROR) ? 2 : (key == KEY_ERROR) ? 3 : 1;

        if (rank >= f->rank) {
            f->target = TARGET_TEXT;
            f->rank = rank;
            f->len = 0;
        }

    } else if (key >= KEY_TYPE && key <= KEY_CODE) {
        f->target = TARGET_WORD;
    }
}


void
ollama_first_string_over(ollama_first_t *f)
{
    f->json = JSON_VALUE;

    if (f->key) {
        first_name_over(f);

    } else if (f->target == TARGET_TEXT) {
        first_text_over(f);

    } else if (f->target == TARGET_WORD) {
        first_type(f);
    }
}


static void
first_name_over(ollama_first_t *f)
{
    unsigned  key;

    if (f->depth >= 4 || f->target != TARGET_WORD) {
        return;
    }

    if (!ollama_first_lookup(f, ollama_first_keys, &key)) {
        key = KEY_OTHER;
    }

    f->keys[f->depth] = key;

    if (f->depth > 1 || f->error) {
        return;
    }

    if (key == KEY_ANSWER
        || (key == KEY_ID && f->form.format == OLLAMA_FORMAT_SSE))
    {
        ollama_first_answer(f);
    }
}


static void
first_text_over(ollama_first_t *f)
{
    size_t         len;
    unsigned char  raw[OLLAMA_FIRST_TEXT];

    len = f->len;

    memcpy(raw, f->text, len);

    f->len = ollama_error_unescape(raw, len, f->text, sizeof(f->text));
    f->target = TARGET_NONE;

    if (f->rank != 3) {
        return;
    }

    /* "error" itself */

    if (f->len) {
        f->error = 1;

    } else {
        f->rank = 0;
    }
}


/* a number, or one of three words */

void
ollama_first_word_over(ollama_first_t *f)
{
    unsigned  key, place;

    f->json = JSON_VALUE;

    place = first_place(f);

    if (place == PLACE_NONE || place == PLACE_RESPONSE) {
        return;
    }

    key = f->keys[f->depth];

    if (place == PLACE_TOP && key == KEY_ERROR) {

        if (ollama_first_is(f, "null") || ollama_first_is(f, "false")
            || ollama_first_is(f, "0"))
        {
            if (!f->error) {
                ollama_first_answer(f);
            }

            return;
        }

        f->error = 1;
        key = KEY_CODE;
    }

    first_status(f, key, first_number(f));
}


/* a string that may be a word we know */

static void
first_type(ollama_first_t *f)
{
    unsigned  key, place, failed;

    place = first_place(f);
    key = f->keys[f->depth];

    if (key == KEY_STATUS || key == KEY_NUMBER || key == KEY_CODE) {

        if (key == KEY_STATUS && ollama_first_is(f, "failed")) {
            f->error = 1;
            return;
        }

        if (first_number(f)) {
            first_status(f, key, first_number(f));
            return;
        }
    }

    if (place == PLACE_ERROR && (key == KEY_TYPE || key == KEY_CODE)) {

        if (f->nword <= OLLAMA_FIRST_WORD
            && f->typed < ((key == KEY_TYPE) ? 2 : 1))
        {
            f->typed = (key == KEY_TYPE) ? 2 : 1;
            memcpy(f->type, f->word, f->nword);
            f->type[f->nword] = '\0';
        }

        return;
    }

    if (place != PLACE_TOP || (key != KEY_TYPE && key != KEY_OBJECT)) {
        return;
    }

    if (ollama_first_lookup(f, ollama_first_events, &failed)) {
        f->error |= failed;
        f->neutral |= (!failed && f->form.format == OLLAMA_FORMAT_SSE);
        return;
    }

    if (f->error || (key == KEY_OBJECT && ollama_first_is(f, "response"))) {
        return;
    }

    f->word[(f->nword <= OLLAMA_FIRST_WORD) ? f->nword : 0] = '\0';

    if (strstr(f->word, "_error") != NULL) {
        f->error = 1;
        f->typed = 1;
        memcpy(f->type, f->word, f->nword + 1);
        return;
    }

    ollama_first_answer(f);
}


static void
first_status(ollama_first_t *f, unsigned key, unsigned number)
{
    unsigned  rank;

    rank = (key == KEY_STATUS) ? 3 : (key == KEY_NUMBER) ? 2
           : (key == KEY_CODE) ? 1 : 0;

    if (number >= 400 && number <= 599 && rank > f->numbered) {
        f->status = number;
        f->numbered = rank;
    }
}


void
ollama_first_add(ollama_first_t *f, const unsigned char *p, size_t n)
{
    size_t  room;

    switch (f->target) {

    case TARGET_WORD:
        room = OLLAMA_FIRST_WORD + 1 - f->nword;
        n = (n < room) ? n : room;

        /* one byte too many tells that it is too long */

        memcpy(f->word + f->nword, p, n);
        f->nword += (unsigned) n;
        break;

    case TARGET_TEXT:
        room = OLLAMA_FIRST_TEXT - f->len;
        n = (n < room) ? n : room;

        memcpy(f->text + f->len, p, n);
        f->len += n;
    }
}


static unsigned
first_place(const ollama_first_t *f)
{
    if (f->depth == 0 || f->depth > 3 || !(f->objects >> f->depth & 1)) {
        return PLACE_NONE;
    }

    if (f->depth == 1) {
        return PLACE_TOP;
    }

    if (f->keys[1] == KEY_ERROR) {
        return (f->depth == 2) ? PLACE_ERROR : PLACE_NONE;
    }

    if (f->keys[1] != KEY_RESPONSE) {
        return PLACE_NONE;
    }

    if (f->depth == 2) {
        return PLACE_RESPONSE;
    }

    return (f->keys[2] == KEY_ERROR) ? PLACE_ERROR : PLACE_NONE;
}


static unsigned
first_number(const ollama_first_t *f)
{
    unsigned  i, n;

    n = 0;

    if (f->nword != 3) {
        return 0;
    }

    for (i = 0; i < 3; i++) {

        if (f->word[i] < '0' || f->word[i] > '9') {
            return 0;
        }

        n = n * 10 + (unsigned) (f->word[i] - '0');
    }

    return n;
}


int
ollama_first_is(const ollama_first_t *f, const char *name)
{
    return f->nword == strlen(name) && memcmp(f->word, name, f->nword) == 0;
}


int
ollama_first_lookup(const ollama_first_t *f, const ollama_first_name_t *names,
    unsigned *value)
{
    for ( /* void */ ; names->name; names++) {

        if (ollama_first_is(f, names->name)) {
            *value = names->value;
            return 1;
        }
    }

    return 0;
}


void
ollama_first_decide(ollama_first_t *f)
{
    size_t    i;
    unsigned  n;

    if (!f->error) {
        ollama_first_answer(f);
        return;
    }

    f->what = OLLAMA_FIRST_ERROR;

    for (i = 0; i < f->len; i++) {
        if (f->text[i] == '\0') {
            f->text[i] = ' ';
        }
    }

    f->text[f->len] = '\0';

    if (f->status == 0 && f->type[0] != '\0') {
        f->nword = (unsigned) strlen(f->type);
        memcpy(f->word, f->type, f->nword);

        if (ollama_first_lookup(f, ollama_first_statuses, &n)) {
            f->status = n;
        }
    }
}


void
ollama_first_answer(ollama_first_t *f)
{
    f->what = OLLAMA_FIRST_ANSWER;
    f->status = 0;
    f->len = 0;
    f->text[0] = '\0';
    f->type[0] = '\0';
}
