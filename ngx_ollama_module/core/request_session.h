/*
 * request_session.h - whose turn a request body is: which conversation it goes
 * on with.  For request.c.
 *
 * A conversation is known by what the client calls it, or by how it begins; the
 * first of these that is there:
 *
 *     prompt_cache_key
 *     metadata.user_id       of Anthropic's API alone
 *     system and first user message, of a list of messages; whoever asks adds
 *                            the model
 *
 * System is what comes before the first user message with a role of system or
 * developer, and `system` (Anthropic's) or `instructions` (Responses).  Of a
 * message its text alone counts: `content`, and `text` and `content` of its
 * parts; a mark that wanders from turn to turn (cache_control) says nothing.
 * Of what is no text the bytes are counted, so that the same question about
 * another picture is another conversation.  `input` may be the first message
 * itself.  A body with a previous_response_id does not begin where all began:
 * only its prompt_cache_key tells.
 *
 * What begins is told from what goes on: behind the first user message there is
 * another one.  So a question that is asked again and again, of a thousand
 * documents that look alike from afar, is a thousand beginnings.
 *
 * Nothing is looked for in bodies without turns (generate, completions,
 * embeddings): nothing shows that one goes on with another.  `context` of
 * /api/generate is another one in each turn.
 *
 * The bytes of a string are hashed as they stand in the body, escapes and all:
 * a client that sends a message again sends the same bytes.  They are hashed as
 * they pass, whatever their length, without being kept or unescaped, and after
 * the first user message no more is listened to than without this.  Names and
 * roles are matched as the scanner of media does it.  Of duplicates the last
 * one holds.
 *
 * Two conversations that have the same hash have the same preference for an
 * account: nothing worse follows from it.
 */

#ifndef OLLAMA_REQUEST_SESSION_H_INCLUDED
#define OLLAMA_REQUEST_SESSION_H_INCLUDED

#include "mix.h"
#include "scan.h"


/* what the string that passes is for */

typedef enum {
    session_nothing = 0,
    session_system,
    session_text,                       /* of the open message */
    session_first,                      /* the first message itself */
    session_user,
    session_key
} ollama_request_tap_e;


typedef struct {
    ollama_request_tap_e   tap;
    unsigned               looking;     /* for the first user message */
    unsigned               began;       /* and it was found, */
    unsigned               more;        /*   with others behind it */
    unsigned               later;       /* goes on with an older response */
    unsigned               speaks;      /* who, in the open message; 0: ? */

    uint64_t               text;        /* hashes, 0: none */
    uint64_t               said;        /* by system messages */
    uint64_t               system;
    uint64_t               first;
    uint64_t               user;
    uint64_t               key;

    ollama_mix_t           mix;         /* of the string that passes */
} ollama_request_session_t;



void ollama_request_session_begin(ollama_request_session_t *s);

/* a list of messages begins */
void ollama_request_session_list(ollama_request_session_t *s);

/* the next string, if one comes, and nothing else */
void ollama_request_session_listen(ollama_request_session_t *s,
    ollama_scan_t *scan, ollama_request_tap_e tap);

/* while there is a tap: what the scanner has read, from `from` to `p` */
void ollama_request_session_heard(ollama_request_session_t *s,
    ollama_scan_t *scan, ollama_scan_token_e token,
    const unsigned char *from, const unsigned char *p);

/* of several roles of a message the first one holds */
void ollama_request_session_role(ollama_request_session_t *s,
    const char *role, size_t len);

/* a message begins with a role, as nearly all do, and all of that is here */
int ollama_request_session_begins(ollama_request_session_t *s,
    const unsigned char *p, const unsigned char *end);

/* a message ends; true: no other matters.  media: bytes that are no text */
int ollama_request_session_ends(ollama_request_session_t *s, uint64_t media);

/* 0: no conversation; named: the client has said so, as the first two do */
uint64_t ollama_request_session_end(ollama_request_session_t *s,
    uint64_t media, unsigned *named);

/* nothing has been said before: the first turn, after any end */
#define ollama_request_session_first(s)  (!(s)->more)


#endif /* OLLAMA_REQUEST_SESSION_H_INCLUDED */
