#include "writer.h"

#include "../base/clock.h"
#include "../base/log.h"
#include "../base/util.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

struct writer {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct store *store;
    struct segments *bodies;
    char *dir;

    /* under the lock */
    struct retention new_keep;
    int keep_changed;
    struct frames fill; /* what the loop puts in */
    int64_t fill_since; /* when its first frame came, monotonic */
    size_t work_left;   /* bytes of the batch at hand */
    int64_t work_frames;
    int64_t busy_since; /* monotonic, 0: idle */
    int stop, ended;
    struct numbers done; /* committed, not yet told to the loop */
    int done_keys;       /* likewise */
    struct writer_status status;

    /* the thread's own */
    struct frames work;
    struct retention keep;
    struct clock clock;
    int64_t next_retention, next_look;
    int64_t worked; /* when the last batch was written, monotonic */
    struct batch batch;
    int64_t short_of; /* segments up to this one have to go, 0: none */

    int event_fd;
    struct event *event;
    writer_commit_cb *cb;
    void *arg;
};

/* ---- the loop's side ---- */

void writer_lock(struct writer *w) {
    pthread_mutex_lock(&w->lock);
}

void writer_unlock(struct writer *w) {
    pthread_mutex_unlock(&w->lock);
}

void writer_observe(struct writer *w, const struct writer_observer *o) {
    pthread_mutex_lock(&w->lock);
    w->batch.observer = *o;
    pthread_mutex_unlock(&w->lock);
}

int writer_full(struct writer *w) {
    return w->fill.len >= WRITER_QUEUE_MAX;
}

void writer_push(struct writer *w, uint64_t instance, const ollama_frame_t *f) {
    struct frames *q = &w->fill;
    size_t before = q->len;

    frames_put(q, instance, f);
    if (before == 0) {
        w->fill_since = mono_ms();
        pthread_cond_signal(&w->wake);
    } else if (before < WRITER_BATCH_MAX && q->len >= WRITER_BATCH_MAX) {
        pthread_cond_signal(&w->wake);
    }
}

static void on_event(evutil_socket_t fd, short what, void *arg) {
    struct writer *w = arg;
    struct numbers done;
    uint64_t n;

    (void)what;
    if (read(fd, &n, sizeof(n)) < 0 && errno != EAGAIN) return;

    pthread_mutex_lock(&w->lock);
    done = w->done;
    memset(&w->done, 0, sizeof(w->done));
    int keys = w->done_keys;
    w->done_keys = 0;
    pthread_mutex_unlock(&w->lock);

    for (size_t i = 0; i < done.n; i++)
        w->cb(w->arg, done.list[i].instance, done.list[i].seq);
    free(done.list);
    w->cb(w->arg, 0, (uint64_t)keys);
}

void writer_keep(struct writer *w, const struct retention *keep) {
    pthread_mutex_lock(&w->lock);
    if (w->keep_changed) redact_unref(w->new_keep.redact);
    w->new_keep = *keep;
    redact_ref(w->new_keep.redact);
    w->keep_changed = 1;
    pthread_mutex_unlock(&w->lock);
}

void writer_status(struct writer *w, struct writer_status *status) {
    pthread_mutex_lock(&w->lock);
    *status = w->status;
    status->queued_bytes = (int64_t)(w->fill.len + w->work_left);
    status->queued_frames = w->fill.n + w->work_frames;
    status->busy_ms = w->busy_since ? mono_ms() - w->busy_since : 0;
    pthread_mutex_unlock(&w->lock);
}

/* ---- the thread ---- */

/* Looks what time it is: before each batch and each turn of retention. */
static void look_at_clock(struct writer *w) {
    int64_t wall = now_ms(), steady = mono_ms(), before = w->clock.jump;

    w->batch.now = clock_now(&w->clock, wall, steady);
    w->batch.wall = wall;

    int64_t jump = w->clock.jump;
    if (jump == 0 && before == 0) return;

    pthread_mutex_lock(&w->lock);
    w->status.clock_jump = jump;
    w->status.clock_ms = steady - w->clock.since;
    w->status.clock_asleep = w->clock.asleep;
    pthread_mutex_unlock(&w->lock);

    if (jump && jump != before)
        log_msg(w->clock.asleep ? LOG_NOTICE : LOG_WARN,
                "the clock is %lld s %s what was expected: nothing is deleted "
                "for it until that has lasted an hour",
                (long long)llabs(jump) / 1000,
                jump > 0 ? "ahead of" : "behind");
    else if (jump == 0)
        log_msg(LOG_NOTICE, "the clock is believed again");
}

