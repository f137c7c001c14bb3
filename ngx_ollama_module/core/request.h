/*
 * request.h - what a request body says, and what must change in it.
 *
 * A scanner that is fed the body in pieces, split anywhere, while it arrives.
 * It notes facts (which model, streamed or not, ...) and where edits are due,
 * as offsets into the original body.  It keeps no copy of the body: its size
 * is fixed (about 3 KB), and feeding or resetting it allocates nothing.
 *
 *     r = ollama_request_create();                once, NULL: out of memory
 *     ollama_request_reset(r, flags);             before every body
 *     ollama_request_feed(r, p, n);  ...          any number of pieces
 *     ollama_request_finish(r);                   no more is coming
 *     facts = ollama_request_facts(r);            valid until reset, destroy
 *     n = ollama_request_edits(r, want, edits, OLLAMA_REQUEST_MAX_EDITS);
 *     ollama_request_destroy(r);
 *
 * feed() returns OLLAMA_REQUEST_OK, or OLLAMA_REQUEST_INVALID from the piece
 * on which shows that the body is no JSON object.  That is no failure of the
 * scanner: feeding may go on (only the bytes are counted), or stop.
 *
 * A body which does not begin with a JSON object (broken, an array, a byte
 * order mark, nested deeper than 10000) has valid = 0, no other fact than its
 * length, and no edits: it passes untouched, and the cloud says what is wrong
 * with it.  What follows the object is not read, nor is it by the cloud's
 * decoder: a NUL, a brace too many, another object.
 *
 * Meaning follows the cloud's decoder, Go's encoding/json: names of members
 * match whatever their case ("Stream", also with U+017F and U+212A, which
 * fold to s and k), of duplicates the last one holds, null leaves a plain
 * field as it was, and the members of duplicate stream_options objects merge.
 * Only members of the outermost object count, wherever they stand.
 *
 * Pictures, sound and files that the body carries are counted, and their bytes
 * told apart from those of text: request_media.h.
 *
 * Which conversation it goes on with: request_session.h.
 *
 * A model's name is what the client sent, unescaped: any bytes, line feeds and
 * NULs among them.  Take model_len, and escape it wherever it is shown.
 *
 * Edits
 *
 *  - The cloud suffix of a model's name goes: "glm-4.7:cloud" -> "glm-4.7",
 *    "gpt-oss:20b-cloud" -> "gpt-oss:20b" (in any case; -cloud only at the end
 *    of a tag; once).  The raw bytes of the suffix are removed, escaped
 *    ("\u002dcloud") or not, from every duplicate of the member.
 *  - OLLAMA_EDIT_INCLUDE_USAGE: when stream is true and
 *    stream_options.include_usage is not, it is made true: false and null are
 *    replaced, the member is put into an object that lacks it, an object takes
 *    the place of a null, and a body without stream_options gets one.  Values
 *    of a wrong type stay, the client gets the cloud's own 400 for them.
 *
 * An edit means: at `offset` of the original body leave out `remove` bytes and
 * put `insert` (a static string, not ours to free) in their place.  They come
 * sorted, do not overlap, and all other bytes stay as they are.  Only the last
 * OLLAMA_REQUEST_DUPLICATES duplicates of a member are edited: of a hundred,
 * the last one holds anyway.
 *
 * Why not yajl here, as for the answers: it collects a string that comes in
 * pieces until its end, so an image of 60 MB in a body would be held twice, and
 * it hands over the unescaped string, while an edit needs to know where in the
 * raw bytes the suffix begins.  It also costs three times as much (-O2, one
 * core of an EPYC, callbacks that do nothing):
 *
 *     body                     here                   yajl 2.1
 *     chat, 1 KB               0.6 us, 1700 MB/s      1.7 us, 610 MB/s
 *     source code, 600 KB      1700 MB/s              490 MB/s
 *     tools, 1.3 MB            1500 MB/s              400 MB/s
 *     integers, 6 MB           800 MB/s               270 MB/s
 *     an image, 60 MB          20000 MB/s             1800 MB/s
 */

