#include "map.h"

#include "util.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_SIZE 65536

struct entry {
    struct entry *chain; /* of its bucket */
    struct entry *after; /* in order of entry */
    uint64_t hash;
    size_t key_len;
    const unsigned char *key;
    size_t pad; /* keeps what follows aligned to 16 */
};              /* then the value, then the key */

struct block {
    struct block *next;
    size_t used, size;
    max_align_t data[];
};

struct map {
    struct entry **buckets;
    size_t mask, count, value_size;
    struct entry *first, *last;
    struct block *blocks;
};

struct map *map_new(size_t value_size) {
    struct map *m = xcalloc(1, sizeof(*m));

    m->value_size = (value_size + 15) & ~(size_t)15;
    m->mask = 63;
    m->buckets = xcalloc(m->mask + 1, sizeof(*m->buckets));
    return m;
}

void map_clear(struct map *m) {
    while (m->blocks) {
        struct block *next = m->blocks->next;
        free(m->blocks);
        m->blocks = next;
    }
    memset(m->buckets, 0, (m->mask + 1) * sizeof(*m->buckets));
    m->first = m->last = NULL;
    m->count = 0;
}

void map_free(struct map *m) {
    if (m == NULL) return;
    map_clear(m);
    free(m->buckets);
    free(m);
}

size_t map_count(const struct map *m) {
    return m->count;
}

static void *value_of(const struct entry *e) {
    return (void *)(e + 1);
}

static struct entry *find(const struct map *m, const void *key, size_t len,
                          uint64_t hash) {
    struct entry *e = m->buckets[hash & m->mask];

    while (e && (e->hash != hash || e->key_len != len ||
                 memcmp(e->key, key, len) != 0))
        e = e->chain;
    return e;
}

void *map_get(const struct map *m, const void *key, size_t len) {
    struct entry *e = find(m, key, len, hash_bytes(key, len));
    return e ? value_of(e) : NULL;
}

static void *take(struct map *m, size_t size) {
    size = (size + 15) & ~(size_t)15;

    if (m->blocks == NULL || m->blocks->size - m->blocks->used < size) {
        size_t room = size > BLOCK_SIZE ? size : BLOCK_SIZE;
        struct block *b = xmalloc(sizeof(*b) + room);
        b->next = m->blocks;
        b->used = 0;
        b->size = room;
        m->blocks = b;
    }

    void *p = (char *)m->blocks->data + m->blocks->used;
    m->blocks->used += size;
    return p;
}

static void grow(struct map *m) {
    size_t mask = m->mask * 2 + 1;
    struct entry **buckets = xcalloc(mask + 1, sizeof(*buckets));

    for (struct entry *e = m->first; e; e = e->after) {
        e->chain = buckets[e->hash & mask];
        buckets[e->hash & mask] = e;
    }
    free(m->buckets);
    m->buckets = buckets;
    m->mask = mask;
}

void *map_put(struct map *m, const void *key, size_t len, int *fresh) {
    uint64_t hash = hash_bytes(key, len);
    struct entry *e = find(m, key, len, hash);

    *fresh = e == NULL;
    if (e) return value_of(e);

    if (m->count > m->mask) grow(m);

    e = take(m, sizeof(*e) + m->value_size + len);
    memset(e, 0, sizeof(*e) + m->value_size);
    unsigned char *copy = (unsigned char *)(e + 1) + m->value_size;
    memcpy(copy, key, len);
    e->key = copy;
    e->key_len = len;
    e->hash = hash;
    e->chain = m->buckets[hash & m->mask];
    m->buckets[hash & m->mask] = e;
    if (m->last)
        m->last->after = e;
    else
        m->first = e;
    m->last = e;
    m->count++;
    return value_of(e);
}

void *map_next(const struct map *m, const void *value) {
    struct entry *e =
        value ? ((const struct entry *)value - 1)->after : m->first;
    return e ? value_of(e) : NULL;
}

const void *map_key(const void *value, size_t *len) {
    const struct entry *e = (const struct entry *)value - 1;
    *len = e->key_len;
    return e->key;
}
