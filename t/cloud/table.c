#include "table.h"

#include "buf.h"

#include <stdlib.h>

/* FNV-1a; the keys of a test are nobody's attack. */
static uint64_t hash_of(const char *key, size_t len) {
    uint64_t h = 14695981039346656037u;
    size_t i;

    for (i = 0; i < len; i++) h = (h ^ (unsigned char)key[i]) * 1099511628211u;
    return h ^ h >> 29;
}

static size_t find(const struct table *t, const char *key, size_t len,
                   uint64_t hash) {
    size_t i = hash & (t->nslots - 1);
    struct table_entry *e;

    for (; t->slots[i]; i = (i + 1) & (t->nslots - 1)) {
        e = &t->entries[t->slots[i] - 1];
        if (e->hash == hash && e->len == len && memcmp(e->key, key, len) == 0)
            break;
    }
    return i;
}

static void grow(struct table *t) {
    size_t i, j;

    t->nslots = t->nslots ? t->nslots * 2 : 16;
    free(t->slots);
    t->slots = must(calloc(t->nslots, sizeof(*t->slots)));
    t->entries = must(realloc(t->entries, t->nslots / 2 * sizeof(*t->entries)));

    for (i = 0; i < t->n; i++) {
        j = t->entries[i].hash & (t->nslots - 1);
        while (t->slots[j]) j = (j + 1) & (t->nslots - 1);
        t->slots[j] = i + 1;
    }
}

void *table_get(const struct table *t, const char *key, size_t len) {
    size_t i;

    if (t->n == 0) return NULL;
    i = find(t, key, len, hash_of(key, len));
    return t->slots[i] ? t->entries[t->slots[i] - 1].value : NULL;
}

void **table_put(struct table *t, const char *key, size_t len) {
    uint64_t hash = hash_of(key, len);
    struct table_entry *e;
    size_t i;

    if (t->n == t->nslots / 2) grow(t);

    i = find(t, key, len, hash);
    if (t->slots[i] == 0) {
        t->slots[i] = t->n + 1;
        e = &t->entries[t->n++];
        e->key = must(malloc(len + 1));
        memcpy(e->key, key, len);
        e->key[len] = '\0';
        e->len = len;
        e->hash = hash;
        e->value = NULL;
    }
    return &t->entries[t->slots[i] - 1].value;
}

void table_free(struct table *t, void (*drop)(void *value)) {
    size_t i;

    for (i = 0; i < t->n; i++) {
        free(t->entries[i].key);
        if (drop && t->entries[i].value) drop(t->entries[i].value);
    }
    free(t->entries);
    free(t->slots);
    memset(t, 0, sizeof(*t));
}
