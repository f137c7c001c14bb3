/*
 * What the store in memory has: memory_store.c writes it, memory_ask.c answers.
 */

#ifndef MEMORY_STATE_H
#define MEMORY_STATE_H

#include "memory_store.h"

struct request {
    struct store_row     row;    /* its texts are its own */
    struct store_counts  n;
    struct store_turns   turn;   /* turns 0: it is none */
    int                  kind;
    int                  gone;   /* the row was trimmed: it is in sums only */
};

struct body {
    uint64_t         instance, id;
    int64_t          time, size;
    int              truncated;
    struct body_ref  ref;
};

struct penalty {
    uint64_t                 instance;
    ollama_record_penalty_t  is;     /* its texts are its own */
};

struct place {
    uint32_t  key;
    int       index, round;
    char      proxy[65], name[129], account[129];
};

struct proxy {
    uint64_t  instance, seq, next;
    char      name[65];
    int       round;
};

/* All that a batch changes: the one that is kept, and the one being made. */

struct state {
    struct request  *requests;
    struct body     *bodies;
    struct penalty  *penalties, *events;
    struct place    *places;
    struct proxy    *proxies;
    size_t           nrequests, nbodies, npenalties, nevents, nplaces, nproxies;
    int              rounds;
};

struct memory {
    struct store         head;
    struct state         kept;
    struct store_reader  readers[STORE_READERS];
    int                  stopped[STORE_READERS];
    uint64_t             commits;
    int64_t              behind, hours_before, minutes_before,
                         turns_before;
    struct store_counts  total;
    enum store_result    fail;
};


#define of(s)  ((struct memory *) (void *) (s))


enum store_result memory_ask(struct store_reader *rd,
    const struct store_question *q);

/* what the last question has left */
void memory_ask_free(void);

#endif