#ifndef OLLAMA_REQUEST_H_INCLUDED
#define OLLAMA_REQUEST_H_INCLUDED

#include <stddef.h>
#include <stdint.h>


#define OLLAMA_REQUEST_OK          0
#define OLLAMA_REQUEST_INVALID     (-1)

/* route flags of reset() */

#define OLLAMA_REQUEST_NATIVE      0x01  /* /api: stream is true by default */
#define OLLAMA_REQUEST_NAME        0x02  /* /api/show: `name` may stand for
                                            `model`, and is edited alike */

#define OLLAMA_REQUEST_TURNS       0x04  /* it is one of a conversation's */
#define OLLAMA_REQUEST_USER        0x08  /* and metadata.user_id may say so */

/* wanted edits */

#define OLLAMA_EDIT_MODEL          0x01
#define OLLAMA_EDIT_INCLUDE_USAGE  0x02

#define OLLAMA_REQUEST_DUPLICATES  8
#define OLLAMA_REQUEST_MAX_EDITS   (2 * OLLAMA_REQUEST_DUPLICATES)

#define OLLAMA_MODEL_MAX           255


typedef struct ollama_request_s  ollama_request_t;


typedef struct {
    uint64_t      bytes;              /* length of the body */
    uint64_t      media_bytes;        /* of it: pictures and the like, which */
    unsigned      pictures;           /*   are so many */
    unsigned      documents;
    unsigned      audio;

    uint64_t      session;            /* of its conversation, 0: none */
    unsigned      named;              /* it: without regard to the model; if
                                         not: */
    unsigned      begins;             /* this is its first turn */

    unsigned      valid:1;            /* one JSON object */
    unsigned      stream_present:1;   /* a stream member that is not null */
    unsigned      stream_true:1;      /* its value */
    unsigned      streaming:1;        /* its value, or the route's default */
    unsigned      stream_options:1;   /* an object (not null) is there */
    unsigned      include_usage:1;    /* stream_options.include_usage: true */
    unsigned      prompt_empty:1;     /* prompt "", null or absent */
    unsigned      messages_empty:1;   /* messages [], null or absent */
    unsigned      keep_alive_zero:1;  /* 0, "0", "0s", ...: unload */
    unsigned      model_stripped:1;   /* model differs from model_sent */
    unsigned      model_cut:1;        /* longer than OLLAMA_MODEL_MAX: the
                                         name's start, no suffix looked for */

    size_t        model_sent_len;     /* 0: none */
    size_t        model_len;
    char          model_sent[OLLAMA_MODEL_MAX + 1];   /* unescaped, UTF-8 */
    char          model[OLLAMA_MODEL_MAX + 1];        /* without suffix */
} ollama_request_facts_t;


typedef struct {
    uint64_t      offset;
    uint64_t      remove;
    const char   *insert;             /* NULL when insert_len is 0 */
    size_t        insert_len;
} ollama_edit_t;


ollama_request_t *ollama_request_create(void);
void ollama_request_destroy(ollama_request_t *r);
void ollama_request_reset(ollama_request_t *r, unsigned route_flags);

int ollama_request_feed(ollama_request_t *r, const unsigned char *p, size_t n);
void ollama_request_finish(ollama_request_t *r);

const ollama_request_facts_t *ollama_request_facts(const ollama_request_t *r);

/*
 * Writes at most max edits and returns how many there are, so that a result
 * above max means that some are missing.  After finish() only.
 */
size_t ollama_request_edits(const ollama_request_t *r, unsigned want,
    ollama_edit_t *out, size_t max);

/* Tokens that the body is likely to be (usage.h), whatever is in it. */
uint64_t ollama_request_tokens(const ollama_request_facts_t *facts);

/* The length of a model's name without its cloud suffix; n if it has none. */
size_t ollama_model_strip(const char *name, size_t n);


#endif /* OLLAMA_REQUEST_H_INCLUDED */
