#include "ask.h"

#include "../base/log.h"
#include "../base/util.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

/* Time for reads that need not be: as much at once as a second gives. */
struct budget {
    int64_t left, counted; /* microseconds; when, monotonic */
};

enum where { QUEUED, READING, READ };

struct entry {
    struct answer a;            /* the first member: answer_hold() */
    struct entry *next, **prev; /* of all, oldest first */
    struct entry *queue; /* the next one in the queue, or of those done */
    const struct question *kind;
    struct asking *askers;
    int refs;    /* the list's, and those who hold the answer */
    int done;    /* the askers have been told; the loop's */
    int dropped; /* nobody waits for what is read; the loop's */
    enum where where;
    int pack, reader;
    uint64_t hash, commits;
    int64_t asked, begun; /* monotonic */
    struct budget budget; /* of this question, from the entry before it */
    int64_t took;         /* microseconds */
    size_t len;
    union {
        char params[ASK_PARAMS];
        int64_t align;
    };
};

struct asking {
    struct asking *next, **prev;
    struct ask *ask;
    struct entry *entry;
    ask_cb *cb;
    void *arg;
};

struct thread {
    struct ask *ask;
    struct store_reader *reader;
    int n;
    pthread_t id;
};

struct ask {
    struct store *store;
    struct event *event, *sweep;
    int fd;

    /* the loop's */
    struct entry *entries, **last;
    size_t kept;
    struct budget budget; /* of all questions */
    enum store_result result;
    char error[256];

    pthread_mutex_t lock; /* of the queue, and of a queued or read entry */
    pthread_cond_t more;
    struct entry *queue, *done, **done_last;
    int waiting, stopped, running;
    struct thread threads[STORE_READERS];
};

/* ---- the threads ---- */

