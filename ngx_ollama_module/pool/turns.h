
/*
 * Which account a conversation's last turn went to.  Private to this folder:
 * see key.h.
 *
 * A table of a fixed size, made with the list: an entry for each conversation,
 * found by a hash, in the order in which they were used last; who comes when it
 * is full takes the place of the one that was not used for the longest time.
 * Places are told by number and the next one's, so that 100,000 conversations
 * take 4 MB, and all of it is done in a few steps.  An entry names a key, which
 * stands for its account; it may be gone by now.
 *
 * A name is mixed with a number of the table's own before its place is looked
 * up: nobody can choose names that are all in one place.
 */


#ifndef _NGX_HTTP_OLLAMA_TURNS_H_INCLUDED_
#define _NGX_HTTP_OLLAMA_TURNS_H_INCLUDED_


#include "pool.h"


typedef struct {
    uint64_t                         session;
    uint32_t                         key;               /* its number, */
    uint32_t                         slot;              /*   where to look */
    uint32_t                         used;              /* time */
    uint32_t                         next;              /* at its place */
    uint32_t                         newer;
    uint32_t                         older;
} ngx_http_ollama_turn_t;


/* 0 is no entry: the first one is the ends of the order */

typedef struct {
    uint32_t                         size;              /* of entries */
    uint32_t                         wanted;            /* likewise */
    uint32_t                         n;
    uint32_t                         shift;
    uint64_t                         secret;
    uint32_t                        *places;
    ngx_http_ollama_turn_t          *turns;
} ngx_http_ollama_affinity_t;


#endif /* _NGX_HTTP_OLLAMA_TURNS_H_INCLUDED_ */
