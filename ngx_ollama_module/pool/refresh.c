
/*
 * The pool's lock, and what time does to the pool.
 */

#include "key.h"
#include "ramp.h"


#define NGX_HTTP_OLLAMA_LEARNED_TIME  86400
#define NGX_HTTP_OLLAMA_REAP          32
#define NGX_HTTP_OLLAMA_SET_BACK      60


static void ngx_http_ollama_refresh_deadlines(ngx_http_ollama_shared_t *sh,
    time_t now);
static void ngx_http_ollama_refresh_notes(ngx_http_ollama_shared_t *sh,
    time_t now);
static void ngx_http_ollama_refresh_windows(ngx_http_ollama_pool_t *pool,
    time_t now);


void
ngx_http_ollama_pool_lock(ngx_http_ollama_pool_t *pool)
{
    time_t                     now;
    ngx_http_ollama_shared_t  *sh;

    sh = pool->sh;
    now = ngx_time();

    ngx_shmtx_lock(&pool->shpool->mutex);

    if (sh->ticked != now || sh->left) {

        sh->left = 0;

        if (sh->ticked - now > NGX_HTTP_OLLAMA_SET_BACK) {
            ngx_http_ollama_hold_set_back(sh, now);
        }

        ngx_http_ollama_refresh_deadlines(sh, now);
        ngx_http_ollama_refresh_notes(sh, now);

        /* another process may be a second behind */

        if (now > sh->ticked || sh->ticked - now > NGX_HTTP_OLLAMA_SET_BACK) {
            sh->ticked = now;

            ngx_http_ollama_refresh_windows(pool, now);

            /*
             * A worker that dies has a successor, which looks at once; but not
             * one that was about to exit after a reload.
             */

            ngx_http_ollama_process_reap(pool, NGX_HTTP_OLLAMA_REAP);
        }
    }

    ngx_http_ollama_queue_refresh(pool);
    ngx_http_ollama_queue_hand(sh);
}


void
ngx_http_ollama_pool_unlock(ngx_http_ollama_pool_t *pool)
{
    ngx_http_ollama_queue_hand(pool->sh);
    ngx_http_ollama_queue_due(pool->sh);

    ngx_shmtx_unlock(&pool->shpool->mutex);

    ngx_http_ollama_told(pool);
}


static void
ngx_http_ollama_refresh_deadlines(ngx_http_ollama_shared_t *sh, time_t now)
{
    ngx_uint_t              n;
    ngx_rbtree_node_t      *node;
    ngx_http_ollama_key_t  *key;

    for (n = 0; sh->deadlines.root != sh->deadlines.sentinel; n++) {

        node = ngx_rbtree_min(sh->deadlines.root, sh->deadlines.sentinel);

        if (node->key > ngx_http_ollama_time_key(now)) {
            return;
        }

        if (n == NGX_HTTP_OLLAMA_LOOK) {
            sh->left = 1;
            return;
        }

        key = ngx_rbtree_data(node, ngx_http_ollama_key_t, deadline_node);

        if (key->until) {
            key->until = 0;
            key->half_open = 1;
            key->probed = NULL;

            ngx_http_ollama_ramp_begin(sh, key);

        } else {
            key->behind_until = 0;
        }

        ngx_http_ollama_key_deadline(sh, key);
        ngx_http_ollama_key_place(sh, key);
    }
}


static void
ngx_http_ollama_refresh_notes(ngx_http_ollama_shared_t *sh, time_t now)
{
    ngx_uint_t               n;
    ngx_rbtree_node_t       *node;
    ngx_http_ollama_note_t  *note;

    for (n = 0; sh->notes.root != sh->notes.sentinel; n++) {

        node = ngx_rbtree_min(sh->notes.root, sh->notes.sentinel);

        if (node->key > ngx_http_ollama_time_key(now)) {
            return;
        }

        if (n == NGX_HTTP_OLLAMA_LOOK) {
            sh->left = 1;
            return;
        }

        note = ngx_rbtree_data(node, ngx_http_ollama_note_t, node);

        if (ngx_http_ollama_note_stands(sh, note)) {
            ngx_http_ollama_note_end(sh, note, now);

        } else {
            ngx_http_ollama_note_remove(sh, note);
        }
    }
}


/*
 * What has left the two hours, and what time does to what an account has left:
 * each key once a minute, some each second.
 */

static void
ngx_http_ollama_refresh_windows(ngx_http_ollama_pool_t *pool, time_t now)
{
    ngx_uint_t                  i, n;
    ngx_http_ollama_key_t      *key;
    ngx_http_ollama_shared_t   *sh;
    ngx_http_ollama_account_t  *account;

    sh = pool->sh;
    n = ngx_min(sh->nkeys / 60 + 1, sh->nkeys);

    for (i = 0; i < n; i++) {

        if (sh->swept >= sh->nkeys) {
            sh->swept = 0;
        }

        key = sh->keys[sh->swept++];
        account = key->account;

        /* plans change: a limit once told is not believed for ever */

        if (account->learned
            && now - account->learned_at > NGX_HTTP_OLLAMA_LEARNED_TIME)
        {
            ngx_http_ollama_account_learn(sh, account, 0);
        }

        ngx_http_ollama_key_expire(pool, key, now);

        ngx_http_ollama_account_place(sh, account);
        ngx_http_ollama_key_age(sh, key);
    }
}