/* Wakes the loop. */
static void tell(struct writer *w) {
    uint64_t one = 1;

    if (write(w->event_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
        log_msg(LOG_ERROR, "eventfd: %s", strerror(errno));
}

/* The oldest bodies go at once, even if the ledger cannot be told so yet. */
static void make_room(struct writer *w) {
    int64_t oldest = segments_oldest(w->bodies);
    char name[SEGMENT_NAME];

    if (oldest == 0) return;
    segments_drop(w->bodies, oldest);
    if (oldest > w->short_of) w->short_of = oldest;
    w->next_retention = 0;
    log_msg(LOG_WARN,
            "the disk is full: requests/%s, the oldest bodies, was "
            "removed",
            segment_name(name, oldest));
}

/* Says once that bodies are lost, and once that they are not any more. */
static void note_bodies(struct writer *w, const struct tally *t) {
    int64_t since = w->status.body_since;

    if (t->lost) {
        pthread_mutex_lock(&w->lock);
        snprintf(w->status.body_error, sizeof(w->status.body_error),
                 "requests/: %s", strerror(t->body_errno));
        if (since == 0) w->status.body_since = now_ms();
        pthread_mutex_unlock(&w->lock);
        if (since == 0)
            log_msg(LOG_ERROR,
                    "request bodies cannot be kept: requests/: %s; requests "
                    "are recorded without them",
                    strerror(t->body_errno));
    } else if (t->bodies && since) {
        pthread_mutex_lock(&w->lock);
        w->status.body_since = 0;
        pthread_mutex_unlock(&w->lock);
        log_msg(LOG_NOTICE, "request bodies are kept again, after %lld s",
                (long long)(now_ms() - since) / 1000);
    }
    if (t->lost && (t->body_errno == ENOSPC || t->body_errno == EDQUOT))
        make_room(w);
}

/* What was read again holds from the next batch on. */
static void look_at_keep(struct writer *w) {
    struct redact *old = NULL;

    pthread_mutex_lock(&w->lock);
    int changed = w->keep_changed;
    w->keep_changed = 0;
    if (changed) {
        old = w->keep.redact;
        w->keep = w->new_keep;
        w->batch.redact = w->keep.redact;
    }
    pthread_mutex_unlock(&w->lock);

    redact_unref(old);
    if (changed) segments_limit(w->bodies, w->keep.body_bytes);
}

/* One transaction of at most max frames; *at moves on if it is committed. */
static enum store_result write_batch(struct writer *w, size_t *at, int max,
                                     char *error, size_t len) {
    struct tally t = {0};

    pthread_mutex_lock(&w->lock);
    t.cloud = w->status.cloud;
    pthread_mutex_unlock(&w->lock);

    look_at_clock(w);
    look_at_keep(w);
    enum store_result r = batch_write(&w->batch, &w->work, at, max, &t);
    if (r != STORE_OK) {
        snprintf(error, len, "%s", w->store->error);
        free(t.numbers.list);
        return r;
    }

    struct store_status kept;
    store_status(w->store, &kept);
    w->worked = mono_ms();
    pthread_mutex_lock(&w->lock);
    w->status.cloud = t.cloud;
    w->status.store = kept;
    w->status.committed = now_ms();
    w->status.batches++;
    w->status.frames += t.frames;
    w->status.requests += t.requests;
    w->status.bodies += t.bodies;
    w->status.bodies_lost += t.lost;
    w->status.bodies_redacted += t.redacted;
    w->status.bodies_withheld += t.withheld;
    w->status.malformed += t.malformed;
    w->status.repeated += t.repeated;
    w->work_left = w->work.len - *at;
    w->work_frames -= t.frames;
    w->done_keys |= t.keys;
    for (size_t i = 0; i < t.numbers.n; i++)
        numbers_put(&w->done, t.numbers.list[i].instance,
                    t.numbers.list[i].seq);
    pthread_mutex_unlock(&w->lock);
    free(t.numbers.list);

    tell(w);
    note_bodies(w, &t);
    return STORE_OK;
}

/* Says once that trouble begins, and once that it is over. */
static void note_result(struct writer *w, enum store_result r,
                        const char *error) {
    pthread_mutex_lock(&w->lock);
    enum store_result old = w->status.result;
    int64_t since = w->status.since;
    w->status.result = r;
    if (r == STORE_OK) {
        w->status.error[0] = '\0';
        w->status.since = 0;
    } else {
        snprintf(w->status.error, sizeof(w->status.error), "%s", error);
        if (old == STORE_OK) w->status.since = now_ms();
    }
    pthread_mutex_unlock(&w->lock);

    if (r != STORE_OK && r != old)
        log_msg(LOG_ERROR,
                "the ledger cannot be written (%s): %s; the proxy goes on and "
                "keeps its records",
                store_word(r), error);
    else if (r == STORE_OK && old != STORE_OK)
        log_msg(LOG_NOTICE, "the ledger is written again, after %lld s",
                (long long)(now_ms() - since) / 1000);
}

/* Waits on the condition for at most ms; with the lock held. */
static void nap(struct writer *w, int64_t ms) {
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    ts.tv_sec += ms / 1000;
    ts.tv_nsec += ms % 1000 * 1000000;
    if (ts.tv_nsec >= 1000000000) {
        ts.tv_sec++;
        ts.tv_nsec -= 1000000000;
    }
    pthread_cond_timedwait(&w->wake, &w->lock, &ts);
}

/* Looks at the disk's space now and then, so that nobody else has to. */
static void look(struct writer *w) {
    struct statvfs v;
    struct store_status kept;
    int64_t now = mono_ms();

    if (now < w->next_look) return;
    w->next_look = now + 2000;
    store_status(w->store, &kept);
    int bad = statvfs(w->dir, &v);

    pthread_mutex_lock(&w->lock);
    w->status.store = kept;
    if (!bad) {
        w->status.disk_free = (int64_t)v.f_bavail * (int64_t)v.f_frsize;
        w->status.disk_size = (int64_t)v.f_blocks * (int64_t)v.f_frsize;
    }
    pthread_mutex_unlock(&w->lock);
    if (!bad && w->status.disk_free < WRITER_DISK_MIN &&
        w->status.disk_free < w->status.disk_size / 20)
        make_room(w);
}

static void tidy(struct writer *w) {
    int left;
    int64_t now = mono_ms();

    if (now >= w->next_retention) {
        look_at_clock(w);
        look_at_keep(w);
        enum store_result r =
            retention_step(&w->keep, w->batch.now, w->batch.wall, w->store,
                           w->bodies, w->dir, w->short_of, &left);
        if (r == STORE_RETRY) {
            left = 1;
        } else if (r != STORE_OK) {
            note_result(w, r, w->store->error);
            left = 0;
        } else {
            note_result(w, STORE_OK, "");
            if (!left) w->short_of = 0;
        }
        w->next_retention = mono_ms() + (left ? 50 : RETENTION_EVERY_MS);
    }
    store_tick(w->store, mono_ms() - w->worked);
    look(w);
}

/* Leaves out a frame that the store refuses for its own sake, and says that
 * it is dealt with. */
static void leave_out(struct writer *w, size_t *at, const char *error) {
    ollama_frame_t f;
    uint64_t instance;

    *at = frames_at(&w->work, *at, &instance, &f);
    log_msg(LOG_ERROR, "frame %llu of type %d is left out: %s",
            (unsigned long long)f.seq, f.type, error);

    int ok = f.seq == 0 || batch_skip(&w->batch, instance, f.seq) == STORE_OK;

    pthread_mutex_lock(&w->lock);
    if (ok && f.seq) numbers_put(&w->done, instance, f.seq);
    w->status.malformed++;
    w->work_frames--;
    w->work_left = w->work.len - *at;
    pthread_mutex_unlock(&w->lock);
    tell(w);
}

/* The frames in work, all of them, however long it takes; 0 if the daemon is
 * to stop and they cannot be written. */
static int write_all(struct writer *w) {
    size_t at = 0;
    int max = BATCH_FRAMES, pause = WRITER_RETRY_MS;
    char error[256];

    while (at < w->work.len) {
        enum store_result r = write_batch(w, &at, max, error, sizeof(error));
        if (r == STORE_OK) {
            note_result(w, r, "");
            max = BATCH_FRAMES;
            pause = WRITER_RETRY_MS;
            tidy(w);
            continue;
        }

        if (r == STORE_RETRY) continue;
        if (r == STORE_ERROR && max > 1) {
            /* not the disk's fault: find the frame whose fault it is */
            max = 1;
            continue;
        }
        if (r == STORE_ERROR) {
            leave_out(w, &at, error);
            continue;
        }

        note_result(w, r, error);
        pthread_mutex_lock(&w->lock);
        int64_t until = mono_ms() + pause;
        if (pause < WRITER_RETRY_MAX) pause *= 2;
        while (!w->stop && mono_ms() < until) nap(w, until - mono_ms());
        int stop = w->stop;
        pthread_mutex_unlock(&w->lock);
        if (stop) return 0;
        look(w);
        if (r == STORE_FULL) make_room(w);
    }
    return 1;
}

/* Memory of a busy hour is not kept for quiet ones. */
static void shrink(struct frames *q) {
    if (q->size > WRITER_BATCH_MAX) frames_free(q);
}

static void *thread_main(void *arg) {
    struct writer *w = arg;

    clock_start(&w->clock, now_ms(), mono_ms(), w->status.store.time);
    pthread_mutex_lock(&w->lock);
    for (;;) {
        while (!w->stop && w->fill.len == 0) {
            pthread_mutex_unlock(&w->lock);
            tidy(w);
            pthread_mutex_lock(&w->lock);
            if (w->stop || w->fill.len) break;
            shrink(&w->fill);
            shrink(&w->work);
            int64_t wait = w->next_retention - mono_ms();
            nap(w, wait < 1 ? 1 : wait);
        }
        if (w->fill.len == 0) break;

        /* a little longer, for company */
        while (!w->stop && w->fill.len < WRITER_BATCH_MAX) {
            int64_t left = w->fill_since + WRITER_BATCH_MS - mono_ms();
            if (left <= 0) break;
            nap(w, left);
        }

        struct frames empty = w->work;
        w->work = w->fill;
        empty.len = 0;
        empty.n = 0;
        w->fill = empty;
        w->work_left = w->work.len;
        w->work_frames = w->work.n;
        w->busy_since = mono_ms();
        pthread_mutex_unlock(&w->lock);

        int ok = write_all(w);

        pthread_mutex_lock(&w->lock);
        w->work_left = 0;
        w->work_frames = 0;
        w->busy_since = 0;
        if (!ok) break;
    }
    pthread_mutex_unlock(&w->lock);
    store_tick(w->store, STORE_ENDS);

    pthread_mutex_lock(&w->lock);
    w->ended = 1;
    pthread_cond_broadcast(&w->wake);
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

struct writer *writer_start(struct event_base *base, struct store *store,
                            struct segments *bodies,
                            const struct retention *keep, const char *dir,
                            writer_commit_cb *cb, void *arg) {
    struct writer *w = xcalloc(1, sizeof(*w));
    pthread_condattr_t attr;

    w->store = store;
    w->bodies = bodies;
    w->batch.store = store;
    w->batch.bodies = bodies;
    w->keep = *keep;
    w->batch.redact = redact_ref(w->keep.redact);
    w->dir = xstrdup(dir);
    w->worked = mono_ms();
    store_status(store, &w->status.store);
    w->cb = cb;
    w->arg = arg;
    pthread_mutex_init(&w->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&w->wake, &attr);
    pthread_condattr_destroy(&attr);

    w->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    w->event = event_new(base, w->event_fd, EV_READ | EV_PERSIST, on_event, w);
    if (w->event_fd < 0 || w->event == NULL || event_add(w->event, NULL) != 0 ||
        pthread_create(&w->thread, NULL, thread_main, w) != 0) {
        log_msg(LOG_EMERG, "the writer does not start: %s", strerror(errno));
        exit(1);
    }
    return w;
}

int writer_stop(struct writer *w, int max_ms) {
    int64_t until = mono_ms() + max_ms;

    pthread_mutex_lock(&w->lock);
    w->stop = 1;
    pthread_cond_broadcast(&w->wake);
    while (!w->ended && mono_ms() < until) nap(w, until - mono_ms());
    int ended = w->ended;
    pthread_mutex_unlock(&w->lock);

    if (!ended) return -1;
    pthread_join(w->thread, NULL);
    on_event(w->event_fd, 0, w);
    return 0;
}

void writer_free(struct writer *w) {
    if (w->keep_changed) redact_unref(w->new_keep.redact);
    redact_unref(w->keep.redact);
    event_free(w->event);
    close(w->event_fd);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->wake);
    frames_free(&w->fill);
    frames_free(&w->work);
    free(w->done.list);
    batch_free(&w->batch);
    free(w->dir);
    free(w);
}
