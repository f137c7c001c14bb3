/*
 * Request bodies as versions before 0.3 kept them: one gzip file a body, in a
 * folder a day (UTC, of the request's time),
 *
 *     DIR/requests/2026-11-22/<instance>-<request>.json.gz
 *
 * None is written any more.  They are read until they have aged out.
 */

#ifndef STATSD_BODY_FILES_H
#define STATSD_BODY_FILES_H

#include <stddef.h>
#include <stdint.h>

/* dir is the data folder.  The compressed bytes in fresh memory, or NULL. */
void *body_file_read(const char *dir, uint64_t instance, uint64_t id,
                     int64_t time, size_t *len);

void body_file_remove(const char *dir, uint64_t instance, uint64_t id,
                      int64_t time);

/* Removes at most n files of days that were over before a time of day;
 * returns how many it removed. */
int body_files_sweep(const char *dir, int64_t before, int n);

#endif
