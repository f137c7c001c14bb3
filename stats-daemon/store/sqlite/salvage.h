/*
 * A damaged ledger: what can still be read of it goes into a new one.
 *
 * Table by table, those first that are small and cannot be had again: names,
 * the total, sums, the numbers against doubling; requests and bodies last, if
 * the disk has room for them.  A table is read in the order of its primary key;
 * where a page is damaged the reading goes on behind it, at the next key that
 * can be read (found by doubling steps, then by halving them).  Names are in
 * an index, too, and are taken from there as well.  What sums and requests
 * refer to and nothing knows any more gets a name like "(lost 7)", so that no
 * sum is left out and no number of such a row is given to somebody else.
 *
 * Tables and columns are those of the new database; the old one may have fewer.
 */

#ifndef STATSD_STORE_SALVAGE_H
#define STATSD_STORE_SALVAGE_H

#include <sqlite3.h>
#include <stddef.h>
#include <stdint.h>

#define SALVAGE_TEXT 768

struct salvage {
    int64_t rows, requests, instances;
    int tables, torn; /* tables read, and those of which a part is lost */
    char text[SALVAGE_TEXT]; /* what was saved and what was lost */
};

/* Copies from the ledger at path into a new, empty one.  0, or -1 when the new
 * one cannot be written, with the reason in text. */
int salvage_copy(const char *path, sqlite3 *to, struct salvage *s);

/* Reads all of the ledger: 1 if it is whole, 0 if it is not, with what was
 * found in err.  For a start, ms is a bound: of a large one only the small
 * tables are read; -1 if nothing was found, and not all was read. */
int salvage_check(const char *path, int64_t ms, char *err, size_t len);

#endif
