/*
 * The ledger in one SQLite file, "sqlite:PATH": WAL, synchronous FULL. sqlite.h
 * says how.  An older schema is brought up to date (and a copy kept, backup.h),
 * a newer one and a file of somebody else refused.  Of a damaged one, now or
 * later, what can be read is saved into a new one (salvage.h), and problems.h
 * says so.
 */

#ifndef STATSD_STORE_TYPE_H
#define STATSD_STORE_TYPE_H

#include "../store.h"

extern const struct store_type store_sqlite;

/* Every statement of the reading side, for a test that looks at its plan:
 * its text, or NULL behind the last one. */
const char *sqlite_statement(int n, const char **name);

#endif
