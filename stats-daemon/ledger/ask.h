/*
 * Questions to the ledger, answered on threads of their own: whoever asks goes
 * on, and is called back in the loop.
 *
 *     loop                         STORE_READERS threads
 *     ask()  -> queue  ----------> question.read(reader, params, answer)
 *     cb(answer)  <---- eventfd -- done
 *
 * Who asks the same (the same kind, params of the same bytes) gets the same
 * answer: one that is on its way, or one that was begun not more than
 * ASK_FRESH_MS ago.  If something was committed since, it is read anew all the
 * same, as long as all that reading takes no more than ASK_SHARE of the time,
 * or that of this question no more than ASK_SHARE_EACH: so a single page sees
 * what it has just caused, and a thousand pages cost what one does.
 *
 * Bounds.  ASK_QUEUE_MAX questions wait, each for at most ASK_WAIT_MS (those
 * that go first, ASK_FIRST_MS), and for a disk for ASK_STUCK_MS; beyond that
 * the answer is STORE_BUSY.  A read takes at most STORE_READ_MAX.  Answers that
 * are kept take at most ASK_KEPT_MAX bytes.  What nobody waits for any more is
 * not begun, and given up if it was.
 *
 * Params are compared as bytes: set all of them to zero first (padding, too),
 * and keep texts in them, not pointers to texts.
 */

#ifndef STATSD_ASK_H
#define STATSD_ASK_H

#include "../base/json.h"
#include "../store/question.h"

#include <event2/event.h>

#define ASK_FRESH_MS   1000
#define ASK_SHARE      10 /* per cent of one processor */
#define ASK_SHARE_EACH 2
#define ASK_FIRST_MS   2000
#define ASK_STUCK_MS   (STORE_READ_MAX + 1000)
#define ASK_WAIT_MS    5000
#define ASK_QUEUE_MAX  256
#define ASK_KEPT_MAX   (8 << 20)
#define ASK_PARAMS     1200
#define ASK_PACK_FROM  1024 /* bytes of JSON from which gzip pays */

struct answer {
    enum store_result result;
    char error[256];
    struct json j; /* or other bytes */
    int64_t n[6];  /* what a kind says beside it */
    void *packed;  /* the same with gzip, NULL: it is not */
    size_t packed_len;
};

/* A kind of question. */
struct question {
    /* On a reader's thread: fills j and n. */
    enum store_result (*read)(struct store_reader *rd, const void *params,
                              struct answer *a);
    int is_json; /* ends with a newline, and may be packed */
    int first;   /* before those that wait */
    int alone;   /* is never shared */
};

/* Called once, in the loop, from within ask() even. */
typedef void ask_cb(void *arg, const struct answer *a);

struct ask;    /* the threads */
struct asking; /* one who waits */

struct ask *ask_start(struct event_base *base, struct store *store);
/* Nobody waits any more, but answers may be held yet.  -1: the disk does not
 * answer, and a thread is still at it. */
int ask_stop(struct ask *k);

/* pack: the answer is wanted with gzip as well, if that pays.  NULL: cb was
 * called already. */
struct asking *ask(struct ask *k, const struct question *kind,
                   const void *params, size_t len, int pack, ask_cb *cb,
                   void *arg);

/* Does not want to know any more; cb is not called. */
void ask_leave(struct asking *asking);

/* Keeps an answer after its callback, until it is released. */
const struct answer *answer_hold(const struct answer *a);
void answer_release(const struct answer *a);

/* Did the last read succeed?  If not, why. */
enum store_result ask_last(const struct ask *k, const char **error);

#endif
