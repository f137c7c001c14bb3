/*
 * fuzz.h - what the fuzz targets share.
 *
 * fuzz_check(x)   the property under test: prints it and aborts
 * fuzz_pieces()   feeds data in pieces of pseudo-random sizes, each a block of
 *                 its own on the heap, so that a read beyond its end is seen
 *
 * A small tree of a JSON text, read with yajl: the independent opinion.
 */

#ifndef FUZZ_H_INCLUDED
#define FUZZ_H_INCLUDED

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_parse.h>


#define fuzz_check(x)                                                         \
    do {                                                                      \
        if (!(x)) {                                                           \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #x);   \
            abort();                                                          \
        }                                                                     \
    } while (0)


typedef void (*fuzz_feed_pt)(void *ctx, const unsigned char *p, size_t n);


/* seed 0: in one piece; 1: byte by byte */

static inline void
fuzz_pieces(const uint8_t *data, size_t n, unsigned seed, fuzz_feed_pt feed,
    void *ctx)
{
    size_t          len;
    uint32_t        state;
    unsigned char  *copy;

    state = seed * 2654435761u + 1;

    while (n) {
        state = state * 1664525u + 1013904223u;
        len = (seed == 0) ? n : (seed == 1) ? 1
              : 1 + (state >> 16) % (1u << (1 + (state >> 28) % 8));

        if (len > n) {
            len = n;
        }

        copy = malloc(len);
        fuzz_check(copy != NULL);
        memcpy(copy, data, len);
        feed(ctx, copy, len);
        free(copy);

        data += len;
        n -= len;
    }
}


typedef enum {
    node_null = 'n',
    node_bool = 'b',
    node_number = '0',
    node_string = '"',
    node_object = '{',
    node_array = '['
} fuzz_type_e;


typedef struct fuzz_node_s  fuzz_node_t;

struct fuzz_node_s {
    fuzz_type_e    type;
    char          *key;             /* in an object */
    size_t         key_len;
    char          *text;            /* string, number; bool: "1" or "0" */
    size_t         len;
    fuzz_node_t   *up;
    fuzz_node_t   *first;
    fuzz_node_t   *last;
    fuzz_node_t   *next;
};


typedef struct {
    fuzz_node_t   *root;
    fuzz_node_t   *open;
    char          *key;
    size_t         key_len;
} fuzz_tree_t;


static inline char *
fuzz_copy(const void *p, size_t n)
{
    char  *copy;

    copy = malloc(n + 1);
    fuzz_check(copy != NULL);

    if (n) {
        memcpy(copy, p, n);
    }

    copy[n] = '\0';

    return copy;
}


static inline void
fuzz_free(fuzz_node_t *node)
{
    fuzz_node_t  *child, *next;

    if (node == NULL) {
        return;
    }

    for (child = node->first; child; child = next) {
        next = child->next;
        fuzz_free(child);
    }

    free(node->key);
    free(node->text);
    free(node);
}


static inline fuzz_node_t *
fuzz_new(fuzz_type_e type, const void *text, size_t len)
{
    fuzz_node_t  *node;

    node = calloc(1, sizeof(fuzz_node_t));
    fuzz_check(node != NULL);

    node->type = type;
    node->text = fuzz_copy(text, len);
    node->len = len;

    return node;
}


static inline void
fuzz_append(fuzz_node_t *parent, fuzz_node_t *node)
{
    node->up = parent;

    if (parent->last) {
        parent->last->next = node;
    } else {
        parent->first = node;
    }

    parent->last = node;
}


static inline fuzz_node_t *
fuzz_add(fuzz_tree_t *tree, fuzz_type_e type, const void *text, size_t len)
{
    fuzz_node_t  *node;

    node = fuzz_new(type, text, len);

    if (tree->open == NULL) {
        tree->root = node;
        return node;
    }

    node->key = tree->key;
    node->key_len = tree->key_len;
    tree->key = NULL;

    fuzz_append(tree->open, node);

    return node;
}


