
/*
 * The wire format between the module and the daemon, defined once.
 *
 * Both sides are connected by one unix stream socket.  What goes over it is
 * a row of frames (frame.h); here is what is in them.
 *
 * Strings are a 16-bit length and bytes, of any encoding, without a
 * terminating zero.  Times of day are milliseconds since 1970 (UTC),
 * durations are milliseconds, a minute is seconds since 1970 divided by 60.
 *
 * A conversation:
 *
 *     module                                daemon
 *     HELLO  instance, versions
 *     KEY    one per configured key
 *     READY
 *                                           WELCOME  last number committed
 *                                           USAGE    one per key with usage
 *                                           PENALTY  one per standing penalty
 *                                           READY
 *     REQUEST, BODY, PENALTY, ... (numbered)
 *                                           ACK      last number committed
 *                                           BALANCE  an account's, as it comes
 *     OUTBOX, KEYSTATE (not numbered, about once a second)
 *     RUNNING one per request that runs,
 *     RUNNING_END (not numbered, a few times a second while any runs)
 *
 * Numbers (seq).  Frames that must be kept (REQUEST, BODY, PENALTY sent by
 * the module) carry a number which grows by one within an instance and
 * begins with 1.  An instance is one life of the module's shared memory: a
 * random 64-bit value, chosen when the zone is created and kept over a
 * reload.  The daemon writes a batch and the last number of the instance in
 * one transaction, and acknowledges after that.  So a frame may be freed
 * when ACK (or WELCOME) names its number or a greater one; all others are
 * sent again, in order, over the next connection, and what had been
 * committed is dropped by its number.  A gap in the numbers is allowed (the
 * outbox had to drop its oldest), counted, and shown.  Everything else
 * carries number 0 and is never acknowledged.
 *
 * Keys are named by their fingerprint: the first 8 hex digits of the key's
 * SHA-256, here as the number these digits spell (printf "%08x").  0 is
 * "no key".  No key's value is ever in a frame.
 *
 * Money is nano-dollars (price.h), 64 bits without a sign.  The module prices a
 * request, by the list that was in force when the request began; the daemon
 * only adds.
 *
 * Old and new.  Both sides are updated one after the other, so each of them
 * understands what the other one did before.  Fields are only ever appended,
 * and values are never used again.  A decoder takes a payload that is longer
 * than it knows, and one without the fields that came later (these have a
 * value then).  HELLO and WELCOME say up to which version of frames (frame.h)
 * their sender reads, by `frames`, which is 1 for all who do not say it.
 *
 *   - The daemon answers in version 1, and reads both.
 *   - The module's HELLO, KEY and READY are of version 1.  Then it knows from
 *     WELCOME.  For a daemon of version 1 it runs ollama_record_downgrade()
 *     over what it has copied from its ring: all is recorded, but PROXY_STOPPED
 *     and WORKER_GONE as UPSTREAM_GONE (the reason says it), and of more than
 *     OLLAMA_RECORD_ATTEMPTS attempts only those that are told.
 *
 * A request is recorded once.  The daemon drops a second REQUEST of the same
 * instance and id, whatever its number.  Its BODY may come before it, much
 * later, or never, over any connection.
 *
 * Using it.  Nothing here allocates, locks, or keeps state.
 *
 *   - Encoders write a whole sealed frame into the caller's buffer and
 *     return its size, or 0 when the buffer is too small.  A buffer of
 *     OLLAMA_RECORD_MAX bytes is enough for every type but BODY.  Strings
 *     are cut at the lengths given at the fields.
 *   - BODY is laid out in three steps, so that the bytes are copied once:
 *     ollama_record_body_begin() writes what comes before the bytes and
 *     says where they go, the caller copies them there, and
 *     ollama_frame_seal() finishes the frame.
 *   - Decoders return 0, or -1 for a payload that does not hold what its
 *     type says.  Decoded strings point into the payload.  A payload that is
 *     longer than expected is accepted: later versions may append fields.
 */


