/*
 * What is taken out of a request body before it is kept: whatever matches one
 * of the expressions becomes "[redacted]", in the place where it stood.
 *
 *     redact sk-[A-Za-z0-9]{20,}               a line of statsd.conf (settings)
 *     redact (?i)"password"\s*:\s*"\K[^"]*
 *
 * Expressions are Perl's, by PCRE2, over the bytes of the body as it was sent:
 * JSON in which a quote is \" and a line feed \n.  A dot is a character of
 * UTF-8, and bytes that are none match nothing.  They are used one after the
 * other.  One that matches what is empty is refused: it would be everywhere.
 *
 * An expression may take for ever.  It has REDACT_STEPS for each place at which
 * it is tried and, all in all, REDACT_MS and REDACT_MS_MB more for each
 * megabyte; a body with which it needs more is not kept, since nobody knows
 * what is in it.
 *
 * A list is shared by reference, and never changes once it is shared.
 * redact_body() is the writer thread's alone.
 */

#ifndef STATSD_REDACT_H
#define STATSD_REDACT_H

#include <stddef.h>

#define REDACT_STEPS 20000
#define REDACT_MS    100
#define REDACT_MS_MB 20
#define REDACT_WORD  "[redacted]"

struct redact;

/* Adds to a list that is not shared yet, or to a new one for NULL.  NULL with
 * the reason in err, and the list is as it was. */
struct redact *redact_add(struct redact *r, const char *expression, char *err,
                          size_t errlen);

/* NULL is a list, too: nothing is redacted. */
struct redact *redact_ref(struct redact *r);
void redact_unref(struct redact *r);

enum redact_result {
    REDACT_NOTHING, /* the body may be kept as it is */
    REDACT_DONE,    /* *out is what may be kept, in fresh memory */
    REDACT_TOO_HARD /* none of it may */
};
enum redact_result redact_body(struct redact *r, const void *data, size_t len,
                               void **out, size_t *outlen);

#endif
