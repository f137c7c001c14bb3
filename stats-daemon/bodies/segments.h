/*
 * Request bodies: DIR/requests/2026-11-26/14.gz
 *
 * An hour's bodies (UTC, of the time at which they were written) go into one
 * file, a segment: gzip members one behind the other, so that zcat reads all
 * of it.  A segment that has grown to SEGMENT_BYTES is followed by another one
 * of the same hour: 14.2.gz, 14.3.gz.  A body is found by a struct body_ref,
 * which whoever keeps the ledger keeps as well; nothing here knows whose body
 * it is.
 *
 * Batches.  The writer puts a batch's bodies, which are only compressed, then
 * flushes: they are appended in one write to a segment, and are on the disk
 * when segments_flush() returns, the folders' entries as well.  Then the ledger
 * is committed; if it is not, segments_undo() cuts off what the batch has
 * written.
 *
 *     segments_put(s, now, data, len, &ref);  ...
 *     segments_flush(s);
 *     ... the ledger's commit ...       or     segments_undo(s);
 *
 * A crash between the two leaves members that nobody knows, or half of one.
 * So the first thing that is done with a segment which is there already is to
 * cut it off behind the last body that the ledger knows in it: segments_end()
 * at the start.
 *
 * Errors.  Each function returns -1 with errno.  A batch that cannot be
 * flushed leaves nothing behind, and its references are worthless.  A folder
 * that has gone is made anew.
 *
 * Threads.  One puts, flushes, undoes and drops; segments_read() and
 * segments_inflate() may be called by any.
 */

#ifndef STATSD_SEGMENTS_H
#define STATSD_SEGMENTS_H

#include "body_ref.h"

#include <stddef.h>
#include <stdint.h>

#define SEGMENT_BYTES (64 * 1024 * 1024)

struct segments;

/* NULL with the reason in err. */
struct segments *segments_open(const char *dir, char *err, size_t errlen);
void segments_close(struct segments *s);

/* Smaller segments than SEGMENT_BYTES, so that what is dropped at once is a
 * small part of all that may be kept. */
void segments_limit(struct segments *s, int64_t all);

/* The last body that the ledger knows of a segment ends there. */
void segments_end(struct segments *s, int64_t segment, int64_t end);

int segments_put(struct segments *s, int64_t now, const void *data, size_t len,
                 struct body_ref *ref);
int segments_flush(struct segments *s);
void segments_undo(struct segments *s);

/* The gzip member in fresh memory, or NULL. */
void *segments_read(const struct segments *s, const struct body_ref *ref);

/* Removes a segment, and its day's folder with the last one. */
void segments_drop(struct segments *s, int64_t segment);

/* The oldest one there is, whoever knows it; 0: none. */
int64_t segments_oldest(const struct segments *s);

/* Removes segments of hours that were over before a time of day, known to the
 * ledger or not; at most n, returns how many. */
int segments_sweep(struct segments *s, int64_t before, int n);

/* "2026-11-26/14.2.gz" in buf, of SEGMENT_NAME bytes. */
#define SEGMENT_NAME 64
const char *segment_name(char *buf, int64_t segment);

/* The number that a day's folder and a file's name stand for, or -1. */
int64_t segment_number(const char *day, const char *name);

#endif
