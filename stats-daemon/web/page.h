/*
 * The dashboard's files: GET /dashboard and below.
 *
 * The folder is read once, at the start and at SIGHUP: every file with a
 * known type and a plain name (letters, digits, '.', '-', '_'; folders two
 * deep) goes into a table, whole.  A request is looked up in that table and
 * nowhere else, so nothing in a path reaches the file system.
 *
 *     /dashboard, /dashboard/   index.html
 *     /dashboard/NAME           NAME
 *
 * Each file has an ETag of its content; text is kept compressed as well.
 */

#ifndef STATSD_PAGE_H
#define STATSD_PAGE_H

#include "http.h"

#define PAGE_FILES_MAX 256
#define PAGE_FILE_MAX  (4 * 1024 * 1024)

/* Reads the folder again; -1 if there is no index.html in it (the old table
 * stays). */
int page_load(const char *dir);
void page_routes(struct http *h);
void page_free(void);

#endif
