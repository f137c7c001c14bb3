/*
 * How large usage.db is: what it uses is pages with something on them, what it
 * takes on the disk has the free ones, too, which later rows fill again.
 *
 * A ledger gives free pages back a piece at a time (auto_vacuum INCREMENTAL):
 * the last pages of the file move to where free ones are, and it ends earlier
 * when the -wal is written back.  One of an older version has to be written
 * anew once for that (VACUUM): a small one is, when it is opened.  A large one
 * would stop the ledger for minutes: it stays as it is, and does not grow while
 * it has free pages.
 */

#ifndef STATSD_STORE_SIZE_H
#define STATSD_STORE_SIZE_H

#include "sqlite.h"

#define STORE_VACUUM_MAX (64LL * 1024 * 1024)

/* For a connection, before its database has a page. */
#define STORE_SHRINKS "PRAGMA auto_vacuum = INCREMENTAL;"

/* The start. */
void sqlite_size_begin(struct sqlite *s);

/* Is more than bytes used (0: there is no bound)?  Within a transaction, what
 * it has changed counts. */
int sqlite_size_over(struct sqlite *s, int64_t bytes);

/* A piece, between transactions, when much is free, or the file is larger than
 * bytes.  *left is set when there is more. */
enum store_result sqlite_size_shrink(struct sqlite *s, int64_t bytes,
                                     int *left);

#endif
