/*
 * The thread that writes: between ingest, which receives, and the store.
 *
 *     loop thread                        writer thread
 *     writer_push() ... -> [ queue ] ->  one transaction per batch
 *     on_commit()  <----- eventfd -----  committed numbers
 *
 * A batch begins when its first frame arrives and is committed at most
 * WRITER_BATCH_MS later, or sooner when it is large.  Bodies are on the disk
 * before the commit that names them.
 *
 * No record is given up.  When the store cannot be written, the batch is rolled
 * back, kept, and tried again every few seconds; meanwhile the queue fills to
 * WRITER_QUEUE_MAX, writer_full() says so, and ingest stops reading: the
 * module's outbox is the next buffer.  Bodies that cannot be written are lost,
 * and counted: no record waits for them.  writer_status() tells what is going
 * on, without touching the disk.
 *
 * A disk with less than WRITER_DISK_MIN and a twentieth left, or one that
 * refuses a batch for want of space, costs the oldest segment of bodies; then
 * the next.
 *
 * Between batches the thread does retention (retention.h), by a time of day
 * that does not jump (clock.h), and lets the store put itself in order.
 */

#ifndef STATSD_WRITER_H
#define STATSD_WRITER_H

#include "../bodies/segments.h"
#include "../store/store.h"
#include "batch.h"
#include "retention.h"

#include "../../ngx_ollama_module/core/record.h"

#include <event2/event.h>

#define WRITER_BATCH_MS  50
#define WRITER_BATCH_MAX (1024 * 1024)     /* bytes: do not wait any longer */
#define WRITER_QUEUE_MAX (8 * 1024 * 1024) /* bytes: ingest has to wait */
#define WRITER_RETRY_MS  500 /* doubled at each failure, up to .. */
#define WRITER_RETRY_MAX 4000
#define WRITER_SLOW_MS   3000 /* a batch that takes longer is a problem */
#define WRITER_DISK_MIN  (64LL * 1024 * 1024)

struct writer;

/* Called in the loop's thread: a number of an instance is committed (seq is
 * the greatest), or, with instance 0, a batch is through; with number 1, keys
 * have been told in it. */
typedef void writer_commit_cb(void *arg, uint64_t instance, uint64_t seq);

struct writer *writer_start(struct event_base *base, struct store *store,
                            struct segments *bodies,
                            const struct retention *keep, const char *dir,
                            writer_commit_cb *cb, void *arg);

/* Others from the next turn of retention on; takes references of its own. */
void writer_keep(struct writer *w, const struct retention *keep);

/* Set before the first frame. */
void writer_observe(struct writer *w, const struct writer_observer *o);

/* Puts frames into the queue; between lock and unlock, from the loop. */
void writer_lock(struct writer *w);
void writer_push(struct writer *w, uint64_t instance, const ollama_frame_t *f);
int writer_full(struct writer *w);
void writer_unlock(struct writer *w);

/* Writes what is queued (tries once if the store is in trouble), stops the
 * thread, and delivers the last on_commit.  At most max_ms; -1 if that was
 * not enough, and then the writer must not be freed. */
int writer_stop(struct writer *w, int max_ms);
void writer_free(struct writer *w);

struct writer_status {
    enum store_result result; /* of the last batch */
    char error[256];
    int64_t since;        /* when the trouble began, time of day */
    int64_t committed;    /* time of day of the last commit */
    int64_t busy_ms;      /* how long the batch at hand takes already */
    int64_t queued_bytes; /* not yet committed */
    int64_t queued_frames;
    int64_t batches, frames, requests, bodies, malformed, repeated;
    int64_t bodies_lost;
    int64_t bodies_redacted, bodies_withheld;
    char body_error[256];         /* of the last one that was lost */
    int64_t body_since;           /* since when they are, 0: they are not */
    int64_t clock_jump;           /* how far it is ahead, not yet believed */
    int64_t clock_ms;             /* .. for how long */
    int clock_asleep;             /* .. since the start: no wonder */
    int64_t disk_free, disk_size; /* bytes, of the data folder */
    struct store_status store;
    struct cloud cloud;
};
void writer_status(struct writer *w, struct writer_status *status);

#endif
