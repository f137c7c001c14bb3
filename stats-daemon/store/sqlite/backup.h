/*
 * Copies of the ledger, each a database by itself: one file, no -wal.
 *
 * A copy is of one moment, however much is written meanwhile: it is read in one
 * transaction.  It is made under another name beside the file it is to be, and
 * renamed when it is whole and on the disk: there is never half of one.
 *
 * sqlite_backup() is `ollama-statsd --backup FILE`: beside a running daemon or
 * without one, by whoever may read the data folder.  A FILE that is a ledger's
 * copy is replaced, another one is not.
 *
 * sqlite_keep() is the copy before a migration, usage.db.schema-N, N being the
 * schema's number; the STORE_KEPT with the greatest numbers stay.
 */

#ifndef STATSD_STORE_BACKUP_H
#define STATSD_STORE_BACKUP_H

#include <sqlite3.h>
#include <stddef.h>

#define STORE_KEPT 2

/* 0, or -1 with the reason in err. */
int sqlite_backup(const char *path, const char *file, char *err, size_t len);

/* Copies db, the ledger at path; says in the log what it does, and why it does
 * not when the disk has no room. */
void sqlite_keep(sqlite3 *db, const char *path, int schema);

#endif
