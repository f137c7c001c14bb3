
/*
 * The value of a Retry-After header, in seconds from now: 0 to
 * OLLAMA_RETRY_AFTER_MAX, -1 if it cannot be understood.
 *
 *     10                               seconds
 *     1795700000                       a time since 1970, as some say it: in
 *     1795700000000                      seconds, ms, us or ns
 *     Sun, 06 Nov 1994 08:49:37 GMT    an HTTP date, in all three forms
 *
 * What has passed already is 0, what is too far away is cut at the maximum.
 */

#ifndef OLLAMA_RETRY_AFTER_H_INCLUDED
#define OLLAMA_RETRY_AFTER_H_INCLUDED

#include <stddef.h>
#include <stdint.h>

#define OLLAMA_RETRY_AFTER_MAX  (31 * 86400)


int64_t ollama_retry_after(const char *value, size_t len, int64_t now);


#endif /* OLLAMA_RETRY_AFTER_H_INCLUDED */
