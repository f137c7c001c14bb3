/*
 * A hash table from strings to pointers, which remembers the order in which
 * keys came. Keys are copied; values belong to the caller. There is no removal:
 * what the simulator keeps by name (keys, models, accounts) is kept to the end
 * or dropped as a whole.
 */

#ifndef CLOUD_TABLE_H
#define CLOUD_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct table_entry {
    char *key;
    size_t len;
    uint64_t hash;
    void *value;
};

struct table {
    struct table_entry *entries; /* in order of arrival */
    uint32_t *slots;             /* index + 1 of an entry, 0 is free */
    size_t n, nslots;
};

void *table_get(const struct table *t, const char *key, size_t len);

/* The place of the key's value, NULL in it when the key is new. Good until the
 * next key is added. */
void **table_put(struct table *t, const char *key, size_t len);

/* Values are handed to drop() if there is one. */
void table_free(struct table *t, void (*drop)(void *value));

#endif
