
/*
 * Models: those that some keys may not serve, or that requests wait for.
 */

#include "key.h"
#include "core/mix.h"


static ngx_http_ollama_note_t *ngx_http_ollama_note_of(
    ngx_http_ollama_key_t *key, ngx_uint_t model);
static void ngx_http_ollama_note_insert(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_note_t *note, time_t until);
static void ngx_http_ollama_note_bar(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_key_t *key, ngx_http_ollama_note_t *note);
static void ngx_http_ollama_note_open(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_key_t *key, ngx_http_ollama_note_t *note);


#define ngx_http_ollama_map(sh, model)                                        \
    ((sh)->slots->blocked + (model) * (sh)->slots->nwords)


/* 0 for none */

uint32_t
ngx_http_ollama_model_hash(ngx_str_t *name)
{
    uint64_t      hash;
    ollama_mix_t  mix;

    if (name->len == 0) {
        return 0;
    }

    ollama_mix_begin(&mix);
    ollama_mix_add(&mix, name->data, name->len);

    hash = ollama_mix_end(&mix);

    return (uint32_t) (hash ^ hash >> 32);
}


ngx_uint_t
ngx_http_ollama_model_find(ngx_http_ollama_shared_t *sh, uint32_t hash,
    ngx_str_t *name)
{
    ngx_uint_t                i, n;
    ngx_http_ollama_model_t  *model;

    if (name->len == 0) {
        return NGX_HTTP_OLLAMA_OTHER;
    }

    /* places are taken in order: usually most of them never were */

    n = ngx_min(sh->next_model, NGX_HTTP_OLLAMA_MODELS);

    for (i = 0; i < n; i++) {

        if (sh->hashes[i] != hash) {
            continue;
        }

        model = &sh->models[i];

        if (model->len == name->len
            && ngx_memcmp(model->name, name->data, name->len) == 0)
        {
            return i;
        }
    }

    return NGX_HTTP_OLLAMA_OTHER;
}


/* finds it, or makes an entry of one that nobody needs */

ngx_uint_t
ngx_http_ollama_model_get(ngx_http_ollama_shared_t *sh, uint32_t hash,
    ngx_str_t *name)
{
    ngx_uint_t                i, n;
    ngx_http_ollama_model_t  *model;

    i = ngx_http_ollama_model_find(sh, hash, name);

    if (i != NGX_HTTP_OLLAMA_OTHER
        || name->len == 0
        || name->len > NGX_HTTP_OLLAMA_MODEL_LEN)
    {
        return i;
    }

    for (n = 0; n < NGX_HTTP_OLLAMA_MODELS; n++) {

        i = sh->next_model++ % NGX_HTTP_OLLAMA_MODELS;
        model = &sh->models[i];

        if (model->nnotes || model->nwaiters) {
            continue;
        }

        sh->hashes[i] = hash;
        model->len = name->len;
        ngx_memcpy(model->name, name->data, name->len);

        return i;
    }

    return NGX_HTTP_OLLAMA_OTHER;
}


/*
 * Which keys may not serve it: NULL if all may.  One that found no entry when
 * it began to wait may have got one since; then its hash has to do.
 */

uint64_t *
ngx_http_ollama_model_blocked(ngx_http_ollama_shared_t *sh, ngx_uint_t model,
    uint32_t hash)
{
    ngx_uint_t  i;

    if (model == NGX_HTTP_OLLAMA_OTHER && hash) {

        for (i = 0; i < NGX_HTTP_OLLAMA_MODELS; i++) {
            if (sh->hashes[i] == hash) {
                model = i;
                break;
            }
        }
    }

    if (model == NGX_HTTP_OLLAMA_OTHER || sh->models[model].nnotes == 0) {
        return NULL;
    }

    return ngx_http_ollama_map(sh, model);
}


ngx_http_ollama_note_t *
ngx_http_ollama_note_add(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_key_t *key, ngx_str_t *name, time_t until, ngx_uint_t http,
    ngx_uint_t level)
{
    ngx_uint_t               model;
    ngx_queue_t             *q;
    ngx_http_ollama_note_t  *note;

    model = ngx_http_ollama_model_get(sh, ngx_http_ollama_model_hash(name),
                                      name);

    if (model == NGX_HTTP_OLLAMA_OTHER) {
        return NULL;
    }

    note = ngx_http_ollama_note_of(key, model);

    if (note) {
        note->http = (uint16_t) http;
        note->level = (uint8_t) ngx_max(note->level, level);

        if (!ngx_http_ollama_note_stands(sh, note)) {
            key->nover--;

            ngx_http_ollama_note_move(sh, note, until);
            ngx_http_ollama_note_bar(sh, key, note);

        } else if (until > (time_t) note->node.key) {
            ngx_http_ollama_note_move(sh, note, until);
        }

        return note;
    }

    /* not to be recycled while room is made */

    sh->models[model].nnotes++;

    if (key->nnotes == NGX_HTTP_OLLAMA_KEY_NOTES) {
        q = ngx_queue_head(&key->notes);
        ngx_http_ollama_note_remove(sh, ngx_queue_data(q,
                                               ngx_http_ollama_note_t, queue));
    }

    if (ngx_queue_empty(&sh->free_notes)) {
        ngx_http_ollama_note_remove(sh, ngx_rbtree_data(
                                            ngx_rbtree_min(sh->notes.root,
                                                           sh->notes.sentinel),
                                            ngx_http_ollama_note_t, node));
    }

    q = ngx_queue_head(&sh->free_notes);
    ngx_queue_remove(q);

    note = ngx_queue_data(q, ngx_http_ollama_note_t, queue);

    note->slot = key->slot;
    note->model = (uint8_t) model;
    note->http = (uint16_t) http;
    note->level = (uint8_t) level;

    ngx_http_ollama_note_insert(sh, note, until);

    ngx_queue_insert_tail(&key->notes, &note->queue);
    key->nnotes++;

    ngx_http_ollama_note_bar(sh, key, note);

    return note;
}


