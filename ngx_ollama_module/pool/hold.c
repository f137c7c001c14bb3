
/*
 * What is held against a key: put there, and taken away.
 */

#include "key.h"
#include "ramp.h"


#define NGX_HTTP_OLLAMA_BEHIND_LONGEST  31


static void ngx_http_ollama_time_back(time_t *t, time_t now);


/* nothing if it is less than what is held against it already */

ngx_uint_t
ngx_http_ollama_key_hold(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_key_t *key, ngx_http_ollama_hold_t *hold)
{
    key->level = (uint8_t) ngx_min(ngx_max(key->level, hold->level), 255);

    /* a later, smaller penalty shortens nothing, and explains nothing */

    if (hold->until <= key->until) {
        return 0;
    }

    key->until = hold->until;
    key->said = hold->said;
    key->state = (uint8_t) hold->state;
    key->http = (uint16_t) hold->http;
    key->soft = hold->soft;
    key->unpaid = hold->unpaid;
    key->half_open = 0;
    key->probed = NULL;

    ngx_cpystrn(key->reason, hold->reason, NGX_HTTP_OLLAMA_REASON_LEN);

    ngx_http_ollama_ramp_held(sh, key->account);

    ngx_http_ollama_key_deadline(sh, key);
    ngx_http_ollama_key_place(sh, key);

    return 1;
}


void
ngx_http_ollama_key_forgive(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_key_t *key)
{
    key->half_open = 0;
    key->probed = NULL;
    key->level = 0;
    key->http = 0;
    key->until = 0;
    key->soft = 0;
    key->unpaid = 0;
    key->refused = 0;
    key->reason[0] = '\0';
    key->state = NGX_HTTP_OLLAMA_KEY_HEALTHY;

    ngx_http_ollama_key_deadline(pool->sh, key);
    ngx_http_ollama_key_place(pool->sh, key);

    ngx_http_ollama_tell(pool, key, NULL);
}


/* somebody has paid: all of its keys are as good as one */

void
ngx_http_ollama_account_forgive(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_account_t *account)
{
    ngx_queue_t            *q;
    ngx_http_ollama_key_t  *key;

    account->unpaid_at = 0;

    for (q = ngx_queue_head(&account->keys);
         q != ngx_queue_sentinel(&account->keys);
         q = ngx_queue_next(q))
    {
        key = ngx_queue_data(q, ngx_http_ollama_key_t, siblings);

        if (key->unpaid) {
            ngx_http_ollama_key_forgive(pool, key);
        }
    }
}


/* its keys may serve this model, as far as one knows */

void
ngx_http_ollama_account_allow(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_account_t *account, uint32_t hash)
{
    ngx_uint_t               stands;
    ngx_queue_t             *q;
    ngx_http_ollama_key_t   *key;
    ngx_http_ollama_note_t  *note;

    for (q = ngx_queue_head(&account->keys);
         q != ngx_queue_sentinel(&account->keys);
         q = ngx_queue_next(q))
    {
        key = ngx_queue_data(q, ngx_http_ollama_key_t, siblings);
        note = ngx_http_ollama_note_find(pool->sh, key, hash);

        if (note == NULL) {
            continue;
        }

        stands = ngx_http_ollama_note_stands(pool->sh, note);

        ngx_http_ollama_note_remove(pool->sh, note);

        if (stands) {
            note->node.key = 0;
            ngx_http_ollama_tell(pool, key, note);
        }
    }
}


/*
 * All keys were barred from it, and one may serve it: of the others, too, only
 * what has come again is believed.
 */

void
ngx_http_ollama_model_allow(ngx_http_ollama_pool_t *pool, uint32_t hash)
{
    ngx_uint_t                 n;
    ngx_rbtree_node_t         *node, *next;
    ngx_http_ollama_note_t    *note;
    ngx_http_ollama_shared_t  *sh;

    sh = pool->sh;

    if (sh->notes.root == sh->notes.sentinel) {
        return;
    }

    node = ngx_rbtree_min(sh->notes.root, sh->notes.sentinel);

    for (n = 0; node && n < NGX_HTTP_OLLAMA_LOOK; n++) {

        next = ngx_rbtree_next(&sh->notes, node);
        note = ngx_rbtree_data(node, ngx_http_ollama_note_t, node);

        if (note->level <= 1
            && sh->hashes[note->model] == hash
            && ngx_http_ollama_note_stands(sh, note))
        {
            ngx_http_ollama_note_remove(sh, note);

            note->node.key = 0;
            ngx_http_ollama_tell(pool, sh->slots->keys[note->slot], note);
        }

        node = next;
    }
}


/*
 * The clock was ahead, and has been set right: what was said then lasts as long
 * from now on as it should have lasted.
 */

void
ngx_http_ollama_hold_set_back(ngx_http_ollama_shared_t *sh, time_t now)
{
    time_t                   t;
    ngx_uint_t               i;
    ngx_queue_t             *q;
    ngx_http_ollama_key_t   *key;
    ngx_http_ollama_note_t  *note;

    for (i = 0; i < sh->slots->nslots; i++) {

        key = sh->slots->keys[i];

        if (key == NULL) {
            continue;
        }

        if (key->until && key->said > now) {
            key->until = now + (key->until - key->said);
            key->said = now;
        }

        if (key->behind_until) {
            ngx_http_ollama_time_back(&key->behind_until,
                                      now + NGX_HTTP_OLLAMA_BEHIND_LONGEST);
        }

        ngx_http_ollama_time_back(&key->refused_since, now);
        ngx_http_ollama_time_back(&key->refused_at, now);
        ngx_http_ollama_time_back(&key->account->unpaid_at, now);
        ngx_http_ollama_time_back(&key->account->learned_at, now);
        ngx_http_ollama_time_back(&key->account->told, now);
        ngx_http_ollama_time_back(&key->account->balance.seen, now);

        for (q = ngx_queue_head(&key->notes);
             q != ngx_queue_sentinel(&key->notes);
             q = ngx_queue_next(q))
        {
            note = ngx_queue_data(q, ngx_http_ollama_note_t, queue);

            t = now + NGX_HTTP_OLLAMA_NOTE_MEMORY;

            if ((time_t) note->node.key > t) {
                ngx_http_ollama_note_move(sh, note, t);
            }
        }

        ngx_http_ollama_key_deadline(sh, key);
        ngx_http_ollama_key_place(sh, key);
    }
}


static void
ngx_http_ollama_time_back(time_t *t, time_t now)
{
    if (*t > now) {
        *t = now;
    }
}
