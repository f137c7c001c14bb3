/*
 * A hash map from bytes to a value of fixed size.
 *
 * Entries live in blocks of memory that belong to the map: a value's address
 * stays the same until map_clear() or map_free(), which give everything back
 * at once.  There is no removal of a single entry; nobody here needs it.
 *
 *     struct map *m = map_new(sizeof(struct cell));
 *     int fresh;
 *     struct cell *c = map_put(m, &key, sizeof(key), &fresh);
 *     if (fresh) ...                         // *c is all zero
 *     for (void *v = NULL; (v = map_next(m, v)); ) ...   // order of entry
 */

#ifndef STATSD_MAP_H
#define STATSD_MAP_H

#include <stddef.h>

struct map;

struct map *map_new(size_t value_size);
void map_free(struct map *m);
void map_clear(struct map *m);
size_t map_count(const struct map *m);

/* The value of a key, or NULL. */
void *map_get(const struct map *m, const void *key, size_t len);

/* The value of a key, made if it is not there. */
void *map_put(struct map *m, const void *key, size_t len, int *fresh);

/* All values, oldest first; NULL begins and ends the walk. */
void *map_next(const struct map *m, const void *value);

/* A value's key. */
const void *map_key(const void *value, size_t *len);

#endif
