/*
 * Frames become rows: one transaction of the store, with the bodies that belong
 * to it on the disk before.
 *
 * A frame that does not hold what its type says is counted and left out; its
 * checksum was right, so it is not going to be better next time.  A body that
 * cannot be written, or be searched for what has to be taken out of it, costs
 * that body.
 */

#ifndef STATSD_BATCH_H
#define STATSD_BATCH_H

#include "../bodies/redact.h"
#include "../bodies/segments.h"
#include "../store/store.h"
#include "frames.h"

#define BATCH_FRAMES 8192 /* one transaction holds at most so many .. */
#define BATCH_MS     60   /* .. and takes at most so long */

/* Who wants to know what is written, in the writer's thread: each request of a
 * batch, then whether the batch was committed (or rolled back, and comes again)
 * and the microseconds that took. */
struct writer_observer {
    void (*request)(void *arg, const ollama_record_request_t *q);
    void (*batch)(void *arg, int committed, int64_t us);
    void *arg;
};

struct batch {
    struct store *store;
    struct segments *bodies;
    struct redact *redact; /* of bodies; NULL: nothing */
    struct writer_observer observer;
    int64_t now, wall; /* the time of day that counts; the clock's */
    struct pending *pending;
    size_t pending_size;
};

/* The greatest number of each instance. */
struct numbers {
    struct number {
        uint64_t instance, seq;
    } * list;
    size_t n, size;
};
void numbers_put(struct numbers *l, uint64_t instance, uint64_t seq);

/* What real traffic says of the cloud: times of day, 0: never. */
struct cloud {
    int64_t answer, good, failure;
    int status, cause;
};

/* What was in it. */
struct tally {
    int64_t frames, requests, bodies, lost, malformed, repeated;
    int64_t redacted, withheld; /* bodies: in part, and in whole */
    size_t pending;
    int keys;               /* of a proxy were all told */
    int body_errno;         /* of a body that was lost, 0: none was */
    struct numbers numbers; /* the caller's to free */
    struct cloud cloud;     /* as it was before, from the caller */
};

/* At most max frames from *at on; it moves on if they are committed. */
enum store_result batch_write(struct batch *b, const struct frames *q,
                              size_t *at, int max, struct tally *t);
/* A frame that the store refuses for its own sake is dealt with by its number.
 */
enum store_result batch_skip(struct batch *b, uint64_t instance, uint64_t seq);
void batch_free(struct batch *b);

#endif
