
/*
 * Who may be chosen, and who is: the first in order; why none is.
 */

#include "key.h"


static void ngx_http_ollama_map_set(uint64_t *map, ngx_uint_t slot,
    ngx_uint_t on);
static ngx_http_ollama_key_t *ngx_http_ollama_map_least(
    ngx_http_ollama_shared_t *sh, uint64_t *map, ngx_http_ollama_want_t *want);
static ngx_http_ollama_key_t *ngx_http_ollama_map_least_of(
    ngx_http_ollama_shared_t *sh, uint64_t *map, ngx_http_ollama_want_t *want,
    ngx_uint_t low, ngx_uint_t tier);
static ngx_uint_t ngx_http_ollama_map_any(ngx_http_ollama_shared_t *sh,
    uint64_t *map, ngx_http_ollama_want_t *want);
static ngx_http_ollama_key_t *ngx_http_ollama_select_soonest(
    ngx_http_ollama_shared_t *sh, ngx_http_ollama_want_t *want,
    ngx_uint_t invalid);
static void ngx_http_ollama_refuse_soonest(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_want_t *want, ngx_http_ollama_lease_t *lease);
static void ngx_http_ollama_refuse_blocked(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_want_t *want, ngx_http_ollama_lease_t *lease);


/*
 * The only place where a key comes into, leaves, or moves within "ready" and
 * the maps, and so the only definition of who may be chosen.
 */

void
ngx_http_ollama_key_place(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_key_t *key)
{
    ngx_uint_t                enabled, free, hope, quota, ready, soft;
    ngx_rbtree_key_t          load;
    ngx_http_ollama_slots_t  *slots;

    slots = sh->slots;

    enabled = ngx_http_ollama_listed(sh, key) && key->enabled;

    free = enabled && key->until == 0;
    soft = free || (enabled && key->soft
                    && key->state != NGX_HTTP_OLLAMA_KEY_INVALID);
    hope = free || (enabled && key->state == NGX_HTTP_OLLAMA_KEY_SLOTS);

    quota = hope || (enabled && (key->state == NGX_HTTP_OLLAMA_KEY_PAUSED
                            || key->state == NGX_HTTP_OLLAMA_KEY_EXHAUSTED));

    ready = free && !key->account->full && !ngx_http_ollama_closed(key);

    if (!hope && ngx_http_ollama_bit_test(slots->hope, key->slot)) {
        sh->version++;
    }

    ngx_http_ollama_map_set(slots->free, key->slot, free);
    ngx_http_ollama_map_set(slots->soft, key->slot, soft);
    ngx_http_ollama_map_set(slots->hope, key->slot, hope);
    ngx_http_ollama_map_set(slots->quota, key->slot, quota);
    ngx_http_ollama_map_set(slots->ready, key->slot, ready);
    ngx_http_ollama_map_set(slots->low, key->slot, key->account->low);

    ngx_http_ollama_key_changed(sh, key);

    load = ngx_http_ollama_key_load(sh, key);

    if (key->is_ready) {

        if (ready && key->ready_node.key == load) {
            return;
        }

        ngx_rbtree_delete(&sh->ready, &key->ready_node);
        key->is_ready = 0;

    } else if (ready) {
        ngx_http_ollama_key_refresh(sh, key);
    }

    if (ready) {
        key->ready_node.key = load;
        ngx_rbtree_insert(&sh->ready, &key->ready_node);
        key->is_ready = 1;
    }
}


static void
ngx_http_ollama_map_set(uint64_t *map, ngx_uint_t slot, ngx_uint_t on)
{
    if (on) {
        ngx_http_ollama_bit_set(map, slot);

    } else {
        ngx_http_ollama_bit_clear(map, slot);
    }
}


/* time has gone by: to where it belongs now, which is nobody's news */

void
ngx_http_ollama_key_age(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_key_t *key)
{
    ngx_rbtree_key_t  load;

    load = ngx_http_ollama_key_load(sh, key);

    if (key->is_ready && key->ready_node.key != load) {
        ngx_rbtree_delete(&sh->ready, &key->ready_node);
        key->ready_node.key = load;
        ngx_rbtree_insert(&sh->ready, &key->ready_node);
    }
}


/* after a change of what it has in flight, of its slots, or of what is left */

