/*
 * A copy of the few pages without which no other can be found: the first one
 * and those that say where each table begins.  Lost, they are as bad as all of
 * them lost; kept in usage.db.head they are put into a copy of what is left.
 *
 * The file: 8 bytes "olmahead", page size, number of pages, then for each page
 * its number and its bytes, then the CRC of all that; integers of 4 bytes, the
 * machine's.  These pages change with the schema only (and the first one in
 * what is not needed for reading), so it is written at a start, when they are
 * others.
 */

#ifndef STATSD_STORE_HEAD_H
#define STATSD_STORE_HEAD_H

#include <sqlite3.h>

/* The ledger at path, all of it in the file: nothing in a -wal.  It is read
 * through db, which has it open: a descriptor of our own would, when closed,
 * take SQLite's locks on the file away, and whoever reads the ledger then takes
 * itself for the last one and removes the -wal. */
void sqlite_head_save(sqlite3 *db, const char *path);

/* What is left at path, with those pages, as a database at copy: 0, or -1 if
 * there are none, or there is no room. */
int sqlite_head_patch(const char *path, const char *copy);

#endif