#ifndef _OLLAMA_RECORD_H_INCLUDED_
#define _OLLAMA_RECORD_H_INCLUDED_


#include "frame.h"


#define OLLAMA_RECORD_MAX        4096                 /* frame, but BODY */
#define OLLAMA_RECORD_ATTEMPTS   16
#define OLLAMA_RECORD_MINUTES    121                  /* 2 h and the current */
#define OLLAMA_RECORD_NO_TIME    0xffffffffu          /* did not come to it */

#define OLLAMA_RECORD_BODY_HEAD  64     /* room for what precedes a body */


/* how sure the token numbers are: the values of ollama_certainty_e, usage.h */

typedef enum {
    OLLAMA_RECORD_NONE = 0,          /* no tokens are due */
    OLLAMA_RECORD_ESTIMATED,         /* complete, but nobody said */
    OLLAMA_RECORD_PARTIAL,           /* broke off before the final count */
    OLLAMA_RECORD_EXACT              /* as the cloud said */
} ollama_record_certainty_e;


/* how a request ended or, in RUNNING, where it is (READING .. ANSWERING) */

typedef enum {
    OLLAMA_RECORD_DONE = 0,          /* the whole answer was passed on */
    OLLAMA_RECORD_LOCAL,             /* answered or refused by the proxy */
    OLLAMA_RECORD_CLIENT_GONE,       /* the client hung up */
    OLLAMA_RECORD_UPSTREAM_GONE,     /* the cloud hung up, or timed out */
    OLLAMA_RECORD_STREAM_ERROR,      /* an error inside a 200 */

    OLLAMA_RECORD_READING,           /* its body is on the way */
    OLLAMA_RECORD_WAITING,           /* for a slot */
    OLLAMA_RECORD_SENT,              /* the cloud has not answered yet */
    OLLAMA_RECORD_ANSWERING,         /* the answer is on the way */

    OLLAMA_RECORD_PROXY_STOPPED,     /* nginx ended meanwhile */
    OLLAMA_RECORD_WORKER_GONE        /* its worker was killed meanwhile */
} ollama_record_end_e;


/* why an attempt ended without the answer that the client got */

typedef enum {
    OLLAMA_ATTEMPT_ANSWERED = 0,     /* look at its status */
    OLLAMA_ATTEMPT_CONNECT,          /* no connection */
    OLLAMA_ATTEMPT_TIMEOUT,
    OLLAMA_ATTEMPT_CLOSED,           /* closed or garbage before the answer */
    OLLAMA_ATTEMPT_STALE,            /* a kept connection had been closed */
    OLLAMA_ATTEMPT_ABORTED,          /* client, nginx or worker ended first */
    OLLAMA_ATTEMPT_ABANDONED         /* silent too long: sent to another key */
} ollama_attempt_cause_e;


/* what became of a request's conversation (affinity) */

typedef enum {
    OLLAMA_AFFINITY_NONE = 0,        /* off, or no conversation */
    OLLAMA_AFFINITY_NEW,             /* its first turn that we know of */
    OLLAMA_AFFINITY_KEPT,            /* the account of the turn before */
    OLLAMA_AFFINITY_MOVED            /* another one */
} ollama_affinity_e;


typedef struct {
    uint64_t                     instance;
    uint64_t                     started;       /* time of day */
    uint32_t                     pid;
    uint32_t                     keys;          /* KEY frames that follow */
    ollama_text_t                version;       /* of the module, 64 */
    ollama_text_t                server;        /* "nginx/1.22.1", 64 */
    uint8_t                      frames;        /* set by encode and decode */
    ollama_text_t                proxy;         /* its name, 64 */
    uint32_t                     balance;       /* interval, s; 0: off */
    ollama_text_t                private;       /* its private socket, 108 */
} ollama_record_hello_t;


typedef struct {
    uint32_t                     key;           /* fingerprint */
    uint32_t                     index;         /* position in the list */
    uint32_t                     max_concurrent;    /* 0: not limited */
    uint32_t                     weight;
    uint8_t                      enabled;
    ollama_text_t                name;          /* 128 */
    ollama_text_t                account;       /* 128 */
} ollama_record_key_t;


