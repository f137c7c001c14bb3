/*
 * The text format of Prometheus (0.0.4), written into a growing buffer.
 *
 *     # HELP name words
 *     # TYPE name counter
 *     name{label="value"} 12
 *
 * A label's value is UTF-8, in which \ " and a newline are escaped.  Names come
 * from outside and may hold any bytes: metrics_clean() makes of them what the
 * page shows.  Whatever is summed up by a label has to be summed up by what
 * metrics_clean() gives, or two lines are of one name.
 */

#ifndef STATSD_METRICS_TEXT_H
#define STATSD_METRICS_TEXT_H

#include "../base/json.h"

#include <stddef.h>

/* Room for a cleaned name of so many bytes, and a NUL. */
#define METRICS_CLEAN(len) (3 * (len) + 1)

/* Each byte that is not UTF-8, and NUL, becomes U+FFFD; to has room, see
 * above, and ends with NUL.  Returns its length. */
size_t metrics_clean(char *to, const void *name, size_t len);

void metrics_head(struct json *j, const char *name, const char *type,
                  const char *help);
void metrics_label(struct json *j, const char *name, const char *value);
void metrics_out(struct json *j, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* A metric of one line, without labels. */
void metrics_one(struct json *j, const char *name, const char *type,
                 const char *help, double value);

#endif
