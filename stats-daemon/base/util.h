/*
 * Small things that several files need: clocks, times in words, hashing.
 *
 * Times of day are int64_t milliseconds since 1970 (UTC) everywhere in the
 * daemon; monotonic times are milliseconds too (of mono_us() microseconds) and
 * are only subtracted.
 */

#ifndef STATSD_UTIL_H
#define STATSD_UTIL_H

#include <stddef.h>
#include <stdint.h>

#define ISO_SIZE 32

int64_t now_ms(void);
int64_t mono_ms(void);
int64_t mono_us(void);

/* "2026-11-22T20:43:00Z", with ".123" when ms is set; buf has ISO_SIZE. */
const char *iso_time(char *buf, int64_t ms, int with_ms);

/* "2026-11-22" */
const char *iso_day(char *buf, int64_t ms);

/* A date, a date and time in ISO 8601 (UTC unless an offset is given), or
 * seconds since 1970.  Returns 0, or -1 for anything else. */
int parse_time(const char *s, int64_t *ms);

/* A whole decimal number within bounds, nothing around it: 0, or -1. */
int parse_number(const char *s, int64_t min, int64_t max, int64_t *value);

/* A number with a unit: s m h d (seconds if none), or k m g (bytes). */
int parse_duration(const char *s, int64_t *ms);
int parse_size(const char *s, int64_t *bytes);

/* Not for security, but with a seed of its own for each process, so that
 * nobody outside can choose names that collide. */
uint64_t hash_bytes(const void *data, size_t len);

/* Never return NULL: out of memory ends the process with a word. */
void *xmalloc(size_t size);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t size);
char *xstrdup(const char *s);

/* printf into a fresh string. */
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Fills buf from the kernel's random source. */
void random_bytes(void *buf, size_t len);

#endif
