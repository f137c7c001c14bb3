
/*
 * The key that is free soonest, for a request that only soft things keep from
 * every key: what one answer has told may have been a hiccup of the cloud.
 */

#include "key.h"


static ngx_uint_t ngx_http_ollama_soft_may(ngx_http_ollama_key_t *key);


/* want is of a request that has not tried any */

ngx_http_ollama_key_t *
ngx_http_ollama_select_soft(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_want_t *want)
{
    time_t                   until, soonest;
    ngx_uint_t               n;
    ngx_rbtree_node_t       *node;
    ngx_http_ollama_key_t   *key, *best;
    ngx_http_ollama_note_t  *note;

    best = NULL;
    soonest = 0;

    node = (sh->deadlines.root == sh->deadlines.sentinel)
           ? NULL : ngx_rbtree_min(sh->deadlines.root, sh->deadlines.sentinel);

    for (n = 0; node && n < NGX_HTTP_OLLAMA_LOOK; n++) {

        key = ngx_rbtree_data(node, ngx_http_ollama_key_t, deadline_node);

        if (key->until
            && ngx_http_ollama_soft_may(key)
            && !(want->blocked && ngx_http_ollama_bit_test(want->blocked,
                                                           key->slot)))
        {
            best = key;
            soonest = key->until;
            break;
        }

        node = ngx_rbtree_next(&sh->deadlines, node);
    }

    if (want->blocked == NULL) {
        return best;
    }

    node = ngx_rbtree_min(sh->notes.root, sh->notes.sentinel);

    for (n = 0; node && n < NGX_HTTP_OLLAMA_LOOK; n++) {

        note = ngx_rbtree_data(node, ngx_http_ollama_note_t, node);
        key = sh->slots->keys[note->slot];
        until = ngx_max((time_t) node->key, key->until);

        if (ngx_http_ollama_note_stands(sh, note)
            && ngx_http_ollama_model_blocked(sh, note->model, 0)
               == want->blocked
            && ngx_http_ollama_listed(sh, key)
            && ngx_http_ollama_soft_may(key)
            && (best == NULL || until < soonest))
        {
            best = key;
            soonest = until;
        }

        node = ngx_rbtree_next(&sh->notes, node);
    }

    return best;
}


static ngx_uint_t
ngx_http_ollama_soft_may(ngx_http_ollama_key_t *key)
{
    if (!key->enabled || key->account->full || ngx_http_ollama_closed(key)) {
        return 0;
    }

    if (key->until == 0) {
        return 1;
    }

    /* one that is no good as far as one knows is tried again a second later */

    return key->soft
           && (key->state != NGX_HTTP_OLLAMA_KEY_INVALID
               || ngx_time() > key->refused_at);
}


/* is there one that is only busy now? */

ngx_uint_t
ngx_http_ollama_soft_hope(ngx_http_ollama_shared_t *sh)
{
    ngx_uint_t  w;

    for (w = 0; w < sh->slots->nwords; w++) {
        if (sh->slots->soft[w]) {
            return 1;
        }
    }

    return 0;
}
