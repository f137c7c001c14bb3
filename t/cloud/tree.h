/*
 * Looking into a small JSON document of the control pages: yajl's tree with
 * defaults for what is absent. Complaints go to a buffer of the caller, worded
 * for the person who wrote the document.
 */

#ifndef CLOUD_TREE_H
#define CLOUD_TREE_H

#include "buf.h"

#include <stdbool.h>
#include <yajl/yajl_tree.h>

/* NULL and a complaint if the text is not a JSON object. Free with
 * yajl_tree_free(). */
yajl_val tree_parse(const char *text, size_t len, struct buf *complaint);

/* Members of an object; of duplicates the last. */
yajl_val tree_get(yajl_val object, const char *name);
const char *tree_string(yajl_val object, const char *name, const char *absent);
int64_t tree_int(yajl_val object, const char *name, int64_t absent);
bool tree_bool(yajl_val object, const char *name, bool absent);

/* Elements of an array; a value that is absent or none has none. */
size_t tree_count(yajl_val array);
yajl_val tree_at(yajl_val array, size_t i);

/* The first member that is not one of the names (the list ends with NULL). */
const char *tree_unknown(yajl_val object, const char *const *names);

#endif