void
ngx_http_ollama_account_place(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_account_t *account)
{
    uint32_t                slots;
    ngx_uint_t              changed, full;
    ngx_queue_t            *q;
    ngx_http_ollama_key_t  *key;

    slots = ngx_http_ollama_account_slots(account);
    full = (slots && account->in_flight >= slots)
           || ngx_http_ollama_ramp_full(account);

    changed = ngx_http_ollama_account_weigh(sh, account);

    if (full == account->full && !changed) {
        return;
    }

    account->full = full;

    for (q = ngx_queue_head(&account->keys);
         q != ngx_queue_sentinel(&account->keys);
         q = ngx_queue_next(q))
    {
        key = ngx_queue_data(q, ngx_http_ollama_key_t, siblings);
        ngx_http_ollama_key_place(sh, key);
    }
}


/* what the cloud has told; 0: forget it */

void
ngx_http_ollama_account_learn(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_account_t *account, ngx_uint_t slots)
{
    ngx_queue_t  *q;

    account->learned = (uint32_t) slots;
    account->learned_at = ngx_time();

    ngx_http_ollama_account_place(sh, account);

    for (q = ngx_queue_head(&account->keys);
         q != ngx_queue_sentinel(&account->keys);
         q = ngx_queue_next(q))
    {
        ngx_http_ollama_key_changed(sh, ngx_queue_data(q,
                                            ngx_http_ollama_key_t, siblings));
    }
}


uint32_t
ngx_http_ollama_account_slots(ngx_http_ollama_account_t *account)
{
    if (account->learned
        && (account->max_concurrent == 0
            || account->learned < account->max_concurrent))
    {
        return account->learned;
    }

    return account->max_concurrent;
}


/* of what ends next; a key outside of the list waits for nothing */

void
ngx_http_ollama_key_deadline(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_key_t *key)
{
    time_t  t;

    if (key->is_due) {
        ngx_rbtree_delete(&sh->deadlines, &key->deadline_node);
        key->is_due = 0;
    }

    t = key->until ? key->until : key->behind_until;

    if (t && ngx_http_ollama_listed(sh, key)) {
        key->deadline_node.key = ngx_http_ollama_time_key(t);
        ngx_rbtree_insert(&sh->deadlines, &key->deadline_node);
        key->is_due = 1;
    }
}


void
ngx_http_ollama_want(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_lease_t *lease, ngx_http_ollama_want_t *want)
{
    ngx_uint_t  model;

    model = ngx_http_ollama_model_find(sh, lease->hash, &lease->model);

    want->blocked = ngx_http_ollama_model_blocked(sh, model, 0);
    want->tried = lease->tried;
    want->ntried = lease->ntried;
    want->stale = 0;
}


ngx_uint_t
ngx_http_ollama_want_tried(ngx_http_ollama_want_t *want,
    ngx_http_ollama_key_t *key)
{
    ngx_uint_t  i;

    for (i = 0; i < want->ntried; i++) {
        if (want->tried[i] == key->number) {
            return 1;
        }
    }

    return 0;
}


ngx_uint_t
ngx_http_ollama_want_fits(ngx_http_ollama_want_t *want,
    ngx_http_ollama_key_t *key)
{
    return !(want->blocked && ngx_http_ollama_bit_test(want->blocked,
                                                       key->slot))
           && !(want->stale && key->is_fresh)
           && !ngx_http_ollama_want_tried(want, key);
}


ngx_http_ollama_key_t *
ngx_http_ollama_select(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_want_t *want)
{
    ngx_uint_t              n;
    ngx_rbtree_node_t      *node;
    ngx_http_ollama_key_t  *key, *doubtful;

    if (sh->ready.root == sh->ready.sentinel) {
        return NULL;
    }

    doubtful = NULL;

    node = ngx_rbtree_min(sh->ready.root, sh->ready.sentinel);

    for (n = 0; n < NGX_HTTP_OLLAMA_LOOK; n++) {
        key = ngx_rbtree_data(node, ngx_http_ollama_key_t, ready_node);

        if (ngx_http_ollama_want_fits(want, key)) {

            if (want->ntried == 0 || key->behind == 0) {
                return key;
            }

            /* it has dropped connections, and this request has met one */

            if (doubtful == NULL) {
                doubtful = key;
            }
        }

        node = ngx_rbtree_next(&sh->ready, node);

        if (node == NULL) {
            return doubtful;
        }
    }

    if (doubtful) {
        return doubtful;
    }

    /* a model that few keys may serve */

    return ngx_http_ollama_map_least(sh, sh->slots->ready, want);
}


/* who serves only if no other can is not looked at before */

