/*
 * Money: whole nano-dollars, read from and written as decimal dollars without
 * a float in between.
 */

#ifndef CLOUD_MONEY_H
#define CLOUD_MONEY_H

#include "buf.h"

#include <stdbool.h>
#include <yajl/yajl_tree.h>

#define MONEY_DOLLAR 1000000000

/* A number of dollars, or one in a string ("0.00003", which some write as
 * 3e-05 otherwise), up to a million; false if it is none, or not a whole number
 * of nano-dollars. */
bool money_read(yajl_val v, int64_t *nano);

/* 12, 0.000123, -3.5 */
void money_write(struct buf *b, int64_t nano);

#endif
