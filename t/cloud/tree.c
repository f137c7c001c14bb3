#include "tree.h"

#include <stdlib.h>

yajl_val tree_parse(const char *text, size_t len, struct buf *complaint) {
    char error[512] = "empty";
    char *copy = must(malloc(len + 1));
    yajl_val tree;

    memcpy(copy, text, len);
    copy[len] = '\0';
    tree = yajl_tree_parse(copy, error, sizeof(error));
    free(copy);

    if (tree == NULL) {
        buf_printf(complaint, "not JSON: %s", error);
    } else if (!YAJL_IS_OBJECT(tree)) {
        buf_lit(complaint, "not a JSON object");
        yajl_tree_free(tree);
        tree = NULL;
    }
    return tree;
}

yajl_val tree_get(yajl_val object, const char *name) {
    size_t i;

    if (!YAJL_IS_OBJECT(object)) return NULL;
    for (i = object->u.object.len; i > 0; i--)
        if (strcmp(object->u.object.keys[i - 1], name) == 0)
            return object->u.object.values[i - 1];
    return NULL;
}

const char *tree_string(yajl_val object, const char *name, const char *absent) {
    const char *s = YAJL_GET_STRING(tree_get(object, name));
    return s ? s : absent;
}

int64_t tree_int(yajl_val object, const char *name, int64_t absent) {
    yajl_val v = tree_get(object, name);

    if (YAJL_IS_TRUE(v)) return 1;
    if (YAJL_IS_FALSE(v)) return 0;
    return YAJL_IS_INTEGER(v) ? YAJL_GET_INTEGER(v) : absent;
}

bool tree_bool(yajl_val object, const char *name, bool absent) {
    return tree_int(object, name, absent) != 0;
}

size_t tree_count(yajl_val array) {
    return YAJL_IS_ARRAY(array) ? array->u.array.len : 0;
}

yajl_val tree_at(yajl_val array, size_t i) {
    return array->u.array.values[i];
}

const char *tree_unknown(yajl_val object, const char *const *names) {
    size_t i, j;

    for (i = 0; i < object->u.object.len; i++) {
        for (j = 0; names[j] && strcmp(names[j], object->u.object.keys[i]);
             j++) {
        }
        if (names[j] == NULL) return object->u.object.keys[i];
    }
    return NULL;
}