static ngx_http_ollama_key_t *
ngx_http_ollama_map_least(ngx_http_ollama_shared_t *sh, uint64_t *map,
    ngx_http_ollama_want_t *want)
{
    ngx_uint_t              low, tier;
    ngx_http_ollama_key_t  *key;

    for (low = 0; low <= sh->floors; low++) {
        for (tier = 0; tier < NGX_HTTP_OLLAMA_TIERS; tier++) {

            if ((sh->tiers >> tier & 1) == 0) {
                continue;
            }

            key = ngx_http_ollama_map_least_of(sh, map, want, low, tier);

            if (key) {
                return key;
            }
        }
    }

    return NULL;
}


/*
 * The least of the first some that fit; the next look begins where this one
 * has ended, so that all have their turn.
 */

static ngx_http_ollama_key_t *
ngx_http_ollama_map_least_of(ngx_http_ollama_shared_t *sh, uint64_t *map,
    ngx_http_ollama_want_t *want, ngx_uint_t low, ngx_uint_t tier)
{
    uint64_t                  bits, *tiers;
    ngx_uint_t                i, n, w;
    ngx_rbtree_key_t          load, least;
    ngx_http_ollama_key_t    *key, *best;
    ngx_http_ollama_slots_t  *slots;

    slots = sh->slots;
    tiers = slots->tiers + tier * slots->nwords;
    best = NULL;
    least = 0;
    n = 0;

    w = sh->scan % slots->nwords;

    for (i = 0; i < slots->nwords && n < NGX_HTTP_OLLAMA_LOOK; i++) {

        bits = map[w] & tiers[w] & (low ? slots->low[w] : ~slots->low[w]);

        if (want->blocked) {
            bits &= ~want->blocked[w];
        }

        while (bits) {
            key = slots->keys[w * 64 + __builtin_ctzll(bits)];
            bits &= bits - 1;

            if (!ngx_http_ollama_want_fits(want, key)) {
                continue;
            }

            load = ngx_http_ollama_key_load(sh, key);

            if (best == NULL || load < least) {
                best = key;
                least = load;
            }

            n++;
        }

        w = (w + 1 == slots->nwords) ? 0 : w + 1;
    }

    sh->scan = w;

    return best;
}


static ngx_uint_t
ngx_http_ollama_map_any(ngx_http_ollama_shared_t *sh, uint64_t *map,
    ngx_http_ollama_want_t *want)
{
    uint64_t                  bits;
    ngx_uint_t                w;
    ngx_http_ollama_key_t    *key;
    ngx_http_ollama_slots_t  *slots;

    slots = sh->slots;

    for (w = 0; w < slots->nwords; w++) {

        bits = map[w];

        if (want->blocked) {
            bits &= ~want->blocked[w];
        }

        while (bits) {
            key = slots->keys[w * 64 + __builtin_ctzll(bits)];
            bits &= bits - 1;

            if (!ngx_http_ollama_want_tried(want, key)) {
                return 1;
            }
        }
    }

    return 0;
}


ngx_uint_t
ngx_http_ollama_hope(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_want_t *want)
{
    return ngx_http_ollama_map_any(sh, sh->slots->hope, want);
}


/* for what uses no slot */

ngx_http_ollama_key_t *
ngx_http_ollama_select_any(ngx_http_ollama_shared_t *sh)
{
    ngx_http_ollama_key_t   *key;
    ngx_http_ollama_want_t   want;

    ngx_memzero(&want, sizeof(ngx_http_ollama_want_t));

    key = ngx_http_ollama_select(sh, &want);

    if (key == NULL) {
        key = ngx_http_ollama_map_least(sh, sh->slots->free, &want);
    }

    if (key == NULL) {
        key = ngx_http_ollama_select_soonest(sh, &want, 0);
    }

    return key;
}


/*
 * None is ready, and yet one has to serve: one that is only busy, else the one
 * that is free soonest, else one that is known not to work.
 */

ngx_http_ollama_key_t *
ngx_http_ollama_select_dry(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_want_t *want)
{
    ngx_uint_t               i;
    ngx_http_ollama_key_t   *key;
    ngx_http_ollama_want_t   w;

    w = *want;

    for (i = 0; i < 3; i++) {

        key = ngx_http_ollama_map_least(sh, sh->slots->free, &w);

        if (key == NULL) {
            key = ngx_http_ollama_select_soonest(sh, &w, 0);
        }

        if (key == NULL) {
            key = ngx_http_ollama_select_soonest(sh, &w, 1);
        }

        if (key) {
            return key;
        }

        if (i == 0) {
            w.blocked = NULL;

        } else {
            w.ntried = 0;
        }
    }

    return NULL;
}


