/*
 * What an answer says, and about whom.
 *
 * ollama_verdict() is a pure function: from one try's outcome, and what is
 * known of the key and of the others, to what is to be held against the key and
 * what becomes of the request.  It knows no clock, no pool and no request;
 * whoever calls it applies the result.
 *
 *   outcome                         key, scope                   request
 *   429 "session usage limit"       EXHAUSTED ACCOUNT, to the    NEXT_KEY
 *                                   next multiple of 18000 s
 *   429 "hourly usage limit"        .. to the next full hour     NEXT_KEY
 *   429 "weekly usage limit"        .. to Monday 00:00 UTC       NEXT_KEY
 *   429 "monthly usage limit"       .. to period_end where that  NEXT_KEY
 *                                   is known, else as the next
 *   429 other "usage limit"         .. Retry-After, else ladder  NEXT_KEY
 *                                   15 m, 1, 2, 6, 12, 24 h
 *   429 "concurrent"                SLOTS ACCOUNT, Retry-After   NEXT_KEY
 *                                   (else 10 s, at most 60 s);
 *                                   slots learned from the
 *                                   header
 *   429 other text                  PAUSED KEY, Retry-After (at  NEXT_KEY
 *                                   most 24 h), else, softly,
 *                                   15 s doubling to 15 m
 *   401, again, and another key     INVALID KEY, 1 h             NEXT_KEY
 *     has worked meanwhile
 *   401, key never seen working;    INVALID KEY, 10 s; softly    NEXT_KEY
 *     or the third in 60 s, with    the first time of a key
 *     nobody to compare it with     never seen working
 *   401 else                        PAUSED KEY, softly, 2, 4, 8, NEXT_KEY
 *                                   10 s
 *   402, 403 "balance is empty",    EXHAUSTED ACCOUNT, unpaid,   NEXT_KEY
 *     "add credits" without "this   Retry-After, else ladder
 *     model"; 402 without it for    15 m, 1, 2, 6, 12, 24 h
 *     a second model within 10 m
 *   402; 403 "subscription",        MODEL_BLOCKED KEY_MODEL, 60  NEXT_KEY
 *     "plan", "usage", "credits",   s, and 1 h when it comes
 *     "upgrade"                     again; softly
 *   403 other text                  none                         OTHER_KEY_
 *                                                                ONCE
 *   5xx (not 501, 505); HTML in     none                         OTHER_KEY_
 *     place of 401, 402, 403, 429;                               ONCE
 *     400 "Internal Server Error"
 *   no connection, silence          none                         OTHER_KEY_
 *                                                                ONCE
 *   EOF or reset after the request  BEHIND KEY                   OTHER_KEY_
 *     was sent, before the headers                               ONCE
 *   stale keepalive connection      none                         SAME_KEY
 *   anything else                   none                         RETURN
 *
 * Compare before you condemn.  One refusal is not proof: the cloud has hiccups,
 * in which it refuses every key.  What may be one is held softly: when nothing
 * but soft things keep all keys from a request, the one that is free soonest is
 * tried all the same, and the client hears the cloud's own words.
 *
 * A "usage limit" in a 402 or 403 that is not about "this model" is a quota as
 * in a 429, and a 429 without Retry-After whose account is out of money says so
 * as a 402 does.
 *
 * inside: the error was told in the body of an answer with status 200.  Quota
 * and "concurrent" are judged by the text whatever status it names.  One that
 * names none (status below 400) is a 401, 402 or 429 by its words, else a 500.
 * Such an answer never proves anything.
 *
 * OTHER_KEY_ONCE becomes RETURN when other_failed is set: the caller sets it
 * once a verdict of this request has been OTHER_KEY_ONCE.  A second key that
 * fails alike proves that it is not the key.
 *
 * Where an endpoint does not judge (OLLAMA_ROUTE_JUDGES), the cloud answers 401
 * to good keys and limits by rules of its own: 401 and 429 of unknown text hold
 * nothing against the key there, and one other key is tried.  The same goes for
 * 402 and 403 of a request without a model, unless the money is gone.
 *
 * The cloud's windows are fixed, so that a clock a little ahead of the cloud's
 * would wait for a whole window too much: within OLLAMA_WINDOW_GRACE seconds of
 * a window's beginning its end is not believed, and the penalty lasts for
 * OLLAMA_WINDOW_RECHECK seconds.  No penalty lasts longer than its kind can,
 * ollama_verdict_longest(), whatever a clock or an old record says.
 *
 * BEHIND is no penalty and has no deadline here: the key goes after the others
 * for a while, which the pool measures.
 *
 * level is the key's place on its ladder: 0 at first, the verdict's level is to
 * be kept with the key, and 0 again after an answer that "proves".  blocked is
 * the same of the key with this model, and in the verdict it is its next one.
 */