typedef struct {
    uint64_t                     instance;
    uint64_t                     seq;           /* last number committed */
    uint64_t                     time;          /* time of day */
    ollama_text_t                version;       /* of the daemon, 64 */
    uint8_t                      frames;        /* set by encode and decode */
} ollama_record_welcome_t;


typedef struct {
    uint64_t                     seq;           /* last number committed */
} ollama_record_ack_t;


typedef struct {
    uint32_t                     minute;
    uint64_t                     tokens;
    uint64_t                     cost;
    uint64_t                     unpriced;      /* of the tokens */
} ollama_record_minute_t;


typedef struct {
    uint32_t                     key;
    uint32_t                     n;
    ollama_record_minute_t       minutes[OLLAMA_RECORD_MINUTES];
} ollama_record_usage_t;


typedef struct {
    uint32_t                     key;
    uint32_t                     ms;            /* spent on this attempt */
    uint16_t                     status;        /* 0: none came */
    uint8_t                      cause;         /* ollama_attempt_cause_e */
} ollama_record_attempt_t;


/*
 * Of more than OLLAMA_RECORD_ATTEMPTS attempts the first and the last half
 * are told.
 */

typedef struct {
    uint64_t                     id;            /* unique in the instance */
    uint64_t                     time;          /* when it began */

    uint64_t                     prompt;        /* tokens, cached included */
    uint64_t                     completion;
    uint64_t                     cached;
    uint64_t                     bytes_in;      /* request body, as it came */
    uint64_t                     bytes_out;     /* answer to the client */

    uint32_t                     key;           /* of the last attempt, or 0 */
    uint32_t                     queue;         /* durations, ms, or NO_TIME */
    uint32_t                     connect;
    uint32_t                     first_token;   /* from the beginning on */
    uint32_t                     total;

    uint16_t                     status;        /* what the client got */
    uint8_t                      certainty;     /* ollama_record_certainty_e:
                                                   the weaker of these two */
    uint8_t                      prompt_certainty;
    uint8_t                      completion_certainty;
    uint8_t                      end;           /* ollama_record_end_e */
    uint8_t                      streamed;
    uint8_t                      has_body;      /* a BODY was written for it */

    uint8_t                      nattempts;     /* those told below */
    uint16_t                     attempts_all;  /* 0: no more than these */
    ollama_record_attempt_t      attempts[OLLAMA_RECORD_ATTEMPTS];

    ollama_text_t                client;        /* address, 64 */
    ollama_text_t                client_name;   /* 128 */
    ollama_text_t                method;        /* 16 */
    ollama_text_t                endpoint;      /* normalised path, 256 */
    ollama_text_t                model;         /* as asked, 256 */
    ollama_text_t                model_answered;    /* 256 */
    ollama_text_t                upstream_id;   /* x-request-id, 128 */
    ollama_text_t                user_agent;    /* 256 */
    ollama_text_t                reason;        /* of a failure, words, 256 */

    uint64_t                     cost;          /* if priced */
    uint8_t                      priced;        /* its model has a price */
    uint8_t                      affinity;      /* ollama_affinity_e */
    uint64_t                     cached_saves;  /* by a cached token against
                                                   another one of the prompt */
} ollama_record_request_t;


/*
 * A request that runs is told in the same fields, as far as they are known:
 * status is 0 before the answer, total and queue are what has passed so far,
 * tokens are estimates.  RUNNING frames up to a RUNNING_END are the whole
 * list; only the oldest requests of each worker are in it, total counts all.
 */

typedef struct {
    uint64_t                     time;
    uint32_t                     total;
    uint32_t                     waiting;       /* of these, for a slot */
} ollama_record_running_end_t;


typedef struct {
    uint64_t                     id;            /* the request's */
    uint64_t                     time;          /* the request's */
    uint64_t                     size;          /* original size, bytes */
    uint8_t                      truncated;     /* data is less than size */
    ollama_text_t                data;          /* as it came */
} ollama_record_body_t;


