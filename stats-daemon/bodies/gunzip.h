/*
 * One gzip member, unpacked.
 */

#ifndef STATSD_GUNZIP_H
#define STATSD_GUNZIP_H

#include <stddef.h>

/* At most max bytes, in fresh memory; NULL if there are more, or it is
 * damaged. */
void *gunzip(const void *data, size_t len, size_t max, size_t *out);

#endif