#ifndef OLLAMA_VERDICT_H_INCLUDED
#define OLLAMA_VERDICT_H_INCLUDED

#include <stddef.h>
#include <stdint.h>

#include "retry_after.h"

#define OLLAMA_WINDOW_GRACE    10
#define OLLAMA_WINDOW_RECHECK  30


typedef enum {
    OLLAMA_FAIL_NONE = 0,           /* there is an answer */
    OLLAMA_FAIL_CONNECT,            /* connecting or TLS failed */
    OLLAMA_FAIL_TIMEOUT_FIRST_BYTE,
    OLLAMA_FAIL_STALE,              /* a kept connection turned out closed */
    OLLAMA_FAIL_ABORTED_EARLY       /* EOF or reset before the headers */
} ollama_failure_e;


typedef enum {
    OLLAMA_KEY_NONE = 0,
    OLLAMA_KEY_EXHAUSTED,
    OLLAMA_KEY_SLOTS,
    OLLAMA_KEY_PAUSED,
    OLLAMA_KEY_INVALID,
    OLLAMA_KEY_MODEL_BLOCKED,
    OLLAMA_KEY_BEHIND
} ollama_key_effect_e;


typedef enum {
    OLLAMA_SCOPE_KEY = 0,
    OLLAMA_SCOPE_ACCOUNT,           /* all keys of the account */
    OLLAMA_SCOPE_KEY_MODEL
} ollama_scope_e;


typedef enum {
    OLLAMA_REQUEST_RETURN = 0,      /* the answer goes to the client as it is */
    OLLAMA_REQUEST_NEXT_KEY,
    OLLAMA_REQUEST_OTHER_KEY_ONCE,
    OLLAMA_REQUEST_SAME_KEY
} ollama_request_effect_e;


typedef struct {
    ollama_failure_e          failure;
    unsigned                  status;        /* with OLLAMA_FAIL_NONE only */
    const unsigned char      *body;          /* its start, maybe cut anywhere */
    size_t                    body_len;
    int64_t                   retry_after;   /* seconds, -1: absent */
    int64_t                   max_concurrent;/* x-ratelimit-.., -1: absent */
    int64_t                   period_end;    /* epoch seconds, 0: unknown */
    int64_t                   now;           /* epoch seconds */
    unsigned                  is_html:1;
    unsigned                  inside:1;      /* told inside of a 200 */
    unsigned                  judges:1;      /* of the route */
    unsigned                  has_model:1;
    unsigned                  other_failed:1;

    /* what is known of the key, and of the others: the pool's */

    unsigned                  level;
    unsigned                  blocked;       /* level of (key, model) */
    unsigned                  refused;       /* 401s in a row before this one */
    int64_t                   refused_since; /* the first of these */
    unsigned                  worked:1;      /* it has worked */
    unsigned                  other_worked:1;   /* another one, since then */
    unsigned                  other_differs:1;  /* or failed otherwise */
    unsigned                  other_unpaid:1;   /* 402 for another model */
} ollama_answer_t;


typedef struct {
    ollama_key_effect_e       key;
    ollama_scope_e            scope;
    ollama_request_effect_e   request;
    int64_t                   until;         /* epoch seconds, or 0 */
    unsigned                  level;         /* the next one */
    unsigned                  blocked;       /* likewise */
    unsigned                  slots;         /* learned, 0: nothing */
    unsigned                  proves:1;      /* the key has worked */
    unsigned                  certain:1;     /* will not be chosen again */
    unsigned                  soft:1;        /* better tried than refused */
    unsigned                  refused:1;     /* a 401 that counts */
    unsigned                  unpaid:1;      /* the account, so all its keys */
    unsigned                  suspect:1;     /* perhaps: a 402 of one model */
    const char               *reason;        /* constant words, "" if none */
} ollama_verdict_t;


void ollama_verdict(const ollama_answer_t *a, ollama_verdict_t *v);

/* the status that an error inside of an answer stands for */
unsigned ollama_verdict_status(const ollama_answer_t *a);

/* a deadline only ever grows */
int64_t ollama_deadline(int64_t old, int64_t new);

/* seconds that such a penalty can last; the reason tells the window */
int64_t ollama_verdict_longest(ollama_key_effect_e key, const char *reason);


#endif /* OLLAMA_VERDICT_H_INCLUDED */
