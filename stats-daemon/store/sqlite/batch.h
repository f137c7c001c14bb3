/*
 * A batch becomes one transaction: sqlite_write() of sqlite.h.
 *
 * What an instance's last committed number is, is read once and kept; after a
 * rollback it is read again.
 */

#ifndef STATSD_STORE_BATCH_H
#define STATSD_STORE_BATCH_H

struct map;

struct map *sqlite_numbers_new(void);

#endif
