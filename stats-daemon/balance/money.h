/*
 * Money as text: "72.5" is 72500000000 nano-dollars.
 *
 * A decimal number as JSON writes it, an exponent included.  No floats: what is
 * behind the ninth decimal is rounded.  A negative number is 0, one that is too
 * large is MONEY_MAX.
 */

#ifndef STATSD_MONEY_H
#define STATSD_MONEY_H

#include <stddef.h>
#include <stdint.h>

#define MONEY_DOLLAR INT64_C(1000000000)
#define MONEY_MAX    (INT64_C(1000000000) * MONEY_DOLLAR)

/* 0, or -1: it is no number. */
int money_read(const char *s, size_t len, int64_t *nano);

#endif
