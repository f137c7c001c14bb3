/*
 * The stores that there are, by the scheme of a URL (store.h).
 */

#ifndef STATSD_STORES_H
#define STATSD_STORES_H

#include "store.h"

/* NULL with the reason in err. */
struct store *stores_open(const char *url, char *err, size_t errlen);

/* 0, or -1 with the reason in err. */
int stores_backup(const char *url, const char *file, char *err, size_t errlen);

#endif
