/*
 * What the module has last said of itself: the figures of frames that are not
 * kept (OUTBOX, KEYSTATE, RUNNING), the names of keys, and which proxies are
 * connected.  It belongs to the loop's thread; ingest writes, the answers and
 * metrics read.
 *
 * Proxies are never forgotten: the last number of each is what keeps a frame
 * from being counted twice.  A page shows those of the last STATE_SHOWN_MS.
 */

#ifndef STATSD_STATE_H
#define STATSD_STATE_H

#include "run_list.h"

#include "../../ngx_ollama_module/core/record.h"

#include <stdint.h>

#define STATE_SHOWN_MS    (10 * 60 * 1000)
#define STATE_KEYS_MAX    20000
#define STATE_PROXIES_MAX 20000

struct state_proxy {
    struct state_proxy *next;
    uint64_t instance;
    int connections;
    int64_t seen; /* time of day of its last frame */
    int64_t started;
    uint32_t pid;
    char version[65], server[65];
    uint32_t balance;   /* s between two questions of balances, 0: none */
    char private[109];  /* the socket where they are asked */
    int frames_told;    /* the version of frames that was said to be old */
    uint64_t accepted;  /* last number put into the queue */
    uint64_t committed; /* last number committed */
    uint64_t frames, duplicates, gaps;
    int has_outbox;
    ollama_record_outbox_t outbox;
    struct run_list running;
};

struct state_key {
    uint32_t key;
    int index;       /* -1: not configured any more */
    uint64_t teller; /* the instance that told it last */
    char name[129], account[129];
    int64_t seen; /* of the figures below, 0: never */
    uint32_t in_flight, slots, max_concurrent;
    uint64_t usage, reserved;
    int64_t until;
    uint8_t state, eligible, enabled;
    char status[65], reason[257];
    ollama_record_balance_t balance; /* of its account, time 0: not known */
    int64_t empty;                   /* when it will be, 0: nobody knows */
};

struct state {
    struct state_proxy *proxies;
    struct state_key *keys; /* in order of appearance */
    int nkeys, nproxies;
    int64_t started; /* of the daemon, time of day */
    int64_t begun;   /* the same, steady */
    int demo;
    int streams; /* pages that listen to /events */
    /* ingest's own counts, over all connections */
    int connections, paused;
    uint64_t frames, bytes, damaged, foreign, unknown, refused;
};

void state_init(struct state *s);
void state_free(struct state *s);

/* Made if they are not there; NULL when there are too many. */
struct state_proxy *state_proxy(struct state *s, uint64_t instance);
struct state_key *state_key(struct state *s, uint32_t key);
const struct state_key *state_find_key(const struct state *s, uint32_t key);

/* Whether it is configured; one of which only figures came, without a name, is
 * taken to be. */
int state_key_listed(const struct state_key *k);

/* Whether its figures are of now: it is configured, and it, or else the proxy
 * that told it, was heard in the last STATE_SHOWN_MS.  Of a key with which
 * nothing happens a proxy says nothing. */
int state_key_shown(const struct state *s, const struct state_key *k,
                    int64_t now);

/* Copies a text of the wire, cut at size - 1. */
void state_copy(char *to, size_t size, const ollama_text_t *t);

#endif
