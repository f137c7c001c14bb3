/*
 * Request bodies: DIR/requests/2026-11-22/<instance>-<request>.json.gz
 *
 * One gzip file a body, in a folder a day (UTC, of the request's time).  The
 * name is made of numbers only.  Writing the same body again replaces the
 * file, so a batch that is repeated after a crash leaves nothing double.
 *
 * The store knows which bodies there are (and forgets them by age and by
 * bytes); here are only files.  A file that the store does not know, because
 * the daemon died before its commit, goes with its day: bodies_sweep().
 */

#ifndef STATSD_BODIES_H
#define STATSD_BODIES_H

#include <stddef.h>
#include <stdint.h>

struct bodies;

/* NULL with the reason in err. */
struct bodies *bodies_open(const char *dir, char *err, size_t errlen);
void bodies_close(struct bodies *b);

/* Compresses and writes.  Returns the space it takes on the disk (rounded up
 * to blocks), or -1 with errno. */
int64_t bodies_write(struct bodies *b, uint64_t instance, uint64_t id,
                     int64_t time, const void *data, size_t len);

void bodies_remove(struct bodies *b, uint64_t instance, uint64_t id,
                   int64_t time);

/* The compressed bytes in fresh memory, or NULL.  From any thread. */
void *bodies_read(const struct bodies *b, uint64_t instance, uint64_t id,
                  int64_t time, size_t *len);

/* The bytes themselves, at most max, in fresh memory, or NULL. */
void *bodies_inflate(const void *data, size_t len, size_t max, size_t *out);

/* Removes at most n files of days that were over before a time of day;
 * returns how many it removed. */
int bodies_sweep(struct bodies *b, int64_t before, int n);

#endif
