/*
 * Why a request failed, from its record alone.
 *
 *     quota     the cloud said that a key has used up its window, or its money
 *     slots     .. that it has too many requests at once
 *     4xx       .. that it does not take this one: a model it has not, a key it
 *               does not know, a limit of another kind
 *     5xx       .. that it failed
 *     network   no connection, no answer in time, closed before the answer
 *     cut_off   an answer had begun, and broke in its midst: the cloud hung up,
 *               told an error inside, nginx ended
 *     gone      the client hung up
 *     refused   by this proxy, which has not asked the cloud: not allowed, no
 *               such path, no key, the queue is full
 *
 * A request has the cause of what its client got, which comes from the last
 * try: when another key answered well it has none, and the earlier tries are
 * not counted, but stand in the request's row.  After tries with each key that
 * there is, the last one's answer counts, although it was this proxy that spoke
 * for it.
 *
 * So all causes but gone are together what the sums count as errors.
 */

#ifndef STATSD_CAUSE_H
#define STATSD_CAUSE_H

#include "../../ngx_ollama_module/core/record.h"

/* These numbers lie in ledgers. */
enum cause {
    CAUSE_NONE,
    CAUSE_QUOTA,
    CAUSE_SLOTS,
    CAUSE_4XX,
    CAUSE_5XX,
    CAUSE_NETWORK,
    CAUSE_CUT_OFF,
    CAUSE_GONE,
    CAUSE_REFUSED,
    CAUSES
};

extern const char *const cause_names[CAUSES];

enum cause cause_of(const ollama_record_request_t *q);

/* Was the answer cut off, or an error inside? */
int cause_is_broken(const ollama_record_request_t *q);

static inline int cause_is_error(enum cause c) {
    return c != CAUSE_NONE && c != CAUSE_GONE;
}

/* The cloud was not asked, or nobody waited: how long that took says nothing
 * of the cloud. */
int cause_is_refused(const ollama_record_request_t *q);

/* What a reason says the quota's window is: since when it counts (ms), for one
 * that was reached at a time.  Two hours, if it names none. */
int64_t cause_window(const ollama_text_t *reason, int64_t time);

#endif
