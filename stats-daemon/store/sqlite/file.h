/*
 * What lies where the ledger is to be, looked at before anything is done to it.
 *
 * Ours is a SQLite file with our application id, or one without any id that has
 * our tables, or none (what a crash in the midst of the first start leaves).
 * Other tables, another id: somebody else's, which is not touched.  A file that
 * is no database at all is taken for our own, damaged, only in a folder that
 * has been ours (requests/ is there, or what was a ledger once).
 */

#ifndef STATSD_STORE_FILE_H
#define STATSD_STORE_FILE_H

#include <sqlite3.h>
#include <stddef.h>

#define STORE_APPLICATION_ID 0x6f6c6d61 /* "olma" */

enum store_file {
    STORE_FILE_NONE, /* there is none, or an empty one */
    STORE_FILE_OURS,
    STORE_FILE_DAMAGED, /* ours, but no database any more */
    STORE_FILE_FOREIGN  /* err says what it is */
};

enum store_file sqlite_file_look(const char *path, char *err, size_t len);

/* Opens one for reading, beside whoever writes it, without the right to write
 * and without leaving a file.  Close it whatever *code says. */
sqlite3 *sqlite_file_open(const char *path, int *code);

#endif
