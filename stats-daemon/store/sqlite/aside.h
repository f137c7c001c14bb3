/*
 * A new ledger takes the place of a damaged one, whatever happens meanwhile.
 *
 *     usage.db.salvage        is being built; a start removes it
 *     usage.db.salvaged       is whole; a start brings the change to its end
 *     usage.db.damaged-DAY    the old one, as it was, with its -wal
 *
 * The old one is touched only when the new one is whole and on the disk.  Its
 * -wal goes with it: beside the new one it would be written into that.
 */

#ifndef STATSD_STORE_ASIDE_H
#define STATSD_STORE_ASIDE_H

#include <stddef.h>

/* Where the new one is to be built, for the ledger at path; free() it. */
char *aside_place(const char *path);

/* The new one, complete and closed, takes the place; aside is given the old
 * one's new name.  0, or -1 with errno. */
int aside_swap(const char *path, char *aside, size_t len);

/* What a start finds of a change that a crash has cut short: 1 if it is done
 * now. */
int aside_resume(const char *path);

#endif