static inline int
fuzz_on_null(void *ctx)
{
    fuzz_add(ctx, node_null, NULL, 0);
    return 1;
}


static inline int
fuzz_on_bool(void *ctx, int value)
{
    fuzz_add(ctx, node_bool, value ? "1" : "0", 1);
    return 1;
}


static inline int
fuzz_on_number(void *ctx, const char *text, size_t len)
{
    fuzz_add(ctx, node_number, text, len);
    return 1;
}


static inline int
fuzz_on_string(void *ctx, const unsigned char *text, size_t len)
{
    fuzz_add(ctx, node_string, text, len);
    return 1;
}


static inline int
fuzz_on_key(void *ctx, const unsigned char *text, size_t len)
{
    fuzz_tree_t  *tree = ctx;

    tree->key = fuzz_copy(text, len);
    tree->key_len = len;
    return 1;
}


static inline int
fuzz_on_object(void *ctx)
{
    fuzz_tree_t  *tree = ctx;

    tree->open = fuzz_add(tree, node_object, NULL, 0);
    return 1;
}


static inline int
fuzz_on_array(void *ctx)
{
    fuzz_tree_t  *tree = ctx;

    tree->open = fuzz_add(tree, node_array, NULL, 0);
    return 1;
}


static inline int
fuzz_on_end(void *ctx)
{
    fuzz_tree_t  *tree = ctx;

    tree->open = tree->open->up;
    return 1;
}


/* The text as a tree; NULL if it is not exactly one JSON value. */

static inline fuzz_node_t *
fuzz_parse(const void *text, size_t n)
{
    int           ok;
    fuzz_node_t  *root;
    fuzz_tree_t   tree;
    yajl_handle   handle;

    static const yajl_callbacks  callbacks = {
        .yajl_null = fuzz_on_null,
        .yajl_boolean = fuzz_on_bool,
        .yajl_number = fuzz_on_number,
        .yajl_string = fuzz_on_string,
        .yajl_map_key = fuzz_on_key,
        .yajl_start_map = fuzz_on_object,
        .yajl_end_map = fuzz_on_end,
        .yajl_start_array = fuzz_on_array,
        .yajl_end_array = fuzz_on_end
    };

    memset(&tree, 0, sizeof(fuzz_tree_t));

    handle = yajl_alloc(&callbacks, NULL, &tree);
    fuzz_check(handle != NULL);
    yajl_config(handle, yajl_dont_validate_strings, 1);

    /* in brackets, for yajl overlooks a string that begins behind the end */

    ok = yajl_parse(handle, (const unsigned char *) "[", 1) == yajl_status_ok
         && yajl_parse(handle, text, n) == yajl_status_ok
         && yajl_parse(handle, (const unsigned char *) " ", 1)
            == yajl_status_ok
         && tree.open == tree.root
         && yajl_parse(handle, (const unsigned char *) "]", 1)
            == yajl_status_ok
         && tree.open == NULL
         && tree.root->first && tree.root->first == tree.root->last;

    yajl_free(handle);
    free(tree.key);

    root = NULL;

    if (ok) {
        root = tree.root->first;
        root->up = NULL;
        tree.root->first = NULL;
    }

    fuzz_free(tree.root);

    return root;
}


static inline int
fuzz_same(const fuzz_node_t *a, const fuzz_node_t *b)
{
    if (a->type != b->type || a->len != b->len || !a->key != !b->key
        || memcmp(a->text, b->text, a->len) != 0)
    {
        return 0;
    }

    if (a->key && (a->key_len != b->key_len
                   || memcmp(a->key, b->key, a->key_len) != 0))
    {
        return 0;
    }

    for (a = a->first, b = b->first; a && b; a = a->next, b = b->next) {
        if (!fuzz_same(a, b)) {
            return 0;
        }
    }

    return a == NULL && b == NULL;
}


#endif /* FUZZ_H_INCLUDED */
