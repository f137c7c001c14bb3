/*
 * What an answer says, and about whom.
 *
 * ollama_verdict() is a pure function: from one try's outcome to what is to be
 * held against the key and what becomes of the request.  It knows no clock, no
 * pool and no request; whoever calls it applies the result.
 *
 *   outcome                         key, scope                   request
 *   429 "session usage limit"       EXHAUSTED ACCOUNT, to the    NEXT_KEY
 *                                   next multiple of 18000 s
 *   429 "hourly usage limit"        .. to the next full hour     NEXT_KEY
 *   429 "weekly usage limit"        .. to Monday 00:00 UTC       NEXT_KEY
 *   429 "monthly", other "usage     .. Retry-After, else ladder  NEXT_KEY
 *       limit"                      15 m, 1, 2, 6, 12, 24 h
 *   429 "concurrent"                SLOTS ACCOUNT, Retry-After   NEXT_KEY
 *                                   (else 10 s, at most 60 s);
 *                                   slots learned from the
 *                                   header
 *   429 other text                  PAUSED KEY, Retry-After (at  NEXT_KEY
 *                                   most 24 h), else 15 s
 *                                   doubling to 15 m
 *   401                             INVALID KEY, 1 h             NEXT_KEY
 *   402, 403                        MODEL_BLOCKED KEY_MODEL, 1 h NEXT_KEY
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
 * OTHER_KEY_ONCE becomes RETURN when other_failed is set: the caller sets it
 * once a verdict of this request has been OTHER_KEY_ONCE.  A second key that
 * fails alike proves that it is not the key.
 *
 * Where an endpoint does not judge (OLLAMA_ROUTE_JUDGES), the cloud answers 401
 * to good keys and limits by rules of its own: 401 and 429 of unknown text hold
 * nothing against the key there, and one other key is tried.  The same goes for
 * 402 and 403 of a request without a model.
 *
 * The cloud's windows are fixed, so that a clock a little ahead of the cloud's
 * would wait for a whole window too much: within OLLAMA_WINDOW_GRACE seconds of
 * a window's beginning its end is not believed, and the penalty lasts for
 * OLLAMA_WINDOW_RECHECK seconds.
 *
 * BEHIND is no penalty and has no deadline here: the key goes after the others
 * for a while, which the pool measures.
 *
 * level is the key's place on its ladder: 0 at first, the verdict's level is to
 * be kept with the key, and 0 again after an answer that "proves".
 */

#ifndef OLLAMA_VERDICT_H_INCLUDED
#define OLLAMA_VERDICT_H_INCLUDED

#include <stddef.h>
#include <stdint.h>

#define OLLAMA_RETRY_AFTER_MAX  (31 * 86400)
#define OLLAMA_WINDOW_GRACE     10
#define OLLAMA_WINDOW_RECHECK   30


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
    int64_t                   now;           /* epoch seconds */
    unsigned                  level;
    unsigned                  is_html:1;
    unsigned                  judges:1;      /* of the route */
    unsigned                  has_model:1;
    unsigned                  other_failed:1;
} ollama_answer_t;


typedef struct {
    ollama_key_effect_e       key;
    ollama_scope_e            scope;
    ollama_request_effect_e   request;
    int64_t                   until;         /* epoch seconds, or 0 */
    unsigned                  level;         /* the next one */
    unsigned                  slots;         /* learned, 0: nothing */
    unsigned                  proves:1;      /* the key has worked */
    const char               *reason;        /* constant words, "" if none */
} ollama_verdict_t;


void ollama_verdict(const ollama_answer_t *a, ollama_verdict_t *v);

/*
 * The header's value, in seconds from now or as an HTTP date (all three
 * forms).  0 to OLLAMA_RETRY_AFTER_MAX, -1 if it cannot be understood.
 */
int64_t ollama_retry_after(const char *value, size_t len, int64_t now);

/* a deadline only ever grows */
int64_t ollama_deadline(int64_t old, int64_t new);


#endif /* OLLAMA_VERDICT_H_INCLUDED */
