/*
 * A write-ahead log that does not become small again.
 *
 * The ledger's usage.db-wal is written back into usage.db as it grows, but not
 * what somebody who reads still looks past: a transaction that another program
 * leaves open (a copy, sqlite3 on a terminal) makes it grow without an end, and
 * reading slower.  No record is lost by that, so it is said, not refused: once
 * in the log, and in /health while it is larger than WAL_WATCH_MAX.
 *
 * Its size is what the writer has seen, a few seconds old; nothing here touches
 * the disk.  The loop's thread only.
 */

#ifndef STATSD_WAL_WATCH_H
#define STATSD_WAL_WATCH_H

#include <stdint.h>

#define WAL_WATCH_MAX ((int64_t)256 << 20)

struct event_base;
struct writer;

void wal_watch_start(struct event_base *base, struct writer *writer);
void wal_watch_stop(void);

#endif
