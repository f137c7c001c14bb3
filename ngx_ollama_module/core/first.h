/*
 * first.h - the first event of an answer: does it say that there is none?
 *
 * The cloud may tell a failure inside of a 200: as the first line, the first
 * event, or the only document.  Nothing has reached the client by then, so the
 * beginning of a body is held for as long as it takes to see that it is no
 * error, and not for a byte longer.
 *
 *     ollama_first_init(&f);
 *     what = ollama_first_feed(&f, p, n);      the decoded body, split anywhere
 *     what = ollama_first_finish(&f);          no more comes, or is waited for
 *
 *     UNKNOWN   more bytes have to come; never after finish()
 *     ANSWER    no error: the body passes.  This is final
 *     ERROR     the failure, read to its end, with text, type and status.  This
 *               is final, too
 *
 * The form comes from the first bytes alone (form.h), whatever a Content-Type
 * says.  What is neither JSON nor SSE, packed bytes and HTML among it, is an
 * ANSWER.
 *
 * JSON: the first document.  It is an answer with the first member's name that
 * only answers have (model, choices, content, ..), which is the very first one
 * nearly always; and an error if it has a member "error" that is not null,
 * false or empty, "type" or "object" name an error, its "status" is "failed",
 * or it is over and has a "message" and the number of an HTTP status.  With an
 * object "usage" it is an answer all the same: it has been paid for.
 *
 * SSE: comments are passed over, and so are the events which say nothing yet:
 * ping, response.created, response.queued, response.in_progress.  The first
 * other one decides: by its name, when that is there ("error",
 * "response.failed"), else by its data as above, where "id" is of an answer.
 *
 * text     "error" if it is a string, else its "message", else the "message" at
 *          the top (response.failed: that of response.error); unescaped, cut,
 *          any bytes but NUL.  "event: error" may have plain text for data.
 * type     "type", else "code" of the error, where they are words
 * status   named by a number (status, status_code, code), else by a type that
 *          stands for one, 400 to 599; 0: none is named
 *
 * Members are known at these places only; what lies deeper is the user's.
 * Broken JSON is an answer, unless an error was seen in it before.
 */

#ifndef OLLAMA_FIRST_H_INCLUDED
#define OLLAMA_FIRST_H_INCLUDED

#include <stddef.h>
#include <stdint.h>

#include "form.h"


#define OLLAMA_FIRST_TEXT  512
#define OLLAMA_FIRST_WORD  32


typedef enum {
    OLLAMA_FIRST_UNKNOWN = 0,
    OLLAMA_FIRST_ANSWER,
    OLLAMA_FIRST_ERROR
} ollama_first_e;


typedef struct {
    ollama_form_t   form;
    ollama_first_e  what;
    unsigned        status;
    size_t          len;                /* of the text */
    char            text[OLLAMA_FIRST_TEXT + 1];
    char            type[OLLAMA_FIRST_WORD + 1];    /* "": none */

    /* its own */

    unsigned        line;               /* state within SSE, or before */
    unsigned        json;               /* state within a document */
    unsigned        depth;
    uint32_t        objects;            /* brackets that are braces, by depth */
    unsigned        keys[4];            /* the member, by depth */
    unsigned        target;             /* where a string goes */
    unsigned        nword;
    unsigned        rank;               /* of the text, */
    unsigned        typed;              /*   of the type, */
    unsigned        numbered;           /*   of the status */
    unsigned        escape:1;
    unsigned        key:1;              /* the string is a name */
    unsigned        cr:1;
    unsigned        error:1;            /* seen, its end has not come */
    unsigned        neutral:1;          /* this event says nothing yet */
    char            word[OLLAMA_FIRST_WORD + 1];
} ollama_first_t;


void ollama_first_init(ollama_first_t *f);
ollama_first_e ollama_first_feed(ollama_first_t *f, const unsigned char *p,
    size_t n);
ollama_first_e ollama_first_finish(ollama_first_t *f);


#endif /* OLLAMA_FIRST_H_INCLUDED */