/*
 * What is held against a key, or against a key with one model.  The daemon
 * keeps the last one of each (key, model) until its deadline and gives it
 * back as it came; until == 0 takes it away.  state, level and extra are the
 * module's own numbers, status and reason are for people.
 */

typedef struct {
    uint32_t                     key;
    uint64_t                     time;          /* of the change */
    uint64_t                     until;         /* deadline, time of day */
    uint64_t                     extra;
    uint32_t                     max_concurrent;    /* learned, 0: unknown */
    uint16_t                     http;          /* status that caused it */
    uint8_t                      state;
    uint8_t                      level;         /* of the ladder */
    ollama_text_t                model;         /* empty: every model, 256 */
    ollama_text_t                status;        /* 64 */
    ollama_text_t                reason;        /* 256 */
} ollama_record_penalty_t;


typedef struct {
    uint64_t                     time;
    uint64_t                     size;          /* of the ring, bytes */
    uint64_t                     used;
    uint64_t                     last_seq;      /* last number given out */
    uint64_t                     acked;
    uint64_t                     dropped_records;
    uint64_t                     dropped_bodies;
    uint64_t                     resent;        /* frames */
    uint32_t                     lag;           /* age of the oldest, ms */
    uint32_t                     running;       /* requests in flight */
    uint32_t                     waiting;       /* requests in the queue */
    uint32_t                     workers;
} ollama_record_outbox_t;


typedef struct {
    uint32_t                     key;
    uint32_t                     in_flight;
    uint32_t                     slots;         /* 0: not limited */
    uint64_t                     usage;         /* tokens, 2 h */
    uint64_t                     reserved;      /* tokens, in flight */
    uint64_t                     until;         /* of the penalty, or 0 */
    uint8_t                      state;
    uint8_t                      eligible;
    ollama_text_t                status;        /* 64 */
    ollama_text_t                reason;        /* 256 */
    uint64_t                     cost;          /* 2 h */
    uint8_t                      tier;
} ollama_record_keystate_t;


/*
 * What an account has left, as the cloud has told it to the daemon; of all keys
 * of the account that the module knows, whichever is named.
 */

typedef enum {
    OLLAMA_BALANCE_UNKNOWN = 0,      /* not told, or not understood */
    OLLAMA_BALANCE_MONEY,
    OLLAMA_BALANCE_WINDOWS,          /* a legacy plan: session and week */
    OLLAMA_BALANCE_SUSPENDED,        /* 403: the account */
    OLLAMA_BALANCE_INVALID           /* 401: this key, and no other */
} ollama_balance_e;

#define OLLAMA_BALANCE_NO_SHARE  0xffff


typedef struct {
    uint32_t                     key;           /* one of the account's */
    uint8_t                      kind;          /* ollama_balance_e */
    uint64_t                     time;          /* of the answer */
    uint64_t                     included;      /* money: left of what .. */
    uint64_t                     allowance;     /* .. the period includes */
    uint64_t                     purchased;     /* left as well */
    uint64_t                     from;          /* of the period, 0: unknown */
    uint64_t                     until;         /* it renews */
    uint16_t                     session;       /* windows: left, in 1/1000 */
    uint16_t                     week;          /*   or NO_SHARE */
    uint64_t                     session_resets;
    uint64_t                     week_resets;
} ollama_record_balance_t;


/* encoders: bytes written, 0 if they do not fit */

size_t ollama_record_hello_encode(unsigned char *buf, size_t size,
    const ollama_record_hello_t *r);
size_t ollama_record_key_encode(unsigned char *buf, size_t size,
    const ollama_record_key_t *r);
size_t ollama_record_ready_encode(unsigned char *buf, size_t size);
size_t ollama_record_welcome_encode(unsigned char *buf, size_t size,
    const ollama_record_welcome_t *r);