/* of a model by its hash: the standing one, or one that has ended; or NULL */

ngx_http_ollama_note_t *
ngx_http_ollama_note_find(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_key_t *key, uint32_t hash)
{
    ngx_queue_t             *q;
    ngx_http_ollama_note_t  *note;

    for (q = ngx_queue_head(&key->notes);
         q != ngx_queue_sentinel(&key->notes);
         q = ngx_queue_next(q))
    {
        note = ngx_queue_data(q, ngx_http_ollama_note_t, queue);

        if (sh->hashes[note->model] == hash) {
            return note;
        }
    }

    return NULL;
}


static ngx_http_ollama_note_t *
ngx_http_ollama_note_of(ngx_http_ollama_key_t *key, ngx_uint_t model)
{
    ngx_queue_t             *q;
    ngx_http_ollama_note_t  *note;

    for (q = ngx_queue_head(&key->notes);
         q != ngx_queue_sentinel(&key->notes);
         q = ngx_queue_next(q))
    {
        note = ngx_queue_data(q, ngx_http_ollama_note_t, queue);

        if (note->model == model) {
            return note;
        }
    }

    return NULL;
}


static void
ngx_http_ollama_note_insert(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_note_t *note, time_t until)
{
    note->node.key = ngx_http_ollama_time_key(until);
    ngx_rbtree_insert(&sh->notes, &note->node);
}


void
ngx_http_ollama_note_move(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_note_t *note, time_t until)
{
    ngx_rbtree_delete(&sh->notes, &note->node);
    ngx_http_ollama_note_insert(sh, note, until);
}


ngx_uint_t
ngx_http_ollama_note_stands(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_note_t *note)
{
    return ngx_http_ollama_bit_test(ngx_http_ollama_map(sh, note->model),
                                    note->slot)
           != 0;
}


static void
ngx_http_ollama_note_bar(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_key_t *key, ngx_http_ollama_note_t *note)
{
    ngx_http_ollama_bit_set(ngx_http_ollama_map(sh, note->model), key->slot);
    ngx_http_ollama_key_changed(sh, key);

    sh->version++;
}


static void
ngx_http_ollama_note_open(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_key_t *key, ngx_http_ollama_note_t *note)
{
    ngx_http_ollama_bit_clear(ngx_http_ollama_map(sh, note->model), key->slot);
    ngx_http_ollama_key_changed(sh, key);

    if (key->is_ready) {
        ngx_http_ollama_key_refresh(sh, key);
    }
}


/* it bars the key no more, but is remembered */

void
ngx_http_ollama_note_end(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_note_t *note, time_t now)
{
    ngx_http_ollama_key_t  *key;

    key = sh->slots->keys[note->slot];
    key->nover++;

    ngx_http_ollama_note_move(sh, note, now + NGX_HTTP_OLLAMA_NOTE_MEMORY);
    ngx_http_ollama_note_open(sh, key, note);
}


void
ngx_http_ollama_note_remove(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_note_t *note)
{
    ngx_http_ollama_key_t  *key;

    key = sh->slots->keys[note->slot];

    if (!ngx_http_ollama_note_stands(sh, note)) {
        key->nover--;
    }

    ngx_rbtree_delete(&sh->notes, &note->node);

    ngx_queue_remove(&note->queue);
    ngx_queue_insert_head(&sh->free_notes, &note->queue);

    key->nnotes--;
    sh->models[note->model].nnotes--;

    ngx_http_ollama_note_open(sh, key, note);
}


uint64_t
ngx_http_ollama_pool_usual(ngx_http_ollama_pool_t *pool,
    ngx_http_ollama_lease_t *lease)
{
    ngx_http_ollama_usual_t  *usual;

    /* a guess for a reservation: not worth the lock */

    usual = &pool->sh->usuals[lease->hash % NGX_HTTP_OLLAMA_USUALS];

    if (usual->hash != lease->hash || usual->usual == 0) {
        return NGX_HTTP_OLLAMA_USUAL;
    }

    return usual->usual;
}


ngx_rbtree_key_t
ngx_http_ollama_time_key(time_t t)
{
    if (t < 0) {
        return 0;
    }

    if ((uint64_t) t > (ngx_rbtree_key_t) -1) {
        return (ngx_rbtree_key_t) -1;
    }

    return (ngx_rbtree_key_t) t;
}