static ngx_http_ollama_key_t *
ngx_http_ollama_select_soonest(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_want_t *want, ngx_uint_t invalid)
{
    ngx_uint_t              n;
    ngx_rbtree_node_t      *node;
    ngx_http_ollama_key_t  *key;

    if (sh->deadlines.root == sh->deadlines.sentinel) {
        return NULL;
    }

    for (node = ngx_rbtree_min(sh->deadlines.root, sh->deadlines.sentinel),
         n = 0;
         node && n < NGX_HTTP_OLLAMA_LOOK;
         node = ngx_rbtree_next(&sh->deadlines, node), n++)
    {
        key = ngx_rbtree_data(node, ngx_http_ollama_key_t, deadline_node);

        if (key->enabled
            && (invalid || key->state != NGX_HTTP_OLLAMA_KEY_INVALID)
            && ngx_http_ollama_want_fits(want, key))
        {
            return key;
        }
    }

    return NULL;
}


/* no key can be had: is one worth waiting for, or when is the soonest free? */

ngx_int_t
ngx_http_ollama_select_refuse(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_want_t *want, ngx_http_ollama_lease_t *lease)
{
    lease->retry = 0;

    ngx_cpystrn(lease->reason, (u_char *) "no key is enabled",
                NGX_HTTP_OLLAMA_REASON_LEN);

    if (ngx_http_ollama_map_any(sh, sh->slots->free, want)) {

        /* its slots are taken, or one request tries it out */

        lease->retry = ngx_time() + 1;
        lease->status = 429;

        ngx_cpystrn(lease->reason, (u_char *) "all slots are taken",
                    NGX_HTTP_OLLAMA_REASON_LEN);
        return NGX_AGAIN;
    }

    lease->status = ngx_http_ollama_map_any(sh, sh->slots->quota, want)
                    ? 429 : 503;

    ngx_http_ollama_refuse_soonest(sh, want, lease);

    if (want->blocked) {
        ngx_http_ollama_refuse_blocked(sh, want, lease);
    }

    return ngx_http_ollama_hope(sh, want) ? NGX_AGAIN : NGX_DECLINED;
}


static void
ngx_http_ollama_refuse_soonest(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_want_t *want, ngx_http_ollama_lease_t *lease)
{
    ngx_http_ollama_key_t  *key;

    key = NULL;

    if (lease->status == 429) {
        key = ngx_http_ollama_select_soonest(sh, want, 0);
    }

    if (key == NULL) {
        key = ngx_http_ollama_select_soonest(sh, want, 1);
    }

    if (key == NULL) {
        return;
    }

    lease->retry = ngx_max(key->until, ngx_time() + 1);

    ngx_cpystrn(lease->reason, key->reason, NGX_HTTP_OLLAMA_REASON_LEN);

    if (lease->status == 503 && key->state == NGX_HTTP_OLLAMA_KEY_INVALID) {

        /* as the cloud would say it */

        lease->status = 401;
        ngx_cpystrn(lease->reason, sh->unauthorized,
                    NGX_HTTP_OLLAMA_REASON_LEN);
    }
}


static void
ngx_http_ollama_refuse_blocked(ngx_http_ollama_shared_t *sh,
    ngx_http_ollama_want_t *want, ngx_http_ollama_lease_t *lease)
{
    time_t                   until;
    ngx_uint_t               n;
    ngx_rbtree_node_t       *node;
    ngx_http_ollama_key_t   *key;
    ngx_http_ollama_note_t  *note;

    if (sh->notes.root == sh->notes.sentinel) {
        return;
    }

    for (node = ngx_rbtree_min(sh->notes.root, sh->notes.sentinel), n = 0;
         node && n < NGX_HTTP_OLLAMA_LOOK;
         node = ngx_rbtree_next(&sh->notes, node), n++)
    {
        note = ngx_rbtree_data(node, ngx_http_ollama_note_t, node);

        if (lease->retry && (time_t) node->key >= lease->retry) {
            return;
        }

        if (ngx_http_ollama_model_blocked(sh, note->model, 0)
            != want->blocked)
        {
            continue;
        }

        key = sh->slots->keys[note->slot];

        if (!ngx_http_ollama_note_stands(sh, note)
            || !ngx_http_ollama_listed(sh, key)
            || !key->enabled
            || ngx_http_ollama_want_tried(want, key))
        {
            continue;
        }

        until = ngx_max((time_t) node->key, key->until);

        if (lease->retry == 0 || until < lease->retry) {
            lease->retry = until;
            lease->status = (lease->status == 401) ? 503 : lease->status;
            ngx_cpystrn(lease->reason, (u_char *) "no key may use this model",
                        NGX_HTTP_OLLAMA_REASON_LEN);
        }
    }
}