size_t ollama_record_ack_encode(unsigned char *buf, size_t size,
    const ollama_record_ack_t *r);
size_t ollama_record_usage_encode(unsigned char *buf, size_t size,
    const ollama_record_usage_t *r);
size_t ollama_record_request_encode(unsigned char *buf, size_t size,
    const ollama_record_request_t *r);
size_t ollama_record_running_encode(unsigned char *buf, size_t size,
    const ollama_record_request_t *r);
size_t ollama_record_running_end_encode(unsigned char *buf, size_t size,
    const ollama_record_running_end_t *r);
size_t ollama_record_penalty_encode(unsigned char *buf, size_t size,
    const ollama_record_penalty_t *r);
size_t ollama_record_outbox_encode(unsigned char *buf, size_t size,
    const ollama_record_outbox_t *r);
size_t ollama_record_keystate_encode(unsigned char *buf, size_t size,
    const ollama_record_keystate_t *r);
size_t ollama_record_balance_encode(unsigned char *buf, size_t size,
    const ollama_record_balance_t *r);

/*
 * r->data.data is not looked at; r->data.len is how many bytes will follow.
 * Returns the offset in buf at which they go (at most
 * OLLAMA_RECORD_BODY_HEAD), or 0 if frame and bytes do not fit into size.
 * The frame is then sealed with ollama_frame_seal(buf, OLLAMA_FRAME_BODY,
 * offset + r->data.len).
 */

size_t ollama_record_body_begin(unsigned char *buf, size_t size,
    const ollama_record_body_t *r);

/*
 * The room for one more attempt, to be filled in; one in the middle gives way
 * to it when there are too many.  Both numbers of attempts are kept right.
 */

ollama_record_attempt_t *ollama_record_attempt_add(ollama_record_request_t *r);

/*
 * What has become of a request whose worker does not say it any more: from the
 * RUNNING frame at running (the first of len bytes; it may be torn) a whole
 * REQUEST frame with that end.  The attempt that was under way is in it.
 * Tokens are what was estimated, and PARTIAL; with no attempt under way none
 * are due.  r is what was encoded: to book its tokens to r->key, say.  Its
 * texts point into the RUNNING frame, reason may be NULL.
 *
 * Returns the frame's size; 0 if there is no whole RUNNING frame, or no room.
 */

size_t ollama_record_running_finish(unsigned char *buf, size_t size,
    const unsigned char *running, size_t len, ollama_record_end_e end,
    const char *reason, ollama_record_request_t *r);

/* makes whole sealed frames such that a daemon of version 1 takes them */

void ollama_record_downgrade(unsigned char *frames, size_t len);


/* decoders: 0, or -1 for a payload that does not fit its type */

int ollama_record_hello_decode(const ollama_frame_t *f,
    ollama_record_hello_t *r);
int ollama_record_key_decode(const ollama_frame_t *f, ollama_record_key_t *r);
int ollama_record_welcome_decode(const ollama_frame_t *f,
    ollama_record_welcome_t *r);
int ollama_record_ack_decode(const ollama_frame_t *f, ollama_record_ack_t *r);
int ollama_record_usage_decode(const ollama_frame_t *f,
    ollama_record_usage_t *r);
int ollama_record_request_decode(const ollama_frame_t *f,
    ollama_record_request_t *r);                    /* RUNNING, too */
int ollama_record_running_end_decode(const ollama_frame_t *f,
    ollama_record_running_end_t *r);
int ollama_record_body_decode(const ollama_frame_t *f,
    ollama_record_body_t *r);
int ollama_record_penalty_decode(const ollama_frame_t *f,
    ollama_record_penalty_t *r);
int ollama_record_outbox_decode(const ollama_frame_t *f,
    ollama_record_outbox_t *r);
int ollama_record_keystate_decode(const ollama_frame_t *f,
    ollama_record_keystate_t *r);
int ollama_record_balance_decode(const ollama_frame_t *f,
    ollama_record_balance_t *r);


#endif /* _OLLAMA_RECORD_H_INCLUDED_ */