static void pack(struct answer *a) {
    z_stream z = {0};

    /* level 1: a third of the time of the usual one for a tenth more bytes */
    if (deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return;
    size_t size = deflateBound(&z, a->j.len);
    unsigned char *out = xmalloc(size);

    z.next_in = (unsigned char *)a->j.data;
    z.avail_in = (unsigned)a->j.len;
    z.next_out = out;
    z.avail_out = (unsigned)size;
    if (deflate(&z, Z_FINISH) == Z_STREAM_END) {
        a->packed_len = size - z.avail_out;
        a->packed = xrealloc(out, a->packed_len);
    } else {
        free(out);
    }
    deflateEnd(&z);
}

static void answer(struct entry *e, struct store_reader *rd) {
    struct answer *a = &e->a;
    int64_t began = mono_us();

    if (mono_ms() - e->asked > ASK_WAIT_MS) {
        a->result = STORE_BUSY;
        snprintf(a->error, sizeof(a->error), "too much is asked of it");
        return;
    }
    a->result = e->kind->read(rd, e->params, a);
    if (a->result != STORE_OK) {
        snprintf(a->error, sizeof(a->error), "%s", rd->error);
    } else if (e->kind->is_json) {
        json_newline(&a->j);
        if (e->pack && a->j.len >= ASK_PACK_FROM) pack(a);
    }
    e->took = mono_us() - began;
}

static void *run(void *arg) {
    struct thread *t = arg;
    struct ask *k = t->ask;
    uint64_t one = 1;

    pthread_mutex_lock(&k->lock);
    while (!k->stopped) {
        struct entry *e = k->queue;

        if (e == NULL) {
            pthread_cond_wait(&k->more, &k->lock);
            continue;
        }
        k->queue = e->queue;
        k->waiting--;
        e->where = READING;
        e->reader = t->n;
        e->begun = mono_ms();
        e->commits = store_commits(k->store);
        store_interrupt(t->reader, 0);
        pthread_mutex_unlock(&k->lock);

        answer(e, t->reader);

        pthread_mutex_lock(&k->lock);
        e->where = READ;
        e->queue = NULL;
        *k->done_last = e;
        k->done_last = &e->queue;
        if (write(k->fd, &one, sizeof(one)) < 0) abort();
    }
    k->running--;
    pthread_cond_broadcast(&k->more);
    pthread_mutex_unlock(&k->lock);
    return NULL;
}

/* ---- entries ---- */

static void entry_unref(struct entry *e) {
    if (--e->refs) return;
    json_free(&e->a.j);
    free(e->a.packed);
    free(e);
}

/* Out of the list: nobody finds it any more. */
static void entry_forget(struct ask *k, struct entry *e) {
    if (e->prev == NULL) return;
    if (e->next)
        e->next->prev = e->prev;
    else
        k->last = e->prev;
    *e->prev = e->next;
    e->prev = NULL;
    if (e->done) k->kept -= e->a.j.len + e->a.packed_len;
    entry_unref(e);
}

static void forget_old(struct ask *k) {
    int64_t old = mono_ms() - ASK_FRESH_MS;
    struct entry *e, *next;

    for (e = k->entries; e; e = next) {
        next = e->next;
        if (e->done && (e->begun <= old || k->kept > ASK_KEPT_MAX))
            entry_forget(k, e);
    }
}

/* Whether there is time left, of which share per cent are given. */
static int has_left(struct budget *b, int share) {
    int64_t now = mono_us(), most = share * 10000;

    b->left += (now - b->counted) * share / 100;
    if (b->left > most) b->left = most;
    b->counted = now;
    return b->left > 0;
}

static int is_usable(struct ask *k, struct entry *e) {
    if (e->where == QUEUED) return 1;
    if (mono_ms() - e->begun >= ASK_FRESH_MS) return 0;
    return e->commits == store_commits(k->store) ||
           (!has_left(&e->budget, ASK_SHARE_EACH) &&
            !has_left(&k->budget, ASK_SHARE));
}

/* The lock is held: a reader may be at it.  budget: of one that is not usable
 * any more. */
static struct entry *find(struct ask *k, const struct question *kind,
                          const void *params, size_t len, uint64_t hash,
                          struct budget *budget) {
    struct entry *e, *next;

    for (e = k->entries; e; e = next) {
        next = e->next;
        if (e->kind != kind || e->hash != hash || e->len != len ||
            (len && memcmp(e->params, params, len) != 0))
            continue;
        if (is_usable(k, e)) return e;
        *budget = e->budget;
        if (e->done) entry_forget(k, e);
    }
    return NULL;
}

static void enqueue(struct ask *k, struct entry *e) {
    struct entry **at = &k->queue;

    if (!e->kind->first)
        while (*at) at = &(*at)->queue;
    e->queue = *at;
    *at = e;
    k->waiting++;
    pthread_cond_signal(&k->more);
}

static struct entry *entry_new(struct ask *k, const struct question *kind,
                               const void *params, size_t len, uint64_t hash) {
    static const struct timeval period = {ASK_FRESH_MS / 1000, 0};
    struct entry *e = xcalloc(1, sizeof(*e));

    e->kind = kind;
    e->hash = hash;
    e->asked = mono_ms();
    e->len = len;
    if (len) memcpy(e->params, params, len);
    e->refs = 2; /* the list, and the way through queue and reader */
    if (k->entries == NULL) event_add(k->sweep, &period);
    e->prev = k->last;
    *k->last = e;
    k->last = &e->next;
    return e;
}

/* ---- who asks ---- */

static void refuse(ask_cb *cb, void *arg) {
    struct answer a = {.result = STORE_BUSY,
                       .error = "too much is asked of it"};

    cb(arg, &a);
}

struct asking *ask(struct ask *k, const struct question *kind,
                   const void *params, size_t len, int pack, ask_cb *cb,
                   void *arg) {
    if (len > ASK_PARAMS) abort();

    uint64_t hash = len ? hash_bytes(params, len) : 0;
    struct budget budget = {ASK_SHARE_EACH * 10000, mono_us()};
    struct entry *e = NULL;

    pthread_mutex_lock(&k->lock);
    if (!kind->alone) e = find(k, kind, params, len, hash, &budget);
    if (e && e->done) {
        pthread_mutex_unlock(&k->lock);
        e->refs++;
        cb(arg, &e->a);
        entry_unref(e);
        return NULL;
    }
    if (e == NULL) {
        if (k->waiting >= ASK_QUEUE_MAX && !kind->first) {
            pthread_mutex_unlock(&k->lock);
            refuse(cb, arg);
            return NULL;
        }
        e = entry_new(k, kind, params, len, hash);
        e->pack = pack;
        e->budget = budget;
        enqueue(k, e);
    } else if (e->where == QUEUED) {
        e->pack |= pack;
    }
    pthread_mutex_unlock(&k->lock);

    struct asking *w = xcalloc(1, sizeof(*w));

    w->ask = k;
    w->entry = e;
    w->cb = cb;
    w->arg = arg;
    w->next = e->askers;
    w->prev = &e->askers;
    if (w->next) w->next->prev = &w->next;
    e->askers = w;
    return w;
}

/* Nobody waits: it is not begun, or not finished. */
static void entry_drop(struct ask *k, struct entry *e) {
    struct entry **at;
    int unread = 0;

    pthread_mutex_lock(&k->lock);
    if (e->where == QUEUED) {
        for (at = &k->queue; *at != e; at = &(*at)->queue) continue;
        *at = e->queue;
        k->waiting--;
        unread = 1;
    } else if (e->where == READING) {
        store_interrupt(k->threads[e->reader].reader, 1);
    }
    pthread_mutex_unlock(&k->lock);
    e->dropped = 1;
    entry_forget(k, e);
    if (unread) entry_unref(e);
}

static void leave(struct asking *w) {
    *w->prev = w->next;
    if (w->next) w->next->prev = w->prev;
    free(w);
}

void ask_leave(struct asking *w) {
    struct ask *k = w->ask;
    struct entry *e = w->entry;

    leave(w);
    if (e->askers == NULL && !e->done) entry_drop(k, e);
}

const struct answer *answer_hold(const struct answer *a) {
    ((struct entry *)(uintptr_t)a)->refs++;
    return a;
}

void answer_release(const struct answer *a) {
    entry_unref((struct entry *)(uintptr_t)a);
}

/* ---- a disk that does not answer ---- */

static int is_late(const struct entry *e, int64_t now) {
    if (e->done || e->dropped) return 0;
    if (e->where == QUEUED)
        return now - e->asked > (e->kind->first ? ASK_FIRST_MS : ASK_WAIT_MS);
    return e->where == READING && now - e->begun > ASK_STUCK_MS;
}

/* The first one for which somebody waits too long; so does the thread that is
 * at it, but it has no other way. */
static struct entry *find_late(struct ask *k) {
    int64_t now = mono_ms();
    struct entry *e;

    pthread_mutex_lock(&k->lock);
    for (e = k->entries; e && !is_late(e, now); e = e->next) continue;
    if (e && e->where == READING) {
        k->result = STORE_BUSY;
        snprintf(k->error, sizeof(k->error), "the disk does not answer");
    }
    pthread_mutex_unlock(&k->lock);
    return e;
}

static void give_up(struct ask *k, struct entry *e) {
    e->refs++;
    entry_forget(k, e);
    while (e->askers) {
        ask_cb *cb = e->askers->cb;
        void *arg = e->askers->arg;

        leave(e->askers);
        refuse(cb, arg);
    }
    entry_drop(k, e);
    entry_unref(e);
}

static void on_sweep(evutil_socket_t fd, short what, void *arg) {
    static const struct timeval period = {ASK_FRESH_MS / 1000, 0};
    struct ask *k = arg;

    (void)fd;
    (void)what;
    struct entry *late;

    while ((late = find_late(k))) give_up(k, late);
    forget_old(k);
    if (k->entries) event_add(k->sweep, &period);
}

/* ---- answers ---- */

/* That one question takes too long says nothing of the ledger. */
static void note(struct ask *k, const struct answer *a) {
    if (a->result == STORE_BUSY) return;
    k->result = a->result == STORE_NONE ? STORE_OK : a->result;
    memcpy(k->error, a->error, sizeof(k->error));
}

static void deliver(struct ask *k, struct entry *e) {
    k->budget.left -= e->took;
    e->budget.left -= e->took;
    if (!e->dropped) {
        note(k, &e->a);
        e->done = 1;
        if (e->prev) k->kept += e->a.j.len + e->a.packed_len;
        while (e->askers) {
            ask_cb *cb = e->askers->cb;
            void *arg = e->askers->arg;

            leave(e->askers);
            cb(arg, &e->a);
        }
        if (e->kind->alone || e->a.result != STORE_OK) entry_forget(k, e);
    }
    entry_unref(e);
}

static void on_done(evutil_socket_t fd, short what, void *arg) {
    struct ask *k = arg;
    uint64_t n;

    (void)what;
    if (read(fd, &n, sizeof(n)) < 0) return;
    pthread_mutex_lock(&k->lock);
    struct entry *e = k->done;
    k->done = NULL;
    k->done_last = &k->done;
    pthread_mutex_unlock(&k->lock);
    while (e) {
        struct entry *next = e->queue;
        deliver(k, e);
        e = next;
    }
    if (k->kept > ASK_KEPT_MAX) forget_old(k);
}

enum store_result ask_last(const struct ask *k, const char **error) {
    *error = k->error;
    return k->result;
}

/* ---- start and end ---- */

struct ask *ask_start(struct event_base *base, struct store *store) {
    struct ask *k = xcalloc(1, sizeof(*k));
    pthread_condattr_t attr;

    k->store = store;
    k->running = STORE_READERS;
    k->budget = (struct budget){ASK_SHARE * 10000, mono_us()};
    k->last = &k->entries;
    k->done_last = &k->done;
    pthread_mutex_init(&k->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&k->more, &attr);
    pthread_condattr_destroy(&attr);
    k->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (k->fd < 0) abort();
    k->event = event_new(base, k->fd, EV_READ | EV_PERSIST, on_done, k);
    event_add(k->event, NULL);
    k->sweep = event_new(base, -1, 0, on_sweep, k);
    for (int i = 0; i < STORE_READERS; i++) {
        struct thread *t = &k->threads[i];

        t->ask = k;
        t->n = i;
        t->reader = store_reader(store, i);
        if (pthread_create(&t->id, NULL, run, t) != 0) abort();
    }
    return k;
}

/* Whether all threads end in time, by a clock that nobody sets. */
static int ended(struct ask *k) {
    int64_t end = mono_ms() + ASK_STUCK_MS, left;

    pthread_mutex_lock(&k->lock);
    while (k->running && (left = end - mono_ms()) > 0) {
        struct timespec until;

        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += left / 1000;
        until.tv_nsec += left % 1000 * 1000000;
        if (until.tv_nsec >= 1000000000) {
            until.tv_nsec -= 1000000000;
            until.tv_sec++;
        }
        pthread_cond_timedwait(&k->more, &k->lock, &until);
    }
    int all = k->running == 0;
    pthread_mutex_unlock(&k->lock);

    for (int i = 0; all && i < STORE_READERS; i++)
        pthread_join(k->threads[i].id, NULL);
    return all;
}

int ask_stop(struct ask *k) {
    struct entry *e;

    pthread_mutex_lock(&k->lock);
    k->stopped = 1;
    for (int i = 0; i < STORE_READERS; i++)
        store_interrupt(k->threads[i].reader, 1);
    pthread_cond_broadcast(&k->more);
    pthread_mutex_unlock(&k->lock);
    if (!ended(k)) return -1;

    while ((e = k->done)) {
        k->done = e->queue;
        entry_unref(e);
    }
    while ((e = k->queue)) {
        k->queue = e->queue;
        entry_unref(e);
    }
    while ((e = k->entries)) {
        while (e->askers) leave(e->askers);
        entry_forget(k, e);
    }
    event_free(k->event);
    event_free(k->sweep);
    close(k->fd);
    pthread_mutex_destroy(&k->lock);
    pthread_cond_destroy(&k->more);
    free(k);
    return 0;
}
